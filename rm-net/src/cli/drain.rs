//! `rmctl drain`: a server hands over what it has, and stops.
//!
//! The order goes to the server itself, which refuses new requests, calls credit home and waits for holders, as long as
//! it is told. This command looks on, and is done when the server has gone: alone, when nobody answers any more; in a
//! cluster, when no view has it.
//!
//! JSON shape, stable: an [`Event`] a line.

use std::time::{Duration, Instant};

use rm_core::command::{Action, Outcome};
use rm_core::inspect::{Answer, MembersView, NodeRole, Query};
use schemars::JsonSchema;
use serde::Serialize;

use super::args::DrainArgs;
use super::connect::addresses;
use super::contact;
use super::exit::{Exit, Failure};
use super::output::{Output, tame};
use super::status::{standing, standing_in_words};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(250);
/// A server that has done all it can has so long to go.
const LAST_STEPS: Duration = Duration::from_secs(10);

/// What is printed while the server drains, and at the end.
#[derive(JsonSchema, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// It has begun. Printed anew when something changed.
    Draining(Progress),
    /// It has gone. `clean`: everything had come back.
    Drained {
        /// The server, by its name.
        node: String,
        /// Whether everything had come back.
        clean: bool,
    },
    /// It is still there, and the time is over.
    NotDrained(Progress),
}

/// What a server that drains still has.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub(super) struct Progress {
    /// The node, by its name.
    node: String,
    /// `active`, `gathering`, `suspended`, `leaving` or `outside`.
    standing: &'static str,
    /// Loans that are out.
    loans: u64,
    /// Guards of the server's own process.
    holds: u64,
    #[serde(skip)]
    standing_in_words: &'static str,
}

/// What can be seen of it.
enum Seen {
    There(Progress),
    Gone,
}

pub(crate) async fn run(
    endpoints: &[String],
    args: &DrainArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let addresses = addresses(endpoints)?;
    let action = Action::Drain {
        node: args.node.clone(),
        within: args.timeout,
    };
    let began = Instant::now();
    let (outcome, address) = contact::order(&addresses, action, &args.reason).await?;
    let Outcome::Draining = outcome else {
        return Err(contact::not_understood());
    };
    let mut others = addresses;
    others.retain(|other| *other != address);
    let mut last: Option<Progress> = None;
    while began.elapsed() < args.timeout + LAST_STEPS {
        match look(&address, &mut others, &args.node).await {
            Seen::Gone => {
                let had_loans = last.as_ref().is_some_and(|last| last.loans > 0);
                let clean = began.elapsed() < args.timeout || !had_loans;
                let node = args.node.clone();
                let event = Event::Drained { node, clean };
                output.print(&event, || event.in_words())?;
                return Ok(if clean { Exit::OK } else { Exit::NOT_DONE });
            }
            Seen::There(progress) if last.as_ref() != Some(&progress) => {
                let event = Event::Draining(progress.clone());
                output.print(&event, || event.in_words())?;
                last = Some(progress);
            }
            Seen::There(_) => {}
        }
        tokio::time::sleep(LOOK).await;
    }
    if let Some(last) = last {
        let event = Event::NotDrained(last);
        output.print(&event, || event.in_words())?;
    }
    Ok(Exit::NOT_DONE)
}

/// Looks at the server, and where it does not answer, at what others say of it; who they are, it says itself.
async fn look(address: &str, others: &mut Vec<String>, node: &str) -> Seen {
    if let Some((progress, view)) = ask(address, node).await {
        let is_member = view.role == NodeRole::Member;
        let members = view.view.as_ref().filter(|_| is_member);
        for member in members.map_or(&[][..], |view| view.members()) {
            if member.name != node.as_bytes() && !others.contains(&member.address) {
                others.push(member.address.clone());
            }
        }
        return Seen::There(progress);
    }
    for other in others {
        if let Ok(mut operator) = contact::open(other).await {
            let view = contact::members(&mut operator).await;
            operator.close().await;
            let Ok(view) = view else { continue };
            let members = view.view.as_ref().map_or(&[][..], |view| view.members());
            if members.iter().any(|member| member.name == node.as_bytes()) {
                return Seen::There(Progress {
                    node: node.into(),
                    standing: "gone",
                    loans: 0,
                    holds: 0,
                    standing_in_words: "gone, and still a member in the view of others",
                });
            }
            return Seen::Gone;
        }
    }
    Seen::Gone
}

async fn ask(address: &str, node: &str) -> Option<(Progress, MembersView)> {
    let mut operator = contact::open(address).await.ok()?;
    let view = contact::members(&mut operator).await;
    let status = operator.ask(Query::Status).await;
    operator.close().await;
    // Another server may have come to that address.
    let view = view.ok().filter(|view| view.node == node)?;
    let Ok(Answer::Status(status)) = status else {
        return None;
    };
    let count = |name: &str| {
        let counter = status.counters.iter().find(|(counter, _)| counter == name);
        counter.map_or(0, |(_, count)| *count)
    };
    let progress = Progress {
        node: node.into(),
        standing: standing(view.standing),
        loans: count("loans"),
        holds: count("holds"),
        standing_in_words: standing_in_words(view.standing),
    };
    Some((progress, view))
}

impl Event {
    fn in_words(&self) -> String {
        match self {
            Self::Draining(progress) => progress.in_words(),
            Self::Drained { node, clean: true } => {
                format!("{}: drained, everything had come back", tame(node))
            }
            Self::Drained { node, .. } => format!(
                "{}: it stopped when its time was over, with loans still out: they end with their leases",
                tame(node)
            ),
            Self::NotDrained(progress) => format!(
                "the time is over, and it has not stopped: {}",
                progress.in_words()
            ),
        }
    }
}

impl Progress {
    fn in_words(&self) -> String {
        let Self {
            node, loans, holds, ..
        } = self;
        let node = tame(node);
        let standing = self.standing_in_words;
        format!("{node}: {standing}; {loans} loans out, {holds} held by itself")
    }
}
