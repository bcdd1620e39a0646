//! What a node tells operators about its place in the cluster, and what they have told it to do.
//!
//! A member of a cluster fills in [`ClusterStatus`] whenever something in it changes; nothing is decided by it. A server
//! that stands alone, or in the middle of a tree, has none: what there is to say of it never changes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rm_core::inspect::{CoordinatorView, Standing};
use rm_core::time::Time;
use rm_core::view::View;
use tokio::sync::watch;

/// A member of a cluster, as it sees itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClusterStatus {
    pub(crate) standing: Standing,
    /// Its registration; 0: none.
    pub(crate) reg: u64,
    /// The view that it has adopted.
    pub(crate) view: Option<Arc<View>>,
    /// Members whose reports it waits for.
    pub(crate) missing: Vec<String>,
    /// Until when its membership is known to be good.
    pub(crate) good_until: Option<Time>,
    /// Until when credit of which it knows nothing may be in use.
    pub(crate) grace_until: Option<Time>,
    pub(crate) coordinator: CoordinatorView,
    /// How many views it has adopted.
    pub(crate) views_adopted: u64,
}

/// Where operators are answered and heard.
#[derive(Debug)]
pub(crate) struct Desk {
    status: Mutex<Option<ClusterStatus>>,
    drain: watch::Sender<Option<Duration>>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            status: Mutex::new(None),
            drain: watch::Sender::new(None),
        }
    }

    /// How it stands in its cluster; `None`: it is in none.
    pub(crate) fn status(&self) -> Option<ClusterStatus> {
        let status = self.status.lock();
        status.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what it says of itself as a member.
    #[allow(dead_code, reason = "called by the driver of a member")]
    pub(crate) fn update(&self, change: impl FnOnce(&mut ClusterStatus)) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        change(status.get_or_insert_default());
    }

    /// An operator wants the node to hand over and go. The first one is listened to.
    pub(crate) fn order_drain(&self, within: Duration) {
        self.drain.send_if_modified(|order| {
            let is_first = order.is_none();
            order.get_or_insert(within);
            is_first
        });
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
        let desk = Desk::new();
        desk.order_drain(Duration::from_secs(1));
        desk.order_drain(Duration::from_secs(2));
        assert_eq!(desk.drain_ordered().await, Duration::from_secs(1));
        assert_eq!(desk.drain_ordered().await, Duration::from_secs(1));
    }
}
