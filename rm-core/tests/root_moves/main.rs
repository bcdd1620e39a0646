//! A resource that moves from root to root, in every interleaving.
//!
//! Two lenders, two debtors that read and write, and views that move the resource there and back. A step is a request or
//! a release, one delivery of a message, the adoption of a view by one node (in turn, or skipping some), an activation, the
//! end of a lease or of a session. Where there is one move, every sequence of steps is taken, and states that are the
//! same are visited once; where there are more, sequences are drawn from a seed. A failure prints it; `RM_SEED=n` runs that
//! seed alone, `RM_SEEDS=n` so many.
//!
//! In every state: the books of each owner agree; what all debtors trust together is no more than there is, so no two
//! conflicting holds; tokens rise over conflicting holds; no correct peer is found to misbehave. Where nothing more can
//! happen: every request was granted, or lost by a lease that ended; no claim is open; the book of the last root says of
//! each debtor what it has.

mod checks;
mod world;

use std::collections::BTreeSet;

use rm_core::policy::Policy;
use rm_rwlock::RwCredit;
use xxhash_rust::xxh3::Xxh3;

use self::world::{Plan, Step, World, capital};

/// No scenario has more states than this.
const STATES_MAX: usize = 100_000;
/// No sequence is longer: beyond it the owners talk in a circle.
const STEPS_MAX: usize = 2_000;
/// Sequences drawn for each scenario, unless `RM_SEEDS` says otherwise.
const SEEDS: u64 = 150;

fn explore(plan: Plan) -> usize {
    let start = World::new(plan);
    let mut seen = BTreeSet::from([digest(&start)]);
    let steps = start.steps();
    // The way here: each world, and the steps out of it that are still to be taken.
    let mut way: Vec<(World, Vec<Step>, Option<Step>)> = vec![(start, steps, None)];
    while let Some((world, steps, _)) = way.last_mut() {
        let Some(step) = steps.pop() else {
            way.pop();
            continue;
        };
        let mut next = world.clone();
        let mut result = next.take(step).and_then(|()| next.check());
        let steps = next.steps();
        if result.is_ok() && steps.is_empty() {
            result = next.check_end();
        }
        if let Err(fault) = result {
            let taken = way.iter().filter_map(|(_, _, step)| *step);
            let taken: Vec<_> = taken.chain([step]).collect();
            panic!("{}", told(&fault, &taken, &next));
        }
        if seen.insert(digest(&next)) {
            assert!(seen.len() < STATES_MAX, "too many states");
            way.push((next, steps, Some(step)));
        }
    }
    eprintln!("{} states", seen.len());
    seen.len()
}

/// Takes steps at random until nothing can happen any more, from many seeds.
#[expect(
    clippy::disallowed_methods,
    reason = "the seed to replay comes from the environment"
)]
fn wander(plan: &Plan) {
    let number = |name| -> Option<u64> {
        let text = std::env::var(name).ok()?;
        Some(
            text.parse()
                .expect("RM_SEED and RM_SEEDS are whole numbers"),
        )
    };
    let seeds = match number("RM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RM_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        if let Err(fault) = walk(plan.clone(), seed) {
            panic!("{fault}\nreplay with RM_SEED={seed}");
        }
    }
}

fn walk(plan: Plan, seed: u64) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut world, mut taken) = (World::new(plan), Vec::new());
    for _ in 0..STEPS_MAX {
        let steps = world.steps();
        if steps.is_empty() {
            return world
                .check_end()
                .map_err(|fault| told(&fault, &taken, &world));
        }
        let step = steps[random.usize(..steps.len())];
        taken.push(step);
        let result = world.take(step).and_then(|()| world.check());
        result.map_err(|fault| told(&fault, &taken, &world))?;
    }
    Err(told("there is no end of it", &taken, &world))
}

fn told(fault: &str, taken: &[Step], world: &World) -> String {
    format!("{fault}\nafter {taken:#?}\nin {world:#?}")
}

fn digest(world: &World) -> u128 {
    use std::hash::Hash as _;
    let mut hash = Xxh3::new();
    world.hash(&mut hash);
    hash.digest128()
}

fn plan(roots: &[usize], asks: [&[RwCredit]; 2]) -> Plan {
    Plan {
        roots: roots.to_vec(),
        asks: asks.map(<[_]>::to_vec),
        skips: false,
        losses: 0,
        ends: 0,
        death: false,
        returns: false,
        keeps_all: false,
        policy: Policy::Exact,
    }
}

const READ: RwCredit = RwCredit::READ;

#[test]
fn a_move_among_a_reader_and_a_writer() {
    explore(plan(&[0, 1], [&[READ], &[capital()]]));
}

#[test]
fn a_move_among_two_writers_and_their_returns() {
    let mut plan = plan(&[0, 1], [&[capital()], &[capital()]]);
    plan.returns = true;
    explore(plan);
}

#[test]
fn a_move_among_readers_that_cache_a_share_more() {
    let mut plan = plan(&[0, 1], [&[READ], &[READ, capital()]]);
    plan.policy = Policy::Max;
    explore(plan);
}

#[test]
fn a_move_while_an_orphan_may_be_lost() {
    let mut plan = plan(&[0, 1], [&[READ], &[capital()]]);
    plan.losses = 1;
    explore(plan);
}

#[test]
fn a_root_that_dies_with_its_book() {
    let mut plan = plan(&[0, 1], [&[READ], &[capital()]]);
    plan.death = true;
    explore(plan);
}

#[test]
fn a_root_that_dies_with_its_book_while_an_orphan_may_be_lost() {
    let mut plan = plan(&[0, 1], [&[READ], &[capital()]]);
    plan.death = true;
    plan.losses = 1;
    explore(plan);
}

/// Two moves and a view that moves nothing, with all that can go wrong beside.
fn everything(roots: &[usize]) -> Plan {
    let mut plan = plan(roots, [&[READ, capital()], &[capital(), READ, capital()]]);
    plan.skips = true;
    plan.returns = true;
    plan.losses = 1;
    plan.ends = 1;
    plan
}

#[test]
fn moves_away_and_back_in_turn() {
    let mut plan = everything(&[0, 1, 1, 0]);
    plan.skips = false;
    wander(&plan);
}

#[test]
fn moves_away_and_back_that_some_skip() {
    wander(&everything(&[0, 1, 0]));
    wander(&everything(&[0, 1, 0, 0, 1]));
    // A root that stays one is claimed of again.
    wander(&everything(&[0, 1, 1, 1, 1]));
}

#[test]
fn moves_with_credit_to_spare_everywhere() {
    let mut plan = everything(&[0, 1, 0, 1]);
    plan.policy = Policy::Max;
    wander(&plan);
}

#[test]
fn moves_without_losses_lose_no_hold() {
    let mut plan = everything(&[0, 1, 0, 1, 1, 0]);
    plan.losses = 0;
    plan.ends = 0;
    plan.keeps_all = true;
    wander(&plan);
}

#[test]
fn deaths_with_all_that_can_go_wrong_beside() {
    let mut plan = everything(&[0, 1, 1]);
    plan.death = true;
    wander(&plan);
}
