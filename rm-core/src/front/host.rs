//! What a domain needs of the node it lives in.

use std::sync::Arc;

use super::observe::Observer;
use crate::access::Allowance;
use crate::id::{Party, PeerId, ResourceKey, TypeId};
use crate::session::packet::Item;
use crate::time::Time;

/// The node's clocks, and the queues of its sessions.
///
/// All methods are called from any thread. None may block, and none may call back into the domain.
pub trait Host: Send + Sync + 'static {
    /// The clock that leases rest on: it counts suspend, and never goes back.
    fn now(&self) -> Time;

    /// A time not long ago, for what people are told. Cheaper than [`now`](Self::now) where that counts.
    fn recent(&self) -> Time {
        self.now()
    }

    /// The time since an epoch common to all nodes, as well as the node knows it. Only the order of requests
    /// rests on it, and no safety.
    fn stamp_now(&self) -> Time;

    /// Puts a message at the end of the queue to a peer. Called under the lock of a resource, so it only
    /// queues; [`flush`](Self::flush) follows after the lock. A message to a peer that is gone is dropped.
    fn queue(&self, to: PeerId, item: Item);

    /// Something was queued for that peer: send it when convenient.
    fn flush(&self, to: PeerId);

    /// The run of the debtor that a session is with: who claims. Called under the lock of a resource.
    fn party(&self, peer: PeerId) -> Option<Party> {
        let _ = peer;
        None
    }

    /// How much of a resource the rules let a debtor have. Asked before anything is remembered of what it wants or claims.
    fn allowance(&self, debtor: PeerId, type_id: TypeId, key: &ResourceKey) -> Allowance {
        let _ = (debtor, type_id, key);
        Allowance::Everything
    }

    /// A number that has grown when the rules have changed: what was allowed by a former one is looked at again. The rules
    /// change first, then this number, and then [`Domain::enforce`](super::Domain::enforce) is called.
    fn rules_generation(&self) -> u64 {
        0
    }

    /// What people call a peer. Called under the lock of a resource.
    fn peer_name(&self, peer: PeerId) -> String {
        peer.to_string()
    }

    /// Who counts what becomes of requests and holds. Asked once, when the domain is made.
    fn observer(&self) -> Option<Arc<dyn Observer>> {
        None
    }

    /// Nobody uses the domain any more: its sessions have nothing left to do.
    fn on_domain_dropped(&self) {}

    /// The earliest deadline of the domain came nearer: ask it again.
    fn rearm(&self);
}
