//! `rmctl demo`: a server and client processes on this machine, real work under locks, and a verdict.
//!
//! ```text
//! this process   starts the others from its own executable, counts, and judges
//!  server        a server on a port the system picks, its data in a temporary directory
//!  client ..     each runs tasks over shared files, under locks of the server
//!    ledger      accounts in one file: money moves in steps, the total must stay
//!    volumes     snapshots of volumes under read locks, deletion under the write lock
//!    private     a lock nobody else wants: it is cached, and costs no message
//! ```
//!
//! **What is checked.** The work is such that only exclusion keeps the files consistent: it reads and writes in several
//! steps and pauses in between. Every reader checks what it read, every writer that the fencing token in the file
//! is older than its own, and at the end no update may be lost, and all credit must be back at
//! the server. `--sabotage` skips the locks, and shows that the checks bite.
//!
//! **Ends.** The processes are tied by their standard input: when this one ends, however it ends, the others do too.
//! The temporary directory goes when this one ends in order, a signal included.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::args::DemoArgs;
use super::connect::connect_as;
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::pages::Pages;
use super::signals::{ENDING, Signals};
use crate::Client;

pub(crate) mod client;
mod ledger;
mod process;
pub(crate) mod server;
mod tally;
pub(super) mod verdict;
mod volumes;

use self::process::{Clients, Server};
use self::tally::Counts;
use self::verdict::Verdict;

/// How long a part of the demonstration may take beyond its time before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the books are looked at in the end, until they balance.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What the server process prints first.
#[derive(Debug, Deserialize, Serialize)]
struct ServerReady {
    address: String,
}

pub(crate) async fn run(args: &DemoArgs, output: Output) -> Result<Exit, Failure> {
    let signals = Signals::listen(&ENDING);
    let mut signals =
        signals.map_err(|error| Failure::system("cannot listen for signals", &error))?;
    let dir = tempfile::Builder::new().prefix("rmctl-demo-").tempdir();
    let dir = dir.map_err(|error| {
        Failure::system("cannot make a temporary directory", &error)
            .hint("TMPDIR names the directory for it: is it writable, and not full?")
    })?;
    let verdict = tokio::select! {
        verdict = perform(args, dir.path(), output) => verdict.map(Ok),
        signal = signals.next() => Ok(Err(Exit::signalled(signal.as_raw()))),
    };
    remove(dir).await;
    match verdict? {
        Ok(verdict) => {
            output.print(&verdict, || verdict.in_words())?;
            Ok(if verdict.is_ok() {
                Exit::OK
            } else {
                Exit::VIOLATED
            })
        }
        Err(exit) => Ok(exit),
    }
}

/// Removes the directory. Processes that were just killed may write to it for a moment yet.
async fn remove(dir: TempDir) {
    let path = dir.keep();
    let start = Instant::now();
    while path.exists() && start.elapsed() < PATIENCE {
        if fs::remove_dir_all(&path).is_err() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// The demonstration from its first process to its verdict.
async fn perform(args: &DemoArgs, dir: &Path, output: Output) -> Result<Verdict, Failure> {
    let files = dir.join("files");
    let prepared = fs::create_dir(&files)
        .and_then(|()| ledger::found(&files))
        .and_then(|()| volumes::found(&files));
    prepared.map_err(|error| Failure::system("cannot write to the temporary directory", &error))?;

    let mut server = Server::start(&dir.join("server")).await?;
    let judge = connect_as(std::slice::from_ref(&server.address), "demo-judge".into()).await?;
    let mut clients = Clients::start(args, &server.address, &files)?;
    explain(args, &server.address, output);
    follow(&mut clients, args, output).await?;

    let counts = clients.counts();
    let books = settle(&judge).await?;
    judge.close().await;
    server.stop().await?;
    let mut verdict = Verdict::new(&counts, &books);
    verdict.judge_ledger(&ledger::read(&files), counts.transfers);
    Ok(verdict)
}

fn explain(args: &DemoArgs, address: &str, output: Output) {
    let text = format!(
        "a server at {address} and {} client processes; work for {}{}",
        args.clients,
        output::span(args.seconds),
        if args.sabotage {
            ", WITHOUT the locks"
        } else {
            ""
        },
    );
    output.notice("demo", &text);
}

/// Shows the counters, a line a second, until every client has finished.
async fn follow(clients: &mut Clients, args: &DemoArgs, output: Output) -> Result<(), Failure> {
    let start = Instant::now();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut before = Counts::default();
    let work = async {
        loop {
            tokio::select! {
                is_over = clients.next() => if is_over? {
                    return Ok(());
                },
                _ = ticks.tick() => {
                    let now = clients.counts();
                    output.notice("demo", &tally::live(start.elapsed(), &before, &now));
                    before = now;
                }
            }
        }
    };
    let stuck = || {
        let error = format_args!("the clients did not finish within {PATIENCE:?} after their time");
        Failure::new(Exit::SYSTEM, error)
    };
    let limit = args.seconds.saturating_add(PATIENCE);
    timeout(limit, work).await.unwrap_or_else(|_| Err(stuck()))
}

/// What the server's books say at the end, when everybody said goodbye.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Books {
    loans: u64,
    holds: u64,
    waiting: u64,
}

impl Books {
    fn is_balanced(&self) -> bool {
        *self == Self::default()
    }
}

/// Looks at the books until they balance, or for too long.
async fn settle(judge: &Client) -> Result<Books, Failure> {
    let start = Instant::now();
    loop {
        let mut books = Books::default();
        let mut pages = Pages::new(Vec::new());
        let mut judge = judge;
        while let Some(page) = pages.next(&mut judge).await? {
            for summary in page {
                books.loans += u64::from(summary.debtors);
                books.holds += u64::from(summary.holds);
                books.waiting += u64::from(summary.waiting);
            }
        }
        if books.is_balanced() || start.elapsed() > PATIENCE {
            return Ok(books);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
