//! Until when what was borrowed over a session may be used.

use std::sync::{Arc, Weak};

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
    rest: Mutex<Rest>,
}

/// What is seldom needed of a trust.
#[derive(Debug, Default)]
struct Rest {
    /// Whom to tell at the end, and the number of the session there.
    told: Option<(Arc<Ended>, u64)>,
    /// What ends with it: claims that went over its session.
    along: Vec<Weak<Trust>>,
    /// While some of what rests on it is about to leave it, extensions wait here.
    held: Option<Time>,
}

/// Which sessions with the creditor have ended, for those who cannot look at their trust: who enters by a
/// [gate](super::gate) has no lock, and must not read what another session may replace.
///
/// The sessions of a domain have numbers that rise, and share [`LANES`] words. Each word is the highest of its sessions
/// that has ended. So an earlier one of the same word counts as ended, too: who enters then has to ask the lock, which
/// knows better.
#[derive(Debug)]
pub(super) struct Ended([AtomicU64; LANES]);

/// More than there are sessions with creditors at once.
const LANES: usize = if crate::sync::IS_MODELLED { 2 } else { 128 };

impl Ended {
    pub(super) fn new() -> Self {
        Self(core::array::from_fn(|_| AtomicU64::new(0)))
    }

    pub(super) fn has_ended(&self, session: u64) -> bool {
        // Relaxed: whoever saw in the trust that it is over saw it after this was raised, and sees no earlier value here.
        self.lane(session).load(Ordering::Relaxed) >= session
    }

    fn end(&self, session: u64) {
        // Relaxed: the trust's own word releases it.
        self.lane(session).fetch_max(session, Ordering::Relaxed);
    }

    fn lane(&self, session: u64) -> &AtomicU64 {
        &self.0[session as usize % LANES]
    }
}

impl Trust {
    /// A lease that is good until `deadline`.
    #[must_use]
    pub fn until(deadline: Time) -> Self {
        Self {
            deadline: AtomicU64::new(deadline.as_nanos()),
            rest: Mutex::new(Rest::default()),
        }
    }

    /// From now on `ended` hears of its end, as of that of the session with that number. Where it is over already, no gate
    /// opens on it: whoever opens one looks first.
    pub(super) fn tell(&self, ended: Arc<Ended>, session: u64) {
        self.rest.lock().told = Some((ended, session));
    }

    /// What rests on `other` shares the fate of this session, since it was claimed over it.
    pub(super) fn take_along(&self, other: &Arc<Self>) {
        let mut rest = self.rest.lock();
        if self.why_over().is_some() {
            other.end();
        }
        rest.along.retain(|other| other.strong_count() > 0);
        rest.along.push(Arc::downgrade(other));
    }

    /// Another that is good for as long as this one is now, and is never extended.
    pub(super) fn frozen(&self) -> Self {
        Self::until(self.deadline().unwrap_or(Time::ZERO))
    }

    /// From now on extensions wait until [`let_go`](Self::let_go).
    pub(super) fn hold(&self) {
        self.rest.lock().held.get_or_insert(Time::ZERO);
    }

    /// Extensions count again, and those that came meanwhile.
    pub(super) fn let_go(&self) {
        let held = self.rest.lock().held.take();
        if let Some(deadline) = held.filter(|&held| held > Time::ZERO) {
            // If it is over by now, whoever extends it next finds out.
            let _ = self.extend(deadline);
        }
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
        let mut rest = self.rest.lock();
        if let Some(held) = &mut rest.held {
            *held = deadline.max(*held);
            return self.why_over().is_none();
        }
        let wanted = deadline.as_nanos();
        is_deadline(self.update(|word| (is_deadline(word) && word < wanted).then_some(wanted)))
    }

    /// It is over, because the session is.
    pub fn end(&self) {
        // Held to the end: who begins to listen meanwhile finds it over.
        let rest = self.rest.lock();
        // First: who sees that it is over must find no gate open on it.
        if let Some((ended, session)) = &rest.told {
            ended.end(*session);
        }
        let along = rest.along.iter().filter_map(Weak::upgrade);
        along.for_each(|other| other.end());
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
