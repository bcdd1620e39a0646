//! Watches critical sections.
//!
//! Two things are checked. *Exclusion*: no two holders whose modes conflict are inside at once; who is inside is
//! kept where loom does not see it. *Order*: a holder sees what every conflicting holder before it wrote. For
//! that there is one value behind relaxed atomics, which loom lets be stale wherever no synchronisation
//! says otherwise.

use std::sync::Mutex;

use loom::sync::atomic::{AtomicU64, Ordering};

use crate::lock::ModelLock;

/// The witness of one lock.
#[derive(Debug)]
pub struct Witness<L: ModelLock> {
    inside: Mutex<Inside<L::Mode>>,
    value: AtomicU64,
}

#[derive(Debug)]
struct Inside<M> {
    modes: Vec<M>,
    /// How often the value was raised.
    raised: u64,
}

impl<L: ModelLock> Default for Witness<L> {
    fn default() -> Self {
        let inside = Inside {
            modes: Vec::new(),
            raised: 0,
        };
        Self {
            inside: Mutex::new(inside),
            value: AtomicU64::new(0),
        }
    }
}

impl<L: ModelLock> Witness<L> {
    /// What a holder in `mode` does between getting its guard and dropping it.
    ///
    /// # Panics
    /// If somebody is inside who should not be, or a write of an earlier holder is not to be seen.
    pub fn visit(&self, mode: L::Mode) {
        let before = self.enter(mode);
        // Relaxed: the lock under test is what orders these.
        let value = self.value.load(Ordering::Relaxed);
        if L::conflict(mode, mode) {
            assert_eq!(value, before, "a write of an earlier holder was missed");
            self.value.store(value + 1, Ordering::Relaxed);
            self.inside().raised += 1;
        } else {
            assert!(value >= before, "a write of an earlier holder was missed");
        }
        self.leave(mode);
    }

    /// How many exclusive visits there were.
    pub fn raised(&self) -> u64 {
        self.inside().raised
    }

    /// Returns how often the value was raised so far.
    fn enter(&self, mode: L::Mode) -> u64 {
        let mut inside = self.inside();
        let conflicting = inside.modes.iter().find(|&&m| L::conflict(m, mode));
        assert!(
            conflicting.is_none(),
            "{mode:?} entered beside {conflicting:?}"
        );
        inside.modes.push(mode);
        inside.raised
    }

    /// Any visitor of the same mode will do: they are alike.
    fn leave(&self, mode: L::Mode) {
        let mut inside = self.inside();
        let index = inside.modes.iter().position(|&m| m == mode);
        inside.modes.swap_remove(index.expect("it entered"));
    }

    fn inside(&self) -> std::sync::MutexGuard<'_, Inside<L::Mode>> {
        self.inside
            .lock()
            .expect("an execution ends with its first panic")
    }
}
