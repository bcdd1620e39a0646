//! Your own code on trial: what happens between taking a lock and giving it back, on nodes that fail.
//!
//! The other tools of this kit test a resource type. This one tests a program that *uses* one. You describe a scenario: a
//! few nodes, and the tasks that run on them. The trial runs it again and again, in simulated time and in one thread:
//!
//! 1. Without a fault, in an order of steps that the seed draws.
//! 2. In that same order up to a point, and there one node [fails](Fault). Once for each point, each node and each fault.
//! 3. The same with the next seed.
//!
//! So a lock is lost at every point of your code at which anything else can happen. The locks are the real ones:
//! each node is a [`Domain`] of its own, which borrows from a server that does not fail.
//!
//! A run fails where your code panics, where a check that you left for the [end](Stage::finally) does, and where tasks wait
//! for ever although nothing is wrong any more, as those do that take two locks in two orders.
//!
//! # Points
//!
//! Other tasks run, and nodes fail, where a future of yours is pending: where it waits for a lock, in [`Node::step`] and
//! in [`Node::sleep`]. **Put a [`step`](Node::step) wherever your program would really wait**: a fake of your store awaits one
//! before and after each access. Where there is no point, nothing is tried.
//!
//! # What your code must be like
//!
//! It takes its locks as handles (`RwLock` and the like, which do not know on which kind of node they are), and its store
//! by a trait or a generic parameter. What needs no runtime works here, such as `futures` and the channels of
//! `tokio::sync`; sockets, files, threads and the timers of a runtime do not: use [`Node::sleep`]. It must do the same
//! whenever it sees the same, so it draws its random numbers from a seed of its own. Its tasks must come to an end.
//!
//! # What this shows, and what not
//!
//! One fault in each run, and as many orders as there are seeds. It shows that your code stands the loss of a lock at
//! each of its points; it is no proof of all orders, nor of two faults at once. That the locks themselves
//! keep their promises is for the [explorer](super::explore) and the [simulator](super::simulate) to show.
//!
//! # Examples
//!
//! Two services add one to a number in a store. Each is suspended at some point past its lease, wakes up, and goes on.
//! Where the store compares tokens, before the number is read and when it is written, it refuses who comes late. Where it
//! does not, an update is lost, and the trial says how:
//!
//! ```
//! use std::{cell::Cell, rc::Rc};
//!
//! use rm_core::testing::trial::{Failure, Node, Passed, Trial};
//! use rm_rwlock::fencing::{Mark, Refused};
//! use rm_rwlock::{RwLock, RwLockType};
//!
//! /// A fake of the store.
//! #[derive(Default)]
//! struct Store {
//!     number: Cell<u64>,
//!     mark: Cell<Mark>,
//!     is_fenced: bool,
//! }
//!
//! impl Store {
//!     async fn compare(&self, node: &Node, token: u64) -> Result<(), Refused> {
//!         node.step().await; // the request is on its way: anything may happen
//!         if self.is_fenced {
//!             self.mark.set(self.mark.get().admit_write(token)?);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! /// The code under test.
//! async fn add_one(node: &Node, lock: &RwLock, store: &Store) -> Result<(), Box<dyn std::error::Error>> {
//!     let writer = lock.write().await?;
//!     store.compare(node, writer.fence()).await?;
//!     let number = store.number.get();
//!     store.compare(node, writer.fence()).await?;
//!     store.number.set(number + 1);
//!     Ok(())
//! }
//!
//! fn try_with(is_fenced: bool) -> Result<Passed, Failure> {
//!     Trial::new(RwLockType::default()).run(|stage| {
//!         let store = Rc::new(Store { is_fenced, ..Store::default() });
//!         let done = Rc::new(Cell::new(0));
//!         for name in ["web-1", "web-2"] {
//!             let (node, store, done) = (stage.node(name), store.clone(), done.clone());
//!             let lock = RwLock::new(node.domain(), "volumes/42");
//!             node.clone().spawn(async move {
//!                 if add_one(&node, &lock, &store).await.is_ok() {
//!                     done.set(done.get() + 1);
//!                 }
//!             });
//!         }
//!         stage.finally(move || assert_eq!(store.number.get(), done.get(), "an update was lost"));
//!     })
//! }
//!
//! println!("{}", try_with(true)?);
//! let failure = try_with(false).expect_err("a late write gets through");
//! assert!(failure.what.contains("an update was lost"), "{failure}");
//! # Ok::<(), Failure>(())
//! ```

mod run;
mod stage;
mod world;

use core::fmt;
use std::sync::Arc;

use self::run::{Found, Incident, Ran};
pub use self::stage::{Node, Stage};
use super::how_to_replay;
use super::simulate::seeds;
use crate::front::Domain;
use crate::resource::ResourceType;

/// The most points of a scenario without faults: every one of them is a run for each node and each fault.
pub const POINTS_MAX: usize = 1_000;

/// How many orders are drawn, unless set otherwise.
const SEEDS: u64 = 8;

type Register = Arc<dyn Fn(Domain) -> Domain>;

/// What can go wrong with a node. Each ends its session, so all that it held is lost; they differ in when it finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// It stands still at this point for longer than its lease, and goes on as if nothing had been: others had its locks
    /// meanwhile. What it writes then only a fencing token stops, unless it asks its guard first.
    Pause,
    /// It is cut off, and its lease ends at this point, while it goes on. Its guards say so at once.
    Loss,
    /// It dies at this point: nothing of it runs any more. Its destructors run after all is judged.
    Crash,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pause, Self::Loss, Self::Crash];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "stands still past its lease",
            Self::Loss => "is cut off until its lease is over",
            Self::Crash => "dies",
        })
    }
}

/// What is tried on a scenario.
#[derive(Clone)]
pub struct Trial {
    types: Vec<Register>,
    seeds: u64,
    faults: Vec<Fault>,
}

impl Trial {
    /// A trial of code that uses resources of this type: eight orders, every fault.
    #[must_use]
    pub fn new<T: ResourceType>(resource_type: T) -> Self {
        let trial = Self {
            types: Vec::new(),
            seeds: SEEDS,
            faults: Fault::ALL.to_vec(),
        };
        trial.with_type(resource_type)
    }

    /// And of this type.
    #[must_use]
    pub fn with_type<T: ResourceType>(mut self, resource_type: T) -> Self {
        let register = move |domain: Domain| domain.with_type(resource_type.clone());
        self.types.push(Arc::new(register));
        self
    }

    /// In how many orders: each is drawn from a seed of its own. Where `RM_SEED` is set, only in that one.
    #[must_use]
    pub const fn seeds(mut self, count: u64) -> Self {
        self.seeds = count;
        self
    }

    /// These faults only; without any, nodes do not fail.
    #[must_use]
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.faults = faults.into_iter().collect();
        self
    }

    /// Runs the scenario in each order, without a fault and with each fault at each point. `scenario` is called afresh for
    /// each run: it makes the nodes, the store and the tasks, and leaves its checks for the end.
    ///
    /// # Errors
    /// The first run that failed, and how to repeat it.
    ///
    /// # Panics
    /// If `RM_SEED` is set and is no number.
    pub fn run(&self, scenario: impl Fn(&Stage)) -> Result<Passed, Failure> {
        let mut passed = Passed::default();
        for seed in seeds(self.seeds) {
            let once = |incident: Option<Incident>| -> Result<Ran, Failure> {
                let ran = run::once(&self.types, seed, incident, &scenario);
                ran.map_err(|found| Failure::new(seed, found))
            };
            let plain = once(None)?;
            if plain.points > POINTS_MAX && !self.faults.is_empty() {
                return Err(Failure::new(seed, Found::too_long(plain.points)));
            }
            passed.orders += 1;
            for &fault in &self.faults {
                let places = (0..plain.nodes)
                    .flat_map(|node| (0..plain.points).map(move |point| (node, point)));
                for (node, point) in places {
                    let ran = once(Some(Incident { fault, node, point }))?;
                    passed.faults += 1;
                    passed.losses += u64::from(ran.has_struck_a_holder);
                }
            }
        }
        Ok(passed)
    }
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial")
            .field("seeds", &self.seeds)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// What was tried, all of it in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passed {
    /// Orders of steps: one run each without a fault.
    pub orders: u64,
    /// Runs with a fault.
    pub faults: u64,
    /// Those of them in which the node held something when it failed. If there are none, the trial has shown little: the code
    /// has no [point](Node::step) at which it holds.
    pub losses: u64,
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            orders,
            faults,
            losses,
        } = self;
        write!(
            f,
            "{orders} orders, {faults} runs with a fault, {losses} of them at a node that held something"
        )
    }
}

/// A run that failed. It prints the same with `{}` and `{:?}`, so that a test may simply return it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error(
    "{what}\nin the order of seed {seed}, {fault}; all that happened:\n{trace}repeat it: {replay}"
)]
pub struct Failure {
    /// What is wrong, in words.
    pub what: String,
    /// From what the order was drawn.
    pub seed: u64,
    /// Which node failed how and where, in words.
    pub fault: String,
    /// What happened, one line each.
    pub trace: String,
    /// How to repeat it.
    pub replay: String,
}

impl Failure {
    fn new(seed: u64, found: Found) -> Self {
        Self {
            what: found.what,
            seed,
            fault: found.fault,
            trace: found.trace,
            replay: how_to_replay(seed, None),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
