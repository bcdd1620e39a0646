//! Callers that are refused before they are anybody are logged, and their number is theirs to choose: so only some are,
//! and the next line says how many were not.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rm_core::time::Time;

/// Lines in each [`PERIOD`].
pub(super) const LINES_MAX: u32 = 10;
/// How long that counts.
const PERIOD: Duration = Duration::from_secs(10);

/// What was logged of late.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Period>);

#[derive(Debug)]
struct Period {
    since: Time,
    lines: u32,
    /// Since the last line.
    unsaid: u64,
}

impl Default for Period {
    fn default() -> Self {
        Self {
            since: Time::ZERO,
            lines: 0,
            unsaid: 0,
        }
    }
}

impl Refusals {
    /// One more. If it is to be logged: how many before it were not.
    #[must_use]
    pub(super) fn note(&self, now: Time) -> Option<u64> {
        let mut period = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(period.since) >= PERIOD {
            period.since = now;
            period.lines = 0;
        }
        if period.lines == LINES_MAX {
            period.unsaid += 1;
            return None;
        }
        period.lines += 1;
        Some(std::mem::take(&mut period.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_fills_a_few_lines_and_the_next_one_tells_of_the_rest() {
        let refusals = Refusals::default();
        let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
        let said = (0..1_000).filter(|_| refusals.note(at(5)).is_some());
        assert_eq!(said.count(), LINES_MAX as usize);
        assert_eq!(refusals.note(at(20)), Some(1_000 - u64::from(LINES_MAX)));
        assert_eq!(refusals.note(at(21)), Some(0), "they were told of");
    }
}
