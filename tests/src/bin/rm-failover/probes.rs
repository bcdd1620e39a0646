//! What clients see of a member's death.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rm_net::Client;
use rm_rwlock::RwLock;
use tokio::task::JoinSet;

/// Between two uses of what is cached, between two writes in turn, and between two looks at the view.
const PAUSE: Duration = Duration::from_micros(200);
const TURN: Duration = Duration::from_millis(5);
const LOOK: Duration = Duration::from_millis(1);
/// Nothing takes as long.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long it took, each time.
#[derive(Clone, Debug)]
pub(crate) struct Spread(Histogram<u64>);

impl Spread {
    pub(crate) fn new() -> Self {
        Self(Histogram::new(3).expect("three digits"))
    }

    fn add(&mut self, took: Duration) {
        self.0.record(took.as_nanos() as u64).expect("it grows");
    }
}

/// The median, and the longest.
impl Display for Spread {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let at = |quantile| Duration::from_nanos(self.0.value_at_quantile(quantile));
        write!(f, "{:.2?} ({:.2?})", at(0.5), at(1.0))
    }
}

/// A thread that reads what is cached, all the time.
pub(crate) struct CachedUse {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

struct Shared {
    spread: Mutex<Spread>,
    is_over: AtomicBool,
}

impl CachedUse {
    pub(crate) fn start<'n>(client: &Client, names: impl Iterator<Item = &'n String>) -> Self {
        let locks: Vec<RwLock> = names.map(|name| client.rw_lock(name)).collect();
        let shared = Arc::new(Shared {
            spread: Mutex::new(Spread::new()),
            is_over: AtomicBool::new(false),
        });
        let its = Arc::clone(&shared);
        let thread = thread::spawn(move || its.use_all(&locks));
        Self { shared, thread }
    }

    /// What was measured so far; what follows is counted anew.
    pub(crate) fn mark(&self) -> Spread {
        let mut spread = self.shared.spread();
        std::mem::replace(&mut *spread, Spread::new())
    }

    /// Ends it. Returns what was measured since the last mark.
    ///
    /// # Panics
    /// If anything was not cached any more.
    pub(crate) fn end(self) -> Spread {
        // Relaxed: nothing goes by it but the end.
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("all of it stayed cached");
        self.shared.spread().clone()
    }
}

impl Shared {
    fn spread(&self) -> std::sync::MutexGuard<'_, Spread> {
        self.spread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn use_all(&self, locks: &[RwLock]) {
        for lock in locks.iter().cycle() {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let began = Instant::now();
            let read = lock.try_read_cached().is_some();
            let took = began.elapsed();
            assert!(read, "it is not cached any more");
            self.spread().add(took);
            thread::sleep(PAUSE);
        }
    }
}

/// A task that writes locks of a root that lives: two clients take each from the other, so each turn needs the root.
pub(crate) struct Turns {
    is_over: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<Spread, String>>,
}

impl Turns {
    pub(crate) fn start(clients: [Client; 2], names: Vec<String>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let its = Arc::clone(&is_over);
        let task = tokio::spawn(async move {
            let mut spread = Spread::new();
            let mut turn = 0;
            // Relaxed: nothing goes by it but the end.
            while !its.load(Ordering::Relaxed) {
                let name = &names[turn / 2 % names.len()];
                let lock = clients[turn % 2].rw_lock(name);
                let began = Instant::now();
                let written = lock.write().timeout(PATIENCE).await;
                drop(written.map_err(|error| error.to_string())?);
                spread.add(began.elapsed());
                turn += 1;
                tokio::time::sleep(TURN).await;
            }
            Ok(spread)
        });
        Self { is_over, task }
    }

    /// Ends it. Returns how long each turn waited.
    ///
    /// # Errors
    /// Where one was refused.
    pub(crate) async fn end(self) -> Result<Spread, String> {
        // Relaxed: nothing goes by it but the end.
        self.is_over.store(true, Ordering::Relaxed);
        self.task.await.map_err(|error| error.to_string())?
    }
}

/// How long it took until the client knew a view without that member.
pub(crate) async fn view_without(client: &Client, member: &str, since: Instant) -> Duration {
    loop {
        let view = client.domain().view();
        let members = view.iter().flat_map(|view| view.members());
        if !members.into_iter().any(|it| it.name == member.as_bytes()) {
            return since.elapsed();
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How long it took until each of these could be read beside who holds it.
///
/// # Errors
/// Where one could not.
pub(crate) async fn reads(
    client: &Client,
    names: impl Iterator<Item = String>,
    since: Instant,
) -> Result<Spread, String> {
    let mut tasks = JoinSet::new();
    for name in names {
        let lock = client.rw_lock(name);
        tasks.spawn(async move {
            let read = lock.read().timeout(PATIENCE).await;
            read.map(|_| since.elapsed()).map_err(|it| it.to_string())
        });
    }
    spread(tasks).await
}

/// How long it took until each of these could be written.
///
/// # Errors
/// Where one could not.
pub(crate) async fn writes(
    client: &Client,
    names: Vec<String>,
    since: Instant,
) -> Result<Spread, String> {
    let mut tasks = JoinSet::new();
    for name in names {
        let lock = client.rw_lock(name);
        tasks.spawn(async move {
            let written = lock.write().timeout(PATIENCE).await;
            written
                .map(|_| since.elapsed())
                .map_err(|it| it.to_string())
        });
    }
    spread(tasks).await
}

async fn spread(mut tasks: JoinSet<Result<Duration, String>>) -> Result<Spread, String> {
    let mut spread = Spread::new();
    while let Some(took) = tasks.join_next().await {
        spread.add(took.map_err(|error| error.to_string())??);
    }
    Ok(spread)
}
