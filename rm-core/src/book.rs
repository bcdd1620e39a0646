//! What a root knows of one resource, as plain data.
//!
//! When a view gives a resource another root, the former one writes its book down ([`Owner::book`]) and the new one
//! opens its own with it ([`Owner::activate`]). A book has no sessions and no times: who keeps the leases adds for how
//! long each loan may still be trusted, and makes a [pseudo peer](Inherited::peer) of each debtor that has not come yet.
//!
//! **Invariant.** The loans of a [sound](Opening::is_sound) opening are parts of one capital, and what is in none of them is free.
//!
//! [`Owner::activate`]: crate::owner::Owner::activate
//! [`Owner::book`]: crate::owner::Owner::book

use std::sync::Arc;

use crate::credit::{Colour, Credit};
use crate::id::{LoanId, Order, Party, PeerId};
use crate::value::Value;

/// The most waiting requests that a book names, oldest first: younger ones wait for them anyway.
pub const BOOK_WAITING_MAX: usize = 64;

/// What a root knew of one resource when it stopped being the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Book<C> {
    /// What is lent. All else is free.
    pub loans: Vec<BookLoan<C>>,
    /// The highest fencing number it had seen.
    pub fence: u64,
    /// The last loan it opened.
    pub last_loan: LoanId,
    /// The value, where there is one.
    pub value: Option<Arc<Value>>,
    /// The colour of all coloured credit, where it knew it.
    pub colour: Option<Colour>,
    /// The requests of debtors that waited, oldest first; at most [`BOOK_WAITING_MAX`].
    pub waiting: Vec<Order>,
}

impl<C> Book<C> {
    /// The same book, with each credit as `f` has it.
    ///
    /// # Errors
    /// The first of `f`.
    pub fn try_map<D, E>(self, mut f: impl FnMut(C) -> Result<D, E>) -> Result<Book<D>, E> {
        let loan = |loan: BookLoan<C>| {
            Ok(BookLoan {
                lessee: loan.lessee,
                credit: f(loan.credit)?,
                id: loan.id,
                limit: loan.limit,
            })
        };
        Ok(Book {
            loans: self.loans.into_iter().map(loan).collect::<Result<_, _>>()?,
            fence: self.fence,
            last_loan: self.last_loan,
            value: self.value,
            colour: self.colour,
            waiting: self.waiting,
        })
    }
}

/// One loan in a [`Book`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct BookLoan<C> {
    /// Who has it.
    pub lessee: Lessee,
    /// How much it is; never nothing.
    pub credit: C,
    /// Its name.
    pub id: LoanId,
    /// No token of it is above this.
    pub limit: u64,
}

/// Who has a loan that belongs to no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum Lessee {
    /// That run of a node.
    Party(Party),
    /// Nobody knows.
    Unknown,
}

/// What a root starts with that takes over a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "made by the caller")]
pub struct Opening<C> {
    /// What is lent, each until [`on_debtor_down`](crate::owner::Owner::on_debtor_down) of its pseudo peer, or until it
    /// is claimed. All else is free.
    pub loans: Vec<Inherited<C>>,
    /// The highest fencing number of the former roots, where it is known. Numbers of the root's epoch are above it anyway.
    pub fence: u64,
    /// The last loan of the former roots, where it is known.
    pub last_loan: LoanId,
    /// The value, where there is one and it is known.
    pub value: Option<Arc<Value>>,
    /// The colour of all coloured credit, where it is known.
    pub colour: Option<Colour>,
    /// Requests that waited at the former root: younger ones wait for them until their party speaks, or a second.
    pub waiting: Vec<Order>,
}

/// A loan that a new root takes over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "made by the caller")]
pub struct Inherited<C> {
    /// A number that stands for the absent debtor: no session has it, and no other loan of the opening. Nothing is
    /// sent to it.
    pub peer: PeerId,
    /// Who has it.
    pub lessee: Lessee,
    /// How much it is.
    pub credit: C,
    /// Its name in the former root's book.
    pub id: LoanId,
    /// No token of it is above this.
    pub limit: u64,
}

impl<C: Credit> Opening<C> {
    /// Nothing is lent: the resource is new, or its former root knew it to be all free.
    #[must_use]
    pub fn free() -> Self {
        Self {
            loans: Vec::new(),
            fence: 0,
            last_loan: LoanId::default(),
            value: None,
            colour: None,
            waiting: Vec::new(),
        }
    }

    /// The book is lost: everything may be lent to somebody. `peer` stands for them until the longest of their leases is
    /// over.
    #[must_use]
    pub fn unknown(peer: PeerId, capital: C) -> Self {
        let id = LoanId::default();
        let unknown = Inherited {
            peer,
            lessee: Lessee::Unknown,
            credit: capital,
            id,
            limit: 0,
        };
        Self {
            loans: vec![unknown],
            ..Self::free()
        }
    }

    /// Opens a book of a former root; `peer` makes a pseudo peer for each loan.
    #[must_use]
    pub fn of_book(book: Book<C>, mut peer: impl FnMut(&BookLoan<C>) -> PeerId) -> Self {
        let loan = |loan: BookLoan<C>| Inherited {
            peer: peer(&loan),
            lessee: loan.lessee,
            credit: loan.credit,
            id: loan.id,
            limit: loan.limit,
        };
        Self {
            loans: book.loans.into_iter().map(loan).collect(),
            fence: book.fence,
            last_loan: book.last_loan,
            value: book.value,
            colour: book.colour,
            waiting: book.waiting,
        }
    }

    /// Whether an owner can start with it: the loans are parts of one capital, none is nothing, and each has a peer of
    /// its own. A book came from another node: ask this before it is used, and count it as lost where it is not so.
    #[must_use]
    pub fn is_sound(&self, capital: &C) -> bool {
        let credits = self.loans.iter().map(|loan| &loan.credit);
        let total = credits.clone().try_fold(C::empty(), |a, b| a.join(b));
        let mut peers: Vec<_> = self.loans.iter().map(|loan| loan.peer).collect();
        peers.sort_unstable();
        peers.dedup();
        total.is_some_and(|total| capital.covers(&total))
            && credits.into_iter().all(|credit| !credit.is_empty())
            && peers.len() == self.loans.len()
            && self.waiting.len() <= BOOK_WAITING_MAX
    }
}
