//! What a run tells: its counts, or what went wrong and how to see it again.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::testing::history::Record;

/// What a run did, and nothing was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report<C> {
    /// From what everything random in it was drawn.
    pub seed: u64,
    /// Things that happened: steps of clients, messages that arrived, deadlines.
    pub events: u64,
    /// How long it took, in simulated time.
    pub span: Duration,
    /// Messages by name.
    pub messages: BTreeMap<&'static str, u64>,
    /// Requests by what their clients are called, otherwise by mode.
    pub groups: BTreeMap<&'static str, Group>,
    /// Grants ahead of an older request that waited and conflicts, for each such request.
    pub bypasses: u64,
    /// The longest that a request had waited when such a younger one passed it.
    pub bypass_age_max: Duration,
    /// How many younger ones passed one request, at most.
    pub passed_max: u32,
    /// The longest that a request waited beside credit that nobody held and no older request waited for; zero where
    /// nobody looked.
    pub idle_max: Duration,
    /// How often a holder was told that somebody waits for what it has.
    pub notices: u64,
    /// Who asked for, held and released what, and when; empty unless asked for.
    pub history: Vec<Record<C>>,
}

/// What became of the requests of one kind. A conversion is a request too, of the kind of the mode it asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// How many were made.
    pub asked: u64,
    /// How many were granted.
    pub granted: u64,
    /// How many a holder or an older request was in the way of: only a `try` can be.
    pub busy: u64,
    /// How many were not granted in time.
    pub late: u64,
    /// How many conversions would have deadlocked.
    pub deadlocked: u64,
    /// How many were made where the way to the root winds up.
    pub closed: u64,
    /// How many were cancelled while they waited.
    pub cancelled: u64,
    /// Messages that followed from what their clients did.
    pub messages: u64,
    /// Hops of all that were granted, together. The hops of a request are the messages that followed from one
    /// another from what a client did last, its making or the release of a holder it waited for, to its grant.
    pub hops: u64,
    /// The most hops of one.
    pub hops_max: u32,
    /// How long each that was granted had waited, in nanoseconds; sorted.
    waits: Vec<u64>,
}

impl Group {
    pub(super) fn note_grant(&mut self, hops: u32, wait: u64) {
        self.granted += 1;
        self.hops += u64::from(hops);
        self.hops_max = self.hops_max.max(hops);
        self.waits.push(wait);
    }

    /// How long those that were granted had waited: what so many of a hundred did not exceed. Zero if none
    /// was granted.
    #[must_use]
    pub fn wait(&self, percent: u32) -> Duration {
        let last = self.waits.len().saturating_sub(1);
        let index = (last as u64 * u64::from(percent.min(100))).div_ceil(100);
        let nanos = self.waits.get(index as usize).copied().unwrap_or_default();
        Duration::from_nanos(nanos)
    }

    /// The longest of them.
    #[must_use]
    pub fn wait_max(&self) -> Duration {
        self.wait(100)
    }

    /// Hops of a grant, on average.
    #[must_use]
    pub fn hops_mean(&self) -> f64 {
        ratio(self.hops, self.granted)
    }

    /// Messages for each grant, on average.
    #[must_use]
    pub fn messages_per_grant(&self) -> f64 {
        ratio(self.messages, self.granted)
    }
}

impl<C> Report<C> {
    pub(super) fn finish(&mut self) {
        for group in self.groups.values_mut() {
            group.waits.sort_unstable();
        }
    }

    /// All requests that are called so.
    ///
    /// # Panics
    /// If there were none.
    #[must_use]
    pub fn group(&self, name: &str) -> &Group {
        let known = || self.groups.keys().copied().collect::<Vec<_>>();
        self.groups
            .get(name)
            .unwrap_or_else(|| panic!("no request is called {name}, only {:?}", known()))
    }

    /// How many requests were granted.
    #[must_use]
    pub fn granted(&self) -> u64 {
        self.groups.values().map(|group| group.granted).sum()
    }

    /// How many were denied.
    #[must_use]
    pub fn denied(&self) -> u64 {
        let denied = |group: &Group| group.busy + group.late + group.deadlocked + group.closed;
        self.groups.values().map(denied).sum()
    }

    /// All messages.
    #[must_use]
    pub fn messages_total(&self) -> u64 {
        self.messages.values().sum()
    }

    /// Messages for each grant, on average.
    #[must_use]
    pub fn messages_per_grant(&self) -> f64 {
        ratio(self.messages_total(), self.granted())
    }
}

impl<C> fmt::Display for Report<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} events in {:.3} s, {} messages, {:.2} a grant, {} bypasses",
            self.seed,
            self.events,
            self.span.as_secs_f64(),
            self.messages_total(),
            self.messages_per_grant(),
            self.bypasses,
        )?;
        for (name, group) in &self.groups {
            writeln!(
                f,
                "  {name}: {} asked, {} granted, {} busy, {} late, {} deadlocked, {} closed, {} \
                 cancelled; hops {:.2}, at \
                 most {}; waits {:?} in the middle, {:?} at most",
                group.asked,
                group.granted,
                group.busy,
                group.late,
                group.deadlocked,
                group.closed,
                group.cancelled,
                group.hops_mean(),
                group.hops_max,
                group.wait(50),
                group.wait_max(),
            )?;
        }
        Ok(())
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// A run in which a rule was broken.
///
/// It prints the same with `{}` and `{:?}`, so that a test may simply return it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{what}\nat {at:?}, event {event}; the last events:\n{trace}replay it: {replay}")]
pub struct Failure {
    /// Which rule, in words.
    pub what: String,
    /// From what everything random in the run was drawn.
    pub seed: u64,
    /// The number of the event after which it was seen.
    pub event: u64,
    /// When that was, in simulated time.
    pub at: Duration,
    /// The last events, with what they caused.
    pub trace: String,
    /// How to run it again.
    pub replay: String,
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_waits() {
        let mut report = Report::<u8> {
            seed: 0,
            events: 0,
            span: Duration::ZERO,
            messages: BTreeMap::new(),
            groups: BTreeMap::from([("read", Group::default())]),
            bypasses: 0,
            bypass_age_max: Duration::ZERO,
            passed_max: 0,
            idle_max: Duration::ZERO,
            notices: 0,
            history: Vec::new(),
        };
        let group = report.groups.get_mut("read").expect("it is there");
        for wait in [5, 3, 1, 4, 2] {
            group.note_grant(2, wait);
        }
        report.finish();
        let group = report.group("read");
        let waits = [0, 50, 100].map(|percent| group.wait(percent).as_nanos());
        assert_eq!(waits, [1, 3, 5]);
        assert_eq!(Group::default().wait(50), Duration::ZERO);
    }
}
