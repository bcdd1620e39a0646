//! A semaphore: any number of units, so that levels rise and fall by less than everything.

use rm_core::testing::explore::{Client, Tree};
use rm_tests::exploration::{Family, scenario};
use rm_types::{SemaphoreType, Units};

use crate::{L1, L2, L3, M, tree};

#[test]
fn semaphores_in_a_star() {
    let takes = |node, units| Client::at(node).acquire(Units(units)).release();
    let tries = |node, units| Client::at(node).try_acquire(Units(units)).release();
    let (two, three) = (&Tree::star(2), &Tree::star(3));
    let scenarios = [
        scenario(
            "a level that falls by a local release",
            two,
            [takes(1, 1), takes(1, 2), takes(2, 1)],
        ),
        scenario(
            "parts and wholes",
            two,
            [takes(1, 2), takes(2, 2), takes(0, 3)],
        ),
        scenario(
            "local requests of every size",
            two,
            [takes(1, 1), takes(1, 2), takes(1, 3), takes(2, 1)],
        ),
        scenario(
            "a hold grows and shrinks",
            two,
            [
                Client::at(1)
                    .acquire(Units(1))
                    .convert(Units(2))
                    .reduce(Units(1))
                    .release(),
                takes(2, 2),
                takes(1, 1),
            ],
        ),
        scenario(
            "two holds grow into each other",
            two,
            [
                Client::at(1).acquire(Units(1)).convert(Units(3)).release(),
                Client::at(2).acquire(Units(1)).convert(Units(3)).release(),
            ],
        ),
        scenario(
            "tries and cancels",
            two,
            [
                tries(1, 2),
                tries(2, 2),
                Client::at(1).acquire(Units(3)).cancel(),
            ],
        ),
        scenario(
            "three leaves",
            three,
            [takes(1, 1), takes(2, 2), takes(3, 3)],
        ),
        scenario(
            "three leaves with tries",
            three,
            [tries(1, 2), takes(2, 2), tries(3, 1)],
        ),
    ];
    Family::new("semaphore of 3", &SemaphoreType::with_units(3)).explore(&scenarios);
}

#[test]
fn semaphores_in_a_tree() {
    let takes = |node, units| Client::at(node).acquire(Units(units)).release();
    let tries = |node, units| Client::at(node).try_acquire(Units(units)).release();
    let tree = &tree();
    let scenarios = [
        scenario(
            "older and younger collect in different places",
            tree,
            [takes(L1, 2), takes(L3, 3), takes(M, 1)],
        ),
        scenario(
            "a level of the middle falls",
            tree,
            [takes(L1, 1), takes(L2, 2), takes(L3, 1)],
        ),
        scenario(
            "tries below and beside",
            tree,
            [tries(L1, 2), tries(L3, 3), takes(M, 1)],
        ),
    ];
    Family::new("semaphore of 3, tree", &SemaphoreType::with_units(3)).explore(&scenarios);
}

#[test]
fn semaphores_with_merged_registers() {
    let takes = |node, units| Client::at(node).acquire(Units(units)).release();
    let tries = |node, units| Client::at(node).try_acquire(Units(units)).release();
    let (two, tree) = (&Tree::star(2), &tree());
    let scenarios = [
        scenario(
            "a level that falls by a local release",
            two,
            [takes(1, 1), takes(1, 2), takes(2, 1)],
        ),
        scenario(
            "levels of two requests",
            two,
            [takes(1, 2), takes(1, 1), takes(2, 3), takes(2, 1)],
        ),
        scenario(
            "tries and cancels",
            two,
            [
                tries(1, 2),
                tries(2, 2),
                Client::at(1).acquire(Units(3)).cancel(),
            ],
        ),
        scenario(
            "older and younger collect in different places",
            tree,
            [takes(L1, 2), takes(L3, 3), takes(M, 1)],
        ),
    ];
    Family::new(
        "semaphore of 3, merged registers",
        &SemaphoreType::with_units(3),
    )
    .with_merged_registers()
    .explore(&scenarios);
}

#[test]
fn semaphores_with_fences() {
    let takes = |node, units| Client::at(node).acquire(Units(units)).release();
    let scenarios = [
        scenario(
            "parts and wholes",
            &Tree::star(2),
            [takes(1, 2), takes(2, 2), takes(0, 3)],
        ),
        scenario(
            "all of them in turn, and one beside",
            &Tree::star(2),
            [takes(1, 3), takes(2, 3), takes(1, 1)],
        ),
        scenario(
            "above, below and beside",
            &tree(),
            [takes(L1, 2), takes(M, 3), takes(L3, 2)],
        ),
    ];
    Family::new(
        "semaphore of 3, fences in the state",
        &SemaphoreType::with_units(3),
    )
    .with_fences()
    .explore(&scenarios);
}
