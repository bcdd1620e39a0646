//! Locks whose credit is cached: no packet, no wait. Beside tokio's lock, which is for one process only.

use rm_net::{Client, Node};
use rm_rwlock::RwLock;

use crate::rounds::{ROUNDS, Rounds, line, timed};

const OPERATIONS: u64 = 200_000;

pub(crate) async fn run(filter: &str) {
    if !"cached".contains(filter) {
        return;
    }
    let node = Node::standalone();
    pair("cached, in process", &node.rw_lock("bench")).await;

    let dir = tempfile::tempdir().expect("a directory");
    let server = Node::builder()
        .listen("127.0.0.1:0")
        .data_dir(dir.path())
        .start()
        .await;
    let server = server.expect("started");
    let endpoint = server.local_addr().expect("it listens").to_string();
    let client = Client::connect(&endpoint).await.expect("connected");
    pair("cached, under a lease", &client.rw_lock("bench")).await;
    client.close().await;
    server.stop().await;
}

async fn pair(what: &str, ours: &RwLock) {
    let beside = tokio::sync::RwLock::new(());
    let (mut read, mut read_beside) = (Rounds::default(), Rounds::default());
    let (mut write, mut write_beside) = (Rounds::default(), Rounds::default());
    // Everything is borrowed once, and cached from then on.
    drop(ours.write().await.expect("granted"));
    for _ in 0..ROUNDS {
        let spent = timed(async {
            for _ in 0..OPERATIONS {
                drop(ours.read().await.expect("cached"));
            }
        });
        read.add(spent.await, OPERATIONS);
        let spent = timed(async {
            for _ in 0..OPERATIONS {
                drop(beside.read().await);
            }
        });
        read_beside.add(spent.await, OPERATIONS);
        let spent = timed(async {
            for _ in 0..OPERATIONS {
                drop(ours.write().await.expect("cached"));
            }
        });
        write.add(spent.await, OPERATIONS);
        let spent = timed(async {
            for _ in 0..OPERATIONS {
                drop(beside.write().await);
            }
        });
        write_beside.add(spent.await, OPERATIONS);
    }
    line(
        &format!("read, {what}; tokio's"),
        read.median(),
        read_beside.median(),
    );
    line(
        &format!("write, {what}; tokio's"),
        write.median(),
        write_beside.median(),
    );
}
