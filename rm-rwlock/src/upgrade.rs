//! Guards that change their mode: up by a request, down at once.
//!
//! The mode is in the guard's type, so a change consumes the guard and makes another around the same hold. Nobody comes
//! in between: a hold keeps what it has until it gets the rest, and gives up what it no longer needs in one step.
//!
//! **Fairness.** An upgrade goes before every new request. It waits for the readers that are there, and none come
//! after it has asked. Only one guard of a lock is upgradable, so no two upgrades wait for each other.
//!
//! **Cancellation.** The future of an upgrade has the guard. Dropping it withdraws the upgrade and releases the
//! hold; who wants to keep it sets a timeout, and finds the guard in the error.

use core::fmt;
use core::future::{Future, IntoFuture};
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::time::Instant;

use rm_core::front::{AcquireError, Convert, Held, Resource, block_on};
use thiserror::Error;

use crate::credit::{RwCredit, RwLockType};
use crate::guard::Guard;
use crate::mode::{LockMode, Mode, Read, Upgradable, Write};
use crate::request::Wait;

impl<R: Deref<Target = Resource<RwLockType>>> Guard<Upgradable, R> {
    /// Asks that it become a writer, as soon as the readers that are there now have let go. Nobody writes in between:
    /// what it has read stays true.
    ///
    /// ```
    /// # use rm_rwlock::doc::{block_on, domain};
    /// # use rm_rwlock::RwLock;
    /// # block_on(async {
    /// # let lock = RwLock::new(&domain(), "volumes/42");
    /// let reader = lock.upgradable_read().await?;
    /// if reader.value().is_ok_and(|value| value.is_none()) {
    ///     let writer = reader.upgrade().await?;
    ///     writer.set_value(b"size=10").expect("short, and just granted");
    /// }
    /// # Ok::<(), rm_rwlock::AcquireError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// A plain reader has no upgrade: two of them that both wanted one would wait for each other for ever.
    ///
    /// ```compile_fail,E0599
    /// # use rm_rwlock::doc::{block_on, domain};
    /// # use rm_rwlock::RwLock;
    /// # block_on(async {
    /// # let lock = RwLock::new(&domain(), "volumes/42");
    /// let reader = lock.read().await.unwrap();
    /// let writer = reader.upgrade().await.unwrap();
    /// # })
    /// ```
    ///
    /// Dropping the future withdraws the upgrade and **releases the guard**.
    ///
    /// # Errors
    /// [`UpgradeError`], from the awaited request: it gives the guard back, which still reads, unless the guard was
    /// lost.
    pub const fn upgrade(self) -> Upgrade<R> {
        Upgrade {
            guard: self,
            wait: Wait::Forever,
        }
    }

    /// Asks that it become a writer, if no reader is in the way. It may ask the cluster. As
    /// [`upgrade`](Self::upgrade).
    ///
    /// # Errors
    /// [`UpgradeError`] with [`AcquireError::Busy`] where somebody reads, and others, from the awaited request.
    pub const fn try_upgrade(self) -> Upgrade<R> {
        Upgrade {
            guard: self,
            wait: Wait::Never,
        }
    }

    /// Becomes a plain reader at once; another may be upgradable then.
    pub fn downgrade(self) -> Guard<Read, R> {
        reduced(self.into_held(), &RwCredit::READ)
    }
}

impl<R: Deref<Target = Resource<RwLockType>>> Guard<Write, R> {
    /// Becomes a reader at once. Nobody writes in between, and waiting readers come in.
    ///
    /// The reader's fencing token is larger than the writer's was.
    ///
    /// ```
    /// # use rm_rwlock::doc::{block_on, domain};
    /// # use rm_rwlock::RwLock;
    /// # block_on(async {
    /// # let lock = RwLock::new(&domain(), "volumes/42");
    /// let writer = lock.write().await?;
    /// let reader = writer.downgrade();
    /// let another = lock.try_read().await?;
    /// # drop((reader, another));
    /// # Ok::<(), rm_rwlock::AcquireError>(())
    /// # }).unwrap();
    /// ```
    pub fn downgrade(self) -> Guard<Read, R> {
        reduced(self.into_held(), &RwCredit::READ)
    }

    /// Becomes an upgradable reader at once: waiting readers come in, and it can write again later. Nobody else
    /// writes in between.
    pub fn downgrade_to_upgradable(self) -> Guard<Upgradable, R> {
        reduced(self.into_held(), &RwCredit::UPGRADABLE)
    }
}

fn reduced<M, R>(mut held: Held<RwLockType, R>, keep: &RwCredit) -> Guard<M, R>
where
    M: Mode,
    R: Deref<Target = Resource<RwLockType>>,
{
    held.reduce(keep);
    Guard::new(held)
}

/// An upgrade that was not asked for yet: set how long it may wait, then await it, or block a thread on it.
#[derive(Debug)]
#[must_use = "an upgrade does nothing unless awaited, and has the guard: dropping it releases the lock"]
pub struct Upgrade<R: Deref<Target = Resource<RwLockType>>> {
    guard: Guard<Upgradable, R>,
    wait: Wait,
}

impl<R: Deref<Target = Resource<RwLockType>>> Upgrade<R> {
    /// Gives up after so long, counted from the first poll; the guard then comes back in the error. Of several
    /// timeouts and deadlines the last counts.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.wait = self.wait.within(timeout);
        self
    }

    /// Gives up at that moment; the guard then comes back in the error. Of several timeouts and deadlines the last
    /// counts.
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.wait = self.wait.until(deadline);
        self
    }

    /// Upgrades, and parks this thread until that is decided: as [`Request::blocking`](crate::Request::blocking).
    ///
    /// # Errors
    /// As the awaited upgrade.
    pub fn blocking(self) -> Result<Guard<Write, R>, UpgradeError<R>> {
        block_on(self.into_future())
    }
}

impl<R: Deref<Target = Resource<RwLockType>>> IntoFuture for Upgrade<R> {
    type Output = Result<Guard<Write, R>, UpgradeError<R>>;
    type IntoFuture = Upgrading<R>;

    fn into_future(self) -> Upgrading<R> {
        let held = self.guard.into_held();
        let to = LockMode::Write.ask(held.resource().capital());
        Upgrading {
            wait: self.wait,
            convert: Some(held.into_convert(to)),
            is_asked: false,
        }
    }
}

/// The future of an [`Upgrade`]. Dropping it withdraws the upgrade and releases the guard.
#[must_use = "futures do nothing unless polled"]
pub struct Upgrading<R: Deref<Target = Resource<RwLockType>>> {
    wait: Wait,
    convert: Option<Convert<RwLockType, R, Held<RwLockType, R>>>,
    is_asked: bool,
}

impl<R: Deref<Target = Resource<RwLockType>>> Future for Upgrading<R> {
    type Output = Result<Guard<Write, R>, UpgradeError<R>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            wait,
            convert,
            is_asked,
        } = &mut *self;
        if !core::mem::replace(is_asked, true) {
            // Its time begins to run now.
            *convert = convert
                .take()
                .map(|convert| convert.patience(wait.patience()));
        }
        let asking = convert
            .as_mut()
            .expect("a finished future is not polled again");
        let outcome = ready!(Pin::new(asking).poll(cx));
        let held = convert.take().expect("it was there above").into_held();
        Poll::Ready(match outcome {
            Ok(()) => Ok(Guard::new(held)),
            Err(why) => Err(UpgradeError {
                guard: Guard::new(held),
                why,
            }),
        })
    }
}

// Nothing in it is pinned.
impl<R: Deref<Target = Resource<RwLockType>>> Unpin for Upgrading<R> {}

impl<R: Deref<Target = Resource<RwLockType>>> fmt::Debug for Upgrading<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upgrading").field(&self.convert).finish()
    }
}

/// An upgrade that failed, with the guard that asked for it.
#[derive(Debug, Error)]
#[error("not upgraded: {why}")]
#[expect(clippy::exhaustive_structs, reason = "to be taken apart")]
pub struct UpgradeError<R: Deref<Target = Resource<RwLockType>>> {
    /// The guard. It reads as before, unless it was lost.
    pub guard: Guard<Upgradable, R>,
    /// Why.
    pub why: AcquireError,
}

impl<R: Deref<Target = Resource<RwLockType>>> UpgradeError<R> {
    /// The guard. It reads as before, unless it was lost.
    pub fn into_guard(self) -> Guard<Upgradable, R> {
        self.guard
    }
}

/// For callers that give up with `?`: drops the guard.
impl<R: Deref<Target = Resource<RwLockType>>> From<UpgradeError<R>> for AcquireError {
    fn from(error: UpgradeError<R>) -> Self {
        error.why
    }
}
