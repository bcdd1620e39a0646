//! What the examples of this crate run on: a domain in one process, without a network.

pub use rm_core::doc::block_on;
use rm_core::front::Domain;

use crate::RwLockType;

/// A domain that is the root of every RW lock.
#[must_use]
pub fn domain() -> Domain {
    rm_core::doc::domain().with_type(RwLockType::default())
}
