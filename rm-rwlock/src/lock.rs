//! The lock's handle, and the requests one makes of it.
//!
//! **Fairness.** Requests are served in one order over the whole cluster, readers and writers alike.
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

use rm_core::front::{Acquire, AcquireError, Ask, Domain, Door, Handle, Held, Patience, Resource};
use rm_core::id::{GroupId, ResourceKey};

use crate::credit::{RwCredit, RwLockType};
use crate::guard::{Guard, ReadGuard, WriteGuard};

/// A mode of the lock: [`Read`] or [`Write`].
pub trait Mode: sealed::Sealed + fmt::Debug + Send + Sync + Unpin + 'static {
    /// By which door its requests pass the gate, where that is open.
    const DOOR: Door;

    /// What a request of this mode asks for, of a lock with that capital.
    fn ask(capital: &RwCredit) -> RwCredit;
}

/// Shared: any number at once, while there is no writer.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a name for a mode; there are no values"
)]
pub enum Read {}

/// Exclusive: one at a time, and no reader beside it.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a name for a mode; there are no values"
)]
pub enum Write {}

impl Mode for Read {
    const DOOR: Door = Door::Shared;

    fn ask(_: &RwCredit) -> RwCredit {
        RwCredit::READ
    }
}

impl Mode for Write {
    const DOOR: Door = Door::Sole;

    fn ask(capital: &RwCredit) -> RwCredit {
        *capital
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Read {}
    impl Sealed for super::Write {}
}

/// A handle to a lock, by its name. Cheap to clone; all handles of one name are the same lock.
#[derive(Clone, Debug)]
pub struct RwLock {
    // A name that is none shows at the first request: a handle itself cannot fail.
    resource: Result<Handle<RwLockType>, AcquireError>,
}

impl RwLock {
    /// The lock called `name`: 1 to 255 bytes, any bytes.
    ///
    /// A bad name shows at the first request, and so does a node that has as many resources as it may: then
    /// the handle stays refused, and a new one may do better later.
    ///
    /// # Panics
    /// If the domain has no RW locks registered.
    pub fn new(domain: &Domain, name: impl AsRef<[u8]>) -> Self {
        let key = ResourceKey::new(name.as_ref()).map_err(AcquireError::from);
        Self {
            resource: key.and_then(|key| domain.resource(&key)),
        }
    }

    /// Asks to read.
    ///
    /// Await it for a [`ReadGuard`], after setting [`timeout`](Request::timeout) or
    /// [`label`](Request::label) if wanted. Cancel safe: dropping the future withdraws the request.
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    pub fn read(&self) -> Request<Read, &Resource<RwLockType>> {
        Request::new(self.borrowed(), Patience::Forever)
    }

    /// Asks to write. As [`read`](Self::read).
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    pub fn write(&self) -> Request<Write, &Resource<RwLockType>> {
        Request::new(self.borrowed(), Patience::Forever)
    }

    /// Asks to read if that can be had without waiting for a holder or an older request.
    ///
    /// It may ask the cluster: for that it waits about one round trip, and at most two seconds for nodes that do
    /// not answer. Cancel safe.
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    pub fn try_read(&self) -> Request<Read, &Resource<RwLockType>> {
        Request::new(self.borrowed(), Patience::Try)
    }

    /// Asks to write if that can be had without waiting. As [`try_read`](Self::try_read).
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    pub fn try_write(&self) -> Request<Write, &Resource<RwLockType>> {
        Request::new(self.borrowed(), Patience::Try)
    }

    /// Reads if that needs no message and no wait.
    #[must_use]
    pub fn try_read_cached(&self) -> Option<ReadGuard<'_>> {
        self.cached()
    }

    /// Writes if that needs no message and no wait.
    #[must_use]
    pub fn try_write_cached(&self) -> Option<WriteGuard<'_>> {
        self.cached()
    }

    /// Asks to read; the guard keeps the lock's handle instead of borrowing it. As [`read`](Self::read).
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    pub fn read_owned(&self) -> Request<Read, Handle<RwLockType>> {
        Request::new(self.resource.clone(), Patience::Forever)
    }

    /// Asks to write; the guard keeps the lock's handle instead of borrowing it. As [`read`](Self::read).
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    pub fn write_owned(&self) -> Request<Write, Handle<RwLockType>> {
        Request::new(self.resource.clone(), Patience::Forever)
    }

    /// The lock's name, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&[u8]> {
        self.resource
            .as_ref()
            .ok()
            .map(|resource| resource.key().as_bytes())
    }

    /// The resource behind it, for those who look at books.
    #[must_use]
    pub fn resource(&self) -> Option<&Handle<RwLockType>> {
        self.resource.as_ref().ok()
    }

    fn borrowed(&self) -> Result<&Resource<RwLockType>, AcquireError> {
        self.resource.as_deref().map_err(Clone::clone)
    }

    fn cached<M: Mode>(&self) -> Option<Guard<M, &Resource<RwLockType>>> {
        let resource = self.resource.as_deref().ok()?;
        let ask = M::ask(resource.capital());
        Held::try_cached(resource, &ask, Some(M::DOOR), None).map(Guard::new)
    }
}

/// A request that has not been made yet: set what it needs, then await it.
#[derive(Debug)]
#[must_use = "a request does nothing unless awaited"]
pub struct Request<M: Mode, R: Deref<Target = Resource<RwLockType>>> {
    resource: Result<R, AcquireError>,
    /// The options; what it asks for follows from the mode and the lock.
    ask: Ask<()>,
    mode: PhantomData<M>,
}

impl<M: Mode, R: Deref<Target = Resource<RwLockType>>> Request<M, R> {
    fn new(resource: Result<R, AcquireError>, patience: Patience) -> Self {
        Self {
            resource,
            ask: Ask::new(()).patience(patience),
            mode: PhantomData,
        }
    }

    /// Gives up after so long, counted from the first poll. A `try` does not wait anyway.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if self.ask.patience != Patience::Try {
            self.ask.patience = Patience::AtMost(timeout);
        }
        self
    }

    /// What the request is for, shown to people who ask who holds or waits. At most 128 bytes are kept.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.ask.options().label = Some(label.into());
        self
    }

    /// Goes before requests that were made up to so long before it; at most as long as the node allows, 1 s unless set
    /// otherwise. Nothing else changes the order, so nobody waits longer than that for others' priority.
    pub fn priority(mut self, priority: Duration) -> Self {
        self.ask.options().priority = priority;
        self
    }

    /// Makes it a member of a group: members on this node share one hold, and do not wait for each other. Members on
    /// different nodes do; for them the group is a name and nothing more.
    ///
    /// Members read and write side by side, so what keeps them apart is up to the transaction that they are part
    /// of. A member that asks for more than the group has goes before new requests.
    pub fn group(mut self, group: GroupId) -> Self {
        self.ask.options().group = Some(group);
        self
    }

    /// Promises to give up the guard within this time after somebody waits for the lock: see
    /// [`Guard::wanted`](crate::guard::Guard::wanted). If it is not given up by then, the guard is lost.
    pub fn gives_way(mut self, within: Duration) -> Self {
        self.ask.options().gives_way = Some(within);
        self
    }
}

impl<M: Mode, R: Deref<Target = Resource<RwLockType>>> IntoFuture for Request<M, R> {
    type Output = Result<Guard<M, R>, AcquireError>;
    type IntoFuture = Acquiring<M, R>;

    fn into_future(self) -> Acquiring<M, R> {
        let Self {
            resource,
            ask,
            mode,
        } = self;
        let acquire = resource.map(|resource| {
            let level = M::ask(resource.capital());
            Acquire::new(resource, ask.of(level).door(M::DOOR))
        });
        Acquiring {
            acquire: acquire.map_err(Some),
            mode,
        }
    }
}

/// The future of a [`Request`]. Cancel safe: dropping it withdraws the request.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Acquiring<M: Mode, R: Deref<Target = Resource<RwLockType>>> {
    acquire: Result<Acquire<RwLockType, R>, Option<AcquireError>>,
    mode: PhantomData<M>,
}

impl<M: Mode, R: Deref<Target = Resource<RwLockType>>> Future for Acquiring<M, R> {
    type Output = Result<Guard<M, R>, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.acquire {
            Ok(acquire) => Poll::Ready(ready!(Pin::new(acquire).poll(cx)).map(Guard::new)),
            Err(error) => Poll::Ready(Err(error
                .take()
                .expect("a finished future is not polled again"))),
        }
    }
}

// Nothing in it is pinned.
impl<M: Mode, R: Deref<Target = Resource<RwLockType>>> Unpin for Acquiring<M, R> {}
