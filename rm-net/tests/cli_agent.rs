//! The agent of a host as a real process: who finds it, what it keeps, and what its death takes with it.
#![cfg(feature = "cli")]

mod support;

use std::process::{Child, Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use self::support::{Daemon, Lines, RMD, Running, code, finish, program, rmctl, send, stderr};

/// An agent in a runtime directory of its own. It is killed at the end.
struct Agent {
    child: Child,
    address: String,
    runtime_dir: TempDir,
}

impl Agent {
    fn of(server: &Daemon, lease: &str) -> Self {
        Self::start(tempfile::tempdir().expect("a directory"), server, lease)
    }

    fn start(runtime_dir: TempDir, server: &Daemon, lease: &str) -> Self {
        let mut command = agent(&runtime_dir);
        command.args(["--creditor", &server.address, "--lease", lease]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
        let line = Lines::of(child.stdout.take().expect("piped")).next();
        let ready: Value = serde_json::from_str(&line.expect("a line")).expect("an object");
        assert_eq!(ready["event"], "relaying");
        let address = ready["address"].as_str().expect("an address").to_owned();
        Self {
            child,
            address,
            runtime_dir,
        }
    }

    /// A successor where it was.
    fn start_again(&mut self, server: &Daemon, lease: &str) {
        let new = tempfile::tempdir().expect("a directory");
        let old = std::mem::replace(&mut self.runtime_dir, new);
        *self = Self::start(old, server, lease);
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited for");
    }

    /// `rmctl` that is told of no server.
    fn rmctl(&self, args: &[&str]) -> Command {
        let mut command = rmctl(args);
        command.env("XDG_RUNTIME_DIR", self.runtime_dir.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        finish(self.rmctl(args))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `rmd --agent` that listens where it does when nothing else is said.
fn agent(runtime_dir: &TempDir) -> Command {
    let mut command = program(RMD);
    for name in ["RM_LISTEN", "RM_CREDITOR", "RM_CONFIG", "RM_LEASE"] {
        command.env_remove(name);
    }
    command.env("RUNTIME_DIRECTORY", runtime_dir.path().join("rm"));
    command.args(["--agent", "--json", "--log", "off"]);
    command
}

#[test]
fn commands_find_the_agent_and_take_what_it_has_while_the_server_is_silent() {
    let server = Daemon::start_with_lease("60s");
    let agent = Agent::of(&server, "60s");
    let output = agent.run(&["lock", "-s", "x", "--", "true"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    server.signal(Signal::STOP);
    let again = agent.run(&["lock", "-s", "-w", "10", "x", "--", "true"]);
    let other = agent.run(&["lock", "-s", "-w", "0.2", "other", "--", "true"]);
    server.signal(Signal::CONT);
    assert_eq!(code(&again), Some(0), "{}", stderr(&again));
    assert_eq!(code(&other), Some(1), "that one is not cached");
}

#[test]
fn two_agents_exclude_each_other() {
    let server = Daemon::start();
    let (left, right) = (Agent::of(&server, "15s"), Agent::of(&server, "15s"));
    let held = left.rmctl(&["lock", "x", "--", "sh", "-c", "echo in; read line"]);
    let mut held = Running::start(held);
    assert_eq!(held.lines.next().as_deref(), Some("in"));
    let output = right.run(&["lock", "-w", "0.2", "x", "--", "true"]);
    assert_eq!(code(&output), Some(1), "{}", stderr(&output));
    held.close_stdin();
    let output = right.run(&["lock", "-w", "30", "x", "--", "true"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    held.end();
}

#[test]
fn an_endpoint_that_is_given_wins_over_the_agent() {
    let server = Daemon::start();
    let agent = Agent::of(&server, "15s");
    let mut command = agent.rmctl(&["lock", "-w", "0.2", "x", "--", "true"]);
    // Nobody listens there.
    command.env("RM_ENDPOINTS", "unix:/nowhere/agent.sock");
    let output = finish(command);
    assert_eq!(code(&output), Some(75));
    assert!(stderr(&output).contains("/nowhere"), "{}", stderr(&output));
}

#[test]
fn when_the_agent_dies_its_clients_lose_what_they_hold_and_its_successor_serves() {
    let server = Daemon::start_with_lease("2s");
    let mut agent = Agent::of(&server, "2s");
    let held = agent.rmctl(&["lock", "x", "--", "sh", "-c", "echo in; exec sleep 1000"]);
    let mut held = Running::start(held);
    assert_eq!(held.lines.next().as_deref(), Some("in"));
    agent.kill();
    assert_eq!(held.end().code(), Some(113));
    // Its socket is still there, and nobody answers.
    let output = agent.run(&["lock", "-w", "0.2", "x", "--", "true"]);
    assert_eq!(code(&output), Some(75), "{}", stderr(&output));
    agent.start_again(&server, "2s");
    let output = agent.run(&["lock", "-w", "30", "x", "--", "true"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
}

#[test]
fn an_agent_of_nothing_and_one_of_itself_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = finish(agent(&dir));
    assert_eq!(code(&output), Some(64));
    assert!(
        stderr(&output).contains("--creditor"),
        "{}",
        stderr(&output)
    );
    let own = format!("unix:{}", dir.path().join("rm/agent.sock").display());
    let mut ring = agent(&dir);
    ring.args(["--creditor", &own]);
    let output = finish(ring);
    assert_eq!(code(&output), Some(78));
    assert!(stderr(&output).contains("itself"), "{}", stderr(&output));
}

#[test]
fn the_agents_socket_goes_with_it_and_is_its_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Daemon::start();
    let mut agent = Agent::of(&server, "15s");
    let path = agent.runtime_dir.path().join("rm/agent.sock");
    assert_eq!(agent.address, format!("unix:{}", path.display()));
    let mode = path.metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    send(&agent.child, Signal::TERM);
    agent.child.wait().expect("waited for");
    assert!(!path.exists());
}
