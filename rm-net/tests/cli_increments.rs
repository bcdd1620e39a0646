//! Many processes add to one file under `rmctl lock`: no increment is lost, also while holders are killed.
//!
//! `RM_LONG=1` runs 1,000 increments a process instead of 125, or 25 where holders are killed.
#![cfg(feature = "cli")]

mod support;

use std::path::Path;
use std::thread;

use rustix::process::Signal;

use self::support::{Daemon, RMCTL, Running, code, finish, stderr};

const PROCESSES: u64 = 8;

/// How many increments each process makes: `usual` ones, or 1,000 in the long form.
fn increments(usual: u64) -> u64 {
    match std::env::var_os("RM_LONG") {
        Some(_) => 1_000,
        None => usual,
    }
}

fn number(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).expect("a file");
    let number = text.split_whitespace().next().expect("a number");
    number.parse().expect("a number")
}

#[test]
fn eight_processes_lose_no_increment() {
    let daemon = Daemon::start();
    let file = daemon.dir.path().join("number");
    std::fs::write(&file, "0 0\n").expect("written");
    let path = file.to_str().expect("a plain path");
    let each = increments(125);
    thread::scope(|scope| {
        for _ in 0..PROCESSES {
            scope.spawn(|| {
                for _ in 0..each {
                    let output =
                        daemon.run(&["lock", "-x", "number", "--", RMCTL, "__increment", path]);
                    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
                }
            });
        }
    });
    assert_eq!(number(&file), PROCESSES * each);
}

/// The command says that it runs, so it holds the lock; then `rmctl` is killed, at a moment that nobody chose.
#[test]
fn eight_processes_lose_no_increment_while_holders_are_killed() {
    let daemon = Daemon::start_with_lease("1s");
    let file = daemon.dir.path().join("number");
    std::fs::write(&file, "0 0\n").expect("written");
    let path = file.to_str().expect("a plain path");
    let each = increments(25);
    thread::scope(|scope| {
        for process in 0..PROCESSES {
            let daemon = &daemon;
            scope.spawn(move || {
                for round in 0..each {
                    if round == each / 2 + process {
                        let mut holder =
                            daemon.hold(&["number"], &format!("exec {RMCTL} __increment {path}"));
                        holder.signal(Signal::KILL);
                        holder.end();
                    }
                    let mut command = daemon.rmctl(&["lock", "number", "--"]);
                    command.args([RMCTL, "__increment", path]);
                    let output = finish(command);
                    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
                }
            });
        }
    });
    // What a killed one did before it died stays.
    let done = PROCESSES * each;
    assert!(
        (done..=done + PROCESSES).contains(&number(&file)),
        "{}",
        number(&file)
    );
}

/// The check bites: without the lock, increments are lost or tokens do not rise.
#[test]
fn without_the_lock_increments_are_found_to_collide() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("number");
    std::fs::write(&file, "5 100\n").expect("written");
    let mut command = support::rmctl(&["__increment", file.to_str().expect("a plain path")]);
    command.env("RM_FENCE", "100");
    let increment = Running::start(command);
    assert!(increment.errors.find("came after token 100").is_some());
}
