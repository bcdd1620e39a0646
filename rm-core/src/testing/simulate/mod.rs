//! A cluster in simulated time: thousands of the production's owners, and clients that go round and round.
//!
//! A [`Simulation`] is a tree of owners of one resource, links that deliver in order and exactly once, as sessions
//! do, and kinds of [`Clients`]. Time is a number; whatever happens next is the earliest event in a heap, and
//! ties go to the one that was decided first. Everything random follows from one seed: the same seed is the
//! same run, event by event.
//!
//! **Faults** are those of delay and of order: every message takes its own time, so messages over different links
//! overtake each other; links stall; holders are stuck; the clocks that stamp requests are off. After the
//! end of the working time ([`Simulation::until`]) nothing stalls any more, no client begins a round, and all
//! must come to rest. Nobody crashes.
//!
//! **After every event** it checks the books of the owner that acted and of every link that it used: what is lent
//! is borrowed or under way. Since the books of the root are the capital, conservation follows for the whole.
//! It checks that no two holds conflict, that tokens rise over conflicting holds, that whoever holds reads the value
//! that was written last, that a request has one outcome, that only a `try` which was not alone, a request with a
//! deadline, a conversion that would deadlock and whoever asks where the way to the root winds up are denied,
//! and that no outcome comes later than the deadline.
//!
//! In a flat tree it also checks that nobody is passed, and nobody waits, for longer than word of it takes: `fairness.rs`
//! has the rules.
//!
//! **Now and then**, as often as keeps a run linear: the credit of the whole world adds up to the capital; the
//! lists of an owner with more than 64 debtors are in order; and, while no message is under way, no request waits
//! that the free credit of the world, taken in order, would cover, nothing is left of one that is over, whoever
//! holds what somebody waits for was told so, and an owner that winds up has nothing but what is held there or below.
//! The first and the last are looked at once in an eighth as many events as there are nodes, or as there are requests
//! that wait, if those are more; the lists once in a 64th as many events as the owner has debtors.
//!
//! **At the end** everybody has their outcome, all of the above is looked at once more, no want, reservation
//! or recall is left anywhere, and what was told to wind up is wound up.
//!
//! # Examples
//!
//! Of the semaphore that the [explorer](super::explore)'s example has, in a tree of fifty nodes:
//!
//! ```
//! # use rm_core::credit::{Credit, Malformed};
//! # use rm_core::id::{ResourceKey, TypeId};
//! # use rm_core::resource::ResourceType;
//! use std::time::Duration;
//! use rm_core::testing::simulate::{Clients, Failure, Simulation, Span, Tree};
//!
//! # #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! # struct Units(u64);
//! # impl Credit for Units {
//! #     fn empty() -> Self { Self(0) }
//! #     fn is_empty(&self) -> bool { self.0 == 0 }
//! #     fn join(&self, other: &Self) -> Option<Self> { self.0.checked_add(other.0).map(Self) }
//! #     fn covers(&self, part: &Self) -> bool { self.0 >= part.0 }
//! #     fn meet(&self, other: &Self) -> Self { Self(self.0.min(other.0)) }
//! #     fn sup(&self, other: &Self) -> Self { Self(self.0.max(other.0)) }
//! #     fn less(&self, other: &Self) -> Self { Self(self.0.saturating_sub(other.0)) }
//! #     fn raise(&self, other: &Self, capital: &Self) -> Self {
//! #         Self(self.0.saturating_add(other.0).min(capital.0))
//! #     }
//! #     fn restrict(&self, to: &Self) -> Self { if to.0 > 0 { self.clone() } else { Self(0) } }
//! #     fn conflicts(&self, other: &Self, capital: &Self) -> bool { self.0 + other.0 > capital.0 }
//! #     fn slice(&self, parts: u32) -> Self { Self(self.0 / u64::from(parts.max(1))) }
//! #     fn encode(&self, out: &mut Vec<u8>) { out.extend(self.0.to_le_bytes()) }
//! #     fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
//! #         bytes.try_into().map(|bytes| Self(u64::from_le_bytes(bytes))).map_err(|_| Malformed)
//! #     }
//! # }
//! # #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! # struct Semaphore;
//! # impl ResourceType for Semaphore {
//! #     type Credit = Units;
//! #     type Level = Units;
//! #     const ID: TypeId = TypeId(2000);
//! #     const NAME: &'static str = "semaphore";
//! #     fn capital(&self, _: &ResourceKey) -> Units { Units(3) }
//! # }
//! const MS: Duration = Duration::from_millis(1);
//!
//! let report = Simulation::new(&Semaphore, Tree::uniform(50, 3))
//!     .delay(Span::heavy_tail(MS, 100 * MS))
//!     .clients(
//!         Clients::at_leaves()
//!             .asking(|random| Units(1 + random.below(3)))
//!             .thinking(Span::between(MS, 50 * MS))
//!             .holding(2 * MS)
//!             .trying(10),
//!     )
//!     .until(2_000 * MS)
//!     .seed(1) // without it, another one each time
//!     .run()?;
//! assert!(report.granted() > 100);
//! println!("{report}");
//! # Ok::<(), Failure>(())
//! ```

mod act;
mod checks;
mod clients;
mod fairness;
mod oracle;
mod report;
mod span;
mod tree;
mod values;
mod windup;
mod world;

use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use self::clients::Clients;
use self::clients::Place;
pub use self::report::{Failure, Group, Report};
pub use self::span::Span;
pub use self::tree::{NODES_MAX, Tree};
use self::world::World;
use crate::owner::Settings;
use crate::policy::Policy;
use crate::resource::{Lending, ResourceType};
use crate::testing::{any_key, fresh_seed, how_to_replay, panic_text};
use crate::time::saturating_nanos;

/// The most events of one run, unless set: beyond it the owners are taken to talk in a circle.
pub const EVENTS_MAX: u64 = 50_000_000;

/// So many of the last events a failure shows.
const TRACED: u64 = 40;

/// What is done to a run on purpose, once, to see that its checks can fail. Messages go by the names they have in
/// [`Report::messages`]; the first is number 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "made by the caller")]
pub enum Sabotage {
    /// That message never arrives.
    LoseMessage(&'static str, u64),
    /// That message arrives twice.
    DoubleMessage(&'static str, u64),
    /// A client is not told of that outcome.
    LoseOutcome(u64),
    /// A client is told of that outcome twice.
    DoubleOutcome(u64),
    /// A holder is not told that somebody waits for what it has.
    LoseNotice(u64),
    /// The message that is the so-manyeth with a value arrives without it.
    LoseValue(u64),
}

/// What is the same for all seeds.
#[derive(Clone, Debug)]
struct Plan<T: ResourceType> {
    tree: Tree,
    capital: T::Credit,
    settings: Arc<Settings>,
    clients: Vec<Clients<T>>,
    /// How long a message takes.
    delay: Span,
    /// One message in so many finds its link stalled, for so long.
    stall: (u64, Span),
    /// How far a node's clock may be off, in nanoseconds.
    skew: u64,
    until: u64,
    events_max: u64,
    /// Requests that are called so wait no longer, in nanoseconds.
    waits_max: Vec<(&'static str, u64)>,
    /// Nobody may be passed by a younger one later than word of it can have got there.
    bounds_bypass: bool,
    records: bool,
    sabotage: Option<Sabotage>,
    /// Which nodes wind up, and when.
    wind_ups: Vec<(u32, u64)>,
}

/// A cluster to be simulated. See the module's words.
#[derive(Clone, Debug)]
#[must_use]
pub struct Simulation<T: ResourceType> {
    plan: Plan<T>,
    seed: Option<u64>,
    replay: Option<String>,
}

impl<T: ResourceType> Simulation<T> {
    /// A tree of owners of a resource of that type, without clients.
    pub fn new(resource_type: &T, tree: Tree) -> Self {
        let settings = Settings {
            // A client waits for its outcome before it asks again, so their number is the bound.
            wants_per_debtor_max: usize::MAX,
            // So limits of the fence are reached, asked for and raised all the time.
            fence_room: 4,
            ..Settings::default()
        };
        Self {
            plan: Plan {
                tree,
                capital: resource_type.capital(&any_key()),
                settings: Arc::new(settings),
                clients: Vec::new(),
                delay: Duration::from_millis(1).into(),
                stall: (0, Span::NONE),
                skew: 0,
                until: 1_000_000_000,
                events_max: EVENTS_MAX,
                waits_max: Vec::new(),
                bounds_bypass: false,
                records: false,
                sabotage: None,
                wind_ups: Vec::new(),
            },
            seed: None,
            replay: None,
        }
    }

    /// Clients of one more kind.
    ///
    /// # Panics
    /// If they live at a node that the tree does not have.
    pub fn clients(mut self, clients: Clients<T>) -> Self {
        if let Place::Node(node) = clients.place {
            let nodes = self.plan.tree.len();
            assert!(node < nodes, "clients live at node {node} of {nodes}");
        }
        self.plan.clients.push(clients);
        self
    }

    /// How much owners grant beyond what was asked. The default [`Policy`] unless set.
    pub fn policy(mut self, policy: Policy) -> Self {
        let settings = Settings::clone(&self.plan.settings);
        self.plan.settings = Arc::new(settings.with_policy(policy));
        self
    }

    /// How long a message takes from one node to the next; it passes none that was sent before it over the same
    /// link. 1 ms unless set.
    pub fn delay(mut self, delay: impl Into<Span>) -> Self {
        self.plan.delay = delay.into();
        self
    }

    /// One message in so many finds its link stalled: for `span` nothing is delivered over it in that direction.
    pub fn stalling(mut self, one_in: u64, span: impl Into<Span>) -> Self {
        self.plan.stall = (one_in, span.into());
        self
    }

    /// By how much the clocks that stamp requests may be ahead or behind.
    pub fn skew(mut self, most: Duration) -> Self {
        self.plan.skew = saturating_nanos(most);
        self
    }

    /// No client begins a round later than this, and no link stalls. 1 s unless set.
    pub fn until(mut self, end: Duration) -> Self {
        self.plan.until = saturating_nanos(end);
        self
    }

    /// So long after the beginning a node winds up: from then on it grants nothing, to nobody, and all it has goes
    /// home.
    ///
    /// # Panics
    /// If there is no such node, or if credit is used up: then nothing goes home.
    pub fn winding_up(mut self, node: usize, after: Duration) -> Self {
        assert!(node < self.plan.tree.len(), "no node {node} to wind up");
        assert!(
            T::LENDING == Lending::Loaned,
            "what is used up does not go home"
        );
        let wind_up = (node as u32, saturating_nanos(after));
        self.plan.wind_ups.push(wind_up);
        self
    }

    /// The most events; a run with more has failed.
    pub fn events_max(mut self, events: u64) -> Self {
        self.plan.events_max = events;
        self
    }

    /// The run fails if a request that is called so in the report is granted after a longer wait.
    pub fn bounding_wait(mut self, name: &'static str, most: Duration) -> Self {
        self.plan.waits_max.push((name, saturating_nanos(most)));
        self
    }

    /// The run fails if a request is granted ahead of an older one that waits and conflicts, later than word of
    /// the older one can have got there: over the links between them, each at the longest delay, stalls included. In
    /// flat trees of up to 64 clients this is always so.
    pub fn bounding_bypass(mut self) -> Self {
        self.plan.bounds_bypass = true;
        self
    }

    /// The report brings the [history](super::history) along, and the run fails if that is none of a good lock.
    pub fn recording(mut self) -> Self {
        self.plan.records = true;
        self
    }

    /// From what everything random is drawn. Unless set, `RM_SEED`, or else a number drawn afresh.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The command that runs this again, for a failure to print after `RM_SEED=n`.
    pub fn replay(mut self, command: &str) -> Self {
        self.replay = Some(command.into());
        self
    }

    /// Breaks something on purpose.
    pub fn sabotage(mut self, sabotage: Sabotage) -> Self {
        self.plan.sabotage = Some(sabotage);
        self
    }

    /// Runs it until nothing more happens.
    ///
    /// # Errors
    /// The first broken rule, with the last events before it. To see them the run is repeated.
    pub fn run(&self) -> Result<Report<T::Credit>, Failure> {
        let seed = self.seed.unwrap_or_else(fresh_seed);
        simulate(&self.plan, seed, u64::MAX).map_err(|found| {
            let from = found.event.saturating_sub(TRACED);
            let trace = match simulate(&self.plan, seed, from) {
                Err(again) if again.what == found.what => again.trace,
                Ok(_) | Err(_) => "    it does not repeat: a closure does not replay\n".into(),
            };
            Failure {
                what: found.what,
                seed,
                event: found.event,
                at: Duration::from_nanos(found.at),
                trace,
                replay: how_to_replay(seed, self.replay.as_deref()),
            }
        })
    }
}

/// The seeds of a test: the one that `RM_SEED` names, otherwise the first so many.
///
/// # Panics
/// If `RM_SEED` is set and is no number.
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let chosen = std::env::var_os("RM_SEED").map(|_| fresh_seed());
    match chosen {
        Some(seed) => seed..seed.saturating_add(1),
        None => 0..count,
    }
}

/// What went wrong, and where.
struct Found {
    what: String,
    event: u64,
    at: u64,
    trace: String,
}

/// One run. Events after number `trace_from` are put down in words.
fn simulate<T: ResourceType>(
    plan: &Plan<T>,
    seed: u64,
    trace_from: u64,
) -> Result<Report<T::Credit>, Found> {
    let mut world = World::new(plan, seed, trace_from);
    let done = catch_unwind(AssertUnwindSafe(|| world.run()));
    let what = match done {
        Ok(Ok(())) => return Ok(world.into_report()),
        Ok(Err(fault)) => fault.0,
        Err(panic) => format!("panic: {}", panic_text(&*panic)),
    };
    Err(world.into_found(what))
}
