//! The face for threads.

mod common;

use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rm_rwlock::all::{Named, lock_all, try_lock_all};
use rm_rwlock::{AcquireError, RwLock};

use self::common::World;

/// Waits until somebody waits for the lock of `guard`.
fn until_wanted(guard: &rm_rwlock::OwnedWriteGuard) {
    while !guard.is_wanted() {
        thread::yield_now();
    }
}

#[test]
fn a_thread_that_waits_is_woken_by_a_release_on_another() {
    let world = World::root();
    let lock = world.lock("x");
    let writer = lock.try_write_cached_owned().expect("free");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| lock.read().blocking().map(|reader| reader.fence()));
        until_wanted(&writer);
        let written = writer.fence();
        drop(writer);
        let read = waiting.join().expect("no panic").expect("released");
        assert!(read > written);
    });
}

#[test]
fn a_thread_whose_time_is_up_is_woken_by_the_timer_of_the_node() {
    let world = World::root();
    let lock = world.lock("x");
    let writer = lock.try_write_cached_owned().expect("free");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let asking = lock.write().timeout(Duration::from_nanos(5));
            asking.blocking().map(drop)
        });
        until_wanted(&writer);
        world.sleep(5);
        let error = waiting.join().expect("no panic").expect_err("held");
        assert!(matches!(error, AcquireError::Timeout { .. }));
    });
}

#[test]
fn a_thread_that_upgrades_is_woken_by_the_last_reader() {
    let world = World::root();
    let lock = world.lock("x");
    let reader = lock.try_read_cached_owned().expect("free");
    thread::scope(|scope| {
        let (tx, rx) = mpsc::channel();
        let lock = &lock;
        let upgrading = scope.spawn(move || {
            let upgradable = lock.upgradable_read().blocking().expect("shared");
            tx.send(()).expect("somebody listens");
            upgradable.upgrade().blocking().map(drop).is_ok()
        });
        rx.recv().expect("the other holds it");
        while !reader.is_wanted() {
            thread::yield_now();
        }
        drop(reader);
        assert!(upgrading.join().expect("no panic"));
    });
}

#[test]
fn a_thread_takes_several_locks() {
    let world = World::root();
    let names = ["a", "b"].map(Named::write);
    let guards = lock_all(&world.domain, names.clone()).blocking();
    let guards = guards.expect("free");
    assert!(try_lock_all(&world.domain, names).blocking().is_err());
    drop(guards);
}

#[test]
fn a_thread_that_is_being_torn_down_may_still_block() {
    struct Last(RwLock);
    impl Drop for Last {
        fn drop(&mut self) {
            assert!(self.0.read().blocking().is_ok());
        }
    }
    thread_local! {
        static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
    }
    let lock = World::root().lock("x");
    let last = lock.clone();
    let ending = thread::spawn(move || {
        LAST.with(|own| *own.borrow_mut() = Some(Last(last.clone())));
        // From here on there is something to tear down before that.
        drop(last.read().blocking());
    });
    ending.join().expect("it ended in peace");
    assert!(lock.try_write_cached().is_some());
}
