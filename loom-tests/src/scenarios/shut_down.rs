//! A node that stops while its lock is asked for, waited for and held: everybody is told, and nothing is granted after.

use crate::by_hand::ByHand;
use crate::engine::{block_on, join, thread};
use crate::lock::ShutsDown;

/// A request races the end: it is granted or told, and a later one is told.
///
/// # Panics
/// If that is not so, as all panics here.
pub fn shut_down_races_request<L: ShutsDown>(asked: L::Mode) {
    let lock = L::new();
    let thread = {
        let lock = lock.clone();
        thread::spawn(move || drop(block_on(lock.acquire_if_up(asked))))
    };
    lock.shut_down();
    join(thread);
    let late = ByHand::new(lock.acquire_if_up(asked)).expect_ready();
    assert!(late.is_none(), "granted after the end");
    lock.assert_unused();
}

/// A holder loses what it has, and who comes to wait for it is told.
///
/// # Panics
/// If not.
pub fn shut_down_races_waiter<L: ShutsDown>(held: L::Mode, asked: L::Mode) {
    let lock = L::new();
    let guard = ByHand::new(lock.acquire_if_up(held)).expect_ready();
    let guard = guard.expect("it is up");
    let thread = {
        let lock = lock.clone();
        thread::spawn(move || block_on(lock.acquire_if_up(asked)).is_some())
    };
    lock.shut_down();
    assert!(!L::is_valid(&guard), "held after the end");
    assert!(!join(thread), "granted beside a holder, or after the end");
    drop(guard);
    lock.assert_unused();
}

/// A holder lets go while the node stops: who waits is granted it or told, and woken in either case.
///
/// # Panics
/// If not.
pub fn shut_down_races_release<L: ShutsDown>(held: L::Mode, asked: L::Mode) {
    let lock = L::new();
    let guard = ByHand::new(lock.acquire_if_up(held)).expect_ready();
    let waiting = ByHand::new(lock.acquire_if_up(asked)).expect_waiting();
    let thread = thread::spawn(move || drop(guard));
    lock.shut_down();
    join(thread);
    let late = waiting.expect_woken();
    assert!(
        !late.is_some_and(|guard| L::is_valid(&guard)),
        "granted after the end"
    );
    lock.assert_unused();
}
