//! Leases over a real network that fails: cables that are pulled, processes that are paused or killed.
//!
//! Times are compared by the clock that leases rest on, which all processes of a machine share. The one thing that
//! must never happen: somebody has the lock while another still counts on it.

mod common;

use std::future::IntoFuture as _;
use std::time::Duration;

use common::process::{self, Process};
use common::proxy::{Cable, Proxy};
use common::{Cluster, LOOK, assert_no_panics, connect, now, until, within};
use rm_core::session::LeaseTerms;
use rm_core::time::Time;
use rm_net::{Client, Node};
use rm_rwlock::{LostReason, OwnedWriteGuard};
use tokio::task::JoinHandle;

/// Short, and long enough for a busy machine.
const LEASE: Duration = Duration::from_secs(2);
/// Longer than any test waits: who gets something by then did not wait for the lease.
const LONG: Duration = Duration::from_secs(60);

/// How a hold came to its end.
struct Loss {
    /// The latest deadline it had.
    deadline: Time,
    /// When it was last seen valid.
    last_valid: Time,
}

/// Looks at a guard until it is lost.
async fn watch(guard: &OwnedWriteGuard) -> Loss {
    let mut loss = Loss {
        deadline: Time::ZERO,
        last_valid: Time::ZERO,
    };
    let lost = async {
        loop {
            // Before the look: at that time it was valid.
            let at = now();
            let left = guard.valid_for().expect("leased");
            if left.is_zero() {
                return;
            }
            loss.last_valid = at;
            loss.deadline = loss.deadline.max(at.after(left));
            tokio::time::sleep(LOOK).await;
        }
    };
    within("the guard is lost", lost).await;
    assert!(!guard.is_valid());
    loss
}

/// Asks for the lock at once; the task ends with the guard and the time it came.
fn next(client: &Client) -> JoinHandle<(OwnedWriteGuard, Time)> {
    let request = client.rw_lock("x").write_owned().into_future();
    tokio::spawn(async move {
        let guard = request.await.expect("granted in the end");
        (guard, now())
    })
}

/// A holder whose cable fails, and one who waits for the lock on a good one.
async fn a_holder_is_cut_off(cable: Cable) {
    let cluster = Cluster::new(LEASE).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (a, b) = (
        connect(&proxy.endpoint, "a").await,
        cluster.client("b").await,
    );
    let guard = a.rw_lock("x").write_owned().await.expect("free");
    let waiting = next(&b);
    cluster
        .until("the other one waits", |server| server.totals().waiting == 1)
        .await;
    let cut = now();
    proxy.set(cable);
    let loss = watch(&guard).await;
    let why = within("it says so", guard.lost()).await;
    assert_eq!(why, LostReason::LeaseExpired);
    // Renewed every quarter of the lease, it has three of them left, and gets them: less one for a busy machine.
    assert!(loss.deadline >= cut.after(LEASE / 2));
    let (theirs, granted) = within("the next one", waiting).await.expect("no panic");
    assert!(loss.last_valid < granted, "both had it");
    if cable != Cable::Deaf {
        // It could not say that it lost it, so the server waited, from the last renewal on. That came after
        // it was sent, from where the holder counted.
        let since_sent = LeaseTerms::wait(LEASE) - LeaseTerms::trust(LEASE);
        assert!(granted >= loss.deadline.after(since_sent));
    }
    assert!(theirs.fence() > guard.fence());
    drop(theirs);
    proxy.set(Cable::Good);
    until("it is connected again", || a.is_connected()).await;
    assert!(!guard.is_valid(), "what is lost stays lost");
    assert_eq!(guard.valid_for(), Some(Duration::ZERO));
    let again = a.rw_lock("x").write_owned();
    let again = within("it works again", again.into_future()).await;
    assert!(again.expect("granted").fence() > guard.fence());
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_behind_a_dead_cable_loses_at_its_deadline_and_the_next_one_waits_for_it() {
    a_holder_is_cut_off(Cable::Held).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_behind_a_broken_connection_does_so_too() {
    a_holder_is_cut_off(Cable::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_is_not_heard_does_so_too() {
    a_holder_is_cut_off(Cable::Mute).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_hears_nothing_loses_before_the_next_one_has_it() {
    a_holder_is_cut_off(Cable::Deaf).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_shorter_than_the_lease_costs_nothing() {
    let cluster = Cluster::new(LEASE).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let client = connect(&proxy.endpoint, "a").await;
    let guard = client.rw_lock("x").write_owned().await.expect("free");
    proxy.set(Cable::Held);
    let third = now().after(LEASE / 3);
    until("a third of a lease", || now() >= third).await;
    proxy.set(Cable::Good);
    let later = now().after(LEASE);
    until("a whole lease", || now() >= later).await;
    assert!(guard.is_valid());
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_holds_nothing_connects_again_at_once() {
    let cluster = Cluster::new(LONG).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let client = connect(&proxy.endpoint, "a").await;
    let lock = client.rw_lock("x");
    let before = lock.write().await.expect("free").fence();
    proxy.set(Cable::Cut);
    until("it noticed", || !client.is_connected()).await;
    proxy.set(Cable::Good);
    until("it is connected again", || client.is_connected()).await;
    let write = within("it works again", lock.write().into_future());
    assert!(write.await.expect("granted").fence() > before);
    assert_eq!(proxy.connections(), 2);
    assert_eq!(cluster.server.status().sessions, 1, "the old one is over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_waits_survives_a_new_connection() {
    let cluster = Cluster::new(LONG).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (a, b) = (
        cluster.client("a").await,
        connect(&proxy.endpoint, "b").await,
    );
    let guard = a.rw_lock("x").write_owned().await.expect("free");
    let waiting = next(&b);
    let waits = |server: &Node| server.totals().waiting == 1;
    cluster.until("it waits", waits).await;
    proxy.set(Cable::Cut);
    until("it noticed", || !b.is_connected()).await;
    proxy.set(Cable::Good);
    until("it is connected again", || b.is_connected()).await;
    cluster.until("it waits again", waits).await;
    assert!(!waiting.is_finished());
    drop(guard);
    let (theirs, _) = within("it is granted", waiting).await.expect("no panic");
    assert!(theirs.is_valid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_rise_over_every_new_connection() {
    let cluster = Cluster::new(LONG).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let client = connect(&proxy.endpoint, "a").await;
    let lock = client.rw_lock("x");
    let mut last = 0;
    for connections in 1..=5 {
        until("it is connected", || client.is_connected()).await;
        let fence = within("granted", lock.write().into_future()).await;
        let fence = fence.expect("granted").fence();
        assert!(fence > last, "{fence} after {last}");
        last = fence;
        assert_eq!(proxy.connections(), connections);
        proxy.set(Cable::Cut);
        until("it noticed", || !client.is_connected()).await;
        proxy.set(Cable::Good);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_outlives_a_server_that_stops_until_its_deadline() {
    let cluster = Cluster::new(LEASE).await;
    let client = cluster.client("a").await;
    let guard = client.rw_lock("x").write_owned().await.expect("free");
    let report = cluster.server.stop().await;
    assert_eq!((report.is_clean, report.loans), (false, 1));
    until("it noticed", || !client.is_connected()).await;
    assert!(guard.is_valid(), "the next server waits for it");
    let loss = watch(&guard).await;
    assert!(loss.last_valid < loss.deadline);
    assert_eq!(guard.lost().await, LostReason::LeaseExpired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_clean_stop_the_next_server_does_not_wait() {
    let cluster = Cluster::new(LONG).await;
    let client = cluster.client("a").await;
    drop(client.rw_lock("x").write().await.expect("free"));
    client.close().await;
    cluster
        .until("all is back", |server| server.status().sessions == 0)
        .await;
    assert!(cluster.server.stop().await.is_clean);
    let next = Node::builder().listen("127.0.0.1:0").lease(LONG);
    let next = next.data_dir(cluster.dir.path()).start().await;
    let next = next.expect("started");
    assert_eq!(next.status().grace, Duration::ZERO);
    let lock = next.rw_lock("x");
    let write = within("at once", lock.write().into_future());
    assert!(write.await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_with_a_session_open_is_not_clean_and_the_next_server_waits() {
    let cluster = Cluster::new(LEASE).await;
    let _client = cluster.client("a").await;
    assert!(!cluster.server.stop().await.is_clean);
    let next = Node::builder().listen("127.0.0.1:0").lease(LEASE);
    let next = next.data_dir(cluster.dir.path()).start().await;
    assert!(next.expect("started").status().grace > Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_is_paused_past_its_lease_wakes_without_it() {
    let cluster = Cluster::new(LEASE).await;
    let mut holder = Process::holder(&cluster.endpoint);
    let fence: u64 = holder.heard("held").await;
    holder.signal(rustix::process::Signal::STOP);
    let client = cluster.client("b").await;
    let (guard, granted) = within("the next one", next(&client))
        .await
        .expect("no panic");
    assert!(guard.fence() > fence);
    holder.signal(rustix::process::Signal::CONT);
    let last_valid: u64 = holder.heard("lost").await;
    assert!(last_valid < granted.as_nanos(), "both had it");
    assert!(guard.is_valid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_holder_had_is_free_after_its_lease() {
    let cluster = Cluster::new(LEASE).await;
    let mut holder = Process::holder(&cluster.endpoint);
    let fence: u64 = holder.heard("held").await;
    let client = cluster.client("b").await;
    let waiting = next(&client);
    let killed = now();
    holder.signal(rustix::process::Signal::KILL);
    let (guard, granted) = within("the next one", waiting).await.expect("no panic");
    assert!(guard.fence() > fence);
    assert!(
        granted >= killed.after(LEASE / 2),
        "it still had most of its lease"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_comes_back_and_waits_for_what_it_may_have_lent() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut first = Process::server(dir.path(), LEASE);
    let endpoint: String = first.heard("listens").await;
    let client = connect(&endpoint, "a").await;
    let guard = client.rw_lock("x").write_owned().await.expect("free");
    first.signal(rustix::process::Signal::KILL);
    first.ended().await;

    let mut second = Process::server(dir.path(), LEASE);
    let endpoint: String = second.heard("listens").await;
    let grace: u64 = second.heard("grace").await;
    assert!(grace > 0 && u128::from(grace) <= LeaseTerms::wait(LEASE).as_millis());
    let waiting = next(&connect(&endpoint, "b").await);
    let loss = watch(&guard).await;
    let (theirs, granted) = within("the next one", waiting).await.expect("no panic");
    assert!(loss.last_valid < granted, "both had it");
    assert!(theirs.fence() > guard.fence());
}

/// Not a test of its own: what the processes of the others run.
#[test]
fn process() {
    process::run();
}
