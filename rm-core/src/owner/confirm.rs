//! How a root answers a claim.
//!
//! What the debtor may have is what the book says of it, under this loan's name or as an absent debtor's, and what is
//! lent to somebody unknown. If that covers the claim, it becomes one loan of exactly what is claimed, under a new name.
//! What the book had beyond it is free: it was on its way here, and comes under a name that is over. Otherwise the claim
//! is refused, and nothing changes: what the book says may still be trusted, and ends by its lease.
//!
//! **Invariant.** A loan of that debtor under another name, neither the claimed one's nor an absent debtor's, stays as it is,
//! unless it was itself confirmed of a claim: its grant may be on its way, and will be taken or sent back.

use super::tenure::RecordedClaim;
use super::{Debtor, Owner, sum};
use crate::book::Lessee;
use crate::credit::Credit;
use crate::effect::Effects;
use crate::fence::epoch_start;
use crate::id::{LoanId, Party, PeerId};
use crate::message::{Claim, Claimed, Message, Unclaimed};
use crate::resource::ResourceType;

impl<T: ResourceType> Owner<T> {
    /// Answers a claim.
    pub(super) fn answer(&mut self, recorded: RecordedClaim<T::Credit>, fx: &mut Effects<T>) {
        let RecordedClaim { peer, party, claim } = recorded;
        let own = self.own(peer, party, claim.loan);
        let has = self.total(&own);
        let unknown = self.absent(Lessee::Unknown);
        let is_out = self.total(&unknown);
        let is_covered = sum(&has, &is_out).covers(&claim.amount);
        // No correct debtor claims beside a loan that lives.
        let is_lone = own.contains(&peer) || self.debtors.get(&peer).is_none_or(|d| d.id.is_none());
        let is_possible = is_covered
            && (is_lone || claim.amount.is_empty())
            && self.check_arriving(&claim.amount, claim.colour).is_ok();
        if !is_possible {
            self.unclaimed(peer, &claim, Unclaimed::Refused, fx);
            return;
        }
        let had_all = Self::may_write(&has, &self.capital);
        let limit = own.iter().map(|peer| self.debtors[peer].limit).max();
        for &peer in &own {
            self.end_loan(peer);
        }
        self.take_from(&unknown, claim.amount.less(&has));
        // A correct debtor has no number above its limit, or of this epoch.
        let highest = limit.unwrap_or(0).max(epoch_start(self.last_loan.epoch));
        self.fence.observe(claim.fence.min(highest));
        let name = self.open_loan();
        self.confirm(peer, name, &claim, limit.unwrap_or(0));
        self.weigh_value(&claim, highest, had_all);
        self.learn_colour(&claim.amount, claim.colour);
        self.forget_colour();
        let limit = self.debtors.get(&peer).map_or(0, |debtor| debtor.limit);
        fx.send(
            peer,
            Message::Claimed(Claimed {
                epoch: claim.epoch,
                old: claim.loan,
                loan: name,
                fence: self.fence.now(),
                limit,
                value: self.known.value.clone(),
            }),
        );
    }

    /// In whose names the book has what that debtor may have.
    fn own(&self, peer: PeerId, party: Party, loan: LoanId) -> Vec<PeerId> {
        let mut own = self.absent(Lessee::Party(party));
        // One that has not heard that an earlier claim was confirmed claims the same again: it has one orphan at a time.
        let is_it = |debtor: &Debtor<T::Credit>| {
            debtor
                .id
                .is_some_and(|id| id == loan || (debtor.is_claimed && loan < id))
        };
        own.extend(
            self.debtors
                .get(&peer)
                .filter(|debtor| is_it(debtor))
                .map(|_| peer),
        );
        own
    }

    /// The pseudo peers that stand for somebody.
    fn absent(&self, lessee: Lessee) -> Vec<PeerId> {
        let debtors = self.debtors.iter();
        let absent = debtors.filter(|(_, debtor)| debtor.absent == Some(lessee));
        absent.map(|(&peer, _)| peer).collect()
    }

    fn total(&self, peers: &[PeerId]) -> T::Credit {
        let loans = peers.iter().map(|peer| &self.debtors[peer].loan);
        loans.fold(T::Credit::empty(), |total, loan| sum(&total, loan))
    }

    /// A loan is over, and free. Returns what it was, and its limit. Who has neither loan nor want is forgotten by the
    /// next `balance`.
    pub(super) fn end_loan(&mut self, peer: PeerId) -> (T::Credit, u64) {
        let Some(debtor) = self.debtors.get_mut(&peer) else {
            return (T::Credit::empty(), 0);
        };
        let loan = core::mem::replace(&mut debtor.loan, T::Credit::empty());
        self.unlent += u32::from(debtor.id.take().is_some());
        self.recalling -= u32::from(!debtor.sent.is_empty());
        debtor.sent.clear();
        debtor.is_claimed = false;
        debtor.limit_owed = false;
        self.lent = self.lent.less(&loan);
        self.cached = sum(&self.cached, &loan);
        (loan, debtor.limit)
    }

    /// Some of what is lent to the unknown is found.
    fn take_from(&mut self, unknown: &[PeerId], mut amount: T::Credit) {
        for peer in unknown {
            let debtor = self.debtors.get_mut(peer).expect("it is in the book");
            let found = debtor.loan.meet(&amount);
            amount = amount.less(&found);
            debtor.loan = debtor.loan.less(&found);
            self.unlent += u32::from(debtor.loan.is_empty());
            debtor.id = debtor.id.filter(|_| !debtor.loan.is_empty());
            self.lent = self.lent.less(&found);
            self.cached = sum(&self.cached, &found);
        }
    }

    /// What is claimed is a loan.
    fn confirm(&mut self, peer: PeerId, name: LoanId, claim: &Claim<T::Credit>, least: u64) {
        if claim.amount.is_empty() {
            return;
        }
        self.cached = self.cached.less(&claim.amount);
        self.lent = sum(&self.lent, &claim.amount);
        let room = self.settings.fence_room;
        let debtor = self.debtors.entry(peer).or_insert_with(|| {
            self.unlent += 1;
            Box::new(Debtor::new(room))
        });
        self.unlent -= 1;
        debtor.loan = claim.amount.clone();
        debtor.id = Some(name);
        debtor.is_claimed = true;
        let limit = self.fence.now().saturating_add(2 * debtor.room);
        debtor.limit = limit.min(self.fence.limit()).max(least);
    }

    /// Who has any credit has the value of its time, and nobody can have written since. Who had everything and has nothing
    /// may have written what is lost.
    fn weigh_value(&mut self, claim: &Claim<T::Credit>, highest: u64, had_all: bool) {
        if claim.amount.is_empty() {
            if had_all {
                self.doubt_value();
            }
            return;
        }
        if claim.value.is_none() && self.value().is_some_and(|value| value.version == 0) {
            // There is none: what was unknown is known.
            self.forget_value();
        }
        self.on_value_from_below(claim.value.clone(), highest);
    }
}
