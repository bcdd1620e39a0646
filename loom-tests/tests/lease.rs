//! A debtor's holds against the end of its lease: each holder is told, once and for good, and letting go of what
//! is lost does no harm.

#![cfg(any(rm_loom, rm_shuttle))]

use rm_loom::check::{Bound, check};
use rm_loom::engine::{block_on, join, thread};
use rm_loom::pair::LEASE_END;
use rm_loom::rw::RwMode::{Read, Write};
use rm_loom::rw::{RwHeld, RwPair};
use rm_rwlock::{AcquireError, LostReason};

/// A pair whose debtor holds for reading.
fn holding() -> (RwPair, RwHeld) {
    let pair = RwPair::default();
    let held = pair.debtor_holds(Read);
    (pair, held)
}

/// Nothing of what was lost is left in the debtor's book.
fn assert_nothing_borrowed(pair: &RwPair) {
    let totals = pair.debtor.domain().totals();
    assert_eq!((totals.holds, totals.waiting), (0, 0));
    pair.debtor.with_owner(|owner| {
        assert!(owner.borrowed() == &Default::default());
        assert_eq!(owner.creditor(), None);
    });
}

#[test]
fn a_holder_is_told_when_its_lease_ran_out() {
    check(
        "a_holder_is_told_when_its_lease_ran_out",
        Bound::Full,
        || {
            let (pair, held) = holding();
            let thread = thread::spawn(move || {
                assert_eq!(block_on(held.lost()), LostReason::LeaseExpired);
                assert!(!held.is_valid());
            });
            pair.debtor.set_clock(LEASE_END);
            // Whoever touches the lock next finds out for all.
            assert!(pair.debtor.lock().try_read_cached().is_none());
            join(thread);
            assert_nothing_borrowed(&pair);
        },
    );
}

#[test]
fn a_holder_is_told_when_its_session_ended() {
    check(
        "a_holder_is_told_when_its_session_ended",
        Bound::Full,
        || {
            let (pair, held) = holding();
            let thread = thread::spawn(move || {
                assert_eq!(block_on(held.lost()), LostReason::SessionEnded);
            });
            pair.creditor_down();
            join(thread);
            assert_nothing_borrowed(&pair);
        },
    );
}

#[test]
fn nobody_is_told_that_a_hold_is_valid_after_its_lease() {
    check(
        "nobody_is_told_that_a_hold_is_valid_after_its_lease",
        Bound::Full,
        || {
            let (pair, held) = holding();
            let clock = pair.debtor.clone();
            let thread = thread::spawn(move || clock.set_clock(LEASE_END));
            let first = held.is_valid();
            let second = held.is_valid();
            assert!(first || !second, "lost, and valid again");
            join(thread);
            assert!(!held.is_valid(), "the clock is past the lease");
            drop(held);
            assert_nothing_borrowed(&pair);
        },
    );
}

#[test]
fn an_extension_and_the_end_of_a_lease_agree() {
    check(
        "an_extension_and_the_end_of_a_lease_agree",
        Bound::Full,
        || {
            let (pair, held) = holding();
            pair.debtor.set_clock(LEASE_END);
            let trust = pair.trust.clone();
            let longer = LEASE_END.after(core::time::Duration::from_nanos(10));
            let thread = thread::spawn(move || trust.extend(longer));
            let first = held.is_valid();
            join(thread);
            assert_eq!(held.is_valid(), first, "the first answer stands");
            assert_eq!(pair.trust.deadline().is_some(), first);
        },
    );
}

#[test]
fn a_release_races_the_end_of_the_lease() {
    check("a_release_races_the_end_of_the_lease", Bound::Full, || {
        let (pair, held) = holding();
        let thread = thread::spawn(move || drop(held));
        pair.debtor.set_clock(LEASE_END);
        assert!(pair.debtor.lock().try_write_cached().is_none());
        join(thread);
        assert_nothing_borrowed(&pair);
    });
}

#[test]
fn a_release_races_the_end_of_the_session() {
    check(
        "a_release_races_the_end_of_the_session",
        Bound::Full,
        || {
            let (pair, held) = holding();
            let thread = thread::spawn(move || drop(held));
            pair.creditor_down();
            join(thread);
            assert_nothing_borrowed(&pair);
        },
    );
}

#[test]
fn a_request_given_up_races_the_end_of_the_lease() {
    check(
        "a_request_given_up_races_the_end_of_the_lease",
        Bound::Full,
        || {
            let pair = RwPair::default();
            let waiting = pair.debtor_asks(Write).expect_waiting();
            // Granted, and not looked at.
            pair.settle();
            let thread = thread::spawn(move || drop(waiting));
            pair.debtor.set_clock(LEASE_END);
            assert!(pair.debtor.lock().try_write_cached().is_none());
            join(thread);
            assert_nothing_borrowed(&pair);
        },
    );
}

#[test]
fn a_grant_races_the_end_of_the_session() {
    check("a_grant_races_the_end_of_the_session", Bound::Full, || {
        let pair = RwPair::default();
        let asking = pair.debtor_asks(Read).expect_waiting();
        pair.carry_up();
        let thread = thread::spawn(move || match block_on(asking.into_future()) {
            Ok(held) => drop(held),
            Err(AcquireError::SessionLost(LostReason::SessionEnded)) => {}
            Err(error) => panic!("it was granted or lost, not: {error}"),
        });
        pair.carry_down();
        pair.creditor_down();
        join(thread);
        assert_nothing_borrowed(&pair);
    });
}

// Shuttle refuses a model without a second thread.
#[cfg(rm_loom)]
#[test]
fn a_grant_seen_after_its_lease_is_none() {
    check("a_grant_seen_after_its_lease_is_none", Bound::Full, || {
        let pair = RwPair::default();
        let asking = pair.debtor_asks(Read).expect_waiting();
        pair.settle();
        pair.debtor.set_clock(LEASE_END);
        let lost = asking.expect_woken().expect_err("its lease ran out");
        let reason = LostReason::LeaseExpired;
        assert_eq!(lost, AcquireError::SessionLost(reason));
    });
}

#[test]
fn a_grant_that_comes_after_the_lease_is_no_fault_of_the_creditor() {
    check(
        "a_grant_that_comes_after_the_lease_is_no_fault_of_the_creditor",
        Bound::Full,
        || {
            let pair = RwPair::default();
            let asking = pair.debtor_asks(Read).expect_waiting();
            pair.carry_up();
            let debtor = pair.debtor.clone();
            let thread = thread::spawn(move || {
                debtor.set_clock(LEASE_END);
                assert!(debtor.lock().try_read_cached().is_none());
            });
            // Fails where the creditor is said to have misbehaved.
            pair.carry_down();
            join(thread);
            drop(asking);
            assert_nothing_borrowed(&pair);
        },
    );
}
