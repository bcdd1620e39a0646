//! The fencing clock: numbers that rise over conflicting holds.
//!
//! Credit carries a logical clock: every grant and return carries its sender's, the receiver takes the
//! larger. If a hold ended before a conflicting one began, credit went from the owner of the first to the
//! owner of the second, and with it the clock; so the later hold has the larger token.
//!
//! A token is `epoch << 32 | counter`. The clock is even. A hold that conflicts with its own kind takes the
//! odd number above and moves the clock past it, so that neither the next writer nor the next reader shares
//! it; any other hold has the clock as it stands.
//!
//! A clock has a *limit*: no token above it. A creditor that takes back the loan of a dead debtor jumps past
//! the limit it had set, and thereby past every token the dead one can have given out.

/// How many exclusive holds a fresh loan allows before its owner has to ask for a higher limit.
pub const ROOM_MIN: u64 = 1 << 12;
/// The most exclusive holds one answer allows.
pub const ROOM_MAX: u64 = 1 << 24;

/// A fencing clock and its limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FenceClock {
    now: u64,
    limit: u64,
    /// Below this much room a debtor asks for more.
    low: u64,
    /// A higher limit was asked for and has not come.
    asked: bool,
}

/// The first clock value of an epoch.
#[must_use]
pub const fn epoch_start(epoch: u32) -> u64 {
    (epoch as u64) << 32
}

impl FenceClock {
    /// A root's clock: it may count to the end of its epoch. It starts at `highest`, which is the largest
    /// number that any vanished owner of the resource had seen, or at the start of the epoch.
    #[must_use]
    pub const fn root(epoch: u32, highest: u64) -> Self {
        let start = epoch_start(epoch);
        Self {
            now: first(if highest > start { highest } else { start }),
            limit: epoch_start(epoch) | 0xffff_fffe,
            low: 1 << 31,
            asked: false,
        }
    }

    /// A debtor's clock: it has no room until it has a loan.
    #[must_use]
    pub const fn debtor(highest: u64) -> Self {
        Self {
            now: first(highest),
            limit: 0,
            low: 0,
            asked: false,
        }
    }

    /// The clock as it stands: the token of a hold that does not tick.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// No token above this.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether there is room for one more hold that ticks.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        // Not `now + 2`: another's number may be as large as there are.
        self.limit.saturating_sub(self.now) >= 2
    }

    /// Whether more room should be asked for: half of it is used, and nobody has asked yet.
    #[must_use]
    pub const fn should_ask(&self) -> bool {
        !self.asked && self.is_low()
    }

    /// Whether a higher limit was asked for and has not come.
    pub(crate) const fn is_asked(&self) -> bool {
        self.asked
    }

    /// The first clock value from which on a hold that ticks needs a decision, less one number to spare.
    pub(crate) const fn quiet_end(&self) -> u64 {
        // One number may be skipped where it is not known whether it was taken.
        let room = self.limit.saturating_sub(3);
        let low = self.limit.saturating_sub(self.low);
        if self.asked || room < low { room } else { low }
    }

    /// Whether less than half of the room is left.
    #[must_use]
    pub const fn is_low(&self) -> bool {
        self.limit.saturating_sub(self.now) <= self.low
    }

    /// The token of a hold that ticks. The caller has checked [`has_room`](Self::has_room).
    pub(crate) const fn tick(&mut self) -> u64 {
        assert!(self.has_room(), "a hold that ticks needs room");
        self.now += 2;
        self.now - 1
    }

    /// Another's number: the clock goes on from the larger one.
    pub(crate) const fn observe(&mut self, other: u64) {
        let other = even(other);
        if other > self.now {
            self.now = other;
        }
    }

    /// The creditor raised the limit.
    pub(crate) const fn raise_limit(&mut self, limit: u64) {
        if limit > self.limit {
            self.limit = limit;
            self.low = (limit.saturating_sub(self.now)) / 2;
            self.asked = false;
        }
    }

    /// The loan is gone, and its limit with it.
    pub(crate) const fn forget_limit(&mut self) {
        self.limit = 0;
        self.low = 0;
        self.asked = false;
    }

    /// A higher limit has been asked for.
    pub(crate) const fn mark_asked(&mut self) {
        self.asked = true;
    }

    /// A root enters an epoch: later numbers are larger than every one of an older epoch.
    pub(crate) const fn enter_epoch(&mut self, epoch: u32) {
        let fresh = Self::root(epoch, self.now);
        *self = fresh;
    }
}

/// Where a clock starts that goes on from `highest`: zero is no token.
const fn first(highest: u64) -> u64 {
    if highest == 0 { 2 } else { even(highest) }
}

/// The smallest even number not below `number`.
const fn even(number: u64) -> u64 {
    number.saturating_add(number & 1) & !1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_next_writer_nor_the_next_reader_shares_a_writers_token() {
        let mut clock = FenceClock::root(7, 0);
        let writer = clock.tick();
        assert_eq!(writer, (7 << 32) | 1);
        assert!(clock.now() > writer);
        assert!(clock.tick() > clock.now() - 2);
    }

    #[test]
    fn the_largest_number_another_can_name_leaves_no_room_and_does_no_harm() {
        let mut clock = FenceClock::debtor(0);
        clock.raise_limit(u64::MAX);
        clock.observe(u64::MAX);
        assert!(!clock.has_room());
    }

    #[test]
    fn a_later_epoch_is_above_every_number_of_an_older_one() {
        let mut clock = FenceClock::root(1, 0);
        clock.observe(epoch_start(2) - 1);
        let before = clock.now();
        clock.enter_epoch(3);
        assert!(clock.now() > before);
        assert_eq!(clock.now(), epoch_start(3));
    }

    #[test]
    fn no_token_is_zero() {
        assert_ne!(FenceClock::root(0, 0).now(), 0);
        assert_ne!(FenceClock::debtor(0).now(), 0);
    }

    #[test]
    fn a_debtor_asks_when_half_of_its_room_is_used_and_only_once() {
        let mut clock = FenceClock::debtor(0);
        assert!(!clock.has_room());
        clock.raise_limit(10);
        assert!(!clock.should_ask());
        clock.tick();
        clock.tick();
        assert!(clock.should_ask());
        clock.mark_asked();
        assert!(!clock.should_ask() && clock.is_low());
        clock.tick();
        clock.tick();
        assert!(!clock.has_room());
    }
}
