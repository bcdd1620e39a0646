//! The end of an owner in good order, alone, in a star and in a chain; and what goes wrong where credit goes back
//! too early.

use rm_core::error::Denied;
use rm_core::testing::cluster::{Asked, Cluster, Outcome};
use rm_rwlock::credit::RwLockType;
use rm_types::{SemaphoreType, Units};

use crate::{
    ALL, D2, D3, D4, L, Lock, M, NONE, READ, T, all_but, assert_books, cache, chain, shares, star,
};

#[track_caller]
fn assert_denied(lock: &Lock, asked: Asked) {
    let denied = Outcome::Denied(Denied::ShuttingDown);
    assert_eq!(lock.outcome(asked), &denied);
}

#[test]
fn a6_an_owner_that_has_nothing_is_wound_up_at_once() {
    let mut lock = Cluster::star(&RwLockType::default(), 1);
    lock.wind_up(D2);
    assert!(lock.is_wound_up(D2));
    assert_eq!(lock.settle(), 0);
}

#[test]
fn a14_an_owner_that_is_wound_up_denies_requests() {
    let mut lock = star();
    cache(&mut lock, T, ALL);
    lock.wind_up(T);
    assert!(lock.is_wound_up(T));
    let later = lock.acquire(T, READ);
    assert_denied(&lock, later);
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
}

#[test]
fn e1_e2_a_client_that_winds_up_returns_what_it_cached_in_one_message() {
    let mut lock = star();
    cache(&mut lock, D2, ALL);
    lock.wind_up(D2);
    assert!(lock.is_wound_up(D2), "it waits for no answer");
    assert_eq!(lock.settle(), 1);
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
    // Another client finds the root as it was.
    cache(&mut lock, D3, ALL);
    lock.wind_up(D3);
    assert_eq!(lock.settle(), 1);
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
}

#[test]
fn e3_a_server_that_winds_up_recalls_what_a_client_has_cached() {
    let mut lock = star();
    cache(&mut lock, D2, ALL);
    lock.wind_up(T);
    assert!(!lock.is_wound_up(T));
    assert_eq!(lock.settle(), 2);
    assert!(lock.is_wound_up(T));
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
    let later = lock.acquire(D2, READ);
    assert_eq!(lock.settle(), 2);
    assert_denied(&lock, later);
    lock.wind_up(D2);
    assert!(lock.is_wound_up(D2));
}

#[test]
fn i9_readers_release_and_wind_up_and_all_is_home() {
    let mut lock = star();
    let reads = [lock.acquire(D2, READ), lock.acquire(D3, READ)];
    lock.settle();
    assert_books(
        &lock,
        [
            (T, all_but(2), NONE, shares(2)),
            (D2, NONE, READ, NONE),
            (D3, NONE, READ, NONE),
        ],
    );
    for (node, read) in [D2, D3].into_iter().zip(reads) {
        lock.release(read);
        lock.wind_up(node);
    }
    assert_eq!(lock.settle(), 2);
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
}

#[test]
fn i11_three_readers_that_wind_up_while_they_hold_return_when_they_release() {
    let mut lock = star();
    let nodes = [D2, D3, D4];
    let reads = nodes.map(|node| lock.acquire(node, READ));
    lock.settle();
    for node in nodes {
        lock.wind_up(node);
    }
    assert_eq!(lock.settle(), 0);
    assert!(nodes.iter().all(|&node| !lock.is_wound_up(node)));
    for read in reads {
        lock.release(read);
    }
    assert_eq!(lock.settle(), 3);
    assert!(nodes.iter().all(|&node| lock.is_wound_up(node)));
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
}

/// The fault: the middle gives back what it has lent on.
#[test]
fn k6_a_middle_owner_that_winds_up_waits_for_the_writer_below_it() {
    let mut lock = chain();
    let below = lock.acquire(L, ALL);
    lock.settle();
    lock.wind_up(M);
    let above = lock.acquire(T, ALL);
    lock.settle();
    assert!(lock.holds(below) && lock.waits(above));
    assert!(!lock.is_wound_up(M) && lock.is_recalled(L));
    lock.release(below);
    assert_eq!(lock.settle(), 2);
    assert!(lock.holds(above) && lock.is_wound_up(M));
}

/// The fault: an owner gives back what is held.
#[test]
fn k7_an_owner_that_winds_up_waits_for_its_holder() {
    let mut lock = star();
    let holder = lock.acquire(D2, ALL);
    lock.settle();
    lock.wind_up(D2);
    let other = lock.acquire(D3, ALL);
    lock.settle();
    assert!(lock.holds(holder) && lock.waits(other) && !lock.is_wound_up(D2));
    lock.release(holder);
    lock.settle();
    assert!(lock.holds(other) && lock.is_wound_up(D2));
}

/// The fault: a recall that meets a debtor which winds up fails the request that it is for.
#[test]
fn k9_a_recall_that_crosses_the_return_of_a_wind_up_fails_nobody() {
    let mut lock = star();
    cache(&mut lock, D2, ALL);
    lock.wind_up(D2);
    let write = lock.acquire(D3, ALL);
    lock.deliver(D3, T);
    // The recall arrives where nothing is left, and the return after it was sent.
    lock.deliver(T, D2);
    lock.deliver(D2, T);
    lock.deliver(T, D3);
    assert!(lock.holds(write));
    assert_eq!(lock.settle(), 0);
}

#[test]
fn k9_a_recall_of_a_holder_that_winds_up_is_met_when_it_releases() {
    let mut lock = star();
    let holder = lock.acquire(D2, ALL);
    lock.settle();
    let write = lock.acquire(D3, ALL);
    lock.settle();
    lock.wind_up(D2);
    let tried = lock.try_acquire(T, READ);
    lock.settle();
    assert!(matches!(
        lock.outcome(tried),
        Outcome::Denied(Denied::Busy { .. })
    ));
    lock.release(holder);
    assert_eq!(lock.settle(), 2);
    assert!(lock.holds(write) && lock.is_wound_up(D2));
}

/// A debtor that is used all the time, each hold overlapping the next, would keep its credit for ever if the
/// wind-up were younger than all of its requests.
#[test]
fn k6_a_debtor_in_constant_use_lets_go_of_its_credit() {
    let mut units = Cluster::chain(&SemaphoreType::with_units(4), 1);
    let first = units.acquire(M, Units(4));
    units.settle();
    units.wind_up(T);
    units.settle();
    let next = units.acquire(M, Units(4));
    units.settle();
    units.release(first);
    units.settle();
    assert!(!units.holds(next), "it is younger than the wind-up");
    assert!(units.is_wound_up(T));
    let denied = Outcome::Denied(Denied::ShuttingDown);
    assert_eq!(units.outcome(next), &denied);
}
