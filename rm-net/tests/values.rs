//! Values over real sockets: written by one client, read by another, doubtful when a writer was lost.

mod common;

use std::future::IntoFuture as _;
use std::time::Duration;

use common::process::{self, Process};
use common::proxy::{Cable, Proxy};
use common::{Cluster, assert_no_panics, connect, until, within};
use rm_net::{Client, Node};
use rm_rwlock::{LostReason, WriteError};

/// Longer than any test waits: nothing here may have to wait for it.
const LONG: Duration = Duration::from_secs(60);
/// For those who wait for its end.
const SHORT: Duration = Duration::from_secs(2);

async fn write(client: &Client, bytes: &[u8]) {
    let lock = client.rw_lock("x");
    let guard = within("the writer has it", lock.write().into_future()).await;
    let written = guard.expect("granted").set_value(bytes);
    written.expect("it is held");
}

/// What a reader reads: the bytes, and whether they are doubtful.
async fn read(client: &Client) -> Option<(Vec<u8>, bool)> {
    let lock = client.rw_lock("x");
    let guard = within("the reader has it", lock.read().into_future()).await;
    let value = guard.expect("granted").value().expect("it is held");
    value.map(|value| (value.bytes.to_vec(), value.is_doubtful()))
}

fn sure(bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    Some((bytes.to_vec(), false))
}

fn doubtful(bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    Some((bytes.to_vec(), true))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_client_writes_others_and_the_server_read() {
    let cluster = Cluster::new(LONG).await;
    let (a, b) = (cluster.client("a").await, cluster.client("b").await);
    assert_eq!(read(&b).await, None);
    for turn in 0..10_u8 {
        let (writer, reader) = if turn % 2 == 0 { (&a, &b) } else { (&b, &a) };
        write(writer, &[turn]).await;
        assert_eq!(read(reader).await, sure(&[turn]));
    }
    let lock = cluster.server.rw_lock("x");
    let guard = lock.read().await.expect("granted");
    let value = guard.value().expect("held").expect("written");
    assert_eq!(*value.bytes, [9]);
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_it_again_is_served_from_the_cache() {
    let cluster = Cluster::new(LONG).await;
    let (a, b) = (cluster.client("a").await, cluster.client("b").await);
    write(&a, b"v").await;
    assert_eq!(read(&b).await, sure(b"v"));
    let asked = b.totals().asked_acquires;
    for _ in 0..100 {
        assert_eq!(read(&b).await, sure(b"v"));
    }
    assert_eq!(b.totals().asked_acquires, asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_outlives_a_writer_that_is_closed() {
    let cluster = Cluster::new(LONG).await;
    let (a, b) = (cluster.client("a").await, cluster.client("b").await);
    write(&a, b"v").await;
    a.close().await;
    assert_eq!(read(&b).await, sure(b"v"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_outlives_a_writer_that_nobody_uses_any_more() {
    let cluster = Cluster::new(LONG).await;
    let (a, b) = (cluster.client("a").await, cluster.client("b").await);
    write(&a, b"v").await;
    drop(a);
    cluster
        .until("a is gone", |server| server.status().sessions == 1)
        .await;
    assert_eq!(read(&b).await, sure(b"v"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_before_the_value_came_home_costs_nothing() {
    let cluster = Cluster::new(LONG).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (a, b) = (
        connect(&proxy.endpoint, "a").await,
        cluster.client("b").await,
    );
    write(&a, b"v").await;
    proxy.set(Cable::Cut);
    until("it is noticed", || !a.is_connected()).await;
    proxy.set(Cable::Good);
    assert_eq!(read(&b).await, sure(b"v"));
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_for_longer_than_the_lease_before_the_value_came_home_leaves_doubt_and_later_none() {
    for (goes_home, expected) in [(false, doubtful(b"")), (true, sure(b"v"))] {
        let cluster = Cluster::new(SHORT).await;
        let proxy = Proxy::to(&cluster.endpoint).await;
        let (a, b) = (
            connect(&proxy.endpoint, "a").await,
            cluster.client("b").await,
        );
        write(&a, b"v").await;
        if goes_home {
            let lock = a.rw_lock("x");
            lock.resource().expect("a good name").return_spare();
            cluster
                .until("it is home", |server| server.totals().loans == 0)
                .await;
        }
        proxy.set(Cable::Cut);
        assert_eq!(read(&b).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_closed_while_it_holds_leaves_doubt() {
    let cluster = Cluster::new(LONG).await;
    let (a, b) = (cluster.client("a").await, cluster.client("b").await);
    write(&b, b"v").await;
    let guard = a.rw_lock("x").write_owned().await.expect("granted");
    guard.set_value(b"half").expect("held");
    a.close().await;
    assert_eq!(guard.value(), Err(LostReason::SessionEnded));
    assert_eq!(
        guard.set_value(b"late"),
        Err(WriteError::Lost(LostReason::SessionEnded))
    );
    assert_eq!(read(&b).await, doubtful(b"v"));
    write(&b, b"w").await;
    assert_eq!(read(&b).await, sure(b"w"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_whose_lease_ran_out_leaves_doubt() {
    let cluster = Cluster::new(SHORT).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (a, b) = (
        connect(&proxy.endpoint, "a").await,
        cluster.client("b").await,
    );
    write(&b, b"v").await;
    let guard = a.rw_lock("x").write_owned().await.expect("granted");
    proxy.set(Cable::Held);
    assert_eq!(read(&b).await, doubtful(b"v"));
    assert!(guard.value().is_err());
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_was_killed_leaves_doubt() {
    let cluster = Cluster::new(SHORT).await;
    let b = cluster.client("b").await;
    write(&b, b"v").await;
    let mut holder = Process::holder(&cluster.endpoint);
    // It wrote something else, which nobody will ever see.
    let _: u64 = holder.heard("held").await;
    holder.signal(rustix::process::Signal::KILL);
    assert_eq!(read(&b).await, doubtful(b"v"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_through_a_server_in_a_process_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = Process::server(dir.path(), LONG);
    let endpoint: String = server.heard("listens").await;
    let (a, b) = (connect(&endpoint, "a").await, connect(&endpoint, "b").await);
    write(&a, b"v").await;
    assert_eq!(read(&b).await, sure(b"v"));
    assert_eq!(read(&a).await, sure(b"v"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_started_anew_says_that_it_knows_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    for (life, expected) in [(1, None), (2, doubtful(b""))] {
        let server = Node::builder().listen("127.0.0.1:0").data_dir(dir.path());
        let server = server.start().await.expect("started");
        let endpoint = server.local_addr().expect("it listens").to_string();
        let client = connect(&endpoint, "a").await;
        assert_eq!(read(&client).await, expected, "life {life}");
        write(&client, b"v").await;
        assert_eq!(read(&client).await, sure(b"v"));
        client.close().await;
        assert!(server.stop().await.is_clean);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_as_large_as_any_node_allows_goes_through() {
    let most = rm_core::value::VALUE_BYTES_MAX;
    let cluster = Cluster::with(LONG, |builder| builder.value_bytes_max(most)).await;
    let a = Client::builder()
        .endpoint(&cluster.endpoint)
        .value_bytes_max(most);
    let (a, b) = (
        a.connect().await.expect("connected"),
        cluster.client("b").await,
    );
    let bytes = vec![7; most];
    write(&a, &bytes).await;
    assert_eq!(read(&b).await, sure(&bytes));
    let guard = b.rw_lock("x").write_owned().await.expect("granted");
    let (bytes, max) = (1_025, 1_024);
    assert_eq!(
        guard.set_value(vec![0; bytes]),
        Err(WriteError::TooLarge { bytes, max })
    );
}

/// Not a test of its own: what the processes of the others run.
#[test]
fn process() {
    process::run();
}
