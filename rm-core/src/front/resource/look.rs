//! What a simulator sees of a resource, without an input: nothing becomes due by it.

use super::{Claim, Resource};
use crate::front::{Held, Resource as Seen};
use crate::resource::ResourceType;
use crate::time::Time;
use core::ops::Deref;

impl<T: ResourceType> Resource<T> {
    /// Until when a hold may be used, by this node's clock; `None` where its loss is known.
    fn valid_until(&self, claim: Claim) -> Option<Time> {
        let inner = self.lock();
        let is_lost = inner.why_lost(inner.token(claim)).is_some();
        let until = inner.trusted_until();
        self.unlock(inner);
        (!is_lost).then_some(until)
    }

    /// What is borrowed, and until when it may be used.
    pub(crate) fn trusted(&self) -> (T::Credit, Time) {
        let inner = self.lock();
        let trusted = (inner.owner.borrowed().clone(), inner.trusted_until());
        self.unlock(inner);
        trusted
    }
}

impl<T: ResourceType> super::Inner<T> {
    fn trusted_until(&self) -> Time {
        match &self.link {
            Some(link) => link.trust.deadline().unwrap_or(Time::ZERO),
            None => Time::MAX,
        }
    }
}

impl<T: ResourceType, R: Deref<Target = Seen<T>>> Held<T, R> {
    /// Until when it may be used, by this node's clock; `None` where its loss is known.
    pub(crate) fn valid_until(&self) -> Option<Time> {
        self.resource.valid_until(self.claim)
    }
}
