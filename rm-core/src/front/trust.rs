//! Until when what was borrowed over a session may be used.

use std::sync::Arc;

use crate::error::LostReason;
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::time::Time;

/// In place of a deadline: it ran out.
const RAN_OUT: u64 = 0;
/// In place of a deadline: the session ended before it.
const ENDED: u64 = 1;

/// The debtor's view of one lease: a deadline that acknowledgements push on, until it is over for good.
///
/// It is shared by the session's driver, which extends it, and by every use of what was borrowed, which asks
/// it. One word: the deadline in nanoseconds, or why it is over.
#[derive(Debug)]
pub struct Trust {
    deadline: AtomicU64,
    /// Whom to tell at the end, and the number of the session there.
    told: Mutex<Option<(Arc<Ended>, u64)>>,
}

/// Which sessions with the creditor have ended, for those who cannot look at their trust: who enters by a
/// [gate](super::gate) has no lock, and must not read what another session may replace.
///
/// The sessions of a domain have numbers that rise. This is the highest that has ended.
#[derive(Debug)]
pub(super) struct Ended(AtomicU64);

impl Ended {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn has_ended(&self, session: u64) -> bool {
        // Relaxed: whoever saw in the trust that it is over saw it after this was raised, and sees no earlier value here.
        self.0.load(Ordering::Relaxed) >= session
    }

    fn end(&self, session: u64) {
        // Relaxed: the trust's own word releases it.
        self.0.fetch_max(session, Ordering::Relaxed);
    }
}

impl Trust {
    /// A lease that is good until `deadline`.
    #[must_use]
    pub fn until(deadline: Time) -> Self {
        Self {
            deadline: AtomicU64::new(deadline.as_nanos()),
            told: Mutex::new(None),
        }
    }

    /// From now on `ended` hears of its end, as of that of the session with that number. Where it is over already, no gate
    /// opens on it: whoever opens one looks first.
    pub(super) fn tell(&self, ended: Arc<Ended>, session: u64) {
        *self.told.lock() = Some((ended, session));
    }

    /// Whether it is good at `now`. Once it is not, it never is again.
    pub fn is_good(&self, now: Time) -> bool {
        // The loss sticks before anybody is told of it: an acknowledgement that arrives in between either comes
        // first, and the lease is good, or too late.
        let now = now.as_nanos();
        let word = self.update(|word| (is_deadline(word) && word <= now).then_some(RAN_OUT));
        is_deadline(word)
    }

    /// Pushes the deadline on; never back, and not once it is over. Returns whether it is not.
    ///
    /// Where it is over, somebody found the former deadline past before this extension came: then the session
    /// must end as well ([`DebtorSession::lapse`](crate::session::DebtorSession::lapse)).
    #[must_use = "a session whose trust is over must end"]
    pub fn extend(&self, deadline: Time) -> bool {
        let wanted = deadline.as_nanos();
        is_deadline(self.update(|word| (is_deadline(word) && word < wanted).then_some(wanted)))
    }

    /// It is over, because the session is.
    pub fn end(&self) {
        // Held to the end: who begins to listen meanwhile finds it over.
        let told = self.told.lock();
        // First: who sees that it is over must find no gate open on it.
        if let Some((ended, session)) = &*told {
            ended.end(*session);
        }
        self.update(|word| is_deadline(word).then_some(ENDED));
    }

    /// The deadline; `None` once it is over.
    pub fn deadline(&self) -> Option<Time> {
        let word = self.deadline.load(Ordering::Acquire);
        is_deadline(word).then_some(Time::from_nanos(word))
    }

    /// Why it is over, if it is.
    pub fn why_over(&self) -> Option<LostReason> {
        match self.deadline.load(Ordering::Acquire) {
            RAN_OUT => Some(LostReason::LeaseExpired),
            ENDED => Some(LostReason::SessionEnded),
            _ => None,
        }
    }

    /// Replaces the word by what `next` makes of it, if it makes anything of it, and returns what then stands.
    fn update(&self, next: impl Fn(u64) -> Option<u64>) -> u64 {
        // Acquire pairs with the release below: whoever sees the longer deadline sees the session live.
        let mut present = self.deadline.load(Ordering::Acquire);
        while let Some(wanted) = next(present) {
            let swap = self.deadline.compare_exchange(
                present,
                wanted,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match swap {
                Ok(_) => return wanted,
                Err(other) => present = other,
            }
        }
        present
    }
}

const fn is_deadline(word: u64) -> bool {
    word > ENDED
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
        assert!(trust.extend(at(20)));
        assert!(trust.extend(at(15)));
        assert!(trust.is_good(at(19)));
        assert!(!trust.is_good(at(20)));
    }

    #[test]
    fn it_tells_whether_the_lease_ran_out_or_the_session_ended_first() {
        let (first, second) = (Trust::until(at(10)), Trust::until(at(10)));
        assert_eq!(first.why_over(), None);
        assert!(!first.is_good(at(10)));
        first.end();
        second.end();
        assert!(!second.is_good(at(0)));
        assert_eq!(first.why_over(), Some(LostReason::LeaseExpired));
        assert_eq!(second.why_over(), Some(LostReason::SessionEnded));
    }

    #[test]
    fn what_was_found_lost_stays_lost() {
        let trust = Trust::until(at(10));
        assert!(!trust.is_good(at(10)));
        assert!(!trust.extend(at(100)));
        assert!(!trust.is_good(at(11)));
        assert_eq!(trust.deadline(), None);
    }
}
