//! The harness itself: what is incomplete, what deadlocks and what is misnamed must fail.

#![cfg(rm_loom)]

use std::sync::Arc;
use std::time::Duration;

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use rm_loom::check::{Bound, Limits, check, explore};

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
    thread.join().expect("it adds");
    assert_eq!(number.load(Ordering::Acquire), 6);
}

#[test]
fn a_complete_run_counts_its_executions() {
    let report = explore("small", Limits::new(Bound::Full), small_model);
    assert!(report.executions > 10, "{report}");
    assert_eq!(report.preemptions, None);
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
        thread.join().expect("it locks");
    });
}

#[test]
#[should_panic(expected = "model nobody failed")]
fn a_model_that_is_not_its_test_s_namesake_fails() {
    check("nobody", Bound::Full, small_model);
}
