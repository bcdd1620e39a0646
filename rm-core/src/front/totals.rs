//! What a domain counts, for people and metrics.

use core::time::Duration;

use super::heat::Moved;
use crate::effect::{Effect, Effects};
use crate::error::LostReason;
use crate::message::{Message, Unclaimed};
use crate::policy::{Decision, Decisions};
use crate::resource::ResourceType;
use crate::sync::{AtomicU64, Ordering};

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
    /// Holds of this node that were lost since the start, by cause.
    pub losses: Losses,
    /// Claims of debtors since the start that this node confirmed as a new root.
    pub claims_confirmed: u64,
    /// Claims of debtors since the start that it did not confirm: those credits were lost.
    pub claims_refused: u64,
    /// Recalls since the start that were sent to debtors.
    pub recalls_sent: u64,
    /// Recalls since the start that came from creditors.
    pub recalls_received: u64,
    /// The age of the oldest local hold; zero where there is none. Those who hold by the gate are one hold, as old as the
    /// gate has been open.
    pub oldest_hold: Duration,
    /// How long the oldest request has waited that waits here; zero where none does.
    pub oldest_wait: Duration,
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
        self.claims_confirmed += other.claims_confirmed;
        self.claims_refused += other.claims_refused;
        self.recalls_sent += other.recalls_sent;
        self.recalls_received += other.recalls_received;
        self.oldest_hold = self.oldest_hold.max(other.oldest_hold);
        self.oldest_wait = self.oldest_wait.max(other.oldest_wait);
        for decision in Decision::ALL {
            self.decisions
                .add(decision, other.decisions.count(decision));
        }
        for why in LostReason::ALL {
            self.losses.0[why as usize] += other.losses.count(why);
        }
    }
}

/// How many holds were lost, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses([u64; LostReason::ALL.len()]);

impl Losses {
    /// How many were lost for that cause.
    #[must_use]
    pub const fn count(&self, why: LostReason) -> u64 {
        self.0[why as usize]
    }
}

/// What the owners of a domain decided and lost since the start.
#[derive(Debug, Default)]
pub(super) struct Tally {
    decided: [AtomicU64; Decision::ALL.len()],
    lost: [AtomicU64; LostReason::ALL.len()],
    claims_confirmed: AtomicU64,
    claims_refused: AtomicU64,
    recalls_sent: AtomicU64,
    recalls_received: AtomicU64,
}

impl Tally {
    /// Counts what the effects of one input tell, and says what of it moves credit. They stay, but for the tally of
    /// decisions.
    pub(super) fn count<T: ResourceType>(&self, fx: &mut Effects<T>) -> Moved {
        let mut moved = Moved::default();
        for (decision, count) in fx.take_decisions() {
            add(&self.decided[decision as usize], count);
        }
        for effect in fx.as_slice() {
            match effect {
                Effect::Lost { why, .. } => add(&self.lost[*why as usize], 1),
                Effect::Send { message, .. } => match message {
                    Message::Grant(_) => moved.grants += 1,
                    Message::Claimed(_) => add(&self.claims_confirmed, 1),
                    Message::Unclaimed {
                        why: Unclaimed::Refused,
                        ..
                    } => add(&self.claims_refused, 1),
                    Message::Recall { steps, .. } if !steps.is_empty() => {
                        moved.recalls += 1;
                        add(&self.recalls_sent, 1);
                    }
                    _ => {}
                },
                Effect::Deny { .. }
                | Effect::Grant { .. }
                | Effect::Leaving
                | Effect::Wanted { .. } => {}
            }
        }
        moved
    }

    /// A recall has come.
    pub(super) fn count_recall(&self) {
        add(&self.recalls_received, 1);
    }

    /// Those counts, and nothing else.
    pub(super) fn totals(&self) -> Totals {
        let mut decisions = Decisions::default();
        for decision in Decision::ALL {
            decisions.add(decision, read(&self.decided[decision as usize]));
        }
        Totals {
            decisions,
            losses: Losses(LostReason::ALL.map(|why| read(&self.lost[why as usize]))),
            claims_confirmed: read(&self.claims_confirmed),
            claims_refused: read(&self.claims_refused),
            recalls_sent: read(&self.recalls_sent),
            recalls_received: read(&self.recalls_received),
            ..Totals::default()
        }
    }
}

fn add(count: &AtomicU64, more: u64) {
    // Relaxed: a count for people.
    count.fetch_add(more, Ordering::Relaxed);
}

fn read(count: &AtomicU64) -> u64 {
    // Relaxed: a count for people.
    count.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_of_a_loss_has_its_own_number_and_name() {
        for (index, why) in LostReason::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, index);
            let same = LostReason::ALL
                .iter()
                .filter(|other| other.name() == why.name());
            assert_eq!(same.count(), 1);
        }
    }
}
