//! What becomes of a hold while it lasts: it converts, shrinks, is split, merged, or kept by the node.
//!
//! **Lost.** Each of these looks for what is due first, as every input does. A hold that was lost stays so, and is
//! changed no more.
//!
//! **Kept.** Credit that the node keeps has no caller: it stays held until it is given back, or lost with the lease.
//! What is kept is merged where that needs no new fencing number, so there are few such holds however much was kept.

use core::task::{Poll, Waker};
use core::time::Duration;

use super::{Claim, Clock, Inner, Resource};
use crate::credit::Credit;
use crate::error::{Denied, LostReason};
use crate::front::ask::Patience;
use crate::front::slots::State;
use crate::id::{Class, Token};
use crate::owner::Conversion;
use crate::resource::ResourceType;
use crate::time::Time;

impl<T: ResourceType> Resource<T> {
    /// What a hold has. Nothing, once it was lost.
    pub(in crate::front) fn credit_of(&self, claim: Claim) -> T::Credit {
        let turn = self.enter(Clock::Recent);
        let held = turn.inner.held(turn.inner.token(claim));
        self.leave(turn);
        held.map_or_else(|_| T::Credit::empty(), |(credit, _)| credit)
    }

    /// The token of a claim's hold, with a slot of its own from here on; `None` where others share it.
    pub(in crate::front) fn own(&self, claim: Claim) -> Option<Token> {
        let mut inner = self.lock();
        let token = inner.adopt(self, claim);
        self.unlock(inner);
        token
    }

    /// Whether a hold is shared with others of its group.
    pub(in crate::front) fn is_of_group(&self, token: Token) -> bool {
        self.with_owner(|owner| owner.hold(token).is_some_and(|hold| hold.group().is_some()))
    }

    /// Makes a hold that nobody shares `to`, where that has no effect on anybody else. Returns its fencing token from now on.
    pub(in crate::front) fn convert_at_once(&self, token: Token, to: &T::Level) -> Option<u64> {
        let (mut inner, now) = self.lock_in_good_time();
        now?;
        let is_held = matches!(inner.slots.state(token), Some(State::Held(_)));
        if !is_held || inner.slots.is_shared(token) {
            return None;
        }
        let fence = inner.owner.convert_at_once(token, to)?;
        inner.slots.resume(token, fence);
        Some(fence)
    }

    /// Asks that a hold become `to`; if that takes time, `waker` is woken when it is decided.
    pub(in crate::front) fn convert(
        &self,
        token: Token,
        to: &T::Level,
        patience: Patience,
        waker: &Waker,
    ) -> Poll<Result<u64, Denied>> {
        let mut turn = self.enter(Clock::Exact);
        let now = turn.now;
        // One whose future was forgotten is over.
        turn.inner.end_conversion(now, token);
        if let Some(State::Held(fence)) = turn.inner.slots.state(token) {
            let fence = *fence;
            turn.inner.slots.convert(token, fence, waker);
            let Inner { owner, fx, .. } = &mut *turn.inner;
            let order = self.shared.next_order(Class::Convert, Duration::ZERO);
            let conversion = Conversion {
                try_only: patience == Patience::Try,
                deadline: patience.deadline(now),
                ..Conversion::new(token, order, to.clone())
            };
            owner.convert(now, conversion, fx);
            self.apply(&mut turn);
        }
        let poll = turn.inner.converted(token);
        self.leave(turn);
        poll
    }

    /// Whether a conversion has its outcome; if not, `waker` is woken when it has.
    pub(in crate::front) fn poll_converted(
        &self,
        token: Token,
        waker: &Waker,
    ) -> Poll<Result<u64, Denied>> {
        let mut turn = self.enter(Clock::Exact);
        let poll = turn.inner.converted(token);
        if poll.is_pending() {
            turn.inner.slots.wait(token, waker);
        }
        self.leave(turn);
        poll
    }

    /// The caller no longer looks for the outcome of its conversion: the hold is what it was before, `from`.
    /// Returns its fencing token from now on.
    pub(in crate::front) fn withdraw(&self, token: Token, from: &T::Credit) -> Option<u64> {
        let mut turn = self.enter(Clock::Exact);
        let now = turn.now;
        turn.inner.end_conversion(now, token);
        // If it was granted in the meantime, the caller never saw it.
        let fence = turn.inner.reduce(now, token, from);
        self.leave(turn);
        fence.ok()
    }

    /// Makes a hold what it has in common with `keep`. Returns its fencing token from now on; `None` where it was
    /// lost.
    pub(in crate::front) fn reduce(&self, token: Token, keep: &T::Credit) -> Option<u64> {
        let mut turn = self.enter(Clock::Exact);
        let now = turn.now;
        turn.inner.end_conversion(now, token);
        let fence = turn.inner.reduce(now, token, keep);
        self.leave(turn);
        fence.ok()
    }

    /// Gives what a hold has in common with `part` a hold of its own. Of one that was lost both parts are lost.
    pub(in crate::front) fn split(&self, token: Token, part: &T::Credit) -> Token {
        let mut turn = self.enter(Clock::Exact);
        let now = turn.now;
        turn.inner.end_conversion(now, token);
        let inner = &mut *turn.inner;
        let new = match inner.held(token) {
            Ok((credit, fence)) => {
                let new = inner.slots.insert(State::Held(fence));
                inner.owner.split_hold(token, &part.meet(&credit), new);
                new
            }
            Err(why) => inner.slots.insert(State::Lost(why)),
        };
        self.leave(turn);
        new
    }

    /// Makes the hold `from` part of the hold `into`. Returns its fencing token from now on; `None` where one of
    /// them was lost, or there is no number for both: then they are as they were.
    pub(in crate::front) fn merge(&self, into: Token, from: Token) -> Option<u64> {
        let mut turn = self.enter(Clock::Exact);
        let now = turn.now;
        for token in [into, from] {
            turn.inner.end_conversion(now, token);
        }
        let fence = turn.inner.merge(now, into, from);
        self.leave(turn);
        fence
    }

    /// The node keeps a hold: its caller will not release it.
    pub(in crate::front) fn keep(&self, token: Token) -> Result<(), LostReason> {
        let mut turn = self.enter(Clock::Exact);
        let now = turn.now;
        turn.inner.end_conversion(now, token);
        let inner = &mut *turn.inner;
        let held = inner.held(token).map(|_| ());
        if held.is_ok() {
            let last = inner.kept.last().copied();
            if last.is_none_or(|last| inner.merge(now, last, token).is_none()) {
                inner.kept.push(token);
            }
        }
        self.leave(turn);
        held
    }

    /// What the node keeps without a caller: see [`Held::keep`](crate::front::Held::keep).
    #[must_use]
    pub fn kept(&self) -> T::Credit {
        let turn = self.enter(Clock::Exact);
        let kept = turn.inner.kept();
        self.leave(turn);
        kept
    }

    /// Gives back part of what the node keeps.
    ///
    /// # Errors
    /// What the node keeps, where `part` is no part of it. Then nothing was given back.
    pub fn give_back(&self, part: &T::Credit) -> Result<(), T::Credit> {
        let mut turn = self.enter(Clock::Exact);
        let now = turn.now;
        let kept = turn.inner.kept();
        let result = if kept.covers(part) {
            turn.inner.give_back(now, part);
            Ok(())
        } else {
            Err(kept)
        };
        self.leave(turn);
        result
    }
}

impl<T: ResourceType> Inner<T> {
    /// What a hold has, and its fencing token.
    fn held(&self, token: Token) -> Result<(T::Credit, u64), LostReason> {
        match self.owner.hold(token) {
            Some(hold) => Ok((hold.asked().clone(), hold.fence)),
            None => Err(self.why_lost(token).unwrap_or(LostReason::SessionEnded)),
        }
    }

    /// What became of a conversion. A failure is seen once.
    fn converted(&mut self, token: Token) -> Poll<Result<u64, Denied>> {
        match self.slots.state(token) {
            Some(State::Converting(_) | State::Waiting) => Poll::Pending,
            Some(State::Held(fence)) => Poll::Ready(Ok(*fence)),
            Some(State::Unconverted(fence, why)) => {
                let (fence, why) = (*fence, (**why).clone());
                self.slots.resume(token, fence);
                Poll::Ready(Err(why))
            }
            Some(State::Lost(why)) => Poll::Ready(Err(Denied::Lost(*why))),
            Some(State::Denied(_)) | None => {
                Poll::Ready(Err(Denied::Lost(LostReason::SessionEnded)))
            }
        }
    }

    /// A conversion that waits is withdrawn; one that failed is forgotten.
    fn end_conversion(&mut self, now: Time, token: Token) {
        let fence = match self.slots.state(token) {
            Some(State::Converting(fence)) => {
                let fence = *fence;
                self.owner.cancel(now, token, &mut self.fx);
                fence
            }
            Some(State::Unconverted(fence, _)) => *fence,
            _ => return,
        };
        self.slots.resume(token, fence);
    }

    fn reduce(&mut self, now: Time, token: Token, keep: &T::Credit) -> Result<u64, LostReason> {
        let (credit, fence) = self.held(token)?;
        if keep.covers(&credit) {
            return Ok(fence);
        }
        let fence = self
            .owner
            .reduce(now, token, &keep.meet(&credit), &mut self.fx);
        self.slots.resume(token, fence);
        Ok(fence)
    }

    fn merge(&mut self, now: Time, into: Token, from: Token) -> Option<u64> {
        self.held(into).and(self.held(from)).ok()?;
        let fence = self.owner.merge_holds(now, into, from, &mut self.fx)?;
        self.slots.resume(into, fence);
        self.slots.remove(from);
        Some(fence)
    }

    fn kept(&self) -> T::Credit {
        let holds = self.kept.iter().filter_map(|&token| self.owner.hold(token));
        holds.fold(T::Credit::empty(), |sum, hold| {
            sum.join(&hold.credit)
                .expect("holds are part of the capital")
        })
    }

    /// Gives back what the node is known to keep.
    fn give_back(&mut self, now: Time, part: &T::Credit) {
        let mut left = part.clone();
        for token in core::mem::take(&mut self.kept) {
            let Ok((credit, _)) = self.held(token) else {
                continue;
            };
            let keep = credit.less(&left);
            left = left.less(&credit);
            if keep.is_empty() {
                self.slots.remove(token);
                self.owner.release(now, token, &mut self.fx);
            } else if self.reduce(now, token, &keep).is_ok() {
                self.kept.push(token);
            }
        }
    }
}
