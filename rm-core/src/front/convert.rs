//! Holds that change while they last: converted, reduced, split, merged, or left to the node.
//!
//! **No gap.** A hold that converts keeps what it has until it gets the rest, so nobody comes between. Conversions
//! go before new requests. Of two that wait for each other the younger is denied at once, and holds what it held.
//!
//! **Cancellation.** Dropping a [`Convert`] withdraws the conversion, and the hold is what it was before; what was
//! granted and not seen goes back. One that has the hold itself then releases it.

use core::borrow::{Borrow, BorrowMut};
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use super::acquire::{AcquireError, Held, explain};
use super::ask::Patience;
use super::resource::{Claim, Resource};
use super::trace::Watched;
use crate::credit::Credit;
use crate::error::LostReason;
use crate::id::Token;
use crate::resource::ResourceType;
use crate::time::Time;

/// Why a hold that others share does not convert.
const SHARED: &str = "other guards share the hold: drop them first";

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Held<T, R> {
    /// What it holds. Nothing, once it was lost.
    #[must_use]
    pub fn credit(&self) -> T::Credit {
        self.resource.credit_of(self.claim)
    }

    /// Asks that it become `to`: more, less, or something else. It keeps what it has until it gets the rest.
    ///
    /// Cancel safe: dropping the future withdraws the conversion, and the hold is what it was; only what a granted
    /// conversion gave up is gone. Nothing happens before the first poll.
    ///
    /// # Errors
    /// From the awaited future: [`AcquireError::WouldDeadlock`] where another holder converts too and each waits for
    /// the other, [`AcquireError::Refused`] for more than there is, [`AcquireError::BadRequest`] where it shares its hold.
    /// After these it holds what it held.
    /// [`AcquireError::SessionLost`] where the hold was lost.
    pub const fn convert(&mut self, to: T::Level) -> Convert<T, R, &mut Self> {
        Convert::new(self, to)
    }

    /// As [`convert`](Self::convert), in a future that has the hold: [`Convert::into_held`] gives it back. Dropping the
    /// future releases the hold.
    ///
    /// # Errors
    /// As [`convert`](Self::convert), from the awaited future.
    pub const fn into_convert(self, to: T::Level) -> Convert<T, R, Self> {
        Convert::new(self, to)
    }

    /// Becomes what it has in common with `keep`; the rest is free at once. Its fencing token may rise.
    ///
    /// What was lost has nothing to give up. Guards that [share](Self::share) it have the same left.
    ///
    /// # Panics
    /// If it came by [`Door::Shared`](super::Door::Shared), and `keep` is less than that.
    pub fn reduce(&mut self, keep: &T::Credit) {
        let token = match (self.own(), self.claim) {
            (Some(token), _) | (None, Claim::Slot(token)) => token,
            (None, Claim::Gate(_)) => {
                assert!(
                    keep.covers(&self.credit()),
                    "what passed the gate beside others is theirs, too"
                );
                return;
            }
        };
        if let Some(fence) = self.resource.reduce(token, keep) {
            self.fence = fence;
        }
    }

    /// Gives what it has in common with `part` a hold of its own, with the same fencing token. This one has the rest.
    ///
    /// Of a hold that was lost both parts are lost.
    ///
    /// # Panics
    /// If it is a member of a group, or shared: what it has is not its own.
    pub fn split(&mut self, part: &T::Credit) -> Self
    where
        R: Clone,
    {
        let token = self.expect_own();
        let token = self.resource.split(token, part);
        Self::new(self.resource.clone(), Claim::Slot(token), self.fence)
    }

    /// Takes in another hold of the same resource. The fencing token is the larger one then, or a new one where
    /// both together exclude others and the one with the larger did not.
    ///
    /// # Errors
    /// The other hold, where it is of another resource, where one of the two was lost, is shared or is of a group, where they
    /// did not promise to give way within the same time, or where the loan has no fencing number left for the moment.
    /// Then both are as they were.
    pub fn merge(&mut self, mut other: Self) -> Result<(), Self> {
        let is_same = core::ptr::eq(&raw const *self.resource, &raw const *other.resource);
        if !is_same {
            return Err(other);
        }
        let (Some(into), Some(from)) = (self.own(), other.own()) else {
            return Err(other);
        };
        match self.resource.merge(into, from) {
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
    /// If it is a member of a group, or shared: what it has is not its own.
    pub fn keep(mut self) -> Result<(), LostReason> {
        let token = self.expect_own();
        self.resource.keep(token)?;
        self.is_handed_on = true;
        Ok(())
    }

    /// Its token, if nobody shares its hold. One that came by the gate has a slot from here on.
    fn own(&mut self) -> Option<Token> {
        let token = self.resource.own(self.claim)?;
        self.claim = Claim::Slot(token);
        Some(token)
    }

    /// Before anything has changed: a panic in the middle would leave half of it.
    fn expect_own(&mut self) -> Token {
        let own = self
            .own()
            .filter(|&token| !self.resource.is_of_group(token));
        own.expect("what is shared, or a group's, is not its own")
    }
}

/// The future of [`Held::convert`] and [`Held::into_convert`]; `H` is how it has the hold.
#[must_use = "futures do nothing unless polled"]
pub struct Convert<T, R, H>
where
    T: ResourceType,
    R: Deref<Target = Resource<T>>,
    H: BorrowMut<Held<T, R>>,
{
    /// There until it is taken back.
    held: Option<H>,
    to: T::Level,
    patience: Patience,
    state: Progress<T::Credit>,
    /// Who listens or counts, where anybody does.
    watched: Option<Box<Watched>>,
    refers: PhantomData<fn() -> R>,
}

impl<T, R, H> Convert<T, R, H>
where
    T: ResourceType,
    R: Deref<Target = Resource<T>>,
    H: BorrowMut<Held<T, R>>,
{
    const fn new(held: H, to: T::Level) -> Self {
        Self {
            held: Some(held),
            to,
            patience: Patience::Forever,
            state: Progress::New,
            watched: None,
            refers: PhantomData,
        }
    }

    /// Waits no longer than that; then the hold is what it was.
    pub const fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// The hold, as it is now: a conversion that still waits is withdrawn.
    pub fn into_held(mut self) -> H {
        self.withdraw();
        self.held.take().expect("only this takes it")
    }

    fn withdraw(&mut self) {
        if let Progress::Waiting(token, from, since) = &self.state
            && let Some(held) = &mut self.held
        {
            let held = held.borrow_mut();
            if let Some(fence) = held.resource.withdraw(*token, from) {
                held.fence = fence;
            }
            if let Some(watched) = self.watched.take() {
                let now = held.resource.shared().host.now();
                watched.on_cancelled(&held.resource, now.since(*since));
            }
        }
        self.state = Progress::Done;
    }
}

enum Progress<C> {
    Done,
    New,
    /// Its token, what the hold was, and since when it waits.
    Waiting(Token, C, Time),
}

// Nothing in it is pinned.
impl<T, R, H> Unpin for Convert<T, R, H>
where
    T: ResourceType,
    R: Deref<Target = Resource<T>>,
    H: BorrowMut<Held<T, R>>,
{
}

impl<T, R, H> Future for Convert<T, R, H>
where
    T: ResourceType,
    R: Deref<Target = Resource<T>>,
    H: BorrowMut<Held<T, R>>,
{
    type Output = Result<(), AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let held = this.held.as_mut().expect("only `into_held` takes it");
        let held = held.borrow_mut();
        let (poll, waited) = match &this.state {
            Progress::Done => panic!("a finished future is not polled again"),
            Progress::New => {
                if let Claim::Slot(token) = held.claim
                    && let Some(fence) = held.resource.convert_at_once(token, &this.to)
                {
                    this.state = Progress::Done;
                    held.fence = fence;
                    return Poll::Ready(Ok(()));
                }
                let Some(token) = held.own() else {
                    this.state = Progress::Done;
                    return Poll::Ready(Err(AcquireError::BadRequest { why: SHARED }));
                };
                let resource = &*held.resource;
                let from = resource.credit_of(held.claim);
                this.watched = Watched::convert(resource, &this.to).map(Box::new);
                let poll = resource.convert(token, &this.to, this.patience, cx.waker());
                this.state = Progress::Waiting(token, from, resource.shared().host.now());
                (poll, Duration::ZERO)
            }
            Progress::Waiting(token, _, since) => {
                let resource = &*held.resource;
                let poll = resource.poll_converted(*token, cx.waker());
                (poll, resource.shared().host.now().since(*since))
            }
        };
        let Poll::Ready(outcome) = poll else {
            return Poll::Pending;
        };
        this.state = Progress::Done;
        let watched = this.watched.take();
        Poll::Ready(match outcome {
            Ok(fence) => {
                held.fence = fence;
                if let Some(watched) = watched {
                    watched.on_granted(&held.resource, waited, fence, None);
                }
                Ok(())
            }
            Err(why) => {
                let error = explain(&held.resource, why, waited);
                if let Some(watched) = watched {
                    watched.on_failed(&held.resource, waited, &error);
                }
                Err(error)
            }
        })
    }
}

impl<T, R, H> Drop for Convert<T, R, H>
where
    T: ResourceType,
    R: Deref<Target = Resource<T>>,
    H: BorrowMut<Held<T, R>>,
{
    fn drop(&mut self) {
        self.withdraw();
    }
}

impl<T, R, H> fmt::Debug for Convert<T, R, H>
where
    T: ResourceType,
    R: Deref<Target = Resource<T>>,
    H: BorrowMut<Held<T, R>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Convert")
            .field("held", &self.held.as_ref().map(Borrow::borrow))
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}
