//! The trial of a program that uses locks (`rm_core::testing::trial`): what it finds, and what it lets pass.

#[path = "../examples/critical_section.rs"]
mod critical_section;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rm_core::testing::trial::{Failure, Fault, Node, Passed, Stage, Trial};
use rm_rwlock::fencing::Mark;
use rm_rwlock::{AcquireError, LostReason, RwLock, RwLockType};

/// A number in a store, the highest token that wrote it, and how many additions were confirmed.
#[derive(Default)]
struct Store {
    number: Cell<u32>,
    mark: Cell<Mark>,
    confirmed: Cell<u32>,
}

/// How careful the code under test is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// It takes no lock.
    None,
    /// It takes the lock, and writes.
    Lock,
    /// It asks its guard right before it writes.
    Look,
    /// It hands the token to the store with the write: whoever comes late is refused, once a later holder has written.
    FenceOfWrite,
    /// It raises the store's mark before it reads, and hands over the token again with the write.
    Fence,
}

impl Store {
    /// Whether a holder with that token is admitted, which then raises the mark.
    fn admits(&self, token: u64) -> bool {
        let raised = self.mark.get().admit_write(token);
        raised.is_ok_and(|mark| {
            self.mark.set(mark);
            true
        })
    }
}

async fn add_one(node: &Node, lock: &RwLock, store: &Store, care: Care) {
    let writer = match care {
        Care::None => None,
        Care::Lock | Care::Look | Care::FenceOfWrite | Care::Fence => match lock.write().await {
            Ok(writer) => Some(writer),
            Err(_) => return,
        },
    };
    let token = writer.as_ref().map_or(0, |writer| writer.fence());
    node.step().await;
    if care == Care::Fence && !store.admits(token) {
        return;
    }
    let number = store.number.get();
    node.step().await;
    if care == Care::Look && writer.is_some_and(|writer| !writer.is_valid()) {
        return;
    }
    node.step().await; // the write is under way
    if matches!(care, Care::Fence | Care::FenceOfWrite) && !store.admits(token) {
        return;
    }
    store.number.set(number + 1);
    store.confirmed.set(store.confirmed.get() + 1);
}

/// Two nodes that each add one, with that care.
fn additions(care: Care) -> impl Fn(&Stage) {
    move |stage| {
        let store = Rc::new(Store::default());
        for name in ["web-1", "web-2"] {
            let (node, store) = (stage.node(name), Rc::clone(&store));
            let lock = RwLock::new(node.domain(), "volumes/42");
            let place = node.clone();
            node.spawn(async move { add_one(&place, &lock, &store, care).await });
        }
        stage.finally(move || {
            assert!(
                store.number.get() >= store.confirmed.get(),
                "an update was lost"
            );
        });
    }
}

fn trial() -> Trial {
    Trial::new(RwLockType::default())
}

fn failure(result: Result<Passed, Failure>) -> Failure {
    result.expect_err("the code is wrong")
}

#[test]
fn a_section_that_hands_its_token_to_the_store_stands_every_loss() -> Result<(), Failure> {
    let passed = trial().run(additions(Care::Fence))?;
    println!("{passed}");
    assert!(passed.losses > 100, "{passed}");
    Ok(())
}

#[test]
fn a_section_without_a_lock_fails_without_a_fault() {
    let failure = failure(trial().run(additions(Care::None)));
    assert!(failure.what.contains("an update was lost"), "{failure}");
    assert_eq!(failure.fault, "without a fault");
}

#[test]
fn a_section_that_trusts_its_lock_passes_while_nothing_fails_and_fails_after_a_pause() {
    let calm = trial().faults([]).run(additions(Care::Lock));
    assert!(calm.is_ok(), "{calm:?}");
    let failure = failure(trial().run(additions(Care::Lock)));
    assert!(failure.what.contains("an update was lost"), "{failure}");
    assert!(failure.fault.contains("stands still"), "{failure}");
}

#[test]
fn to_ask_the_guard_before_a_write_that_takes_time_is_not_enough() {
    let failure = failure(trial().faults([Fault::Pause]).run(additions(Care::Look)));
    assert!(failure.what.contains("an update was lost"), "{failure}");
}

#[test]
fn to_fence_the_write_alone_is_not_enough_for_who_reads_first() {
    let failure = failure(trial().run(additions(Care::FenceOfWrite)));
    assert!(failure.what.contains("an update was lost"), "{failure}");
}

#[test]
fn two_locks_in_two_orders_wait_for_ever() {
    let failure = failure(trial().faults([]).run(|stage| {
        for (name, [first, second]) in [("one", ["a", "b"]), ("other", ["b", "a"])] {
            let node = stage.node(name);
            let locks = [first, second].map(|name| RwLock::new(node.domain(), name));
            let place = node.clone();
            node.spawn(async move {
                let first = locks[0].write().await;
                place.step().await;
                let second = locks[1].write().await;
                drop((first, second));
            });
        }
    }));
    assert!(failure.what.contains("waits for ever"), "{failure}");
    assert!(failure.what.contains("task 1 of one"), "{failure}");
}

#[test]
fn a_failure_tells_what_happened_and_is_the_same_each_time() {
    let once = || failure(trial().run(additions(Care::Lock)));
    let failure = once();
    assert_eq!(failure, once());
    assert!(
        failure.trace.contains("web-1 goes on with task 1"),
        "{failure}"
    );
    assert!(failure.trace.contains("wakes up"), "{failure}");
    let command = format!("RM_SEED={} cargo test", failure.seed);
    assert!(failure.replay.starts_with(&command), "{failure}");
}

#[test]
fn a_node_that_is_cut_off_hears_of_its_loss_and_can_ask_again() -> Result<(), Failure> {
    let losses = Rc::new(Cell::new(0));
    let seen = Rc::clone(&losses);
    trial().faults([Fault::Loss]).run(move |stage| {
        let node = stage.node("web-1");
        let lock = RwLock::new(node.domain(), "volumes/42");
        let (place, seen) = (node.clone(), Rc::clone(&seen));
        node.spawn(async move {
            loop {
                let writer = match lock.write().await {
                    Ok(writer) => writer,
                    Err(AcquireError::SessionLost(_)) => continue,
                    Err(other) => panic!("{other}"),
                };
                place.step().await;
                place.step().await;
                let Err(why) = writer.release().await else {
                    return;
                };
                assert_eq!(why, LostReason::LeaseExpired);
                seen.set(seen.get() + 1);
            }
        });
    })?;
    assert!(losses.get() > 0);
    Ok(())
}

/// Counts how often it is dropped.
struct Witness(Rc<Cell<u32>>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn what_is_left_to_a_destructor_does_not_happen_on_a_node_that_dies() {
    let failure = failure(trial().faults([Fault::Crash]).run(|stage| {
        let node = stage.node("web-1");
        let cleaned = Rc::new(Cell::new(0));
        let (place, witness) = (node.clone(), Witness(Rc::clone(&cleaned)));
        node.spawn(async move {
            place.step().await;
            drop(witness);
        });
        stage.finally(move || assert_eq!(cleaned.get(), 1, "nobody cleaned up"));
    }));
    assert!(failure.what.contains("nobody cleaned up"), "{failure}");
    assert!(failure.fault.contains("dies"), "{failure}");
}

#[test]
fn the_lock_of_a_node_that_dies_goes_to_who_waits_for_it() -> Result<(), Failure> {
    trial().faults([Fault::Crash]).run(|stage| {
        let done = Rc::new(Cell::new(0));
        for name in ["web-1", "web-2"] {
            let (node, done) = (stage.node(name), Rc::clone(&done));
            let lock = RwLock::new(node.domain(), "volumes/42");
            let place = node.clone();
            node.spawn(async move {
                let writer = lock.write().await.expect("the server goes on");
                place.step().await;
                drop(writer);
                done.set(done.get() + 1);
            });
        }
        stage.finally(move || assert!(done.get() >= 1, "one of them lives"));
    })?;
    Ok(())
}

#[test]
fn simulated_time_passes_while_tasks_sleep_and_requests_wait() -> Result<(), Failure> {
    trial().faults([]).run(|stage| {
        let [holder, other] = ["one", "other"].map(|name| stage.node(name));
        let lock = RwLock::new(holder.domain(), "x");
        let place = holder.clone();
        holder.spawn(async move {
            let writer = lock.write().await.expect("the server goes on");
            place.sleep(Duration::from_secs(60)).await;
            assert!(writer.is_valid(), "the lease is renewed meanwhile");
        });
        let lock = RwLock::new(other.domain(), "x");
        let place = other.clone();
        other.spawn(async move {
            let outcome = lock.write().timeout(Duration::from_secs(20)).await;
            if outcome.is_err() {
                assert_eq!(place.now().as_secs(), 20);
            }
        });
    })?;
    Ok(())
}

#[test]
fn tasks_that_never_end_are_an_error() {
    let failure = failure(trial().run(|stage| {
        let node = stage.node("web-1");
        let place = node.clone();
        node.spawn(async move {
            loop {
                place.sleep(Duration::from_secs(1)).await;
            }
        });
    }));
    assert!(failure.what.contains("no end after"), "{failure}");
}

#[test]
fn a_scenario_that_is_too_long_to_fail_at_each_point_is_an_error() {
    let long = |stage: &Stage| {
        let node = stage.node("web-1");
        let place = node.clone();
        node.spawn(async move {
            for _ in 0..2_000 {
                place.step().await;
            }
        });
    };
    assert!(trial().faults([]).run(long).is_ok());
    let failure = failure(trial().run(long));
    assert!(failure.what.contains("make it shorter"), "{failure}");
}

#[test]
fn the_example_shows_code_that_stands_and_code_that_does_not() {
    critical_section::main().expect("it shows both");
}
