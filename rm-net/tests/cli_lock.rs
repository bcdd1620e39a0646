//! `rmctl lock` with real processes: exit codes, environment, signals, and what happens when things die.
#![cfg(feature = "cli")]

mod support;

use std::io::Write as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use self::support::{Daemon, Running, code, finish, rmctl, stderr, stdout};

#[test]
fn the_commands_exit_code_is_passed_on() {
    let daemon = Daemon::start();
    let output = daemon.run(&["lock", "x", "--", "sh", "-c", "exit 7"]);
    assert_eq!(code(&output), Some(7), "{}", stderr(&output));
}

#[test]
fn a_command_ended_by_a_signal_gives_128_and_its_number() {
    let daemon = Daemon::start();
    let output = daemon.run(&["lock", "x", "--", "sh", "-c", "kill -USR1 $$"]);
    assert_eq!(code(&output), Some(128 + 10));
}

#[test]
fn without_a_wait_a_held_lock_is_a_conflict_and_the_holder_is_named() {
    let daemon = Daemon::start();
    let _holder = daemon.hold(&["--label", "night report", "x"], "read line");
    let output = daemon.run(&["lock", "-n", "x", "--", "true"]);
    assert_eq!(code(&output), Some(1));
    assert!(
        stderr(&output).contains("night report"),
        "{}",
        stderr(&output)
    );
    let output = daemon.run(&["lock", "-n", "-E", "42", "x", "--", "true"]);
    assert_eq!(code(&output), Some(42));
}

#[test]
fn a_wait_that_is_over_is_a_conflict() {
    let daemon = Daemon::start();
    let _holder = daemon.hold(&["x"], "read line");
    for wait in ["0", "50ms", "0.05"] {
        let output = daemon.run(&["lock", "-w", wait, "-E", "42", "x", "--", "true"]);
        assert_eq!(code(&output), Some(42), "-w {wait}: {}", stderr(&output));
    }
}

#[test]
fn without_a_server_the_code_is_75_and_the_error_says_what_to_do() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let address = port.expect("a port").to_string();
    let output = finish(rmctl(&["--endpoints", &address, "lock", "x", "--", "true"]));
    assert_eq!(code(&output), Some(75));
    assert!(
        stderr(&output).contains("start a server with 'rmd'"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn errors_are_json_where_json_is_wanted() {
    let daemon = Daemon::start();
    let _holder = daemon.hold(&["x"], "read line");
    for (args, part) in [
        (&["--json", "lock", "-n", "x", "--", "true"][..], "busy"),
        (
            &["--json", "lock", "y", "--", "/nowhere/command"][..],
            "cannot run",
        ),
        (
            &["--json", "lock", "", "--", "true"][..],
            "the name is empty",
        ),
    ] {
        let text = stderr(&daemon.run(args));
        let error: serde_json::Value = serde_json::from_str(text.trim()).expect("one object");
        assert!(
            error["error"]
                .as_str()
                .is_some_and(|error| error.contains(part)),
            "{text}"
        );
        assert!(error.get("hint").is_some(), "{text}");
    }
}

#[test]
fn a_name_that_is_none_is_a_usage_error_that_says_why() {
    let daemon = Daemon::start();
    let (fits, too_long) = ("n".repeat(255), "n".repeat(256));
    assert_eq!(code(&daemon.run(&["lock", &fits, "--", "true"])), Some(0));
    for (name, why) in [(&too_long[..], "256 bytes"), ("", "empty")] {
        let output = daemon.run(&["lock", name, "--", "true"]);
        assert_eq!(code(&output), Some(64));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}

#[test]
fn a_command_that_cannot_run_gives_the_codes_of_shells() {
    let daemon = Daemon::start();
    let not_a_program = daemon.dir.path().join("text");
    std::fs::write(&not_a_program, "no program").expect("written");
    let not_a_program = not_a_program.to_str().expect("a plain path");
    let output = daemon.run(&["lock", "x", "--", "/nowhere/command"]);
    assert_eq!(code(&output), Some(127));
    let output = daemon.run(&["lock", "x", "--", not_a_program]);
    assert_eq!(code(&output), Some(126));
}

#[test]
fn the_environment_tells_the_lock_the_mode_and_a_token_that_rises() {
    let daemon = Daemon::start();
    let script = "echo $RM_LOCK $RM_MODE $RM_FENCE";
    let mut fences = Vec::new();
    for (flag, mode) in [("-x", "write"), ("-s", "read"), ("-x", "write")] {
        let output = daemon.run(&["lock", flag, "x", "--", "sh", "-c", script]);
        let text = stdout(&output);
        let words: Vec<_> = text.split_whitespace().collect();
        assert_eq!(words[..2], ["x", mode]);
        fences.push(words[2].parse::<u64>().expect("a number"));
    }
    assert!(fences.is_sorted_by(|a, b| a < b), "{fences:?}");
}

#[test]
fn several_locks_are_sorted_taken_once_and_have_a_line_each() {
    let daemon = Daemon::start();
    let script = "echo \"$RM_LOCK\"; echo \"$RM_FENCE\" | wc -l";
    let output = daemon.run(&["lock", "b", "a", "b", "c", "--", "sh", "-c", script]);
    let text = stdout(&output);
    let words: Vec<_> = text.split_whitespace().collect();
    assert_eq!(words, ["a", "b", "c", "3"]);
}

#[test]
fn of_several_locks_none_is_held_where_one_cannot_be_had() {
    let daemon = Daemon::start();
    let _holder = daemon.hold(&["b"], "read line");
    let output = daemon.run(&["lock", "-n", "a", "b", "--", "true"]);
    assert_eq!(code(&output), Some(1));
    let output = daemon.run(&["lock", "-n", "a", "--", "true"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
}

#[test]
fn a_name_may_be_any_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let daemon = Daemon::start();
    let mut command = daemon.rmctl(&["lock"]);
    command.arg(OsStr::from_bytes(b"\xff\x80"));
    command.args(["--", "sh", "-c", "printf %s \"$RM_LOCK\""]);
    assert_eq!(finish(command).stdout, b"\xff\x80");
}

#[test]
fn readers_share_and_a_writer_does_not() {
    let daemon = Daemon::start();
    let _reader = daemon.hold(&["-s", "x"], "read line");
    assert_eq!(
        code(&daemon.run(&["lock", "-n", "-s", "x", "--", "true"])),
        Some(0)
    );
    assert_eq!(
        code(&daemon.run(&["lock", "-n", "-x", "x", "--", "true"])),
        Some(1)
    );
}

#[test]
fn the_command_has_our_standard_input() {
    let daemon = Daemon::start();
    let mut cat = Running::start(daemon.rmctl(&["lock", "x", "--", "cat"]));
    let stdin = cat.child.stdin.as_mut().expect("piped");
    stdin.write_all(b"through\n").expect("written");
    assert_eq!(cat.lines.next().as_deref(), Some("through"));
    cat.close_stdin();
    assert_eq!(cat.end().code(), Some(0));
}

#[test]
fn signals_are_passed_on_to_the_command() {
    let daemon = Daemon::start();
    // It waits without a child, which a signal to the group would end too.
    let script = "trap 'echo told; exit 5' TERM; echo ready; while :; do read line; done";
    let mut holder = daemon.hold(&["x"], script);
    assert_eq!(holder.lines.next().as_deref(), Some("ready"));
    holder.signal(Signal::TERM);
    assert_eq!(holder.lines.next().as_deref(), Some("told"));
    assert_eq!(holder.end().code(), Some(5));
}

#[test]
fn a_signal_ends_the_wait_for_a_lock_and_withdraws_the_request() {
    let daemon = Daemon::start();
    let mut holder = daemon.hold(&["x"], "read line");
    let mut waiter = Running::start(daemon.rmctl(&["lock", "--label", "w", "x", "--", "true"]));
    let waits = |daemon: &Daemon| stdout(&daemon.run(&["show", "x"])).contains("waits");
    let start = Instant::now();
    while !waits(&daemon) {
        assert!(start.elapsed() < support::PATIENCE, "it never waits");
    }
    waiter.signal(Signal::TERM);
    assert_eq!(waiter.end().code(), Some(128 + 15));
    assert!(!waits(&daemon));
    holder.close_stdin();
    assert_eq!(holder.end().code(), Some(1));
}

#[test]
fn the_lock_is_free_as_soon_as_the_command_has_ended() {
    let daemon = Daemon::start();
    assert_eq!(code(&daemon.run(&["lock", "x", "--", "true"])), Some(0));
    let output = daemon.run(&["lock", "-n", "x", "--", "true"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
#[test]
fn when_rmctl_is_killed_its_command_dies_and_the_lock_comes_free_after_the_lease() {
    let daemon = Daemon::start_with_lease("1s");
    let mut holder = daemon.hold(&["x"], "exec sleep 1000");
    holder.signal(Signal::KILL);
    // The command has our pipe: its end is the end of the command.
    assert_eq!(holder.lines.next(), None);
    holder.end();
    let output = daemon.run(&["lock", "x", "--", "true"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
}

#[test]
fn a_lost_lock_ends_the_command_first_gently_and_before_the_server_may_lend_again() {
    let lease = Duration::from_secs(3);
    let daemon = Daemon::start_with_lease("3s");
    let script = "trap 'echo told' TERM; echo ready; while :; do sleep 1000; done";
    let mut holder = daemon.hold(&["x"], script);
    assert_eq!(holder.lines.next().as_deref(), Some("ready"));
    let silent = Instant::now();
    daemon.signal(Signal::STOP);
    assert_eq!(holder.lines.next().as_deref(), Some("told"));
    let told = silent.elapsed();
    // It says so after it has done it.
    assert!(holder.errors.find("killing the command").is_some());
    let killed = silent.elapsed();
    assert_eq!(holder.lines.next(), None);
    assert_eq!(holder.end().code(), Some(113));
    // The server waits for the lease, by the slowest of clocks, from the last renewal it has answered.
    assert!(killed < lease.mul_f64(1.02), "killed after {killed:?}");
    assert!(
        told < killed,
        "told after {told:?}, killed after {killed:?}"
    );
}

#[test]
fn with_on_lost_term_the_command_is_told_and_not_killed() {
    let daemon = Daemon::start_with_lease("1s");
    // A trap ends the wait for a line, in some shells.
    let script = "trap 'echo told' TERM; echo ready; until read line; do :; done; echo $line";
    let mut holder = daemon.hold(&["--on-lost", "term", "x"], script);
    assert_eq!(holder.lines.next().as_deref(), Some("ready"));
    daemon.signal(Signal::STOP);
    assert!(holder.errors.find("the lock is lost").is_some());
    let stdin = holder.child.stdin.as_mut().expect("piped");
    stdin.write_all(b"alive\n").expect("written");
    assert!(holder.lines.find("alive").is_some());
    assert_eq!(holder.end().code(), Some(113));
}

#[test]
fn with_on_lost_notify_the_command_goes_on_and_the_code_tells() {
    let daemon = Daemon::start_with_lease("1s");
    let mut holder = daemon.hold(&["--on-lost", "notify", "x"], "read line; echo $line");
    daemon.signal(Signal::STOP);
    assert!(holder.errors.find("the lock is lost").is_some());
    let stdin = holder.child.stdin.as_mut().expect("piped");
    stdin.write_all(b"alive\n").expect("written");
    assert_eq!(holder.lines.next().as_deref(), Some("alive"));
    assert_eq!(holder.end().code(), Some(113));
}
