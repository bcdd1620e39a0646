//! Data of this process that a lock of the cluster guards.
//!
//! The data is not sent anywhere: each process has its own, such as an open file, a connection, or a copy of what the
//! cluster shares. What the lock adds is that nobody uses it without holding the lock, and that its user can learn
//! whether others may have changed what it is a copy of ([`Opened::is_current`]).
//!
//! **Memory safe whatever happens to leases.** A guard that was lost may still be in use here when the lock is granted
//! to another task of this process. So the data counts who borrows it, and [`Guarded::open`] refuses the
//! second. Nothing rests on the lease.

use core::fmt;
use core::ops::{Deref, DerefMut};
use std::sync::Arc;

use rm_core::error::LostReason;
use rm_core::front::{AcquireError, Resource};
use rm_core::id::{Note, Party};
use rm_core::message::{Blocker, BlockerKind};
use rm_core::sync::{AtomicU64, Ordering};
use thiserror::Error;

use self::cell::{Borrow, DataCell};
use crate::credit::RwLockType;
use crate::guard::Guard;
use crate::lock::RwLock;
use crate::mode::{Mode, Read, Write};

#[doc(hidden)]
pub mod cell;

/// Data of this process, and the lock that guards it. Clones are handles to the same data.
///
/// ```
/// # use rm_rwlock::doc::{block_on, domain};
/// use rm_rwlock::guarded::{Guarded, Opened};
/// use rm_rwlock::RwLock;
///
/// # block_on(async {
/// # let domain = domain();
/// let copy = Guarded::new(RwLock::new(&domain, "volumes/42"), Vec::new());
/// let mut writer = copy.write().await?;
/// if !Opened::is_current(&writer) {
///     *writer = vec![1, 2]; // read anew from the store
/// }
/// writer.push(3);
/// Opened::mark_current(&writer);
/// drop(writer);
///
/// let reader = copy.read().await?;
/// assert!(Opened::is_current(&reader), "nobody wrote in between");
/// assert_eq!(*reader, [1, 2, 3]);
/// # Ok::<(), rm_rwlock::AcquireError>(())
/// # }).unwrap();
/// ```
pub struct Guarded<T> {
    lock: RwLock,
    data: Arc<DataCell<T>>,
    /// The fencing clock at which the data was last known to be current; zero: never.
    current: Arc<AtomicU64>,
}

impl<T> Guarded<T> {
    /// Data that this lock guards, in this process.
    ///
    /// Two of them for one lock guard nothing from each other but by the lock; share a clone instead.
    pub fn new(lock: RwLock, data: T) -> Self {
        Self {
            lock,
            data: Arc::new(DataCell::new(data)),
            current: Arc::new(AtomicU64::new(0)),
        }
    }

    /// The lock.
    #[must_use]
    pub const fn lock(&self) -> &RwLock {
        &self.lock
    }

    /// Waits for the right to read, and opens the data. Short for [`open`](Self::open) with a plain request.
    ///
    /// Cancel safe: dropping the future withdraws the request.
    ///
    /// # Errors
    /// [`AcquireError`]; [`AcquireError::Busy`] also where a guard that was lost still has the data open.
    #[track_caller]
    pub fn read(
        &self,
    ) -> impl Future<Output = Result<Opened<T, Read, &Resource<RwLockType>>, AcquireError>> {
        let request = self.lock.read();
        async move { Ok(self.open(request.await?)?) }
    }

    /// Waits for the right to write, and opens the data. As [`read`](Self::read).
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[track_caller]
    pub fn write(
        &self,
    ) -> impl Future<Output = Result<Opened<T, Write, &Resource<RwLockType>>, AcquireError>> {
        let request = self.lock.write();
        async move { Ok(self.open(request.await?)?) }
    }

    /// Opens the data with a guard of its lock, however that was asked for.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use rm_rwlock::doc::{block_on, domain};
    /// # use rm_rwlock::RwLock;
    /// # use rm_rwlock::guarded::{Guarded, Opened};
    /// # block_on(async {
    /// # let data = Guarded::new(RwLock::new(&domain(), "x"), 7);
    /// let guard = data.lock().upgradable_read_owned().timeout(Duration::from_secs(5)).await?;
    /// let seen = data.open(guard)?;
    /// if *seen == 7 {
    ///     let writer = Opened::close(seen).upgrade().await?; // nobody wrote in between
    ///     *data.open(writer)? = 8;
    /// }
    /// # Ok::<(), rm_rwlock::AcquireError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`OpenError`], with the guard: it is of another lock, it was lost, or the data is still open with another guard,
    /// one that was lost or one of the same group.
    pub fn open<M, R>(&self, guard: Guard<M, R>) -> Result<Opened<T, M, R>, OpenError<M, R>>
    where
        M: Mode,
        R: Deref<Target = Resource<RwLockType>>,
    {
        let own = self.lock.resource().map(|own| core::ptr::from_ref(&**own));
        if own != Some(core::ptr::from_ref(guard.resource())) {
            let why = OpenRefused::OtherLock;
            return Err(OpenError { guard, why });
        }
        if let Some(why) = guard.why_lost() {
            let why = OpenRefused::Lost(why);
            return Err(OpenError { guard, why });
        }
        match self.data.try_borrow(M::MODE) {
            Some(borrow) => Ok(Opened {
                borrow,
                guard,
                current: Arc::clone(&self.current),
            }),
            None => Err(OpenError {
                guard,
                why: OpenRefused::InUse,
            }),
        }
    }
}

impl<T> Clone for Guarded<T> {
    fn clone(&self) -> Self {
        Self {
            lock: self.lock.clone(),
            data: Arc::clone(&self.data),
            current: Arc::clone(&self.current),
        }
    }
}

impl<T> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

/// Data that is open, and the guard that opened it. A reader looks at it, a writer changes it.
///
/// What belongs to it is called as `Opened::guard(&opened)`, so that it hides no method of the data. It does not notice
/// when its guard is lost: ask [`Guard::is_valid`], or wait for [`Guard::lost`].
#[must_use = "dropping it releases the lock"]
pub struct Opened<T, M: Mode, R: Deref<Target = Resource<RwLockType>>> {
    /// First: the data is free when the lock is.
    borrow: Borrow<T>,
    guard: Guard<M, R>,
    current: Arc<AtomicU64>,
}

impl<T, M: Mode, R: Deref<Target = Resource<RwLockType>>> Opened<T, M, R> {
    /// The guard.
    pub const fn guard(this: &Self) -> &Guard<M, R> {
        &this.guard
    }

    /// Closes the data, and gives the guard back.
    pub fn close(this: Self) -> Guard<M, R> {
        this.guard
    }

    /// Whether the data is still as it was when it was last marked current in this process: nobody in the cluster can
    /// have held the lock for writing since, but the writer who marked it.
    ///
    /// It compares fencing tokens, and sends nothing. It can say no where in fact nobody wrote: after an upgradable guard,
    /// and where a client was lost.
    #[must_use]
    pub fn is_current(this: &Self) -> bool {
        let fence = this.guard.fence();
        // A writer's token is odd, and one above the clock that it found.
        let found = fence - fence % 2;
        // Acquire: pairs with `mark_current`, for data that is shared by its own means.
        this.current.load(Ordering::Acquire) == found
    }

    /// Notes that the data is what it should be under this guard: it was just read anew, or changed together with what
    /// it is a copy of.
    pub fn mark_current(this: &Self) {
        let fence = this.guard.fence();
        // What the next one finds if nobody else writes: a writer's token moves the clock to the even number above.
        let left = fence + fence % 2;
        // Release: pairs with `is_current`.
        this.current.store(left, Ordering::Release);
    }
}

impl<T, M: Mode, R: Deref<Target = Resource<RwLockType>>> Deref for Opened<T, M, R> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.borrow
    }
}

impl<T, R: Deref<Target = Resource<RwLockType>>> DerefMut for Opened<T, Write, R> {
    fn deref_mut(&mut self) -> &mut T {
        let data = self.borrow.exclusive();
        data.expect("a writer's borrow is exclusive")
    }
}

impl<T, M: Mode, R: Deref<Target = Resource<RwLockType>>> fmt::Debug for Opened<T, M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

/// Data that was not opened, with the guard that was to open it.
#[derive(Debug, Error)]
#[error("not opened: {why}")]
#[expect(clippy::exhaustive_structs, reason = "to be taken apart")]
pub struct OpenError<M: Mode, R: Deref<Target = Resource<RwLockType>>> {
    /// The guard.
    pub guard: Guard<M, R>,
    /// Why.
    pub why: OpenRefused,
}

/// Why data was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenRefused {
    /// Another guard has it open: one that was lost and is still in use, or one of the same group.
    #[error(
        "another guard has the data open: one that was lost, or one of the same group; drop it first"
    )]
    InUse,
    /// The guard was lost.
    #[error("the guard was lost: {0}")]
    Lost(LostReason),
    /// The guard is of another lock.
    #[error("the guard is of another lock: take one of `Guarded::lock`")]
    OtherLock,
}

/// Drops the guard.
impl<M: Mode, R: Deref<Target = Resource<RwLockType>>> From<OpenError<M, R>> for AcquireError {
    fn from(error: OpenError<M, R>) -> Self {
        match error.why {
            OpenRefused::InUse => {
                let label = "a guard that was lost, and is still in use";
                let blocker = Blocker {
                    party: Party::default(),
                    kind: BlockerKind::Holder,
                    note: Some(Note::new("", label, "this process")),
                };
                Self::Busy {
                    holders: vec![blocker.into()],
                }
            }
            OpenRefused::Lost(why) => Self::SessionLost(why),
            OpenRefused::OtherLock => Self::BadRequest {
                why: "the guard is of another lock: take one of `Guarded::lock`",
            },
        }
    }
}
