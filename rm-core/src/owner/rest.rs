//! When an owner may vanish, and when it rests.
//!
//! Most resources of a busy cluster are lent or cached and not used at the moment. Such a book has no holds, no
//! requests and no registers; what is left is a few numbers, in a fifth of the memory. [`Owner::rest`] writes them
//! down, [`Owner::wake`] makes the same owner of them again: it will do what the first one would have done.
//!
//! What is forgotten is history that only sizes the next answer: when a debtor last asked for a higher fencing limit,
//! and how much of its own limit this owner has used.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::adaptive::Learned;
use super::tenure::{Stage, Tenure};
use super::{Debtor, Owner, Settings, Upstream, sum};
use crate::credit::{Colour, Credit};
use crate::id::{LoanId, PeerId};
use crate::resource::{Lending, ResourceType};
use crate::value::Value;

/// The book of an owner at rest.
#[derive(Clone, Debug)]
pub(crate) struct Rest<C> {
    source: Source<C>,
    /// The fencing clock.
    fence: u64,
    /// The last loan that was opened here.
    last_loan: LoanId,
    loans: Box<[RestingLoan<C>]>,
}

/// Where its credit comes from. What was learnt stands in both, and the colour, where they take no memory of their own.
#[derive(Clone, Debug)]
enum Source<C> {
    Debtor {
        learned: Learned,
        colour: Option<Colour>,
        /// The session with the creditor.
        peer: PeerId,
        loan: LoanId,
        limit: u64,
        borrowed: C,
    },
    Root {
        learned: Learned,
        colour: Option<Colour>,
        value: Option<Arc<Value>>,
    },
}

/// A debtor whose loan rests too.
#[derive(Clone, Debug)]
struct RestingLoan<C> {
    peer: PeerId,
    credit: C,
    id: LoanId,
    limit: u64,
    silent: bool,
    is_claimed: bool,
}

impl<C: Credit> Rest<C> {
    /// The session over which everything was borrowed; `None` at a root.
    pub(crate) const fn creditor(&self) -> Option<PeerId> {
        match self.source {
            Source::Debtor { peer, .. } => Some(peer),
            Source::Root { .. } => None,
        }
    }

    /// Whether that peer has a loan.
    pub(crate) fn lends_to(&self, peer: PeerId) -> bool {
        self.loans.iter().any(|loan| loan.peer == peer)
    }

    /// Whether a loan is more than its debtor may have, as `exceeds` says.
    pub(crate) fn any_loan(&self, exceeds: &mut dyn FnMut(PeerId, &C) -> bool) -> bool {
        self.loans
            .iter()
            .any(|loan| exceeds(loan.peer, &loan.credit))
    }

    /// How many debtors have a loan.
    pub(crate) fn debtors(&self) -> usize {
        self.loans.len()
    }

    /// Whether a debtor has anything that it has not lent.
    pub(crate) fn has_spare(&self) -> bool {
        match &self.source {
            Source::Debtor { borrowed, .. } => !borrowed.less(&self.lent()).is_empty(),
            Source::Root { .. } => false,
        }
    }

    fn lent(&self) -> C {
        let loans = self.loans.iter();
        loans.fold(C::empty(), |lent, loan| sum(&lent, &loan.credit))
    }

    /// The last loan that was opened here.
    pub(crate) const fn last_loan(&self) -> LoanId {
        self.last_loan
    }
}

impl<T: ResourceType> Owner<T> {
    /// Whether it may vanish: nothing held, waiting, lent, wanted or (at a debtor) borrowed, and no value known only here.
    ///
    /// A root whose credit is used up must remember what is: it stays once it has given any.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let is_whole = match T::LENDING {
            Lending::Loaned => true,
            Lending::UsedUp => self.borrowed == self.opening(),
        };
        let is_spent = if self.is_root() {
            is_whole
        } else {
            self.borrowed.is_empty()
        };
        is_spent
            && self.holds.is_empty()
            && self.waiting.is_empty()
            && self.wants.is_empty()
            && self.debtors.is_empty()
            && self.has_no_bytes()
            && !self.is_in_transition()
    }

    /// Whether a change of the root is under way here: it does not rest, and does not vanish.
    const fn is_in_transition(&self) -> bool {
        self.orphan.is_some() || self.succession.is_some() || self.is_silent()
    }

    /// The book, if nothing happens in it: nothing is held, wanted, recalled or owed, and it could not vanish either.
    ///
    /// Every field is named, so that a new one must be thought about here.
    pub(crate) fn rest(&self) -> Option<Rest<T::Credit>> {
        let Self {
            // The same for every owner of this name.
            settings: _,
            policy: _,
            capital: _,
            resource_type: _,
            learned,
            borrowed,
            // These follow from the rest.
            cached: _,
            lent: _,
            recalling: _,
            upstream,
            debtors,
            unlent,
            holds,
            // Nothing is held.
            is_wanted: _,
            // Empty where the owner is settled.
            waiting: _,
            recall: _,
            wants: _,
            // No want stands, so no answer to one can be told from another by its version.
            version: _,
            fence,
            known,
            colour,
            is_shut,
            // Somebody below still has what was revoked: his loan ends soon.
            is_revoked,
            orphan: _,
            succession: _,
            winding_up,
            last_loan,
        } = self;
        let is_owed = debtors.values().any(|debtor| debtor.limit_owed);
        let happens = !self.is_settled() || !holds.is_empty() || *unlent > 0 || is_owed;
        let asks = fence.is_asked() || fence.is_low();
        // What is used up outlives its session and its loan: its books are never only numbers.
        let is_lasting = T::LENDING == Lending::UsedUp;
        let ends = *is_shut || *is_revoked || winding_up.is_some() || self.is_in_transition();
        if happens || asks || ends || is_lasting || self.needs_epoch() || self.is_idle() {
            return None;
        }
        let source = match *upstream {
            // It goes on as the root since the epoch in which it wakes, or earlier: an older claim is made again.
            Upstream::Root(Tenure {
                since: _,
                stage: Stage::Active | Stage::Gathering,
                is_suspended: _,
            }) => Source::Root {
                learned: *learned,
                colour: *colour,
                value: known.value.clone(),
            },
            // There is no room for a value beside what it has borrowed.
            Upstream::Debtor { .. } if known.value.is_some() => return None,
            // The loans that are dead have smaller names than the one that lives.
            Upstream::Debtor {
                peer,
                loan,
                dead: _,
                // A later name says as much, as long as there is a loan of that root.
                since: _,
            } => Source::Debtor {
                learned: *learned,
                colour: *colour,
                peer: peer?,
                loan,
                limit: fence.limit(),
                borrowed: borrowed.clone(),
            },
        };
        let loans = debtors
            .iter()
            .map(|(&peer, debtor)| debtor.rest(peer))
            .collect::<Option<_>>()?;
        Some(Rest {
            source,
            fence: fence.now(),
            last_loan: *last_loan,
            loans,
        })
    }

    /// Its loans get names above this one: those up to it were given by owners of this resource that vanished here.
    ///
    /// A debtor below that still has a later one would send back what comes under an earlier name.
    pub(crate) fn lend_above(&mut self, last: LoanId) {
        self.last_loan = last.max(self.last_loan);
    }

    /// The last loan that was opened here.
    pub(crate) const fn last_lent(&self) -> LoanId {
        self.last_loan
    }

    /// The owner that rested, but for its policy. A root goes on in `epoch`.
    pub(crate) fn wake(
        settings: Arc<Settings>,
        capital: T::Credit,
        epoch: u32,
        rest: &Rest<T::Credit>,
    ) -> Self {
        let mut owner = match &rest.source {
            Source::Root {
                learned,
                colour,
                value,
            } => {
                let mut owner = Self::root(settings, capital, epoch, rest.fence, rest.last_loan);
                owner.learned = *learned;
                owner.colour = *colour;
                owner.known.value.clone_from(value);
                owner
            }
            Source::Debtor {
                learned,
                colour,
                peer,
                loan,
                limit,
                borrowed,
            } => {
                let mut owner = Self::debtor(settings, capital, rest.fence, LoanId::default());
                owner.learned = *learned;
                owner.colour = *colour;
                owner.lend_above(rest.last_loan);
                owner.upstream = Upstream::Debtor {
                    peer: Some(*peer),
                    loan: *loan,
                    dead: LoanId::default(),
                    since: loan.epoch,
                };
                owner.fence.raise_limit(*limit);
                owner.borrowed = borrowed.clone();
                owner
            }
        };
        let room = owner.settings.fence_room;
        let debtor =
            |loan: &RestingLoan<T::Credit>| (loan.peer, Box::new(Debtor::woken(loan, room)));
        owner.debtors = rest.loans.iter().map(debtor).collect::<BTreeMap<_, _>>();
        owner.lent = rest.lent();
        owner.cached = owner.borrowed.less(&owner.lent);
        #[cfg(debug_assertions)]
        owner.check();
        owner
    }
}

impl<C: Credit> Debtor<C> {
    fn rest(&self, peer: PeerId) -> Option<RestingLoan<C>> {
        let Self {
            loan,
            id,
            limit,
            // They only size its next limit.
            room: _,
            asked_at: _,
            // Each want says it anew.
            may_have: _,
            silent,
            // Nothing is owed or recalled: the owner is settled.
            limit_owed: _,
            sent: _,
            is_claimed,
            absent,
        } = self;
        if absent.is_some() {
            return None;
        }
        Some(RestingLoan {
            peer,
            credit: loan.clone(),
            id: (*id)?,
            limit: *limit,
            silent: *silent,
            is_claimed: *is_claimed,
        })
    }

    fn woken(loan: &RestingLoan<C>, room: u64) -> Self {
        let mut debtor = Self::new(room);
        debtor.loan = loan.credit.clone();
        debtor.id = Some(loan.id);
        debtor.limit = loan.limit;
        debtor.silent = loan.silent;
        debtor.is_claimed = loan.is_claimed;
        debtor
    }
}
