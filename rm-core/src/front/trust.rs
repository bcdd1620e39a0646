//! Until when what was borrowed over a session may be used.

use crate::sync::{AtomicU64, Ordering};
use crate::time::Time;

/// The debtor's view of one lease: a deadline that acknowledgements push on, until it is over for good.
///
/// It is shared by the session's driver, which extends it, and by every use of what was borrowed, which asks
/// it. One word: the deadline in nanoseconds; zero: over.
#[derive(Debug)]
pub struct Trust {
    deadline: AtomicU64,
}

impl Trust {
    /// A lease that is good until `deadline`.
    #[must_use]
    pub fn until(deadline: Time) -> Self {
        Self {
            deadline: AtomicU64::new(deadline.as_nanos()),
        }
    }

    /// Whether it is good at `now`. Once it is not, it never is again.
    pub fn is_good(&self, now: Time) -> bool {
        // Acquire pairs with the release in `extend`: whoever sees the longer deadline sees the session live.
        let deadline = self.deadline.load(Ordering::Acquire);
        if now.as_nanos() < deadline {
            return true;
        }
        if deadline != 0 {
            self.end_if_past(now);
        }
        false
    }

    /// Pushes the deadline on; never back, and not once it is over.
    pub fn extend(&self, deadline: Time) {
        self.update(|present| {
            (present != 0 && present < deadline.as_nanos()).then_some(deadline.as_nanos())
        });
    }

    /// It is over.
    pub fn end(&self) {
        self.update(|present| (present != 0).then_some(0));
    }

    /// The deadline; `None` once it is over.
    pub fn deadline(&self) -> Option<Time> {
        match self.deadline.load(Ordering::Acquire) {
            0 => None,
            nanos => Some(Time::from_nanos(nanos)),
        }
    }

    /// Makes the loss stick: an acknowledgement that arrives after somebody was told must not undo it.
    fn end_if_past(&self, now: Time) {
        self.update(|present| (present != 0 && present <= now.as_nanos()).then_some(0));
    }

    fn update(&self, next: impl Fn(u64) -> Option<u64>) {
        let mut present = self.deadline.load(Ordering::Acquire);
        while let Some(wanted) = next(present) {
            let swap = self.deadline.compare_exchange(
                present,
                wanted,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match swap {
                Ok(_) => return,
                Err(other) => present = other,
            }
        }
    }
}

#[cfg(all(test, not(rm_loom)))]
mod tests {
    use super::*;

    const fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[test]
    fn a_deadline_moves_on_but_never_back() {
        let trust = Trust::until(at(10));
        trust.extend(at(20));
        trust.extend(at(15));
        assert!(trust.is_good(at(19)));
        assert!(!trust.is_good(at(20)));
    }

    #[test]
    fn what_was_found_lost_stays_lost() {
        let trust = Trust::until(at(10));
        assert!(!trust.is_good(at(10)));
        trust.extend(at(100));
        assert!(!trust.is_good(at(11)));
        assert_eq!(trust.deadline(), None);
    }
}
