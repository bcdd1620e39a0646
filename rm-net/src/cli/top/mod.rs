//! `rmctl top`: where credit moves, and who waits, live on a terminal; or one snapshot for scripts.
//!
//! ```text
//! sample   what is shown: servers, locks, requests, with rates between two looks
//! screen   how it is drawn, and what keys do: a state and a picture of it, without a terminal
//! live     the terminal itself, which is put back as it was whatever happens
//! ```
//!
//! JSON shape, stable: one [`sample::TopLine`].

use std::os::unix::ffi::OsStringExt as _;

use super::args::TopArgs;
use super::exit::{Exit, Failure};
use super::output::{self, Output, span, tame};

#[cfg(feature = "top")]
mod live;
pub(super) mod sample;
#[cfg(feature = "top")]
mod screen;

use self::sample::{Sampler, TopLine};

pub(crate) async fn run(
    endpoints: &[String],
    args: TopArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let prefix = args.prefix.unwrap_or_default().into_vec();
    let sampler = Sampler::new(endpoints.to_vec(), output, prefix, args.sort);
    if !args.once && !output.is_json() {
        return live(sampler, args.interval).await;
    }
    let mut sampler = sampler;
    // Rates need two looks.
    sampler.sample().await?;
    tokio::time::sleep(args.interval).await;
    let line = sampler.sample().await?;
    sampler.close().await;
    output.print(&line, || in_words(&line))?;
    Ok(Exit::OK)
}

#[cfg(feature = "top")]
async fn live(sampler: Sampler, interval: std::time::Duration) -> Result<Exit, Failure> {
    use std::io::{IsTerminal as _, stdin, stdout};

    if !stdin().is_terminal() || !stdout().is_terminal() {
        let error = "a live view needs a terminal for input and output";
        return Err(Failure::new(Exit::USAGE, error)
            .hint("'rmctl top --once' prints a snapshot, 'rmctl --json top' one for programs"));
    }
    live::run(sampler.quiet(), interval).await
}

#[cfg(not(feature = "top"))]
async fn live(_sampler: Sampler, _interval: std::time::Duration) -> Result<Exit, Failure> {
    let error = "this rmctl was built without the live view (feature `top`)";
    Err(Failure::new(Exit::USAGE, error).hint("'rmctl top --once' prints a snapshot"))
}

/// A snapshot as tables.
fn in_words(line: &TopLine) -> String {
    let strings = |row: &[&str]| -> Vec<String> { row.iter().map(|cell| (*cell).into()).collect() };
    let mut servers = vec![strings(&SERVERS)];
    servers.extend(line.servers.iter().map(server_row));
    let mut locks = vec![strings(&LOCKS)];
    locks.extend(line.locks.iter().map(lock_row));
    let mut waits = vec![strings(&WAITS)];
    waits.extend(line.waits.iter().map(wait_row));
    let mut text = format!(
        "{}\n\n{}\n\n{}",
        output::table(&servers),
        output::table(&locks),
        output::table(&waits)
    );
    if line.omitted > 0 {
        text.push_str(&format!("\nand {} more wait", line.omitted));
    }
    text
}

const SERVERS: [&str; 7] = [
    "SERVER", "STANDING", "SESSIONS", "LOCKS", "WAITING", "MOVES/S", "HITS",
];
const LOCKS: [&str; 5] = ["LOCK", "GRANTS/S", "RECALLS/S", "GRANTS", "RECALLS"];
const WAITS: [&str; 5] = ["WAITED", "LOCK", "FOR", "NODE", "LABEL"];

fn server_row(server: &sample::ServerLine) -> Vec<String> {
    vec![
        tame(&server.node),
        server.standing.into(),
        server.sessions.to_string(),
        server.resources.to_string(),
        server.waiting.to_string(),
        format!("{:.1}", server.moves_per_s),
        server
            .hit_percent
            .map_or_else(|| "-".into(), |percent| format!("{percent} %")),
    ]
}

fn lock_row(lock: &sample::HotLine) -> Vec<String> {
    vec![
        lock.name.clone(),
        format!("{:.1}", lock.grants_per_s),
        format!("{:.1}", lock.recalls_per_s),
        lock.grants.to_string(),
        lock.recalls.to_string(),
    ]
}

fn wait_row(wait: &sample::WaitLine) -> Vec<String> {
    vec![
        span(std::time::Duration::from_millis(wait.waited_ms)),
        wait.name.clone(),
        tame(&wait.mode),
        tame(&wait.node),
        tame(&wait.label),
    ]
}
