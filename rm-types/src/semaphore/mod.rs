//! A semaphore of the whole cluster: units that are held, or consumed until they are refilled.
//!
//! **Fairness.** Requests are served in one order over the whole cluster, large and small alike: a small one does
//! not pass an older large one.
//!
//! **Permits** are guards: dropping one gives its units back, synchronously.
//!
//! **Quota.** [`consume`](Semaphore::consume) takes units without a guard: this *node* holds them until somebody here
//! calls [`refill`](Semaphore::refill). All that the tasks of a node consume and refill adds up. It is meant for
//! what is in use (slots, bytes in flight, licences), and is **no account**: nothing is written down, and if
//! the node is lost (it stops, or its lease runs out) its units come back to the others as if they had
//! never been consumed.
//!
//! **Cancellation.** A request is its future: dropping it withdraws the request. A dropped `consume` has consumed
//! nothing.

mod credit;
mod permit;

use rm_core::credit::Credit;
use rm_core::front::{AcquireError, Domain, Handle, Held, Patience, Resource};
use thiserror::Error;

pub use self::credit::{SemaphoreType, Units};
pub use self::permit::{OwnedPermit, Permit, PermitRef};
use crate::request::{Outcome, Request, sealed};

/// More units were named than there are to give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there are only {there} units to give back, not {asked}: nothing was given back")]
#[non_exhaustive]
pub struct TooFewUnits {
    /// How many were named.
    pub asked: u64,
    /// How many there are.
    pub there: u64,
}

/// A handle to a semaphore, by its name and number of units. Cheap to clone; all handles of one name and number
/// are the same semaphore.
///
/// # Examples
/// ```
/// # use rm_types::doc::{block_on, domain};
/// use rm_types::Semaphore;
///
/// # block_on(async {
/// # let domain = domain();
/// let slots = Semaphore::new(&domain, "render/slots", 4);
/// let mut two = slots.acquire(2).label("frame 7").await?;
/// let one = two.split(1)?;
/// assert!(slots.try_acquire(3).await.is_err());
/// drop(one);
/// assert!(slots.try_acquire(3).await.is_ok());
///
/// slots.consume(3).await?;
/// assert_eq!(slots.consumed(), 3);
/// slots.refill(2)?;
/// assert!(slots.refill(2).is_err(), "one is left");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore {
    // A name that is none shows at the first request: a handle itself cannot fail.
    resource: Result<Handle<SemaphoreType>, AcquireError>,
}

impl Semaphore {
    /// The semaphore called `name` with so many units.
    ///
    /// The resource behind it is called `name#units`, so a semaphore with another number is another semaphore: see
    /// [`SemaphoreType`]. That name has 1 to 255 bytes.
    ///
    /// A bad name or no units show at the first request, and so does a node that has as many resources as it may.
    ///
    /// # Panics
    /// If the domain has no semaphores registered.
    pub fn new(domain: &Domain, name: impl AsRef<[u8]>, units: u64) -> Self {
        let key = if units == 0 {
            Err(AcquireError::BadRequest {
                why: "a semaphore has one unit at least",
            })
        } else {
            credit::key(name.as_ref(), units).map_err(AcquireError::from)
        };
        Self {
            resource: key.and_then(|key| domain.resource(&key)),
        }
    }

    /// Asks for so many units, at least one.
    ///
    /// Await it for a [`PermitRef`], after setting [`timeout`](Request::timeout) or [`label`](Request::label) if
    /// wanted. Cancel safe: dropping the future withdraws the request.
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request; [`AcquireError::Refused`] for more units than there are.
    pub fn acquire(
        &self,
        units: u64,
    ) -> Request<SemaphoreType, &Resource<SemaphoreType>, PermitRef<'_>> {
        Request::new(self.ask(units), Patience::Forever)
    }

    /// Asks for units if they can be had without waiting for a holder or an older request.
    ///
    /// It may ask the cluster: for that it waits about one round trip, and at most two seconds for nodes that do
    /// not answer. Cancel safe.
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    pub fn try_acquire(
        &self,
        units: u64,
    ) -> Request<SemaphoreType, &Resource<SemaphoreType>, PermitRef<'_>> {
        Request::new(self.ask(units), Patience::Try)
    }

    /// Takes units if that needs no message and no wait.
    #[must_use]
    pub fn try_acquire_cached(&self, units: u64) -> Option<PermitRef<'_>> {
        let (resource, ask) = self.ask(units).ok()?;
        let held = Held::try_cached(resource, &ask, None, None)?;
        Some(Permit::new(held, units))
    }

    /// Asks for units; the permit keeps the semaphore's handle instead of borrowing it. As
    /// [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    pub fn acquire_owned(
        &self,
        units: u64,
    ) -> Request<SemaphoreType, Handle<SemaphoreType>, OwnedPermit> {
        Request::new(self.ask_owned(units), Patience::Forever)
    }

    /// Asks for units if they can be had without waiting; the permit keeps the semaphore's handle. As
    /// [`try_acquire`](Self::try_acquire).
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    pub fn try_acquire_owned(
        &self,
        units: u64,
    ) -> Request<SemaphoreType, Handle<SemaphoreType>, OwnedPermit> {
        Request::new(self.ask_owned(units), Patience::Try)
    }

    /// Asks for units and consumes them: this node holds them until [`refill`](Self::refill), or until it is lost.
    ///
    /// Cancel safe: if the future is dropped, nothing was consumed.
    ///
    /// # Errors
    /// [`AcquireError`], from the awaited request.
    pub fn consume(
        &self,
        units: u64,
    ) -> Request<SemaphoreType, &Resource<SemaphoreType>, Consumed> {
        Request::new(self.ask(units), Patience::Forever)
    }

    /// Consumes units if they can be had without waiting. As [`try_acquire`](Self::try_acquire).
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
    pub fn try_consume(
        &self,
        units: u64,
    ) -> Request<SemaphoreType, &Resource<SemaphoreType>, Consumed> {
        Request::new(self.ask(units), Patience::Try)
    }

    /// Gives back units that this node consumed, whichever task did.
    ///
    /// # Errors
    /// If this node has consumed fewer: it refilled twice, or was cut off in between, and its units came back by
    /// themselves. Then nothing was given back.
    pub fn refill(&self, units: u64) -> Result<(), TooFewUnits> {
        let too_few = |there| TooFewUnits {
            asked: units,
            there,
        };
        match &self.resource {
            Ok(resource) => resource
                .give_back(&Units(units))
                .map_err(|kept| too_few(kept.0)),
            Err(_) => Err(too_few(0)),
        }
    }

    /// How many units this node has consumed and not refilled.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.resource
            .as_ref()
            .map_or(0, |resource| resource.kept().0)
    }

    /// How many units there are in the whole cluster; none where the name is none.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.resource
            .as_ref()
            .map_or(0, |resource| resource.capital().0)
    }

    /// The name of the resource behind it, with the number of units, if it is one.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.resource
            .as_ref()
            .ok()
            .map(|resource| resource.key().as_bytes())
    }

    /// The resource behind it, for those who look at books.
    #[must_use]
    pub fn resource(&self) -> Option<&Handle<SemaphoreType>> {
        self.resource.as_ref().ok()
    }

    fn ask_owned(&self, units: u64) -> Result<(Handle<SemaphoreType>, Units), AcquireError> {
        let (_, ask) = self.ask(units)?;
        Ok((self.resource.clone()?, ask))
    }

    fn ask(&self, units: u64) -> Result<(&Resource<SemaphoreType>, Units), AcquireError> {
        let ask = Units(units);
        if ask.is_empty() {
            return Err(AcquireError::BadRequest {
                why: "ask for one unit at least",
            });
        }
        let resource = self.resource.as_deref().map_err(Clone::clone)?;
        Ok((resource, ask))
    }
}

/// What [`Semaphore::consume`] ends in: there is no guard, the node has the units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consumed {
    /// How many.
    pub units: u64,
}

impl sealed::Sealed for Consumed {}

impl Outcome<SemaphoreType, &Resource<SemaphoreType>> for Consumed {
    fn granted(
        held: Held<SemaphoreType, &Resource<SemaphoreType>>,
        ask: Units,
    ) -> Result<Self, AcquireError> {
        held.keep().map_err(AcquireError::SessionLost)?;
        Ok(Self { units: ask.0 })
    }
}
