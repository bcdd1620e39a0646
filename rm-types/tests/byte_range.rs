//! Range locks in one process, without a network.

use core::future::{Future, IntoFuture};
use core::task::{Context, Poll, Waker};
use std::pin::pin;

use rm_types::byte_range::{GUARDS_MAX, GuardRef, Mode};
use rm_types::doc::{block_on, domain};
use rm_types::{AcquireError, ByteRange};

fn file() -> ByteRange {
    ByteRange::new(&domain(), "file")
}

fn read(file: &ByteRange, range: core::ops::Range<u64>) -> GuardRef<'_> {
    file.try_read_cached(range).expect("nobody writes it")
}

fn write(file: &ByteRange, range: core::ops::Range<u64>) -> GuardRef<'_> {
    file.try_write_cached(range).expect("nobody has it")
}

#[test]
fn ranges_that_do_not_overlap_have_nothing_to_do_with_each_other() {
    let file = file();
    let _one = write(&file, 0..100);
    let mut cx = Context::from_waker(Waker::noop());
    let mut waiting = pin!(file.write(50..150).into_future());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    block_on(async {
        assert!(file.write(150..).await.is_ok(), "a wait elsewhere");
        let busy = file.try_read(99..100).await.expect_err("written");
        assert!(matches!(busy, AcquireError::Busy { .. }));
    });
}

#[test]
fn readers_share_bytes_and_a_writer_of_one_byte_of_theirs_waits() {
    let file = file();
    let (one, other) = (read(&file, 0..100), read(&file, 50..150));
    let mut cx = Context::from_waker(Waker::noop());
    let mut writing = pin!(file.write(99..=99).into_future());
    assert!(writing.as_mut().poll(&mut cx).is_pending());
    drop(one);
    assert!(writing.as_mut().poll(&mut cx).is_pending(), "two had it");
    drop(other);
    assert!(writing.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_reader_that_comes_after_a_waiting_writer_waits_only_where_they_meet() {
    let file = file();
    let _reader = read(&file, 0..100);
    let mut cx = Context::from_waker(Waker::noop());
    let mut writing = pin!(file.write(50..60).into_future());
    assert!(writing.as_mut().poll(&mut cx).is_pending());
    let mut behind = pin!(file.read(55..70).into_future());
    assert!(behind.as_mut().poll(&mut cx).is_pending());
    let mut beside = pin!(file.read(60..70).into_future());
    assert!(beside.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn who_waits_elsewhere_is_in_nobodys_way() {
    let file = file();
    let (_one, _other) = (write(&file, 0..100), write(&file, 200..300));
    let mut cx = Context::from_waker(Waker::noop());
    let mut waiting = pin!(file.write(50..60).into_future());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    let named = |range: core::ops::Range<u64>| {
        let busy = block_on(file.try_write(range).into_future());
        let Err(AcquireError::Busy { holders, .. }) = busy else {
            panic!("busy: {busy:?}");
        };
        holders.len()
    };
    assert_eq!(named(200..201), 1, "the holder");
    assert_eq!(named(50..51), 2, "the holder, and who waits for it");
}

#[test]
fn a_part_that_was_split_off_ends_by_itself() {
    let file = file();
    let mut front = write(&file, 0..100);
    let back = front.split_at(40).expect("one of its bytes");
    assert_eq!((front.range(), back.range()), (0..=39, 40..=99));
    assert_eq!(front.fence(), back.fence());
    drop(front);
    assert!(file.try_write_cached(0..40).is_some());
    assert!(file.try_read_cached(40..41).is_none());
    drop(back);
    assert!(file.try_write_cached(..).is_some());
}

#[test]
fn neighbours_merge_and_others_come_back() {
    let file = file();
    let mut guard = write(&file, 0..10);
    let fence = guard.fence();
    let apart = guard
        .merge(write(&file, 20..30))
        .expect_err("a gap between");
    let gap = write(&file, 10..20);
    guard.merge(gap).expect("its end");
    guard.merge(apart).expect("its end now");
    assert_eq!(guard.range(), 0..=29);
    assert_eq!(guard.mode(), Some(Mode::Write));
    assert!(guard.fence() > fence, "the latest of its parts");
    drop(guard);
    assert!(file.try_write_cached(..).is_some());
    let mut end = write(&file, u64::MAX - 1..u64::MAX);
    assert!(end.merge(write(&file, 0..1)).is_err(), "bytes are no ring");
}

#[test]
fn a_guard_downgrades_and_upgrades_in_part() {
    let file = file();
    let mut guard = write(&file, 0..30);
    let fence = guard.fence();
    guard.downgrade(10..20).expect("part of it");
    let pieces = guard.pieces().collect::<Vec<_>>();
    let (r, w) = (Mode::Read, Mode::Write);
    assert_eq!(pieces, [(0..=9, w), (10..=19, r), (20..=29, w)]);
    assert_eq!((guard.mode(), guard.fence()), (None, fence));
    let reader = read(&file, 10..20);
    assert!(file.try_read_cached(9..20).is_none());
    drop(reader);
    block_on(guard.upgrade(15..20)).expect("nobody else reads it");
    let pieces = guard.pieces().collect::<Vec<_>>();
    assert_eq!(pieces, [(0..=9, w), (10..=14, r), (15..=29, w)]);
    assert!(guard.fence() > fence);
    guard.downgrade(..).expect_err("more than it has");
    guard.downgrade(0..30).expect("all of it");
    assert_eq!(guard.mode(), Some(Mode::Read));
    assert_eq!(guard.fence() % 2, 0, "a reader's token is even");
}

#[test]
fn an_upgrade_waits_for_readers_of_its_part_and_goes_before_new_writers() {
    let file = file();
    let mut guard = read(&file, 0..30);
    let other = read(&file, 10..12);
    let mut cx = Context::from_waker(Waker::noop());
    let mut writing = pin!(file.write(10..20).into_future());
    assert!(writing.as_mut().poll(&mut cx).is_pending());
    {
        let mut upgrading = pin!(guard.upgrade(10..20));
        assert!(upgrading.as_mut().poll(&mut cx).is_pending());
        drop(other);
        let Poll::Ready(Ok(())) = upgrading.as_mut().poll(&mut cx) else {
            panic!("it has it to itself");
        };
    }
    assert!(writing.as_mut().poll(&mut cx).is_pending());
    drop(guard);
    assert!(writing.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_dropped_upgrade_leaves_the_guard_as_it_was() {
    let file = file();
    let mut guard = read(&file, 0..30);
    let mut cx = Context::from_waker(Waker::noop());
    let other = read(&file, 10..12);
    {
        let mut upgrading = pin!(guard.upgrade(0..30));
        assert!(upgrading.as_mut().poll(&mut cx).is_pending());
        assert!(file.try_read_cached(5..6).is_none(), "it goes first");
    }
    assert!(file.try_read_cached(5..6).is_some(), "it is withdrawn");
    {
        let mut upgrading = pin!(guard.upgrade(0..30));
        assert!(upgrading.as_mut().poll(&mut cx).is_pending());
        drop(other);
        assert!(file.try_read_cached(5..6).is_none(), "granted, not seen");
    }
    assert!(file.try_read_cached(5..6).is_some(), "it goes back");
    assert!(file.try_write_cached(5..6).is_none(), "it still reads");
    assert_eq!(guard.mode(), Some(Mode::Read));
}

#[test]
fn of_two_guards_that_wait_for_each_other_the_younger_is_told_at_once() {
    let file = file();
    // Each reads what the other wants to write; neither wants the same bytes.
    let (mut one, mut two) = (read(&file, 0..20), read(&file, 0..20));
    let mut cx = Context::from_waker(Waker::noop());
    let mut first = pin!(one.upgrade(0..10));
    assert!(first.as_mut().poll(&mut cx).is_pending());
    let denied = block_on(two.upgrade(10..20));
    assert!(matches!(denied, Err(AcquireError::WouldDeadlock { .. })));
    assert_eq!(two.mode(), Some(Mode::Read));
    assert!(first.as_mut().poll(&mut cx).is_pending());
    // It gives way in the part that the other waits for, and keeps the rest.
    drop(two.split_at(10).expect("one of its bytes"));
    assert!(first.as_mut().poll(&mut cx).is_pending());
    drop(two);
    assert!(first.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_part_outside_the_guard_is_refused_and_changes_nothing() {
    let file = file();
    let mut guard = write(&file, 10..20);
    for at in [9, 10, 20] {
        assert!(guard.split_at(at).is_err(), "at {at}");
    }
    let error = guard.downgrade(15..21).expect_err("one byte too many");
    assert_eq!((error.first, error.last), (10, 19));
    assert!(guard.downgrade(15..15).is_err(), "no byte");
    let outside = block_on(guard.upgrade(0..20));
    assert!(matches!(outside, Err(AcquireError::BadRequest { .. })));
    assert_eq!((guard.range(), guard.mode()), (10..=19, Some(Mode::Write)));
}

#[test]
fn an_empty_range_is_refused_and_the_last_byte_is_not() {
    let file = file();
    block_on(async {
        let empty = file.read(5..5).await.expect_err("no byte");
        assert!(matches!(empty, AcquireError::BadRequest { .. }));
        let last = file.write(u64::MAX..).await.expect("a byte");
        assert_eq!(last.range(), u64::MAX..=u64::MAX);
        assert!(file.try_write(..).await.is_err(), "the last byte is held");
    });
}

#[test]
fn a_node_has_a_limited_number_of_guards_of_one_lock() {
    let file = file();
    let mut guards = Vec::new();
    for index in 0..GUARDS_MAX as u64 {
        guards.push(write(&file, 2 * index..2 * index + 1));
    }
    let more = block_on(file.read(1..2).into_future());
    assert!(matches!(more, Err(AcquireError::BadRequest { .. })));
    guards.pop();
    assert!(block_on(file.read(1..2).into_future()).is_ok());
}

#[test]
fn a_try_of_an_upgrade_that_meets_a_reader_is_busy_and_changes_nothing() {
    let file = file();
    let mut guard = read(&file, 0..20);
    let _other = read(&file, 5..6);
    let busy = block_on(guard.try_upgrade(0..10));
    assert!(matches!(busy, Err(AcquireError::Busy { .. })));
    assert_eq!(guard.mode(), Some(Mode::Read));
    block_on(guard.try_upgrade(10..20)).expect("nobody else reads it");
}

#[test]
fn a_holder_is_told_of_who_waits_for_its_bytes_and_not_for_others() {
    let file = file();
    let (one, other) = (write(&file, 0..10), write(&file, 10..20));
    let mut cx = Context::from_waker(Waker::noop());
    let mut waiting = pin!(file.read(0..5).label("backup").into_future());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    assert!(one.is_wanted());
    assert!(!other.is_wanted());
    let waiter = block_on(one.wanted()).expect("it is held");
    assert_eq!((&*waiter.mode, &*waiter.label), ("read", "backup"));
}
