//! What a resource hears of its neighbours: their messages, and how their sessions are.

use std::sync::Arc;

use tracing::Level;

use super::{Clock, Resource};
use crate::access::Access;
use crate::credit::Opaque;
use crate::error::PeerMisbehaved;
use crate::front::trace;
use crate::id::{Note, PeerId};
use crate::message::Message;
use crate::owner::Origin;
use crate::resource::ResourceType;

impl<T: ResourceType> Resource<T> {
    pub(in crate::front) fn on_message(
        &self,
        from: PeerId,
        message: Message<Opaque>,
        (may_have, let_go): (Access, Option<Arc<Note>>),
    ) -> Result<(), PeerMisbehaved> {
        let decoded = message
            .try_map(
                |credit| credit.read::<T::Credit>(),
                |level| level.read_level::<T::Credit, T::Level>(),
            )
            .map_err(|_| PeerMisbehaved::MalformedCredit)?;
        if let Message::Recall { steps, .. } = &decoded
            && let Some(first) = steps.first()
        {
            self.shared.count_recall();
            if trace::may_listen(Level::DEBUG) {
                let peer = self.shared.host.peer_name(from);
                let asks = (steps.len(), first.note.as_deref());
                trace::on_recall(T::NAME, &self.key, &peer, asks);
            }
        }
        let origin = Origin {
            peer: from,
            party: self.shared.host.party(from).unwrap_or_default(),
            // A grant belongs to the tenure in which its loan was opened, whenever it leaves.
            epoch: match &decoded {
                Message::Grant(grant) => grant.loan.epoch,
                _ => u32::MAX,
            },
            may_have,
        };
        let mut turn = self.enter(Clock::Exact);
        turn.let_go = let_go;
        let (inner, now) = (&mut *turn.inner, turn.now);
        let result = inner.owner.on_message(now, origin, decoded, &mut inner.fx);
        self.leave(turn);
        result
    }

    pub(in crate::front) fn on_debtor_down(&self, peer: PeerId) {
        self.input_unused(|inner, now| inner.owner.on_debtor_down(now, peer, &mut inner.fx));
    }

    pub(in crate::front) fn on_debtor_silent(&self, peer: PeerId) {
        self.input_unused(|inner, now| inner.owner.on_debtor_silent(now, peer, &mut inner.fx));
    }

    pub(in crate::front) fn on_debtor_heard(&self, peer: PeerId) {
        self.input_unused(|inner, now| inner.owner.on_debtor_heard(now, peer, &mut inner.fx));
    }

    pub(in crate::front) fn on_epoch(&self, epoch: u32) {
        self.input(|inner, now| inner.owner.on_epoch(now, epoch, &mut inner.fx));
    }

    /// Whether there is a creditor, but no session with it.
    pub(in crate::front) fn is_cut_off(&self) -> bool {
        self.with_owner(|owner| !owner.is_root() && owner.creditor().is_none())
    }
}
