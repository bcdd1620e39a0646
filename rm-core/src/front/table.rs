//! The resources of one type, in shards by name.
//!
//! A resource comes to be when it is first named here or first asked for by a peer, and vanishes when nobody
//! uses it and nothing of its credit is out. What must not be forgotten with a root's resource, its fencing number
//! and loan counter, is kept as the highest of all that vanished from the shard.

use core::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use super::domain::{AnyTable, Link, Role, Shared, Totals, UNKNOWN};
use super::resource::Resource;
use crate::credit::Credit;
use crate::error::{LostReason, PeerMisbehaved};
use crate::id::{LoanId, PeerId, ResourceKey};
use crate::message::Message;
use crate::owner::Owner;
use crate::resource::ResourceType;
use crate::session::packet::Item;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Few enough to walk, many enough that two threads seldom meet.
const SHARDS: usize = if cfg!(rm_loom) { 1 } else { 64 };

/// The most resources whose credit one sweep sends home: all the returns at once would not fit into the session's
/// window, which would end the session.
const SENT_HOME_MAX: u64 = 1 << 14;

/// The most bytes of values that are sent home at once, and what each counts beside its own: more might not fit into
/// the session's window either.
const VALUES_HOME_BYTES_MAX: usize = 16 << 20;
const VALUE_HOME_WEIGHT: usize = 256;

pub(super) struct Table<T: ResourceType> {
    resource_type: T,
    shared: Arc<Shared>,
    /// Apart in memory, so that two threads in two shards do not meet in one cache line.
    shards: Vec<CachePadded<Mutex<Shard<T>>>>,
    /// How many resources there are: the limit needs no exact number.
    count: AtomicU64,
}

struct Shard<T: ResourceType> {
    resources: BTreeMap<ResourceKey, Arc<Resource<T>>>,
    /// The highest fencing number of a root's resource that vanished.
    fence: u64,
    /// The highest loan of a root's resource that vanished.
    loan: LoanId,
    /// A value that is not known here may have been written and lost: by a debtor of a root's resource that vanished,
    /// or in a former life. Which one is not kept, so the values of all new resources of the shard are doubtful.
    is_doubtful: bool,
    /// What resources that vanished had counted.
    totals: Totals,
}

impl<T: ResourceType> Table<T> {
    pub(super) fn new(resource_type: T, shared: Arc<Shared>) -> Self {
        let shard = || Shard {
            resources: BTreeMap::new(),
            fence: 0,
            loan: LoanId::default(),
            is_doubtful: false,
            totals: Totals::default(),
        };
        let shards = (0..SHARDS)
            .map(|_| CachePadded::new(Mutex::new(shard())))
            .collect();
        Self {
            resource_type,
            shared,
            shards,
            count: AtomicU64::new(0),
        }
    }

    /// The resource `key`; `None` where there are too many.
    pub(super) fn resource(&self, key: &ResourceKey) -> Option<Arc<Resource<T>>> {
        let mut shard = self.shard(key).lock();
        if let Some(resource) = shard.resources.get(key) {
            return Some(Arc::clone(resource));
        }
        // Relaxed: a limit that is passed by a few does no harm.
        if self.count.load(Ordering::Relaxed) >= self.shared.resources_max as u64 {
            return None;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let owner = self.new_owner(key, &shard);
        let resource = Resource::new(key.clone(), Arc::clone(&self.shared), owner);
        // Under the shard's lock: whoever changes the link changes it first, and then visits all shards.
        if let Some(link) = self.shared.link() {
            resource.on_creditor_up(&link);
        }
        if self.shared.is_shut() {
            resource.shut_down();
        }
        shard.resources.insert(key.clone(), Arc::clone(&resource));
        Some(resource)
    }

    fn new_owner(&self, key: &ResourceKey, shard: &Shard<T>) -> Owner<T> {
        let settings = Arc::clone(&self.shared.owner_settings);
        let capital = self.resource_type.capital(key);
        let of_type = self.shared.policies.get(&T::ID).copied();
        let policy = of_type
            .or_else(|| self.resource_type.policy(key))
            .unwrap_or(settings.policy);
        let owner = match self.shared.role() {
            // Its numbers went home with its last credit, and come again with the next.
            Role::Debtor => Owner::debtor(settings, capital, 0, LoanId::default()),
            Role::Root { epoch, grace } => {
                let mut owner = Owner::root(settings, capital, epoch, shard.fence, shard.loan);
                if shard.is_doubtful {
                    owner.doubt_value();
                }
                if grace {
                    owner.lend_all_to_unknown(UNKNOWN);
                }
                owner
            }
        };
        owner.with_policy(policy)
    }

    pub(super) fn find(&self, key: &ResourceKey) -> Option<Arc<Resource<T>>> {
        self.shard(key).lock().resources.get(key).cloned()
    }

    /// Visits all resources, none of them under a shard's lock.
    pub(super) fn each(&self, mut f: impl FnMut(&Arc<Resource<T>>)) {
        for shard in &self.shards {
            let resources: Vec<_> = shard.lock().resources.values().cloned().collect();
            resources.iter().for_each(&mut f);
        }
    }

    fn shard(&self, key: &ResourceKey) -> &Mutex<Shard<T>> {
        let hash = xxhash_rust::xxh3::xxh3_64(key.as_bytes());
        &self.shards[(hash % SHARDS as u64) as usize]
    }

    /// Only these make a resource: a want at the root, a grant (which must not get lost) at a debtor. Anything
    /// else about a resource that is not here is late, and says nothing.
    fn makes_a_resource(&self, item: &Item) -> bool {
        match self.shared.role() {
            Role::Root { .. } => matches!(item.message, Message::Want(_)),
            Role::Debtor => matches!(item.message, Message::Grant(_)),
        }
    }
}

impl<T: ResourceType> AnyTable for Table<T> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn deliver(&self, from: PeerId, item: Item) -> Result<(), PeerMisbehaved> {
        let resource = match self.find(&item.key) {
            Some(resource) => resource,
            None if self.makes_a_resource(&item) => match self.resource(&item.key) {
                Some(resource) => resource,
                None => {
                    self.shared.turn_away(from, item);
                    return Ok(());
                }
            },
            None => return Ok(()),
        };
        resource.on_message(from, item.message)
    }

    fn on_creditor_up(&self, link: &Link) {
        self.each(|resource| resource.on_creditor_up(link));
    }

    fn on_creditor_down(&self, peer: PeerId, why: LostReason) {
        self.each(|resource| resource.on_creditor_down(peer, why));
    }

    fn on_debtor_down(&self, peer: PeerId) {
        self.each(|resource| resource.on_debtor_down(peer));
    }

    fn on_debtor_heard(&self, peer: PeerId) {
        self.each(|resource| resource.on_debtor_heard(peer));
    }

    fn on_debtor_silent(&self, peer: PeerId) {
        self.each(|resource| resource.on_debtor_silent(peer));
    }

    fn shut_down(&self) {
        self.each(|resource| resource.shut_down());
    }

    fn on_epoch(&self, epoch: u32) {
        self.each(|resource| resource.on_epoch(epoch));
    }

    fn doubt_values(&self) {
        for shard in &self.shards {
            shard.lock().is_doubtful = true;
        }
    }

    fn return_values(&self) {
        let mut room = VALUES_HOME_BYTES_MAX;
        self.each(|resource| {
            let weight = resource
                .unreturned_bytes()
                .map(|bytes| bytes + VALUE_HOME_WEIGHT);
            if let Some(left) = weight.and_then(|weight| room.checked_sub(weight)) {
                room = left;
                resource.return_spare();
            }
        });
    }

    fn needs_epoch(&self) -> bool {
        let mut needs = false;
        self.each(|resource| needs |= resource.with_owner(Owner::needs_epoch));
        needs
    }

    fn sweep(&self) {
        let count = self.count.load(Ordering::Relaxed);
        let mut excess = count
            .saturating_sub(self.shared.cached_max as u64)
            .min(SENT_HOME_MAX);
        if excess > 0 && self.shared.role() == Role::Debtor {
            // A second chance for what was used since the last sweep.
            self.each(|resource| {
                let has_spare = || resource.with_owner(|owner| !owner.cached().is_empty());
                if excess > 0 && !resource.was_used() && has_spare() {
                    resource.return_spare();
                    excess -= 1;
                }
            });
        }
        for shard in &self.shards {
            let mut shard = shard.lock();
            let Shard {
                resources,
                fence,
                loan,
                is_doubtful,
                totals,
            } = &mut *shard;
            let before = resources.len();
            resources.retain(|_, resource| {
                // Nobody else can get at it: the one reference is the table's, whose lock we have.
                if Arc::strong_count(resource) > 1 || !resource.is_idle() {
                    return true;
                }
                resource.with_owner(|owner| {
                    if owner.is_root() {
                        *fence = owner.fence().now().max(*fence);
                        *loan = owner.last_loan().max(*loan);
                        *is_doubtful |= owner.value().is_some_and(|value| value.is_doubtful());
                    }
                });
                let mut counted = resource.totals();
                counted.resources = 0;
                totals.add(&counted);
                false
            });
            let vanished = (before - resources.len()) as u64;
            self.count.fetch_sub(vanished, Ordering::Relaxed);
        }
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            totals.add(&shard.lock().totals);
        }
        self.each(|resource| totals.add(&resource.totals()));
        totals
    }
}
