//! Two limits on the calls to a service of somebody else, over all instances of yours. Run it with
//! `cargo run -p rm-net --example rate_limit`.
//!
//! To copy from here is [`Limits`]:
//!
//! - **So many at once**: a semaphore. A permit is held while the call lasts, and given back when it is dropped. If an instance
//!   dies, its permits come back when its lease is over.
//! - **So many in any window of time**: units are *consumed* before a call, and refilled one window after it. So a unit is
//!   used once in a window, whoever uses it, and no more than all units are: over all instances, at any moment. Where
//!   an instance dies, its units come back when its lease is over: let the lease be longer than the window.
//!
//! Units stay where they were used last, so an instance that calls all the time mostly asks nobody.
//!
//! The rest plays it through: three instances make forty calls each as fast as they may, and the service watches.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rm_net::{Client, Node};
use rm_types::{AcquireError, Semaphore};
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

const AT_ONCE: u64 = 4;
const IN_WINDOW: u64 = 30;
const WINDOW: Duration = Duration::from_millis(250);

/// The limits, as one instance has them.
#[derive(Clone)]
struct Limits {
    at_once: Semaphore,
    in_window: Semaphore,
}

impl Limits {
    fn new(client: &Client) -> Self {
        // All who share a limit say the same number: it is part of the name.
        Self {
            at_once: client.semaphore("payments/calls", AT_ONCE),
            in_window: client.semaphore("payments/rate", IN_WINDOW),
        }
    }

    /// Makes a call as soon as both limits allow it.
    async fn call<R>(&self, call: impl Future<Output = R>) -> Result<R, AcquireError> {
        let patience = Duration::from_secs(30);
        let permit = self.at_once.acquire(1).timeout(patience).await?;
        self.in_window.consume(1).timeout(patience).await?;
        let result = call.await;
        drop(permit);
        let in_window = self.in_window.clone();
        tokio::spawn(async move {
            tokio::time::sleep(WINDOW).await;
            // Where this instance was cut off meanwhile, its units went back by themselves.
            let _ = in_window.refill(1);
        });
        Ok(result)
    }
}

/// The service of somebody else: it notes each call.
#[derive(Default)]
struct Payments {
    calls: Mutex<Vec<Instant>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Payments {
    fn calls(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pay(&self) {
        let now = 1 + self.now.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(now, Ordering::SeqCst);
        self.calls().push(Instant::now());
        tokio::task::yield_now().await;
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn main() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let server = Node::builder().listen("127.0.0.1:0").data_dir(dir.path());
    let server = server.start().await?;
    let address = server.local_addr().ok_or("it listens")?.to_string();

    let payments = Arc::new(Payments::default());
    let mut calls = JoinSet::new();
    let mut instances = Vec::new();
    for _ in 0..3 {
        let client = Client::connect(&address).await?;
        let limits = Limits::new(&client);
        instances.push(client);
        for _ in 0..40 {
            let (limits, payments) = (limits.clone(), Arc::clone(&payments));
            calls.spawn(async move { limits.call(payments.pay()).await });
        }
    }
    let began = Instant::now();
    while let Some(done) = calls.join_next().await {
        done??;
    }
    let took = began.elapsed();
    for client in instances {
        client.close().await;
    }
    server.stop().await;

    let mut calls = std::mem::take(&mut *payments.calls());
    calls.sort_unstable();
    let most = payments.most.load(Ordering::SeqCst);
    // From a call to the one that uses the same unit again at the earliest.
    let pairs = calls.iter().zip(calls.iter().skip(IN_WINDOW as usize));
    let shortest = pairs
        .map(|(one, next)| *next - *one)
        .min()
        .unwrap_or_default();
    println!(
        "{} calls of three instances in {took:.1?}: at most {most} at once,",
        calls.len()
    );
    println!(
        "and any {} of them took {shortest:.1?} at least",
        IN_WINDOW + 1
    );
    if calls.len() == 120 && most <= AT_ONCE as usize && shortest >= WINDOW {
        Ok(())
    } else {
        Err("a limit was broken".into())
    }
}
