//! A request: what is set before it is made, and the future that it becomes.
//!
//! **Size.** A request is what it refers to, how long it waits, and a pointer for what is rarely said (label, priority,
//! group, promise). So the one that says none of these is a few words, and allocates nothing.
//!
//! **Cancellation.** Nothing happens before the first poll. Dropping the future withdraws the request; where the grant
//! came meanwhile, it is released and stays cached here.

use core::future::{Future, IntoFuture};
use core::marker::PhantomData;
use core::mem;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::time::Instant;

use rm_core::front::{Acquire, AcquireError, Ask, Held, Options, Patience, Resource, block_on};
use rm_core::id::GroupId;
use rm_core::trace::TraceContext;

use crate::credit::RwLockType;
use crate::guard::Guard;
use crate::mode::Mode;
use crate::nesting::Site;

/// How long a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As long as it takes.
    Forever,
    /// It waits for no holder and no older request.
    Never,
    /// So long, from the first poll on.
    Within(Duration),
    /// Until then.
    Until(Instant),
}

impl Wait {
    /// The same, but no longer than `timeout`. A `try` stays one.
    pub(crate) const fn within(self, timeout: Duration) -> Self {
        match self {
            Self::Never => Self::Never,
            Self::Forever | Self::Within(_) | Self::Until(_) => Self::Within(timeout),
        }
    }

    /// The same, but not after `deadline`. A `try` stays one.
    pub(crate) const fn until(self, deadline: Instant) -> Self {
        match self {
            Self::Never => Self::Never,
            Self::Forever | Self::Within(_) | Self::Until(_) => Self::Until(deadline),
        }
    }

    /// The same from now on, at the first poll.
    #[inline]
    pub(crate) fn patience(self) -> Patience {
        match self {
            Self::Forever => Patience::Forever,
            Self::Never => Patience::Try,
            Self::Within(timeout) => Patience::AtMost(timeout),
            Self::Until(deadline) => {
                Patience::AtMost(deadline.saturating_duration_since(Instant::now()))
            }
        }
    }
}

/// A request that has not been made yet: set what it needs, then await it, or block a thread on it.
#[derive(Debug)]
#[must_use = "a request does nothing unless awaited"]
pub struct Request<M: Mode, R: Deref<Target = Resource<RwLockType>>> {
    resource: Result<R, Box<AcquireError>>,
    wait: Wait,
    options: Option<Box<Options>>,
    site: Site,
    mode: PhantomData<M>,
}

impl<M: Mode, R: Deref<Target = Resource<RwLockType>>> Request<M, R> {
    #[inline]
    #[track_caller]
    pub(crate) const fn new(resource: Result<R, Box<AcquireError>>, wait: Wait) -> Self {
        Self::at(resource, wait, Site::here())
    }

    /// A request that was made elsewhere.
    #[inline]
    pub(crate) const fn at(resource: Result<R, Box<AcquireError>>, wait: Wait, site: Site) -> Self {
        Self {
            resource,
            wait,
            options: None,
            site: match wait {
                // It waits for nobody.
                Wait::Never => site.silent(),
                Wait::Forever | Wait::Within(_) | Wait::Until(_) => site,
            },
            mode: PhantomData,
        }
    }

    /// Gives up after so long, counted from the first poll. Of several timeouts and deadlines the last counts. A
    /// `try` does not wait anyway.
    ///
    /// What is cached here is granted even with a timeout of zero.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.wait = self.wait.within(timeout);
        self
    }

    /// Gives up at that moment: one deadline for several requests. Of several timeouts and deadlines the last counts.
    /// A `try` does not wait anyway.
    ///
    /// What is left is counted at the first poll. From then on the node's clock decides, which may run on while the
    /// machine sleeps, where an [`Instant`] may stand.
    ///
    /// ```
    /// # use rm_rwlock::doc::{block_on, domain};
    /// # use rm_rwlock::RwLock;
    /// use std::time::{Duration, Instant};
    ///
    /// # block_on(async {
    /// # let (source, target) = (RwLock::new(&domain(), "a"), RwLock::new(&domain(), "b"));
    /// let deadline = Instant::now() + Duration::from_secs(5);
    /// let from = source.read().deadline(deadline).await?;
    /// let to = target.write().deadline(deadline).await?;
    /// # drop((from, to));
    /// # Ok::<(), rm_rwlock::AcquireError>(())
    /// # }).unwrap();
    /// ```
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.wait = self.wait.until(deadline);
        self
    }

    /// What the request is for, shown to people who ask who holds or waits. At most 128 bytes are kept.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.options().label = Some(label.into());
        self
    }

    /// Where the request belongs in a distributed trace; else it is where the process's
    /// [source](rm_core::front::trace::set_source) says. Those who wait for the guard learn it, and it of them
    /// ([`Guard::wanted`](crate::guard::Guard::wanted)).
    ///
    /// Its guard has a hold of its own, which costs what a [`label`](Self::label) costs.
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.options().trace = Some(trace);
        self
    }

    /// Goes before requests that were made up to so long before it; at most as long as the node allows, 1 s unless set
    /// otherwise. Nothing else changes the order, so nobody waits longer than that for others' priority.
    pub fn priority(mut self, priority: Duration) -> Self {
        self.options().priority = priority;
        self
    }

    /// Makes it a member of a group: members on this node share one hold, and do not wait for each other. Members on
    /// different nodes do; for them the group is a name and nothing more.
    ///
    /// Members read and write side by side, so what keeps them apart is up to the transaction that they are part
    /// of. A member that asks for more than the group has goes before new requests.
    pub fn group(mut self, group: GroupId) -> Self {
        self.options().group = Some(group);
        self.site = self.site.silent();
        self
    }

    /// Promises to give up the guard within this time after somebody waits for the lock: see
    /// [`Guard::wanted`](crate::guard::Guard::wanted). If it is not given up by then, the guard is lost.
    pub fn gives_way(mut self, within: Duration) -> Self {
        self.options().gives_way = Some(within);
        self
    }

    /// Makes the request and parks this thread until it is decided. It needs no runtime: whoever releases the lock
    /// wakes the thread.
    ///
    /// Not for a task of an async runtime: it would hold up every other task of its thread, perhaps the one that is
    /// to let go.
    ///
    /// ```
    /// use rm_rwlock::RwLock;
    /// # let domain = rm_rwlock::doc::domain();
    ///
    /// let lock = RwLock::new(&domain, "volumes/42");
    /// let writer = lock.write().blocking()?;
    /// std::thread::scope(|scope| {
    ///     let reading = scope.spawn(|| lock.read().blocking().map(|reader| reader.fence()));
    ///     let fence = writer.fence();
    ///     drop(writer);
    ///     assert!(reading.join().unwrap()? > fence);
    ///     Ok::<(), rm_rwlock::AcquireError>(())
    /// })?;
    /// # Ok::<(), rm_rwlock::AcquireError>(())
    /// ```
    ///
    /// # Errors
    /// As the awaited request.
    pub fn blocking(self) -> Result<Guard<M, R>, AcquireError> {
        block_on(self.into_future())
    }

    fn options(&mut self) -> &mut Options {
        self.options.get_or_insert_default()
    }

    /// What is cached and nobody waits for is had at once; else the request to the lock. It is made at the first poll,
    /// since then its time begins to run.
    #[inline(always)]
    fn pass_or_ask(self) -> Result<Held<RwLockType, R>, Asked<R>> {
        let mut resource = self.resource.map_err(Asked::Refused)?;
        if self.options.is_none()
            && let Some(door) = M::DOOR
        {
            match Held::pass(resource, door) {
                Ok(held) => return Ok(held),
                Err(back) => resource = back,
            }
        }
        let ask = Ask {
            level: M::ask(resource.capital()),
            patience: self.wait.patience(),
            options: self.options,
            door: M::DOOR,
        };
        Err(Asked::Lock(Acquire::new(resource, ask)))
    }
}

/// What becomes of a request that is not served at once.
enum Asked<R: Deref<Target = Resource<RwLockType>>> {
    Lock(Acquire<RwLockType, R>),
    Refused(Box<AcquireError>),
}

impl<M: Mode, R: Deref<Target = Resource<RwLockType>>> IntoFuture for Request<M, R> {
    type Output = Result<Guard<M, R>, AcquireError>;
    type IntoFuture = Acquiring<M, R>;

    #[inline]
    fn into_future(self) -> Acquiring<M, R> {
        Acquiring {
            site: self.site,
            state: State::New(self),
        }
    }
}

/// The future of a [`Request`]. Cancel safe: dropping it withdraws the request, and a grant that it did not see is
/// released; asking again means a new place in the order.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Acquiring<M: Mode, R: Deref<Target = Resource<RwLockType>>> {
    state: State<M, R>,
    site: Site,
}

/// With a tag of its own: where it lay in a niche of a field, a cached request took eight instructions more.
#[derive(Debug)]
#[repr(u8)]
enum State<M: Mode, R: Deref<Target = Resource<RwLockType>>> {
    Asked(Acquire<RwLockType, R>),
    Done,
    New(Request<M, R>),
}

impl<M: Mode, R: Deref<Target = Resource<RwLockType>>> Acquiring<M, R> {
    /// The first poll: what is cached is had without the request ever being stored.
    #[inline(always)]
    fn start(&mut self, cx: &mut Context<'_>) -> Poll<Result<Guard<M, R>, AcquireError>> {
        let State::New(request) = mem::replace(&mut self.state, State::Done) else {
            panic!("a finished future is not polled again");
        };
        match request.pass_or_ask() {
            Ok(held) => Poll::Ready(Ok(self.site.granted(held, cx))),
            Err(asked) => self.ask(asked, cx),
        }
    }

    #[inline(never)]
    fn ask(
        &mut self,
        asked: Asked<R>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Guard<M, R>, AcquireError>> {
        let mut acquire = match asked {
            Asked::Lock(acquire) => acquire,
            Asked::Refused(error) => return Poll::Ready(Err(*error)),
        };
        match Pin::new(&mut acquire).poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome.map(|held| self.site.granted(held, cx))),
            Poll::Pending => {
                self.site
                    .waits(M::MODE, acquire.resource().map(|lock| &**lock), cx);
                self.state = State::Asked(acquire);
                Poll::Pending
            }
        }
    }
}

impl<M: Mode, R: Deref<Target = Resource<RwLockType>>> Future for Acquiring<M, R> {
    type Output = Result<Guard<M, R>, AcquireError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { state, site } = &mut *self;
        let State::Asked(acquire) = state else {
            return self.start(cx);
        };
        let Poll::Ready(outcome) = Pin::new(&mut *acquire).poll(cx) else {
            site.waits(M::MODE, acquire.resource().map(|lock| &**lock), cx);
            return Poll::Pending;
        };
        *state = State::Done;
        Poll::Ready(outcome.map(|held| site.granted(held, cx)))
    }
}

// Nothing in it is pinned.
impl<M: Mode, R: Deref<Target = Resource<RwLockType>>> Unpin for Acquiring<M, R> {}
