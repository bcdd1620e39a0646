//! The other types over real sockets: semaphores, range locks, identifiers and sequences, shared by clients that may be
//! lost, and by a server that may start anew.

mod common;

use std::collections::BTreeSet;
use std::future::IntoFuture as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::process::{self, Process};
use common::proxy::{Cable, Proxy};
use common::{Cluster, assert_no_panics, connect, until, within};
use rm_net::{Client, Node};
use rm_types::AcquireError;
use rustix::process::Signal;

/// Longer than any test waits: nothing here may have to wait for it.
const LONG: Duration = Duration::from_secs(60);
/// For those who wait for its end.
const SHORT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_together_never_have_more_units_than_a_semaphore_has() {
    const UNITS: u64 = 5;
    let cluster = Cluster::new(LONG).await;
    let in_use = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for name in ["a", "b", "c"] {
        let client = cluster.client(name).await;
        for units in 1..=3 {
            let (client, in_use) = (client.clone(), Arc::clone(&in_use));
            tasks.push(tokio::spawn(async move {
                let slots = client.semaphore("slots", UNITS);
                for _ in 0..50 {
                    let permit = slots.acquire(units).await.expect("granted");
                    let before = in_use.fetch_add(units, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    in_use.fetch_sub(units, Ordering::SeqCst);
                    drop(permit);
                    assert!(before + units <= UNITS, "{before} and {units} more");
                }
            }));
        }
    }
    for task in tasks {
        within("every request is granted", task)
            .await
            .expect("no panic");
    }
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_client_consumes_of_a_quota_the_other_gets_when_it_is_refilled() {
    let cluster = Cluster::new(LONG).await;
    let (a, b) = (cluster.client("a").await, cluster.client("b").await);
    let (quota_a, quota_b) = (a.semaphore("bytes", 10), b.semaphore("bytes", 10));
    quota_a.consume(7).await.expect("granted");
    assert_eq!(quota_a.consumed(), 7);
    assert!(matches!(
        quota_b.try_consume(4).await,
        Err(AcquireError::Busy { .. })
    ));
    quota_b.consume(3).await.expect("the rest");
    assert!(quota_b.refill(4).is_err(), "others' units are not its own");

    quota_a.refill(4).expect("it has consumed as much");
    let refilled = within("b gets what is refilled", quota_b.consume(4).into_future()).await;
    refilled.expect("granted");
    assert_eq!((quota_a.consumed(), quota_b.consumed()), (3, 7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_semaphore_of_another_number_is_another_semaphore() {
    let cluster = Cluster::new(LONG).await;
    let (a, b) = (cluster.client("a").await, cluster.client("b").await);
    let (four, five) = (a.semaphore("slots", 4), b.semaphore("slots", 5));
    let all = four.acquire(4).await.expect("granted");
    let others = five.try_acquire(5).await.expect("nobody is in the way");
    assert_eq!((all.units(), others.units()), (4, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_held_and_consumed_by_a_client_that_is_lost_come_back() {
    let cluster = Cluster::new(SHORT).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (a, b) = (
        connect(&proxy.endpoint, "a").await,
        cluster.client("b").await,
    );
    let (slots_a, slots_b) = (a.semaphore("slots", 4), b.semaphore("slots", 4));
    let permit = slots_a.acquire(1).await.expect("granted");
    slots_a.consume(3).await.expect("granted");
    proxy.set(Cable::Held);
    let all = within(
        "b gets them after the lease",
        slots_b.acquire(4).into_future(),
    );
    let all = all.await.expect("granted");
    assert!(!permit.is_valid(), "two have it");
    assert_eq!(slots_a.consumed(), 0);
    assert!(slots_a.refill(3).is_err(), "they came back by themselves");
    assert!(all.fence() > permit.fence());
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_disjoint_ranges_do_not_wait_for_each_other_and_those_of_shared_bytes_do() {
    let cluster = Cluster::new(LONG).await;
    let (a, b) = (cluster.client("a").await, cluster.client("b").await);
    let (file_a, file_b) = (a.byte_range("file"), b.byte_range("file"));
    let mut first = file_a.write(0..100).await.expect("granted");
    let second = file_b.write(100..200).await.expect("nobody is in the way");
    assert!(matches!(
        file_b.try_read(99..101).await,
        Err(AcquireError::Busy { .. })
    ));

    // Both read what one has written.
    first.downgrade(50..100).expect("its own");
    let shared = file_b.try_read(50..100).await.expect("readers share");
    assert!(matches!(
        file_b.try_read(49..60).await,
        Err(AcquireError::Busy { .. })
    ));
    drop((second, shared));

    let waits = tokio::spawn(file_b.write_owned(90..110).into_future());
    cluster
        .until("b waits", |server| server.totals().waiting == 1)
        .await;
    let let_go = first.split_at(50).expect("in the middle");
    drop(let_go);
    let granted = within("b gets what a let go", waits).await;
    let granted = granted.expect("no panic").expect("granted");
    assert_eq!(granted.range(), 90..=109);
    assert!(first.is_valid());
    assert_eq!(first.range(), 0..=49);
}

/// All identifiers that anybody got; a repeat fails the test.
#[derive(Default)]
struct Seen(BTreeSet<u64>);

impl Seen {
    fn add(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            assert!(self.0.insert(id), "identifier {id} was handed out twice");
        }
    }

    async fn take(&mut self, client: &Client, count: u64) {
        let ids = client.id_range("orders").take(count).await;
        self.add(ids.expect("granted").iter());
    }
}

/// A server of this process, on this directory.
async fn start(dir: &Path) -> (Node, String) {
    let server = Node::builder().listen("127.0.0.1:0").data_dir(dir);
    let server = server.lease(SHORT).start().await.expect("started");
    let endpoint = server.local_addr().expect("it listens").to_string();
    (server, endpoint)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identifiers_of_all_clients_are_different_over_restarts_of_the_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut seen = Seen::default();
    for _ in 0..3 {
        let (server, endpoint) = start(dir.path()).await;
        let (a, b) = (connect(&endpoint, "a").await, connect(&endpoint, "b").await);
        for count in 1..20 {
            seen.take(&a, count).await;
            seen.take(&b, count).await;
            let own = server.id_range("orders").take(count).await;
            seen.add(own.expect("granted").iter());
        }
        a.close().await;
        b.close().await;
        assert!(server.stop().await.is_clean);
    }
    assert_eq!(seen.0.len(), 3 * 3 * (1..20).sum::<usize>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_cut_off_hands_out_its_stock_and_nobody_else_gets_any_of_it() {
    let cluster = Cluster::new(SHORT).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (a, b) = (
        connect(&proxy.endpoint, "a").await,
        cluster.client("b").await,
    );
    let mut seen = Seen::default();
    // The client that asks first and alone gets some beyond what it asked.
    seen.take(&a, 3).await;
    let range = a.id_range("orders");
    let stock = range.in_stock();
    assert!(stock > 0, "nothing in stock");
    proxy.set(Cable::Held);
    while let Some(ids) = range.try_take_cached(1) {
        seen.add(ids.iter());
        seen.take(&b, 2).await;
    }
    // Its lease is over at the server, its session gone; what it had is not lent again.
    cluster
        .until("a is lost", |server| server.status().sessions == 1)
        .await;
    for _ in 0..100 {
        seen.take(&b, 7).await;
    }
    proxy.set(Cable::Good);
    until("a is back", || a.is_connected()).await;
    for _ in 0..10 {
        seen.take(&a, 7).await;
        seen.take(&b, 7).await;
    }
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_in_sequence_rise_over_clients_and_over_servers_that_stop_or_are_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut last = 0;
    for life in 0..4 {
        let mut server = Process::server(dir.path(), SHORT);
        let endpoint: String = server.heard("listens").await;
        let (a, b) = (connect(&endpoint, "a").await, connect(&endpoint, "b").await);
        for turn in 0..20 {
            let client = if turn % 3 == 0 { &a } else { &b };
            let next = client.sequence("log");
            let next = within("the next number", next.next()).await.expect("given");
            assert!(next > last, "life {life}, turn {turn}: {next} after {last}");
            last = next;
        }
        // Half of them while clients are connected, and may trust something.
        if life % 2 == 0 {
            a.close().await;
            b.close().await;
        }
        server.signal(Signal::KILL);
        server.ended().await;
    }
}

/// Not a test of its own: what the processes of the others run.
#[test]
fn process() {
    process::run();
}
