//! What an owner wants done: data, in the order in which it must be done.
//!
//! The caller owns the list, hands it to an input, and applies it before the next input to that owner.
//! Messages to one peer must leave in the order in which they stand here.

use std::sync::Arc;

use crate::error::{Denied, LostReason};
use crate::id::{Note, Order, PeerId, Token};
use crate::message::Message;
use crate::policy::Decision;
use crate::resource::ResourceType;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a shell must handle every effect")]
pub enum Effect<T: ResourceType> {
    /// Tell the local request that it failed. It is over.
    Deny {
        /// Which request.
        token: Token,
        /// The reason.
        why: Denied,
    },
    /// Tell the local request that it holds what it asked for.
    Grant {
        /// Which request.
        token: Token,
        /// Its fencing token.
        fence: u64,
    },
    /// Tell the local holder that its hold is no longer valid. It is over, for good, and so is a conversion of it that
    /// waited: nothing else is said of that.
    Lost {
        /// Which request.
        token: Token,
        /// The reason.
        why: LostReason,
    },
    /// Credit that was cached here leaves: what was known under it may be out of date from now on. It comes before
    /// the message that takes it away.
    Leaving,
    /// Send a message to a neighbour.
    Send {
        /// To whom.
        to: PeerId,
        /// What.
        message: Message<T::Credit, T::Level>,
    },
    /// Tell the local holder that somebody waits for what it holds.
    Wanted {
        /// Which hold.
        token: Token,
        /// Who waits.
        by: Conflict,
    },
}

/// Somebody who waits for what a holder has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a shell passes on each field")]
pub struct Conflict {
    /// Its place; the stamp in it says since when it waits.
    pub order: Order,
    /// What it said of itself.
    pub note: Option<Arc<Note>>,
}

/// A list of effects that the caller owns, and a tally of what policies decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects<T: ResourceType> {
    list: Vec<Effect<T>>,
    /// Small, since every resource keeps one: it is taken after each input.
    decided: [u16; Decision::ALL.len()],
}

impl<T: ResourceType> Default for Effects<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: ResourceType> Effects<T> {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            list: Vec::new(),
            decided: [0; Decision::ALL.len()],
        }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What there is to do, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Effect<T>] {
        &self.list
    }

    /// Takes all there is to do, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = Effect<T>> + '_ {
        self.list.drain(..)
    }

    /// Takes the tally: what was decided since it was last taken, and how often.
    pub fn take_decisions(&mut self) -> impl Iterator<Item = (Decision, u64)> + use<T> {
        let decided = core::mem::take(&mut self.decided);
        Decision::ALL
            .into_iter()
            .map(move |decision| (decision, u64::from(decided[decision as usize])))
            .filter(|&(_, count)| count > 0)
    }

    pub(crate) const fn decided(&mut self, decision: Decision) {
        let count = &mut self.decided[decision as usize];
        *count = count.saturating_add(1);
    }

    pub(crate) fn push(&mut self, effect: Effect<T>) {
        if self.list.capacity() == 0 {
            // Most inputs have one effect, and an effect is large: room for four is more than is written to.
            self.list.reserve_exact(1);
        }
        self.list.push(effect);
    }

    pub(crate) fn send(&mut self, to: PeerId, message: Message<T::Credit, T::Level>) {
        self.push(Effect::Send { to, message });
    }
}
