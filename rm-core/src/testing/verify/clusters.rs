//! Simulated clusters whose clients ask for the samples: more nodes, more clients and odder delays than an exploration
//! can have, for a while instead of exhaustively.
//!
//! Each run has a seed of its own, and its history is checked as well. Where credit is used up, a root that
//! runs low enters its next epoch, and nobody converts.

use core::fmt;
use core::ops::AddAssign;
use core::time::Duration;
use std::time::Instant;

use super::{Budget, Failed, policies};
use crate::credit::Level;
use crate::resource::{Lending, ResourceType};
use crate::testing::random::Random;
use crate::testing::simulate::{Clients, Report, Simulation, Span, Tree, seeds};

const MS: Duration = Duration::from_millis(1);

/// What was simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Simulated {
    /// Runs: seeds, trees and policies.
    pub runs: u64,
    /// Things that happened in them.
    pub events: u64,
    /// Requests that were granted, conversions included.
    pub acquires: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl<C> AddAssign<Report<C>> for Simulated {
    fn add_assign(&mut self, report: Report<C>) {
        self.runs += 1;
        self.events += report.events;
        self.acquires += report.granted();
    }
}

impl fmt::Display for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let Self {
            runs,
            events,
            acquires,
            ..
        } = self;
        write!(
            f,
            "{runs} runs, {events} events, {acquires} acquires, {seconds:.1} s"
        )
    }
}

/// Where clients live.
fn trees() -> [(&'static str, Tree); 4] {
    [
        ("a root and 6 leaves", Tree::star(6)),
        ("a row of 4 below the root", Tree::chain(4)),
        ("a binary tree of 15", Tree::uniform(15, 2)),
        ("a tree of 40 by 6", Tree::uniform(40, 6)),
    ]
}

/// Runs every tree under every policy, from as many seeds as the budget has.
pub(super) fn simulate<T: ResourceType>(
    resource_type: &T,
    asks: &[T::Credit],
    budget: Budget,
) -> Result<Simulated, Failed> {
    let started = Instant::now();
    let mut simulated = Simulated::default();
    for seed in seeds(budget.seeds()) {
        for (name, tree) in trees() {
            for policy in policies() {
                let simulation = Simulation::new(resource_type, tree.clone())
                    .policy(policy)
                    .delay(delay(seed))
                    .skew(5 * MS)
                    .stalling(200, 20 * MS)
                    .clients(clients(asks))
                    .recording()
                    .seed(seed);
                let report = simulation.run().map_err(|failure| Failed::Simulation {
                    tree: name,
                    policy,
                    failure: Box::new(failure),
                })?;
                simulated += report;
            }
        }
    }
    simulated.elapsed = started.elapsed();
    Ok(simulated)
}

/// Every other seed has messages that take very long now and then.
fn delay(seed: u64) -> Span {
    if seed.is_multiple_of(2) {
        Span::between(MS / 2, 2 * MS)
    } else {
        Span::heavy_tail(MS / 10, 100 * MS)
    }
}

/// Two at each node, who do a bit of everything.
fn clients<T: ResourceType>(asks: &[T::Credit]) -> Clients<T> {
    let levels: Vec<T::Level> = asks.iter().map(T::Level::of).collect();
    let any = move |random: &mut Random| levels[random.below(levels.len() as u64) as usize].clone();
    let clients = Clients::everywhere()
        .each(2)
        .rounds(6)
        .thinking(Span::between(MS, 20 * MS))
        .holding(Span::between(MS / 10, 4 * MS))
        .asking(any.clone())
        .trying(10)
        .with_deadline(10, Span::between(MS, 30 * MS))
        .cancelling(10, Span::between(MS / 10, 20 * MS))
        .returning_spare(10);
    match T::LENDING {
        Lending::Loaned => clients.converting(30, move |random, _| any(random)),
        Lending::UsedUp => clients,
    }
}
