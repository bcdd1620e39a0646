//! One node's resources of all registered types.

use core::any::Any;
use core::fmt;
use core::ops::Deref;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use smallvec::smallvec;

use super::acquire::AcquireError;
use super::heat::Heat;
use super::host::Host;
use super::inspect::{AnyInspect, PeerNames, Visible};
use super::lending::Lending;
use super::observe::Observer;
use super::permit::AnyPermit;
use super::reclaim::Budget;
use super::release::{AnyRelease, Reasons};
use super::resource::Resource;
use super::routes::{Adoption, Link, Routes};
use super::table::Table;
use super::timers::Timers;
use super::totals::{Tally, Totals};
use super::trust::{Ended, Trust};
use super::windup::{Course, WindUpReport, WindUps};
use crate::access::Forbidden;
use crate::cluster::History;
use crate::effect::Effects;
use crate::error::{LostReason, PeerMisbehaved};
use crate::id::{Class, Order, PeerId, ResourceKey, Stamp, TypeId};
use crate::inspect::{Answer, HotResource, Query, ResourceView};
use crate::message::{Blockers, Message, Refusal, Unclaimed};
use crate::owner::Settings;
use crate::policy::Policy;
use crate::resource::ResourceType;
use crate::session::packet::Item;
use crate::stamp::HybridClock;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering};
use crate::time::Time;
use crate::view::{RootId, View};

/// The debtor that nobody has heard of: after a restart it has what the former life may have lent.
pub const UNKNOWN: PeerId = PeerId(u64::MAX);

/// How a domain behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainSettings {
    /// The node's configured name, for people.
    pub name: String,
    /// How its owners behave.
    pub owner: Settings,
    /// The most by which a request's priority makes it count as older than it is: so no request waits longer for
    /// others' priority than this. 1 s by default.
    pub priority_max: Duration,
    /// The policy of all resources of a type, whatever the type itself says of them. Empty by default: the type
    /// decides ([`ResourceType::policy`]), and where it leaves that open, the policy in `owner`.
    pub policies: BTreeMap<TypeId, Policy>,
    /// The most resources of one type with any state here; more are refused. 4,194,304 by default.
    pub resources_max: usize,
    /// The most resources of one type that exist here because one debtor asked for them; more are refused. 1,048,576 by
    /// default: four times what a debtor caches, and a quarter of `resources_max`, so that none keeps all others out.
    pub debtor_resources_max: usize,
    /// A debtor sends credit home that has not been used for this long; `None`: never. 10 minutes by default: long
    /// enough for work that comes back, short enough that a server need not remember for ever who once read what.
    pub idle_time: Option<Duration>,
    /// A debtor that has more resources of one type than this sends the credit of those home that were not used for
    /// longest. 262,144 by default.
    pub cached_max: usize,
    /// The same for the memory that the resources of one type take, in bytes. An estimate: without names above 23
    /// bytes, and without what a credit allocates itself. 256 MiB by default.
    pub cached_bytes_max: usize,
}

impl DomainSettings {
    /// The defaults, for the node `name`.
    #[must_use]
    pub fn new(name: &str, owner: Settings) -> Self {
        Self {
            name: name.into(),
            owner,
            priority_max: Duration::from_secs(1),
            policies: BTreeMap::new(),
            resources_max: 1 << 22,
            debtor_resources_max: 1 << 20,
            idle_time: Some(Duration::from_secs(600)),
            cached_max: 1 << 18,
            cached_bytes_max: 1 << 28,
        }
    }

    /// The same with a policy for all resources of a type.
    #[must_use]
    pub fn with_policy_of(mut self, type_id: TypeId, policy: Policy) -> Self {
        self.policies.insert(type_id, policy);
        self
    }
}

/// Where a domain's credit comes from. Either can have debtors of its own: one that borrows and lends at once is in the
/// middle of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// It borrows from a creditor, while there is a session with one.
    Debtor,
    /// It is the root of every resource.
    Root {
        /// The epoch under which it lends.
        epoch: u32,
        /// Whether a former life may still have lent anything: until [`Domain::end_grace`], everything
        /// counts as lent.
        grace: bool,
    },
}

/// What all resources of a domain share.
pub(super) struct Shared {
    pub(super) host: Arc<dyn Host>,
    /// Who counts.
    pub(super) observer: Option<Arc<dyn Observer>>,
    pub(super) name: String,
    pub(super) owner_settings: Arc<Settings>,
    pub(super) policies: BTreeMap<TypeId, Policy>,
    pub(super) timers: Timers,
    pub(super) priority_max: Duration,
    pub(super) resources_max: usize,
    pub(super) debtor_resources_max: usize,
    pub(super) budget: Budget,
    role: Mutex<Role>,
    routes: Mutex<Routes>,
    /// Of a member's lender: what it is the root of.
    tenure: Mutex<Option<Arc<History>>>,
    /// Of a lender: until when it may lend, in nanoseconds.
    good_until: AtomicU64,
    /// Somebody had to wait for that.
    pub(super) has_suspended: AtomicBool,
    pub(super) ended: Arc<Ended>,
    stamps: Mutex<HybridClock>,
    seq: AtomicU64,
    is_shut: AtomicBool,
    pub(super) wind_ups: WindUps,
    /// Messages of unknown types.
    unknown: AtomicU64,
    /// What its owners decided and lost.
    tally: Tally,
    /// Of which resources credit moves most.
    heat: Heat,
    /// Why resources were taken away from this node.
    pub(super) reasons: Reasons,
}

impl Shared {
    /// The place of a request that is made now, and counts as older by `priority`.
    pub(super) fn next_order(&self, class: Class, priority: Duration) -> Order {
        let now = self.host.stamp_now();
        let stamp = self.stamps.lock().next(now);
        let shift = priority.min(self.priority_max).as_nanos() as u64;
        Order {
            class,
            stamp: Stamp(stamp.0.saturating_sub(shift)),
            party: self.owner_settings.party,
            // Relaxed: only uniqueness counts.
            seq: self.seq.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Answers a message about a resource that cannot be here: a want is refused, a grant goes back, for nobody
    /// here would have it in a book. Returns whether there was anything to answer.
    pub(super) fn turn_away(&self, from: PeerId, item: Item) -> bool {
        let message = match item.message {
            Message::Want(want) => Message::Deny {
                order: want.order,
                version: want.version,
                why: Refusal::Refused,
                blockers: Blockers::new(),
            },
            Message::Claim(claim) => Message::Unclaimed {
                epoch: claim.epoch,
                old: claim.loan,
                why: Unclaimed::Refused,
            },
            Message::Grant(grant) => Message::Return {
                loan: grant.loan,
                delta: grant.delta,
                fence: 0,
                value: None,
                colour: grant.colour,
            },
            _ => return false,
        };
        self.host.queue(from, Item { message, ..item });
        self.host.flush(from);
        true
    }

    /// Answers a want or a claim of what its debtor may not have.
    pub(super) fn forbid(&self, from: PeerId, item: Item, why: &Forbidden) {
        let message = match item.message {
            Message::Want(want) => Message::Deny {
                order: want.order,
                version: want.version,
                why: Refusal::NotAllowed,
                blockers: smallvec![why.blocker()],
            },
            Message::Claim(claim) => Message::Unclaimed {
                epoch: claim.epoch,
                old: claim.loan,
                why: Unclaimed::Refused,
            },
            _ => return,
        };
        self.host.queue(from, Item { message, ..item });
        self.host.flush(from);
    }

    /// A time not long ago, or the present one where spans are measured from it.
    pub(super) fn recent(&self) -> Time {
        match self.observer {
            None => self.host.recent(),
            Some(_) => self.host.now(),
        }
    }

    /// A recall has come.
    pub(super) fn count_recall(&self) {
        self.tally.count_recall();
    }

    /// Counts what the owner of one resource decided, what was lost, and what moved.
    pub(super) fn count<T: ResourceType>(&self, key: &ResourceKey, fx: &mut Effects<T>) {
        let moved = self.tally.count(fx);
        self.heat.count::<T>(key, moved);
    }

    /// The resources of which credit moved most.
    pub(super) fn hottest(&self, prefix: &[u8]) -> Vec<HotResource> {
        self.heat.hottest(prefix)
    }

    pub(super) fn is_shut(&self) -> bool {
        self.is_shut.load(Ordering::Acquire)
    }

    pub(super) fn role(&self) -> Role {
        *self.role.lock()
    }

    /// The epoch under which a root lends.
    pub(super) fn epoch(&self) -> u32 {
        match self.role() {
            Role::Debtor => 0,
            Role::Root { epoch, .. } => epoch,
        }
    }

    pub(super) fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock()
    }

    pub(super) fn tenure(&self) -> Option<Arc<History>> {
        self.tenure.lock().clone()
    }

    /// Whether nothing may be lent at `now`: this root's membership is not known to be good.
    pub(super) fn is_suspended(&self, now: Time) -> bool {
        // Acquire pairs with the release in `set_good_until`.
        now.as_nanos() >= self.good_until.load(Ordering::Acquire)
    }
}

/// The tables of all types, whatever their credit: what the wire needs.
pub(super) trait AnyTable:
    AnyInspect + AnyPermit + AnyRelease + Lending + Send + Sync
{
    fn as_any(&self) -> &dyn Any;
    fn deliver(&self, from: PeerId, item: Item) -> Result<(), PeerMisbehaved>;
    fn on_creditor_up(&self, link: &Arc<Link>);
    fn adopt(&self, adoption: &Adoption);
    fn holds_over(&self, peer: PeerId) -> u64;
    fn on_creditor_down(&self, peer: PeerId, why: LostReason);
    fn on_creditor_replaced(&self);
    fn on_debtor_down(&self, peer: PeerId);
    fn on_debtor_heard(&self, peer: PeerId);
    fn on_debtor_silent(&self, peer: PeerId);
    fn count_wants(&self, of: Option<PeerId>) -> u64;
    fn on_epoch(&self, epoch: u32);
    fn doubt_values(&self);
    fn return_values(&self);
    fn shut_down(&self);
    fn needs_epoch(&self) -> bool;
    fn sweep(&self);
    fn totals(&self) -> Totals;
    fn type_name(&self) -> &'static str;
    fn shards(&self) -> usize;
    /// Winds up the resources of one shard. Returns how many had anything to say to anybody.
    fn wind_up(&self, shard: usize, order: Order, course: &Arc<Course>) -> usize;
    fn wind_up_one(&self, key: &ResourceKey, order: Order, course: &Arc<Course>);
    /// Adds what keeps resources, or one, from being wound up.
    fn list_in_the_way(&self, key: Option<&ResourceKey>, report: &mut WindUpReport);
}

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
