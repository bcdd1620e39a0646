//! Volumes are created from a snapshot while somebody deletes it: the question that Cinder asked in 2015.
//!
//! Who creates reads the source's lock, who deletes writes it. The lock says nothing about whether the source is
//! still there: whoever gets it looks.

use std::cell::Cell;

use rm_core::front::AcquireError;
use rm_tests::joined::{Asking, Joined};

use crate::play;

/// The lock of each kind of source.
const SOURCES: [&str; 2] = ["snapshot/S", "volume/V"];

#[test]
fn cinder_c1_c7_creates_run_side_by_side_on_any_hosts_and_a_delete_on_another_is_kept_out() {
    for source in SOURCES {
        let nodes = Joined::star(3);
        let creates =
            [1, 1, 2].map(|host| nodes.ask(nodes.lock(host, source).read_owned()).guard());
        assert!(creates.iter().all(|create| create.is_valid()));
        let mut delete = nodes.ask(nodes.lock(3, source).write_owned());
        assert!(delete.waits());
    }
}

#[test]
fn cinder_c2_c6_a_delete_waits_for_every_create_that_runs() {
    for source in SOURCES {
        let nodes = Joined::star(2);
        let creates = [1, 2].map(|host| nodes.ask(nodes.lock(host, source).read_owned()).guard());
        let mut delete = nodes.ask(nodes.lock(1, source).write_owned());
        for create in creates {
            assert!(delete.waits());
            drop(create);
            nodes.settle();
        }
        assert!(delete.holds());
    }
}

#[test]
fn cinder_c3_c5_who_waited_for_a_delete_finds_the_source_gone() {
    for source in SOURCES {
        let nodes = Joined::star(2);
        let exists = Cell::new(true);
        let delete = nodes.ask(nodes.lock(1, source).write_owned()).guard();
        let mut create = nodes.ask(nodes.lock(2, source).read_owned());
        let mut second_delete = nodes.ask(nodes.lock(2, source).write_owned());
        assert!(create.waits() && second_delete.waits());
        exists.set(false);
        drop(delete);
        nodes.settle();
        let create = create.guard();
        assert!(
            !exists.get(),
            "the create reports that there is no such source"
        );
        drop(create);
        nodes.settle();
        assert!(
            second_delete.holds() && !exists.get(),
            "and so does the second delete"
        );
    }
}

#[test]
fn cinder_c4_a_create_that_comes_after_a_delete_waits_behind_it() {
    play(
        "
        tree T; A, B, C < T
        create1 at A: read; create2 at B: read; settle
        delete at C: write; settle
        late at A: read; settle
        expect delete and late wait
        create1, create2 release; settle
        expect delete holds, late waits
        delete releases; settle; expect late holds
        ",
    );
}

#[test]
fn cinder_c10_a_hundred_creates_cost_messages_for_each_host_and_not_for_each_create() {
    let nodes = Joined::star(4);
    let (mut guards, mut messages) = (Vec::new(), 0);
    for create in 0..100 {
        let lock = nodes.lock(1 + create % 4, "snapshot/S");
        let asking = Asking::begin(lock.read_owned());
        messages += nodes.settle();
        guards.push(asking.guard());
    }
    assert_eq!(guards.len(), 100);
    // The first host got all there is along, and is asked for a part of it once.
    assert_eq!(messages, 2 * 4 + 2);
}

#[test]
fn cinder_c11_a_delete_that_does_not_wait_is_told_who_creates() {
    let nodes = Joined::star(2);
    let lock = nodes.lock(1, "snapshot/S");
    let _create = nodes.ask(lock.read().label("volume 7 from S")).guard();
    let delete = nodes.lock(2, "snapshot/S");
    match nodes.ask(delete.try_write()).outcome() {
        Err(AcquireError::Busy { holders }) => {
            let [holder] = &holders[..] else {
                panic!("one holder: {holders:?}");
            };
            let said = (&*holder.node, &*holder.mode, &*holder.label);
            assert_eq!(said, ("n1", "read", "volume 7 from S"));
        }
        other => panic!("busy: {other:?}"),
    }
}

#[test]
fn cinder_c12_nothing_is_left_of_a_lock_after_its_users_are_gone() {
    let nodes = Joined::star(1);
    drop(nodes.ask(nodes.lock(1, "snapshot/S").write_owned()).guard());
    nodes.part(1);
    for node in [0, 1] {
        nodes.domain(node).sweep();
        nodes.domain(node).sweep();
        assert_eq!(nodes.domain(node).totals().resources, 0);
    }
}
