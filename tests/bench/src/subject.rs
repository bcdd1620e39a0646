//! The locks that are compared: ours, two for async programs, two for threads.
//!
//! Each operation takes the lock and lets it go again. Nothing is behind the locks but `()`: what is measured is the lock.
//! The locks for threads have nothing to await; they are here to show what an async lock costs beyond them.

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use rm_core::front::{Acquire, Ask, Domain, DomainSettings, Host, Observer, Role};
use rm_core::id::PeerId;
use rm_core::owner::Settings;
use rm_core::session::packet::Item;
use rm_core::time::Time;
use rm_rwlock::{RwCredit, RwLock, RwLockType};

use crate::watched::Counts;
use crate::workload::{Workload, repeat, spent};

/// A lock that is measured.
pub(crate) trait Subject: Sync {
    /// Whether there is anything between reading and writing.
    const UPGRADES: bool = false;

    async fn read(&self);

    async fn write(&self);

    /// Reads in a way that the cheapest path does not serve, where there are two.
    async fn read_by_mutex(&self) {
        self.read().await;
    }

    /// Reads as one who may write, then writes without letting go in between.
    async fn upgrade(&self) {
        unreachable!("it has no upgrade");
    }
}

/// One of the locks, whichever it is.
pub(crate) trait Lock {
    /// Whether it can do that at all.
    fn can(&self, workload: Workload) -> bool;

    /// How long that many threads take that do it so often each.
    fn spent(&self, workload: Workload, threads: usize, count: u64) -> Duration;

    /// Does it so often, on this thread.
    fn repeat(&self, workload: Workload, count: u64);
}

impl<S: Subject> Lock for S {
    fn can(&self, workload: Workload) -> bool {
        S::UPGRADES || workload != Workload::Upgrade
    }

    fn spent(&self, workload: Workload, threads: usize, count: u64) -> Duration {
        spent(self, workload, threads, count)
    }

    fn repeat(&self, workload: Workload, count: u64) {
        pollster::block_on(repeat(self, workload, count));
    }
}

/// The names of all, ours first.
pub(crate) const NAMES: [&str; 5] = ["ours", "tokio", "async-lock", "parking_lot", "std"];

/// Ours, where a subscriber listens at INFO and an observer counts: for a process of its own.
pub(crate) const WATCHED: &str = "ours-watched";

/// A new lock, by its name.
pub(crate) fn named(name: &str) -> Option<Box<dyn Lock>> {
    Some(match name {
        "ours" => Box::new(Ours::new(None)),
        WATCHED => Box::new(Ours::new(Some(Counts::listen()))),
        "tokio" => Box::new(tokio::sync::RwLock::new(())),
        "async-lock" => Box::new(async_lock::RwLock::new(())),
        "parking_lot" => Box::new(parking_lot::RwLock::new(())),
        "std" => Box::new(std::sync::RwLock::new(())),
        _ => return None,
    })
}

/// A lock of a node that is alone, as the network crate would make it.
struct Ours(RwLock);

impl Ours {
    fn new(observer: Option<Arc<Counts>>) -> Self {
        let settings = DomainSettings::new("bench", Settings::default());
        let role = Role::Root {
            epoch: 1,
            grace: false,
        };
        let host = Arc::new(Alone {
            start: Instant::now(),
            observer,
        });
        let domain = Domain::new(settings, role, host).with_type(RwLockType::default());
        Self(RwLock::new(&domain, "bench"))
    }
}

impl Subject for Ours {
    const UPGRADES: bool = true;

    async fn read(&self) {
        drop(self.0.read().await.expect("granted"));
    }

    async fn write(&self) {
        drop(self.0.write().await.expect("granted"));
    }

    /// By no door: it gets a hold of its own, from the owner.
    async fn read_by_mutex(&self) {
        let resource = self.0.resource().expect("it has a name");
        let ask = Ask::new(RwCredit::READ);
        drop(Acquire::new(&**resource, ask).await.expect("granted"));
    }

    async fn upgrade(&self) {
        let reader = self.0.upgradable_read().await.expect("granted");
        drop(reader.upgrade().await.expect("nobody is in the way"));
    }
}

impl Subject for tokio::sync::RwLock<()> {
    async fn read(&self) {
        drop(self.read().await);
    }

    async fn write(&self) {
        drop(self.write().await);
    }
}

impl Subject for async_lock::RwLock<()> {
    const UPGRADES: bool = true;

    async fn read(&self) {
        drop(self.read().await);
    }

    async fn write(&self) {
        drop(self.write().await);
    }

    async fn upgrade(&self) {
        let reader = self.upgradable_read().await;
        drop(async_lock::RwLockUpgradableReadGuard::upgrade(reader).await);
    }
}

impl Subject for parking_lot::RwLock<()> {
    const UPGRADES: bool = true;

    async fn read(&self) {
        drop(self.read());
    }

    async fn write(&self) {
        drop(self.write());
    }

    async fn upgrade(&self) {
        let reader = self.upgradable_read();
        drop(parking_lot::RwLockUpgradableReadGuard::upgrade(reader));
    }
}

impl Subject for std::sync::RwLock<()> {
    async fn read(&self) {
        drop(self.read().expect("nobody panics"));
    }

    async fn write(&self) {
        drop(self.write().expect("nobody panics"));
    }
}

/// A node without others: only its clock is used, and who counts.
#[derive(Debug)]
struct Alone {
    start: Instant,
    observer: Option<Arc<Counts>>,
}

impl Host for Alone {
    fn now(&self) -> Time {
        Time::ZERO.after(self.start.elapsed())
    }

    fn stamp_now(&self) -> Time {
        self.now()
    }

    fn queue(&self, _: PeerId, _: Item) {}

    fn flush(&self, _: PeerId) {}

    fn rearm(&self) {}

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        let observer = self.observer.clone();
        observer.map(|observer| observer as Arc<dyn Observer>)
    }
}
