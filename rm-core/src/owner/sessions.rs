//! What an owner hears of its sessions, and of the epoch.
//!
//! What a session's end means for the credit that went over it: at the debtor it is lost, with every hold; at the
//! creditor it is taken back, once the debtor cannot trust it any more. Between the two the caller keeps the lease.

use super::Asker;
use super::{Debtor, Owner, Spare, Upstream, sum};
use crate::credit::Credit;
use crate::effect::{Effect, Effects};
use crate::error::LostReason;
use crate::id::{LoanId, PeerId};
use crate::resource::{Lending, ResourceType};
use crate::time::Time;

impl<T: ResourceType> Owner<T> {
    /// The next session will be with another creditor than the last, or with another run of it. The names it gives its
    /// loans say nothing about those of the former: they may well be smaller.
    ///
    /// A root needs no such word, because its epoch rises with each run. A loan that is to be claimed of one keeps its name.
    ///
    /// # Panics
    /// If there is a session with a creditor.
    pub fn on_creditor_replaced(&mut self) {
        let has_claim = self.has_claim();
        if let Upstream::Debtor {
            peer, loan, dead, ..
        } = &mut self.upstream
            && !has_claim
        {
            assert!(peer.is_none(), "the session with the former is over");
            (*loan, *dead) = (LoanId::default(), LoanId::default());
        }
    }

    /// The session with the creditor is over, or its lease ran out: what was borrowed over it is lost, with
    /// every hold. Requests that wait go on waiting.
    pub fn on_creditor_down(&mut self, now: Time, why: LostReason, fx: &mut Effects<T>) {
        let Upstream::Debtor {
            peer, loan, dead, ..
        } = &mut self.upstream
        else {
            return;
        };
        *peer = None;
        *dead = *loan;
        if T::LENDING == Lending::Loaned {
            self.lose_loan(why, fx);
        }
        if let Some(orphan) = &mut self.orphan {
            // It shares the fate of its claim: the root may have confirmed it, and takes it back with the session.
            orphan.claim = None;
        }
        self.forget_creditor();
        self.fence.forget_limit();
        self.balance(now, Spare::Keep, fx);
    }

    /// What was borrowed is gone, and so is what was held and lent of it.
    pub(super) fn lose_loan(&mut self, why: LostReason, fx: &mut Effects<T>) {
        for (token, _) in self.holds.take_all() {
            // A conversion goes with its hold.
            self.waiting.retain(|w| w.asker != Asker::Convert(token));
            fx.push(Effect::Lost { token, why });
        }
        self.borrowed = T::Credit::empty();
        self.cached = T::Credit::empty();
        self.lent = T::Credit::empty();
        self.forget_value();
        self.colour = None;
        // A debtor's loan came out of what is lost: what it returns now is dropped by its loan's name.
        // Its limit ends with it: what this owner borrows next may have a lower one.
        let room = self.settings.fence_room;
        for debtor in self.debtors.values_mut() {
            **debtor = Debtor {
                silent: debtor.silent,
                // Its wants go on waiting, and what they were checked against still bounds what is lent with them.
                may_have: debtor.may_have,
                ..Debtor::new(room)
            };
        }
        self.unlent = self.debtors.len() as u32;
        self.recalling = 0;
    }

    /// A debtor may not hear us: its wants do not count until [`on_debtor_heard`](Self::on_debtor_heard), so
    /// that no credit is parked where it cannot be used. What was lent stays lent until the lease ends.
    pub fn on_debtor_silent(&mut self, now: Time, peer: PeerId, fx: &mut Effects<T>) {
        self.set_silent(now, peer, true, fx);
    }

    /// A debtor that was silent is heard again.
    pub fn on_debtor_heard(&mut self, now: Time, peer: PeerId, fx: &mut Effects<T>) {
        self.set_silent(now, peer, false, fx);
    }

    fn set_silent(&mut self, now: Time, peer: PeerId, silent: bool, fx: &mut Effects<T>) {
        if let Some(debtor) = self.debtors.get_mut(&peer)
            && debtor.silent != silent
        {
            debtor.silent = silent;
            self.balance(now, Spare::Keep, fx);
        }
    }

    /// The session with a debtor is over and its lease has run out: its loan is taken back, its wants are
    /// forgotten.
    pub fn on_debtor_down(&mut self, now: Time, peer: PeerId, fx: &mut Effects<T>) {
        self.forget_claim(peer);
        if !self.debtors.contains_key(&peer) {
            return;
        }
        self.waiting.retain(|w| w.asker.debtor() != Some(peer));
        self.close_loan(peer);
        self.balance(now, Spare::Keep, fx);
    }

    /// A root enters a new epoch: its tokens and loans are above those of all older ones.
    pub fn on_epoch(&mut self, now: Time, epoch: u32, fx: &mut Effects<T>) {
        if self.is_root() && epoch > self.last_loan.epoch {
            self.fence.enter_epoch(epoch);
            self.last_loan = LoanId { epoch, counter: 0 };
            if T::LENDING == Lending::UsedUp && !self.is_gathering() {
                // What the old epoch had left is a hole.
                self.borrowed = self.borrowed.less(&self.cached);
                self.cached = self.opening();
                self.borrowed = sum(&self.borrowed, &self.cached);
            }
            // A debtor may have waited for numbers that the old epoch no longer had.
            self.answer_limits(fx);
            self.balance(now, Spare::Keep, fx);
        }
    }

    pub(super) fn open_loan(&mut self) -> LoanId {
        self.last_loan.counter = self.last_loan.counter.checked_add(1).unwrap_or_else(|| {
            // 2^32 loans of one resource in one epoch: go on in the numbers of the next one. A root that
            // reaches that epoch later starts above them.
            self.last_loan.epoch += 1;
            1
        });
        self.last_loan
    }
}
