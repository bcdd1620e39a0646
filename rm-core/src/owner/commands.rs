//! What local callers ask of an owner.
//!
//! Every command records and then calls `balance`. Naming a token that does not exist is a bug of the caller
//! and panics; the async face never does it.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Asker, Owner, Request, Spare, Waiting, sum};
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
        let is_free = self.waiting.is_empty() && self.recall.is_empty() && !self.is_closing();
        if !is_free {
            return None;
        }
        let credit = ask.draw_all(&self.cached)?;
        let ticks = T::ticks(&credit, &self.capital);
        // `acquire` asks for a higher limit, which takes an effect.
        if ticks && (!self.fence.has_room() || self.fence.should_ask()) {
            return None;
        }
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
        self.is_settled() && !self.is_closing() && !self.fence.should_ask()
    }

    /// Ends a hold if that needs no decision: nothing waits, here or at the creditor, and nobody is asked for
    /// anything. Returns whether it did.
    ///
    /// It does exactly what [`release`](Self::release) would do then.
    pub fn put_back(&mut self, token: Token) -> bool {
        if !self.is_quiet() {
            return false;
        }
        let Some(hold) = self.holds.remove(token) else {
            return false;
        };
        self.take_back(&hold.credit);
        true
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
        // The creditor has the same limit, and knows better who is in the way: let it speak first.
        let hops = if self.is_root() { 1 } else { 2 };
        let try_limit = self.settings.try_limit.saturating_mul(hops);
        let waiting = Waiting {
            order,
            asker: Asker::Local(token),
            level: ask,
            try_only,
            deadline,
            try_until: try_only.then(|| now.after(try_limit)),
            note,
            denied_above: false,
            busy: SmallVec::new(),
            blockers: Blockers::new(),
        };
        self.insert(waiting, fx);
        self.balance(now, Spare::Keep, fx);
    }

    /// Asks that a hold become `to`, without a gap: it keeps what it has until it gets the rest.
    ///
    /// Ends in an [`Effect::Grant`] with the fencing token it has from now on, or in an [`Effect::Deny`], after
    /// which the hold is as it was.
    ///
    /// # Panics
    /// If the token holds nothing, or converts already, or the order is not of class `Convert`.
    pub fn convert(
        &mut self,
        now: Time,
        token: Token,
        order: Order,
        to: T::Level,
        fx: &mut Effects<T>,
    ) {
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
        if let Some(keep) = to.draw_all(&hold.credit) {
            let fence = self.reduce(now, token, &keep, fx);
            fx.push(Effect::Grant { token, fence });
            return;
        }
        if self.is_closing() {
            let why = Denied::ShuttingDown;
            fx.push(Effect::Deny { token, why });
            return;
        }
        let note = hold.note.clone();
        let waiting = Waiting {
            order,
            asker: Asker::Convert(token),
            level: to,
            try_only: false,
            deadline: None,
            try_until: None,
            note,
            denied_above: false,
            busy: SmallVec::new(),
            blockers: Blockers::new(),
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
        let fence = self.fence.now();
        let hold = self.holds.get_mut(token).expect("only a holder is reduced");
        assert!(
            hold.credit.covers(keep),
            "a hold is reduced to a part of what it was"
        );
        let back = hold.credit.less(keep);
        hold.credit = keep.clone();
        if !T::ticks(keep, &self.capital) {
            hold.fence = fence;
        }
        let fence = hold.fence;
        self.take_back(&back);
        self.balance(now, Spare::Keep, fx);
        fence
    }

    /// A holder is done. A conversion of it that still waits is over too.
    ///
    /// # Panics
    /// If the token holds nothing.
    pub fn release(&mut self, now: Time, token: Token, fx: &mut Effects<T>) {
        let hold = self.holds.remove(token).expect("only a holder releases");
        if let Some(index) = self.find_local(token) {
            self.waiting.remove(index);
        }
        self.take_back(&hold.credit);
        self.balance(now, Spare::Keep, fx);
    }

    /// What a hold gives up is here again, unless it is used up.
    fn take_back(&mut self, credit: &T::Credit) {
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
        self.balance(now, Spare::Keep, fx);
    }

    fn find_local(&self, token: Token) -> Option<usize> {
        self.waiting
            .iter()
            .position(|w| w.asker.token() == Some(token))
    }

    /// Puts a local request in its place. No other one of this node has its order; a debtor's want that has it is
    /// not the debtor's to send, and is refused.
    fn insert(&mut self, waiting: Waiting<T::Level>, fx: &mut Effects<T>) {
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
