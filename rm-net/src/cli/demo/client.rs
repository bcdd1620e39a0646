//! A client process of the demonstration: tasks that work on shared files under locks.
//!
//! The files are small, so they are read and written in place, on the runtime's threads. The pauses synchronise nothing:
//! they only keep the windows open that the locks must close.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rm_rwlock::{AcquireError, RwLock};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::tally::{ClientLine, Counts, Tally, Wrong};
use super::{ledger, volumes};
use crate::Client;
use crate::cli::args::DemoClientArgs;
use crate::cli::connect::connect_as;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{output, stdin};

/// How many tasks of each kind a client runs.
const AUDITORS: usize = 3;
const CREATORS: usize = 3;
/// How often a private lock is taken between two rests.
const PRIVATE_BURST: u32 = 100;
/// How often a client tells what it has counted.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// What all tasks of a client share.
#[derive(Clone, Debug)]
struct Worker {
    client: Client,
    dir: PathBuf,
    index: u32,
    tally: Arc<Tally>,
    until: Instant,
    with_locks: bool,
}

pub(crate) async fn run(args: &DemoClientArgs) -> Result<Exit, Failure> {
    let mut closed = stdin::closed();
    let name = format!("demo-client-{}", args.index);
    let client = connect_as(std::slice::from_ref(&args.endpoint), name).await?;
    let worker = Worker {
        client,
        dir: args.dir.clone(),
        index: args.index,
        tally: Arc::default(),
        until: Instant::now() + args.seconds,
        with_locks: !args.sabotage,
    };
    let mut tasks = worker.start();
    let mut reports = interval(REPORT_EVERY);
    reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            done = tasks.join_next() => match done {
                Some(Ok(())) => {}
                Some(Err(panic)) => return Err(Failure::new(Exit::SYSTEM, panic)),
                None => break,
            },
            _ = reports.tick() => worker.report(false)?,
            // Whoever started this process is gone.
            _ = &mut closed => return Ok(Exit::OK),
        }
    }
    worker.client.close().await;
    worker.report(true)?;
    Ok(Exit::OK)
}

/// A moment in which others get to run: between two steps of a piece of work, and between two pieces.
pub(super) async fn pause() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

impl Worker {
    fn start(&self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().move_money());
        tasks.spawn(self.clone().delete_volumes());
        tasks.spawn(self.clone().use_private_lock());
        for _ in 0..AUDITORS {
            tasks.spawn(self.clone().audit());
        }
        for task in 0..CREATORS {
            tasks.spawn(self.clone().create_snapshots(task));
        }
        tasks
    }

    fn report(&self, is_finished: bool) -> Result<(), Failure> {
        let totals = self.client.totals();
        let counts = Counts {
            remote_acquires: totals.asked_acquires,
            cached_acquires: totals.cached_acquires,
            ..self.tally.counts()
        };
        output::line(&output::json(&ClientLine {
            counts,
            is_finished,
        }))
    }

    /// Everything random in a task follows from its number.
    fn random(&self, task: usize) -> fastrand::Rng {
        fastrand::Rng::with_seed(u64::from(self.index) << 32 | task as u64)
    }

    fn is_time_left(&self) -> bool {
        Instant::now() < self.until
    }

    async fn move_money(self) {
        let lock = self.client.rw_lock(ledger::LOCK);
        let mut random = self.random(100);
        while self.is_time_left() {
            let done = async {
                let work = async |fence| ledger::transfer(&self.dir, fence, &mut random).await;
                self.write(&lock, "move money", work).await
            };
            self.tally.count(done.await, |counts| {
                counts.writes += 1;
                counts.transfers += 1;
            });
            rest(3).await;
        }
    }

    async fn audit(self) {
        let lock = self.client.rw_lock(ledger::LOCK);
        while self.is_time_left() {
            let work = async |fence| ledger::audit(&self.dir, fence);
            let done = self.read(&lock, "audit", work).await;
            self.tally.count(done, |counts| counts.reads += 1);
            rest(1).await;
        }
    }

    async fn create_snapshots(self, task: usize) {
        let mut random = self.random(task);
        let snapshot = format!("snapshot-{}-{task}", self.index);
        while self.is_time_left() {
            let volume = random.usize(..volumes::VOLUMES);
            let lock = self.client.rw_lock(volumes::lock_name(volume));
            let work =
                async |fence| volumes::create_snapshot(&self.dir, volume, &snapshot, fence).await;
            let done = self.read(&lock, "create snapshot", work).await;
            self.tally.count(done, |counts| counts.reads += 1);
            rest(1).await;
        }
    }

    async fn delete_volumes(self) {
        let mut random = self.random(200);
        while self.is_time_left() {
            let volume = random.usize(..volumes::VOLUMES);
            let lock = self.client.rw_lock(volumes::lock_name(volume));
            let work = async |fence| volumes::delete(&self.dir, volume, fence).await;
            let done = self.write(&lock, "delete volume", work).await;
            self.tally.count(done, |counts| counts.writes += 1);
            rest(20).await;
        }
    }

    /// A lock that nobody else wants: after the first time it is cached.
    async fn use_private_lock(self) {
        let lock = self.client.rw_lock(format!("demo/private/{}", self.index));
        while self.is_time_left() {
            for _ in 0..PRIVATE_BURST {
                if let Err(error) = lock.write().await {
                    self.tally.count(Err(not_had(&error)), |_| {});
                }
            }
            rest(1).await;
        }
    }

    /// Does `work` under a read lock. The guard must still be good afterwards.
    async fn read(
        &self,
        lock: &RwLock,
        label: &str,
        work: impl AsyncFnOnce(Option<u64>) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        if !self.with_locks {
            return work(None).await;
        }
        let guard = lock
            .read()
            .label(label)
            .await
            .map_err(|error| not_had(&error))?;
        work(Some(guard.fence())).await?;
        still_valid(guard.is_valid(), label)
    }

    /// The same under a write lock, and counts the wait for it.
    async fn write(
        &self,
        lock: &RwLock,
        label: &str,
        work: impl AsyncFnOnce(Option<u64>) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        if !self.with_locks {
            return work(None).await;
        }
        let asked = Instant::now();
        let guard = lock
            .write()
            .label(label)
            .await
            .map_err(|error| not_had(&error))?;
        self.tally.on_writer_wait(asked.elapsed());
        work(Some(guard.fence())).await?;
        still_valid(guard.is_valid(), label)
    }
}

async fn rest(pauses: u32) {
    for _ in 0..pauses {
        pause().await;
    }
}

fn not_had(error: &AcquireError) -> Wrong {
    Wrong::Failure(format!("a lock was not had: {error}"))
}

fn still_valid(is_valid: bool, label: &str) -> Result<(), Wrong> {
    if is_valid {
        Ok(())
    } else {
        Err(Wrong::Failure(format!(
            "the lock was lost during '{label}'"
        )))
    }
}
