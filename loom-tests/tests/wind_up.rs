//! Winding up against those who ask, rest and let go: when it is complete, nothing is held, and nothing will be.

#![cfg(any(rm_loom, rm_shuttle))]

use core::task::Poll;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rm_core::front::{Scope, WindUp};
use rm_loom::by_hand::ByHand;
use rm_loom::check::{Bound, check};
use rm_loom::engine::{block_on, join, thread};
use rm_loom::rw::RwMode::Write;
use rm_loom::rw::{RwNode, RwPair};
use rm_rwlock::AcquireError;

fn wind_up(node: &RwNode) -> WindUp {
    let domain = node.domain();
    domain.wind_up(Scope::Everything, Duration::from_secs(1))
}

/// Winds up `node` while another thread asks for its lock. The witnesses are std's: they only check.
fn asks_while_it_winds_up(node: &RwNode) {
    let is_complete = Arc::new(AtomicBool::new(false));
    let (other, is_over) = (node.clone(), Arc::clone(&is_complete));
    let thread = thread::spawn(move || match other.ask(Write).poll() {
        Poll::Ready(Ok(held)) => {
            assert!(!is_over.load(Ordering::Relaxed), "granted after the end");
            drop(held);
        }
        Poll::Ready(Err(why)) => assert_eq!(why, AcquireError::ShuttingDown),
        Poll::Pending => panic!("nobody is in the way"),
    });
    assert!(block_on(wind_up(node)).is_complete);
    is_complete.store(true, Ordering::Relaxed);
    join(thread);
    assert_eq!(node.domain().totals().holds, 0);
}

#[test]
fn a_wind_up_races_a_request() {
    check("a_wind_up_races_a_request", Bound::Full, || {
        let node = RwNode::root();
        drop(node.ask(Write).expect_ready());
        asks_while_it_winds_up(&node);
    });
}

#[test]
fn a_wind_up_races_a_first_use() {
    check("a_wind_up_races_a_first_use", Bound::Full, || {
        asks_while_it_winds_up(&RwNode::root());
    });
}

#[test]
fn a_wind_up_waits_for_a_holder_and_hears_of_the_release() {
    check(
        "a_wind_up_waits_for_a_holder_and_hears_of_the_release",
        Bound::Full,
        || {
            let node = RwNode::root();
            let held = node.ask(Write).expect_ready().expect("free");
            let thread = thread::spawn(move || drop(held));
            assert!(block_on(wind_up(&node)).is_complete);
            assert_eq!(node.domain().totals().holds, 0);
            join(thread);
        },
    );
}

#[test]
fn a_wind_up_finds_what_rests() {
    check("a_wind_up_finds_what_rests", Bound::Full, || {
        let pair = RwPair::default();
        drop(pair.debtor_holds(Write));
        pair.debtor.domain().sweep();
        let sweeping = pair.debtor.clone();
        let thread = thread::spawn(move || sweeping.domain().sweep());
        let end = ByHand::new(wind_up(&pair.debtor));
        assert!(end.expect_ready().is_complete, "nobody holds anything");
        join(thread);
        pair.settle();
        pair.assert_idle();
        pair.root.with_owner(|owner| {
            assert_eq!(owner.cached(), owner.capital(), "all of it is home");
        });
    });
}

#[test]
fn a_wind_up_races_its_time() {
    check("a_wind_up_races_its_time", Bound::Full, || {
        let node = RwNode::root();
        let held = node.ask(Write).expect_ready().expect("free");
        let end = wind_up(&node);
        let now = node.domain().next_deadline().expect("it has a time");
        let timer = node.clone();
        let thread = thread::spawn(move || {
            timer.set_clock(now);
            timer.domain().on_deadline(now);
        });
        drop(held);
        let report = block_on(end);
        assert!(report.is_complete || report.in_the_way.len() <= 1);
        join(thread);
        assert_eq!(node.domain().next_deadline(), None, "no timer is left");
    });
}
