//! Data, and who borrows it: many who look, or one who changes. The only `unsafe` of the project is here.
//!
//! **Invariant.** `borrows` counts those who look; `EXCLUSIVE` stands for one who changes. A reference to the data
//! exists only within the life of a [`Borrow`], which was counted when it was made and is uncounted when it is
//! dropped. So no reference that changes exists beside another, whatever the lock says or a lease does. One that
//! is forgotten stays counted: then nobody gets in, which is safe.
//!
//! The model `guarded` of the loom tests runs it, and the tests here run under Miri.

#![expect(
    unsafe_code,
    reason = "a reference out of a cell; `borrows` says who may have one"
)]

use core::fmt;
use core::ops::Deref;
use std::sync::Arc;

use rm_core::sync::{AtomicU64, Ordering, UnsafeCell};

use crate::mode::LockMode;

/// The count that stands for one who changes the data.
const EXCLUSIVE: u64 = u64::MAX;

/// Data, and who borrows it.
pub struct DataCell<T> {
    borrows: AtomicU64,
    data: UnsafeCell<T>,
}

// SAFETY: the data is reached by references of `Borrow` alone. Those who look at it at the same time, from several
// threads, need `T: Sync`; one who changes it may be on another thread than the one before, and needs `T: Send`.
unsafe impl<T: Send + Sync> Sync for DataCell<T> {}

impl<T> DataCell<T> {
    /// Data that nobody borrows.
    pub fn new(data: T) -> Self {
        Self {
            borrows: AtomicU64::new(0),
            data: UnsafeCell::new(data),
        }
    }

    /// Borrows the data to look at it, or in the mode `Write` to change it; `None` where another borrow is in the way.
    pub fn try_borrow(self: &Arc<Self>, mode: LockMode) -> Option<Borrow<T>> {
        let is_exclusive = mode == LockMode::Write;
        let borrowed = if is_exclusive {
            // Acquire: pairs with the release of every borrow before, so their reads and writes are done.
            self.borrows
                .compare_exchange(0, EXCLUSIVE, Ordering::Acquire, Ordering::Relaxed)
        } else {
            // The last number but one is never reached: it would take as many guards.
            let one_more = |count: u64| (count < EXCLUSIVE - 1).then(|| count + 1);
            // Acquire: pairs with the release of the last one who changed it.
            self.borrows
                .fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more)
        };
        borrowed.ok()?;
        Some(Borrow {
            cell: Arc::clone(self),
            is_exclusive,
        })
    }
}

impl<T> fmt::Debug for DataCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataCell").finish_non_exhaustive()
    }
}

/// A counted borrow of the data.
#[must_use = "dropping it ends the borrow"]
pub struct Borrow<T> {
    cell: Arc<DataCell<T>>,
    is_exclusive: bool,
}

impl<T> Borrow<T> {
    /// The data, to be changed, where this borrow is the only one.
    pub fn exclusive(&mut self) -> Option<&mut T> {
        if !self.is_exclusive {
            return None;
        }
        // SAFETY: `borrows` is `EXCLUSIVE` as long as `self` lives, so there is no other borrow; and this one is
        // borrowed exclusively for as long as the reference lives.
        Some(self.cell.data.with_mut(|data| unsafe { &mut *data }))
    }
}

impl<T> Deref for Borrow<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `borrows` counts this borrow as long as `self` lives, so no other can change the data; and this one,
        // if it can, is borrowed shared for as long as the reference lives.
        self.cell.data.with(|data| unsafe { &*data })
    }
}

impl<T> Drop for Borrow<T> {
    fn drop(&mut self) {
        // Release, both: what was read or written through this borrow is done before the next that excludes it.
        if self.is_exclusive {
            self.cell.borrows.store(0, Ordering::Release);
        } else {
            self.cell.borrows.fetch_sub(1, Ordering::Release);
        }
    }
}

impl<T> fmt::Debug for Borrow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Borrow")
            .field("is_exclusive", &self.is_exclusive)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(rm_loom)))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn many_may_look_and_nobody_changes_it_beside_them() {
        let cell = Arc::new(DataCell::new(1));
        let first = cell.try_borrow(LockMode::Read).expect("free");
        let second = cell.try_borrow(LockMode::Upgradable).expect("shared");
        assert_eq!((*first, *second), (1, 1));
        assert!(cell.try_borrow(LockMode::Write).is_none());
        drop(first);
        assert!(cell.try_borrow(LockMode::Write).is_none());
        drop(second);
        assert!(cell.try_borrow(LockMode::Write).is_some());
    }

    #[test]
    fn whoever_changes_it_is_alone() {
        let cell = Arc::new(DataCell::new(1));
        let mut writer = cell.try_borrow(LockMode::Write).expect("free");
        assert!(cell.try_borrow(LockMode::Read).is_none());
        assert!(cell.try_borrow(LockMode::Write).is_none());
        *writer.exclusive().expect("alone") += 1;
        assert_eq!(*writer, 2);
        drop(writer);
        assert_eq!(*cell.try_borrow(LockMode::Read).expect("free"), 2);
    }

    #[test]
    fn a_shared_borrow_changes_nothing() {
        let cell = Arc::new(DataCell::new(1));
        let mut reader = cell.try_borrow(LockMode::Read).expect("free");
        assert_eq!(reader.exclusive(), None);
    }

    #[test]
    fn a_borrow_that_was_forgotten_keeps_others_out() {
        let cell = Arc::new(DataCell::new(1));
        core::mem::forget(cell.try_borrow(LockMode::Read));
        assert!(cell.try_borrow(LockMode::Write).is_none());
        assert!(cell.try_borrow(LockMode::Read).is_some());
    }

    #[test]
    fn a_borrow_outlives_all_others_who_know_the_data() {
        let cell = Arc::new(DataCell::new(String::from("kept")));
        let borrow = cell.try_borrow(LockMode::Read).expect("free");
        drop(cell);
        assert_eq!(*borrow, "kept");
    }

    #[test]
    fn threads_that_get_in_see_what_the_others_wrote() {
        let cell = Arc::new(DataCell::new(0_u64));
        let count = |cell: Arc<DataCell<u64>>| {
            let mut entered = 0;
            for _ in 0..100 {
                if let Some(mut borrow) = cell.try_borrow(LockMode::Write) {
                    *borrow.exclusive().expect("alone") += 1;
                    entered += 1;
                }
            }
            entered
        };
        let entered: u64 = thread::scope(|scope| {
            let threads = [(); 2].map(|()| scope.spawn(|| count(Arc::clone(&cell))));
            threads.map(|one| one.join().expect("counted")).iter().sum()
        });
        assert_eq!(*cell.try_borrow(LockMode::Read).expect("free"), entered);
    }
}
