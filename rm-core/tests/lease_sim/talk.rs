//! What the two sides say in sequence: numbers, in messages that mean nothing here.

use rm_core::credit::Opaque;
use rm_core::id::{Class, LoanId, Order, Party, ResourceKey, Stamp, TypeId};
use rm_core::message::Message;
use rm_core::session::packet::Item;

/// The `number`th item upward.
pub(crate) fn upward(number: u64) -> Item {
    let order = Order {
        class: Class::New,
        stamp: Stamp(0),
        party: Party::default(),
        seq: number,
    };
    item(Message::Unwant { order })
}

/// The `number`th item downward.
pub(crate) fn downward(number: u64) -> Item {
    let loan = LoanId {
        epoch: 0,
        counter: number as u32,
    };
    item(Message::Limit { loan, limit: 0 })
}

/// An item came after `heard` others of its session and direction: it is the next one.
pub(crate) fn hear(heard: &mut u64, item: &Item) -> Result<(), String> {
    let number = match &item.message {
        Message::Unwant { order } => order.seq,
        Message::Limit { loan, .. } => u64::from(loan.counter),
        other => return Err(format!("nobody said {other:?}")),
    };
    *heard += 1;
    if *heard == number {
        Ok(())
    } else {
        Err(format!("item {number} came as the {heard}th"))
    }
}

fn item(message: Message<Opaque>) -> Item {
    let key = ResourceKey::new(b"r").expect("one byte is a name");
    Item {
        type_id: TypeId(1),
        let_go: None,
        key,
        message,
    }
}
