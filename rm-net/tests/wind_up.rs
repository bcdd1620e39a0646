//! The end in good order over real sockets: a client that leaves nothing for its lease to settle, and a server
//! that calls everything home before it stops.

mod common;

use std::time::Duration;

use common::{Cluster, within};
use rm_core::front::Obstacle;
use rm_net::Node;
use rm_rwlock::AcquireError;

/// Nothing in these tests may wait for a lease: this one would outlast them.
const LONG: Duration = Duration::from_secs(600);
/// More than any of this takes.
const AMPLE: Duration = Duration::from_secs(20);
/// Long enough to look, and too short for anything else.
const BRIEF: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_wound_up_has_returned_everything_to_the_server() {
    let cluster = Cluster::new(LONG).await;
    let client = cluster.client("a").await;
    for name in ["x", "y", "z"] {
        drop(client.rw_lock(name).write().await.expect("free"));
    }
    assert_eq!(cluster.server.totals().loans, 3, "it caches them");
    let report = within("it is wound up", client.wind_up(AMPLE)).await;
    assert!(report.is_complete);
    // At once: it is still connected, and its lease is good.
    assert_eq!(cluster.server.totals().loans, 0);
    let refused = client.rw_lock("x").read().await.map(drop);
    assert_eq!(refused, Err(AcquireError::ShuttingDown));
    let other = cluster.client("b").await;
    let lock = other.rw_lock("x");
    assert!(within("free", lock.write().into_future()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_winds_up_waits_for_its_own_holder() {
    let cluster = Cluster::new(LONG).await;
    let client = cluster.client("a").await;
    let guard = client.rw_lock("x").write_owned().await.expect("free");
    let report = client.wind_up(BRIEF).await;
    assert!(!report.is_complete);
    let [holder] = &report.in_the_way[..] else {
        panic!("one holder: {report:?}");
    };
    assert_eq!(
        (holder.what, &*holder.node, &*holder.mode),
        (Obstacle::Held, "a", "write")
    );
    assert!(guard.is_valid(), "a holder is waited for, not thrown out");
    drop(guard);
    let report = within("it is wound up", client.wind_up(AMPLE)).await;
    assert!(report.is_complete);
    assert_eq!(cluster.server.totals().loans, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wound_up_stops_clean_with_clients_connected() {
    let cluster = Cluster::new(LONG).await;
    let client = cluster.client("a").await;
    drop(client.rw_lock("x").write().await.expect("free"));
    let report = within("it is wound up", cluster.server.wind_up(AMPLE)).await;
    assert!(report.is_complete);
    let refused = client.rw_lock("x").read().await.map(drop);
    assert_eq!(refused, Err(AcquireError::ShuttingDown));
    assert!(client.is_connected());
    let stopped = cluster.server.stop().await;
    assert_eq!((stopped.is_clean, stopped.loans), (true, 0));
    let next = Node::builder().listen("127.0.0.1:0").lease(LONG);
    let next = next.data_dir(cluster.dir.path()).start().await;
    assert_eq!(next.expect("started").status().grace, Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_winds_up_waits_for_a_client_s_holder_and_names_the_client() {
    let cluster = Cluster::new(LONG).await;
    let client = cluster.client("a").await;
    let guard = client.rw_lock("x").write_owned().await.expect("free");
    let report = cluster.server.wind_up(BRIEF).await;
    assert!(!report.is_complete);
    let [lent] = &report.in_the_way[..] else {
        panic!("one loan: {report:?}");
    };
    assert_eq!((lent.what, &*lent.node), (Obstacle::Lent, "a"));
    assert!(guard.is_valid());
    let end = cluster.server.wind_up(AMPLE);
    drop(guard);
    assert!(within("it is wound up", end).await.is_complete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_after_a_wind_up_that_ran_out_of_time_is_not_clean() {
    let cluster = Cluster::new(LONG).await;
    let client = cluster.client("a").await;
    let _guard = client.rw_lock("x").write_owned().await.expect("free");
    assert!(!cluster.server.wind_up(BRIEF).await.is_complete);
    let stopped = cluster.server.stop().await;
    assert_eq!((stopped.is_clean, stopped.loans), (false, 1));
}
