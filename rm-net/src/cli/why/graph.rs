//! Who waits for whom, for one resource: what a server tells of it, with the arrows drawn.
//!
//! An arrow goes from a request to each older one that it waits behind, and to each holder that was asked to give way for
//! it. Both kinds come from those who decide: the books of the servers and of the holders' own nodes. What an older node
//! does not tell is left out, and never guessed.

use std::time::Duration;

use rm_core::id::{Class, Order, ResourceKey, TypeId};
use rm_core::inspect::{Entry, EntryKind, ResourceView};

/// One resource, its holders, its requests, and the arrows between them.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) type_id: TypeId,
    pub(crate) type_name: String,
    pub(crate) key: ResourceKey,
    /// Those that hold it, and those that have credit of it and are in the way.
    pub(crate) holders: Vec<Holder>,
    /// Oldest first.
    pub(crate) waits: Vec<Wait>,
    /// Nodes that have it cached, and are in nobody's way.
    pub(crate) caches: usize,
    /// How many parties the server left out.
    pub(crate) omitted: u32,
    /// Why there may be holders of whom nobody tells, in sentences.
    pub(crate) doubts: Vec<String>,
    pub(crate) fence: u64,
}

/// What somebody has of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Has {
    /// It is cached at a node that was asked to give it back.
    Cached,
    /// Somebody uses it.
    Held,
    /// The node does not answer: it may use it.
    Unknown,
}

/// Somebody who has it.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    pub(crate) has: Has,
    pub(crate) node: String,
    pub(crate) via: String,
    pub(crate) mode: String,
    pub(crate) label: String,
    pub(crate) age: Duration,
    pub(crate) fence: Option<u64>,
    pub(crate) guards: u32,
    /// Where its node has no connection: when its lease is over.
    pub(crate) lease_left: Option<Duration>,
    /// The requests for which it was asked to give way.
    pub(crate) wanted_by: Vec<usize>,
    /// How long ago it was asked.
    pub(crate) asked: Option<Duration>,
}

/// A request that waits.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) node: String,
    pub(crate) via: String,
    pub(crate) mode: String,
    pub(crate) label: String,
    pub(crate) age: Duration,
    pub(crate) order: Order,
    /// The older requests that it waits behind: the nearest ones.
    pub(crate) behind: Vec<usize>,
    /// The holders that it waits for.
    pub(crate) holders: Vec<usize>,
}

impl Wait {
    /// Whether a holder asks to hold something else.
    pub(crate) fn converts(&self) -> bool {
        self.order.class == Class::Convert
    }
}

impl Graph {
    pub(crate) fn new(view: ResourceView) -> Self {
        let mut waits: Vec<&Entry> = of_kind(&view, EntryKind::Waits).collect();
        waits.sort_by_key(|entry| entry.order);
        waits.dedup_by_key(|entry| entry.order);
        let orders: Vec<Option<Order>> = waits.iter().map(|entry| entry.order).collect();
        let place = |order: &Order| orders.iter().position(|of| of.as_ref() == Some(order));
        let age = |wait: &usize| waits[*wait].age;
        let mut holders: Vec<Holder> = Vec::new();
        let mut caches = 0;
        for entry in &view.entries {
            let has = match entry.kind {
                EntryKind::Holds => Has::Held,
                EntryKind::Silent => Has::Unknown,
                EntryKind::Caches => Has::Cached,
                EntryKind::Waits => continue,
            };
            let is_told_of = has == Has::Cached && is_told_of(&view, entry);
            let asked_for = if has == Has::Held && entry.wanted_by.is_empty() {
                asked_through(&view, entry)
            } else {
                &entry.wanted_by
            };
            let wanted_by: Vec<usize> = asked_for.iter().filter_map(place).collect();
            if is_told_of {
                continue;
            }
            if has == Has::Cached && wanted_by.is_empty() && entry.lease_left.is_none() {
                caches += 1;
                continue;
            }
            // Before it had it, and before anybody waited, nobody asked.
            let asked = wanted_by.iter().map(age).max().map(|asked| match has {
                Has::Held => asked.min(entry.age),
                Has::Cached | Has::Unknown => asked,
            });
            holders.push(Holder {
                has,
                node: entry.node.clone(),
                via: entry.via.clone(),
                mode: entry.mode.clone(),
                label: entry.label.clone(),
                age: entry.age,
                fence: entry.fence,
                guards: entry.guards,
                lease_left: entry.lease_left,
                wanted_by,
                asked,
            });
        }
        let waits = waits.iter().enumerate().filter_map(|(index, entry)| {
            let behind = entry.behind.iter().filter_map(place);
            let wants = |holder: &(usize, &Holder)| holder.1.wanted_by.contains(&index);
            let in_the_way = holders.iter().enumerate().filter(wants);
            Some(Wait {
                node: entry.node.clone(),
                via: entry.via.clone(),
                mode: entry.mode.clone(),
                label: entry.label.clone(),
                age: entry.age,
                order: entry.order?,
                // Only what is older: whatever a node says, there are no circles among requests for one name.
                behind: behind.filter(|&older| older < index).collect(),
                holders: in_the_way.map(|(holder, _)| holder).collect(),
            })
        });
        let waits = waits.collect();
        Self {
            type_id: view.type_id,
            type_name: view.type_name,
            key: view.key,
            holders,
            waits,
            caches,
            omitted: view.omitted,
            doubts: Vec::new(),
            fence: view.fence,
        }
    }

    /// A name of which nobody tells anything.
    pub(crate) fn untold(key: &ResourceKey, doubts: Vec<String>) -> Self {
        let nothing = Self::new(ResourceView {
            type_id: TypeId(0),
            type_name: String::new(),
            key: key.clone(),
            entries: Vec::new(),
            omitted: 0,
            fence: 0,
        });
        Self { doubts, ..nothing }
    }

    /// Whether all that there is to know was told.
    pub(crate) const fn is_complete(&self) -> bool {
        self.omitted == 0 && self.doubts.is_empty()
    }

    /// Whether somebody has it, or may have it.
    pub(crate) const fn is_held(&self) -> bool {
        !self.holders.is_empty()
    }

    /// Whether nobody has it, and nobody is about to. Where something is not known, it is not free.
    pub(crate) const fn is_free(&self) -> bool {
        self.holders.is_empty() && self.waits.is_empty() && self.is_complete()
    }

    /// Whether a request waits of which nothing says why.
    pub(crate) fn is_puzzled(&self) -> bool {
        let is_bare = |wait: &Wait| wait.behind.is_empty() && wait.holders.is_empty();
        self.waits.iter().any(is_bare)
    }

    /// From a request over those that it waits behind, each time the nearest, to one that waits for holders.
    pub(crate) fn chain(&self, from: usize) -> Vec<usize> {
        let mut chain = vec![from];
        let mut last = from;
        // Each is older than the one before, so it ends.
        while let Some(&next) = self.waits[last].behind.first() {
            chain.push(next);
            last = next;
        }
        chain
    }

    /// All holders that a request waits for, be it for others' sake.
    pub(crate) fn holders_before(&self, wait: usize) -> Vec<usize> {
        let mut seen = vec![false; self.waits.len()];
        let mut left = vec![wait];
        let mut found = Vec::new();
        while let Some(index) = left.pop() {
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            left.extend(&self.waits[index].behind);
            found.extend(&self.waits[index].holders);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn of_kind(view: &ResourceView, kind: EntryKind) -> impl Iterator<Item = &Entry> {
    view.entries.iter().filter(move |entry| entry.kind == kind)
}

/// Whether the node of an entry is that debtor, or below it.
fn is_below(entry: &Entry, debtor: &str) -> bool {
    let first = entry.via.split(" > ").next().unwrap_or_default();
    entry.node == debtor || first == debtor
}

/// Whether others tell what a debtor's credit is used for. Where it was asked for credit, and of those below it that only
/// cache it none has been, it is itself in the way.
fn is_told_of(view: &ResourceView, cache: &Entry) -> bool {
    let tells = |kind| of_kind(view, kind).any(|entry| is_below(entry, &cache.node));
    let is_in_the_way = |entry: &Entry| !entry.wanted_by.is_empty() || entry.lease_left.is_some();
    let is_relay = |entry: &Entry| {
        let is_below = entry.node != cache.node && is_below(entry, &cache.node);
        is_below && (!is_in_the_way(cache) || is_in_the_way(entry))
    };
    tells(EntryKind::Holds)
        || tells(EntryKind::Silent)
        || of_kind(view, EntryKind::Caches).any(is_relay)
}

/// What the debtor was asked for that a holder is at or below: the holder's own node may be of an older version, or has
/// not heard yet.
fn asked_through<'a>(view: &'a ResourceView, holder: &Entry) -> &'a [Order] {
    let mut debtors = of_kind(view, EntryKind::Caches);
    let debtor = debtors.find(|cache| is_below(holder, &cache.node));
    debtor.map_or(&[], |cache| &cache.wanted_by)
}

#[cfg(test)]
pub(super) mod tests {
    use rm_core::id::{NodeId, Party, Stamp};

    use super::*;

    pub(crate) fn order(number: u64) -> Order {
        Order {
            class: Class::New,
            stamp: Stamp(number),
            party: Party::default(),
            seq: number,
        }
    }

    pub(crate) fn entry(kind: EntryKind, node: &str, mode: &str, seconds: u64) -> Entry {
        Entry {
            age: Duration::from_secs(seconds),
            ..Entry::new(kind, node.into(), NodeId(0), mode.into())
        }
    }

    pub(crate) fn view(name: &str, entries: Vec<Entry>) -> ResourceView {
        ResourceView {
            type_id: TypeId(1),
            type_name: "rw-lock".into(),
            key: ResourceKey::new(name.as_bytes()).expect("a name"),
            entries,
            omitted: 0,
            fence: 7,
        }
    }

    /// `report` waits behind `resize job 7`, which waits for `nightly`.
    pub(crate) fn night() -> ResourceView {
        let holder = Entry {
            label: "nightly".into(),
            fence: Some(7),
            wanted_by: vec![order(1)],
            ..entry(EntryKind::Holds, "n2", "read", 240)
        };
        let writer = Entry {
            label: "resize job 7".into(),
            order: Some(order(1)),
            ..entry(EntryKind::Waits, "web-1", "write", 12)
        };
        let reader = Entry {
            label: "report".into(),
            order: Some(order(2)),
            behind: vec![order(1)],
            ..entry(EntryKind::Waits, "web-2", "read", 3)
        };
        let cache = Entry {
            wanted_by: vec![order(1)],
            ..entry(EntryKind::Caches, "n2", "1", 0)
        };
        view("volumes/42", vec![holder, cache, reader, writer])
    }

    #[test]
    fn the_chain_leads_from_the_youngest_over_the_barrier_to_the_holder() {
        let graph = Graph::new(night());
        assert_eq!(graph.chain(1), [1, 0]);
        assert_eq!(graph.holders_before(1), [0]);
        assert_eq!(graph.waits[0].holders, [0]);
        assert_eq!(graph.holders.len(), 1, "its debtor is the holder itself");
        assert_eq!(graph.holders[0].asked, Some(Duration::from_secs(12)));
        assert!(!graph.is_puzzled());
    }

    #[test]
    fn what_somebody_left_out_or_nobody_could_tell_is_not_free() {
        let free = || Graph::new(view("x", Vec::new()));
        assert!(free().is_free());
        let mut left_out = free();
        left_out.omitted = 1;
        assert!(!left_out.is_free());
        assert!(!Graph::untold(&free().key, vec!["b is down".into()]).is_free());
    }

    #[test]
    fn who_only_has_it_cached_is_in_the_way_if_it_was_asked() {
        let mut asked = entry(EntryKind::Caches, "a", "1", 0);
        asked.wanted_by = vec![order(1)];
        let mut waits = entry(EntryKind::Waits, "c", "write", 1);
        waits.order = Some(order(1));
        let idle = entry(EntryKind::Caches, "b", "1", 0);
        let graph = Graph::new(view("x", vec![asked, idle, waits]));
        assert_eq!((graph.holders.len(), graph.caches), (1, 1));
        assert_eq!(graph.holders[0].has, Has::Cached);
    }

    #[test]
    fn a_holder_that_says_nothing_of_it_is_in_the_way_of_those_for_whom_its_debtor_was_asked() {
        let mut cache = entry(EntryKind::Caches, "rack", "1", 0);
        cache.wanted_by = vec![order(1)];
        let mut holds = entry(EntryKind::Holds, "low", "write", 9);
        holds.via = "rack > agent".into();
        let mut waits = entry(EntryKind::Waits, "c", "write", 1);
        waits.order = Some(order(1));
        let graph = Graph::new(view("x", vec![cache, holds, waits]));
        assert_eq!(graph.waits[0].holders, [0]);
        assert_eq!(graph.holders[0].node, "low");
    }

    #[test]
    fn a_relay_is_in_the_way_until_somebody_below_it_was_asked_too() {
        let told = |asked: Vec<Order>| {
            let mut relay = entry(EntryKind::Caches, "rack", "1", 0);
            relay.wanted_by = vec![order(1)];
            let mut below = entry(EntryKind::Caches, "low", "1", 0);
            below.via = "rack".into();
            below.wanted_by = asked;
            let mut waits = entry(EntryKind::Waits, "c", "write", 1);
            waits.order = Some(order(1));
            let graph = Graph::new(view("x", vec![relay, below, waits]));
            let nodes = graph.holders.iter().map(|holder| holder.node.clone());
            nodes.collect::<Vec<_>>()
        };
        assert_eq!(told(Vec::new()), ["rack"]);
        assert_eq!(told(vec![order(1)]), ["low"]);
    }

    #[test]
    fn a_node_that_says_that_two_wait_behind_each_other_is_not_believed() {
        let wait = |number, behind| Entry {
            order: Some(order(number)),
            behind: vec![order(behind)],
            ..entry(EntryKind::Waits, "n", "write", 1)
        };
        let graph = Graph::new(view("x", vec![wait(1, 2), wait(2, 1)]));
        assert_eq!(graph.chain(1), [1, 0]);
    }
}
