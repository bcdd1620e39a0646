//! `rmd` as a service: settings from a file, the service manager's signals and its own, the log.
#![cfg(feature = "cli")]

mod support;

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use self::support::{PATIENCE, Running, code, finish, objects, program, rmd, stderr};

/// A socket as the service manager has it.
struct Manager {
    socket: UnixDatagram,
    dir: TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(dir.path().join("notify")).expect("bound");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        Self { socket, dir }
    }

    fn watch(&self, command: &mut Command) {
        command.env("NOTIFY_SOCKET", self.dir.path().join("notify"));
    }

    /// What it is told next.
    fn told(&self) -> String {
        let mut bytes = [0; 4_096];
        let length = self.socket.recv(&mut bytes).expect("it is told something");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    fn was_told_nothing(&self) -> bool {
        self.socket.set_nonblocking(true).expect("set");
        self.socket.recv(&mut [0; 64]).is_err()
    }
}

/// `rmd` with settings in a file, which logs to where a test can read it.
fn configured(dir: &Path, text: &str) -> Command {
    write(dir, text);
    let mut command = program(support::RMD);
    for name in [
        "RM_LISTEN",
        "RM_DATA_DIR",
        "RM_LEASE",
        "RM_HTTP",
        "RUST_LOG",
    ] {
        command.env_remove(name);
    }
    command.env("RM_CONFIG", dir.join("rmd.toml")).arg("--json");
    command
}

fn write(dir: &Path, text: &str) {
    let data = dir.join("data");
    let text = format!("listen = \"127.0.0.1:0\"\ndata-dir = {data:?}\n{text}");
    std::fs::write(dir.join("rmd.toml"), text).expect("written");
}

fn address(running: &Running) -> String {
    let line = running.lines.next().expect("it says where it listens");
    let ready: Value = serde_json::from_str(&line).expect("an object");
    ready["address"].as_str().expect("an address").to_owned()
}

#[test]
fn the_service_manager_hears_that_it_is_ready_when_it_listens() {
    let manager = Manager::new();
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = rmd(dir.path());
    manager.watch(&mut command);
    let mut running = Running::start(command);
    let told = manager.told();
    assert!(
        told.starts_with("READY=1\nSTATUS=listening on 127.0.0.1:"),
        "{told}"
    );
    let address = address(&running);
    TcpStream::connect(&address).expect("it listens");
    assert!(told.contains(&address), "{told}");
    running.signal(Signal::TERM);
    let told = manager.told();
    assert!(told.starts_with("STOPPING=1\n"), "{told}");
    assert!(running.end().success());
}

#[test]
fn a_server_that_cannot_listen_never_says_that_it_is_ready() {
    let manager = Manager::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let dir = tempfile::tempdir().expect("a directory");
    let mut listens = program(support::RMD);
    listens
        .args(["--listen", &taken, "--data-dir"])
        .arg(dir.path());
    let mut serves = rmd(dir.path());
    serves.args(["--http", &taken]);
    for (flag, mut command) in [("--listen", listens), ("--http", serves)] {
        manager.watch(&mut command);
        let output = finish(command);
        assert_eq!(code(&output), Some(71), "{flag}");
        assert!(stderr(&output).contains(flag), "{}", stderr(&output));
    }
    assert!(manager.was_told_nothing());
}

#[test]
fn a_service_manager_that_watches_hears_that_it_is_alive() {
    let manager = Manager::new();
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = rmd(dir.path());
    manager.watch(&mut command);
    command
        .env("WATCHDOG_USEC", "200000")
        .env_remove("WATCHDOG_PID");
    let _running = Running::start(command);
    assert!(manager.told().starts_with("READY=1"));
    for _ in 0..2 {
        assert_eq!(manager.told(), "WATCHDOG=1\n");
    }
}

#[test]
fn at_a_hangup_the_file_is_read_again_and_what_cannot_change_is_named() {
    let manager = Manager::new();
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = configured(dir.path(), "log = \"info\"\nlog-format = \"json\"\n");
    manager.watch(&mut command);
    let running = Running::start(command);
    assert!(manager.told().starts_with("READY=1"));

    write(
        dir.path(),
        "log = \"debug\"\nlog-format = \"json\"\nlease = \"9s\"\n",
    );
    running.signal(Signal::HUP);
    let told = manager.told();
    assert!(told.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told}");
    assert!(manager.told().starts_with("READY=1"));
    let line = |part: &str| -> Value {
        let line = running.errors.find(part).expect("it is logged");
        serde_json::from_str(&line).expect("an object")
    };
    let lease = line("changes at the next start");
    assert_eq!(
        (&lease["key"], &lease["value"]),
        (&"lease".into(), &"9s".into())
    );
    assert_eq!(line("settings read again")["changes"], 2);

    // What cannot be used changes nothing, and the server goes on.
    write(dir.path(), "leese = \"9s\"\n");
    running.signal(Signal::HUP);
    assert!(manager.told().starts_with("RELOADING=1"));
    assert!(manager.told().starts_with("READY=1"));
    let error = line("settings are as before");
    let text = error["error"].as_str().expect("a text");
    assert!(
        text.ends_with("rmd.toml:3: there is no setting leese"),
        "{text}"
    );
}

#[test]
fn rules_that_the_file_does_not_name_any_more_stay_in_force_until_the_next_start() {
    let manager = Manager::new();
    let dir = tempfile::tempdir().expect("a directory");
    let rules = dir.path().join("rules.toml");
    std::fs::write(&rules, "[[allow]]\nwho = [\"*\"]\nwhat = [\"read\"]\n").expect("written");
    let with_rules = format!("log = \"info\"\nrules = {rules:?}\n");
    let mut command = configured(dir.path(), &with_rules);
    manager.watch(&mut command);
    let running = Running::start(command);
    assert!(manager.told().starts_with("READY=1"));
    write(dir.path(), "log = \"info\"\n");
    // Twice: the second time nothing has changed any more.
    for _ in 0..2 {
        running.signal(Signal::HUP);
        assert!(manager.told().starts_with("RELOADING=1"));
        assert!(manager.told().starts_with("READY=1"));
        let line = running.errors.find("those from before stay in force");
        assert!(line.expect("it is logged").contains("rules"));
    }
}

#[test]
fn the_settings_are_checked_and_shown_with_their_source_and_nothing_is_opened() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = configured(dir.path(), "lease = \"9s\"\n");
    command
        .args(["--check-config", "--name", "n"])
        .env("RM_DRAIN_TIMEOUT", "1s");
    let output = finish(command);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let all = objects(&output);
    let of = |key: &str| {
        all.iter()
            .find(|line| line["key"] == key)
            .expect("it is shown")
    };
    assert_eq!(
        (&of("lease")["value"], &of("lease")["source"]),
        (&"9s".into(), &"file".into())
    );
    assert_eq!(of("lease")["line"], 3);
    assert_eq!(of("name")["source"], "flag");
    assert_eq!(of("drain-timeout")["from"], "RM_DRAIN_TIMEOUT");
    assert_eq!(of("log")["source"], "default");
    assert!(!dir.path().join("data").exists());

    // What follows where nothing is said.
    let mut command = program(support::RMD);
    command.args(["--check-config", "--json"]);
    command.env("STATE_DIRECTORY", "/var/lib/elsewhere");
    command.env_remove("RM_DATA_DIR");
    let all = objects(&finish(command));
    let dir = all.iter().find(|line| line["key"] == "data-dir");
    assert_eq!(dir.expect("it is shown")["value"], "/var/lib/elsewhere");
}

#[test]
fn settings_that_make_no_sense_are_78_with_the_line_and_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    for (text, why) in [
        ("leese = \"9s\"\n", "rmd.toml:3: there is no setting leese"),
        (
            "lease = \"soon\"\n",
            "rmd.toml:3: lease cannot be so: not a span of time",
        ),
        (
            "http = \"0.0.0.0:0\"\n",
            "can be reached from other machines",
        ),
        ("log = \"rm_net=loud\"\n", "cannot be used"),
    ] {
        for check in [true, false] {
            let mut command = configured(dir.path(), text);
            command.args(check.then_some("--check-config"));
            let output = finish(command);
            assert_eq!(code(&output), Some(78), "{text}");
            let complaint = stderr(&output);
            let complaint: Value = serde_json::from_str(complaint.trim()).expect("an object");
            assert!(
                complaint["error"]
                    .as_str()
                    .is_some_and(|error| error.contains(why)),
                "{complaint}"
            );
            assert!(complaint["hint"].is_string(), "{complaint}");
        }
    }
    assert!(!dir.path().join("data").exists());
}
