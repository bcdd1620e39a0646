//! Owners that wind up while others go on: at a leaf, in the middle, at the root.
//!
//! The wind-up is one of the requests: it is tried at every age, and at every moment.

use rm_core::testing::explore::{Client, Orders, Tree};
use rm_rwlock::credit::{RwCredit, RwLockType};
use rm_tests::exploration::{Family, scenario, some_orders};
use rm_types::{SemaphoreType, Units};

use crate::{L1, L2, L3, M, ROOT, deep_tree, tree};

const READ: RwCredit = RwCredit::READ;
const UPGRADABLE: RwCredit = RwCredit::UPGRADABLE;
const LOCK: RwLockType = RwLockType::with_shares(4);
const WRITE: RwCredit = LOCK.write();

fn at(node: usize) -> Client<RwCredit> {
    Client::at(node)
}

fn reads(node: usize) -> Client<RwCredit> {
    at(node).acquire(READ).release()
}

fn writes(node: usize) -> Client<RwCredit> {
    at(node).acquire(WRITE).release()
}

fn tries_to_write(node: usize) -> Client<RwCredit> {
    at(node).try_acquire(WRITE).release()
}

fn winds_up(node: usize) -> Client<RwCredit> {
    at(node).wind_up()
}

#[test]
fn wind_up_of_a_leaf_and_of_the_root() {
    let two = &Tree::star(2);
    let scenarios = [
        scenario(
            "a leaf that writes, and a writer beside it",
            two,
            [writes(1), writes(2), winds_up(1)],
        ),
        scenario(
            "a leaf that reads, and a writer above it",
            two,
            [reads(1), writes(ROOT), winds_up(1)],
        ),
        scenario(
            "a leaf that tries, and a reader beside it",
            two,
            [tries_to_write(1), reads(2), winds_up(1)],
        ),
        scenario(
            "a leaf that is tried against",
            two,
            [reads(1), tries_to_write(2), winds_up(1)],
        ),
        scenario(
            "a leaf that upgrades",
            two,
            [
                at(1).acquire(UPGRADABLE).convert(WRITE).release(),
                reads(2),
                winds_up(1),
            ],
        ),
        scenario(
            "a leaf whose write is cancelled",
            two,
            [at(1).acquire(WRITE).cancel(), reads(2), winds_up(1)],
        ),
        scenario(
            "the root, and writers at both leaves",
            two,
            [writes(1), writes(2), winds_up(ROOT)],
        ),
        scenario(
            "the root, a reader and an upgrade",
            two,
            [
                reads(1),
                at(2).acquire(UPGRADABLE).convert(WRITE).release(),
                winds_up(ROOT),
            ],
        ),
        scenario(
            "the root and a leaf at once",
            two,
            [reads(1), tries_to_write(2), winds_up(1), winds_up(ROOT)],
        ),
    ];
    Family::new("RW, root + 2, wind-up", &LOCK)
        .orders(Orders::All)
        .explore(&scenarios);
}

#[test]
fn wind_up_in_the_middle() {
    let (tree, deep) = (&tree(), &deep_tree());
    let scenarios = [
        scenario(
            "a writer below and one beside",
            tree,
            [writes(L1), writes(L3), winds_up(M)],
        ),
        scenario(
            "readers below, a writer above",
            tree,
            [reads(L1), reads(L2), writes(ROOT), winds_up(M)],
        ),
        scenario(
            "a reader in the middle, a try beside",
            tree,
            [reads(M), reads(L1), tries_to_write(L3), winds_up(M)],
        ),
        scenario(
            "a reader and a writer of one leaf below",
            tree,
            [reads(L1), writes(L1), reads(L3), winds_up(M)],
        ),
        scenario(
            "an upgrade below, a try above",
            tree,
            [
                at(L1).acquire(UPGRADABLE).convert(WRITE).release(),
                tries_to_write(ROOT),
                winds_up(M),
            ],
        ),
        scenario(
            "a leaf and the middle above it",
            tree,
            [writes(L1), reads(L2), winds_up(L1), winds_up(M)],
        ),
        scenario(
            "a chain, from above",
            deep,
            [reads(3), writes(4), winds_up(1)],
        ),
    ];
    Family::new("RW, trees, wind-up", &LOCK)
        .orders(some_orders())
        .explore(&scenarios);
}

#[test]
fn wind_up_keeps_tokens_rising() {
    let scenarios = [scenario(
        "a writer leaves with its leaf, another follows",
        &Tree::star(2),
        [writes(1), writes(2), winds_up(1)],
    )];
    Family::new("RW, wind-up, fences", &LOCK)
        .orders(Orders::All)
        .with_fences()
        .explore(&scenarios);
}

#[test]
fn wind_up_of_semaphores() {
    let takes = |node, units| Client::at(node).acquire(Units(units)).release();
    let tries = |node, units| Client::at(node).try_acquire(Units(units)).release();
    let winds_up = |node| Client::at(node).wind_up();
    let tree = &tree();
    let scenarios = [
        scenario(
            "part is held below, part is asked for above",
            tree,
            [takes(L1, 2), takes(ROOT, 2), winds_up(M)],
        ),
        scenario(
            "many small holds below",
            tree,
            [takes(L1, 1), takes(L1, 1), tries(L1, 2), winds_up(M)],
        ),
        scenario(
            "a try above for what leaves",
            tree,
            [takes(L1, 1), tries(L3, 3), takes(M, 1), winds_up(M)],
        ),
    ];
    Family::new("semaphore of 3, wind-up", &SemaphoreType::with_units(3))
        .orders(some_orders())
        .explore(&scenarios);
}
