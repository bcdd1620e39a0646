//! K: what is known to go wrong in credit managers, and must not here.

use std::time::Duration;

use rm_core::error::Denied;
use rm_core::testing::cluster::{Cluster, Outcome};
use rm_rwlock::credit::RwLockType;
use rm_types::{SemaphoreType, Units};

use crate::{
    ALL, D2, D3, D4, L, M, NONE, READ, T, all_but, assert_books, cache, chain, play, shares, star,
};

#[test]
fn k1_a_cached_reader_that_writes_is_asked_for_nothing_itself() {
    let mut lock = star();
    cache(&mut lock, D3, READ);
    cache(&mut lock, D2, READ);
    let write = lock.acquire(D2, ALL);
    lock.deliver(D2, T);
    lock.deliver(T, D3);
    assert!(!lock.is_recalled(D2), "it is the one that asks");
    assert_eq!(lock.settle(), 2);
    assert!(lock.holds(write));
    assert_books(&lock, [(T, NONE, NONE, ALL), (D2, NONE, ALL, NONE)]);
}

#[test]
fn k2_a_cached_reader_that_writes_costs_two_messages_and_two_for_each_other_reader() {
    let readers = 50;
    let mut lock = Cluster::star(&RwLockType::default(), readers);
    for reader in 1..=readers {
        cache(&mut lock, reader, READ);
    }
    let write = lock.acquire(1, ALL);
    assert_eq!(lock.settle(), 2 + 2 * (readers - 1));
    assert!(lock.holds(write));
    assert_books(&lock, [(T, NONE, NONE, ALL), (1, NONE, ALL, NONE)]);
}

#[test]
fn k3_a_reader_waits_for_a_local_writer_whose_credit_came_in_two_parts() {
    let mut lock = star();
    cache(&mut lock, D2, READ);
    let write = lock.acquire(D2, ALL);
    assert_eq!(lock.settle(), 2);
    let read = lock.acquire(D2, READ);
    lock.settle();
    assert!(lock.holds(write) && lock.waits(read));
    lock.release(write);
    assert!(lock.holds(read));
    assert_books(&lock, [(T, NONE, NONE, ALL), (D2, all_but(1), READ, NONE)]);
}

#[test]
fn k4_a_remote_reader_waits_for_a_writer_at_the_root_whose_credit_came_back_in_parts() {
    let mut lock = star();
    cache(&mut lock, D2, READ);
    lock.return_spare(D2);
    assert_eq!(lock.settle(), 1);
    let write = lock.acquire(T, ALL);
    let read = lock.acquire(D3, READ);
    assert_eq!(lock.settle(), 1);
    assert!(lock.holds(write) && lock.waits(read));
    lock.release(write);
    lock.settle();
    assert!(lock.holds(read));
    assert_books(&lock, [(T, all_but(1), NONE, READ), (D3, NONE, READ, NONE)]);
}

#[test]
fn k5_what_was_lent_in_two_parts_is_recalled_as_one() {
    let mut lock = star();
    cache(&mut lock, D2, READ);
    cache(&mut lock, D2, ALL);
    let write = lock.acquire(D3, ALL);
    assert_eq!(lock.settle(), 4);
    assert!(lock.holds(write));
    assert_books(&lock, [(T, NONE, NONE, ALL), (D3, NONE, ALL, NONE)]);
}

/// M gives back all it can, and that is nothing.
#[test]
fn k6_what_a_debtor_below_holds_is_not_given_back_by_the_owner_in_the_middle() {
    let mut lock = chain();
    let below = lock.acquire(L, ALL);
    lock.settle();
    lock.return_spare(M);
    assert_eq!(lock.settle(), 0);
    let above = lock.acquire(T, ALL);
    lock.settle();
    assert!(lock.holds(below) && lock.waits(above));
    lock.release(below);
    lock.settle();
    assert!(lock.holds(above));
    assert_books(&lock, [(T, NONE, ALL, NONE)]);
}

#[test]
fn k7_what_is_held_is_not_given_back() {
    let mut lock = star();
    let first = lock.acquire(D2, ALL);
    lock.settle();
    lock.return_spare(D2);
    assert_eq!(lock.settle(), 0);
    let second = lock.acquire(D3, ALL);
    lock.settle();
    assert!(lock.holds(first) && lock.waits(second));
    lock.release(first);
    lock.settle();
    assert!(lock.holds(second));
}

/// Two units and three, borrowed one after the other.
fn five_cached_units() -> Cluster<SemaphoreType> {
    let mut units = Cluster::star(&SemaphoreType::with_units(8), 2);
    let parts = [2, 3].map(|count| units.acquire(D2, Units(count)));
    assert_eq!(units.settle(), 4);
    for part in parts {
        units.release(part);
    }
    assert_eq!(units.books(D2).cached, Units(5));
    units
}

#[test]
fn k8_a_local_request_takes_as_many_units_as_it_asks_for_out_of_several_parts() {
    let mut units = five_cached_units();
    let three = units.acquire(D2, Units(3));
    assert_eq!(units.settle(), 0);
    assert!(units.holds(three));
    assert_eq!(units.books(D2).cached, Units(2));
}

#[test]
fn k8_a_remote_request_takes_as_many_units_as_it_misses_out_of_several_parts() {
    let mut units = five_cached_units();
    let rest = units.acquire(T, Units(3));
    let three = units.acquire(D3, Units(3));
    assert_eq!(units.settle(), 4);
    assert!(units.holds(rest) && units.holds(three));
    assert_eq!(units.books(D2).cached, Units(2));
    assert_eq!(units.books(T).lent, Units(5));
}

#[test]
fn k9_a_recall_that_crosses_the_return_it_asks_for_does_no_harm() {
    let mut lock = star();
    cache(&mut lock, D2, ALL);
    let write = lock.acquire(D3, ALL);
    lock.deliver(D3, T);
    lock.return_spare(D2);
    assert_eq!(lock.settle(), 3);
    assert!(lock.holds(write) && !lock.is_recalled(D2));
    assert_books(&lock, [(T, NONE, NONE, ALL), (D3, NONE, ALL, NONE)]);
}

/// A session keeps the order of its messages, so a recall arrives after the grant that it speaks of, if only just.
#[test]
fn k10_a_recall_on_the_heels_of_its_grant_waits_for_the_holder() {
    let mut lock = star();
    let read = lock.acquire(D2, READ);
    lock.deliver(D2, T);
    let write = lock.acquire(T, ALL);
    assert!(lock.waits(write), "the grant is still under way");
    assert_eq!(lock.settle(), 2);
    assert!(lock.holds(read) && lock.waits(write));
    lock.release(read);
    assert_eq!(lock.settle(), 1);
    assert!(lock.holds(write));
    assert_books(&lock, [(T, NONE, ALL, NONE)]);
}

#[test]
fn k16_fifty_units_that_come_back_are_one_amount() {
    let mut lock = Cluster::star(&RwLockType::default(), 50);
    for debtor in 1..=50 {
        cache(&mut lock, debtor, READ);
    }
    assert_eq!(lock.books(T).cached, all_but(50));
    for debtor in 1..=50 {
        lock.return_spare(debtor);
    }
    assert_eq!(lock.settle(), 50);
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
    let write = lock.acquire(T, ALL);
    assert!(lock.holds(write));
}

#[test]
fn k17_a_cancelled_writer_lets_the_readers_behind_it_through() {
    let mut lock = star();
    let early = lock.acquire(D2, READ);
    lock.settle();
    let write = lock.acquire(D3, ALL);
    lock.settle();
    let late = lock.acquire(D4, READ);
    lock.settle();
    lock.cancel(write);
    // The want is withdrawn, the reader's grant goes out, and D2 need not give way any more.
    assert_eq!(lock.settle(), 3);
    assert!(lock.holds(early) && lock.holds(late));
    assert!(!lock.is_recalled(D2));
    assert_books(
        &lock,
        [
            (T, all_but(2), NONE, shares(2)),
            (D2, NONE, READ, NONE),
            (D4, NONE, READ, NONE),
        ],
    );
}

#[test]
fn k17_a_writer_whose_time_ran_out_lets_the_readers_behind_it_through() {
    let mut lock = star();
    let early = lock.acquire(D2, READ);
    lock.settle();
    let write = lock.acquire_within(D3, ALL, Duration::from_secs(1));
    let late = lock.acquire(D4, READ);
    lock.settle();
    lock.advance(Duration::from_millis(999));
    lock.settle();
    assert!(lock.waits(write) && lock.waits(late));
    lock.advance(Duration::from_millis(1));
    lock.settle();
    assert!(matches!(
        lock.outcome(write),
        Outcome::Denied(Denied::Timeout { .. })
    ));
    assert!(lock.holds(early) && lock.holds(late));
    assert_eq!(lock.books(T).cached, all_but(2));
}

#[test]
fn k17_a_grant_that_crosses_a_cancellation_is_cached_and_not_lost() {
    let mut lock = star();
    let write = lock.acquire(D2, ALL);
    lock.deliver(D2, T);
    lock.cancel(write);
    assert_eq!(lock.settle(), 2);
    assert_books(&lock, [(T, NONE, NONE, ALL), (D2, ALL, NONE, NONE)]);
    let read = lock.acquire(D3, READ);
    lock.settle();
    assert!(lock.holds(read));
}

#[test]
fn k18_of_two_cached_readers_that_write_at_once_the_older_goes_first_whoever_is_heard_first() {
    for heard_first in [D2, D3] {
        let mut lock = star();
        cache(&mut lock, D2, READ);
        cache(&mut lock, D3, READ);
        let older = lock.acquire(D2, ALL);
        let younger = lock.acquire(D3, ALL);
        lock.deliver(heard_first, T);
        lock.settle();
        assert!(lock.holds(older) && lock.waits(younger));
        lock.release(older);
        lock.settle();
        assert!(lock.holds(younger));
        assert_books(&lock, [(T, NONE, NONE, ALL), (D3, NONE, ALL, NONE)]);
    }
}

/// D2 has two shares, and its readers take turns so that one always reads.
#[test]
fn k19_readers_that_overlap_pass_a_waiting_writer_only_while_its_recall_is_under_way() {
    let mut lock = star();
    let [mut reading, other] = [0; 2].map(|_| lock.acquire(D2, READ));
    lock.settle();
    lock.release(other);
    let write = lock.acquire(D3, ALL);
    lock.deliver(D3, T);
    for _ in 0..100 {
        let next = lock.acquire(D2, READ);
        assert!(
            lock.holds(next),
            "out of the cache, and D2 knows of no writer"
        );
        lock.release(reading);
        reading = next;
    }
    lock.deliver(T, D2);
    let next = lock.acquire(D2, READ);
    lock.settle();
    assert!(lock.waits(write) && lock.waits(next));
    lock.release(reading);
    lock.settle();
    assert!(lock.holds(write) && lock.waits(next));
    lock.release(write);
    lock.settle();
    assert!(lock.holds(next));
}

#[test]
fn k19_a_hundred_later_readers_all_wait_for_a_writer_that_waits() {
    let mut lock = star();
    let reading = lock.acquire(D2, READ);
    lock.settle();
    let write = lock.acquire(D3, ALL);
    lock.settle();
    let later: Vec<_> = (0..100)
        .map(|round| {
            let read = lock.acquire([T, D2, D4][round % 3], READ);
            lock.settle();
            read
        })
        .collect();
    assert!(later.iter().all(|&read| lock.waits(read)));
    lock.release(reading);
    lock.settle();
    assert!(lock.holds(write));
    assert!(later.iter().all(|&read| lock.waits(read)));
    lock.release(write);
    lock.settle();
    assert!(later.iter().all(|&read| lock.holds(read)));
    let held = [T, D2, D4].map(|node| lock.books(node).held.shares);
    assert_eq!(held.iter().sum::<u64>(), 100);
}

#[test]
fn k20_members_of_a_group_on_one_node_share_the_lock_and_others_wait() {
    play(
        "
        tree T; A, B < T
        W at A: write in group g; settle
        R at A: read in group g; V at A: write in group g
        other at A: read in group h; remote at B: read in group g; settle
        expect W and V hold write, R holds read, other and remote wait
        W releases; settle; expect V holds, other and remote wait
        V, R release; settle
        expect other and remote hold
        ",
    );
}

#[test]
fn k21_a_node_is_told_when_credit_that_it_has_cached_leaves() {
    play(
        "
        tree T; A, B < T
        A caches write; expect A not told
        R at B: read; deliver B -> T; expect A not told
        deliver T -> A; expect A told
        settle; expect R holds, A not told
        ",
    );
}

#[test]
fn k24_a_cached_reader_and_a_stranger_that_is_heard_first_write_in_the_order_of_their_age() {
    for (first, second) in [(D2, D4), (D4, D2)] {
        let mut lock = star();
        cache(&mut lock, D2, READ);
        let older = lock.acquire(first, ALL);
        let younger = lock.acquire(second, ALL);
        lock.deliver(D4, T);
        lock.settle();
        assert!(lock.holds(older) && lock.waits(younger));
        lock.release(older);
        lock.settle();
        assert!(lock.holds(younger));
        assert_books(&lock, [(T, NONE, NONE, ALL), (second, NONE, ALL, NONE)]);
    }
}

/// Age counts among those who wait. Here nobody else is known to when the younger is served.
#[test]
fn k24_a_cached_reader_that_is_heard_first_is_granted_what_is_free_before_an_older_stranger() {
    let mut lock = star();
    cache(&mut lock, D2, READ);
    let older = lock.acquire(D4, ALL);
    let younger = lock.acquire(D2, ALL);
    lock.deliver(D2, T);
    lock.settle();
    assert!(lock.holds(younger) && lock.waits(older));
    lock.release(younger);
    lock.settle();
    assert!(lock.holds(older));
    assert_books(&lock, [(T, NONE, NONE, ALL), (D4, NONE, ALL, NONE)]);
}
