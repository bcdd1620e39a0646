//! The inputs of an owner as data: for logs, replay, fuzzing and exploration.

use std::sync::Arc;

use crate::book::Opening;
use crate::error::LostReason;
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
    /// Every member has adopted the view: a root that gathers becomes active.
    Activate {
        /// The epoch of the view.
        epoch: u32,
        /// What it starts with. It must be sound.
        opening: Opening<T::Credit>,
    },
    /// The caller no longer wants it.
    Cancel {
        /// Which request.
        token: Token,
    },
    /// An operator takes loans back at once.
    CloseLoans {
        /// Whose; `None`: all.
        peer: Option<PeerId>,
        /// For people.
        reason: Arc<str>,
    },
    /// A holder asks for more, or for something else.
    Convert(Conversion<T::Level>),
    /// The session with the creditor is over: what was borrowed over it is lost.
    CreditorDown,
    /// There is a session with the creditor.
    CreditorUp {
        /// Its number.
        peer: PeerId,
        /// The epoch of the view in which it was found to be the root; 0 where there are no views.
        epoch: u32,
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
    /// The frozen deadline of an orphan has passed.
    OrphanLost {
        /// Why its holds are lost.
        why: LostReason,
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
    /// The root's membership is good again.
    Resume,
    /// Send back what is cached and nobody here waits for.
    ReturnSpare,
    /// An operator asks debtors to give back what they have.
    Revoke {
        /// Whom; `None`: all.
        peer: Option<PeerId>,
        /// For people.
        reason: Arc<str>,
    },
    /// The view has another root, or epochs were skipped.
    RootMoved,
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
    /// The root's membership is not known to be good.
    Suspend,
    /// The next view has the same root.
    View {
        /// Its number.
        epoch: u32,
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
