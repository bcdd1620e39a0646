//! Credit messages in sequence: numbered, acknowledged, delivered in order and once.
//!
//! [`Outgoing`] numbers items from 1 in the order in which they leave and keeps each until it is acknowledged, so
//! that it can be sent again over another connection; [`Incoming`] lets each number through once.
//!
//! # When the other side takes nothing
//!
//! At most half of the [`Window`] is under way, sent and not acknowledged. What comes then waits without a
//! number, and merges: a recall that a later recall or grant replaces is dropped, and so is a want that a later
//! want or the end of its request replaces. These are registers: only the last word of each counts. Credit that
//! moves is never dropped. So what waits comes to one item for each thing there is to say, however long it waits.
//! It is merged whenever it has doubled since the last time, so that each item costs little.
//!
//! # Invariants
//!
//! * Kept items that have a number are numbered without a hole, and come before those that have none. A number,
//!   once given, stays with its item.
//! * Kept items and their bytes stay within the [`Window`], by one item more at most. Those under way stay within
//!   half of it, in the same way.

use std::collections::{BTreeSet, VecDeque};

use thiserror::Error;

use crate::credit::Opaque;
use crate::id::{Note, Order, ResourceKey, TypeId};
use crate::message::{Blocker, Message, Step};
use crate::value::Value;

use super::packet::Item;

/// What waits is merged no sooner than when there is so much of it, or a quarter of the window.
const MERGE_FROM: Window = Window {
    items: 1_024,
    bytes: 256 << 10,
};

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

impl Window {
    /// What may be under way: half of it, and one item in any case.
    fn half(self) -> Self {
        Self {
            items: (self.items / 2).max(1),
            bytes: (self.bytes / 2).max(1),
        }
    }

    /// When what waits is merged first, within this window.
    const fn merge_from(self) -> Self {
        let (items, bytes) = (self.items / 4, self.bytes / 4);
        Self {
            items: if items < MERGE_FROM.items {
                items
            } else {
                MERGE_FROM.items
            },
            bytes: if bytes < MERGE_FROM.bytes {
                bytes
            } else {
                MERGE_FROM.bytes
            },
        }
    }

    /// Twice as much, and at least `least`.
    fn double(self, least: Self) -> Self {
        Self {
            items: self.items.saturating_mul(2).max(least.items),
            bytes: self.bytes.saturating_mul(2).max(least.bytes),
        }
    }

    /// Whether this much leaves no room within `limit`.
    const fn fills(self, limit: Self) -> bool {
        self.items >= limit.items || self.bytes >= limit.bytes
    }
}

/// What one side says in sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    window: Window,
    /// Not acknowledged; the sent ones first, then those that have a number.
    kept: VecDeque<Item>,
    /// How many of `kept` were sent over the present connection.
    sent: usize,
    /// The weight of those.
    sent_bytes: usize,
    /// How many of `kept` were ever sent, and so have a number.
    numbered: usize,
    /// The weight of `kept`.
    bytes: usize,
    /// The other side has all up to this number.
    acked: u64,
    /// What waits is merged when there is so much of it.
    merge_at: Window,
}

impl Outgoing {
    /// An empty sequence.
    #[must_use]
    pub const fn new(window: Window) -> Self {
        Self {
            window,
            kept: VecDeque::new(),
            sent: 0,
            sent_bytes: 0,
            numbered: 0,
            bytes: 0,
            acked: 0,
            merge_at: window.merge_from(),
        }
    }

    /// Whether the window is full: [`push`](Self::push) refuses, unless merging makes room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let kept = Window {
            items: self.kept.len(),
            bytes: self.bytes,
        };
        kept.fills(self.window)
    }

    /// Whether there is something that was not sent over the present connection.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.sent < self.kept.len()
    }

    /// How many were sent over the present connection and not acknowledged.
    #[must_use]
    pub const fn under_way(&self) -> usize {
        self.sent
    }

    /// The number of the last item that was sent over the present connection, or acknowledged over an earlier one;
    /// 0 before the first.
    #[must_use]
    pub const fn last_sent(&self) -> u64 {
        self.acked + self.sent as u64
    }

    /// Appends an item. Where much waits already, it is merged first.
    ///
    /// # Errors
    /// [`WindowFull`] where that makes no room, and the item is gone. Then more is to be said than the other side
    /// can be told, and nothing after it would make sense: the session is of no more use.
    pub fn push(&mut self, item: Item) -> Result<(), WindowFull> {
        if self.is_merge_due() {
            self.merge();
        }
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

    /// The next items for the present connection, and the number of the first: at most `limit.items`, and at most
    /// `limit.bytes` unless the first alone is larger. They count as sent. `None` where there are none, or where
    /// half of the window is under way.
    pub fn next_batch(&mut self, limit: Window) -> Option<(u64, Vec<Item>)> {
        let half = self.window.half();
        let mut bytes = 0_usize;
        let mut count = 0;
        for item in self.kept.iter().skip(self.sent).take(limit.items.max(1)) {
            let under_way = Window {
                items: self.sent + count,
                bytes: self.sent_bytes + bytes,
            };
            let more = bytes.saturating_add(item.weight());
            if under_way.fills(half) || (count > 0 && more > limit.bytes) {
                break;
            }
            bytes = more;
            count += 1;
        }
        if count == 0 {
            return None;
        }
        let first = self.last_sent() + 1;
        let end = self.sent + count;
        let items = self.kept.range(self.sent..end).cloned().collect();
        self.sent = end;
        self.sent_bytes += bytes;
        self.numbered = self.numbered.max(end);
        let next_merge = self.next_merge();
        self.merge_at.items = self.merge_at.items.min(next_merge.items);
        self.merge_at.bytes = self.merge_at.bytes.min(next_merge.bytes);
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
            self.sent_bytes -= item.weight();
        }
        self.sent -= fresh;
        self.numbered -= fresh;
        self.acked += fresh as u64;
        Ok(fresh)
    }

    /// Another connection: what the other side expects next is sent next, and all that follows again.
    ///
    /// # Errors
    /// [`CannotResume`] where it never was sent, or is no longer kept because it was acknowledged; nothing changes.
    pub(super) fn resume(&mut self, next_expected: u64) -> Result<(), CannotResume> {
        let ack = next_expected.saturating_sub(1);
        let sent = self.acked + self.numbered as u64;
        if ack > sent {
            return Err(AckBeyondSent { ack, sent }.into());
        }
        if ack < self.acked {
            let acked = self.acked;
            return Err(CannotResume::Forgotten {
                next_expected,
                acked,
            });
        }
        let fresh = (ack - self.acked) as usize;
        for item in self.kept.drain(..fresh) {
            self.bytes -= item.weight();
        }
        self.numbered -= fresh;
        self.acked = ack;
        self.sent = 0;
        self.sent_bytes = 0;
        Ok(())
    }

    /// Forgets all: nothing can be said any more.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.bytes = 0;
        self.sent = 0;
        self.sent_bytes = 0;
        self.numbered = 0;
    }

    /// What has no number yet.
    fn waiting(&self) -> Window {
        Window {
            items: self.kept.len() - self.numbered,
            // What was sent before and is to be sent again counts too: that only merges earlier.
            bytes: self.bytes - self.sent_bytes,
        }
    }

    fn is_merge_due(&self) -> bool {
        self.waiting().fills(self.merge_at)
    }

    /// Drops what was said in vain: registers, of which a later word waits too.
    ///
    /// From the last to the first. A recall goes where a later recall or grant of its resource follows: both carry
    /// the whole register. A want goes where a later want of its order, or the end of it, follows.
    fn merge(&mut self) {
        let mut is_kept = vec![true; self.kept.len()];
        let mut said_later: BTreeSet<(TypeId, &ResourceKey, Option<Order>)> = BTreeSet::new();
        for (index, item) in self.kept.iter().enumerate().skip(self.numbered).rev() {
            let (register, goes) = match &item.message {
                Message::Recall { .. } => (None, true),
                Message::Grant(_) => (None, false),
                Message::Want(want) => (Some(want.order), true),
                Message::Unwant { order } => (Some(*order), false),
                Message::AskLimit { .. }
                | Message::Busy { .. }
                | Message::Claim(_)
                | Message::Claimed(_)
                | Message::Deny { .. }
                | Message::Limit { .. }
                | Message::Return { .. }
                | Message::Revoke { .. }
                | Message::Unclaimed { .. } => continue,
            };
            let is_last_word = said_later.insert((item.type_id, &item.key, register));
            is_kept[index] = is_last_word || !goes;
        }
        let mut is_kept = is_kept.into_iter();
        let bytes = &mut self.bytes;
        self.kept.retain(|item| {
            let stays = is_kept.next().unwrap_or(true);
            if !stays {
                *bytes -= item.weight();
            }
            stays
        });
        self.merge_at = self.next_merge();
    }

    /// So much more must wait until merging is worth while.
    fn next_merge(&self) -> Window {
        self.waiting().double(self.window.merge_from())
    }
}

/// Why a session cannot go on over another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum CannotResume {
    /// The other side expects what comes after something that was never sent.
    #[error(transparent)]
    Beyond(#[from] AckBeyondSent),
    /// The other side expects again what it has acknowledged: a gap that cannot be filled.
    #[error("expects message {next_expected} again, though it acknowledged all up to {acked}")]
    Forgotten {
        /// What it expects.
        next_expected: u64,
        /// What it acknowledged.
        acked: u64,
    },
    /// The session is over, or ended for good.
    #[error("asks to go on with a session that is over")]
    Over,
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
        size_of::<Self>()
            + self.key.as_bytes().len()
            + message_weight(&self.message)
            + note_weight(self.let_go.as_deref())
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
        let trace = note.trace().map_or(0, |trace| size_of_val(&trace));
        size_of::<Note>() + note.label.len() + note.mode.len() + note.node.len() + trace
    })
}

#[cfg(test)]
mod tests;
