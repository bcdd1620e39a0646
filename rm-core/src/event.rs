//! The inputs of an owner as data: for logs, replay, fuzzing and exploration.

use crate::id::{Order, PeerId, Token};
use crate::message::Message;
use crate::owner::Request;

/// One input of an [`Owner`](crate::owner::Owner); [`Owner::apply`](crate::owner::Owner::apply) takes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "mirrors the inputs one to one")]
pub enum Event<C> {
    /// A local request.
    Acquire(Request<C>),
    /// The caller no longer wants it.
    Cancel {
        /// Which request.
        token: Token,
    },
    /// A holder asks for more, or for something else.
    Convert {
        /// Which hold.
        token: Token,
        /// The order of the conversion, of class `Convert`.
        order: Order,
        /// What it wants to hold.
        to: C,
    },
    /// The session with the creditor is over: what was borrowed over it is lost.
    CreditorDown,
    /// There is a session with the creditor.
    CreditorUp {
        /// Its number.
        peer: PeerId,
    },
    /// Time has passed.
    Deadline,
    /// The session with a debtor is over, and its lease with it.
    DebtorDown {
        /// Its number.
        peer: PeerId,
    },
    /// A debtor that was silent is heard again.
    DebtorHeard {
        /// Its number.
        peer: PeerId,
    },
    /// A debtor may not hear us.
    DebtorSilent {
        /// Its number.
        peer: PeerId,
    },
    /// A root enters a new epoch.
    Epoch {
        /// Its number.
        epoch: u32,
    },
    /// Two holds become one.
    MergeHolds {
        /// The hold that has all of it then.
        into: Token,
        /// The hold that is over then.
        from: Token,
    },
    /// A message from a neighbour.
    Message {
        /// From whom.
        from: PeerId,
        /// What.
        message: Message<C>,
    },
    /// A hold becomes a part of what it was.
    Reduce {
        /// Which hold.
        token: Token,
        /// What it keeps.
        keep: C,
    },
    /// A holder is done.
    Release {
        /// Which hold.
        token: Token,
    },
    /// Send back what is cached and nobody here waits for.
    ReturnSpare,
    /// The node stops.
    ShutDown,
    /// A hold becomes two.
    SplitHold {
        /// Which hold.
        token: Token,
        /// What the new one has of it.
        part: C,
        /// The new one.
        new: Token,
    },
}
