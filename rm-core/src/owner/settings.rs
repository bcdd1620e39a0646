//! What an owner is told about how to behave.

use core::time::Duration;
use std::sync::Arc;

use crate::fence::ROOM_MIN;
use crate::id::{Note, Party};
use crate::policy::Policy;

/// What an owner is told about how to behave.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Settings {
    /// Who keeps the book: named to those it is in the way of.
    pub party: Party,
    /// What people are told of a local holder that said nothing of itself.
    pub unlabelled: Arc<Note>,
    /// How much is granted beyond what was asked, where nothing is said for the type or the resource.
    pub policy: Policy,
    /// A `try` waits no longer than this for the answers of peers; the silent count as busy. 1 s by default.
    pub try_limit: Duration,
    /// How many wants of one debtor may wait here; more are refused. 4,096 by default.
    pub wants_per_debtor_max: usize,
    /// The most bytes of a value, written here or by a debtor: the same at all nodes, 1,024 by default. No more count
    /// than [`VALUE_BYTES_MAX`](crate::value::VALUE_BYTES_MAX).
    pub value_bytes_max: usize,
    /// How many exclusive holds a fresh loan allows before its owner has to ask for a higher limit of the fence. 4,096
    /// by default; 0 counts as 1. With the least of it, a simulation soon reaches every limit.
    pub fence_room: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            party: Party::default(),
            unlabelled: Arc::default(),
            policy: Policy::default(),
            try_limit: Duration::from_secs(1),
            wants_per_debtor_max: 4096,
            value_bytes_max: 1024,
            fence_room: ROOM_MIN,
        }
    }
}

impl Settings {
    /// The same, kept by another party, whose node has that name.
    #[must_use]
    pub fn with_party(mut self, party: Party, name: &str) -> Self {
        self.party = party;
        self.unlabelled = Note::new("", "", name);
        self
    }

    /// The same with another policy.
    #[must_use]
    pub const fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The same with another limit for `try`.
    #[must_use]
    pub const fn with_try_limit(mut self, try_limit: Duration) -> Self {
        self.try_limit = try_limit;
        self
    }
}
