//! The lock among real threads, with data behind it that a wrong order of memory would tear.
//!
//! Natively these are a smoke test. Under Miri (`cargo xtask miri`) they are a sharp one: it tries several schedules, lets
//! loads see old values where the orderings allow that, and reports every data race on what the lock guards.

use std::sync::mpsc;
use std::thread;

use rm_rwlock::RwLock;
use rm_rwlock::doc::domain;
use rm_rwlock::guarded::Guarded;

/// Turns of each thread. Miri is a thousand times slower.
const TURNS: u64 = if cfg!(miri) { 3 } else { 3_000 };

/// Two numbers that are equal whenever nobody writes.
type Pair = (u64, u64);

fn data() -> Guarded<Pair> {
    Guarded::new(RwLock::new(&domain(), "pair"), (0, 0))
}

fn read(data: &Guarded<Pair>) -> Pair {
    let guard = data.lock().read().blocking().expect("granted");
    *data.open(guard).expect("held")
}

fn increment(pair: &mut Pair) {
    pair.0 += 1;
    pair.1 += 1;
}

fn write(data: &Guarded<Pair>) {
    let guard = data.lock().write().blocking().expect("granted");
    increment(&mut data.open(guard).expect("held"));
}

fn upgrade(data: &Guarded<Pair>) {
    let guard = data.lock().upgradable_read().blocking().expect("granted");
    let guard = guard.upgrade().blocking().expect("the readers end");
    increment(&mut data.open(guard).expect("held"));
}

#[test]
fn threads_that_read_write_and_upgrade_never_see_half_of_a_write() {
    let data = data();
    thread::scope(|scope| {
        scope.spawn(|| (0..TURNS).for_each(|_| write(&data)));
        scope.spawn(|| (0..TURNS).for_each(|_| upgrade(&data)));
        let read_in_turn = || {
            let mut last = 0;
            for _ in 0..TURNS {
                let (first, second) = read(&data);
                assert_eq!(first, second);
                assert!(first >= last, "what was written is there");
                last = first;
            }
        };
        scope.spawn(read_in_turn);
        read_in_turn();
    });
    assert_eq!(read(&data), (2 * TURNS, 2 * TURNS));
}

#[test]
fn what_was_written_is_seen_though_the_guard_was_dropped_on_another_thread() {
    let data = data();
    thread::scope(|scope| {
        let (guards, to_drop) = mpsc::channel();
        scope.spawn(|| to_drop.into_iter().for_each(drop));
        for turn in 1..=TURNS {
            let guard = data.lock().write().blocking().expect("granted");
            let mut opened = data.open(guard).expect("held");
            increment(&mut opened);
            guards.send(opened).expect("somebody drops it");
            assert_eq!(read(&data), (turn, turn));
        }
        drop(guards);
    });
}
