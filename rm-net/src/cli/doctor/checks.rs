//! From what was seen to findings. A decision: no clock, no network.

use std::collections::BTreeSet;
use std::time::Duration;

use rm_core::inspect::{HealthView, MembersView, NodeRole, Standing};
use rm_core::session::lease::{DRIFT_PER_MILLE, LeaseTerms};
use rm_core::session::packet::WIRE_VERSION;
use rm_core::stamp::STAMP_AHEAD_MAX;
use rm_core::view::View;

use super::certificates;
use super::finding::{Finding, Level};
use super::probe::{Machine, Probe, Seen};
use crate::cli::output::{readable, span};

mod rules;

/// Where a finding is about no single server.
const ALL: &str = "all";
const HERE: &str = "this machine";
/// A wall clock that is off by more makes requests wait out of turn, so that somebody notices.
const WALL_OFF: f64 = 1.0;
/// A directory with less room may not take the next note.
const ROOM_BYTES: u64 = 1 << 20;
/// With less it is time to look.
const ROOM_BYTES_GOOD: u64 = 64 << 20;
/// Files that a server has open beside its sessions, and some.
const FILES_BESIDE: u64 = 64;

/// All that can be said of them.
pub(super) fn all(here: &Machine, probes: &[Probe]) -> Vec<Finding> {
    let mut findings = machine(here);
    findings.extend(probes.iter().map(reach));
    let seen: Vec<(&str, &Seen)> = probes
        .iter()
        .filter_map(|probe| Some((&*probe.address, probe.seen.as_ref().ok()?)))
        .collect();
    for (address, seen) in &seen {
        findings.extend(standing(address, &seen.members));
        findings.extend(coordinator(address, &seen.members));
        findings.extend(lease(address, seen));
        findings.extend(clocks(address, seen));
        findings.extend(certificates::link(address, seen, here));
        match &seen.health {
            Some(health) => {
                findings.push(rules::all(address, health, &seen.members));
                findings.extend(resources(address, health));
            }
            None => findings.push(Finding::bad(
                Level::Warn,
                "version",
                address,
                "it is older than this question, and tells nothing of its machine",
                "upgrade it",
            )),
        }
    }
    findings.extend(faults(&seen));
    findings.extend(one_cluster(&seen));
    findings.extend(versions(here, &seen));
    findings.extend(views(&seen));
    findings.extend(advertised(&seen));
    findings
}

fn machine(here: &Machine) -> Vec<Finding> {
    let clock = if here.counts_suspend {
        let text = format!(
            "leases are measured by {}, which counts suspend",
            here.clock
        );
        Finding::ok("clock", HERE, text)
    } else {
        no_suspend(HERE, here.clock)
    };
    let files = if here.files_max < 256 {
        let text = format!("a process may have {} files open", here.files_max);
        Finding::bad(
            Level::Warn,
            "files",
            HERE,
            text,
            "raise the limit: ulimit -n 1024",
        )
    } else {
        let text = format!("a process may have {} files open", here.files_max);
        Finding::ok("files", HERE, text)
    };
    let certificates = here.certificates.iter();
    let certificates = certificates.map(|one| certificates::of(HERE, one, here.now));
    [clock, files].into_iter().chain(certificates).collect()
}

fn no_suspend(subject: &str, clock: &str) -> Finding {
    Finding::bad(
        Level::Warn,
        "clock",
        subject,
        format!("{clock} may stand still while the machine is suspended"),
        "do not suspend it while it holds or lends; or rely on fencing tokens alone",
    )
}

fn reach(probe: &Probe) -> Finding {
    match &probe.seen {
        Ok(seen) => {
            let name = &seen.status.name;
            let trip = span(seen.round_trip);
            Finding::ok(
                "reach",
                &probe.address,
                format!("{name} answers within {trip}"),
            )
        }
        Err(error) => Finding::bad(
            Level::Fail,
            "reach",
            &probe.address,
            error.clone(),
            "start the server ('rmd'), or mend the address, the route or the firewall; where the server is gone for good, no longer name it",
        ),
    }
}

fn standing(address: &str, members: &MembersView) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.push(match members.standing {
        Standing::Active => Finding::ok("standing", address, "active"),
        Standing::Gathering => Finding::bad(
            Level::Warn,
            "standing",
            address,
            format!("it waits for the reports of {}", members.missing.join(", ")),
            "it goes on when they have reported, or have been evicted: look again in a few seconds, and at those members",
        ),
        Standing::Leaving => Finding::bad(
            Level::Warn,
            "standing",
            address,
            "it hands over what it has, and goes",
            "nothing, if that is meant",
        ),
        Standing::Suspended => Finding::bad(
            Level::Fail,
            "standing",
            address,
            "it does not know whether it is still a member, and lends nothing",
            "look at its way to the coordinator, or to its creditor",
        ),
        Standing::Outside => Finding::bad(
            Level::Fail,
            "standing",
            address,
            "it is no member of the cluster",
            "look into its log: another node may have its name, or the coordinator may refuse it",
        ),
    });
    if !members.grace.is_zero() {
        findings.push(Finding::bad(
            Level::Warn,
            "grace",
            address,
            format!(
                "for another {} what nobody has told of may still be in use, and is not lent",
                span(members.grace)
            ),
            "wait; it follows the restart or the death of a server",
        ));
    }
    findings
}

fn coordinator(address: &str, members: &MembersView) -> Vec<Finding> {
    let coordinator = &members.coordinator;
    let kind = format!("{} {}", coordinator.kind, coordinator.version);
    let kind = kind.trim();
    let mut findings = Vec::new();
    if !coordinator.is_connected {
        let why = match &*coordinator.last_error {
            "" => String::new(),
            error => format!(": {error}"),
        };
        findings.push(Finding::bad(
            Level::Fail,
            "coordinator",
            address,
            format!("{kind} cannot be reached{why}"),
            "mend it: without it no member is replaced, and once memberships run out nothing is lent",
        ));
    } else if members.role == NodeRole::Member
        && let every = beats(members)
        && coordinator.latency > every / 2
    {
        findings.push(Finding::bad(
            Level::Warn,
            "coordinator",
            address,
            format!(
                "{kind} took {} to answer, and is asked every {}",
                span(coordinator.latency),
                span(every)
            ),
            "give it a faster disk or less to do, or found the cluster with a longer lease",
        ));
    } else {
        findings.push(Finding::ok(
            "coordinator",
            address,
            format!("{kind}, connected"),
        ));
    }
    findings
}

/// What is known against the coordinator: all servers say the same of it, and it is said once.
fn faults(seen: &[(&str, &Seen)]) -> Vec<Finding> {
    let warnings = seen
        .iter()
        .flat_map(|(_, seen)| &seen.members.coordinator.warnings);
    let warnings: BTreeSet<_> = warnings.collect();
    let finding = |warning: &String| {
        let advice = "change that, at the coordinator or in the flags of the servers";
        Finding::bad(Level::Warn, "coordinator", ALL, warning.clone(), advice)
    };
    warnings.into_iter().map(finding).collect()
}

/// How often a member confirms that it is one: every quarter of the member lease.
fn beats(members: &MembersView) -> Duration {
    let lease = members.view.as_ref().map(|view| view.lease());
    lease.map_or(Duration::MAX, |lease| lease.member_length() / 4)
}

fn lease(address: &str, seen: &Seen) -> Vec<Finding> {
    let Ok(terms) = LeaseTerms::new(seen.status.lease) else {
        return Vec::new();
    };
    let (length, renew) = (
        span(terms.length()),
        LeaseTerms::renew_every(terms.length()),
    );
    let trip = span(seen.round_trip_max);
    let finding = if seen.round_trip_max > renew {
        Finding::bad(
            Level::Fail,
            "lease",
            address,
            format!(
                "a round trip took {trip}, and a lease of {length} is renewed every {}",
                span(renew)
            ),
            "found the cluster with a longer lease, or mend the network",
        )
    } else if seen.round_trip_max > renew / 8 {
        Finding::bad(
            Level::Warn,
            "lease",
            address,
            format!("a round trip took {trip}, which is much for a lease of {length}"),
            "found the cluster with a longer lease, or look whether machine and network are overloaded",
        )
    } else {
        Finding::ok(
            "lease",
            address,
            format!("{length}, round trips up to {trip}"),
        )
    };
    vec![finding]
}

fn clocks(address: &str, seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(health) = seen.health.as_ref().filter(|health| !health.counts_suspend) {
        findings.push(no_suspend(address, &health.clock));
    }
    let Some(clocks) = seen.clocks else {
        return findings;
    };
    // Each may be off by so much, in either direction.
    let most = 2.0 * DRIFT_PER_MILLE as f64 / 1_000.0;
    let rate = format!(
        "its lease clock runs {:+.3} % beside the one here (+/- {:.3} %)",
        100.0 * clocks.rate,
        100.0 * clocks.rate_error
    );
    let surely = clocks.rate.abs() - clocks.rate_error;
    findings.push(if surely > most {
        Finding::bad(
            Level::Fail,
            "clock",
            address,
            format!("{rate}: one of the two is off by more than 2 %, and leases do not hold"),
            "mend the clock source of the virtual machine or the hardware; until then only fencing tokens protect",
        )
    } else if surely > most / 4.0 {
        Finding::bad(Level::Warn, "clock", address, rate, "compare both with a third machine")
    } else {
        Finding::ok("clock", address, rate)
    });
    let wall = format!(
        "its wall clock is {:+.3} s from the one here (+/- {:.3} s)",
        clocks.wall_ahead, clocks.wall_error
    );
    let off = clocks.wall_ahead.abs() - clocks.wall_error;
    findings.push(if off > STAMP_AHEAD_MAX.as_secs_f64() {
        Finding::bad(
            Level::Fail,
            "wall clock",
            address,
            format!("{wall}: who is ahead is refused by the other"),
            "set the clocks: let NTP or PTP do it",
        )
    } else if off > WALL_OFF {
        Finding::bad(
            Level::Warn,
            "wall clock",
            address,
            format!("{wall}: requests are served out of turn"),
            "let NTP or PTP set the clocks",
        )
    } else {
        Finding::ok("wall clock", address, wall)
    });
    findings
}

fn resources(address: &str, health: &HealthView) -> Vec<Finding> {
    let mut findings = Vec::new();
    let needed = u64::from(health.sessions_max) + FILES_BESIDE;
    let files = format!("{} files open, {} possible", health.files, health.files_max);
    findings.push(
        if health.files.saturating_mul(10) > health.files_max.saturating_mul(9) {
            let advice = format!("raise the limit of the service: LimitNOFILE={needed}");
            Finding::bad(Level::Fail, "files", address, files, advice)
        } else if health.files_max < needed {
            let text = format!(
                "{files}: fewer than the {} sessions that it admits",
                health.sessions_max
            );
            let advice = format!("raise the limit of the service: LimitNOFILE={needed}");
            Finding::bad(Level::Warn, "files", address, text, advice)
        } else {
            Finding::ok("files", address, files)
        },
    );
    if let Some(dir) = &health.data_dir {
        let free = dir.free_bytes >> 20;
        let room = format!("{}: {free} MiB free", dir.path);
        findings.push(if !dir.error.is_empty() {
            Finding::bad(
                Level::Fail,
                "data dir",
                address,
                format!("{} cannot be written: {}", dir.path, dir.error),
                "mend it: the server admits nobody whom it cannot note first",
            )
        } else if dir.free_bytes < ROOM_BYTES {
            Finding::bad(
                Level::Fail,
                "data dir",
                address,
                room,
                "make room on that volume",
            )
        } else if dir.free_bytes < ROOM_BYTES_GOOD {
            Finding::bad(
                Level::Warn,
                "data dir",
                address,
                room,
                "make room on that volume",
            )
        } else {
            Finding::ok("data dir", address, room)
        });
    }
    findings
}

/// All lead to one server, or to members of one cluster.
fn one_cluster(seen: &[(&str, &Seen)]) -> Option<Finding> {
    let alone: BTreeSet<_> = seen
        .iter()
        .filter(|(_, seen)| seen.members.role == NodeRole::Standalone)
        .map(|(_, seen)| (&seen.members.node, seen.members.reg))
        .collect();
    let members = seen
        .iter()
        .any(|(_, seen)| seen.members.role == NodeRole::Member);
    (alone.len() + usize::from(members) > 1).then(|| {
        let names: Vec<_> = alone.iter().map(|(name, _)| name.as_str()).collect();
        Finding::bad(
            Level::Fail,
            "cluster",
            ALL,
            format!(
                "{} stand alone: each would lend the same lock",
                names.join(" and ")
            ),
            "name one of them only, or make them members of one cluster by a coordinator",
        )
    })
}

fn versions(here: &Machine, seen: &[(&str, &Seen)]) -> Vec<Finding> {
    let software: BTreeSet<_> = seen
        .iter()
        .map(|(_, seen)| seen.status.software.as_str())
        .collect();
    let wires: BTreeSet<_> = seen
        .iter()
        .filter_map(|(_, seen)| Some(seen.health.as_ref()?.wire))
        .chain([WIRE_VERSION])
        .collect();
    if seen.is_empty() {
        return Vec::new();
    }
    let list = software.iter().copied().collect::<Vec<_>>().join(", ");
    let is_one = software.len() == 1 && software.contains(here.software);
    let software = if is_one {
        Finding::ok("version", ALL, format!("software {list} everywhere"))
    } else {
        let text = format!(
            "servers have software {list}, and this is {}",
            here.software
        );
        Finding::bad(Level::Warn, "version", ALL, text, "finish the upgrade")
    };
    let wire = if wires.len() == 1 {
        Finding::ok("version", ALL, format!("wire {WIRE_VERSION} everywhere"))
    } else {
        let text = format!("several versions of the wire are spoken: {wires:?}");
        Finding::bad(
            Level::Fail,
            "version",
            ALL,
            text,
            "they refuse each other: give all the same software",
        )
    };
    vec![software, wire]
}

/// Whether all members go by one view, and it by one lease.
fn views(seen: &[(&str, &Seen)]) -> Option<Finding> {
    let views: Vec<&View> = seen
        .iter()
        .filter(|(_, seen)| seen.members.role == NodeRole::Member)
        .filter_map(|(_, seen)| seen.members.view.as_deref())
        .collect();
    let first = views.first()?;
    if views.iter().all(|view| view == first) {
        let text = format!(
            "all go by view {} of {} members",
            first.epoch(),
            first.members().len()
        );
        return Some(Finding::ok("view", ALL, text));
    }
    let epochs: BTreeSet<_> = views.iter().map(|view| view.epoch()).collect();
    let (level, advice) = if epochs.len() > 1 {
        let advice = "look again in a few seconds: a view is just being adopted; if it stays so, a member cannot reach the coordinator";
        (Level::Warn, advice)
    } else {
        let advice = "these are members of different clusters, or the coordinator was restored from a copy: stop all, and found the cluster anew";
        (Level::Fail, advice)
    };
    let text = format!("members go by different views: {epochs:?}");
    Some(Finding::bad(level, "view", ALL, text, advice))
}

/// Whether at each member's address that member answers. That nobody answers has been said.
fn advertised(seen: &[(&str, &Seen)]) -> Vec<Finding> {
    let views = seen
        .iter()
        .filter_map(|(_, seen)| seen.members.view.as_deref());
    let Some(view) = views.max_by_key(|view| view.epoch()) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for member in view.members() {
        let name = readable(&member.name);
        let there = seen.iter().find(|(address, _)| *address == member.address);
        if let Some((address, other)) = there
            && other.members.node != name
        {
            findings.push(Finding::bad(
                Level::Fail,
                "member",
                address,
                format!(
                    "the address of member {name} leads to {}",
                    other.members.node
                ),
                format!("give {name} an address that leads to it: --advertise"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests;
