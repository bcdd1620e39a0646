//! What is done with a lock, and how long a number of threads take for it.
//!
//! Every thread polls its own loop with the same small executor, which sleeps where a future has to wait. So no
//! runtime's scheduler is measured, and all locks meet the same.

use core::time::Duration;
use std::sync::Barrier;
use std::time::Instant;

use crate::subject::Subject;

/// Of so many operations of a mixed workload, one writes.
const MIXED: u64 = 20;

/// What a thread does, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    Read,
    Write,
    /// Reads, but not by the cheapest path.
    ReadByMutex,
    /// An upgradable read that becomes a write.
    Upgrade,
    /// 95 reads to 5 writes.
    Mixed,
}

impl Workload {
    const ALL: [(Self, &str); 5] = [
        (Self::Read, "read"),
        (Self::Write, "write"),
        (Self::ReadByMutex, "read-by-mutex"),
        (Self::Upgrade, "upgrade"),
        (Self::Mixed, "mixed"),
    ];

    pub(crate) fn name(self) -> &'static str {
        let of = Self::ALL.iter().find(|(workload, _)| *workload == self);
        of.expect("all are listed").1
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        let named = Self::ALL.iter().find(|(_, known)| *known == name);
        named.map(|(workload, _)| *workload)
    }
}

/// Does it so often.
pub(crate) async fn repeat<S: Subject>(lock: &S, workload: Workload, count: u64) {
    match workload {
        Workload::Read => {
            for _ in 0..count {
                lock.read().await;
            }
        }
        Workload::Write => {
            for _ in 0..count {
                lock.write().await;
            }
        }
        Workload::ReadByMutex => {
            // What is cached may have been passed without the mutex, a moment ago.
            lock.read().await;
            for _ in 0..count {
                lock.read_by_mutex().await;
            }
        }
        Workload::Upgrade => {
            for _ in 0..count {
                lock.upgrade().await;
            }
        }
        Workload::Mixed => {
            for turn in 0..count {
                if turn % MIXED == MIXED - 1 {
                    lock.write().await;
                } else {
                    lock.read().await;
                }
            }
        }
    }
}

/// From the moment that the first thread starts until the last has done it `count` times.
pub(crate) fn spent<S: Subject>(
    lock: &S,
    workload: Workload,
    threads: usize,
    count: u64,
) -> Duration {
    let barrier = Barrier::new(threads);
    let work = || {
        barrier.wait();
        let start = Instant::now();
        pollster::block_on(repeat(lock, workload, count));
        (start, Instant::now())
    };
    if threads == 1 {
        let (start, end) = work();
        return end - start;
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let spans = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        let (first, last) = spans
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            .expect("there are threads");
        last - first
    })
}
