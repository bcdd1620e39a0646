//! Simulated clusters of production owners: many seeds, every policy, trees of every shape.
//!
//! `RM_SIM=long` runs a hundred times as many seeds; `RM_SEED=n` runs that seed alone.

mod broken;
mod fairness;
mod histories;
mod life;
mod liveness;
mod rw_lock;
mod semaphore;
mod tickets;

use std::time::Duration;

use rm_core::policy::Policy;
use rm_core::resource::ResourceType;
use rm_core::testing::history::check;
use rm_core::testing::simulate::{Simulation, Span, Tree, seeds};

const MS: Duration = Duration::from_millis(1);

/// Seeds of one world: a few, or many in the long form.
fn some_seeds(few: u64) -> impl Iterator<Item = u64> {
    let is_long = std::env::var("RM_SIM").is_ok_and(|form| form == "long");
    seeds(if is_long { 100 * few } else { few })
}

const POLICIES: [Policy; 4] = [
    Policy::Exact,
    Policy::slice(4),
    Policy::adaptive(4),
    Policy::Max,
];

fn trees() -> [Tree; 5] {
    [
        Tree::star(6),
        Tree::chain(4),
        Tree::uniform(15, 2),
        Tree::uniform(40, 6),
        // One branch deep, one flat.
        Tree::star(3).with(1).with(4).with(5).with(2).with(2),
    ]
}

/// Runs a world under every policy, in every tree and with every kind of delay, from many seeds; what the clients
/// saw must be a good history.
fn run_everywhere<T: ResourceType>(
    name: &str,
    resource_type: &T,
    capital: &T::Credit,
    shape: impl Fn(Simulation<T>) -> Simulation<T>,
) {
    let delays: [Span; 3] = [
        MS.into(),
        Span::between(MS / 10, 5 * MS),
        Span::heavy_tail(MS / 10, 200 * MS),
    ];
    let (mut runs, mut events, mut granted, mut bypasses) = (0_u64, 0, 0, 0);
    for seed in some_seeds(3) {
        for (tree, policy) in trees().iter().flat_map(|tree| POLICIES.map(|p| (tree, p))) {
            for delay in delays {
                let simulation = Simulation::new(resource_type, tree.clone())
                    .policy(policy)
                    .delay(delay)
                    .skew(20 * MS)
                    .stalling(200, 50 * MS)
                    .until(150 * MS)
                    .seed(seed)
                    .replay(&format!("cargo test -p rm-tests --test simulate {name}"))
                    .recording();
                let report = shape(simulation).run().unwrap_or_else(|failure| {
                    panic!("{policy:?}, {tree:?}, {delay:?}: {failure}");
                });
                let summary = check(|_| capital.clone(), &report.history);
                let summary = summary.unwrap_or_else(|what| panic!("seed {seed}: {what}"));
                assert_eq!((summary.unanswered, summary.unended), (0, 0));
                runs += 1;
                events += report.events;
                granted += report.granted();
                bypasses += report.bypasses;
            }
        }
    }
    println!("{name}: {runs} runs, {events} events, {granted} grants, {bypasses} bypasses");
    assert!(granted > 0);
}
