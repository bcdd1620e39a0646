//! What became of the requests of a cluster, and what their holders were told.

use super::{Asked, Cluster, token};
use crate::credit::Credit as _;
use crate::error::{Denied, LostReason};
use crate::resource::ResourceType;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a test asks about every one")]
pub enum Outcome {
    /// It waits.
    Waits,
    /// It was granted.
    Holds,
    /// It failed.
    Denied(Denied),
    /// It was granted, and lost.
    Lost(LostReason),
    /// It was released or cancelled.
    Over,
}

impl<T: ResourceType> Cluster<T> {
    /// What became of a request.
    #[must_use]
    pub fn outcome(&self, asked: Asked) -> &Outcome {
        &self.entries[asked.0 as usize].outcome
    }

    /// What became of a hold's last conversion, if it had one.
    #[must_use]
    pub fn conversion(&self, asked: Asked) -> Option<&Outcome> {
        self.entries[asked.0 as usize].conversion.as_ref()
    }

    /// Why a request or its last conversion was denied, if it was.
    #[must_use]
    pub fn denial(&self, asked: Asked) -> Option<&Denied> {
        let conversion = self.conversion(asked);
        match conversion.unwrap_or_else(|| self.outcome(asked)) {
            Outcome::Denied(why) => Some(why),
            Outcome::Holds | Outcome::Lost(_) | Outcome::Over | Outcome::Waits => None,
        }
    }

    /// Whether it was granted and is neither released nor lost.
    #[must_use]
    pub fn holds(&self, asked: Asked) -> bool {
        *self.outcome(asked) == Outcome::Holds
    }

    /// Whether it, or its conversion, waits.
    #[must_use]
    pub fn waits(&self, asked: Asked) -> bool {
        *self.outcome(asked) == Outcome::Waits || self.converts(asked)
    }

    pub(super) fn converts(&self, asked: Asked) -> bool {
        self.conversion(asked) == Some(&Outcome::Waits)
    }

    /// How much it may use: nothing if it does not hold.
    #[must_use]
    pub fn held(&self, asked: Asked) -> T::Credit {
        let hold = self.owners[self.node(asked)].hold(token(asked));
        hold.map_or_else(T::Credit::empty, |hold| hold.asked().clone())
    }

    /// The last fencing token it had, if it was ever granted.
    #[must_use]
    pub fn fence(&self, asked: Asked) -> Option<u64> {
        self.entries[asked.0 as usize].fence
    }

    /// All that was granted, in the order in which it was.
    #[must_use]
    pub fn granted(&self) -> &[Asked] {
        &self.granted
    }

    /// Of whom a holder was told that they wait for what it holds, since this was last asked.
    pub fn take_notices(&mut self, asked: Asked) -> Vec<Asked> {
        core::mem::take(&mut self.entries[asked.0 as usize].told)
    }

    /// How often a node was told that credit it has cached leaves, since this was last asked.
    pub fn take_leaving(&mut self, node: usize) -> usize {
        core::mem::take(&mut self.leaving[node])
    }
}
