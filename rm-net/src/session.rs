//! One of the two sides of a session, for the one driver of both.

use rm_core::session::packet::{Body, Hello, Item};
use rm_core::session::{
    CannotResume, CreditorSession, DebtorSession, EndReason, Membership, SessionEffects, Window,
    WindowFull,
};
use rm_core::time::Time;

/// What goes into one packet.
const BATCH: Window = Window {
    items: 64,
    bytes: 256 << 10,
};

/// One of the two sides of a session.
#[derive(Debug)]
pub(crate) enum Session {
    Creditor(CreditorSession),
    Debtor(DebtorSession),
}

impl Session {
    pub(crate) fn push(&mut self, item: Item) -> Result<(), WindowFull> {
        match self {
            Self::Creditor(session) => session.push(item),
            Self::Debtor(session) => session.push(item),
        }
    }

    /// How many items the other side has not acknowledged.
    pub(crate) const fn under_way(&self) -> usize {
        match self {
            Self::Creditor(session) => session.under_way(),
            Self::Debtor(session) => session.under_way(),
        }
    }

    pub(crate) fn transmit(&mut self, now: Time, membership: Membership) -> Option<Body> {
        match self {
            Self::Creditor(session) => session.transmit(membership, BATCH),
            Self::Debtor(session) => session.transmit(now, BATCH),
        }
    }

    pub(crate) fn on_packet(&mut self, now: Time, body: Body, fx: &mut SessionEffects) {
        match self {
            Self::Creditor(session) => session.on_packet(now, body, fx),
            Self::Debtor(session) => session.on_packet(now, body, fx),
        }
    }

    pub(crate) fn on_tick(&mut self, now: Time, fx: &mut SessionEffects) {
        match self {
            Self::Creditor(session) => session.on_tick(now, fx),
            Self::Debtor(session) => session.on_tick(now, fx),
        }
    }

    pub(crate) fn on_disconnect(&mut self, now: Time, fx: &mut SessionEffects) {
        match self {
            Self::Creditor(session) => session.on_disconnect(fx),
            Self::Debtor(session) => session.on_disconnect(now, fx),
        }
    }

    /// Goes on over another connection, which the debtor made.
    pub(crate) fn resume(
        &mut self,
        now: Time,
        hello: Option<&Hello>,
        fx: &mut SessionEffects,
    ) -> Result<(), CannotResume> {
        match (self, hello) {
            (Self::Creditor(session), Some(hello)) => session.resume(now, hello, fx),
            (Self::Debtor(session), None) => {
                session.reconnect(now, fx);
                let is_open = session.is_open();
                is_open.then_some(()).ok_or(CannotResume::Over)
            }
            // Debtors connect to creditors.
            (Self::Creditor(_), None) | (Self::Debtor(_), Some(_)) => Err(CannotResume::Over),
        }
    }

    pub(crate) fn abandon(&mut self, now: Time, why: EndReason, fx: &mut SessionEffects) {
        match self {
            Self::Creditor(session) => session.abandon(why, fx),
            Self::Debtor(session) => session.abandon(now, why, fx),
        }
    }

    pub(crate) fn bye(&mut self, now: Time, reason: &str, fx: &mut SessionEffects) {
        match self {
            Self::Creditor(session) => session.bye(reason, fx),
            Self::Debtor(session) => session.bye(now, reason, fx),
        }
    }

    pub(crate) fn lapse(&mut self, fx: &mut SessionEffects) {
        if let Self::Debtor(session) = self {
            session.lapse(fx);
        }
    }

    pub(crate) fn next_tick(&self) -> Option<Time> {
        match self {
            Self::Creditor(session) => session.next_tick(),
            Self::Debtor(session) => session.next_tick(),
        }
    }

    pub(crate) const fn is_connected(&self) -> bool {
        match self {
            Self::Creditor(session) => session.is_connected(),
            Self::Debtor(session) => session.is_connected(),
        }
    }

    pub(crate) const fn is_open(&self) -> bool {
        match self {
            Self::Creditor(session) => session.is_open(),
            Self::Debtor(session) => session.is_open(),
        }
    }

    pub(crate) const fn can_resume(&self) -> bool {
        match self {
            Self::Creditor(session) => session.can_resume(),
            Self::Debtor(session) => session.can_resume(),
        }
    }

    /// Of a creditor: when what was lent is taken back, if the debtor does not renew.
    pub(crate) fn take_back_at(&self) -> Option<Time> {
        match self {
            Self::Creditor(session) => session.take_back_at(),
            Self::Debtor(_) => None,
        }
    }

    pub(crate) const fn is_void(&self) -> bool {
        match self {
            Self::Creditor(session) => session.void_reason().is_some(),
            Self::Debtor(session) => session.void_reason().is_some(),
        }
    }
}
