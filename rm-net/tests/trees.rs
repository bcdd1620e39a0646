//! Trees over real sockets: a root, nodes in the middle that borrow what they lend, and clients at every level.

mod common;

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use common::proxy::{Cable, Proxy};
use common::{Cluster, assert_no_panics, connect, until, within};
use rm_core::inspect::{Answer, EntryKind, Query};
use rm_core::resource::ResourceType as _;
use rm_net::{Client, Node};
use rm_rwlock::{RwLock, RwLockType};

/// Longer than any test waits: nothing here may have to wait for it.
const LONG: Duration = Duration::from_secs(60);
/// For those who wait for its end.
const SHORT: Duration = Duration::from_secs(2);

/// A node in the middle that borrows from whoever is at `creditor`, and its address.
async fn middle(name: &str, creditor: &str, lease: Duration) -> (Node, String) {
    let node = Node::builder()
        .name(name)
        .listen("127.0.0.1:0")
        .lease(lease)
        .creditor(creditor)
        .start()
        .await
        .expect("started");
    until("it has a session with its creditor", || node.is_connected()).await;
    let endpoint = node.local_addr().expect("it listens").to_string();
    (node, endpoint)
}

/// Who has the lock, as those see it who have it.
#[derive(Default)]
struct Usage {
    /// Readers; a writer counts as minus a thousand.
    holders: AtomicI64,
    fence: AtomicU64,
}

impl Usage {
    async fn work(self: Arc<Self>, lock: RwLock, which: usize) {
        for turn in which..which + 60 {
            if turn % 4 == 0 {
                let guard = lock.write().await.expect("granted");
                let before = self.holders.fetch_sub(1_000, Ordering::SeqCst);
                assert_eq!(before, 0, "a writer is alone");
                let former = self.fence.swap(guard.fence(), Ordering::SeqCst);
                assert!(guard.fence() > former, "tokens rise");
                tokio::task::yield_now().await;
                self.holders.fetch_add(1_000, Ordering::SeqCst);
            } else {
                let _guard = lock.read().await.expect("granted");
                let before = self.holders.fetch_add(1, Ordering::SeqCst);
                assert!(before >= 0, "a reader beside a writer");
                tokio::task::yield_now().await;
                self.holders.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_exclude_over_the_whole_tree_and_all_credit_is_home_when_everybody_has_left() {
    let cluster = Cluster::new(LONG).await;
    let (left, left_at) = middle("left", &cluster.endpoint, LONG).await;
    let (right, right_at) = middle("right", &cluster.endpoint, LONG).await;
    let (low, low_at) = middle("low", &right_at, LONG).await;
    let mut clients = Vec::new();
    for (name, at) in [
        ("a", &cluster.endpoint),
        ("b", &left_at),
        ("c", &left_at),
        ("d", &right_at),
        ("e", &low_at),
        ("f", &low_at),
    ] {
        clients.push(connect(at, name).await);
    }
    let nodes = [&cluster.server, &left, &right, &low].map(|node| node.rw_lock("x"));
    let locks = clients
        .iter()
        .map(|client| client.rw_lock("x"))
        .chain(nodes);
    let usage = Arc::new(Usage::default());
    let tasks: Vec<_> = locks
        .enumerate()
        .map(|(which, lock)| tokio::spawn(Arc::clone(&usage).work(lock, which)))
        .collect();
    for task in tasks {
        within("all requests are granted", task)
            .await
            .expect("no violation");
    }
    for client in &clients {
        client.close().await;
    }
    for node in [&low, &left, &right] {
        let what = "it has everything back from those below";
        until(what, || node.totals().loans == 0).await;
        let report = node.stop().await;
        assert!(report.is_clean, "{report:?}");
    }
    cluster.assert_nothing_is_left().await;
    assert!(cluster.server.stop().await.is_clean);
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identifiers_and_values_go_through_a_node_in_the_middle() {
    let cluster = Cluster::new(LONG).await;
    let (_middle, at) = middle("middle", &cluster.endpoint, LONG).await;
    let (near, far) = (cluster.client("near").await, connect(&at, "far").await);
    let (mut ids, rounds) = (std::collections::BTreeSet::new(), 20);
    for _ in 0..rounds {
        ids.insert(near.id_range("orders").next().await.expect("granted"));
        ids.insert(far.id_range("orders").next().await.expect("granted"));
    }
    assert_eq!(ids.len(), 2 * rounds);
    let (there, here) = (far.rw_lock("x"), near.rw_lock("x"));
    let writer = there.write().await.expect("granted");
    writer.set_value(b"from below").expect("held");
    drop(writer);
    let reader = here.read().await.expect("granted");
    let value = reader.value().expect("held").expect("written");
    assert_eq!(*value.bytes, *b"from below");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_in_the_middle_that_hears_nothing_loses_what_is_held_below_before_others_get_it() {
    let cluster = Cluster::new(SHORT).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (middle, at) = middle("middle", &proxy.endpoint, SHORT).await;
    let (low, other) = (connect(&at, "low").await, cluster.client("other").await);
    let guard = low.rw_lock("x").write_owned().await.expect("granted");
    let own = middle.rw_lock("y").write_owned().await.expect("granted");
    proxy.set(Cable::Held);
    for (name, lost) in [("x", &guard), ("y", &own)] {
        let lock = other.rw_lock(name);
        let granted = within("another gets it", lock.write().into_future()).await;
        let granted = granted.expect("granted");
        assert!(!lost.is_valid(), "two write {name}");
        assert!(granted.fence() > lost.fence());
    }
    proxy.set(Cable::Good);
    let lock = low.rw_lock("x");
    let again = within("below it goes on", lock.write().into_future()).await;
    drop(again.expect("granted"));
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_below_is_valid_for_no_longer_than_the_node_in_the_middle_is_trusted() {
    // The node in the middle offers a minute, and has two seconds itself.
    let cluster = Cluster::new(SHORT).await;
    let (_middle, at) = middle("middle", &cluster.endpoint, LONG).await;
    let low = connect(&at, "low").await;
    let guard = low.rw_lock("x").write_owned().await.expect("granted");
    let started = std::time::Instant::now();
    // For longer than any one of these leases.
    while started.elapsed() < SHORT * 2 {
        let left = guard.valid_for().expect("it is renewed");
        assert!(left < SHORT, "{left:?}");
        tokio::time::sleep(common::LOOK).await;
    }
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_the_middle_that_breaks_is_nothing_to_those_below() {
    let cluster = Cluster::new(LONG).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (middle, at) = middle("middle", &proxy.endpoint, LONG).await;
    let (low, other) = (connect(&at, "low").await, cluster.client("other").await);
    let guard = low.rw_lock("x").read_owned().await.expect("granted");
    proxy.set(Cable::Cut);
    until("it is noticed", || !middle.is_connected()).await;
    let lock = other.rw_lock("x");
    let waits = tokio::spawn(lock.write_owned().into_future());
    cluster
        .until("the other waits", |server| server.totals().waiting == 1)
        .await;
    // Who comes meanwhile is welcome.
    let late = connect(&at, "late").await;
    assert!(guard.is_valid() && low.is_connected() && late.is_connected());
    assert!(!waits.is_finished());
    proxy.set(Cable::Good);
    until("the middle goes on", || middle.is_connected()).await;
    assert!(guard.is_valid() && low.is_connected());
    drop(guard);
    let granted = within("it is free", waits).await.expect("no panic");
    drop(granted.expect("granted"));
    let sessions = cluster.server.status().sessions;
    assert_eq!(sessions, 2, "that of the middle is the same");
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_while_the_middle_has_no_connection_is_promised_no_more_than_it_has() {
    let cluster = Cluster::new(SHORT).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (middle, at) = middle("middle", &proxy.endpoint, LONG).await;
    let low = connect(&at, "low").await;
    let guard = low.rw_lock("x").write_owned().await.expect("granted");
    proxy.set(Cable::Cut);
    until("it is noticed", || !middle.is_connected()).await;
    let late = Client::builder().endpoint(&at).connect().await;
    drop(late);
    let other = cluster.client("other").await.rw_lock("x");
    let granted = within("another gets it", other.write().into_future()).await;
    assert!(!guard.is_valid(), "two write");
    drop(granted.expect("granted"));
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_in_the_middle_that_stops_gives_nothing_back_that_is_still_used_below() {
    let cluster = Cluster::new(SHORT).await;
    let (middle, at) = middle("middle", &cluster.endpoint, SHORT).await;
    let (low, other) = (connect(&at, "low").await, cluster.client("other").await);
    let guard = low.rw_lock("x").write_owned().await.expect("granted");
    assert!(!middle.stop().await.is_clean);
    let lock = other.rw_lock("x");
    let granted = within("another gets it", lock.write().into_future()).await;
    drop(granted.expect("granted"));
    assert!(!guard.is_valid(), "two write");
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_lost_below_the_middle_holds_up_others_for_its_lease_at_most() {
    let cluster = Cluster::new(SHORT).await;
    let (middle, at) = middle("middle", &cluster.endpoint, SHORT).await;
    let proxy = Proxy::to(&at).await;
    let (low, other) = (
        connect(&proxy.endpoint, "low").await,
        cluster.client("other").await,
    );
    let guard = low.rw_lock("x").write_owned().await.expect("granted");
    proxy.set(Cable::Held);
    let lock = other.rw_lock("x");
    let granted = within("another gets it", lock.write().into_future()).await;
    drop(granted.expect("granted"));
    assert!(!guard.is_valid(), "two write");
    assert!(middle.is_connected(), "nobody else is disturbed");
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_node_in_the_middle_is_replaced_borrows_from_the_next_one() {
    let cluster = Cluster::new(SHORT).await;
    let (first, first_at) = middle("first", &cluster.endpoint, SHORT).await;
    let (second, second_at) = middle("second", &cluster.endpoint, SHORT).await;
    let client = Client::builder().endpoint(&first_at).endpoint(&second_at);
    let client = client.connect().await.expect("connected");
    let lock = client.rw_lock("x");
    for _ in 0..10 {
        drop(lock.write().await.expect("granted"));
        // The names of its loans at the first come to more than those at the second.
        lock.resource().expect("a good name").return_spare();
    }
    // The client tells the first nothing more, so what that one had comes back with its lease.
    first.stop().await;
    until("it is with the second", || second.status().sessions == 1).await;
    let granted = within("the second lends", lock.write().into_future()).await;
    drop(granted.expect("granted"));
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_to_the_root_tells_who_holds_below_the_middle() {
    let cluster = Cluster::new(LONG).await;
    let (_middle, at) = middle("middle", &cluster.endpoint, LONG).await;
    let (low, other) = (connect(&at, "low").await, cluster.client("other").await);
    let lock = low.rw_lock("x");
    let _guard = lock.write().label("deep").await.expect("granted");
    let query = Query::Show {
        type_id: RwLockType::ID,
        key: lock.resource().expect("a good name").key().clone(),
    };
    let Answer::Show(Some(view)) = other.inspect(query).await.expect("answered") else {
        panic!("it is known");
    };
    let mut holds = view.entries.iter().filter(|e| e.kind == EntryKind::Holds);
    let holder = holds.next().expect("somebody holds it");
    assert_eq!(
        (&*holder.node, &*holder.via, &*holder.label),
        ("low", "middle", "deep")
    );
}
