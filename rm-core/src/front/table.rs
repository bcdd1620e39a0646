//! The resources of one type, in shards by name.
//!
//! A resource comes to be when it is first named here or first asked for by a peer, and vanishes when nobody
//! uses it and nothing of its credit is out. What must not be forgotten with it, a root's fencing number and the
//! names of loans, is kept as the highest of all that vanished from the shard.
//!
//! A resource that is not used for a while rests ([`shard`](super::shard)). Whoever names it, and every message about it,
//! wakes it first. What happens to all resources at once (a session ends, an epoch begins) reaches the live ones as an
//! input, and those at rest in one of two ways: they are woken for it, where a loan of theirs is concerned; or they find
//! out when they wake, which compares the session that they borrowed over with the present one.

use core::any::Any;
use core::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use super::quota::Quota;
use super::resource::Resource;
use super::routes::{Adoption, Link};
use super::settings::{Role, UNKNOWN};
use super::shard::{Numbers, Place, Shard, hash_of};
use super::shared::{AnyTable, Shared};
use super::totals::Totals;
use super::windup::{Course, WindUpReport};
use crate::cluster::Stance;
use crate::effect::Effects;
use crate::error::{LostReason, PeerMisbehaved};
use crate::id::{LoanId, Order, PeerId, ResourceKey};
use crate::message::Message;
use crate::owner::{Owner, WaitingView};
use crate::policy::Policy;
use crate::resource::ResourceType;
use crate::session::packet::Item;
use crate::sync::{AtomicU64, IS_MODELLED, Mutex, Ordering};

/// Few enough to walk, many enough that two threads seldom meet.
const SHARDS: usize = if IS_MODELLED { 1 } else { 64 };

/// The most bytes of values that are sent home at once, and what each counts beside its own: more might not fit into
/// the session's window either.
const VALUES_HOME_BYTES_MAX: usize = 16 << 20;
const VALUE_HOME_WEIGHT: usize = 256;

pub(super) struct Table<T: ResourceType> {
    resource_type: T,
    pub(super) shared: Arc<Shared>,
    /// Apart in memory, so that two threads in two shards do not meet in one cache line.
    pub(super) shards: Vec<CachePadded<Mutex<Shard<T>>>>,
    /// How many resources there are: the limits need no exact number.
    pub(super) count: AtomicU64,
    /// How many of them are not at rest.
    pub(super) live: AtomicU64,
    /// How many were made for each debtor.
    quotas: Mutex<BTreeMap<PeerId, Quota>>,
}

/// Why there is no resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absent {
    /// There are too many.
    Crowded,
    /// What is said of it makes none.
    Unwelcome,
}

impl<T: ResourceType> Table<T> {
    pub(super) fn new(resource_type: T, shared: Arc<Shared>) -> Self {
        let shards = (0..SHARDS).map(|_| CachePadded::new(Mutex::default()));
        Self {
            resource_type,
            shared,
            shards: shards.collect(),
            count: AtomicU64::new(0),
            live: AtomicU64::new(0),
            quotas: Mutex::new(BTreeMap::new()),
        }
    }

    /// The resource `key`; `None` where there are too many.
    pub(super) fn resource(&self, key: &ResourceKey) -> Option<Arc<Resource<T>>> {
        let most = self.shared.resources_max as u64;
        self.resource_within(key, most, || true).ok()
    }

    /// The same, however many there are: of what is lent something must be known.
    pub(super) fn resource_at_any_rate(&self, key: &ResourceKey) -> Option<Arc<Resource<T>>> {
        self.resource_within(key, u64::MAX, || true).ok()
    }

    /// The resource `key`. It is made if it is not here, `may_be_made`, and there are no more than `most`.
    fn resource_within(
        &self,
        key: &ResourceKey,
        most: u64,
        may_be_made: impl FnOnce() -> bool,
    ) -> Result<Arc<Resource<T>>, Absent> {
        let shard = self.shard(key);
        let resource = {
            let mut shard = shard.lock();
            let seen = shard.seen;
            if let Some(place) = shard.find(key) {
                return Ok(self.wake(place, seen));
            }
            if !may_be_made() {
                return Err(Absent::Unwelcome);
            }
            // Relaxed: a limit that is passed by a few does no harm.
            if self.count.load(Ordering::Relaxed) >= most {
                return Err(Absent::Crowded);
            }
            self.count.fetch_add(1, Ordering::Relaxed);
            self.live.fetch_add(1, Ordering::Relaxed);
            let resource = self.fresh(key, shard.numbers);
            shard.insert(Place::Live(Arc::clone(&resource)));
            resource
        };
        self.on_insert(shard);
        Ok(resource)
    }

    /// A resource that nothing is known of but the numbers of those that vanished. The caller holds the shard's lock.
    fn fresh(&self, key: &ResourceKey, numbers: Numbers) -> Arc<Resource<T>> {
        let owner = self.new_owner(key, numbers);
        let resource = Resource::new(key.clone(), Arc::clone(&self.shared), owner);
        // Under the shard's lock: whoever changes the routes changes them first, and then visits all shards.
        resource.on_new();
        if self.shared.is_shut() {
            resource.shut_down();
        }
        if let Some(order) = self.shared.wind_ups.of(T::ID) {
            resource.wind_up(order, None);
        }
        resource
    }

    pub(super) fn capital(&self, key: &ResourceKey) -> T::Credit {
        self.resource_type.capital(key)
    }

    fn new_owner(&self, key: &ResourceKey, numbers: Numbers) -> Owner<T> {
        let settings = Arc::clone(&self.shared.owner_settings);
        let capital = self.resource_type.capital(key);
        if let (Role::Root { epoch, .. }, Some(tenure)) = (self.shared.role(), self.shared.tenure())
        {
            let owner = Owner::gathering(settings, capital, epoch, numbers.fence, numbers.loan);
            let mut owner = owner.with_policy(self.policy(key));
            let now = self.shared.host.now();
            if let Stance::Active(absent) = tenure.stance(now, T::ID, key) {
                let opening = self.opening_without_book(key, absent);
                // Nobody has asked for anything yet, so nothing is to be said.
                owner.activate(now, epoch, opening, &mut Effects::new());
                if numbers.is_doubtful {
                    owner.doubt_value();
                }
            }
            return owner;
        }
        let owner = match self.shared.role() {
            // Its fencing number went home with its last credit, and comes again with the next.
            Role::Debtor => {
                let mut owner = Owner::debtor(settings, capital, 0, LoanId::default());
                owner.lend_above(numbers.loan);
                owner
            }
            Role::Root { epoch, grace } => {
                let Numbers {
                    fence,
                    loan,
                    is_doubtful,
                } = numbers;
                let mut owner = Owner::root(settings, capital, epoch, fence, loan);
                if is_doubtful {
                    owner.doubt_value();
                }
                if grace {
                    owner.lend_all_to_unknown(UNKNOWN);
                }
                owner
            }
        };
        owner.with_policy(self.policy(key))
    }

    fn policy(&self, key: &ResourceKey) -> Policy {
        let of_type = self.shared.policies.get(&T::ID).copied();
        of_type
            .or_else(|| self.resource_type.policy(key))
            .unwrap_or(self.shared.owner_settings.policy)
    }

    /// The resource in a place of a shard whose lock the caller holds.
    ///
    /// `seen` is the view by which those of that shard go that rest.
    pub(super) fn wake(&self, place: &mut Place<T>, seen: u32) -> Arc<Resource<T>> {
        let resting = match place {
            Place::Live(resource) => return Arc::clone(resource),
            Place::Resting(resting) => resting,
        };
        let creditor = resting.rest.creditor();
        let link = creditor.and_then(|peer| self.shared.routes().find_peer(peer).cloned());
        let resource = if creditor.is_some() && link.is_none() {
            // The session is over, and what was borrowed is lost.
            self.fresh(&resting.key, Numbers::of_resting(&resting.rest))
        } else {
            let settings = Arc::clone(&self.shared.owner_settings);
            let capital = self.resource_type.capital(&resting.key);
            let epoch = self.shared.epoch();
            let owner = Owner::wake(settings, capital, epoch, &resting.rest);
            let owner = owner.with_policy(self.policy(&resting.key));
            let resource = Resource::new(resting.key.clone(), Arc::clone(&self.shared), owner);
            resource.go_on(link, resting.age, seen);
            if self.shared.is_shut() {
                resource.shut_down();
            }
            resource
        };
        self.live.fetch_add(1, Ordering::Relaxed);
        *place = Place::Live(Arc::clone(&resource));
        resource
    }

    pub(super) fn find(&self, key: &ResourceKey) -> Option<Arc<Resource<T>>> {
        let mut shard = self.shard(key).lock();
        let seen = shard.seen;
        shard.find(key).map(|place| self.wake(place, seen))
    }

    /// Visits all live resources, none of them under a shard's lock.
    pub(super) fn each_live(&self, mut f: impl FnMut(&Arc<Resource<T>>)) {
        for shard in &self.shards {
            let live = shard.lock().live();
            live.iter().for_each(&mut f);
        }
    }

    /// The same without those that sleep: nothing is held of them, and no value is known there.
    pub(super) fn each_awake(&self, mut f: impl FnMut(&Arc<Resource<T>>)) {
        self.each_live(|resource| {
            if resource.asleep().is_none() {
                f(resource);
            }
        });
    }

    /// Visits all resources: those at rest under their shard's lock, the live ones not.
    pub(super) fn each(&self, mut f: impl FnMut(&Place<T>)) {
        for shard in &self.shards {
            let live = {
                let shard = shard.lock();
                shard.resting().for_each(&mut f);
                shard.live()
            };
            live.into_iter()
                .map(Place::Live)
                .for_each(|place| f(&place));
        }
    }

    /// Visits all resources that know `peer` as a debtor, none of them under a shard's lock. The others stay as they are: they
    /// go on sleeping, and the reclaimer takes it for no use of them.
    fn each_that_may_lend_to(&self, peer: PeerId, f: impl Fn(&Arc<Resource<T>>)) {
        for shard in &self.shards {
            let (live, woken) = {
                let mut shard = shard.lock();
                let (live, seen) = (shard.live(), shard.seen);
                let concerned = shard.iter_mut().filter(
                    |place| matches!(place, Place::Resting(resting) if resting.rest.lends_to(peer)),
                );
                let woken: Vec<_> = concerned.map(|place| self.wake(place, seen)).collect();
                (live, woken)
            };
            let concerned = live
                .iter()
                .filter(|resource| resource.is_concerned_with(peer));
            concerned.chain(&woken).for_each(&f);
            self.put_away(shard, woken);
        }
    }

    /// Wakes all resources of one shard, and visits them, not under its lock.
    fn each_of(&self, shard: usize, f: impl FnMut(&Arc<Resource<T>>)) {
        let all: Vec<_> = {
            let mut shard = self.shards[shard].lock();
            let seen = shard.seen;
            let all = shard.iter_mut().map(|place| self.wake(place, seen));
            all.collect()
        };
        all.iter().for_each(f);
    }

    fn shard(&self, key: &ResourceKey) -> &Mutex<Shard<T>> {
        // Bits that place nothing within a shard.
        &self.shards[((hash_of(key) >> 32) % SHARDS as u64) as usize]
    }

    /// The resource that a message is about. Some make it, if there are not too many, nor too many of that debtor.
    fn found_or_made(&self, from: PeerId, item: &Item) -> Result<Arc<Resource<T>>, Absent> {
        let is_debtors = matches!(item.message, Message::Want(_) | Message::Claim(_));
        let own = self.shared.debtor_resources_max as u64;
        // Under a shard's lock: so nothing is counted anew there.
        let take = || self.quotas.lock().entry(from).or_default().take(own);
        let most = self.shared.resources_max as u64;
        let find = |is_full: &Cell<bool>| {
            self.resource_within(&item.key, most, || {
                let is_welcome = self.makes_a_resource(item);
                is_full.set(is_welcome && is_debtors && !take());
                is_welcome && !is_full.get()
            })
        };
        let is_full = Cell::new(false);
        let found = find(&is_full);
        if !is_full.get() {
            return found;
        }
        let now = self.shared.host.now();
        if !self.quotas.lock().entry(from).or_default().is_due(now) {
            return Err(Absent::Crowded);
        }
        let count = self.resources_of(from);
        let mut quotas = self.quotas.lock();
        quotas.entry(from).or_default().recount(now, count);
        drop(quotas);
        is_full.set(false);
        let found = find(&is_full);
        if is_full.get() {
            Err(Absent::Crowded)
        } else {
            found
        }
    }

    /// In how many resources a debtor has anything.
    fn resources_of(&self, debtor: PeerId) -> u64 {
        let mut count = 0;
        self.each(|place| {
            count += u64::from(match place {
                Place::Live(resource) => resource.is_concerned_with(debtor),
                Place::Resting(resting) => resting.rest.lends_to(debtor),
            });
        });
        count
    }

    /// Whether this node lends it, as far as it knows: a member's lender only what the view gives it. What is said of the
    /// others went astray between two views, and is said again to whom it concerns.
    fn is_mine(&self, key: &ResourceKey) -> bool {
        let tenure = self.shared.tenure();
        tenure.is_none_or(|tenure| tenure.is_mine(T::ID, key))
    }

    /// Only these make a resource: a want or a claim of a debtor, and a grant of the creditor, which must not get lost. Anything
    /// else about a resource that is not here is late, and says nothing.
    fn makes_a_resource(&self, item: &Item) -> bool {
        match item.message {
            Message::Want(_) => self.is_mine(&item.key),
            Message::Claim(_) => self.is_mine(&item.key),
            Message::Grant(_) => self.shared.role() == Role::Debtor,
            _ => false,
        }
    }
}

impl<T: ResourceType> AnyTable for Table<T> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn deliver(&self, from: PeerId, item: Item) -> Result<(), PeerMisbehaved> {
        let asks = matches!(item.message, Message::Want(_) | Message::Claim(_));
        let generation = asks.then(|| self.shared.host.rules_generation());
        let may_have = match self.allowed(from, &item)? {
            Ok(may_have) => may_have,
            Err(why) => {
                self.shared.forbid(from, item, &why);
                return Ok(());
            }
        };
        match self.found_or_made(from, &item) {
            Ok(resource) => {
                resource.on_message(from, item.message, (may_have, item.let_go))?;
                if generation.is_some_and(|was| was != self.shared.host.rules_generation()) {
                    // It was checked by former rules, and may have come in after `enforce` had been here.
                    resource.enforce();
                }
            }
            Err(Absent::Crowded) => drop(self.shared.turn_away(from, item)),
            Err(Absent::Unwelcome) => {}
        }
        Ok(())
    }

    fn on_creditor_up(&self, link: &Arc<Link>) {
        self.each_live(|resource| resource.on_creditor_up(link));
    }

    fn holds_over(&self, peer: PeerId) -> u64 {
        let mut holds = 0;
        // Nothing is held of one at rest.
        self.each_awake(|resource| holds += resource.holds_over(peer));
        holds
    }

    fn adopt(&self, adoption: &Adoption) {
        for shard in &self.shards {
            let live = {
                let mut shard = shard.lock();
                let seen = core::mem::replace(&mut shard.seen, adoption.view.epoch());
                let moved = |place: &Place<T>| {
                    let Place::Resting(resting) = place else {
                        return false;
                    };
                    let former = resting.rest.creditor();
                    let routes = self.shared.routes();
                    let former = former.and_then(|peer| routes.find_peer(peer));
                    let root = adoption.view.root_id(T::ID, place.key());
                    former.is_some_and(|link| !adoption.is_next || Some(link.root) != root)
                };
                for place in shard.iter_mut() {
                    if moved(place) {
                        self.wake(place, seen);
                    }
                }
                shard.live()
            };
            live.iter().for_each(|resource| resource.adopt(adoption));
        }
    }

    fn on_creditor_down(&self, peer: PeerId, why: LostReason) {
        for shard in &self.shards {
            let (live, lost) = {
                let mut shard = shard.lock();
                // Nothing was held of it, so nobody needs to be told.
                let lost = shard.take_resting(|resting| resting.rest.creditor() == Some(peer));
                let lost: Vec<_> = lost.into_iter().map(Place::Resting).collect();
                for place in &lost {
                    self.on_gone(&mut shard, place);
                }
                (shard.live(), lost)
            };
            drop(lost);
            live.iter()
                .for_each(|resource| resource.on_creditor_down(peer, why));
        }
    }

    fn on_creditor_replaced(&self) {
        self.each_live(|resource| resource.on_creditor_replaced());
    }

    fn on_debtor_down(&self, peer: PeerId) {
        self.quotas.lock().remove(&peer);
        self.each_that_may_lend_to(peer, |resource| resource.on_debtor_down(peer));
    }

    fn on_debtor_heard(&self, peer: PeerId) {
        self.each_that_may_lend_to(peer, |resource| resource.on_debtor_heard(peer));
    }

    fn on_debtor_silent(&self, peer: PeerId) {
        self.each_that_may_lend_to(peer, |resource| resource.on_debtor_silent(peer));
    }

    fn shut_down(&self) {
        self.each_live(|resource| resource.shut_down());
    }

    fn shards(&self) -> usize {
        SHARDS
    }

    fn wind_up(&self, shard: usize, order: Order, course: &Arc<Course>) -> usize {
        let mut busy = 0;
        self.each_of(shard, |resource| {
            busy += usize::from(resource.wind_up(order, Some(course)));
        });
        busy
    }

    fn wind_up_one(&self, key: &ResourceKey, order: Order, course: &Arc<Course>) {
        if let Some(resource) = self.find(key) {
            resource.wind_up(order, Some(course));
        }
    }

    fn list_in_the_way(&self, key: Option<&ResourceKey>, report: &mut WindUpReport) {
        let mut add = |resource: &Arc<Resource<T>>| {
            resource.with_owner(|owner| report.add(resource, owner));
        };
        match key {
            Some(key) => self.find(key).iter().for_each(add),
            // Nothing rests that was told to wind up.
            None => self.each_live(&mut add),
        }
    }

    fn count_wants(&self, of: Option<PeerId>) -> u64 {
        let mut wants = 0;
        let is_meant = |waiting: &WaitingView<'_, T::Level>| {
            let is_its = |debtor| of.is_none_or(|of| of == debtor);
            waiting.debtor.is_some_and(is_its)
        };
        // Nothing waits for one that sleeps.
        self.each_awake(|resource| {
            wants += resource.with_owner(|owner| owner.waiting().filter(is_meant).count() as u64);
        });
        wants
    }

    fn on_epoch(&self, epoch: u32) {
        self.each_live(|resource| resource.on_epoch(epoch));
    }

    fn doubt_values(&self) {
        for shard in &self.shards {
            shard.lock().numbers.is_doubtful = true;
        }
    }

    fn return_values(&self) {
        let mut room = VALUES_HOME_BYTES_MAX;
        // A debtor that knows a value does not rest.
        self.each_awake(|resource| {
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
        // One at rest needs none.
        self.each_awake(|resource| needs |= resource.with_owner(Owner::needs_epoch));
        needs
    }

    fn sweep(&self) {
        self.reclaim_all();
    }

    fn type_name(&self) -> &'static str {
        T::NAME
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            // All of it under the shard's lock: who falls asleep or rests meanwhile would be counted neither here nor there.
            let shard = shard.lock();
            totals.add(&shard.totals);
            shard.places().for_each(|place| totals.add(&place.totals()));
        }
        totals
    }
}
