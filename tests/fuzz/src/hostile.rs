//! What a hostile peer says, made from bytes: messages that are well formed, with numbers that are small, or true of
//! somebody else, or at the ends of their range.

use core::time::Duration;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use rm_core::credit::Colour;
use rm_core::id::{Boot, Class, LoanId, NodeId, Note, Order, Party, Stamp, Version};
use rm_core::message::{
    Blocker, BlockerKind, Blockers, Claim, Claimed, Grant, Message, Refusal, Step, Steps,
    Unclaimed, Want,
};
use rm_core::value::{Value, ValueState};
use rm_rwlock::RwCredit;

/// Messages about RW locks.
pub(crate) type RwMessage = Message<RwCredit>;

/// A message that a debtor sends.
pub(crate) fn upward(bytes: &mut Unstructured<'_>) -> Result<RwMessage> {
    Ok(match bytes.int_in_range(0..=5)? {
        0 => Message::AskLimit { loan: loan(bytes)? },
        1 => Message::Busy {
            order: order(bytes)?,
            blockers: blockers(bytes)?,
        },
        2 => Message::Claim(Claim {
            epoch: number(bytes)? as u32,
            loan: loan(bytes)?,
            amount: credit(bytes)?,
            fence: number(bytes)?,
            value: value(bytes)?,
            colour: colour(bytes)?,
        }),
        3 => Message::Return {
            loan: loan(bytes)?,
            delta: credit(bytes)?,
            fence: number(bytes)?,
            value: value(bytes)?,
            colour: colour(bytes)?,
        },
        4 => Message::Unwant {
            order: order(bytes)?,
        },
        _ => Message::Want(Want {
            order: order(bytes)?,
            version: Version(number(bytes)?),
            level: credit(bytes)?,
            try_only: bytes.arbitrary()?,
            deadline: span(bytes)?,
            note: note(bytes)?,
        }),
    })
}

/// A message that a creditor sends.
pub(crate) fn downward(bytes: &mut Unstructured<'_>) -> Result<RwMessage> {
    Ok(match bytes.int_in_range(0..=6)? {
        0 => Message::Claimed(Claimed {
            epoch: number(bytes)? as u32,
            old: loan(bytes)?,
            loan: loan(bytes)?,
            fence: number(bytes)?,
            limit: number(bytes)?,
            value: value(bytes)?,
        }),
        1 => Message::Deny {
            order: order(bytes)?,
            version: Version(number(bytes)?),
            why: *bytes.choose(&[
                Refusal::Busy,
                Refusal::Deadline,
                Refusal::Deadlock,
                Refusal::Refused,
                Refusal::ShuttingDown,
            ])?,
            blockers: blockers(bytes)?,
        },
        2 => Message::Limit {
            loan: loan(bytes)?,
            limit: number(bytes)?,
        },
        3 => Message::Recall {
            loan: loan(bytes)?,
            steps: steps(bytes)?,
        },
        4 => Message::Revoke {
            loan: loan(bytes)?,
            reason: "because".into(),
        },
        5 => Message::Unclaimed {
            epoch: number(bytes)? as u32,
            old: loan(bytes)?,
            why: *bytes.choose(&[Unclaimed::Again, Unclaimed::Refused])?,
        },
        _ => Message::Grant(Grant {
            loan: loan(bytes)?,
            order: order(bytes)?,
            version: Version(number(bytes)?),
            delta: credit(bytes)?,
            steps: steps(bytes)?,
            fence: number(bytes)?,
            limit: number(bytes)?,
            value: value(bytes)?,
            colour: colour(bytes)?,
        }),
    })
}

/// Small, or at an end of the range, or any.
pub(crate) fn number(bytes: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match bytes.arbitrary::<u8>()? {
        small @ 0..=0xf0 => u64::from(small & 0x0f),
        0xf1..=0xf4 => u64::MAX,
        0xf5..=0xf8 => u64::MAX - 1,
        0xf9 | 0xfa => 1 << 32,
        _ => bytes.arbitrary()?,
    })
}

/// An order that may be an honest node's: their parties are 0 to 3, too.
pub(crate) fn order(bytes: &mut Unstructured<'_>) -> Result<Order> {
    Ok(Order {
        class: if bytes.ratio(1, 4)? {
            Class::Convert
        } else {
            Class::New
        },
        stamp: Stamp(number(bytes)?),
        party: party(bytes.int_in_range(0..=3)?),
        seq: number(bytes)?,
    })
}

/// The run of the node of that number.
pub(crate) fn party(node: u64) -> Party {
    Party {
        node: NodeId(node),
        boot: Boot(node),
    }
}

fn loan(bytes: &mut Unstructured<'_>) -> Result<LoanId> {
    Ok(LoanId {
        epoch: bytes.int_in_range(0..=2)?,
        counter: number(bytes)? as u32,
    })
}

fn credit(bytes: &mut Unstructured<'_>) -> Result<RwCredit> {
    Ok(RwCredit {
        shares: number(bytes)?,
        intent: number(bytes)?,
    })
}

fn colour(bytes: &mut Unstructured<'_>) -> Result<Option<Colour>> {
    Ok(bytes.ratio(1, 8)?.then_some(Colour(bytes.arbitrary()?)))
}

fn span(bytes: &mut Unstructured<'_>) -> Result<Option<Duration>> {
    let span = Duration::from_millis(number(bytes)?);
    Ok(bytes.arbitrary::<bool>()?.then_some(span))
}

fn value(bytes: &mut Unstructured<'_>) -> Result<Option<Arc<Value>>> {
    if !bytes.ratio(1, 8)? {
        return Ok(None);
    }
    let length = bytes.int_in_range(0..=2_000)?;
    Ok(Some(Arc::new(Value {
        version: number(bytes)?,
        bytes: vec![7; length].into(),
        state: *bytes.choose(&[ValueState::Sure, ValueState::Doubtful])?,
    })))
}

fn note(bytes: &mut Unstructured<'_>) -> Result<Option<Arc<Note>>> {
    Ok(bytes
        .arbitrary::<bool>()?
        .then(|| Note::new("write", "label", "hostile")))
}

fn blockers(bytes: &mut Unstructured<'_>) -> Result<Blockers> {
    let count = bytes.int_in_range(0..=2)?;
    (0..count)
        .map(|_| {
            Ok(Blocker {
                party: party(bytes.int_in_range(0..=3)?),
                kind: *bytes.choose(&[
                    BlockerKind::Holder,
                    BlockerKind::Older,
                    BlockerKind::Silent,
                ])?,
                note: None,
            })
        })
        .collect()
}

fn steps(bytes: &mut Unstructured<'_>) -> Result<Steps<RwCredit>> {
    let count = bytes.int_in_range(0..=3)?;
    (0..count)
        .map(|_| {
            Ok(Step {
                order: order(bytes)?,
                keep: credit(bytes)?,
                try_only: bytes.arbitrary()?,
                whole: bytes.arbitrary()?,
                note: None,
            })
        })
        .collect()
}
