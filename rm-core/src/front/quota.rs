//! How much of a node one debtor may take up.
//!
//! What a debtor takes up comes and goes in many places. So it is counted roughly, always too high, never too low, and
//! counted anew where the rough count reaches the limit. To count anew goes over all resources, so it happens no more often than
//! once a second: until then a debtor at its limit is refused, even if some of what it had is gone.

use core::time::Duration;

use crate::time::Time;

/// So long a debtor at its limit waits until it is counted anew.
const AGAIN: Duration = Duration::from_secs(1);

/// What one debtor takes up of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quota {
    /// At least what it has.
    count: u64,
    /// When it may be counted anew.
    again: Time,
}

impl Quota {
    /// Takes one more, if there seems to be no more than `most` then.
    #[must_use]
    pub const fn take(&mut self, most: u64) -> bool {
        let has_room = self.count < most;
        self.count += has_room as u64;
        has_room
    }

    /// Takes one more, however many there are: one that is refused, until its answer gives it back as that of any other.
    pub const fn take_to_refuse(&mut self) {
        self.count += 1;
    }

    /// Whether it may be counted anew.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        now >= self.again
    }

    /// It was counted anew.
    pub fn recount(&mut self, now: Time, count: u64) {
        self.again = now.after(AGAIN);
        self.count = count;
    }

    /// One is gone, of those that were taken.
    pub const fn give_back(&mut self) {
        self.count = self.count.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn what_was_given_back_unseen_is_found_by_counting_anew() {
        let mut quota = Quota::default();
        assert!(quota.take(2) && quota.take(2) && !quota.take(2));
        assert!(quota.is_due(at(0)));
        quota.recount(at(0), 1);
        assert!(quota.take(2) && !quota.take(2));
    }

    #[test]
    fn who_is_at_the_limit_is_refused_and_counted_once_a_second() {
        let mut quota = Quota::default();
        assert!(quota.take(1));
        quota.recount(at(0), 1);
        assert!(!quota.take(1));
        assert!(!quota.is_due(at(999)) && quota.is_due(at(1_000)));
    }

    #[test]
    fn what_is_refused_makes_no_room() {
        let mut quota = Quota::default();
        assert!(quota.take(2) && quota.take(2));
        for _ in 0..4 {
            assert!(!quota.take(2));
            quota.take_to_refuse();
            // Its denial.
            quota.give_back();
        }
    }

    #[test]
    fn what_is_given_back_makes_room_at_once() {
        let mut quota = Quota::default();
        assert!(quota.take(1));
        quota.give_back();
        assert!(quota.take(1));
    }
}
