//! The harness itself: what is incomplete, what deadlocks and what is misnamed must fail.

#![cfg(any(rm_loom, rm_shuttle))]

use std::sync::Arc;

use rm_core::sync::{AtomicU64, Mutex, Ordering};
use rm_loom::check::{Bound, check};
use rm_loom::engine::{join, thread};
use rm_loom::rw::{RwLocal, RwMode};
use rm_loom::witness::Witness;

/// Two threads, three visible steps each: a few dozen executions.
fn small_model() {
    let number = Arc::new(AtomicU64::new(0));
    let other = Arc::clone(&number);
    let add = |number: &AtomicU64| {
        for _ in 0..3 {
            number.fetch_add(1, Ordering::AcqRel);
        }
    };
    let thread = thread::spawn(move || add(&other));
    add(&number);
    join(thread);
    assert_eq!(number.load(Ordering::Acquire), 6);
}

#[cfg(rm_loom)]
mod loom {

    use std::time::Duration;

    use rm_loom::check::{Limits, explore};

    use super::*;

    #[test]
    fn a_complete_run_counts_its_executions() {
        let report = explore("small", Limits::new(Bound::Full), small_model);
        assert!(report.executions > 10, "{report}");
        assert!(report.search.contains("no bound"), "{report}");
    }

    #[test]
    fn a_bound_leaves_executions_out() {
        let full = explore("small", Limits::new(Bound::Full), small_model);
        let mut limits = Limits::new(Bound::Given);
        limits.preemptions = Some(1);
        let bounded = explore("small", limits, small_model);
        assert!(bounded.executions < full.executions);
    }

    #[test]
    #[should_panic(expected = "is incomplete: cut short after 7 executions")]
    fn a_run_cut_by_its_count_fails() {
        let mut limits = Limits::new(Bound::Full);
        limits.executions_max = Some(8);
        limits.checkpoint_interval = 4;
        explore("small", limits, small_model);
    }

    #[test]
    #[should_panic(expected = "is incomplete: cut short after 3 executions")]
    fn a_run_cut_by_its_time_fails() {
        let mut limits = Limits::new(Bound::Full);
        limits.duration_max = Duration::ZERO;
        limits.checkpoint_interval = 4;
        explore("small", limits, small_model);
    }

    #[test]
    #[should_panic(expected = "Causality violation")]
    fn a_write_that_nothing_orders_before_the_next_holder_fails() {
        let name = "loom::a_write_that_nothing_orders_before_the_next_holder_fails";
        check(name, Bound::Full, || {
            let (turn, witness) = (
                Arc::new(AtomicU64::new(0)),
                Arc::<Witness<RwLocal>>::default(),
            );
            let (other, inside) = (Arc::clone(&turn), Arc::clone(&witness));
            let thread = thread::spawn(move || {
                inside.visit(RwMode::Write);
                // Relaxed: the fault.
                other.store(1, Ordering::Relaxed);
            });
            if turn.load(Ordering::Acquire) == 1 {
                witness.visit(RwMode::Write);
            }
            join(thread);
        });
    }
}

#[cfg(rm_shuttle)]
mod shuttle {
    use rm_loom::check::{Limits, explore, replay};

    use super::*;

    #[test]
    fn a_run_has_as_many_executions_as_it_was_told() {
        let mut limits = Limits::new(Bound::Full);
        limits.schedules = 7;
        let report = explore("small", limits, small_model);
        assert_eq!(report.executions, 7, "{report}");
    }

    #[test]
    #[should_panic(expected = "xtask shuttle shuttle::a_failure_says_how_to_replay_it")]
    fn a_failure_says_how_to_replay_it() {
        check(
            "shuttle::a_failure_says_how_to_replay_it",
            Bound::Full,
            racy_model,
        );
    }

    #[test]
    #[should_panic(expected = "an update was lost")]
    fn a_schedule_that_failed_fails_again() {
        replay(LOST_UPDATE, racy_model);
    }

    /// What `a_failure_says_how_to_replay_it` printed, with shuttle 0.9.
    const LOST_UPDATE: &str = "91010989efa2d6979094b18701a00800";

    fn racy_model() {
        let number = Arc::new(AtomicU64::new(0));
        let other = Arc::clone(&number);
        let add = |number: &AtomicU64| {
            let old = number.load(Ordering::SeqCst);
            number.store(old + 1, Ordering::SeqCst);
        };
        let thread = thread::spawn(move || add(&other));
        add(&number);
        join(thread);
        assert_eq!(number.load(Ordering::SeqCst), 2, "an update was lost");
    }
}

#[test]
#[should_panic(expected = "together in the critical section")]
fn a_holder_who_should_not_be_inside_fails() {
    check(
        "a_holder_who_should_not_be_inside_fails",
        Bound::Full,
        || {
            let witness = Arc::new(Witness::<RwLocal>::default());
            let other = Arc::clone(&witness);
            let thread = thread::spawn(move || other.visit(RwMode::Read));
            witness.visit(RwMode::Write);
            join(thread);
        },
    );
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_model_that_deadlocks_fails_and_says_why() {
    let name = "a_model_that_deadlocks_fails_and_says_why";
    check(name, Bound::Full, || {
        let pair = Arc::new((Mutex::new(()), Mutex::new(())));
        let other = Arc::clone(&pair);
        let thread = thread::spawn(move || {
            let _first = other.0.lock();
            let _second = other.1.lock();
        });
        {
            let _first = pair.1.lock();
            let _second = pair.0.lock();
        }
        join(thread);
    });
}

#[test]
#[should_panic(expected = "model nobody failed")]
fn a_model_that_is_not_its_test_s_namesake_fails() {
    check("nobody", Bound::Full, small_model);
}
