//! Numbers in sequence over the whole cluster.
//!
//! A number that is asked for after another one was returned is larger, whichever nodes the two are of, and over any crash
//! or restart. Identifiers of an [`IdRange`](crate::IdRange) are cheaper and promise less: they are unique, and every node
//! has others in stock.
//!
//! A sequence is a lock that one holds at a time, for a moment, and its numbers are the fencing tokens of those holds:
//! the framework's own clock, which conflicting holds never share. So a node that asks again and again pays
//! nanoseconds and no packet, and nodes in turn pay for the lock to change hands. **There are gaps.**
//!
//! **Cancellation.** A number that was granted and not seen is a gap.

use rm_core::front::{Acquire, Resource};
use rm_core::front::{AcquireError, Ask, Domain, Handle, Held, Patience};
use rm_core::id::{ResourceKey, TypeId};
use rm_core::resource::ResourceType;

use crate::semaphore::Units;

/// The type of sequences: one unit, which one at a time has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SequenceType;

impl ResourceType for SequenceType {
    type Credit = Units;
    type Level = Units;
    const ID: TypeId = TypeId(5);
    const NAME: &'static str = "sequence";

    fn capital(&self, _key: &ResourceKey) -> Units {
        Units(1)
    }

    fn mode_name(_ask: &Units, _capital: &Units) -> &'static str {
        "next"
    }
}

/// A handle to a sequence, by its name. Cheap to clone; all handles of one name are the same sequence.
///
/// # Examples
/// ```
/// # use rm_types::doc::{block_on, domain};
/// use rm_types::Sequence;
///
/// # block_on(async {
/// # let domain = domain();
/// let log = Sequence::new(&domain, "log");
/// let first = log.next().await?;
/// assert!(log.next().await? > first);
/// # Ok::<(), rm_types::AcquireError>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Sequence {
    // A name that is none shows at the first request: a handle itself cannot fail.
    resource: Result<Handle<SequenceType>, AcquireError>,
}

impl Sequence {
    /// The sequence called `name`: 1 to 255 bytes, any bytes.
    ///
    /// A bad name shows at the first request, and so does a node that has as many resources as it may.
    ///
    /// # Panics
    /// If the domain has no sequences registered.
    pub fn new(domain: &Domain, name: impl AsRef<[u8]>) -> Self {
        let key = ResourceKey::new(name.as_ref()).map_err(AcquireError::from);
        Self {
            resource: key.and_then(|key| domain.resource(&key)),
        }
    }

    /// The next number: never zero, and larger than every one that was returned before this was called.
    ///
    /// Cancel safe: a number that was not seen is a gap.
    ///
    /// # Errors
    /// [`AcquireError`].
    pub async fn next(&self) -> Result<u64, AcquireError> {
        self.number(Patience::Forever).await
    }

    /// The next number, if it can be had without waiting for another node that just takes one.
    ///
    /// # Errors
    /// [`AcquireError::Busy`], and others.
    pub async fn try_next(&self) -> Result<u64, AcquireError> {
        self.number(Patience::Try).await
    }

    /// The next number, if this node has the sequence. Sends nothing, and never waits.
    #[must_use]
    pub fn try_next_cached(&self) -> Option<u64> {
        let resource: &Resource<SequenceType> = self.resource.as_deref().ok()?;
        let held = Held::try_cached(resource, &Units(1), None, None)?;
        held.is_valid().then(|| held.fence())
    }

    /// The sequence's name, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&[u8]> {
        let resource = self.resource.as_ref().ok();
        resource.map(|resource| resource.key().as_bytes())
    }

    /// The resource behind it, for those who look at books.
    #[must_use]
    pub fn resource(&self) -> Option<&Handle<SequenceType>> {
        self.resource.as_ref().ok()
    }

    async fn number(&self, patience: Patience) -> Result<u64, AcquireError> {
        let resource: &Resource<SequenceType> = self.resource.as_deref().map_err(Clone::clone)?;
        let ask = Ask {
            patience,
            ..Ask::new(Units(1))
        };
        Ok(Acquire::new(resource, ask).await?.fence())
    }
}
