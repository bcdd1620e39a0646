//! `rmctl doctor` with real processes.
#![cfg(feature = "cli")]

mod support;

use rustix::process::Signal;

use self::support::{Daemon, code, finish, objects, rmctl, stderr, stdout};

/// An address where nobody listens: a port that was free a moment ago.
fn nowhere() -> String {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    port.expect("a port").to_string()
}

#[test]
fn one_server_on_this_machine_is_well() {
    let daemon = Daemon::start();
    let output = daemon.run(&["--json", "doctor", "--watch", "0.5"]);
    assert_eq!(
        code(&output),
        Some(0),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    let findings = objects(&output);
    let is_there = |check: &str| findings.iter().any(|finding| finding["check"] == check);
    for check in [
        "clock",
        "wall clock",
        "reach",
        "standing",
        "coordinator",
        "lease",
        "tls",
        "files",
        "data dir",
        "version",
    ] {
        assert!(is_there(check), "nothing of {check}");
    }
    for finding in &findings {
        let is_ok = finding["level"] == "ok";
        assert_eq!(is_ok, finding["advice"] == "", "{finding}");
        assert_ne!(finding["level"], "fail", "{finding}");
    }
}

#[test]
fn a_dead_endpoint_fails_and_the_advice_says_what_to_do() {
    let dead = nowhere();
    let output = finish(rmctl(&["--endpoints", &dead, "doctor", "--watch", "0"]));
    assert_eq!(code(&output), Some(1));
    let text = stdout(&output);
    assert!(text.contains("FAIL  reach"), "{text}");
    assert!(text.contains("start the server"), "{text}");
}

#[test]
fn a_server_that_is_paused_fails_beside_one_that_is_not() {
    let (good, paused) = (Daemon::start(), Daemon::start());
    paused.signal(Signal::STOP);
    let both = format!("{},{}", good.address, paused.address);
    let output = finish(rmctl(&[
        "--json",
        "--endpoints",
        &both,
        "doctor",
        "--watch",
        "0",
    ]));
    assert_eq!(code(&output), Some(1));
    let of = |address: &str| {
        let findings = objects(&output);
        let reach = findings
            .into_iter()
            .find(|finding| finding["check"] == "reach" && finding["subject"] == address);
        reach.expect("a line about it")["level"].clone()
    };
    assert_eq!(of(&good.address), "ok");
    assert_eq!(of(&paused.address), "fail");
    paused.signal(Signal::CONT);
}

#[test]
fn two_servers_that_stand_alone_are_told_apart_from_a_cluster() {
    let one = Daemon::start_with(&["--name", "one"]);
    let two = Daemon::start_with(&["--name", "two"]);
    let both = format!("{},{}", one.address, two.address);
    let output = finish(rmctl(&["--endpoints", &both, "doctor", "--watch", "0"]));
    assert_eq!(code(&output), Some(1));
    let text = stdout(&output);
    assert!(text.contains("one and two stand alone"), "{text}");
}
