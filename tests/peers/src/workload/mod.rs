//! What is done with locks, in the same words for every service.
//!
//! Every workload has all its clients at once in this process, each with a session of its own and one task, except where it says
//! otherwise. A figure is the time that an acquire and its release took a client, on average; nothing is done under the lock.
//! Of a client that is alone with one lock it is the median slice of the round, 0.2 ms or one operation long: most slices are
//! then not interrupted by whatever else the machine does. Elsewhere the average counts, as an operation that needs others
//! differs from one that does not, and a median would tell of one kind only.
//! After every turn a task yields if the runtime says that it is time, as it would in a program that also does other things: an
//! acquire that needs nobody else would otherwise keep its thread for itself.

mod fresh;
mod hold;
mod pace;
mod picks;
mod starve;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;

use self::pace::{Lap, Pace};
use self::picks::{Mix, Pick};
use crate::peer::{Mode, Modes, Peer};
use crate::witness::Witness;

pub(crate) use self::hold::hold;

/// Clients that any workload needs.
pub(crate) const CLIENTS: usize = 9;

/// What is done with locks. The order of the variants is the order of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Workload {
    /// One client takes the same write lock again and again
    WriteAgain,
    /// One client takes the same read lock again and again
    ReadAgain,
    /// Four clients, 1,000 locks by Zipf's law (exponent 0.99), 95 reads to 5 writes
    Zipf,
    /// Eight clients, one lock, 90 reads to 10 writes
    Hot,
    /// Two clients write the same lock, each again as soon as it gave back; per change of the holder
    PingPong,
    /// A writer's wait under eight readers who hold for 1 ms and come again at once
    Starve,
    /// One client writes locks that nobody used before, one after the other
    FirstUse,
    /// The same, 64 at a time
    FirstUseMany,
    /// One client writes locks that another one used last, one after the other
    Elsewhere,
}

/// What one round of a workload gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// Nanoseconds: of an acquire and a release on average, or the median of waits.
    pub(crate) nanos: f64,
    pub(crate) operations: u64,
    /// Each wait, where they are timed one by one.
    pub(crate) waits: Vec<Duration>,
    /// Waits that were given up as endless.
    pub(crate) starved: u64,
}

/// One round: how long, and a number that no other has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) span: Duration,
    pub(crate) number: u64,
    pub(crate) seed: u64,
}

impl Workload {
    /// Its line in the table.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::WriteAgain => "the same write lock again",
            Self::ReadAgain => "the same read lock again",
            Self::Zipf => "Zipf over 1,000 locks, 4 clients, 95/5",
            Self::Hot => "one hot lock, 8 clients, 90/10",
            Self::PingPong => "two writers in turn, each change",
            Self::Starve => "a writer's wait under 8 readers",
            Self::FirstUse => "first use, one by one",
            Self::FirstUseMany => "first use, 64 at a time",
            Self::Elsewhere => "last used by another client",
        }
    }

    /// Whether a lock that knows no readers can do it.
    pub(crate) fn suits(self, modes: Modes) -> bool {
        modes == Modes::ReadAndWrite
            || !matches!(
                self,
                Self::ReadAgain | Self::Zipf | Self::Hot | Self::Starve
            )
    }

    /// One round of it.
    ///
    /// # Errors
    /// If exclusion was violated, or the service failed.
    pub(crate) async fn run<P: Peer>(
        self,
        clients: &[Arc<P>],
        round: Round,
    ) -> Result<Sample, String> {
        let zipf = Mix {
            locks: 1_000,
            skew: 0.99,
            writes: 5,
        };
        let hot = Mix {
            locks: 1,
            skew: 0.0,
            writes: 10,
        };
        match self {
            Self::WriteAgain => again(&clients[0], "write", Mode::Write, round).await,
            Self::ReadAgain => again(&clients[0], "read", Mode::Read, round).await,
            Self::Zipf => crowd(&clients[..4], "zipf", |seed| zipf.draw(seed), round).await,
            Self::Hot => crowd(&clients[..8], "hot", |seed| hot.draw(seed), round).await,
            Self::PingPong => ping_pong(&clients[..2], round).await,
            Self::Starve => starve::run(&clients[..8], &clients[8], round).await,
            Self::FirstUse => fresh::first_use(&clients[0], 1, round).await,
            Self::FirstUseMany => fresh::first_use(&clients[0], 64, round).await,
            Self::Elsewhere => fresh::elsewhere(&clients[0], &clients[1], round).await,
        }
    }
}

/// What all tasks of a round share.
#[derive(Debug)]
struct Stage {
    witness: Witness,
    start: Barrier,
    span: Duration,
    /// The client that wrote last, and how often that changed.
    last: AtomicUsize,
    changes: AtomicU64,
}

impl Stage {
    fn new(locks: usize, tasks: usize, span: Duration) -> Self {
        Self {
            witness: Witness::new(locks),
            start: Barrier::new(tasks),
            span,
            last: AtomicUsize::new(usize::MAX),
            changes: AtomicU64::new(0),
        }
    }
}

/// One client, one lock, one mode.
async fn again<P: Peer>(
    client: &Arc<P>,
    name: &str,
    mode: Mode,
    round: Round,
) -> Result<Sample, String> {
    let stage = Arc::new(Stage::new(1, 1, round.span));
    let picks = vec![Pick { lock: 0, mode }];
    let visit = visit(Arc::clone(client), vec![client.lock(name)], picks, stage);
    let lap = tokio::spawn(visit)
        .await
        .map_err(|error| error.to_string())??;
    Ok(Sample {
        nanos: median(lap.slices),
        operations: lap.turns,
        ..Sample::default()
    })
}

/// Clients that take what they drew, for as long as the round lasts.
async fn crowd<P: Peer>(
    clients: &[Arc<P>],
    kind: &str,
    draw: impl Fn(u64) -> Vec<Pick>,
    round: Round,
) -> Result<Sample, String> {
    let picks = |client: usize| draw(round.seed.wrapping_add(client as u64));
    let picks: Vec<_> = (0..clients.len()).map(picks).collect();
    let drawn = picks.iter().flatten();
    let locks = drawn.map(|pick| pick.lock).max().map_or(0, |last| last + 1);
    let stage = Arc::new(Stage::new(locks, clients.len(), round.span));
    let mut tasks = JoinSet::new();
    for (client, picks) in clients.iter().zip(picks) {
        let names = (0..locks).map(|lock| client.lock(&format!("{kind}-{lock}")));
        let names = names.collect();
        tasks.spawn(visit(Arc::clone(client), names, picks, Arc::clone(&stage)));
    }
    average(tasks).await
}

async fn visit<P: Peer>(
    client: Arc<P>,
    locks: Vec<P::Lock>,
    picks: Vec<Pick>,
    stage: Arc<Stage>,
) -> Result<Lap, String> {
    stage.start.wait().await;
    let mut pace = Pace::new(stage.span);
    for &Pick { lock, mode } in picks.iter().cycle() {
        let guard = client.acquire(&locks[lock], mode).await?;
        stage.witness.enter(lock, mode)?;
        stage.witness.leave(lock, mode);
        client.release(guard).await?;
        if let Some(lap) = pace.turned() {
            return Ok(lap);
        }
        consume_budget().await;
    }
    Err("a client had nothing to take".into())
}

/// Two writers; what counts is how often the lock went from one to the other.
async fn ping_pong<P: Peer>(clients: &[Arc<P>], round: Round) -> Result<Sample, String> {
    let stage = Arc::new(Stage::new(1, clients.len(), round.span));
    let mut tasks = JoinSet::new();
    for (number, client) in clients.iter().enumerate() {
        let (client, stage) = (Arc::clone(client), Arc::clone(&stage));
        tasks.spawn(async move {
            let lock = client.lock("ping-pong");
            stage.start.wait().await;
            let mut pace = Pace::new(stage.span);
            loop {
                let guard = client.acquire(&lock, Mode::Write).await?;
                stage.witness.enter(0, Mode::Write)?;
                // The lock orders it, and the counts are read when all have ended.
                if stage.last.swap(number, Ordering::Relaxed) != number {
                    stage.changes.fetch_add(1, Ordering::Relaxed);
                }
                stage.witness.leave(0, Mode::Write);
                client.release(guard).await?;
                if let Some(lap) = pace.turned() {
                    return Ok(lap);
                }
                consume_budget().await;
            }
        });
    }
    let sample = average(tasks).await?;
    let changes = stage.changes.load(Ordering::Relaxed);
    // All of them lasted as long as the round.
    let nanos = round.span.as_nanos() as f64 / changes.max(1) as f64;
    Ok(Sample { nanos, ..sample })
}

/// What an operation took a client on average.
async fn average(mut tasks: JoinSet<Result<Lap, String>>) -> Result<Sample, String> {
    let mut all = Lap::default();
    while let Some(ended) = tasks.join_next().await {
        let lap = ended.map_err(|error| error.to_string())??;
        all.turns += lap.turns;
        all.took += lap.took;
    }
    Ok(Sample {
        nanos: all.took.as_nanos() as f64 / all.turns.max(1) as f64,
        operations: all.turns,
        ..Sample::default()
    })
}

/// Of an even number, the smaller of the two in the middle; of none, no number.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or(f64::NAN)
}
