//! Requests as data: what local callers ask for, and what waits.

use core::time::Duration;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::id::{GroupId, Note, Order, PeerId, Token, Version};
use crate::message::Blockers;
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

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Waiting<L> {
    pub(super) order: Order,
    pub(super) asker: Asker,
    /// A debtor's: the level its loan must reach. A local one's: what it wants to hold in the end.
    pub(super) level: L,
    pub(super) try_only: bool,
    /// When it gives up.
    pub(super) deadline: Option<Time>,
    /// A `try`: when the silent count as busy.
    pub(super) try_until: Option<Time>,
    pub(super) note: Option<Arc<Note>>,
    /// The creditor has refused it.
    pub(super) denied_above: bool,
    /// Debtors that said they cannot give way to it at once.
    pub(super) busy: SmallVec<[PeerId; 1]>,
    /// Who they said is in the way.
    pub(super) blockers: Blockers,
    /// A local one's group.
    pub(super) group: Option<GroupId>,
    /// A local one's promise for when it holds.
    pub(super) gives_way: Option<Duration>,
}

/// On whose behalf a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    /// A local holder that wants to hold something else.
    Convert(Token),
    /// A debtor, with that version of its want.
    Debtor(PeerId, Version),
    /// A local request.
    Local(Token),
}

impl Asker {
    pub(super) const fn debtor(self) -> Option<PeerId> {
        match self {
            Self::Debtor(peer, _) => Some(peer),
            Self::Convert(_) | Self::Local(_) => None,
        }
    }

    pub(super) const fn token(self) -> Option<Token> {
        match self {
            Self::Convert(token) | Self::Local(token) => Some(token),
            Self::Debtor(..) => None,
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
