//! Messages for the tests of this folder.

use crate::credit::Opaque;
use crate::id::{Class, LoanId, Order, Party, ResourceKey, Stamp, TypeId, Version};
use crate::message::{Grant, Message, Want};
use crate::time::Time;

use super::packet::Item;

/// Upward: the `n`th want.
pub(super) fn want(n: u64) -> Item {
    item(Message::Want(Want {
        order: order(n),
        version: Version(1),
        level: Opaque::default(),
        try_only: false,
        deadline: None,
        note: None,
    }))
}

/// Upward: the `n`th want is over.
pub(super) fn unwant(n: u64) -> Item {
    item(Message::Unwant { order: order(n) })
}

/// Downward: the grant of the `n`th want.
pub(super) fn grant(n: u64) -> Item {
    item(Message::Grant(Grant {
        loan: LoanId::default(),
        order: order(n),
        version: Version(1),
        delta: Opaque::default(),
        steps: smallvec::SmallVec::new(),
        fence: 0,
        limit: 0,
        value: None,
        colour: None,
    }))
}

/// Downward: a recall, which brings no credit.
pub(super) fn recall() -> Item {
    item(Message::Recall {
        loan: LoanId::default(),
        steps: smallvec::SmallVec::new(),
    })
}

/// Milliseconds after the epoch.
pub(super) const fn ms(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}

fn order(seq: u64) -> Order {
    Order {
        class: Class::New,
        stamp: Stamp(seq),
        party: Party::default(),
        seq,
    }
}

fn item(message: Message<Opaque>) -> Item {
    Item {
        type_id: TypeId(1),
        let_go: None,
        key: ResourceKey::new(b"r").expect("one byte is a name"),
        message,
    }
}
