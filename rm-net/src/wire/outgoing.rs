//! From the core's packets to the structs of the schema.

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use rm_core::credit::Opaque;
use rm_core::id::{Class, LoanId, Note, Order};
use rm_core::message::{Blocker, BlockerKind, Message, REASON_BYTES_MAX, Refusal, Step, Unclaimed};
use rm_core::session::packet::{Body, Hello, Item, Packet, RefuseCode, Welcome};
use rm_core::value::Value;

use super::WireError;
use super::generated as pb;
use super::limits::{
    self, BLOCKERS_MAX, LEASE_MAX, NOTE_BYTES_MAX, SPAN_MAX, STEPS_MAX, TEXT_BYTES_MAX,
    VALUE_BYTES_MAX,
};
use super::{cluster, command, inspect};

/// Checks every limit but the number of items.
pub(super) fn packet(packet: &Packet) -> Result<pb::Packet, WireError> {
    Ok(pb::Packet {
        epoch: packet.epoch,
        stamp: packet.stamp.0,
        body: Some(body(&packet.body)?),
    })
}

fn body(body: &Body) -> Result<pb::packet::Body, WireError> {
    use pb::packet::Body as Out;
    Ok(match body {
        Body::Bye { reason } => Out::Bye(pb::Bye {
            reason: text(reason),
        }),
        Body::Command { id, command } => Out::Command(command::command_out(*id, command)),
        Body::Commanded { id, outcome } => Out::Commanded(command::outcome_out(*id, outcome)?),
        Body::Data { ack, first, items } => {
            limits::sequence(*first, items.len())?;
            Out::Data(pb::Data {
                ack: *ack,
                first: *first,
                items: items.iter().map(item).collect::<Result<_, _>>()?,
            })
        }
        Body::Gone { reason } => Out::Gone(pb::Gone {
            reason: text(reason),
        }),
        Body::Hello(it) => Out::Hello(hello(it)?),
        Body::Inspect { id, query } => Out::Inspect(inspect::query_out(*id, query)?),
        Body::Inspected { id, answer } => Out::Inspected(inspect::answer_out(*id, answer)?),
        Body::Refuse { code, text: why } => Out::Refuse(pb::Refuse {
            code: refuse_code(*code).into(),
            text: text(why),
        }),
        Body::Renew { sent, heard } => Out::Renew(pb::Renew {
            sent: *sent,
            heard: *heard,
        }),
        Body::RenewAck { sent, length } => {
            limits::span("RenewAck.length", *length, Duration::ZERO, LEASE_MAX)?;
            Out::RenewAck(pb::RenewAck {
                sent: *sent,
                length_nanos: nanos(*length),
            })
        }
        Body::Report(it) => Out::Report(cluster::report_out(it)?),
        Body::ReportAck {
            epoch,
            reg,
            part,
            is_active,
        } => Out::ReportAck(pb::ReportAck {
            epoch: *epoch,
            reg: *reg,
            part: *part,
            is_active: *is_active,
        }),
        Body::View(it) => Out::View(cluster::view_out(it)),
        Body::Welcome(it) => Out::Welcome(welcome(it)?),
    })
}

fn hello(hello: &Hello) -> Result<pb::Hello, WireError> {
    limits::name("Hello.name", &hello.name)?;
    Ok(pb::Hello {
        version: hello.version,
        name: bytes(&hello.name),
        boot: hello.boot.0,
        ticket: bytes(&hello.ticket.0),
        session: hello.session,
        reg: hello.reg,
        next_expected: hello.next_expected,
    })
}

fn welcome(welcome: &Welcome) -> Result<pb::Welcome, WireError> {
    limits::name("Welcome.name", &welcome.name)?;
    limits::lease("Welcome.lease", welcome.lease)?;
    Ok(pb::Welcome {
        version: welcome.version,
        name: bytes(&welcome.name),
        boot: welcome.boot.0,
        reg: welcome.reg,
        next_expected: welcome.next_expected,
        lease_nanos: nanos(welcome.lease),
    })
}

const fn refuse_code(code: RefuseCode) -> pb::RefuseCode {
    match code {
        RefuseCode::Version => pb::RefuseCode::Version,
        RefuseCode::Protocol => pb::RefuseCode::Protocol,
        RefuseCode::Limit => pb::RefuseCode::Limit,
        RefuseCode::Stamp => pb::RefuseCode::Stamp,
        RefuseCode::Denied => pb::RefuseCode::Denied,
        RefuseCode::Stopping => pb::RefuseCode::Stopping,
    }
}

fn item(item: &Item) -> Result<pb::Item, WireError> {
    Ok(pb::Item {
        type_id: item.type_id.0,
        key: bytes(item.key.as_bytes()),
        message: Some(message(&item.message)?),
        let_go: note(item.let_go.as_ref())?,
    })
}

fn message(message: &Message<Opaque>) -> Result<pb::item::Message, WireError> {
    use pb::item::Message as Out;
    Ok(match message {
        Message::AskLimit { loan: of } => Out::AskLimit(pb::AskLimit { loan: loan(*of) }),
        Message::Busy {
            order: of,
            blockers: who,
        } => Out::Busy(pb::Busy {
            order: order(of),
            blockers: blockers("Busy.blockers", who)?,
        }),
        Message::Claim(claim) => Out::Claim(pb::Claim {
            epoch: claim.epoch,
            loan: loan(claim.loan),
            amount: credit("Claim.amount", &claim.amount)?,
            fence: claim.fence,
            value: value(claim.value.as_deref())?,
            colour: claim.colour.map(|colour| colour.0.into()),
        }),
        Message::Claimed(claimed) => Out::Claimed(pb::Claimed {
            epoch: claimed.epoch,
            old: loan(claimed.old),
            loan: loan(claimed.loan),
            fence: claimed.fence,
            limit: claimed.limit,
            value: value(claimed.value.as_deref())?,
        }),
        Message::Deny {
            order: of,
            version,
            why,
            blockers: who,
        } => Out::Deny(pb::Deny {
            order: order(of),
            version: version.0,
            why: refusal(*why).into(),
            blockers: blockers("Deny.blockers", who)?,
        }),
        Message::Grant(grant) => Out::Grant(pb::Grant {
            loan: loan(grant.loan),
            order: order(&grant.order),
            version: grant.version.0,
            delta: credit("Grant.delta", &grant.delta)?,
            steps: steps("Grant.steps", &grant.steps)?,
            fence: grant.fence,
            limit: grant.limit,
            value: value(grant.value.as_deref())?,
            colour: grant.colour.map(|colour| colour.0.into()),
        }),
        Message::Limit { loan: of, limit } => Out::Limit(pb::Limit {
            loan: loan(*of),
            limit: *limit,
        }),
        Message::Recall {
            loan: of,
            steps: to,
        } => Out::Recall(pb::Recall {
            loan: loan(*of),
            steps: steps("Recall.steps", to)?,
        }),
        Message::Return {
            loan: of,
            delta,
            fence,
            value: known,
            colour,
        } => Out::Return(pb::Return {
            loan: loan(*of),
            delta: credit("Return.delta", delta)?,
            fence: *fence,
            value: value(known.as_deref())?,
            colour: colour.map(|colour| colour.0.into()),
        }),
        Message::Revoke { loan: of, reason } => Out::Revoke(pb::Revoke {
            loan: loan(*of),
            reason: cut(reason, REASON_BYTES_MAX),
        }),
        Message::Unclaimed { epoch, old, why } => Out::Unclaimed(pb::Unclaimed {
            epoch: *epoch,
            old: loan(*old),
            why: unclaimed(*why).into(),
        }),
        Message::Unwant { order: of } => Out::Unwant(pb::Unwant { order: order(of) }),
        Message::Want(want) => Out::Want(pb::Want {
            order: order(&want.order),
            version: want.version.0,
            level: credit("Want.level", &want.level)?,
            try_only: want.try_only,
            deadline_nanos: want.deadline.map(span),
            note: note(want.note.as_ref())?,
        }),
    })
}

const fn unclaimed(why: Unclaimed) -> pb::UnclaimedReason {
    match why {
        Unclaimed::Again => pb::UnclaimedReason::Again,
        Unclaimed::Refused => pb::UnclaimedReason::Refused,
    }
}

pub(super) fn value(value: Option<&Value>) -> Result<Option<pb::Value>, WireError> {
    let Some(value) = value else {
        return Ok(None);
    };
    limits::length("Value.bytes", value.bytes.len(), 0, VALUE_BYTES_MAX)?;
    Ok(Some(pb::Value {
        version: value.version,
        doubtful: value.is_doubtful(),
        bytes: bytes(&value.bytes),
    }))
}

fn steps(field: &'static str, steps: &[Step<Opaque>]) -> Result<Vec<pb::Step>, WireError> {
    limits::count(field, steps.len(), STEPS_MAX)?;
    let step = |step: &Step<Opaque>| {
        Ok(pb::Step {
            order: order(&step.order),
            keep: credit("Step.keep", &step.keep)?,
            try_only: step.try_only,
            whole: step.whole,
            note: note(step.note.as_ref())?,
        })
    };
    steps.iter().map(step).collect()
}

fn blockers(field: &'static str, blockers: &[Blocker]) -> Result<Vec<pb::Blocker>, WireError> {
    limits::count(field, blockers.len(), BLOCKERS_MAX)?;
    let blocker = |blocker: &Blocker| {
        let kind = match blocker.kind {
            BlockerKind::Holder => pb::BlockerKind::Holder,
            BlockerKind::Older => pb::BlockerKind::Older,
            BlockerKind::Silent => pb::BlockerKind::Silent,
            BlockerKind::Rule => pb::BlockerKind::Rule,
        };
        Ok(pb::Blocker {
            node: blocker.party.node.0,
            boot: blocker.party.boot.0,
            kind: kind.into(),
            note: note(blocker.note.as_ref())?,
        })
    };
    blockers.iter().map(blocker).collect()
}

const fn refusal(why: Refusal) -> pb::Refusal {
    match why {
        Refusal::Busy => pb::Refusal::Busy,
        Refusal::Deadline => pb::Refusal::Deadline,
        Refusal::Deadlock => pb::Refusal::Deadlock,
        Refusal::Refused => pb::Refusal::Refused,
        Refusal::ShuttingDown => pb::Refusal::ShuttingDown,
        Refusal::NotAllowed => pb::Refusal::NotAllowed,
    }
}

/// A place, as the schema wants it: its message fields are optional.
pub(super) fn order(order: &Order) -> Option<pb::Order> {
    let class = match order.class {
        Class::Convert => pb::Class::Convert,
        Class::New => pb::Class::New,
    };
    Some(pb::Order {
        class: class.into(),
        stamp: order.stamp.0,
        node: order.party.node.0,
        boot: order.party.boot.0,
        seq: order.seq,
    })
}

/// A loan, as the schema wants it: its message fields are optional.
pub(super) const fn loan(loan: LoanId) -> Option<pb::Loan> {
    Some(pb::Loan {
        epoch: loan.epoch,
        counter: loan.counter,
    })
}

fn note(note: Option<&Arc<Note>>) -> Result<Option<pb::Note>, WireError> {
    let Some(note) = note else {
        return Ok(None);
    };
    limits::length("Note.label", note.label.len(), 0, NOTE_BYTES_MAX)?;
    limits::length("Note.mode", note.mode.len(), 0, NOTE_BYTES_MAX)?;
    limits::length("Note.node", note.node.len(), 0, NOTE_BYTES_MAX)?;
    Ok(Some(pb::Note {
        node: note.node.clone(),
        label: note.label.clone(),
        mode: note.mode.clone(),
        trace: note
            .trace()
            .map_or_else(Bytes::new, |trace| bytes(&trace.to_bytes())),
    }))
}

fn credit(field: &'static str, credit: &Opaque) -> Result<Bytes, WireError> {
    limits::credit(field, &credit.0)?;
    Ok(bytes(&credit.0))
}

pub(super) fn bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// A text for people, cut between characters where it is too long.
pub(super) fn text(text: &str) -> String {
    cut(text, TEXT_BYTES_MAX)
}

pub(super) fn cut(text: &str, max: usize) -> String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

/// A span in nanoseconds, cut to [`SPAN_MAX`].
pub(super) fn span(span: Duration) -> u64 {
    nanos(span.min(SPAN_MAX))
}

/// `span` has been checked: 584 years would fit.
pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
