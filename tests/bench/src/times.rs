//! Nanoseconds per operation, and ratios.
//!
//! A machine that does other things as well slows everything down, for moments or for minutes. So the locks take turns in
//! rounds that are shorter than a scheduler's time slice, and the median round of each counts: most rounds are not
//! interrupted, and what slows one down for longer slows its neighbours down too, so the ratios stay.
//!
//! Threads that contend must run at the same time, so their rounds are longer than it takes to start them. They need a
//! core each: on a busy machine they run one after the other, and the figures say little.

use std::thread::available_parallelism;

use crate::subject::{NAMES, named};
use crate::workload::Workload;

/// Rounds of each lock, for one thread and for several.
const ROUNDS_ALONE: usize = 101;
const ROUNDS_TOGETHER: usize = 21;

/// One line of the table.
struct Line {
    what: &'static str,
    workload: Workload,
    threads: usize,
    /// Operations of each thread in a round.
    count: u64,
}

impl Line {
    const fn new(what: &'static str, workload: Workload, threads: usize, count: u64) -> Self {
        Self {
            what,
            workload,
            threads,
            count,
        }
    }
}

const LINES: [Line; 8] = [
    Line::new("read", Workload::Read, 1, 10_000),
    Line::new("write", Workload::Write, 1, 10_000),
    Line::new("read by the mutex", Workload::ReadByMutex, 1, 2_000),
    Line::new("upgradable read, upgrade", Workload::Upgrade, 1, 2_000),
    Line::new("read, 2 threads", Workload::Read, 2, 50_000),
    Line::new("read, 4 threads", Workload::Read, 4, 50_000),
    Line::new(
        "95 reads to 5 writes, 2 threads",
        Workload::Mixed,
        2,
        10_000,
    ),
    Line::new(
        "95 reads to 5 writes, 4 threads",
        Workload::Mixed,
        4,
        10_000,
    ),
];

/// Prints the table.
pub(crate) fn run() {
    println!("{}\n", machine());
    let names = NAMES[1..].iter().map(|name| format!(" {name} | × |"));
    println!("| ns per operation | ours |{}", names.collect::<String>());
    println!("|---|---|{}", "---|---|".repeat(NAMES.len() - 1));
    for line in &LINES {
        println!("{}", row(line));
    }
}

fn row(line: &Line) -> String {
    let locks = NAMES.map(|name| named(name).expect("it is listed"));
    let mut rounds: [Vec<f64>; NAMES.len()] = Default::default();
    let count = match line.threads {
        1 => ROUNDS_ALONE,
        _ => ROUNDS_TOGETHER,
    };
    for _ in 0..count {
        for (lock, rounds) in locks.iter().zip(&mut rounds) {
            if lock.can(line.workload) {
                let spent = lock.spent(line.workload, line.threads, line.count);
                rounds.push(spent.as_nanos() as f64 / line.count as f64);
            }
        }
    }
    let [ours, peers @ ..] = rounds.map(median);
    let cells = peers.map(|peer| match (ours, peer) {
        (Some(ours), Some(peer)) => format!(" {peer:.1} | {:.2} |", ours / peer),
        (None, Some(peer)) => format!(" {peer:.1} | – |"),
        (_, None) => " – | – |".to_owned(),
    });
    let ours = ours.map_or("–".to_owned(), |ours| format!("{ours:.1}"));
    format!("| {} | {ours} |{}", line.what, cells.concat())
}

fn median(mut rounds: Vec<f64>) -> Option<f64> {
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied()
}

/// What it runs on, as far as it can be told.
fn machine() -> String {
    let first = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim_matches([' ', '\t', ':']).to_owned())
    };
    let cores = available_parallelism().map_or("?".to_owned(), |cores| cores.to_string());
    let model = first("/proc/cpuinfo", "model name").unwrap_or_default();
    // The average over the last minute comes first.
    let load = first("/proc/loadavg", "").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} cores, {model}; load before the run: {load}")
}
