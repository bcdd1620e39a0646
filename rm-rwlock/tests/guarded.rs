//! Data beside the lock.

mod common;

use rm_core::id::GroupId;
use rm_rwlock::AcquireError;
use rm_rwlock::guarded::{Guarded, OpenRefused, Opened};

use self::common::{World, step};

#[test]
fn readers_look_at_the_data_together_and_a_writer_changes_it() {
    let world = World::root();
    let data = Guarded::new(world.lock("x"), vec![1]);
    let first = step(data.read()).ready().expect("free");
    let second = step(data.read()).ready().expect("shared");
    assert_eq!((first.len(), second.len()), (1, 1));
    let mut writing = Box::pin(step(data.write()));
    assert!(writing.is_pending());
    drop((first, second));
    let mut writer = writing.ready().expect("its turn");
    writer.push(2);
    drop(writer);
    assert_eq!(*step(data.clone().read()).ready().expect("free"), [1, 2]);
}

#[test]
fn a_lost_guard_that_still_has_the_data_open_keeps_its_successor_out() {
    let mut world = World::debtor();
    let data = Guarded::new(world.lock("x"), 1);
    world.begin_session();
    world.grant_all("x");
    let mut former = step(data.write()).ready().expect("granted");
    world.end_session();
    assert!(!Opened::guard(&former).is_valid());
    world.begin_session();
    world.grant_all("x");

    let guard = data.lock().try_write_cached_owned().expect("granted anew");
    let refused = data.open(guard).expect_err("the former is in use");
    assert_eq!(refused.why, OpenRefused::InUse);
    *former = 2;
    drop(former);
    let opened = data.open(refused.guard).expect("nobody has it open");
    assert_eq!(*opened, 2);
}

#[test]
fn a_request_that_meets_a_lost_guard_in_use_is_told_that_it_is_busy() {
    let mut world = World::debtor();
    let data = Guarded::new(world.lock("x"), 1);
    world.begin_session();
    world.grant_all("x");
    let _former = step(data.write()).ready().expect("granted");
    world.end_session();
    world.begin_session();
    world.grant_all("x");
    let error = step(data.read()).ready().expect_err("in use");
    assert_eq!(
        error.to_string(),
        "busy: held by this process \"a guard that was lost, and is still in use\""
    );
    assert!(
        data.lock().try_write_cached().is_some(),
        "its guard is gone"
    );
}

#[test]
fn a_guard_that_was_lost_opens_nothing() {
    let mut world = World::debtor();
    let data = Guarded::new(world.lock("x"), 1);
    world.begin_session();
    world.grant_all("x");
    let guard = data.lock().try_read_cached().expect("granted");
    world.end_session();
    let refused = data.open(guard).expect_err("lost");
    assert!(matches!(refused.why, OpenRefused::Lost(_)));
}

#[test]
fn a_guard_of_another_lock_opens_nothing() {
    let world = World::root();
    let data = Guarded::new(world.lock("x"), 1);
    let other = world.lock("y");
    let guard = other.try_write_cached().expect("free");
    let refused = data.open(guard).expect_err("of another lock");
    assert_eq!(refused.why, OpenRefused::OtherLock);
    assert!(matches!(
        AcquireError::from(refused),
        AcquireError::BadRequest { .. }
    ));
}

#[test]
fn members_of_one_group_do_not_open_the_data_side_by_side() {
    let world = World::root();
    let data = Guarded::new(world.lock("x"), 1);
    let group = GroupId(1);
    let reader = step(data.lock().read().group(group)).ready().expect("free");
    let writer = step(data.lock().write().group(group)).ready();
    let writer = writer.expect("of the group");
    let reading = data.open(reader).expect("nobody has it open");
    let refused = data.open(writer).expect_err("a member looks at it");
    assert_eq!(refused.why, OpenRefused::InUse);
    drop(reading);
    assert!(data.open(refused.guard).is_ok());
}

#[test]
fn data_is_current_until_somebody_else_may_have_written() {
    let world = World::root();
    let data = Guarded::new(world.lock("x"), 1);
    let open = || step(data.read()).ready().expect("free");
    let reader = open();
    assert!(!Opened::is_current(&reader), "never marked");
    Opened::mark_current(&reader);
    drop(reader);
    assert!(Opened::is_current(&open()), "only readers since");
    drop(world.lock("x").try_write_cached().expect("free"));
    assert!(!Opened::is_current(&open()), "a writer since");
}

#[test]
fn data_that_its_writer_marked_is_current_for_the_next_reader_and_writer() {
    let world = World::root();
    let data = Guarded::new(world.lock("x"), 1);
    for _ in 0..2 {
        let writer = step(data.write()).ready().expect("free");
        Opened::mark_current(&writer);
    }
    assert!(Opened::is_current(
        &step(data.read()).ready().expect("free")
    ));
    let writer = step(data.write()).ready().expect("free");
    assert!(Opened::is_current(&writer), "it has not written yet");
    drop(writer);
    let reader = step(data.read()).ready().expect("free");
    assert!(!Opened::is_current(&reader), "it did not say what it wrote");
}

#[test]
fn data_that_a_reader_marked_beside_an_upgradable_guard_is_not_current_after_its_upgrade() {
    let world = World::root();
    let data = Guarded::new(world.lock("x"), 1);
    let lock = world.lock("x");
    let upgradable = lock.try_upgradable_read_cached().expect("free");
    let reader = step(data.read()).ready().expect("shared");
    Opened::mark_current(&reader);
    drop(reader);
    drop(step(upgradable.upgrade()).ready().expect("alone"));
    let reader = step(data.read()).ready().expect("free");
    assert!(!Opened::is_current(&reader));
}

#[test]
fn closing_the_data_keeps_the_guard() {
    let world = World::root();
    let data = Guarded::new(world.lock("x"), 1);
    let guard = data.lock().try_upgradable_read_cached().expect("free");
    let seen = data.open(guard).expect("nobody has it open");
    let writer = step(Opened::close(seen).upgrade()).ready().expect("alone");
    *data.open(writer).expect("nobody has it open") += 1;
    assert_eq!(*step(data.read()).ready().expect("free"), 2);
}
