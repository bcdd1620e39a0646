//! The debtor's side of a change of root.
//!
//! When a view gives the resource to another root, the loan becomes an *orphan*: what is held and cached of it may be used
//! until its deadline, which the caller froze, but it neither shrinks nor grows until the new root has answered for it.
//! Then it is a loan like any other, or lost.
//!
//! ```text
//! on_root_moved ──> orphan ── on_creditor_up: Claim, then the wants ──> Claimed: a loan again, under a new name
//!                     │                                                Unclaimed: lost, or claimed once more
//!                     └─ its deadline, or the end of the claim's session ──> lost, and claimed as nothing
//! ```
//!
//! **Invariants.**
//! * A claim has one answer. It counts only where it names the epoch and the loan of the claim under way; any other is
//!   ignored: to send back what it names would free credit that is still trusted here.
//! * What is lost is claimed all the same, with nothing in it, of each next root until one answers. Otherwise one that
//!   had the loan in its book, and is the root again, would keep it lent to a session that lives.
//! * One that has only asked claims nothing too: after a claim a root forgets what the debtor asked it before. Each claim
//!   is followed by all wants anew.
//! * So does one that has returned everything: the former root may have handed its book over before it heard of that, and
//!   the next one would keep for that debtor what nobody has, until a lease is over.
//! * A grant is taken only from the root of the present view, under a name later than all before, sent in an epoch in
//!   which this root was the root as far as is known here, and not while a claim is unanswered. Any other goes back.
//!
//! **In a tree.** A middle owner whose loan is an orphan lends nothing to those below: their wants wait until the claim is
//! answered. What they have stays theirs, and what they return is cached.
//!
//! Credit that is [used up](Lending::UsedUp) is never claimed: what was given is given.

use super::value::check_size;
use super::{Owner, Spare, Upstream};
use crate::credit::{Colour, Credit};
use crate::effect::{Effect, Effects};
use crate::error::{LostReason, PeerMisbehaved};
use crate::id::{LoanId, PeerId};
use crate::message::{Claim, Claimed, Grant, Message, Unclaimed};
use crate::resource::{Lending, ResourceType};
use crate::time::Time;
use crate::value::{VALUE_BYTES_MAX, Value};

/// A loan, or what is left of its name, that no root of the present view has answered for. What is still trusted of it is
/// what is borrowed; nothing: it is lost.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Orphan<C> {
    /// Its name.
    pub(super) loan: LoanId,
    /// The epoch of the present view.
    pub(super) view: u32,
    /// The claim under way.
    pub(super) claim: Option<SentClaim<C>>,
}

/// A claim under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SentClaim<C> {
    pub(super) epoch: u32,
    pub(super) amount: C,
    pub(super) colour: Option<Colour>,
}

impl<T: ResourceType> Owner<T> {
    /// The view gives the resource to another root than the one that this owner borrows from, or epochs were skipped, so
    /// that it may have moved away and back. The loan becomes an orphan; the caller froze its deadline.
    ///
    /// The next input is [`on_creditor_up`](Self::on_creditor_up), when there is a session with the root of that view.
    pub fn on_root_moved(&mut self, now: Time, fx: &mut Effects<T>) {
        let Upstream::Debtor {
            peer, loan, dead, ..
        } = &mut self.upstream
        else {
            return;
        };
        *peer = None;
        // Also one that was returned as a whole: that may not have been heard.
        let has_had_a_loan = *loan > *dead;
        match &mut self.orphan {
            Some(orphan) => orphan.claim = None,
            None if T::LENDING == Lending::Loaned && (has_had_a_loan || !self.wants.is_empty()) => {
                self.orphan = Some(Box::new(Orphan {
                    loan: *loan,
                    view: 0,
                    claim: None,
                }));
            }
            None => {}
        }
        self.forget_creditor();
        self.balance(now, Spare::Keep, fx);
    }

    /// There is a session with the root of the view of `epoch`: an orphan is claimed over it, and what waits here is asked
    /// for.
    ///
    /// `epoch` is that in which the debtor found that node to be the root: as long as it stays that, and no epoch is
    /// skipped, later views are [`on_view`](Self::on_view).
    ///
    /// # Panics
    /// If there is one already.
    pub fn on_creditor_up(&mut self, now: Time, peer: PeerId, epoch: u32, fx: &mut Effects<T>) {
        let Upstream::Debtor {
            peer: present,
            since,
            ..
        } = &mut self.upstream
        else {
            return;
        };
        assert!(present.is_none(), "one session with the creditor at a time");
        *present = Some(peer);
        *since = epoch;
        self.on_view(epoch);
        self.claim(fx);
        self.balance(now, Spare::Keep, fx);
    }

    /// The next view has the same root: nothing changes, and a claim that is not answered stays.
    pub fn on_view(&mut self, epoch: u32) {
        if let Some(orphan) = &mut self.orphan {
            orphan.view = epoch;
        }
    }

    /// The orphan's frozen deadline has passed: it is lost, with every hold. Its claim stands.
    pub fn on_orphan_lost(&mut self, now: Time, why: LostReason, fx: &mut Effects<T>) {
        if self.is_orphan() {
            self.lose_orphan(why, fx);
            self.balance(now, Spare::Keep, fx);
        }
    }

    /// Whether what is borrowed here waits for a root to answer for it.
    #[must_use]
    pub fn is_orphan(&self) -> bool {
        self.orphan.is_some() && !self.borrowed.is_empty()
    }

    /// Whether a claim is to be made or answered: of an orphan, or of one that was lost.
    #[must_use]
    pub const fn has_claim(&self) -> bool {
        self.orphan.is_some()
    }

    /// What was asked of a creditor, and what it asked for, is void.
    pub(super) fn forget_creditor(&mut self) {
        self.recall.clear();
        self.wants.clear();
        self.is_revoked = false;
        for waiting in &mut self.waiting {
            waiting.denied_above = false;
        }
    }

    /// Nothing of the loan is left here, and nothing more is taken under its name.
    pub(super) fn lose_orphan(&mut self, why: LostReason, fx: &mut Effects<T>) {
        if !self.borrowed.is_empty() {
            fx.push(Effect::Leaving);
        }
        self.lose_loan(why, fx);
        self.fence.forget_limit();
        if let Upstream::Debtor { loan, dead, .. } = &mut self.upstream {
            *dead = *loan;
        }
    }

    /// Claims what there is to claim. All wants follow.
    fn claim(&mut self, fx: &mut Effects<T>) {
        let (fence, value) = (self.fence.now(), self.known.value.clone());
        let amount = self.borrowed.clone();
        let colour = self.colour_with(&amount);
        let (Some(peer), Some(orphan)) = (self.creditor(), &mut self.orphan) else {
            return;
        };
        self.wants.clear();
        // The claim tells it. What is written from here on is news again: an orphan can be used.
        self.known.is_news = false;
        orphan.claim = Some(SentClaim {
            epoch: orphan.view,
            amount: amount.clone(),
            colour,
        });
        let claim = Claim {
            epoch: orphan.view,
            loan: orphan.loan,
            amount,
            fence,
            value,
            colour,
        };
        fx.send(peer, Message::Claim(claim));
    }

    /// The claim under way, if the answer is to it.
    fn answered(&self, epoch: u32, old: LoanId) -> Option<&SentClaim<T::Credit>> {
        let orphan = self.orphan.as_ref()?;
        let claim = orphan.claim.as_ref()?;
        (claim.epoch == epoch && orphan.loan == old).then_some(claim)
    }

    pub(super) fn on_claimed(
        &mut self,
        from: PeerId,
        claimed: Claimed,
        fx: &mut Effects<T>,
    ) -> Result<(), PeerMisbehaved> {
        let Claimed {
            epoch,
            old,
            loan: name,
            fence,
            limit,
            value,
        } = claimed;
        check_size(value.as_ref(), VALUE_BYTES_MAX)?;
        let Some(claim) = self.answered(epoch, old) else {
            return Ok(());
        };
        if name <= old {
            return Err(PeerMisbehaved::LoanRenamed);
        }
        let (amount, colour) = (claim.amount.clone(), claim.colour);
        self.orphan = None;
        self.fence.observe(fence);
        let is_lost = self.borrowed.is_empty();
        if let Upstream::Debtor { loan, dead, .. } = &mut self.upstream {
            *loan = name;
            *dead = if is_lost { name } else { *dead };
        }
        if !is_lost {
            // Its former limit was another loan's: the root goes by this one's alone.
            self.fence.forget_limit();
            self.on_value_from_above(value);
            self.raise_limit(limit, fx);
        } else if !amount.is_empty() {
            // A write may have been lost with it, of which the root has not heard.
            let doubted = || value.map_or_else(Value::unknown, |value| value.doubted());
            let value = Self::may_write(&amount, &self.capital).then(|| doubted().into());
            let fence = self.fence.now();
            fx.send(
                from,
                Message::Return {
                    loan: name,
                    delta: amount,
                    fence,
                    value,
                    colour,
                },
            );
        }
        Ok(())
    }

    pub(super) fn on_unclaimed(
        &mut self,
        (epoch, old): (u32, LoanId),
        why: Unclaimed,
        fx: &mut Effects<T>,
    ) {
        if self.answered(epoch, old).is_none() {
            return;
        }
        match why {
            // A root that asks for a later view than there is here is not heard.
            Unclaimed::Again => {
                if self
                    .orphan
                    .as_ref()
                    .is_some_and(|orphan| orphan.view > epoch)
                {
                    self.claim(fx);
                }
            }
            Unclaimed::Refused => {
                if self.is_orphan() {
                    self.lose_orphan(LostReason::NotConfirmed, fx);
                }
                self.orphan = None;
            }
        }
    }

    /// Credit that may not be taken here: nobody here has it in a book. The want that it served is made anew.
    pub(super) fn send_back(&mut self, from: PeerId, grant: Grant<T::Credit>, fx: &mut Effects<T>) {
        let fence = self.fence.now();
        self.wants
            .retain(|want| (want.order, want.version) != (grant.order, grant.version));
        fx.send(
            from,
            Message::Return {
                loan: grant.loan,
                delta: grant.delta,
                fence,
                value: None,
                colour: grant.colour,
            },
        );
    }
}
