//! B: requests at one owner that has everything.
//!
//! Here a request waits or it does not; there is no third kind that shares what conflicts, and every request that
//! waits is a barrier. So the flags of the originals come down to `acquire` and `try_acquire`.

use rm_core::credit::Credit as _;
use rm_core::error::Denied;
use rm_core::testing::cluster::Outcome;
use rm_rwlock::credit::RwCredit;

use crate::{ALL, NONE, READ, T, all_but, assert_books, shares, star};

fn is_busy(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Denied(Denied::Busy { .. }))
}

#[test]
fn b1_requests_that_do_not_conflict_are_granted_at_once() {
    let mut lock = star();
    let first = lock.acquire(T, READ);
    let second = lock.try_acquire(T, READ);
    assert!(lock.holds(first) && lock.holds(second));
    assert_books(&lock, [(T, all_but(2), shares(2), NONE)]);
    lock.release(first);
    lock.release(second);
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
}

#[test]
fn b2_a_request_that_conflicts_with_a_local_holder_waits() {
    for (held, wanted) in [(ALL, ALL), (ALL, READ), (READ, ALL)] {
        let mut lock = star();
        let first = lock.acquire(T, held);
        let second = lock.acquire(T, wanted);
        assert!(lock.holds(first) && lock.waits(second));
        lock.release(first);
        assert!(lock.holds(second));
        assert_books(&lock, [(T, ALL.less(&wanted), wanted, NONE)]);
    }
}

#[test]
fn b2_a_try_that_conflicts_with_a_local_holder_is_busy() {
    for (held, wanted) in [(ALL, ALL), (ALL, READ), (READ, ALL)] {
        let mut lock = star();
        let first = lock.acquire(T, held);
        let second = lock.try_acquire(T, wanted);
        assert!(lock.holds(first) && is_busy(lock.outcome(second)));
        assert_books(&lock, [(T, ALL.less(&held), held, NONE)]);
    }
}

/// The upgradable reader has the one intent, which no plain reader needs.
#[test]
fn b3_b4_a_holder_that_does_not_conflict_is_in_nobody_s_way_and_one_share_is_taken() {
    let mut lock = star();
    let upgradable = lock.acquire(T, RwCredit::UPGRADABLE);
    let read = lock.acquire(T, READ);
    assert!(lock.holds(upgradable) && lock.holds(read));
    let both = RwCredit {
        shares: 2,
        intent: 1,
    };
    assert_books(&lock, [(T, ALL.less(&both), both, NONE)]);
}

#[test]
fn b5_b6_what_a_waiting_request_needs_is_withheld_from_younger_ones() {
    let mut lock = star();
    let early = lock.acquire(T, READ);
    let write = lock.acquire(T, ALL);
    let late = lock.acquire(T, READ);
    assert!(lock.waits(write) && lock.waits(late));
    assert_books(&lock, [(T, all_but(1), READ, NONE)]);
    lock.release(early);
    assert!(lock.holds(write) && lock.waits(late));
    lock.release(write);
    assert!(lock.holds(late));
    assert_eq!(lock.granted(), [early, write, late]);
}

#[test]
fn b7_a_try_that_meets_an_older_waiting_request_is_busy_and_does_it_no_harm() {
    let mut lock = star();
    let early = lock.acquire(T, READ);
    let write = lock.acquire(T, ALL);
    let late = lock.try_acquire(T, READ);
    assert!(is_busy(lock.outcome(late)), "although shares are free");
    lock.release(early);
    assert!(lock.holds(write));
}

#[test]
fn b8_waiting_requests_are_granted_in_the_order_in_which_they_were_made() {
    let mut lock = star();
    let all = [0; 4].map(|_| lock.acquire(T, ALL));
    for (index, &write) in all.iter().enumerate() {
        assert_eq!(lock.granted(), &all[..=index]);
        lock.release(write);
    }
}

#[test]
fn b9_more_than_there_is_is_refused() {
    let mut lock = star();
    let more = ALL.join(&READ).expect("a number");
    let asked = lock.acquire(T, more);
    assert_eq!(lock.outcome(asked), &Outcome::Denied(Denied::Refused));
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
}

#[test]
fn b10_an_owner_that_was_shut_down_denies_what_waits_and_what_comes() {
    let mut lock = star();
    let held = lock.acquire(T, ALL);
    let waiting = lock.acquire(T, READ);
    lock.shut_down(T);
    let later = lock.acquire(T, READ);
    assert!(!lock.holds(held), "its hold is lost");
    for denied in [waiting, later] {
        assert_eq!(lock.outcome(denied), &Outcome::Denied(Denied::ShuttingDown));
    }
}
