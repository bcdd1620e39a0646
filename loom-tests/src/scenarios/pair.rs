//! A lock on two nodes: credit that is asked back while it is taken, held, granted or no longer wanted.

use core::task::Poll;
use std::sync::Arc;

use crate::by_hand::ByHand;
use crate::engine::{join, thread};
use crate::lock::{Guard, Mode, ModelLock as _, ModelPair};
use crate::witness::Witness;

/// The root asks back what the debtor has cached, while the debtor takes it again, twice: the root gets through, and
/// neither is inside while the other is.
///
/// # Panics
/// If that is not so, as all panics here.
pub fn recall_races_cached_take<P: ModelPair>(cached: Mode<P>, asked: Mode<P>) {
    let (pair, witness) = new::<P>();
    drop(debtor_holds(&pair, cached));
    let (debtor, inside) = (pair.clone(), Arc::clone(&witness));
    root_asks_while(&pair, &witness, asked, move || {
        for _ in 0..2 {
            if let Some(guard) = debtor.take_cached(cached) {
                inside.visit(cached);
                drop(guard);
            }
        }
    });
}

/// The root asks back what the debtor holds, while the debtor lets go of it.
///
/// # Panics
/// If not.
pub fn recall_races_release<P: ModelPair>(held: Mode<P>, asked: Mode<P>) {
    let (pair, witness) = new::<P>();
    let guard = debtor_holds(&pair, held);
    let inside = Arc::clone(&witness);
    root_asks_while(&pair, &witness, asked, move || {
        inside.visit(held);
        drop(guard);
    });
}

/// The debtor asks for what the root holds, while the root lets go of it: it gets through, and is woken.
///
/// # Panics
/// If not.
pub fn want_races_release<P: ModelPair>(held: Mode<P>, asked: Mode<P>) {
    let (pair, witness) = new::<P>();
    let guard = ByHand::new(pair.root().acquire(held)).expect_ready();
    let asking = ByHand::new(pair.debtor().acquire(asked)).expect_waiting();
    let inside = Arc::clone(&witness);
    let thread = thread::spawn(move || {
        inside.visit(held);
        drop(guard);
    });
    pair.carry_up();
    join(thread);
    pair.settle();
    let guard = asking.expect_woken();
    witness.visit(asked);
    drop(guard);
    pair.settle();
    pair.assert_idle();
}

/// The debtor gives up a request while its grant is on the way: what came stays cached, and can be used.
///
/// # Panics
/// If not.
pub fn grant_races_cancel<P: ModelPair>(asked: Mode<P>) {
    let (pair, _) = new::<P>();
    let asking = ByHand::new(pair.debtor().acquire(asked)).expect_waiting();
    pair.carry_up();
    let thread = thread::spawn(move || drop(asking));
    pair.carry_down();
    join(thread);
    pair.settle();
    pair.assert_idle();
    drop(debtor_holds(&pair, asked));
}

/// The debtor sends home what it does not use, while somebody there takes it.
///
/// # Panics
/// If not.
pub fn spare_return_races_cached_take<P: ModelPair>(cached: Mode<P>) {
    let (pair, _) = new::<P>();
    drop(debtor_holds(&pair, cached));
    let debtor = pair.clone();
    let thread = thread::spawn(move || drop(debtor.take_cached(cached)));
    pair.return_spare();
    join(thread);
    pair.settle();
    pair.assert_idle();
}

/// The root gets through, while `debtor` does what it does with its credit on another thread.
fn root_asks_while<P: ModelPair>(
    pair: &P,
    witness: &Arc<Witness<P::Lock>>,
    asked: Mode<P>,
    debtor: impl FnOnce() + Send + 'static,
) {
    let mut asking = ByHand::new(pair.root().acquire(asked)).expect_waiting();
    let thread = thread::spawn(debtor);
    pair.carry_down();
    pair.carry_up();
    let early = match asking.poll() {
        Poll::Ready(guard) => {
            witness.visit(asked);
            Ok(guard)
        }
        Poll::Pending => Err(asking),
    };
    join(thread);
    let guard = early.unwrap_or_else(|asking| {
        pair.settle();
        let guard = asking.expect_woken();
        witness.visit(asked);
        guard
    });
    drop(guard);
    pair.settle();
    pair.assert_idle();
}

fn debtor_holds<P: ModelPair>(pair: &P, mode: Mode<P>) -> Guard<P> {
    let mut asking = ByHand::new(pair.debtor().acquire(mode));
    match asking.poll() {
        Poll::Ready(cached) => cached,
        Poll::Pending => {
            pair.settle();
            asking.expect_woken()
        }
    }
}

fn new<P: ModelPair>() -> (P, Arc<Witness<P::Lock>>) {
    (P::new(), Arc::default())
}
