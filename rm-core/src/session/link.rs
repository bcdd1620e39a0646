//! What both sides of a session have in common: the sequences, acknowledgements, silence, last words.
//!
//! An acknowledgement rides on the next items. Where there are none, one goes alone after [`ACK_EVERY`] items
//! or [`ACK_DELAY`], whichever comes first, so that the other side's window is emptied. Ticks only mark what
//! is due; transmitting does it. So a socket that takes nothing causes no work.
//!
//! A link outlives its connection. Between two of them what is said waits; over the next one it goes on where the
//! other side left off. Who hears nothing, and who has no connection, is silent: the next proof of hearing ends it.

use core::time::Duration;

use crate::message::Message;
use crate::time::Time;

use super::effect::{EndReason, Misbehaviour, SessionEffect, SessionEffects};
use super::packet::{Body, Item};
use super::sequence::{CannotResume, Incoming, Outgoing, Window, WindowFull};

/// So many received items are acknowledged at once.
pub const ACK_EVERY: usize = 64;
/// A received item is acknowledged after so long.
pub const ACK_DELAY: Duration = Duration::from_millis(50);

/// Which part this side plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Creditor,
    Debtor,
}

/// The content of a `Data` packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Data {
    /// All of the receiver's items up to this number have come.
    pub(super) ack: u64,
    /// The number of the first item.
    pub(super) first: u64,
    pub(super) items: Vec<Item>,
}

/// How a link stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Packets go both ways.
    Open,
    /// The connection broke, and there may be another.
    Broken,
    /// Nothing goes any more, nor will it; but for the last packet, while it is not transmitted.
    Over(Option<Box<Body>>),
}

/// What one session says and hears, over one connection after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    side: Side,
    phase: Phase,
    outgoing: Outgoing,
    incoming: Incoming,
    /// Items received since the last acknowledgement.
    unacknowledged: usize,
    /// When the first of them came; `None` where there are none, or the acknowledgement is due.
    ack_since: Option<Time>,
    /// An acknowledgement goes out, alone if need be.
    ack_due: bool,
    /// When anything was last heard.
    heard_at: Time,
    /// Silence has been told.
    silent: bool,
}

impl Link {
    pub(super) const fn new(now: Time, side: Side, window: Window) -> Self {
        Self {
            side,
            phase: Phase::Open,
            outgoing: Outgoing::new(window),
            incoming: Incoming::NONE,
            unacknowledged: 0,
            ack_since: None,
            ack_due: false,
            heard_at: now,
            silent: false,
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Whether nothing can be said any more, over any connection.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    /// Whether the connection is still needed.
    pub(super) const fn is_needed(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Over(Some(_)))
    }

    /// The number of the other side's next item that has not come.
    pub(super) const fn next_expected(&self) -> u64 {
        self.incoming.received().saturating_add(1)
    }

    pub(super) const fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// Queues an item. Over a link that is over nothing can be said, and nothing needs to be.
    pub(super) fn push(&mut self, item: Item) -> Result<(), WindowFull> {
        let downward = item.message.is_downward();
        assert_eq!(
            downward,
            self.side == Side::Creditor,
            "a message of the other side of the loan"
        );
        if self.is_over() {
            Ok(())
        } else {
            self.outgoing.push(item)
        }
    }

    pub(super) fn on_heard(&mut self, now: Time, fx: &mut SessionEffects) {
        self.heard_at = now;
        if core::mem::take(&mut self.silent) {
            fx.push(SessionEffect::Heard);
        }
    }

    /// A `Data` packet. Returns whether it acknowledged anything new: proof that the other side hears.
    pub(super) fn on_data(
        &mut self,
        now: Time,
        data: Data,
        fx: &mut SessionEffects,
    ) -> Result<bool, Misbehaviour> {
        let Data { ack, first, items } = data;
        let from_creditor = self.side == Side::Debtor;
        if items
            .iter()
            .any(|item| item.message.is_downward() != from_creditor)
        {
            return Err(Misbehaviour::WrongDirection);
        }
        // On a copy, so that a bad acknowledgement leaves all as it was.
        let mut incoming = self.incoming.clone();
        let fresh = incoming.on_items(first, items)?;
        let acked = self.outgoing.on_ack(ack)?;
        self.incoming = incoming;
        let before = self.unacknowledged;
        for item in fresh {
            self.unacknowledged += 1;
            fx.push(SessionEffect::Deliver(item));
        }
        if self.unacknowledged >= ACK_EVERY {
            self.ack_due = true;
            self.ack_since = None;
        } else if before == 0 && self.unacknowledged > 0 {
            self.ack_since = Some(now);
        }
        Ok(acked > 0)
    }

    /// Nothing goes any more, over any connection, but for a last packet over the one that there is.
    ///
    /// Nothing happens where it was over already.
    pub(super) fn end(&mut self, last_words: Option<Body>) {
        if !self.is_over() {
            let can_be_said = self.is_open();
            self.phase = Phase::Over(last_words.filter(|_| can_be_said).map(Box::new));
            self.outgoing.clear();
        }
    }

    /// The connection is gone: not even last words can be said. What was queued waits for another one.
    pub(super) fn on_disconnect(&mut self) {
        match self.phase {
            Phase::Open => {
                self.phase = Phase::Broken;
                self.silent = true;
            }
            Phase::Broken => {}
            Phase::Over(_) => self.phase = Phase::Over(None),
        }
    }

    /// There is another connection. The opening packet says what is expected next, so it acknowledges all that came.
    pub(super) fn on_connection(&mut self, now: Time) {
        if !self.is_over() {
            self.phase = Phase::Open;
            self.unacknowledged = 0;
            self.ack_since = None;
            self.ack_due = false;
            self.heard_at = now;
            // Until it is proved over this one.
            self.silent = true;
        }
    }

    /// What the other side expects next is sent next.
    pub(super) fn resume(&mut self, next_expected: u64) -> Result<(), CannotResume> {
        if self.is_over() {
            return Err(CannotResume::Over);
        }
        self.outgoing.resume(next_expected)
    }

    pub(super) fn on_tick(&mut self, now: Time, silence: Duration, fx: &mut SessionEffects) {
        if !self.is_open() {
            return;
        }
        if self.ack_since.is_some_and(|at| now >= at.after(ACK_DELAY)) {
            self.ack_due = true;
            self.ack_since = None;
        }
        if !self.silent && now >= self.heard_at.after(silence) {
            self.silent = true;
            fx.push(SessionEffect::Silent);
        }
    }

    pub(super) fn next_tick(&self, silence: Duration) -> Option<Time> {
        if !self.is_open() {
            return None;
        }
        let ack = self.ack_since.map(|at| at.after(ACK_DELAY));
        let silent = (!self.silent).then(|| self.heard_at.after(silence));
        earliest([ack, silent])
    }

    /// The last packet, once.
    pub(super) fn take_last_words(&mut self) -> Option<Body> {
        match &mut self.phase {
            Phase::Over(last_words) => last_words.take().map(|words| *words),
            Phase::Open | Phase::Broken => None,
        }
    }

    /// The next `Data` packet: items, or an acknowledgement that is due.
    pub(super) fn next_data(&mut self, batch: Window) -> Option<Body> {
        if !self.is_open() {
            return None;
        }
        let next = self.outgoing.next_batch(batch);
        if next.is_none() && !self.ack_due {
            return None;
        }
        self.ack_due = false;
        self.ack_since = None;
        self.unacknowledged = 0;
        let (first, items) = next.unwrap_or_else(|| (self.outgoing.last_sent() + 1, Vec::new()));
        Some(Body::Data {
            ack: self.incoming.received(),
            first,
            items,
        })
    }
}

/// Whether credit comes with it.
pub(super) fn has_grant(items: &[Item]) -> bool {
    items
        .iter()
        .any(|item| matches!(item.message, Message::Grant(_)))
}

/// The reason to end a connection where a packet has no place.
pub(super) const fn unexpected(packet: &'static str) -> EndReason {
    EndReason::Misbehaved(Misbehaviour::Unexpected { packet })
}

pub(super) fn earliest<const N: usize>(times: [Option<Time>; N]) -> Option<Time> {
    times.into_iter().flatten().min()
}
