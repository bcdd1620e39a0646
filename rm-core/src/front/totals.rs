//! What a domain counts, for people and metrics.

use crate::policy::{Decision, Decisions};

/// Sums over all resources of a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Resources with any state.
    pub resources: u64,
    /// Local holds.
    pub holds: u64,
    /// Requests that wait here.
    pub waiting: u64,
    /// Loans to debtors.
    pub loans: u64,
    /// Local requests since the start that were served out of the cache: without a message or a wait.
    pub cached_acquires: u64,
    /// Local requests since the start that were not.
    pub asked_acquires: u64,
    /// How often since the start credit went home because there was no room for more.
    pub evictions: u64,
    /// How often since the start credit went home because it had not been used for long.
    pub idle_returns: u64,
    /// Messages since the start of a type that is not registered here, and that were dropped for it.
    pub unknown: u64,
    /// What the policies decided since the start.
    pub decisions: Decisions,
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.resources += other.resources;
        self.holds += other.holds;
        self.waiting += other.waiting;
        self.loans += other.loans;
        self.cached_acquires += other.cached_acquires;
        self.asked_acquires += other.asked_acquires;
        self.evictions += other.evictions;
        self.idle_returns += other.idle_returns;
        self.unknown += other.unknown;
        for decision in Decision::ALL {
            self.decisions
                .add(decision, other.decisions.count(decision));
        }
    }
}
