//! Nodes and their coordinator in simulated time: no node believes in a membership that is over.
//!
//! A few nodes run the real state machine, each by its own clock: any offset, a rate within 1 ± 2 %, half of the runs at
//! the extremes. The way to the coordinator delays and loses; answers may come after their sender gave up, and
//! requests be done after that. Nodes are paused, killed and started again, cut off, drained, told to leave, given other
//! weights. The coordinator is away for a while, or deletes a record by itself.
//!
//! Checked after every event, by true time:
//!
//! * while a node believes in its membership, the view that stands has its registration (a node that is paused goes on
//!   believing by its clock);
//! * each view has the epoch after the one before.
//!
//! After the faults: the view has those that live and did not leave, and each of them knows it.
//!
//! All of a run follows from its seed. A failure prints it; `RM_SEED=n` runs that seed alone, `RM_SEEDS=n` the first `n`.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its seed from the environment"
)]

mod world;

use std::env;

use world::{Fault, World};

/// What CI runs.
const SEEDS: u64 = 120;

fn seeds() -> Vec<u64> {
    let number = |name| {
        let text = env::var(name).ok()?;
        Some(text.parse().expect("a whole number"))
    };
    match number("RM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("RM_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

fn run_all(faults: &[Fault]) {
    let mut views = 0;
    for seed in seeds() {
        let mut world = World::new(seed);
        let outcome = world.run(faults).and_then(|()| world.heal());
        views += world.views();
        if let Err(what) = outcome {
            panic!("seed {seed}: {what}; run it alone with RM_SEED={seed}");
        }
    }
    println!("{} schedules, {views} views", seeds().len());
}

#[test]
fn no_node_believes_in_a_membership_that_is_over() {
    run_all(&Fault::ALL);
}

#[test]
fn nodes_that_pause_never_wake_up_believing() {
    run_all(&[Fault::Pause]);
}

#[test]
fn answers_that_come_late_do_not_lengthen_membership() {
    run_all(&[Fault::Slow, Fault::Pause, Fault::Cut]);
}

#[test]
fn an_outage_of_the_coordinator_evicts_nobody() {
    for seed in seeds() {
        let mut world = World::new(seed);
        let outcome = world.outage();
        if let Err(what) = outcome {
            panic!("seed {seed}: {what}; run it alone with RM_SEED={seed}");
        }
    }
}
