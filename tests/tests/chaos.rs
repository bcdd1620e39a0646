//! The judgement of a chaos run, end to end: two client processes of `rm-chaos`, one of which is stopped in its tracks while it
//! writes, until the other has written after it.
//!
//! Nothing is left to chance but which turn it is: the record of a stopped process does not change, so it tells for certain
//! whether the process was stopped while it held a lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rm_net::Node;
use rustix::process::{Pid, Signal, kill_process};

/// The shortest lease there is.
const LEASE: Duration = Duration::from_secs(1);
/// Nothing here takes so long, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(2);

/// A client process. It is killed with this.
struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    record: PathBuf,
}

impl Client {
    fn start(name: &str, endpoint: &str, dir: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rm-chaos"))
            .args([
                "client",
                "--name",
                name,
                "--run",
                "1",
                "--endpoint",
                endpoint,
            ])
            .args(["--lease-ms", &LEASE.as_millis().to_string(), "--seed", "1"])
            .arg("--dir")
            .arg(dir)
            .args(more)
            .stdin(Stdio::piped())
            .spawn()
            .expect("started");
        Self {
            stdin: child.stdin.take(),
            child,
            record: dir.join(format!("{name}.1.record")),
        }
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().cast_signed()).expect("not zero");
        kill_process(id, signal).expect("sent");
    }

    /// The lines of its record, each in words.
    fn lines(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(&self.record).unwrap_or_default();
        let words = |line: &str| line.split(' ').map(ToOwned::to_owned).collect();
        text.lines().map(words).collect()
    }

    /// The volume that it is about to write: the register is open, and the turn goes on. Volumes are wanted all the time, so
    /// the other one is sure to come.
    fn writes(&self) -> Option<String> {
        let lines = self.lines();
        let open = |line: &&Vec<String>| line[2] == "opened";
        let turn = &lines.iter().rev().find(open)?[1];
        let mut of_turn = lines.iter().filter(|line| line[1] == *turn);
        let lock = of_turn.next()?[3].clone();
        let last = of_turn.next_back()?;
        let goes_on = ["opened", "valid"].contains(&&*last[2]);
        (goes_on && lock.starts_with("volume")).then_some(lock)
    }

    /// Stops it in its tracks while it writes, and says which lock that is.
    fn stop_while_it_writes(&self) -> String {
        until("it is stopped while it writes", || {
            self.writes()?;
            self.signal(Signal::STOP);
            wait_until_stopped(self.child.id());
            let writes = self.writes();
            if writes.is_none() {
                self.signal(Signal::CONT);
            }
            writes
        })
    }

    /// Tells it to end, and waits until it has.
    fn end(mut self) {
        self.stdin = None;
        assert!(self.child.wait().expect("waited for").success());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It has ended already, where all went well.
        let _ = self.child.kill();
    }
}

fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(LOOK);
    }
}

/// A signal to stop takes effect a moment after it was sent.
fn wait_until_stopped(process: u32) {
    until("the process is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it is there");
        let (_, rest) = stat.rsplit_once(") ").expect("a line of words");
        rest.starts_with('T').then_some(())
    });
}

/// Lets one client write under an old token, and returns its record and what the judge says.
async fn judged(more: &[&str]) -> (String, bool, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let builder = Node::builder().listen("127.0.0.1:0").lease(LEASE);
    let server = builder.data_dir(dir.path().join("data")).start().await;
    let server = server.expect("started");
    let endpoint = server.local_addr().expect("it listens").to_string();
    let dir = dir.path().to_owned();
    let more: Vec<String> = more.iter().map(|&word| word.to_owned()).collect();
    let judged = tokio::task::spawn_blocking(move || {
        let more: Vec<&str> = more.iter().map(|word| &**word).collect();
        let sleeper = Client::start("sleeper", &endpoint, &dir, &more);
        let other = Client::start("other", &endpoint, &dir, &[]);
        let lock = sleeper.stop_while_it_writes();
        let before = other.lines().len();
        until("the other writes after it", || {
            let lines = other.lines().split_off(before);
            let asked = |line: &Vec<String>| line[2] == "asked" && line[3] == lock;
            let turns: Vec<_> = lines
                .iter()
                .filter(|line| asked(line))
                .map(|line| &line[1])
                .collect();
            let wrote = |line: &Vec<String>| line[2] == "wrote" && turns.contains(&&line[1]);
            lines.iter().any(wrote).then_some(())
        });
        sleeper.signal(Signal::CONT);
        let woken = sleeper.lines().len();
        until("the sleeper goes on", || {
            (sleeper.lines().len() > woken + 10).then_some(())
        });
        let record = sleeper.record.clone();
        sleeper.end();
        other.end();
        let mut judge = Command::new(env!("CARGO_BIN_EXE_rm-chaos"));
        let output = judge.arg("judge").arg(&dir).output().expect("judged");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let record = fs::read_to_string(record).expect("recorded");
        (record, output.status.success(), said)
    });
    judged.await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_write_of_a_paused_holder_is_refused_by_its_token_and_judged_right() {
    let (record, is_good, said) = judged(&["--careless", "100"]).await;
    assert!(is_good, "{said}");
    assert!(record.contains(" refused "), "{record}");
    assert!(record.contains(" lost LeaseExpired"), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ignores_its_loss_is_found() {
    let (_, is_good, said) = judged(&["--careless", "100", "--ignore-loss"]).await;
    assert!(!is_good, "{said}");
    assert!(said.contains("was refused by the register"), "{said}");
    assert!(said.contains("conflict at once"), "{said}");
}
