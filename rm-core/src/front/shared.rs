//! What all resources of a domain share, and what a domain asks of its tables.

use core::any::Any;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::smallvec;

use super::heat::Heat;
use super::host::Host;
use super::inspect::AnyInspect;
use super::lending::Lending;
use super::observe::Observer;
use super::permit::AnyPermit;
use super::reclaim::Budget;
use super::release::{AnyRelease, Reasons};
use super::routes::{Adoption, Link, Routes};
use super::timers::Timers;
use super::totals::{Tally, Totals};
use super::trust::Ended;
use super::windup::{Course, WindUpReport, WindUps};
use crate::access::Forbidden;
use crate::cluster::History;
use crate::effect::Effects;
use crate::error::{LostReason, PeerMisbehaved};
use crate::id::{Class, Order, PeerId, ResourceKey, Stamp, TypeId};
use crate::inspect::HotResource;
use crate::message::{Blockers, Message, Refusal, Unclaimed};
use crate::owner::Settings;
use crate::policy::Policy;
use crate::resource::ResourceType;
use crate::session::packet::Item;
use crate::stamp::HybridClock;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering};
use crate::time::Time;

use super::settings::Role;

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
    pub(super) role: Mutex<Role>,
    pub(super) routes: Mutex<Routes>,
    /// Of a member's lender: what it is the root of.
    pub(super) tenure: Mutex<Option<Arc<History>>>,
    /// Of a lender: until when it may lend, in nanoseconds.
    pub(super) good_until: AtomicU64,
    /// Somebody had to wait for that.
    pub(super) has_suspended: AtomicBool,
    pub(super) ended: Arc<Ended>,
    pub(super) stamps: Mutex<HybridClock>,
    pub(super) seq: AtomicU64,
    pub(super) is_shut: AtomicBool,
    pub(super) wind_ups: WindUps,
    /// Messages of unknown types.
    pub(super) unknown: AtomicU64,
    /// What its owners decided and lost.
    pub(super) tally: Tally,
    /// Of which resources credit moves most.
    pub(super) heat: Heat,
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
