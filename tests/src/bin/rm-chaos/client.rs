//! A client process: it takes turns with a few locks, uses what they guard, and records what it saw.
//!
//! Some of its tasks are *busy*: they draw a volume (a few are wanted much more than others), read or write it, and
//! hold it for a moment. The others are *keepers*: they hold an archive for about a lease, so that faults find
//! locks that are held. A *careful* holder looks at its guard all the time; a *careless* one looks once and then
//! works on, as programs do, so that after a pause it comes to the register with an old token.
//!
//! Everything that is drawn follows from the seed; when locks are granted does not.
//!
//! **Ends.** It stops when its standard input is closed, after the turns that go on, and says goodbye to the server. It may be
//! paused and killed at any time.

use std::io::{self, Read as _};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rm_core::front::Resource;
use rm_net::Client;
use rm_rwlock::{AcquireError, Guard, LockMode, Mode as GuardMode, RwLockType};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::record::{Event, Mode, Recorder, now, variant};
use crate::register::{Answer, Register};

/// Locks that are wanted all the time. The first is wanted most: each next one half, a third, a quarter as much.
const VOLUMES: usize = 6;
/// Locks that are held for long. All are wanted alike, and there are enough that not many wait for each other.
const ARCHIVES: usize = 16;
/// All locks.
pub(crate) const LOCKS: usize = VOLUMES + ARCHIVES;
/// The tasks of one process.
const TASKS: [Habit; 5] = [
    Habit::Busy,
    Habit::Busy,
    Habit::Keeper,
    Habit::Keeper,
    Habit::Keeper,
];
/// In so many parts of 100 turns:
const BUSY_WRITES: u32 = 35;
const KEEPER_WRITES: u32 = 60;
const CARELESS_HOLDERS: u32 = 50;
const IMPATIENT_REQUESTS: u32 = 10;
/// How long a volume is held, in milliseconds.
const BUSY_HOLD_MS: std::ops::Range<u64> = 0..30;
/// How long an archive is held, in parts of a hundred of a lease.
const KEEPER_HOLD_PERCENT: std::ops::Range<u32> = 40..120;
/// How long a task rests between two turns.
const REST_MS: std::ops::Range<u64> = 10..80;
/// Between two looks of a careful holder.
const LOOK: Duration = Duration::from_millis(10);
/// How long a patient request waits, in leases: longer than anybody may have to wait once all faults are over.
const PATIENCE_LEASES: u32 = 7;

/// What a client process is told.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ClientArgs {
    /// The name under which servers know it
    #[arg(long)]
    name: String,
    /// Which process of that name it is, from 1
    #[arg(long)]
    run: u32,
    /// A server's address; may be given several times
    #[arg(long = "endpoint", required = true)]
    endpoints: Vec<String>,
    /// Where records and registers are
    #[arg(long)]
    dir: PathBuf,
    /// The servers' lease in milliseconds
    #[arg(long)]
    lease_ms: u64,
    #[arg(long)]
    seed: u64,
    /// In so many of 100 turns it looks at its guard once, and no more
    #[arg(long, default_value_t = CARELESS_HOLDERS)]
    careless: u32,
    /// Go on after a loss as if nothing had happened
    #[arg(long, hide = true)]
    ignore_loss: bool,
}

/// The name of a lock, from 0.
pub(crate) fn lock_name(index: usize) -> String {
    match index.checked_sub(VOLUMES) {
        None => format!("volume-{}", index + 1),
        Some(archive) => format!("archive-{}", archive + 1),
    }
}

/// What the record of a process is called, after the process.
pub(crate) const RECORD: &str = "record";

fn record_path(args: &ClientArgs) -> PathBuf {
    let name = process_name(&args.name, args.run);
    args.dir.join(format!("{name}.{RECORD}"))
}

/// What all tasks of the process share.
#[derive(Debug)]
struct Shared {
    args: ClientArgs,
    recorder: Recorder,
    client: Client,
    /// Turns so far.
    turns: AtomicU64,
}

/// One task.
struct Worker {
    shared: Arc<Shared>,
    habit: Habit,
    random: fastrand::Rng,
    stopped: watch::Receiver<bool>,
}

/// What a task is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Busy,
    Keeper,
}

/// What a turn is to be.
#[derive(Clone, Copy, Debug)]
struct Turn {
    op: u64,
    lock: usize,
    mode: Mode,
    patience: Duration,
    hold: Duration,
    care: Care,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Care {
    Careful,
    Careless,
}

/// Runs a client process to its end.
pub(crate) async fn run(args: ClientArgs) -> Result<(), String> {
    let path = record_path(&args);
    let recorder = Recorder::create(&path);
    let recorder = recorder.map_err(|error| format!("cannot record in {path:?}: {error}"))?;
    let stopped = stdin_closed();
    let Some(client) = connect(&args, &stopped).await else {
        return Ok(());
    };
    let seed = args.seed ^ (u64::from(args.run) << 32);
    let shared = Arc::new(Shared {
        args,
        recorder,
        client,
        turns: AtomicU64::new(1),
    });
    let mut tasks = JoinSet::new();
    for (task, habit) in (0..).zip(TASKS) {
        let worker = Worker {
            shared: Arc::clone(&shared),
            habit,
            random: fastrand::Rng::with_seed(seed.wrapping_mul(31).wrapping_add(task)),
            stopped: stopped.clone(),
        };
        tasks.spawn(worker.work());
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|panic| format!("a task failed: {panic}"))?;
    }
    shared.client.close().await;
    Ok(())
}

/// Becomes true when nobody holds the other end of the standard input any more.
fn stdin_closed() -> watch::Receiver<bool> {
    let (tx, rx) = watch::channel(false);
    std::thread::spawn(move || {
        // Nothing is ever sent; an error is as good as the end.
        drop(io::stdin().read(&mut [0; 1]));
        tx.send_replace(true);
    });
    rx
}

async fn told_to_stop(mut stopped: watch::Receiver<bool>) {
    // Where the other side is gone, so is what it waits for.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Tries until a server answers; `None`: told to stop before that.
async fn connect(args: &ClientArgs, stopped: &watch::Receiver<bool>) -> Option<Client> {
    loop {
        // Its network is its own: other machines are namespaces of this one.
        let mut builder = Client::builder().name(&args.name).insecure();
        for endpoint in &args.endpoints {
            builder = builder.endpoint(endpoint);
        }
        tokio::select! {
            client = builder.connect() => match client {
                Ok(client) => return Some(client),
                Err(error) => eprintln!("not connected yet: {error}"),
            },
            () = told_to_stop(stopped.clone()) => return None,
        }
    }
}

impl Worker {
    async fn work(mut self) {
        while !*self.stopped.borrow() {
            let turn = self.draw();
            self.take(turn).await;
            let rest = Duration::from_millis(self.random.u64(REST_MS));
            sleep(rest).await;
        }
    }

    /// What the next turn is to be.
    fn draw(&mut self) -> Turn {
        let lease = Duration::from_millis(self.shared.args.lease_ms);
        let writes = match self.habit {
            Habit::Busy => BUSY_WRITES,
            Habit::Keeper => KEEPER_WRITES,
        };
        let mode = if self.is_one_of(writes) {
            Mode::Write
        } else {
            Mode::Read
        };
        let patience = if self.is_one_of(IMPATIENT_REQUESTS) {
            lease / 4
        } else {
            lease * PATIENCE_LEASES
        };
        let care = if self.is_one_of(self.shared.args.careless) {
            Care::Careless
        } else {
            Care::Careful
        };
        let hold = match self.habit {
            Habit::Busy => Duration::from_millis(self.random.u64(BUSY_HOLD_MS)),
            Habit::Keeper => lease * self.random.u32(KEEPER_HOLD_PERCENT) / 100,
        };
        Turn {
            // Only told apart, so nothing has to be seen with it.
            op: self.shared.turns.fetch_add(1, Ordering::Relaxed),
            lock: self.draw_lock(),
            mode,
            patience,
            hold,
            care,
        }
    }

    /// True so many times in 100.
    fn is_one_of(&mut self, parts: u32) -> bool {
        self.random.u32(0..100) < parts
    }

    fn draw_lock(&mut self) -> usize {
        if self.habit == Habit::Keeper {
            return VOLUMES + self.random.usize(0..ARCHIVES);
        }
        let weight = |index: usize| 60 / (index + 1);
        let mut point = self.random.usize(0..(0..VOLUMES).map(weight).sum());
        let mut index = 0;
        while point >= weight(index) {
            point -= weight(index);
            index += 1;
        }
        index
    }

    async fn take(&mut self, turn: Turn) {
        let name = lock_name(turn.lock);
        let lock = self.shared.client.rw_lock(&name);
        let asked = Event::Asked {
            lock: name,
            mode: turn.mode,
        };
        self.record(now(), turn, asked);
        let stop = told_to_stop(self.stopped.clone());
        match turn.mode {
            Mode::Read => tokio::select! {
                answer = lock.read().timeout(turn.patience) => self.use_guard(turn, answer).await,
                () = stop => self.give_up(turn),
            },
            Mode::Write => tokio::select! {
                answer = lock.write().timeout(turn.patience) => self.use_guard(turn, answer).await,
                () = stop => self.give_up(turn),
            },
        }
    }

    fn give_up(&self, turn: Turn) {
        let cause = "Stopped".to_owned();
        self.record(now(), turn, Event::Failed { cause });
    }

    /// A turn from the answer to its end.
    async fn use_guard<M, R>(&self, turn: Turn, answer: Result<Guard<M, R>, AcquireError>)
    where
        M: GuardMode,
        R: Deref<Target = Resource<RwLockType>>,
    {
        let guard = match answer {
            Ok(guard) => guard,
            Err(error) => {
                let cause = variant(&error);
                return self.record(now(), turn, Event::Failed { cause });
            }
        };
        let token = guard.fence();
        self.record(now(), turn, Event::Granted { token });
        if !self.look(turn, &guard) {
            return self.lost(turn, &guard).await;
        }
        let count = self.enter(turn, &guard).await;
        if !self.dwell(turn, &guard).await {
            return self.lost(turn, &guard).await;
        }
        if let Some(count) = count {
            self.leave(turn, &guard, count).await;
        }
        if self.shared.args.ignore_loss && !self.look(turn, &guard) {
            unreachable!("who ignores a loss never sees one");
        }
        self.give_back(turn, guard).await;
    }

    /// Whether the guard is still good, and records that it is.
    fn look<M, R>(&self, turn: Turn, guard: &Guard<M, R>) -> bool
    where
        M: GuardMode,
        R: Deref<Target = Resource<RwLockType>>,
    {
        // Before the look: a guard that is valid then was valid at that time.
        let at = now();
        let left = guard.valid_for().unwrap_or(Duration::ZERO);
        if !self.shared.args.ignore_loss && (left.is_zero() || !guard.is_valid()) {
            return false;
        }
        let left = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
        self.record(at, turn, Event::Valid { left });
        true
    }

    async fn lost<M, R>(&self, turn: Turn, guard: &Guard<M, R>)
    where
        M: GuardMode,
        R: Deref<Target = Resource<RwLockType>>,
    {
        let cause = variant(&guard.lost().await);
        self.record(now(), turn, Event::Lost { cause });
    }

    /// The first use of the register; `None` if it refused.
    async fn enter<M, R>(&self, turn: Turn, guard: &Guard<M, R>) -> Option<u64>
    where
        M: GuardMode,
        R: Deref<Target = Resource<RwLockType>>,
    {
        let token = guard.fence();
        match turn.mode {
            Mode::Read => self.read(turn, token).await,
            Mode::Write => {
                let open = move |register: Register, writer: String| register.open(token, &writer);
                let event = |count| Event::Opened { count };
                self.step(turn, open, event).await
            }
        }
    }

    /// The last use of the register. A reader reads it again, and the judge compares.
    async fn leave<M, R>(&self, turn: Turn, guard: &Guard<M, R>, count: u64)
    where
        M: GuardMode,
        R: Deref<Target = Resource<RwLockType>>,
    {
        let token = guard.fence();
        match M::MODE {
            LockMode::Write => {
                let write = move |register: Register, writer: String| {
                    register.write(token, &writer, count + 1)
                };
                let event = |count| Event::Wrote { count };
                self.step(turn, write, event).await;
            }
            LockMode::Read | LockMode::Upgradable => {
                self.read(turn, token).await;
            }
        }
    }

    async fn read(&self, turn: Turn, token: u64) -> Option<u64> {
        let read = move |register: Register, _| register.read(token);
        self.step(turn, read, |count| Event::Read { count }).await
    }

    /// One use of the register. It waits for other processes, which may be paused, so it does not hold up the runtime.
    async fn step(
        &self,
        turn: Turn,
        work: impl FnOnce(Register, String) -> io::Result<Answer> + Send + 'static,
        event: impl FnOnce(u64) -> Event,
    ) -> Option<u64> {
        let args = &self.shared.args;
        let register = Register::of(&args.dir, &lock_name(turn.lock));
        let writer = writer_of(&process_name(&args.name, args.run), turn.op);
        let done = tokio::task::spawn_blocking(move || work(register, writer)).await;
        let answer = done
            .expect("no step panics")
            .expect("the register is there");
        // After the step: whoever is valid at this time was valid when the register answered.
        let at = now();
        match answer {
            Answer::Count(count) => {
                self.record(at, turn, event(count));
                Some(count)
            }
            Answer::Refused { mark } => {
                self.record(at, turn, Event::Refused { mark });
                None
            }
        }
    }

    /// Holds the lock for a while. Whether it is still good, as far as it cares.
    async fn dwell<M, R>(&self, turn: Turn, guard: &Guard<M, R>) -> bool
    where
        M: GuardMode,
        R: Deref<Target = Resource<RwLockType>>,
    {
        if turn.care == Care::Careless {
            sleep(turn.hold).await;
            return true;
        }
        let until = now().saturating_add(u64::try_from(turn.hold.as_nanos()).unwrap_or(0));
        while now() < until {
            sleep(LOOK).await;
            if !self.look(turn, guard) {
                return false;
            }
        }
        true
    }

    async fn give_back<M, R>(&self, turn: Turn, guard: Guard<M, R>)
    where
        M: GuardMode,
        R: Deref<Target = Resource<RwLockType>>,
    {
        let at = now();
        match guard.release().await {
            Err(why) if !self.shared.args.ignore_loss => {
                let cause = variant(&why);
                self.record(now(), turn, Event::Lost { cause });
            }
            Ok(()) | Err(_) => self.record(at, turn, Event::Released),
        }
    }

    fn record(&self, at: u64, turn: Turn, event: Event) {
        self.shared.recorder.write(at, turn.op, event);
    }
}

/// What a process is called in records and registers.
fn process_name(name: &str, run: u32) -> String {
    format!("{name}.{run}")
}

/// Who a writer is, in a register.
pub(crate) fn writer_of(process: &str, op: u64) -> String {
    format!("{process}/{op}")
}
