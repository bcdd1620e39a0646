//! Jobs in a database, and workers that die. Run it with `cargo run -p rm-net --example job_queue`.
//!
//! To copy from here are [`work`] and [`finish`]. The jobs are rows of a table; which worker has which is in no row, but
//! is a lock for each:
//!
//! - **A worker takes** the first job whose lock is free (`try_write`): no column of leases, no timestamps to compare, no
//!   process that looks for jobs whose worker died. If it dies, its lock is free when its lease is over.
//! - **Each job is done at least once.** A worker that is lost on the way is replaced, so what a job does outside of the
//!   database must bear to be done twice.
//! - **Its result is written once.** The token is compared in the transaction that writes it, so a worker that was thought
//!   dead and comes back late changes nothing.
//! - **Where all that is left is taken**, a worker waits for the first of those instead of asking again and again.
//!
//! The rest plays it through: three workers as processes, and one is killed in the midst of a job.

mod children;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use children::{Children, PATIENCE};
use rm_net::{Client, Node};
use rm_rwlock::fencing::sql::{SQLITE, bind};
use rm_rwlock::{AcquireError, OwnedWriteGuard};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use rustix::process::Signal;

type Failure = Box<dyn Error + Send + Sync>;

const JOBS: u32 = 12;
/// As short as can be: so long the job of a worker that died waits.
const LEASE: Duration = Duration::from_secs(1);
/// The worker that takes this one first hangs in it.
const HANGS: u32 = 3;

/// Takes one job after the other, until all are done.
async fn work(name: &str, address: &str, database: &Path) -> Result<(), Failure> {
    let client = Client::builder().name(name).endpoint(address);
    let client = client.connect().await?;
    let mut db = open(database)?;
    while let Some((job, lock)) = take(&client, &db, name).await? {
        if is_done(&db, job)? {
            continue; // somebody was faster, between the list and the lock
        }
        println!("{name} has job {job}");
        tokio::select! {
            result = run(&db, name, job) => {
                let is_first = finish(&mut db, job, lock.fence(), &result?)?;
                println!("{name} has done job {job}, first: {is_first}");
            }
            why = lock.lost() => println!("{name} lost job {job}: {why}"),
        }
    }
    client.close().await;
    Ok(())
}

/// A job that is not done, and its lock; `None` when all are done.
async fn take(
    client: &Client,
    db: &Connection,
    worker: &str,
) -> Result<Option<(u32, OwnedWriteGuard)>, Failure> {
    let open = jobs_to_do(db)?;
    for &job in &open {
        let lock = client.rw_lock(name_of(job));
        match lock.try_write_owned().label(worker).await {
            Ok(guard) => return Ok(Some((job, guard))),
            Err(AcquireError::Busy { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    let Some(&first) = open.first() else {
        return Ok(None);
    };
    // Its worker has it until it is done, or lost.
    let lock = client.rw_lock(name_of(first));
    let guard = lock.write_owned().label(worker).timeout(PATIENCE).await?;
    Ok(Some((first, guard)))
}

/// Writes the result, unless a later holder of the job's lock has written one. Returns whether it did.
fn finish(db: &mut Connection, job: u32, fence: u64, result: &str) -> Result<bool, Failure> {
    let lock = name_of(job);
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(SQLITE.register, params![lock.as_bytes()])?;
    if transaction.execute(SQLITE.admit_write, params![lock.as_bytes(), bind(fence)?])? == 0 {
        return Ok(false); // dropped, and thereby rolled back
    }
    let update = "UPDATE jobs SET result = ? WHERE id = ? AND result IS NULL";
    let is_first = transaction.execute(update, params![result, job])? == 1;
    transaction.commit()?;
    Ok(is_first)
}

/// The work itself. It counts how often it was begun.
async fn run(db: &Connection, name: &str, job: u32) -> Result<String, Failure> {
    db.execute(
        "UPDATE jobs SET begun = begun + 1 WHERE id = ?",
        params![job],
    )?;
    let begun: u32 = db.query_row("SELECT begun FROM jobs WHERE id = ?", [job], |row| {
        row.get(0)
    })?;
    if job == HANGS && begun == 1 {
        println!("{name} hangs in job {job}");
        std::future::pending::<()>().await;
    }
    Ok(format!("{job} squared is {}", job * job))
}

fn jobs_to_do(db: &Connection) -> rusqlite::Result<Vec<u32>> {
    let mut query = db.prepare("SELECT id FROM jobs WHERE result IS NULL ORDER BY id")?;
    query.query_map([], |row| row.get(0))?.collect()
}

fn is_done(db: &Connection, job: u32) -> rusqlite::Result<bool> {
    let query = "SELECT result FROM jobs WHERE id = ? AND result IS NOT NULL";
    let found = db.query_row(query, [job], |row| row.get::<_, String>(0));
    Ok(found.optional()?.is_some())
}

fn name_of(job: u32) -> String {
    format!("jobs/{job}")
}

fn open(database: &Path) -> Result<Connection, Failure> {
    let db = Connection::open(database)?;
    db.busy_timeout(PATIENCE)?;
    Ok(db)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [name, address, database] => work(name, address, Path::new(database)).await,
        _ => factory().await,
    }
}

async fn factory() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let database = dir.path().join("jobs.db");
    let db = open(&database)?;
    db.execute(SQLITE.create_table, [])?;
    db.execute_batch("CREATE TABLE jobs (id INTEGER PRIMARY KEY, begun INTEGER, result TEXT)")?;
    for job in 1..=JOBS {
        db.execute("INSERT INTO jobs VALUES (?, 0, NULL)", params![job])?;
    }
    let server = Node::builder().listen("127.0.0.1:0").lease(LEASE);
    let server = server.data_dir(dir.path().join("server")).start().await?;
    let address = server.local_addr().ok_or("it listens")?.to_string();
    tokio::task::spawn_blocking(move || play(&address, &database)).await??;
    server.stop().await;

    let done = "SELECT count(*), sum(begun) FROM jobs WHERE result IS NOT NULL";
    let (done, begun): (u32, u32) = db.query_row(done, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    println!("{done} of {JOBS} jobs are done; they were begun {begun} times");
    if done == JOBS && begun > JOBS {
        Ok(())
    } else {
        Err("a job is missing".into())
    }
}

fn play(address: &str, database: &Path) -> Result<(), Failure> {
    let database = database.to_str().ok_or("a path of text")?;
    let mut workers = Children::new();
    for name in ["anna", "ben", "carla"] {
        workers.start(name, &[name, address, database])?;
    }
    let line = workers.next(&format!("hangs in job {HANGS}"))?;
    let victim = line.split(' ').next().ok_or("it says its name")?;
    println!("-- {victim} is killed");
    workers.signal(victim, Signal::KILL)?;
    workers.next(&format!("has done job {HANGS}, first: true"))?;
    Ok(workers.join()?)
}
