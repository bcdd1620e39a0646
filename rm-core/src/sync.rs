//! The synchronisation that the async face is built on: std's, loom's under `--cfg rm_loom`, or shuttle's under
//! `--cfg rm_shuttle`.
//!
//! Public so that lock types and the model library share it, and outside of semver: its shape follows
//! loom's. Why own flags: `--cfg loom` switches parts of tokio off in the whole dependency graph.
//!
//! Shuttle takes every atomic operation for a sequentially consistent one, whatever its `Ordering` says. It is for
//! finding faults of logic among many threads; orderings are loom's to judge.

#[cfg(all(rm_loom, rm_shuttle))]
compile_error!("rm_loom and rm_shuttle exclude each other: set one of them");

#[cfg(not(any(rm_loom, rm_shuttle)))]
pub use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
#[cfg(not(any(rm_loom, rm_shuttle)))]
use std::sync::{Mutex as Inner, MutexGuard as InnerGuard};

#[cfg(rm_loom)]
pub use loom::cell::UnsafeCell;
#[cfg(rm_loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
#[cfg(rm_loom)]
use loom::sync::{Mutex as Inner, MutexGuard as InnerGuard};

#[cfg(all(rm_shuttle, not(rm_loom)))]
pub use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
#[cfg(all(rm_shuttle, not(rm_loom)))]
use shuttle::sync::{Mutex as Inner, MutexGuard as InnerGuard};

/// Whether this build is for models, which keep fixed numbers of things small: each takes part in every execution.
pub const IS_MODELLED: bool = cfg!(any(rm_loom, rm_shuttle));

/// A number of the calling thread: the first that asks is 0, the next 1.
///
/// Threads that come and go use up numbers, so take it modulo what is to be shared among them.
#[cfg(not(any(rm_loom, rm_shuttle)))]
#[must_use]
pub fn thread_number() -> usize {
    use std::sync::atomic::AtomicUsize;

    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // Relaxed: only that they differ counts.
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // A thread that is being torn down has none any more, and any will do.
    OWN.try_with(|own| *own).unwrap_or(0)
}

/// A number of the calling thread: the first that asks in an execution is 0, the next 1.
#[cfg(any(rm_loom, rm_shuttle))]
#[must_use]
pub fn thread_number() -> usize {
    #[cfg(rm_loom)]
    use loom as engine;
    #[cfg(all(rm_shuttle, not(rm_loom)))]
    use shuttle as engine;

    engine::lazy_static! {
        static ref NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    }
    engine::thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    OWN.with(|own| *own)
}

/// A mutex that does not know poisoning: a panic under a lock here is a broken invariant, which the panic
/// itself reports; the others go on with what the books say.
#[derive(Debug, Default)]
pub struct Mutex<T>(Inner<T>);

/// The right to use what a [`Mutex`] protects.
pub type MutexGuard<'a, T> = InnerGuard<'a, T>;

impl<T> Mutex<T> {
    /// A mutex around `value`.
    pub fn new(value: T) -> Self {
        Self(Inner::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

/// A cell whose users keep their own rules of who may look and who may change; loom sees each access.
#[cfg(not(rm_loom))]
#[derive(Debug, Default)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(rm_loom))]
impl<T> UnsafeCell<T> {
    /// A cell around `value`.
    pub const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Hands `f` the place of the value, to look at it.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Hands `f` the place of the value, to change it.
    #[inline]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
