//! Many threads at once: too many for loom, and what shuttle is for.
//!
//! Nothing in them is drawn at random but the schedule, so a schedule is all that a failure needs to replay.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::by_hand::ByHand;
use crate::engine::{block_on, join, thread};
use crate::lock::{ModelLock, ModelPair};
use crate::witness::Witness;

/// Threads of a crowd.
const CROWD: usize = 8;
/// What each of them does, one after the other.
const TURNS: usize = 3;

/// Threads take the lock in all modes, try it, and give up on it: nobody meets whom it excludes, and all come to
/// an end.
///
/// # Panics
/// If that is not so, as all panics here.
pub fn on_one_node<L: ModelLock>() {
    let lock = L::new();
    let witness = Arc::new(Witness::<L>::default());
    let threads: Vec<_> = (0..CROWD)
        .map(|member| spawn_member(&lock, &witness, member))
        .collect();
    threads.into_iter().for_each(join);
    lock.assert_idle();
}

/// The same on both nodes of a pair, whose messages another thread carries.
///
/// # Panics
/// If not.
pub fn on_two_nodes<P: ModelPair>() {
    let pair = P::new();
    let witness = Arc::new(Witness::<P::Lock>::default());
    // Std, as it only says when to stop.
    let left = Arc::new(AtomicUsize::new(CROWD));
    let threads: Vec<_> = (0..CROWD)
        .map(|member| {
            let lock = [pair.root(), pair.debtor()][member % 2];
            let (thread, left) = (spawn_member(lock, &witness, member / 2), Arc::clone(&left));
            thread::spawn(move || {
                join(thread);
                left.fetch_sub(1, Ordering::Relaxed);
            })
        })
        .collect();
    while left.load(Ordering::Relaxed) > 0 {
        pair.carry_up();
        pair.carry_down();
        thread::yield_now();
    }
    threads.into_iter().for_each(join);
    pair.settle();
    pair.assert_idle();
}

fn spawn_member<L: ModelLock>(
    lock: &L,
    witness: &Arc<Witness<L>>,
    member: usize,
) -> thread::JoinHandle<()> {
    let (lock, witness) = (lock.clone(), Arc::clone(witness));
    thread::spawn(move || {
        for turn in 0..TURNS {
            let mode = L::MODES[(member + turn) % L::MODES.len()];
            let guard = match (member + turn) % TURNS {
                0 => Some(block_on(lock.acquire(mode))),
                1 => block_on(lock.try_acquire(mode)),
                _ => {
                    let mut asking = ByHand::new(lock.acquire(mode));
                    match asking.poll() {
                        core::task::Poll::Ready(guard) => Some(guard),
                        core::task::Poll::Pending => None,
                    }
                }
            };
            if guard.is_some() {
                witness.visit(mode);
            }
        }
    })
}
