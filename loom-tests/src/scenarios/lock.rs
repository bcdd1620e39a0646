//! A lock on one node: exclusion, hand-over, cancellation, order.

use core::task::Poll;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::by_hand::ByHand;
use crate::engine::{block_on, join, thread};
use crate::lock::ModelLock;
use crate::witness::Witness;

/// Each mode is taken and released by a thread of its own: conflicting ones never at once, and all get through.
///
/// # Panics
/// If that is not so, as all panics here.
pub fn exclusion<L: ModelLock>(modes: &[L::Mode]) {
    let lock = L::new();
    let witness = Arc::new(Witness::<L>::default());
    let visit = |mode| {
        let (lock, witness) = (lock.clone(), Arc::clone(&witness));
        move || {
            let guard = block_on(lock.acquire(mode));
            witness.visit(mode);
            drop(guard);
        }
    };
    let (&mine, others) = modes.split_first().expect("at least one mode");
    let threads: Vec<_> = others.iter().map(|&m| thread::spawn(visit(m))).collect();
    visit(mine)();
    threads.into_iter().for_each(join);
    assert_eq!(witness.visited(), modes.len());
    lock.assert_idle();
}

/// A holder lets go while others ask: each of them gets it, and none sleeps for ever.
///
/// # Panics
/// If not.
pub fn hand_over<L: ModelLock>(held: L::Mode, asked: &[L::Mode]) {
    let lock = L::new();
    let witness = Arc::new(Witness::<L>::default());
    let guard = ByHand::new(lock.acquire(held)).expect_ready();
    let ask = |&mode: &L::Mode| {
        let (lock, witness) = (lock.clone(), Arc::clone(&witness));
        thread::spawn(move || {
            let guard = block_on(lock.acquire(mode));
            witness.visit(mode);
            drop(guard);
        })
    };
    let threads: Vec<_> = asked.iter().map(ask).collect();
    witness.visit(held);
    drop(guard);
    threads.into_iter().for_each(join);
    lock.assert_idle();
}

/// A request that waits is dropped on another thread while the holder lets go, so that it races the grant; a
/// later request behind it still gets through.
///
/// # Panics
/// If not.
pub fn cancel_races_grant<L: ModelLock>(held: L::Mode, cancelled: L::Mode, later: L::Mode) {
    let lock = L::new();
    let guard = ByHand::new(lock.acquire(held)).expect_ready();
    let waiting = ByHand::new(lock.acquire(cancelled)).expect_waiting();
    let behind = ByHand::new(lock.acquire(later)).expect_waiting();
    let thread = thread::spawn(move || drop(waiting));
    drop(guard);
    join(thread);
    drop(behind.expect_woken());
    lock.assert_idle();
}

/// A request is dropped while it waits behind a holder who stays: those behind it that the holder does not
/// exclude get through at once.
///
/// # Panics
/// If not.
pub fn cancel_lets_others_pass<L: ModelLock>(held: L::Mode, cancelled: L::Mode, passing: L::Mode) {
    let lock = L::new();
    let guard = ByHand::new(lock.acquire(held)).expect_ready();
    let waiting = ByHand::new(lock.acquire(cancelled)).expect_waiting();
    let passing = {
        let lock = lock.clone();
        thread::spawn(move || drop(block_on(lock.acquire(passing))))
    };
    drop(waiting);
    join(passing);
    drop(guard);
    lock.assert_idle();
}

/// A request is polled for the first time and dropped again while the holder lets go: whatever it had got is
/// back.
///
/// # Panics
/// If not.
pub fn ask_and_give_up<L: ModelLock>(held: L::Mode, asked: L::Mode) {
    let lock = L::new();
    let guard = ByHand::new(lock.acquire(held)).expect_ready();
    let thread = {
        let lock = lock.clone();
        thread::spawn(move || {
            let mut asking = ByHand::new(lock.acquire(asked));
            // It may wait, or be granted at the first poll, or at the second.
            if asking.poll().is_pending() {
                let _ = asking.poll();
            }
        })
    };
    drop(guard);
    join(thread);
    lock.assert_idle();
}

/// A guard is dropped on another thread than took it, while somebody asks.
///
/// # Panics
/// If not.
pub fn guard_dropped_elsewhere<L: ModelLock>(held: L::Mode, asked: L::Mode) {
    let lock = L::new();
    let guard = ByHand::new(lock.acquire(held)).expect_ready();
    let thread = thread::spawn(move || drop(guard));
    drop(block_on(lock.acquire(asked)));
    join(thread);
    lock.assert_idle();
}

/// A `try` has its answer at the first poll, whatever the holder does meanwhile.
///
/// # Panics
/// If not.
pub fn try_never_waits<L: ModelLock>(held: L::Mode, tried: L::Mode) {
    let lock = L::new();
    let witness = Arc::new(Witness::<L>::default());
    let guard = ByHand::new(lock.acquire(held)).expect_ready();
    let thread = {
        let (lock, witness) = (lock.clone(), Arc::clone(&witness));
        thread::spawn(move || {
            if let Some(guard) = ByHand::new(lock.try_acquire(tried)).expect_ready() {
                witness.visit(tried);
                drop(guard);
            }
        })
    };
    witness.visit(held);
    drop(guard);
    join(thread);
    lock.assert_idle();
}

/// A request that comes after a waiting one with which it conflicts is not served before it.
///
/// # Panics
/// If not.
pub fn late_comer_waits<L: ModelLock>(held: L::Mode, waiting: L::Mode, late: L::Mode) {
    let lock = L::new();
    let guard = ByHand::new(lock.acquire(held)).expect_ready();
    let mut first = ByHand::new(lock.acquire(waiting)).expect_waiting();
    // Std, as it only checks: relaxed loads do not branch.
    let served = Arc::new(AtomicBool::new(false));
    let thread = {
        let (lock, served) = (lock.clone(), Arc::clone(&served));
        thread::spawn(move || {
            let guard = block_on(lock.acquire(late));
            let is_served = served.load(Ordering::Relaxed);
            assert!(is_served, "a late comer went first");
            drop(guard);
        })
    };
    drop(guard);
    let Poll::Ready(guard) = first.poll() else {
        panic!("the last conflicting holder is gone, and nobody was asked earlier");
    };
    served.store(true, Ordering::Relaxed);
    drop(guard);
    join(thread);
    lock.assert_idle();
}
