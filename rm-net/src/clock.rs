//! The two clocks of a node, and what each may be used for.
//!
//! * [`BootClock`] measures how long ago something was, the time in suspend included. Leases, deadlines and
//!   ages rest on it. It says nothing about any other machine.
//! * [`stamp_now`] is the wall clock. Nothing rests on it but the order of requests: a wrong one makes the
//!   requests of its node wait longer or shorter than they should, and no more.
//!
//! `std::time::Instant`, and with it every timer of the runtime, may stand still in suspend. So a timer only
//! wakes somebody up; whether a time has come is asked here.

use std::time::{SystemTime, UNIX_EPOCH};

use rm_core::time::Time;
use rustix::time::{ClockId, clock_gettime};

/// A clock that never goes back and counts the time that the machine spends suspended.
///
/// On Linux, Android, Fuchsia and OpenBSD it is `CLOCK_BOOTTIME`. Elsewhere it is `CLOCK_MONOTONIC`, which
/// counts suspend on Apple's systems. Other systems do not promise that: on them a machine that is
/// suspended while it holds a lease may trust that lease too long, and only fencing protects.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct BootClock;

impl BootClock {
    /// The clock of this machine.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// The time now, since a start that all processes of this machine share. It never waits.
    #[must_use]
    pub fn now(self) -> Time {
        let now = clock_gettime(CLOCK);
        // Neither part is negative: the clock starts at 0 with the machine.
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
        Time::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

/// What the clock behind [`BootClock`] is called on this system.
pub const CLOCK_NAME: &str = if COUNTS_SUSPEND && !cfg!(target_vendor = "apple") {
    "CLOCK_BOOTTIME"
} else {
    "CLOCK_MONOTONIC"
};

/// Whether it counts the time that the machine is suspended.
pub const COUNTS_SUSPEND: bool = cfg!(any(
    target_os = "android",
    target_os = "fuchsia",
    target_os = "linux",
    target_os = "openbsd",
    target_vendor = "apple"
));

/// Nanoseconds since 1970 by the wall clock, for the stamps of requests and for nothing else.
///
/// Hand it to [`HybridClock`](rm_core::stamp::HybridClock) only. The clock may be wrong and may go back;
/// never compare it with [`BootClock::now`].
#[must_use]
pub fn stamp_now() -> Time {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time::ZERO.after(since_1970)
}

#[cfg(any(
    target_os = "android",
    target_os = "fuchsia",
    target_os = "linux",
    target_os = "openbsd"
))]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(any(
    target_os = "android",
    target_os = "fuchsia",
    target_os = "linux",
    target_os = "openbsd"
)))]
const CLOCK: ClockId = ClockId::Monotonic;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let clock = BootClock::new();
        let mut before = clock.now();
        for _ in 0..1_000 {
            let now = clock.now();
            assert!(now >= before);
            before = now;
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn on_linux_it_is_the_time_since_the_machine_started() {
        let boot = || {
            let now = clock_gettime(ClockId::Boottime);
            now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
        };
        let before = boot();
        let now = BootClock::new().now().as_nanos();
        assert!((before..=boot()).contains(&now));
    }

    #[test]
    fn stamps_are_counted_from_1970() {
        let start_of_2020 = 1_577_836_800_000_000_000;
        assert!(stamp_now().as_nanos() > start_of_2020);
    }
}
