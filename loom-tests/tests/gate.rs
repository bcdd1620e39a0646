//! The gate: who passes by the word beside the lock, against whoever closes it.
//!
//! The suite goes by the gate as well (`gated::` in `rw_lock.rs`). Here are the hand-shakes that need more than two modes that
//! meet: a gate that is closed and opened again, that has words for several threads, that rests on a lease, whose holds are
//! shared, and whose fencing tokens are taken without the lock.

#![cfg(any(rm_loom, rm_shuttle))]

use std::sync::{Arc, Mutex};

use rm_core::front::{Held, Trust};
use rm_loom::check::{Bound, check, check_each};
use rm_loom::engine::{block_on, join, thread};
use rm_loom::local::Local;
use rm_loom::lock::ModelLock;
use rm_loom::pair::{DEBTOR, LEASE_END, Pair, ROOT};
use rm_loom::rw::Gated;
use rm_loom::rw::RwMode::{Read, Write};
use rm_loom::witness::Witness;

type Gate = Local<Gated>;
type GateWitness = Arc<Witness<Gate>>;

/// More entries than a gate has in a model before the lock has a look at it.
const HEATING: usize = 5;

/// A lock whose gate is open, and the witness of it.
fn open() -> (Gate, GateWitness) {
    let gate = Gate::new();
    drop(gate.take_cached(Read).expect("all is cached"));
    (gate, GateWitness::default())
}

/// A lock whose gate has words for several threads, which this thread and others will enter by.
fn sharded() -> (Gate, GateWitness) {
    let (gate, witness) = open();
    heat(&gate);
    let other = gate.clone();
    join(thread::spawn(move || heat(&other)));
    (gate, witness)
}

fn heat(gate: &Gate) {
    for _ in 0..HEATING {
        drop(gate.take_cached(Read).expect("nobody writes"));
    }
}

/// Reads if that needs no wait.
fn read(gate: &Gate, witness: &GateWitness) {
    if let Some(guard) = gate.take_cached(Read) {
        witness.visit(Read);
        drop(guard);
    }
}

fn write(gate: &Gate, witness: &GateWitness) {
    let guard = block_on(gate.acquire(Write));
    witness.visit(Write);
    drop(guard);
}

#[test]
fn a_gate_closes_opens_and_closes_against_a_reader_who_comes_twice() {
    check(
        "a_gate_closes_opens_and_closes_against_a_reader_who_comes_twice",
        Bound::Full,
        || {
            let (gate, witness) = open();
            let (other, inside) = (gate.clone(), Arc::clone(&witness));
            let thread = thread::spawn(move || {
                read(&other, &inside);
                read(&other, &inside);
            });
            for _ in 0..2 {
                // By no door: it locks the resource to take it, and to give it back.
                let all = *gate.handle().capital();
                if let Some(held) = Held::try_cached(gate.handle().clone(), &all, None, None) {
                    witness.visit(Write);
                    drop(held);
                }
            }
            join(thread);
            gate.assert_idle();
        },
    );
}

#[test]
fn two_writers_and_a_reader_meet_in_the_gate() {
    check(
        "two_writers_and_a_reader_meet_in_the_gate",
        Bound::Given,
        || {
            let (gate, witness) = open();
            let spawn = |mode| {
                let (gate, witness) = (gate.clone(), Arc::clone(&witness));
                thread::spawn(move || {
                    if let Some(guard) = gate.take_cached(mode) {
                        witness.visit(mode);
                        drop(guard);
                    }
                })
            };
            let threads = [spawn(Write), spawn(Read)];
            if let Some(guard) = gate.take_cached(Write) {
                witness.visit(Write);
                drop(guard);
            }
            threads.into_iter().for_each(join);
            gate.assert_idle();
        },
    );
}

#[test]
fn the_last_reader_out_wakes_the_writer() {
    check("the_last_reader_out_wakes_the_writer", Bound::Given, || {
        let (gate, witness) = open();
        let guards = [Read, Read].map(|mode| gate.take_cached(mode).expect("nobody writes"));
        let threads = guards.map(|guard| {
            let witness = Arc::clone(&witness);
            thread::spawn(move || {
                witness.visit(Read);
                drop(guard);
            })
        });
        write(&gate, &witness);
        threads.into_iter().for_each(join);
        gate.assert_idle();
    });
}

#[test]
fn a_reader_who_turns_back_at_the_gate_wakes_the_writer_too() {
    check(
        "a_reader_who_turns_back_at_the_gate_wakes_the_writer_too",
        Bound::Full,
        || {
            let (gate, witness) = open();
            let guard = gate.take_cached(Read).expect("nobody writes");
            let (other, inside) = (gate.clone(), Arc::clone(&witness));
            let thread = thread::spawn(move || read(&other, &inside));
            let writing = gate.ask(Write).expect_waiting();
            drop(guard);
            join(thread);
            let guard = writing.expect_woken().expect("all readers are gone");
            witness.visit(Write);
            drop(guard);
            gate.assert_idle();
        },
    );
}

#[test]
fn a_cancelled_writer_opens_the_gate_again() {
    check(
        "a_cancelled_writer_opens_the_gate_again",
        Bound::Full,
        || {
            let (gate, witness) = open();
            let guard = gate.take_cached(Read).expect("nobody writes");
            let writing = gate.ask(Write).expect_waiting();
            let (other, inside) = (gate.clone(), Arc::clone(&witness));
            let thread = thread::spawn(move || {
                let guard = block_on(other.acquire(Read));
                inside.visit(Read);
                drop(guard);
            });
            drop(writing);
            join(thread);
            assert!(gate.take_cached(Read).is_some(), "nobody waits any more");
            drop(guard);
            gate.assert_idle();
        },
    );
}

#[test]
fn a_writer_excludes_a_reader_of_another_word() {
    check(
        "a_writer_excludes_a_reader_of_another_word",
        Bound::Full,
        || {
            let (gate, witness) = sharded();
            let (other, inside) = (gate.clone(), Arc::clone(&witness));
            let thread = thread::spawn(move || read(&other, &inside));
            write(&gate, &witness);
            join(thread);
            gate.assert_idle();
        },
    );
}

#[test]
fn a_writer_excludes_readers_of_two_words() {
    check(
        "a_writer_excludes_readers_of_two_words",
        Bound::Given,
        || {
            let (gate, witness) = sharded();
            let threads = [(); 2].map(|()| {
                let (gate, witness) = (gate.clone(), Arc::clone(&witness));
                thread::spawn(move || read(&gate, &witness))
            });
            write(&gate, &witness);
            threads.into_iter().for_each(join);
            gate.assert_idle();
        },
    );
}

#[test]
fn a_reader_leaves_by_its_own_word_from_another_thread() {
    check(
        "a_reader_leaves_by_its_own_word_from_another_thread",
        Bound::Full,
        || {
            let (gate, witness) = sharded();
            let here = gate.take_cached(Read).expect("nobody writes");
            let there = gate.take_cached(Read).expect("nobody writes");
            let inside = Arc::clone(&witness);
            let thread = thread::spawn(move || {
                inside.visit(Read);
                drop(there);
            });
            witness.visit(Read);
            drop(here);
            write(&gate, &witness);
            join(thread);
            gate.assert_idle();
        },
    );
}

#[test]
fn the_last_of_one_word_is_not_the_last_of_all() {
    check(
        "the_last_of_one_word_is_not_the_last_of_all",
        Bound::Full,
        || {
            let (gate, witness) = open();
            heat(&gate);
            let other = gate.clone();
            // Where it heated the gate, it enters by a word of its own.
            let there = join(thread::spawn(move || {
                heat(&other);
                other.take_cached(Read).expect("nobody writes")
            }));
            let here = gate.take_cached(Read).expect("nobody writes");
            let mut writing = gate.ask(Write).expect_waiting();
            let inside = Arc::clone(&witness);
            let thread = thread::spawn(move || {
                inside.visit(Read);
                drop(there);
            });
            drop(here);
            let early = writing.poll();
            if early.is_ready() {
                witness.visit(Write);
            }
            join(thread);
            if early.is_pending() {
                let held = writing.expect_woken().expect("both are gone");
                witness.visit(Write);
                drop(held);
            }
            drop(early);
            gate.assert_idle();
        },
    );
}

#[test]
fn a_hold_that_is_shared_ends_with_its_last_guard() {
    check(
        "a_hold_that_is_shared_ends_with_its_last_guard",
        Bound::Full,
        || {
            let (gate, witness) = open();
            let guard = gate.take_cached(Read).expect("nobody writes");
            let inside = Arc::clone(&witness);
            let thread = thread::spawn(move || {
                let other = guard.share();
                drop(guard);
                inside.visit(Read);
                drop(other);
            });
            write(&gate, &witness);
            join(thread);
            gate.assert_idle();
        },
    );
}

#[test]
fn no_two_writers_have_one_token() {
    check("no_two_writers_have_one_token", Bound::Full, || {
        let (gate, witness) = open();
        let tokens = Arc::new(Mutex::new(Vec::new()));
        let (other, inside, listed) = (gate.clone(), Arc::clone(&witness), Arc::clone(&tokens));
        let thread = thread::spawn(move || {
            for _ in 0..2 {
                write_if_free(&other, &inside, &listed);
            }
        });
        // It locks the resource, and opens the gate again.
        gate.node().with_owner(|_| ());
        write_if_free(&gate, &witness, &tokens);
        join(thread);
        let tokens = tokens.lock().expect("no panic");
        assert!(tokens.is_sorted_by(|a, b| a < b), "tokens rise: {tokens:?}");
        drop(tokens);
        gate.assert_idle();
    });
}

fn write_if_free(gate: &Gate, witness: &GateWitness, tokens: &Mutex<Vec<u64>>) {
    if let Some(guard) = gate.take_cached(Write) {
        tokens.lock().expect("no panic").push(guard.fence());
        witness.visit(Write);
        drop(guard);
    }
}

/// A pair whose debtor has all of the lock in its cache, and its gate open.
fn borrowed() -> Pair<Gated> {
    let pair = Pair::default();
    drop(pair.debtor_holds(Write));
    drop(pair.debtor_holds(Read));
    pair
}

#[test]
fn nobody_passes_the_gate_after_the_lease() {
    check_each(
        "nobody_passes_the_gate_after_the_lease",
        Bound::Full,
        &[Read, Write],
        |mode| {
            let pair = borrowed();
            let gate = Local::on(pair.debtor.clone());
            let clock = pair.debtor.clone();
            let thread = thread::spawn(move || clock.set_clock(LEASE_END));
            let early = gate.take_cached(mode);
            let is_early = early.is_some();
            drop(early);
            join(thread);
            assert!(gate.take_cached(mode).is_none(), "the lease is over");
            assert!(is_early || gate.take_cached(Read).is_none(), "for good");
        },
    );
}

#[test]
fn a_hold_by_the_gate_is_lost_with_its_lease() {
    check(
        "a_hold_by_the_gate_is_lost_with_its_lease",
        Bound::Full,
        || {
            let pair = borrowed();
            let gate = Local::on(pair.debtor.clone());
            let guard = gate.take_cached(Read).expect("cached");
            let clock = pair.debtor.clone();
            let thread = thread::spawn(move || clock.set_clock(LEASE_END));
            let other = gate.take_cached(Read);
            join(thread);
            assert!(!guard.is_valid(), "the lease is over");
            assert!(!other.is_some_and(|guard| guard.is_valid()), "it is lost");
        },
    );
}

#[test]
fn a_hold_that_was_lost_is_shared_with_nobody() {
    check(
        "a_hold_that_was_lost_is_shared_with_nobody",
        Bound::Full,
        || {
            let pair = borrowed();
            let gate = Local::on(pair.debtor.clone());
            let lost = gate.take_cached(Read).expect("cached");
            let also_lost = gate.take_cached(Read).expect("cached");
            pair.creditor_down();
            pair.root.domain().on_debtor_down(DEBTOR);
            let trust = Arc::new(Trust::until(LEASE_END));
            pair.debtor.domain().on_creditor_up(ROOT, trust);
            let thread = thread::spawn(move || drop(also_lost));
            drop(pair.debtor_holds(Read));
            let guard = gate.take_cached(Read).expect("borrowed again");
            assert!(guard.is_valid(), "there is a new session");
            assert!(!lost.is_valid(), "it was lost");
            join(thread);
            drop(lost);
            assert!(guard.is_valid(), "it is another one");
            drop(guard);
            pair.settle();
            pair.assert_idle();
        },
    );
}

#[test]
fn nobody_passes_the_gate_after_the_session() {
    check(
        "nobody_passes_the_gate_after_the_session",
        Bound::Full,
        || {
            let pair = borrowed();
            let gate = Local::on(pair.debtor.clone());
            let ending = pair.clone();
            let thread = thread::spawn(move || ending.creditor_down());
            let early = gate.take_cached(Read);
            // In this sequence: it may end in between.
            let is_over = pair.trust.deadline().is_none();
            let late = gate.take_cached(Read);
            assert!(!(is_over && late.is_some()), "granted after the session");
            let is_over = pair.trust.deadline().is_none();
            let is_valid = early.as_ref().is_some_and(|guard| guard.is_valid());
            assert!(!(is_over && is_valid), "valid after the session");
            join(thread);
            drop((early, late));
            let totals = pair.debtor.domain().totals();
            assert_eq!((totals.holds, totals.waiting), (0, 0));
        },
    );
}

#[test]
fn who_was_told_of_a_loss_is_not_told_that_it_holds() {
    check(
        "who_was_told_of_a_loss_is_not_told_that_it_holds",
        Bound::Full,
        || {
            let pair = borrowed();
            let gate = Local::on(pair.debtor.clone());
            let guard = Arc::new(gate.take_cached(Read).expect("cached"));
            let (ending, other) = (pair.clone(), Arc::clone(&guard));
            let thread = thread::spawn(move || {
                ending.creditor_down();
                assert!(!other.is_valid(), "the session is over");
            });
            let first = guard.is_valid();
            let second = guard.is_valid();
            assert!(first || !second, "lost, and valid again");
            join(thread);
            assert!(!guard.is_valid());
        },
    );
}

#[test]
fn a_session_that_is_over_opens_no_gate() {
    check("a_session_that_is_over_opens_no_gate", Bound::Full, || {
        let pair = Pair::<Gated>::apart();
        let gate = Local::on(pair.debtor.clone());
        // It may end before the debtor hears of it, or while it does.
        let trust = Arc::clone(&pair.trust);
        let thread = thread::spawn(move || trust.end());
        pair.join();
        let mut asking = gate.ask(Write);
        let _ = asking.poll();
        pair.settle();
        let _ = asking.poll();
        drop(asking);
        join(thread);
        assert!(gate.take_cached(Read).is_none(), "the session is over");
    });
}

#[test]
fn a_recall_closes_the_gate_for_good() {
    check("a_recall_closes_the_gate_for_good", Bound::Given, || {
        let pair = borrowed();
        let gate = Local::on(pair.debtor.clone());
        let witness = GateWitness::default();
        let writing = pair.root.ask(Write).expect_waiting();
        let threads = [(); 2].map(|()| {
            let (gate, witness) = (gate.clone(), Arc::clone(&witness));
            thread::spawn(move || read(&gate, &witness))
        });
        pair.carry_down();
        assert!(gate.take_cached(Read).is_none(), "it is recalled");
        threads.into_iter().for_each(join);
        pair.settle();
        let guard = writing.expect_woken().expect("it was asked back");
        witness.visit(Write);
        drop(guard);
        pair.settle();
        pair.assert_idle();
    });
}
