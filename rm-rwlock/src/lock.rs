//! The lock's handle: what can be asked of it, in which mode, and how.
//!
//! | | waits | asks the cluster, waits for no holder | sends nothing, never waits |
//! |---|---|---|---|
//! | shared | `read` | `try_read` | `try_read_cached` |
//! | shared, may become exclusive | `upgradable_read` | `try_upgradable_read` | `try_upgradable_read_cached` |
//! | exclusive | `write` | `try_write` | `try_write_cached` |
//!
//! Each has a twin that ends in `_owned`: its guard keeps the lock's handle instead of borrowing it.
//!
//! **Fairness.** Requests are served in one order over the whole cluster, readers and writers alike.
//!
//! **Cancellation.** A request is its future: dropping it withdraws the request. What was granted meanwhile stays
//! cached here. Asking again means a new place in the order.

use core::ops::Deref;

use rm_core::front::{AcquireError, Domain, Handle, Held, Resource};
use rm_core::id::ResourceKey;

use crate::credit::RwLockType;
use crate::guard::{
    Guard, OwnedReadGuard, OwnedUpgradableGuard, OwnedWriteGuard, ReadGuard, UpgradableGuard,
    WriteGuard,
};
use crate::mode::{Mode, Read, Upgradable, Write};
use crate::request::{Request, Wait};

/// A handle to a lock, by its name. Cheap to clone; all handles of one name are the same lock.
#[derive(Clone, Debug)]
pub struct RwLock {
    // A name that is none shows at the first request: a handle itself cannot fail.
    resource: Result<Handle<RwLockType>, Box<AcquireError>>,
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
        let resource = key.and_then(|key| domain.resource(&key));
        Self {
            resource: resource.map_err(Box::new),
        }
    }

    /// Asks to read.
    ///
    /// Await it for a [`ReadGuard`], after setting a [`timeout`](Request::timeout), a
    /// [`deadline`](Request::deadline) or a [`label`](Request::label) if wanted. Cancel safe: dropping the
    /// future withdraws the request, and asking again means a new place in the order.
    ///
    /// A task that already reads does not read again this way: a writer may wait in between, and each waits for the
    /// other for ever. Debug builds warn of it.
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> Request<Read, &Resource<RwLockType>> {
        Request::new(self.borrowed(), Wait::Forever)
    }

    /// Asks to read, with the option to write later. Readers may be beside it, but no other that has the option, so
    /// its [`upgrade`](Guard::upgrade) waits only for readers that come to an end. As [`read`](Self::read).
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    #[inline]
    #[track_caller]
    pub fn upgradable_read(&self) -> Request<Upgradable, &Resource<RwLockType>> {
        Request::new(self.borrowed(), Wait::Forever)
    }

    /// Asks to write. As [`read`](Self::read).
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    #[inline]
    #[track_caller]
    pub fn write(&self) -> Request<Write, &Resource<RwLockType>> {
        Request::new(self.borrowed(), Wait::Forever)
    }

    /// Asks to read if that can be had without waiting for a holder or an older request.
    ///
    /// It may ask the cluster: for that it waits about one round trip, and at most two seconds for nodes that do
    /// not answer. Cancel safe.
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    #[inline]
    #[track_caller]
    pub fn try_read(&self) -> Request<Read, &Resource<RwLockType>> {
        Request::new(self.borrowed(), Wait::Never)
    }

    /// Asks to read with the option to write, if that can be had without waiting. As [`try_read`](Self::try_read).
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read(&self) -> Request<Upgradable, &Resource<RwLockType>> {
        Request::new(self.borrowed(), Wait::Never)
    }

    /// Asks to write if that can be had without waiting. As [`try_read`](Self::try_read).
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    #[inline]
    #[track_caller]
    pub fn try_write(&self) -> Request<Write, &Resource<RwLockType>> {
        Request::new(self.borrowed(), Wait::Never)
    }

    /// Reads if that needs no message and no wait.
    #[inline]
    #[must_use]
    pub fn try_read_cached(&self) -> Option<ReadGuard<'_>> {
        cached(self.resource.as_deref().ok()?)
    }

    /// Reads with the option to write, if that needs no message and no wait.
    #[inline]
    #[must_use]
    pub fn try_upgradable_read_cached(&self) -> Option<UpgradableGuard<'_>> {
        cached(self.resource.as_deref().ok()?)
    }

    /// Writes if that needs no message and no wait.
    #[inline]
    #[must_use]
    pub fn try_write_cached(&self) -> Option<WriteGuard<'_>> {
        cached(self.resource.as_deref().ok()?)
    }

    /// As [`read`](Self::read); the guard keeps the lock's handle.
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    #[track_caller]
    pub fn read_owned(&self) -> Request<Read, Handle<RwLockType>> {
        Request::new(self.owned(), Wait::Forever)
    }

    /// As [`upgradable_read`](Self::upgradable_read); the guard keeps the lock's handle.
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    #[track_caller]
    pub fn upgradable_read_owned(&self) -> Request<Upgradable, Handle<RwLockType>> {
        Request::new(self.owned(), Wait::Forever)
    }

    /// As [`write`](Self::write); the guard keeps the lock's handle.
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    #[track_caller]
    pub fn write_owned(&self) -> Request<Write, Handle<RwLockType>> {
        Request::new(self.owned(), Wait::Forever)
    }

    /// As [`try_read`](Self::try_read); the guard keeps the lock's handle.
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    #[track_caller]
    pub fn try_read_owned(&self) -> Request<Read, Handle<RwLockType>> {
        Request::new(self.owned(), Wait::Never)
    }

    /// As [`try_upgradable_read`](Self::try_upgradable_read); the guard keeps the lock's handle.
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    #[track_caller]
    pub fn try_upgradable_read_owned(&self) -> Request<Upgradable, Handle<RwLockType>> {
        Request::new(self.owned(), Wait::Never)
    }

    /// As [`try_write`](Self::try_write); the guard keeps the lock's handle.
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    #[track_caller]
    pub fn try_write_owned(&self) -> Request<Write, Handle<RwLockType>> {
        Request::new(self.owned(), Wait::Never)
    }

    /// As [`try_read_cached`](Self::try_read_cached); the guard keeps the lock's handle.
    #[must_use]
    pub fn try_read_cached_owned(&self) -> Option<OwnedReadGuard> {
        cached(self.resource()?.clone())
    }

    /// As [`try_upgradable_read_cached`](Self::try_upgradable_read_cached); the guard keeps the lock's handle.
    #[must_use]
    pub fn try_upgradable_read_cached_owned(&self) -> Option<OwnedUpgradableGuard> {
        cached(self.resource()?.clone())
    }

    /// As [`try_write_cached`](Self::try_write_cached); the guard keeps the lock's handle.
    #[must_use]
    pub fn try_write_cached_owned(&self) -> Option<OwnedWriteGuard> {
        cached(self.resource()?.clone())
    }

    /// The lock's name, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&[u8]> {
        self.resource().map(|resource| resource.key().as_bytes())
    }

    /// The resource behind it, for those who look at books.
    #[must_use]
    pub fn resource(&self) -> Option<&Handle<RwLockType>> {
        self.resource.as_ref().ok()
    }

    pub(crate) fn owned(&self) -> Result<Handle<RwLockType>, Box<AcquireError>> {
        self.resource.clone()
    }

    #[inline]
    fn borrowed(&self) -> Result<&Resource<RwLockType>, Box<AcquireError>> {
        self.resource.as_deref().map_err(Clone::clone)
    }
}

#[inline]
fn cached<M: Mode, R: Deref<Target = Resource<RwLockType>>>(resource: R) -> Option<Guard<M, R>> {
    let ask = M::ask(resource.capital());
    Held::try_cached(resource, &ask, M::DOOR, None).map(Guard::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_small() {
        assert!(size_of::<RwLock>() <= 64, "{}", size_of::<RwLock>());
    }
}
