//! The lock among real threads, with data behind it that a wrong order of memory would tear.
//!
//! Natively these are a smoke test. Under Miri (`cargo xtask miri`) they are a sharp one: it tries several schedules, lets
//! loads see old values where the orderings allow that, and reports every data race on what the lock guards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use rm_rwlock::RwLock;
use rm_rwlock::doc::domain;
use rm_rwlock::guarded::Guarded;

/// Turns of each thread. Miri is a thousand times slower.
const TURNS: u64 = if cfg!(miri) { 3 } else { 3_000 };

/// Two numbers that are equal whenever nobody writes.
///
/// All accesses are relaxed, and none is an exchange: what a thread sees of them rests on the lock alone.
struct Pair {
    lock: RwLock,
    first: AtomicU64,
    second: AtomicU64,
}

impl Pair {
    fn write(&self) {
        let _writer = self.lock.write().blocking().expect("granted");
        self.increment();
    }

    fn upgrade(&self) {
        let reader = self.lock.upgradable_read().blocking().expect("granted");
        let _writer = reader.upgrade().blocking().expect("the readers end");
        self.increment();
    }

    fn increment(&self) {
        for number in [&self.first, &self.second] {
            number.store(number.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    fn read(&self) -> u64 {
        let _reader = self.lock.read().blocking().expect("granted");
        let first = self.first.load(Ordering::Relaxed);
        assert_eq!(first, self.second.load(Ordering::Relaxed));
        first
    }
}

#[test]
fn threads_that_read_write_and_upgrade_never_see_half_of_a_write() {
    let pair = Pair {
        lock: RwLock::new(&domain(), "pair"),
        first: AtomicU64::new(0),
        second: AtomicU64::new(0),
    };
    thread::scope(|scope| {
        scope.spawn(|| (0..TURNS).for_each(|_| pair.write()));
        scope.spawn(|| (0..TURNS).for_each(|_| pair.upgrade()));
        let read_in_turn = || {
            let mut last = 0;
            for _ in 0..TURNS {
                let now = pair.read();
                assert!(now >= last, "what was written is there");
                last = now;
            }
        };
        scope.spawn(read_in_turn);
        read_in_turn();
    });
    assert_eq!(pair.read(), 2 * TURNS);
}

#[test]
fn what_was_written_is_seen_though_the_guard_was_dropped_on_another_thread() {
    let data = Guarded::new(RwLock::new(&domain(), "data"), 0);
    thread::scope(|scope| {
        let (guards, to_drop) = mpsc::channel();
        scope.spawn(|| to_drop.into_iter().for_each(drop));
        for turn in 1..=TURNS {
            let guard = data.lock().write().blocking().expect("granted");
            let mut opened = data.open(guard).expect("held");
            *opened += 1;
            guards.send(opened).expect("somebody drops it");
            let guard = data.lock().read().blocking().expect("granted");
            assert_eq!(*data.open(guard).expect("held"), turn);
        }
        drop(guards);
    });
}
