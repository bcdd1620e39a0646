//! When which resource has a deadline: for the node's one timer.

use std::collections::BTreeMap;
use std::sync::Weak;

use crate::sync::Mutex;
use crate::time::Time;

/// A resource that asked to be told when a time has come.
pub(super) trait Due: Send + Sync {
    fn on_due(&self, now: Time);
}

/// Deadlines of all resources of a domain: one entry for each resource that has any.
///
/// An entry may be early, because its request has been served since; then the resource does nothing.
#[derive(Default)]
pub(super) struct Timers {
    entries: Mutex<Entries>,
}

/// One deadline of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) at: Time,
    number: u64,
}

#[derive(Default)]
struct Entries {
    by_time: BTreeMap<Entry, Weak<dyn Due>>,
    count: u64,
}

impl Timers {
    /// Puts a deadline in place of the resource's former one. Returns its entry, and whether it is now the
    /// earliest of all.
    pub(super) fn set(&self, former: Option<Entry>, at: Time, due: Weak<dyn Due>) -> (Entry, bool) {
        let mut entries = self.entries.lock();
        if let Some(former) = former {
            entries.by_time.remove(&former);
        }
        let entry = Entry {
            at,
            number: entries.count,
        };
        entries.count += 1;
        entries.by_time.insert(entry, due);
        let first = entries.by_time.first_key_value().map(|(first, _)| *first);
        (entry, first == Some(entry))
    }

    /// Forgets a deadline of a resource that vanishes.
    pub(super) fn remove(&self, entry: Entry) {
        self.entries.lock().by_time.remove(&entry);
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.entries
            .lock()
            .by_time
            .first_key_value()
            .map(|(key, _)| key.at)
    }

    /// Tells every resource whose time has come.
    pub(super) fn run(&self, now: Time) {
        loop {
            // Not under the lock: a resource may add its next deadline.
            let due = {
                let mut entries = self.entries.lock();
                match entries.by_time.first_entry() {
                    Some(first) if first.key().at <= now => first.remove(),
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
