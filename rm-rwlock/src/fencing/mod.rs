//! What a store does with fencing tokens: the rule, and ready-made checkers.
//!
//! A guard's token ([`Guard::fence`]) is larger than that of every conflicting hold that ended before it began. It
//! protects nothing by itself. The store that the lock guards must keep a [`Mark`], the highest token that ever wrote,
//! and compare:
//!
//! * A **write** is refused if its token is smaller than the mark. Otherwise the mark becomes the token, in the same
//!   atomic step in which the data changes. An equal token is the same hold writing again, and is admitted.
//! * A **read** is refused if its token is smaller than the mark, and *leaves the mark as it is*. Readers side by side
//!   may have different tokens: if one raised the mark, another that is just as valid would be refused.
//! * Only an **exclusive** hold writes. Its token is odd ([`is_exclusive`]). That of a reader is even, and may be
//!   shared. An upgradable guard has an odd token too, since there is one of its kind at a time; it reads beside
//!   others, so what it does is still a read.
//!
//! The mark rises when the new holder writes, not when it is granted the lock. Until then a late write of an older hold
//! still gets in. Who reads something and acts on it therefore raises the mark *first*, then reads.
//!
//! ```
//! use rm_rwlock::fencing::{Mark, Refused};
//!
//! let mark = Mark::NONE.admit_write(101)?;
//! let mark = mark.admit_write(105)?; // the next holder
//! assert_eq!(mark.admit_write(105), Ok(mark)); // the same hold once more
//! assert_eq!(mark.admit_write(101), Err(Refused::Late { token: 101, mark: 105 })); // woke up too late
//! mark.admit_read(106)?; // returns no mark: reads raise none
//! # Ok::<(), Refused>(())
//! ```
//!
//! | for | there is |
//! |---|---|
//! | SQL databases | [`sql`]: a table of marks, and the statement that compares and raises |
//! | key-value and object stores | [`store`]: a loop around the store's own compare-and-set |
//! | files | `FencedFile` of the network crate: a file that is replaced as a whole |
//! | a store of your own | [`Mark`] |
//!
//! [`Guard::fence`]: crate::Guard::fence

pub mod sql;
pub mod store;
#[cfg(test)]
mod tests;

use thiserror::Error;

/// Whether a token is that of a hold that excludes its own kind: that of a writer, or of an upgradable reader.
#[must_use]
pub const fn is_exclusive(token: u64) -> bool {
    token % 2 == 1
}

/// The highest token that wrote: what a store remembers for each lock. It only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use = "a mark that is not kept admits late writers"]
pub struct Mark(u64);

impl Mark {
    /// Nobody has written.
    pub const NONE: Self = Self(0);

    /// The mark that a store has kept, as [`highest`](Self::highest) gave it.
    ///
    /// # Errors
    /// [`BadMark`] if no writer has such a token.
    pub const fn stored(highest: u64) -> Result<Self, BadMark> {
        if highest == 0 || is_exclusive(highest) {
            Ok(Self(highest))
        } else {
            Err(BadMark { found: highest })
        }
    }

    /// The token, for the store to keep; 0 if nobody has written.
    #[must_use]
    pub const fn highest(self) -> u64 {
        self.0
    }

    /// Whether no later hold has written. It does not ask whether the token may write.
    #[must_use]
    pub const fn admits(self, token: u64) -> bool {
        token >= self.0
    }

    /// A read under this token. The mark stays as it is.
    ///
    /// # Errors
    /// [`Refused::Late`] if a later hold has written.
    pub const fn admit_read(self, token: u64) -> Result<(), Refused> {
        if self.admits(token) {
            Ok(())
        } else {
            Err(Refused::Late {
                token,
                mark: self.0,
            })
        }
    }

    /// A write under this token. Returns the mark that the store must keep from then on, which it does in the same
    /// atomic step as the write itself.
    ///
    /// # Errors
    /// [`Refused::Late`] if a later hold has written, [`Refused::NotExclusive`] if the token is that of a shared hold.
    pub const fn admit_write(self, token: u64) -> Result<Self, Refused> {
        if !is_exclusive(token) {
            return Err(Refused::NotExclusive { token });
        }
        match self.admit_read(token) {
            Ok(()) => Ok(Self(token)),
            Err(refused) => Err(refused),
        }
    }
}

/// Why a store does not do what a holder asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Refused {
    /// A later hold has written: this one has ended or was lost, whatever its holder believes.
    #[error(
        "token {token} is too late, a hold with token {mark} has written since: drop the guard, take the lock \
         again and start over from what is stored now"
    )]
    Late {
        /// The token that was refused.
        token: u64,
        /// The highest token that wrote.
        mark: u64,
    },
    /// The token is that of a shared hold, or none.
    #[error("token {token} is not that of a writer, whose tokens are odd: take the lock to write")]
    NotExclusive {
        /// The token that was refused.
        token: u64,
    },
}

/// What a store kept as its mark is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error(
    "the stored mark {found} is even, and no writer has an even token: it is damaged, or a reader's token was \
     stored; set it to {} and see who writes without `Mark::admit_write`", found.saturating_add(1)
)]
#[non_exhaustive]
pub struct BadMark {
    /// What was stored.
    pub found: u64,
}

/// The example of that page, which is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/FENCING.md")]
struct Page;
