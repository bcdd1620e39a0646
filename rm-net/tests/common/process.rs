//! Processes that can be paused and killed: this test's own executable, started again with a part to play.
//!
//! It says what happens in lines of a word and a value. [`run`] is what it runs, from a test called `process`.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::process::Stdio;
use std::str::FromStr;
use std::time::{Duration, Instant};

use rm_core::time::Time;
use rm_net::{Client, Node};
use rm_rwlock::RwLock;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{now, within};

const PART: &str = "RM_TEST_PART";
const ENDPOINT: &str = "RM_TEST_ENDPOINT";
const DIR: &str = "RM_TEST_DIR";
const LEASE_MS: &str = "RM_TEST_LEASE_MS";
const TURNS: &str = "RM_TEST_TURNS";
/// Before each line, among what the test harness prints.
const MARK: &str = "part: ";

/// A process with a part. It is killed with its owner.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// It takes the lock `x` to write, writes its value, says `held` with the token, uses it for as long as it is valid, and says
    /// `lost` with the time of its last use.
    pub(crate) fn holder(endpoint: &str) -> Self {
        Self::start("holder", |command| command.env(ENDPOINT, endpoint))
    }

    /// It takes turns with the lock `x` for as long as it lives, and says `goes` once it had the first.
    pub(crate) fn flood(endpoint: &str, turns: Turns) -> Self {
        Self::start("flood", |command| {
            command
                .env(ENDPOINT, endpoint)
                .env(TURNS, turns.to_string())
        })
    }

    /// It serves, and says `listens` with its address, and `grace` with milliseconds.
    pub(crate) fn server(dir: &Path, lease: Duration) -> Self {
        let lease = lease.as_millis().to_string();
        Self::start("server", |command| {
            command.env(DIR, dir).env(LEASE_MS, lease)
        })
    }

    fn start(part: &str, more: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let program = std::env::current_exe().expect("this test");
        let mut command = Command::new(program);
        command
            .args(["--exact", "process", "--nocapture"])
            .env(PART, part)
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = more(&mut command).spawn().expect("started");
        let stdout = child.stdout.take().expect("piped");
        let lines = BufReader::new(stdout).lines();
        Self { child, lines }
    }

    /// The value of the next line that begins with `word`.
    pub(crate) async fn heard<V: FromStr>(&mut self, word: &str) -> V {
        let heard = async {
            loop {
                let line = self.lines.next_line().await.expect("text");
                let line = line.unwrap_or_else(|| panic!("the process ended before `{word}`"));
                let said = line.split_once(MARK).map_or("", |(_, said)| said);
                if let Some(value) = said.strip_prefix(word) {
                    return value.trim().parse().ok().expect("a value");
                }
            }
        };
        within(word, heard).await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("it runs");
        let id = Pid::from_raw(id.cast_signed()).expect("not zero");
        kill_process(id, signal).expect("sent");
    }

    pub(crate) async fn ended(&mut self) {
        within("the process ends", self.child.wait())
            .await
            .expect("waited for");
    }
}

/// How somebody takes turns with a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turns {
    pub(crate) writes: bool,
    pub(crate) hold: Duration,
    pub(crate) pause: Duration,
}

impl Turns {
    /// One turn. Returns how long it waited.
    pub(crate) async fn take(self, lock: &RwLock) -> Duration {
        let asked = Instant::now();
        if self.writes {
            let _guard = lock.write().await.expect("granted");
            let waited = asked.elapsed();
            tokio::time::sleep(self.hold).await;
            waited
        } else {
            let _guard = lock.read().await.expect("granted");
            let waited = asked.elapsed();
            tokio::time::sleep(self.hold).await;
            waited
        }
    }

    /// One turn after the other, without end.
    pub(crate) async fn go_on(self, lock: &RwLock) {
        loop {
            self.take(lock).await;
            tokio::time::sleep(self.pause).await;
        }
    }
}

impl Display for Turns {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [hold, pause] = [self.hold, self.pause].map(|span| span.as_micros());
        write!(f, "{} {hold} {pause}", self.writes)
    }
}

impl FromStr for Turns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split(' ').collect();
        let [writes, hold, pause] = words[..] else {
            return Err(format!("`{text}` is no three words"));
        };
        let micros = |word: &str| {
            let micros = word.parse().map_err(|_| format!("`{word}` is no number"));
            micros.map(Duration::from_micros)
        };
        Ok(Self {
            writes: writes == "true",
            hold: micros(hold)?,
            pause: micros(pause)?,
        })
    }
}

/// Plays the part that the environment names; without one, nothing.
pub(crate) fn run() {
    let Ok(part) = std::env::var(PART) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        match &*part {
            "flood" => flood().await,
            "holder" => hold().await,
            "server" => serve().await,
            other => panic!("there is no part {other}"),
        }
    });
}

async fn flood() {
    let client = connected().await;
    let lock = client.rw_lock("x");
    let turns: Turns = variable(TURNS).parse().expect("how it takes turns");
    turns.take(&lock).await;
    println!("{MARK}goes 1");
    turns.go_on(&lock).await;
}

async fn connected() -> Client {
    let client = Client::connect(&variable(ENDPOINT)).await;
    client.expect("a server")
}

async fn hold() {
    let client = connected().await;
    let lock = client.rw_lock("x");
    let guard = lock.write().await.expect("granted");
    guard.set_value(b"of the holder").expect("it is held");
    println!("{MARK}held {}", guard.fence());
    let mut last_valid = Time::ZERO;
    loop {
        // Before the look: at that time it was valid.
        let at = now();
        if !guard.is_valid() {
            break;
        }
        last_valid = at;
        tokio::task::yield_now().await;
    }
    println!("{MARK}lost {}", last_valid.as_nanos());
}

async fn serve() {
    let lease = variable(LEASE_MS).parse().expect("a number");
    let server = Node::builder()
        .listen("127.0.0.1:0")
        .data_dir(variable(DIR))
        .lease(Duration::from_millis(lease))
        .start()
        .await
        .expect("started");
    let grace = server.status().grace.as_millis();
    println!("{MARK}listens {}", server.local_addr().expect("bound"));
    println!("{MARK}grace {grace}");
    std::future::pending::<()>().await;
}

fn variable(name: &str) -> String {
    std::env::var(name).expect("set with the part")
}
