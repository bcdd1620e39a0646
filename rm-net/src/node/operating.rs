//! What people ask a node, and what operators order it to do.

use std::time::Duration;

use rm_core::id::NodeId;
use rm_core::inspect::{Answer, Query, StatusView};
#[cfg(feature = "etcd")]
use rm_core::inspect::{MembersView, NodeRole, Standing};

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

    /// Answers a question as it would a client's: of a resource that others borrow from here, they are asked who holds
    /// it, and whoever does not answer within 400 ms is called silent. A list has what this node is the root of, or
    /// borrows.
    ///
    /// Sums and lists go over all resources: with millions of them that takes part of a second, so do not ask on a thread
    /// of a runtime that others need. Cancel safe.
    pub async fn inspect(&self, query: Query) -> Answer {
        #[cfg(feature = "etcd")]
        if let Some(member) = &self.member {
            return match (member.life(), &query) {
                (Some(life), _) => life.server.answer(None, query).await,
                (None, Query::Status) => Answer::Status(self.status()),
                (None, Query::Members) => Answer::Members(Box::new(MembersView {
                    node: self.hub.name.clone(),
                    role: NodeRole::Member,
                    standing: Standing::Outside,
                    good_for: Some(Duration::ZERO),
                    coordinator: self.hub.desk.coordinator().unwrap_or_default(),
                    ..MembersView::default()
                })),
                (None, _) => self.answer_alone(&query),
            };
        }
        match &self.server {
            Some(server) => server.answer(None, query).await,
            None => self.answer_alone(&query),
        }
    }

    /// What a node says that does not lend.
    fn answer_alone(&self, query: &Query) -> Answer {
        match query {
            Query::Status => Answer::Status(self.status()),
            _ => self
                .domain
                .inspect(query, &|_| (String::new(), NodeId::default()), &|_, _| true),
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
