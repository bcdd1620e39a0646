//! Resources that rest, and wake: whoever comes meets the one owner there is, with all that it had.
//!
//! In each model the debtor has credit of the lock `x`, and nobody uses it at the moment.

#![cfg(any(rm_loom, rm_shuttle))]

use core::task::Poll;
use std::sync::Arc;

use rm_core::front::Trust;
use rm_loom::check::{Bound, check};
use rm_loom::engine::{join, thread};
use rm_loom::pair::{DEBTOR, LEASE_END, ROOT};
use rm_loom::rw::RwMode::Write;
use rm_loom::rw::{RwNode, RwPair};

/// A pair whose debtor caches everything, and lets it rest at the next sweep.
fn drowsy() -> RwPair {
    let pair = RwPair::default();
    drop(pair.debtor_holds(Write));
    for node in [&pair.root, &pair.debtor] {
        node.domain().sweep();
    }
    pair
}

/// A pair where all of it rests.
fn resting() -> RwPair {
    let pair = drowsy();
    for node in [&pair.root, &pair.debtor] {
        node.domain().sweep();
    }
    pair
}

/// Runs `change` on another thread, and waits for it after `here`.
fn race<R>(
    pair: &RwPair,
    change: impl FnOnce(&RwPair) + Send + 'static,
    here: impl FnOnce() -> R,
) -> R {
    let other = pair.clone();
    let thread = thread::spawn(move || change(&other));
    let result = here();
    join(thread);
    result
}

fn sweep(node: &RwNode) {
    node.domain().sweep();
}

#[test]
fn a_sweep_lays_down_nothing_that_somebody_has_a_handle_of() {
    check(
        "a_sweep_lays_down_nothing_that_somebody_has_a_handle_of",
        Bound::Full,
        || {
            let pair = drowsy();
            race(
                &pair,
                |pair| sweep(&pair.debtor),
                || {
                    let lock = pair.debtor.lock();
                    let guard = lock.try_write_cached().expect("it is cached");
                    let other = pair.debtor.lock();
                    assert!(other.try_read_cached().is_none(), "it is held");
                    drop(guard);
                },
            );
            pair.assert_idle();
        },
    );
}

#[test]
fn a_lock_whose_handle_is_used_does_not_fall_asleep_under_it() {
    check(
        "a_lock_whose_handle_is_used_does_not_fall_asleep_under_it",
        Bound::Full,
        || {
            let pair = drowsy();
            let lock = pair.debtor.lock();
            race(
                &pair,
                |pair| sweep(&pair.debtor),
                || {
                    let guard = lock.try_write_cached().expect("it is cached");
                    assert!(lock.try_read_cached().is_none(), "it is held");
                    assert!(guard.is_valid());
                    drop(guard);
                },
            );
            drop(lock.try_write_cached().expect("it is cached still"));
            pair.assert_idle();
        },
    );
}

#[test]
fn two_who_wake_a_resource_meet_in_it() {
    check("two_who_wake_a_resource_meet_in_it", Bound::Full, || {
        let pair = resting();
        let there = pair.clone();
        let thread = thread::spawn(move || there.debtor.ask(Write).poll());
        let mut asking = pair.debtor.ask(Write);
        let here = asking.poll();
        let there = join(thread);
        assert!(
            here.is_ready() != there.is_ready(),
            "the first who comes has it, and the second waits"
        );
    });
}

#[test]
fn a_recall_races_a_sweep() {
    check("a_recall_races_a_sweep", Bound::Full, || {
        let pair = drowsy();
        let writing = pair.root.ask(Write).expect_waiting();
        let sweeping = |pair: &RwPair| sweep(&pair.debtor);
        race(&pair, sweeping, || pair.carry_down());
        pair.settle();
        drop(writing.expect_woken().expect("it was asked back"));
        pair.assert_idle();
    });
}

#[test]
fn a_want_races_a_sweep() {
    check("a_want_races_a_sweep", Bound::Full, || {
        let pair = drowsy();
        let writing = pair.root.ask(Write).expect_waiting();
        pair.settle();
        drop(writing.expect_woken().expect("it was asked back"));
        sweep(&pair.root);
        let asking = pair.debtor_asks(Write).expect_waiting();
        let sweeping = |pair: &RwPair| sweep(&pair.root);
        race(&pair, sweeping, || pair.carry_up());
        pair.settle();
        drop(asking.expect_woken().expect("nobody else wants it"));
        pair.assert_idle();
    });
}

#[test]
fn nothing_that_rested_is_valid_after_its_session() {
    check(
        "nothing_that_rested_is_valid_after_its_session",
        Bound::Full,
        || {
            let pair = resting();
            race(&pair, RwPair::creditor_down, || {
                let lock = pair.debtor.lock();
                let guard = lock.try_write_cached();
                // In this sequence: it may end in between.
                let is_over = pair.trust.deadline().is_none();
                let is_valid = guard.is_some_and(|guard| guard.is_valid());
                assert!(!(is_over && is_valid), "valid after its session");
            });
            pair.debtor.with_owner(|owner| {
                assert!(owner.borrowed() == &Default::default());
                assert_eq!(owner.creditor(), None);
            });
        },
    );
}

#[test]
fn a_sweep_that_began_before_a_session_takes_nothing_of_it() {
    check(
        "a_sweep_that_began_before_a_session_takes_nothing_of_it",
        Bound::Given,
        || {
            let pair = RwPair::apart();
            let sweeping = |pair: &RwPair| sweep(&pair.debtor);
            race(&pair, sweeping, || {
                pair.join();
                drop(pair.debtor_holds(Write));
                sweep(&pair.debtor);
                sweep(&pair.debtor);
            });
            pair.assert_idle();
        },
    );
}

#[test]
fn a_loan_that_rests_is_taken_back_with_its_session() {
    check(
        "a_loan_that_rests_is_taken_back_with_its_session",
        Bound::Full,
        || {
            let pair = resting();
            let down = |pair: &RwPair| pair.root.domain().on_debtor_down(DEBTOR);
            let (early, asking) = race(&pair, down, || {
                let mut asking = pair.root.ask(Write);
                (asking.poll(), asking)
            });
            let held = match early {
                Poll::Ready(held) => held,
                Poll::Pending => asking.expect_woken(),
            };
            drop(held.expect("the debtor is gone"));
            pair.root
                .with_owner(|owner| assert_eq!(owner.cached(), owner.capital()));
        },
    );
}

#[test]
fn nothing_that_rested_is_granted_after_a_shutdown() {
    check(
        "nothing_that_rested_is_granted_after_a_shutdown",
        Bound::Full,
        || {
            let pair = resting();
            let stop = |pair: &RwPair| pair.debtor.domain().shut_down();
            race(&pair, stop, || {
                drop(pair.debtor.lock().try_write_cached());
            });
            let late = pair.debtor.lock().try_read_cached().is_some();
            assert!(!late, "granted after the node stopped");
            assert_eq!(pair.debtor.domain().totals().holds, 0);
        },
    );
}

#[test]
fn what_rested_in_a_session_does_not_wake_in_the_next() {
    check(
        "what_rested_in_a_session_does_not_wake_in_the_next",
        Bound::Full,
        || {
            let pair = drowsy();
            let ended = |pair: &RwPair| {
                pair.creditor_down();
                pair.root.domain().on_debtor_down(DEBTOR);
            };
            race(&pair, ended, || sweep(&pair.debtor));
            let trust = Arc::new(Trust::until(LEASE_END));
            pair.debtor.domain().on_creditor_up(ROOT, trust);
            assert!(pair.debtor.lock().try_read_cached().is_none());
            drop(pair.debtor_holds(Write));
            pair.assert_idle();
        },
    );
}
