//! What a holder is told of those who wait and of its loss, and what a node is told of credit that leaves it.
//!
//! Notices and departures are told at the edge, in the order in which the owner decided, and to wakers that run after the lock.
//!
//! **Cancellation.** A future of these that is dropped changes nothing: what it did not report, the next one does.

use core::fmt;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use super::acquire::Held;
use super::resource::Resource;
use super::slots::Watch;
use crate::error::LostReason;
use crate::resource::ResourceType;
use crate::trace::TraceContext;

/// Somebody who waits for what a holder has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiter {
    /// The name of its node; empty where it is not known.
    pub node: String,
    /// What it called its request; empty if nothing.
    pub label: String,
    /// The mode it asks for, such as `write`; empty where it is not known.
    pub mode: String,
    /// How long it has waited, as well as this node can tell.
    pub waited: Duration,
    /// Where its request belongs in a distributed trace, if it said so.
    pub trace: Option<TraceContext>,
}

impl fmt::Display for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = if self.node.is_empty() {
            "a node"
        } else {
            &self.node
        };
        write!(f, "{node} has waited for {:.1?}", self.waited)?;
        if !self.mode.is_empty() {
            write!(f, " ({})", self.mode)?;
        }
        if !self.label.is_empty() {
            write!(f, " \"{}\"", self.label)?;
        }
        Ok(())
    }
}

/// The future of the next notice: [`Held::wanted`].
#[must_use = "futures do nothing unless polled"]
pub struct Wanted<'a, T: ResourceType, R: Deref<Target = Resource<T>>> {
    held: &'a Held<T, R>,
    watch: Option<Watch>,
}

impl<'a, T: ResourceType, R: Deref<Target = Resource<T>>> Wanted<'a, T, R> {
    pub(super) const fn new(held: &'a Held<T, R>) -> Self {
        Self { held, watch: None }
    }
}

// Nothing in it is pinned.
impl<T: ResourceType, R: Deref<Target = Resource<T>>> Unpin for Wanted<'_, T, R> {}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Drop for Wanted<'_, T, R> {
    fn drop(&mut self) {
        if let Some(watch) = self.watch {
            self.held.resource().unwatch(self.held.claim, watch);
        }
    }
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Future for Wanted<'_, T, R> {
    type Output = Result<Waiter, LostReason>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { held, watch } = &mut *self;
        held.resource()
            .poll_wanted(held.claim, &held.told, watch, cx.waker())
    }
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> fmt::Debug for Wanted<'_, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wanted").field(self.held).finish()
    }
}

/// The future of a loss: [`Held::lost`].
#[must_use = "futures do nothing unless polled"]
pub struct Lost<'a, T: ResourceType, R: Deref<Target = Resource<T>>> {
    held: &'a Held<T, R>,
    watch: Option<Watch>,
}

impl<'a, T: ResourceType, R: Deref<Target = Resource<T>>> Lost<'a, T, R> {
    pub(super) const fn new(held: &'a Held<T, R>) -> Self {
        Self { held, watch: None }
    }
}

// Nothing in it is pinned.
impl<T: ResourceType, R: Deref<Target = Resource<T>>> Unpin for Lost<'_, T, R> {}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Drop for Lost<'_, T, R> {
    fn drop(&mut self) {
        if let Some(watch) = self.watch {
            self.held.resource().unwatch(self.held.claim, watch);
        }
    }
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Future for Lost<'_, T, R> {
    type Output = LostReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LostReason> {
        let Self { held, watch } = &mut *self;
        held.resource().poll_lost(held.claim, watch, cx.waker())
    }
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> fmt::Debug for Lost<'_, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lost").field(self.held).finish()
    }
}

/// The future of credit that leaves a node: [`Resource::leaving`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Leaving<'a, T: ResourceType> {
    resource: &'a Resource<T>,
    /// How often credit had left when it was made.
    seen: u64,
    watch: Option<Watch>,
}

impl<'a, T: ResourceType> Leaving<'a, T> {
    pub(super) const fn new(resource: &'a Resource<T>, seen: u64) -> Self {
        Self {
            resource,
            seen,
            watch: None,
        }
    }
}

// Nothing in it is pinned.
impl<T: ResourceType> Unpin for Leaving<'_, T> {}

impl<T: ResourceType> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        if let Some(watch) = self.watch {
            self.resource.unwatch_leaving(watch);
        }
    }
}

impl<T: ResourceType> Future for Leaving<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            resource,
            seen,
            watch,
        } = &mut *self;
        resource.poll_leaving(*seen, watch, cx.waker())
    }
}
