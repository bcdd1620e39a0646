//! What a request can say of itself beside its mode: priority, group, a promise to give way; and what holders are told.

use core::future::{Future, IntoFuture};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::pin::pin;

use rm_core::id::GroupId;
use rm_rwlock::RwLock;
use rm_rwlock::doc::{block_on, domain};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_request_of_priority_goes_before_one_that_was_made_just_before_it() {
    let lock = RwLock::new(&domain(), "x");
    let held = block_on(lock.write().into_future()).expect("free");
    let mut first = pin!(lock.write().into_future());
    let mut second = pin!(lock.write().priority(LONG).into_future());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut cx).is_pending());
    assert!(second.as_mut().poll(&mut cx).is_pending());
    drop(held);
    assert!(first.as_mut().poll(&mut cx).is_pending());
    assert!(second.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn members_of_a_group_read_and_write_side_by_side() {
    let lock = RwLock::new(&domain(), "x");
    let group = GroupId(1);
    block_on(async {
        let reader = lock.read().group(group).await.expect("free");
        let writer = lock.write().group(group).await.expect("of the group");
        assert!(lock.try_read().await.is_err(), "not of the group");
        drop(writer);
        let other = lock.try_read().await.expect("only read now");
        drop((reader, other));
    });
    assert!(lock.try_write_cached().is_some(), "all is back");
}

#[test]
fn a_writer_is_told_who_waits_and_a_second_reader_is_no_news() {
    let lock = RwLock::new(&domain(), "x");
    let writer = block_on(lock.write().into_future()).expect("free");
    assert!(!writer.is_wanted());
    let mut cx = Context::from_waker(Waker::noop());
    let mut wanted = Box::pin(writer.wanted());
    assert!(wanted.as_mut().poll(&mut cx).is_pending());
    let mut reading = pin!(lock.read().label("report").into_future());
    assert!(reading.as_mut().poll(&mut cx).is_pending());
    assert!(writer.is_wanted());
    let Poll::Ready(Ok(waiter)) = wanted.as_mut().poll(&mut cx) else {
        panic!("somebody waits");
    };
    drop(wanted);
    assert_eq!(
        (
            waiter.node.as_str(),
            waiter.mode.as_str(),
            waiter.label.as_str()
        ),
        ("example", "read", "report")
    );
    let mut wanted = pin!(writer.wanted());
    let mut second = pin!(lock.read().into_future());
    assert!(second.as_mut().poll(&mut cx).is_pending());
    assert!(wanted.as_mut().poll(&mut cx).is_pending(), "no news");
}

#[test]
fn a_notice_that_came_before_anybody_asked_is_kept() {
    let lock = RwLock::new(&domain(), "x");
    let writer = block_on(lock.write().into_future()).expect("free");
    let mut reading = pin!(lock.read().into_future());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(reading.as_mut().poll(&mut cx).is_pending());
    let waiter = block_on(writer.wanted()).expect("still held");
    assert_eq!(waiter.mode, "read");
}
