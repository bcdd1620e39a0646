//! The limits of the wire, and the checks that both directions share.
//!
//! The limits are part of the protocol: `proto/rm.proto` states them too. They fit together so that the
//! largest item they allow fits into one frame.

use core::time::Duration;

pub use rm_core::book::BOOK_WAITING_MAX;
pub use rm_core::cluster::{BOOK_LOANS_MAX, PART_BOOKS_MAX, PAST_MAX};
pub use rm_core::id::{NAME_BYTES_MAX, NOTE_BYTES_MAX};
pub use rm_core::inspect::{EDGES_MAX, ENTRIES_MAX, LIST_MAX, TOP_MAX};
pub use rm_core::message::BLOCKERS_MAX;
pub use rm_core::value::VALUE_BYTES_MAX;
pub use rm_core::view::MEMBERS_MAX;

use super::WireError;

/// The most items in one `Data`. More go in several.
pub const ITEMS_MAX: usize = 64;

/// The most steps in one recall register.
pub const STEPS_MAX: usize = 64;

/// The longest credit, in bytes.
pub const CREDIT_BYTES_MAX: usize = 14 * 1024;

/// The longest text for people, in bytes. Longer ones are cut when they are sent.
pub const TEXT_BYTES_MAX: usize = 1024;

/// The most counters in a status.
pub const COUNTERS_MAX: usize = 256;

/// The longest lease: one day.
pub const LEASE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest other span: 100 years. Longer ones are cut to it when they are sent.
pub const SPAN_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

pub(super) const fn count(field: &'static str, count: usize, max: usize) -> Result<(), WireError> {
    if count <= max {
        Ok(())
    } else {
        Err(WireError::Count { field, max })
    }
}

pub(super) const fn length(
    field: &'static str,
    bytes: usize,
    min: usize,
    max: usize,
) -> Result<(), WireError> {
    if min <= bytes && bytes <= max {
        Ok(())
    } else {
        Err(WireError::Length {
            field,
            bytes,
            min,
            max,
        })
    }
}

pub(super) const fn name(field: &'static str, bytes: &[u8]) -> Result<(), WireError> {
    length(field, bytes.len(), 1, NAME_BYTES_MAX)
}

pub(super) const fn credit(field: &'static str, bytes: &[u8]) -> Result<(), WireError> {
    length(field, bytes.len(), 0, CREDIT_BYTES_MAX)
}

pub(super) fn span(
    field: &'static str,
    span: Duration,
    min: Duration,
    max: Duration,
) -> Result<(), WireError> {
    if (min..=max).contains(&span) {
        Ok(())
    } else {
        Err(WireError::Span {
            field,
            span,
            min,
            max,
        })
    }
}

/// A cluster's lease: a lease of nothing would make every session void at once.
pub(super) fn lease(field: &'static str, lease: Duration) -> Result<(), WireError> {
    span(field, lease, Duration::from_nanos(1), LEASE_MAX)
}

/// That the items from number `first` on have numbers.
pub(super) const fn sequence(first: u64, items: usize) -> Result<(), WireError> {
    match first.checked_add(items as u64) {
        Some(_) => Ok(()),
        None => Err(WireError::Sequence { first, items }),
    }
}
