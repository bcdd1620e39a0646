//! What local callers ask of an owner.
//!
//! Every command records and then calls `balance`. Naming a token that does not exist is a bug of the caller
//! and panics; the async face never does it.

use core::time::Duration;
use std::sync::Arc;

use smallvec::SmallVec;

use super::{Asker, Conversion, Owner, Request, Spare, Waiting, sum};
use crate::credit::{Credit, Level};
use crate::effect::{Effect, Effects};
use crate::error::{Denied, LostReason};
use crate::id::{Class, Note, Order, Token};
use crate::message::{Blockers, Refusal};
use crate::resource::{Lending, ResourceType};
use crate::time::Time;

impl<T: ResourceType> Owner<T> {
    /// Takes `ask` out of the cache if that needs no decision: nothing waits, nothing is recalled, and it is
    /// there. Returns the fencing token.
    ///
    /// It does exactly what [`acquire`](Self::acquire) would do then, but needs no order.
    pub fn take(
        &mut self,
        now: Time,
        token: Token,
        ask: &T::Level,
        note: Option<Arc<Note>>,
    ) -> Option<u64> {
        let is_free = self.waiting.is_empty() && self.recall.is_empty();
        if !is_free || self.is_closing() || self.is_silent() {
            return None;
        }
        if self.widened(ask).is_some() {
            return None;
        }
        let credit = ask.draw_all(&self.cached)?;
        let ticks = self.ticks(&credit);
        // `acquire` asks for a higher limit, which takes an effect.
        if ticks && (!self.fence.has_room() || self.fence.should_ask()) {
            return None;
        }
        self.note_use(ask);
        self.cached = self.cached.less(&credit);
        let fence = if ticks {
            self.fence.tick()
        } else {
            self.fence.now()
        };
        self.holds.insert(token, credit, fence, now, note);
        Some(fence)
    }

    /// Whether a hold can end without a decision: nothing waits, here or at the creditor, nobody is asked for
    /// anything, and nothing is to be asked for.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.is_settled() && !self.is_closing() && !self.is_silent() && !self.fence.should_ask()
    }

    /// Ends a hold if that needs no decision: nothing waits, here or at the creditor, and nobody is asked for
    /// anything. Returns whether it did.
    ///
    /// It does exactly what [`release`](Self::release) would do then.
    pub fn put_back(&mut self, token: Token) -> bool {
        self.is_quiet() && self.end_hold(token)
    }

    /// Asks for credit. Ends in exactly one [`Effect::Grant`], [`Effect::Deny`], [`Effect::Lost`] after a
    /// grant, or in [`cancel`](Self::cancel).
    ///
    /// # Panics
    /// If the token already names a request or hold of this owner.
    pub fn acquire(&mut self, now: Time, request: Request<T::Level>, fx: &mut Effects<T>) {
        let Request {
            token,
            order,
            ask,
            try_only,
            deadline,
            note,
            group,
            gives_way,
        } = request;
        assert!(
            self.holds.get(token).is_none(),
            "the token of a new request is free"
        );
        assert!(
            self.find_local(token).is_none(),
            "the token of a new request is free"
        );
        if self.is_closing() || !self.is_possible(&ask) {
            let why = if self.is_closing() {
                Denied::ShuttingDown
            } else {
                Denied::Refused
            };
            fx.push(Effect::Deny { token, why });
            return;
        }
        self.note_use(&ask);
        let waiting = Waiting {
            order,
            asker: Asker::Local(token),
            level: ask,
            try_only,
            deadline,
            try_until: try_only.then(|| now.after(self.try_limit())),
            note,
            denied_above: false,
            busy: SmallVec::new(),
            blockers: Blockers::new(),
            group,
            gives_way,
        };
        self.insert(waiting, fx);
        self.promote_groups(fx);
        self.balance(now, Spare::Keep, fx);
    }

    /// How long a local `try` waits for answers. The creditor has the same limit, and knows better who is in the
    /// way: it speaks first.
    fn try_limit(&self) -> Duration {
        let hops = if self.is_root() { 1 } else { 2 };
        self.settings.try_limit.saturating_mul(hops)
    }

    /// Asks that a hold become `to`, without a gap: it keeps what it has until it gets the rest.
    ///
    /// Ends in an [`Effect::Grant`] with the fencing token it has from now on, or in an [`Effect::Deny`], after
    /// which the hold is as it was, or in [`cancel`](Self::cancel). If the hold is lost or released before that, the
    /// conversion is over with it: [`Effect::Lost`] is all that is said.
    ///
    /// **Fairness.** A conversion goes before new requests, because it holds what they may wait for. One of a hold of
    /// nothing goes by its age like any new request. Holders that take turns in growing and shrinking can keep a new
    /// request waiting for as long as they do: what one gives up goes to the other, which is a conversion. Let the
    /// part that comes and goes be a hold of its own where that matters.
    ///
    /// # Panics
    /// If the token holds nothing, or converts already, or the order is not of class `Convert`.
    pub fn convert(&mut self, now: Time, conversion: Conversion<T::Level>, fx: &mut Effects<T>) {
        let Conversion {
            token,
            order,
            to,
            try_only,
            deadline,
        } = conversion;
        let hold = self.holds.get(token).expect("only a holder converts");
        assert!(
            self.find_local(token).is_none(),
            "a hold converts once at a time"
        );
        assert!(
            order.class == Class::Convert,
            "a conversion goes before new requests"
        );
        if !self.is_possible(&to) {
            fx.push(Effect::Deny {
                token,
                why: Denied::Refused,
            });
            return;
        }
        let is_alone = hold.group().is_none();
        let is_other = self.widened(&to).is_some();
        if is_alone
            && !is_other
            && let Some(keep) = to.draw_all(&hold.credit)
        {
            let fence = self.reduce(now, token, &keep, fx);
            fx.push(Effect::Grant { token, fence });
            return;
        }
        if self.is_closing() {
            let why = Denied::ShuttingDown;
            fx.push(Effect::Deny { token, why });
            return;
        }
        if let Some(fence) = self.convert_at_once(token, &to) {
            fx.push(Effect::Grant { token, fence });
            self.balance(now, Spare::Keep, fx);
            return;
        }
        let hold = self.holds.get(token).expect("it was there above");
        let note = hold.note.clone();
        let class = if is_alone && hold.credit.is_empty() {
            Class::New
        } else {
            Class::Convert
        };
        let waiting = Waiting {
            order: Order { class, ..order },
            asker: Asker::Convert(token),
            level: to,
            try_only,
            deadline,
            try_until: try_only.then(|| now.after(self.try_limit())),
            note,
            denied_above: false,
            busy: SmallVec::new(),
            blockers: Blockers::new(),
            group: None,
            gives_way: None,
        };
        self.insert(waiting, fx);
        self.balance(now, Spare::Keep, fx);
    }

    /// Makes a hold a part of what it was, at once. Returns its fencing token from now on.
    ///
    /// # Panics
    /// If the token holds nothing, or `keep` is not part of what it holds, or it converts at the time.
    pub fn reduce(
        &mut self,
        now: Time,
        token: Token,
        keep: &T::Credit,
        fx: &mut Effects<T>,
    ) -> u64 {
        assert!(
            self.find_local(token).is_none(),
            "a hold that converts is not reduced"
        );
        let (fence, ticks) = (self.fence.now(), self.ticks(keep));
        let hold = self.holds.get_mut(token).expect("only a holder is reduced");
        assert!(
            hold.asked().covers(keep),
            "a hold is reduced to a part of what it was"
        );
        let group = hold.group();
        let back = hold.credit.less(keep);
        match group {
            Some(group) => hold.ties_mut().group = Some((group, keep.clone())),
            None => hold.credit = keep.clone(),
        }
        if !ticks {
            hold.fence = fence;
        }
        let fence = hold.fence;
        let back = match group {
            Some(group) => self.share_out(group),
            None => back,
        };
        self.take_back(&back);
        self.balance(now, Spare::Keep, fx);
        fence
    }

    /// Makes one hold two: `part` of it goes to the hold `new`, which has the same fencing token, and the same promise
    /// to give way.
    ///
    /// Nothing moves but between the two, so there is nothing to decide.
    ///
    /// # Panics
    /// If the token holds nothing, or `part` is not part of what it holds, or it converts at the time, or is a
    /// member of a group, or `new` names a request or hold already.
    pub fn split_hold(&mut self, token: Token, part: &T::Credit, new: Token) {
        assert!(
            self.find_local(token).is_none(),
            "a hold that converts is not split"
        );
        assert!(
            self.find_local(new).is_none(),
            "the token of a new hold is free"
        );
        let hold = self.holds.get_mut(token).expect("only a hold is split");
        assert!(hold.group().is_none(), "a group's hold is not split");
        assert!(
            hold.credit.covers(part),
            "a hold is split into parts of what it was"
        );
        let split_off = hold.split(part, new.generation);
        self.holds.put(new, split_off);
    }

    /// Makes two holds one, under the token `into`. Returns its fencing token from now on: the larger of the two,
    /// or a new one where both together tick and the one with the larger does not.
    ///
    /// `None` where that needs a new one and there is no room for it, where one is a member of a group, or where they
    /// did not promise to give way within the same time: then the holds are as they were.
    ///
    /// # Panics
    /// If the tokens are the same, or one of them holds nothing or converts at the time.
    pub fn merge_holds(
        &mut self,
        now: Time,
        into: Token,
        from: Token,
        fx: &mut Effects<T>,
    ) -> Option<u64> {
        assert!(into != from, "a hold is merged with another one");
        for token in [into, from] {
            assert!(
                self.find_local(token).is_none(),
                "a hold that converts is not merged"
            );
        }
        let one = self.holds.get(into).expect("only holds are merged");
        let other = self.holds.get(from).expect("only holds are merged");
        let is_alike = one.gives_way() == other.gives_way();
        if one.group().is_some() || other.group().is_some() || !is_alike {
            return None;
        }
        let credit = sum(&one.credit, &other.credit);
        let mut fence = one.fence.max(other.fence);
        // The number of a hold that does not tick may be another's too.
        let is_own = [one, other]
            .iter()
            .any(|hold| hold.fence == fence && self.ticks(&hold.credit));
        if self.ticks(&credit) && !is_own {
            if !self.fence.has_room() {
                return None;
            }
            fence = self.fence.tick();
        }
        let other = self.holds.remove(from).expect("it was there above");
        let hold = self.holds.get_mut(into).expect("it was there above");
        hold.merge(other, fence);
        // Nothing became free; but the number may have been one of the last.
        self.balance(now, Spare::Keep, fx);
        Some(fence)
    }

    /// A holder is done. A conversion of it that still waits is over too.
    ///
    /// # Panics
    /// If the token holds nothing.
    pub fn release(&mut self, now: Time, token: Token, fx: &mut Effects<T>) {
        assert!(self.holds.get(token).is_some(), "only a holder releases");
        if let Some(index) = self.find_local(token) {
            self.waiting.remove(index);
        }
        self.end_hold(token);
        self.balance(now, Spare::Keep, fx);
    }

    /// What a hold gives up is here again, unless it is used up.
    pub(super) fn take_back(&mut self, credit: &T::Credit) {
        match T::LENDING {
            Lending::Loaned => self.cached = sum(&self.cached, credit),
            Lending::UsedUp => self.borrowed = self.borrowed.less(credit),
        }
    }

    /// The caller no longer wants what it asked for. Returns whether the request, or the conversion, was
    /// still waiting. If it was not, it has its outcome, and a hold is still to be released.
    pub fn cancel(&mut self, now: Time, token: Token, fx: &mut Effects<T>) -> bool {
        let Some(index) = self.find_local(token) else {
            return false;
        };
        self.waiting.remove(index);
        self.balance(now, Spare::Keep, fx);
        true
    }

    /// Sends back what is cached and nobody here waits for. Nothing at a root.
    pub fn return_spare(&mut self, now: Time, fx: &mut Effects<T>) {
        self.balance(now, Spare::Return, fx);
    }

    /// The node stops: its own holds are lost, its own requests denied, and nothing is decided any more.
    ///
    /// A root that goes on being used would be a second one beside its successor.
    pub fn shut_down(&mut self, fx: &mut Effects<T>) {
        self.is_shut = true;
        for (token, hold) in self.holds.take_all() {
            self.take_back(&hold.credit);
            fx.push(Effect::Lost {
                token,
                why: LostReason::ShutDown,
            });
        }
        for waiting in core::mem::take(&mut self.waiting) {
            if let Asker::Local(token) = waiting.asker {
                fx.push(Effect::Deny {
                    token,
                    why: Denied::ShuttingDown,
                });
            }
        }
        self.wants.clear();
        self.forget_strangers();
    }

    /// Whether it was shut down.
    #[must_use]
    pub const fn is_shut(&self) -> bool {
        self.is_shut
    }

    /// Whether it takes no new requests.
    const fn is_closing(&self) -> bool {
        self.is_shut || self.is_winding_up()
    }

    /// Time has passed: denies what has waited long enough. Calling it early does nothing.
    pub fn on_deadline(&mut self, now: Time, fx: &mut Effects<T>) {
        let due = |w: &Waiting<T::Level>| w.due().is_some_and(|at| at <= now);
        while let Some(index) = self.waiting.iter().position(due) {
            let waiting = self.waiting.remove(index);
            let out_of_time = waiting.deadline.is_some_and(|at| at <= now);
            // A `try` that waited for answers is busy.
            let late = out_of_time && !waiting.try_only;
            let why = if late {
                Refusal::Deadline
            } else {
                Refusal::Busy
            };
            self.deny(&waiting, why, fx);
        }
        self.take_overdue(now, fx);
        self.lift_late_bars(now);
        self.balance(now, Spare::Keep, fx);
    }

    fn find_local(&self, token: Token) -> Option<usize> {
        self.waiting
            .iter()
            .position(|w| w.asker.token() == Some(token))
    }

    /// Puts a local request in its place. No other one of this node has its order; a debtor's want that has it is
    /// not the debtor's to send, and is refused.
    pub(super) fn insert(&mut self, waiting: Waiting<T::Level>, fx: &mut Effects<T>) {
        match self
            .waiting
            .binary_search_by_key(&waiting.order, |w| w.order)
        {
            Ok(index) => {
                let intruder = core::mem::replace(&mut self.waiting[index], waiting);
                assert!(
                    intruder.asker.debtor().is_some(),
                    "the order of a request is unique"
                );
                self.deny(&intruder, Refusal::Refused, fx);
            }
            Err(index) => self.waiting.insert(index, waiting),
        }
    }
}
