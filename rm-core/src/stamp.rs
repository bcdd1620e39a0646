//! Hybrid logical time: the age of requests.
//!
//! A stamp is the larger of the clock and one more than the highest stamp seen, and every packet carries its
//! sender's highest. So a request is younger than all that its node had heard of when it was made, and a
//! node whose clock is behind neither wins for ever nor starves. Safety never rests on stamps.

use core::time::Duration;

use crate::id::Stamp;
use crate::time::{Time, saturating_nanos};

/// How far ahead of our own a newcomer's stamp may be, unless configured: one day.
pub const STAMP_AHEAD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The highest stamp seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HybridClock {
    highest: Stamp,
}

impl HybridClock {
    /// A stamp for a request made now. `now` is the time since an epoch common to all nodes, as well as
    /// the node knows it: real clocks keep the order of requests near the order of their making.
    #[must_use]
    pub fn next(&mut self, now: Time) -> Stamp {
        let next = now.as_nanos().max(self.highest.0.saturating_add(1));
        self.highest = Stamp(next);
        self.highest
    }

    /// Another's highest.
    pub fn observe(&mut self, other: Stamp) {
        self.highest = self.highest.max(other);
    }

    /// The highest seen.
    #[must_use]
    pub const fn highest(&self) -> Stamp {
        self.highest
    }

    /// Whether another's highest stamp is so far ahead that taking it over would spoil the order.
    ///
    /// It is held against the clock, not against what was seen: or the bound would move with each packet.
    #[must_use]
    pub fn is_poisoned(&self, now: Time, other: Stamp, ahead_max: Duration) -> bool {
        other.0 > now.as_nanos().saturating_add(saturating_nanos(ahead_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_later_than_all_that_was_seen_even_if_the_clock_is_behind() {
        let mut clock = HybridClock::default();
        clock.observe(Stamp(1_000));
        assert_eq!(clock.next(Time::from_nanos(5)), Stamp(1_001));
        assert_eq!(clock.next(Time::from_nanos(5_000)), Stamp(5_000));
    }

    #[test]
    fn a_stamp_a_week_ahead_is_poison() {
        let clock = HybridClock::default();
        let week = Stamp(7 * 24 * 3_600 * 1_000_000_000);
        assert!(clock.is_poisoned(Time::ZERO, week, STAMP_AHEAD_MAX));
        assert!(!clock.is_poisoned(Time::ZERO, Stamp(1), STAMP_AHEAD_MAX));
    }

    #[test]
    fn the_bound_does_not_move_with_what_was_seen() {
        let mut clock = HybridClock::default();
        let day = STAMP_AHEAD_MAX.as_nanos() as u64;
        clock.observe(Stamp(day));
        assert!(clock.is_poisoned(Time::ZERO, Stamp(day + 1), STAMP_AHEAD_MAX));
    }
}
