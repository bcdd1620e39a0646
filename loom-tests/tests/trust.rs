//! The word that says until when a lease is good: extended by the session, asked by every use.

#![cfg(any(rm_loom, rm_shuttle))]

use std::sync::Arc;

use rm_core::front::Trust;
use rm_core::time::Time;
use rm_loom::check::{Bound, check};
use rm_loom::engine::{join, thread};

const fn at(nanos: u64) -> Time {
    Time::from_nanos(nanos)
}

#[test]
fn what_was_found_lost_stays_lost() {
    check("what_was_found_lost_stays_lost", Bound::Full, || {
        let trust = Arc::new(Trust::until(at(10)));
        let session = Arc::clone(&trust);
        let thread = thread::spawn(move || session.extend(at(100)));
        let was_good = trust.is_good(at(10));
        join(thread);
        assert_eq!(trust.is_good(at(10)), was_good, "somebody was told");
        assert_eq!(trust.deadline().is_some(), was_good);
    });
}

#[test]
fn two_who_ask_are_told_the_same_once_one_is_told_no() {
    check(
        "two_who_ask_are_told_the_same_once_one_is_told_no",
        Bound::Full,
        || {
            let trust = Arc::new(Trust::until(at(10)));
            let (session, other) = (Arc::clone(&trust), Arc::clone(&trust));
            let extending = thread::spawn(move || session.extend(at(100)));
            let asking = thread::spawn(move || other.is_good(at(10)));
            let here = trust.is_good(at(10));
            let there = join(asking);
            join(extending);
            let now = trust.is_good(at(10));
            assert!(!now || (here && there), "lost, and good again");
        },
    );
}

#[test]
fn the_later_of_two_deadlines_stands() {
    check("the_later_of_two_deadlines_stands", Bound::Full, || {
        let trust = Arc::new(Trust::until(at(10)));
        let session = Arc::clone(&trust);
        let thread = thread::spawn(move || session.extend(at(30)));
        let _ = trust.extend(at(20));
        join(thread);
        assert_eq!(trust.deadline(), Some(at(30)));
    });
}

#[test]
fn an_end_is_final() {
    check("an_end_is_final", Bound::Full, || {
        let trust = Arc::new(Trust::until(at(10)));
        let session = Arc::clone(&trust);
        let thread = thread::spawn(move || session.extend(at(100)));
        trust.end();
        join(thread);
        assert_eq!(trust.deadline(), None);
        assert!(!trust.is_good(at(5)));
    });
}
