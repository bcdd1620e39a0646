//! Forced release: what is lent is taken back though somebody uses it.
//!
//! * *Politely* ([`Owner::revoke`]) the debtor is asked. Its holds are lost, those below it are asked in turn, and all
//!   comes back with its fencing number. Exclusion holds. Who does not answer keeps its loan as long as its lease.
//! * *Hard* ([`Owner::close_loans`]) the loan is closed in the book at once. Its name is dead, so what comes back late doubles
//!   nothing; later tokens are above its limit. Nothing says that the old holder has stopped: it is told, if it hears.
//!
//! Rules that change do the former to what a debtor may not have any more ([`Owner::enforce`]).
//!
//! **Fairness.** Neither is a request: nobody waits for it, and no request that waits loses its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::smallvec;

use super::{Asker, Owner, Spare};
use crate::access::{Access, Allowance, Forbidden};
use crate::credit::{Credit, Level as _};
use crate::effect::{Effect, Effects};
use crate::error::LostReason;
use crate::id::{LoanId, PeerId};
use crate::message::{Message, Refusal};
use crate::resource::ResourceType;
use crate::time::Time;

impl<T: ResourceType> Owner<T> {
    /// Asks a debtor, or all of them, to give back what they have, whoever holds it.
    ///
    /// An absent debtor hears nothing: its loan ends by its lease, or by [`close_loans`](Self::close_loans).
    pub fn revoke(&mut self, peer: Option<PeerId>, reason: &Arc<str>, fx: &mut Effects<T>) {
        for (to, debtor) in &self.debtors {
            if let (Some(loan), None) = (debtor.id, debtor.absent)
                && peer.is_none_or(|peer| peer == *to)
            {
                let reason = Arc::clone(reason);
                fx.send(*to, Message::Revoke { loan, reason });
            }
        }
    }

    /// The rules have changed: what a debtor waits for and may not have any more is denied, and a loan that is more than it
    /// may have is revoked, politely. `allowance` says how much each may have.
    pub fn enforce(
        &mut self,
        now: Time,
        allowance: &dyn Fn(PeerId) -> Allowance,
        fx: &mut Effects<T>,
    ) {
        let present = self.debtors.iter();
        let present = present.filter(|(_, debtor)| debtor.absent.is_none());
        let allowed: BTreeMap<_, _> = present.map(|(&peer, _)| (peer, allowance(peer))).collect();
        for (&peer, allowance) in &allowed {
            if let Err(why) = self.check_loan(peer, allowance) {
                let reason = format!("the rules have changed: {why}").into();
                self.revoke(Some(peer), &reason, fx);
            }
            if let Some(debtor) = self.debtors.get_mut(&peer) {
                debtor.may_have = allowance.most().unwrap_or(Access::Share);
            }
        }
        let capital = &self.capital;
        self.waiting.retain(|waiting| {
            let Asker::Debtor(peer, version) = waiting.asker else {
                return true;
            };
            let Some(allowance) = allowed.get(&peer) else {
                return true;
            };
            let Err(why) = allowance.check(T::access(&waiting.level, capital)) else {
                return true;
            };
            let denial = Message::Deny {
                order: waiting.order,
                version,
                why: Refusal::NotAllowed,
                blockers: smallvec![why.blocker()],
            };
            fx.send(peer, denial);
            false
        });
        self.balance(now, Spare::Keep, fx);
    }

    /// Which debtors have more than they may have: those that [`enforce`](Self::enforce) asked, as long as they do not answer.
    pub(crate) fn beyond<'a>(
        &'a self,
        allowance: &'a dyn Fn(PeerId) -> Allowance,
    ) -> impl Iterator<Item = PeerId> + 'a {
        let present = self.debtors.iter();
        let present = present.filter(|(_, debtor)| debtor.absent.is_none());
        let peers = present.map(|(&peer, _)| peer);
        peers.filter(|&peer| self.check_loan(peer, &allowance(peer)).is_err())
    }

    /// Whether a debtor may have what it has.
    fn check_loan<'a>(&self, peer: PeerId, allowance: &'a Allowance) -> Result<(), &'a Forbidden> {
        let loan = T::Level::of(&self.debtors[&peer].loan);
        if loan.is_zero() {
            return Ok(());
        }
        allowance.check(T::access(&loan, &self.capital))
    }

    /// Closes the loan of a debtor, or of all, absent ones too, at once. What they had is free.
    pub fn close_loans(
        &mut self,
        now: Time,
        peer: Option<PeerId>,
        reason: &Arc<str>,
        fx: &mut Effects<T>,
    ) {
        self.revoke(peer, reason, fx);
        let is_meant = |other: &PeerId| peer.is_none_or(|peer| peer == *other);
        let peers: Vec<_> = self.debtors.keys().copied().filter(is_meant).collect();
        for peer in peers {
            self.close_loan(peer);
        }
        self.balance(now, Spare::Keep, fx);
    }

    /// A loan is over, whatever its debtor does: later tokens are above all that it can have given out.
    pub(super) fn close_loan(&mut self, peer: PeerId) {
        let (loan, limit) = self.end_loan(peer);
        if T::may_tick(&loan, &self.capital) {
            self.fence.observe(limit);
        }
        if Self::may_write(&loan, &self.capital) {
            self.doubt_value();
        }
    }

    /// The creditor takes all of a loan away.
    pub(super) fn on_revoke(&mut self, loan: LoanId, reason: &Arc<str>, fx: &mut Effects<T>) {
        if self.present_loan() != Some(loan) || self.borrowed.is_empty() {
            return;
        }
        if self.is_orphan() {
            // It cannot shrink. What the claim brings goes back.
            self.lose_orphan(LostReason::Revoked, fx);
            return;
        }
        if !self.holds.is_empty() && Self::may_write(&self.borrowed, &self.capital) {
            // A holder may be in the middle of what the value speaks of.
            self.doubt_value();
        }
        for (token, hold) in self.holds.take_all() {
            self.waiting.retain(|w| w.asker != Asker::Convert(token));
            self.take_back(&hold.credit);
            fx.push(Effect::Lost {
                token,
                why: LostReason::Revoked,
            });
        }
        self.revoke(None, reason, fx);
        self.is_revoked = true;
        self.return_revoked(fx);
    }

    /// What is here of a loan that was revoked goes back before anybody can use it.
    pub(super) fn return_revoked(&mut self, fx: &mut Effects<T>) {
        if self.is_revoked {
            let all = self.cached.clone();
            self.give(&all, fx);
            self.is_revoked = !self.borrowed.is_empty();
        }
    }
}
