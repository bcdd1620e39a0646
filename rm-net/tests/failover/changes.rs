//! Members join and leave, and nobody waits for a lease: it is longer than these tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rm_core::inspect::Standing;

use crate::common::{PATIENCE, assert_no_panics, until, within};
use crate::trio::{NAMES, Trio, root_in};
use crate::{LONG, assert_granted_in_order, granted, next, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_joins_takes_over_its_share_and_nobody_waits_for_a_lease() {
    let Some(mut trio) = Trio::start(LONG).await else {
        return;
    };
    let (holder, other) = (trio.client("h", "a").await, trio.client("o", "b").await);
    let locks: Vec<_> = (0..40).map(|number| format!("lock/{number}")).collect();
    let mut guards = Vec::new();
    for lock in &locks {
        guards.push(write(&holder, lock).await);
    }
    let before = trio.node("a").domain().view().expect("a view");
    trio.join("d").await;
    trio.until_members().await;
    trio.until_known_to(&holder).await;
    let mut moved = 0;
    for (lock, guard) in locks.iter().zip(guards) {
        let (from, to) = (root_in(&before, lock), trio.root_of(lock));
        assert!(to == from || to == "d", "{lock} went from {from} to {to}");
        moved += u32::from(to == "d");
        let waiting = next(&other, lock);
        until("the present root recalls it", || guard.is_wanted()).await;
        assert!(guard.is_valid());
        let token = guard.fence();
        drop(guard);
        let (theirs, _) = granted(waiting).await;
        assert!(theirs.fence() > token);
    }
    assert!(moved > 0, "nothing moved");
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_drained_hands_everything_over_and_nobody_waits_for_a_lease() {
    let Some(mut trio) = Trio::start(LONG).await else {
        return;
    };
    let (holder, other) = (trio.client("h", "a").await, trio.client("o", "b").await);
    let locks = trio.locks_of("c", 20);
    let mut guards = Vec::new();
    for lock in &locks {
        guards.push(write(&holder, lock).await);
    }
    assert!(trio.node("c").drain(PATIENCE).await, "all was taken over");
    trio.kill("c").await;
    trio.until_members().await;
    trio.until_known_to(&holder).await;
    for (lock, guard) in locks.iter().zip(guards) {
        let waiting = next(&other, lock);
        until("the present root recalls it", || guard.is_wanted()).await;
        assert!(guard.is_valid());
        let token = guard.fence();
        drop(guard);
        assert!(granted(waiting).await.0.fence() > token);
    }
    // What nobody had is free at once, too: a book tells that.
    drop(write(&other, "never seen before").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dlm_k2_who_waits_at_a_member_that_is_drained_is_served_in_the_same_order() {
    let Some(trio) = Trio::start(LONG).await else {
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
    assert!(trio.node("c").drain(PATIENCE).await);
    let last = guard.fence();
    drop(guard);
    assert_granted_in_order(last, waiting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_member_can_be_drained() {
    let Some(mut trio) = Trio::start(LONG).await else {
        return;
    };
    for name in NAMES {
        assert!(trio.node(name).drain(PATIENCE).await, "{name} left");
        trio.kill(name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dlm_k18_all_members_are_restarted_in_turn_under_load_and_no_lock_is_lost() {
    let Some(mut trio) = Trio::start(LONG).await else {
        return;
    };
    let holder = trio.client("h", "a").await;
    let mut guards = Vec::new();
    for name in NAMES {
        for lock in trio.locks_of(name, 5) {
            guards.push(write(&holder, &lock).await);
        }
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let visits = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for member in ["a", "b"] {
        let client = trio.client(&format!("load/{member}"), member).await;
        let (is_over, visits) = (Arc::clone(&is_over), Arc::clone(&visits));
        tasks.push(tokio::spawn(async move {
            let locks = ["load/1", "load/2", "load/3"].map(|name| client.rw_lock(name));
            let mut last = [0; 3];
            while !is_over.load(Ordering::SeqCst) {
                for (lock, last) in locks.iter().zip(&mut last) {
                    let guard = lock.write().await.expect("granted");
                    assert!(guard.fence() > *last && guard.is_valid());
                    *last = guard.fence();
                    visits.fetch_add(1, Ordering::SeqCst);
                }
            }
        }));
    }
    for name in NAMES {
        assert!(trio.node(name).drain(PATIENCE).await, "{name} left");
        trio.kill(name).await;
        trio.until_members().await;
        trio.join(name).await;
        trio.until_members().await;
        let before = visits.load(Ordering::SeqCst);
        until("the load goes on", || {
            visits.load(Ordering::SeqCst) > before + 12
        })
        .await;
    }
    is_over.store(true, Ordering::SeqCst);
    for task in tasks {
        within("the load ends", task).await.expect("no panic");
    }
    assert!(guards.iter().all(|guard| guard.is_valid()));
    for name in NAMES {
        assert_eq!(trio.status(name).standing, Standing::Active);
    }
    assert_no_panics();
}
