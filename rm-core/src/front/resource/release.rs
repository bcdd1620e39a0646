//! What is lent of a resource, taken back though somebody uses it.

use std::sync::Arc;

use super::Resource;
use crate::command::Force;
use crate::front::release::Lent;
use crate::resource::ResourceType;

impl<T: ResourceType> Resource<T> {
    /// Takes back what is lent. Returns what was lent before.
    pub(in crate::front) fn force(&self, force: Force, reason: &Arc<str>) -> Lent {
        let mut lent = Lent::default();
        self.input(|inner, now| {
            lent = Lent::of(&inner.owner);
            match force {
                Force::Polite => inner.owner.revoke(None, reason, &mut inner.fx),
                Force::Now => inner.owner.close_loans(now, None, reason, &mut inner.fx),
            }
        });
        lent
    }

    /// The rules have changed.
    pub(in crate::front) fn enforce(&self) {
        let host = &self.shared.host;
        let allowance = |peer| host.allowance(peer, T::ID, &self.key);
        self.input(|inner, now| inner.owner.enforce(now, &allowance, &mut inner.fx));
    }
}
