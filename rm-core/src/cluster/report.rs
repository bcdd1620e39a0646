//! What members tell each other about a view: that they have adopted it, and what they know of resources that moved.

use core::time::Duration;
use std::sync::Arc;

use crate::book::Book;
use crate::credit::Opaque;
use crate::id::{ResourceKey, TypeId};
use crate::view::{RootId, View};

/// The most books in one part of a report.
pub const PART_BOOKS_MAX: usize = 256;

/// A part ends when its books take about so many bytes.
pub const PART_BYTES: usize = 256 << 10;
/// The most loans in a book that is handed over. Of one that has more, the receiver learns that all of them may be lent.
pub const BOOK_LOANS_MAX: usize = 1_024;

/// "I have adopted this view", and what the receiver is now the root of.
///
/// It goes in parts, each of which is said until it is acknowledged; all but the first have only books.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Report {
    /// The view.
    pub epoch: u32,
    /// The reporter's registration.
    pub reg: u64,
    /// Which part it is: from 0.
    pub part: u32,
    /// Whether it is the last.
    pub is_last: bool,
    /// The views that the reporter has adopted, the oldest first. In the first part.
    pub past: Vec<ReportedPast>,
    /// Books of which the receiver is now the root.
    pub books: Vec<ReportedBook>,
}

/// A view that the reporter has adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct ReportedPast {
    /// The view.
    pub view: Arc<View>,
    /// Whether the reporter was active in it. Then: how long something of what it has told no book of may still be
    /// trusted, in true time. Zero: nothing, and no value is lost.
    pub remaining: Option<Duration>,
}

/// One book that is handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct ReportedBook {
    /// The type of the resource.
    pub type_id: TypeId,
    /// Its name.
    pub key: ResourceKey,
    /// The newest view in which the book was active.
    pub version: u32,
    /// To whom it was given since, the receiver included.
    pub given: Vec<RootId>,
    /// What is in it.
    pub book: Book<Opaque>,
    /// Of each loan, how long it may still be trusted, in true time.
    pub remaining: Vec<Duration>,
}

impl Report {
    /// The number of the part alone.
    pub(super) fn without_content(&self) -> Self {
        Self {
            past: Vec::new(),
            books: Vec::new(),
            epoch: self.epoch,
            reg: self.reg,
            part: self.part,
            is_last: self.is_last,
        }
    }
}

impl ReportedBook {
    /// About how many bytes it takes on the wire.
    pub(super) fn bytes(&self) -> usize {
        let loans = self.book.loans.iter();
        let loans: usize = loans.map(|loan| 64 + loan.credit.0.len()).sum();
        let value = self.book.value.as_ref();
        let value = value.map_or(0, |value| value.bytes.len());
        128 + self.key.as_bytes().len() + loans + value + 48 * self.book.waiting.len()
    }
}
