//! Resources come to be and vanish while the domain's circumstances change: none of them misses a change.
//!
//! Each model lets the first use of a lock race one call of the session's driver or of the sweeper.

#![cfg(any(rm_loom, rm_shuttle))]

use rm_core::front::Role;
use rm_loom::check::{Bound, check};
use rm_loom::engine::{join, thread};
use rm_loom::pair::ROOT;
use rm_loom::rw::RwMode::Write;
use rm_loom::rw::{RwNode, RwPair};

/// First use of the lock `x` of `node`, racing `change` to it. Returns once both are done.
fn first_use_races(node: &RwNode, change: impl FnOnce(&RwNode) + Send + 'static) {
    let other = node.clone();
    let thread = thread::spawn(move || change(&other));
    drop(node.lock());
    join(thread);
}

#[test]
fn a_new_resource_hears_of_the_creditor() {
    check("a_new_resource_hears_of_the_creditor", Bound::Full, || {
        let pair = RwPair::apart();
        let joining = pair.clone();
        first_use_races(&pair.debtor, move |_| joining.join());
        let creditor = pair.debtor.with_owner(|owner| owner.creditor());
        assert_eq!(creditor, Some(ROOT));
    });
}

#[test]
fn a_new_resource_hears_of_the_end_of_the_session() {
    check(
        "a_new_resource_hears_of_the_end_of_the_session",
        Bound::Full,
        || {
            let pair = RwPair::default();
            let ending = pair.clone();
            first_use_races(&pair.debtor, move |_| ending.creditor_down());
            let creditor = pair.debtor.with_owner(|owner| owner.creditor());
            assert_eq!(creditor, None);
        },
    );
}

#[test]
fn a_first_request_reaches_a_creditor_that_comes_up() {
    check(
        "a_first_request_reaches_a_creditor_that_comes_up",
        Bound::Full,
        || {
            let pair = RwPair::apart();
            let joining = pair.clone();
            let thread = thread::spawn(move || joining.join());
            let asking = pair.debtor_asks(Write).expect_waiting();
            join(thread);
            pair.settle();
            drop(asking.expect_woken().expect("granted"));
            pair.assert_idle();
        },
    );
}

#[test]
fn a_new_resource_hears_of_the_end_of_the_grace_period() {
    check(
        "a_new_resource_hears_of_the_end_of_the_grace_period",
        Bound::Full,
        || {
            let role = Role::Root {
                epoch: 1,
                grace: true,
            };
            let node = RwNode::new("root", role);
            first_use_races(&node, |node| node.domain().end_grace());
            node.with_owner(|owner| assert_eq!(owner.cached(), owner.capital()));
        },
    );
}

#[test]
fn a_new_resource_hears_of_a_new_epoch() {
    check("a_new_resource_hears_of_a_new_epoch", Bound::Full, || {
        let node = RwNode::root();
        first_use_races(&node, |node| node.domain().on_epoch(2));
        let epoch = node.with_owner(|owner| owner.last_loan().epoch);
        assert_eq!(epoch, 2);
    });
}

#[test]
fn two_first_uses_make_one_resource() {
    check("two_first_uses_make_one_resource", Bound::Full, || {
        let node = RwNode::root();
        let other = node.clone();
        let thread = thread::spawn(move || other.lock());
        let here = node.lock();
        let there = join(thread);
        let (here, there) = (here.resource(), there.resource());
        let (here, there) = (here.expect("a name"), there.expect("a name"));
        assert!(core::ptr::eq(&raw const **here, &raw const **there));
        assert_eq!(node.domain().totals().resources, 1);
    });
}

#[test]
fn a_sweep_takes_nothing_that_is_used_and_forgets_no_number() {
    check(
        "a_sweep_takes_nothing_that_is_used_and_forgets_no_number",
        Bound::Full,
        || {
            let node = RwNode::root();
            let first = node.ask(Write).expect_ready().expect("free");
            let fence = first.fence();
            drop(first);
            let sweeping = node.clone();
            let thread = thread::spawn(move || sweeping.domain().sweep());
            let second = node.ask(Write).expect_ready().expect("free");
            join(thread);
            assert!(second.fence() > fence, "tokens rise over a sweep");
            node.domain().sweep();
            assert!(node.lock().try_read_cached().is_none(), "it is held");
            drop(second);
            assert!(node.lock().try_read_cached().is_some());
        },
    );
}

#[test]
fn a_sweep_loses_no_want_on_its_way_in() {
    check("a_sweep_loses_no_want_on_its_way_in", Bound::Full, || {
        let pair = RwPair::default();
        // It exists and is idle.
        drop(pair.root.lock());
        let asking = pair.debtor_asks(Write).expect_waiting();
        let root = pair.root.clone();
        let thread = thread::spawn(move || root.domain().sweep());
        pair.carry_up();
        join(thread);
        pair.settle();
        drop(asking.expect_woken().expect("granted"));
        pair.assert_idle();
    });
}
