//! One node's resources of all registered types.

use core::fmt;
use core::ops::Deref;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::acquire::AcquireError;
use super::heat::Heat;
use super::host::Host;
use super::inspect::{PeerNames, Visible};
use super::reclaim::Budget;
use super::release::Reasons;
use super::resource::Resource;
use super::routes::Routes;
use super::settings::{DomainSettings, Role, UNKNOWN};
use super::shared::{AnyTable, Shared};
use super::table::Table;
use super::timers::Timers;
use super::totals::{Tally, Totals};
use super::trust::{Ended, Trust};
use super::windup::WindUps;
use crate::cluster::History;
use crate::error::{LostReason, PeerMisbehaved};
use crate::id::{PeerId, ResourceKey, Stamp, TypeId};
use crate::inspect::{Answer, Query, ResourceView};
use crate::message::Message;
use crate::resource::ResourceType;
use crate::session::packet::Item;
use crate::stamp::HybridClock;
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering};
use crate::time::Time;
use crate::view::{RootId, View};

/// One node's resources of all registered types. Cheap to clone.
///
/// It lives as long as a clone or a [`Handle`] of it does; then its host is told
/// ([`Host::on_domain_dropped`]).
#[derive(Clone)]
pub struct Domain {
    shared: Arc<Shared>,
    types: Arc<Types>,
}

/// A reference to a domain that does not keep it alive: for the node's own tasks.
#[derive(Clone)]
pub struct WeakDomain {
    shared: Weak<Shared>,
    types: Weak<Types>,
}

/// The tables, and the end of them.
struct Types {
    tables: BTreeMap<TypeId, Arc<dyn AnyTable>>,
    host: Arc<dyn Host>,
}

impl Drop for Types {
    fn drop(&mut self) {
        self.tables.values().for_each(|table| table.return_values());
        self.host.on_domain_dropped();
    }
}

impl WeakDomain {
    /// The domain, if anybody still uses it.
    #[must_use]
    pub fn upgrade(&self) -> Option<Domain> {
        Some(Domain {
            shared: self.shared.upgrade()?,
            types: self.types.upgrade()?,
        })
    }
}

/// A resource, and the domain that keeps it in touch with the world.
#[derive(Clone, Debug)]
pub struct Handle<T: ResourceType> {
    resource: Arc<Resource<T>>,
    domain: Domain,
}

impl<T: ResourceType> Handle<T> {
    /// The domain it belongs to.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }
}

impl<T: ResourceType> Deref for Handle<T> {
    type Target = Resource<T>;

    fn deref(&self) -> &Resource<T> {
        &self.resource
    }
}

impl Domain {
    /// A domain without types.
    #[must_use]
    pub fn new(settings: DomainSettings, role: Role, host: Arc<dyn Host>) -> Self {
        let types = Types {
            tables: BTreeMap::new(),
            host: Arc::clone(&host),
        };
        let shared = Shared {
            observer: host.observer(),
            host,
            name: settings.name,
            owner_settings: Arc::new(settings.owner),
            policies: settings.policies,
            timers: Timers::default(),
            priority_max: settings.priority_max,
            resources_max: settings.resources_max,
            debtor_resources_max: settings.debtor_resources_max,
            budget: Budget {
                idle_time: settings.idle_time,
                resources: settings.cached_max as u64,
                bytes: settings.cached_bytes_max as u64,
            },
            role: Mutex::new(role),
            routes: Mutex::new(Routes::default()),
            tenure: Mutex::new(None),
            good_until: AtomicU64::new(u64::MAX),
            has_suspended: AtomicBool::new(false),
            ended: Arc::new(Ended::new()),
            stamps: Mutex::new(HybridClock::default()),
            seq: AtomicU64::new(0),
            is_shut: AtomicBool::new(false),
            wind_ups: WindUps::default(),
            unknown: AtomicU64::new(0),
            tally: Tally::default(),
            heat: Heat::default(),
            reasons: Reasons::default(),
        };
        Self {
            shared: Arc::new(shared),
            types: Arc::new(types),
        }
    }

    /// The same with one more type.
    ///
    /// # Panics
    /// If another type has its number, or the domain is already shared: types are registered at the start.
    #[must_use]
    pub fn with_type<T: ResourceType>(mut self, resource_type: T) -> Self {
        let table = Arc::new(Table::new(resource_type, Arc::clone(&self.shared)));
        let types = Arc::get_mut(&mut self.types).expect("types are registered before use");
        let former = types.tables.insert(T::ID, table);
        assert!(former.is_none(), "type {} is registered twice", T::ID.0);
        self
    }

    /// A reference that does not keep it alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakDomain {
        WeakDomain {
            shared: Arc::downgrade(&self.shared),
            types: Arc::downgrade(&self.types),
        }
    }

    /// The resource `key` of a registered type.
    ///
    /// # Errors
    /// [`AcquireError::Refused`] where there are too many resources already.
    ///
    /// # Panics
    /// If the type was not registered.
    pub fn resource<T: ResourceType>(&self, key: &ResourceKey) -> Result<Handle<T>, AcquireError> {
        let table = self
            .types
            .tables
            .get(&T::ID)
            .and_then(|table| table.as_any().downcast_ref());
        let table: &Table<T> = table.expect("the type is registered");
        let resource = table.resource(key).ok_or(AcquireError::Refused)?;
        Ok(Handle {
            resource,
            domain: self.clone(),
        })
    }

    /// A message from a neighbour.
    ///
    /// Of a type that is not registered here nothing can be known: a want is refused, a grant goes back, and
    /// anything else is dropped and counted. Another node may well have more types, so it is no error.
    ///
    /// # Errors
    /// What the peer did wrong, where no correct peer does it. Nothing changed.
    pub fn deliver(&self, from: PeerId, item: Item) -> Result<(), PeerMisbehaved> {
        if let Message::Revoke { reason, .. } = &item.message {
            let (type_id, key) = (item.type_id, &item.key);
            self.shared.reasons.note(type_id, key, reason);
        }
        match self.types.tables.get(&item.type_id) {
            Some(table) => table.deliver(from, item),
            None => {
                if !self.shared.turn_away(from, item) {
                    // Relaxed: a count for people.
                    self.shared.unknown.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }
        }
    }

    /// Refuses what a debtor wants or claims without another look at it: it is over a limit.
    pub fn refuse(&self, debtor: PeerId, item: Item) {
        self.shared.turn_away(debtor, item);
    }

    /// How many wants of a debtor wait here. It looks at every resource.
    #[must_use]
    pub fn wants_of(&self, debtor: PeerId) -> u64 {
        self.count_wants(Some(debtor))
    }

    /// How many wants of all debtors wait here. It looks at every resource.
    #[must_use]
    pub fn wants(&self) -> u64 {
        self.count_wants(None)
    }

    fn count_wants(&self, of: Option<PeerId>) -> u64 {
        let mut wants = 0;
        self.each(|table| wants += table.count_wants(of));
        wants
    }

    /// There is a session with the creditor, and its lease has been acknowledged.
    pub fn on_creditor_up(&self, peer: PeerId, trust: Arc<Trust>) {
        self.on_root_up(RootId::default(), peer, trust);
    }

    /// There is a session with that member, and its lease has been acknowledged: what it is the root of is claimed
    /// and asked for over it.
    pub fn on_root_up(&self, root: RootId, peer: PeerId, trust: Arc<Trust>) {
        let link = {
            let mut routes = self.shared.routes();
            routes.add(root, peer, trust, &self.shared.ended)
        };
        self.each(|table| table.on_creditor_up(&link));
    }

    /// A view of the cluster: each resource is borrowed from its root in it. What was borrowed from another becomes an
    /// orphan, and is claimed. An older view, or the same, changes nothing. Returns whether it was newer, and then the
    /// sessions with those who are no members any more: nothing rests on them from here on.
    ///
    /// To be called by one task at a time.
    pub fn adopt(&self, view: &Arc<View>) -> Option<Vec<PeerId>> {
        let adoption = self.shared.routes().adopt(view)?;
        self.each(|table| table.adopt(&adoption));
        Some(self.shared.routes().adopted())
    }

    /// How many guards hold what was borrowed or claimed over that session. It looks at every resource.
    #[must_use]
    pub fn holds_over(&self, peer: PeerId) -> u64 {
        let mut holds = 0;
        self.each(|table| holds += table.holds_over(peer));
        holds
    }

    /// The view that a debtor goes by.
    #[must_use]
    pub fn view(&self) -> Option<Arc<View>> {
        self.shared.routes().view().cloned()
    }

    /// How long what this node has may still be used, by its clock and if no lease is extended: `None` at a root, for
    /// ever; zero without a session with the creditor.
    ///
    /// A node that borrows itself must promise its debtors no longer lease than this, less the drift of clocks: what
    /// they have came out of what it has.
    #[must_use]
    pub fn trusted_for(&self) -> Option<Duration> {
        if let Role::Root { .. } = self.shared.role() {
            return None;
        }
        let mut routes = self.shared.routes();
        // The first that ends: nobody here knows what came from whom.
        let deadline = routes.trusts().filter_map(|trust| trust.deadline()).min();
        drop(routes);
        let now = self.shared.host.now();
        Some(deadline.map_or(Duration::ZERO, |deadline| deadline.since(now)))
    }

    /// The session with the creditor is over: what was borrowed over it is lost.
    ///
    /// What was lent to debtors came out of that and is gone from the books. They do not know it yet: their sessions
    /// must end as well, and until each is over ([`on_debtor_down`](Self::on_debtor_down)), nobody may say goodbye to
    /// the creditor or open the next session with it. For either lets the creditor lend again at once what a debtor
    /// here still trusts. Their leases are within this node's own ([`trusted_for`](Self::trusted_for)), so where it
    /// was the lease that ran out, theirs have too.
    pub fn on_creditor_down(&self, peer: PeerId, why: LostReason) {
        let former = self.shared.routes().remove(peer);
        if let Some(link) = former {
            // If its lease has run out, that was first. Either way no resource trusts it from here on.
            link.trust.is_good(self.shared.host.now());
            link.trust.end();
        }
        self.each(|table| table.on_creditor_down(peer, why));
    }

    /// The next session will be with another creditor than the last one, or with another run of it. To be told between
    /// [`on_creditor_down`](Self::on_creditor_down) and [`on_creditor_up`](Self::on_creditor_up); only where the creditor
    /// is a root it makes no difference, because the names of its loans rise from run to run.
    pub fn on_creditor_replaced(&self) {
        self.each(|table| table.on_creditor_replaced());
    }

    /// The session with a debtor is over, and its lease with it: its loans are taken back.
    pub fn on_debtor_down(&self, peer: PeerId) {
        self.each(|table| table.on_debtor_down(peer));
    }

    /// A debtor that was silent is heard again.
    pub fn on_debtor_heard(&self, peer: PeerId) {
        self.each(|table| table.on_debtor_heard(peer));
    }

    /// A debtor may not hear us: nothing more is lent to it until it is heard again.
    pub fn on_debtor_silent(&self, peer: PeerId) {
        self.each(|table| table.on_debtor_silent(peer));
    }

    /// The leases of a former life have run out: what it may have lent is here again.
    pub fn end_grace(&self) {
        if let Role::Root { grace, .. } = &mut *self.shared.role.lock() {
            *grace = false;
        }
        self.on_debtor_down(UNKNOWN);
    }

    /// A former life of this root may have known values, which are lost with it: until they are written again, all
    /// are doubtful. To be called before the domain is used.
    pub fn doubt_values(&self) {
        self.each(|table| table.doubt_values());
    }

    /// Sends home values that the creditor would doubt without this node, with the credit they came with: to be
    /// called before a goodbye. At most 16 MiB of them; the others will be doubtful.
    pub fn return_values(&self) {
        self.each(|table| table.return_values());
    }

    /// The root enters a new epoch.
    pub fn on_epoch(&self, new: u32) {
        if let Role::Root { epoch, .. } = &mut *self.shared.role.lock() {
            *epoch = new.max(*epoch);
        }
        self.each(|table| table.on_epoch(new));
    }

    /// Whether the fencing numbers of this epoch run out somewhere.
    #[must_use]
    pub fn needs_epoch(&self) -> bool {
        self.types.tables.values().any(|table| table.needs_epoch())
    }

    /// The node stops: its own holds are lost, its own requests denied, now and later. Nothing is granted any
    /// more, here or to debtors.
    pub fn shut_down(&self) {
        // Release pairs with the acquire in `is_shut`: a resource made after this is shut from the start.
        self.shared.is_shut.store(true, Ordering::Release);
        self.each(|table| table.shut_down());
        self.shared.wind_ups.end_all();
    }

    /// Takes over another's highest stamp.
    pub fn observe_stamp(&self, stamp: Stamp) {
        self.shared.stamps.lock().observe(stamp);
    }

    /// The stamps seen so far.
    #[must_use]
    pub fn stamps(&self) -> HybridClock {
        *self.shared.stamps.lock()
    }

    /// When [`on_deadline`](Self::on_deadline) has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.shared.timers.next()
    }

    /// Time has passed. Calling it early does nothing.
    pub fn on_deadline(&self, now: Time) {
        self.shared.timers.run(now);
    }

    /// Lets idle resources vanish or rest, and at a debtor, credit go home that was not used for long or for which there
    /// is no room. To be called about once a second; one call looks at a bounded number of resources.
    pub fn sweep(&self) {
        self.each(|table| table.sweep());
    }

    /// What is counted over the whole domain, without a look at its resources: decisions, losses, claims, recalls.
    #[must_use]
    pub fn sums(&self) -> Totals {
        Totals {
            // Relaxed: a count for people.
            unknown: self.shared.unknown.load(Ordering::Relaxed),
            ..self.shared.tally.totals()
        }
    }

    /// Sums over all resources.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = self.sums();
        self.each(|table| totals.add(&table.totals()));
        totals
    }

    /// What there is of each type, by the type's name: what is counted by resource. Sums over the whole domain, such as
    /// losses, are in [`totals`](Self::totals) only.
    ///
    /// Looks at each resource, as that does: for people and metrics, now and then.
    #[must_use]
    pub fn totals_by_type(&self) -> Vec<(&'static str, Totals)> {
        let tables = self.types.tables.values();
        tables
            .map(|table| (table.type_name(), table.totals()))
            .collect()
    }

    /// Answers a question from what this node knows, about resources that whoever asks may know of. What is asked of the
    /// node as a whole is its own to answer.
    #[must_use]
    pub fn inspect(
        &self,
        query: &Query,
        names: &PeerNames<'_>,
        is_visible: &Visible<'_>,
    ) -> Answer {
        super::inspect::answer(&self.types.tables, &self.shared, query, names, is_visible)
    }

    /// One resource, and all its debtors in the order of the entries of their credit: both of the same moment. `None`:
    /// nothing is known of it.
    #[must_use]
    pub fn show(
        &self,
        type_id: TypeId,
        key: &ResourceKey,
        names: &PeerNames<'_>,
    ) -> Option<(ResourceView, Vec<PeerId>)> {
        let table = self.types.tables.get(&type_id)?;
        table.show(key, names)
    }

    /// The debtors that have a loan of a resource.
    #[must_use]
    pub fn debtors(&self, type_id: TypeId, key: &ResourceKey) -> Vec<PeerId> {
        self.types
            .tables
            .get(&type_id)
            .map_or_else(Vec::new, |table| table.debtors(key))
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn type_ids(&self) -> impl Iterator<Item = TypeId> {
        self.types.tables.keys().copied()
    }

    pub(super) fn table(&self, type_id: TypeId) -> Option<&dyn AnyTable> {
        self.types.tables.get(&type_id).map(|table| &**table)
    }

    pub(super) fn set_tenure_to(&self, tenure: Arc<History>) {
        *self.shared.tenure.lock() = Some(tenure);
    }

    pub(super) fn set_good_until_to(&self, until: Time) {
        // Release pairs with the acquire in `is_suspended`.
        self.shared
            .good_until
            .store(until.as_nanos(), Ordering::Release);
    }

    pub(super) fn each(&self, mut f: impl FnMut(&dyn AnyTable)) {
        self.types.tables.values().for_each(|table| f(&**table));
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WeakDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakDomain").finish_non_exhaustive()
    }
}
