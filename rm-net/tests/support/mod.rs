//! What the tests with real processes share: a daemon of one's own, and waits that end.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) mod http;

/// Nothing here takes as long; whoever waits longer has found a fault.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const RMCTL: &str = env!("CARGO_BIN_EXE_rmctl");
pub(crate) const RMD: &str = env!("CARGO_BIN_EXE_rmd");

/// A daemon on a port the system picked, with a directory of its own. It is killed at the end.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) dir: TempDir,
    lines: Lines,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::start_with_lease("15s")
    }

    pub(crate) fn start_with_lease(lease: &str) -> Self {
        Self::start_with(&["--lease", lease])
    }

    pub(crate) fn start_with(flags: &[&str]) -> Self {
        Self::start_on(tempfile::tempdir().expect("a directory"), flags)
    }

    /// The same, with its standard error in a pipe.
    pub(crate) fn start_heard(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self::start_by(dir, flags, |command| {
            command.stderr(Stdio::piped());
        })
    }

    fn start_on(dir: TempDir, flags: &[&str]) -> Self {
        Self::start_by(dir, flags, |_| {})
    }

    fn start_by(dir: TempDir, flags: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let mut command = rmd(&dir.path().join("data"));
        command.args(flags);
        change(&mut command);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
        let lines = Lines::of(child.stdout.take().expect("piped"));
        let line = lines.next().expect("the daemon says where it listens");
        let ready: Value = serde_json::from_str(&line).expect("an object");
        let address = ready["address"].as_str().expect("an address").to_owned();
        Self {
            child,
            address,
            dir,
            lines,
        }
    }

    /// Kills it, and starts it again on its directory and another port.
    pub(crate) fn kill_and_start_again(&mut self, lease: &str) {
        self.kill_and_start_again_with(&["--lease", lease]);
    }

    /// The same, with those flags.
    pub(crate) fn kill_and_start_again_with(&mut self, flags: &[&str]) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited for");
        let new = tempfile::tempdir().expect("a directory");
        *self = Self::start_on(std::mem::replace(&mut self.dir, new), flags);
    }

    /// `rmctl` for this daemon.
    pub(crate) fn rmctl(&self, args: &[&str]) -> Command {
        let mut command = rmctl(args);
        command.env("RM_ENDPOINTS", &self.address);
        command
    }

    /// Runs `rmctl` to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        finish(self.rmctl(args))
    }

    /// Starts `rmctl lock .. -- sh -c script`, and waits until the script says `in`.
    pub(crate) fn hold(&self, lock: &[&str], script: &str) -> Running {
        let mut args = vec!["lock"];
        args.extend_from_slice(lock);
        let script = format!("echo in; {script}");
        args.extend_from_slice(&["--", "sh", "-c", &script]);
        let running = Running::start(self.rmctl(&args));
        assert_eq!(running.lines.next().as_deref(), Some("in"));
        running
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// The next line of its standard output.
    pub(crate) fn line(&self) -> Option<String> {
        self.lines.next()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A process whose output is read line by line. It is killed at the end.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) lines: Lines,
    pub(crate) errors: Lines,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let lines = Lines::of(child.stdout.take().expect("piped"));
        let errors = Lines::of(child.stderr.take().expect("piped"));
        Self {
            child,
            lines,
            errors,
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    pub(crate) fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        // All its output has an end first; then so has it.
        while self.lines.next().is_some() {}
        while self.errors.next().is_some() {}
        self.child.wait().expect("waited for")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Lines that a thread reads.
pub(crate) struct Lines(Mutex<Receiver<String>>);

impl Lines {
    pub(crate) fn of(source: impl Read + Send + 'static) -> Self {
        let (line, lines) = mpsc::channel();
        thread::spawn(move || {
            for text in BufReader::new(source).lines().map_while(Result::ok) {
                if line.send(text).is_err() {
                    return;
                }
            }
        });
        Self(Mutex::new(lines))
    }

    /// The next line; `None` at the end, which comes when the last process that could write has ended.
    pub(crate) fn next(&self) -> Option<String> {
        let lines = self.0.lock().expect("no reader panicked");
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("neither a line nor an end came"),
        }
    }

    /// The next line with `part` in it.
    pub(crate) fn find(&self, part: &str) -> Option<String> {
        std::iter::from_fn(|| self.next()).find(|line| line.contains(part))
    }
}

/// A program with Ctrl-C, Ctrl-\ and the hangup as a terminal has them.
///
/// A test run in the background of a shell, or by `nohup`, inherits them ignored, and the programs leave alone what was
/// ignored when they started.
pub(crate) fn program(path: &str) -> Command {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is 1, SIGINT is 2, SIGQUIT is 3; the first bit is signal 1.
    if ignored.is_none_or(|mask| mask & 0b111 == 0) {
        return Command::new(path);
    }
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP,INT,QUIT", path]);
    command
}

/// `rmctl` without an environment that would change what it does.
pub(crate) fn rmctl(args: &[&str]) -> Command {
    let mut command = program(RMCTL);
    command.env_remove("RM_ENDPOINTS").args(args);
    command
}

/// `rmd` on a port the system picks, speaking JSON.
pub(crate) fn rmd(data: &Path) -> Command {
    let mut command = program(RMD);
    for name in [
        "RM_NAME",
        "RM_LISTEN",
        "RM_CREDITOR",
        "RM_DATA_DIR",
        "RM_LEASE",
        "RM_CONFIG",
        "RM_HTTP",
        "RM_LOG_FORMAT",
        "RUST_LOG",
        "NOTIFY_SOCKET",
    ] {
        command.env_remove(name);
    }
    command.args([
        "--json",
        "--log",
        "off",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
    ]);
    command.arg(data);
    command
}

/// Runs a process to its end, which must come.
pub(crate) fn finish(mut command: Command) -> Output {
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("started");
    let id = pid(&child);
    let (output, outputs) = mpsc::channel();
    thread::spawn(move || drop(output.send(child.wait_with_output())));
    match outputs.recv_timeout(PATIENCE) {
        Ok(output) => output.expect("waited for"),
        Err(_) => {
            let _ = kill_process(id, Signal::KILL);
            panic!("{command:?} does not end");
        }
    }
}

pub(crate) fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The objects in its output, one a line.
pub(crate) fn objects(output: &Output) -> Vec<Value> {
    let text = stdout(output);
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect()
}

pub(crate) fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed()).expect("no process has the number 0")
}

pub(crate) fn send(child: &Child, signal: Signal) {
    kill_process(pid(child), signal).expect("it was not waited for yet");
}
