//! Every interleaving of small worlds of range locks, semaphores, identifiers and sequences, under every policy; and
//! the one call that tries everything on each of them.
//!
//! Bytes have two or three shares here, and epochs six identifiers, so that states are few. `RM_EXPLORE=long` tries
//! more orders; `--nocapture` shows the table. Larger worlds of semaphores are in the test `explore` of
//! `rm-tests`.

use rm_core::credit::Credit;
use rm_core::policy::Policy;
use rm_core::resource::ResourceType;
use rm_core::testing::explore::{Client, Explorer, Orders, Report, Tree};
use rm_core::testing::verify::{Budget, Failed, Samples, verify};
use rm_types::{ByteRangeType, IdRangeType, Ids, RangeCredit, SemaphoreType, SequenceType, Units};

const POLICIES: [Policy; 4] = [
    Policy::Exact,
    Policy::slice(4),
    Policy::Max,
    Policy::adaptive(4),
];

const FILE: ByteRangeType = ByteRangeType::with_shares(2);

// Nodes of `tree()`.
const ROOT: usize = 0;
const M: usize = 1;
const L1: usize = 2;
const L2: usize = 3;
const L3: usize = 4;

/// A middle owner with two leaves below it, and a leaf beside it.
fn tree() -> Tree {
    Tree::root()
        .with("M", ROOT)
        .with("L1", M)
        .with("L2", M)
        .with("L3", ROOT)
}

fn read(first: u64, last: u64) -> RangeCredit {
    ByteRangeType::read(first..=last)
}

fn write(first: u64, last: u64) -> RangeCredit {
    FILE.write(first..=last)
}

/// Both together: a guard in several modes.
fn both(one: &RangeCredit, other: &RangeCredit) -> RangeCredit {
    one.join(other).expect("parts of one capital")
}

type Clients<T> = Vec<Client<<T as ResourceType>::Credit>>;

fn takes<C: Credit>(node: usize, ask: &C) -> Client<C> {
    Client::at(node).acquire(ask.clone()).release()
}

fn tries<C: Credit>(node: usize, ask: &C) -> Client<C> {
    Client::at(node).try_acquire(ask.clone()).release()
}

fn converts<C: Credit>(node: usize, from: &C, to: &C) -> Client<C> {
    Client::at(node)
        .acquire(from.clone())
        .convert(to.clone())
        .release()
}

fn reduces<C: Credit>(node: usize, from: &C, keep: &C) -> Client<C> {
    Client::at(node)
        .acquire(from.clone())
        .reduce(keep.clone())
        .release()
}

fn is_long() -> bool {
    std::env::var("RM_EXPLORE").is_ok_and(|what| what == "long")
}

/// Whether fencing numbers tell states apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fences {
    Forgotten,
    Kept,
}

fn explore<T: ResourceType>(
    family: &str,
    resource_type: &T,
    tree: &Tree,
    fences: Fences,
    scenarios: &[(&str, Clients<T>)],
) {
    let orders = Orders::Sampled {
        count: if is_long() { 60 } else { 6 },
        seed: 1,
    };
    let mut total = Report::default();
    for (name, clients) in scenarios {
        let mut report = Report::default();
        for policy in POLICIES {
            let explorer = Explorer::new(resource_type, tree.clone())
                .policy(policy)
                .orders(orders.clone())
                .states_max(2_000_000)
                .clients(clients.clone());
            let explorer = match fences {
                Fences::Forgotten => explorer,
                Fences::Kept => explorer.with_fences(),
            };
            match explorer.run() {
                Ok(explored) => report = report.and(explored),
                Err(violation) => panic!(
                    "{family}, \"{name}\", {policy:?}, {} steps, found after {} states: {violation}",
                    violation.steps, violation.states
                ),
            }
        }
        println!("{report}  {family}: {name}");
        total = total.and(report);
    }
    println!(
        "{total}  {family}: {} scenarios x {} policies",
        scenarios.len(),
        POLICIES.len()
    );
}

#[test]
fn ranges_of_two_leaves() {
    let scenarios = [
        (
            "writers of neighbours and one across",
            vec![
                takes(1, &write(0, 1)),
                takes(2, &write(2, 3)),
                takes(0, &write(1, 2)),
            ],
        ),
        (
            "a chain of overlaps",
            vec![
                takes(1, &write(0, 1)),
                takes(2, &write(1, 2)),
                takes(1, &write(2, 3)),
            ],
        ),
        (
            "readers that overlap and a writer across",
            vec![
                takes(1, &read(0, 2)),
                takes(2, &read(1, 3)),
                takes(0, &write(1, 1)),
            ],
        ),
        (
            "a local reader beside what is recalled",
            vec![
                takes(1, &read(0, 3)).acquire(read(2, 3)).release(),
                takes(2, &write(0, 1)),
            ],
        ),
        (
            "everything, a part, and another part",
            vec![
                takes(1, &FILE.write(..)),
                takes(2, &write(4, 5)),
                takes(1, &read(0, 0)),
            ],
        ),
        (
            "tries and a cancelled write",
            vec![
                tries(1, &write(0, 1)),
                tries(2, &read(1, 2)),
                Client::at(2).acquire(write(0, 3)).cancel(),
            ],
        ),
    ];
    let star = Tree::star(2);
    explore(
        "ranges, root + 2",
        &FILE,
        &star,
        Fences::Forgotten,
        &scenarios,
    );
}

#[test]
fn parts_of_ranges_change() {
    let part_written = both(&write(0, 0), &read(1, 2));
    let scenarios = [
        (
            "an upgrade in part against a reader of the rest",
            vec![
                converts(1, &read(0, 2), &part_written),
                takes(2, &read(1, 3)),
                takes(2, &write(0, 0)),
            ],
        ),
        (
            "upgrades of two parts that both read",
            vec![
                converts(1, &read(0, 1), &both(&write(0, 0), &read(1, 1))),
                converts(2, &read(0, 1), &both(&read(0, 0), &write(1, 1))),
            ],
        ),
        (
            "upgrades of parts that have nothing to do with each other",
            vec![
                converts(1, &read(0, 1), &both(&write(0, 0), &read(1, 1))),
                converts(2, &read(1, 2), &both(&read(1, 1), &write(2, 2))),
            ],
        ),
        (
            "a downgrade in part, a reader, a writer",
            vec![
                reduces(1, &write(0, 1), &both(&write(0, 0), &read(1, 1))),
                takes(2, &read(1, 1)),
                takes(2, &write(0, 1)),
            ],
        ),
        (
            "part of a range is given up",
            vec![
                reduces(1, &write(0, 3), &write(1, 2)),
                takes(2, &write(0, 0)),
                takes(2, &read(3, 4)),
            ],
        ),
        (
            "a hold that moves on along the file",
            vec![
                converts(1, &write(0, 1), &write(1, 2)),
                takes(2, &write(0, 0)),
                takes(2, &read(2, 2)),
            ],
        ),
        (
            "a cancelled upgrade in part",
            vec![
                Client::at(1)
                    .acquire(read(0, 2))
                    .convert(part_written.clone())
                    .cancel()
                    .release(),
                takes(2, &read(0, 1)),
                takes(1, &read(0, 0)),
            ],
        ),
    ];
    let star = Tree::star(2);
    explore(
        "parts, root + 2",
        &FILE,
        &star,
        Fences::Forgotten,
        &scenarios,
    );
    explore(
        "parts, fences kept",
        &FILE,
        &star,
        Fences::Kept,
        &scenarios[3..],
    );
}

#[test]
fn three_upgrades_in_a_circle() {
    // Each reads a byte that the next one wants to write: no two of them want the same.
    let reads = |a, b| both(&read(a, a), &read(b, b));
    let clients = vec![
        converts(1, &reads(0, 2), &both(&write(0, 0), &read(2, 2))),
        converts(2, &reads(0, 4), &both(&write(4, 4), &read(0, 0))),
        converts(3, &reads(2, 4), &both(&write(2, 2), &read(4, 4))),
    ];
    let star = Tree::star(3);
    let scenarios = [("three upgrades", clients)];
    explore(
        "circle, root + 3",
        &FILE,
        &star,
        Fences::Forgotten,
        &scenarios,
    );
}

#[test]
fn ranges_in_a_tree() {
    let scenarios = [
        (
            "older and younger collect in different places",
            vec![
                takes(L1, &write(0, 1)),
                takes(L3, &write(1, 2)),
                takes(M, &read(2, 2)),
            ],
        ),
        (
            "readers below and a writer beside",
            vec![
                takes(L1, &read(0, 1)),
                takes(L2, &read(1, 2)),
                takes(L3, &write(0, 2)),
            ],
        ),
        (
            "an upgrade in part below, a writer beside",
            vec![
                converts(L1, &read(0, 1), &both(&write(0, 0), &read(1, 1))),
                takes(L3, &write(1, 1)),
            ],
        ),
        (
            "tries below and beside",
            vec![
                tries(L1, &write(0, 1)),
                tries(L3, &read(1, 2)),
                takes(L2, &write(2, 3)),
            ],
        ),
        (
            "what is cached in parts goes home",
            vec![
                takes(L1, &write(0, 0))
                    .acquire(write(2, 2))
                    .release()
                    .return_spare(),
                takes(L3, &read(0, 2)),
            ],
        ),
    ];
    explore(
        "ranges, tree",
        &FILE,
        &tree(),
        Fences::Forgotten,
        &scenarios,
    );
}

#[test]
fn permits_that_change() {
    let units = Units;
    let scenarios = [
        (
            "a permit gives back some and takes more",
            vec![
                Client::at(1)
                    .acquire(units(3))
                    .reduce(units(1))
                    .convert(units(2))
                    .release(),
                takes(2, &units(2)),
                takes(0, &units(3)),
            ],
        ),
        (
            "a quota that two nodes use up",
            vec![
                reduces(1, &units(2), &units(1)),
                reduces(2, &units(2), &units(1)),
                tries(0, &units(3)),
            ],
        ),
    ];
    explore(
        "permits of 3",
        &SemaphoreType::with_units(3),
        &Tree::star(2),
        Fences::Kept,
        &scenarios,
    );
}

/// Six identifiers in each epoch.
const IDS: IdRangeType = IdRangeType::with_ids(6);

/// Any so many identifiers: a request is for the size alone.
fn any(count: u64) -> Ids {
    Ids::range(1, 1 + count)
}

fn cancels<C: Credit>(node: usize, ask: &C) -> Client<C> {
    Client::at(node).acquire(ask.clone()).cancel()
}

/// No identifier is given twice: the explorer looks at that with every grant.
#[test]
fn identifiers_of_two_leaves() {
    let scenarios = [
        (
            "two leaves and the root",
            vec![takes(1, &any(2)), takes(2, &any(3)), takes(0, &any(1))],
        ),
        (
            "two at one leaf, and one beside",
            vec![takes(1, &any(1)), takes(1, &any(2)), takes(2, &any(1))],
        ),
        (
            "tries",
            vec![tries(1, &any(3)), tries(2, &any(3)), takes(0, &any(2))],
        ),
        (
            "requests that are given up",
            vec![cancels(1, &any(2)), cancels(2, &any(1)), takes(1, &any(3))],
        ),
        (
            "a stock that is dropped, and one that is used",
            vec![
                takes(1, &any(1)).return_spare().acquire(any(2)).release(),
                takes(2, &any(2)),
            ],
        ),
        (
            "more than two epochs have",
            vec![
                takes(1, &any(3)).acquire(any(3)).release(),
                takes(2, &any(3)).acquire(any(3)).release(),
                takes(0, &any(2)),
            ],
        ),
    ];
    let star = Tree::star(2);
    explore(
        "identifiers, root + 2",
        &IDS,
        &star,
        Fences::Forgotten,
        &scenarios,
    );
    explore(
        "identifiers, fences kept",
        &IDS,
        &star,
        Fences::Kept,
        &scenarios[..4],
    );
}

#[test]
fn identifiers_in_a_tree() {
    let scenarios = [
        (
            "above, below and beside",
            vec![takes(L1, &any(2)), takes(M, &any(1)), takes(L3, &any(3))],
        ),
        (
            "two below one owner, and one beside",
            vec![takes(L1, &any(3)), takes(L2, &any(2)), takes(L3, &any(1))],
        ),
        (
            "tries below and beside",
            vec![tries(L1, &any(2)), takes(L2, &any(1)), tries(L3, &any(3))],
        ),
        (
            "given up below, with the middle on its way",
            vec![
                cancels(L1, &any(3)),
                takes(L2, &any(2)),
                cancels(L3, &any(1)),
            ],
        ),
        (
            "more than two epochs have",
            vec![
                takes(L1, &any(3)).acquire(any(3)).release(),
                takes(L2, &any(3)).acquire(any(1)).release(),
                takes(L3, &any(3)),
            ],
        ),
    ];
    explore(
        "identifiers, tree",
        &IDS,
        &tree(),
        Fences::Forgotten,
        &scenarios,
    );
}

fn passes<T: ResourceType>(
    resource_type: &T,
    asks: impl IntoIterator<Item = T::Credit>,
) -> Result<(), Failed> {
    let budget = if is_long() {
        Budget::Thorough
    } else {
        Budget::Quick
    };
    let verified = verify(resource_type, &Samples::new(asks).with_budget(budget))?;
    println!("{}\n{verified}", T::NAME);
    Ok(())
}

#[test]
fn semaphores_pass_the_one_call() -> Result<(), Failed> {
    passes(
        &SemaphoreType::with_units(4),
        [Units(1), Units(3), Units(4)],
    )
}

#[test]
fn range_locks_pass_the_one_call() -> Result<(), Failed> {
    passes(&FILE, [read(0, 1), write(1, 2), write(0, 0)])
}

#[test]
fn identifiers_pass_the_one_call() -> Result<(), Failed> {
    passes(&IDS, [any(1), any(3)])
}

#[test]
fn sequences_pass_the_one_call() -> Result<(), Failed> {
    passes(&SequenceType::default(), [Units(1)])
}
