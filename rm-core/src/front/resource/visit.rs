//! What the reclaimer does with a resource that it comes by.

use std::sync::Arc;

use super::{Clock, Inner, Resource};
use crate::front::reclaim::{Age, Found, Use};
use crate::front::routes::Link;
use crate::owner::Owner;
use crate::resource::ResourceType;
use crate::sync::Ordering;

impl<T: ResourceType> Resource<T> {
    /// A resource that rested goes on: what it had borrowed is good for as long as `link` is trusted.
    pub(in crate::front) fn go_on(&self, link: Option<Arc<Link>>, age: Age, seen: u32) {
        let mut inner = self.wake();
        inner.link = link;
        inner.age = age;
        inner.seen = seen;
    }

    /// A look of the reclaimer, which is no use.
    pub(in crate::front) fn visit<R>(&self, f: impl FnOnce(Found, &mut Age, &Owner<T>) -> R) -> R {
        let mut inner = self.lock();
        // It stays closed, so that the next use shows.
        let was_open = inner.leave_closed();
        let from_cache = inner.cached_acquires != inner.visited_at;
        inner.visited_at = inner.cached_acquires;
        let Inner {
            owner, slots, age, ..
        } = &mut *inner;
        // Relaxed: the mutex is held by whoever sets it.
        let was_used = self.used.swap(false, Ordering::Relaxed) || was_open;
        let used = if !slots.is_empty() {
            Use::Now
        } else if was_used {
            Use::Lately
        } else {
            Use::No
        };
        f(Found { used, from_cache }, age, owner)
    }

    /// Queues what sends its spare credit home. The caller flushes, once for many.
    pub(in crate::front) fn send_home(&self) {
        let mut turn = self.enter(Clock::Exact);
        let (inner, now) = (&mut *turn.inner, turn.now);
        inner.owner.return_spare(now, &mut inner.fx);
        self.apply(&mut turn);
        turn.after.flush.clear();
        // Relaxed: as in `visit`. To be sent home is no use.
        self.used.store(false, Ordering::Relaxed);
        self.leave(turn);
    }
}
