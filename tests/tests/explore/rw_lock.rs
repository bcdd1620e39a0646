//! The RW lock: readers, writers, upgrades, downgrades, tries, cancellations and voluntary returns.

use rm_core::testing::explore::{Client, Tree};
use rm_rwlock::credit::{RwCredit, RwLockType};
use rm_tests::exploration::{Family, is_long, scenario, some_orders};

use crate::{L1, L2, L3, M, ROOT, deep_tree, tree};

pub(crate) const READ: RwCredit = RwCredit::READ;
pub(crate) const UPGRADABLE: RwCredit = RwCredit::UPGRADABLE;
/// The lock under exploration has four shares: enough for one too many readers, and few states.
pub(crate) const LOCK: RwLockType = RwLockType::with_shares(4);
pub(crate) const WRITE: RwCredit = LOCK.write();

pub(crate) fn at(node: usize) -> Client<RwCredit> {
    Client::at(node)
}

pub(crate) fn reads(node: usize) -> Client<RwCredit> {
    at(node).acquire(READ).release()
}

pub(crate) fn writes(node: usize) -> Client<RwCredit> {
    at(node).acquire(WRITE).release()
}

pub(crate) fn tries_to_write(node: usize) -> Client<RwCredit> {
    at(node).try_acquire(WRITE).release()
}

pub(crate) fn upgrades(node: usize) -> Client<RwCredit> {
    at(node).acquire(UPGRADABLE).convert(WRITE).release()
}

pub(crate) fn downgrades(node: usize) -> Client<RwCredit> {
    at(node).acquire(WRITE).reduce(READ).release()
}

pub(crate) fn cancels_a_write(node: usize) -> Client<RwCredit> {
    at(node).acquire(WRITE).cancel()
}

/// Three clients at the root and two leaves: all orders.
#[test]
fn root_and_two_leaves() {
    let two = &Tree::star(2);
    let scenarios = [
        scenario(
            "a reader and writers at both leaves",
            two,
            [reads(1), writes(1), writes(2)],
        ),
        scenario(
            "two readers and a writer",
            two,
            [reads(1), reads(2), writes(0)],
        ),
        scenario("writers everywhere", two, [writes(0), writes(1), writes(2)]),
        scenario("an upgrade against a writer", two, [upgrades(1), writes(2)]),
        scenario("two upgrades", two, [upgrades(1), upgrades(2)]),
        scenario(
            "two upgrades at one leaf and a reader",
            two,
            [upgrades(1), upgrades(1), reads(2)],
        ),
        scenario(
            "a downgrade, a reader, a writer",
            two,
            [downgrades(1), reads(2), writes(0)],
        ),
        scenario(
            "a downgrade of an upgrade",
            two,
            [
                at(1)
                    .acquire(UPGRADABLE)
                    .convert(WRITE)
                    .reduce(UPGRADABLE)
                    .release(),
                reads(2),
                writes(1),
            ],
        ),
        scenario(
            "a conversion to less",
            two,
            [
                at(1).acquire(WRITE).convert(READ).release(),
                reads(2),
                reads(1),
            ],
        ),
    ];
    Family::new("RW, root + 2", &LOCK).explore(&scenarios);
}

/// The same world with requests that do not wait, or not to the end.
#[test]
fn tries_and_cancels_at_two_leaves() {
    let two = &Tree::star(2);
    let scenarios = [
        scenario(
            "a try after a cached read",
            two,
            [
                at(1).acquire(READ).release().try_acquire(WRITE).release(),
                reads(2),
            ],
        ),
        scenario(
            "a try against a reader that comes again",
            two,
            [reads(1).acquire(READ).release(), tries_to_write(2)],
        ),
        scenario(
            "tries from both leaves and the root",
            two,
            [tries_to_write(1), tries_to_write(2), reads(0)],
        ),
        scenario(
            "a try against a waiting writer",
            two,
            [
                writes(1),
                tries_to_write(2),
                at(0).try_acquire(READ).release(),
            ],
        ),
        scenario(
            "a cancelled write between readers",
            two,
            [reads(1).acquire(READ).release(), cancels_a_write(2)],
        ),
        scenario(
            "cancelled writes everywhere",
            two,
            [cancels_a_write(0), cancels_a_write(1), cancels_a_write(2)],
        ),
        scenario(
            "a cancelled upgrade against a reader",
            two,
            [
                at(1).acquire(UPGRADABLE).convert(WRITE).cancel().release(),
                reads(2),
                reads(1),
            ],
        ),
    ];
    Family::new("RW, root + 2, tries and cancels", &LOCK).explore(&scenarios);
}

/// Four clients, or three of two operations each, at the root and two leaves: many orders.
#[test]
fn more_clients_at_two_leaves() {
    let two = &Tree::star(2);
    let again = |client: Client<RwCredit>| client.acquire(READ).release();
    let scenarios = [
        scenario(
            "local readers of every age and a writer",
            two,
            [reads(1), reads(1), again(reads(1)), writes(2)],
        ),
        scenario(
            "readers and writers in turn",
            two,
            [again(writes(1)), again(writes(2)), reads(0)],
        ),
        scenario(
            "two upgrades, a writer, a reader",
            two,
            [upgrades(1), upgrades(2), writes(1), reads(0)],
        ),
        scenario(
            "a downgrade, a try, a cancelled write, a reader",
            two,
            [
                downgrades(1),
                tries_to_write(2),
                cancels_a_write(1),
                reads(2),
            ],
        ),
    ];
    Family::new("RW, root + 2, more", &LOCK).explore(&scenarios);
}

#[test]
fn root_and_three_leaves() {
    let three = &Tree::star(3);
    let scenarios = [
        scenario(
            "three readers, then a writer",
            three,
            [reads(1), reads(2), reads(3), writes(0)],
        ),
        scenario(
            "writers at all leaves",
            three,
            [writes(1), writes(2), writes(3)],
        ),
        scenario(
            "one leaf holds, another has it cached",
            three,
            [reads(1), reads(2).acquire(READ).release(), writes(3)],
        ),
        scenario(
            "tries of all leaves",
            three,
            [
                tries_to_write(1),
                tries_to_write(2),
                tries_to_write(3),
                reads(0),
            ],
        ),
        scenario(
            "an upgrade, a writer, a cancelled writer",
            three,
            [upgrades(1), writes(2), cancels_a_write(3)],
        ),
        scenario(
            "a downgrade, a reader, a writer, a try",
            three,
            [
                downgrades(1),
                reads(2),
                writes(3),
                at(0).try_acquire(READ).release(),
            ],
        ),
        scenario(
            "upgrades at all leaves",
            three,
            [upgrades(1), upgrades(2), upgrades(3)],
        ),
    ];
    Family::new("RW, root + 3", &LOCK).explore(&scenarios);
}

#[test]
fn a_tree_with_a_middle_owner() {
    let tree = &tree();
    let scenarios = [
        scenario(
            "a writer and a reader below the middle",
            tree,
            [writes(L1), reads(L2)],
        ),
        scenario(
            "a reader below, a reader in the middle",
            tree,
            [reads(L1), reads(M)],
        ),
        scenario(
            "readers below and a writer beside",
            tree,
            [reads(L1), reads(L2), writes(L3)],
        ),
        scenario(
            "writers at all leaves",
            tree,
            [writes(L1), writes(L2), writes(L3)],
        ),
        scenario(
            "writers below and in the middle",
            tree,
            [writes(L1), writes(M), writes(ROOT)],
        ),
        scenario(
            "a read in the middle beside upgradables",
            tree,
            [
                at(L1).acquire(UPGRADABLE).release(),
                reads(M),
                at(L3).acquire(UPGRADABLE).release(),
            ],
        ),
        scenario(
            "an upgrade below against a writer beside",
            tree,
            [upgrades(L1), writes(L3), reads(M)],
        ),
        scenario(
            "two upgrades, below and beside",
            tree,
            [upgrades(L1), upgrades(L3), reads(L2)],
        ),
        scenario(
            "a downgrade below, a reader, a writer",
            tree,
            [downgrades(L1), reads(L2), writes(L3)],
        ),
    ];
    Family::new("RW, tree", &LOCK).explore(&scenarios);
}

#[test]
fn tries_and_cancels_in_a_tree() {
    let tree = &tree();
    let scenarios = [
        scenario(
            "tries below, beside and at the root",
            tree,
            [tries_to_write(L1), tries_to_write(L3), reads(ROOT)],
        ),
        scenario(
            "a try beside what is cached below",
            tree,
            [reads(L1).acquire(READ).release(), tries_to_write(L3)],
        ),
        scenario(
            "a try above its own cached credit",
            tree,
            [
                at(L1).acquire(READ).release().try_acquire(WRITE).release(),
                reads(L2),
            ],
        ),
        scenario(
            "a cancelled write beside readers below",
            tree,
            [reads(L1), reads(L2), cancels_a_write(L3)],
        ),
        scenario(
            "a cancelled write below, a writer beside",
            tree,
            [cancels_a_write(L1), writes(L3), reads(M)],
        ),
    ];
    Family::new("RW, tree, tries and cancels", &LOCK).explore(&scenarios);
}

#[test]
fn more_clients_in_a_tree() {
    let tree = &tree();
    let mut scenarios = vec![
        scenario(
            "readers of every age in the middle, a writer beside",
            tree,
            [reads(M), reads(M), reads(L1), writes(L3)],
        ),
        scenario(
            "an upgrade, a downgrade, a try, a reader",
            tree,
            [upgrades(L1), downgrades(L3), tries_to_write(L2), reads(M)],
        ),
    ];
    if is_long() {
        scenarios.push(scenario(
            "writers at all leaves and the middle",
            tree,
            [writes(L1), writes(L2), writes(L3), writes(M)],
        ));
        scenarios.push(scenario(
            "upgrades, a cancelled write, a reader that comes again",
            tree,
            [
                upgrades(L1),
                upgrades(L3),
                cancels_a_write(L2),
                reads(M).acquire(READ).release(),
            ],
        ));
    }
    Family::new("RW, tree, more", &LOCK)
        .orders(some_orders())
        .explore(&scenarios);
}

#[test]
fn voluntary_returns() {
    let (two, tree, deep) = (&Tree::star(2), &tree(), &deep_tree());
    let returns = |client: Client<RwCredit>| client.return_spare();
    let scenarios = [
        scenario(
            "a return crosses a recall",
            two,
            [returns(reads(1)), writes(2)],
        ),
        scenario(
            "returns of both leaves, and the first comes again",
            two,
            [returns(reads(1)).acquire(READ).release(), returns(reads(2))],
        ),
        scenario(
            "a return while local readers wait",
            two,
            [returns(reads(1)), reads(1), writes(2)],
        ),
        scenario(
            "a return while the holder converts",
            two,
            [upgrades(1), returns(reads(2)), returns(at(1))],
        ),
        scenario(
            "a return in the middle",
            tree,
            [returns(reads(L1)), returns(at(M)), writes(L3)],
        ),
        scenario(
            "a return after a cancelled write",
            tree,
            [returns(cancels_a_write(L1)), reads(L2), reads(L3)],
        ),
        scenario(
            "three levels",
            deep,
            [returns(reads(3)), writes(4), returns(reads(1))],
        ),
        scenario(
            "three levels, upgrade below",
            deep,
            [upgrades(3), reads(4), writes(ROOT)],
        ),
    ];
    Family::new("RW, voluntary returns", &LOCK).explore(&scenarios);
}

#[test]
fn fencing_numbers() {
    let (two, tree) = (&Tree::star(2), &tree());
    let scenarios = [
        scenario("a writer and readers", two, [writes(1), reads(1), reads(2)]),
        scenario(
            "writers in turn",
            two,
            [writes(1).acquire(WRITE).release(), writes(2)],
        ),
        scenario(
            "a downgrade and a reader",
            two,
            [downgrades(1), reads(2), reads(0)],
        ),
        scenario("upgrades", two, [upgrades(1), upgrades(2), reads(0)]),
        scenario(
            "writers and a reader in a tree",
            tree,
            [writes(L1), reads(M), writes(L3)],
        ),
        scenario(
            "an upgrade and a reader in a tree",
            tree,
            [upgrades(L1), reads(L2), reads(L3)],
        ),
    ];
    Family::new("RW, fences in the state", &LOCK)
        .with_fences()
        .explore(&scenarios);
}
