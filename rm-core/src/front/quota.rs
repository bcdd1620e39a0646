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
    /// Takes one more, if that is no more than `most`. `recount` says what it really has.
    #[must_use]
    pub fn take(&mut self, now: Time, most: u64, recount: impl FnOnce() -> u64) -> bool {
        if self.count >= most {
            if now < self.again {
                return false;
            }
            self.again = now.after(AGAIN);
            self.count = recount();
        }
        let has_room = self.count < most;
        self.count += u64::from(has_room);
        has_room
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
        assert!(quota.take(at(0), 2, || unreachable!()));
        assert!(quota.take(at(0), 2, || unreachable!()));
        assert!(quota.take(at(0), 2, || 1));
    }

    #[test]
    fn who_is_at_the_limit_is_refused_and_counted_once_a_second() {
        let mut quota = Quota::default();
        assert!(quota.take(at(0), 1, || unreachable!()));
        assert!(!quota.take(at(0), 1, || 1));
        assert!(!quota.take(at(999), 1, || unreachable!()));
        assert!(quota.take(at(1_000), 1, || 0));
    }

    #[test]
    fn what_is_given_back_makes_room_at_once() {
        let mut quota = Quota::default();
        assert!(quota.take(at(0), 1, || unreachable!()));
        quota.give_back();
        assert!(quota.take(at(0), 1, || unreachable!()));
    }
}
