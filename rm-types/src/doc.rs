//! What the examples of this crate run on: a domain in one process, without a network.

pub use rm_core::doc::block_on;
use rm_core::front::Domain;

use crate::byte_range::ByteRangeType;
use crate::id_range::IdRangeType;
use crate::semaphore::SemaphoreType;
use crate::sequence::SequenceType;

/// A domain that is the root of every resource of these types.
#[must_use]
pub fn domain() -> Domain {
    rm_core::doc::domain()
        .with_type(SemaphoreType::default())
        .with_type(ByteRangeType::default())
        .with_type(IdRangeType::default())
        .with_type(SequenceType)
}
