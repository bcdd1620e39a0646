//! The RW lock in other worlds: more levels, more clients in one place, more credit, registers that are merged while
//! they queue. And the explorer against itself: what it leaves out must not be missed.
//!
//! A six-mode lock has its place here as soon as credit can have a colour.

use rm_core::policy::Policy;
use rm_core::testing::explore::{Client, Tree};
use rm_rwlock::credit::{RwCredit, RwLockType};
use rm_tests::exploration::{Family, is_long, scenario, some_orders};

use crate::rw_lock::{
    LOCK, READ, UPGRADABLE, WRITE, at, cancels_a_write, downgrades, reads, tries_to_write,
    upgrades, writes,
};
use crate::{L1, L2, L3, M, ROOT, deep_tree, tree};

// Nodes of `deep_tree()`.
const N: usize = 2;
const LOW1: usize = 3;
const LOW2: usize = 4;

/// A lock with more shares, of which a part is worth keeping.
const ROOMY: RwLockType = RwLockType::with_shares(8);

fn reads_again(client: Client<RwCredit>) -> Client<RwCredit> {
    client.acquire(READ).release()
}

#[test]
fn three_levels() {
    let deep = &deep_tree();
    let mut scenarios = vec![
        scenario(
            "writers at every level",
            deep,
            [writes(LOW1), writes(N), writes(M)],
        ),
        scenario(
            "a writer below, readers above",
            deep,
            [writes(LOW1), reads(M), reads(ROOT)],
        ),
        scenario(
            "an upgrade below, a reader beside, a writer above",
            deep,
            [upgrades(LOW1), reads(LOW2), writes(M)],
        ),
        scenario(
            "tries at both ends",
            deep,
            [tries_to_write(LOW1), tries_to_write(ROOT), reads(N)],
        ),
        scenario(
            "a cancelled write below, a reader that comes again",
            deep,
            [cancels_a_write(LOW1), reads_again(reads(LOW2)), writes(M)],
        ),
        scenario(
            "voluntary returns at every level",
            deep,
            [
                reads(LOW1).return_spare(),
                at(N).return_spare(),
                at(M).return_spare(),
                writes(LOW2),
            ],
        ),
    ];
    if is_long() {
        scenarios.push(scenario(
            "writers and readers at every level",
            deep,
            [writes(LOW1), reads(LOW2), writes(M), reads(ROOT)],
        ));
        scenarios.push(scenario(
            "upgrades below and in the middle",
            deep,
            [upgrades(LOW1), upgrades(N), reads(LOW2), writes(M)],
        ));
    }
    Family::new("RW, three levels", &LOCK).explore(&scenarios);
}

/// Requests of different modes and ages at one owner, against one elsewhere.
#[test]
fn local_mixes() {
    let (two, tree) = (&Tree::star(2), &tree());
    let mut scenarios = vec![
        scenario(
            "a writer between readers",
            two,
            [reads(1), writes(1), reads(1), writes(2)],
        ),
        scenario(
            "an upgrade, a try and a reader",
            two,
            [upgrades(1), tries_to_write(1), reads(1), reads(2)],
        ),
        scenario(
            "a downgrade among writers",
            two,
            [downgrades(1), writes(1), writes(2), reads(2)],
        ),
        scenario(
            "a mix in the middle",
            tree,
            [writes(M), reads(M), reads(L1), writes(L3)],
        ),
        scenario(
            "a mix at a leaf below",
            tree,
            [writes(L1), reads(L1), cancels_a_write(L1), writes(L3)],
        ),
    ];
    if is_long() {
        scenarios.push(scenario(
            "five clients at two leaves",
            two,
            [reads(1), writes(1), reads(2), writes(2), reads(0)],
        ));
        scenarios.push(scenario(
            "readers and writers in turn",
            two,
            [
                reads_again(reads(1)),
                reads_again(writes(1)),
                writes(2),
                upgrades(2),
            ],
        ));
    }
    Family::new("RW, local mixes", &LOCK).explore(&scenarios);
}

#[test]
fn four_clients_at_three_leaves() {
    let three = &Tree::star(3);
    let mut scenarios = vec![
        scenario(
            "writers everywhere",
            three,
            [writes(1), writes(2), writes(3), writes(ROOT)],
        ),
        scenario(
            "readers and writers",
            three,
            [reads(1), writes(2), reads(3), writes(ROOT)],
        ),
        scenario(
            "two upgrades, a try and a reader",
            three,
            [upgrades(1), upgrades(2), tries_to_write(3), reads(3)],
        ),
        scenario(
            "cached readers, a writer and a cancelled one",
            three,
            [
                reads_again(reads(1)),
                reads(2),
                writes(3),
                cancels_a_write(2),
            ],
        ),
    ];
    if is_long() {
        scenarios.push(scenario(
            "four leaves",
            &Tree::star(4),
            [reads(1), writes(2), reads(3), writes(4)],
        ));
        scenarios.push(scenario(
            "upgrades, a downgrade and a try",
            three,
            [upgrades(1), downgrades(2), tries_to_write(3), upgrades(3)],
        ));
    }
    Family::new("RW, root + 3, 4 clients", &LOCK).explore(&scenarios);
}

/// A debtor that answers a recall keeps a part of its spare and returns the rest: with eight shares that is some.
#[test]
fn slices_beside_what_is_recalled() {
    let (two, tree) = (&Tree::star(2), &tree());
    let scenarios = [
        scenario(
            "a former writer and readers",
            two,
            [writes(1), reads(2), reads(1)],
        ),
        scenario(
            "a former writer that reads again",
            two,
            [reads_again(writes(1)), reads(2), writes(0)],
        ),
        scenario(
            "a former upgrader and an upgrader",
            two,
            [upgrades(1), at(2).acquire(UPGRADABLE).release(), reads(0)],
        ),
        scenario(
            "a former writer below, readers beside and in the middle",
            tree,
            [writes(L1), reads(L3), reads(M)],
        ),
        scenario(
            "former writers below",
            tree,
            [writes(L1), reads(L2), writes(L3)],
        ),
    ];
    Family::new("RW with 8 shares, slices beside returns", &ROOMY)
        .policies([Policy::slice(2), Policy::slice(3), Policy::slice(8)])
        .explore(&scenarios);
}

#[test]
fn merged_registers() {
    let (two, tree) = (&Tree::star(2), &tree());
    let mut scenarios = vec![
        scenario(
            "a reader and writers at both leaves",
            two,
            [reads(1), writes(1), writes(2)],
        ),
        scenario(
            "cancelled writes everywhere",
            two,
            [cancels_a_write(0), cancels_a_write(1), cancels_a_write(2)],
        ),
        scenario(
            "two upgrades and a reader",
            two,
            [upgrades(1), upgrades(2), reads(2)],
        ),
        scenario(
            "tries from both leaves and the root",
            two,
            [tries_to_write(1), tries_to_write(2), reads(0)],
        ),
        scenario(
            "a downgrade, a reader, a writer",
            two,
            [downgrades(1), reads(2), writes(0)],
        ),
        scenario(
            "readers come again around a writer",
            two,
            [reads_again(reads(1)), writes(2), writes(0)],
        ),
        scenario(
            "readers below and a writer beside",
            tree,
            [reads(L1), reads(L2), writes(L3)],
        ),
        scenario(
            "a cancelled write below, a writer beside",
            tree,
            [cancels_a_write(L1), writes(L3), reads(M)],
        ),
        scenario(
            "two upgrades, below and beside",
            tree,
            [upgrades(L1), upgrades(L3), reads(L2)],
        ),
    ];
    if is_long() {
        scenarios.push(scenario(
            "local readers of every age and a writer",
            two,
            [reads(1), reads(1), reads_again(reads(1)), writes(2)],
        ));
        scenarios.push(scenario(
            "writers and readers in a tree",
            tree,
            [writes(L1), writes(L2), reads(L3), reads(M)],
        ));
    }
    Family::new("RW, merged registers", &LOCK)
        .with_merged_registers()
        .explore(&scenarios);
}

/// What the reduction leaves out is the way between quiet states, and no quiet state.
#[test]
fn a_reduced_exploration_meets_every_quiet_state() {
    let (two, three, tree, deep) = (&Tree::star(2), &Tree::star(3), &tree(), &deep_tree());
    let scenarios = [
        scenario(
            "upgrades, a writer, a reader",
            two,
            [upgrades(1), upgrades(2), writes(1), reads(0)],
        ),
        scenario(
            "a downgrade, a try, a cancelled write",
            three,
            [downgrades(1), tries_to_write(2), cancels_a_write(3)],
        ),
        scenario(
            "a return beside an upgrade, and a writer",
            tree,
            [reads(L1).return_spare(), upgrades(L3), writes(M)],
        ),
        scenario(
            "a writer below, readers above",
            deep,
            [writes(LOW1), reads(M), reads(ROOT)],
        ),
    ];
    Family::new("RW, compared", &LOCK).compare(&scenarios);
    Family::new("RW, compared with fences", &LOCK)
        .orders(some_orders())
        .with_fences()
        .compare(&scenarios[..2]);
}

#[test]
fn writes_that_are_recalled_in_turn() {
    let scenarios = [
        scenario(
            "three writers that come twice",
            &Tree::star(3),
            [1, 2, 3].map(|leaf| writes(leaf).acquire(WRITE).release()),
        ),
        scenario(
            "two writers below that come twice",
            &tree(),
            [L1, L2].map(|leaf| writes(leaf).acquire(WRITE).release()),
        ),
    ];
    Family::new("RW, ping-pong", &LOCK).explore(&scenarios);
}
