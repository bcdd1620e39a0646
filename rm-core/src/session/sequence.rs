//! Credit messages in sequence: numbered, acknowledged, delivered in order and once.
//!
//! [`Outgoing`] numbers items from 1 in the order in which they were pushed and keeps each until it is
//! acknowledged; [`Incoming`] lets each number through once. The connection below already keeps order: the
//! numbers are there to prove it, to bound what is under way, and to go on over another connection later.
//!
//! # Invariants
//!
//! * Kept items are numbered without a hole; those that were sent come before those that were not.
//! * Kept items and their bytes stay within the [`Window`], by one item more at most.

use std::collections::VecDeque;

use thiserror::Error;

use crate::credit::Opaque;
use crate::id::Note;
use crate::message::{Blocker, Message, Step};
use crate::value::Value;

use super::packet::Item;

/// How many items, and how many bytes of them, may wait for their acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain configuration")]
pub struct Window {
    /// Items.
    pub items: usize,
    /// Bytes, as [`Item::weight`] counts them.
    pub bytes: usize,
}

impl Default for Window {
    /// 4096 items, 1 MiB.
    fn default() -> Self {
        Self {
            items: 4_096,
            bytes: 1 << 20,
        }
    }
}

/// The peer does not take what is sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error(
    "{items} messages ({bytes} bytes) wait for the peer to acknowledge them: wait for it, or close the connection"
)]
#[non_exhaustive]
pub struct WindowFull {
    /// Items that wait.
    pub items: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// What one side says in sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    window: Window,
    /// Not acknowledged; the sent ones first.
    kept: VecDeque<Item>,
    /// How many of `kept` were sent.
    sent: usize,
    /// The weight of `kept`.
    bytes: usize,
    /// The other side has all up to this number.
    acked: u64,
}

impl Outgoing {
    /// An empty sequence.
    #[must_use]
    pub const fn new(window: Window) -> Self {
        Self {
            window,
            kept: VecDeque::new(),
            sent: 0,
            bytes: 0,
            acked: 0,
        }
    }

    /// Whether [`push`](Self::push) would refuse.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.kept.len() >= self.window.items || self.bytes >= self.window.bytes
    }

    /// Whether there is something that was never sent.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.sent < self.kept.len()
    }

    /// The number of the last item that was sent; 0 before the first.
    #[must_use]
    pub const fn last_sent(&self) -> u64 {
        self.acked + self.sent as u64
    }

    /// Appends an item.
    ///
    /// # Errors
    /// [`WindowFull`], and the item is gone: where that matters ask [`is_full`](Self::is_full) first.
    pub fn push(&mut self, item: Item) -> Result<(), WindowFull> {
        if self.is_full() {
            return Err(WindowFull {
                items: self.kept.len(),
                bytes: self.bytes,
            });
        }
        self.bytes += item.weight();
        self.kept.push_back(item);
        Ok(())
    }

    /// The next items that were never sent, and the number of the first: at most `limit.items`, and at most
    /// `limit.bytes` unless the first alone is larger. They count as sent. `None` where there are none.
    pub fn next_batch(&mut self, limit: Window) -> Option<(u64, Vec<Item>)> {
        let mut bytes = 0_usize;
        let mut count = 0;
        for item in self.kept.iter().skip(self.sent).take(limit.items.max(1)) {
            bytes = bytes.saturating_add(item.weight());
            if count > 0 && bytes > limit.bytes {
                break;
            }
            count += 1;
        }
        if count == 0 {
            return None;
        }
        let first = self.last_sent() + 1;
        let end = self.sent + count;
        let items = self.kept.range(self.sent..end).cloned().collect();
        self.sent = end;
        Some((first, items))
    }

    /// The other side has all up to `ack`. Returns how many of them were new.
    ///
    /// # Errors
    /// [`AckBeyondSent`] where so many were never sent.
    pub fn on_ack(&mut self, ack: u64) -> Result<usize, AckBeyondSent> {
        let sent = self.last_sent();
        if ack > sent {
            return Err(AckBeyondSent { ack, sent });
        }
        let fresh = ack.saturating_sub(self.acked) as usize;
        for item in self.kept.drain(..fresh) {
            self.bytes -= item.weight();
        }
        self.sent -= fresh;
        self.acked += fresh as u64;
        Ok(fresh)
    }

    /// Forgets what was never sent.
    pub(super) fn drop_unsent(&mut self) {
        for item in self.kept.drain(self.sent..) {
            self.bytes -= item.weight();
        }
    }
}

/// An acknowledgement of what was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("acknowledged message {ack}, but only {sent} were sent to it")]
#[non_exhaustive]
pub struct AckBeyondSent {
    /// What was acknowledged.
    pub ack: u64,
    /// The last that was sent.
    pub sent: u64,
}

/// What the other side says in sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Incoming {
    /// All up to this number have come.
    received: u64,
}

/// Items whose numbers do not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("sent message {first} where {expected} is the next one: some are missing")]
#[non_exhaustive]
pub struct Gap {
    /// The number that came.
    pub first: u64,
    /// The number that would have followed.
    pub expected: u64,
}

impl Incoming {
    /// Nothing has come.
    pub(super) const NONE: Self = Self { received: 0 };

    /// All up to this number have come.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Items numbered upward from `first` came. Returns those that are new, in order.
    ///
    /// # Errors
    /// [`Gap`] where some before them are missing, or a number is 0; then none counts as received.
    pub fn on_items(
        &mut self,
        first: u64,
        items: Vec<Item>,
    ) -> Result<impl Iterator<Item = Item> + use<>, Gap> {
        let expected = self.received.saturating_add(1);
        if !items.is_empty() && (first == 0 || first > expected) {
            return Err(Gap { first, expected });
        }
        let count = items.len() as u64;
        // Nothing is skipped where there is nothing, whatever `first` says.
        let known = expected.saturating_sub(first).min(count);
        self.received = self.received.saturating_add(count - known);
        Ok(items.into_iter().skip(known as usize))
    }
}

impl Item {
    /// About how many bytes it takes in memory and on the wire: what windows are counted in.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.key.as_bytes().len() + message_weight(&self.message)
    }
}

/// What a message takes beyond its fixed part.
fn message_weight(message: &Message<Opaque>) -> usize {
    let steps = |steps: &[Step<Opaque>]| steps.iter().map(step_weight).sum::<usize>();
    let blockers = |list: &[Blocker]| list.iter().map(blocker_weight).sum::<usize>();
    match message {
        Message::AskLimit { .. }
        | Message::Limit { .. }
        | Message::Unclaimed { .. }
        | Message::Unwant { .. } => 0,
        Message::Busy { blockers: list, .. } | Message::Deny { blockers: list, .. } => {
            blockers(list)
        }
        Message::Claim(claim) => claim.amount.0.len() + value_weight(claim.value.as_deref()),
        Message::Claimed(claimed) => value_weight(claimed.value.as_deref()),
        Message::Revoke { reason, .. } => reason.len(),
        Message::Grant(grant) => {
            grant.delta.0.len() + steps(&grant.steps) + value_weight(grant.value.as_deref())
        }
        Message::Recall { steps: list, .. } => steps(list),
        Message::Return { delta, value, .. } => delta.0.len() + value_weight(value.as_deref()),
        Message::Want(want) => want.level.0.len() + note_weight(want.note.as_deref()),
    }
}

fn step_weight(step: &Step<Opaque>) -> usize {
    size_of::<Step<Opaque>>() + step.keep.0.len() + note_weight(step.note.as_deref())
}

fn blocker_weight(blocker: &Blocker) -> usize {
    size_of::<Blocker>() + note_weight(blocker.note.as_deref())
}

fn value_weight(value: Option<&Value>) -> usize {
    value.map_or(0, |value| size_of::<Value>() + value.bytes.len())
}

fn note_weight(note: Option<&Note>) -> usize {
    note.map_or(0, |note| {
        size_of::<Note>() + note.label.len() + note.mode.len() + note.node.len()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::want;

    fn numbers(items: impl IntoIterator<Item = Item>) -> Vec<Item> {
        items.into_iter().collect()
    }

    #[test]
    fn items_are_numbered_from_one_and_leave_in_batches() {
        let mut outgoing = Outgoing::new(Window::default());
        for n in 1..=3 {
            outgoing.push(want(n)).unwrap();
        }
        let two = Window {
            items: 2,
            bytes: usize::MAX,
        };
        assert_eq!(outgoing.next_batch(two), Some((1, vec![want(1), want(2)])));
        assert_eq!(outgoing.next_batch(two), Some((3, vec![want(3)])));
        assert_eq!(outgoing.next_batch(two), None);
        assert_eq!(outgoing.last_sent(), 3);
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_but_never_empty() {
        let mut outgoing = Outgoing::new(Window::default());
        outgoing.push(want(1)).unwrap();
        outgoing.push(want(2)).unwrap();
        let tight = Window {
            items: 10,
            bytes: 1,
        };
        assert_eq!(outgoing.next_batch(tight), Some((1, vec![want(1)])));
        let fits_one = Window {
            items: 10,
            bytes: want(2).weight(),
        };
        outgoing.push(want(3)).unwrap();
        assert_eq!(outgoing.next_batch(fits_one), Some((2, vec![want(2)])));
    }

    #[test]
    fn a_full_window_refuses_until_an_acknowledgement_makes_room() {
        let window = Window {
            items: 2,
            bytes: usize::MAX,
        };
        let mut outgoing = Outgoing::new(window);
        outgoing.push(want(1)).unwrap();
        outgoing.push(want(2)).unwrap();
        assert!(outgoing.is_full());
        let full = outgoing.push(want(3)).unwrap_err();
        assert_eq!(full.items, 2);
        // Sending alone makes no room.
        outgoing.next_batch(window);
        assert!(outgoing.is_full());
        assert_eq!(outgoing.on_ack(1), Ok(1));
        outgoing.push(want(3)).unwrap();
        assert_eq!(outgoing.next_batch(window), Some((3, vec![want(3)])));
    }

    #[test]
    fn a_window_is_bounded_in_bytes() {
        let window = Window {
            items: usize::MAX,
            bytes: want(1).weight() + 1,
        };
        let mut outgoing = Outgoing::new(window);
        outgoing.push(want(1)).unwrap();
        assert!(!outgoing.is_full());
        outgoing.push(want(2)).unwrap();
        assert!(outgoing.push(want(3)).is_err());
        outgoing.next_batch(window);
        outgoing.next_batch(window);
        outgoing.on_ack(2).unwrap();
        assert_eq!(outgoing, {
            let mut fresh = Outgoing::new(window);
            fresh.acked = 2;
            fresh
        });
    }

    #[test]
    fn an_old_acknowledgement_is_nothing_and_one_of_the_unsent_an_error() {
        let mut outgoing = Outgoing::new(Window::default());
        outgoing.push(want(1)).unwrap();
        assert_eq!(outgoing.on_ack(1), Err(AckBeyondSent { ack: 1, sent: 0 }));
        outgoing.next_batch(Window::default());
        assert_eq!(outgoing.on_ack(1), Ok(1));
        assert_eq!(outgoing.on_ack(1), Ok(0));
        assert_eq!(outgoing.on_ack(0), Ok(0));
    }

    #[test]
    fn each_number_is_let_through_once() {
        let mut incoming = Incoming::default();
        let first = numbers(incoming.on_items(1, vec![want(1), want(2)]).unwrap());
        assert_eq!(first, [want(1), want(2)]);
        let again = numbers(incoming.on_items(2, vec![want(2), want(3)]).unwrap());
        assert_eq!(again, [want(3)]);
        let old = numbers(incoming.on_items(1, vec![want(1)]).unwrap());
        assert_eq!(old, []);
        assert_eq!(incoming.received(), 3);
    }

    #[test]
    fn a_gap_and_the_number_zero_are_errors_and_count_nothing() {
        let mut incoming = Incoming::default();
        for first in [0, 2, u64::MAX] {
            let gap = incoming.on_items(first, vec![want(1)]).err();
            assert_eq!(gap, Some(Gap { first, expected: 1 }));
        }
        assert_eq!(incoming, Incoming::default());
    }

    #[test]
    fn the_number_of_no_items_means_nothing() {
        let mut incoming = Incoming::default();
        for first in [0, 1, 9] {
            assert_eq!(incoming.on_items(first, vec![]).unwrap().count(), 0);
        }
        assert_eq!(incoming.received(), 0);
    }
}
