//! Two clients write to SQLite under one lock. The first is suspended, loses its session, and wakes up too late: its
//! write is refused. Run it with `cargo run -p rm-net --example fenced_sqlite`.
//!
//! Both do what most programs do: take the lock, and write, without asking in between whether the guard is still
//! valid. To ask would not help. The suspension may come between the answer and the write.

use std::error::Error;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rm_net::{Client, Node};
use rm_rwlock::fencing::sql::{SQLITE, bind};
use rusqlite::{Connection, TransactionBehavior, params};
use tokio::runtime;
use tokio::sync::oneshot;

type Failure = Box<dyn Error + Send + Sync>;

const LOCK: &str = "volumes/42";
/// As short as can be: so long the second client waits for the first.
const LEASE: Duration = Duration::from_secs(1);
/// A machine may be slow, but not for ever.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn main() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let database = dir.path().join("volumes.db");
    let db = open(&database)?;
    db.execute_batch("CREATE TABLE volumes (id INTEGER, size INTEGER)")?;
    db.execute_batch("INSERT INTO volumes VALUES (42, 0)")?;

    let server = Node::builder().listen("127.0.0.1:0").lease(LEASE);
    let server = server.data_dir(dir.path().join("server")).start().await?;
    let address = server.local_addr().ok_or("it listens")?.to_string();

    let (holds, held) = oneshot::channel();
    let (wake, suspension) = mpsc::channel();
    let first = {
        let (address, database) = (address.clone(), database.clone());
        tokio::task::spawn_blocking(move || suspended(&address, &database, holds, &suspension))
    };
    println!("first:  holds the lock, token {}", held.await?);

    let client = Client::connect(&address).await?;
    let lock = client.rw_lock(LOCK);
    // The server hears nothing of the first one, waits its lease out, and takes the lock back.
    let writer = lock.write().timeout(PATIENCE).await?;
    println!("second: holds the lock, token {}", writer.fence());
    let is_admitted = resize(&database, writer.fence(), 20)?;
    println!("second: sets the size to 20, admitted: {is_admitted}");

    wake.send(())?;
    let late = first.await??;
    let size: u32 = db.query_row("SELECT size FROM volumes", [], |row| row.get(0))?;
    println!("the size is {size}");
    drop(writer);
    client.close().await;
    server.stop().await;
    if is_admitted && !late && size == 20 {
        Ok(())
    } else {
        Err("a late write got through".into())
    }
}

/// The first client. It lives in one thread, and that thread is stopped while it holds the lock: no renewal is sent, no
/// clock is looked at. Returns whether its write was admitted.
fn suspended(
    address: &str,
    database: &Path,
    holds: oneshot::Sender<u64>,
    suspension: &mpsc::Receiver<()>,
) -> Result<bool, Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = Client::connect(address).await?;
        let lock = client.rw_lock(LOCK);
        let writer = lock.write().timeout(PATIENCE).await?;
        let fence = writer.fence();
        holds.send(fence).map_err(|_| "nobody waits for it")?;
        suspension.recv_timeout(PATIENCE)?;
        let is_admitted = resize(database, fence, 10)?;
        println!("first:  wakes up, sets the size to 10, admitted: {is_admitted}");
        println!("first:  its guard is valid: {}", writer.is_valid());
        drop(writer);
        client.close().await;
        Ok(is_admitted)
    })
}

/// Sets the size of the volume, unless a later holder of the lock has written.
fn resize(database: &Path, fence: u64, size: u32) -> Result<bool, Failure> {
    let mut db = open(database)?;
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(SQLITE.register, params![LOCK.as_bytes()])?;
    let admit = params![LOCK.as_bytes(), bind(fence)?];
    if transaction.execute(SQLITE.admit_write, admit)? == 0 {
        return Ok(false); // dropped, and thereby rolled back
    }
    transaction.execute("UPDATE volumes SET size = ? WHERE id = 42", params![size])?;
    transaction.commit()?;
    Ok(true)
}

fn open(database: &Path) -> Result<Connection, Failure> {
    let db = Connection::open(database)?;
    db.busy_timeout(PATIENCE)?;
    db.execute(SQLITE.create_table, [])?;
    Ok(db)
}
