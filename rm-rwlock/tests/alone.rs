//! The lock in one process, without a network.

use core::future::{Future, IntoFuture};
use core::task::{Context, Poll, Waker};
use std::pin::pin;

use rm_core::id::BadName;
use rm_rwlock::doc::{block_on, domain};
use rm_rwlock::{AcquireError, RwLock};

#[test]
fn readers_share_and_a_writer_is_alone() {
    let lock = RwLock::new(&domain(), "x");
    block_on(async {
        let first = lock.read().await.expect("free");
        let second = lock.read().label("second").await.expect("shared");
        let Err(AcquireError::Busy { holders }) = lock.try_write().await else {
            panic!("a writer met readers");
        };
        assert_eq!(holders.len(), 2);
        drop((first, second));
        let writer = lock.try_write().await.expect("free");
        assert!(matches!(
            lock.try_read().await,
            Err(AcquireError::Busy { .. })
        ));
        assert!(writer.is_valid() && writer.valid_for().is_none());
    });
}

#[test]
fn a_busy_error_names_the_holder_s_node_mode_and_label() {
    let lock = RwLock::new(&domain(), "x");
    block_on(async {
        let _writer = lock.write().label("nightly backup").await.expect("free");
        let error = lock.try_read().await.expect_err("held");
        assert_eq!(
            error.to_string(),
            "busy: held by example (write) \"nightly backup\""
        );
    });
}

#[test]
fn a_waiting_writer_is_woken_by_the_last_reader_and_later_readers_wait_behind_it() {
    let lock = RwLock::new(&domain(), "x");
    let reader = block_on(lock.read().into_future()).expect("free");
    let mut writing = pin!(lock.write().into_future());
    let mut late = pin!(lock.read().into_future());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(writing.as_mut().poll(&mut cx).is_pending());
    assert!(late.as_mut().poll(&mut cx).is_pending());
    drop(reader);
    let Poll::Ready(Ok(writer)) = writing.as_mut().poll(&mut cx) else {
        panic!("granted");
    };
    assert!(late.as_mut().poll(&mut cx).is_pending());
    drop(writer);
    assert!(late.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn dropping_a_waiting_writer_lets_readers_through() {
    let lock = RwLock::new(&domain(), "x");
    let _reader = block_on(lock.read().into_future()).expect("free");
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut writing = pin!(lock.write().into_future());
        assert!(writing.as_mut().poll(&mut cx).is_pending());
        assert!(lock.try_read_cached().is_none());
    }
    assert!(lock.try_read_cached().is_some());
}

#[test]
fn a_grant_that_its_caller_never_saw_is_released() {
    let lock = RwLock::new(&domain(), "x");
    let reader = block_on(lock.read().into_future()).expect("free");
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut writing = pin!(lock.write().into_future());
        assert!(writing.as_mut().poll(&mut cx).is_pending());
        drop(reader);
        assert!(lock.try_read_cached().is_none(), "the writer has it");
    }
    assert!(lock.try_write_cached().is_some());
}

#[test]
fn tokens_rise_from_writer_to_reader_to_writer() {
    let lock = RwLock::new(&domain(), "x");
    block_on(async {
        let first = lock.write().await.expect("free").fence();
        let then = lock.read().await.expect("free").fence();
        let last = lock.write().await.expect("free").fence();
        assert!(first < then && then < last);
        assert_eq!((first % 2, then % 2), (1, 0));
    });
}

#[test]
fn a_name_that_is_none_shows_at_the_first_request() {
    let domain = domain();
    block_on(async {
        let empty = RwLock::new(&domain, "").read().await.expect_err("no name");
        assert_eq!(empty, AcquireError::BadName(BadName::Empty));
        let long = RwLock::new(&domain, [7; 256])
            .write()
            .await
            .expect_err("too long");
        assert_eq!(long, AcquireError::BadName(BadName::TooLong { bytes: 256 }));
        assert!(RwLock::new(&domain, [0xff; 255]).read().await.is_ok());
    });
}

#[test]
fn all_handles_of_one_name_are_one_lock() {
    let domain = domain();
    let (one, other) = (RwLock::new(&domain, "x"), RwLock::new(&domain, "x"));
    let _writer = block_on(one.write().into_future()).expect("free");
    assert!(other.try_read_cached().is_none());
}
