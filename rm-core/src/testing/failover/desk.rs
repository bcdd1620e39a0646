//! What a domain asks of its node, in simulated time: a clock that runs at its own rate, and queues.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::front::Host;
use crate::id::{Party, PeerId};
use crate::session::packet::Item;
use crate::time::Time;

/// A clock that is never set, runs at a rate of its own, and counts suspend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) offset: u64,
    /// Of true time.
    pub(super) per_mille: u64,
    /// How far the wall clock is ahead.
    pub(super) wall: u64,
}

impl Clock {
    /// What it shows at a true time.
    pub(super) fn read(self, at: Time) -> Time {
        let nanos = u128::from(at.as_nanos()) * u128::from(self.per_mille) / 1_000;
        Time::from_nanos(self.offset + nanos as u64)
    }

    /// The true time at which it shows `local`.
    pub(super) fn when(self, local: Time) -> Time {
        if local == Time::MAX {
            return Time::MAX;
        }
        let nanos = u128::from(local.as_nanos().saturating_sub(self.offset)) * 1_000;
        Time::from_nanos(nanos.div_ceil(u128::from(self.per_mille)) as u64)
    }
}

/// The host of one domain: what it wants said lies here until the driver takes it.
#[derive(Debug, Default)]
pub(super) struct Desk {
    now: AtomicU64,
    wall: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<(PeerId, Item)>,
    parties: BTreeMap<PeerId, Party>,
}

impl Desk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its clock shows the true time `at`.
    pub(super) fn set(&self, clock: Clock, at: Time) {
        // Relaxed: one thread.
        self.now.store(clock.read(at).as_nanos(), Ordering::Relaxed);
        let wall = at.as_nanos() + clock.wall;
        self.wall.store(wall, Ordering::Relaxed);
    }

    /// What is to be said next.
    pub(super) fn take(&self) -> Option<(PeerId, Item)> {
        self.inner().queue.pop_front()
    }

    /// Who a debtor is.
    pub(super) fn introduce(&self, peer: PeerId, party: Party) {
        self.inner().parties.insert(peer, party);
    }

    pub(super) fn forget(&self, peer: PeerId) {
        self.inner().parties.remove(&peer);
    }
}

impl Host for Desk {
    fn now(&self) -> Time {
        Time::from_nanos(self.now.load(Ordering::Relaxed))
    }

    fn stamp_now(&self) -> Time {
        Time::from_nanos(self.wall.load(Ordering::Relaxed))
    }

    fn queue(&self, to: PeerId, item: Item) {
        self.inner().queue.push_back((to, item));
    }

    fn flush(&self, _: PeerId) {}

    fn party(&self, peer: PeerId) -> Option<Party> {
        self.inner().parties.get(&peer).copied()
    }

    fn rearm(&self) {}
}
