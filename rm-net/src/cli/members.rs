//! `rmctl members`: the cluster, as the first server that answers sees it.
//!
//! JSON shape, stable: one [`MembersLine`]. A name is there twice: readable, and exactly, in hexadecimal. Times are in
//! milliseconds.

use std::fmt::Write as _;

use rm_core::inspect::{CoordinatorView, MembersView, NodeRole};
use rm_core::view::{Member, MemberState};
use schemars::JsonSchema;
use serde::Serialize;

use super::connect::addresses;
use super::contact;
use super::exit::{Exit, Failure};
use super::output::{self, Output, hex, millis, readable, span, tame};
use super::status::{role, standing, standing_in_words};

/// What `members` prints.
#[derive(JsonSchema, Serialize)]
pub(crate) struct MembersLine {
    /// The server that answered.
    node: String,
    /// The address that was asked.
    endpoint: String,
    /// Its registration; 0: none.
    reg: u64,
    /// `standalone`, `member` or `relay`: in the middle of a tree.
    role: &'static str,
    /// `active`, `gathering`, `suspended`, `leaving` or `outside`.
    standing: &'static str,
    /// The epoch of its view; 0: it has none.
    epoch: u32,
    /// The first epoch of the cluster; 0: not known.
    founded: u32,
    /// The length of a lease.
    lease_ms: u64,
    /// The members of that view.
    members: Vec<MemberLine>,
    /// Members whose reports it waits for.
    missing: Vec<String>,
    /// How long it knows itself to be a member; null: for ever.
    good_for_ms: Option<u64>,
    /// What keeps the list of members, and how it stands with it.
    coordinator: CoordinatorLine,
    /// How long what nobody has told of may still be in use.
    grace_ms: u64,
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct MemberLine {
    /// The name, readable: bytes that are no text as `\xNN`.
    name: String,
    /// The name exactly: its bytes in hexadecimal.
    name_hex: String,
    /// Its registration; 0: none.
    reg: u64,
    /// Where it is reached.
    address: String,
    /// `full` or `leaving`.
    state: &'static str,
    /// Its share beside the others'.
    weight: u32,
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct CoordinatorLine {
    /// Which it is.
    kind: String,
    /// Whether it can be reached.
    connected: bool,
    /// What went wrong last; empty if nothing did.
    last_error: String,
    /// The version of its software; empty where it has none.
    version: String,
    /// How long its last answer took, in microseconds.
    latency_us: u64,
    /// What is known to be wrong with it.
    warnings: Vec<String>,
}

pub(crate) async fn run(endpoints: &[String], output: Output) -> Result<Exit, Failure> {
    let addresses = addresses(endpoints)?;
    let (address, mut operator) = contact::open_first(&addresses).await?;
    let view = contact::members(&mut operator).await;
    operator.close().await;
    let view = view?;
    output.print(&MembersLine::new(&address, &view), || in_words(&view))?;
    Ok(Exit::OK)
}

fn in_words(view: &MembersView) -> String {
    let node = tame(&view.node);
    let mut text = match (&view.view, view.role) {
        (_, NodeRole::Relay) => format!("{node} is in the middle of a tree, and no member"),
        (None, _) => format!("{node} knows no view of its cluster yet"),
        (Some(cluster), NodeRole::Standalone | NodeRole::Member) => format!(
            "view {} as {node} sees it, lease {}\n{}",
            cluster.epoch(),
            span(cluster.lease().length()),
            table(cluster.members()),
        ),
    };
    let mut say = |line: &str| write!(text, "\n{line}").expect("a string takes everything");
    say(&format!("{node} is {}", standing_in_words(view.standing)));
    if !view.missing.is_empty() {
        let missing: Vec<_> = view.missing.iter().map(|name| tame(name)).collect();
        say(&format!(
            "it waits for the reports of {}",
            missing.join(", ")
        ));
    }
    if let Some(good_for) = view.good_for {
        say(&format!("it may lend for another {}", span(good_for)));
    }
    if !view.grace.is_zero() {
        let grace = span(view.grace);
        say(&format!(
            "for another {grace} what nobody has told of may still be in use"
        ));
    }
    say(&coordinator_in_words(&view.coordinator));
    text
}

fn table(members: &[Member]) -> String {
    let header = ["NAME", "REG", "ADDRESS", "STATE", "WEIGHT"].map(String::from);
    let rows = members.iter().map(|member| {
        vec![
            readable(&member.name),
            member.reg.to_string(),
            tame(&member.address),
            state(member.state).into(),
            member.weight.to_string(),
        ]
    });
    let rows: Vec<_> = std::iter::once(header.to_vec()).chain(rows).collect();
    output::table(&rows)
}

fn coordinator_in_words(coordinator: &CoordinatorView) -> String {
    let mut text = format!("coordinator: {}", tame(&coordinator.kind));
    if !coordinator.version.is_empty() {
        write!(text, " {}", tame(&coordinator.version)).expect("a string takes everything");
    }
    if !coordinator.is_connected {
        text.push_str(", which cannot be reached");
    }
    if !coordinator.last_error.is_empty() {
        let error = tame(&coordinator.last_error);
        write!(text, ", last error: {error}").expect("a string takes everything");
    }
    for warning in &coordinator.warnings {
        write!(text, "\nwarning: {}", tame(warning)).expect("a string takes everything");
    }
    text
}

const fn state(state: MemberState) -> &'static str {
    match state {
        MemberState::Full => "full",
        MemberState::Leaving => "leaving",
    }
}

impl MembersLine {
    pub(crate) fn new(endpoint: &str, view: &MembersView) -> Self {
        let cluster = view.view.as_deref();
        let members = cluster.map_or(&[][..], |cluster| cluster.members());
        Self {
            node: view.node.clone(),
            endpoint: endpoint.into(),
            reg: view.reg,
            role: role(view.role),
            standing: standing(view.standing),
            epoch: cluster.map_or(0, |cluster| cluster.epoch()),
            founded: cluster.map_or(0, |cluster| cluster.founded()),
            lease_ms: cluster.map_or(0, |cluster| millis(cluster.lease().length())),
            members: members.iter().map(MemberLine::from).collect(),
            missing: view.missing.clone(),
            good_for_ms: view.good_for.map(millis),
            coordinator: CoordinatorLine::from(&view.coordinator),
            grace_ms: millis(view.grace),
        }
    }
}

impl From<&Member> for MemberLine {
    fn from(member: &Member) -> Self {
        Self {
            name: readable(&member.name),
            name_hex: hex(&member.name),
            reg: member.reg,
            address: member.address.clone(),
            state: state(member.state),
            weight: member.weight,
        }
    }
}

impl From<&CoordinatorView> for CoordinatorLine {
    fn from(view: &CoordinatorView) -> Self {
        Self {
            kind: view.kind.clone(),
            connected: view.is_connected,
            last_error: view.last_error.clone(),
            version: view.version.clone(),
            latency_us: u64::try_from(view.latency.as_micros()).unwrap_or(u64::MAX),
            warnings: view.warnings.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rm_core::inspect::Standing;
    use rm_core::view::View;

    use super::*;

    fn seen() -> MembersView {
        let member = |name: &str, reg, state| Member {
            name: name.into(),
            reg,
            address: format!("10.0.0.{reg}:7600"),
            state,
            weight: 1,
        };
        let members = vec![
            member("a", 7, MemberState::Full),
            member("b", 8, MemberState::Leaving),
        ];
        let view = View::new(12, Duration::from_secs(15), members).unwrap();
        MembersView {
            node: "a".into(),
            reg: 7,
            role: NodeRole::Member,
            standing: Standing::Gathering,
            view: Some(Arc::new(view)),
            missing: vec!["b".into()],
            good_for: Some(Duration::from_secs(3)),
            coordinator: CoordinatorView {
                kind: "etcd".into(),
                last_error: "no answer\u{1b}[2J".into(),
                ..CoordinatorView::default()
            },
            grace: Duration::ZERO,
            creditor: String::new(),
        }
    }

    #[test]
    fn people_read_who_is_a_member_and_what_is_waited_for() {
        let text = in_words(&seen());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "view 12 as a sees it, lease 15.0 s");
        assert_eq!(lines[1], "NAME  REG  ADDRESS        STATE    WEIGHT");
        assert_eq!(lines[3], "b     8    10.0.0.8:7600  leaving  1");
        assert_eq!(
            lines[4],
            "a is gathering: it waits for the reports of other members"
        );
        assert_eq!(lines[5], "it waits for the reports of b");
        assert_eq!(lines[6], "it may lend for another 3.0 s");
        assert!(lines[7].starts_with("coordinator: etcd, which cannot be reached"));
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn programs_read_the_same() {
        let line = serde_json::to_value(MembersLine::new("h:1", &seen())).unwrap();
        assert_eq!(line["epoch"], 12);
        assert_eq!(line["members"][1]["state"], "leaving");
        assert_eq!(line["members"][1]["name_hex"], "62");
        assert_eq!(line["missing"][0], "b");
        assert_eq!(line["good_for_ms"], 3_000);
        assert_eq!(line["coordinator"]["connected"], false);
    }
}
