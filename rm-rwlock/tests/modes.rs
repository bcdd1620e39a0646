//! The modes: who may be beside whom, and guards that change from one to another.

mod common;

use std::time::{Duration, Instant};

use rm_core::error::LostReason;
use rm_rwlock::doc::{block_on, domain};
use rm_rwlock::{AcquireError, RwLock, UpgradeError};

use self::common::{World, step};

#[test]
fn an_upgradable_reader_is_beside_readers_and_alone_of_its_kind() {
    let lock = RwLock::new(&domain(), "x");
    block_on(async {
        let upgradable = lock.upgradable_read().await.expect("free");
        let reader = lock.try_read().await.expect("shared");
        let second = lock.try_upgradable_read().await;
        assert!(matches!(second, Err(AcquireError::Busy { .. })));
        assert!(lock.try_upgradable_read_cached().is_none());
        assert!(lock.try_write_cached().is_none());
        drop((upgradable, reader));
        assert!(lock.try_upgradable_read_cached().is_some());
    });
}

#[test]
fn owned_guards_of_each_mode_outlive_the_lock_that_made_them() {
    let domain = domain();
    let name = || RwLock::new(&domain, "x");
    block_on(async {
        let guards = (
            name().try_read_owned().await.expect("free"),
            name().try_upgradable_read_owned().await.expect("shared"),
        );
        assert!(name().try_write_owned().await.is_err());
        assert!(name().try_write_cached_owned().is_none());
        drop(guards);
        drop(name().upgradable_read_owned().await.expect("free"));
        drop(name().write_owned().await.expect("free"));
    });
    drop(name().try_read_cached_owned().expect("cached"));
    drop(name().try_upgradable_read_cached_owned().expect("cached"));
    drop(name().try_write_cached_owned().expect("cached"));
}

#[test]
fn an_upgrade_waits_for_the_readers_that_are_there_and_none_come_after_it() {
    let lock = RwLock::new(&domain(), "x");
    let reader = lock.try_read_cached().expect("free");
    let upgradable = lock.try_upgradable_read_cached().expect("shared");
    let mut upgrading = step(upgradable.upgrade());
    assert!(upgrading.is_pending());
    assert!(lock.try_read_cached().is_none(), "none comes after it");
    drop(reader);
    let writer = upgrading.ready().expect("the last reader has let go");
    assert!(lock.try_read_cached().is_none(), "it is alone");
    drop(writer);
    assert!(lock.try_write_cached().is_some());
}

#[test]
fn an_upgrade_goes_before_a_writer_that_waited_longer() {
    let lock = RwLock::new(&domain(), "x");
    let upgradable = lock.try_upgradable_read_cached().expect("free");
    let mut writing = step(lock.write());
    assert!(writing.is_pending());
    let writer = step(upgradable.upgrade()).ready().expect("goes first");
    assert!(writing.is_pending());
    drop(writer);
    assert!(writing.ready().is_ok());
}

#[test]
fn a_writer_that_was_upgraded_has_a_larger_token_than_every_reader_before() {
    let lock = RwLock::new(&domain(), "x");
    let upgradable = lock.try_upgradable_read_cached().expect("free");
    let before = upgradable.fence();
    let reader = lock.try_read_cached().expect("shared").fence();
    let writer = step(upgradable.upgrade()).ready().expect("alone");
    assert!(writer.fence() > before && writer.fence() > reader);
    assert_eq!(writer.fence() % 2, 1);
    let written = writer.fence();
    drop(writer);
    let after = lock.try_read_cached().expect("free").fence();
    assert!(after > written);
}

#[test]
fn a_try_to_upgrade_that_meets_a_reader_gives_the_guard_back() {
    let lock = RwLock::new(&domain(), "x");
    let reader = lock.try_read_cached().expect("free");
    let upgradable = lock.try_upgradable_read_cached().expect("shared");
    let error = step(upgradable.try_upgrade())
        .ready()
        .expect_err("a reader");
    assert!(matches!(error.why, AcquireError::Busy { .. }));
    assert_eq!(error.to_string(), "not upgraded: busy: held by a node");
    let upgradable = error.into_guard();
    assert!(upgradable.is_valid());
    assert!(lock.try_upgradable_read_cached().is_none(), "still held");
    drop(reader);
    assert!(step(upgradable.try_upgrade()).ready().is_ok());
}

#[test]
fn an_upgrade_that_takes_too_long_gives_the_guard_back() {
    let world = World::root();
    let lock = world.lock("x");
    let _reader = lock.try_read_cached().expect("free");
    let upgradable = lock.try_upgradable_read_cached().expect("shared");
    let mut upgrading = step(upgradable.upgrade().timeout(Duration::from_nanos(5)));
    assert!(upgrading.is_pending());
    world.sleep(5);
    let Err(UpgradeError { guard, why }) = upgrading.ready() else {
        panic!("a reader is there");
    };
    assert!(matches!(why, AcquireError::Timeout { .. }));
    assert!(guard.is_valid());
    assert!(lock.try_read_cached().is_some(), "readers come in again");
}

#[test]
fn an_upgrade_with_a_deadline_that_has_passed_still_gets_what_is_free() {
    let world = World::root();
    let lock = world.lock("x");
    let deadline = Instant::now();
    let upgradable = lock.try_upgradable_read_cached().expect("free");
    let upgraded = step(upgradable.upgrade().deadline(deadline)).ready();
    assert!(upgraded.is_ok());
}

#[test]
fn an_upgrade_that_is_dropped_releases_the_guard() {
    let lock = RwLock::new(&domain(), "x");
    let reader = lock.try_read_cached().expect("free");
    drop(lock.try_upgradable_read_cached().expect("shared").upgrade());
    assert!(
        lock.try_upgradable_read_cached().is_some(),
        "before the first poll"
    );

    let mut upgrading = step(lock.try_upgradable_read_cached().expect("shared").upgrade());
    assert!(upgrading.is_pending());
    drop(upgrading);
    assert!(
        lock.try_upgradable_read_cached().is_some(),
        "while it waited"
    );

    let mut upgrading = step(lock.try_upgradable_read_cached().expect("shared").upgrade());
    assert!(upgrading.is_pending());
    drop(reader);
    drop(upgrading);
    assert!(lock.try_write_cached().is_some(), "after it was granted");
}

#[test]
fn an_upgrade_of_a_lost_guard_says_so() {
    let mut world = World::debtor();
    let lock = world.lock("x");
    world.begin_session();
    world.grant_all("x");
    let upgradable = lock.try_upgradable_read_cached().expect("granted");
    world.end_session();
    let error = step(upgradable.upgrade()).ready().expect_err("lost");
    assert!(matches!(error.why, AcquireError::SessionLost(_)));
    assert!(!error.guard.is_valid());
}

#[test]
fn an_upgradable_guard_has_an_odd_token_and_readers_beside_it_even_ones() {
    let lock = RwLock::new(&domain(), "x");
    let before = lock.try_read_cached().expect("free").fence();
    let upgradable = lock.try_upgradable_read_cached().expect("shared");
    let beside = lock.try_read_cached().expect("shared").fence();
    assert_eq!((before % 2, beside % 2), (0, 0));
    assert_eq!(upgradable.fence() % 2, 1);
    // So a store that took it for a writer's would refuse who reads since before.
    assert!(before < upgradable.fence() && upgradable.fence() < beside);
}

#[test]
fn a_writer_becomes_a_reader_without_a_gap_and_lets_readers_in() {
    let lock = RwLock::new(&domain(), "x");
    let writer = lock.try_write_cached().expect("free");
    let written = writer.fence();
    let mut writing = step(lock.write());
    let mut reading = step(lock.read());
    assert!(writing.is_pending() && reading.is_pending());
    let reader = writer.downgrade();
    assert!(reader.fence() > written);
    assert!(writing.is_pending(), "nobody writes in between");
    drop(reader);
    drop(writing.ready().expect("its turn"));
    assert!(reading.ready().is_ok());
}

#[test]
fn a_writer_becomes_upgradable_and_a_writer_again() {
    let lock = RwLock::new(&domain(), "x");
    let writer = lock.try_write_cached().expect("free");
    let upgradable = writer.downgrade_to_upgradable();
    let reader = lock.try_read_cached().expect("shared");
    assert!(
        lock.try_upgradable_read_cached().is_none(),
        "one of its kind"
    );
    let mut upgrading = step(upgradable.upgrade());
    assert!(upgrading.is_pending());
    drop(reader);
    assert!(upgrading.ready().is_ok());
}

#[test]
fn an_upgradable_reader_becomes_a_plain_one_and_another_may_be_upgradable() {
    let lock = RwLock::new(&domain(), "x");
    let reader = lock.try_upgradable_read_cached().expect("free").downgrade();
    let other = lock
        .try_upgradable_read_cached()
        .expect("its place is free");
    assert!(lock.try_write_cached().is_none());
    drop((reader, other));
    assert!(lock.try_write_cached().is_some());
}

#[test]
fn a_lost_guard_that_is_downgraded_stays_lost() {
    let mut world = World::debtor();
    let lock = world.lock("x");
    world.begin_session();
    world.grant_all("x");
    let writer = lock.try_write_cached().expect("granted");
    world.end_session();
    let reader = writer.downgrade();
    assert!(!reader.is_valid());
    assert_eq!(reader.valid_for(), Some(Duration::ZERO));
}

#[test]
fn a_release_says_whether_the_guard_was_valid_to_the_end() {
    let mut world = World::debtor();
    let lock = world.lock("x");
    world.begin_session();
    world.grant_all("x");
    let writer = lock.try_write_cached().expect("granted");
    assert_eq!(block_on(writer.release()), Ok(()));
    let writer = lock.try_write_cached().expect("it was released");
    world.end_session();
    assert_eq!(block_on(writer.release()), Err(LostReason::LeaseExpired));
}

#[test]
fn a_release_that_is_never_polled_releases() {
    let lock = RwLock::new(&domain(), "x");
    drop(lock.try_write_cached().expect("free").release());
    assert!(lock.try_write_cached().is_some());
}

#[test]
fn of_several_limits_of_time_the_last_counts_and_a_try_stays_one() {
    let world = World::root();
    let lock = world.lock("x");
    let _writer = lock.try_write_cached().expect("free");
    let long = Duration::from_secs(3_600);
    let short = Duration::from_nanos(5);
    let mut reading = step(lock.read().deadline(Instant::now() + long).timeout(short));
    assert!(reading.is_pending());
    world.sleep(5);
    assert!(matches!(reading.ready(), Err(AcquireError::Timeout { .. })));
    let mut trying = step(
        lock.try_read()
            .timeout(long)
            .deadline(Instant::now() + long),
    );
    assert!(matches!(trying.ready(), Err(AcquireError::Busy { .. })));
}

#[test]
fn a_deadline_that_has_passed_ends_a_wait_at_once_and_grants_what_is_free() {
    let world = World::root();
    let lock = world.lock("x");
    let passed = Instant::now();
    let writer = step(lock.write().deadline(passed)).ready().expect("free");
    let mut late = step(lock.read().deadline(passed));
    assert!(late.is_pending(), "the timer has not run");
    world.sleep(0);
    assert!(matches!(late.ready(), Err(AcquireError::Timeout { .. })));
    drop(writer);
}

#[test]
fn a_recursive_read_passes_a_waiting_writer_who_waits_for_the_last_of_them() {
    let lock = RwLock::new(&domain(), "x");
    let first = step(lock.read()).ready().expect("free");
    let mut writing = step(lock.write());
    assert!(writing.is_pending());
    let second = first.read_recursive();
    let third = second.read_recursive();
    assert_eq!(first.fence(), third.fence());
    drop(first);
    drop(third);
    assert!(writing.is_pending() && second.is_valid());
    drop(second);
    assert!(writing.ready().is_ok());
}

#[test]
fn guards_that_share_a_hold_are_lost_together() {
    let mut world = World::debtor();
    let lock = world.lock("x");
    world.begin_session();
    world.grant_all("x");
    let first = lock.try_read_cached_owned().expect("granted");
    let second = first.read_recursive();
    world.end_session();
    assert!(!first.is_valid() && !second.is_valid());
    drop(first);
    assert_eq!(block_on(second.release()), Err(LostReason::LeaseExpired));
}

#[test]
fn an_upgradable_guard_is_not_upgraded_while_others_share_its_hold() {
    let lock = RwLock::new(&domain(), "x");
    let upgradable = lock.try_upgradable_read_cached().expect("free");
    let recursive = upgradable.read_recursive();
    let error = step(upgradable.upgrade()).ready().expect_err("shared");
    assert!(matches!(error.why, AcquireError::BadRequest { .. }));
    let upgradable = error.into_guard();
    drop(recursive);
    assert!(step(upgradable.upgrade()).ready().is_ok());
}

#[test]
fn an_upgradable_guard_that_shares_its_hold_may_become_a_plain_reader() {
    let lock = RwLock::new(&domain(), "x");
    let upgradable = lock.try_upgradable_read_cached().expect("free");
    let recursive = upgradable.read_recursive();
    let reader = upgradable.downgrade();
    drop(
        lock.try_upgradable_read_cached()
            .expect("its place is free"),
    );
    drop(reader);
    assert!(recursive.is_valid() && lock.try_write_cached().is_none());
    drop(recursive);
    assert!(lock.try_write_cached().is_some());
}
