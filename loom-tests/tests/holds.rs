//! Holds that convert, and holders that are told of others: no word gets lost, and nothing stays with who gave up.

#![cfg(any(rm_loom, rm_shuttle))]

use std::sync::Arc;

use rm_loom::by_hand::ByHand;
use rm_loom::check::{Bound, check};
use rm_loom::engine::{block_on, join, thread};
use rm_loom::lock::ModelLock;
use rm_loom::rw::RwMode::{Read, Write};
use rm_loom::rw::{RwHeld, RwLocal, RwNode, RwPair};
use rm_rwlock::RwCredit;

fn read(model: &RwLocal) -> RwHeld {
    model.ask(Read).expect_ready().expect("free")
}

#[test]
fn a_conversion_hears_of_its_grant() {
    check("a_conversion_hears_of_its_grant", Bound::Full, || {
        let model = RwLocal::new();
        let (mut first, second) = (read(&model), read(&model));
        let thread = thread::spawn(move || drop(second));
        let all = *first.resource().capital();
        block_on(first.convert(all)).expect("nobody else holds it");
        assert_eq!(first.credit(), all);
        join(thread);
        drop(first);
        model.assert_idle();
    });
}

#[test]
fn a_conversion_given_up_races_its_grant() {
    check("a_conversion_given_up_races_its_grant", Bound::Full, || {
        let model = RwLocal::new();
        let (mut first, second) = (read(&model), read(&model));
        let all = *first.resource().capital();
        let converting = ByHand::new(first.convert(all)).expect_waiting();
        let thread = thread::spawn(move || drop(second));
        drop(converting);
        join(thread);
        assert_eq!(first.credit(), RwCredit::READ, "it is what it was");
        drop(read(&model));
        drop(first);
        model.assert_idle();
    });
}

#[test]
fn a_conversion_races_the_end_of_its_session() {
    check(
        "a_conversion_races_the_end_of_its_session",
        Bound::Full,
        || {
            let pair = RwPair::default();
            let mut held = pair.debtor_holds(Read);
            let other = pair.root_holds(Read);
            let ending = pair.clone();
            let thread = thread::spawn(move || ending.creditor_down());
            let all = *held.resource().capital();
            let outcome = block_on(held.convert(all));
            assert!(outcome.is_err(), "a reader at the root is in the way");
            assert_eq!(held.credit(), RwCredit::default(), "it was lost");
            join(thread);
            drop((held, other));
        },
    );
}

#[test]
fn a_holder_hears_of_who_waits() {
    check("a_holder_hears_of_who_waits", Bound::Full, || {
        let model = RwLocal::new();
        let held = read(&model);
        let other = model.clone();
        let thread = thread::spawn(move || drop(block_on(other.acquire(Write))));
        let waiter = block_on(held.wanted()).expect("it is not lost");
        assert_eq!(waiter.mode, "write");
        drop(held);
        join(thread);
        model.assert_idle();
    });
}

#[test]
fn a_notice_that_another_took_is_waited_for_no_longer_than_the_loss() {
    check(
        "a_notice_that_another_took_is_waited_for_no_longer_than_the_loss",
        Bound::Full,
        || {
            let node = RwNode::root();
            let held = Arc::new(node.ask(Read).expect_ready().expect("free"));
            let told = Arc::clone(&held);
            let thread = thread::spawn(move || drop(block_on(told.wanted())));
            let mut here = ByHand::new(held.wanted());
            let writing = node.ask(Write).expect_waiting();
            // It may take the one notice there is. The loss is told to both.
            drop(here.poll());
            node.domain().shut_down();
            join(thread);
            drop((here, writing));
        },
    );
}

#[test]
fn a_notice_races_the_release() {
    check("a_notice_races_the_release", Bound::Full, || {
        let model = RwLocal::new();
        let held = read(&model);
        let watching = held.wanted();
        let mut watching = ByHand::new(watching);
        let is_pending = watching.poll().is_pending();
        assert!(is_pending, "nobody waits yet");
        let other = model.clone();
        let thread = thread::spawn(move || drop(block_on(other.acquire(Write))));
        drop(watching);
        drop(held);
        join(thread);
        model.assert_idle();
    });
}

#[test]
fn a_node_hears_of_credit_that_leaves() {
    check("a_node_hears_of_credit_that_leaves", Bound::Full, || {
        let pair = RwPair::default();
        drop(pair.debtor_holds(Read));
        let writing = pair.root.ask(Write).expect_waiting();
        let lock = pair.debtor.lock();
        let resource = lock.resource().expect("x is a name");
        let leaving = resource.leaving();
        let other = pair.clone();
        let thread = thread::spawn(move || other.carry_down());
        block_on(leaving);
        join(thread);
        pair.settle();
        drop(writing.expect_woken().expect("it was asked back"));
        pair.assert_idle();
    });
}

#[test]
fn a_node_hears_of_credit_that_is_lost() {
    check("a_node_hears_of_credit_that_is_lost", Bound::Full, || {
        let pair = RwPair::default();
        drop(pair.debtor_holds(Read));
        let lock = pair.debtor.lock();
        let resource = lock.resource().expect("x is a name");
        let leaving = resource.leaving();
        let other = pair.clone();
        let thread = thread::spawn(move || other.creditor_down());
        block_on(leaving);
        join(thread);
    });
}
