//! What people ask a node, and what operators order it to do.

use std::time::Duration;

use rm_core::inspect::StatusView;
#[cfg(feature = "etcd")]
use rm_core::inspect::{NodeRole, Standing};

use super::Node;

impl Node {
    /// What it says of itself. Of a node that does not listen, or is not registered at its cluster's coordinator, little
    /// more than its name and counters.
    #[must_use]
    pub fn status(&self) -> StatusView {
        #[cfg(feature = "etcd")]
        if let Some(member) = &self.member {
            return match member.life() {
                Some(life) => life.server.status(&life.domain),
                None => StatusView {
                    role: NodeRole::Member,
                    standing: Standing::Outside,
                    ..self.outline()
                },
            };
        }
        match &self.server {
            Some(server) => server.status(&self.domain),
            None => self.outline(),
        }
    }

    /// What there is to say of a node that does not lend.
    fn outline(&self) -> StatusView {
        StatusView {
            name: self.hub.name.clone(),
            counters: crate::server::totals_by_name(&self.totals()),
            ..StatusView::default()
        }
    }

    /// Waits until an operator orders this node to hand over what it has and go (`rmctl drain`), and says how long its
    /// holders are to be waited for. Of several orders the first stands. Nothing happens by itself: whoever runs the
    /// node [winds it up](Self::wind_up) and [stops](Self::stop) it.
    ///
    /// Cancel safe: an order is not lost.
    pub async fn drain_ordered(&self) -> Duration {
        self.hub.desk.drain_ordered().await
    }
}
