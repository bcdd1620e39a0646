//! A root dies: its books are gone, and its debtors claim what they have from the next one.

use rm_rwlock::LostReason;

use crate::common::{LOOK, assert_no_panics, connect, now, until, within};
use crate::trio::Trio;
use crate::{LEASE, assert_granted_in_order, granted, next, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k14_a_client_keeps_its_locks_when_their_root_dies_and_the_next_token_is_larger() {
    let Some(mut trio) = Trio::start(LEASE).await else {
        return;
    };
    let (holder, other) = (trio.client("h", "a").await, trio.client("o", "b").await);
    let lock = trio.lock_of("c");
    let guard = write(&holder, &lock).await;
    let token = guard.fence();
    trio.kill("c").await;
    let waiting = next(&other, &lock);
    // Longer than any lease of the former root can be trusted: from then on it lives by the claim.
    let claimed = now().after(LEASE * 2);
    let watch = async {
        while now() < claimed {
            assert!(guard.is_valid(), "a lock was lost with its root");
            tokio::time::sleep(LOOK).await;
        }
    };
    within("two leases are over", watch).await;
    assert!(!waiting.is_finished(), "both have it");
    assert_eq!(guard.fence(), token);
    drop(guard);
    let (theirs, _) = granted(waiting).await;
    assert!(theirs.fence() > token);
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k13_a_holder_that_died_with_its_root_is_waited_for_once_and_passed() {
    let Some(mut trio) = Trio::start(LEASE).await else {
        return;
    };
    let other = trio.client("o", "b").await;
    let lock = trio.lock_of("c");
    // A borrower that dies with its lender: what it held itself, and the book of that.
    let held = trio.node("c").rw_lock(&lock).write_owned().await;
    let held = held.expect("free");
    let token = held.fence();
    trio.kill("c").await;
    let killed = now();
    drop(held);
    let (theirs, at) = granted(next(&other, &lock)).await;
    assert!(theirs.fence() > token);
    // Nobody could know that it is dead, and its lease had at least three quarters left.
    assert!(at >= killed.after(LEASE / 2), "nobody waited for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dlm_k2_who_waits_at_a_root_that_dies_waits_at_the_next_one_in_the_same_order() {
    let Some(mut trio) = Trio::start(LEASE).await else {
        return;
    };
    let holder = trio.client("h", "a").await;
    let lock = trio.lock_of("c");
    let guard = write(&holder, &lock).await;
    let mut waiting = Vec::new();
    for (count, member) in (1..).zip(["a", "b", "a"]) {
        let client = trio.client(&format!("w{count}"), member).await;
        waiting.push(next(&client, &lock));
        until("it waits", || trio.counter("c", "waiting") == count).await;
    }
    trio.kill("c").await;
    trio.until_members().await;
    let root = trio.root_of(&lock);
    until("all wait at the next root", || {
        trio.counter(&root, "waiting") == 3
    })
    .await;
    let last = guard.fence();
    assert!(guard.is_valid());
    drop(guard);
    assert_granted_in_order(last, waiting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dlm_k8_an_upgrade_that_waits_when_the_root_dies_is_granted_by_the_next_one() {
    let Some(mut trio) = Trio::start(LEASE).await else {
        return;
    };
    let (one, other) = (trio.client("h", "a").await, trio.client("o", "b").await);
    let lock = trio.lock_of("c");
    let read = other.rw_lock(&lock).read_owned().await.expect("free");
    let upgradable = one.rw_lock(&lock).upgradable_read_owned().await;
    let upgrade = tokio::spawn(upgradable.expect("beside a reader").upgrade().into_future());
    until("it waits for the reader", || read.is_wanted()).await;
    trio.kill("c").await;
    trio.until_members().await;
    let root = trio.root_of(&lock);
    until("it waits at the next root", || {
        trio.counter(&root, "waiting") == 1
    })
    .await;
    assert!(!upgrade.is_finished(), "a writer beside a reader");
    assert!(read.is_valid());
    drop(read);
    let upgraded = within("upgraded", upgrade).await.expect("no panic");
    assert!(upgraded.expect("granted").is_valid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dlm_k9_a_release_while_there_is_no_root_arrives_once_at_the_next_one() {
    let Some(mut trio) = Trio::start(LEASE).await else {
        return;
    };
    let (holder, other) = (trio.client("h", "a").await, trio.client("o", "b").await);
    let lock = trio.lock_of("c");
    let guard = write(&holder, &lock).await;
    let token = guard.fence();
    trio.kill("c").await;
    let killed = now();
    drop(guard);
    let (theirs, at) = granted(next(&other, &lock)).await;
    assert!(theirs.fence() > token);
    // It was claimed, and recalled at once: nobody waited for a lease beyond the view without the dead.
    assert!(at < killed.after(LEASE), "a lease was waited for");
    drop(theirs);
    let again = write(&holder, &lock).await;
    assert!(again.is_valid(), "all of it is there, and once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dlm_k10_what_the_dead_root_had_nothing_to_do_with_goes_on_all_the_time() {
    let Some(mut trio) = Trio::start(LEASE).await else {
        return;
    };
    let (one, other) = (trio.client("h", "a").await, trio.client("o", "b").await);
    let lock = trio.lock_of("a");
    drop(write(&one, &lock).await);
    trio.kill("c").await;
    let epoch = trio.epoch();
    let mut turns = 0;
    let take_turns = async {
        while trio.epoch() == epoch {
            let began = now();
            drop(write(&one, &lock).await);
            drop(write(&other, &lock).await);
            assert!(now() < began.after(LEASE / 5), "it had to wait");
            turns += 1;
        }
    };
    within("the view without the dead", take_turns).await;
    assert!(turns > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dlm_k11_a_member_that_is_back_before_it_was_missed_is_another_one() {
    // The lease of a member is longer than the patience of this test.
    let Some(mut trio) = Trio::start(crate::LONG * 2).await else {
        return;
    };
    let holder = trio.client("h", "a").await;
    let lock = trio.lock_of("c");
    let guard = write(&holder, &lock).await;
    let token = guard.fence();
    let former = trio.epoch();
    trio.kill("c").await;
    trio.join("c").await;
    until("the view has its next life", || trio.epoch() > former).await;
    trio.until_members().await;
    until("the client knows", || {
        holder.domain().view() == trio.node("a").domain().view()
    })
    .await;
    let other = trio.client("o", "c").await;
    assert_eq!(trio.root_of(&lock), "c", "it has its share again");
    let waiting = next(&other, &lock);
    until("the holder is asked by the next life", || guard.is_wanted()).await;
    assert!(guard.is_valid());
    drop(guard);
    let (theirs, _) = granted(waiting).await;
    assert!(theirs.fence() > token);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_root_dies_while_the_first_is_recovered_from_and_no_lock_is_lost() {
    let Some(mut trio) = Trio::start(LEASE).await else {
        return;
    };
    let holder = trio.client("h", "a").await;
    let mut guards = Vec::new();
    for member in ["a", "b", "c"] {
        for lock in trio.locks_of(member, 5) {
            guards.push(write(&holder, &lock).await);
        }
    }
    trio.kill("c").await;
    trio.kill("b").await;
    trio.until_members().await;
    let claimed = now().after(LEASE * 2);
    let watch = async {
        while now() < claimed {
            assert!(guards.iter().all(|guard| guard.is_valid()));
            tokio::time::sleep(LOOK).await;
        }
    };
    within("two leases are over", watch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_only_endpoint_died_goes_on_by_the_view() {
    let Some(mut trio) = Trio::start(LEASE).await else {
        return;
    };
    let client = trio.client("h", "c").await;
    let kept = trio.lock_of("a");
    let guard = write(&client, &kept).await;
    let lock = trio.lock_of("c");
    drop(write(&client, &lock).await);
    trio.kill("c").await;
    trio.until_known_to(&client).await;
    assert!(client.is_connected() && guard.is_valid());
    drop(write(&client, &lock).await);
    assert!(guard.is_valid());
}

/// All members end, and come back: nobody has a book, and the epochs are at etcd.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dlm_k1_all_members_die_at_once_and_the_next_tokens_are_larger() {
    let Some(mut trio) = Trio::start(LEASE).await else {
        return;
    };
    let holder = trio.client("h", "a").await;
    let lock = trio.lock_of("c");
    let guard = write(&holder, &lock).await;
    let token = guard.fence();
    for name in crate::trio::NAMES {
        trio.kill(name).await;
    }
    for name in crate::trio::NAMES {
        trio.join(name).await;
    }
    trio.until_members().await;
    let other = connect(&trio.endpoint("b"), "o").await;
    let (theirs, at) = granted(next(&other, &lock)).await;
    // It was told of no address that lives, so its lease ended.
    assert_eq!(
        within("it is told", guard.lost()).await,
        LostReason::LeaseExpired
    );
    assert!(theirs.fence() > token && at <= now());
}
