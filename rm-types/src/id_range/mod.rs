//! Identifiers that are unique over the whole cluster, for ever.
//!
//! A node borrows some, and hands them out without asking anybody: a new identifier costs nanoseconds, and a message
//! now and then. They are used up as they are handed out. **They are unique, not ordered**: two nodes have
//! different ones in stock. Where the order matters, see [`Sequence`](crate::Sequence).
//!
//! **Uniqueness** rests on no lease. Each epoch of the root has identifiers of its own, and what was lent to a node that
//! is lost is not lent again: after a crash or a restart there are holes, and never a repeat. A node that is cut off
//! goes on handing out what it has in stock. It rests on the root's epoch, so it is as good as the root's data
//! directory: a node without one ([`Node::standalone`]) is unique within its process only.
//!
//! **Fairness.** As for every type: requests are served in one order over the whole cluster.
//!
//! **Cancellation.** A request is its future: dropping it withdraws the request. Identifiers that were granted and not
//! seen are a hole.
//!
//! [`Node::standalone`]: https://docs.rs/rm-net

mod credit;

use core::ops::Deref;

use rm_core::front::{AcquireError, Domain, Handle, Held, Patience, Resource};
use rm_core::id::ResourceKey;

pub use self::credit::{Count, IdRangeType, Ids, RANGES_MAX};
use crate::request::{Outcome, Request, sealed};

/// The most identifiers of one request: 16,777,216.
pub const TAKE_MAX: u64 = 1 << 24;

/// A handle to an identifier range, by its name. Cheap to clone; all handles of one name are the same range.
///
/// # Examples
/// ```
/// # use rm_types::doc::{block_on, domain};
/// use rm_types::IdRange;
///
/// # block_on(async {
/// # let domain = domain();
/// let orders = IdRange::new(&domain, "orders");
/// let first = orders.next().await?;
/// let more = orders.take(3).await?;
/// assert_eq!(more.len(), 3);
/// assert!(more.iter().all(|id| id != first));
/// # Ok::<(), rm_types::AcquireError>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct IdRange {
    // A name that is none shows at the first request: a handle itself cannot fail.
    resource: Result<Handle<IdRangeType>, AcquireError>,
}

impl IdRange {
    /// The range called `name`: 1 to 255 bytes, any bytes.
    ///
    /// A bad name shows at the first request, and so does a node that has as many resources as it may.
    ///
    /// # Panics
    /// If the domain has no identifier ranges registered.
    pub fn new(domain: &Domain, name: impl AsRef<[u8]>) -> Self {
        let key = ResourceKey::new(name.as_ref()).map_err(AcquireError::from);
        Self {
            resource: key.and_then(|key| domain.resource(&key)),
        }
    }

    /// Takes any so many identifiers, at least one and at most [`TAKE_MAX`]. They are used up then.
    ///
    /// Await it for [`Ids`], after setting [`timeout`](Request::timeout) or [`label`](Request::label) if wanted. Cancel
    /// safe: dropping the future withdraws the request.
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    pub fn take(&self, count: u64) -> Request<IdRangeType, &Resource<IdRangeType>, Ids> {
        Request::new(self.ask(count), Patience::Forever)
    }

    /// Takes one identifier. As [`take`](Self::take).
    ///
    /// # Errors
    /// [`AcquireError`].
    pub async fn next(&self) -> Result<u64, AcquireError> {
        let ids = self.take(1).await?;
        Ok(ids.iter().next().expect("one was asked for"))
    }

    /// Takes identifiers if this node has so many in stock. Sends nothing, and never waits.
    #[must_use]
    pub fn try_take_cached(&self, count: u64) -> Option<Ids> {
        let (resource, ask) = self.ask(count).ok()?;
        let held = Held::try_cached(resource, &ask, None, None)?;
        Some(held.credit())
    }

    /// How many this node has in stock, none of which was handed out.
    #[must_use]
    pub fn in_stock(&self) -> u64 {
        let resource = self.resource.as_ref();
        resource.map_or(0, |resource| {
            resource.with_owner(|owner| owner.cached().len())
        })
    }

    /// The range's name, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&[u8]> {
        let resource = self.resource.as_ref().ok();
        resource.map(|resource| resource.key().as_bytes())
    }

    /// The resource behind it, for those who look at books.
    #[must_use]
    pub fn resource(&self) -> Option<&Handle<IdRangeType>> {
        self.resource.as_ref().ok()
    }

    fn ask(&self, count: u64) -> Result<(&Resource<IdRangeType>, Count), AcquireError> {
        if !(1..=TAKE_MAX).contains(&count) {
            return Err(AcquireError::BadRequest {
                why: "take 1 to 16,777,216 identifiers at once",
            });
        }
        let resource = self.resource.as_deref().map_err(Clone::clone)?;
        Ok((resource, Count(count)))
    }
}

impl sealed::Sealed for Ids {}

impl<R: Deref<Target = Resource<IdRangeType>>> Outcome<IdRangeType, R> for Ids {
    /// The hold ends here: what it has is used up.
    fn granted(held: Held<IdRangeType, R>, _: Count) -> Result<Self, AcquireError> {
        let ids = held.credit();
        if ids.is_empty() {
            return Err(AcquireError::SessionLost(
                rm_core::error::LostReason::SessionEnded,
            ));
        }
        Ok(ids)
    }
}
