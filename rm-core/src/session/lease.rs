//! The lease: for how long a debtor may trust what it borrowed, and how long its creditor must wait.
//!
//! # Why it is safe
//!
//! The debtor notes its clock, `s`, *before* it sends a renewal. The creditor notes its own, `r`, *after* it
//! received it, and only then answers. So `s` comes before `r` in true time, whatever the network did. The
//! debtor trusts until `s + trust(L)`, the creditor takes back at `r + wait(L)`. Clocks have any offset, but
//! run at a rate within 1 ± rho; each side corrects for its own clock alone:
//!
//! * `trust(T) = T (1 - rho) - g`: a clock that shows it is over before `T` of true time is;
//! * `wait(T) = T (1 + rho) + g`: a clock that shows it is over no sooner than `T` of true time is.
//!
//! Hence trust ends no later than `s + L`, and taking back begins no earlier than `r + L`. A lost answer
//! shortens trust, never the wait. `g`, the guard, stands for the grain of timers. All rounding is to that
//! same side.
//!
//! An answer may give less than `L`: what a creditor has borrowed itself it can lend for no longer than it is trusted.
//! Of such an answer, all that follows from `L` follows from its length, on both sides.
//!
//! # Invariants
//!
//! * Only an answer to a renewal that was sent, and has not been answered, extends trust.
//! * Trust that ended has ended for good: no later answer brings it back.
//! * The number of unanswered renewals that are remembered is bounded ([`UNANSWERED_MAX`]).
//!
//! The clock behind [`Time`] must count suspend, or a machine that slept wakes up trusting.

use core::time::Duration;

use smallvec::SmallVec;
use thiserror::Error;

use crate::time::{Time, saturating_nanos};

/// The shortest lease. Below it the guard and the delays of a busy machine eat the lease up.
pub const LEASE_MIN: Duration = Duration::from_secs(1);
/// The longest lease. A dead debtor's credit is missing for as long.
pub const LEASE_MAX: Duration = Duration::from_secs(60 * 60);
/// The lease where none is configured.
pub const LEASE_DEFAULT: Duration = Duration::from_secs(15);
/// `rho`: by how many thousandths the rate of a clock may be off.
pub const DRIFT_PER_MILLE: u64 = 20;
/// `g`: what is added on the safe side for the grain of timers.
pub const GUARD: Duration = Duration::from_millis(20);
/// How many unanswered renewals a debtor remembers; of more, it forgets the oldest.
pub const UNANSWERED_MAX: usize = 8;

/// The length `L` of a lease, and all that follows from it. The whole cluster has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseTerms {
    length: Duration,
}

/// A lease length that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum BadLease {
    /// Longer than [`LEASE_MAX`].
    #[error("a lease of {length:?} is too long: choose one from {LEASE_MIN:?} to {LEASE_MAX:?}")]
    TooLong {
        /// What was given.
        length: Duration,
    },
    /// Shorter than [`LEASE_MIN`].
    #[error("a lease of {length:?} is too short: choose one from {LEASE_MIN:?} to {LEASE_MAX:?}")]
    TooShort {
        /// What was given.
        length: Duration,
    },
}

impl LeaseTerms {
    /// The terms of a lease of `length`, in true time.
    ///
    /// # Errors
    /// Where it is not from [`LEASE_MIN`] to [`LEASE_MAX`].
    pub const fn new(length: Duration) -> Result<Self, BadLease> {
        if saturating_nanos(length) < saturating_nanos(LEASE_MIN) {
            Err(BadLease::TooShort { length })
        } else if saturating_nanos(length) > saturating_nanos(LEASE_MAX) {
            Err(BadLease::TooLong { length })
        } else {
            Ok(Self { length })
        }
    }

    /// `L`, in true time.
    #[must_use]
    pub const fn length(self) -> Duration {
        self.length
    }

    /// `M`, for how long a member is one after it was last confirmed, in true time: 4/15 of `L`, so that a debtor can
    /// find its new root while it still trusts.
    #[must_use]
    pub fn member_length(self) -> Duration {
        self.length * 4 / 15
    }

    /// How long whoever trusts for `span` of true time may do so by its own clock. Rounded down.
    #[must_use]
    pub const fn trust(span: Duration) -> Duration {
        let nanos = span.as_nanos() * (1_000 - DRIFT_PER_MILLE as u128) / 1_000;
        nanos_u128(nanos).saturating_sub(GUARD)
    }

    /// How long whoever waits out `span` of true time must do so by its own clock. Rounded up.
    #[must_use]
    pub const fn wait(span: Duration) -> Duration {
        let nanos = (span.as_nanos() * (1_000 + DRIFT_PER_MILLE as u128)).div_ceil(1_000);
        nanos_u128(nanos).saturating_add(GUARD)
    }

    /// What is left, in true time, of a wait of which the own clock still shows `left`. Rounded up: it is told to
    /// whoever waits in this node's place.
    #[must_use]
    pub const fn remaining(left: Duration) -> Duration {
        let nanos = (left.as_nanos() * 1_000).div_ceil(1_000 + DRIFT_PER_MILLE as u128);
        nanos_u128(nanos)
    }

    /// How long whoever may use what it has for `span` by its own clock may let others do so, in true time. Rounded
    /// down, and no longer than `L`.
    #[must_use]
    pub fn within(self, span: Duration) -> Duration {
        let nanos = span.as_nanos() * (1_000 - u128::from(DRIFT_PER_MILLE)) / 1_000;
        nanos_u128(nanos).min(self.length)
    }

    /// A debtor that was given `length` renews so often: a quarter of it. Not more often than timers can tell apart.
    #[must_use]
    pub fn renew_every(length: Duration) -> Duration {
        (length / 4).max(GUARD)
    }

    /// A debtor that was given `length` is in jeopardy this long before its deadline: a quarter of it.
    #[must_use]
    pub fn jeopardy(length: Duration) -> Duration {
        length / 4
    }

    /// A peer of which nothing was heard for so long is silent: L/2. Nothing is lent to it, and it is not
    /// told that it is heard.
    #[must_use]
    pub fn silence(self) -> Duration {
        self.length / 2
    }

    /// A clock that moved by more between two looks has jumped: L/8.
    #[must_use]
    pub fn jump(self) -> Duration {
        self.length / 8
    }
}

impl Default for LeaseTerms {
    /// Those of [`LEASE_DEFAULT`].
    fn default() -> Self {
        Self {
            length: LEASE_DEFAULT,
        }
    }
}

/// What became of an answer to a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Renewed {
    /// Trust now lasts longer.
    Extended,
    /// It changed nothing: to no renewal that is open, no longer than what there was, or too late.
    Unchanged,
}

/// The debtor's side of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DebtorLease {
    terms: LeaseTerms,
    /// The first answer must come before this.
    answer_by: Time,
    /// When the next renewal is due.
    renew_at: Time,
    /// How often it renews.
    every: Duration,
    /// The clock at the sending of each renewal that is not answered, rising.
    unanswered: SmallVec<[Time; UNANSWERED_MAX]>,
    /// What is trusted; `None` before the first answer.
    trust: Option<Trust>,
    /// Trust ended, or never came in time. For good.
    over: bool,
}

/// How long trust lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Trust {
    /// Jeopardy begins here.
    jeopardy: Time,
    /// Trust ends here: this moment is outside.
    deadline: Time,
}

impl DebtorLease {
    /// The lease of a session that stands since `now`. A renewal is due at once.
    #[must_use]
    pub fn new(now: Time, terms: LeaseTerms) -> Self {
        Self {
            terms,
            answer_by: now.after(terms.length),
            renew_at: now,
            every: LeaseTerms::renew_every(terms.length),
            unanswered: SmallVec::new(),
            trust: None,
            over: false,
        }
    }

    /// The same, of a debtor that waits for the first answer no longer than `patience`, even if `L` is longer:
    /// nothing is borrowed yet, and another creditor may be there.
    #[must_use]
    pub fn with_patience(mut self, now: Time, patience: Duration) -> Self {
        self.answer_by = self.answer_by.min(now.after(patience));
        self
    }

    /// A renewal is sent. `now` was read before its sending; it goes along and comes back in the answer.
    pub fn on_renew_sent(&mut self, now: Time) {
        if self.unanswered.len() == UNANSWERED_MAX {
            self.unanswered.remove(0);
        }
        self.unanswered.push(now);
        self.renew_at = now.after(self.every);
    }

    /// The creditor answered the renewal sent at `sent`: trust for `length` from there.
    ///
    /// More than `L` counts as `L`. An answer that meets no open renewal, and any answer after the lease is
    /// over, changes nothing.
    pub fn on_renew_ack(&mut self, now: Time, sent: Time, length: Duration) -> Renewed {
        if self.is_over(now) {
            return Renewed::Unchanged;
        }
        let Some(found) = self.unanswered.iter().position(|&open| open == sent) else {
            return Renewed::Unchanged;
        };
        // Older ones could only end sooner.
        self.unanswered.drain(..=found);
        let length = length.min(self.terms.length);
        if self.unanswered.is_empty() {
            self.every = LeaseTerms::renew_every(length);
            self.renew_at = sent.after(self.every);
        }
        let span = LeaseTerms::trust(length);
        let fresh = Trust {
            jeopardy: sent.after(span.saturating_sub(LeaseTerms::jeopardy(length))),
            deadline: sent.after(span),
        };
        let longer = self
            .trust
            .is_none_or(|trust| fresh.deadline > trust.deadline);
        // An answer that comes after its own end is no trust at all, not even for an instant.
        if !longer || now >= fresh.deadline {
            return Renewed::Unchanged;
        }
        self.trust = Some(fresh);
        Renewed::Extended
    }

    /// Looks at the clock: whether the lease is over. Once it is, it stays so, whatever is asked later.
    ///
    /// It is over at the deadline, or where the first answer did not come in time.
    #[must_use]
    pub fn is_over(&mut self, now: Time) -> bool {
        self.over |= now >= self.over_at();
        self.over
    }

    /// Whether what was borrowed may be used now.
    #[must_use]
    pub fn is_trusted(&self, now: Time) -> bool {
        !self.over && self.trust.is_some_and(|trust| now < trust.deadline)
    }

    /// Whether an answer ever came in time: something may have been borrowed.
    #[must_use]
    pub const fn was_trusted(&self) -> bool {
        self.trust.is_some()
    }

    /// When trust ends; `None` where there is none: before the first answer and after the end.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.trust
            .filter(|_| !self.over)
            .map(|trust| trust.deadline)
    }

    /// When jeopardy begins, unless an answer comes before.
    #[must_use]
    pub fn jeopardy_at(&self) -> Option<Time> {
        self.trust
            .filter(|_| !self.over)
            .map(|trust| trust.jeopardy)
    }

    /// When the lease is over, unless an answer comes before.
    #[must_use]
    pub fn over_at(&self) -> Time {
        self.trust.map_or(self.answer_by, |trust| trust.deadline)
    }

    /// When the next renewal is due.
    #[must_use]
    pub const fn renew_at(&self) -> Time {
        self.renew_at
    }
}

/// The creditor's side of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CreditorLease {
    terms: LeaseTerms,
    /// The newest receipt of a renewal; before the first, when the session was accepted.
    received: Time,
    /// Until when the answers so far let the debtor trust.
    promised: Option<Time>,
    /// Until when the debtor may trust what it claimed, whatever it is answered.
    claimed: Time,
    /// From when on what was lent may be taken back.
    take_back_at: Time,
}

impl CreditorLease {
    /// The lease of a session accepted at `now`: it is waited for as if renewed, though nothing is trusted.
    #[must_use]
    pub const fn new(now: Time, terms: LeaseTerms) -> Self {
        Self {
            terms,
            received: now,
            promised: None,
            claimed: Time::ZERO,
            take_back_at: now.after(LeaseTerms::wait(terms.length)),
        }
    }

    /// A renewal came. `now` is read after its receipt and before its answer, which is waited for as if it gave `L`.
    pub fn on_renew(&mut self, now: Time) {
        self.received = self.received.max(now);
        let most = self.received.after(LeaseTerms::wait(self.terms.length));
        self.take_back_at = self.take_back_at.max(most);
    }

    /// The newest renewal is answered: the debtor may trust for `length` of true time. Less than `L` is waited for
    /// no longer than that; what former answers gave stands.
    pub fn on_answer(&mut self, length: Duration) {
        let until = self.received.after(LeaseTerms::wait(length));
        let promised = self.promised.map_or(until, |former| former.max(until));
        self.promised = Some(promised);
        self.take_back_at = promised.max(self.claimed);
    }

    /// A claim came, of what was lent under a lease of that length, perhaps a longer one than this. It was renewed before:
    /// so the debtor trusts it for no longer than that from here.
    pub fn on_claim(&mut self, now: Time, lease: Duration) {
        self.on_renew(now);
        self.claimed = self.claimed.max(now.after(LeaseTerms::wait(lease)));
        self.take_back_at = self.take_back_at.max(self.claimed);
    }

    /// From when on what was lent may be taken back.
    #[must_use]
    pub const fn take_back_at(&self) -> Time {
        self.take_back_at
    }
}

/// Tells a process that slept: after a jump of its clock, what lies in the sockets goes before timers.
///
/// A creditor that was stopped for a while wakes up with renewals unread and every lease run out. Taking
/// back would be safe, since nobody was answered meanwhile; it would also be needless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JumpWatch {
    span: Duration,
    last: Time,
}

/// What [`JumpWatch::look`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum ClockLook {
    /// Read the sockets until they are empty, then run timers.
    Jumped,
    /// As usual.
    Steady,
}

impl JumpWatch {
    /// A watch that starts at `now`.
    #[must_use]
    pub fn new(now: Time, terms: LeaseTerms) -> Self {
        Self {
            span: terms.jump(),
            last: now,
        }
    }

    /// Looks at the clock. To be called before timers are run, and at least every L/8, or idle time looks
    /// like a jump (which costs nothing but a read of the sockets).
    #[must_use]
    pub fn look(&mut self, now: Time) -> ClockLook {
        let moved = now.since(self.last);
        self.last = now;
        if moved > self.span {
            ClockLook::Jumped
        } else {
            ClockLook::Steady
        }
    }
}

/// Durations of `u64::MAX` nanoseconds (584 years) and more are one.
const fn nanos_u128(nanos: u128) -> Duration {
    if nanos > u64::MAX as u128 {
        Duration::from_nanos(u64::MAX)
    } else {
        Duration::from_nanos(nanos as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const L: Duration = Duration::from_secs(10);
    const TRUST: Duration = Duration::from_millis(9_780);
    const WAIT: Duration = Duration::from_millis(10_220);

    fn ms(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn terms() -> LeaseTerms {
        LeaseTerms::new(L).expect("10 s is a lease")
    }

    #[test]
    fn a_lease_is_from_one_second_to_one_hour() {
        assert!(LeaseTerms::new(LEASE_MIN).is_ok() && LeaseTerms::new(LEASE_MAX).is_ok());
        let short = Duration::from_nanos(999_999_999);
        assert_eq!(
            LeaseTerms::new(short),
            Err(BadLease::TooShort { length: short })
        );
        let long = Duration::MAX;
        assert_eq!(
            LeaseTerms::new(long),
            Err(BadLease::TooLong { length: long })
        );
    }

    #[test]
    fn trust_is_rounded_down_and_wait_up() {
        assert_eq!(LeaseTerms::trust(L), TRUST);
        assert_eq!(LeaseTerms::wait(L), WAIT);
        let odd = L + Duration::from_nanos(1);
        assert_eq!(LeaseTerms::trust(odd), TRUST);
        assert_eq!(LeaseTerms::wait(odd), WAIT + Duration::from_nanos(2));
    }

    #[test]
    fn a_span_below_the_guard_gives_no_trust_and_the_longest_does_not_wrap() {
        assert_eq!(LeaseTerms::trust(GUARD), Duration::ZERO);
        let forever = Duration::from_nanos(u64::MAX);
        assert_eq!(LeaseTerms::wait(Duration::MAX), forever + GUARD);
    }

    #[test]
    fn trust_is_counted_from_the_send_and_ends_at_the_deadline() {
        let mut lease = DebtorLease::new(ms(0), terms());
        assert_eq!(lease.renew_at(), ms(0));
        lease.on_renew_sent(ms(100));
        assert!(!lease.is_trusted(ms(100)));
        assert_eq!(lease.on_renew_ack(ms(5_000), ms(100), L), Renewed::Extended);
        assert_eq!(lease.deadline(), Some(ms(100).after(TRUST)));
        assert_eq!(lease.jeopardy_at(), Some(ms(100 + 9_780 - 2_500)));
        assert!(lease.is_trusted(ms(9_879)));
        assert!(!lease.is_trusted(ms(9_880)));
        assert_eq!(lease.renew_at(), ms(2_600));
    }

    #[test]
    fn an_answer_to_no_open_renewal_changes_nothing() {
        let mut lease = DebtorLease::new(ms(0), terms());
        lease.on_renew_sent(ms(100));
        for never_sent in [ms(99), ms(101), Time::MAX] {
            assert_eq!(
                lease.on_renew_ack(ms(200), never_sent, L),
                Renewed::Unchanged
            );
        }
        assert_eq!(lease.on_renew_ack(ms(200), ms(100), L), Renewed::Extended);
        assert_eq!(lease.on_renew_ack(ms(200), ms(100), L), Renewed::Unchanged);
        assert_eq!(lease.deadline(), Some(ms(100).after(TRUST)));
    }

    #[test]
    fn an_older_answer_never_shortens_trust() {
        let mut lease = DebtorLease::new(ms(0), terms());
        lease.on_renew_sent(ms(0));
        lease.on_renew_sent(ms(2_500));
        lease.on_renew_ack(ms(2_600), ms(2_500), L);
        assert_eq!(lease.on_renew_ack(ms(2_700), ms(0), L), Renewed::Unchanged);
        lease.on_renew_sent(ms(5_000));
        let brief = Duration::from_secs(1);
        assert_eq!(
            lease.on_renew_ack(ms(5_100), ms(5_000), brief),
            Renewed::Unchanged
        );
        assert_eq!(lease.deadline(), Some(ms(2_500).after(TRUST)));
    }

    #[test]
    fn an_answer_may_give_less_than_the_lease_and_never_more() {
        let mut lease = DebtorLease::new(ms(0), terms());
        lease.on_renew_sent(ms(0));
        lease.on_renew_ack(ms(1), ms(0), Duration::from_secs(5));
        assert_eq!(lease.deadline(), Some(ms(4_880)));
        lease.on_renew_sent(ms(10));
        lease.on_renew_ack(ms(11), ms(10), Duration::MAX);
        assert_eq!(lease.deadline(), Some(ms(10).after(TRUST)));
    }

    #[test]
    fn a_debtor_that_is_given_less_renews_and_is_in_jeopardy_by_what_it_was_given() {
        let mut lease = DebtorLease::new(ms(0), terms());
        lease.on_renew_sent(ms(0));
        lease.on_renew_ack(ms(1), ms(0), Duration::from_secs(2));
        assert_eq!(lease.renew_at(), ms(500));
        assert_eq!(lease.jeopardy_at(), Some(ms(1_940 - 500)));
        // Without an answer it goes on so, and with a longer one it takes its time again.
        lease.on_renew_sent(ms(500));
        assert_eq!(lease.renew_at(), ms(1_000));
        lease.on_renew_ack(ms(600), ms(500), L);
        assert_eq!(lease.renew_at(), ms(3_000));
    }

    #[test]
    fn a_debtor_that_is_given_next_to_nothing_does_not_renew_without_a_pause() {
        let mut lease = DebtorLease::new(ms(0), terms());
        lease.on_renew_sent(ms(0));
        lease.on_renew_ack(ms(0), ms(0), Duration::ZERO);
        assert_eq!(lease.renew_at(), Time::ZERO.after(GUARD));
    }

    #[test]
    fn what_is_passed_on_ends_before_what_it_came_out_of_whatever_the_clocks_do() {
        let own = Duration::from_secs(5);
        let passed_on = terms().within(own);
        assert_eq!(passed_on, Duration::from_millis(4_900));
        // A clock that is fast by all that is allowed shows five seconds after this much true time.
        assert!(passed_on < own * 1_000 / (1_000 + DRIFT_PER_MILLE as u32));
        assert_eq!(terms().within(Duration::from_secs(60)), L);
        assert_eq!(terms().within(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_lease_that_ended_stays_so_even_if_an_answer_comes() {
        let mut lease = DebtorLease::new(ms(0), terms());
        lease.on_renew_sent(ms(0));
        lease.on_renew_ack(ms(1), ms(0), L);
        lease.on_renew_sent(ms(9_700));
        assert!(lease.is_over(ms(9_780)));
        assert_eq!(
            lease.on_renew_ack(ms(9_781), ms(9_700), L),
            Renewed::Unchanged
        );
        assert_eq!(lease.deadline(), None);
        // Not even to somebody who asks about an earlier time.
        assert!(lease.is_over(ms(5)) && !lease.is_trusted(ms(5)));
    }

    #[test]
    fn an_answer_is_too_late_even_if_nobody_looked_at_the_clock_since_the_deadline() {
        let mut lease = DebtorLease::new(ms(0), terms());
        lease.on_renew_sent(ms(0));
        lease.on_renew_ack(ms(1), ms(0), L);
        lease.on_renew_sent(ms(9_700));
        assert_eq!(
            lease.on_renew_ack(ms(9_780), ms(9_700), L),
            Renewed::Unchanged
        );
        assert!(lease.is_over(ms(9_780)));
    }

    #[test]
    fn without_a_first_answer_the_lease_is_over_after_its_length() {
        let mut lease = DebtorLease::new(ms(1_000), terms());
        lease.on_renew_sent(ms(1_000));
        assert!(!lease.is_over(ms(10_999)));
        assert!(lease.is_over(ms(11_000)));
    }

    #[test]
    fn a_first_answer_after_its_own_end_gives_no_trust() {
        let mut lease = DebtorLease::new(ms(0), terms());
        lease.on_renew_sent(ms(0));
        assert_eq!(lease.on_renew_ack(ms(9_800), ms(0), L), Renewed::Unchanged);
        assert_eq!(lease.deadline(), None);
    }

    #[test]
    fn the_oldest_of_too_many_unanswered_renewals_is_forgotten() {
        let mut lease = DebtorLease::new(ms(0), terms());
        for sent in 0..=UNANSWERED_MAX as u64 {
            lease.on_renew_sent(ms(sent));
        }
        assert_eq!(lease.on_renew_ack(ms(20), ms(0), L), Renewed::Unchanged);
        assert_eq!(lease.on_renew_ack(ms(20), ms(1), L), Renewed::Extended);
    }

    #[test]
    fn a_creditor_counts_from_the_newest_receipt() {
        let mut lease = CreditorLease::new(ms(0), terms());
        assert_eq!(lease.take_back_at(), ms(0).after(WAIT));
        lease.on_renew(ms(4_000));
        assert_eq!(lease.take_back_at(), ms(14_220));
        lease.on_renew(ms(3_000));
        assert_eq!(lease.take_back_at(), ms(14_220));
    }

    #[test]
    fn a_creditor_waits_no_longer_than_its_answers_allow_and_for_the_longest_of_them() {
        let mut lease = CreditorLease::new(ms(0), terms());
        lease.on_renew(ms(1_000));
        assert_eq!(lease.take_back_at(), ms(1_000).after(WAIT));
        lease.on_answer(Duration::from_secs(5));
        assert_eq!(lease.take_back_at(), ms(1_000 + 5_120));
        lease.on_renew(ms(2_000));
        // It may be answered with all of the lease.
        assert_eq!(lease.take_back_at(), ms(2_000).after(WAIT));
        lease.on_answer(Duration::from_secs(1));
        assert_eq!(lease.take_back_at(), ms(1_000 + 5_120));
    }

    #[test]
    fn a_clock_that_moved_by_more_than_an_eighth_of_the_lease_has_jumped() {
        let mut watch = JumpWatch::new(ms(0), terms());
        assert_eq!(watch.look(ms(1_250)), ClockLook::Steady);
        assert_eq!(watch.look(ms(2_501)), ClockLook::Jumped);
        assert_eq!(watch.look(ms(2_502)), ClockLook::Steady);
    }
}
