//! `rmd`, and what `rmctl` tells about it, with real processes.
#![cfg(feature = "cli")]

mod support;

use std::net::TcpListener;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use self::support::{
    Daemon, PATIENCE, RMD, Running, code, finish, objects, rmctl, rmd, stderr, stdout,
};

#[test]
fn a_port_in_use_is_71_and_the_error_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let mut command = Command::new(RMD);
    command
        .args(["--listen", &address, "--data-dir"])
        .arg(dir.path());
    let output = finish(command);
    assert_eq!(code(&output), Some(71));
    assert!(stderr(&output).contains("--listen"), "{}", stderr(&output));
}

#[test]
fn a_data_directory_that_cannot_be_written_is_73() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let output = finish(rmd(&file.join("data")));
    assert_eq!(code(&output), Some(73));
    assert!(
        stderr(&output).contains("--data-dir"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_second_server_on_the_same_directory_is_refused_with_73() {
    let daemon = Daemon::start();
    let output = finish(rmd(&daemon.dir.path().join("data")));
    assert_eq!(code(&output), Some(73));
    assert!(stderr(&output).contains("in use"), "{}", stderr(&output));
}

#[test]
fn settings_that_make_no_sense_are_78() {
    let dir = tempfile::tempdir().expect("a directory");
    for (arguments, part) in [
        (&["--lease", "1ms"][..], "lease"),
        (&["--name", ""][..], "name"),
        (&["--log", "rm_net=nonsense"][..], "log"),
        (&["--creditor", "10.0.0.1"][..], "host and port"),
        (&["--creditor", ""][..], "host and port"),
    ] {
        let mut command = rmd(dir.path());
        if arguments[0] == "--log" {
            command = Command::new(RMD);
        }
        command.args(arguments);
        let output = finish(command);
        assert_eq!(
            code(&output),
            Some(78),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}

#[test]
fn other_machines_are_not_served_unless_told_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(RMD);
    command
        .args(["--listen", "0.0.0.0:0", "--data-dir"])
        .arg(dir.path());
    let output = finish(command);
    assert_eq!(code(&output), Some(78));
    assert!(
        stderr(&output).contains("--insecure"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn without_any_place_for_its_data_it_refuses_to_start() {
    let mut command = Command::new(RMD);
    command.env_clear().args(["--listen", "127.0.0.1:0"]);
    let output = finish(command);
    assert_eq!(code(&output), Some(78));
    assert!(
        stderr(&output).contains("--data-dir"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn unknown_flags_are_64_for_both_programs() {
    let mut command = Command::new(RMD);
    command.arg("--nonsense");
    assert_eq!(code(&finish(command)), Some(64));
    assert_eq!(code(&finish(rmctl(&["lock", "--nonsense"]))), Some(64));
    assert_eq!(code(&finish(rmctl(&[]))), Some(64));
}

#[test]
fn version_and_help_go_to_standard_output_with_code_0() {
    for arguments in [&["--version"][..], &["--help"], &["lock", "--help"]] {
        let output = finish(rmctl(arguments));
        assert_eq!(code(&output), Some(0));
        assert!(stdout(&output).contains("rmctl"), "{}", stdout(&output));
    }
}

#[test]
fn a_server_of_another_kind_is_named() {
    use std::io::Write as _;

    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for connection in other.incoming() {
            let mut connection = connection.expect("accepted");
            drop(connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    for args in [&["status"][..], &["why", "x"]] {
        let mut all = vec!["--endpoints", &address];
        all.extend_from_slice(args);
        let output = finish(rmctl(&all));
        assert_eq!(code(&output), Some(75));
        let errors = stderr(&output);
        assert!(errors.contains("it speaks HTTP"), "{args:?}: {errors}");
    }
}

#[test]
fn a_signal_stops_the_server_in_order_and_it_reports() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = Daemon::start();
        assert_eq!(code(&daemon.run(&["lock", "x", "--", "true"])), Some(0));
        daemon.signal(signal);
        let line = daemon.line().expect("a report");
        let report: Value = serde_json::from_str(&line).expect("an object");
        assert_eq!(report["event"], "stopped");
        assert_eq!(report["clean"], true, "{report}");
        assert_eq!(daemon.child.wait().expect("waited for").code(), Some(0));
    }
}

#[test]
fn a_server_with_a_creditor_lends_what_it_borrows_and_returns_it_when_it_is_stopped() {
    let root = Daemon::start();
    let mut rack = Daemon::start_with(&["--creditor", &root.address, "--name", "rack"]);
    let mut holder = rack.hold(&["x"], "read line");
    let tried = root.run(&["lock", "-n", "x", "--", "true"]);
    assert_eq!(code(&tried), Some(1), "two write");
    let shown = stdout(&root.run(&["show", "x"]));
    assert!(shown.contains("(by way of rack) holds it"), "{shown}");
    let status = &objects(&rack.run(&["--json", "status"]))[0];
    let coordinator = format!("borrows from {}", root.address);
    assert_eq!(status["coordinator"], coordinator.as_str());
    holder.close_stdin();
    holder.end();
    rack.signal(Signal::TERM);
    let report: Value = serde_json::from_str(&rack.line().expect("a report")).expect("an object");
    assert_eq!(report["event"], "stopped");
    assert_eq!(report["clean"], true, "{report}");
    assert_eq!(rack.child.wait().expect("waited for").code(), Some(0));
    let free = root.run(&["lock", "-n", "x", "--", "true"]);
    assert_eq!(code(&free), Some(0), "{}", stderr(&free));
}

/// Waits until the server refuses requests: 75, try again later.
fn until_it_refuses(daemon: &Daemon) {
    let start = std::time::Instant::now();
    while code(&daemon.run(&["lock", "y", "--", "true"])) != Some(75) {
        assert!(start.elapsed() < PATIENCE, "it goes on granting");
    }
}

#[test]
fn a_server_that_is_stopped_waits_for_holders_and_the_restart_need_not() {
    let daemon = Daemon::start_with(&["--drain-timeout", "1m"]);
    let mut holder = daemon.hold(&["x"], "read line");
    daemon.signal(Signal::TERM);
    // It refuses requests before the holder is done: so it waits for that.
    until_it_refuses(&daemon);
    holder.close_stdin();
    let line = daemon.line().expect("a report");
    let report: Value = serde_json::from_str(&line).expect("an object");
    assert_eq!(
        (&report["event"], &report["clean"]),
        (&"stopped".into(), &true.into())
    );
}

#[test]
fn a_server_that_is_stopped_says_what_was_not_back_in_time() {
    let mut daemon = Daemon::start_with(&["--drain-timeout", "100ms"]);
    let _holder = daemon.hold(&["x"], "read line");
    daemon.signal(Signal::TERM);
    let line = daemon.line().expect("what is in the way");
    let still: Value = serde_json::from_str(&line).expect("an object");
    assert_eq!(
        (&still["event"], &still["name"], &still["what"]),
        (&"in_the_way".into(), &"x".into(), &"lent".into())
    );
    let line = daemon.line().expect("a report");
    let report: Value = serde_json::from_str(&line).expect("an object");
    assert_eq!(
        (&report["clean"], &report["loans"]),
        (&false.into(), &1.into())
    );
    assert_eq!(daemon.child.wait().expect("waited for").code(), Some(0));
}

#[test]
fn a_second_signal_stops_the_server_without_waiting() {
    let daemon = Daemon::start_with(&["--drain-timeout", "1h"]);
    let _holder = daemon.hold(&["x"], "read line");
    daemon.signal(Signal::TERM);
    until_it_refuses(&daemon);
    daemon.signal(Signal::TERM);
    let line = daemon.line().expect("a report");
    let report: Value = serde_json::from_str(&line).expect("an object");
    assert_eq!(
        (&report["event"], &report["clean"]),
        (&"stopped".into(), &false.into())
    );
}

#[test]
fn status_tells_the_lease_and_the_counters() {
    let daemon = Daemon::start_with_lease("7s");
    let output = daemon.run(&["--json", "status"]);
    let status = &objects(&output)[0];
    assert_eq!(status["lease_ms"], 7_000);
    assert_eq!(status["coordinator"], "standalone");
    assert!(status["counters"].is_object());
}

#[test]
fn ls_lists_what_is_held_by_prefix_and_exactly() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let daemon = Daemon::start();
    let _first = daemon.hold(&["volumes/1"], "read line");
    let mut odd = daemon.rmctl(&["hold", "--json"]);
    odd.arg(OsStr::from_bytes(b"volumes/\xff"));
    let odd = Running::start(odd);
    assert!(odd.lines.find("held").is_some());
    let _other = daemon.hold(&["other"], "read line");
    let output = daemon.run(&["--json", "ls", "volumes/"]);
    let names: Vec<_> = objects(&output)
        .iter()
        .map(|line| (line["name"].clone(), line["name_hex"].clone()))
        .collect();
    let expected = [
        ("volumes/1", "766f6c756d65732f31"),
        ("volumes/\\xff", "766f6c756d65732fff"),
    ];
    assert_eq!(names, expected.map(|(name, hex)| (name.into(), hex.into())));
}

#[test]
fn show_names_who_holds_and_who_waits_with_their_labels() {
    let daemon = Daemon::start();
    let _holder = daemon.hold(&["--label", "the holder", "x"], "read line");
    let arguments = ["lock", "--label", "the waiter", "x", "--", "true"];
    let _waiter = Running::start(daemon.rmctl(&arguments));
    let start = std::time::Instant::now();
    let entries = loop {
        let output = daemon.run(&["--json", "show", "x"]);
        let entries = objects(&output)[0]["entries"].clone();
        let kinds: Vec<_> = entries
            .as_array()
            .expect("a list")
            .iter()
            .map(|e| e["kind"].clone())
            .collect();
        if kinds.contains(&"waits".into()) && kinds.contains(&"holds".into()) {
            break entries;
        }
        assert!(start.elapsed() < PATIENCE, "{entries}");
    };
    let label = |kind: &str| {
        let entries = entries.as_array().expect("a list");
        let entry = entries.iter().find(|entry| entry["kind"] == kind);
        entry.map(|entry| entry["label"].clone())
    };
    assert_eq!(label("holds"), Some("the holder".into()));
    assert_eq!(label("waits"), Some("the waiter".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn show_tells_of_every_type_that_has_the_name_and_ls_says_the_types() {
    let daemon = Daemon::start();
    let client = rm_net::Client::connect(&daemon.address).await;
    let client = client.expect("connected");
    let lock = client.rw_lock("x");
    let _reader = lock.read().await.expect("granted");
    let (four, five) = (client.semaphore("x", 4), client.semaphore("x", 5));
    let _permits = (four.acquire(2).await, five.acquire(1).await);
    let file = client.byte_range("x");
    let _range = file.write(0..10).await.expect("granted");
    // None of these is called x.
    let others = ["x#y", "x1", "w"].map(|name| client.rw_lock(name));
    for other in &others {
        drop(other.read().await.expect("granted"));
    }
    drop(client.semaphore("x1", 4).acquire(1).await);
    let longer = client.byte_range("x#7");
    drop(longer.read(..).await.expect("granted"));

    let shown = objects(&daemon.run(&["--json", "show", "x"]));
    let names: Vec<_> = shown
        .iter()
        .map(|line| (line["type"].clone(), line["name"].clone()))
        .collect();
    let expected = [
        ("rw-lock", "x"),
        ("byte-range", "x"),
        ("semaphore", "x#4"),
        ("semaphore", "x#5"),
    ];
    assert_eq!(
        names,
        expected.map(|(kind, name)| (kind.into(), name.into()))
    );
    for line in &shown {
        let entries = line["entries"].as_array().expect("a list");
        let holds = entries.iter().any(|entry| entry["kind"] == "holds");
        assert!(holds && line["known"] == true, "{line}");
    }
    let listed = stdout(&daemon.run(&["ls", "x#4"]));
    let row: Vec<_> = listed
        .lines()
        .last()
        .expect("a line")
        .split_whitespace()
        .collect();
    assert_eq!(row[..2], ["x#4", "semaphore"], "{listed}");
}

#[test]
fn show_of_a_lock_nobody_knows_says_that_it_is_free() {
    let daemon = Daemon::start();
    let output = daemon.run(&["show", "x"]);
    assert_eq!(code(&output), Some(0));
    assert!(
        stdout(&output).contains("nobody holds it"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn hold_says_when_it_holds_and_lets_go_when_its_input_ends() {
    let daemon = Daemon::start();
    let mut hold = Running::start(daemon.rmctl(&["--json", "hold", "b", "a"]));
    let line = hold.lines.next().expect("a line");
    let held: Value = serde_json::from_str(&line).expect("an object");
    assert_eq!(
        (&held["event"], &held["mode"]),
        (&"held".into(), &"write".into())
    );
    assert_eq!(held["locks"][0]["name"], "a");
    assert!(held["locks"][1]["fence"].as_u64() > Some(0));
    assert_eq!(
        code(&daemon.run(&["lock", "-n", "a", "--", "true"])),
        Some(1)
    );
    hold.close_stdin();
    assert!(hold.lines.find("released").is_some());
    assert_eq!(
        code(&daemon.run(&["lock", "-n", "a", "--", "true"])),
        Some(0)
    );
    assert_eq!(hold.end().code(), Some(0));
}

#[test]
fn hold_withdraws_its_request_when_its_input_ends() {
    let daemon = Daemon::start();
    let _holder = daemon.hold(&["x"], "read line");
    let mut hold = Running::start(daemon.rmctl(&["hold", "-E", "42", "x"]));
    hold.close_stdin();
    assert!(hold.errors.find("standard input ended").is_some());
    assert_eq!(hold.end().code(), Some(42));
    assert!(!stdout(&daemon.run(&["show", "x"])).contains("waits"));
}

#[test]
fn hold_says_when_the_lock_is_lost() {
    let daemon = Daemon::start_with_lease("1s");
    let mut hold = Running::start(daemon.rmctl(&["hold", "x"]));
    assert!(hold.lines.find("held x").is_some());
    daemon.signal(Signal::STOP);
    assert!(hold.lines.find("lost").is_some());
    assert_eq!(hold.end().code(), Some(113));
}

#[test]
fn bench_measures_and_leaves_nothing_behind() {
    let daemon = Daemon::start();
    let output = daemon.run(&["--json", "bench", "--seconds", "0.3"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let report = &objects(&output)[0];
    for measured in ["uncached_write", "cached_read", "cached_write", "hand_over"] {
        assert!(report[measured]["samples"].as_u64() > Some(0), "{report}");
        assert!(report[measured]["p50_ns"].as_u64() > Some(0), "{report}");
    }
    assert_eq!(stdout(&daemon.run(&["--json", "ls"])), "");
}

#[test]
fn after_a_restart_show_and_ls_say_that_more_may_be_held_than_the_server_knows() {
    let mut daemon = Daemon::start_with_lease("15s");
    let _holder = daemon.hold(&["kept"], "sleep 60");
    assert_eq!(stderr(&daemon.run(&["show", "kept"])), "");
    daemon.kill_and_start_again("15s");
    for question in [&["show", "kept"][..], &["ls"], &["--json", "ls"]] {
        let output = daemon.run(question);
        assert_eq!(code(&output), Some(0));
        let errors = stderr(&output);
        assert!(
            errors.contains("may still be held"),
            "{question:?}: {errors}"
        );
    }
}
