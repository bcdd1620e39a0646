//! The policy `Adaptive` where it has something to learn: clients that come again and again.
//!
//! A debtor changes its habit after two recalls of unused credit, and changes back after eight returns. So these
//! scripts are longer than those of the other families, and their clients fewer. They run under the fixed policies
//! too, for comparison.

use rm_core::testing::explore::{Client, Tree};
use rm_rwlock::credit::{RwCredit, RwLockType};
use rm_tests::exploration::{Family, scenario};

use crate::{L1, L2, L3, ROOT, tree};

const READ: RwCredit = RwCredit::READ;
const LOCK: RwLockType = RwLockType::with_shares(4);
const WRITE: RwCredit = LOCK.write();

/// A client that asks for `ask` so many times.
fn again(node: usize, ask: RwCredit, times: usize) -> Client<RwCredit> {
    (0..times).fold(Client::at(node), |client, _| client.acquire(ask).release())
}

#[test]
fn habits_of_two_leaves() {
    let two = &Tree::star(2);
    let scenarios = [
        scenario(
            "writers in turn",
            two,
            [again(1, WRITE, 5), again(2, WRITE, 5)],
        ),
        scenario(
            "a writer comes so often that it tries caching again",
            two,
            [again(1, WRITE, 12), again(2, WRITE, 3)],
        ),
        scenario(
            "a reader and a writer in turn",
            two,
            [again(1, READ, 5), again(2, WRITE, 5)],
        ),
        scenario(
            "a writer against the root",
            two,
            [again(1, WRITE, 5), again(ROOT, WRITE, 5)],
        ),
        scenario(
            "writers in turn, and a cancelled write",
            two,
            [
                again(1, WRITE, 4),
                again(2, WRITE, 3),
                Client::at(1).acquire(WRITE).cancel(),
            ],
        ),
        scenario(
            "writers in turn, and a try",
            two,
            [
                again(1, WRITE, 3),
                again(2, WRITE, 3),
                Client::at(2).try_acquire(READ).release(),
            ],
        ),
    ];
    Family::new("RW, habits, root + 2", &LOCK).explore(&scenarios);
}

#[test]
fn habits_in_a_tree() {
    let tree = &tree();
    let scenarios = [
        scenario(
            "writers below and beside the middle in turn",
            tree,
            [again(L1, WRITE, 4), again(L3, WRITE, 4)],
        ),
        scenario(
            "writers below the middle, a writer beside it",
            tree,
            [
                again(L1, WRITE, 3),
                again(L2, WRITE, 2),
                again(L3, WRITE, 2),
            ],
        ),
        scenario(
            "a reader below the middle, a writer beside it",
            tree,
            [again(L1, READ, 4), again(L3, WRITE, 4)],
        ),
    ];
    Family::new("RW, habits, tree", &LOCK).explore(&scenarios);
}
