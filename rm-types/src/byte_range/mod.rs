//! Read and write locks on ranges of bytes, as of a file.
//!
//! A reader of a range has one share of each of its bytes, a writer has all shares of them. Ranges that do not overlap
//! have nothing to do with each other: their requests neither wait for nor pass one another.
//!
//! **Fairness.** Requests for the same bytes are served in one order over the whole cluster, readers and writers
//! alike. A guard that upgrades goes before new requests.
//!
//! **Guards** are ranges in which each byte is held to read or to write. They are split, merged with a neighbour,
//! downgraded in part and upgraded in part. Ask for the ranges that you need together as one guard: of guards that
//! upgrade and wait for each other one is told at once ([`AcquireError::WouldDeadlock`]), and that takes
//! *all* that a guard holds into account; but what you hold by other guards is not seen.
//!
//! **Cancellation.** A request is its future: dropping it withdraws the request. A dropped upgrade leaves the guard as
//! it was.
//!
//! **Limits.** A node has at most [`GUARDS_MAX`] guards and waiting requests of one range lock. It keeps unused
//! ranges cached, up to [`CACHED_PIECES_MAX`] pieces, and sends the others home. Under the policies `Exact` and
//! `Max`, which keep what is not asked back, others can cut a cached range into more than [`PIECES_MAX`]
//! pieces, and the next message about them ends the session: use `Adaptive` (the default) or `Slice`, under
//! which a node keeps no unused range when it answers a recall.

mod credit;
mod guard;

use core::ops::RangeBounds;

use rm_core::front::{AcquireError, Domain, Handle, Held, Patience, Resource};
use rm_core::id::ResourceKey;

pub use self::credit::{
    ByteRangeType, CACHED_PIECES_MAX, GUARDS_MAX, PIECES_MAX, RangeCredit, SHARES,
};
pub use self::guard::{BadRange, Guard, GuardRef, Mode, OwnedGuard};
use crate::request::Request;

/// A handle to a range lock, by its name. Cheap to clone; all handles of one name are the same lock.
///
/// # Examples
/// ```
/// # use rm_types::doc::{block_on, domain};
/// use rm_types::ByteRange;
///
/// # block_on(async {
/// # let domain = domain();
/// let file = ByteRange::new(&domain, "volumes/42");
/// let mut header = file.write(0..512).await?;
/// let rest = file.read(512..).await?;
/// assert!(file.try_write(0..1).await.is_err(), "the header is held");
///
/// // The first half is done: others may read it.
/// header.downgrade(0..256)?;
/// assert!(file.try_read(0..256).await.is_ok());
/// let second = header.split_at(256)?;
/// drop(header);
/// assert_eq!(second.range(), 256..=511);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct ByteRange {
    // A name that is none shows at the first request: a handle itself cannot fail.
    resource: Result<Handle<ByteRangeType>, AcquireError>,
}

type Borrowed<'a> = &'a Resource<ByteRangeType>;

impl ByteRange {
    /// The range lock called `name`: 1 to 255 bytes, any bytes.
    ///
    /// A bad name shows at the first request, and so does a node that has as many resources as it may.
    ///
    /// # Panics
    /// If the domain has no range locks registered.
    pub fn new(domain: &Domain, name: impl AsRef<[u8]>) -> Self {
        let key = ResourceKey::new(name.as_ref()).map_err(AcquireError::from);
        Self {
            resource: key.and_then(|key| domain.resource(&key)),
        }
    }

    /// Asks to read the bytes of a range, such as `0..4096`, `512..` or `..`.
    ///
    /// Await it for a [`GuardRef`], after setting [`timeout`](Request::timeout) or [`label`](Request::label) if
    /// wanted. Cancel safe: dropping the future withdraws the request.
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request; [`AcquireError::BadRequest`] for an empty range.
    pub fn read(
        &self,
        range: impl RangeBounds<u64>,
    ) -> Request<ByteRangeType, Borrowed<'_>, GuardRef<'_>> {
        Request::new(self.ask(&range, Mode::Read), Patience::Forever)
    }

    /// Asks to write the bytes of a range. As [`read`](Self::read).
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    pub fn write(
        &self,
        range: impl RangeBounds<u64>,
    ) -> Request<ByteRangeType, Borrowed<'_>, GuardRef<'_>> {
        Request::new(self.ask(&range, Mode::Write), Patience::Forever)
    }

    /// Asks to read if that can be had without waiting for a holder or an older request.
    ///
    /// It may ask the cluster: for that it waits about one round trip, and at most two seconds for nodes that do
    /// not answer. Cancel safe.
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    pub fn try_read(
        &self,
        range: impl RangeBounds<u64>,
    ) -> Request<ByteRangeType, Borrowed<'_>, GuardRef<'_>> {
        Request::new(self.ask(&range, Mode::Read), Patience::Try)
    }

    /// Asks to write if that can be had without waiting. As [`try_read`](Self::try_read).
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    pub fn try_write(
        &self,
        range: impl RangeBounds<u64>,
    ) -> Request<ByteRangeType, Borrowed<'_>, GuardRef<'_>> {
        Request::new(self.ask(&range, Mode::Write), Patience::Try)
    }

    /// Reads if that needs no message and no wait.
    #[must_use]
    pub fn try_read_cached(&self, range: impl RangeBounds<u64>) -> Option<GuardRef<'_>> {
        self.cached(&range, Mode::Read)
    }

    /// Writes if that needs no message and no wait.
    #[must_use]
    pub fn try_write_cached(&self, range: impl RangeBounds<u64>) -> Option<GuardRef<'_>> {
        self.cached(&range, Mode::Write)
    }

    /// Asks to read; the guard keeps the lock's handle instead of borrowing it. As [`read`](Self::read).
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    pub fn read_owned(
        &self,
        range: impl RangeBounds<u64>,
    ) -> Request<ByteRangeType, Handle<ByteRangeType>, OwnedGuard> {
        self.owned(&range, Mode::Read, Patience::Forever)
    }

    /// Asks to write; the guard keeps the lock's handle instead of borrowing it. As [`read`](Self::read).
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    pub fn write_owned(
        &self,
        range: impl RangeBounds<u64>,
    ) -> Request<ByteRangeType, Handle<ByteRangeType>, OwnedGuard> {
        self.owned(&range, Mode::Write, Patience::Forever)
    }

    /// As [`try_read`](Self::try_read); the guard keeps the lock's handle.
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    pub fn try_read_owned(
        &self,
        range: impl RangeBounds<u64>,
    ) -> Request<ByteRangeType, Handle<ByteRangeType>, OwnedGuard> {
        self.owned(&range, Mode::Read, Patience::Try)
    }

    /// As [`try_write`](Self::try_write); the guard keeps the lock's handle.
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    pub fn try_write_owned(
        &self,
        range: impl RangeBounds<u64>,
    ) -> Request<ByteRangeType, Handle<ByteRangeType>, OwnedGuard> {
        self.owned(&range, Mode::Write, Patience::Try)
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
    pub fn resource(&self) -> Option<&Handle<ByteRangeType>> {
        self.resource.as_ref().ok()
    }

    fn ask(
        &self,
        range: &impl RangeBounds<u64>,
        mode: Mode,
    ) -> Result<(Borrowed<'_>, RangeCredit), AcquireError> {
        let span = credit::span(range).ok_or(AcquireError::BadRequest {
            why: "the range is empty: it must end behind its start",
        })?;
        let resource = self.resource.as_deref().map_err(Clone::clone)?;
        let shares = mode.shares(resource.capital());
        Ok((resource, RangeCredit::of(span, shares)))
    }

    fn owned(
        &self,
        range: &impl RangeBounds<u64>,
        mode: Mode,
        patience: Patience,
    ) -> Request<ByteRangeType, Handle<ByteRangeType>, OwnedGuard> {
        let ask = self.ask(range, mode);
        Request::new(
            ask.and_then(|(_, ask)| Ok((self.resource.clone()?, ask))),
            patience,
        )
    }

    fn cached(&self, range: &impl RangeBounds<u64>, mode: Mode) -> Option<GuardRef<'_>> {
        let (resource, ask) = self.ask(range, mode).ok()?;
        crate::request::Kind::admit(resource).ok()?;
        let held = Held::try_cached(resource, &ask, None, None)?;
        Some(Guard::new(held, ask))
    }
}
