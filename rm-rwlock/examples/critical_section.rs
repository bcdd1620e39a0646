//! A critical section of yours, tested as it loses its lock at every point. Run it with
//! `cargo run -p rm-rwlock --example critical_section`; in a project of yours it is a test.
//!
//! To copy from here is the shape. The code under test ([`add_one`]) knows a lock and a trait for its store, and nothing of
//! tests. In production the store is a database. In the trial it is a fake that lets others go on before each access.
//! `rm_core::testing::trial` (feature `testing` of `rm-core`) does the rest.

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;

use rm_core::testing::trial::{Failure, Node, Passed, Trial};
use rm_rwlock::fencing::{Mark, Refused};
use rm_rwlock::{RwLock, RwLockType};

/// A number in a store that compares tokens.
trait Number {
    /// The number. From here on the store refuses smaller tokens than this one.
    async fn open(&self, token: u64) -> Result<u64, Refused>;
    /// Writes it.
    async fn write(&self, token: u64, number: u64) -> Result<(), Refused>;
}

/// The code under test.
async fn add_one(lock: &RwLock, number: &impl Number) -> Result<(), Box<dyn Error>> {
    let writer = lock.write().await?;
    let old = number.open(writer.fence()).await?;
    number.write(writer.fence(), old + 1).await?;
    Ok(())
}

/// Code that looks right: it asks its guard before it writes. It was suspended between the two.
async fn add_one_wrongly(lock: &RwLock, number: &FakeAt) -> Result<(), Box<dyn Error>> {
    let writer = lock.write().await?;
    let old = number.fake.number.get();
    if writer.is_valid() {
        number.node.step().await;
        number.fake.number.set(old + 1);
        return Ok(());
    }
    Err("the lock was lost".into())
}

/// A store that several nodes reach.
#[derive(Default)]
struct Fake {
    number: Cell<u64>,
    mark: Cell<Mark>,
}

/// The store, as one node reaches it.
struct FakeAt {
    fake: Rc<Fake>,
    node: Node,
}

impl Number for FakeAt {
    async fn open(&self, token: u64) -> Result<u64, Refused> {
        self.node.step().await; // on its way: anything may happen
        self.fake.mark.set(self.fake.mark.get().admit_write(token)?);
        Ok(self.fake.number.get())
    }

    async fn write(&self, token: u64, number: u64) -> Result<(), Refused> {
        self.node.step().await;
        self.fake.mark.set(self.fake.mark.get().admit_write(token)?);
        self.fake.number.set(number);
        Ok(())
    }
}

/// Two services that each add one, with this code. What was confirmed must be there in the end.
fn try_code(
    code: impl AsyncFn(&RwLock, &FakeAt) -> bool + Copy + 'static,
) -> Result<Passed, Failure> {
    Trial::new(RwLockType::default()).run(|stage| {
        let fake = Rc::new(Fake::default());
        let confirmed = Rc::new(Cell::new(0));
        for name in ["web-1", "web-2"] {
            let node = stage.node(name);
            let lock = RwLock::new(node.domain(), "volumes/42");
            let store = FakeAt {
                fake: Rc::clone(&fake),
                node: node.clone(),
            };
            let confirmed = Rc::clone(&confirmed);
            node.spawn(async move {
                if code(&lock, &store).await {
                    confirmed.set(confirmed.get() + 1);
                }
            });
        }
        stage.finally(move || assert_eq!(fake.number.get(), confirmed.get(), "an update was lost"));
    })
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let passed = try_code(async |lock, store| add_one(lock, store).await.is_ok())?;
    println!("with the token, it stands: {passed}");
    match try_code(async |lock, store| add_one_wrongly(lock, store).await.is_ok()) {
        Err(failure) => println!("without it, it does not: {failure}"),
        Ok(passed) => return Err(format!("a late write was not seen: {passed}").into()),
    }
    Ok(())
}
