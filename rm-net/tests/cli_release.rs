//! `rmctl release` with real processes: who loses what, who is told, who gets in, and what is written down.
#![cfg(feature = "cli")]

mod support;

use rustix::process::Signal;
use serde_json::Value;

use self::support::{Daemon, Lines, PATIENCE, Running, code, objects, stderr, stdout};

/// A script that says its fencing token, then waits for its input to end.
const TELL: &str = "echo $RM_FENCE; read line";

fn fence(holder: &Running) -> u64 {
    let line = holder.lines.next().expect("a token");
    line.parse().expect("a number")
}

#[test]
fn a_polite_release_tells_the_holder_why_and_the_next_one_gets_in() {
    let daemon = Daemon::start();
    let mut holder = daemon.hold(&["x"], TELL);
    let old = fence(&holder);
    let args = [
        "--json",
        "release",
        "--force",
        "--reason",
        "stuck since noon",
        "x",
    ];
    let output = daemon.run(&args);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let told = &objects(&output)[0];
    assert_eq!(
        (&told["how"], &told["free"]),
        (&"polite".into(), &true.into())
    );
    assert_eq!(told["loans"][0]["end"], "returned", "{told}");
    // The holder's command is ended, and people read who took the lock away, and why.
    let line = holder.errors.find("the lock is lost");
    let line = line.expect("rmctl says that the lock is lost");
    assert!(line.contains("released by force"), "{line}");
    assert!(line.contains("stuck since noon"), "{line}");
    assert_eq!(holder.end().code(), Some(113));
    let next = daemon.run(&["lock", "-n", "x", "--", "sh", "-c", "echo $RM_FENCE"]);
    assert_eq!(code(&next), Some(0), "{}", stderr(&next));
    let new: u64 = stdout(&next).trim().parse().expect("a number");
    assert!(new > old, "{new} after {old}");
}

#[test]
fn a_paused_holder_is_silent_politely_and_passed_over_at_once_with_now() {
    let daemon = Daemon::start_with_lease("1m");
    let mut holder = daemon.hold(&["x"], TELL);
    let old = fence(&holder);
    holder.signal(Signal::STOP);
    let polite = daemon.run(&["--json", "release", "--force", "--reason", "r", "x"]);
    assert_eq!(code(&polite), Some(1), "{}", stderr(&polite));
    let told = &objects(&polite)[0];
    assert_eq!(told["loans"][0]["end"], "silent", "{told}");
    assert_eq!(told["free"], false);
    let left = told["loans"][0]["believed_ms"].as_u64().expect("a number");
    assert!((1..=62_000).contains(&left), "{left} ms of a minute");
    let busy = daemon.run(&["lock", "-n", "x", "--", "true"]);
    assert_eq!(code(&busy), Some(1), "it is still lent");

    let text = stdout(&daemon.run(&["release", "--force", "--now", "--reason", "r", "x"]));
    assert!(text.contains("not promised"), "{text}");
    let next = daemon.run(&["lock", "-n", "x", "--", "sh", "-c", "echo $RM_FENCE"]);
    assert_eq!(code(&next), Some(0), "{}", stderr(&next));
    let new: u64 = stdout(&next).trim().parse().expect("a number");
    assert!(
        new > old,
        "the token of the former holder is not older: {new} after {old}"
    );
    holder.signal(Signal::CONT);
    assert!(holder.errors.find("released by force").is_some());
    assert_eq!(holder.end().code(), Some(113));
}

#[test]
fn readers_lose_it_all_together() {
    let daemon = Daemon::start();
    let mut readers = [(); 3].map(|()| daemon.hold(&["-s", "x"], "read line"));
    let output = daemon.run(&["--json", "release", "--force", "--reason", "r", "x"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let told = objects(&output).remove(0);
    let loans = told["loans"].as_array().expect("a list");
    assert_eq!(loans.len(), 3);
    // Named, though their sessions may have ended by now.
    let is_named = |loan: &Value| loan["node"].as_str().is_some_and(|node| node.contains('/'));
    assert!(loans.iter().all(is_named), "{told}");
    for reader in &mut readers {
        assert_eq!(reader.end().code(), Some(113));
    }
}

#[test]
fn of_what_nobody_has_it_is_said_that_nobody_lost_anything() {
    let daemon = Daemon::start();
    let output = daemon.run(&["release", "--force", "--reason", "r", "x"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("nobody lost anything"));
}

#[test]
fn without_force_or_a_reason_nothing_happens() {
    let daemon = Daemon::start();
    let _holder = daemon.hold(&["x"], "read line");
    for args in [
        &["release", "--reason", "r", "x"][..],
        &["release", "--force", "x"],
        &["release", "--force", "--reason", "", "x"],
    ] {
        assert_eq!(code(&daemon.run(args)), Some(64), "{args:?}");
    }
    assert_eq!(
        code(&daemon.run(&["lock", "-n", "x", "--", "true"])),
        Some(1)
    );
}

#[test]
fn a_release_is_in_the_servers_log_with_who_and_why_whatever_else_is_logged() {
    let mut daemon = Daemon::start_heard(&[]);
    let log = Lines::of(daemon.child.stderr.take().expect("piped"));
    let _holder = daemon.hold(&["x"], "read line");
    let mut command = daemon.rmctl(&["release", "--force", "--reason", "night shift", "x"]);
    command.env("USER", "ada");
    assert_eq!(code(&support::finish(command)), Some(0));
    let ordered = log.find("rm::audit").expect("a line of the audit");
    for part in [
        "WARN",
        "ada@",
        "night shift",
        "release x of type 1 politely",
    ] {
        assert!(ordered.contains(part), "no {part} in {ordered}");
    }
    let done = log.find("carried out").expect("a line about the outcome");
    assert!(done.contains("Returned"), "{done}");
}

#[test]
fn a_server_in_the_middle_of_a_tree_passes_the_order_on_to_the_root() {
    let root = Daemon::start();
    let rack = Daemon::start_with(&["--creditor", &root.address, "--name", "rack"]);
    let mut holder = rack.hold(&["x"], "read line");
    let output = rack.run(&["--json", "release", "--force", "--reason", "r", "x"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let told = &objects(&output)[0];
    assert_eq!(told["endpoint"], root.address.as_str());
    assert_eq!(told["loans"][0]["node"], "rack");
    assert!(holder.errors.find("released by force").is_some());
    assert_eq!(holder.end().code(), Some(113));
}

#[test]
fn members_of_a_server_alone_are_itself() {
    let daemon = Daemon::start_with(&["--name", "solo", "--lease", "7s"]);
    let view = &objects(&daemon.run(&["--json", "members"]))[0];
    assert_eq!(view["members"].as_array().expect("a list").len(), 1);
    assert_eq!(view["members"][0]["name"], "solo");
    assert_eq!(view["members"][0]["address"], daemon.address.as_str());
    assert_eq!(
        (&view["role"], &view["standing"]),
        (&"standalone".into(), &"active".into())
    );
    assert_eq!(view["lease_ms"], 7_000);
    assert_eq!(view["good_for_ms"], Value::Null);
    let text = stdout(&daemon.run(&["members"]));
    assert!(text.contains("solo is active"), "{text}");
}

#[test]
fn status_tells_of_each_endpoint_and_complains_of_those_that_do_not_answer() {
    let (one, two) = (Daemon::start(), Daemon::start());
    let both = format!("{},{}", one.address, two.address);
    let output = one.run(&["--json", "--endpoints", &both, "status"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let lines = objects(&output);
    let endpoints: Vec<_> = lines.iter().map(|line| line["endpoint"].clone()).collect();
    assert_eq!(endpoints, [one.address.as_str(), two.address.as_str()]);
    assert_eq!(
        (&lines[0]["role"], &lines[0]["members"]),
        (&"standalone".into(), &1.into())
    );
    assert_eq!(lines[0]["counters"]["lost_revoked"], 0);
    drop(two);
    let output = one.run(&["--json", "--endpoints", &both, "status"]);
    assert_eq!(code(&output), Some(75));
    assert_eq!(objects(&output).len(), 1);
    assert!(
        stderr(&output).contains("no server answers"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn drain_waits_for_the_holder_and_then_the_server_has_gone() {
    let daemon = Daemon::start_with(&["--name", "solo"]);
    let mut holder = daemon.hold(&["x"], "read line");
    let mut drain = Running::start(daemon.rmctl(&["--json", "drain", "solo", "--timeout", "1m"]));
    let line = drain.lines.next().expect("it has begun");
    let begun: Value = serde_json::from_str(&line).expect("an object");
    assert_eq!(
        (&begun["event"], &begun["loans"]),
        (&"draining".into(), &1.into())
    );
    // It takes nobody new meanwhile.
    let start = std::time::Instant::now();
    while code(&daemon.run(&["lock", "y", "--", "true"])) != Some(75) {
        assert!(start.elapsed() < PATIENCE, "it goes on granting");
    }
    holder.close_stdin();
    assert!(
        drain
            .lines
            .find("drained")
            .is_some_and(|line| line.contains("true"))
    );
    assert_eq!(drain.end().code(), Some(0));
    let stopped = daemon.line().expect("the server reports");
    assert!(stopped.contains("\"clean\":true"), "{stopped}");
}

#[test]
fn a_server_with_nothing_to_hand_over_answers_before_it_goes() {
    for _ in 0..4 {
        let daemon = Daemon::start_with(&["--name", "solo"]);
        let output = daemon.run(&["--json", "drain", "solo", "--timeout", "1m"]);
        assert_eq!(code(&output), Some(0), "{}", stderr(&output));
        let last = objects(&output).pop().expect("a report");
        assert_eq!(
            (&last["event"], &last["clean"]),
            (&"drained".into(), &true.into())
        );
    }
}

#[test]
fn a_drain_whose_time_is_over_says_so() {
    let daemon = Daemon::start_with(&["--name", "solo"]);
    let _holder = daemon.hold(&["x"], "read line");
    let output = daemon.run(&["--json", "drain", "solo", "--timeout", "1s"]);
    assert_eq!(code(&output), Some(1), "{}", stdout(&output));
    let last = objects(&output).pop().expect("a report");
    assert_eq!(
        (&last["event"], &last["clean"]),
        (&"drained".into(), &false.into())
    );
}

#[test]
fn a_drain_of_a_server_that_is_none_names_those_that_are() {
    let daemon = Daemon::start_with(&["--name", "solo"]);
    let output = daemon.run(&["drain", "other"]);
    assert_eq!(code(&output), Some(75));
    assert!(
        stderr(&output).contains("the members are: solo"),
        "{}",
        stderr(&output)
    );
}
