//! The end of an owner in good order: nothing new, holders are waited for, debtors are asked for all they have,
//! and what is free goes home.
//!
//! ```text
//! new requests, wants          denied at once
//! what waits                   denied at once: it holds nothing, and a conversion keeps its hold
//! holders here                 told that somebody waits, and waited for: only one that promised to give way is taken
//! debtors                      asked for everything, by a step of the wind-up's order
//! free credit                  returned at once, whenever there is any; a root keeps it
//! ```
//!
//! **Invariants.** Nothing leaves upward but what is free here: neither what a holder has nor what a debtor has.
//! From the first input on nothing waits, nothing is wanted and nothing is lent any more, so the book only
//! empties: an owner that [is wound up](Owner::is_wound_up) stays so, whatever arrives late.
//!
//! **Fairness.** The wind-up is the last item of each walk: what the creditor recalls goes first, so that its `try`
//! gets its answer. Its step has the order of the wind-up, so a debtor serves requests that are older out of what it
//! has, and younger ones wait behind it; without that a debtor that is used all the time would never let go.
//!
//! **Cancellation.** There is none. A wind-up ends with the owner.

use super::notice::Missed;
use super::walk::{Asking, Walk};
use super::{Owner, RecallStep, Spare, sum};
use crate::credit::{Credit as _, Level as _};
use crate::effect::Effects;
use crate::id::{Order, Stamp};
use crate::message::Refusal;
use crate::resource::ResourceType;
use crate::time::Time;

impl<T: ResourceType> Owner<T> {
    /// From now on it refuses everything new, waits for its holders, recalls what debtors have, and returns
    /// what is free. [`is_wound_up`](Self::is_wound_up) says when that is done. A second time does nothing.
    ///
    /// `order` is the age of the wind-up among the requests of the cluster, of class `New`.
    pub fn wind_up(&mut self, now: Time, order: Order, fx: &mut Effects<T>) {
        if self.is_winding_up() {
            return;
        }
        self.winding_up = Some(order);
        for waiting in core::mem::take(&mut self.waiting) {
            self.deny(&waiting, Refusal::ShuttingDown, fx);
        }
        self.balance(now, Spare::Return, fx);
    }

    /// Whether it was told to wind up.
    #[must_use]
    pub const fn is_winding_up(&self) -> bool {
        self.winding_up.is_some()
    }

    /// Whether it was told to wind up and has: nothing is held, lent or wanted here, and (but at a root) nothing
    /// borrowed. It stays so.
    #[must_use]
    pub fn is_wound_up(&self) -> bool {
        let is_home = self.is_root() || self.borrowed.is_empty();
        self.is_winding_up()
            && is_home
            && self.holds.is_empty()
            && self.debtors.is_empty()
            && self.wants.is_empty()
    }

    /// What becomes of credit that nothing waits for.
    pub(super) fn spare(&self, asked: Spare) -> Spare {
        if self.is_orphan() {
            Spare::Keep
        } else if self.is_winding_up() {
            Spare::Return
        } else {
            asked
        }
    }

    /// The last item of a walk: every debtor is asked for what it still keeps, and holders here are told.
    pub(super) fn visit_wind_up(
        &self,
        walk: &mut Walk<T::Credit, T::Level>,
        steps: &[RecallStep<T::Credit>],
    ) {
        let Some(order) = self.winding_up else {
            return;
        };
        if !self.holds.is_empty() {
            let holds = self.holds.iter();
            let held = holds.fold(T::Credit::empty(), |held, (_, hold)| {
                sum(&held, &hold.credit)
            });
            walk.note_missed(Missed {
                order,
                level: T::Level::of(&held),
                note: None,
                converts: None,
                group: None,
            });
        }
        let Some(order) = behind(order, steps) else {
            return;
        };
        let asking = Asking {
            debtor: None,
            order,
            try_only: false,
            whole: false,
            note: None,
        };
        walk.ask(self, &asking, Clone::clone);
    }
}

/// The order of the wind-up's step: its own, or, where the creditor recalls for a younger request, one behind
/// that. A register is sorted, and the wind-up asks last. If there is none behind, it asks when that step is met.
fn behind<C>(order: Order, steps: &[RecallStep<C>]) -> Option<Order> {
    let Some(last) = steps.last().map(|last| last.step.order) else {
        return Some(order);
    };
    let next = Order {
        stamp: Stamp(last.stamp.0.saturating_add(1)),
        ..order
    };
    Some(if last < order { order } else { next }).filter(|order| last < *order)
}
