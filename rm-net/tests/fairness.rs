//! Nobody is starved, in real time: floods of readers and writers in processes of their own, and one who asks for the
//! other mode in between, over and over.
//!
//! The exact bound is the simulator's (`docs/FAIRNESS.md`). Here machines are busy and a hold of 50 ms may take longer, so a
//! wait may be ten holds. Locks that let readers in as they come keep a writer waiting for far longer.

mod common;

use std::time::Duration;

use common::process::{self, Process, Turns};
use common::{Cluster, assert_no_panics, within};
use rm_rwlock::RwLock;
use tokio::task::JoinHandle;

const LEASE: Duration = Duration::from_secs(15);
const HOLD: Duration = Duration::from_millis(50);
/// How often the one in between asks.
const TIMES: u32 = 20;
/// No longer than that, beside what its bound says.
const SLACK: Duration = HOLD.saturating_mul(8);

/// Readers who hold half of the time.
const READERS: Turns = Turns {
    writes: false,
    hold: HOLD,
    pause: HOLD,
};
/// A reader that holds again as soon as it let go.
const READER_WITHOUT_A_GAP: Turns = Turns {
    writes: false,
    hold: HOLD,
    pause: Duration::ZERO,
};
/// Writers who ask again as soon as they let go.
const WRITERS: Turns = Turns {
    writes: true,
    hold: Duration::from_millis(10),
    pause: Duration::ZERO,
};
/// The one in between.
const WRITER: Turns = Turns {
    writes: true,
    hold: Duration::from_millis(1),
    pause: Duration::ZERO,
};
const READER: Turns = Turns {
    writes: false,
    ..WRITER
};

/// The same for one of many. Each holds for another time, less than twice as long, so that they do not fall into step behind
/// the one in between and all let go at once.
fn out_of_step(turns: Turns, index: u32) -> Turns {
    Turns {
        hold: turns.hold + turns.hold * (index % 8) / 9,
        ..turns
    }
}

/// So many processes take turns.
async fn flood_of_processes(cluster: &Cluster, count: u32, turns: Turns) -> Vec<Process> {
    let start = |index| Process::flood(&cluster.endpoint, out_of_step(turns, index));
    let mut processes: Vec<_> = (0..count).map(start).collect();
    for process in &mut processes {
        let _: u32 = process.heard("goes").await;
    }
    processes
}

/// Tasks that take turns in this process. They end with their owner.
struct Tasks(Vec<JoinHandle<()>>);

impl Tasks {
    fn start(lock: &RwLock, count: u32, turns: Turns) -> Self {
        let start = |index| {
            let (lock, turns) = (lock.clone(), out_of_step(turns, index));
            tokio::spawn(async move { turns.go_on(&lock).await })
        };
        Self((0..count).map(start).collect())
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Somebody takes its turns among the others, and waits no longer than `bound` and the slack of a busy machine.
async fn assert_waits(lock: &RwLock, turns: Turns, bound: Duration) {
    for time in 0..TIMES {
        let waited = within("it gets its turn", turns.take(lock)).await;
        assert!(
            waited < bound + SLACK,
            "turn {time}: waited for {waited:?}, and {bound:?} is its bound"
        );
        // It asks at another moment of the others' holds each time.
        tokio::time::sleep(HOLD * (time % 7) / 7).await;
    }
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_among_eight_processes_that_read_half_of_the_time_is_not_starved() {
    let cluster = Cluster::new(LEASE).await;
    let _readers = flood_of_processes(&cluster, 8, READERS).await;
    let writer = cluster.client("writer").await;
    assert_waits(&writer.rw_lock("x"), WRITER, 2 * HOLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_beside_a_process_that_reads_without_a_gap_is_not_starved() {
    let cluster = Cluster::new(LEASE).await;
    let _reader = flood_of_processes(&cluster, 1, READER_WITHOUT_A_GAP).await;
    let writer = cluster.client("writer").await;
    assert_waits(&writer.rw_lock("x"), WRITER, 2 * HOLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_among_four_processes_that_write_waits_for_those_before_it() {
    let cluster = Cluster::new(LEASE).await;
    let _writers = flood_of_processes(&cluster, 4, WRITERS).await;
    let reader = cluster.client("reader").await;
    assert_waits(&reader.rw_lock("x"), READER, 10 * WRITERS.hold).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_among_tasks_of_its_own_process_that_read_is_not_starved() {
    let cluster = Cluster::new(LEASE).await;
    let client = cluster.client("client").await;
    let lock = client.rw_lock("x");
    // Together they leave no gap.
    let _readers = Tasks::start(&lock, 8, READER_WITHOUT_A_GAP);
    assert_waits(&lock, WRITER, 2 * HOLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_among_tasks_of_its_own_process_that_write_waits_for_those_before_it() {
    let cluster = Cluster::new(LEASE).await;
    let client = cluster.client("client").await;
    let lock = client.rw_lock("x");
    let _writers = Tasks::start(&lock, 4, WRITERS);
    assert_waits(&lock, READER, 10 * WRITERS.hold).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_among_tasks_of_many_processes_and_of_its_own_is_not_starved() {
    let cluster = Cluster::new(LEASE).await;
    let _processes = flood_of_processes(&cluster, 4, READER_WITHOUT_A_GAP).await;
    let client = cluster.client("client").await;
    let lock = client.rw_lock("x");
    let _tasks = Tasks::start(&lock, 4, READERS);
    assert_waits(&lock, WRITER, 2 * HOLD).await;
}

/// Not a test: what the processes of these tests run.
#[test]
fn process() {
    process::run();
}
