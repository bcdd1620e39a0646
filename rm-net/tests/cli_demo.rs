//! The demonstration with real processes: its verdict is good with the locks, bad without, and nothing stays behind.
#![cfg(feature = "cli")]

mod support;

use rustix::process::Signal;
use serde_json::Value;

use self::support::{Running, code, finish, objects, rmctl, stderr};

#[test]
fn with_the_locks_the_verdict_is_ok_and_the_books_balance() {
    let output = finish(rmctl(&["demo", "--seconds", "2", "--json"]));
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let verdicts = objects(&output);
    let [verdict] = &verdicts[..] else {
        panic!("one object on standard output: {verdicts:?}")
    };
    assert_eq!(verdict["verdict"], "ok");
    for none in ["violations", "failures", "books"] {
        assert_eq!(verdict[none], 0, "{none} in {verdict}");
    }
    for some in ["reads", "writes", "remote_acquires", "cached_acquires"] {
        assert!(verdict[some].as_u64() > Some(0), "{some} in {verdict}");
    }
    assert!(verdict["writer_wait_ms_max"].is_u64());
}

#[test]
fn without_the_locks_the_verdict_is_violated() {
    let output = finish(rmctl(&["demo", "--seconds", "1", "--json", "--sabotage"]));
    assert_eq!(code(&output), Some(1), "{}", stderr(&output));
    let verdict: &Value = &objects(&output)[0];
    assert_eq!(verdict["verdict"], "violated");
    assert!(verdict["violations"].as_u64() > Some(0), "{verdict}");
}

#[test]
fn a_signal_ends_it_and_its_files_go() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = rmctl(&["demo", "--seconds", "60"]);
    command.env("TMPDIR", dir.path());
    let mut demo = Running::start(command);
    // The line of the first second: by then all of them write.
    assert!(demo.errors.find(" reads ").is_some());
    demo.signal(Signal::INT);
    // All output ends when the last of its processes has.
    assert_eq!(demo.end().code(), Some(128 + 2));
    let left = std::fs::read_dir(dir.path()).expect("a directory").count();
    assert_eq!(left, 0);
}

#[test]
fn when_it_is_killed_its_processes_end_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = rmctl(&["demo", "--seconds", "60"]);
    command.env("TMPDIR", dir.path());
    let mut demo = Running::start(command);
    assert!(demo.errors.find(" reads ").is_some());
    demo.signal(Signal::KILL);
    // They have its standard error: that it ends means that they did.
    assert_eq!(demo.end().code(), None);
}
