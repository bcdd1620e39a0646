//! How requests fail, how holds end before their time, and what a peer can do wrong.

use thiserror::Error;

use crate::message::Blockers;

/// Why a request failed. Every request ends in a grant, in one of these, or in its cancellation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Denied {
    /// A `try` met a holder or an older request.
    #[error("held by somebody else")]
    Busy {
        /// Who is in the way, as far as that is known.
        blockers: Blockers,
    },
    /// Its deadline passed.
    #[error("not granted in time")]
    Timeout {
        /// Who is in the way, as far as that is known.
        blockers: Blockers,
        /// How many older requests wait at this node.
        ahead: u32,
    },
    /// Two holders that ask for more wait for each other, and this one is the younger.
    #[error("another holder converts too, and each waits for the other")]
    WouldDeadlock {
        /// Who is in the way, as far as that is known.
        blockers: Blockers,
    },
    /// It was granted, and lost before its caller looked.
    #[error("lost again before it could be used: {0}")]
    Lost(LostReason),
    /// A rule of the creditor, or of one above it, forbids it.
    #[error("not allowed")]
    NotAllowed {
        /// Which rule.
        blockers: Blockers,
    },
    /// More than all there is, or over a limit of the creditor.
    #[error("refused: it asks for more than there is, or a limit is reached")]
    Refused,
    /// This owner, or one between it and the root, is being wound up or was shut down.
    #[error("shutting down")]
    ShuttingDown,
}

/// Why a hold is no longer valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum LostReason {
    /// The lease of the session with the creditor ran out.
    #[error("the lease ran out")]
    LeaseExpired,
    /// The view changed, and the new root did not know it to be held: it had been given up for lost.
    #[error("the new server of the resource had given it up for lost")]
    NotConfirmed,
    /// Somebody waited for it, and it was not given up within the time that its holder had promised.
    #[error("it was not given up in time to somebody who waited for it")]
    Overdue,
    /// An operator took it away.
    #[error("it was released by force")]
    Revoked,
    /// The session with the creditor ended.
    #[error("the session with the server ended")]
    SessionEnded,
    /// The node that held it was shut down.
    #[error("this node was shut down")]
    ShutDown,
}

impl LostReason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::LeaseExpired,
        Self::NotConfirmed,
        Self::Overdue,
        Self::Revoked,
        Self::SessionEnded,
        Self::ShutDown,
    ];

    /// What counters of it are called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeaseExpired => "lease_expired",
            Self::NotConfirmed => "not_confirmed",
            Self::Overdue => "overdue",
            Self::Revoked => "revoked",
            Self::SessionEnded => "session_ended",
            Self::ShutDown => "shut_down",
        }
    }
}

/// What a peer did that no correct peer does. The message that did it changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// A grant that adds up to more than there is.
    #[error("granted more than the capital")]
    GrantAboveCapital,
    /// A claim confirmed under a name that is not later than the former one.
    #[error("confirmed a loan under a name that is not later than its former one")]
    LoanRenamed,
    /// A credit that does not decode.
    #[error("sent bytes that are no credit of the resource's type")]
    MalformedCredit,
    /// A recall register that is not sorted, or too long.
    #[error("sent a recall whose steps are not in order, or too many")]
    MalformedRecall,
    /// A return of more than was lent.
    #[error("returned more than it borrowed")]
    ReturnAboveLoan,
    /// A value larger than allowed.
    #[error(
        "sent a value that is larger than this node allows: give all nodes the same value_bytes_max"
    )]
    ValueTooLarge,
    /// A creditor's message from somebody who is not the creditor, or the other way round.
    #[error("sent a message that only the other side of a loan may send")]
    WrongDirection,
    /// Coloured credit in another colour than the rest of it has.
    #[error("moved credit in another colour than the rest of the resource's credit has")]
    WrongColour,
}
