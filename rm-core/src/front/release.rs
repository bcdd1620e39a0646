//! Forced release: an operator takes back what is lent, and a holder learns who took it away, and why.
//!
//! At the root, [`Domain::release`] asks the debtors, or closes their loans; who asked looks with [`Domain::lent`] for
//! what came back. Guards of the root's own process are not taken away: end that process, or their use, instead.
//!
//! At the holder's node, the hold is lost with [`LostReason::Revoked`](crate::error::LostReason::Revoked), and
//! [`Domain::release_reason`] knows what the operator said. The last [`REASONS_MAX`] are kept.
//!
//! **Fairness.** It is no request: no request that waits loses its place, and the first of them is granted next.

use std::collections::VecDeque;
use std::sync::Arc;

use super::domain::Domain;
use super::table::Table;
use crate::command::Force;
use crate::id::{LoanId, PeerId, ResourceKey, TypeId};
use crate::owner::Owner;
use crate::resource::ResourceType;
use crate::sync::Mutex;

/// Of so many forced releases a node remembers the reason; of more, it forgets the oldest.
pub const REASONS_MAX: usize = 64;

/// What is lent of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lent {
    /// Each loan: to whom, and its name.
    pub loans: Vec<(PeerId, Option<LoanId>)>,
    /// Guards of this process.
    pub own_holds: usize,
}

impl Lent {
    pub(super) fn of<T: ResourceType>(owner: &Owner<T>) -> Self {
        let loans = owner.loans();
        Self {
            loans: loans.map(|(peer, _)| (peer, owner.loan_id(peer))).collect(),
            own_holds: owner.holds().count(),
        }
    }
}

/// What forced release asks of a table.
pub(super) trait AnyRelease {
    fn force(&self, key: &ResourceKey, force: Force, reason: &Arc<str>) -> Lent;
    fn lent(&self, key: &ResourceKey) -> Lent;
}

impl<T: ResourceType> AnyRelease for Table<T> {
    fn force(&self, key: &ResourceKey, force: Force, reason: &Arc<str>) -> Lent {
        let resource = self.find(key);
        resource.map_or_else(Lent::default, |resource| resource.force(force, reason))
    }

    fn lent(&self, key: &ResourceKey) -> Lent {
        let resource = self.find(key);
        resource.map_or_else(Lent::default, |resource| resource.with_owner(Lent::of))
    }
}

/// Why resources were taken away from this node.
#[derive(Debug, Default)]
pub(super) struct Reasons(Mutex<VecDeque<Reason>>);

#[derive(Debug)]
struct Reason {
    type_id: TypeId,
    key: ResourceKey,
    text: Arc<str>,
}

impl Reasons {
    /// Before the holders are told, so that they find it.
    pub(super) fn note(&self, type_id: TypeId, key: &ResourceKey, text: &Arc<str>) {
        let mut reasons = self.0.lock();
        reasons.retain(|reason| (reason.type_id, &reason.key) != (type_id, key));
        if reasons.len() == REASONS_MAX {
            reasons.pop_front();
        }
        reasons.push_back(Reason {
            type_id,
            key: key.clone(),
            text: Arc::clone(text),
        });
    }

    pub(super) fn of(&self, type_id: TypeId, key: &ResourceKey) -> Option<Arc<str>> {
        let reasons = self.0.lock();
        let mut reasons = reasons.iter();
        let reason = reasons.find(|reason| (reason.type_id, &reason.key) == (type_id, key));
        reason.map(|reason| Arc::clone(&reason.text))
    }
}

impl Domain {
    /// Takes back what is lent of a resource, though somebody uses it. `reason` says who does it, and why. Returns what
    /// was lent before.
    ///
    /// * [`Force::Polite`]: its debtors are asked. Their holders lose what they hold, and it comes back with the highest
    ///   token that they had; exclusion holds. An absent debtor is not heard, and keeps its loan as long as its lease.
    /// * [`Force::Now`]: the loans are closed at once. Later tokens are larger than any that the debtors can have given
    ///   out. They are told, if they hear; nothing says that they have stopped.
    ///
    /// Only at the root of the resource does it free the resource. A node in the middle of a tree takes back what it
    /// lent itself.
    pub fn release(
        &self,
        type_id: TypeId,
        key: &ResourceKey,
        force: Force,
        reason: &Arc<str>,
    ) -> Lent {
        let table = self.table(type_id);
        table.map_or_else(Lent::default, |table| table.force(key, force, reason))
    }

    /// What is lent of a resource now.
    #[must_use]
    pub fn lent(&self, type_id: TypeId, key: &ResourceKey) -> Lent {
        let table = self.table(type_id);
        table.map_or_else(Lent::default, |table| table.lent(key))
    }

    /// What the operator said who last took this resource away from this node by force; `None` where nobody did, or
    /// more than [`REASONS_MAX`] others were taken away since.
    #[must_use]
    pub fn release_reason(&self, type_id: TypeId, key: &ResourceKey) -> Option<Arc<str>> {
        self.shared().reasons.of(type_id, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: usize) -> ResourceKey {
        ResourceKey::new(format!("lock/{index}").as_bytes()).unwrap()
    }

    #[test]
    fn the_last_reason_of_a_resource_is_known_and_of_too_many_the_oldest_is_forgotten() {
        let reasons = Reasons::default();
        let id = TypeId(1);
        reasons.note(id, &key(0), &"first".into());
        reasons.note(id, &key(0), &"second".into());
        assert_eq!(reasons.of(id, &key(0)).as_deref(), Some("second"));
        assert_eq!(reasons.of(TypeId(2), &key(0)), None);
        for index in 1..=REASONS_MAX {
            reasons.note(id, &key(index), &"more".into());
        }
        assert_eq!(reasons.of(id, &key(0)), None);
        assert_eq!(reasons.0.lock().len(), REASONS_MAX);
    }
}
