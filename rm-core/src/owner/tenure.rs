//! The root's side of a change of root: gathering, activation, suspension, and the book that is handed on.
//!
//! ```text
//! gathering ──── activate ────> active ──── book: written down for the next root, and gone
//! (records)   (opens a book)      │ ↑
//!                          suspend│ │resume
//!                                 v │
//!                              (records)
//! ```
//!
//! **Gathering.** The view has made this node the root, but an older one may still act: it may take a silent debtor's loan
//! back and lend it again. So nothing is granted, confirmed or recalled here until every member has adopted the view.
//!
//! **Suspended.** The membership is not known to be good: another root may have been made. The book is kept, and what
//! comes back goes into it; nothing is said that somebody could trust.
//!
//! **Invariants.**
//! * While it is silent (gathering or suspended) no message leaves but a refusal, and `balance` decides nothing.
//! * Recorded claims are answered, oldest first, before the first grant.
//! * A loan of an absent debtor is in the book like any other, but nothing is sent to it. Its end is that of a dead
//!   debtor's loan, or a claim.
//!
//! **Fairness.** A book carries the orders of the requests that waited. They bar younger requests until their own party
//! asks again, or for a second: the party may be gone.

use core::time::Duration;
use std::sync::Arc;

use super::{Debtor, Owner, Settings, Spare, Upstream, sum};
use crate::book::{BOOK_WAITING_MAX, Book, BookLoan, Inherited, Lessee, Opening};
use crate::credit::Credit;
use crate::effect::Effects;
use crate::id::{LoanId, Order, Party, PeerId};
use crate::message::{Claim, Message, Unclaimed};
use crate::resource::{Lending, ResourceType};
use crate::time::Time;

/// For so long requests that waited at the former root bar younger ones.
const BARRED: Duration = Duration::from_secs(1);

/// What a root may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tenure {
    /// Since this epoch, or a later one, it is the root without a gap.
    pub(super) since: u32,
    pub(super) stage: Stage,
    /// Its membership is not known to be good.
    pub(super) is_suspended: bool,
}

/// Whether a root has a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// Not yet.
    Gathering,
    /// It has.
    Active,
}

impl Tenure {
    pub(super) const fn active(since: u32) -> Self {
        Self {
            since,
            stage: Stage::Active,
            is_suspended: false,
        }
    }
}

/// What is left to do of a change of root. No owner has an empty one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Succession<C> {
    /// Claims that are not answered, oldest first; one of each session.
    pub(super) claims: Vec<RecordedClaim<C>>,
    /// Requests that waited at the former root, by order.
    pub(super) bars: Vec<Order>,
    /// When they bar no longer.
    pub(super) barred_until: Time,
}

/// A claim that is not answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RecordedClaim<C> {
    pub(super) peer: PeerId,
    pub(super) party: Party,
    pub(super) claim: Claim<C>,
}

impl<C> Succession<C> {
    const fn new() -> Self {
        Self {
            claims: Vec::new(),
            bars: Vec::new(),
            barred_until: Time::ZERO,
        }
    }

    fn is_over(&self) -> bool {
        self.claims.is_empty() && self.bars.is_empty()
    }
}

impl<T: ResourceType> Owner<T> {
    /// The book of a root that has been made one by the view of `epoch`, and knows nothing yet: it records wants and
    /// claims until it is [activated](Self::activate).
    ///
    /// `fence` and `last_loan` are the highest numbers of the owners of this resource that vanished here before.
    #[must_use]
    pub fn gathering(
        settings: Arc<Settings>,
        capital: T::Credit,
        epoch: u32,
        fence: u64,
        last_loan: LoanId,
    ) -> Self {
        let mut owner = Self::root(settings, capital, epoch, fence, last_loan);
        owner.borrowed = T::Credit::empty();
        owner.cached = T::Credit::empty();
        owner.upstream = Upstream::Root(Tenure {
            stage: Stage::Gathering,
            ..Tenure::active(epoch)
        });
        owner
    }

    /// Every member has adopted the view: from now on this root lends. Claims that were recorded are answered first.
    ///
    /// `epoch` is that of the present view. Does nothing where the owner is active already.
    ///
    /// # Panics
    /// If the opening is not [sound](Opening::is_sound).
    pub fn activate(
        &mut self,
        now: Time,
        epoch: u32,
        opening: Opening<T::Credit>,
        fx: &mut Effects<T>,
    ) {
        if !self.is_gathering() {
            return;
        }
        assert!(
            opening.is_sound(&self.capital),
            "the loans are parts of one capital"
        );
        if let Upstream::Root(tenure) = &mut self.upstream {
            tenure.stage = Stage::Active;
        }
        let Opening {
            loans,
            fence,
            last_loan,
            value,
            colour,
            waiting,
        } = opening;
        self.fence.enter_epoch(epoch.max(self.last_loan.epoch));
        self.fence.observe(fence);
        let first = LoanId { epoch, counter: 0 };
        self.last_loan = self.last_loan.max(last_loan).max(first);
        self.borrowed = self.opening();
        self.cached = self.borrowed.clone();
        if T::LENDING == Lending::Loaned {
            loans.into_iter().for_each(|loan| self.inherit(loan));
        }
        self.known.value = value;
        self.colour = colour;
        self.forget_colour();
        self.bar(now, waiting);
        self.speak(now, fx);
    }

    /// A loan of somebody who has no session here.
    fn inherit(&mut self, loan: Inherited<T::Credit>) {
        self.cached = self.cached.less(&loan.credit);
        self.lent = sum(&self.lent, &loan.credit);
        let debtor = Debtor {
            loan: loan.credit,
            id: Some(loan.id),
            limit: loan.limit,
            absent: Some(loan.lessee),
            ..Debtor::new(self.settings.fence_room)
        };
        let former = self.debtors.insert(loan.peer, Box::new(debtor));
        assert!(former.is_none(), "a pseudo peer stands for one loan");
    }

    /// Lends everything to a debtor that nobody has heard of: what a restarted root does until the leases of
    /// its former life have run out. What is given for good is not waited for: each epoch has its own.
    ///
    /// # Panics
    /// If anything has been lent or taken.
    pub fn lend_all_to_unknown(&mut self, peer: PeerId) {
        if T::LENDING == Lending::UsedUp {
            return;
        }
        assert!(
            self.cached == self.capital,
            "only an untouched root can be in its grace"
        );
        let loan = Inherited {
            peer,
            lessee: Lessee::Unknown,
            credit: self.capital.clone(),
            id: self.open_loan(),
            limit: self.fence.now(),
        };
        self.inherit(loan);
        self.forget_colour();
    }

    /// The membership of this root is not known to be good: from now on it only records.
    pub const fn suspend(&mut self) {
        if let Upstream::Root(tenure) = &mut self.upstream {
            tenure.is_suspended = true;
        }
    }

    /// The membership is good again, and was all the time: this root goes on as if nothing had been. Claims that came
    /// meanwhile are answered before the first grant.
    pub fn resume(&mut self, now: Time, fx: &mut Effects<T>) {
        if let Upstream::Root(tenure) = &mut self.upstream {
            tenure.is_suspended = false;
            self.speak(now, fx);
        }
    }

    /// Whether it is a root whose membership is not known to be good.
    #[must_use]
    pub const fn is_suspended(&self) -> bool {
        matches!(self.upstream, Upstream::Root(tenure) if tenure.is_suspended)
    }

    /// Whether it is a root that has no book yet.
    #[must_use]
    pub const fn is_gathering(&self) -> bool {
        matches!(self.upstream, Upstream::Root(tenure) if matches!(tenure.stage, Stage::Gathering))
    }

    /// Whether it is a root that may say nothing which anybody could trust: it gathers, or is suspended.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        match self.upstream {
            Upstream::Root(tenure) => {
                matches!(tenure.stage, Stage::Gathering) || tenure.is_suspended
            }
            Upstream::Debtor { .. } => false,
        }
    }

    /// It may say what it could not: claims first.
    fn speak(&mut self, now: Time, fx: &mut Effects<T>) {
        if !self.is_silent() {
            let claims = self
                .succession
                .as_mut()
                .map(|left| core::mem::take(&mut left.claims));
            for recorded in claims.into_iter().flatten() {
                self.answer(recorded, fx);
            }
            self.answer_limits(fx);
        }
        self.end_succession();
        self.balance(now, Spare::Keep, fx);
    }

    /// The book as it is, for the next root. This owner is of no use any more.
    ///
    /// The loans are those of [`loans`](Self::loans), in that order; `lessee` says who stands behind a session, and is asked
    /// of pseudo peers too: whoever keeps the leases learns so of whom there is a loan.
    ///
    /// # Panics
    /// If it has no book: it is no root, or gathers. Or if something is held here, which nobody could claim.
    pub fn book(&self, mut lessee: impl FnMut(PeerId) -> Lessee) -> Book<T::Credit> {
        assert!(
            self.is_root() && !self.is_gathering(),
            "only an active root has a book"
        );
        assert!(self.holds.is_empty(), "a root that is replaced lends only");
        let loans = self.debtors.iter().filter_map(|(&peer, debtor)| {
            let id = debtor.id?;
            let asked = lessee(peer);
            Some(BookLoan {
                lessee: debtor.absent.unwrap_or(asked),
                credit: debtor.loan.clone(),
                id,
                limit: debtor.limit,
            })
        });
        let waiting = self.waiting.iter().map(|waiting| waiting.order);
        let mut waiting: Vec<_> = self.bars().iter().copied().chain(waiting).collect();
        waiting.sort_unstable();
        waiting.dedup();
        waiting.truncate(BOOK_WAITING_MAX);
        Book {
            loans: loans.collect(),
            fence: self.fence.now(),
            last_loan: self.last_loan,
            value: self.known.value.clone(),
            colour: self.colour,
            waiting,
        }
    }

    /// A claim. What its debtor asked before is void: it asks anew.
    pub(super) fn on_claim(
        &mut self,
        (peer, party): (PeerId, Party),
        claim: Claim<T::Credit>,
        fx: &mut Effects<T>,
    ) {
        self.waiting.retain(|w| w.asker.debtor() != Some(peer));
        let is_early =
            matches!(self.upstream, Upstream::Root(tenure) if claim.epoch < tenure.since);
        if is_early {
            self.unclaimed(peer, &claim, Unclaimed::Again, fx);
            return;
        }
        let recorded = RecordedClaim { peer, party, claim };
        if !self.is_silent() {
            self.answer(recorded, fx);
            return;
        }
        let claims = &mut self.succession_mut().claims;
        match claims.iter_mut().find(|earlier| earlier.peer == peer) {
            Some(earlier) => *earlier = recorded,
            None => claims.push(recorded),
        }
    }

    pub(super) fn unclaimed(
        &self,
        peer: PeerId,
        claim: &Claim<T::Credit>,
        why: Unclaimed,
        fx: &mut Effects<T>,
    ) {
        let (epoch, old) = (claim.epoch, claim.loan);
        fx.send(peer, Message::Unclaimed { epoch, old, why });
    }

    /// The session over which it came is over.
    /// Whether it knows that debtor, or remembers what it claimed.
    pub(crate) fn is_concerned_with(&self, peer: PeerId) -> bool {
        let claims = self.succession.iter().flat_map(|left| &left.claims);
        self.knows(peer) || claims.into_iter().any(|recorded| recorded.peer == peer)
    }

    pub(super) fn forget_claim(&mut self, peer: PeerId) {
        if let Some(left) = &mut self.succession {
            left.claims.retain(|recorded| recorded.peer != peer);
        }
        self.end_succession();
    }

    fn bar(&mut self, now: Time, mut orders: Vec<Order>) {
        orders.sort_unstable();
        orders.dedup();
        // Who has come already waits here in its own place.
        orders.retain(|order| self.waiting.iter().all(|w| w.order.party != order.party));
        if !orders.is_empty() {
            let succession = self.succession_mut();
            succession.bars = orders;
            succession.barred_until = now.after(BARRED);
        }
    }

    fn bars(&self) -> &[Order] {
        self.succession.as_ref().map_or(&[], |left| &left.bars)
    }

    /// Whether an older request that waited at the former root may still come.
    pub(super) fn is_barred(&self, order: Order) -> bool {
        self.bars().first().is_some_and(|bar| *bar < order)
    }

    /// When they bar no longer.
    pub(super) fn next_unbarring(&self) -> Option<Time> {
        let left = self.succession.as_ref()?;
        (!left.bars.is_empty()).then_some(left.barred_until)
    }

    /// A party asks. It does so in the order of its requests, so what it has not asked for by now is over.
    pub(super) fn lift_bars(&mut self, order: Order) {
        if let Some(left) = &mut self.succession {
            left.bars
                .retain(|bar| bar.party != order.party || *bar > order);
        }
        self.end_succession();
    }

    /// Time has passed.
    pub(super) fn lift_late_bars(&mut self, now: Time) {
        if let Some(left) = &mut self.succession
            && left.barred_until <= now
        {
            left.bars.clear();
        }
        self.end_succession();
    }

    fn succession_mut(&mut self) -> &mut Succession<T::Credit> {
        self.succession
            .get_or_insert_with(|| Box::new(Succession::new()))
    }

    fn end_succession(&mut self) {
        if self.succession.as_ref().is_some_and(|left| left.is_over()) {
            self.succession = None;
        }
    }
}
