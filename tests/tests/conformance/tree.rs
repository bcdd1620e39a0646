//! H: credit over several owners in a chain T - M - L.

use rm_core::credit::Credit as _;
use rm_core::error::Denied;
use rm_core::testing::cluster::{Cluster, Outcome};
use rm_rwlock::credit::RwLockType;
use rm_types::{SemaphoreType, Units};

use crate::{ALL, L, M, NONE, READ, T, all_but, assert_books, cache, chain, shares};

#[test]
fn h2_a_read_in_the_middle_borrows_from_the_root() {
    let mut lock = chain();
    let read = lock.acquire(M, READ);
    assert_eq!(lock.settle(), 2);
    lock.release(read);
    assert_books(&lock, [(T, all_but(1), NONE, READ), (M, READ, NONE, NONE)]);
}

#[test]
fn h3_an_owner_serves_one_part_from_its_cache_and_borrows_the_other() {
    let mut lock = chain();
    cache(&mut lock, M, READ);
    let write = lock.acquire(L, ALL);
    assert_eq!(lock.settle(), 4);
    lock.release(write);
    assert_books(
        &lock,
        [
            (T, NONE, NONE, ALL),
            (M, NONE, NONE, ALL),
            (L, ALL, NONE, NONE),
        ],
    );
}

#[test]
fn h4_an_owner_recalls_one_part_and_borrows_the_other_for_one_request() {
    let mut lock = chain();
    cache(&mut lock, L, READ);
    let write = lock.acquire(M, ALL);
    assert_eq!(lock.settle(), 4);
    lock.release(write);
    assert_books(&lock, [(T, NONE, NONE, ALL), (M, ALL, NONE, NONE)]);
}

#[test]
fn h5_a_recall_travels_down_and_the_credit_up() {
    let mut lock = chain();
    cache(&mut lock, L, READ);
    assert_books(
        &lock,
        [
            (T, all_but(1), NONE, READ),
            (M, NONE, NONE, READ),
            (L, READ, NONE, NONE),
        ],
    );
    let write = lock.acquire(T, ALL);
    assert_eq!(lock.settle(), 4);
    assert!(lock.holds(write));
    lock.release(write);
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
}

#[test]
fn h6_a_recall_waits_for_a_holder_below() {
    let mut lock = chain();
    let read = lock.acquire(M, READ);
    lock.settle();
    let write = lock.acquire(T, ALL);
    assert_eq!(lock.settle(), 1);
    assert!(lock.waits(write) && lock.is_recalled(M));
    lock.release(read);
    assert_eq!(lock.settle(), 1);
    assert!(lock.holds(write));
    lock.release(write);
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
}

#[test]
fn h7_a_try_that_meets_a_holder_below_is_busy_and_takes_nothing() {
    let mut lock = chain();
    let read = lock.acquire(M, READ);
    lock.settle();
    let write = lock.try_acquire(T, ALL);
    // The recall, the answer, and the lifting of the recall.
    assert_eq!(lock.settle(), 3);
    assert!(matches!(
        lock.outcome(write),
        Outcome::Denied(Denied::Busy { .. })
    ));
    assert!(lock.holds(read) && !lock.is_recalled(M));
    assert_books(&lock, [(T, all_but(1), NONE, READ), (M, NONE, READ, NONE)]);
}

/// A reader needs no share that another reader holds, so with the lock there is nothing to recall.
#[test]
fn h9_h10_a_held_share_is_not_recalled_for_a_reader() {
    let mut lock = chain();
    let below = lock.acquire(M, READ);
    lock.settle();
    let above = lock.acquire(T, READ);
    let tried = lock.try_acquire(T, READ);
    assert_eq!(lock.settle(), 0);
    assert!(lock.holds(below) && lock.holds(above) && lock.holds(tried));
    assert_books(
        &lock,
        [(T, all_but(3), shares(2), READ), (M, NONE, READ, NONE)],
    );
}

#[test]
fn h9_units_that_conflict_with_nothing_are_returned_only_when_their_holder_is_done() {
    let mut units = Cluster::chain(&SemaphoreType::with_units(4), 2);
    let below = units.acquire(M, Units(2));
    units.settle();
    let above = units.acquire(T, Units(3));
    assert_eq!(units.settle(), 1);
    assert!(units.waits(above) && units.is_recalled(M));
    units.release(below);
    assert_eq!(units.settle(), 1);
    assert!(units.holds(above));
    assert_eq!(units.books(M).borrowed, Units(1), "one of two was needed");
    assert_eq!(units.books(T).held, Units(3));
}

#[test]
fn h10_a_try_for_units_that_are_held_below_is_busy() {
    let mut units = Cluster::chain(&SemaphoreType::with_units(4), 2);
    let below = units.acquire(M, Units(2));
    units.settle();
    let above = units.try_acquire(T, Units(3));
    assert_eq!(units.settle(), 3);
    assert!(matches!(
        units.outcome(above),
        Outcome::Denied(Denied::Busy { .. })
    ));
    assert!(units.holds(below));
    assert_eq!(units.books(T).cached, Units(2));
}

#[test]
fn h11_a_held_share_is_not_lent_and_another_is_borrowed() {
    let mut lock = chain();
    let middle = lock.acquire(M, READ);
    lock.settle();
    let below = lock.acquire(L, READ);
    assert_eq!(lock.settle(), 4);
    assert!(lock.holds(middle));
    lock.release(below);
    assert_books(
        &lock,
        [
            (T, all_but(2), NONE, shares(2)),
            (M, NONE, READ, READ),
            (L, READ, NONE, NONE),
        ],
    );
}

#[test]
fn h12_a_debtor_waits_for_a_holder_at_its_creditor() {
    for wanted in [READ, ALL] {
        let mut lock = chain();
        let above = lock.acquire(M, ALL);
        lock.settle();
        let below = lock.acquire(L, wanted);
        assert_eq!(lock.settle(), 1, "the root has nothing to give");
        assert!(lock.waits(below));
        lock.release(above);
        assert_eq!(lock.settle(), 1);
        assert!(lock.holds(below));
        let rest = ALL.less(&wanted);
        assert_books(
            &lock,
            [
                (T, NONE, NONE, ALL),
                (M, rest, NONE, wanted),
                (L, NONE, wanted, NONE),
            ],
        );
    }
}

/// Here no writer has to ask for the barrier; so the starvation that H13 accepts cannot happen.
#[test]
fn h13_h14_what_was_collected_for_a_writer_is_withheld_from_a_reader_that_comes_again() {
    let mut lock = chain();
    let low = lock.acquire(L, READ);
    let middle = lock.acquire(M, READ);
    lock.settle();
    let write = lock.acquire(T, ALL);
    lock.settle();
    assert!(lock.is_recalled(M) && lock.is_recalled(L));
    lock.release(low);
    let again = lock.acquire(L, READ);
    lock.settle();
    assert!(lock.waits(write) && lock.waits(again));
    assert_eq!(lock.books(L).borrowed, NONE);
    lock.release(middle);
    lock.settle();
    assert!(lock.holds(write) && lock.waits(again));
    assert_books(&lock, [(T, NONE, ALL, NONE)]);
    lock.release(write);
    lock.settle();
    assert!(lock.holds(again));
    assert_books(
        &lock,
        [
            (T, all_but(1), NONE, READ),
            (M, NONE, NONE, READ),
            (L, NONE, READ, NONE),
        ],
    );
}

#[test]
fn h15_an_older_request_whose_want_comes_late_goes_first() {
    let mut lock = Cluster::star(&RwLockType::default(), 2);
    let (young_node, old_node) = (1, 2);
    let root = lock.acquire(T, ALL);
    let old = lock.acquire(old_node, ALL);
    let young = lock.acquire(young_node, ALL);
    lock.deliver(young_node, T);
    lock.deliver(old_node, T);
    lock.release(root);
    lock.settle();
    assert!(lock.holds(old) && lock.waits(young));
    lock.release(old);
    lock.settle();
    assert_eq!(lock.granted(), [root, old, young]);
}

#[test]
fn h16_an_older_request_in_the_middle_goes_before_a_want_that_passes_through_it() {
    let mut lock = chain();
    let root = lock.acquire(T, ALL);
    let old = lock.acquire(L, ALL);
    let young = lock.acquire(M, ALL);
    lock.settle();
    lock.release(root);
    lock.settle();
    assert!(lock.holds(old) && lock.waits(young));
    lock.release(old);
    lock.settle();
    assert_eq!(lock.granted(), [root, old, young]);
    assert_books(&lock, [(T, NONE, NONE, ALL), (M, NONE, ALL, NONE)]);
}
