//! What the clients count, and how they tell.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many violations are described; all are counted.
const DESCRIBED_MAX: usize = 3;

/// Counters, of one client or of all.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Work done under read locks.
    pub(super) reads: u64,
    /// Work done under write locks.
    pub(super) writes: u64,
    /// Among the writes, those that moved money in the ledger.
    pub(super) transfers: u64,
    /// Times that a file was found as it must not be.
    pub(super) violations: u64,
    /// Times that a lock could not be had, or was lost, or a file could not be used.
    pub(super) failures: u64,
    /// Locks for which the server was asked.
    pub(super) remote_acquires: u64,
    /// Locks that were served out of the client's cache.
    pub(super) cached_acquires: u64,
    /// The longest that a writer waited for a lock.
    pub(super) writer_wait_ms_max: u64,
    /// The first violations and failures, in words.
    pub(super) described: Vec<String>,
}

/// A line from a client process.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct ClientLine {
    pub(super) counts: Counts,
    /// Whether it was the last: the work is done, and the client has said goodbye.
    pub(super) is_finished: bool,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.transfers += other.transfers;
        self.violations += other.violations;
        self.failures += other.failures;
        self.remote_acquires += other.remote_acquires;
        self.cached_acquires += other.cached_acquires;
        self.writer_wait_ms_max = self.writer_wait_ms_max.max(other.writer_wait_ms_max);
        self.described.extend_from_slice(&other.described);
        self.described.truncate(DESCRIBED_MAX);
    }

    fn describe(&mut self, what: String) {
        if self.described.len() < DESCRIBED_MAX {
            self.described.push(what);
        }
    }
}

/// The counters of one client, counted by its tasks.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Mutex<Counts>,
}

/// How one piece of work went wrong.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The file was as it must not be.
    Violation(String),
    /// The work could not be done.
    Failure(String),
}

impl Tally {
    /// What was counted up to now.
    pub(super) fn counts(&self) -> Counts {
        self.with(|counts| counts.clone())
    }

    /// Counts with `count`, and what went wrong, if it did.
    pub(super) fn count(&self, done: Result<(), Wrong>, count: impl FnOnce(&mut Counts)) {
        self.with(|counts| match done {
            Ok(()) => count(counts),
            Err(Wrong::Violation(what)) => {
                counts.violations += 1;
                counts.describe(what);
            }
            Err(Wrong::Failure(what)) => {
                counts.failures += 1;
                counts.describe(what);
            }
        });
    }

    /// A writer has waited so long.
    pub(super) fn on_writer_wait(&self, waited: Duration) {
        let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        self.with(|counts| counts.writer_wait_ms_max = counts.writer_wait_ms_max.max(waited));
    }

    fn with<R>(&self, count: impl FnOnce(&mut Counts) -> R) -> R {
        // Counting leaves nothing half done: a poisoned lock is as good as any.
        count(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The line of one second.
pub(super) fn live(elapsed: Duration, before: &Counts, now: &Counts) -> String {
    let acquires = now.cached_acquires + now.remote_acquires;
    let cached = (100 * now.cached_acquires)
        .checked_div(acquires)
        .unwrap_or(0);
    format!(
        "{:>3} s  reads {} (+{})  writes {} (+{})  locks {acquires}, {cached} % cached  longest wait of a writer {} ms  violations {}",
        elapsed.as_secs(),
        now.reads,
        now.reads.saturating_sub(before.reads),
        now.writes,
        now.writes.saturating_sub(before.writes),
        now.writer_wait_ms_max,
        now.violations,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_are_all_counted_and_the_first_described() {
        let tally = Tally::default();
        for index in 0..9 {
            let wrong = Wrong::Violation(format!("number {index}"));
            tally.count(Err(wrong), |counts| counts.reads += 1);
        }
        tally.count(Ok(()), |counts| counts.reads += 1);
        let counts = tally.counts();
        assert_eq!((counts.violations, counts.reads), (9, 1));
        assert_eq!(counts.described, ["number 0", "number 1", "number 2"]);
    }

    #[test]
    fn sums_add_up_and_the_longest_wait_is_the_longest_of_all() {
        let mut sum = Counts::default();
        for (reads, writer_wait_ms_max) in [(1, 30), (2, 10)] {
            sum.add(&Counts {
                reads,
                writer_wait_ms_max,
                ..Counts::default()
            });
        }
        assert_eq!((sum.reads, sum.writer_wait_ms_max), (3, 30));
    }
}
