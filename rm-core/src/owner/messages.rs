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
use crate::credit::{Colour, Credit, Level};
use crate::effect::{Effect, Effects};
use crate::error::{LostReason, PeerMisbehaved};
use crate::fence::ROOM_MAX;
use crate::id::{LoanId, Order, PeerId, Version};
use crate::message::{BLOCKERS_MAX, Blockers, Grant, Message, Refusal, Steps, Want};
use crate::resource::{Lending, ResourceType};
use crate::time::Time;
use crate::value::{VALUE_BYTES_MAX, Value};

/// A debtor that asks for a higher limit again within this many nanoseconds gets twice the room.
const ASKED_AGAIN_NANOS: u64 = 1_000_000_000;

impl<T: ResourceType> Owner<T> {
    /// A message from a neighbour.
    ///
    /// # Errors
    /// What the peer did wrong, where no correct peer does it. Nothing changed.
    pub fn on_message(
        &mut self,
        now: Time,
        from: PeerId,
        message: Message<T::Credit, T::Level>,
        fx: &mut Effects<T>,
    ) -> Result<(), PeerMisbehaved> {
        if message.is_downward() != (self.creditor() == Some(from)) {
            return Err(PeerMisbehaved::WrongDirection);
        }
        match message {
            Message::AskLimit { loan } => self.on_ask_limit(now, from, loan, fx),
            Message::Busy { order, blockers } => self.on_busy(from, order, blockers),
            Message::Deny {
                order,
                version,
                why,
                blockers,
            } => {
                self.on_deny(order, version, why, blockers, fx);
            }
            Message::Grant(grant) => self.on_grant(from, grant, fx)?,
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
                if self.is_collecting(from) {
                    #[cfg(debug_assertions)]
                    self.check_nothing_to_decide(now);
                    return Ok(());
                }
            }
            Message::Unwant { order } => self.on_unwant(from, order),
            Message::Want(want) => self.on_want(now, from, want, fx),
        }
        self.balance(now, Spare::Keep, fx);
        Ok(())
    }

    /// There is a session with the creditor: what waits here is asked for over it.
    pub fn on_creditor_up(&mut self, now: Time, peer: PeerId, fx: &mut Effects<T>) {
        if let Upstream::Debtor { peer: present, .. } = &mut self.upstream {
            assert!(present.is_none(), "one session with the creditor at a time");
            *present = Some(peer);
            self.balance(now, Spare::Keep, fx);
        }
    }

    /// The next session will be with another creditor than the last, or with another run of it. The names it gives its
    /// loans say nothing about those of the former: they may well be smaller.
    ///
    /// A root needs no such word, because its epoch rises with each run.
    ///
    /// # Panics
    /// If there is a session with a creditor.
    pub fn on_creditor_replaced(&mut self) {
        if let Upstream::Debtor { peer, loan, dead } = &mut self.upstream {
            assert!(peer.is_none(), "the session with the former is over");
            (*loan, *dead) = (LoanId::default(), LoanId::default());
        }
    }

    /// The session with the creditor is over, or its lease ran out: what was borrowed over it is lost, with
    /// every hold. Requests that wait go on waiting.
    pub fn on_creditor_down(&mut self, now: Time, why: LostReason, fx: &mut Effects<T>) {
        let Upstream::Debtor { peer, loan, dead } = &mut self.upstream else {
            return;
        };
        *peer = None;
        *dead = *loan;
        if T::LENDING == Lending::Loaned {
            self.lose_loan(why, fx);
        }
        self.recall.clear();
        self.wants.clear();
        self.fence.forget_limit();
        for waiting in &mut self.waiting {
            waiting.denied_above = false;
        }
        self.balance(now, Spare::Keep, fx);
    }

    /// What was borrowed is gone, and so is what was held and lent of it.
    fn lose_loan(&mut self, why: LostReason, fx: &mut Effects<T>) {
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
            *debtor = Debtor {
                silent: debtor.silent,
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
        let Some(debtor) = self.debtors.remove(&peer) else {
            return;
        };
        self.recalling -= u32::from(!debtor.sent.is_empty());
        self.unlent -= u32::from(debtor.id.is_none());
        self.waiting.retain(|w| w.asker.debtor() != Some(peer));
        self.lent = self.lent.less(&debtor.loan);
        self.cached = sum(&self.cached, &debtor.loan);
        if T::may_tick(&debtor.loan, &self.capital) {
            // Past every token the dead debtor can have given out.
            self.fence.observe(debtor.limit);
        }
        if Self::may_write(&debtor.loan, &self.capital) {
            self.doubt_value();
        }
        self.balance(now, Spare::Keep, fx);
    }

    /// A root enters a new epoch: its tokens and loans are above those of all older ones.
    pub fn on_epoch(&mut self, now: Time, epoch: u32, fx: &mut Effects<T>) {
        if self.is_root() && epoch > self.last_loan.epoch {
            self.fence.enter_epoch(epoch);
            self.last_loan = LoanId { epoch, counter: 0 };
            if T::LENDING == Lending::UsedUp {
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
        let mut debtor = Debtor::new(self.settings.fence_room);
        debtor.loan = self.capital.clone();
        debtor.id = Some(self.open_loan());
        debtor.limit = self.fence.now();
        self.lent = self.capital.clone();
        self.cached = T::Credit::empty();
        self.debtors.insert(peer, debtor);
        self.forget_colour();
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

    fn on_want(&mut self, now: Time, from: PeerId, want: Want<T::Level>, fx: &mut Effects<T>) {
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
        self.debtors.entry(from).or_insert_with(|| {
            self.unlent += 1;
            Debtor::new(self.settings.fence_room)
        });
        self.note_use(&level);
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
        from: PeerId,
        grant: Grant<T::Credit>,
        fx: &mut Effects<T>,
    ) -> Result<(), PeerMisbehaved> {
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
        let Upstream::Debtor { loan, dead, .. } = self.upstream else {
            return Err(PeerMisbehaved::WrongDirection);
        };
        let is_loan = T::LENDING == Lending::Loaned;
        if is_loan && (id <= dead || id < loan) {
            // Of a loan that ended: the credit goes back, for nobody here has it in a book.
            let fence = self.fence.now();
            fx.send(
                from,
                Message::Return {
                    loan: id,
                    delta,
                    fence,
                    value: None,
                    colour,
                },
            );
            return Ok(());
        }
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
        if let Upstream::Debtor { loan, .. } = self.upstream
            && loan == id
        {
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
        if let Upstream::Debtor { loan, .. } = self.upstream
            && loan == id
        {
            self.raise_limit(limit, fx);
        }
    }

    fn raise_limit(&mut self, limit: u64, fx: &mut Effects<T>) {
        self.fence.raise_limit(limit);
        self.answer_limits(fx);
    }

    /// Gives debtors that asked a higher limit, as far as this owner's own one reaches.
    fn answer_limits(&mut self, fx: &mut Effects<T>) {
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
