//! What people ask a node, and what operators order it to do.

use std::time::Duration;

use rm_core::inspect::StatusView;

use super::Node;

impl Node {
    /// What it says of itself. Of a node that does not listen, its name and counters.
    #[must_use]
    pub fn status(&self) -> StatusView {
        #[cfg(feature = "etcd")]
        if let Some(life) = self.member.as_ref().and_then(|member| member.life()) {
            return life.server.status(&life.domain);
        }
        match &self.server {
            Some(server) => server.status(&self.domain),
            None => StatusView {
                name: self.hub.name.clone(),
                counters: crate::server::totals_by_name(&self.totals()),
                ..StatusView::default()
            },
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
