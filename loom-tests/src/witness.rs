//! Watches critical sections.
//!
//! Two things are checked. *Exclusion*: all who are inside at once may be; who is inside is kept where the engine does
//! not see it. *Order*: a holder sees what every conflicting holder before it did. For that each visit leaves a trace
//! in a cell of loom, which fails the model where a later access is not ordered after an earlier one. Shuttle orders
//! everything, so there the traces say nothing.

use std::sync::{Mutex, MutexGuard};

use rm_core::sync::{AtomicU64, Ordering, UnsafeCell};

use crate::lock::ModelLock;

/// The witness of one lock.
#[derive(Debug)]
pub struct Witness<L: ModelLock> {
    visits: Mutex<Vec<Visit<L::Mode>>>,
    /// A step in each critical section, at which another thread may come: without one, two could never be seen in
    /// it at once.
    steps: AtomicU64,
}

#[derive(Debug)]
struct Visit<M> {
    mode: M,
    is_over: bool,
    /// Written by this visit and read by later ones, without anything that orders the two.
    trace: UnsafeCell<()>,
}

impl<L: ModelLock> Default for Witness<L> {
    fn default() -> Self {
        Self {
            visits: Mutex::default(),
            steps: AtomicU64::new(0),
        }
    }
}

impl<L: ModelLock> Witness<L> {
    /// What a holder in `mode` does between getting its guard and dropping it.
    ///
    /// # Panics
    /// If somebody is inside who should not be, or what an earlier holder did is not to be seen.
    pub fn visit(&self, mode: L::Mode) {
        let index = self.enter(mode);
        // Relaxed: the lock under test is what orders these.
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.visits()[index].is_over = true;
    }

    /// How many visits there were.
    pub fn visited(&self) -> usize {
        self.visits().len()
    }

    fn enter(&self, mode: L::Mode) -> usize {
        let mut visits = self.visits();
        let inside = visits.iter().filter(|visit| !visit.is_over);
        let mut inside: Vec<_> = inside.map(|visit| visit.mode).collect();
        inside.push(mode);
        assert!(
            L::fit(&inside),
            "together in the critical section: {inside:?}"
        );
        let before = visits.iter().filter(|visit| L::conflict(visit.mode, mode));
        before.for_each(|visit| visit.trace.with(|_| ()));
        let trace = UnsafeCell::new(());
        trace.with_mut(|_| ());
        visits.push(Visit {
            mode,
            is_over: false,
            trace,
        });
        visits.len() - 1
    }

    fn visits(&self) -> MutexGuard<'_, Vec<Visit<L::Mode>>> {
        self.visits
            .lock()
            .expect("an execution ends with its first panic")
    }
}
