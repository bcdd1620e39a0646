//! The inputs of an owner as data: for logs, replay, fuzzing and exploration.

use crate::id::{Order, PeerId, Token};
use crate::message::Message;
use crate::owner::{Conversion, Request};
use crate::resource::ResourceType;

/// One input of an [`Owner`](crate::owner::Owner); [`Owner::apply`](crate::owner::Owner::apply) takes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "mirrors the inputs one to one")]
pub enum Event<T: ResourceType> {
    /// A local request.
    Acquire(Request<T::Level>),
    /// The caller no longer wants it.
    Cancel {
        /// Which request.
        token: Token,
    },
    /// A holder asks for more, or for something else.
    Convert(Conversion<T::Level>),
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
        message: Message<T::Credit, T::Level>,
    },
    /// A hold becomes a part of what it was.
    Reduce {
        /// Which hold.
        token: Token,
        /// What it keeps.
        keep: T::Credit,
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
        part: T::Credit,
        /// The new one.
        new: Token,
    },
    /// A holder of everything writes the value. If it may not, nothing happens.
    WriteValue {
        /// Which hold.
        token: Token,
        /// What.
        bytes: Box<[u8]>,
    },
    /// The owner ends in good order: nothing new, and what is out is waited for.
    WindUp {
        /// Its age among the requests of the cluster, of class `New`.
        order: Order,
    },
}
