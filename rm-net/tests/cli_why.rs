//! `rmctl why`, `tree`, `watch` and `wait` with real processes: who waits for whom, and until when.
#![cfg(feature = "cli")]

mod support;

use std::future::IntoFuture as _;
use std::process::Output;
use std::time::Instant;

use rm_net::Client;
use rustix::process::Signal;
use serde_json::Value;

use self::support::{Daemon, PATIENCE, Running, code, objects, stderr, stdout};

/// Asks `rmctl` again and again until its one object is as wanted.
fn until(daemon: &Daemon, args: &[&str], is_it: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let output = daemon.run(args);
        let object = objects(&output).into_iter().next();
        if let Some(object) = object.filter(|object| is_it(object)) {
            return object;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "never: {}{}",
            stdout(&output),
            stderr(&output)
        );
    }
}

fn count(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

/// `rmctl lock`, which has to wait.
fn asks(daemon: &Daemon, lock: &[&str]) -> Running {
    let mut args = vec!["lock"];
    args.extend_from_slice(lock);
    args.extend_from_slice(&["--", "true"]);
    Running::start(daemon.rmctl(&args))
}

/// A report that waits behind a writer that waits for a reader.
struct Night {
    daemon: Daemon,
    _parties: [Running; 3],
}

fn night() -> Night {
    let daemon = Daemon::start();
    let why = ["--json", "why", "volumes/42"];
    let holder = daemon.hold(&["-s", "--label", "nightly", "volumes/42"], "read line");
    let writer = asks(&daemon, &["--label", "resize job 7", "volumes/42"]);
    until(&daemon, &why, |told| count(&told["waits"]) == 1);
    let reader = asks(&daemon, &["-s", "--label", "report", "volumes/42"]);
    until(&daemon, &why, |told| count(&told["waits"]) == 2);
    Night {
        daemon,
        _parties: [holder, writer, reader],
    }
}

fn ok(output: &Output) -> String {
    assert_eq!(code(output), Some(0), "{}", stderr(output));
    stdout(output)
}

#[test]
fn why_tells_the_chain_from_the_youngest_over_the_barrier_to_the_holder() {
    let night = night();
    let text = ok(&night.daemon.run(&["why", "volumes/42"]));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "volumes/42 (rw-lock): 2 requests wait");
    assert!(lines[1].starts_with("nightly on "), "{text}");
    assert!(lines[1].contains("asked to give way"), "{text}");
    assert!(lines[2].starts_with("└─ resize job 7 on "), "{text}");
    assert!(lines[3].starts_with("   └─ report on "), "{text}");
    assert!(lines[3].ends_with("behind that"), "{text}");
    assert!(lines[5].starts_with("report on "), "{text}");
    assert!(lines[5].contains("waits behind resize job 7 on"), "{text}");
    assert!(lines[5].contains("which waits for nightly on"), "{text}");
    assert!(text.contains("let nightly on "), "{text}");
    assert!(text.contains("rmctl release --force --reason TEXT volumes/42"));

    let told = &objects(&night.daemon.run(&["--json", "why", "volumes/42"]))[0];
    assert_eq!(told["chain"], serde_json::json!([1, 0]));
    assert_eq!(told["waits"][1]["behind"], serde_json::json!([0]));
    assert_eq!(told["waits"][0]["holders"], serde_json::json!([0]));
    assert_eq!(told["holders"][0]["wanted_by"], serde_json::json!([0]));
    assert!(told["holders"][0]["asked_ms"].is_u64(), "{told}");
}

#[test]
fn why_tells_of_the_request_that_is_asked_about_and_says_so_if_there_is_none() {
    let night = night();
    let told = &objects(
        &night
            .daemon
            .run(&["--json", "why", "--for", "resize", "volumes/42"]),
    )[0];
    assert_eq!(told["chain"], serde_json::json!([0]));
    let none = night.daemon.run(&["why", "--for", "nobody", "volumes/42"]);
    assert_eq!(code(&none), Some(1));
    assert!(
        stderr(&none).contains("leave out --for"),
        "{}",
        stderr(&none)
    );
}

#[test]
fn where_nobody_waits_why_says_who_holds_and_where_nobody_holds_it_says_that() {
    let daemon = Daemon::start();
    let _holder = daemon.hold(&["nightly"], "read line");
    let text = ok(&daemon.run(&["why", "nightly"]));
    assert!(text.contains("nobody waits; it is held"), "{text}");
    assert!(text.contains("holds it to write"), "{text}");
    let output = daemon.run(&["why", "nigthly"]);
    assert!(ok(&output).contains("nobody holds it, nobody waits"));
    assert!(
        stderr(&output).contains("did you mean nightly?"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_holder_below_a_middle_is_named_with_the_way_to_it_wherever_one_asks() {
    let root = Daemon::start();
    let rack = Daemon::start_with(&["--creditor", &root.address, "--name", "rack"]);
    let _holder = rack.hold(&["--label", "deep", "x"], "read line");
    let _waits = asks(&root, &["--label", "above", "x"]);
    let _behind = asks(&rack, &["--label", "below", "x"]);
    for server in [&root, &rack] {
        let told = until(server, &["--json", "why", "x"], |told| {
            count(&told["waits"]) == 2
        });
        assert_eq!(told["holders"][0]["label"], "deep", "{told}");
        assert_eq!(told["holders"][0]["via"], "rack", "{told}");
        let below = if told["waits"][0]["label"] == "below" {
            0
        } else {
            1
        };
        assert_eq!(told["waits"][below]["via"], "rack", "{told}");
    }
    let text = ok(&root.run(&["tree"]));
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[2].starts_with("├─ rack ") || lines[2].starts_with("└─ rack "),
        "{text}"
    );
    assert!(lines[3].contains("─ "), "{text}");
    let branches = objects(&root.run(&["--json", "tree"]));
    let deep = branches.iter().find(|branch| branch["held"] == 1);
    assert_eq!(deep.expect("a holder")["above"][1], "rack");
}

#[test]
fn a_holder_that_does_not_answer_hides_nobody_else_below_its_relay() {
    let root = Daemon::start_with_lease("1m");
    let rack = Daemon::start_with(&["--creditor", &root.address, "--name", "rack"]);
    let silent = rack.hold(&["-s", "--label", "silent", "x"], "read line");
    let _deep = rack.hold(&["-s", "--label", "deep", "x"], "read line");
    let _waits = asks(&root, &["x"]);
    silent.signal(Signal::STOP);
    let told = until(&root, &["--json", "why", "x"], |told| {
        let holders = told["holders"].as_array().into_iter().flatten();
        holders.clone().any(|holder| holder["kind"] == "silent")
            && holders.clone().any(|holder| holder["label"] == "deep")
    });
    let holders = told["holders"].as_array().expect("some");
    let relay = holders.iter().find(|holder| holder["node"] == "rack");
    assert!(relay.is_none(), "{told}");
    silent.signal(Signal::CONT);
}

#[test]
fn of_a_holder_that_does_not_answer_why_says_so_and_not_that_it_cannot_be_reached() {
    let daemon = Daemon::start_with_lease("1m");
    let holder = daemon.hold(&["x"], "read line");
    holder.signal(Signal::STOP);
    let _waits = asks(&daemon, &["x"]);
    let told = until(&daemon, &["--json", "why", "x"], |told| {
        count(&told["waits"]) == 1
    });
    assert_eq!(told["holders"][0]["kind"], "silent", "{told}");
    // It may be busy, and renew.
    assert!(told["holders"][0]["lease_left_ms"].is_null(), "{told}");
    let text = ok(&daemon.run(&["why", "x"]));
    assert!(text.contains("is busy, stopped or cut off"), "{text}");
    assert!(!text.contains("cannot be reached"), "{text}");
    holder.signal(Signal::CONT);
}

#[test]
fn a_circle_over_two_names_is_called_a_deadlock() {
    let daemon = Daemon::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let client = |name: &str| {
        let builder = Client::builder().endpoint(&daemon.address).name(name);
        runtime.block_on(builder.connect()).expect("connected")
    };
    let (a, b) = (client("a"), client("b"));
    let x = runtime.block_on(a.rw_lock("x").write_owned().label("move").into_future());
    let y = runtime.block_on(b.rw_lock("y").write_owned().label("copy").into_future());
    let _held = (x.expect("free"), y.expect("free"));
    let _waits = (
        runtime.spawn(a.rw_lock("y").write_owned().label("move").into_future()),
        runtime.spawn(b.rw_lock("x").write_owned().label("copy").into_future()),
    );
    let told = until(&daemon, &["--json", "why", "x"], |told| {
        told["paths"][0]["deadlock"] == true
    });
    let links = &told["paths"][0]["links"];
    assert_eq!(count(links), 2, "{told}");
    assert_eq!(
        (&links[0]["node"], &links[0]["waits_for"]),
        (&"a".into(), &"y".into())
    );
    let text = ok(&daemon.run(&["why", "x"]));
    assert!(
        text.contains("deadlock: move on a holds x and waits for y"),
        "{text}"
    );
    assert!(
        text.contains("end one of those that wait in a circle"),
        "{text}"
    );
}

#[test]
fn a_holder_that_waits_for_another_name_is_followed_there() {
    let daemon = Daemon::start();
    let _other = daemon.hold(&["--label", "other", "y"], "read line");
    // One `rmctl` within another: they are one task by their label.
    let script = format!("{} lock --label job y -- true", support::RMCTL);
    let _holder = daemon.hold(&["--label", "job", "x"], &script);
    let _waits = asks(&daemon, &["--label", "late", "x"]);
    let told = until(&daemon, &["--json", "why", "x"], |told| {
        count(&told["paths"]) == 1
    });
    assert_eq!(told["paths"][0]["deadlock"], false);
    assert_eq!(told["paths"][0]["links"][0]["waits_for"], "y");
    let advice = told["advice"].to_string();
    assert!(advice.contains("rmctl why y"), "{advice}");
}

#[test]
fn watch_tells_each_change_and_ends_when_it_is_told_to() {
    let daemon = Daemon::start();
    let args = ["--json", "watch", "--interval", "50ms", "x"];
    let watch = Running::start(daemon.rmctl(&args));
    let line = || -> Value {
        let line = watch.lines.next().expect("a line");
        serde_json::from_str(&line).expect("an object")
    };
    assert_eq!(line()["state"], "free");
    let mut holder = daemon.hold(&["--label", "job", "x"], "read line");
    let held = line();
    assert_eq!(
        (&held["state"], &held["holders"][0]["label"]),
        (&"held".into(), &"job".into())
    );
    let _waits = asks(&daemon, &["x"]);
    assert_eq!(line()["state"], "wanted");
    let wanted = daemon.run(&["watch", "--until", "wanted", "x"]);
    assert!(
        ok(&wanted).contains("waits to write"),
        "{}",
        stdout(&wanted)
    );
    holder.close_stdin();
    while line()["state"] != "free" {}
}

#[test]
fn a_server_that_has_just_started_does_not_say_that_a_lock_is_free() {
    let mut daemon = Daemon::start_with_lease("1m");
    let holder = daemon.hold(&["x"], "read line");
    holder.signal(Signal::STOP);
    daemon.kill_and_start_again("1m");
    let late = daemon.run(&["wait", "-w", "0.1", "-E", "42", "x"]);
    assert_eq!(code(&late), Some(42), "{}", stdout(&late));
    assert!(stderr(&late).contains("just started"), "{}", stderr(&late));
    let why = ok(&daemon.run(&["why", "x"]));
    assert!(why.contains("nobody is known to hold it"), "{why}");
    let told = &objects(&daemon.run(&["--json", "why", "x"]))[0];
    assert_eq!(count(&told["doubts"]), 1, "{told}");
    holder.signal(Signal::CONT);
}

#[test]
fn wait_ends_when_the_lock_is_free_and_takes_nothing() {
    let daemon = Daemon::start();
    assert!(ok(&daemon.run(&["wait", "x"])).contains("x is free"));
    let mut holder = daemon.hold(&["--label", "job", "x"], "read line");
    let late = daemon.run(&["wait", "-w", "0.1", "-E", "42", "x"]);
    assert_eq!(code(&late), Some(42));
    assert!(stderr(&late).contains("job on "), "{}", stderr(&late));
    let mut wait = Running::start(daemon.rmctl(&["--json", "wait", "--interval", "50ms", "x"]));
    holder.close_stdin();
    let line = wait.lines.next().expect("a line");
    assert!(line.contains("\"state\":\"free\""), "{line}");
    assert_eq!(wait.end().code(), Some(0));
}
