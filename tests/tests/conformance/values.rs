//! D: the lock value block, restricted to the modes none, shared and exclusive.
//!
//! The numbers are those of the scenarios of distributed lock managers in `docs/CONFORMANCE.md`. The rules of the table
//! of modes differ in one point: there, a value is written when a mode is given up; here, when the holder says so, and
//! it may say so several times. Others see it when the hold has ended, as there.

use core::time::Duration;

use rm_core::testing::cluster::{Asked, Outcome};
use rm_core::value::{Value, WriteError};

use crate::{ALL, D2, D3, D4, L, Lock, M, READ, T, chain, star};

const NODES: [usize; 4] = [T, D2, D3, D4];

fn granted(lock: &mut Lock, node: usize, ask: rm_rwlock::RwCredit) -> Asked {
    let asked = lock.acquire(node, ask);
    lock.settle();
    assert!(lock.holds(asked));
    asked
}

/// One exclusive hold, from its grant to its end, that writes.
fn write(lock: &mut Lock, node: usize, bytes: &[u8]) {
    let asked = granted(lock, node, ALL);
    lock.write_value(asked, bytes).expect("it is exclusive");
    lock.release(asked);
    lock.settle();
}

/// What a shared hold reads, from its grant to its end.
fn read(lock: &mut Lock, node: usize) -> Option<Value> {
    let asked = granted(lock, node, READ);
    let value = lock.value(node).cloned();
    lock.release(asked);
    lock.settle();
    value
}

#[track_caller]
fn assert_reads(lock: &mut Lock, node: usize, bytes: &[u8]) {
    let value = read(lock, node).expect("it was written");
    assert_eq!((&*value.bytes, value.is_doubtful()), (bytes, false));
}

#[test]
fn d1_a_shared_holder_reads_what_the_last_exclusive_one_wrote_and_writes_nothing() {
    for writer in NODES {
        for reader in NODES {
            let mut lock = star();
            write(&mut lock, writer, b"v");
            assert_reads(&mut lock, reader, b"v");
            let shared = granted(&mut lock, reader, READ);
            let refused = lock.write_value(shared, b"w");
            assert_eq!(refused, Err(WriteError::NotExclusive));
            assert_reads(&mut lock, reader, b"v");
        }
    }
}

#[test]
fn d37_an_exclusive_holder_that_writes_nothing_changes_nothing() {
    let mut lock = star();
    assert_eq!(read(&mut lock, D2), None);
    write(&mut lock, D2, b"v");
    let exclusive = granted(&mut lock, D3, ALL);
    lock.release(exclusive);
    assert_reads(&mut lock, D4, b"v");
}

#[test]
fn d39_an_exclusive_holder_may_write_again_and_the_last_write_counts() {
    let mut lock = star();
    let exclusive = granted(&mut lock, D2, ALL);
    lock.write_value(exclusive, b"v").expect("it is exclusive");
    lock.write_value(exclusive, b"w").expect("it still is");
    lock.release(exclusive);
    assert_reads(&mut lock, D3, b"w");
}

#[test]
fn d40_a_request_that_fails_leaves_the_value_as_it_is() {
    let mut lock = star();
    write(&mut lock, D2, b"v");
    let shared = granted(&mut lock, D2, READ);
    let tried = lock.try_acquire(D3, ALL);
    lock.settle();
    let second = Duration::from_secs(1);
    let late = lock.acquire_within(D3, ALL, second);
    lock.advance(second);
    lock.settle();
    let cancelled = lock.acquire(D3, ALL);
    lock.cancel(cancelled);
    lock.settle();
    assert!(matches!(lock.outcome(tried), Outcome::Denied(_)));
    assert!(matches!(lock.outcome(late), Outcome::Denied(_)));
    lock.release(shared);
    assert_reads(&mut lock, D4, b"v");
}

#[test]
fn d41_a_doubtful_value_stays_so_for_all_until_the_next_write() {
    let mut lock = star();
    write(&mut lock, T, b"v");
    granted(&mut lock, D2, ALL);
    lock.lose(D2);
    for node in NODES {
        let value = read(&mut lock, node).expect("it is still there");
        assert_eq!((&*value.bytes, value.is_doubtful()), (&b"v"[..], true));
    }
    write(&mut lock, D3, b"w");
    assert_reads(&mut lock, D2, b"w");
}

#[test]
fn d43_zeros_and_nothing_are_values_like_others() {
    let mut lock = star();
    for bytes in [&[0; 32][..], &[]] {
        write(&mut lock, D2, bytes);
        assert_reads(&mut lock, D3, bytes);
    }
}

#[test]
fn d44_a_counter_that_goes_round_counts_each_turn() {
    let mut lock = star();
    for turn in 0..1_000_u64 {
        let node = NODES[turn as usize % NODES.len()];
        let exclusive = granted(&mut lock, node, ALL);
        let count = lock.value(node).map_or(0, |value| {
            u64::from_be_bytes((*value.bytes).try_into().expect("a counter"))
        });
        assert_eq!(count, turn);
        let next = (count + 1).to_be_bytes();
        lock.write_value(exclusive, &next).expect("it is exclusive");
        lock.release(exclusive);
    }
    for node in NODES {
        assert_reads(&mut lock, node, &1_000_u64.to_be_bytes());
    }
}

#[test]
fn d46_writers_take_turns_by_the_value_alone() {
    let mut lock = star();
    write(&mut lock, T, &[0]);
    for _ in 0..50 {
        for node in NODES {
            let value = read(&mut lock, node).expect("written");
            if usize::from(value.bytes[0]) % NODES.len() == node {
                write(&mut lock, node, &[value.bytes[0] + 1]);
            }
        }
    }
    assert_reads(&mut lock, D3, &[200]);
}

#[test]
fn d47_the_loss_of_an_exclusive_holder_makes_it_doubtful_that_of_a_shared_one_does_not() {
    for (held, is_doubtful) in [(ALL, true), (READ, false)] {
        let mut lock = star();
        write(&mut lock, D3, b"v");
        granted(&mut lock, D2, held);
        lock.lose(D2);
        let value = read(&mut lock, D4).expect("written");
        assert_eq!(value.is_doubtful(), is_doubtful);
    }
}

#[test]
fn d48_so_it_is_where_the_holder_sat_below_a_middle_owner() {
    let mut lock = chain();
    write(&mut lock, T, b"v");
    granted(&mut lock, L, ALL);
    lock.lose(L);
    for node in [L, M, T] {
        let value = read(&mut lock, node).expect("written");
        assert_eq!((&*value.bytes, value.is_doubtful()), (&b"v"[..], true));
    }
}

#[test]
fn d49_what_is_doubtful_has_the_bytes_and_the_version_of_the_last_write_that_is_known() {
    let mut lock = star();
    write(&mut lock, D2, b"v");
    let before = read(&mut lock, D3).expect("written");
    let exclusive = granted(&mut lock, D2, ALL);
    lock.write_value(exclusive, b"lost")
        .expect("it is exclusive");
    lock.lose(D2);
    let after = read(&mut lock, D3).expect("written");
    assert_eq!(after, before.doubted());
}

#[test]
fn d50_a_value_has_any_length_up_to_the_limit() {
    let mut lock = star();
    for len in [0, 8, 16, 32, 64, 1024] {
        write(&mut lock, D2, &vec![7; len]);
        assert_reads(&mut lock, D3, &vec![7; len]);
    }
    let exclusive = granted(&mut lock, D2, ALL);
    let (bytes, max) = (1025, 1024);
    assert_eq!(
        lock.write_value(exclusive, &[7; 1025]),
        Err(WriteError::TooLarge { bytes, max })
    );
}

#[test]
fn n9_a_reader_reads_from_its_cache_without_a_message() {
    let mut lock = star();
    write(&mut lock, D2, b"v");
    assert_reads(&mut lock, D3, b"v");
    let again = lock.acquire(D3, READ);
    assert!(lock.holds(again));
    assert_eq!(lock.value(D3).map(|value| &*value.bytes), Some(&b"v"[..]));
    assert_eq!(lock.settle(), 0);
}
