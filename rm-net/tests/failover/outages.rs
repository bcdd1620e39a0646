//! The coordinator is away: shorter than the members trust each other, longer, and longer than any lease.

use rm_core::inspect::Standing;
use rm_rwlock::LostReason;

use crate::common::{LOOK, now, until, within};
use crate::trio::{NAMES, Trio};
use crate::{LEASE, granted, next, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_shorter_than_a_member_s_lease_is_noticed_by_nobody() {
    // A member's lease is a quarter of it: the outage must be shorter.
    let Some(mut trio) = Trio::start(LEASE * 6).await else {
        return;
    };
    let (one, other) = (trio.client("h", "a").await, trio.client("o", "b").await);
    let guard = write(&one, "kept").await;
    let epoch = trio.epoch();
    trio.etcd.kill();
    for name in NAMES {
        let lock = trio.lock_of(name);
        let token = write(&one, &lock).await.fence();
        assert!(write(&other, &lock).await.fence() > token);
    }
    trio.etcd.start_again();
    until("all are connected again", || {
        NAMES
            .iter()
            .all(|name| trio.status(name).is_coordinator_connected)
    })
    .await;
    assert_eq!(trio.epoch(), epoch);
    for name in NAMES {
        assert_eq!(trio.status(name).standing, Standing::Active);
    }
    assert!(guard.is_valid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dlm_k12_an_outage_longer_than_a_member_s_lease_suspends_all_and_loses_nothing() {
    let Some(mut trio) = Trio::start(LEASE * 2).await else {
        return;
    };
    let (one, other) = (trio.client("h", "a").await, trio.client("o", "b").await);
    let guard = write(&one, "kept").await;
    let epoch = trio.epoch();
    trio.etcd.kill();
    for name in NAMES {
        until("it is suspended", || {
            trio.status(name).standing == Standing::Suspended
        })
        .await;
    }
    let fresh = next(&other, &trio.lock_of("a"));
    assert!(guard.is_valid(), "its lease goes on");
    trio.etcd.start_again();
    let (_guard, _) = granted(fresh).await;
    for name in NAMES {
        until("it is active again", || {
            trio.status(name).standing == Standing::Active
        })
        .await;
    }
    assert_eq!(trio.epoch(), epoch, "nobody was evicted");
    assert!(guard.is_valid());
    // By a new answer to a renewal.
    until("its lease is renewed", || {
        guard.valid_for().is_some_and(|left| left > LEASE)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_longer_than_the_lease_loses_holds_at_their_deadline_and_jeopardy_comes_first() {
    let Some(mut trio) = Trio::start(LEASE).await else {
        return;
    };
    let (one, other) = (trio.client("h", "a").await, trio.client("o", "b").await);
    let lock = trio.lock_of("c");
    let guard = write(&one, &lock).await;
    let token = guard.fence();
    // A member's own borrower has its leases from the same lenders, and counts what it fears for.
    let own = trio.node("a").rw_lock(trio.lock_of("b")).read_owned().await;
    let own = own.expect("free");
    let before = trio.counter("a", "jeopardies");
    trio.etcd.kill();
    until("the lease is in jeopardy", || {
        assert!(own.is_valid(), "lost without a warning");
        trio.counter("a", "jeopardies") > before
    })
    .await;
    let waiting = next(&other, &lock);
    let mut last_valid = now();
    let watch = async {
        loop {
            let at = now();
            if !guard.is_valid() {
                break;
            }
            last_valid = at;
            assert!(!waiting.is_finished(), "both have it");
            tokio::time::sleep(LOOK).await;
        }
    };
    within("the lease ends", watch).await;
    assert_eq!(
        within("it is told", guard.lost()).await,
        LostReason::LeaseExpired
    );
    assert!(!waiting.is_finished(), "nobody may lend");
    trio.etcd.start_again();
    let (theirs, at) = granted(waiting).await;
    assert!(at > last_valid && theirs.fence() > token);
    assert!(!guard.is_valid(), "what is lost stays lost");
}
