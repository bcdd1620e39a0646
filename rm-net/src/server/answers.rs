//! What a server answers to questions: from its own books, and from what the debtors of a resource say.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rm_core::error::LostReason;
use rm_core::front::{Domain, Host as _};
use rm_core::id::{NAME_BYTES_MAX, NodeId, Order, PeerId, ResourceKey};
use rm_core::inspect::{
    Answer, EDGES_MAX, ENTRIES_MAX, Entry, EntryKind, Query, ResourceView, StatusView,
};
use rm_core::policy::Decision;
use rm_core::session::packet::Body;

use super::Server;
use crate::error::InspectError;
use crate::hub::BEFORE_RESTART;
use crate::peer::Peer;

/// Debtors that are asked about one resource.
const ASKED_MAX: usize = 64;
/// A debtor that does not answer a question within so long is called silent; half of it where a creditor asks.
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
                if !is_visible(*type_id, key) {
                    return Answer::Show(None);
                }
                let Some((view, debtors)) = domain.show(*type_id, key, &names) else {
                    return Answer::Show(None);
                };
                Answer::Show(Some(self.ask_debtors(view, debtors, asker, &query).await))
            }
            Query::Top { .. } => {
                let Answer::Top(mut view) = domain.inspect(&query, &names, &is_visible) else {
                    return Answer::Unknown;
                };
                view.uptime = self.hub.now().since(self.started);
                Answer::Top(view)
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

    /// Adds what the debtors of a resource say of their own holders and requests. What is not known since somebody was
    /// not asked, or may not be, counts as left out.
    async fn ask_debtors(
        &self,
        mut view: ResourceView,
        debtors: Vec<PeerId>,
        asker: Option<&Peer>,
        query: &Query,
    ) -> ResourceView {
        self.note_leases(&mut view, &debtors);
        let mut peers: Vec<_> = debtors
            .into_iter()
            .filter_map(|id| self.hub.peer(id))
            .collect();
        let unasked = peers.len().saturating_sub(ASKED_MAX);
        peers.truncate(ASKED_MAX);
        let patience = patience(asker);
        let mut gathered = Gathered::new(view);
        gathered.omit(unasked);
        let mut asked = tokio::task::JoinSet::new();
        for peer in peers {
            let (hub, query) = (Arc::clone(&self.hub), query.clone());
            asked.spawn(async move {
                let answer = hub.inquiries.ask(&hub, &peer, query, patience).await;
                (peer, answer)
            });
        }
        while let Some(Ok((peer, answer))) = asked.join_next().await {
            match answer {
                Ok(Answer::Show(Some(theirs))) => gathered.add(&peer.name, theirs),
                Ok(Answer::Show(None)) => {}
                // It answers, and does not tell.
                Ok(_) | Err(InspectError::NotAllowed { .. }) => gathered.omit(1),
                Err(_) => {
                    // While it has a connection it may just be busy, and renew.
                    let left = (!peer.is_connected()).then(|| self.trusted_for(peer.id));
                    gathered.add_silent(&peer.name, left);
                }
            }
        }
        gathered.finish()
    }

    /// Says of debtors that have no connection when their leases end.
    fn note_leases(&self, view: &mut ResourceView, debtors: &[PeerId]) {
        let is_cache = |entry: &&mut Entry| entry.kind == EntryKind::Caches;
        // Both are in the order of the book, and of the same moment.
        for (entry, &id) in view.entries.iter_mut().filter(is_cache).zip(debtors) {
            let peer = self.hub.peer(id);
            if peer.is_none_or(|peer| !peer.is_connected()) {
                entry.lease_left = Some(self.trusted_for(id));
            }
        }
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

/// How long debtors have to answer. Of a creditor's question part of the time is gone: with half of it, one silent
/// debtor does not make its creditor late as well. Of two servers in the middle, one below the other, both have that half:
/// the lower one may be called silent for the sake of its debtor.
fn patience(asker: Option<&Peer>) -> Duration {
    match asker {
        Some(asker) if !asker.is_creditor() => ASKED_PATIENCE / 2,
        _ => ASKED_PATIENCE,
    }
}

/// What is known of a resource, while debtors still answer.
///
/// **Bound.** No more than twice [`ENTRIES_MAX`] entries are kept, whatever they say.
#[derive(Debug)]
struct Gathered {
    view: ResourceView,
    /// Where each request stands that waits here.
    waits: HashMap<Order, usize>,
}

impl Gathered {
    fn new(view: ResourceView) -> Self {
        let mut gathered = Self {
            view,
            waits: HashMap::new(),
        };
        gathered.find_waits();
        gathered
    }

    /// So many parties more are not told of.
    fn omit(&mut self, parties: usize) {
        let parties = u32::try_from(parties).unwrap_or(u32::MAX);
        self.view.omitted = self.view.omitted.saturating_add(parties);
    }

    /// Adds what a debtor says of holders and requests at it and below it.
    fn add(&mut self, debtor: &str, theirs: ResourceView) {
        self.view.omitted = self.view.omitted.saturating_add(theirs.omitted);
        for entry in theirs.entries {
            let known = match (entry.kind, entry.order) {
                (EntryKind::Waits, Some(order)) => self.waits.get(&order),
                _ => None,
            };
            if let Some(&place) = known {
                // It waits there too, and perhaps behind others of which nobody tells us.
                let known = &mut self.view.entries[place];
                let news = entry.behind.into_iter().take(EDGES_MAX);
                let news = news.filter(|order| !known.behind.contains(order));
                let news: Vec<_> = news
                    .take(EDGES_MAX.saturating_sub(known.behind.len()))
                    .collect();
                known.behind.extend(news);
                continue;
            }
            self.push(Entry {
                via: way(debtor, &entry),
                ..entry
            });
        }
    }

    /// A debtor did not answer in time.
    fn add_silent(&mut self, debtor: &str, lease_left: Option<Duration>) {
        let is_its = |e: &&Entry| e.kind == EntryKind::Caches && e.node == debtor;
        let cache = self.view.entries.iter().find(is_its).cloned();
        let entry = cache.unwrap_or_else(|| {
            let id = NodeId::of_name(debtor.as_bytes());
            Entry::new(EntryKind::Caches, debtor.into(), id, String::new())
        });
        self.push(Entry {
            kind: EntryKind::Silent,
            lease_left,
            ..entry
        });
    }

    fn push(&mut self, entry: Entry) {
        if let (EntryKind::Waits, Some(order)) = (entry.kind, entry.order) {
            self.waits.insert(order, self.view.entries.len());
        }
        self.view.entries.push(entry);
        if self.view.entries.len() >= 2 * ENTRIES_MAX {
            self.trim();
            self.find_waits();
        }
    }

    fn find_waits(&mut self) {
        let waits = self.view.entries.iter().enumerate();
        let waits = waits.filter(|(_, entry)| entry.kind == EntryKind::Waits);
        self.waits = waits
            .filter_map(|(place, entry)| Some((entry.order?, place)))
            .collect();
    }

    /// Leaves out what is too much, beginning with what says least: who is in the way stays as long as there is room.
    fn trim(&mut self) {
        self.view.entries.sort_by_key(|entry| match entry.kind {
            EntryKind::Holds => 0,
            EntryKind::Silent => 1,
            EntryKind::Caches if !entry.wanted_by.is_empty() => 2,
            EntryKind::Waits => 3,
            EntryKind::Caches => 4,
        });
        self.omit(self.view.entries.len().saturating_sub(ENTRIES_MAX));
        self.view.entries.truncate(ENTRIES_MAX);
    }

    fn finish(mut self) -> ResourceView {
        self.trim();
        self.view
    }
}

/// By way of whom a debtor's entry is known.
fn way(debtor: &str, entry: &Entry) -> String {
    if entry.node == debtor {
        return String::new();
    }
    let below = [debtor, &entry.via].join(" > ");
    if entry.via.is_empty() || below.len() > NAME_BYTES_MAX {
        debtor.into()
    } else {
        below
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

#[cfg(test)]
mod tests {
    use rm_core::id::{Class, Party, Stamp, TypeId};

    use super::*;

    fn view(entries: Vec<Entry>) -> ResourceView {
        ResourceView {
            type_id: TypeId(1),
            type_name: "rw-lock".into(),
            key: ResourceKey::new(b"x").expect("a name"),
            entries,
            omitted: 0,
            fence: 0,
        }
    }

    fn entry(kind: EntryKind, node: &str) -> Entry {
        Entry::new(kind, node.into(), NodeId(0), String::new())
    }

    fn wait(number: u64) -> Entry {
        Entry {
            order: Some(Order {
                class: Class::New,
                stamp: Stamp(number),
                party: Party::default(),
                seq: number,
            }),
            ..entry(EntryKind::Waits, "w")
        }
    }

    #[test]
    fn however_many_wait_or_have_it_cached_the_holder_is_told_of_and_the_rest_counted() {
        let waits = (0..ENTRIES_MAX as u64).map(wait).collect();
        let caches = vec![entry(EntryKind::Caches, "c"); ENTRIES_MAX];
        for crowd in [waits, caches] {
            let mut gathered = Gathered::new(view(crowd));
            gathered.add("a", view(vec![entry(EntryKind::Holds, "a")]));
            let told = gathered.finish();
            assert_eq!(told.entries.len(), ENTRIES_MAX);
            assert_eq!(told.entries[0].kind, EntryKind::Holds);
            assert_eq!(told.omitted, 1);
        }
    }

    #[test]
    fn what_debtors_say_is_cut_while_it_comes_and_each_request_counts_once() {
        let mut gathered = Gathered::new(view(vec![wait(0)]));
        for debtor in 0..64 {
            let theirs = (0..256).map(|number| wait(debtor * 256 + number));
            gathered.add("hostile", view(theirs.collect()));
            assert!(gathered.view.entries.len() < 2 * ENTRIES_MAX);
        }
        let told = gathered.finish();
        assert_eq!(told.entries.len(), ENTRIES_MAX);
        assert_eq!(told.omitted, 64 * 256 - ENTRIES_MAX as u32);
    }

    #[test]
    fn a_debtor_that_leaves_something_out_or_is_silent_is_known_to() {
        let mut theirs = view(Vec::new());
        theirs.omitted = u32::MAX;
        let mut gathered = Gathered::new(view(Vec::new()));
        gathered.omit(1);
        gathered.add("a", theirs);
        gathered.add_silent("b", None);
        let told = gathered.finish();
        assert_eq!(told.omitted, u32::MAX);
        assert_eq!(
            (told.entries[0].kind, &*told.entries[0].node),
            (EntryKind::Silent, "b")
        );
        assert_eq!(told.entries[0].lease_left, None);
    }
}
