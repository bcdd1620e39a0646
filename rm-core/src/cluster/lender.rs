//! The lender: one member's part as a root, from view to view.
//!
//! It drives a [`Domain`] of the role [`Root`](crate::front::Role::Root) that has no local holds: what its own process
//! uses is borrowed from it like by anybody else, so that an eviction does not take it.
//!
//! # The course of a view
//!
//! 1. **Adopt.** Resources that moved away stop at once: their books become *copies*, with the trust of each debtor
//!    frozen as it is. Resources that stay go on, with numbers above those of all older views. Resources that came are
//!    *gathering*: claims and requests are written down, and nothing is confirmed or granted.
//! 2. **Report.** Every other member is told that this one has adopted the view, in which views it was active, and the
//!    copies of what that member is now the root of.
//! 3. **Activate**, when every other member has told the same and the own membership is good. From then on no former
//!    root grants or extends anything. Each resource opens with the copy of the highest version, if everybody whom it
//!    was given to is a member; else with what is known of resources without a book ([`history`](super::history)).
//!
//! # Invariants
//!
//! * Nothing is granted, confirmed, extended or activated at or past `good_until`.
//! * A copy that never was active here is dropped at the next view: its giver still has it.
//! * A copy of one's own is kept until its receiver says that it is active.
//! * A view without this registration ends it for good: all books are dropped.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ghosts::Ghosts;
use super::history::History;
use super::report::{Report, ReportedBook};
use super::reporting::{Arrival, Reporting, parts};
use crate::book::{Book, BookLoan, Lessee};
use crate::credit::Opaque;
use crate::front::{Domain, GivenUp, WeakDomain};
use crate::id::{Party, PeerId, ResourceKey, TypeId};
use crate::session::lease::LeaseTerms;
use crate::session::packet::Body;
use crate::time::Time;
use crate::view::{RootId, View};

/// What a session's debtor is, and until when it may trust what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by the driver")]
pub struct Frozen {
    /// Its run.
    pub party: Party,
    /// When what it was lent would be taken back, by this node's clock, if it does not renew.
    pub until: Time,
}

/// What became of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an evicted lender is over"]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle each")]
pub enum Adopted {
    /// This registration is no member: the lender is over, and its books are gone.
    Evicted,
    /// It changes nothing: it is older than the present one, or the same, or from before this registration joined.
    Known,
    /// It is the present one now.
    Present,
}

/// The book of a resource that is not active here.
#[derive(Clone, Debug)]
struct Copy {
    version: u32,
    given: Vec<RootId>,
    /// It was active here. If not, somebody reported it.
    is_own: bool,
    book: Book<Opaque>,
    /// Of each loan, when its trust is over, by this node's clock.
    until: Vec<Time>,
}

type Key = (TypeId, ResourceKey);

/// One member's part as a root. The [module](crate::cluster) says what it does.
#[derive(Debug)]
pub struct Lender {
    me: RootId,
    /// Others keep it alive.
    domain: WeakDomain,
    history: History,
    ghosts: Ghosts,
    reporting: Reporting,
    copies: BTreeMap<Key, Vec<Copy>>,
    good_until: Time,
    /// The longest lease under which anything may have been lent before its first view.
    former_lease: Duration,
    is_over: bool,
}

impl Lender {
    /// The lender of the registration `me`, that lends by `domain`.
    #[must_use]
    pub fn new(me: RootId, domain: &Domain) -> Self {
        let history = History::new(me);
        domain.set_tenure(&history);
        Self {
            me,
            domain: domain.downgrade(),
            history,
            ghosts: Ghosts::new(),
            reporting: Reporting::default(),
            copies: BTreeMap::new(),
            good_until: Time::ZERO,
            former_lease: Duration::ZERO,
            is_over: false,
        }
    }

    /// The same, where something may be trusted that was lent under a lease of that length, before its first view: a
    /// shorter one must not shorten the wait.
    #[must_use]
    pub const fn after_lease(mut self, former: Duration) -> Self {
        self.former_lease = former;
        self
    }

    /// The longest lease under which a debtor may trust what it claims here.
    #[must_use]
    pub fn claimed_lease(&self, terms: LeaseTerms) -> Duration {
        self.former_lease.max(terms.length())
    }

    /// Who it is.
    #[must_use]
    pub const fn id(&self) -> RootId {
        self.me
    }

    /// The present view.
    #[must_use]
    pub fn view(&self) -> Option<&Arc<View>> {
        self.history.view()
    }

    /// A view came. `frozen` tells of each session with a debtor.
    ///
    /// Before, the driver has told it to every session, and answers no renewal under an older epoch from then on: an
    /// answer that comes after this must not extend what moved.
    pub fn adopt(
        &mut self,
        now: Time,
        view: &Arc<View>,
        frozen: &dyn Fn(PeerId) -> Option<Frozen>,
    ) -> Adopted {
        if self.is_over {
            return Adopted::Evicted;
        }
        let former = self.view().map_or(0, |view| view.epoch());
        if view.epoch() <= former {
            return Adopted::Known;
        }
        if !view.has(self.me) {
            if former == 0 {
                return Adopted::Known;
            }
            self.end();
            return Adopted::Evicted;
        }
        let Some(domain) = self.domain.upgrade() else {
            return Adopted::Known;
        };
        for copies in self.copies.values_mut() {
            copies.retain(|copy| copy.is_own);
        }
        self.history.adopt(Arc::clone(view));
        // From here on no resource comes to be that is another's.
        domain.set_tenure(&self.history);
        domain.on_epoch(view.epoch());
        self.give_up(&domain, view, former, frozen);
        self.give(view);
        self.report(now, &domain, view);
        self.activate(now);
        Adopted::Present
    }

    /// Takes the books of what is another's from now on out of the domain.
    fn give_up(
        &mut self,
        domain: &Domain,
        view: &View,
        version: u32,
        frozen: &dyn Fn(PeerId) -> Option<Frozen>,
    ) {
        let mut ends = BTreeMap::<Lessee, Time>::new();
        let ghosts = &self.ghosts;
        let mut lessee = |peer: PeerId| {
            let (lessee, until) = match (ghosts.find(peer), frozen(peer)) {
                (Some(ghost), _) => (ghost.lessee, ghost.until),
                (None, Some(session)) => (Lessee::Party(session.party), session.until),
                // A session that is over, so that nobody trusts it any more, and whose loans are just being taken back.
                (None, None) => (Lessee::Party(Party::default()), Time::ZERO),
            };
            let end = ends.entry(lessee).or_insert(until);
            *end = until.max(*end);
            lessee
        };
        let is_mine = |type_id, key: &ResourceKey| view.root_id(type_id, key) == Some(self.me);
        let books = domain.give_up(&is_mine, &mut lessee);
        let last = ends.values().max().copied().unwrap_or(Time::ZERO);
        for GivenUp {
            type_id,
            key,
            book,
            is_collapsed,
        } in books
        {
            // Where a book had too many loans to be told apart, nobody knows whose they were.
            let until = |loan: &BookLoan<Opaque>| match is_collapsed {
                true => last,
                false => ends[&loan.lessee],
            };
            let until = book.loans.iter().map(until).collect();
            let copy = Copy {
                version,
                given: Vec::new(),
                is_own: true,
                book,
                until,
            };
            let copies = self.copies.entry((type_id, key)).or_default();
            // There is at most one of one's own, and this one is newer.
            copies.clear();
            copies.push(copy);
        }
    }

    /// Writes down to whom each copy is given now.
    fn give(&mut self, view: &View) {
        for copies in self.copies.values_mut() {
            // One that somebody was given who is no member any more can never be used again.
            copies.retain(|copy| copy.given.iter().all(|&id| view.has(id)));
        }
        self.copies.retain(|_, copies| !copies.is_empty());
        for ((type_id, key), copies) in &mut self.copies {
            let Some(root) = view.root_id(*type_id, key) else {
                continue;
            };
            for copy in copies.iter_mut().filter(|copy| !copy.given.contains(&root)) {
                copy.given.push(root);
            }
        }
    }

    fn report(&mut self, now: Time, domain: &Domain, view: &View) {
        let past = self.history.reported(now, domain.has_doubts());
        let mut books = BTreeMap::<RootId, Vec<ReportedBook>>::new();
        for ((type_id, key), copies) in &self.copies {
            let root = view.root_id(*type_id, key).filter(|&root| root != self.me);
            let (Some(root), Some(copy)) = (root, copies.first()) else {
                continue;
            };
            let reported = copy.reported(now, *type_id, key.clone());
            books.entry(root).or_default().push(reported);
        }
        let others = view.members().iter().map(|member| member.id());
        let reports = others.filter(|&id| id != self.me).map(|id| {
            let books = books.remove(&id).unwrap_or_default();
            (id, parts(view.epoch(), self.me.reg, past.clone(), books))
        });
        let reports = reports.collect();
        self.reporting.begin(view.epoch(), view.lease(), reports);
    }

    /// A part of another member's report came. Returns the answer.
    ///
    /// One of a view that is not the present one is not answered: it is said again.
    #[must_use = "the reporter waits for the answer"]
    pub fn on_report(&mut self, now: Time, from: RootId, report: Report) -> Option<Body> {
        if self.is_over {
            return None;
        }
        let (epoch, part) = (report.epoch, report.part);
        match self.reporting.on_report(now, from, report) {
            Arrival::Stray => return None,
            Arrival::Known => {}
            Arrival::Fresh(books) => {
                for book in books {
                    self.take_copy(now, book);
                }
                self.activate(now);
            }
        }
        Some(Body::ReportAck {
            epoch,
            reg: self.me.reg,
            part,
            is_active: self.history.is_active(),
        })
    }

    fn take_copy(&mut self, now: Time, reported: ReportedBook) {
        let is_mine = (self.view())
            .is_some_and(|view| view.root_id(reported.type_id, &reported.key) == Some(self.me));
        if !is_mine || reported.remaining.len() != reported.book.loans.len() {
            return;
        }
        let remaining = reported.remaining.into_iter();
        let until = remaining.map(|left| now.after(LeaseTerms::wait(left)));
        let copy = Copy {
            version: reported.version,
            given: reported.given,
            is_own: false,
            book: reported.book,
            until: until.collect(),
        };
        let key = (reported.type_id, reported.key);
        self.copies.entry(key).or_default().push(copy);
    }

    /// A member has a part of this one's report.
    pub fn on_report_ack(&mut self, from: RootId, epoch: u32, part: u32, is_active: bool) {
        if self.reporting.on_ack(from, epoch, part, is_active) {
            // What it was given has a newer version there than here.
            let view = self.history.view().map(Arc::clone);
            let is_its = |(type_id, key): &Key| {
                let root = view.as_ref().and_then(|view| view.root_id(*type_id, key));
                root == Some(from)
            };
            self.copies.retain(|key, _| !is_its(key));
        }
    }

    /// There is a new connection over which that member can be told.
    pub fn on_connected(&mut self, to: RootId) {
        self.reporting.on_connected(to);
    }

    /// What is to be told to a member now, if anything: ask after each input, and at [`next_tick`](Self::next_tick).
    #[must_use]
    pub fn say(&mut self, now: Time, to: RootId) -> Option<Body> {
        self.reporting.say(now, to).map(Body::Report)
    }

    /// The own membership is known to be good until then; in the past: not any more.
    pub fn on_good_until(&mut self, now: Time, until: Time) {
        self.good_until = until;
        if let Some(domain) = self.domain.upgrade().filter(|_| !self.is_over) {
            domain.set_good_until(now, until);
            self.activate(now);
        }
    }

    /// Until when the own membership is known to be good.
    #[must_use]
    pub const fn good_until(&self) -> Time {
        self.good_until
    }

    /// Time passed: to be called at [`next_tick`](Self::next_tick).
    pub fn on_tick(&mut self, now: Time) {
        let Some(domain) = self.domain.upgrade().filter(|_| !self.is_over) else {
            return;
        };
        for ghost in self.ghosts.take_over(now) {
            domain.on_debtor_down(ghost);
        }
        self.activate(now);
    }

    /// When there is something to do for time.
    #[must_use]
    pub fn next_tick(&self) -> Option<Time> {
        let times = [self.ghosts.next_end(), self.reporting.next_say()];
        times.into_iter().flatten().min().filter(|_| !self.is_over)
    }

    /// Whether the books of the present view are open.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.history.is_active()
    }

    /// Which members have not told of the present view yet.
    pub fn missing(&self) -> impl Iterator<Item = RootId> + '_ {
        self.reporting.missing()
    }

    /// Whether all that was given away has been taken over: a member that leaves may go.
    #[must_use]
    pub fn is_relieved(&self) -> bool {
        self.is_active() && self.copies.is_empty() && self.reporting.is_heard()
    }

    /// How long something that this lender knows nothing of may still be in somebody's hands; zero: it knows all.
    #[must_use]
    pub fn grace(&self, now: Time) -> Duration {
        self.history.grace(now)
    }

    /// Opens the books, if everybody has told and the membership is good.
    fn activate(&mut self, now: Time) {
        let may = now < self.good_until && self.reporting.is_complete();
        if !may || self.history.is_active() || self.view().is_none() {
            return;
        }
        let Some(domain) = self.domain.upgrade() else {
            return;
        };
        let pasts = self.reporting.pasts();
        self.history
            .activate(now, pasts, self.former_lease, &mut self.ghosts);
        let view = Arc::clone(self.history.view().expect("it was there above"));
        let mine: Vec<Key> = (self.copies.keys())
            .filter(|(type_id, key)| view.root_id(*type_id, key) == Some(self.me))
            .cloned()
            .collect();
        let lease = LeaseTerms::wait(view.lease().length().max(self.former_lease));
        let mut pseudo = Pseudo {
            unknown: self.ghosts.add(Lessee::Unknown, now.after(lease)),
            peers: BTreeMap::new(),
        };
        for key in mine {
            let copies = self.copies.remove(&key).unwrap_or_default();
            let newest = copies.into_iter().max_by_key(|copy| copy.version);
            let known = self.history.version_without_book(key.0, &key.1);
            let usable = newest
                .filter(|copy| copy.version >= known && copy.given.iter().all(|&id| view.has(id)));
            if let Some(copy) = usable {
                let peers = pseudo.of_loans(now, &copy, &mut self.ghosts);
                let key = (key.0, &key.1);
                domain.open(key, copy.book, &peers, pseudo.unknown);
            }
        }
        // Only now: what comes to be from here on has no copy.
        domain.set_tenure(&self.history);
        domain.open_gathering(now, &self.history);
    }

    /// It is no member any more.
    fn end(&mut self) {
        self.is_over = true;
        self.copies.clear();
        if let Some(domain) = self.domain.upgrade() {
            domain.shut_down();
        }
    }
}

/// The pseudo debtors of one activation.
struct Pseudo {
    /// Who has what cannot be read.
    unknown: PeerId,
    /// Those of loans that end together; and of one book, the first, the second, and so on of the same lessee.
    peers: BTreeMap<(Lessee, Time, usize), PeerId>,
}

impl Pseudo {
    /// One for each loan of a copy.
    fn of_loans(&mut self, now: Time, copy: &Copy, ghosts: &mut Ghosts) -> Vec<PeerId> {
        let mut seen = BTreeMap::<(Lessee, Time), usize>::new();
        let loans = copy.book.loans.iter().zip(&copy.until);
        let peer = |(loan, &until): (&BookLoan<Opaque>, &Time)| {
            // What is over by now is taken back at the next tick.
            let until = until.max(now);
            let nth = seen.entry((loan.lessee, until)).or_insert(0);
            *nth += 1;
            let peer = self.peers.entry((loan.lessee, until, *nth));
            *peer.or_insert_with(|| ghosts.add(loan.lessee, until))
        };
        loans.map(peer).collect()
    }
}

impl Copy {
    fn reported(&self, now: Time, type_id: TypeId, key: ResourceKey) -> ReportedBook {
        let left = |until: &Time| LeaseTerms::remaining(until.since(now));
        let remaining = self.until.iter().map(left).collect();
        ReportedBook {
            type_id,
            key,
            version: self.version,
            given: self.given.clone(),
            book: self.book.clone(),
            remaining,
        }
    }
}
