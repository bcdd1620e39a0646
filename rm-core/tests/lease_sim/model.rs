//! What the two sides run on: random numbers, clocks, connections. All times are true nanoseconds, unless
//! they are a [`Time`], which is what a process reads off its own clock.

use std::collections::VecDeque;
use std::ops::Range;

use rm_core::session::packet::Body;
use rm_core::time::Time;

/// A millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// Seeds of a plain run.
pub(crate) const SEEDS: u64 = 200;

/// The seeds to run: one by `RM_SEED`, the first so many by `RM_SEEDS`, else [`SEEDS`].
pub(crate) fn seeds() -> Range<u64> {
    let number = |name| {
        let value = std::env::var(name).ok()?;
        Some(
            value
                .parse()
                .unwrap_or_else(|_| panic!("{name} is no number: {value}")),
        )
    };
    match number("RM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RM_SEEDS").unwrap_or(SEEDS),
    }
}

/// The generator `splitmix64`.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A process: its clock, and when it runs.
pub(crate) struct Process {
    /// What its clock shows at the start of time.
    offset: u64,
    /// Millionths of its own time per true time.
    rate: u64,
    /// It does nothing before.
    pub(crate) paused_until: u64,
    /// Its timers fire so late.
    pub(crate) lateness: u64,
    /// For how long its clock has stood still, the pause under way included.
    stopped: u64,
    /// It shows no less than at the beginning of the last standstill.
    frozen: u64,
}

/// What a clock does while its process is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InPause {
    Runs,
    Stops,
}

impl Process {
    pub(crate) fn new(random: &mut Random) -> Self {
        let rate = match random.below(4) {
            0 => 980_000,
            1 => 1_020_000,
            _ => 980_000 + random.below(40_001),
        };
        Self {
            offset: random.below(1 << 50),
            rate,
            paused_until: 0,
            lateness: random.below(30) * MS,
            stopped: 0,
            frozen: 0,
        }
    }

    /// What its clock shows at a true time, which is not before the last pause.
    pub(crate) fn local(&self, at: u64) -> Time {
        let run = at.saturating_sub(self.stopped).max(self.frozen);
        Time::from_nanos(self.offset + scale(run, self.rate, 1_000_000))
    }

    /// A true time at which its clock shows at least `local`.
    pub(crate) fn true_time(&self, local: Time) -> u64 {
        let run = local.as_nanos().saturating_sub(self.offset);
        scale(run, 1_000_000, self.rate) + 1 + self.stopped
    }

    /// It does nothing for `span`, unless it is paused already.
    pub(crate) fn pause(&mut self, now: u64, span: u64, clock: InPause) {
        if now < self.paused_until {
            return;
        }
        self.paused_until = now + span;
        if clock == InPause::Stops {
            self.frozen = now - self.stopped;
            self.stopped += span;
        }
    }
}

fn scale(value: u64, numerator: u64, denominator: u64) -> u64 {
    (u128::from(value) * u128::from(numerator) / u128::from(denominator)) as u64
}

/// One direction of a connection.
#[derive(Default)]
pub(crate) struct Pipe {
    pub(crate) packets: VecDeque<(u64, Body)>,
    cut: bool,
    /// Nothing arrives before.
    stalled_until: u64,
    /// When its reader learns that the connection is over.
    pub(crate) end_at: Option<u64>,
}

impl Pipe {
    pub(crate) fn send(&mut self, now: u64, body: Body, random: &mut Random) {
        if self.cut {
            return;
        }
        let delay = if random.one_in(20) {
            random.below(3_000) * MS
        } else {
            random.below(50) * MS
        };
        let last = self.packets.back().map_or(0, |&(at, _)| at);
        let at = (now + delay).max(last).max(self.stalled_until);
        self.packets.push_back((at, body));
    }

    /// Nothing arrives any more.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
        self.packets.clear();
    }

    /// Nothing arrives before `until`; nothing is lost.
    pub(crate) fn stall(&mut self, until: u64) {
        self.stalled_until = until;
        for (at, _) in &mut self.packets {
            *at = until.max(*at);
        }
    }

    /// When its reader next notices something.
    pub(crate) fn next_at(&self) -> Option<u64> {
        let packet = self.packets.front().map(|&(at, _)| at);
        packet.or(self.end_at)
    }
}

/// A connection, which carries one session of the debtor.
#[derive(Default)]
pub(crate) struct Connection {
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
}
