//! What is told of those who wait for a hold, and of credit that leaves.

use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Poll, Waker};

use super::{Claim, Clock, Resource};
use crate::effect::Conflict;
use crate::error::LostReason;
use crate::front::slots::Watch;
use crate::front::wanted::{Leaving, Waiter};
use crate::owner::Hold;
use crate::resource::ResourceType;
use crate::time::Time;

impl<T: ResourceType> Resource<T> {
    /// Who began to wait for a hold and was not told of; if nobody, `waker` is woken when somebody does.
    pub(in crate::front) fn poll_wanted(
        &self,
        claim: Claim,
        told: &AtomicU32,
        watch: &mut Option<Watch>,
        waker: &Waker,
    ) -> Poll<Result<Waiter, LostReason>> {
        let mut turn = self.enter(Clock::Exact);
        let inner = &mut *turn.inner;
        let token = inner.token(claim);
        // Relaxed: see the field of the hold.
        let notice = inner.slots.notice(token, told.load(Ordering::Relaxed));
        let news = notice.and_then(|(number, by)| {
            told.store(number, Ordering::Relaxed);
            // Whoever it was about may have gone, and nobody else has come.
            let is_wanted = inner.owner.hold(token).is_some_and(Hold::is_wanted);
            is_wanted.then(|| self.waiter(by))
        });
        let poll = match (inner.why_lost(token), news) {
            (Some(why), _) => Poll::Ready(Err(why)),
            (None, Some(waiter)) => Poll::Ready(Ok(waiter)),
            (None, None) => {
                *watch = Some(inner.slots.watch(token, *watch, waker));
                Poll::Pending
            }
        };
        self.leave(turn);
        poll
    }

    fn waiter(&self, by: &Conflict) -> Waiter {
        let note = by.note.as_deref().cloned().unwrap_or_default();
        let since = Time::from_nanos(by.order.stamp.0);
        Waiter {
            trace: note.trace(),
            node: note.node,
            label: note.label,
            mode: note.mode,
            waited: self.shared.host.stamp_now().since(since),
        }
    }

    /// Whether somebody waits for a hold.
    pub(in crate::front) fn is_wanted(&self, claim: Claim) -> bool {
        let inner = self.lock();
        let hold = inner.owner.hold(inner.token(claim));
        let is_wanted = hold.is_some_and(Hold::is_wanted);
        self.unlock(inner);
        is_wanted
    }

    /// Waits until credit that was cached here leaves: for somebody else, because nobody used it, or because it was
    /// lost. Credit that this node lends on counts, also where it only passes through.
    ///
    /// What a program knows under a hold may be out of date once that is over and its credit has left. To tell for
    /// sure whether something may have changed in between, compare [`Held::fence`](crate::front::Held::fence) of two holds:
    /// equal numbers mean that no exclusive hold came between them.
    pub fn leaving(&self) -> Leaving<'_, T> {
        Leaving::new(self, self.wake().slots.departures())
    }

    pub(in crate::front) fn poll_leaving(
        &self,
        seen: u64,
        watch: &mut Option<Watch>,
        waker: &Waker,
    ) -> Poll<()> {
        let mut turn = self.enter(Clock::Recent);
        let slots = &mut turn.inner.slots;
        let poll = if slots.departures() == seen {
            *watch = Some(slots.watch_leaving(*watch, waker));
            Poll::Pending
        } else {
            Poll::Ready(())
        };
        self.leave(turn);
        poll
    }

    pub(in crate::front) fn unwatch_leaving(&self, watch: Watch) {
        let mut turn = self.enter(Clock::Recent);
        turn.inner.slots.unwatch_leaving(watch);
        self.leave(turn);
    }
}
