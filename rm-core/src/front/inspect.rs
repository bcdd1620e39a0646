//! What a domain tells people about its resources: read-only, bounded.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::resource::Resource;
use super::shard::Place;
use super::shared::{AnyTable, Shared};
use super::table::Table;
use crate::credit::Level as _;
use crate::id::{NodeId, PeerId, ResourceKey, Token, TypeId};
use crate::inspect::{
    Answer, ENTRIES_MAX, Entry, EntryKind, LIST_MAX, LongWait, Query, ResourceView, Summary,
    TOP_MAX, TopView,
};
use crate::owner::{Owner, WaitingView};
use crate::resource::ResourceType;
use crate::time::Time;

/// The name and identity of a peer, as far as its session knows them.
pub type PeerNames<'a> = dyn Fn(PeerId) -> (String, NodeId) + 'a;

/// Which resources whoever asks may know of.
pub type Visible<'a> = dyn Fn(TypeId, &ResourceKey) -> bool + 'a;

/// What inspection asks of a table.
pub(super) trait AnyInspect {
    /// Up to `limit` visible resources whose name starts with `prefix`, after `after`, in order.
    fn list(
        &self,
        prefix: &[u8],
        after: Option<&ResourceKey>,
        limit: usize,
        is_visible: &Visible<'_>,
    ) -> Vec<Summary>;
    /// The resource, and all its debtors in the order of the entries of their credit: both of the same moment.
    fn show(&self, key: &ResourceKey, names: &PeerNames<'_>)
    -> Option<(ResourceView, Vec<PeerId>)>;
    fn debtors(&self, key: &ResourceKey) -> Vec<PeerId>;
    /// Adds the requests that wait here for resources whose name starts with `prefix`.
    fn waits(
        &self,
        prefix: &[u8],
        names: &PeerNames<'_>,
        longest: &mut Longest,
        is_visible: &Visible<'_>,
    );
}

/// The requests that have waited longest, of those seen so far.
#[derive(Debug)]
pub(super) struct Longest {
    limit: usize,
    seen: u64,
    waits: Vec<LongWait>,
}

impl Longest {
    const fn new(limit: usize) -> Self {
        Self {
            limit,
            seen: 0,
            waits: Vec::new(),
        }
    }

    fn add(&mut self, wait: LongWait) {
        self.seen += 1;
        self.waits.push(wait);
        if self.waits.len() >= 2 * self.limit {
            self.trim();
        }
    }

    /// Sorts them, and forgets those that are too many.
    fn trim(&mut self) {
        self.waits.sort_by_key(|wait| wait.order.stamp);
        self.waits.truncate(self.limit);
    }
}

pub(super) fn answer(
    types: &BTreeMap<TypeId, Arc<dyn AnyTable>>,
    shared: &Shared,
    query: &Query,
    names: &PeerNames<'_>,
    is_visible: &Visible<'_>,
) -> Answer {
    match query {
        Query::List {
            prefix,
            after,
            limit,
        } => {
            let limit = (*limit).clamp(1, LIST_MAX) as usize;
            let mut resources = Vec::new();
            let first = after.as_ref().map_or(TypeId(0), |(type_id, _)| *type_id);
            for (type_id, table) in types.range(first..) {
                let after = after
                    .as_ref()
                    .filter(|(of, _)| of == type_id)
                    .map(|(_, key)| key);
                // One more than asked tells whether there is more.
                let room = limit + 1 - resources.len();
                resources.extend(table.list(prefix, after, room, is_visible));
                if resources.len() > limit {
                    break;
                }
            }
            let more = resources.len() > limit;
            resources.truncate(limit);
            Answer::List { resources, more }
        }
        Query::Show { type_id, key } if !is_visible(*type_id, key) => Answer::Show(None),
        Query::Show { type_id, key } => {
            let shown = types.get(type_id).and_then(|table| table.show(key, names));
            Answer::Show(shown.map(|(view, _)| view))
        }
        Query::Top { prefix, limit } => {
            let limit = (*limit).clamp(1, TOP_MAX) as usize;
            let mut longest = Longest::new(limit);
            for table in types.values() {
                table.waits(prefix, names, &mut longest, is_visible);
            }
            longest.trim();
            // Not under the sketch's lock: whoever decides what is visible may take his time.
            let mut hot = shared.hottest(prefix);
            hot.retain(|resource| is_visible(resource.type_id, &resource.key));
            hot.truncate(limit);
            Answer::Top(Box::new(TopView {
                node: shared.name.clone(),
                uptime: core::time::Duration::ZERO,
                hot,
                omitted: longest.seen - longest.waits.len() as u64,
                waits: longest.waits,
            }))
        }
        Query::Health | Query::Members | Query::Status | Query::Unknown => Answer::Unknown,
    }
}

impl<T: ResourceType> AnyInspect for Table<T> {
    fn list(
        &self,
        prefix: &[u8],
        after: Option<&ResourceKey>,
        limit: usize,
        is_visible: &Visible<'_>,
    ) -> Vec<Summary> {
        let mut found: BTreeMap<ResourceKey, Summary> = BTreeMap::new();
        self.each(|place| {
            let key = place.key();
            let is_past = after.is_none_or(|after| key > after);
            let is_near =
                found.len() < limit || found.last_key_value().is_some_and(|(k, _)| key < k);
            let is_meant = is_past && is_near && key.as_bytes().starts_with(prefix);
            if !is_meant || !is_visible(T::ID, key) {
                return;
            }
            if let Some(summary) = summary(place) {
                found.insert(key.clone(), summary);
                if found.len() > limit {
                    found.pop_last();
                }
            }
        });
        found.into_values().collect()
    }

    fn debtors(&self, key: &ResourceKey) -> Vec<PeerId> {
        self.find(key).map_or_else(Vec::new, |resource| {
            resource.with_owner(|owner| owner.loans().map(|(peer, _)| peer).collect())
        })
    }

    fn waits(
        &self,
        prefix: &[u8],
        names: &PeerNames<'_>,
        longest: &mut Longest,
        is_visible: &Visible<'_>,
    ) {
        // Nobody waits for one that sleeps.
        self.each_awake(|resource| {
            let key = resource.key();
            if !key.as_bytes().starts_with(prefix) || !is_visible(T::ID, key) {
                return;
            }
            resource.with_owner(|owner| {
                for waiting in owner.waiting() {
                    let entry = waiting_entry(resource, &waiting, names);
                    longest.add(LongWait {
                        type_id: T::ID,
                        type_name: T::NAME.into(),
                        key: resource.key().clone(),
                        node: entry.node,
                        via: entry.via,
                        mode: entry.mode,
                        label: entry.label,
                        age: entry.age,
                        order: waiting.order,
                    });
                }
            });
        });
    }

    fn show(
        &self,
        key: &ResourceKey,
        names: &PeerNames<'_>,
    ) -> Option<(ResourceView, Vec<PeerId>)> {
        let resource = self.find(key)?;
        let now = resource.shared().host.now();
        let shown = resource.with_holders(|owner, guards| {
            let view = view(&resource, owner, guards, now, names);
            (view, owner.loans().map(|(peer, _)| peer).collect())
        });
        Some(shown)
    }
}

/// A line about a resource, if there is anything to say.
fn summary<T: ResourceType>(place: &Place<T>) -> Option<Summary> {
    // Of one that sleeps there is something to say, or it would vanish.
    if let Place::Live(resource) = place
        && resource.asleep().is_none()
        && resource.with_owner(Owner::is_idle)
    {
        return None;
    }
    let totals = place.totals();
    Some(Summary {
        type_id: T::ID,
        type_name: T::NAME.into(),
        key: place.key().clone(),
        holds: totals.holds as u32,
        debtors: totals.loans as u32,
        waiting: totals.waiting as u32,
    })
}

fn view<T: ResourceType>(
    resource: &Resource<T>,
    owner: &Owner<T>,
    guards: &dyn Fn(Token) -> u32,
    now: Time,
    names: &PeerNames<'_>,
) -> ResourceView {
    let shared = resource.shared();
    let here = (shared.name.clone(), shared.owner_settings.party.node);
    let mode = |credit: &T::Credit| T::mode_name(&T::Level::of(credit), owner.capital()).to_owned();
    let jam = owner.jam();
    let mut entries = Vec::new();
    let all = owner.holds().count() + owner.loans().count() + owner.waiting().len();
    for (token, hold) in owner.holds().take(ENTRIES_MAX) {
        entries.push(Entry {
            guards: guards(token),
            label: hold
                .note
                .as_ref()
                .map_or_else(String::new, |note| note.label.clone()),
            age: now.since(hold.since),
            fence: Some(hold.fence),
            wanted_by: jam.wanting(token),
            ..Entry::new(EntryKind::Holds, here.0.clone(), here.1, mode(&hold.credit))
        });
    }
    // Many debtors leave room for who waits, and the other way round.
    let room = ENTRIES_MAX - entries.len();
    let waiting_room = owner.waiting().len().min(room / 2);
    for (peer, loan) in owner.loans().take(room - waiting_room) {
        let (node, node_id) = names(peer);
        entries.push(Entry {
            loan: owner.loan_id(peer),
            wanted_by: owner.debtor_wanted_by(peer),
            ..Entry::new(EntryKind::Caches, node, node_id, format!("{loan:?}"))
        });
    }
    for waiting in owner.waiting().take(ENTRIES_MAX - entries.len()) {
        entries.push(Entry {
            behind: jam.behind(waiting.order),
            ..waiting_entry(resource, &waiting, names)
        });
    }
    let omitted = (all - entries.len()) as u32;
    ResourceView {
        type_id: T::ID,
        type_name: T::NAME.into(),
        key: resource.key().clone(),
        entries,
        omitted,
        fence: owner.fence().now(),
    }
}

/// A request that waits. A debtor's may come from another node below it, which its note names.
fn waiting_entry<T: ResourceType>(
    resource: &Resource<T>,
    waiting: &WaitingView<'_, T::Level>,
    names: &PeerNames<'_>,
) -> Entry {
    let shared = resource.shared();
    let note = waiting.note.map(|note| (**note).clone());
    let note = note.unwrap_or_default();
    let here = || (shared.name.clone(), shared.owner_settings.party.node);
    let (through, node_id) = waiting.debtor.map_or_else(here, names);
    let is_elsewhere = !note.node.is_empty() && note.node != through;
    let (node, node_id, via) = if is_elsewhere {
        let node_id = NodeId::of_name(note.node.as_bytes());
        (note.node, node_id, through)
    } else {
        (through, node_id, String::new())
    };
    let since = Time::from_nanos(waiting.order.stamp.0);
    Entry {
        label: note.label,
        age: shared.host.stamp_now().since(since),
        order: Some(waiting.order),
        via,
        ..Entry::new(EntryKind::Waits, node, node_id, note.mode)
    }
}
