//! What can be wrong with a packet.

use core::time::Duration;

use thiserror::Error;

/// Bytes that are no packet, or a packet that may not be sent. Fields are named as in the schema.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// A list with too many elements, or a field twice that may be there once.
    #[error("{field} is there more than {max} times")]
    Count {
        /// The list.
        field: &'static str,
        /// How many it may have.
        max: usize,
    },
    /// A name, text or credit of a wrong length.
    #[error("{field} has {bytes} bytes: it may have {min} to {max}")]
    Length {
        /// The field.
        field: &'static str,
        /// How many it has.
        bytes: usize,
        /// The fewest it may have.
        min: usize,
        /// The most it may have.
        max: usize,
    },
    /// The bytes are not in the encoding of protocol buffers, or not of this schema.
    #[error("not a packet: {detail}")]
    Malformed {
        /// What is wrong, for people.
        detail: String,
    },
    /// A field that must be there is not; for a choice it may be of a kind unknown here.
    #[error("{field} is missing, or of a kind that this version does not know")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// Items whose numbers go beyond the last number.
    #[error("{items} items from number {first} on: the numbers do not reach so far")]
    Sequence {
        /// The number of the first.
        first: u64,
        /// How many.
        items: usize,
    },
    /// A span of time that makes no sense.
    #[error("{field} is {span:?}: it may be {min:?} to {max:?}")]
    Span {
        /// The field.
        field: &'static str,
        /// Its value.
        span: Duration,
        /// The least it may be.
        min: Duration,
        /// The most it may be.
        max: Duration,
    },
    /// A packet of a kind that a later version brought. It may be skipped.
    #[error("the packet is of a later kind, number {field}")]
    UnknownBody {
        /// The number of its field in the schema.
        field: u32,
    },
    /// A value that the enum does not have.
    #[error("{field} has no value {value}")]
    UnknownValue {
        /// The field.
        field: &'static str,
        /// What it says.
        value: i32,
    },
}
