//! What users of local read-write locks expect of guards, over processes: upgradable guards as in `async-lock` and
//! `parking_lot`, downgrades as in `tokio`, reads within reads, several locks at once, and data beside a lock.
//!
//! `n0` is the root; the others borrow from it, as other processes do.

use rm_core::front::AcquireError;
use rm_rwlock::all::{Named, lock_all, try_lock_all};
use rm_rwlock::guarded::{Guarded, OpenRefused, Opened};
use rm_tests::joined::{Asking, Joined};

#[test]
fn an_upgradable_guard_is_beside_readers_of_other_processes_and_alone_of_its_kind_in_all() {
    let nodes = Joined::star(2);
    let (here, there) = (nodes.lock(1, "x"), nodes.lock(2, "x"));
    let _upgradable = nodes.ask(here.upgradable_read()).guard();
    let _reader = nodes.ask(there.try_read()).guard();
    let second = nodes.ask(there.try_upgradable_read()).outcome();
    assert!(matches!(second, Err(AcquireError::Busy { .. })));
    assert!(nodes.ask(there.try_write()).outcome().is_err());
}

#[test]
fn an_upgrade_waits_for_a_reader_of_another_process_and_no_writer_comes_between() {
    let nodes = Joined::star(2);
    let (here, there) = (nodes.lock(1, "x"), nodes.lock(2, "x"));
    let upgradable = nodes.ask(here.upgradable_read()).guard();
    let reader = nodes.ask(there.read()).guard();
    let mut writing = nodes.ask(there.write());
    let mut upgrading = nodes.ask(upgradable.upgrade());
    assert!(writing.waits() && upgrading.waits());
    drop(reader);
    nodes.settle();
    let writer = upgrading.guard();
    assert!(writing.waits());
    drop(writer);
    nodes.settle();
    assert!(writing.holds());
}

#[test]
fn an_upgrade_that_is_given_up_lets_readers_of_other_processes_in_again() {
    let nodes = Joined::star(2);
    let (here, there) = (nodes.lock(1, "x"), nodes.lock(2, "x"));
    let upgradable = nodes.ask(here.upgradable_read()).guard();
    let _reader = nodes.ask(there.read()).guard();
    let mut upgrading = nodes.ask(upgradable.upgrade());
    assert!(upgrading.waits());
    drop(upgrading);
    nodes.settle();
    assert!(nodes.ask(there.try_read()).holds());
    assert!(
        nodes.ask(there.upgradable_read()).holds(),
        "its place is free"
    );
}

#[test]
fn a_try_to_upgrade_past_a_reader_of_another_process_gives_the_guard_back() {
    let nodes = Joined::star(2);
    let (here, there) = (nodes.lock(1, "x"), nodes.lock(2, "x"));
    let upgradable = nodes.ask(here.upgradable_read()).guard();
    let reader = nodes.ask(there.read()).guard();
    let error = nodes.ask(upgradable.try_upgrade()).outcome();
    let error = error.expect_err("a reader is in the way");
    assert!(matches!(error.why, AcquireError::Busy { .. }));
    drop(reader);
    assert!(nodes.ask(error.into_guard().try_upgrade()).holds());
}

#[test]
fn a_downgrade_lets_readers_of_other_processes_in_and_no_writer() {
    let nodes = Joined::star(2);
    let (here, there) = (nodes.lock(1, "x"), nodes.lock(2, "x"));
    let writer = nodes.ask(here.write()).guard();
    let mut reading = nodes.ask(there.read());
    let mut writing = nodes.ask(there.write());
    assert!(reading.waits());
    let reader = writer.downgrade();
    nodes.settle();
    assert!(reading.holds() && writing.waits());
    drop((reader, reading));
    nodes.settle();
    assert!(writing.holds());
}

#[test]
fn a_downgrade_and_an_upgrade_of_what_nobody_else_wants_send_nothing() {
    let nodes = Joined::star(1);
    let lock = nodes.lock(1, "x");
    let writer = nodes.ask(lock.write()).guard();
    let upgradable = writer.downgrade_to_upgradable();
    assert_eq!(nodes.settle(), 0);
    let upgrading = Asking::begin(upgradable.upgrade());
    assert_eq!(nodes.settle(), 0);
    drop(upgrading.guard().downgrade());
    assert_eq!(nodes.settle(), 0);
}

#[test]
fn a_read_within_a_read_passes_a_writer_of_another_process_and_sends_nothing() {
    let nodes = Joined::star(2);
    let (here, there) = (nodes.lock(1, "x"), nodes.lock(2, "x"));
    let first = nodes.ask(here.read()).guard();
    let mut writing = nodes.ask(there.write());
    assert!(nodes.ask(here.read()).waits(), "it would wait for ever");
    nodes.settle();
    let second = first.read_recursive();
    assert_eq!(nodes.settle(), 0);
    drop(first);
    nodes.settle();
    assert!(writing.waits() && second.is_valid());
    drop(second);
    nodes.settle();
    assert!(writing.holds());
}

#[test]
fn two_processes_that_name_several_locks_in_opposite_orders_both_get_them() {
    let nodes = Joined::star(2);
    let names = ["a", "b"].map(Named::write);
    let mut turned = names.clone();
    turned.reverse();
    let mut first = Asking::begin(lock_all(nodes.domain(1), names));
    let mut second = Asking::begin(lock_all(nodes.domain(2), turned));
    // A lock is asked for when the one before it is had, so it takes a few rounds.
    for _ in 0..2 {
        nodes.settle();
        let _waits = (first.waits(), second.waits());
    }
    nodes.settle();
    assert!(first.holds() != second.holds(), "one of them, and wholly");
    let (winner, mut loser) = if first.holds() {
        (first, second)
    } else {
        (second, first)
    };
    drop(winner);
    for _ in 0..2 {
        nodes.settle();
        let _waits = loser.waits();
    }
    nodes.settle();
    assert!(loser.holds());
}

#[test]
fn a_try_for_several_locks_leaves_none_held_in_any_process() {
    let nodes = Joined::star(2);
    let there = nodes.lock(2, "b");
    let _held = nodes.ask(there.write()).guard();
    let mut trying = nodes.ask(try_lock_all(nodes.domain(1), ["a", "b"].map(Named::write)));
    if trying.waits() {
        nodes.settle();
    }
    assert!(trying.outcome().is_err());
    let free = nodes.lock(2, "a");
    assert!(nodes.ask(free.try_write()).holds());
}

#[test]
fn data_is_current_until_another_process_has_written() {
    let nodes = Joined::star(2);
    let data = Guarded::new(nodes.lock(1, "x"), 1);
    let there = nodes.lock(2, "x");
    let is_current = || Opened::is_current(&nodes.ask(data.read()).guard());
    Opened::mark_current(&nodes.ask(data.write()).guard());
    assert!(is_current());
    drop(nodes.ask(there.read()).guard());
    assert!(is_current(), "the other only read");
    drop(nodes.ask(there.write()).guard());
    assert!(!is_current(), "the other may have written");
}

#[test]
fn data_that_a_lost_guard_has_open_is_kept_from_its_successor_of_the_next_session() {
    let nodes = Joined::star(1);
    let data = Guarded::new(nodes.lock(1, "x"), 1);
    let former = nodes.ask(data.write()).guard();
    nodes.part(1);
    assert!(!Opened::guard(&former).is_valid());
    assert!(
        nodes.ask(nodes.lock(0, "x").try_write()).holds(),
        "it is lent anew"
    );
    nodes.meet(1);
    let guard = nodes.ask(data.lock().write()).guard();
    let refused = data.open(guard).expect_err("the former has it open");
    assert_eq!(refused.why, OpenRefused::InUse);
    drop(former);
    assert!(data.open(refused.guard).is_ok());
}
