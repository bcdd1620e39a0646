//! A server and clients over real sockets, in one process.

use std::future::IntoFuture as _;
use std::time::Duration;

use rm_core::id::{ResourceKey, TypeId};
use rm_core::inspect::{Answer, EntryKind, Query};
use rm_net::{Client, Node};
use rm_rwlock::AcquireError;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);

struct Cluster {
    server: Node,
    endpoint: String,
    _dir: TempDir,
}

async fn cluster(lease: Duration) -> Cluster {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Node::builder()
        .name("server")
        .listen("127.0.0.1:0")
        .data_dir(dir.path())
        .lease(lease)
        .start()
        .await
        .expect("started");
    let endpoint = server.local_addr().expect("it listens").to_string();
    Cluster {
        server,
        endpoint,
        _dir: dir,
    }
}

impl Cluster {
    async fn client(&self, name: &str) -> Client {
        let client = Client::builder().name(name).endpoint(&self.endpoint);
        client.connect().await.expect("connected")
    }

    /// Waits, on its condition, for what must come to be.
    async fn until(&self, what: &str, condition: impl Fn(&Node) -> bool) {
        let wait = async {
            while !condition(&self.server) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("never: {what}"));
    }
}

const LEASE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_lock_taken_again_costs_no_message() {
    let cluster = cluster(LEASE).await;
    let client = cluster.client("a").await;
    let lock = client.rw_lock("x");
    drop(lock.read().await.expect("granted"));
    for _ in 0..100 {
        assert!(lock.try_read_cached().is_some());
    }
    let totals = client.totals();
    assert_eq!((totals.asked_acquires, totals.cached_acquires), (1, 100));
}

#[tokio::test]
async fn hundreds_of_requests_at_once_are_all_granted() {
    let cluster = cluster(LEASE).await;
    let client = cluster.client("a").await;
    let asking: Vec<_> = (0..500)
        .map(|n| {
            tokio::spawn(
                client
                    .rw_lock(format!("many/{n}"))
                    .read_owned()
                    .into_future(),
            )
        })
        .collect();
    let all = async {
        for asked in asking {
            drop(asked.await.expect("no panic").expect("granted"));
        }
    };
    tokio::time::timeout(PATIENCE, all)
        .await
        .expect("none is forgotten");
}

#[tokio::test]
async fn a_writer_waits_for_a_reader_of_another_client() {
    let cluster = cluster(LEASE).await;
    let (a, b) = (cluster.client("a").await, cluster.client("b").await);
    let (reading, writing) = (a.rw_lock("x"), b.rw_lock("x"));
    let reader = reading.read().label("report").await.expect("granted");
    let Err(AcquireError::Busy { holders }) = writing.try_write().await else {
        panic!("a reader was in the way");
    };
    assert_eq!(holders[0].to_string(), "held by a (read) \"report\"");
    let waiting = tokio::spawn(writing.write_owned().into_future());
    cluster
        .until("the writer waits", |server| server.totals().waiting == 1)
        .await;
    drop(reader);
    let writer = waiting.await.expect("no panic").expect("granted");
    assert!(writer.is_valid());
    assert!(writer.valid_for().expect("leased") <= LEASE);
}

#[tokio::test]
async fn a_client_that_says_goodbye_gives_everything_back_at_once() {
    let cluster = cluster(LEASE).await;
    let (a, b) = (cluster.client("a").await, cluster.client("b").await);
    let lock = a.rw_lock("x");
    let guard = lock.write().await.expect("granted");
    let waiting = tokio::spawn(b.rw_lock("x").write_owned().into_future());
    a.close().await;
    assert!(!guard.is_valid());
    let theirs = waiting.await.expect("no panic").expect("granted");
    assert!(theirs.fence() > guard.fence());
}

#[tokio::test]
async fn a_client_that_nobody_uses_says_goodbye() {
    let cluster = cluster(LEASE).await;
    let client = cluster.client("a").await;
    let lock = client.rw_lock("x");
    drop(client);
    drop(lock.write().await.expect("the lock keeps its client alive"));
    assert_eq!(cluster.server.totals().loans, 1);
    drop(lock);
    cluster
        .until("all is back", |server| server.totals().loans == 0)
        .await;
}

#[tokio::test]
async fn a_request_that_gives_up_names_who_was_in_the_way_and_leaves_nothing_behind() {
    let cluster = cluster(LEASE).await;
    let (a, b) = (cluster.client("a").await, cluster.client("b").await);
    let (holding, lock) = (a.rw_lock("x"), b.rw_lock("x"));
    let _guard = holding.write().label("backup").await.expect("granted");
    let short = Duration::from_millis(50);
    let error = lock.write().timeout(short).await.expect_err("held");
    assert!(
        matches!(error, AcquireError::Timeout { waited, .. } if waited >= short),
        "{error}"
    );
    assert!(!error.to_string().contains("older request"), "{error}");
    cluster
        .until("nothing waits", |server| server.totals().waiting == 0)
        .await;
}

#[tokio::test]
async fn show_names_the_holder_at_the_other_client() {
    let cluster = cluster(LEASE).await;
    let (a, b) = (cluster.client("a").await, cluster.client("b").await);
    let lock = a.rw_lock("x");
    let _guard = lock.write().label("backup").await.expect("granted");
    let key = ResourceKey::new(b"x").expect("a name");
    let Answer::Show(Some(view)) = b
        .inspect(Query::Show {
            type_id: TypeId(1),
            key,
        })
        .await
        .expect("answered")
    else {
        panic!("it is known");
    };
    let holder = view
        .entries
        .iter()
        .find(|e| e.kind == EntryKind::Holds)
        .expect("a holder");
    assert_eq!(
        (&*holder.node, &*holder.label, &*holder.mode),
        ("a", "backup", "write")
    );
}

#[tokio::test]
async fn two_servers_cannot_share_a_directory_or_a_port() {
    let cluster = cluster(LEASE).await;
    let same_port = Node::builder()
        .listen(&cluster.endpoint)
        .data_dir("/nonexistent");
    let error = same_port.start().await.expect_err("the port is taken");
    assert!(error.to_string().contains("--listen"), "{error}");
    let same_dir = Node::builder()
        .listen("127.0.0.1:0")
        .data_dir(cluster._dir.path());
    let error = same_dir.start().await.expect_err("the directory is taken");
    assert!(
        error.to_string().contains("in use by another server"),
        "{error}"
    );
}

#[tokio::test]
async fn an_unreachable_server_is_named_with_advice() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let endpoint = gone.local_addr().expect("bound").to_string();
    drop(gone);
    let client = Client::builder()
        .endpoint(&endpoint)
        .connect_timeout(Duration::from_millis(200));
    let error = client
        .connect()
        .await
        .expect_err("nobody is there")
        .to_string();
    assert!(
        error.contains(&endpoint) && error.contains("is it running"),
        "{error}"
    );
}

#[tokio::test]
async fn tokens_of_a_restarted_server_are_larger() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut last = 0;
    for _ in 0..3 {
        let server = Node::builder().listen("127.0.0.1:0").data_dir(dir.path());
        let server = server.start().await.expect("started");
        let endpoint = server.local_addr().expect("it listens").to_string();
        let client = Client::connect(&endpoint).await.expect("connected");
        let fence = client.rw_lock("x").write().await.expect("free").fence();
        assert!(fence > last);
        last = fence;
        client.close().await;
        assert!(server.stop().await.is_clean);
    }
}

#[tokio::test]
async fn a_node_that_stopped_holds_and_grants_nothing() {
    let cluster = cluster(LEASE).await;
    let (held, waiting) = (cluster.server.rw_lock("x"), cluster.server.rw_lock("x"));
    let guard = held.write().await.expect("free");
    let asked = tokio::spawn(waiting.write_owned().into_future());
    cluster
        .until("it waits", |server| server.totals().waiting == 1)
        .await;
    assert!(cluster.server.stop().await.is_clean);
    assert!(!guard.is_valid());
    assert_eq!(
        asked.await.expect("no panic").map(drop),
        Err(AcquireError::ShuttingDown)
    );
    let later = cluster.server.rw_lock("y").write().await.map(drop);
    assert_eq!(later, Err(AcquireError::ShuttingDown));
}

#[tokio::test]
async fn requests_of_a_client_that_was_closed_end() {
    let cluster = cluster(LEASE).await;
    let (a, b) = (cluster.client("a").await, cluster.client("b").await);
    let holding = a.rw_lock("x");
    let _guard = holding.write().await.expect("free");
    let asked = tokio::spawn(b.rw_lock("x").write_owned().into_future());
    cluster
        .until("it waits", |server| server.totals().waiting == 1)
        .await;
    b.close().await;
    assert_eq!(
        asked.await.expect("no panic").map(drop),
        Err(AcquireError::ShuttingDown)
    );
}

#[tokio::test]
async fn several_tasks_may_wait_for_the_loss_of_one_guard() {
    let cluster = cluster(LEASE).await;
    let client = cluster.client("a").await;
    let guard = client.rw_lock("x").write_owned().await.expect("free");
    let guard = std::sync::Arc::new(guard);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let guard = std::sync::Arc::clone(&guard);
            tokio::spawn(async move { guard.lost().await })
        })
        .collect();
    tokio::task::yield_now().await;
    client.close().await;
    for told in waiting {
        let told = tokio::time::timeout(PATIENCE, told).await.expect("woken");
        assert_eq!(told.expect("no panic"), rm_rwlock::LostReason::SessionEnded);
    }
}

#[test]
fn a_request_does_not_wait_for_a_runtime_that_is_gone() {
    let runtime = || tokio::runtime::Runtime::new().expect("a runtime");
    let (home, other) = (runtime(), runtime());
    let (cluster, client) = home.block_on(async {
        let cluster = cluster(LEASE).await;
        let client = cluster.client("a").await;
        (cluster, client)
    });
    let (standalone, borrowed) = (home.block_on(async { Node::standalone() }), client);
    let locks = [standalone.rw_lock("x"), borrowed.rw_lock("x")];
    for lock in &locks {
        let holding = other.block_on(lock.write_owned().into_future());
        std::mem::forget(holding.expect("granted"));
    }
    drop(home);
    for lock in &locks {
        let asked = async { tokio::time::timeout(PATIENCE, lock.write()).await };
        let ended = other.block_on(asked).expect("it does not wait for ever");
        assert_eq!(
            ended.expect_err("nobody serves it"),
            AcquireError::ShuttingDown
        );
    }
    drop(cluster);
}
