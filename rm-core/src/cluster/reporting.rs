//! Reports on their way: which member has told us of the present view, and what we still have to tell whom.
//!
//! A report goes part by part: the next when the one before is acknowledged. A part that is not acknowledged is said
//! again over each new connection, and after [`AGAIN`]. So a part that is lost or doubled does no harm, and nothing is
//! gathered beyond what the present view needs.
//!
//! A new view throws away what is not finished: the next reports are of that view.

use core::time::Duration;
use std::collections::BTreeMap;

use super::report::{PART_BOOKS_MAX, PART_BYTES, Report, ReportedBook, ReportedPast};
use crate::session::lease::LeaseTerms;
use crate::time::Time;
use crate::view::RootId;

/// A part that is not acknowledged is said again after a thirty-second of the lease, and no later than this.
pub const AGAIN: Duration = Duration::from_millis(500);

/// What one member is still to be told.
#[derive(Clone, Debug)]
struct Outgoing {
    parts: Vec<Report>,
    /// The first that is not acknowledged.
    next: usize,
    /// When it was said.
    said: Option<Time>,
    /// It has opened the books of this view: what it was given is now its own.
    is_active: bool,
}

/// What one member has told.
#[derive(Clone, Debug, Default)]
struct Incoming {
    parts: u32,
    is_complete: bool,
    past: Vec<ReportedPast>,
    /// When its last part came.
    arrived: Time,
}

/// The reports of one view, both ways.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reporting {
    epoch: u32,
    /// A part that is not acknowledged is said again after so long.
    again: Duration,
    outgoing: BTreeMap<RootId, Outgoing>,
    incoming: BTreeMap<RootId, Incoming>,
}

/// What a report brought.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Books, and the acknowledgement is to be said.
    Fresh(Vec<ReportedBook>),
    /// It is known: acknowledge it again.
    Known,
    /// It is of another view than the present one, or a part before it is missing: say nothing.
    Stray,
}

impl Reporting {
    /// A new view: each other member is to be told those parts, and is to tell.
    pub(crate) fn begin(
        &mut self,
        epoch: u32,
        lease: LeaseTerms,
        reports: Vec<(RootId, Vec<Report>)>,
    ) {
        self.epoch = epoch;
        self.again = AGAIN.min(lease.length() / 32);
        self.incoming.clear();
        self.outgoing.clear();
        for (to, parts) in reports {
            self.incoming.insert(to, Incoming::default());
            let outgoing = Outgoing {
                parts,
                next: 0,
                said: None,
                is_active: false,
            };
            self.outgoing.insert(to, outgoing);
        }
    }

    /// A part of a member's report came.
    pub(crate) fn on_report(&mut self, now: Time, from: RootId, report: Report) -> Arrival {
        let Some(incoming) = self.incoming.get_mut(&from) else {
            return Arrival::Stray;
        };
        if report.epoch != self.epoch || report.part > incoming.parts {
            return Arrival::Stray;
        }
        if report.part < incoming.parts || incoming.is_complete {
            return Arrival::Known;
        }
        incoming.parts += 1;
        incoming.is_complete = report.is_last;
        incoming.arrived = now;
        incoming.past.extend(report.past);
        Arrival::Fresh(report.books)
    }

    /// A member has that part. Returns whether it is word, for the first time, that it has opened its books.
    pub(crate) fn on_ack(&mut self, from: RootId, epoch: u32, part: u32, is_active: bool) -> bool {
        let Some(outgoing) = self.outgoing.get_mut(&from) else {
            return false;
        };
        if epoch != self.epoch {
            return false;
        }
        if outgoing.next == part as usize && outgoing.said.is_some() {
            outgoing.next += 1;
            outgoing.said = None;
        }
        is_active && !core::mem::replace(&mut outgoing.is_active, true)
    }

    /// There is a new connection with a member: what was said over the former may be lost.
    pub(crate) fn on_connected(&mut self, to: RootId) {
        if let Some(outgoing) = self.outgoing.get_mut(&to) {
            outgoing.said = None;
        }
    }

    /// What is to be said to a member now, if anything. The last part is said until that member is active.
    pub(crate) fn say(&mut self, now: Time, to: RootId) -> Option<Report> {
        let outgoing = self.outgoing.get_mut(&to)?;
        if outgoing.next_say(self.again)? > now {
            return None;
        }
        outgoing.said = Some(now);
        match outgoing.parts.get(outgoing.next) {
            Some(part) => Some(part.clone()),
            // Known by now: its number alone asks whether the other is active.
            None => outgoing.parts.last().map(Report::without_content),
        }
    }

    /// Whether every other member has told of the present view.
    pub(crate) fn is_complete(&self) -> bool {
        self.incoming.values().all(|incoming| incoming.is_complete)
    }

    /// Whether every other member has acknowledged all that it was told, and has opened its books.
    pub(crate) fn is_heard(&self) -> bool {
        let mut outgoing = self.outgoing.values();
        outgoing.all(|outgoing| outgoing.next == outgoing.parts.len() && outgoing.is_active)
    }

    /// Who has not told yet.
    pub(crate) fn missing(&self) -> impl Iterator<Item = RootId> + '_ {
        let missing = self
            .incoming
            .iter()
            .filter(|(_, incoming)| !incoming.is_complete);
        missing.map(|(&id, _)| id)
    }

    /// What the others told of their past, and when the last part came.
    pub(crate) fn pasts(&self) -> Vec<(RootId, Time, Vec<ReportedPast>)> {
        let pasts = self.incoming.iter();
        pasts
            .map(|(&id, incoming)| (id, incoming.arrived, incoming.past.clone()))
            .collect()
    }

    /// When something is to be said again.
    pub(crate) fn next_say(&self) -> Option<Time> {
        let open = self.outgoing.values();
        open.filter_map(|outgoing| outgoing.next_say(self.again))
            .min()
    }
}

impl Outgoing {
    fn next_say(&self, again: Duration) -> Option<Time> {
        let is_done = self.next == self.parts.len();
        let due = self.said.map_or(Time::ZERO, |said| said.after(again));
        (!is_done || !self.is_active).then_some(due)
    }
}

/// The parts of one report.
pub(crate) fn parts(
    epoch: u32,
    reg: u64,
    past: Vec<ReportedPast>,
    books: Vec<ReportedBook>,
) -> Vec<Report> {
    let part = |part: usize| Report {
        epoch,
        reg,
        part: part as u32,
        is_last: false,
        past: Vec::new(),
        books: Vec::new(),
    };
    let mut parts = vec![Report { past, ..part(0) }];
    let mut bytes = 0;
    for book in books {
        let size = book.bytes();
        let last = parts.last().expect("there is a first part");
        if last.books.len() == PART_BOOKS_MAX || bytes + size > PART_BYTES {
            bytes = 0;
            parts.push(part(parts.len()));
        }
        bytes += size;
        let last = parts.last_mut().expect("there is a first part");
        last.books.push(book);
    }
    parts.last_mut().expect("there is a first part").is_last = true;
    parts
}
