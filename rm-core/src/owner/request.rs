//! What local callers ask for, as data.

use core::time::Duration;
use std::sync::Arc;

use super::Waiting;
use crate::id::{GroupId, Note, Order, PeerId, Token};
use crate::time::Time;

/// A local request: who asks for what, and how long it will wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "made by the caller")]
pub struct Request<L> {
    /// The caller's name for it. It names no other request or hold of this owner.
    pub token: Token,
    /// Its place among all requests, unique in the cluster whatever its class.
    pub order: Order,
    /// What it asks for.
    pub ask: L,
    /// Do not wait for holders or older requests.
    pub try_only: bool,
    /// When it gives up.
    pub deadline: Option<Time>,
    /// For people.
    pub note: Option<Arc<Note>>,
    /// Its group: the members at this owner share one hold.
    pub group: Option<GroupId>,
    /// It gives up what it holds within this time after somebody waits for it; else the hold is lost. `None`: it keeps
    /// it as long as it likes.
    pub gives_way: Option<Duration>,
}

impl<L> Request<L> {
    /// Asks for `ask`, and waits as long as it takes.
    pub const fn new(token: Token, order: Order, ask: L) -> Self {
        Self {
            token,
            order,
            ask,
            try_only: false,
            deadline: None,
            note: None,
            group: None,
            gives_way: None,
        }
    }
}

/// A holder that wants to hold something else, without a gap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "made by the caller")]
pub struct Conversion<L> {
    /// Which hold.
    pub token: Token,
    /// Its place, of class `Convert`. If the hold has nothing, it waits in class `New`.
    pub order: Order,
    /// What it wants to hold.
    pub to: L,
    /// Do not wait for other holders or older conversions.
    pub try_only: bool,
    /// When it gives up. The hold is then as it was.
    pub deadline: Option<Time>,
}

impl<L> Conversion<L> {
    /// Asks that the hold of `token` become `to`, and waits as long as it takes.
    pub const fn new(token: Token, order: Order, to: L) -> Self {
        Self {
            token,
            order,
            to,
            try_only: false,
            deadline: None,
        }
    }
}

impl<L> Waiting<L> {
    pub(super) fn due(&self) -> Option<Time> {
        match (self.deadline, self.try_until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// A look at a request that waits.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WaitingView<'a, L> {
    /// Its place.
    pub order: Order,
    /// A local one's token.
    pub token: Option<Token>,
    /// The debtor it came from.
    pub debtor: Option<PeerId>,
    /// A debtor's: the level its loan must reach. A local one's: what it wants to hold.
    pub level: &'a L,
    /// It does not wait for holders or older requests.
    pub try_only: bool,
    /// For people.
    pub note: Option<&'a Arc<Note>>,
}
