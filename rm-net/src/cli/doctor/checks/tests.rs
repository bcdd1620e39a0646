//! What is found wrong, and what is not.

use std::sync::Arc;
use std::time::SystemTime;

use rm_core::inspect::{CoordinatorView, DataDirView, StatusView};
use rm_core::view::{Member, MemberState};

use super::super::probe::Clocks;
use super::*;

const LEASE: Duration = Duration::from_secs(15);

fn here() -> Machine {
    Machine {
        clock: "CLOCK_BOOTTIME",
        counts_suspend: true,
        files_max: 1_024,
        software: "1.0.0",
        now: SystemTime::UNIX_EPOCH,
        certificates: Vec::new(),
    }
}

fn view(epoch: u32, names: &[&str]) -> View {
    let member = |(index, name): (usize, &&str)| Member {
        name: name.as_bytes().into(),
        reg: index as u64 + 1,
        address: format!("10.0.0.{}:7600", index + 1),
        state: MemberState::Full,
        weight: 1,
    };
    let members = names.iter().enumerate().map(member).collect();
    View::new(epoch, LEASE, members).unwrap()
}

/// A server with which all is well.
fn well(name: &str) -> Seen {
    Seen {
        status: StatusView {
            name: name.into(),
            software: "1.0.0".into(),
            lease: LEASE,
            ..StatusView::default()
        },
        members: MembersView {
            node: name.into(),
            reg: 1,
            role: NodeRole::Standalone,
            view: Some(Arc::new(view(7, &[name]))),
            coordinator: CoordinatorView {
                kind: "standalone".into(),
                is_connected: true,
                ..CoordinatorView::default()
            },
            ..MembersView::default()
        },
        health: Some(HealthView {
            software: "1.0.0".into(),
            wire: WIRE_VERSION,
            clock: "CLOCK_BOOTTIME".into(),
            counts_suspend: true,
            files: 20,
            files_max: 1 << 20,
            sessions_max: 16_384,
            data_dir: Some(DataDirView {
                path: "/data".into(),
                free_bytes: 1 << 30,
                error: String::new(),
            }),
            ..HealthView::default()
        }),
        certificate: None,
        round_trip: Duration::from_millis(1),
        round_trip_max: Duration::from_millis(2),
        clocks: Some(Clocks {
            wall_ahead: 0.001,
            wall_error: 0.001,
            rate: 0.000_01,
            rate_error: 0.000_5,
        }),
    }
}

fn probe(address: &str, seen: Seen) -> Probe {
    Probe {
        address: address.into(),
        seen: Ok(seen),
    }
}

/// What is found wrong with one server on this machine: the check, and how bad it is.
fn wrong(change: impl FnOnce(&mut Seen)) -> Vec<(&'static str, Level)> {
    let mut seen = well("solo");
    change(&mut seen);
    wrong_with(&[probe("127.0.0.1:7600", seen)])
}

fn wrong_with(probes: &[Probe]) -> Vec<(&'static str, Level)> {
    let findings = all(&here(), probes);
    let bad = findings.iter().filter(|finding| finding.level != Level::Ok);
    bad.map(|finding| {
        assert!(!finding.advice.is_empty(), "no advice: {finding:?}");
        (finding.check, finding.level)
    })
    .collect()
}

fn clocks(change: impl FnOnce(&mut Clocks)) -> Vec<(&'static str, Level)> {
    wrong(|seen| change(seen.clocks.as_mut().unwrap()))
}

fn health(change: impl FnOnce(&mut HealthView)) -> Vec<(&'static str, Level)> {
    wrong(|seen| change(seen.health.as_mut().unwrap()))
}

#[test]
fn with_a_server_that_is_well_nothing_is_wrong() {
    assert_eq!(wrong(|_| {}), []);
}

#[test]
fn a_server_that_does_not_answer_fails_and_the_advice_is_to_start_it() {
    let dead = Probe {
        address: "127.0.0.1:1".into(),
        seen: Err("connection refused".into()),
    };
    let findings = all(&here(), &[dead]);
    let reach = findings.iter().find(|finding| finding.check == "reach");
    let reach = reach.unwrap();
    assert_eq!(reach.level, Level::Fail);
    assert!(reach.advice.contains("start the server"));
}

#[test]
fn a_clock_whose_rate_breaks_the_assumption_fails_and_one_that_may_not_does_not() {
    assert_eq!(clocks(|c| c.rate = 0.05), [("clock", Level::Fail)]);
    assert_eq!(clocks(|c| c.rate = -0.05), [("clock", Level::Fail)]);
    assert_eq!(clocks(|c| c.rate = 0.03), [("clock", Level::Warn)]);
    let unsure = clocks(|c| (c.rate, c.rate_error) = (0.05, 0.045));
    assert_eq!(unsure, []);
}

#[test]
fn a_wall_clock_matters_from_a_second_on_and_fails_at_what_is_refused() {
    assert_eq!(
        clocks(|c| c.wall_ahead = -5.0),
        [("wall clock", Level::Warn)]
    );
    assert_eq!(
        clocks(|c| c.wall_ahead = 90_000.0),
        [("wall clock", Level::Fail)]
    );
    assert_eq!(clocks(|c| (c.wall_ahead, c.wall_error) = (2.0, 1.5)), []);
}

#[test]
fn a_clock_that_stands_still_in_suspend_is_warned_of() {
    assert_eq!(
        health(|h| h.counts_suspend = false),
        [("clock", Level::Warn)]
    );
}

#[test]
fn round_trips_are_compared_with_the_lease() {
    let slow = |millis| wrong(|seen| seen.round_trip_max = Duration::from_millis(millis));
    assert_eq!(slow(400), []);
    assert_eq!(slow(500), [("lease", Level::Warn)]);
    assert_eq!(slow(4_000), [("lease", Level::Fail)]);
}

#[test]
fn a_plain_connection_is_warned_of_only_where_others_can_reach_it() {
    let far = [probe("10.0.0.1:7600", well("solo"))];
    let findings = wrong_with(&far);
    assert!(findings.contains(&("tls", Level::Warn)), "{findings:?}");
}

#[test]
fn rules_that_let_strangers_do_much_are_warned_of_where_strangers_can_come() {
    let with = |address: &str, count, anonymous: &str, role| {
        let mut seen = well("solo");
        let health = seen.health.as_mut().unwrap();
        (health.rules, health.anonymous) = (count, anonymous.into());
        seen.members.role = role;
        let findings = wrong_with(&[probe(address, seen)]);
        findings.contains(&("rules", Level::Warn))
    };
    let (near, far, alone) = ("127.0.0.1:7600", "10.0.0.1:7600", NodeRole::Standalone);
    assert!(with(far, 0, "read write inspect operate member", alone));
    assert!(!with(near, 0, "read write inspect operate member", alone));
    assert!(with(far, 2, "read write", alone));
    assert!(!with(far, 2, "read inspect", alone));
    assert!(!with(far, 2, "", alone));
    assert!(with(near, 2, "member", NodeRole::Member));
}

#[test]
fn too_few_files_and_a_full_or_read_only_disk_are_found() {
    assert_eq!(health(|h| h.files_max = 1_024), [("files", Level::Warn)]);
    let used_up = health(|h| (h.files, h.files_max) = (1_000, 1_024));
    assert_eq!(used_up, [("files", Level::Fail)]);
    let room = |bytes| health(|h| h.data_dir.as_mut().unwrap().free_bytes = bytes);
    assert_eq!(room(32 << 20), [("data dir", Level::Warn)]);
    assert_eq!(room(1 << 10), [("data dir", Level::Fail)]);
    let broken = health(|h| h.data_dir.as_mut().unwrap().error = "read-only".into());
    assert_eq!(broken, [("data dir", Level::Fail)]);
}

#[test]
fn two_servers_that_stand_alone_fail_and_one_at_two_addresses_does_not() {
    let two = [
        probe("127.0.0.1:1", well("a")),
        probe("127.0.0.1:2", well("b")),
    ];
    assert_eq!(wrong_with(&two), [("cluster", Level::Fail)]);
    let one = [probe("127.0.0.1:1", well("a")), probe("[::1]:1", well("a"))];
    assert_eq!(wrong_with(&one), []);
}

#[test]
fn an_older_server_is_warned_of_and_another_wire_fails() {
    let older = wrong(|seen| seen.status.software = "0.9.0".into());
    assert_eq!(older, [("version", Level::Warn)]);
    assert_eq!(
        health(|h| h.wire = WIRE_VERSION + 1),
        [("version", Level::Fail)]
    );
    assert_eq!(wrong(|seen| seen.health = None), [("version", Level::Warn)]);
}

fn member(name: &str, view: View) -> Seen {
    let mut seen = well(name);
    seen.members.role = NodeRole::Member;
    seen.members.view = Some(Arc::new(view));
    seen
}

fn standing(standing: Standing) -> Vec<(&'static str, Level)> {
    wrong(|seen| seen.members.standing = standing)
}

#[test]
fn a_member_that_cannot_lend_fails_and_one_that_soon_can_is_warned_of() {
    assert_eq!(standing(Standing::Suspended), [("standing", Level::Fail)]);
    assert_eq!(standing(Standing::Outside), [("standing", Level::Fail)]);
    assert_eq!(standing(Standing::Gathering), [("standing", Level::Warn)]);
    assert_eq!(standing(Standing::Leaving), [("standing", Level::Warn)]);
    let grace = wrong(|seen| seen.members.grace = LEASE);
    assert_eq!(grace, [("grace", Level::Warn)]);
}

#[test]
fn a_coordinator_that_is_away_slow_or_known_to_be_faulty_is_found() {
    let coordinator = |change: fn(&mut CoordinatorView)| {
        wrong(|seen| {
            seen.members.role = NodeRole::Member;
            change(&mut seen.members.coordinator);
        })
    };
    let away = coordinator(|it| it.is_connected = false);
    assert_eq!(away, [("coordinator", Level::Fail)]);
    // M is 4 s, so it is asked every second.
    let slow = coordinator(|it| it.latency = Duration::from_millis(600));
    assert_eq!(slow, [("coordinator", Level::Warn)]);
    assert_eq!(
        coordinator(|it| it.latency = Duration::from_millis(400)),
        []
    );
    let old = coordinator(|it| it.warnings = vec!["3.4 may lose a lease".into()]);
    assert_eq!(old, [("coordinator", Level::Warn)]);
}

#[test]
fn what_several_servers_say_of_their_coordinator_is_said_once() {
    let mut one = member("a", view(7, &["a", "b"]));
    one.members.coordinator.warnings = vec!["too old".into()];
    let mut two = one.clone();
    two.members.node = "b".into();
    let both = [probe("127.0.0.1:1", one), probe("127.0.0.1:2", two)];
    assert_eq!(wrong_with(&both), [("coordinator", Level::Warn)]);
}

#[test]
fn members_of_different_views_are_warned_of_and_of_two_views_of_one_epoch_fail() {
    let at = |address: &str, name: &str, view: View| {
        let mut probe = probe(address, member(name, view));
        let seen = probe.seen.as_mut().unwrap();
        seen.health.as_mut().unwrap().is_secured = true;
        probe
    };
    let (one, two) = ("10.0.0.1:7600", "10.0.0.2:7600");
    let both = || view(7, &["a", "b"]);
    let same = [at(one, "a", both()), at(two, "b", both())];
    assert_eq!(wrong_with(&same), []);
    let older = [at(one, "a", both()), at(two, "b", view(6, &["a", "b"]))];
    assert_eq!(wrong_with(&older), [("view", Level::Warn)]);
    let other = [at(one, "a", both()), at(two, "b", view(7, &["a"]))];
    assert_eq!(wrong_with(&other), [("view", Level::Fail)]);
}

#[test]
fn an_address_that_leads_to_another_member_fails() {
    let both = || view(7, &["a", "b"]);
    let crossed = [
        probe("10.0.0.1:7600", member("a", both())),
        probe("10.0.0.2:7600", member("a", both())),
    ];
    assert!(wrong_with(&crossed).contains(&("member", Level::Fail)));
}
