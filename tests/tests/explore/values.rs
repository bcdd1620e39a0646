//! Values: whoever holds reads what was written last in the world.
//!
//! Writers with a value of their own, and readers at other nodes, in every interleaving; what a write must pass on its
//! way is a recall, a return of its own accord, a downgrade, a middle owner.

use rm_core::testing::explore::{Client, Tree};
use rm_rwlock::credit::{RwCredit, RwLockType};
use rm_tests::exploration::{Family, scenario};

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
    at(node).acquire(WRITE).write_value().release()
}

fn downgrades(node: usize) -> Client<RwCredit> {
    at(node).acquire(WRITE).write_value().reduce(READ).release()
}

fn upgrades(node: usize) -> Client<RwCredit> {
    at(node)
        .acquire(UPGRADABLE)
        .convert(WRITE)
        .write_value()
        .release()
}

#[test]
fn values_in_a_star() {
    let two = &Tree::star(2);
    let scenarios = [
        scenario(
            "writers at both leaves, a reader at the root",
            two,
            [writes(1), writes(2), reads(ROOT)],
        ),
        scenario(
            "a writer at the root, readers at both leaves",
            two,
            [writes(ROOT), reads(1), reads(2)],
        ),
        scenario(
            "a downgraded writer reads on beside a reader",
            two,
            [downgrades(1), reads(2), writes(2)],
        ),
        scenario(
            "two who read first and then write",
            two,
            [upgrades(1), upgrades(2), reads(2)],
        ),
        scenario(
            "a writer that changes its mind",
            two,
            [
                at(1)
                    .acquire(WRITE)
                    .write_value()
                    .write_value()
                    .release()
                    .acquire(WRITE)
                    .release(),
                reads(2),
            ],
        ),
        scenario(
            "a return of its own accord crosses a recall",
            two,
            [writes(1).return_spare(), reads(2), reads(1)],
        ),
        scenario(
            "a reader that comes again after a writer",
            two,
            [reads(1).acquire(READ).release(), writes(2)],
        ),
    ];
    Family::new("values, root + 2", &LOCK).explore(&scenarios);
}

#[test]
fn values_in_a_tree() {
    let (tree, deep) = (&tree(), &deep_tree());
    let scenarios = [
        scenario(
            "writers below and beside, a reader in the middle",
            tree,
            [writes(L1), writes(L3), reads(M)],
        ),
        scenario(
            "a writer in the middle, readers below and beside",
            tree,
            [writes(M), reads(L1), reads(L3)],
        ),
        scenario(
            "a downgraded writer below, a reader beside it",
            tree,
            [downgrades(L1), reads(L2), reads(L3)],
        ),
        scenario(
            "the middle returns what a leaf wrote",
            tree,
            [writes(L1).return_spare(), at(M).return_spare(), reads(L2)],
        ),
        scenario("three levels", deep, [writes(3), reads(4), reads(ROOT)]),
    ];
    Family::new("values, tree", &LOCK).explore(&scenarios);
}

#[test]
fn versions_of_values() {
    let (two, tree) = (&Tree::star(2), &tree());
    let scenarios = [
        scenario(
            "writers in turn",
            two,
            [writes(1).acquire(WRITE).write_value().release(), writes(2)],
        ),
        scenario(
            "writers in a tree",
            tree,
            [writes(L1), writes(M), reads(L3)],
        ),
    ];
    Family::new("values, fences in the state", &LOCK)
        .with_fences()
        .explore(&scenarios);
}
