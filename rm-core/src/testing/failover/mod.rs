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
mod home;
mod look;
mod network;
mod plan;
mod process;
mod report;
mod world;

use core::fmt;
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
    /// Every fault, and operators who take away at once what is lent. Until its holders hear of that, fencing alone
    /// protects it.
    Forced,
    /// A root and one of its debtors are cut off together, and the root is back first.
    Together,
    /// A member comes and goes again, and a client hears nothing meanwhile, or nothing of that member.
    Visits,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Everything,
        Self::Moves,
        Self::Standalone,
        Self::Deaths,
        Self::Restarts,
        Self::Together,
        Self::Visits,
        Self::Forced,
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
            Self::Together => "together",
            Self::Visits => "visits",
            Self::Forced => "forced",
        }
    }
}

/// So many of the last lines of its trace a failure shows.
const TRACED: usize = 120;

/// A schedule in which something was wrong.
///
/// It prints the same with `{}` and `{:?}`, so that a test may simply return it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{trace}{what}\n  of kind {}, seed {seed}, after event {event}; replay it: {replay}", kind.name())]
pub struct Failure {
    /// What.
    pub what: String,
    /// Of which kind the schedule was.
    pub kind: Kind,
    /// From what all of it was drawn.
    pub seed: u64,
    /// After which event it was seen.
    pub event: u64,
    /// The last that happened before.
    pub trace: String,
    /// How to run it again.
    pub replay: String,
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One schedule: all that happens in it follows from its kind and its seed.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by the test")]
pub struct Schedule<'a, T: ResourceType> {
    /// What it is about.
    pub kind: Kind,
    /// From what all of it is drawn.
    pub seed: u64,
    /// The type of all resources: of a small capital.
    pub resource_type: &'a T,
    /// What callers ask for.
    pub ask: fn(&mut Random) -> T::Level,
    /// The command that runs it again after `RM_SEED=n`.
    pub replay: &'a str,
}

impl<T: ResourceType> Schedule<'_, T> {
    /// Runs it.
    ///
    /// # Errors
    /// What must not happen and did, with what happened before. To see that the schedule is run twice.
    pub fn run(&self) -> Result<Counts, Box<Failure>> {
        let (what, event) = match self.simulate(false) {
            Ok(counts) => return Ok(counts),
            Err((what, event, _)) => (what, event),
        };
        let trace = match self.simulate(true) {
            Err((again, _, trace)) if again == what => last(&trace),
            Ok(_) | Err(_) => "it does not repeat\n".into(),
        };
        let seed = self.seed;
        Err(Box::new(Failure {
            what,
            kind: self.kind,
            seed,
            event,
            trace,
            replay: format!("RM_SEED={seed} {}", self.replay),
        }))
    }

    fn simulate(&self, is_traced: bool) -> Result<Counts, (String, u64, Vec<String>)> {
        let mut random = Random::new(self.seed ^ ((self.kind as u64) << 56));
        let plan = Plan::new(self.kind, self.resource_type.clone(), self.ask, &mut random);
        let mut world = World::new(plan, random, is_traced);
        let done = catch_unwind(AssertUnwindSafe(|| world.run()));
        let what = match done {
            Ok(Ok(())) => return Ok(world.out.counts),
            Ok(Err(fault)) => fault.0,
            Err(panic) => format!("panic: {}", panic_text(&*panic)),
        };
        let trace = world.out.trace.take().unwrap_or_default();
        Err((what, world.out.counts.events, trace))
    }
}

/// The last lines, or all where the environment asks for them.
fn last(trace: &[String]) -> String {
    let lines = trace.iter().flat_map(|entry| entry.lines());
    let all: Vec<_> = lines.collect();
    let most = match std::env::var("RM_TRACE") {
        Ok(all) if all == "all" => usize::MAX,
        _ => TRACED,
    };
    let from = all.len().saturating_sub(most);
    all[from..].iter().fold(String::new(), |mut text, line| {
        text.push_str(line);
        text.push('\n');
        text
    })
}
