//! Several locks at once.

mod common;

use std::time::Duration;

use rm_core::error::LostReason;
use rm_core::id::BadName;
use rm_rwlock::all::{LOCKS_MAX, LockAllError, LostLock, Named, lock_all, try_lock_all};
use rm_rwlock::doc::block_on;
use rm_rwlock::{AcquireError, LockMode};

use self::common::{World, step};

#[test]
fn names_are_taken_in_their_order_and_each_once_in_the_stronger_mode() {
    let world = World::root();
    let names = [
        Named::write("b"),
        Named::read("c"),
        Named::read("a"),
        Named::upgradable("c"),
        Named::read("b"),
    ];
    let guards = step(lock_all(&world.domain, names)).ready().expect("free");
    let taken: Vec<_> = guards
        .iter()
        .map(|(name, one)| (name, one.mode()))
        .collect();
    let expected: [(&[u8], LockMode); 3] = [
        (b"a", LockMode::Read),
        (b"b", LockMode::Write),
        (b"c", LockMode::Upgradable),
    ];
    assert_eq!(taken, expected);
    assert!(
        guards
            .get("b")
            .is_some_and(|guard| guard.as_write().is_some())
    );
    assert!(guards.get("d").is_none());
    assert!(guards.is_valid() && guards.valid_for().is_none());
}

#[test]
fn a_lock_that_is_not_had_is_named_and_none_is_held() {
    let world = World::root();
    let (held, names) = (world.lock("b"), || ["a", "b", "c"].map(Named::write));
    let _writer = held.try_write_cached().expect("free");
    let error = step(try_lock_all(&world.domain, names())).ready();
    let error = error.expect_err("`b` is held");
    assert_eq!(error.to_string(), "lock 'b': busy: held by a node");
    assert!(matches!(
        error,
        LockAllError::Lock { name, why: AcquireError::Busy { .. } } if name == b"b"
    ));
    assert!(world.lock("a").try_write_cached().is_some());
    assert!(world.lock("c").try_write_cached().is_some());
}

#[test]
fn a_later_lock_is_not_asked_for_before_the_earlier_is_held() {
    let world = World::root();
    let (first, second) = (world.lock("a"), world.lock("b"));
    let writer = first.try_write_cached().expect("free");
    let mut locking = step(lock_all(&world.domain, ["b", "a"].map(Named::write)));
    assert!(locking.is_pending());
    assert!(second.try_write_cached().is_some(), "nobody asked for it");
    drop(writer);
    assert_eq!(locking.ready().expect("free").len(), 2);
}

#[test]
fn a_timeout_is_for_all_locks_together_and_says_which_took_too_long() {
    let world = World::root();
    let (first, second) = (world.lock("a"), world.lock("b"));
    let writer = first.try_write_cached().expect("free");
    let _other = second.try_write_cached().expect("free");
    let names = ["a", "b"].map(Named::write);
    let mut locking = step(lock_all(&world.domain, names).timeout(Duration::from_secs(3_600)));
    assert!(locking.is_pending());
    drop(writer);
    assert!(locking.is_pending(), "`b` is held");
    world.sleep(3_600_000_000_000);
    let Err(LockAllError::Lock { name, why }) = locking.ready() else {
        panic!("`b` is held");
    };
    assert_eq!(name, b"b");
    assert!(matches!(why, AcquireError::Timeout { .. }));
    assert!(first.try_write_cached().is_some(), "all or none");
}

#[test]
fn a_timeout_longer_than_any_clock_is_none() {
    let world = World::root();
    let locking = lock_all(&world.domain, [Named::write("a")]).timeout(Duration::MAX);
    assert!(step(locking).ready().is_ok());
}

#[test]
fn a_bad_name_is_named_and_none_is_held() {
    let world = World::root();
    let names = [
        Named::write("a"),
        Named::write(""),
        Named::write([b'n'; 300]),
    ];
    let error = step(lock_all(&world.domain, names)).ready();
    let why = AcquireError::BadName(BadName::Empty);
    assert_eq!(
        error.expect_err("no name"),
        LockAllError::Lock { name: vec![], why }
    );
    assert!(world.lock("a").try_write_cached().is_some());
}

#[test]
fn more_locks_than_the_limit_are_refused_and_names_count_once() {
    let world = World::root();
    let names = |count: usize| (0..count).map(|one| Named::read(one.to_string()));
    let error = step(lock_all(&world.domain, names(LOCKS_MAX + 1))).ready();
    let names_asked = LOCKS_MAX + 1;
    assert_eq!(
        error.expect_err("too many"),
        LockAllError::TooMany { names: names_asked }
    );
    let twice = names(LOCKS_MAX).chain(names(LOCKS_MAX));
    let guards = step(lock_all(&world.domain, twice)).ready();
    assert_eq!(guards.expect("free").len(), LOCKS_MAX);
}

#[test]
fn no_names_are_no_locks() {
    let world = World::root();
    let guards = step(lock_all(&world.domain, [])).ready().expect("nothing");
    assert!(guards.is_empty() && guards.is_valid());
    assert!(step(guards.lost()).is_pending());
    assert_eq!(block_on(guards.release()), Ok(()));
}

#[test]
fn the_label_is_shown_for_each_lock() {
    let world = World::root();
    let names = ["a", "b"].map(Named::write);
    let guards = step(lock_all(&world.domain, names).label("move 7")).ready();
    let _guards = guards.expect("free");
    for name in ["a", "b"] {
        let lock = world.lock(name);
        let error = step(lock.try_read()).ready().expect_err("held");
        assert_eq!(error.to_string(), "busy: held by here (write) \"move 7\"");
    }
}

#[test]
fn the_first_that_is_lost_is_told_and_all_are_invalid_together() {
    let mut world = World::debtor();
    world.begin_session();
    world.grant_all("a");
    world.grant_all("b");
    let names = [Named::write("b"), Named::read("a")];
    let guards = step(lock_all(&world.domain, names))
        .ready()
        .expect("granted");
    let mut lost = step(guards.lost());
    assert!(lost.is_pending() && guards.is_valid());
    world.end_session();
    let why = LostReason::LeaseExpired;
    let name = b"a".to_vec();
    assert_eq!(lost.ready(), LostLock { name, why });
    drop(lost);
    assert!(!guards.is_valid());
    assert_eq!(guards.valid_for(), Some(Duration::ZERO));
    let answer = block_on(guards.release()).expect_err("lost");
    assert_eq!(answer.name, b"a");
}

#[test]
fn guards_that_are_taken_apart_are_released_one_by_one() {
    let world = World::root();
    let names = ["a", "b"].map(Named::write);
    let guards = step(lock_all(&world.domain, names)).ready().expect("free");
    let mut guards = guards.into_iter();
    drop(guards.next());
    assert!(world.lock("a").try_write_cached().is_some());
    assert!(world.lock("b").try_write_cached().is_none());
}

#[test]
fn a_lock_that_was_lost_while_the_others_were_waited_for_is_no_lock() {
    let mut world = World::debtor();
    world.begin_session();
    world.grant_all("a");
    let names = ["a", "b"].map(Named::write);
    let mut locking = step(lock_all(&world.domain, names));
    assert!(locking.is_pending(), "`b` is not here");
    world.end_session();
    world.begin_session();
    world.grant_all("b");
    let why = AcquireError::SessionLost(LostReason::LeaseExpired);
    let name = b"a".to_vec();
    assert_eq!(
        locking.ready().expect_err("`a` is another's by now"),
        LockAllError::Lock { name, why }
    );
    assert!(world.lock("b").try_write_cached().is_some(), "all or none");
}

#[test]
#[should_panic(expected = "not polled again")]
fn a_request_that_failed_is_no_success_when_it_is_polled_again() {
    let world = World::root();
    let _writer = world.lock("a").try_write_cached_owned().expect("free");
    let mut locking = step(try_lock_all(&world.domain, [Named::read("a")]));
    assert!(locking.ready().is_err());
    let _ = locking.poll();
}
