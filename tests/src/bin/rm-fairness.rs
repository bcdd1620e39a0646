//! How long one waits among others who do not stop: ours beside the two locks on a file that every system has.
//!
//! ```text
//! cargo xtask bench fairness                                     all of them
//! cargo run --release -p rm-tests --bin rm-fairness -- readers   those whose name contains "readers"
//! ```
//!
//! Each line is one scenario and one lock. Floods are processes: this program, started again. The one in between is a process
//! too; it takes [`TURNS`] turns, or as many as it gets in [`TIME`], and says how long each wait was. A wait that had not
//! ended by then counts with what it had lasted. Draws are made from fixed seeds; the scheduler's are not.
//!
//! Holds and pauses of a flood are drawn around 50 ms, from 25 to 75: with fixed ones all readers fall into step behind the
//! first writer, and then there is no flood.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rm_core::testing::random::Random;
use rm_net::{Client, Node};
use rm_rwlock::RwLock;
use rustix::fs::{FlockOperation, fcntl_lock, flock};
use tokio::runtime::Runtime;

const TURNS: usize = 100;
const TIME: Duration = Duration::from_secs(30);
const HOLD: Duration = Duration::from_millis(50);

/// Who floods the lock, and who asks in between.
struct Scenario {
    what: &'static str,
    flood: (u64, Mode, Pace),
    between: Mode,
}

const SCENARIOS: [Scenario; 3] = [
    Scenario {
        what: "writer, 8 readers, half of the time each",
        flood: (8, Mode::Read, Pace::HalfOfTheTime),
        between: Mode::Write,
    },
    Scenario {
        what: "writer, 1 reader without a gap",
        flood: (1, Mode::Read, Pace::WithoutAGap),
        between: Mode::Write,
    },
    Scenario {
        what: "reader, 4 writers without a gap",
        flood: (4, Mode::Write, Pace::WithoutAGap),
        between: Mode::Read,
    },
];

const KINDS: [Kind; 3] = [Kind::Ours, Kind::Flock, Kind::Fcntl];

/// The words of the command line, for each of what a process is told.
trait Word: Copy + Sized + 'static {
    const ALL: &[(&str, Self)];

    fn of(word: &str) -> Self {
        let known = Self::ALL.iter().find(|(name, _)| *name == word);
        known.unwrap_or_else(|| panic!("unknown word {word}")).1
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fcntl,
    Flock,
    Ours,
}

impl Word for Kind {
    const ALL: &[(&str, Self)] = &[
        ("fcntl", Self::Fcntl),
        ("flock", Self::Flock),
        ("ours", Self::Ours),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Read,
    Write,
}

impl Word for Mode {
    const ALL: &[(&str, Self)] = &[("read", Self::Read), ("write", Self::Write)];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// The one in between: a short hold, and a pause.
    Between,
    HalfOfTheTime,
    WithoutAGap,
}

impl Word for Pace {
    const ALL: &[(&str, Self)] = &[
        ("between", Self::Between),
        ("half", Self::HalfOfTheTime),
        ("no-gap", Self::WithoutAGap),
    ];
}

impl Pace {
    /// How long to hold, and to pause after that.
    fn draw(self, random: &mut Random) -> (Duration, Duration) {
        let mut about = |mean: Duration| {
            let most = mean.as_micros() as u64;
            mean / 2 + Duration::from_micros(random.below(most))
        };
        match self {
            Self::Between => (Duration::from_millis(1), about(HOLD)),
            Self::HalfOfTheTime => (about(HOLD), about(HOLD)),
            Self::WithoutAGap => (about(HOLD), Duration::ZERO),
        }
    }
}

/// A lock, as one process has it.
enum Lock {
    File(File, Kind),
    Ours(Runtime, RwLock),
}

impl Lock {
    /// `place` is the endpoint of a server, or the path of a file.
    fn open(kind: Kind, place: &str) -> Self {
        if kind != Kind::Ours {
            let file = File::options().read(true).write(true).open(place);
            return Self::File(file.expect("the file is there"), kind);
        }
        let runtime = runtime();
        let client = runtime.block_on(Client::connect(place)).expect("connected");
        Self::Ours(runtime, client.rw_lock("bench"))
    }

    /// Waits for the lock, keeps it for `hold`, and returns how long it waited.
    fn take(&self, mode: Mode, hold: Duration) -> Duration {
        let asked = Instant::now();
        let hold = || {
            let waited = asked.elapsed();
            thread::sleep(hold);
            waited
        };
        match (self, mode) {
            (Self::File(file, kind), _) => {
                set(file, *kind, Some(mode));
                let waited = hold();
                set(file, *kind, None);
                waited
            }
            (Self::Ours(runtime, lock), Mode::Read) => {
                let _guard = runtime.block_on(async { lock.read().await.expect("granted") });
                hold()
            }
            (Self::Ours(runtime, lock), Mode::Write) => {
                let _guard = runtime.block_on(async { lock.write().await.expect("granted") });
                hold()
            }
        }
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build();
    runtime.expect("a runtime")
}

/// Locks a file, or lets go of it.
fn set(file: &File, kind: Kind, mode: Option<Mode>) {
    let operation = match mode {
        Some(Mode::Read) => FlockOperation::LockShared,
        Some(Mode::Write) => FlockOperation::LockExclusive,
        None => FlockOperation::Unlock,
    };
    match kind {
        Kind::Fcntl => fcntl_lock(file, operation).expect("locked"),
        Kind::Flock => flock(file, operation).expect("locked"),
        Kind::Ours => unreachable!("it is no file"),
    }
}

/// One process: takes turns without end, and says in microseconds how long it waited for each, if it is the one in between.
fn play(args: &[String]) {
    let [kind, mode, pace, seed, place] = args else {
        panic!("a process is told a kind, a mode, a pace, a seed and a place");
    };
    let (mode, pace) = (Mode::of(mode), Pace::of(pace));
    let lock = Lock::open(Kind::of(kind), place);
    let mut random = Random::new(seed.parse().expect("a number"));
    println!("{ASKS}");
    loop {
        let (hold, pause) = pace.draw(&mut random);
        let waited = lock.take(mode, hold);
        // Of a flood all the same: a line for each turn is soon read.
        println!("{}", waited.as_micros());
        thread::sleep(pause);
        println!("{ASKS}");
    }
}

/// What a process says before it asks.
const ASKS: &str = "asks";

/// A process, killed with its owner.
struct Process {
    child: Child,
    /// The waits that have ended.
    waits: mpsc::Receiver<Duration>,
    /// When it asked for what it waits for, if it waits.
    asked: Arc<Mutex<Option<Instant>>>,
}

impl Process {
    fn start(kind: Kind, mode: Mode, pace: Pace, seed: u64, place: &str) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        command.args([PART, word(kind), word(mode), word(pace)]);
        command.args([&seed.to_string(), place]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (sender, waits) = mpsc::channel();
        let asked = Arc::new(Mutex::new(None));
        let last = Arc::clone(&asked);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let asks = (line == ASKS).then(Instant::now);
                *last.lock().expect("nobody panics with it") = asks;
                if asks.is_some() {
                    continue;
                }
                let micros = line.parse().expect("a number");
                if sender.send(Duration::from_micros(micros)).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            waits,
            asked,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Before what a process is told.
const PART: &str = "__part";

fn word<W: Word + PartialEq>(value: W) -> &'static str {
    let known = W::ALL.iter().find(|(_, other)| *other == value);
    known.expect("each has a word").0
}

/// All waits of the one in between, sorted; and whether the last of them had not ended.
fn measure(scenario: &Scenario, kind: Kind, place: &str) -> (Vec<Duration>, bool) {
    let (count, mode, pace) = scenario.flood;
    let flood: Vec<_> = (0..count)
        .map(|seed| Process::start(kind, mode, pace, seed, place))
        .collect();
    for process in &flood {
        process.waits.recv_timeout(TIME).expect("it goes");
    }
    let between = Process::start(kind, scenario.between, Pace::Between, count, place);
    let started = Instant::now();
    let mut waits = Vec::new();
    let mut starves = false;
    while waits.len() < TURNS && !starves {
        let left = TIME.saturating_sub(started.elapsed());
        match between.waits.recv_timeout(left) {
            Ok(wait) => waits.push(wait),
            Err(_) => starves = true,
        }
    }
    if starves {
        let asked = *between.asked.lock().expect("nobody panics with it");
        waits.extend(asked.map(|at| at.elapsed()));
    }
    waits.sort_unstable();
    (waits, starves)
}

fn line(scenario: &Scenario, kind: Kind, place: &str) {
    let (waits, starves) = measure(scenario, kind, place);
    let at = |percent: usize| {
        let index = (waits.len() * percent).div_ceil(100).saturating_sub(1);
        format!("{:.1}", waits[index].as_secs_f64() * 1_000.0)
    };
    let note = if starves { "and no more in time" } else { "" };
    println!(
        "{:<42} {:<6} {:>5} {:>9} {:>9} {:>9} {:>9}  {note}",
        scenario.what,
        word(kind),
        waits.len(),
        at(0),
        at(50),
        at(99),
        at(100),
    );
    std::io::stdout().flush().expect("written");
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == PART) {
        play(&args[1..]);
        return;
    }
    let filter = args.first().map_or("", String::as_str);
    let is_asked = |what: &str| what.contains(filter);
    if !SCENARIOS.iter().any(|scenario| is_asked(scenario.what)) {
        return;
    }
    println!(
        "{:<42} {:<6} {:>5} {:>9} {:>9} {:>9} {:>9}",
        "waits in milliseconds", "lock", "turns", "least", "median", "99 %", "most"
    );
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = runtime();
    let server = Node::builder().listen("127.0.0.1:0").data_dir(dir.path());
    let server = runtime.block_on(server.start()).expect("started");
    let endpoint = server.local_addr().expect("it listens").to_string();
    for scenario in SCENARIOS.iter().filter(|scenario| is_asked(scenario.what)) {
        for kind in KINDS {
            let file = dir.path().join(format!("{}.lock", word(kind)));
            line(scenario, kind, place(kind, &endpoint, &file));
        }
    }
    runtime.block_on(server.stop());
}

/// Where the lock is: an empty file, made here, or a server.
fn place<'a>(kind: Kind, endpoint: &'a str, file: &'a Path) -> &'a str {
    if kind == Kind::Ours {
        return endpoint;
    }
    File::create(file).expect("created");
    file.to_str().expect("a plain path")
}
