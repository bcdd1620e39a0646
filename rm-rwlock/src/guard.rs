//! Guards: the right to read or write, until dropped or lost.

use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Arc;

use rm_core::error::LostReason;
use rm_core::front::{Handle, Held, Lost, Resource, Waiter};
use rm_core::value::{Value, WriteError};

use crate::credit::RwLockType;
use crate::mode::{Mode, Read, SharedMode, Upgradable, Write};
use crate::nesting::Reader;

/// The right to use the lock in mode `M`; `R` is how it refers to the lock.
///
/// Dropping it gives the right back: synchronously, without fail, without a runtime. The credit stays cached.
#[must_use = "dropping the guard releases the lock"]
pub struct Guard<M: Mode, R: Deref<Target = Resource<RwLockType>>> {
    /// First: the lock is no longer read when it is free.
    reader: Reader,
    held: Held<RwLockType, R>,
    mode: PhantomData<M>,
}

/// The future of a guard's loss.
pub(crate) type Loss<'a, R> = Lost<'a, RwLockType, R>;

/// The right to read, borrowing the lock's handle.
pub type ReadGuard<'a> = Guard<Read, &'a Resource<RwLockType>>;
/// The right to read, and to ask to write, borrowing the lock's handle.
pub type UpgradableGuard<'a> = Guard<Upgradable, &'a Resource<RwLockType>>;
/// The right to write, borrowing the lock's handle.
pub type WriteGuard<'a> = Guard<Write, &'a Resource<RwLockType>>;
/// The right to read, with a handle of its own.
pub type OwnedReadGuard = Guard<Read, Handle<RwLockType>>;
/// The right to read, and to ask to write, with a handle of its own.
pub type OwnedUpgradableGuard = Guard<Upgradable, Handle<RwLockType>>;
/// The right to write, with a handle of its own.
pub type OwnedWriteGuard = Guard<Write, Handle<RwLockType>>;

impl<M: Mode, R: Deref<Target = Resource<RwLockType>>> Guard<M, R> {
    #[inline]
    pub(crate) fn new(held: Held<RwLockType, R>) -> Self {
        Self::of_reader(held, Reader::NONE)
    }

    /// A guard whose task is to be remembered as a reader, if it is one.
    #[inline]
    pub(crate) const fn of_reader(held: Held<RwLockType, R>, reader: Reader) -> Self {
        Self {
            reader,
            held,
            mode: PhantomData,
        }
    }

    pub(crate) fn into_held(self) -> Held<RwLockType, R> {
        self.held
    }

    pub(crate) fn release_now(self) -> Result<(), LostReason> {
        self.why_lost().map_or(Ok(()), Err)
    }

    /// Why it was lost, if it was.
    pub(crate) fn why_lost(&self) -> Option<LostReason> {
        // Nearly always, and it leaves the gate open.
        if self.is_valid() {
            return None;
        }
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.loss()).poll(&mut cx) {
            Poll::Ready(why) => Some(why),
            Poll::Pending => None,
        }
    }

    /// The future of its loss.
    pub(crate) const fn loss(&self) -> Loss<'_, R> {
        self.held.lost()
    }

    pub(crate) fn resource(&self) -> &Resource<RwLockType> {
        self.held.resource()
    }

    /// The fencing token, never zero: larger than that of every conflicting hold that ended before this one
    /// began. A writer's is odd, a reader's even. That of an upgradable guard is odd too, as there is one at a time, though
    /// it only reads; the writer that it becomes has a larger one.
    ///
    /// Pass it to the store that the lock guards. The store keeps the highest token that *wrote*, and refuses a smaller
    /// one; reads leave that mark as it is. [`fencing`](crate::fencing) has this rule, and checkers for several stores.
    #[must_use]
    pub const fn fence(&self) -> u64 {
        self.held.fence()
    }

    /// Whether it may still be used, by this node's clock at this moment. Once it may not, it never may again.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.held.is_valid()
    }

    /// How long it may still be used if its lease is not extended; zero once it was lost; `None` where no
    /// lease bounds it, at the root's own process.
    #[must_use]
    pub fn valid_for(&self) -> Option<Duration> {
        self.held.valid_for()
    }

    /// Whether somebody waits for the lock because of this guard, as far as this node knows.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.held.is_wanted()
    }

    /// Waits until somebody waits for the lock because of this guard, and says who. Each is told once; the next call
    /// waits for the next.
    ///
    /// Cancel safe: dropping the future loses no notice.
    ///
    /// # Errors
    /// Why the guard was lost, if it is.
    pub async fn wanted(&self) -> Result<Waiter, LostReason> {
        self.held.wanted().await
    }

    /// The lock's value, as the last writer left it; `None`: none was written. It came with the right to hold, so
    /// reading it sends nothing and waits for nobody.
    ///
    /// Where a writer was lost, or the server started anew, the value is doubtful, and says so:
    ///
    /// ```
    /// # use rm_rwlock::doc::{block_on, domain};
    /// # use rm_rwlock::RwLock;
    /// # block_on(async {
    /// # let domain = domain();
    /// let lock = RwLock::new(&domain, "volumes/42");
    /// let writer = lock.write().await.unwrap();
    /// writer.set_value(b"size=10").unwrap();
    /// drop(writer);
    /// let reader = lock.read().await.unwrap();
    /// match reader.value().unwrap() {
    ///     Some(value) if !value.is_doubtful() => assert_eq!(&*value.bytes, b"size=10"),
    ///     Some(_) | None => println!("ask the volume itself"),
    /// }
    /// # })
    /// ```
    ///
    /// # Errors
    /// Why the guard was lost, if it was: others may have written since.
    pub fn value(&self) -> Result<Option<Arc<Value>>, LostReason> {
        self.held.value()
    }

    /// What the operator said who last took this lock away from this node by force: who, and why. `None` where nobody
    /// did, or it was long ago. Of interest when [`lost`](Self::lost) says [`LostReason::Revoked`].
    #[must_use]
    pub fn release_reason(&self) -> Option<Arc<str>> {
        self.held.release_reason()
    }

    /// Waits until the guard is lost, and says why. Never ends while it is valid.
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn lost(&self) -> LostReason {
        self.held.lost().await
    }

    /// Releases the lock, and says whether the guard was valid to the end. Where it was not, others may have had
    /// the lock while the work still went on.
    ///
    /// It never waits. Cancel safe: dropping the future releases the lock too, and nobody hears the answer.
    ///
    /// ```
    /// # use rm_rwlock::doc::{block_on, domain};
    /// # use rm_rwlock::RwLock;
    /// # block_on(async {
    /// # let lock = RwLock::new(&domain(), "volumes/42");
    /// let writer = lock.write().await.unwrap();
    /// match writer.release().await {
    ///     Ok(()) => println!("nobody else was here"),
    ///     Err(why) => println!("look at what was written: {why}"),
    /// }
    /// # })
    /// ```
    ///
    /// # Errors
    /// Why the guard was lost, if it was.
    #[expect(
        clippy::unused_async,
        reason = "so that an answer of the cluster can be waited for without a change of this"
    )]
    pub async fn release(self) -> Result<(), LostReason> {
        self.release_now()
    }
}

impl<M: SharedMode, R: Deref<Target = Resource<RwLockType>> + Clone> Guard<M, R> {
    /// Another guard that reads, by sharing this one's hold: no credit moves and nothing is waited for, so a waiting
    /// writer is not in its way. For code that reads again further in, where a plain
    /// [`read`](crate::RwLock::read) would wait for the writer, and the writer for this guard.
    ///
    /// The hold ends with the last of its guards, whichever that is. They have one fencing token, and are lost
    /// together. While others share it, an upgradable guard is not upgraded: that fails with
    /// [`BadRequest`](rm_core::front::AcquireError::BadRequest).
    ///
    /// ```
    /// # use rm_rwlock::doc::{block_on, domain};
    /// # use rm_rwlock::{ReadGuard, RwLock};
    /// # block_on(async {
    /// # let lock = RwLock::new(&domain(), "volumes/42");
    /// fn size(reader: &ReadGuard<'_>) -> usize {
    ///     let own = reader.read_recursive();
    ///     own.value().ok().flatten().map_or(0, |value| value.bytes.len())
    /// }
    /// let reader = lock.read().await.unwrap();
    /// assert_eq!(size(&reader), 0);
    /// # })
    /// ```
    ///
    /// A writer has it alone, and shares it with nobody:
    ///
    /// ```compile_fail,E0599
    /// # use rm_rwlock::doc::{block_on, domain};
    /// # use rm_rwlock::RwLock;
    /// # block_on(async {
    /// # let lock = RwLock::new(&domain(), "volumes/42");
    /// let writer = lock.write().await.unwrap();
    /// let reader = writer.read_recursive();
    /// # })
    /// ```
    pub fn read_recursive(&self) -> Guard<Read, R> {
        Guard::of_reader(self.held.share(), self.reader.again())
    }
}

impl<R: Deref<Target = Resource<RwLockType>>> Guard<Write, R> {
    /// Writes the lock's value: every guard that comes after this one reads it. At most 1,024 bytes, unless the nodes
    /// are set otherwise.
    ///
    /// It sends nothing: the value goes where the credit goes. If the guard or its node is lost before that, others
    /// find the value that was there before, and doubtful. The server keeps it in memory, and keeps the lock for
    /// it; an empty value lets it go.
    ///
    /// # Errors
    /// [`WriteError`]: nothing was written.
    pub fn set_value(&self, bytes: impl AsRef<[u8]>) -> Result<(), WriteError> {
        self.held.set_value(bytes)
    }
}

impl<M: Mode, R: Deref<Target = Resource<RwLockType>>> fmt::Debug for Guard<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("mode", &M::MODE)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}
