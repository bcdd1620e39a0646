//! What a node counts of its requests and holds: the face that metrics are built on.
//!
//! **Cost.** Whoever passes the gate is not seen here: how often that was, the gate knows itself
//! ([`Totals::cached_acquires`](super::Totals::cached_acquires)). A domain whose host has no observer asks for no time and
//! calls nobody.
//!
//! **Locks.** An observer is called while no lock is held, by the thread that made the request or released the hold.

use core::time::Duration;

use super::acquire::AcquireError;
use crate::id::ResourceKey;

/// Hears what becomes of requests and holds.
///
/// It may do what it likes, but whoever waits for a lock waits for it, too.
pub trait Observer: Send + Sync + 'static {
    /// A request, or a hold's conversion, is over that was not served from the cache. `waited` is what passed since its first
    /// poll.
    fn on_request(&self, subject: Subject<'_>, outcome: Outcome, waited: Duration);

    /// A hold was released after so long. Not told of holds that came or left by the gate, and of those that were lost.
    fn on_release(&self, subject: Subject<'_>, held: Duration);
}

/// What a request or a hold is for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Subject<'a> {
    /// The name of the resource's type.
    pub type_name: &'static str,
    /// The mode, as its type calls it.
    pub mode: &'static str,
    /// The resource. There may be very many: no label of a metric.
    pub key: &'a ResourceKey,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// What was asked for makes no sense.
    BadRequest,
    /// A `try`, and somebody was in the way.
    Busy,
    /// Its future was dropped.
    Cancelled,
    /// It was granted.
    Granted,
    /// It was granted, and lost before the caller looked.
    Lost,
    /// A rule of the server forbids it.
    NotAllowed,
    /// A limit was reached.
    Refused,
    /// The node or its server is stopping.
    ShuttingDown,
    /// It waited as long as it was told to.
    Timeout,
    /// There was no session with the server.
    Unavailable,
    /// Two holders that ask for more waited for each other.
    WouldDeadlock,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::BadRequest,
        Self::Busy,
        Self::Cancelled,
        Self::Granted,
        Self::Lost,
        Self::NotAllowed,
        Self::Refused,
        Self::ShuttingDown,
        Self::Timeout,
        Self::Unavailable,
        Self::WouldDeadlock,
    ];

    /// What it is called in spans and counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::Granted => "granted",
            Self::Lost => "lost",
            Self::NotAllowed => "not_allowed",
            Self::Refused => "refused",
            Self::ShuttingDown => "shutting_down",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::WouldDeadlock => "would_deadlock",
        }
    }
}

impl From<&AcquireError> for Outcome {
    fn from(error: &AcquireError) -> Self {
        match error {
            AcquireError::BadName(_) | AcquireError::BadRequest { .. } => Self::BadRequest,
            AcquireError::Busy { .. } => Self::Busy,
            AcquireError::NotAllowed { .. } => Self::NotAllowed,
            AcquireError::Refused => Self::Refused,
            AcquireError::SessionLost(_) => Self::Lost,
            AcquireError::ShuttingDown => Self::ShuttingDown,
            AcquireError::Timeout { .. } => Self::Timeout,
            AcquireError::Unavailable => Self::Unavailable,
            AcquireError::WouldDeadlock { .. } => Self::WouldDeadlock,
        }
    }
}
