//! Where operators are told what only this node knows, and where they are heard.
//!
//! Nothing is decided by what stands here but when the node is to go, and that by whoever runs it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rm_core::access::Rules;
use rm_core::inspect::CoordinatorView;
use tokio::sync::watch;

use crate::transport::Stream;

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
    /// Both ends of the connections that this node made, here and there. Where it called itself, a connection that it
    /// accepted has the same ends. Nobody else's has, and nothing of it is told anybody: unlike the ticket, which each
    /// creditor knows.
    calls: Mutex<BTreeSet<Ends>>,
    rules: RwLock<Arc<Rules>>,
    /// Whoever calls over the network has to prove who it is.
    knows_callers: AtomicBool,
    /// There are any: so nothing is looked up where there are none.
    has_rules: AtomicBool,
    /// How often they were set.
    rules_generation: AtomicU64,
}

/// The addresses of a connection: this end's, and the other's.
pub(crate) type Ends = (SocketAddr, SocketAddr);

/// A connection that this node made, for as long as it is open.
#[derive(Debug)]
pub(crate) struct Call {
    desk: Arc<Desk>,
    ends: Ends,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.desk.calls().remove(&self.ends);
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            coordinator: Mutex::new(None),
            views: AtomicU64::new(0),
            jeopardies: AtomicU64::new(0),
            drain: watch::Sender::new(None),
            calls: Mutex::default(),
            rules: RwLock::default(),
            knows_callers: AtomicBool::new(false),
            has_rules: AtomicBool::new(false),
            rules_generation: AtomicU64::new(0),
        }
    }

    /// This node has called somebody, perhaps itself. It is known for as long as what is returned lives.
    pub(crate) fn note_call(self: &Arc<Self>, stream: &Stream) -> Option<Call> {
        let ends = stream.ends()?;
        self.calls().insert(ends);
        let desk = Arc::clone(self);
        Some(Call { desk, ends })
    }

    /// Whether it was this node itself that made a connection which it accepted.
    pub(crate) fn is_own(&self, accepted: &Stream) -> bool {
        let ends = accepted.ends();
        ends.is_some_and(|(here, there)| self.calls().contains(&(there, here)))
    }

    fn calls(&self) -> MutexGuard<'_, BTreeSet<Ends>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Whether whoever calls over the network has to prove who it is.
    pub(crate) fn knows_callers(&self) -> bool {
        // Relaxed: for people, and set before anybody can ask.
        self.knows_callers.load(Ordering::Relaxed)
    }

    pub(crate) fn set_knows_callers(&self, knows: bool) {
        // Relaxed: for people, and set before anybody can ask.
        self.knows_callers.store(knows, Ordering::Relaxed);
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
    async fn only_what_a_node_called_itself_is_its_own_and_only_while_it_is_open() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("listens");
        let address = listener.local_addr().expect("it listens");
        let connection = async || {
            let called = tokio::net::TcpStream::connect(address).await;
            let (accepted, _) = listener.accept().await.expect("accepted");
            (
                Stream::tcp(called.expect("connected")),
                Stream::tcp(accepted),
            )
        };
        let desk = Arc::new(Desk::new());
        let (ours, own) = connection().await;
        let (_theirs, other) = connection().await;
        let call = desk.note_call(&ours);
        assert!(desk.is_own(&own));
        assert!(!desk.is_own(&other), "another connection");
        assert!(!desk.is_own(&ours), "it was made, not accepted");
        drop(call);
        assert!(!desk.is_own(&own));
    }

    #[tokio::test]
    async fn the_first_order_to_drain_stands_and_late_comers_hear_it() {
        let desk = Desk::new();
        desk.order_drain(Duration::from_secs(1));
        desk.order_drain(Duration::from_secs(2));
        assert_eq!(desk.drain_ordered().await, Duration::from_secs(1));
        assert_eq!(desk.drain_ordered().await, Duration::from_secs(1));
    }
}
