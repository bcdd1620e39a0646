//! What a server answers to questions: from its own books, and from what the debtors of a resource say.

use std::sync::Arc;
use std::time::Duration;

use rm_core::error::LostReason;
use rm_core::front::{Domain, Host as _};
use rm_core::id::{NodeId, PeerId, ResourceKey};
use rm_core::inspect::{Answer, ENTRIES_MAX, Entry, EntryKind, Query, ResourceView, StatusView};
use rm_core::policy::Decision;
use rm_core::session::packet::Body;

use super::Server;
use crate::hub::BEFORE_RESTART;
use crate::peer::Peer;

/// Debtors that are asked about one resource.
const ASKED_MAX: usize = 64;
/// A debtor that does not answer a question within so long is called silent.
const ASKED_PATIENCE: Duration = Duration::from_millis(400);

impl Server {
    pub(crate) fn on_question(self: &Arc<Self>, peer: &Arc<Peer>, id: u64, query: Query) {
        let Ok(permit) = Arc::clone(&peer.questions).try_acquire_owned() else {
            tracing::debug!(peer = %peer.id, name = peer.name, "asks too much at once");
            return;
        };
        let (server, peer) = (Arc::clone(self), Arc::clone(peer));
        tokio::spawn(async move {
            let _permit = permit;
            let answer = match server.check_question(&peer, &query) {
                Ok(()) => server.answer(Some(&peer), query).await,
                Err(why) => Answer::NotAllowed {
                    text: why.to_string(),
                },
            };
            peer.say(Body::Inspected { id, answer }, &server.hub);
        });
    }

    /// Answers a question from the books, and from what debtors say. Without an asker it is this process that asks, and
    /// may see everything.
    pub(crate) async fn answer(self: &Arc<Self>, asker: Option<&Peer>, query: Query) -> Answer {
        let Some(domain) = self.hub.domain() else {
            return Answer::Unknown;
        };
        let names = |id| self.name_of(id);
        let is_visible = |type_id, key: &ResourceKey| {
            asker.is_none_or(|asker| self.may_inspect(asker, type_id, key))
        };
        match &query {
            Query::Status => Answer::Status(self.status(&domain)),
            Query::Members => Answer::Members(Box::new(self.members())),
            Query::Health => Answer::Health(Box::new(self.health().await)),
            Query::Show { type_id, key } => {
                let Answer::Show(Some(view)) = domain.inspect(&query, &names, &is_visible) else {
                    return Answer::Show(None);
                };
                let debtors = domain.debtors(*type_id, key);
                Answer::Show(Some(self.ask_debtors(view, debtors, &query).await))
            }
            Query::List { .. } | Query::Unknown => domain.inspect(&query, &names, &is_visible),
        }
    }

    fn name_of(&self, id: PeerId) -> (String, NodeId) {
        match self.hub.peer(id) {
            Some(peer) => (peer.name.clone(), NodeId::of_name(peer.name.as_bytes())),
            None => (BEFORE_RESTART.into(), NodeId::default()),
        }
    }

    /// Adds what the debtors of a resource say of their own holders.
    async fn ask_debtors(
        &self,
        mut view: ResourceView,
        debtors: Vec<PeerId>,
        query: &Query,
    ) -> ResourceView {
        let peers = debtors
            .into_iter()
            .filter_map(|id| self.hub.peer(id))
            .take(ASKED_MAX);
        let mut asked = tokio::task::JoinSet::new();
        for peer in peers {
            let (hub, query) = (Arc::clone(&self.hub), query.clone());
            asked.spawn(async move {
                let answer = hub.inquiries.ask(&hub, &peer, query, ASKED_PATIENCE).await;
                (peer.name.clone(), answer)
            });
        }
        while let Some(Ok((name, answer))) = asked.join_next().await {
            match answer {
                Ok(Answer::Show(Some(theirs))) => {
                    let holds = theirs
                        .entries
                        .into_iter()
                        .filter(|e| e.kind == EntryKind::Holds);
                    view.entries.extend(holds.map(|entry| Entry {
                        node: name.clone(),
                        ..entry
                    }));
                }
                Ok(_) => {}
                Err(_) => {
                    let caches = |e: &&Entry| e.kind == EntryKind::Caches && e.node == name;
                    let silent = view.entries.iter().find(caches).cloned();
                    view.entries.extend(silent.map(|e| Entry {
                        kind: EntryKind::Silent,
                        ..e
                    }));
                }
            }
        }
        let more = view.entries.len().saturating_sub(ENTRIES_MAX);
        view.entries.truncate(ENTRIES_MAX);
        view.omitted = view.omitted.saturating_add(more as u32);
        view
    }

    pub(crate) fn status(&self, domain: &Domain) -> StatusView {
        let totals = domain.totals();
        let now = self.hub.now();
        let sessions = self.sessions().len();
        let members = self.members();
        let view_epoch = members.view.as_ref().map_or(0, |view| view.epoch());
        let mut counters = totals_by_name(&totals);
        counters.extend(self.hub.desk.counters());
        StatusView {
            name: self.hub.name.clone(),
            software: env!("CARGO_PKG_VERSION").into(),
            coordinator: self.coordinator.clone(),
            epoch: self.hub.epoch().max(view_epoch),
            lease: self.config.terms.length(),
            uptime: now.since(self.started),
            grace: self.grace(),
            sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
            resources: totals.resources,
            counters,
            role: members.role,
            standing: members.standing,
            view_epoch,
            members: members.view.map_or(0, |view| view.members().len() as u32),
            is_coordinator_connected: members.coordinator.is_connected,
        }
    }
}

pub(crate) fn totals_by_name(totals: &rm_core::front::Totals) -> Vec<(String, u64)> {
    let decisions =
        Decision::ALL.map(|decision| (decision.name(), totals.decisions.count(decision)));
    let losses =
        LostReason::ALL.map(|why| (format!("lost_{}", why.name()), totals.losses.count(why)));
    [
        ("resources", totals.resources),
        ("holds", totals.holds),
        ("waiting", totals.waiting),
        ("loans", totals.loans),
        ("cached_acquires", totals.cached_acquires),
        ("asked_acquires", totals.asked_acquires),
        ("evictions", totals.evictions),
        ("idle_returns", totals.idle_returns),
        ("unknown", totals.unknown),
        ("claims_confirmed", totals.claims_confirmed),
        ("claims_refused", totals.claims_refused),
    ]
    .into_iter()
    .chain(decisions)
    .map(|(name, value)| (name.to_owned(), value))
    .chain(losses)
    .collect()
}
