//! Where operators are told what only this node knows, and where they are heard.
//!
//! Nothing is decided by what stands here but when the node is to go, and that by whoever runs it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rm_core::access::Rules;
use rm_core::id::Boot;
use rm_core::inspect::CoordinatorView;
use tokio::sync::watch;

/// What there is to tell, and what was ordered.
#[derive(Debug)]
pub(crate) struct Desk {
    /// How a member stands with its coordinator; `None`: it has none.
    coordinator: Mutex<Option<CoordinatorView>>,
    /// How many views were adopted since the start.
    views: AtomicU64,
    /// How often a lease of what is borrowed was in jeopardy.
    jeopardies: AtomicU64,
    drain: watch::Sender<Option<Duration>>,
    /// Which sessions are of this very process: what a member borrows from itself.
    own: Boot,
    rules: RwLock<Arc<Rules>>,
    /// There are any: so nothing is looked up where there are none.
    has_rules: AtomicBool,
    /// How often they were set.
    rules_generation: AtomicU64,
}

impl Desk {
    pub(crate) fn new(own: Boot) -> Self {
        Self {
            coordinator: Mutex::new(None),
            views: AtomicU64::new(0),
            jeopardies: AtomicU64::new(0),
            drain: watch::Sender::new(None),
            own,
            rules: RwLock::default(),
            has_rules: AtomicBool::new(false),
            rules_generation: AtomicU64::new(0),
        }
    }

    /// Whether that run is this process itself, which rules say nothing of.
    pub(crate) fn is_own(&self, boot: Boot) -> bool {
        boot == self.own
    }

    /// The rules for all that come.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        let rules = self.rules.read();
        Arc::clone(&rules.unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there are any.
    pub(crate) fn has_rules(&self) -> bool {
        // Acquire pairs with the release in `set_rules`.
        self.has_rules.load(Ordering::Acquire)
    }

    pub(crate) fn set_rules(&self, rules: Arc<Rules>) {
        let is_closed = !rules.is_open();
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        // Release pairs with the acquire in `has_rules`: whoever sees that there are any sees these.
        self.has_rules.store(is_closed, Ordering::Release);
        // Release pairs with the acquire in `rules_generation`. Last: whoever sees the former number is visited afterwards.
        self.rules_generation.fetch_add(1, Ordering::Release);
    }

    /// How often the rules were set.
    pub(crate) fn rules_generation(&self) -> u64 {
        // Acquire pairs with the release in `set_rules`.
        self.rules_generation.load(Ordering::Acquire)
    }

    /// How it stands with its coordinator; `None`: it has none.
    pub(crate) fn coordinator(&self) -> Option<CoordinatorView> {
        let view = self.coordinator.lock();
        view.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something about the coordinator has changed.
    #[cfg(feature = "etcd")]
    pub(crate) fn set_coordinator(&self, view: CoordinatorView) {
        let mut present = self
            .coordinator
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *present = Some(view);
    }

    pub(crate) fn count_view(&self) {
        // Relaxed: a count for people.
        self.views.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_jeopardy(&self) {
        // Relaxed: a count for people.
        self.jeopardies.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a lease of what is borrowed was in jeopardy.
    #[cfg(feature = "metrics")]
    pub(crate) fn jeopardies(&self) -> u64 {
        // Relaxed: a count for people.
        self.jeopardies.load(Ordering::Relaxed)
    }

    /// What was counted, by name.
    pub(crate) fn counters(&self) -> [(String, u64); 2] {
        // Relaxed: counts for people.
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("views_adopted".into(), read(&self.views)),
            ("jeopardies".into(), read(&self.jeopardies)),
        ]
    }

    /// An operator wants the node to hand over and go. The first one is listened to.
    pub(crate) fn order_drain(&self, within: Duration) {
        self.drain.send_if_modified(|order| {
            let is_first = order.is_none();
            order.get_or_insert(within);
            is_first
        });
    }

    /// Whether one wants that.
    pub(crate) fn is_draining(&self) -> bool {
        self.drain.borrow().is_some()
    }

    /// Waits until an operator wants that, and says how long holders are to be waited for. Cancel safe.
    pub(crate) async fn drain_ordered(&self) -> Duration {
        let mut drain = self.drain.subscribe();
        loop {
            if let Some(within) = *drain.borrow_and_update() {
                return within;
            }
            if drain.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_order_to_drain_stands_and_late_comers_hear_it() {
        let desk = Desk::new(Boot(1));
        desk.order_drain(Duration::from_secs(1));
        desk.order_drain(Duration::from_secs(2));
        assert_eq!(desk.drain_ordered().await, Duration::from_secs(1));
        assert_eq!(desk.drain_ordered().await, Duration::from_secs(1));
    }
}
