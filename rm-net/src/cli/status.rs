//! `rmctl status`: how each server is.
//!
//! JSON shape, stable: a [`StatusLine`] for each address that was asked and answered. Times are in milliseconds.

use std::collections::BTreeMap;

use rm_core::inspect::{Answer, NodeRole, Query, Standing, StatusView};
use schemars::JsonSchema;
use serde::Serialize;

use super::connect::addresses;
use super::contact;
use super::exit::{Exit, Failure};
use super::output::{self, Output, millis, span, tame};

/// What `status` prints.
#[derive(JsonSchema, Serialize)]
pub(crate) struct StatusLine {
    /// The address that was asked.
    endpoint: String,
    /// The name, readable: bytes that are no text as `\xNN`.
    name: String,
    /// The version of the server's software.
    software: String,
    /// What keeps the list of members, and how it stands with it.
    coordinator: String,
    /// The epoch; 0: none.
    epoch: u32,
    /// The length of a lease.
    lease_ms: u64,
    /// How long the server has run.
    uptime_ms: u64,
    /// How long the server will still lend nothing, after a restart.
    grace_ms: u64,
    /// Sessions with clients and other members.
    sessions: u32,
    /// Resources with any state.
    resources: u64,
    /// `standalone`, `member` or `relay`.
    role: &'static str,
    /// `active`, `gathering`, `suspended`, `leaving` or `outside`.
    standing: &'static str,
    /// The epoch of the view that the server goes by.
    view_epoch: u32,
    /// The members of that view.
    members: u32,
    /// Whether it reaches its coordinator; what has none does.
    coordinator_connected: bool,
    /// Counters since the start, by name.
    counters: BTreeMap<String, u64>,
}

/// Asks all of them. One that does not answer is complained of, and makes the exit code 75.
pub(crate) async fn run(endpoints: &[String], output: Output) -> Result<Exit, Failure> {
    let addresses = addresses(endpoints)?;
    let mut failed = None;
    let mut is_first = true;
    for address in &addresses {
        match ask(address).await {
            Ok(status) => {
                let gap = if std::mem::take(&mut is_first) {
                    ""
                } else {
                    "\n"
                };
                let line = StatusLine::new(address, &status);
                output.print(&line, || format!("{gap}{}", in_words(&status)))?;
            }
            Err(failure) if addresses.len() == 1 => return Err(failure),
            Err(failure) => {
                output.fail("rmctl", &failure);
                failed = Some(failure.exit);
            }
        }
    }
    Ok(failed.unwrap_or(Exit::OK))
}

async fn ask(address: &str) -> Result<StatusView, Failure> {
    let mut operator = contact::open(address).await?;
    let answer = operator.ask(Query::Status).await;
    operator.close().await;
    match answer? {
        Answer::Status(status) => Ok(status),
        _ => Err(contact::not_understood()),
    }
}

/// What programs call a role.
pub(crate) const fn role(role: NodeRole) -> &'static str {
    match role {
        NodeRole::Standalone => "standalone",
        NodeRole::Member => "member",
        NodeRole::Relay => "relay",
    }
}

/// What programs call a standing.
pub(crate) const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Active => "active",
        Standing::Gathering => "gathering",
        Standing::Suspended => "suspended",
        Standing::Leaving => "leaving",
        Standing::Outside => "outside",
    }
}

/// The same for people, with what it means.
pub(crate) const fn standing_in_words(standing: Standing) -> &'static str {
    match standing {
        Standing::Active => "active",
        Standing::Gathering => "gathering: it waits for the reports of other members",
        Standing::Suspended => {
            "suspended: it does not know whether it is still a member, and lends nothing"
        }
        Standing::Leaving => "leaving: it hands over what it has",
        Standing::Outside => "outside: it is no member",
    }
}

fn in_words(status: &StatusView) -> String {
    let mut coordinator = tame(&status.coordinator);
    if !status.is_coordinator_connected {
        coordinator.push_str(", which cannot be reached");
    }
    let mut rows = vec![
        ("server", tame(&status.name)),
        ("version", tame(&status.software)),
        ("role", role(status.role).into()),
        ("standing", standing_in_words(status.standing).into()),
        ("members", status.members.to_string()),
        ("coordinator", coordinator),
        ("epoch", status.epoch.to_string()),
        ("lease", span(status.lease)),
        ("up for", span(status.uptime)),
        ("sessions", status.sessions.to_string()),
        ("locks", status.resources.to_string()),
    ];
    if !status.grace.is_zero() {
        let why =
            "what was lent before may still be in use: what nobody has told of is lent after that";
        rows.push(("grace", format!("{}, {why}", span(status.grace))));
    }
    let counters = status.counters.iter();
    let counters = counters.map(|(name, count)| vec![tame(name), count.to_string()]);
    let rows = rows
        .into_iter()
        .map(|(name, value)| vec![name.into(), value]);
    output::table(&rows.chain(counters).collect::<Vec<_>>())
}

impl StatusLine {
    pub(crate) fn new(endpoint: &str, status: &StatusView) -> Self {
        Self {
            endpoint: endpoint.into(),
            name: status.name.clone(),
            software: status.software.clone(),
            coordinator: status.coordinator.clone(),
            epoch: status.epoch,
            lease_ms: millis(status.lease),
            uptime_ms: millis(status.uptime),
            grace_ms: millis(status.grace),
            sessions: status.sessions,
            resources: status.resources,
            role: role(status.role),
            standing: standing(status.standing),
            view_epoch: status.view_epoch,
            members: status.members,
            coordinator_connected: status.is_coordinator_connected,
            counters: status.counters.iter().cloned().collect(),
        }
    }
}
