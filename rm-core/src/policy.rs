//! How much a creditor grants beyond what was asked.
//!
//! The extra comes out of what is free after every waiting request had its turn, so it never takes what a
//! waiting request could use; and it goes only with a grant, so it cannot bounce by itself.

use core::num::NonZeroU32;

/// How much a creditor adds to a grant, and a debtor to a return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// What was asked, no more. A debtor returns what is recalled, no more.
    Exact,
    /// A grant adds one part in this many of what is spare, so that later requests at the debtor cost
    /// nothing. A debtor that answers a recall keeps such a part of its own spare and returns the rest.
    Slice(NonZeroU32),
    /// Everything that nobody else has or wants. A debtor returns what is recalled, no more.
    Max,
}

impl Policy {
    /// A slice of one part in `parts`; 0 counts as 1, which is everything.
    #[must_use]
    pub const fn slice(parts: u32) -> Self {
        match NonZeroU32::new(parts) {
            Some(parts) => Self::Slice(parts),
            None => Self::Slice(NonZeroU32::MIN),
        }
    }
}

impl Default for Policy {
    /// A sixteenth.
    fn default() -> Self {
        Self::slice(16)
    }
}
