//! I: reads and writes at the root and at three debtors; and what they cost in messages.

use rm_core::credit::Credit as _;
use rm_core::id::ResourceKey;
use rm_core::testing::cluster::Cluster;
use rm_rwlock::credit::{RwCredit, RwLockType};

use crate::{ALL, D2, D3, D4, NONE, READ, T, all_but, assert_books, cache, shares, star};

#[test]
fn i1_a_name_and_an_amount_come_back_from_their_bytes() {
    let key = ResourceKey::new(b"volumes/\xff").expect("a good name");
    assert_eq!(ResourceKey::new(key.as_bytes()), Ok(key));
    for credit in [NONE, READ, RwCredit::UPGRADABLE, all_but(1), ALL] {
        let mut bytes = Vec::new();
        credit.encode(&mut bytes);
        assert_eq!(RwCredit::decode(&bytes), Ok(credit));
    }
}

#[test]
fn i2_read_when_free() {
    let mut lock = star();
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
    let read = lock.acquire(T, READ);
    assert!(lock.holds(read));
    assert_eq!(lock.settle(), 0);
    assert_books(&lock, [(T, all_but(1), READ, NONE)]);
}

#[test]
fn i2_read_when_free_at_a_debtor() {
    let mut lock = star();
    let read = lock.acquire(D2, READ);
    assert_eq!(lock.settle(), 2);
    assert!(lock.holds(read));
    assert_books(&lock, [(T, all_but(1), NONE, READ), (D2, NONE, READ, NONE)]);
}

#[test]
fn i3_write_when_free() {
    let mut lock = star();
    let write = lock.acquire(T, ALL);
    assert!(lock.holds(write));
    assert_eq!(lock.settle(), 0);
    assert_books(&lock, [(T, NONE, ALL, NONE)]);
}

#[test]
fn i3_write_when_free_at_a_debtor() {
    let mut lock = star();
    let write = lock.acquire(D2, ALL);
    assert_eq!(lock.settle(), 2);
    assert!(lock.holds(write));
    assert_books(&lock, [(T, NONE, NONE, ALL), (D2, NONE, ALL, NONE)]);
}

#[test]
fn i4_read_when_the_root_reads() {
    let mut lock = star();
    let above = lock.acquire(T, READ);
    let below = lock.acquire(D2, READ);
    assert_eq!(lock.settle(), 2);
    assert!(lock.holds(above) && lock.holds(below));
    assert_books(&lock, [(T, all_but(2), READ, READ), (D2, NONE, READ, NONE)]);
}

#[test]
fn i4_read_when_another_debtor_reads() {
    let mut lock = star();
    let first = lock.acquire(D2, READ);
    let second = lock.acquire(D3, READ);
    assert_eq!(lock.settle(), 4);
    assert!(lock.holds(first) && lock.holds(second));
    assert_books(
        &lock,
        [
            (T, all_but(2), NONE, shares(2)),
            (D2, NONE, READ, NONE),
            (D3, NONE, READ, NONE),
        ],
    );
}

#[test]
fn i5_read_when_the_root_writes() {
    let mut lock = star();
    let write = lock.acquire(T, ALL);
    let read = lock.acquire(D2, READ);
    assert_eq!(lock.settle(), 1);
    assert!(lock.holds(write) && lock.waits(read));
    assert_books(&lock, [(T, NONE, ALL, NONE)]);
    lock.release(write);
    assert_eq!(lock.settle(), 1);
    assert!(lock.holds(read));
    assert_books(&lock, [(T, all_but(1), NONE, READ), (D2, NONE, READ, NONE)]);
}

#[test]
fn i5_read_when_another_debtor_writes() {
    let mut lock = star();
    let write = lock.acquire(D2, ALL);
    lock.settle();
    let read = lock.acquire(D3, READ);
    assert_eq!(lock.settle(), 2);
    assert!(lock.waits(read) && lock.is_recalled(D2));
    assert_books(&lock, [(T, NONE, NONE, ALL), (D2, NONE, ALL, NONE)]);
    let fence = lock.fence(write);
    lock.release(write);
    assert_eq!(lock.settle(), 2);
    assert!(lock.fence(read) > fence);
    // `Exact` returns what was asked for, and no more.
    assert_books(
        &lock,
        [
            (T, NONE, NONE, ALL),
            (D2, all_but(1), NONE, NONE),
            (D3, NONE, READ, NONE),
        ],
    );
}

#[test]
fn i6_write_when_the_root_reads() {
    let mut lock = star();
    let read = lock.acquire(T, READ);
    let write = lock.acquire(D2, ALL);
    assert_eq!(lock.settle(), 1);
    assert!(lock.waits(write));
    assert_books(&lock, [(T, all_but(1), READ, NONE)]);
    lock.release(read);
    assert_eq!(lock.settle(), 1);
    assert!(lock.holds(write));
    assert_books(&lock, [(T, NONE, NONE, ALL), (D2, NONE, ALL, NONE)]);
}

#[test]
fn i7_write_when_another_debtor_reads() {
    let mut lock = star();
    let read = lock.acquire(D2, READ);
    lock.settle();
    let write = lock.acquire(D3, ALL);
    assert_eq!(lock.settle(), 2);
    assert!(lock.waits(write) && lock.is_recalled(D2));
    assert_books(&lock, [(T, all_but(1), NONE, READ), (D2, NONE, READ, NONE)]);
    lock.release(read);
    assert_eq!(lock.settle(), 2);
    assert!(lock.holds(write));
    assert_books(&lock, [(T, NONE, NONE, ALL), (D3, NONE, ALL, NONE)]);
}

#[test]
fn i7_write_when_the_root_and_two_debtors_read() {
    let mut lock = star();
    let reads = [T, D2, D4].map(|node| lock.acquire(node, READ));
    lock.settle();
    let write = lock.acquire(D3, ALL);
    assert_eq!(lock.settle(), 3);
    for read in reads {
        assert!(lock.waits(write), "the last reader still reads");
        lock.release(read);
        lock.settle();
    }
    assert!(lock.holds(write));
    assert_books(&lock, [(T, NONE, NONE, ALL), (D3, NONE, ALL, NONE)]);
}

#[test]
fn i8_write_when_another_debtor_writes() {
    let mut lock = star();
    let first = lock.acquire(D2, ALL);
    lock.settle();
    let second = lock.acquire(D3, ALL);
    assert_eq!(lock.settle(), 2);
    assert!(lock.waits(second) && lock.is_recalled(D2));
    assert_books(&lock, [(T, NONE, NONE, ALL), (D2, NONE, ALL, NONE)]);
    let fence = lock.fence(first);
    lock.release(first);
    assert_eq!(lock.settle(), 2);
    assert!(lock.fence(second) > fence);
    assert_books(&lock, [(T, NONE, NONE, ALL), (D3, NONE, ALL, NONE)]);
}

#[test]
fn i9_two_reads_go_home_when_their_debtors_return_what_they_have() {
    let mut lock = star();
    let reads = [D2, D3].map(|node| lock.acquire(node, READ));
    lock.settle();
    assert_eq!(lock.books(T).cached, all_but(2));
    for (node, read) in [D2, D3].into_iter().zip(reads) {
        lock.release(read);
        lock.return_spare(node);
    }
    assert_eq!(lock.settle(), 2);
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
}

/// The barrier is there for every writer: nobody has to ask for it.
#[test]
fn i10_a_waiting_writer_always_bars_later_readers_and_does_not_starve() {
    let mut lock = star();
    let early = lock.acquire(D2, READ);
    lock.settle();
    let write = lock.acquire(D3, ALL);
    assert_eq!(lock.settle(), 2);
    let late = lock.acquire(D4, READ);
    assert_eq!(lock.settle(), 1);
    assert!(lock.holds(early) && lock.waits(write));
    assert!(lock.waits(late), "although shares are free");
    assert_books(&lock, [(T, all_but(1), NONE, READ), (D2, NONE, READ, NONE)]);
    lock.release(early);
    assert_eq!(lock.settle(), 2);
    assert!(lock.holds(write) && lock.waits(late));
    assert!(
        lock.is_recalled(D3),
        "the recall for the reader came with the grant"
    );
    assert_books(&lock, [(T, NONE, NONE, ALL), (D3, NONE, ALL, NONE)]);
    lock.release(write);
    assert_eq!(lock.settle(), 2);
    assert_eq!(lock.granted(), [early, write, late]);
    assert_books(
        &lock,
        [
            (T, NONE, NONE, ALL),
            (D3, all_but(1), NONE, NONE),
            (D4, NONE, READ, NONE),
        ],
    );
}

#[test]
fn i11_barriers_do_not_keep_readers_apart() {
    let mut lock = star();
    let mut reads = Vec::new();
    for (count, node) in (1..).zip([D2, D3, D4]) {
        let read = lock.acquire(node, READ);
        assert_eq!(lock.settle(), 2);
        assert!(lock.holds(read));
        assert_eq!(lock.books(T).cached, all_but(count));
        reads.push(read);
    }
    for read in reads {
        lock.release(read);
    }
    assert_eq!(lock.settle(), 0, "what nobody asks for stays cached");
    let cached = [D2, D3, D4].map(|node| (node, READ, NONE, NONE));
    let [d2, d3, d4] = cached;
    assert_books(&lock, [(T, all_but(3), NONE, shares(3)), d2, d3, d4]);
    for node in [D2, D3, D4] {
        lock.return_spare(node);
    }
    assert_eq!(lock.settle(), 3);
    assert_books(&lock, [(T, ALL, NONE, NONE)]);
}

#[test]
fn a_read_and_a_write_out_of_the_cache_cost_no_message() {
    let mut lock = star();
    for credit in [READ, ALL] {
        cache(&mut lock, D2, credit);
        let again = lock.acquire(D2, credit);
        assert!(lock.holds(again));
        lock.release(again);
        assert_eq!(lock.settle(), 0);
    }
}

#[test]
fn a_write_with_k_caching_readers_costs_two_messages_and_two_for_each() {
    for readers in [0, 1, 2, 10, 100] {
        let mut lock = Cluster::star(&RwLockType::default(), readers + 1);
        for reader in 1..=readers {
            cache(&mut lock, reader, READ);
        }
        let writer = readers + 1;
        let write = lock.acquire(writer, ALL);
        assert_eq!(lock.settle(), 2 + 2 * readers);
        assert!(lock.holds(write));
        assert_books(&lock, [(T, NONE, NONE, ALL), (writer, NONE, ALL, NONE)]);
    }
}

#[test]
fn a_write_that_another_debtor_has_cached_costs_four_messages() {
    let mut lock = star();
    cache(&mut lock, D2, ALL);
    assert_books(&lock, [(T, NONE, NONE, ALL), (D2, ALL, NONE, NONE)]);
    let write = lock.acquire(D3, ALL);
    assert_eq!(lock.settle(), 4);
    assert!(lock.holds(write));
    assert_books(&lock, [(T, NONE, NONE, ALL), (D3, NONE, ALL, NONE)]);
}

#[test]
fn a_hand_over_between_two_debtors_that_write_in_turn_costs_four_messages_each_time() {
    let mut lock = star();
    cache(&mut lock, D2, ALL);
    let mut last = None;
    for turn in 0..10 {
        let write = lock.acquire([D3, D2][turn % 2], ALL);
        assert_eq!(lock.settle(), 4);
        assert!(lock.fence(write) > last);
        last = lock.fence(write);
        lock.release(write);
    }
}
