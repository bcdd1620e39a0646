//! Holds that change while they last: converted, reduced, split, merged, or left to the node.
//!
//! **No gap.** A hold that converts keeps what it has until it gets the rest, so nobody comes between. Conversions
//! go before new requests. Of two that wait for each other the younger is denied at once, and holds what it held.
//!
//! **Cancellation.** Dropping a [`Convert`] withdraws the conversion, and the hold is what it was before; what was
//! granted and not seen goes back.

use core::fmt;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use super::acquire::{AcquireError, Held, Patience, explain};
use super::resource::Resource;
use crate::error::LostReason;
use crate::resource::ResourceType;
use crate::time::Time;

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Held<T, R> {
    /// What it holds. Nothing, once it was lost.
    #[must_use]
    pub fn credit(&self) -> T::Credit {
        self.resource.credit_of(self.token)
    }

    /// Asks that it become `to`: more, less, or something else. It keeps what it has until it gets the rest.
    ///
    /// Cancel safe: dropping the future withdraws the conversion, and the hold is what it was; only what a granted
    /// conversion gave up is gone. Nothing happens before the first poll.
    ///
    /// # Errors
    /// From the awaited future: [`AcquireError::WouldDeadlock`] where another holder converts too and each waits for
    /// the other, [`AcquireError::Refused`] for more than there is. After these it holds what it held.
    /// [`AcquireError::SessionLost`] where the hold was lost.
    pub const fn convert(&mut self, to: T::Level) -> Convert<'_, T, R> {
        Convert {
            held: self,
            to,
            patience: Patience::Forever,
            state: Progress::New,
        }
    }

    /// Becomes what it has in common with `keep`; the rest is free at once. Its fencing token may rise.
    ///
    /// What was lost has nothing to give up.
    pub fn reduce(&mut self, keep: &T::Credit) {
        if let Some(fence) = self.resource.reduce(self.token, keep) {
            self.fence = fence;
        }
    }

    /// Gives what it has in common with `part` a hold of its own, with the same fencing token. This one has the rest.
    ///
    /// Of a hold that was lost both parts are lost.
    ///
    /// # Panics
    /// If it is a member of a group: what it has is not its own.
    pub fn split(&mut self, part: &T::Credit) -> Self
    where
        R: Clone,
    {
        self.assert_own();
        let token = self.resource.split(self.token, part);
        Self::new(self.resource.clone(), token, self.fence)
    }

    /// Takes in another hold of the same resource. The fencing token is the larger one then, or a new one where
    /// both together exclude others and the one with the larger did not.
    ///
    /// # Errors
    /// The other hold, where it is of another resource, where one of the two was lost or is of a group, where they
    /// did not promise to give way within the same time, or where the loan has no fencing number left for the moment.
    /// Then both are as they were.
    pub fn merge(&mut self, mut other: Self) -> Result<(), Self> {
        let is_same = core::ptr::eq(&raw const *self.resource, &raw const *other.resource);
        if !is_same {
            return Err(other);
        }
        match self.resource.merge(self.token, other.token) {
            Some(fence) => {
                self.fence = fence;
                other.is_handed_on = true;
                Ok(())
            }
            None => Err(other),
        }
    }

    /// Leaves the hold to the node: it stays until [`Resource::give_back`], or until it is lost with the lease.
    /// All that one node keeps of a resource adds up.
    ///
    /// # Errors
    /// Why it was lost, if it was.
    ///
    /// # Panics
    /// If it is a member of a group: what it has is not its own.
    pub fn keep(mut self) -> Result<(), LostReason> {
        self.assert_own();
        self.resource.keep(self.token)?;
        self.is_handed_on = true;
        Ok(())
    }

    /// Before anything has changed: a panic in the middle would leave half of it.
    fn assert_own(&self) {
        let is_shared = self.resource.is_shared(self.token);
        assert!(!is_shared, "what a member of a group has is not its own");
    }
}

/// The future of [`Held::convert`].
#[must_use = "futures do nothing unless polled"]
pub struct Convert<'a, T: ResourceType, R: Deref<Target = Resource<T>>> {
    held: &'a mut Held<T, R>,
    to: T::Level,
    patience: Patience,
    state: Progress<T::Credit>,
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Convert<'_, T, R> {
    /// Waits no longer than that; then the hold is what it was.
    pub const fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }
}

enum Progress<C> {
    Done,
    New,
    /// What the hold was, and since when it waits.
    Waiting(C, Time),
}

// Nothing in it is pinned.
impl<T: ResourceType, R: Deref<Target = Resource<T>>> Unpin for Convert<'_, T, R> {}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Future for Convert<'_, T, R> {
    type Output = Result<(), AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            held,
            to,
            patience,
            state,
        } = &mut *self;
        let resource = &*held.resource;
        let now = || resource.shared().host.now();
        let (poll, waited) = match state {
            Progress::Done => panic!("a finished future is not polled again"),
            Progress::New => {
                let from = resource.credit_of(held.token);
                let poll = resource.convert(held.token, to, *patience, cx.waker());
                *state = Progress::Waiting(from, now());
                (poll, Duration::ZERO)
            }
            Progress::Waiting(_, since) => {
                let poll = resource.poll_converted(held.token, cx.waker());
                (poll, now().since(*since))
            }
        };
        let Poll::Ready(outcome) = poll else {
            return Poll::Pending;
        };
        *state = Progress::Done;
        let outcome = outcome.map_err(|why| explain(resource, why, waited));
        Poll::Ready(outcome.map(|fence| held.fence = fence))
    }
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Drop for Convert<'_, T, R> {
    fn drop(&mut self) {
        let Self { held, state, .. } = self;
        if let Progress::Waiting(from, _) = state
            && let Some(fence) = held.resource.withdraw(held.token, from)
        {
            held.fence = fence;
        }
    }
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> fmt::Debug for Convert<'_, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Convert")
            .field("held", &self.held)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}
