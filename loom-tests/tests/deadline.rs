//! Requests that give up: the deadline against the grant.

#![cfg(any(rm_loom, rm_shuttle))]

use core::future::IntoFuture;
use core::time::Duration;

use rm_core::time::Time;
use rm_loom::check::{Bound, check};
use rm_loom::engine::{block_on, join, thread};
use rm_loom::rw::RwMode::Write;
use rm_loom::rw::RwNode;
use rm_rwlock::AcquireError;

const PATIENCE: Duration = Duration::from_nanos(10);

fn assert_idle(node: &RwNode) {
    let totals = node.domain().totals();
    assert_eq!((totals.holds, totals.waiting), (0, 0));
    node.with_owner(|owner| assert_eq!(owner.cached(), owner.capital()));
}

/// Asks to read with [`PATIENCE`], and returns whether it was granted.
fn read_in_time(node: &RwNode) -> bool {
    let lock = node.lock();
    let asked = lock.read().timeout(PATIENCE).into_future();
    match block_on(asked) {
        Ok(_) => true,
        Err(AcquireError::Timeout { .. }) => false,
        Err(error) => panic!("granted or too late, not: {error}"),
    }
}

/// What the node's timer does once the patience of a request made at time zero is over.
fn pass_time(node: &RwNode) {
    let now = Time::ZERO.after(PATIENCE);
    node.set_clock(now);
    node.domain().on_deadline(now);
}

#[test]
fn a_deadline_races_the_grant() {
    check("a_deadline_races_the_grant", Bound::Given, || {
        let node = RwNode::root();
        let held = node.ask(Write).expect_ready().expect("free");
        let (late, timer) = (node.clone(), node.clone());
        let asking = thread::spawn(move || read_in_time(&late));
        let ticking = thread::spawn(move || pass_time(&timer));
        drop(held);
        join(asking);
        join(ticking);
        assert_idle(&node);
    });
}

#[test]
fn a_deadline_wakes_who_waits_for_a_holder_that_stays() {
    check(
        "a_deadline_wakes_who_waits_for_a_holder_that_stays",
        Bound::Full,
        || {
            let node = RwNode::root();
            let held = node.ask(Write).expect_ready().expect("free");
            let late = node.clone();
            let asking = thread::spawn(move || read_in_time(&late));
            // The timer fires when it was told to, and not before.
            while node.domain().next_deadline().is_none() {
                thread::yield_now();
            }
            pass_time(&node);
            assert!(!join(asking), "the holder is still there");
            drop(held);
            assert_idle(&node);
        },
    );
}
