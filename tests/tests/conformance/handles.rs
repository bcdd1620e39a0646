//! What users of lock libraries expect of a handle: the scenarios of fasteners (locks between processes and between
//! threads) and of tooz (locks of a coordination service), on whole domains.
//!
//! `n0` is the root; the others borrow from it, as other processes do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use rm_core::front::AcquireError;
use rm_tests::joined::Joined;

use crate::play;

const SECOND: Duration = Duration::from_secs(1);

fn is_busy<G>(outcome: &Result<G, AcquireError>) -> bool {
    matches!(outcome, Err(AcquireError::Busy { .. }))
}

fn write_is_busy(nodes: &Joined, node: usize, name: &str) -> bool {
    let lock = nodes.lock(node, name);
    is_busy(&nodes.ask(lock.try_write()).outcome())
}

fn read_is_busy(nodes: &Joined, node: usize, name: &str) -> bool {
    let lock = nodes.lock(node, name);
    is_busy(&nodes.ask(lock.try_read()).outcome())
}

#[test]
fn fasteners_f1_f24_a_lock_is_written_then_read_then_written_in_turn() {
    let nodes = Joined::star(1);
    let lock = nodes.lock(1, "x");
    for _ in 0..2 {
        drop(nodes.ask(lock.write()).guard());
        drop(nodes.ask(lock.read()).guard());
    }
}

/// Elsewhere the second succeeds: it is the process that holds. Here it is the guard.
#[test]
fn fasteners_f9_f20_who_has_the_lock_and_asks_again_waits_for_its_own_guard() {
    let nodes = Joined::star(1);
    let lock = nodes.lock(1, "x");
    let first = nodes.ask(lock.write()).guard();
    assert!(is_busy(&nodes.ask(lock.try_write()).outcome()));
    let mut second = nodes.ask(lock.write());
    assert!(second.waits());
    drop(first);
    assert!(second.holds());
}

#[test]
fn fasteners_f11_none_of_ten_gets_a_lock_that_is_held_and_some_do_when_it_is_released() {
    let nodes = Joined::star(10);
    let guard = nodes.ask(nodes.lock(0, "x").write_owned()).guard();
    for node in 1..=10 {
        assert!(write_is_busy(&nodes, node, "x"));
    }
    drop(guard);
    nodes.settle();
    let free = (1..=5).filter(|&node| !write_is_busy(&nodes, node, "x"));
    assert!(free.count() > 0);
}

#[test]
fn fasteners_f12_t9_two_locks_are_held_together_and_let_go_one_by_one() {
    let nodes = Joined::star(2);
    let (one, two) = (nodes.lock(1, "one"), nodes.lock(1, "two"));
    let first = nodes.ask(one.write()).guard();
    let second = nodes.ask(two.write()).guard();
    drop(second);
    nodes.settle();
    assert!(first.is_valid());
    assert!(read_is_busy(&nodes, 2, "one"));
}

#[test]
fn fasteners_f17_t8_another_process_fails_while_the_lock_is_held_and_succeeds_after() {
    let nodes = Joined::star(2);
    let held = nodes.ask(nodes.lock(1, "x").write_owned()).guard();
    let other = nodes.lock(2, "x");
    assert!(is_busy(&nodes.ask(other.try_write()).outcome()));
    drop(held);
    nodes.settle();
    assert!(nodes.ask(other.try_write()).holds());
}

#[test]
fn fasteners_f21_a_panic_lets_go_of_a_writer_s_guard_and_of_a_reader_s() {
    let nodes = Joined::star(1);
    let lock = nodes.lock(1, "x");
    for asks in ["write", "read"] {
        let panicked = catch_unwind(AssertUnwindSafe(|| match asks {
            "write" => {
                let _guard = nodes.ask(lock.write()).guard();
                panic!("in the middle of the work");
            }
            _ => {
                let _guard = nodes.ask(lock.read()).guard();
                panic!("in the middle of the work");
            }
        }));
        assert!(panicked.is_err());
        assert!(lock.try_write_cached().is_some());
    }
}

#[test]
fn fasteners_f22_nested_readers_let_go_both_when_the_inner_one_panics() {
    let nodes = Joined::star(0);
    let lock = nodes.lock(0, "x");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _outer = nodes.ask(lock.read()).guard();
        let _inner = nodes.ask(lock.read()).guard();
        panic!("in the middle of the work");
    }));
    assert!(panicked.is_err());
    assert!(lock.try_write_cached().is_some());
}

/// Elsewhere the second read of a thread passes the writer. Here a request knows nothing of the thread that makes it;
/// whoever reads already has a guard to use. It does not hang in silence: the error names both.
#[test]
fn fasteners_f23_a_reader_that_asks_again_waits_behind_a_writer_and_is_told_so() {
    let nodes = Joined::star(0);
    let lock = nodes.lock(0, "x");
    let _outer = nodes.ask(lock.read()).guard();
    let mut writer = nodes.ask(lock.write().label("the writer"));
    let inner = nodes.ask(lock.read().timeout(SECOND));
    assert!(writer.waits());
    nodes.pass(SECOND);
    match inner.outcome() {
        Err(AcquireError::Timeout {
            holders, ahead: 1, ..
        }) => {
            assert!(holders.iter().any(|holder| holder.label == "the writer"));
        }
        other => panic!("a timeout behind one request: {other:?}"),
    }
}

#[test]
fn fasteners_f25_f26_who_asks_for_the_other_mode_beside_its_own_guard_or_request_waits_for_it() {
    let nodes = Joined::star(0);
    let lock = nodes.lock(0, "x");
    let reader = nodes.ask(lock.read()).guard();
    assert!(is_busy(&nodes.ask(lock.try_write()).outcome()));
    let mut writer = nodes.ask(lock.write());
    let mut late = nodes.ask(lock.read());
    assert!(writer.waits() && late.waits());
    drop(reader);
    assert!(writer.holds() && late.waits());
}

#[test]
fn fasteners_f28_writers_are_served_in_the_order_in_which_they_asked() {
    play(
        "
        tree T; A, B < T
        W1 at A: write; settle; W2 at B: write; settle; W3 at T: write; W4 at A: write; settle
        W1 releases; settle; W2 releases; settle; W3 releases; settle
        expect W4 holds, granted W1 then W2 then W3 then W4
        ",
    );
}

/// The readers hold 50 ms each, and there is always one.
#[test]
fn fasteners_f29_a_writer_is_granted_within_one_read_among_readers_that_overlap() {
    play(
        "
        tree T; A, B < T
        R1, R2, R3, R4 at A: read; 25 ms pass; R5, R6, R7, R8 at B: read; settle
        W at T: write within 51 ms; settle
        25 ms pass; R1, R2, R3, R4 release; N1, N2, N3, N4 at A: read; settle
        expect W waits, N1 and N2 and N3 and N4 wait
        25 ms pass; R5, R6, R7, R8 release; N5 at B: read; settle
        expect W holds, N5 waits
        ",
    );
}

#[test]
fn tooz_t1_t11_a_request_ends_in_a_guard_or_in_an_error_and_never_in_neither() {
    let nodes = Joined::star(1);
    let lock = nodes.lock(1, "x");
    let guard = nodes.ask(lock.write()).outcome().expect("granted");
    assert!(nodes.ask(lock.try_write()).outcome().is_err());
    drop(guard);
    assert!(nodes.ask(lock.try_write()).outcome().is_ok());
}

#[test]
fn tooz_t3_one_handle_reads_twice_and_lets_go_twice() {
    let nodes = Joined::star(2);
    let lock = nodes.lock(1, "x");
    let first = nodes.ask(lock.read()).guard();
    let second = nodes.ask(lock.read()).guard();
    let other = nodes.lock(2, "x");
    drop(first);
    assert!(is_busy(&nodes.ask(other.try_write()).outcome()));
    drop(second);
    nodes.settle();
    assert!(nodes.ask(other.try_write()).holds());
}

#[test]
fn tooz_t4_t14_two_processes_read_together() {
    let nodes = Joined::star(2);
    let first = nodes.ask(nodes.lock(1, "x").read_owned()).guard();
    let second = nodes.ask(nodes.lock(2, "x").read_owned()).guard();
    assert!(first.is_valid() && second.is_valid());
}

#[test]
fn tooz_t5_t6_a_try_beside_a_guard_of_the_other_mode_is_busy_and_leaves_the_guard_alone() {
    let nodes = Joined::star(2);
    let reader = nodes.ask(nodes.lock(1, "x").read_owned()).guard();
    assert!(write_is_busy(&nodes, 2, "x"));
    assert!(reader.is_valid());
    drop(reader);
    nodes.settle();
    let writer = nodes.ask(nodes.lock(1, "x").write_owned()).guard();
    assert!(read_is_busy(&nodes, 2, "x"));
    assert!(writer.is_valid());
}

#[test]
fn tooz_t7_t13_two_threads_on_one_handle_take_turns() {
    let nodes = Joined::star(0);
    let lock = nodes.lock(0, "x");
    let inside = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    if let Some(_guard) = lock.try_write_cached() {
                        // Nobody else is here, or this would fail.
                        let mut inside = inside.try_lock().expect("alone");
                        *inside += 1;
                    }
                }
            });
        }
    });
    assert!(*inside.lock().expect("nobody panicked") > 0);
}

#[test]
fn tooz_t10_letting_go_of_one_guard_never_frees_another() {
    let nodes = Joined::star(2);
    let (one, two) = (nodes.lock(1, "x"), nodes.lock(1, "x"));
    let kept = nodes.ask(one.write()).guard();
    let given_up = nodes.ask(two.write());
    drop(given_up);
    nodes.settle();
    assert!(kept.is_valid());
    assert!(read_is_busy(&nodes, 2, "x"));
}

#[test]
fn tooz_t12_a_holder_whose_lock_was_taken_away_does_not_free_its_successor_s() {
    let nodes = Joined::star(3);
    let first = nodes.ask(nodes.lock(1, "x").write_owned()).guard();
    let (fence, mut second) = (first.fence(), nodes.ask(nodes.lock(2, "x").write_owned()));
    assert!(second.waits());
    nodes.part(1);
    let second = second.guard();
    assert!(!first.is_valid() && second.fence() > fence);
    drop(first);
    nodes.settle();
    assert!(second.is_valid());
    assert!(read_is_busy(&nodes, 3, "x"));
}
