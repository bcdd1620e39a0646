//! What a member's lender does to the resources of its domain: [`Lender`](crate::cluster::Lender) decides when.
//!
//! **Invariant.** A resource comes to be under the lock of its shard, by the tenure of that moment. The tenure changes
//! first, and then all shards are visited: so no resource escapes a change.

use core::cell::RefCell;
use core::convert::Infallible;
use std::sync::Arc;

use super::domain::Domain;
use super::resource::Resource;
use super::table::Table;
use crate::book::{Book, BookLoan, Lessee, Opening};
use crate::cluster::{Absent, BOOK_LOANS_MAX, History, PART_BYTES, Stance};
use crate::credit::{Credit, Opaque};
use crate::id::{PeerId, ResourceKey, TypeId};
use crate::resource::ResourceType;
use crate::sync::Ordering;
use crate::time::Time;
use crate::value::Value;

/// Who is behind a session or a pseudo debtor.
pub(crate) type Lessees<'a> = RefCell<&'a mut dyn FnMut(PeerId) -> Lessee>;

/// A book that was taken out of a domain.
pub(crate) struct GivenUp {
    pub(crate) type_id: TypeId,
    pub(crate) key: ResourceKey,
    pub(crate) book: Book<Opaque>,
    /// Its loans are one, and whose they were is not told.
    pub(crate) is_collapsed: bool,
}

/// Which resources stay.
pub(crate) type IsMine<'a> = dyn Fn(TypeId, &ResourceKey) -> bool + 'a;

/// What the tables of a lender do.
pub(super) trait Lending {
    fn give_up(&self, is_mine: &IsMine<'_>, lessee: &Lessees<'_>, books: &mut Vec<GivenUp>);
    fn open(&self, key: &ResourceKey, book: Book<Opaque>, peers: &[PeerId], unknown: PeerId);
    fn open_gathering(&self, now: Time, tenure: &History);
    fn resume(&self);
    fn has_doubts(&self) -> bool;
}

impl Domain {
    /// From now on resources come to be by this tenure.
    pub(crate) fn set_tenure(&self, tenure: &History) {
        self.set_tenure_to(Arc::new(tenure.clone()));
    }

    /// Nothing is lent at or after `until`. Where that is later than `now`, what had to wait goes on.
    pub(crate) fn set_good_until(&self, now: Time, until: Time) {
        self.set_good_until_to(until);
        let has_waited = || self.shared().has_suspended.swap(false, Ordering::AcqRel);
        if now < until && has_waited() {
            self.each(|table| table.resume());
        }
    }

    /// Takes out the books of all resources that are another's, as they are. Those that were not open are dropped.
    pub(crate) fn give_up(
        &self,
        is_mine: &IsMine<'_>,
        lessee: &mut dyn FnMut(PeerId) -> Lessee,
    ) -> Vec<GivenUp> {
        let lessee = RefCell::new(lessee);
        let mut books = Vec::new();
        self.each(|table| table.give_up(is_mine, &lessee, &mut books));
        books
    }

    /// Opens one resource with a book, whose loans are owed to those pseudo debtors; where it cannot be read, all of it
    /// is owed to `unknown`.
    pub(crate) fn open(
        &self,
        (type_id, key): (TypeId, &ResourceKey),
        book: Book<Opaque>,
        peers: &[PeerId],
        unknown: PeerId,
    ) {
        if let Some(table) = self.table(type_id) {
            table.open(key, book, peers, unknown);
        }
    }

    /// Whether a resource vanished whose value is in doubt.
    pub(crate) fn has_doubts(&self) -> bool {
        let mut has_doubts = false;
        self.each(|table| has_doubts |= table.has_doubts());
        has_doubts
    }

    /// Opens all resources that wait to be, with what is known of those without a book.
    pub(crate) fn open_gathering(&self, now: Time, tenure: &History) {
        self.each(|table| table.open_gathering(now, tenure));
    }
}

impl<T: ResourceType> Lending for Table<T> {
    fn give_up(&self, is_mine: &IsMine<'_>, lessee: &Lessees<'_>, books: &mut Vec<GivenUp>) {
        for shard in &self.shards {
            let gone: Vec<_> = {
                let mut shard = shard.lock();
                let others = shard.keys().filter(|key| !is_mine(T::ID, key));
                let others: Vec<_> = others.cloned().collect();
                let seen = shard.seen;
                let gone = others.iter().filter_map(|key| {
                    let place = shard.find(key)?;
                    let resource = self.wake(place, seen);
                    let place = shard.remove(key)?;
                    self.on_gone(&mut shard, &place);
                    Some(resource)
                });
                gone.collect()
            };
            for resource in gone {
                if let Some((book, is_collapsed)) = resource.close(lessee) {
                    books.push(GivenUp {
                        type_id: T::ID,
                        key: resource.key().clone(),
                        book,
                        is_collapsed,
                    });
                }
            }
        }
    }

    fn open(&self, key: &ResourceKey, book: Book<Opaque>, peers: &[PeerId], unknown: PeerId) {
        let capital = self.capital(key);
        let mut peers = peers.iter().copied();
        let opening = book
            .try_map(|credit| credit.read::<T::Credit>())
            .map(|book| Opening::of_book(book, |_| peers.next().unwrap_or(unknown)));
        let opening = opening.ok().filter(|opening| opening.is_sound(&capital));
        let opening = opening.unwrap_or_else(|| {
            tracing::warn!(kind = T::NAME, resource = %key, "a book that was handed over cannot be read");
            Opening::unknown(unknown, capital)
        });
        if let Some(resource) = self.resource_at_any_rate(key) {
            resource.open(opening);
        }
    }

    fn open_gathering(&self, now: Time, tenure: &History) {
        self.each_live(|resource| {
            if let Stance::Active(absent) = tenure.stance(now, T::ID, resource.key()) {
                resource.open(self.opening_without_book(resource.key(), absent));
            }
        });
    }

    fn resume(&self) {
        self.each_live(|resource| resource.resume());
    }

    fn has_doubts(&self) -> bool {
        let mut shards = self.shards.iter();
        shards.any(|shard| shard.lock().numbers.is_doubtful)
    }
}

impl<T: ResourceType> Table<T> {
    /// What a resource without a book opens with.
    pub(super) fn opening_without_book(
        &self,
        key: &ResourceKey,
        absent: Absent,
    ) -> Opening<T::Credit> {
        match absent {
            Absent::Free => Opening::free(),
            Absent::Doubtful => Opening {
                value: Some(Arc::new(Value::unknown())),
                ..Opening::free()
            },
            Absent::Unknown(peer, _) => Opening::unknown(peer, self.capital(key)),
        }
    }
}

impl<T: ResourceType> Resource<T> {
    /// The book as it is, if it is open; from now on nothing is decided here.
    fn close(&self, lessee: &Lessees<'_>) -> Option<(Book<Opaque>, bool)> {
        let mut book = None;
        self.lend(|owner, _, fx| {
            if !owner.is_gathering() {
                let found = owner.book(|peer| (lessee.borrow_mut())(peer));
                let (found, is_collapsed) = collapse(found);
                let opaque = found.try_map(|credit| Ok::<_, Infallible>(Opaque::of(&credit)));
                book = opaque.ok().map(|book| (book, is_collapsed));
            }
            owner.shut_down(fx);
        });
        book
    }

    /// Opens it, if it is not open yet.
    fn open(&self, opening: Opening<T::Credit>) {
        let epoch = self.shared().epoch();
        self.lend(|owner, now, fx| {
            if owner.is_gathering() {
                owner.activate(now, epoch, opening, fx);
            }
        });
    }

    fn resume(&self) {
        // Every input looks whether it may lend by now.
        self.lend(|_, _, _| {});
    }
}

/// What a loan takes on the wire beside its credit, at most.
const LOAN_BYTES: usize = 64;

/// The same book, where it has too many loans to be told apart, or they do not fit into one part of a report: nobody
/// knows whose they are.
fn collapse<C: Credit>(mut book: Book<C>) -> (Book<C>, bool) {
    let bytes = |loan: &BookLoan<C>| Opaque::of(&loan.credit).0.len() + LOAN_BYTES;
    let is_small = || book.loans.iter().map(bytes).sum::<usize>() <= PART_BYTES;
    if book.loans.len() <= BOOK_LOANS_MAX && is_small() {
        return (book, false);
    }
    let loans = core::mem::take(&mut book.loans);
    let sum = |lent: C, loan: &BookLoan<C>| {
        let sum = lent.join(&loan.credit);
        sum.expect("parts of one capital add up to no more than it")
    };
    book.loans.push(BookLoan {
        lessee: Lessee::Unknown,
        credit: loans.iter().fold(C::empty(), sum),
        id: book.last_loan,
        limit: loans.iter().map(|loan| loan.limit).max().unwrap_or(0),
    });
    (book, true)
}
