//! What a resource hears of its neighbours: their messages, and how their sessions are.

use super::{Inner, Resource};
use crate::credit::{Credit as _, Opaque};
use crate::effect::Effect;
use crate::error::{LostReason, PeerMisbehaved};
use crate::front::domain::Link;
use crate::id::PeerId;
use crate::message::Message;
use crate::resource::ResourceType;
use crate::time::Time;

impl<T: ResourceType> Resource<T> {
    pub(in crate::front) fn on_message(
        &self,
        from: PeerId,
        message: Message<Opaque>,
    ) -> Result<(), PeerMisbehaved> {
        let decoded = message
            .try_map(
                |credit| credit.read::<T::Credit>(),
                |level| level.read_level::<T::Credit, T::Level>(),
            )
            .map_err(|_| PeerMisbehaved::MalformedCredit)?;
        let mut result = Ok(());
        self.input(|inner, now| {
            // What the creditor sent before the lease ran out here is late, and no fault of its own.
            let has_creditor = inner.owner.is_root() || inner.owner.creditor().is_some();
            if has_creditor || !decoded.is_downward() {
                result = inner.owner.on_message(now, from, decoded, &mut inner.fx);
            }
        });
        result
    }

    pub(in crate::front) fn on_debtor_down(&self, peer: PeerId) {
        self.input(|inner, now| inner.owner.on_debtor_down(now, peer, &mut inner.fx));
    }

    pub(in crate::front) fn on_debtor_silent(&self, peer: PeerId) {
        self.input(|inner, now| inner.owner.on_debtor_silent(now, peer, &mut inner.fx));
    }

    pub(in crate::front) fn on_debtor_heard(&self, peer: PeerId) {
        self.input(|inner, now| inner.owner.on_debtor_heard(now, peer, &mut inner.fx));
    }

    pub(in crate::front) fn on_epoch(&self, epoch: u32) {
        self.input(|inner, now| inner.owner.on_epoch(now, epoch, &mut inner.fx));
    }

    /// The session with the creditor is over.
    pub(in crate::front) fn on_creditor_down(&self, peer: PeerId, why: LostReason) {
        self.input(|inner, now| {
            if inner.owner.creditor() == Some(peer) {
                inner.lose_creditor(now, why);
            }
        });
    }

    /// The next creditor is another than the last.
    pub(in crate::front) fn on_creditor_replaced(&self) {
        self.input(|inner, _| {
            if inner.owner.creditor().is_none() {
                inner.owner.on_creditor_replaced();
            }
        });
    }

    /// There is a session with the creditor.
    pub(in crate::front) fn on_creditor_up(&self, link: &Link) {
        self.input(|inner, now| {
            if !inner.owner.is_root() && inner.owner.creditor().is_none() {
                inner.link = Some(link.clone());
                inner.owner.on_creditor_up(now, link.peer, 0, &mut inner.fx);
            }
        });
    }

    /// Whether there is a creditor, but no session with it.
    pub(in crate::front) fn is_cut_off(&self) -> bool {
        self.with_owner(|owner| !owner.is_root() && owner.creditor().is_none())
    }
}

impl<T: ResourceType> Inner<T> {
    /// The session with the creditor is over, and what was borrowed over it has left without a message.
    pub(super) fn lose_creditor(&mut self, now: Time, why: LostReason) {
        let had_credit = !self.owner.borrowed().is_empty();
        self.owner.on_creditor_down(now, why, &mut self.fx);
        self.link = None;
        if had_credit && self.owner.borrowed().is_empty() {
            self.fx.push(Effect::Leaving);
        }
    }
}
