//! When which resource has a deadline: for the node's one timer.

use std::collections::BTreeMap;
use std::sync::Weak;

use crate::sync::Mutex;
use crate::time::Time;

/// A resource that asked to be told when a time has come.
pub(super) trait Due: Send + Sync {
    fn on_due(&self, now: Time);
}

/// Deadlines of all resources of a domain.
///
/// An entry may be early, because its request has been served since; then the resource does nothing.
#[derive(Default)]
pub(super) struct Timers {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_time: BTreeMap<(Time, u64), Weak<dyn Due>>,
    count: u64,
}

impl Timers {
    /// Adds a deadline. Returns whether it is now the earliest.
    pub(super) fn add(&self, at: Time, due: Weak<dyn Due>) -> bool {
        let mut entries = self.entries.lock();
        let key = (at, entries.count);
        entries.count += 1;
        entries.by_time.insert(key, due);
        entries
            .by_time
            .first_key_value()
            .is_some_and(|(first, _)| *first == key)
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.entries
            .lock()
            .by_time
            .first_key_value()
            .map(|(key, _)| key.0)
    }

    /// Tells every resource whose time has come.
    pub(super) fn run(&self, now: Time) {
        loop {
            // Not under the lock: a resource may add its next deadline.
            let due = {
                let mut entries = self.entries.lock();
                match entries.by_time.first_entry() {
                    Some(first) if first.key().0 <= now => first.remove(),
                    _ => return,
                }
            };
            if let Some(due) = due.upgrade() {
                due.on_due(now);
            }
        }
    }
}

impl core::fmt::Debug for Timers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Timers").finish_non_exhaustive()
    }
}
