//! A hold that changes while it lasts: it never has a gap, and never waits for ever.

use std::sync::Arc;

use crate::by_hand::ByHand;
use crate::engine::{block_on, join, thread};
use crate::lock::Converts;
use crate::witness::Witness;

/// Two hold, and the first converts to what the other excludes, while the other lets go: it hears of it.
///
/// # Panics
/// If that is not so, as all panics here.
pub fn upgrade_races_release<L: Converts>(held: L::Mode, other: L::Mode, to: L::Mode) {
    let lock = L::new();
    let witness = Arc::new(Witness::<L>::default());
    let (mut first, second) = two(&lock, held, other);
    let thread = {
        let witness = Arc::clone(&witness);
        thread::spawn(move || {
            witness.visit(other);
            drop(second);
        })
    };
    assert!(block_on(L::convert(&mut first, to)), "nobody else converts");
    witness.visit(to);
    join(thread);
    drop(first);
    lock.assert_idle();
}

/// The same, and the conversion is given up: others fit beside the hold as before.
///
/// # Panics
/// If not.
pub fn upgrade_given_up_races_grant<L: Converts>(held: L::Mode, other: L::Mode, to: L::Mode) {
    let lock = L::new();
    let (mut first, second) = two(&lock, held, other);
    let converting = ByHand::new(Box::pin(L::convert(&mut first, to))).expect_waiting();
    let thread = thread::spawn(move || drop(second));
    drop(converting);
    join(thread);
    drop(ByHand::new(lock.acquire(other)).expect_ready());
    drop(first);
    lock.assert_idle();
}

/// Two hold, and both convert to what the other excludes: one of them is refused, lets go, and the other gets it.
///
/// # Panics
/// If not.
pub fn rival_upgrades_end<L: Converts>(held: L::Mode, to: L::Mode) {
    let lock = L::new();
    let witness = Arc::new(Witness::<L>::default());
    let (first, second) = two(&lock, held, held);
    let upgrade = |mut guard: L::Guard| {
        let witness = Arc::clone(&witness);
        move || {
            let is_granted = block_on(L::convert(&mut guard, to));
            witness.visit(if is_granted { to } else { held });
            drop(guard);
            is_granted
        }
    };
    let thread = thread::spawn(upgrade(second));
    let here = upgrade(first)();
    let there = join(thread);
    assert!(here || there, "both were refused");
    lock.assert_idle();
}

/// A holder converts to less while another asks for what it gives up: the other gets in beside it.
///
/// # Panics
/// If not.
pub fn downgrade_admits<L: Converts>(held: L::Mode, to: L::Mode, waiting: L::Mode) {
    let lock = L::new();
    let witness = Arc::new(Witness::<L>::default());
    let mut guard = ByHand::new(lock.acquire(held)).expect_ready();
    let thread = {
        let (lock, witness) = (lock.clone(), Arc::clone(&witness));
        thread::spawn(move || {
            let guard = block_on(lock.acquire(waiting));
            witness.visit(waiting);
            drop(guard);
        })
    };
    witness.visit(held);
    let is_less = ByHand::new(Box::pin(L::convert(&mut guard, to))).expect_ready();
    assert!(is_less, "to give something up is not refused");
    witness.visit(to);
    join(thread);
    drop(guard);
    lock.assert_idle();
}

fn two<L: Converts>(lock: &L, first: L::Mode, second: L::Mode) -> (L::Guard, L::Guard) {
    let take = |mode| ByHand::new(lock.acquire(mode)).expect_ready();
    (take(first), take(second))
}
