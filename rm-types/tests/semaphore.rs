//! The semaphore in one process, without a network.

use core::future::{Future, IntoFuture};
use core::task::{Context, Poll, Waker};
use std::pin::pin;
use std::time::Instant;

use rm_core::id::BadName;
use rm_core::testing::trial::{Failure, Trial};
use rm_types::doc::{block_on, domain};
use rm_types::semaphore::TooFewUnits;
use rm_types::{AcquireError, Semaphore, SemaphoreType};

fn of_four() -> Semaphore {
    Semaphore::new(&domain(), "slots", 4)
}

#[test]
fn no_more_units_are_held_than_there_are() {
    let slots = of_four();
    block_on(async {
        let three = slots.acquire(3).await.expect("free");
        assert!(matches!(
            slots.try_acquire(2).await,
            Err(AcquireError::Busy { .. })
        ));
        let one = slots.try_acquire(1).await.expect("the last one");
        assert_eq!((three.units(), one.units()), (3, 1));
        drop(three);
        assert!(slots.try_acquire(3).await.is_ok());
    });
}

#[test]
fn a_small_request_waits_behind_an_older_large_one() {
    let slots = of_four();
    let two = slots.try_acquire_cached(2).expect("free");
    let mut large = pin!(slots.acquire(3).into_future());
    let mut small = pin!(slots.acquire(1).into_future());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(large.as_mut().poll(&mut cx).is_pending());
    assert!(small.as_mut().poll(&mut cx).is_pending());
    assert!(slots.try_acquire_cached(1).is_none());
    drop(two);
    let Poll::Ready(Ok(large)) = large.as_mut().poll(&mut cx) else {
        panic!("granted");
    };
    assert!(small.as_mut().poll(&mut cx).is_ready(), "beside the three");
    assert_eq!(large.units(), 3);
}

#[test]
fn a_permit_gives_back_some_splits_and_merges() {
    let slots = of_four();
    block_on(async {
        let mut permit = slots.acquire(4).await.expect("free");
        permit.release(1).expect("it has four");
        assert_eq!(permit.units(), 3);
        let other = permit.split(2).expect("it has three");
        assert_eq!(other.fence(), permit.fence());
        assert_eq!(
            permit.split(2).expect_err("it has one").to_string(),
            "there are only 1 units to give back, not 2: nothing was given back"
        );
        permit.merge(other).expect("of one semaphore");
        assert!(slots.try_acquire_cached(2).is_none());
        assert!(slots.try_acquire_cached(1).is_some());
        drop(permit);
        assert!(slots.try_acquire_cached(4).is_some());
    });
}

#[test]
fn permits_of_two_semaphores_do_not_merge() {
    let domain = domain();
    let (one, other) = (
        Semaphore::new(&domain, "a", 4),
        Semaphore::new(&domain, "b", 4),
    );
    let mut mine = one.try_acquire_cached(1).expect("free");
    let theirs = other.try_acquire_cached(1).expect("free");
    let back = mine.merge(theirs).expect_err("another semaphore");
    assert_eq!((mine.units(), back.units()), (1, 1));
}

#[test]
fn what_tasks_of_a_node_consume_and_refill_adds_up_over_all_handles() {
    let domain = domain();
    let (one, other) = (
        Semaphore::new(&domain, "bytes", 10),
        Semaphore::new(&domain, "bytes", 10),
    );
    block_on(async {
        assert_eq!(one.consume(4).await.expect("free").units, 4);
        other.consume(5).await.expect("free");
        assert_eq!((one.consumed(), other.consumed()), (9, 9));
        drop(other);
        assert!(one.try_acquire(2).await.is_err(), "nine are consumed");
        one.refill(7).expect("nine were consumed");
        assert_eq!(one.consumed(), 2);
        assert!(one.try_acquire_cached(8).is_some());
        one.refill(2).expect("two were left");
        assert!(one.try_acquire_cached(10).is_some());
    });
}

#[test]
fn refilling_more_than_was_consumed_is_an_error_and_changes_nothing() {
    let slots = of_four();
    block_on(slots.consume(2).into_future()).expect("free");
    let error = slots.refill(3).expect_err("only two");
    assert_eq!((error.asked, error.there), (3, 2));
    assert_eq!(slots.consumed(), 2);
    let none: Result<(), TooFewUnits> = of_four().refill(1);
    assert!(none.is_err());
}

#[test]
fn a_refill_wakes_who_waits_for_units() {
    let slots = of_four();
    block_on(slots.consume(4).into_future()).expect("free");
    let mut waiting = pin!(slots.acquire(2).into_future());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    slots.refill(1).expect("four were consumed");
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    slots.refill(1).expect("three were left");
    assert!(waiting.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_dropped_consume_has_consumed_nothing() {
    let slots = of_four();
    let permit = slots.try_acquire_cached(3).expect("free");
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut consuming = pin!(slots.consume(2).into_future());
        assert!(consuming.as_mut().poll(&mut cx).is_pending());
        drop(permit);
    }
    assert_eq!(slots.consumed(), 0);
    assert!(slots.try_acquire_cached(4).is_some());
}

#[test]
fn a_semaphore_of_another_number_is_another_semaphore() {
    let domain = domain();
    let (four, five) = (
        Semaphore::new(&domain, "x", 4),
        Semaphore::new(&domain, "x", 5),
    );
    let _all = four.try_acquire_cached(4).expect("free");
    assert!(five.try_acquire_cached(5).is_some());
    assert_eq!((four.units(), five.units()), (4, 5));
    assert_eq!(four.key(), Some(&b"x#4"[..]));
}

#[test]
fn what_cannot_be_asked_for_is_said_at_the_first_request() {
    let domain = domain();
    block_on(async {
        let slots = Semaphore::new(&domain, "x", 4);
        assert_eq!(
            slots.acquire(5).await.expect_err("more than there is"),
            AcquireError::Refused
        );
        let zero = slots.acquire(0).await.expect_err("nothing");
        assert_eq!(
            zero.to_string(),
            "cannot be asked for: ask for one unit at least"
        );
        let empty = Semaphore::new(&domain, "x", 0);
        assert!(matches!(
            empty.acquire(1).await,
            Err(AcquireError::BadRequest { .. })
        ));
        let unnamed = Semaphore::new(&domain, "", 1).acquire_owned(1).await;
        assert_eq!(
            unnamed.expect_err("no name"),
            AcquireError::BadName(BadName::Empty)
        );
        let long = Semaphore::new(&domain, [7; 254], 1).acquire_owned(1).await;
        assert_eq!(
            long.expect_err("too long"),
            AcquireError::BadName(BadName::TooLong { bytes: 256 })
        );
    });
}

#[test]
fn an_owned_permit_outlives_the_handle_it_came_from() {
    let domain = domain();
    let permit = {
        let slots = Semaphore::new(&domain, "slots", 4);
        block_on(slots.acquire_owned(4).into_future()).expect("free")
    };
    let slots = Semaphore::new(&domain, "slots", 4);
    assert!(slots.try_acquire_cached(1).is_none());
    drop(permit);
    assert!(slots.try_acquire_cached(4).is_some());
}

#[test]
fn a_request_whose_deadline_has_passed_takes_what_is_free_and_waits_for_nobody()
-> Result<(), Failure> {
    let trial = Trial::new(SemaphoreType::default()).faults([]);
    trial.run(|stage| {
        let node = stage.node("one");
        let slots = Semaphore::new(node.domain(), "slots", 4);
        node.spawn(async move {
            let past = Instant::now();
            let three = slots.acquire(3).await.expect("the server goes on");
            let one = slots.acquire(1).deadline(past).await;
            assert!(one.is_ok(), "it is free, and cached here: {one:?}");
            let refused = slots.acquire(2).deadline(past).await;
            let is_late = matches!(refused, Err(AcquireError::Timeout { .. }));
            assert!(is_late, "{refused:?}");
            drop(three);
        });
    })?;
    Ok(())
}

#[test]
fn a_try_has_no_deadline() {
    let slots = of_four();
    block_on(async {
        let three = slots.try_acquire_owned(3).await.expect("free");
        let refused = slots.try_acquire(2).deadline(Instant::now()).await;
        assert!(
            matches!(refused, Err(AcquireError::Busy { .. })),
            "{refused:?}"
        );
        drop(three);
    });
}

#[test]
fn a_thread_that_blocks_on_a_request_is_woken_by_who_lets_go() {
    let slots = of_four();
    let permit = slots.acquire(4).blocking().expect("free");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| slots.acquire(1).blocking().map(|permit| permit.units()));
        drop(permit);
        assert_eq!(waiting.join().expect("no panic"), Ok(1));
    });
}
