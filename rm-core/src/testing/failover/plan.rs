//! What a schedule is made of, drawn from its seed.

use core::time::Duration;

use super::Kind;
use super::driver::Windows;
use super::network::Delays;
use crate::policy::Policy;
use crate::resource::ResourceType;
use crate::session::Window;
use crate::testing::random::Random;

/// The lease of all schedules.
pub(super) const LEASE: Duration = Duration::from_secs(15);

/// A span of time that is drawn anew each time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spans {
    pub(super) usual: Duration,
    pub(super) rare: Duration,
    pub(super) rare_percent: u32,
}

impl Spans {
    pub(super) fn draw(self, random: &mut Random) -> Duration {
        let most = if random.percent(self.rare_percent) {
            self.rare
        } else {
            self.usual
        };
        Duration::from_nanos(1 + random.below(most.as_nanos() as u64))
    }
}

/// One schedule.
#[derive(Clone, Debug)]
pub(super) struct Plan<T: ResourceType> {
    pub(super) kind: Kind,
    pub(super) resource_type: T,
    pub(super) ask: fn(&mut Random) -> T::Level,
    pub(super) members: usize,
    /// So many of them start late.
    pub(super) late: usize,
    pub(super) clients: usize,
    pub(super) resources: usize,
    pub(super) callers: usize,
    pub(super) windows: Windows,
    pub(super) delays: Delays,
    pub(super) policy: Policy,
    pub(super) think: Spans,
    pub(super) hold: Spans,
    pub(super) look: Spans,
    /// For so long there are faults.
    pub(super) span: Duration,
    /// Between two of them, at most.
    pub(super) gap: Duration,
    /// Clocks are as far off as they may be.
    pub(super) extreme: bool,
    /// No client ever loses a hold.
    pub(super) keeps_holds: bool,
    /// The lease of a server alone may be another after a restart.
    pub(super) changes_lease: bool,
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

impl<T: ResourceType> Plan<T> {
    pub(super) fn new(
        kind: Kind,
        resource_type: T,
        ask: fn(&mut Random) -> T::Level,
        random: &mut Random,
    ) -> Self {
        let is_alone = matches!(kind, Kind::Standalone | Kind::Restarts);
        let is_calm = matches!(kind, Kind::Deaths | Kind::Restarts);
        let members = if is_alone {
            1
        } else {
            3 + random.below(2) as usize
        };
        let small = Window {
            items: 6,
            bytes: 1 << 12,
        };
        let has_small = random.one_in(4) && !is_calm;
        let windows = Windows {
            window: if has_small { small } else { Window::default() },
            batch: Window {
                items: 1 + random.below(8) as usize,
                bytes: 1 << 16,
            },
        };
        let rare_delay = if is_calm { 100 * MS } else { 3 * SECOND };
        let delays = Delays {
            usual: MS * (1 + random.below(40) as u32),
            rare: rare_delay,
            rare_percent: random.below(4) as u32,
        };
        let policies = [
            Policy::Exact,
            Policy::slice(2),
            Policy::adaptive(2),
            Policy::Max,
        ];
        let spans = |usual, rare, rare_percent| Spans {
            usual,
            rare,
            rare_percent,
        };
        Self {
            kind,
            resource_type,
            ask,
            members,
            late: if is_alone || kind == Kind::Deaths {
                0
            } else if kind == Kind::Visits {
                1
            } else {
                random.below(2) as usize
            },
            clients: 2,
            resources: 2 + random.below(2) as usize,
            callers: 1 + random.below(2) as usize,
            windows,
            delays,
            policy: policies[random.below(4) as usize],
            think: spans(LEASE / 4, LEASE, 20),
            hold: spans(2 * SECOND, 2 * LEASE, if is_calm { 40 } else { 15 }),
            look: spans(SECOND, LEASE, 20),
            span: LEASE * (2 + random.below(4) as u32),
            gap: LEASE / (1 + random.below(4) as u32),
            extreme: random.percent(50),
            keeps_holds: is_calm,
            changes_lease: kind == Kind::Standalone && random.percent(50),
        }
    }
}
