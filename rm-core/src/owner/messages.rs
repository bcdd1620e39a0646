//! What neighbours say, and what becomes of them.
//!
//! A message is checked before anything changes: one that no correct peer sends is an error and changes nothing.
//! Late, crossing and repeated messages are no errors; they are weighed against the books as they are now.

use std::sync::Arc;

use smallvec::SmallVec;

use super::value::check_size;
use super::{
    Asker, Debtor, Owner, RecallStep, STEPS_MAX, Spare, StandingWant, Upstream, Waiting, sum,
};
use crate::access::Access;
use crate::credit::{Colour, Credit, Level};
use crate::effect::Effects;
use crate::error::{LostReason, PeerMisbehaved};
use crate::fence::ROOM_MAX;
use crate::id::{LoanId, Order, Party, PeerId, Version};
use crate::message::{BLOCKERS_MAX, Blockers, Grant, Message, Refusal, Steps, Want};
use crate::resource::{Lending, ResourceType};
use crate::time::Time;
use crate::value::{VALUE_BYTES_MAX, Value};

/// Where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "made by the caller")]
pub struct Origin {
    /// The session.
    pub peer: PeerId,
    /// The other side of it: the run that a debtor is.
    pub party: Party,
    /// The epoch of the packet that it came in: the view in which it was sent.
    pub epoch: u32,
    /// The most that rules let a debtor have. The caller has checked that the message asks for no more.
    pub may_have: Access,
}

/// Where there are no views, every message is of the present one; and nobody claims, so nobody need be known.
impl From<PeerId> for Origin {
    fn from(peer: PeerId) -> Self {
        Self {
            peer,
            party: Party::default(),
            epoch: u32::MAX,
            may_have: Access::Exclusive,
        }
    }
}

/// A debtor that asks for a higher limit again within this many nanoseconds gets twice the room.
const ASKED_AGAIN_NANOS: u64 = 1_000_000_000;

impl<T: ResourceType> Owner<T> {
    /// A message from a neighbour.
    ///
    /// What a debtor hears from one that is not its creditor now is late, and no fault: another view had that one as the
    /// root. Credit goes back to it; all else is void.
    ///
    /// # Errors
    /// What the peer did wrong, where no correct peer does it. Nothing changed.
    pub fn on_message(
        &mut self,
        now: Time,
        origin: impl Into<Origin>,
        message: Message<T::Credit, T::Level>,
        fx: &mut Effects<T>,
    ) -> Result<(), PeerMisbehaved> {
        let Origin {
            peer: from,
            party,
            epoch,
            may_have,
        } = origin.into();
        let is_creditor = self.creditor() == Some(from);
        if message.is_downward() != is_creditor {
            let is_late = !self.is_root() && !is_creditor && !self.debtors.contains_key(&from);
            return match message {
                Message::Grant(grant) if is_late => {
                    self.send_back(from, grant, fx);
                    Ok(())
                }
                message if is_late && message.is_downward() => Ok(()),
                _ => Err(PeerMisbehaved::WrongDirection),
            };
        }
        match message {
            Message::AskLimit { loan } => self.on_ask_limit(now, from, loan, fx),
            Message::Busy { order, blockers } => self.on_busy(from, order, blockers),
            Message::Claim(_) if !self.is_root() => return Err(PeerMisbehaved::WrongDirection),
            Message::Claim(claim) => {
                check_size(claim.value.as_ref(), self.settings.value_bytes_max)?;
                self.on_claim((from, party), claim, fx);
            }
            Message::Claimed(claimed) => self.on_claimed(from, claimed, fx)?,
            Message::Deny {
                order,
                version,
                why,
                blockers,
            } => {
                self.on_deny(order, version, why, blockers, fx);
            }
            Message::Grant(grant) => self.on_grant((from, epoch), grant, fx)?,
            Message::Limit { loan, limit } => self.on_limit(loan, limit, fx),
            Message::Recall { loan, steps } => self.on_recall(loan, steps, fx)?,
            Message::Return {
                loan,
                delta,
                fence,
                value,
                colour,
            } => {
                self.on_return(from, loan, &delta, (fence, value, colour))?;
                self.return_revoked(fx);
                if self.is_collecting(from) {
                    #[cfg(debug_assertions)]
                    self.check_nothing_to_decide(now);
                    return Ok(());
                }
            }
            Message::Revoke { loan, reason } => self.on_revoke(loan, &reason, fx),
            Message::Unclaimed { epoch, old, why } => self.on_unclaimed((epoch, old), why, fx),
            Message::Unwant { order } => self.on_unwant(from, order),
            Message::Want(want) => self.on_want(now, (from, may_have), want, fx),
        }
        self.balance(now, Spare::Keep, fx);
        Ok(())
    }

    fn on_want(
        &mut self,
        now: Time,
        (from, may_have): (PeerId, Access),
        want: Want<T::Level>,
        fx: &mut Effects<T>,
    ) {
        let Want {
            order,
            version,
            level,
            try_only,
            deadline,
            note,
        } = want;
        let place = self.waiting.binary_search_by_key(&order, |w| w.order);
        let is_foreign = place.is_ok_and(|index| self.waiting[index].asker.debtor() != Some(from));
        let waits = || {
            self.waiting
                .iter()
                .filter(|w| w.asker.debtor() == Some(from))
                .count()
        };
        let is_over_limit = place.is_err() && waits() >= self.settings.wants_per_debtor_max;
        let is_bad = is_foreign || is_over_limit || level.is_zero() || !self.is_possible(&level);
        if is_bad || self.is_winding_up() {
            let blockers = Blockers::new();
            let why = if is_bad {
                Refusal::Refused
            } else {
                Refusal::ShuttingDown
            };
            fx.send(
                from,
                Message::Deny {
                    order,
                    version,
                    why,
                    blockers,
                },
            );
            return;
        }
        let debtor = self.debtors.entry(from).or_insert_with(|| {
            self.unlent += 1;
            Box::new(Debtor::new(self.settings.fence_room))
        });
        debtor.may_have = may_have;
        self.note_use(&level);
        self.lift_bars(order);
        let asker = Asker::Debtor(from, version);
        let deadline = deadline.map(|left| now.after(left));
        match place {
            Ok(index) => {
                let waiting = &mut self.waiting[index];
                waiting.asker = asker;
                waiting.level = level;
                waiting.deadline = deadline;
                waiting.denied_above = false;
            }
            Err(index) => self.waiting.insert(
                index,
                Waiting {
                    order,
                    asker,
                    level,
                    try_only,
                    deadline,
                    try_until: try_only.then(|| now.after(self.settings.try_limit)),
                    note,
                    denied_above: false,
                    busy: SmallVec::new(),
                    blockers: Blockers::new(),
                    group: None,
                    gives_way: None,
                },
            ),
        }
    }

    fn on_unwant(&mut self, from: PeerId, order: Order) {
        if let Ok(index) = self.waiting.binary_search_by_key(&order, |w| w.order)
            && self.waiting[index].asker.debtor() == Some(from)
        {
            self.waiting.remove(index);
        }
    }

    fn on_busy(&mut self, from: PeerId, order: Order, more: Blockers) {
        // A debtor is asked for a request here, or for a step of the creditor's.
        let (busy, blockers) =
            if let Ok(index) = self.waiting.binary_search_by_key(&order, |w| w.order) {
                let waiting = &mut self.waiting[index];
                (&mut waiting.busy, &mut waiting.blockers)
            } else if let Some(step) = self.recall.iter_mut().find(|r| r.step.order == order) {
                (&mut step.busy, &mut step.blockers)
            } else {
                return;
            };
        if self.debtors.contains_key(&from) && !busy.contains(&from) {
            busy.push(from);
            blockers.extend(more);
            blockers.truncate(BLOCKERS_MAX);
        }
    }

    fn on_return(
        &mut self,
        from: PeerId,
        loan: LoanId,
        delta: &T::Credit,
        (fence, value, colour): (u64, Option<Arc<Value>>, Option<Colour>),
    ) -> Result<(), PeerMisbehaved> {
        check_size(value.as_ref(), self.settings.value_bytes_max)?;
        let Some(debtor) = self.debtors.get(&from) else {
            return Ok(());
        };
        if debtor.id != Some(loan) {
            // That loan has ended, and its credit was accounted for then.
            return Ok(());
        }
        if !debtor.loan.covers(delta) {
            return Err(PeerMisbehaved::ReturnAboveLoan);
        }
        self.check_arriving(delta, colour)?;
        self.learn_colour(delta, colour);
        let debtor = self.debtors.get_mut(&from).expect("it was there above");
        // A correct debtor has no number above its limit; an incorrect one must not move everybody's clock.
        let limit = debtor.limit;
        self.fence.observe(fence.min(limit));
        let might_write = Self::may_write(&debtor.loan, &self.capital);
        debtor.loan = debtor.loan.less(delta);
        self.recalling -= u32::from(!debtor.sent.is_empty());
        debtor.sent.retain(|step| !step.keep.covers(&debtor.loan));
        self.recalling += u32::from(!debtor.sent.is_empty());
        if debtor.loan.is_empty() {
            debtor.id = None;
            // It was asked for under this loan; under the next one the debtor asks anew.
            debtor.limit_owed = false;
            if self.waiting.iter().any(|w| w.asker.debtor() == Some(from)) {
                self.unlent += 1;
            } else {
                self.debtors.remove(&from);
            }
        }
        self.lent = self.lent.less(delta);
        self.cached = sum(&self.cached, delta);
        if might_write {
            self.on_value_from_below(value, limit);
        }
        Ok(())
    }

    /// Whether what came back from `from` only adds to what the oldest request here collects: it asks for all there
    /// is, so it has asked everybody for everything and reserves whatever is free, and it still misses some.
    ///
    /// Then no request is decided, and a writer that waits for thousands of caching readers does not cost a walk
    /// over all of them for each.
    fn is_collecting(&self, from: PeerId) -> bool {
        let Some((oldest, younger)) = self.waiting.split_first() else {
            return false;
        };
        let has = match oldest.asker {
            Asker::Convert(_) | Asker::Local(_) => {
                Some(self.has_already(oldest.asker, oldest.group))
            }
            Asker::Debtor(peer, _) => {
                // One that is silent reserves nothing; one that gave some back itself misses more than before;
                // and another want of the same debtor may lean on what is reserved for this one.
                let is_alone = younger.iter().all(|w| w.asker.debtor() != Some(peer));
                let debtor = self.debtors.get(&peer);
                debtor
                    .filter(|debtor| is_alone && !debtor.silent && peer != from)
                    .map(|debtor| debtor.loan.clone())
            }
        };
        self.is_root()
            && oldest.level == T::Level::of(&self.capital)
            && has.is_some_and(|has| {
                let misses = oldest.level.beyond(&T::Level::of(&has));
                !T::Level::of(&self.cached).reaches(&misses)
            })
    }

    fn on_grant(
        &mut self,
        (from, epoch): (PeerId, u32),
        grant: Grant<T::Credit>,
        fx: &mut Effects<T>,
    ) -> Result<(), PeerMisbehaved> {
        let Upstream::Debtor {
            loan, dead, since, ..
        } = self.upstream
        else {
            return Err(PeerMisbehaved::WrongDirection);
        };
        let is_loan = T::LENDING == Lending::Loaned;
        let is_over = grant.loan <= dead || grant.loan < loan;
        // The creditor has closed at once what was revoked, and is not all back yet.
        let is_closed = self.is_revoked && grant.loan > loan;
        if is_closed {
            self.lose_orphan(LostReason::Revoked, fx);
            self.is_revoked = false;
        }
        if is_loan && (is_over || is_closed || epoch < since || self.has_claim()) {
            self.send_back(from, grant, fx);
            return Ok(());
        }
        let Grant {
            loan: id,
            order,
            version,
            delta,
            steps,
            fence,
            limit,
            value,
            colour,
        } = grant;
        let is_within = |sum: &T::Credit| self.capital.covers(sum);
        if is_loan && id != loan && !self.borrowed.is_empty() {
            return Err(PeerMisbehaved::GrantAboveCapital);
        }
        let Some(borrowed) = self.borrowed.join(&delta).filter(is_within) else {
            return Err(PeerMisbehaved::GrantAboveCapital);
        };
        check_steps(&steps)?;
        check_size(value.as_ref(), VALUE_BYTES_MAX)?;
        self.check_arriving(&delta, colour)?;
        self.learn_colour(&delta, colour);
        if let Upstream::Debtor { loan, .. } = &mut self.upstream
            && core::mem::replace(loan, id) != id
            && is_loan
        {
            // It was the former loan's. The creditor goes by this loan's alone: past that it would jump if we died, and
            // to a question asked under the former loan there may be no answer.
            self.fence.forget_limit();
        }
        self.borrowed = borrowed;
        self.cached = sum(&self.cached, &delta);
        self.fence.observe(fence);
        self.on_value_from_above(value);
        self.raise_limit(limit, fx);
        self.wants.retain(|w| !closes(w, order, version));
        self.replace_recall(steps, fx);
        Ok(())
    }

    fn on_deny(
        &mut self,
        order: Order,
        version: Version,
        why: Refusal,
        blockers: Blockers,
        fx: &mut Effects<T>,
    ) {
        let Some(index) = self.wants.iter().position(|w| closes(w, order, version)) else {
            // Of an older want: the present one still stands.
            return;
        };
        self.wants.remove(index);
        let Ok(index) = self.waiting.binary_search_by_key(&order, |w| w.order) else {
            return;
        };
        let waiting = &mut self.waiting[index];
        waiting.denied_above = true;
        waiting.blockers.extend(blockers);
        waiting.blockers.truncate(BLOCKERS_MAX);
        // A busy creditor leaves the debtors here, who may still have enough.
        if why != Refusal::Busy || !waiting.try_only {
            let waiting = self.waiting.remove(index);
            self.deny(&waiting, why, fx);
        }
    }

    fn on_recall(
        &mut self,
        id: LoanId,
        steps: Steps<T::Credit>,
        fx: &mut Effects<T>,
    ) -> Result<(), PeerMisbehaved> {
        check_steps(&steps)?;
        // An orphan cannot shrink.
        if self.present_loan() == Some(id) && !self.has_claim() {
            self.replace_recall(steps, fx);
        }
        Ok(())
    }

    /// The register as it is now. What was said about a step stays said while its request is in it.
    fn replace_recall(&mut self, steps: Steps<T::Credit>, fx: &mut Effects<T>) {
        let was_recalled = self.is_recalled();
        let mut old = core::mem::take(&mut self.recall);
        self.recall = steps
            .into_iter()
            .map(
                |step| match old.iter().position(|o| o.step.order == step.order) {
                    Some(index) => RecallStep {
                        step,
                        ..old.swap_remove(index)
                    },
                    None => RecallStep::new(step),
                },
            )
            .collect();
        if !was_recalled {
            self.note_recall(fx);
        }
    }

    fn on_ask_limit(&mut self, now: Time, from: PeerId, id: LoanId, fx: &mut Effects<T>) {
        let Some(debtor) = self.debtors.get_mut(&from).filter(|d| d.id == Some(id)) else {
            return;
        };
        let asked_again = debtor
            .asked_at
            .is_some_and(|at| now.as_nanos().saturating_sub(at.as_nanos()) < ASKED_AGAIN_NANOS);
        debtor.room = if asked_again {
            (debtor.room * 2).min(ROOM_MAX)
        } else {
            self.settings.fence_room.max(1)
        };
        debtor.asked_at = Some(now);
        debtor.limit_owed = true;
        self.answer_limits(fx);
    }

    fn on_limit(&mut self, id: LoanId, limit: u64, fx: &mut Effects<T>) {
        // A claim tells the root what was used of the former limit: no more of it must be used after that.
        if self.present_loan() == Some(id) && !self.has_claim() {
            self.raise_limit(limit, fx);
        }
    }

    pub(super) fn raise_limit(&mut self, limit: u64, fx: &mut Effects<T>) {
        self.fence.raise_limit(limit);
        self.answer_limits(fx);
    }

    /// The name under which everything is borrowed; of a loan that ended too.
    pub(super) const fn present_loan(&self) -> Option<LoanId> {
        match self.upstream {
            Upstream::Root(_) => None,
            Upstream::Debtor { loan, .. } => Some(loan),
        }
    }

    /// Gives debtors that asked a higher limit, as far as this owner's own one reaches.
    pub(super) fn answer_limits(&mut self, fx: &mut Effects<T>) {
        if self.is_silent() {
            return;
        }
        let (now, own) = (self.fence.now(), self.fence.limit());
        for (&peer, debtor) in &mut self.debtors {
            // Its clock may be as far as its limit: it is not heard of while it uses its own cache.
            let limit = own.min(now.max(debtor.limit).saturating_add(2 * debtor.room));
            if let Some(loan) = debtor.id
                && debtor.limit_owed
                && limit > debtor.limit
            {
                debtor.limit = limit;
                debtor.limit_owed = false;
                fx.send(peer, Message::Limit { loan, limit });
            }
        }
    }
}

fn closes<L>(want: &StandingWant<L>, order: Order, version: Version) -> bool {
    want.order == order && want.version == version
}

/// A register is short, and sorted by order.
fn check_steps<C>(steps: &Steps<C>) -> Result<(), PeerMisbehaved> {
    let sorted = steps.windows(2).all(|pair| pair[0].order < pair[1].order);
    if sorted && steps.len() <= STEPS_MAX {
        Ok(())
    } else {
        Err(PeerMisbehaved::MalformedRecall)
    }
}
