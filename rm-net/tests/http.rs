//! What `rmd` serves over HTTP, with a real daemon and real sockets; and what it refuses.
#![cfg(feature = "http")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use self::support::http::{self, get, request, send};
use self::support::{PATIENCE, Running, objects};

/// How often is looked at what comes about by itself.
const LOOK: Duration = Duration::from_millis(50);

/// Asks again and again until the answer is as wanted.
fn until(address: &str, path: &str, wanted: impl Fn(&http::Answer) -> bool) -> http::Answer {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = get(address, path);
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < end, "it stays at {answer:?}");
        std::thread::sleep(LOOK);
    }
}

fn keys(object: &Value) -> BTreeSet<String> {
    object
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect()
}

#[test]
fn the_page_is_whole_and_runs_no_script_but_its_own() {
    let (_daemon, page) = http::daemon(&[]);
    let html = get(&page, "/");
    assert_eq!(html.status, 200);
    assert!(
        html.head.contains("content-type: text/html"),
        "{}",
        html.head
    );
    for part in ["page.js", "page.css", "icon.svg"] {
        assert!(html.body.contains(&format!("\"{part}\"")), "{part}");
        let part = get(&page, &format!("/{part}"));
        assert_eq!(part.status, 200);
        assert!(
            part.head
                .contains("content-security-policy: default-src 'none'")
        );
    }
    // Neither in the page nor asked for by it.
    assert!(!html.body.contains("http://") && !html.body.contains("https://"));
    assert!(!html.body.contains("<script>") && !html.body.contains("onclick"));
}

#[test]
fn the_status_is_what_rmctl_prints_with_the_members() {
    let (daemon, page) = http::daemon(&["--name", "n1"]);
    let status = get(&page, "/status").json();
    let printed = objects(&daemon.run(&["status", "--json"])).remove(0);
    let members = objects(&daemon.run(&["members", "--json"])).remove(0);
    let more = ["cluster", "ready", "reasons"].map(String::from);
    let expected: BTreeSet<_> = keys(&printed).into_iter().chain(more).collect();
    assert_eq!(keys(&status), expected);
    assert_eq!(keys(&status["cluster"]), keys(&members));
    assert_eq!(status["name"], "n1");
    assert_eq!(status["cluster"]["members"][0]["name"], "n1");
}

#[test]
fn a_resource_tells_who_holds_it_and_who_waits_for_whom() {
    let (daemon, page) = http::daemon(&[]);
    let _holder = daemon.hold(&["--label", "backup", "a b"], "sleep 600");
    let mut waiter = daemon.rmctl(&["lock", "--label", "resize", "a b", "--", "true"]);
    let _waiter = Running::start({
        waiter.env("RUST_LOG", "off");
        waiter
    });
    let path = "/resource?type=1&name=a%20b";
    let waits = |answer: &http::Answer| {
        answer.status == 200
            && answer.json()["fronts"]
                .as_array()
                .is_some_and(|all| !all.is_empty())
    };
    let shown = until(&page, path, waits).json();
    let entry =
        |place: &Value| &shown["entries"][usize::try_from(place.as_u64().unwrap()).unwrap()];
    let front = &shown["fronts"][0];
    assert_eq!(entry(&front["entry"])["label"], "resize");
    assert_eq!(entry(&front["behind"][0])["label"], "backup");
    assert_eq!(entry(&front["behind"][0])["kind"], "holds");
}

#[test]
fn a_list_goes_on_where_it_ended_and_finds_names_of_any_bytes() {
    let (daemon, page) = http::daemon(&[]);
    let names = ["x1", "x2", "x3", "y"];
    let _holds: Vec<_> = names.map(|name| daemon.hold(&[name], "sleep 600")).into();
    let first = get(&page, "/resources?prefix=x&limit=2").json();
    assert_eq!(first["resources"].as_array().unwrap().len(), 2);
    let next = first["next"].as_str().unwrap();
    let second = get(
        &page,
        &format!("/resources?prefix=%78&limit=2&after={next}"),
    )
    .json();
    assert_eq!(second["resources"][0]["name"], "x3");
    assert_eq!(second["next"], Value::Null);
    assert_eq!(get(&page, "/resource?type=1&name=%ff%00").status, 404);
}

#[test]
fn metrics_are_lines_of_a_name_labels_and_a_number() {
    let (daemon, page) = http::daemon(&["--lease", "9s"]);
    let _holder = daemon.hold(&["a"], "sleep 600");
    let answer = get(&page, "/metrics");
    assert!(
        answer
            .head
            .contains("content-type: text/plain; version=0.0.4")
    );
    for line in answer
        .body
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(
            name.starts_with("rm") || name.starts_with("process_"),
            "{line}"
        );
        assert!(!name.contains("\"a\""), "no resource is a label: {line}");
    }
    for line in [
        "rmd_lease_seconds 9",
        "rmd_ready 1",
        "rm_loans{type=\"rw-lock\"} 1",
        "rmd_standing{standing=\"active\"} 1",
    ] {
        assert!(
            answer.body.lines().any(|other| other == line),
            "{line}: {}",
            answer.body
        );
    }
}

#[test]
fn while_what_was_lent_before_may_be_in_use_it_is_alive_and_not_ready() {
    let (mut daemon, page) = http::daemon(&["--lease", "60s"]);
    assert_eq!(get(&page, "/readyz").status, 200);
    let _holder = daemon.hold(&["a"], "sleep 600");
    daemon.kill_and_start_again_with(&["--lease", "60s", "--http", "127.0.0.1:0"]);
    let page = http::page(&daemon);
    let answer = get(&page, "/readyz");
    assert_eq!(answer.status, 503);
    let reason = answer.json()["reasons"][0].as_str().unwrap().to_owned();
    assert!(reason.contains("may still be in use"), "{reason}");
    assert_eq!(get(&page, "/healthz").status, 200);
}

#[test]
fn while_it_drains_it_is_not_ready_and_a_second_signal_ends_it_at_once() {
    let (mut daemon, page) = http::daemon(&["--drain-timeout", "1h"]);
    let _holder = daemon.hold(&["a"], "sleep 600");
    daemon.signal(Signal::TERM);
    let answer = until(&page, "/readyz", |answer| answer.status == 503);
    assert!(answer.body.contains("told to stop"), "{}", answer.body);
    daemon.signal(Signal::TERM);
    let stopped: Value = serde_json::from_str(&daemon.line().expect("it stops")).unwrap();
    assert_eq!(stopped["event"], "stopped");
    assert!(daemon.child.wait().expect("ended").success());
}

#[test]
fn where_there_are_rules_nothing_is_changed_by_those_of_whom_nobody_knows_who_they_are() {
    let dir = tempfile::tempdir().expect("a directory");
    let rules = dir.path().join("rules.toml");
    std::fs::write(&rules, "[[allow]]\nwho = [\"*\"]\nwhat = [\"inspect\"]\n").expect("written");
    let rules = rules.to_str().expect("text");
    let (_daemon, page) = http::daemon(&["--rules", rules]);
    assert_eq!(request(&page, "PUT", "/log", "", "info").status, 403);
    assert_eq!(get(&page, "/log").body, "off\n");
}

#[test]
fn the_log_filter_changes_at_run_time_and_nonsense_changes_nothing() {
    let (_daemon, page) = http::daemon(&[]);
    assert_eq!(get(&page, "/log").body, "off\n");
    let changed = request(&page, "PUT", "/log", "", "rm_net=debug,info");
    assert_eq!(
        (changed.status, &*changed.body),
        (200, "rm_net=debug,info\n")
    );
    let refused = request(&page, "PUT", "/log", "", "rm_net=loud");
    assert_eq!(refused.status, 400);
    assert!(refused.json()["hint"].is_string());
    assert_eq!(get(&page, "/log").body, "rm_net=debug,info\n");
}

#[test]
fn pages_of_strangers_neither_read_nor_change() {
    let (_daemon, page) = http::daemon(&[]);
    // A name of theirs that they have pointed here.
    let rebound = request(&page, "GET", "/status", "Host: evil.example\r\n", "");
    assert_eq!(rebound.status, 421);
    let forged = request(
        &page,
        "PUT",
        "/log",
        "Origin: http://evil.example\r\n",
        "off",
    );
    assert_eq!(forged.status, 403);
    assert_eq!(get(&page, "/log").body, "off\n", "as the test started it");
    let answer = request(
        &page,
        "GET",
        "/status",
        "Origin: http://evil.example\r\n",
        "",
    );
    assert!(
        !answer.head.contains("access-control-allow"),
        "{}",
        answer.head
    );
}

#[test]
fn what_is_not_understood_is_refused_in_a_sentence() {
    let (_daemon, page) = http::daemon(&[]);
    for (path, status) in [
        ("/nothing", 404),
        ("/resources?perfix=x", 400),
        ("/resources?after=nonsense", 400),
        ("/resources?limit=many", 400),
        ("/resource", 400),
        ("/resource?type=1&name=", 400),
        ("/../etc/passwd", 404),
    ] {
        let answer = get(&page, path);
        assert_eq!(answer.status, status, "{path}");
        let complaint = answer.json();
        assert!(
            complaint["error"].is_string() && complaint["hint"].is_string(),
            "{path}"
        );
    }
    assert_eq!(request(&page, "DELETE", "/status", "", "").status, 405);
    assert_eq!(request(&page, "PUT", "/status", "", "x").status, 405);
    assert_eq!(request(&page, "POST", "/log", "", "off").status, 405);
}

#[test]
fn what_is_too_large_is_refused_and_the_server_goes_on() {
    let (_daemon, page) = http::daemon(&[]);
    let long = "x".repeat(64 * 1_024);
    assert_eq!(
        request(&page, "PUT", "/log", "", &long[..8_192]).status,
        413
    );
    assert_eq!(
        get(&page, &format!("/resources?prefix={}", &long[..300])).status,
        400
    );
    assert_eq!(
        request(&page, "GET", "/status", &format!("X: {long}\r\n"), "").status,
        431
    );
    let many = "X: y\r\n".repeat(200);
    assert_eq!(request(&page, "GET", "/status", &many, "").status, 431);
    assert_eq!(send(&page, "nonsense\r\n\r\n").status, 400);
    assert_eq!(get(&page, "/healthz").status, 200);
}

#[test]
fn whoever_takes_all_connections_is_in_the_way_of_http_and_of_no_lock() {
    let (daemon, page) = http::daemon(&[]);
    let idle: Vec<_> = (0..70)
        .map(|_| TcpStream::connect(&page).expect("it listens"))
        .collect();
    let output = daemon.run(&["lock", "-w", "30", "a", "--", "true"]);
    assert_eq!(
        support::code(&output),
        Some(0),
        "{}",
        support::stderr(&output)
    );
    // They say nothing: so they go, though they would stay, and whoever looks after the server is heard again.
    let until = Instant::now() + Duration::from_secs(20);
    let is_heard = || {
        let mut stream = TcpStream::connect(&page).expect("it listens");
        let (mut answer, wait) = (String::new(), Duration::from_secs(20));
        stream.set_read_timeout(Some(wait)).expect("set");
        let said = format!("GET /healthz HTTP/1.1\r\nHost: {page}\r\nConnection: close\r\n\r\n");
        // Refused, it may be closed before all of it is sent.
        let _ = stream.write_all(said.as_bytes());
        let _ = stream.read_to_string(&mut answer);
        answer.starts_with("HTTP/1.1 200")
    };
    while !is_heard() {
        assert!(Instant::now() < until, "never: an answer");
    }
    drop(idle);
}

#[test]
fn without_insecure_only_this_machine_is_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = support::rmd(dir.path());
    command.args(["--http", "0.0.0.0:0"]);
    let output = support::finish(command);
    assert_eq!(support::code(&output), Some(78));
    assert!(support::stderr(&output).contains("--insecure"));
}
