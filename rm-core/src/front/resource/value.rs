//! The value of a resource, as its holders read and write it.
//!
//! Both look first for what is due: a hold whose lease ran out reads and writes nothing.

use std::sync::Arc;

use super::{Claim, Clock, Resource};
use crate::error::LostReason;
use crate::resource::ResourceType;
use crate::value::{Value, WriteError};

impl<T: ResourceType> Resource<T> {
    /// The value, as a holder may rely on it.
    pub(in crate::front) fn value(&self, claim: Claim) -> Result<Option<Arc<Value>>, LostReason> {
        let turn = self.enter(Clock::Recent);
        let token = turn.inner.token(claim);
        let value = match turn.inner.why_lost(token) {
            Some(why) => Err(why),
            None => Ok(turn.inner.owner.value().cloned()),
        };
        self.leave(turn);
        value
    }

    /// Writes the value for a holder of everything.
    pub(in crate::front) fn set_value(&self, claim: Claim, bytes: &[u8]) -> Result<(), WriteError> {
        let mut turn = self.enter(Clock::Recent);
        let token = turn.inner.token(claim);
        let written = match turn.inner.why_lost(token) {
            Some(why) => Err(why.into()),
            None => turn.inner.owner.write_value(token, bytes),
        };
        self.leave(turn);
        written
    }

    /// How many bytes the value has, if the creditor would doubt it without this node and can be told.
    pub(in crate::front) fn unreturned_bytes(&self) -> Option<usize> {
        self.with_owner(|owner| owner.unreturned_value().map(|value| value.bytes.len()))
    }
}
