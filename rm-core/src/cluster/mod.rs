//! Members and views: who lends what, from one view of the cluster to the next.
//!
//! A clustered node has two parts that fail apart. Its **lender** is the root of what the view gives it, and has a
//! registration: it loses its books when that leaves the view. Its **borrower** uses resources, its own lender's
//! included, and has sessions with all members; it keeps what it borrowed when a lender dies, and claims it from the
//! next. A client is a borrower alone. [RECOVERY](https://docs.rs/rm-core) is told in `docs/PROTOCOL.md`.
//!
//! Both are pure: what decides is here and in [`owner`](crate::owner), bytes and clocks are the driver's.

mod ghosts;
mod history;
mod lender;
mod report;
mod reporting;

pub use ghosts::is_ghost;
pub use history::PAST_MAX;
pub(crate) use history::{Absent, History, Stance};
pub use lender::{Adopted, Frozen, Lender};
pub use report::{BOOK_LOANS_MAX, PART_BOOKS_MAX, PART_BYTES, Report, ReportedBook, ReportedPast};
pub use reporting::AGAIN;
