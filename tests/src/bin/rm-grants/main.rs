//! What a server's processor does for a grant, and what a lock takes in memory on either side.
//!
//! The server is a process of its own on one processor; the clients are in this process, on the others. What the server
//! spends is read from the clock that counts its processor time only. So a figure hardly depends on what else the machine
//! does, and none on how fast the clients are.
//!
//! ```text
//! cargo xtask bench grants
//! cargo xtask bench profile      # the same work, under strace and callgrind
//! ```

mod memory;
mod profile;
mod server;
mod work;

use std::process::ExitCode;

use crate::server::Server;
use crate::work::Work;

/// Grants per second of one of the server's processors that are aimed at, where many are asked for at once.
const GRANTS_PER_SECOND: f64 = 300_000.0;

/// Rounds of each workload; the median counts.
const ROUNDS: usize = 7;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        [] => run(),
        [server::ARGUMENT] => server::serve(),
        [profile::ARGUMENT] => profile::run(),
        _ => Err("it takes no argument, or `profile`".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    grants()?;
    println!();
    memory::run()
}

fn grants() -> Result<(), String> {
    println!(
        "| work | per second of one server processor | server's time for each | client's | per second by the clock |"
    );
    println!("|---|---|---|---|---|");
    let mut batched = 0.0;
    for work in Work::ALL {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let mut server = Server::start(&[])?;
            rounds.push(work::runtime().block_on(work.run(&mut server, work.operations()))?);
        }
        rounds.sort_by_key(|round| round.server);
        let median = &rounds[rounds.len() / 2];
        let each = |spent: std::time::Duration| spent.as_nanos() as f64 / median.operations as f64;
        let rate = 1e9 / each(median.server);
        if work == Work::Batched {
            batched = rate;
        }
        println!(
            "| {} | {rate:.0} | {:.2} us | {:.2} us | {:.0} |",
            work.words(),
            each(median.server) / 1e3,
            each(median.client) / 1e3,
            1e9 / each(median.wall),
        );
    }
    let verdict = verdict(batched >= GRANTS_PER_SECOND);
    println!(
        "target: {GRANTS_PER_SECOND:.0} batched grants per second of one server processor: {verdict}"
    );
    Ok(())
}

/// How a target is told of.
fn verdict(is_reached: bool) -> &'static str {
    if is_reached { "reached" } else { "not reached" }
}
