//! F4, J8 and the many processes of fasteners, over real sockets: a server and clients, each with a handle of its own.
//!
//! Tasks stand for processes. What they do under the lock is not atomic and waits in the middle, so that two who
//! overlap are seen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rm_net::{Client, Node};
use rm_rwlock::RwLock;
use tempfile::TempDir;
use tokio::task::{JoinSet, yield_now};

/// Nothing here takes as long; whoever waits longer has found a fault.
const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    server: Node,
    clients: Vec<Client>,
    _dir: TempDir,
}

impl Cluster {
    async fn start(clients: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let server = Node::builder().name("server").listen("127.0.0.1:0");
        let server = server.data_dir(dir.path()).start().await.expect("started");
        let endpoint = server.local_addr().expect("it listens").to_string();
        let mut cluster = Self {
            server,
            clients: Vec::new(),
            _dir: dir,
        };
        for number in 0..clients {
            let client = Client::builder().name(format!("c{number}"));
            let client = client.endpoint(&endpoint).connect().await;
            cluster.clients.push(client.expect("connected"));
        }
        cluster
    }

    /// A handle at one of the nodes: the server is one of them.
    fn lock(&self, number: usize) -> RwLock {
        match number % (self.clients.len() + 1) {
            0 => self.server.rw_lock("x"),
            client => self.clients[client - 1].rw_lock("x"),
        }
    }
}

/// Waits for all tasks.
async fn finish(mut tasks: JoinSet<()>) {
    let all = async {
        while let Some(done) = tasks.join_next().await {
            done.expect("no task panicked");
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("in time");
}

/// Reads, lets others run, writes one more.
async fn add(counter: &AtomicU64, number: u64) {
    // Relaxed: the lock orders them, which is what is tried here.
    let before = counter.load(Ordering::Relaxed);
    yield_now().await;
    counter.store(before + number, Ordering::Relaxed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f4_ten_at_the_server_and_ten_at_a_client_add_and_no_sum_is_lost() {
    let cluster = Cluster::start(1).await;
    let sums = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let (lock, sums) = (cluster.lock(number % 2), Arc::clone(&sums));
        tasks.spawn(async move {
            let guard = lock.write().await.expect("granted");
            add(&sums[number % 2], number as u64 / 2).await;
            drop(guard);
        });
    }
    finish(tasks).await;
    for sum in sums.iter() {
        // Relaxed: all tasks are over.
        assert_eq!(sum.load(Ordering::Relaxed), 45);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fasteners_f2_twenty_visit_ten_times_each_and_never_two_at_once() {
    let cluster = Cluster::start(3).await;
    let visits = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let (lock, visits) = (cluster.lock(number), Arc::clone(&visits));
        tasks.spawn(async move {
            for _ in 0..10 {
                let guard = lock.write().await.expect("granted");
                add(&visits, 1).await;
                drop(guard);
            }
        });
    }
    finish(tasks).await;
    // Relaxed: all tasks are over.
    assert_eq!(visits.load(Ordering::Relaxed), 200);
}

/// Who came and went: `true` for a writer.
type Log = Arc<Mutex<Vec<(bool, usize)>>>;

async fn visit(lock: RwLock, writes: bool, number: usize, log: Log) {
    let note = || log.lock().expect("nobody panicked").push((writes, number));
    if writes {
        let guard = lock.write().await.expect("granted");
        note();
        yield_now().await;
        note();
        drop(guard);
    } else {
        let guard = lock.read().await.expect("granted");
        note();
        yield_now().await;
        note();
        drop(guard);
    }
}

/// Lets so many readers and writers visit once, and asserts that no writer was there with anybody else.
async fn visit_once(readers: usize, writers: usize) {
    let cluster = Cluster::start(3).await;
    let log = Log::default();
    let mut tasks = JoinSet::new();
    for number in 0..readers + writers {
        let writes = number % 2 == 0 && number / 2 < writers || number >= 2 * readers;
        tasks.spawn(visit(
            cluster.lock(number),
            writes,
            number,
            Arc::clone(&log),
        ));
    }
    finish(tasks).await;
    let log = log.lock().expect("nobody panicked");
    assert_eq!(log.len(), 2 * (readers + writers));
    assert_eq!(
        log.iter().filter(|(writes, _)| *writes).count(),
        2 * writers
    );
    let mut inside = Vec::new();
    for &(writes, number) in log.iter() {
        match inside.iter().position(|&(_, other)| other == number) {
            Some(index) => drop(inside.swap_remove(index)),
            None => inside.push((writes, number)),
        }
        let has_writer = inside.iter().any(|(writes, _)| *writes);
        assert!(!has_writer || inside.len() == 1, "{log:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fasteners_f3_f6_ten_readers_and_ten_writers_never_meet() {
    visit_once(10, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fasteners_f7_nine_readers_and_a_writer_never_meet() {
    visit_once(9, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fasteners_f8_ten_writers_never_meet() {
    visit_once(0, 10).await;
}

/// What is kept under the lock has two halves, which are never the same moment's unless the lock is held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn j8_five_readers_see_whole_versions_of_what_five_writers_update_and_never_an_older_one() {
    let cluster = Cluster::start(4).await;
    let halves = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let mut tasks = JoinSet::new();
    for number in 0..5 {
        let (lock, halves) = (cluster.lock(number), Arc::clone(&halves));
        tasks.spawn(async move {
            for _ in 0..20 {
                let guard = lock.write().await.expect("granted");
                add(&halves[0], 1).await;
                add(&halves[1], 1).await;
                drop(guard);
            }
        });
    }
    for number in 0..5 {
        let (lock, halves) = (cluster.lock(number), Arc::clone(&halves));
        tasks.spawn(async move {
            let mut last = 0;
            for _ in 0..20 {
                let guard = lock.read().await.expect("granted");
                // Relaxed: the lock orders them, which is what is tried here.
                let first = halves[0].load(Ordering::Relaxed);
                yield_now().await;
                let second = halves[1].load(Ordering::Relaxed);
                assert_eq!(first, second, "a whole version");
                assert!(first >= last, "no older version than before");
                last = first;
                drop(guard);
            }
        });
    }
    finish(tasks).await;
    // Relaxed: all tasks are over.
    assert_eq!(halves[0].load(Ordering::Relaxed), 100);
}
