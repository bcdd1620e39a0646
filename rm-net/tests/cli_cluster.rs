//! What operators do with a cluster of three servers and a real etcd.
#![cfg(all(feature = "cli", feature = "etcd"))]

mod support;

use std::time::Instant;

use rm_net::testing::Etcd;
use serde_json::Value;

use self::support::{Daemon, PATIENCE, code, finish, objects, rmctl, stderr, stdout};

/// Three servers that are members of one cluster, and see each other.
struct Cluster {
    servers: Vec<Daemon>,
    etcd: Etcd,
}

impl Cluster {
    fn start() -> Option<Self> {
        let etcd = Etcd::start()?;
        let coordinator = format!("etcd={}", etcd.endpoint());
        let server = |name: &str| {
            let flags = [
                "--coordinator",
                &coordinator,
                "--name",
                name,
                "--lease",
                "3s",
            ];
            Daemon::start_with(&flags)
        };
        let servers = ["a", "b", "c"].map(server).into();
        let cluster = Self { servers, etcd };
        for server in &cluster.servers {
            cluster.until_members(server, 3);
        }
        Some(cluster)
    }

    /// Waits until that server sees so many members, and lends.
    fn until_members(&self, server: &Daemon, count: usize) -> Value {
        let start = Instant::now();
        loop {
            let output = server.run(&["--json", "members"]);
            if code(&output) == Some(0) {
                let view = objects(&output).remove(0);
                let members = view["members"].as_array().map_or(0, Vec::len);
                if members == count && view["standing"] == "active" {
                    return view;
                }
            }
            let seen = (stdout(&output), stderr(&output));
            assert!(
                start.elapsed() < PATIENCE,
                "never {count} members: {seen:?}"
            );
        }
    }

    fn endpoints(&self) -> String {
        let addresses = self.servers.iter().map(|server| server.address.as_str());
        addresses.collect::<Vec<_>>().join(",")
    }
}

#[test]
fn members_and_status_tell_the_same_at_each_server_and_doctor_finds_nothing_that_fails() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    for server in &cluster.servers {
        let view = cluster.until_members(server, 3);
        assert_eq!(
            (&view["role"], &view["lease_ms"]),
            (&"member".into(), &3_000.into())
        );
        let names: Vec<_> = (0..3)
            .map(|index| view["members"][index]["name"].clone())
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(view["coordinator"]["kind"], "etcd");
        assert_eq!(view["coordinator"]["connected"], true);
        assert!(
            view["good_for_ms"].as_u64().is_some_and(|left| left > 0),
            "{view}"
        );
    }
    let endpoints = cluster.endpoints();
    let output = finish(rmctl(&["--json", "--endpoints", &endpoints, "status"]));
    let status = objects(&output);
    assert_eq!(status.len(), 3);
    for line in &status {
        assert_eq!(
            (&line["standing"], &line["members"]),
            (&"active".into(), &3.into())
        );
        assert_eq!(line["coordinator_connected"], true);
    }
    // One address is enough: the others are found by the view.
    let output = cluster.servers[0].run(&["--json", "doctor", "--watch", "0.5"]);
    assert_eq!(code(&output), Some(0), "{}", stdout(&output));
    let findings = objects(&output);
    let reached = findings
        .iter()
        .filter(|finding| finding["check"] == "reach");
    assert_eq!(reached.count(), 3);
    assert!(
        findings
            .iter()
            .any(|finding| finding["check"] == "view" && finding["level"] == "ok")
    );
}

#[test]
fn doctor_says_that_the_coordinator_is_away() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    cluster.etcd.kill();
    let start = Instant::now();
    loop {
        let output = cluster.servers[0].run(&["--json", "doctor", "--watch", "0"]);
        let findings = objects(&output);
        let mut bad = findings.iter().filter(|finding| finding["level"] == "fail");
        if bad.any(|finding| finding["check"] == "coordinator") {
            assert_eq!(code(&output), Some(1));
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{}", stdout(&output));
    }
}

#[test]
fn a_release_finds_the_root_wherever_it_is_asked() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    for name in ["x", "y", "z"] {
        for server in &cluster.servers {
            let mut holder = server.hold(&[name], "read line");
            let output = server.run(&["--json", "release", "--force", "--reason", "r", name]);
            assert_eq!(
                code(&output),
                Some(0),
                "{}{}",
                stdout(&output),
                stderr(&output)
            );
            assert_eq!(objects(&output)[0]["loans"][0]["end"], "returned");
            assert!(holder.errors.find("released by force").is_some());
            assert_eq!(holder.end().code(), Some(113));
        }
    }
}

#[test]
fn whoever_is_asked_who_has_a_lock_and_why_it_waits_asks_its_root() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    // Of so many locks each member is the root of some.
    let names: Vec<_> = (0..6).map(|index| format!("lock/{index}")).collect();
    let locks: Vec<_> = names.iter().map(String::as_str).collect();
    let mut flags = vec!["--label", "nightly"];
    flags.extend(&locks);
    let _holder = cluster.servers[0].hold(&flags, "read line");
    for server in &cluster.servers {
        assert_eq!(objects(&server.run(&["--json", "ls", "lock/"])).len(), 6);
        for name in &locks {
            let why = objects(&server.run(&["--json", "why", name])).remove(0);
            assert_eq!(why["holders"][0]["label"], "nightly", "{why}");
            let free = server.run(&["wait", "-w", "0", "-E", "42", name]);
            assert_eq!(code(&free), Some(42), "{}", stdout(&free));
        }
        let branches = objects(&server.run(&["--json", "tree", "lock/"]));
        let held = branches.iter().map(|branch| branch["held"].as_u64());
        assert_eq!(held.sum::<Option<u64>>(), Some(6));
    }
}

#[test]
fn a_drained_server_leaves_and_a_lock_that_is_held_survives() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let leaving = cluster.servers.remove(0);
    // Of so many locks it is the root of some.
    let names: Vec<_> = (0..8).map(|index| format!("lock/{index}")).collect();
    let locks: Vec<_> = names.iter().map(String::as_str).collect();
    let mut holder = cluster.servers[0].hold(&locks, "read line");
    let output = cluster.servers[0].run(&["--json", "drain", "a", "--reason", "new disks"]);
    assert_eq!(
        code(&output),
        Some(0),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    assert_eq!(
        objects(&output).pop().expect("a report")["event"],
        "drained"
    );
    let left: Value = serde_json::from_str(&leaving.line().expect("a report")).expect("an object");
    assert_eq!(left["event"], "stopped");
    cluster.until_members(&cluster.servers[1], 2);
    // Nobody had to wait for a lease, and nobody got in.
    let busy = cluster.servers[1].run(&["lock", "-n", "lock/3", "--", "true"]);
    assert_eq!(code(&busy), Some(1), "{}", stderr(&busy));
    holder.close_stdin();
    assert_ne!(holder.end().code(), Some(113), "it lost its locks");
    let free = cluster.servers[1].run(&["lock", "-w", "20", "lock/3", "--", "true"]);
    assert_eq!(code(&free), Some(0), "{}", stderr(&free));
}

#[test]
fn what_a_dead_member_lent_is_not_called_free_until_another_knows_of_it() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let dead = &mut cluster.servers[2];
    dead.child.kill().expect("killed");
    dead.child.wait().expect("waited for");
    let server = &cluster.servers[0];
    let doubt = |name: &str| {
        let told = objects(&server.run(&["--json", "why", name])).pop()?;
        told["doubts"][0].as_str().map(String::from)
    };
    let names = (0..64).map(|number| format!("n{number}"));
    let (name, doubt) = names
        .filter_map(|name| doubt(&name).map(|doubt| (name, doubt)))
        .next()
        .expect("it was the root of some");
    assert!(doubt.contains("which lends it"), "{doubt}");
    let early = server.run(&["wait", "-w", "0", "-E", "42", &name]);
    assert_eq!(code(&early), Some(42), "{}", stdout(&early));
    let free = server.run(&["wait", "-w", "1m", &name]);
    assert_eq!(code(&free), Some(0), "{}", stderr(&free));
}
