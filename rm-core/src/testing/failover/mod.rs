//! Clusters that fail, in simulated time: members come and go, roots die, and what was lent is claimed from the next.
//!
//! Everything that decides is the production's: [`Domain`](crate::front::Domain), [`Lender`](crate::cluster::Lender),
//! the sessions, [`Coordination`](crate::coordination::Coordination). Simulated are clocks, the network, the coordinator's
//! store, the disk of a server alone, pauses and crashes, and what callers do.

mod callers;
mod checks;
mod desk;
mod driver;
mod faults;
mod network;
mod plan;
mod process;
mod report;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::plan::Plan;
pub use self::report::Counts;
use self::world::World;
use super::panic_text;
use super::random::Random;
use crate::resource::ResourceType;

/// What a schedule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "made by the test")]
pub enum Kind {
    /// Every fault there is.
    Everything,
    /// Members join, leave and are cut off; nobody crashes.
    Moves,
    /// One server, that restarts.
    Standalone,
    /// Members die and come back, and nothing else. No client may lose a hold.
    Deaths,
    /// One server that is away for a moment. No client may lose a hold.
    Restarts,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Everything,
        Self::Moves,
        Self::Standalone,
        Self::Deaths,
        Self::Restarts,
    ];

    /// What it is called where one is asked for.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Moves => "moves",
            Self::Standalone => "standalone",
            Self::Deaths => "deaths",
            Self::Restarts => "restarts",
        }
    }
}

/// A schedule in which something was wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{what}\n  kind {}, seed {seed}, event {event}", kind.name())]
pub struct Failure {
    /// What.
    pub what: String,
    /// Of which kind the schedule was.
    pub kind: Kind,
    /// From what all of it was drawn.
    pub seed: u64,
    /// After which event it was seen.
    pub event: u64,
    /// The last that happened.
    pub trace: Vec<String>,
}

/// Runs one schedule.
///
/// # Errors
/// What must not happen and did.
pub fn run<T: ResourceType>(
    kind: Kind,
    seed: u64,
    resource_type: &T,
    ask: fn(&mut Random) -> T::Level,
) -> Result<Counts, Box<Failure>> {
    simulate(kind, seed, resource_type, ask, false)
}

/// The same, with all that happens in words.
///
/// # Errors
/// The same.
pub fn trace<T: ResourceType>(
    kind: Kind,
    seed: u64,
    resource_type: &T,
    ask: fn(&mut Random) -> T::Level,
) -> Result<Counts, Box<Failure>> {
    simulate(kind, seed, resource_type, ask, true)
}

fn simulate<T: ResourceType>(
    kind: Kind,
    seed: u64,
    resource_type: &T,
    ask: fn(&mut Random) -> T::Level,
    is_traced: bool,
) -> Result<Counts, Box<Failure>> {
    let mut random = Random::new(seed ^ ((kind as u64) << 56));
    let plan = Plan::new(kind, resource_type.clone(), ask, &mut random);
    let mut world = World::new(plan, random, is_traced);
    let done = catch_unwind(AssertUnwindSafe(|| world.run()));
    let what = match done {
        Ok(Ok(())) => return Ok(world.out.counts),
        Ok(Err(fault)) => fault.0,
        Err(panic) => format!("panic: {}", panic_text(&*panic)),
    };
    Err(Box::new(Failure {
        what,
        kind,
        seed,
        event: world.out.counts.events,
        trace: world.out.trace.take().unwrap_or_default(),
    }))
}
