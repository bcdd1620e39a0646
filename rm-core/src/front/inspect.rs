//! What a domain tells people about its resources: read-only, bounded.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::domain::AnyTable;
use super::resource::Resource;
use super::shard::Place;
use super::table::Table;
use crate::credit::Level as _;
use crate::id::{NodeId, PeerId, ResourceKey, Token, TypeId};
use crate::inspect::{
    Answer, ENTRIES_MAX, Entry, EntryKind, LIST_MAX, Query, ResourceView, Summary,
};
use crate::owner::Owner;
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
    fn show(&self, key: &ResourceKey, names: &PeerNames<'_>) -> Option<ResourceView>;
    fn debtors(&self, key: &ResourceKey) -> Vec<PeerId>;
}

pub(super) fn answer(
    types: &BTreeMap<TypeId, Arc<dyn AnyTable>>,
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
            Answer::Show(types.get(type_id).and_then(|table| table.show(key, names)))
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

    fn show(&self, key: &ResourceKey, names: &PeerNames<'_>) -> Option<ResourceView> {
        let resource = self.find(key)?;
        let now = resource.shared().host.now();
        let view =
            resource.with_holders(|owner, guards| view(&resource, owner, guards, now, names));
        Some(view)
    }
}

/// A line about a resource, if there is anything to say.
fn summary<T: ResourceType>(place: &Place<T>) -> Option<Summary> {
    if let Place::Live(resource) = place
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
    let entry = |kind, (node, node_id): (String, NodeId), mode| Entry {
        kind,
        node,
        node_id,
        mode,
        label: String::new(),
        age: core::time::Duration::ZERO,
        order: None,
        fence: None,
        loan: None,
        guards: 0,
    };
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
            ..entry(EntryKind::Holds, here.clone(), mode(&hold.credit))
        });
    }
    for (peer, loan) in owner.loans().take(ENTRIES_MAX - entries.len()) {
        let caches = entry(EntryKind::Caches, names(peer), format!("{loan:?}"));
        entries.push(Entry {
            loan: owner.loan_id(peer),
            ..caches
        });
    }
    for waiting in owner.waiting().take(ENTRIES_MAX - entries.len()) {
        let note = waiting
            .note
            .map(|note| (**note).clone())
            .unwrap_or_default();
        let place = waiting.debtor.map_or_else(|| here.clone(), names);
        let waited = Time::from_nanos(waiting.order.stamp.0);
        entries.push(Entry {
            label: note.label,
            age: shared.host.stamp_now().since(waited),
            order: Some(waiting.order),
            ..entry(EntryKind::Waits, place, note.mode)
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
