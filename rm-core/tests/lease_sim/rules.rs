//! Rules of the lease that are broken on purpose, to show that the checks can fail.

use std::time::Duration;

use rm_core::session::LeaseTerms;
use rm_core::session::lease::GUARD;
use rm_core::time::Time;

use super::World;

/// How the rules are kept. All but the first must be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    AsTheyAre,
    /// A broken connection counts as the end of the session.
    BreakTakesBack,
    /// The debtor's clock stops while it is paused.
    ClockStopsInPause,
    /// The debtor counts from the receipt of the answer, not from the sending of the renewal.
    DeadlineFromAck,
    /// Neither side allows for drift.
    NoDriftMargin,
    /// An answer after the deadline revives trust.
    NotSticky,
}

impl World {
    pub(crate) fn trust_by_broken_rules(&mut self, local: Time, sent: Time, length: Duration) {
        let is_over = self.broken_trust.is_some_and(|until| local >= until);
        let until = match self.rules {
            Rules::DeadlineFromAck => local.after(LeaseTerms::trust(length)),
            Rules::NoDriftMargin => sent.after(length.saturating_sub(GUARD)),
            _ => sent.after(LeaseTerms::trust(length)),
        };
        if !is_over || self.rules == Rules::NotSticky {
            self.broken_trust = self.broken_trust.max(Some(until));
        }
    }

    pub(crate) fn take_back_by_broken_rules(&mut self) {
        if self.rules == Rules::NoDriftMargin {
            let wait = LeaseTerms::default().length() + GUARD;
            let local = self.creditor_local();
            let over = self
                .received
                .iter()
                .filter(|(_, at)| local >= at.after(wait));
            self.taken_back.extend(over.map(|(&n, _)| n));
        }
    }

    pub(crate) fn trusts(&self) -> bool {
        let local = self.debtor_local();
        match self.rules {
            Rules::DeadlineFromAck | Rules::NoDriftMargin | Rules::NotSticky => {
                self.broken_trust.is_some_and(|until| local < until)
            }
            Rules::AsTheyAre | Rules::BreakTakesBack | Rules::ClockStopsInPause => self
                .debtor
                .as_ref()
                .is_some_and(|session| session.is_trusted(local)),
        }
    }
}
