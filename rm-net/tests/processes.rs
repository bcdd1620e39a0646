//! The six classic scenarios between processes, a barrier and a restart: who reads and who writes are `rmctl hold`,
//! each a process of its own, and the server is in this one, so that its book can be read.
//!
//! What happens is read off the server's book and off what `rmctl` prints, never off the time that passed. The same
//! scenarios, with every message counted, are in `rm-tests` (`docs/CONFORMANCE.md` lists them).
#![cfg(feature = "cli")]

mod support;

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rm_core::credit::Credit as _;
use rm_core::front::Handle;
use rm_core::id::ResourceKey;
use rm_net::Node;
use rm_rwlock::{RwCredit, RwLockType};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use self::support::{PATIENCE, Running, code, finish, objects, rmctl, stderr};

const NAME: &str = "volumes/42";
const READ: RwCredit = RwCredit::READ;

/// A server in this process, and its book of the lock.
struct Server {
    runtime: Runtime,
    node: Node,
    lock: Handle<RwLockType>,
    dir: TempDir,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self::start_on(dir, Duration::from_secs(15))
    }

    fn start_on(dir: TempDir, lease: Duration) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let builder = Node::builder().name("server").listen("127.0.0.1:0");
        let builder = builder.data_dir(dir.path()).lease(lease);
        let node = runtime.block_on(builder.start()).expect("started");
        let key = ResourceKey::new(NAME.as_bytes()).expect("a good name");
        // Whoever has the handle keeps the book: it does not vanish when it is idle.
        let lock = node.domain().resource(&key).expect("there is room");
        Self {
            runtime,
            node,
            lock,
            dir,
        }
    }

    fn rmctl(&self, args: &[&str]) -> Command {
        let mut command = rmctl(args);
        let address = self.node.local_addr().expect("it listens");
        command.env("RM_ENDPOINTS", address.to_string());
        command
    }

    /// Starts a process that wants to read.
    fn reader(&self, label: &str) -> Holder {
        self.start_holder(&["--json", "hold", "-s", "--label", label, NAME])
    }

    /// Starts a process that wants to write.
    fn writer(&self, label: &str) -> Holder {
        self.start_holder(&["--json", "hold", "-x", "--label", label, NAME])
    }

    fn start_holder(&self, args: &[&str]) -> Holder {
        Holder(Running::start(self.rmctl(args)))
    }

    /// All there is of the lock.
    fn capital(&self) -> RwCredit {
        *self.lock.capital()
    }

    /// What the processes have, in the order in which they came; and what the server has left. The book must balance.
    fn books(&self) -> (Vec<RwCredit>, RwCredit) {
        self.lock.with_owner(|owner| {
            owner.check();
            assert_eq!(owner.holds().count(), 0, "the server itself uses nothing");
            let loans: Vec<_> = owner.loans().map(|(_, loan)| *loan).collect();
            (loans, *owner.cached())
        })
    }

    /// Asserts that one process has everything: that of a writer.
    #[track_caller]
    fn assert_one_has_all(&self) {
        assert_eq!(self.books(), (vec![self.capital()], RwCredit::empty()));
    }

    /// Waits until so many requests wait at the server.
    #[track_caller]
    fn until_waiting(&self, count: u64) {
        until("the requests wait", || self.node.totals().waiting == count);
    }

    /// Whom `rmctl show` calls a holder, and who waits by its word: their labels, sorted.
    fn shown(&self) -> (Vec<String>, Vec<String>) {
        let output = finish(self.rmctl(&["--json", "show", NAME]));
        assert_eq!(code(&output), Some(0), "{}", stderr(&output));
        let shown = &objects(&output)[0];
        let entries = shown["entries"].as_array().expect("a list");
        let labels = |kind: &str| {
            let some = entries.iter().filter(|entry| entry["kind"] == kind);
            let labels = some.map(|entry| entry["label"].as_str().expect("a text").to_owned());
            let mut labels: Vec<_> = labels.collect();
            labels.sort_unstable();
            labels
        };
        (labels("holds"), labels("waits"))
    }

    #[track_caller]
    fn assert_shown(&self, holds: &[&str], waits: &[&str]) {
        let (shown_holds, shown_waits) = self.shown();
        assert_eq!((shown_holds, shown_waits), (owned(holds), owned(waits)));
    }

    /// Asserts that all credit comes back, and that the server stops with nothing lent.
    #[track_caller]
    fn end(self) {
        until("all credit is back", || self.node.totals().loans == 0);
        assert_eq!(self.books(), (Vec::new(), self.capital()));
        assert_eq!(self.node.totals().waiting, 0);
        let report = self.runtime.block_on(self.node.stop());
        assert_eq!(report.loans, 0);
    }
}

/// A process that wants the lock, or has it.
struct Holder(Running);

impl Holder {
    /// Waits until it says that it holds. Returns its fencing token.
    #[track_caller]
    fn held(&self) -> u64 {
        let line = self.0.lines.next().expect("a line");
        let event: Value = serde_json::from_str(&line).expect("an object");
        assert_eq!(event["event"], "held", "{line}");
        event["locks"][0]["fence"].as_u64().expect("a token")
    }

    /// Ends its input, and waits until it says that it let go, and for its end.
    #[track_caller]
    fn release(mut self) {
        self.0.close_stdin();
        assert!(self.0.lines.find("released").is_some());
        assert_eq!(self.0.end().code(), Some(0));
    }
}

/// Waits for what must come to be.
#[track_caller]
fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        thread::yield_now();
    }
}

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().copied().map(String::from).collect()
}

/// What a reader gets, or keeps, of so much where others read too: its share, and a sixteenth of the rest.
fn share_and_slice(free: RwCredit) -> RwCredit {
    let slice = free.less(&READ).slice(16);
    READ.join(&slice).expect("part of what is free")
}

#[test]
fn read_when_free() {
    let server = Server::start();
    let reader = server.reader("r1");
    assert!(reader.held() > 0);
    // Alone, it gets everything along.
    server.assert_one_has_all();
    server.assert_shown(&["r1"], &[]);
    reader.release();
    server.end();
}

#[test]
fn read_when_another_process_reads() {
    let server = Server::start();
    let first = server.reader("r1");
    let first_fence = first.held();
    let second = server.reader("r2");
    assert_eq!(second.held(), first_fence, "no writer came between them");
    let one = share_and_slice(server.capital());
    let two = share_and_slice(server.capital().less(&one));
    let rest = server.capital().less(&one).less(&two);
    assert_eq!(server.books(), (vec![one, two], rest));
    server.assert_shown(&["r1", "r2"], &[]);
    first.release();
    second.release();
    server.end();
}

#[test]
fn read_when_another_process_writes() {
    let server = Server::start();
    let writer = server.writer("w1");
    let write_fence = writer.held();
    let reader = server.reader("r1");
    server.until_waiting(1);
    server.assert_one_has_all();
    server.assert_shown(&["w1"], &["r1"]);
    writer.release();
    assert!(reader.held() > write_fence);
    server.assert_shown(&["r1"], &[]);
    reader.release();
    server.end();
}

#[test]
fn write_when_free() {
    let server = Server::start();
    let writer = server.writer("w1");
    assert!(writer.held() > 0);
    server.assert_one_has_all();
    server.assert_shown(&["w1"], &[]);
    writer.release();
    server.end();
}

#[test]
fn write_when_other_processes_read() {
    let server = Server::start();
    let (first, second) = (server.reader("r1"), server.reader("r2"));
    let read_fence = first.held().max(second.held());
    let writer = server.writer("w1");
    server.until_waiting(1);
    server.assert_shown(&["r1", "r2"], &["w1"]);
    first.release();
    server.until_waiting(1);
    server.assert_shown(&["r2"], &["w1"]);
    second.release();
    assert!(writer.held() > read_fence);
    server.assert_one_has_all();
    writer.release();
    server.end();
}

#[test]
fn write_when_another_process_writes() {
    let server = Server::start();
    let mut holder = server.writer("w0");
    let mut fence = holder.held();
    for label in ["w1", "w2", "w3"] {
        let next = server.writer(label);
        server.until_waiting(1);
        server.assert_one_has_all();
        assert_eq!(server.shown().1, [label]);
        holder.release();
        let next_fence = next.held();
        assert!(next_fence > fence, "{next_fence} after {fence}");
        (holder, fence) = (next, next_fence);
        server.assert_one_has_all();
    }
    holder.release();
    server.end();
}

/// The writer asked first, so the reader waits for it although shares are free: nobody uses what the first reader's
/// process has beyond its share.
#[test]
fn a_reader_waits_behind_a_writer_of_another_process_that_waits() {
    let server = Server::start();
    let early = server.reader("early");
    let early_fence = early.held();
    let writer = server.writer("writer");
    server.until_waiting(1);
    let late = server.reader("late");
    server.until_waiting(2);
    server.assert_one_has_all();
    server.assert_shown(&["early"], &["late", "writer"]);
    early.release();
    let write_fence = writer.held();
    assert!(write_fence > early_fence);
    server.until_waiting(1);
    server.assert_one_has_all();
    server.assert_shown(&["writer"], &["late"]);
    writer.release();
    assert!(late.held() > write_fence);
    late.release();
    server.end();
}

/// K14 of the known faults: a server that starts again must not lend what is still trusted.
#[test]
fn a_server_that_starts_again_counts_all_as_lent_until_the_leases_of_its_former_life_ended() {
    let lease = Duration::from_secs(1);
    let former = Server::start_on(tempfile::tempdir().expect("a directory"), lease);
    let mut holder = former.writer("former");
    let former_fence = holder.held();
    let report = former.runtime.block_on(former.node.stop());
    assert!(!report.is_clean && report.loans == 1);
    let server = Server::start_on(former.dir, lease);
    server.assert_one_has_all();
    let writer = server.writer("new");
    assert!(writer.held() > former_fence);
    assert!(holder.0.lines.find("lost").is_some());
    assert_eq!(holder.0.end().code(), Some(113));
    writer.release();
    server.end();
}
