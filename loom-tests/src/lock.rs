//! What a lock type brings to be modelled.

use core::fmt;
use core::future::Future;

/// A lock, as the [scenarios](crate::scenarios) see it. Clones are handles to the same lock.
pub trait ModelLock: Clone + Send + Sync + 'static {
    /// How it can be taken.
    type Mode: Copy + fmt::Debug + PartialEq + Send + Sync + 'static;
    /// The right to use it, until dropped, on whatever thread.
    type Guard: Send + 'static;

    /// A fresh lock in a world of its own.
    fn new() -> Self;

    /// Takes it; waits as long as it must.
    fn acquire(&self, mode: Self::Mode) -> impl Future<Output = Self::Guard> + Send + 'static;

    /// Takes it if nobody is in the way. Must not wait for a holder.
    fn try_acquire(
        &self,
        mode: Self::Mode,
    ) -> impl Future<Output = Option<Self::Guard>> + Send + 'static;

    /// Whether two holders exclude each other.
    fn conflict(a: Self::Mode, b: Self::Mode) -> bool;

    /// Asserts that nobody holds it or waits for it, and that all its credit is back in one place.
    ///
    /// # Panics
    /// If not.
    fn assert_idle(&self);
}
