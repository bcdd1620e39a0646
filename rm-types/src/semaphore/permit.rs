//! Permits: the right to so many units, until dropped or lost.

use core::ops::Deref;
use core::time::Duration;

use rm_core::error::LostReason;
use rm_core::front::{AcquireError, Handle, Held, Resource, Waiter};

use super::{SemaphoreType, TooFewUnits, Units};
use crate::request::{Outcome, sealed};

/// The right to so many units; `R` is how it refers to the semaphore.
///
/// Dropping it gives them back: synchronously, without fail, without a runtime. They stay cached here.
#[derive(Debug)]
#[must_use = "dropping the permit gives its units back"]
pub struct Permit<R: Deref<Target = Resource<SemaphoreType>>> {
    held: Held<SemaphoreType, R>,
    units: u64,
}

/// A permit that borrows the semaphore's handle.
pub type PermitRef<'a> = Permit<&'a Resource<SemaphoreType>>;
/// A permit with a handle of its own.
pub type OwnedPermit = Permit<Handle<SemaphoreType>>;

impl<R: Deref<Target = Resource<SemaphoreType>>> Permit<R> {
    pub(super) const fn new(held: Held<SemaphoreType, R>, units: u64) -> Self {
        Self { held, units }
    }

    /// How many units.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// Makes a permit of its own of some of the units; this one has the rest. Both have the same fencing token,
    /// and if this one was lost, so is the new one.
    ///
    /// # Errors
    /// If it has fewer. Then it is as it was.
    pub fn split(&mut self, units: u64) -> Result<Self, TooFewUnits>
    where
        R: Clone,
    {
        let left = self.left(units)?;
        let held = self.held.split(&Units(units));
        self.units = left;
        Ok(Self::new(held, units))
    }

    /// Takes in another permit of the same semaphore.
    ///
    /// # Errors
    /// The other permit, where it is of another semaphore, where one of the two was lost, or where there is no
    /// fencing number for both together at the moment. Then both are as they were.
    pub fn merge(&mut self, other: Self) -> Result<(), Self> {
        let units = other.units;
        match self.held.merge(other.held) {
            Ok(()) => {
                self.units += units;
                Ok(())
            }
            Err(held) => Err(Self::new(held, units)),
        }
    }

    /// Gives some of the units back and keeps the rest.
    ///
    /// # Errors
    /// If it has fewer. Then it is as it was.
    pub fn release(&mut self, units: u64) -> Result<(), TooFewUnits> {
        let left = self.left(units)?;
        self.held.reduce(&Units(left));
        self.units = left;
        Ok(())
    }

    /// The fencing token, never zero: larger than that of every conflicting hold that ended before this one
    /// began. Permits that fit beside each other may share one.
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

    /// Whether somebody waits because of this permit, as far as this node knows.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.held.is_wanted()
    }

    /// Waits until somebody waits because of this permit, and says who. Each is told once; the next call waits for the
    /// next.
    ///
    /// Cancel safe: dropping the future loses no notice.
    ///
    /// # Errors
    /// Why it was lost, if it is.
    pub async fn wanted(&self) -> Result<Waiter, LostReason> {
        self.held.wanted().await
    }

    /// Waits until it is lost, and says why. Never ends while it is valid.
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn lost(&self) -> LostReason {
        self.held.lost().await
    }

    const fn left(&self, units: u64) -> Result<u64, TooFewUnits> {
        match self.units.checked_sub(units) {
            Some(left) => Ok(left),
            None => Err(TooFewUnits {
                asked: units,
                there: self.units,
            }),
        }
    }
}

impl<R: Deref<Target = Resource<SemaphoreType>>> sealed::Sealed for Permit<R> {}

impl<R: Deref<Target = Resource<SemaphoreType>>> Outcome<SemaphoreType, R> for Permit<R> {
    fn granted(held: Held<SemaphoreType, R>, ask: Units) -> Result<Self, AcquireError> {
        Ok(Self::new(held, ask.0))
    }
}
