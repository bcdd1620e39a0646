//! A root and a debtor: credit that is asked back while it is taken, held, granted or no longer wanted.

#![cfg(any(rm_loom, rm_shuttle))]

use core::task::Poll;
use std::sync::Arc;

use rm_loom::check::{Bound, check};
use rm_loom::engine::{join, thread};
use rm_loom::rw::RwMode::{Read, Write};
use rm_loom::rw::{RwLocal, RwPair};
use rm_loom::witness::Witness;

type RwWitness = Arc<Witness<RwLocal>>;

/// The root's writer gets through, while `debtor` does what it does with its credit on another thread.
fn root_writes_while(pair: &RwPair, witness: &RwWitness, debtor: impl FnOnce() + Send + 'static) {
    let mut writing = pair.root.ask(Write).expect_waiting();
    let thread = thread::spawn(debtor);
    pair.carry_down();
    pair.carry_up();
    let early = match writing.poll() {
        Poll::Ready(held) => Some(held.expect("granted")),
        Poll::Pending => None,
    };
    let held = match early {
        Some(held) => {
            witness.visit(Write);
            join(thread);
            held
        }
        None => {
            join(thread);
            pair.settle();
            let held = writing.expect_woken().expect("granted");
            witness.visit(Write);
            held
        }
    };
    drop(held);
    pair.settle();
    pair.assert_idle();
}

#[test]
fn a_recall_races_a_cached_take() {
    check("a_recall_races_a_cached_take", Bound::Full, || {
        let (pair, witness) = (RwPair::default(), RwWitness::default());
        drop(pair.debtor_holds(Read));
        let (debtor, reader) = (pair.debtor.clone(), Arc::clone(&witness));
        root_writes_while(&pair, &witness, move || {
            let lock = debtor.lock();
            if let Some(guard) = lock.try_read_cached() {
                reader.visit(Read);
                drop(guard);
            }
        });
    });
}

#[test]
fn a_recall_races_a_release() {
    check("a_recall_races_a_release", Bound::Full, || {
        let (pair, witness) = (RwPair::default(), RwWitness::default());
        let held = pair.debtor_holds(Read);
        let reader = Arc::clone(&witness);
        root_writes_while(&pair, &witness, move || {
            reader.visit(Read);
            drop(held);
        });
    });
}

#[test]
fn a_grant_races_the_loss_of_interest() {
    check("a_grant_races_the_loss_of_interest", Bound::Full, || {
        let pair = RwPair::default();
        let asking = pair.debtor_asks(Write).expect_waiting();
        pair.carry_up();
        let thread = thread::spawn(move || drop(asking));
        pair.carry_down();
        join(thread);
        pair.settle();
        pair.assert_idle();
        drop(pair.debtor_holds(Write));
    });
}

#[test]
fn the_way_back_of_spare_credit_races_a_cached_take() {
    check(
        "the_way_back_of_spare_credit_races_a_cached_take",
        Bound::Full,
        || {
            let pair = RwPair::default();
            drop(pair.debtor_holds(Read));
            let debtor = pair.debtor.clone();
            let thread = thread::spawn(move || {
                let lock = debtor.lock();
                let guard = lock.try_read_cached();
                assert!(guard.is_none_or(|guard| guard.is_valid()));
            });
            let lock = pair.debtor.lock();
            lock.resource().expect("x is a name").return_spare();
            join(thread);
            pair.settle();
            pair.assert_idle();
        },
    );
}
