//! From the structs of the schema to the core's packets.
//!
//! The number of elements in lists has been checked by then. Everything else is checked here.

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use rm_core::credit::{Colour, Opaque};
use rm_core::id::{
    Boot, Class, LoanId, NodeId, Note, Order, Party, ResourceKey, Stamp, TypeId, Version,
};
use rm_core::message::{
    Blocker, BlockerKind, Blockers, Claim, Claimed, Grant, Message, REASON_BYTES_MAX, Refusal,
    Step, Steps, Unclaimed, Want,
};
use rm_core::session::packet::{Body, Hello, Item, Packet, RefuseCode, WIRE_VERSION, Welcome};
use rm_core::session::{TICKET_BYTES, Ticket};
use rm_core::trace::TraceContext;
use rm_core::value::{Value, ValueState};
use smallvec::SmallVec;

use super::WireError;
use super::generated as pb;
use super::limits::{self, LEASE_MAX, NOTE_BYTES_MAX, SPAN_MAX, TEXT_BYTES_MAX, VALUE_BYTES_MAX};
use super::{cluster, command, inspect};

/// `later_body` is the number of a field that must be a body of a later version if there is none known here.
pub(super) fn packet(packet: pb::Packet, later_body: Option<u32>) -> Result<Packet, WireError> {
    let Some(it) = packet.body else {
        return Err(match later_body {
            Some(field) => WireError::UnknownBody { field },
            None => WireError::Missing {
                field: "Packet.body",
            },
        });
    };
    Ok(Packet {
        epoch: packet.epoch,
        stamp: Stamp(packet.stamp),
        body: body(it)?,
    })
}

fn body(body: pb::packet::Body) -> Result<Body, WireError> {
    use pb::packet::Body as In;
    Ok(match body {
        In::Data(data) => {
            limits::sequence(data.first, data.items.len())?;
            Body::Data {
                ack: data.ack,
                first: data.first,
                items: data.items.into_iter().map(item).collect::<Result<_, _>>()?,
            }
        }
        In::Renew(renew) => Body::Renew {
            sent: renew.sent,
            heard: renew.heard,
        },
        In::RenewAck(ack) => {
            let length = Duration::from_nanos(ack.length_nanos);
            limits::span("RenewAck.length", length, Duration::ZERO, LEASE_MAX)?;
            Body::RenewAck {
                sent: ack.sent,
                length,
            }
        }
        In::Hello(it) => Body::Hello(hello(&it)?),
        In::Welcome(it) => Body::Welcome(welcome(&it)?),
        In::Gone(gone) => Body::Gone {
            reason: text("Gone.reason", gone.reason)?,
        },
        In::Bye(bye) => Body::Bye {
            reason: text("Bye.reason", bye.reason)?,
        },
        In::Refuse(refuse) => Body::Refuse {
            code: refuse_code(refuse.code)?,
            text: text("Refuse.text", refuse.text)?,
        },
        In::Command(it) => Body::Command {
            id: it.id,
            command: command::command_in(it)?,
        },
        In::Commanded(it) => Body::Commanded {
            id: it.id,
            outcome: command::outcome_in(it.outcome)?,
        },
        In::Inspect(it) => Body::Inspect {
            id: it.id,
            query: inspect::query_in(it.query)?,
        },
        In::View(view) => Body::View(cluster::view_in(view)?),
        In::Report(report) => Body::Report(cluster::report_in(report)?),
        In::ReportAck(ack) => Body::ReportAck {
            epoch: ack.epoch,
            reg: ack.reg,
            part: ack.part,
            is_active: ack.is_active,
        },
        In::Inspected(it) => Body::Inspected {
            id: it.id,
            answer: inspect::answer_in(it.answer)?,
        },
    })
}

fn hello(hello: &pb::Hello) -> Result<Hello, WireError> {
    limits::name("Hello.name", &hello.name)?;
    Ok(Hello {
        version: hello.version,
        name: hello.name.to_vec(),
        boot: Boot(hello.boot),
        ticket: ticket(hello)?,
        session: hello.session,
        reg: hello.reg,
        next_expected: hello.next_expected,
    })
}

/// One of another version need not have any: it is refused for its version, which says what to do.
fn ticket(hello: &pb::Hello) -> Result<Ticket, WireError> {
    let bytes = &hello.ticket;
    if hello.version != WIRE_VERSION && bytes.len() != TICKET_BYTES {
        return Ok(Ticket::default());
    }
    limits::length("Hello.ticket", bytes.len(), TICKET_BYTES, TICKET_BYTES)?;
    let mut ticket = Ticket::default();
    ticket.0.copy_from_slice(bytes);
    Ok(ticket)
}

fn welcome(welcome: &pb::Welcome) -> Result<Welcome, WireError> {
    let lease = Duration::from_nanos(welcome.lease_nanos);
    limits::name("Welcome.name", &welcome.name)?;
    limits::lease("Welcome.lease", lease)?;
    Ok(Welcome {
        version: welcome.version,
        name: welcome.name.to_vec(),
        boot: Boot(welcome.boot),
        reg: welcome.reg,
        next_expected: welcome.next_expected,
        lease,
    })
}

fn refuse_code(value: i32) -> Result<RefuseCode, WireError> {
    match pb::RefuseCode::try_from(value) {
        Ok(pb::RefuseCode::Version) => Ok(RefuseCode::Version),
        Ok(pb::RefuseCode::Protocol) => Ok(RefuseCode::Protocol),
        Ok(pb::RefuseCode::Limit) => Ok(RefuseCode::Limit),
        Ok(pb::RefuseCode::Stamp) => Ok(RefuseCode::Stamp),
        Ok(pb::RefuseCode::Denied) => Ok(RefuseCode::Denied),
        Ok(pb::RefuseCode::Stopping) => Ok(RefuseCode::Stopping),
        Ok(pb::RefuseCode::Unspecified) | Err(_) => Err(unknown("Refuse.code", value)),
    }
}

fn item(item: pb::Item) -> Result<Item, WireError> {
    Ok(Item {
        type_id: TypeId(item.type_id),
        // For people: one that breaks the rules is left out.
        let_go: note(item.let_go).unwrap_or_default(),
        key: key("Item.key", &item.key)?,
        message: message(required("Item.message", item.message)?)?,
    })
}

/// A number that is no colour is none: whoever needs one refuses the message.
fn colour(number: Option<u32>) -> Option<Colour> {
    number
        .and_then(|number| u8::try_from(number).ok())
        .map(Colour)
}

fn message(message: pb::item::Message) -> Result<Message<Opaque>, WireError> {
    use pb::item::Message as In;
    Ok(match message {
        In::Want(want) => Message::Want(Want {
            order: order("Want.order", want.order)?,
            version: Version(want.version),
            level: credit("Want.level", &want.level)?,
            try_only: want.try_only,
            deadline: want
                .deadline_nanos
                .map(|nanos| span("Want.deadline", nanos))
                .transpose()?,
            note: note(want.note)?,
        }),
        In::Grant(grant) => Message::Grant(Grant {
            loan: loan("Grant.loan", grant.loan)?,
            order: order("Grant.order", grant.order)?,
            version: Version(grant.version),
            delta: credit("Grant.delta", &grant.delta)?,
            steps: steps(grant.steps)?,
            fence: grant.fence,
            limit: grant.limit,
            value: value(grant.value)?,
            colour: colour(grant.colour),
        }),
        In::Return(it) => Message::Return {
            loan: loan("Return.loan", it.loan)?,
            delta: credit("Return.delta", &it.delta)?,
            fence: it.fence,
            value: value(it.value)?,
            colour: colour(it.colour),
        },
        In::Recall(recall) => Message::Recall {
            loan: loan("Recall.loan", recall.loan)?,
            steps: steps(recall.steps)?,
        },
        In::Limit(limit) => Message::Limit {
            loan: loan("Limit.loan", limit.loan)?,
            limit: limit.limit,
        },
        In::AskLimit(ask) => Message::AskLimit {
            loan: loan("AskLimit.loan", ask.loan)?,
        },
        In::Unwant(unwant) => Message::Unwant {
            order: order("Unwant.order", unwant.order)?,
        },
        In::Deny(deny) => Message::Deny {
            order: order("Deny.order", deny.order)?,
            version: Version(deny.version),
            why: refusal(deny.why)?,
            blockers: blockers(deny.blockers)?,
        },
        In::Busy(busy) => Message::Busy {
            order: order("Busy.order", busy.order)?,
            blockers: blockers(busy.blockers)?,
        },
        In::Claim(claim) => Message::Claim(Claim {
            epoch: claim.epoch,
            loan: loan("Claim.loan", claim.loan)?,
            amount: credit("Claim.amount", &claim.amount)?,
            fence: claim.fence,
            value: value(claim.value)?,
            colour: colour(claim.colour),
        }),
        In::Claimed(claimed) => Message::Claimed(Claimed {
            epoch: claimed.epoch,
            old: loan("Claimed.old", claimed.old)?,
            loan: loan("Claimed.loan", claimed.loan)?,
            fence: claimed.fence,
            limit: claimed.limit,
            value: value(claimed.value)?,
        }),
        In::Unclaimed(it) => Message::Unclaimed {
            epoch: it.epoch,
            old: loan("Unclaimed.old", it.old)?,
            why: unclaimed(it.why)?,
        },
        In::Revoke(revoke) => Message::Revoke {
            loan: loan("Revoke.loan", revoke.loan)?,
            reason: reason(&revoke.reason)?,
        },
    })
}

fn unclaimed(value: i32) -> Result<Unclaimed, WireError> {
    match pb::UnclaimedReason::try_from(value) {
        Ok(pb::UnclaimedReason::Again) => Ok(Unclaimed::Again),
        Ok(pb::UnclaimedReason::Refused) => Ok(Unclaimed::Refused),
        Ok(pb::UnclaimedReason::Unspecified) | Err(_) => Err(unknown("Unclaimed.why", value)),
    }
}

fn reason(reason: &str) -> Result<Arc<str>, WireError> {
    limits::length("Revoke.reason", reason.len(), 0, REASON_BYTES_MAX)?;
    Ok(reason.into())
}

pub(super) fn value(value: Option<pb::Value>) -> Result<Option<Arc<Value>>, WireError> {
    let Some(value) = value else {
        return Ok(None);
    };
    limits::length("Value.bytes", value.bytes.len(), 0, VALUE_BYTES_MAX)?;
    Ok(Some(Arc::new(Value {
        version: value.version,
        state: if value.doubtful {
            ValueState::Doubtful
        } else {
            ValueState::Sure
        },
        bytes: value.bytes[..].into(),
    })))
}

fn steps(steps: Vec<pb::Step>) -> Result<Steps<Opaque>, WireError> {
    let step = |step: pb::Step| {
        Ok(Step {
            order: order("Step.order", step.order)?,
            keep: credit("Step.keep", &step.keep)?,
            try_only: step.try_only,
            whole: step.whole,
            note: note(step.note)?,
        })
    };
    steps.into_iter().map(step).collect()
}

fn blockers(blockers: Vec<pb::Blocker>) -> Result<Blockers, WireError> {
    let blocker = |blocker: pb::Blocker| {
        let kind = match pb::BlockerKind::try_from(blocker.kind) {
            Ok(pb::BlockerKind::Holder) => BlockerKind::Holder,
            Ok(pb::BlockerKind::Older) => BlockerKind::Older,
            Ok(pb::BlockerKind::Silent) => BlockerKind::Silent,
            Ok(pb::BlockerKind::Rule) => BlockerKind::Rule,
            Ok(pb::BlockerKind::Unspecified) | Err(_) => {
                return Err(unknown("Blocker.kind", blocker.kind));
            }
        };
        Ok(Blocker {
            party: Party {
                node: NodeId(blocker.node),
                boot: Boot(blocker.boot),
            },
            kind,
            note: note(blocker.note)?,
        })
    };
    blockers.into_iter().map(blocker).collect()
}

fn refusal(value: i32) -> Result<Refusal, WireError> {
    match pb::Refusal::try_from(value) {
        Ok(pb::Refusal::Busy) => Ok(Refusal::Busy),
        Ok(pb::Refusal::Deadline) => Ok(Refusal::Deadline),
        Ok(pb::Refusal::Deadlock) => Ok(Refusal::Deadlock),
        Ok(pb::Refusal::ShuttingDown) => Ok(Refusal::ShuttingDown),
        Ok(pb::Refusal::NotAllowed) => Ok(Refusal::NotAllowed),
        // A reason of a later version refuses all the same.
        Ok(pb::Refusal::Refused) | Err(_) => Ok(Refusal::Refused),
        Ok(pb::Refusal::Unspecified) => Err(unknown("Deny.why", value)),
    }
}

pub(super) fn order(field: &'static str, order: Option<pb::Order>) -> Result<Order, WireError> {
    let order = required(field, order)?;
    let class = match pb::Class::try_from(order.class) {
        Ok(pb::Class::Convert) => Class::Convert,
        Ok(pb::Class::New) => Class::New,
        Err(_) => return Err(unknown("Order.class", order.class)),
    };
    Ok(Order {
        class,
        stamp: Stamp(order.stamp),
        party: Party {
            node: NodeId(order.node),
            boot: Boot(order.boot),
        },
        seq: order.seq,
    })
}

pub(super) fn loan(field: &'static str, loan: Option<pb::Loan>) -> Result<LoanId, WireError> {
    let loan = required(field, loan)?;
    Ok(LoanId {
        epoch: loan.epoch,
        counter: loan.counter,
    })
}

fn note(note: Option<pb::Note>) -> Result<Option<Arc<Note>>, WireError> {
    let Some(note) = note else {
        return Ok(None);
    };
    limits::length("Note.label", note.label.len(), 0, NOTE_BYTES_MAX)?;
    limits::length("Note.mode", note.mode.len(), 0, NOTE_BYTES_MAX)?;
    limits::length("Note.node", note.node.len(), 0, NOTE_BYTES_MAX)?;
    let trace = TraceContext::from_bytes(&note.trace);
    Ok(Some(Note::of(note.mode, note.label, note.node, trace)))
}

pub(super) fn credit(field: &'static str, bytes: &Bytes) -> Result<Opaque, WireError> {
    limits::credit(field, bytes)?;
    Ok(Opaque(SmallVec::from_slice(bytes)))
}

pub(super) fn key(field: &'static str, bytes: &Bytes) -> Result<ResourceKey, WireError> {
    limits::name(field, bytes)?;
    ResourceKey::new(bytes).map_err(|error| WireError::Malformed {
        detail: error.to_string(),
    })
}

pub(super) fn text(field: &'static str, text: String) -> Result<String, WireError> {
    limits::length(field, text.len(), 0, TEXT_BYTES_MAX)?;
    Ok(text)
}

pub(super) fn span(field: &'static str, nanos: u64) -> Result<Duration, WireError> {
    let span = Duration::from_nanos(nanos);
    limits::span(field, span, Duration::ZERO, SPAN_MAX)?;
    Ok(span)
}

pub(super) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or(WireError::Missing { field })
}

pub(super) const fn unknown(field: &'static str, value: i32) -> WireError {
    WireError::UnknownValue { field, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_hello_of_this_version_needs_a_ticket() {
        let said = |version| pb::Hello {
            version,
            name: b"web-1".to_vec().into(),
            ..pb::Hello::default()
        };
        assert_eq!(hello(&said(2)).map(|hello| hello.version).ok(), Some(2));
        assert!(hello(&said(WIRE_VERSION)).is_err());
    }
}
