//! Wakers are foreign code: whatever a waker does when it is woken or dropped may use the very lock again.
//!
//! And a future that moves to another task while it waits is woken there.

#![cfg(any(rm_loom, rm_shuttle))]

use core::future::Future;
use core::task::{Context, Waker};
use std::pin::pin;
use std::sync::Arc;
use std::task::Wake;

use rm_loom::check::{Bound, check};
use rm_loom::engine::{block_on, join, thread};
use rm_loom::lock::ModelLock;
use rm_loom::rw::RwMode::{Read, Write};
use rm_loom::rw::{RwHeld, RwLocal};

/// A task that uses the lock at once when it is woken.
struct Eager(RwLocal);

impl Wake for Eager {
    fn wake(self: Arc<Self>) {
        drop(self.0.take_cached(Read));
    }
}

/// A task that holds a guard as long as it lives.
struct Holder(#[expect(dead_code, reason = "held, not used")] RwHeld);

impl Wake for Holder {
    fn wake(self: Arc<Self>) {}
}

fn read(model: &RwLocal) -> RwHeld {
    model.ask(Read).expect_ready().expect("free")
}

#[test]
fn a_waker_may_use_the_lock_when_it_is_woken() {
    check(
        "a_waker_may_use_the_lock_when_it_is_woken",
        Bound::Full,
        || {
            let model = RwLocal::new();
            let held = read(&model);
            let waker = Waker::from(Arc::new(Eager(model.clone())));
            let mut writing = pin!(model.ask(Write).into_future());
            let mut cx = Context::from_waker(&waker);
            assert!(writing.as_mut().poll(&mut cx).is_pending());
            let other = model.clone();
            let thread = thread::spawn(move || drop(other.take_cached(Read)));
            drop(held);
            join(thread);
            assert!(writing.as_mut().poll(&mut cx).is_ready());
        },
    );
}

#[test]
fn a_waker_may_use_the_lock_when_its_slot_is_freed() {
    check(
        "a_waker_may_use_the_lock_when_its_slot_is_freed",
        Bound::Full,
        || {
            let model = RwLocal::new();
            let (first, second) = (read(&model), read(&model));
            let waker = Waker::from(Arc::new(Holder(second)));
            {
                let mut cx = Context::from_waker(&waker);
                let lost = pin!(first.lost());
                assert!(lost.poll(&mut cx).is_pending());
            }
            // The slot has the last one.
            drop(waker);
            let other = model.clone();
            let thread = thread::spawn(move || drop(read(&other)));
            drop(first);
            join(thread);
            model.assert_idle();
        },
    );
}

#[test]
fn a_waker_may_use_the_lock_when_another_takes_its_place() {
    check(
        "a_waker_may_use_the_lock_when_another_takes_its_place",
        Bound::Full,
        || {
            let model = RwLocal::new();
            let (first, second) = (read(&model), read(&model));
            let mut writing = pin!(model.ask(Write).into_future());
            let waker = Waker::from(Arc::new(Holder(second)));
            let mut cx = Context::from_waker(&waker);
            assert!(writing.as_mut().poll(&mut cx).is_pending());
            drop(waker);
            let thread = thread::spawn(move || drop(first));
            drop(block_on(writing).expect("both readers are gone"));
            join(thread);
            model.assert_idle();
        },
    );
}

#[test]
fn a_future_that_moves_while_it_waits_is_woken_where_it_is() {
    check(
        "a_future_that_moves_while_it_waits_is_woken_where_it_is",
        Bound::Full,
        || {
            let model = RwLocal::new();
            let held = read(&model);
            let writing = model.ask(Write).expect_waiting();
            let thread = thread::spawn(move || {
                drop(block_on(writing.into_future()).expect("granted"));
            });
            drop(held);
            join(thread);
            model.assert_idle();
        },
    );
}
