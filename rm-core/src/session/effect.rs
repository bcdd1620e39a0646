//! What a session wants its driver to know: data, in the order in which it happened.
//!
//! The driver owns the list, hands it to an input, and works it off before the next input and before it
//! transmits. The last matters: a session that is over says so to the other side, which then takes back
//! what was lent; by that time the holds must be marked lost.

use thiserror::Error;

use crate::time::Time;

use super::lease::BadLease;
use super::packet::{Item, RefuseCode, WIRE_VERSION, Welcome};
use super::sequence::{AckBeyondSent, CannotResume, Gap, WindowFull};

/// One thing that happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle every effect")]
pub enum SessionEffect {
    /// A credit message of the other side, in sequence: hand it to its owner.
    Deliver(Item),
    /// The connection is over, and the session waits for another: connect again. What is borrowed stays trusted
    /// until the deadline, and the creditor lends nothing until the debtor is heard again. What is said meanwhile
    /// is kept.
    Disconnected(EndReason),
    /// The connection is over for this session, and it cannot go on over another. What is borrowed stays
    /// trusted until the deadline; the creditor waits for the lease.
    Ended(EndReason),
    /// Debtor: the creditor accepted.
    Established(Welcome),
    /// Debtor: what is borrowed may be used until then.
    Extended {
        /// The new deadline: this moment is outside.
        deadline: Time,
    },
    /// The silence is over.
    Heard,
    /// Debtor: trust was extended in time.
    JeopardyCleared,
    /// Debtor: the deadline is near, and no answer to a renewal has come.
    JeopardyStarted {
        /// When all is lost unless an answer comes.
        deadline: Time,
    },
    /// A debtor has heard nothing of the creditor for half a lease; or nothing has shown the creditor for so long
    /// that the debtor hears it. It is said once per silence, and a [`Heard`](Self::Heard) ends it. A
    /// creditor lends nothing meanwhile: a debtor that may not hear would keep what it cannot use.
    Silent,
    /// Debtor: the session goes on over another connection. Nothing is lost, and nothing comes twice.
    Resumed,
    /// The session is over for good. A debtor has lost all that it borrowed over it; a creditor has all
    /// that it lent.
    Void(VoidReason),
}

/// A list of effects that the driver owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionEffects {
    list: Vec<SessionEffect>,
}

impl SessionEffects {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What happened, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[SessionEffect] {
        &self.list
    }

    /// Takes all that happened, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = SessionEffect> + '_ {
        self.list.drain(..)
    }

    pub(super) fn push(&mut self, effect: SessionEffect) {
        self.list.push(effect);
    }
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle every reason")]
pub enum EndReason {
    /// The other side said goodbye.
    #[error("the other side ended the session: {reason}")]
    Bye {
        /// In its words.
        reason: String,
    },
    /// This side said goodbye, and waits for the lease.
    #[error("this side is stopping")]
    Closed,
    /// The connection broke.
    #[error("the connection broke")]
    Disconnected,
    /// Debtor: the creditor knows nothing of the session. What is borrowed is trusted until the deadline: a creditor
    /// that took it back had waited for longer.
    #[error("the creditor cannot go on with the session: {reason}")]
    Gone {
        /// In its words.
        reason: String,
    },
    /// The other side broke the rules.
    #[error("the other side {0}")]
    Misbehaved(#[from] Misbehaviour),
    /// More was to be said than can be kept for a peer that takes nothing.
    #[error("too much waits to be said: {0}")]
    Overrun(#[from] WindowFull),
    /// The other side refused to go on, or to begin.
    #[error("{0}")]
    Refused(Refusal),
    /// Creditor: the debtor has come over another connection.
    #[error("a later connection took its place")]
    Replaced,
    /// Debtor: over a new connection, the creditor did not answer in time.
    #[error("the creditor did not answer in time")]
    Unanswered,
    /// The other side sent what its receiver refused.
    #[error("the other side broke the rules: {why}")]
    Wronged {
        /// What was wrong.
        why: String,
    },
}

/// Why a session is over for good.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle every reason")]
pub enum VoidReason {
    /// Creditor: the debtor said goodbye.
    #[error("the debtor said goodbye: {reason}")]
    Bye {
        /// In its words.
        reason: String,
    },
    /// Debtor: this side ended it.
    #[error("this side ended the session")]
    Closed,
    /// Debtor: the connection was over before anything could be borrowed.
    #[error("no session: {0}")]
    Ended(EndReason),
    /// Debtor: the lease ran out.
    #[error("the lease ran out before the creditor answered a renewal")]
    Expired,
    /// Debtor: the creditor says that it is over.
    #[error("the creditor says that the session is over: {reason}")]
    Gone {
        /// In its words.
        reason: String,
    },
    /// Debtor: the creditor cannot go on where this side left off. Something is missing that nobody has any more.
    #[error("the creditor {0}")]
    Gap(CannotResume),
    /// Creditor: the same run of the debtor opened a later session, so it has dropped this one.
    #[error("the debtor opened a later session")]
    Superseded,
    /// Creditor: the lease ran out.
    #[error("the debtor's lease ran out, and what was lent to it was taken back")]
    TakenBack,
    /// Debtor: no welcome, or no answer to a first renewal, in time.
    #[error("the creditor did not answer in time")]
    Unanswered,
}

/// Why no session can be had.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[error("refused: {text}")]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Refusal {
    /// The kind of reason, for programs.
    pub code: RefuseCode,
    /// For people: what is wrong and what to do.
    pub text: String,
}

/// What the other side did that no correct one does. The packet that did it changed nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// It acknowledged what was never sent.
    #[error(transparent)]
    AckBeyondSent(#[from] AckBeyondSent),
    /// It lends on terms that cannot be.
    #[error("welcomed with terms that cannot be used: {0}")]
    BadLease(#[from] BadLease),
    /// It left something out of the sequence.
    #[error(transparent)]
    Gap(#[from] Gap),
    /// It lent before it had answered a renewal.
    #[error("granted credit before it answered a renewal")]
    GrantBeforeAck,
    /// A packet that has no place here.
    #[error("sent a {packet} packet where none may come")]
    Unexpected {
        /// The kind of packet.
        packet: &'static str,
    },
    /// It speaks another version, and did not refuse.
    #[error(
        "speaks version {theirs} of the wire where {WIRE_VERSION} was offered: upgrade one side"
    )]
    Version {
        /// Its version.
        theirs: u32,
    },
    /// It welcomed to another session than the one that was asked for.
    #[error("welcomed to another session than the one asked for")]
    WrongSession,
    /// A creditor's message from a debtor, or the other way round.
    #[error("sent a message that only the other side of a loan may send")]
    WrongDirection,
}
