//! The value of a resource: a few bytes that travel with its credit.
//!
//! Whoever holds *all* credit of a resource may write its value, and every holder reads it without a message. It goes
//! down with every grant and up with the first return of one who wrote it, so each write is seen by
//! every hold that begins after the writer's has ended.
//!
//! A value says how far it can be relied on. Where a node was lost that may have written, the last value that anybody
//! else knows of is *doubtful*: it is still there, and it says so. The next write makes it sure again.
//!
//! Values live in memory, at the root of their resource. They survive every client, and no restart of the root: it
//! then knows of none, and says that this is doubtful.

use core::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::error::LostReason;

/// The most bytes of a value that any node may allow.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// What one holder of everything wrote.
#[derive(Clone, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Value {
    /// The fencing token of the hold that wrote the bytes, so what a later hold writes has a larger version. 0: no write
    /// is known.
    pub version: u64,
    /// Whether a later write may have been lost.
    pub state: ValueState,
    /// What was written. Empty where nothing is known.
    pub bytes: Box<[u8]>,
}

/// How far a value can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum ValueState {
    /// It is what was written last.
    Sure,
    /// One who may have written later was lost, or the root knows nothing of the time before it started.
    Doubtful,
}

impl Value {
    /// What stands for a value of which nothing is known but that there may have been one.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            version: 0,
            state: ValueState::Doubtful,
            bytes: Box::default(),
        }
    }

    /// Whether a later write may have been lost.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.state == ValueState::Doubtful
    }

    /// The same bytes, of which it is no longer known whether they were written last.
    #[must_use]
    pub fn doubted(&self) -> Self {
        Self {
            state: ValueState::Doubtful,
            ..self.clone()
        }
    }

    /// Whether this tells more than `other`: it is of a later write, or of the same one and a loss since.
    #[must_use]
    pub fn is_after(&self, other: Option<&Arc<Self>>) -> bool {
        let news = |value: &Self| (value.version, value.state);
        other.is_none_or(|other| news(self) > news(other))
    }
}

impl fmt::Debug for Value {
    /// Not the bytes: there may be many, and they are the application's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value")
            .field("version", &self.version)
            .field("state", &self.state)
            .field("len", &self.bytes.len())
            .finish()
    }
}

/// Why a value was not written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The hold was lost.
    #[error("not written: {0}")]
    Lost(#[from] LostReason),
    /// Others may hold at the same time.
    #[error(
        "not written: only who holds the whole resource, such as a writer of a lock, may write its value"
    )]
    NotExclusive,
    /// More bytes than this node allows.
    #[error(
        "not written: the value has {bytes} bytes, and {max} are allowed; raise value_bytes_max at all nodes, or \
         keep the bytes elsewhere"
    )]
    TooLarge {
        /// How many there are.
        bytes: usize,
        /// How many there may be.
        max: usize,
    },
}
