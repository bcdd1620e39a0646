//! One server that starts again on its directory: its clients claim what they have.

use std::path::Path;
use std::time::Duration;

use rm_core::id::ResourceKey;
use rm_core::inspect::{Answer, Entry, EntryKind, Query};
use rm_net::Node;
use rm_rwlock::LostReason;

use crate::common::proxy::{Cable, Proxy};
use crate::common::{Cluster, LOOK, RW, connect, now, until, within};
use crate::life::Life;
use crate::{LEASE, LONG, granted, next, write};

const ANY: &str = "127.0.0.1:0";

/// A server at that address. Where its port is 0, the system picks one.
async fn serve(dir: &Path, address: &str, lease: Duration) -> Life {
    let builder = Node::builder().name("server").lease(lease);
    Life::start(builder.listen(address).data_dir(dir)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k14_a_server_that_starts_again_leaves_its_clients_their_locks() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = serve(dir.path(), ANY, LEASE).await;
    let address = server.endpoint();
    let (holder, other) = (connect(&address, "h").await, connect(&address, "o").await);
    let guard = write(&holder, "x").await;
    let token = guard.fence();
    server.kill().await;
    let server = serve(dir.path(), &address, LEASE).await;
    let waiting = next(&other, "x");
    // Longer than any lease of the former life can be trusted.
    let claimed = now().after(LEASE * 3 / 2);
    let watch = async {
        while now() < claimed {
            assert!(guard.is_valid(), "a lock was lost with a restart");
            tokio::time::sleep(LOOK).await;
        }
    };
    within("the former lease is over", watch).await;
    assert!(!waiting.is_finished(), "both have it");
    assert_eq!(guard.fence(), token);
    drop(guard);
    assert!(granted(waiting).await.0.fence() > token);
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curator_k10_one_holds_and_one_waits_over_a_restart_and_both_finish_without_a_lease() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = serve(dir.path(), ANY, LONG).await;
    let address = server.endpoint();
    let (holder, other) = (connect(&address, "h").await, connect(&address, "o").await);
    let guard = write(&holder, "x").await;
    let waiting = next(&other, "x");
    until("it waits", || server.node.totals().waiting == 1).await;
    server.kill().await;
    let server = serve(dir.path(), &address, LONG).await;
    until("it waits again", || server.node.totals().waiting == 1).await;
    assert!(guard.is_valid());
    let token = guard.fence();
    drop(guard);
    assert!(granted(waiting).await.0.fence() > token);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_in_a_row_lose_nothing_and_tokens_rise() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = serve(dir.path(), ANY, LEASE).await;
    let address = server.endpoint();
    let (holder, other) = (connect(&address, "h").await, connect(&address, "o").await);
    let kept = write(&holder, "kept").await;
    let mut last = 0;
    for turn in 0..4 {
        let client = [&holder, &other][turn % 2];
        let token = write(client, "x").await.fence();
        assert!(token > last, "{token} after {last}");
        last = token;
        server.kill().await;
        server = serve(dir.path(), &address, LEASE).await;
    }
    drop(write(&other, "x").await);
    assert!(kept.is_valid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dlm_m1_a_lock_whose_holder_fell_silent_comes_after_the_lease_and_wakes_who_waits() {
    let cluster = Cluster::new(LEASE).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (holder, other) = (
        connect(&proxy.endpoint, "h").await,
        cluster.client("o").await,
    );
    let guard = write(&holder, "x").await;
    let waiting = next(&other, "x");
    proxy.set(Cable::Held);
    assert_eq!(
        within("it is lost", guard.lost()).await,
        LostReason::LeaseExpired
    );
    let (theirs, _) = granted(waiting).await;
    assert!(theirs.fence() > guard.fence());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k22_a_recall_that_cannot_reach_the_holder_ends_with_its_lease_and_says_who_it_waits_for() {
    let cluster = Cluster::new(LEASE).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (holder, other) = (
        connect(&proxy.endpoint, "holder").await,
        cluster.client("o").await,
    );
    let guard = write(&holder, "x").await;
    // What the server says does not arrive; what the holder says does.
    proxy.set(Cable::Deaf);
    let key = ResourceKey::new(b"x").expect("a name");
    let type_id = RW;
    let shown = other.inspect(Query::Show { type_id, key }).await;
    let Ok(Answer::Show(Some(view))) = shown else {
        panic!("{shown:?}")
    };
    let silent = |entry: &Entry| entry.kind == EntryKind::Silent && entry.node == "holder";
    assert!(view.entries.iter().any(silent), "{:?}", view.entries);
    let (theirs, _) = granted(next(&other, "x")).await;
    assert!(!guard.is_valid(), "both have it");
    assert!(theirs.fence() > guard.fence());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_e20_who_waits_and_loses_its_session_is_not_granted_by_it() {
    let cluster = Cluster::new(LEASE).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let holder = cluster.client("h").await;
    let (victim, newcomer) = (
        connect(&proxy.endpoint, "v").await,
        cluster.client("n").await,
    );
    let guard = write(&holder, "x").await;
    let lost = next(&victim, "x");
    cluster
        .until("it waits", |server| server.totals().waiting == 1)
        .await;
    proxy.set(Cable::Held);
    cluster
        .until("its request is gone", |server| server.totals().waiting == 0)
        .await;
    drop(guard);
    let (theirs, _) = granted(next(&newcomer, "x")).await;
    assert!(!lost.is_finished(), "granted by a session that is over");
    // Its next session asks again.
    proxy.set(Cable::Good);
    cluster
        .until("it waits again", |server| server.totals().waiting == 1)
        .await;
    assert!(theirs.is_valid() && !lost.is_finished());
    let token = theirs.fence();
    drop(theirs);
    assert!(granted(lost).await.0.fence() > token);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_e6_a_newcomer_behind_a_victim_waits_for_the_owner_and_not_for_the_victim() {
    let cluster = Cluster::new(LONG).await;
    let owner = cluster.client("owner").await;
    let victim = cluster.client("victim").await;
    let newcomer = cluster.client("newcomer").await;
    let guard = write(&owner, "x").await;
    let lost = tokio::spawn({
        let lock = victim.rw_lock("x");
        async move { lock.write().await.map(drop) }
    });
    cluster
        .until("it waits", |server| server.totals().waiting == 1)
        .await;
    let waiting = next(&newcomer, "x");
    cluster
        .until("both wait", |server| server.totals().waiting == 2)
        .await;
    victim.close().await;
    let denied = within("its request ends", lost).await.expect("no panic");
    assert!(denied.is_err());
    cluster
        .until("one waits", |server| server.totals().waiting == 1)
        .await;
    assert!(!waiting.is_finished(), "it has it beside the owner");
    drop(guard);
    assert!(granted(waiting).await.0.is_valid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curator_k30_a_lock_taken_again_after_its_session_was_lost_is_asked_for_anew() {
    let cluster = Cluster::new(LEASE).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (holder, other) = (
        connect(&proxy.endpoint, "h").await,
        cluster.client("o").await,
    );
    let guard = write(&holder, "x").await;
    let lock = holder.rw_lock("x");
    proxy.set(Cable::Held);
    within("it is lost", guard.lost()).await;
    assert!(lock.try_write_cached().is_none(), "from what it lost");
    let (theirs, _) = granted(next(&other, "x")).await;
    proxy.set(Cable::Good);
    until("it is connected again", || holder.is_connected()).await;
    assert!(lock.try_write().await.is_err(), "somebody else has it");
    drop(theirs);
    assert!(write(&holder, "x").await.fence() > guard.fence());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_e21_the_late_release_of_a_lost_lock_frees_nothing_of_a_later_hold() {
    let cluster = Cluster::new(LEASE).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (holder, other) = (
        connect(&proxy.endpoint, "h").await,
        cluster.client("o").await,
    );
    let lost = write(&holder, "x").await;
    proxy.set(Cable::Held);
    within("it is lost", lost.lost()).await;
    proxy.set(Cable::Good);
    let again = write(&holder, "x").await;
    assert!(again.fence() > lost.fence());
    drop(lost);
    let waiting = next(&other, "x");
    until("the later hold is asked for", || again.is_wanted()).await;
    assert!(again.is_valid() && !waiting.is_finished());
    drop(again);
    drop(granted(waiting).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_request_that_is_lost_with_the_connection_comes_over_the_next() {
    let cluster = Cluster::new(LONG).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (one, other) = (
        connect(&proxy.endpoint, "h").await,
        cluster.client("o").await,
    );
    let guard = write(&other, "x").await;
    let waiting = next(&one, "x");
    cluster
        .until("it waits", |server| server.totals().waiting == 1)
        .await;
    // The server lends while nothing of it arrives: the lock is acquired, and its holder does not know.
    proxy.set(Cable::Deaf);
    drop(guard);
    cluster
        .until("it is lent", |server| server.totals().waiting == 0)
        .await;
    assert!(!waiting.is_finished());
    proxy.set(Cable::Cut);
    until("it noticed", || !one.is_connected()).await;
    proxy.set(Cable::Good);
    let (theirs, _) = granted(waiting).await;
    assert!(theirs.is_valid());
    assert_eq!(theirs.fence() % 2, 1, "one grant, and not two");
    let lock = other.rw_lock("x");
    assert!(lock.try_write().await.is_err(), "it is lent once");
}
