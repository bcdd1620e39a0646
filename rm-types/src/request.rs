//! A request of any type of this crate: set what it needs, then await it.
//!
//! **Cancellation.** A request is its future: dropping it withdraws the request. What was granted meanwhile stays
//! cached here. Asking again means a new place in the order.

use core::fmt;
use core::future::{Future, IntoFuture};
use core::marker::PhantomData;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::time::Instant;

use rm_core::front::{Acquire, AcquireError, Ask, Held, Patience, Resource, block_on};
use rm_core::resource::ResourceType;
use rm_core::trace::TraceContext;

/// What the types of this crate have in common.
pub trait Kind: ResourceType + sealed::Sealed {
    /// Whether one more request may be made here; it is asked just before.
    ///
    /// # Errors
    /// What is in the way.
    #[doc(hidden)]
    fn admit(resource: &Resource<Self>) -> Result<(), AcquireError> {
        let _ = resource;
        Ok(())
    }
}

/// What a granted request becomes: a guard, or what it took.
pub trait Outcome<T: Kind, R: Deref<Target = Resource<T>>>: Sized + sealed::Sealed {
    /// From the hold, and what was asked.
    ///
    /// # Errors
    /// Where it was lost meanwhile.
    #[doc(hidden)]
    fn granted(held: Held<T, R>, ask: T::Level) -> Result<Self, AcquireError>;
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// A request that has not been made yet: set what it needs, then await it for an `O`.
#[must_use = "a request does nothing unless awaited"]
pub struct Request<T: Kind, R, O> {
    wanted: Result<(R, T::Level), AcquireError>,
    /// The options; what it asks for stands above.
    ask: Ask<()>,
    /// Until when it waits, where that was said instead of for how long.
    deadline: Option<Instant>,
    outcome: PhantomData<fn() -> O>,
}

impl<T: Kind, R: Deref<Target = Resource<T>>, O: Outcome<T, R>> Request<T, R, O> {
    pub(crate) fn new(wanted: Result<(R, T::Level), AcquireError>, patience: Patience) -> Self {
        Self {
            wanted,
            ask: Ask::new(()).patience(patience),
            deadline: None,
            outcome: PhantomData,
        }
    }

    /// Gives up after so long, counted from the first poll. A `try` does not wait anyway.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.deadline = None;
        if self.ask.patience != Patience::Try {
            self.ask.patience = Patience::AtMost(timeout);
        }
        self
    }

    /// Gives up at `deadline`. A `try` does not wait anyway.
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// What the request is for, shown to people who ask who holds or waits. At most 128 bytes are kept.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.ask.options().label = Some(label.into());
        self
    }

    /// Where the request belongs in a distributed trace; else it is where the process's
    /// [source](rm_core::front::trace::set_source) says.
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.ask.options().trace = Some(trace);
        self
    }

    /// Goes before requests that were made up to so long before it; at most as long as the node allows, 1 s unless set
    /// otherwise. Nothing else changes the order, so nobody waits longer than that for others' priority.
    pub fn priority(mut self, priority: Duration) -> Self {
        self.ask.options().priority = priority;
        self
    }

    /// Promises to give up what it gets within this time after somebody waits for it. If it is not given up by then, it is
    /// lost. It is of no meaning for what is taken for good.
    pub fn gives_way(mut self, within: Duration) -> Self {
        self.ask.options().gives_way = Some(within);
        self
    }

    /// Makes the request and parks this thread until it is decided. It needs no runtime.
    ///
    /// Not for a task of an async runtime: see [`block_on`].
    ///
    /// ```
    /// # let domain = rm_types::doc::domain();
    /// let slots = rm_types::Semaphore::new(&domain, "render/slots", 4);
    /// let permit = slots.acquire(3).blocking()?;
    /// assert_eq!(permit.units(), 3);
    /// # Ok::<(), rm_types::AcquireError>(())
    /// ```
    ///
    /// # Errors
    /// As the awaited request.
    pub fn blocking(self) -> Result<O, AcquireError> {
        block_on(self.into_future())
    }

    /// How long it waits from now on, at the first poll.
    fn patience(&self) -> Patience {
        match (self.ask.patience, self.deadline) {
            (Patience::Try, _) => Patience::Try,
            (_, Some(deadline)) => {
                Patience::AtMost(deadline.saturating_duration_since(Instant::now()))
            }
            (patience, None) => patience,
        }
    }
}

impl<T: Kind, R, O> fmt::Debug for Request<T, R, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("wanted", &self.wanted.as_ref().map(|(_, credit)| credit))
            .field("ask", &self.ask)
            .finish()
    }
}

impl<T: Kind, R: Deref<Target = Resource<T>>, O: Outcome<T, R>> IntoFuture for Request<T, R, O> {
    type Output = Result<O, AcquireError>;
    type IntoFuture = Acquiring<T, R, O>;

    fn into_future(self) -> Acquiring<T, R, O> {
        Acquiring {
            progress: Progress::New(self),
        }
    }
}

/// The future of a [`Request`]. Cancel safe: dropping it withdraws the request.
#[must_use = "futures do nothing unless polled"]
pub struct Acquiring<T: Kind, R: Deref<Target = Resource<T>>, O: Outcome<T, R>> {
    progress: Progress<T, R, O>,
}

enum Progress<T: Kind, R: Deref<Target = Resource<T>>, O: Outcome<T, R>> {
    Done,
    New(Request<T, R, O>),
    Waiting(Acquire<T, R>, T::Level),
}

impl<T: Kind, R: Deref<Target = Resource<T>>, O: Outcome<T, R>> Future for Acquiring<T, R, O> {
    type Output = Result<O, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Progress::New(_) = self.progress
            && let Progress::New(request) = core::mem::replace(&mut self.progress, Progress::Done)
        {
            let patience = request.patience();
            let (resource, level) = request.wanted?;
            T::admit(&resource)?;
            let ask = request.ask.of(level.clone()).patience(patience);
            self.progress = Progress::Waiting(Acquire::new(resource, ask), level);
        }
        let Progress::Waiting(acquire, _) = &mut self.progress else {
            panic!("a finished future is not polled again");
        };
        let held = ready!(Pin::new(acquire).poll(cx));
        let Progress::Waiting(_, credit) = core::mem::replace(&mut self.progress, Progress::Done)
        else {
            unreachable!("it waited above");
        };
        Poll::Ready(held.and_then(|held| O::granted(held, credit)))
    }
}

// Nothing in it is pinned.
impl<T: Kind, R: Deref<Target = Resource<T>>, O: Outcome<T, R>> Unpin for Acquiring<T, R, O> {}

impl<T: Kind, R: Deref<Target = Resource<T>>, O: Outcome<T, R>> fmt::Debug for Acquiring<T, R, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.progress {
            Progress::Done => f.write_str("Done"),
            Progress::New(request) => request.fmt(f),
            Progress::Waiting(acquire, _) => acquire.fmt(f),
        }
    }
}
