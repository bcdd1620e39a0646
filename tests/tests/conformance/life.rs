//! A and J: domains, resources and requests from beginning to end; names. On whole domains.

use std::cell::Cell;
use std::time::Duration;

use rm_core::front::{AcquireError, Handle};
use rm_core::id::{BadName, ResourceKey};
use rm_rwlock::{RwLock, RwLockType};
use rm_tests::joined::{Asking, Joined};

#[test]
fn a1_a_new_domain_has_nothing() {
    let nodes = Joined::star(1);
    for node in [0, 1] {
        let totals = nodes.domain(node).totals();
        assert_eq!((totals.resources, totals.holds, totals.waiting), (0, 0, 0));
    }
}

#[test]
fn a3_a4_a_resource_is_there_once_it_is_named_and_vanishes_when_nobody_names_or_uses_it() {
    let nodes = Joined::star(0);
    let lock = nodes.lock(0, "x");
    let same = nodes.lock(0, "x");
    assert_eq!(nodes.domain(0).totals().resources, 1);
    drop((lock, same));
    // The first sweep notes that nobody used it, the second drops it.
    nodes.domain(0).sweep();
    nodes.domain(0).sweep();
    assert_eq!(nodes.domain(0).totals().resources, 0);
}

#[test]
fn a5_a11_the_root_of_a_resource_has_its_capital_and_a_debtor_nothing() {
    let nodes = Joined::star(1);
    let key = ResourceKey::new(b"x").expect("a name");
    for (node, is_root) in [(0, true), (1, false)] {
        let handle: Handle<RwLockType> = nodes.domain(node).resource(&key).expect("room");
        handle.with_owner(|owner| {
            assert_eq!(owner.is_root(), is_root);
            assert_eq!(owner.cached() == owner.capital(), is_root);
        });
    }
}

#[test]
fn a13_a_request_for_all_there_is_is_granted_and_given_back() {
    let nodes = Joined::star(0);
    let lock = nodes.lock(0, "x");
    let guard = nodes.ask(lock.write()).guard();
    assert!(guard.is_valid());
    drop(guard);
    assert!(lock.try_write_cached().is_some());
}

#[test]
fn a14_a_domain_that_was_shut_down_denies_what_comes() {
    let nodes = Joined::star(0);
    nodes.domain(0).shut_down();
    let denied = nodes.ask(nodes.lock(0, "x").read_owned()).outcome();
    assert_eq!(denied.err(), Some(AcquireError::ShuttingDown));
}

#[test]
fn dlm_a5_names_have_1_to_255_bytes_of_any_value_and_a_prefix_is_another_name() {
    let nodes = Joined::star(0);
    let lock = |name: &[u8]| RwLock::new(nodes.domain(0), name);
    for name in [&[7][..], &[7; 255], b"a\0b", b"\xff\xfe", b"a", b"a\0"] {
        let lock = lock(name);
        let _first = nodes.ask(lock.write()).guard();
        assert!(
            nodes.ask(lock.try_write()).outcome().is_err(),
            "the same name"
        );
        assert!(
            !nodes
                .ask(RwLock::new(nodes.domain(0), [name, b"!"].concat()).try_write())
                .waits()
        );
    }
    let _short = nodes.ask(lock(b"ab").write_owned()).guard();
    let mut longer = nodes.ask(lock(b"abc").write_owned());
    assert!(longer.holds(), "another lock");
    for (name, bad) in [
        (&[][..], BadName::Empty),
        (&[7; 256], BadName::TooLong { bytes: 256 }),
    ] {
        let refused = nodes.ask(lock(name).write_owned()).outcome();
        assert_eq!(refused.err(), Some(AcquireError::BadName(bad)));
    }
}

#[test]
fn dlm_a9_what_can_be_had_now_is_there_at_the_first_poll_and_anything_else_later() {
    let nodes = Joined::star(1);
    let lock = nodes.lock(1, "x");
    drop(nodes.ask(lock.write()));
    assert!(lock.try_write_cached().is_some(), "no message was needed");
    let reader = nodes.ask(lock.read()).guard();
    let mut writer = nodes.ask(lock.write());
    assert!(writer.waits());
    drop(reader);
    assert!(writer.holds());
}

#[test]
fn dlm_g11_letting_go_of_what_was_lost_is_no_error() {
    let nodes = Joined::star(2);
    let (first, second) = (nodes.lock(1, "x"), nodes.lock(2, "x"));
    let lost = nodes.ask(first.write()).guard();
    nodes.part(1);
    assert!(!lost.is_valid());
    let guard = nodes.ask(second.write()).guard();
    drop(lost);
    nodes.settle();
    assert!(guard.is_valid());
    assert!(nodes.lock(0, "x").try_read_cached().is_none());
}

#[test]
fn dlm_g12_a_request_that_is_dropped_before_its_grant_was_seen_leaves_no_hold() {
    let nodes = Joined::star(1);
    let lock = nodes.lock(1, "x");
    for is_under_way in [true, false] {
        let asking = Asking::begin(lock.write());
        if !is_under_way {
            nodes.settle();
        }
        drop(asking);
        nodes.settle();
        assert_eq!(nodes.domain(1).totals().holds, 0);
    }
    assert!(lock.try_write_cached().is_some(), "the credit is cached");
}

#[test]
fn j1_ten_locks_are_taken_and_let_go_side_by_side() {
    let nodes = Joined::star(1);
    let locks: Vec<_> = (0..10)
        .map(|n| nodes.lock(1, &format!("file/{n}")))
        .collect();
    let guards: Vec<_> = locks
        .iter()
        .map(|lock| nodes.ask(lock.write()).guard())
        .collect();
    assert!(guards.iter().all(|guard| guard.is_valid()));
    assert_eq!(nodes.domain(1).totals().holds, 10);
    drop(guards);
    assert_eq!(nodes.domain(1).totals().holds, 0);
}

#[test]
fn j2_three_who_ask_one_handle_at_once_are_served_one_after_the_other() {
    let nodes = Joined::star(1);
    let lock = nodes.lock(1, "x");
    let mut all = [0; 3].map(|_| Some(nodes.ask(lock.write())));
    for turn in 0..3 {
        let waiting = all[turn..].iter_mut().flatten();
        let states: Vec<_> = waiting.map(|asking| asking.holds()).collect();
        assert_eq!(states.iter().filter(|&&holds| holds).count(), 1);
        assert!(states[0], "the first of them");
        all[turn] = None;
        nodes.settle();
    }
}

#[test]
fn j3_a_refusal_ends_the_request_and_leaves_nothing() {
    let nodes = Joined::with(1, |mut settings| {
        settings.resources_max = 1;
        settings
    });
    let _only = nodes.lock(0, "other");
    let refused = nodes.ask(nodes.lock(1, "x").write_owned()).outcome();
    assert_eq!(refused.err(), Some(AcquireError::Refused));
    let totals = nodes.domain(1).totals();
    assert_eq!((totals.holds, totals.waiting), (0, 0));
}

#[test]
fn dlm_b7_priority_puts_a_request_before_those_made_up_to_so_long_before_it_and_no_others() {
    let nodes = Joined::star(0);
    let lock = nodes.lock(0, "x");
    nodes.pass(Duration::from_secs(10));
    let held = nodes.ask(lock.write()).guard();
    let mut old = nodes.ask(lock.write());
    nodes.pass(Duration::from_millis(600));
    let mut young = nodes.ask(lock.write());
    nodes.pass(Duration::from_millis(300));
    let mut urgent = nodes.ask(lock.write().priority(Duration::from_millis(500)));
    drop(held);
    assert!(
        old.holds() && young.waits() && urgent.waits(),
        "900 ms are too much"
    );
    drop(old);
    assert!(urgent.holds() && young.waits(), "300 ms are not");
    drop(urgent);
    assert!(young.holds());
}

#[test]
fn j5_a_reader_that_is_told_of_a_writer_lets_go_and_reads_the_new_version() {
    let nodes = Joined::star(2);
    let (reads, writes) = (
        nodes.lock(1, "configuration"),
        nodes.lock(2, "configuration"),
    );
    let version = Cell::new(1);
    let reader = nodes.ask(reads.read()).guard();
    let mut told = nodes.ask(reader.wanted());
    assert!(told.waits() && !reader.is_wanted());
    let writer = nodes.ask(writes.write().label("new version"));
    let waiter = told.outcome().expect("it is told, not lost");
    assert_eq!(waiter.label, "new version");
    drop(reader);
    let mut again = nodes.ask(reads.read());
    assert!(again.waits());
    let writer = writer.guard();
    version.set(2);
    drop(writer);
    nodes.settle();
    assert!(again.holds() && version.get() == 2);
}
