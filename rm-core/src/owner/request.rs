//! What local callers ask for, as data.

use core::time::Duration;
use std::sync::Arc;

use crate::id::{GroupId, Note, Order, Token};
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
