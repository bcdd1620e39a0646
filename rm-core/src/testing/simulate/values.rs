//! Values: what holders of everything write, and what every holder must read.

use super::oracle::Fault;
use super::world::World;
use crate::id::Token;
use crate::resource::{Lending, ResourceType};

impl<T: ResourceType> World<'_, T> {
    /// A client that is about to release may write, if it has everything.
    pub(super) fn maybe_write(&mut self, client: usize, token: Token) -> Result<(), Fault> {
        let state = &self.clients[client];
        let node = state.node as usize;
        let writes = T::LENDING == Lending::Loaned && state.kind.write > 0;
        if !writes || state.holds != self.plan.capital || !self.choices.percent(state.kind.write) {
            return Ok(());
        }
        let number = self.written.unwrap_or(0) + 1;
        self.note(|world| format!("{} writes {number}", world.client_name(client)));
        let owner = self.nodes[node].owner.as_mut();
        let owner = owner.expect("who holds has an owner");
        let wrote = owner.write_value(token, &number.to_le_bytes());
        wrote.map_err(|why| Fault(format!("{}: {why}", self.client_name(client))))?;
        self.written = Some(number);
        Ok(())
    }

    /// A client that holds reads the last write: nobody else can have written since it began to hold.
    pub(super) fn check_value(&self, client: usize) -> Result<(), Fault> {
        let owner = self.nodes[self.clients[client].node as usize]
            .owner
            .as_ref();
        let known = owner.and_then(|owner| owner.value());
        let written = self.written.map(u64::to_le_bytes);
        let reads = known.map(|value| (value.is_doubtful(), &value.bytes[..]));
        if reads == written.as_ref().map(|bytes| (false, &bytes[..])) {
            return Ok(());
        }
        Err(Fault(format!(
            "{} holds, and reads {reads:?} (doubtful, bytes) where {:?} was written last",
            self.client_name(client),
            self.written,
        )))
    }
}
