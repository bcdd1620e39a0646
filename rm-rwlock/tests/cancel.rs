//! Futures that are dropped: before their first poll, while they wait, and after a grant that they did not see.

mod common;

use core::future::IntoFuture;

use rm_core::front::{Handle, Resource};
use rm_rwlock::all::{AllGuards, AnyGuard, LockAll, LockingAll, Named, lock_all};
use rm_rwlock::guarded::{Guarded, Opened};
use rm_rwlock::{
    Acquiring, OwnedReadGuard, OwnedUpgradableGuard, OwnedWriteGuard, Read, ReadGuard, Request,
    RwLock, RwLockType, Upgradable, UpgradableGuard, Upgrade, Upgrading, Write, WriteGuard,
};

use self::common::{World, step};

/// Drops what `ask` makes at each of the three moments; the lock must be free after each, but for one reader while
/// there is one.
fn nothing_stays<I: IntoFuture>(world: &World, ask: impl Fn(&RwLock) -> I) {
    let lock = world.lock("x");
    drop(ask(&lock).into_future());
    assert!(lock.try_write_cached().is_some(), "before the first poll");

    let blocker = lock.try_write_cached().expect("free");
    let mut asking = step(ask(&lock));
    assert!(asking.is_pending());
    drop(asking);
    drop(blocker);
    assert!(lock.try_write_cached().is_some(), "while it waited");

    let blocker = lock.try_write_cached().expect("free");
    let mut asking = step(ask(&lock));
    assert!(asking.is_pending());
    drop(blocker);
    drop(asking);
    assert!(lock.try_write_cached().is_some(), "after the grant");
    assert_eq!(world.domain.totals().waiting, 0);
}

#[test]
fn a_request_to_read_that_is_dropped_leaves_nothing() {
    nothing_stays(&World::root(), RwLock::read_owned);
}

#[test]
fn a_request_to_read_upgradably_that_is_dropped_leaves_nothing() {
    nothing_stays(&World::root(), RwLock::upgradable_read_owned);
}

#[test]
fn a_request_to_write_that_is_dropped_leaves_nothing() {
    nothing_stays(&World::root(), RwLock::write_owned);
}

#[test]
fn a_request_for_all_locks_that_is_dropped_leaves_nothing() {
    let world = World::root();
    let names = || [Named::read("a"), Named::write("x"), Named::write("z")];
    nothing_stays(&world, |_| lock_all(&world.domain, names()));
    assert!(world.lock("a").try_write_cached().is_some());
    assert!(world.lock("z").try_write_cached().is_some());
}

#[test]
fn a_request_to_open_data_that_is_dropped_leaves_nothing() {
    let world = World::root();
    let data = Guarded::new(world.lock("x"), 0);
    let open = |data: Guarded<i32>| async move { data.write().await.map(drop) };
    nothing_stays(&world, |_| open(data.clone()));
}

#[test]
fn a_future_of_a_loss_that_is_dropped_changes_nothing() {
    let mut world = World::debtor();
    world.begin_session();
    world.grant_all("x");
    let lock = world.lock("x");
    let writer = lock.try_write_cached().expect("granted");
    let mut first = step(writer.lost());
    assert!(first.is_pending());
    drop(first);
    drop(writer.lost());
    let mut again = step(writer.lost());
    assert!(again.is_pending());
    world.end_session();
    let _why = again.ready();
    assert!(!writer.is_valid());
}

#[test]
fn a_future_of_a_loss_among_many_that_is_dropped_changes_nothing() {
    let mut world = World::debtor();
    world.begin_session();
    world.grant_all("x");
    world.grant_all("y");
    let names = [Named::write("x"), Named::read("y")];
    let guards = step(lock_all(&world.domain, names))
        .ready()
        .expect("cached");
    let mut first = step(guards.lost());
    assert!(first.is_pending());
    drop(first);
    let mut again = step(guards.lost());
    assert!(again.is_pending());
    world.end_session();
    assert_eq!(again.ready().name, b"x");
}

#[test]
fn a_waiting_upgrade_that_is_dropped_lets_readers_in() {
    let lock = World::root().lock("x");
    let _reader = lock.try_read_cached().expect("free");
    let mut upgrading = step(lock.try_upgradable_read_cached().expect("shared").upgrade());
    assert!(upgrading.is_pending());
    assert!(lock.try_read_cached().is_none());
    drop(upgrading);
    assert!(lock.try_read_cached().is_some());
}

#[test]
fn handles_requests_futures_and_guards_may_go_to_other_threads() {
    fn bounds<T: Send + Sync + Unpin>() {}
    type Borrowed<'a> = &'a Resource<RwLockType>;
    type Owned = Handle<RwLockType>;
    bounds::<RwLock>();
    bounds::<(ReadGuard<'_>, UpgradableGuard<'_>, WriteGuard<'_>)>();
    bounds::<(OwnedReadGuard, OwnedUpgradableGuard, OwnedWriteGuard)>();
    bounds::<(Request<Read, Borrowed<'_>>, Request<Write, Owned>)>();
    bounds::<(Acquiring<Upgradable, Borrowed<'_>>, Acquiring<Write, Owned>)>();
    bounds::<(Upgrade<Borrowed<'_>>, Upgrading<Owned>)>();
    bounds::<(LockAll, LockingAll, AllGuards, AnyGuard)>();
    bounds::<(Guarded<u8>, Opened<u8, Write, Owned>)>();
}

#[test]
fn futures_of_methods_may_go_to_other_threads() {
    fn sendable<T: Send>(_: T) {}
    let world = World::root();
    let lock = world.lock("x");
    let data = Guarded::new(lock.clone(), 0);
    let guard = lock.try_write_cached().expect("free");
    sendable(guard.lost());
    sendable(guard.wanted());
    sendable(guard.release());
    sendable(data.read());
    sendable(data.write());
    let guards = step(lock_all(&world.domain, [Named::read("x")])).ready();
    let guards = guards.expect("free");
    sendable(guards.lost());
    sendable(guards.release());
}

#[cfg(not(debug_assertions))]
#[test]
fn a_plain_request_is_a_few_words() {
    type Borrowed<'a> = &'a Resource<RwLockType>;
    assert!(size_of::<Request<Read, Borrowed<'_>>>() <= 48);
    assert!(size_of::<ReadGuard<'_>>() <= 32);
}
