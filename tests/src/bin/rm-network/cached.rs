//! Locks whose credit is cached at a client, under its lease: no packet, no wait. Beside tokio's lock, which is for one
//! process only; locks of the server's own process are measured by the package `rm-bench`.

use rm_net::{Client, Node};
use rm_rwlock::RwLock;

use crate::rounds::{ROUNDS, Rounds, line, timed};

/// A round is shorter than a scheduler's time slice: most are not interrupted.
const OPERATIONS: u64 = 10_000;

pub(crate) async fn run() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Node::builder()
        .listen("127.0.0.1:0")
        .data_dir(dir.path())
        .start()
        .await;
    let server = server.expect("started");
    let endpoint = server.local_addr().expect("it listens").to_string();
    let client = Client::connect(&endpoint).await.expect("connected");
    compare(&client.rw_lock("bench")).await;
    client.close().await;
    server.stop().await;
}

async fn compare(ours: &RwLock) {
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
        "read, cached under a lease; tokio's",
        read.median(),
        read_beside.median(),
    );
    line(
        "write, cached under a lease; tokio's",
        write.median(),
        write_beside.median(),
    );
}
