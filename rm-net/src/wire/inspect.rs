//! Questions and answers about a node's state, in both directions.
//!
//! A question of a later version is no error: it is answered by [`Answer::Unknown`], which on the wire is an
//! `Inspected` without an answer.

use rm_core::id::{NodeId, TypeId};
use rm_core::inspect::{
    Answer, ENTRIES_MAX, Entry, EntryKind, LIST_MAX, Query, ResourceView, StatusView, Summary,
};

use super::WireError;
use super::generated as pb;
use super::limits::{self, COUNTERS_MAX, NAME_BYTES_MAX};
use super::{incoming, members, outgoing};

pub(super) fn query_out(id: u64, query: &Query) -> Result<pb::Inspect, WireError> {
    use pb::inspect::Query as Out;
    let query = match query {
        Query::List {
            prefix,
            after,
            limit,
        } => {
            limits::length("ListQuery.prefix", prefix.len(), 0, NAME_BYTES_MAX)?;
            Some(Out::List(pb::ListQuery {
                prefix: outgoing::bytes(prefix),
                after: after.as_ref().map(|(type_id, key)| pb::ShowQuery {
                    type_id: type_id.0,
                    key: outgoing::bytes(key.as_bytes()),
                }),
                limit: *limit,
            }))
        }
        Query::Show { type_id, key } => Some(Out::Show(pb::ShowQuery {
            type_id: type_id.0,
            key: outgoing::bytes(key.as_bytes()),
        })),
        Query::Status => Some(Out::Status(pb::StatusQuery {})),
        Query::Members => Some(Out::Members(pb::MembersQuery {})),
        Query::Health => Some(Out::Health(pb::HealthQuery {})),
        Query::Unknown => None,
    };
    Ok(pb::Inspect { id, query })
}

pub(super) fn query_in(query: Option<pb::inspect::Query>) -> Result<Query, WireError> {
    use pb::inspect::Query as In;
    Ok(match query {
        Some(In::List(list)) => {
            limits::length("ListQuery.prefix", list.prefix.len(), 0, NAME_BYTES_MAX)?;
            let after = match list.after {
                Some(after) => Some((
                    TypeId(after.type_id),
                    incoming::key("ListQuery.after", &after.key)?,
                )),
                None => None,
            };
            Query::List {
                prefix: list.prefix.to_vec(),
                after,
                limit: list.limit,
            }
        }
        Some(In::Show(show)) => Query::Show {
            type_id: TypeId(show.type_id),
            key: incoming::key("ShowQuery.key", &show.key)?,
        },
        Some(In::Status(_)) => Query::Status,
        Some(In::Members(_)) => Query::Members,
        Some(In::Health(_)) => Query::Health,
        None => Query::Unknown,
    })
}

pub(super) fn answer_out(id: u64, answer: &Answer) -> Result<pb::Inspected, WireError> {
    use pb::inspected::Answer as Out;
    let answer = match answer {
        Answer::Unknown => None,
        Answer::NotAllowed { text } => Some(Out::NotAllowed(pb::NotAllowedAnswer {
            text: outgoing::text(text),
        })),
        Answer::List { resources, more } => {
            limits::count("ListAnswer.resources", resources.len(), LIST_MAX as usize)?;
            Some(Out::List(pb::ListAnswer {
                resources: resources.iter().map(summary_out).collect(),
                more: *more,
            }))
        }
        Answer::Show(view) => Some(Out::Show(pb::ShowAnswer {
            view: view.as_ref().map(view_out).transpose()?,
        })),
        Answer::Status(status) => Some(Out::Status(status_out(status)?)),
        Answer::Members(view) => Some(Out::Members(members::members_out(view)?)),
        Answer::Health(view) => Some(Out::Health(members::health_out(view))),
    };
    Ok(pb::Inspected { id, answer })
}

pub(super) fn answer_in(answer: Option<pb::inspected::Answer>) -> Result<Answer, WireError> {
    use pb::inspected::Answer as In;
    Ok(match answer {
        None => Answer::Unknown,
        Some(In::NotAllowed(it)) => Answer::NotAllowed {
            text: incoming::text("NotAllowedAnswer.text", it.text)?,
        },
        Some(In::List(list)) => Answer::List {
            resources: list
                .resources
                .into_iter()
                .map(summary_in)
                .collect::<Result<_, _>>()?,
            more: list.more,
        },
        Some(In::Show(show)) => Answer::Show(show.view.map(view_in).transpose()?),
        Some(In::Status(status)) => Answer::Status(status_in(status)?),
        Some(In::Members(view)) => Answer::Members(Box::new(members::members_in(view)?)),
        Some(In::Health(view)) => Answer::Health(Box::new(members::health_in(view)?)),
    })
}

fn summary_out(summary: &Summary) -> pb::Summary {
    pb::Summary {
        type_id: summary.type_id.0,
        type_name: outgoing::text(&summary.type_name),
        key: outgoing::bytes(summary.key.as_bytes()),
        holds: summary.holds,
        debtors: summary.debtors,
        waiting: summary.waiting,
    }
}

fn summary_in(summary: pb::Summary) -> Result<Summary, WireError> {
    Ok(Summary {
        type_id: TypeId(summary.type_id),
        type_name: incoming::text("Summary.type_name", summary.type_name)?,
        key: incoming::key("Summary.key", &summary.key)?,
        holds: summary.holds,
        debtors: summary.debtors,
        waiting: summary.waiting,
    })
}

fn view_out(view: &ResourceView) -> Result<pb::ResourceView, WireError> {
    limits::count("ResourceView.entries", view.entries.len(), ENTRIES_MAX)?;
    Ok(pb::ResourceView {
        type_id: view.type_id.0,
        type_name: outgoing::text(&view.type_name),
        key: outgoing::bytes(view.key.as_bytes()),
        entries: view.entries.iter().map(entry_out).collect(),
        omitted: view.omitted,
        fence: view.fence,
    })
}

fn view_in(view: pb::ResourceView) -> Result<ResourceView, WireError> {
    Ok(ResourceView {
        type_id: TypeId(view.type_id),
        type_name: incoming::text("ResourceView.type_name", view.type_name)?,
        key: incoming::key("ResourceView.key", &view.key)?,
        entries: view
            .entries
            .into_iter()
            .map(entry_in)
            .collect::<Result<_, _>>()?,
        omitted: view.omitted,
        fence: view.fence,
    })
}

fn entry_out(entry: &Entry) -> pb::Entry {
    let kind = match entry.kind {
        EntryKind::Caches => pb::EntryKind::Caches,
        EntryKind::Holds => pb::EntryKind::Holds,
        EntryKind::Silent => pb::EntryKind::Silent,
        EntryKind::Waits => pb::EntryKind::Waits,
    };
    pb::Entry {
        kind: kind.into(),
        node: outgoing::text(&entry.node),
        node_id: entry.node_id.0,
        mode: outgoing::text(&entry.mode),
        label: outgoing::text(&entry.label),
        age_nanos: outgoing::span(entry.age),
        order: entry.order.as_ref().and_then(outgoing::order),
        fence: entry.fence,
        loan: entry.loan.and_then(outgoing::loan),
        guards: entry.guards,
    }
}

fn entry_in(entry: pb::Entry) -> Result<Entry, WireError> {
    let kind = match pb::EntryKind::try_from(entry.kind) {
        Ok(pb::EntryKind::Caches) => EntryKind::Caches,
        Ok(pb::EntryKind::Holds) => EntryKind::Holds,
        Ok(pb::EntryKind::Silent) => EntryKind::Silent,
        Ok(pb::EntryKind::Waits) => EntryKind::Waits,
        Ok(pb::EntryKind::Unspecified) | Err(_) => {
            return Err(incoming::unknown("Entry.kind", entry.kind));
        }
    };
    let order = match entry.order {
        Some(order) => Some(incoming::order("Entry.order", Some(order))?),
        None => None,
    };
    let loan = match entry.loan {
        Some(loan) => Some(incoming::loan("Entry.loan", Some(loan))?),
        None => None,
    };
    Ok(Entry {
        kind,
        node: incoming::text("Entry.node", entry.node)?,
        node_id: NodeId(entry.node_id),
        mode: incoming::text("Entry.mode", entry.mode)?,
        label: incoming::text("Entry.label", entry.label)?,
        age: incoming::span("Entry.age", entry.age_nanos)?,
        order,
        fence: entry.fence,
        loan,
        guards: entry.guards,
    })
}

fn status_out(status: &StatusView) -> Result<pb::StatusAnswer, WireError> {
    limits::count("StatusAnswer.counters", status.counters.len(), COUNTERS_MAX)?;
    let counter = |(name, value): &(String, u64)| pb::Counter {
        name: outgoing::text(name),
        value: *value,
    };
    Ok(pb::StatusAnswer {
        name: outgoing::text(&status.name),
        software: outgoing::text(&status.software),
        coordinator: outgoing::text(&status.coordinator),
        epoch: status.epoch,
        lease_nanos: outgoing::span(status.lease),
        uptime_nanos: outgoing::span(status.uptime),
        grace_nanos: outgoing::span(status.grace),
        sessions: status.sessions,
        resources: status.resources,
        counters: status.counters.iter().map(counter).collect(),
        role: members::role_out(status.role),
        standing: members::standing_out(status.standing),
        view_epoch: status.view_epoch,
        members: status.members,
        coordinator_connected: status.is_coordinator_connected,
    })
}

fn status_in(status: pb::StatusAnswer) -> Result<StatusView, WireError> {
    let counter =
        |counter: pb::Counter| Ok((incoming::text("Counter.name", counter.name)?, counter.value));
    Ok(StatusView {
        name: incoming::text("StatusAnswer.name", status.name)?,
        software: incoming::text("StatusAnswer.software", status.software)?,
        coordinator: incoming::text("StatusAnswer.coordinator", status.coordinator)?,
        epoch: status.epoch,
        lease: incoming::span("StatusAnswer.lease", status.lease_nanos)?,
        uptime: incoming::span("StatusAnswer.uptime", status.uptime_nanos)?,
        grace: incoming::span("StatusAnswer.grace", status.grace_nanos)?,
        sessions: status.sessions,
        resources: status.resources,
        counters: status
            .counters
            .into_iter()
            .map(counter)
            .collect::<Result<_, _>>()?,
        role: members::role_in("StatusAnswer.role", status.role)?,
        standing: members::standing_in("StatusAnswer.standing", status.standing)?,
        view_epoch: status.view_epoch,
        members: status.members,
        is_coordinator_connected: status.coordinator_connected,
    })
}
