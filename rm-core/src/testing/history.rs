//! Who held what, and when: a checker of histories, whoever recorded them.
//!
//! A history is a list of [`Record`]s: what processes saw of their requests, each at a time of its own clock. It can
//! come from the [simulator](super::simulate) or from the logs of real processes. [`check`] knows nothing of
//! owners, nodes or messages; it checks what a user of the locks relies on:
//!
//! * holds that conflict do not overlap, and what is held at one time is part of the capital;
//! * of two holds that conflict, the one that began after the other had ended has the larger token;
//! * a request is granted, denied or cancelled once, and what was granted is released or lost once.
//!
//! **Clocks.** A record says by how much its time may be off. Two holds overlap, or follow each other, only where they
//! do so for certain. So record a grant *after* it was seen, and a release *before* it is made: then the
//! recorded time lies within the true one. A hold whose end nobody recorded counts at no time: its holder may
//! have died right after. Conflicting holds that may have been at the same time prove nothing.
//!
//! **Cost.** One sweep over time: `n log n` in the number of records, times the number of *different* amounts that
//! are held. A million records of a read-write lock take about a second.
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//! use rm_core::testing::history::{Record, What, check};
//! # use rm_core::credit::{Credit, Malformed};
//! # #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! # struct Units(u64);
//! # impl Credit for Units {
//! #     fn empty() -> Self { Self(0) }
//! #     fn is_empty(&self) -> bool { self.0 == 0 }
//! #     fn join(&self, other: &Self) -> Option<Self> { self.0.checked_add(other.0).map(Self) }
//! #     fn covers(&self, part: &Self) -> bool { self.0 >= part.0 }
//! #     fn meet(&self, other: &Self) -> Self { Self(self.0.min(other.0)) }
//! #     fn sup(&self, other: &Self) -> Self { Self(self.0.max(other.0)) }
//! #     fn less(&self, other: &Self) -> Self { Self(self.0.saturating_sub(other.0)) }
//! #     fn raise(&self, other: &Self, capital: &Self) -> Self {
//! #         Self(self.0.saturating_add(other.0).min(capital.0))
//! #     }
//! #     fn restrict(&self, to: &Self) -> Self { if to.0 > 0 { self.clone() } else { Self(0) } }
//! #     fn conflicts(&self, other: &Self, capital: &Self) -> bool { self.0 + other.0 > capital.0 }
//! #     fn slice(&self, parts: u32) -> Self { Self(self.0 / u64::from(parts.max(1))) }
//! #     fn encode(&self, out: &mut Vec<u8>) { out.extend(self.0.to_le_bytes()) }
//! #     fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
//! #         bytes.try_into().map(|bytes| Self(u64::from_le_bytes(bytes))).map_err(|_| Malformed)
//! #     }
//! # }
//! # // `Units` are the credit of a semaphore, and there are three of them.
//! let record = |process: &str, at, what| Record {
//!     process: process.into(),
//!     request: 1,
//!     resource: Arc::from("door"),
//!     at,
//!     uncertainty: 2,
//!     what,
//! };
//! let mut history = vec![
//!     record("ann", 10, What::Invoked),
//!     record("ann", 20, What::Granted { credit: Units(2), fence: 4 }),
//!     record("ann", 50, What::Released),
//!     record("bob", 30, What::Invoked),
//!     record("bob", 60, What::Granted { credit: Units(2), fence: 6 }),
//!     record("bob", 90, What::Released),
//! ];
//! assert_eq!(check(|_| Units(3), &history)?.granted, 2);
//! // Had bob been granted earlier, both would have held two of three.
//! history[4].at = 40;
//! let violation = check(|_| Units(3), &history).unwrap_err();
//! assert!(violation.to_string().contains("ann"));
//! # Ok::<(), rm_core::testing::history::Violation>(())
//! ```

mod sweep;

use std::sync::Arc;

use thiserror::Error;

use self::sweep::Hold;
use crate::credit::Credit;

/// Something that a process saw of one of its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever records")]
pub struct Record<C> {
    /// Who saw it.
    pub process: Arc<str>,
    /// Which of its requests. One number, one request.
    pub request: u64,
    /// What the request is for.
    pub resource: Arc<str>,
    /// When, in nanoseconds since a time common to all.
    pub at: u64,
    /// By how many nanoseconds that may be off, either way.
    pub uncertainty: u64,
    /// What.
    pub what: What<C>,
}

/// What happened to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "made by whoever records")]
pub enum What<C> {
    /// It was made.
    Invoked,
    /// It holds.
    Granted {
        /// What it holds.
        credit: C,
        /// Its fencing token.
        fence: u64,
    },
    /// It holds something else from now on: it was converted or reduced.
    Changed {
        /// What it holds.
        to: C,
        /// Its fencing token from now on.
        fence: u64,
    },
    /// It failed.
    Denied,
    /// Its maker gave it up while it waited.
    Cancelled,
    /// The holder gave it back.
    Released,
    /// The holder was told that it holds no more.
    Lost,
}

impl<C> What<C> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Invoked => "invoked",
            Self::Granted { .. } => "granted",
            Self::Changed { .. } => "changed",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::Released => "released",
            Self::Lost => "lost",
        }
    }
}

/// What a history has in it, where nothing is wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Requests.
    pub requests: u64,
    /// How many were granted.
    pub granted: u64,
    /// How many were denied.
    pub denied: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// How many have no outcome. Of a run that came to its end there are none.
    pub unanswered: u64,
    /// Holds whose end nobody recorded. They were checked at no time.
    pub unended: u64,
}

/// What is wrong with a history, in words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at {at} ns: {what}")]
#[non_exhaustive]
pub struct Violation {
    /// When it shows.
    pub at: u64,
    /// The operations, and what must not be about them.
    pub what: String,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Holding,
    New,
    Over,
    Waiting,
}

/// Checks a history. `capital` is all the credit there is of a resource. The records of one request must stand in the
/// order in which they were made; those of different ones in any.
///
/// # Errors
/// The first violation in time. A request that is answered twice goes before all else, since of such a history
/// nothing can be said.
pub fn check<C: Credit>(
    capital: impl Fn(&str) -> C,
    records: &[Record<C>],
) -> Result<Summary, Violation> {
    let mut summary = Summary::default();
    let mut holds = Vec::new();
    let mut sorted: Vec<&Record<C>> = records.iter().collect();
    sorted.sort_by(|a, b| (&a.process, a.request).cmp(&(&b.process, b.request)));
    let same = |a: &&Record<C>, b: &&Record<C>| a.request == b.request && a.process == b.process;
    for request in sorted.chunk_by(same) {
        read_request(request, &mut summary, &mut holds)?;
    }
    holds.sort_by(|a, b| a.resource().cmp(b.resource()));
    let mut first: Option<Violation> = None;
    for of_one in holds.chunk_by(|a, b| a.resource() == b.resource()) {
        let capital = capital(of_one[0].resource());
        let found = [
            sweep::overlap(&capital, of_one),
            sweep::falling_token(&capital, of_one),
        ];
        for violation in found.into_iter().flatten() {
            if first.as_ref().is_none_or(|first| violation.at < first.at) {
                first = Some(violation);
            }
        }
    }
    first.map_or(Ok(summary), Err)
}

/// All records of one request: counts its outcome, and keeps what it held.
fn read_request<'a, C: Credit>(
    records: &[&'a Record<C>],
    summary: &mut Summary,
    holds: &mut Vec<Hold<'a, C>>,
) -> Result<(), Violation> {
    let mut phase = Phase::New;
    let mut held: Option<Hold<'a, C>> = None;
    let mut last = 0;
    for &record in records {
        let next = match (phase, &record.what) {
            (Phase::New, What::Invoked) => Phase::Waiting,
            (Phase::Waiting, What::Granted { .. }) | (Phase::Holding, What::Changed { .. }) => {
                Phase::Holding
            }
            (Phase::Waiting, What::Denied | What::Cancelled)
            | (Phase::Holding, What::Released | What::Lost) => Phase::Over,
            _ => return Err(out_of_turn(record, phase)),
        };
        if record.at < last || record.resource != records[0].resource {
            let what = format!(
                "{} was {} before the record ahead of it, or of another resource: whoever recorded it was wrong",
                in_words(record),
                record.what.name()
            );
            return Err(Violation {
                at: record.at,
                what,
            });
        }
        last = record.at;
        if let Some(mut hold) = held.take() {
            hold.ended = Some(record);
            holds.push(hold);
        }
        match &record.what {
            What::Invoked => summary.requests += 1,
            What::Granted { .. } => summary.granted += 1,
            What::Denied => summary.denied += 1,
            What::Cancelled => summary.cancelled += 1,
            What::Changed { .. } | What::Released | What::Lost => {}
        }
        held = Hold::begin(record);
        phase = next;
    }
    summary.unanswered += u64::from(phase == Phase::Waiting);
    summary.unended += u64::from(phase == Phase::Holding);
    holds.extend(held);
    Ok(())
}

fn out_of_turn<C>(record: &Record<C>, phase: Phase) -> Violation {
    let was = match phase {
        Phase::Holding => "it holds already",
        Phase::New => "it was not invoked",
        Phase::Over => "it is over",
        Phase::Waiting => "it waits",
    };
    Violation {
        at: record.at,
        what: format!("{} is {}, but {was}", in_words(record), record.what.name()),
    }
}

fn in_words<C>(record: &Record<C>) -> String {
    let Record {
        process,
        request,
        resource,
        ..
    } = record;
    format!("request {request} of {process} for {resource}")
}
