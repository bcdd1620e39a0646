//! What a policy adds to a grant and to a return, and what `Adaptive` learns for it.
//!
//! **A creditor** starts generous: a debtor that is alone gets everything, so that whatever it asks for next costs
//! nothing. A recall shows that the resource is shared. From then on grants carry a slice, until a few grants in a
//! row went to a lone debtor.
//!
//! **A debtor** starts by caching: what nobody uses stays, and a recall takes all but a slice of it. Credit that was
//! recalled without having been used again was cached in vain. After a few such recalls in a row the debtor
//! returns everything with its last release. That saves the recall, and whoever asks next finds the credit at the
//! creditor. After a number of such returns it caches once more, on probation: if that credit is used it goes on
//! caching, and if it is recalled unused it goes on returning. So the end of the contention is noticed at the cost of
//! one recall in every few hand-overs.
//!
//! **Invariants.** What is learnt moves credit only where the rules of `balance` would let it move: extra
//! out of what is free after the walk, and with a grant; a return only where nothing is held, lent or waited for
//! here, so that nobody here asks for it again. It delays nobody, and nothing is asked for because of it. So it adds
//! no circle to the protocol.
//!
//! **Size.** Four bytes an owner, nothing for each debtor. Only events are counted, never time, and the counters
//! saturate: an owner does the same again after the same inputs, and has few states.

use super::walk::Walk;
use super::{Owner, sum};
use crate::access::Access;
use crate::credit::{Credit, Level as _};
use crate::effect::Effects;
use crate::id::PeerId;
use crate::message::Steps;
use crate::policy::{Decision, Policy};
use crate::resource::{Lending, ResourceType};

/// So many grants to a lone debtor after a recall, and the resource counts as its own again.
const SHARED_GRANTS: u8 = 2;

/// After so many recalls in a row that met unused credit a debtor returns with its release.
const UNUSED_MAX: u8 = 2;

/// After so many returns with a release a debtor caches once more.
const RETURNS_MAX: u8 = 8;

/// What an owner knows of how its resource is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Learned {
    /// As a creditor: how many grants to a lone debtor are still to be small.
    shared: u8,
    /// As a debtor: what becomes of credit that nobody uses.
    habit: Habit,
    /// As a debtor: credit that lay idle here was used since the last recall.
    was_used: bool,
}

/// What a debtor does with credit that nobody there uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Habit {
    /// It stays. So many recalls in a row met it unused.
    Cache { unused: u8 },
    /// It goes back with the last release. So many times in a row it did.
    Return { times: u8 },
}

const _: () = assert!(size_of::<Learned>() <= 4, "every owner has one");

impl Default for Learned {
    fn default() -> Self {
        Self {
            shared: 0,
            habit: Habit::Cache { unused: 0 },
            was_used: false,
        }
    }
}

impl Learned {
    /// Whether the last release has something to decide.
    pub(super) const fn returns_with_release(self) -> bool {
        matches!(self.habit, Habit::Return { .. })
    }

    /// A debtor got this register. Of a creditor.
    pub(super) fn note_asked<C>(&mut self, steps: &Steps<C>) {
        if !steps.is_empty() {
            self.shared = SHARED_GRANTS;
        }
    }

    /// Whether somebody found credit that lay idle here.
    pub(super) const fn note_found(&mut self, is_found: bool) {
        self.was_used |= is_found;
    }

    /// The last release of a debtor that returns with it. Whether it returns this time, too.
    const fn note_release(&mut self) -> bool {
        self.habit = match self.habit {
            Habit::Return { times } if times < RETURNS_MAX => Habit::Return { times: times + 1 },
            Habit::Cache { .. } | Habit::Return { .. } => Habit::Cache {
                unused: UNUSED_MAX - 1,
            },
        };
        self.returns_with_release()
    }

    /// Idle credit was recalled.
    fn note_idle_recall(&mut self) {
        self.habit = match self.habit {
            Habit::Cache { .. } if self.was_used => Habit::Cache { unused: 0 },
            Habit::Cache { unused } if unused + 1 < UNUSED_MAX => {
                Habit::Cache { unused: unused + 1 }
            }
            Habit::Cache { .. } => Habit::Return { times: 0 },
            Habit::Return { times } => Habit::Return { times },
        };
    }
}

impl<T: ResourceType> Owner<T> {
    /// A request comes: if it finds credit that lies idle here, caching paid.
    pub(super) fn note_use(&mut self, ask: &T::Level) {
        // A root is asked for nothing, and needs not know.
        let is_found = !self.is_root()
            && self.is_unused()
            && self.recall.is_empty()
            && T::Level::of(&self.cached).reaches(ask);
        self.learned.note_found(is_found);
    }

    /// The creditor asks for something, having asked for nothing before.
    pub(super) fn note_recall(&mut self, fx: &mut Effects<T>) {
        let asks = |keep: &T::Credit| !keep.covers(&self.borrowed);
        if !self.recall.iter().any(|recalled| asks(&recalled.step.keep)) {
            return;
        }
        fx.decided(Decision::Recalled);
        if self.is_unused() {
            fx.decided(Decision::RecalledIdle);
            if !self.learned.was_used {
                fx.decided(Decision::RecalledUnused);
            }
            if let Policy::Adaptive(_) = self.policy {
                self.learned.note_idle_recall();
            }
        }
        self.learned.was_used = false;
    }

    /// The extra on top of a grant to `peer`, which its loan includes already, out of what is `free`.
    pub(super) fn extra_for(&mut self, peer: PeerId, free: &T::Credit) -> T::Credit {
        let extra = self.extra_by_policy(peer, free);
        // Whoever may only read is not lent by policy what would let it write.
        let debtor = &self.debtors[&peer];
        let with_it = || T::Level::of(&sum(&debtor.loan, &extra));
        let is_allowed = debtor.may_have == Access::Exclusive
            || T::access(&with_it(), &self.capital) == Access::Share;
        if is_allowed {
            extra
        } else {
            T::Credit::empty()
        }
    }

    fn extra_by_policy(&mut self, peer: PeerId, free: &T::Credit) -> T::Credit {
        // Cut off, so that a type that slices badly makes no credit.
        let slice = |parts: u32| free.slice(parts).meet(free);
        match self.policy {
            // What is given for good cannot be recalled for the next one.
            Policy::Adaptive(parts) if T::LENDING == Lending::UsedUp => slice(parts.get()),
            Policy::Adaptive(_) if self.is_alone(peer) && self.learned.shared == 0 => free.clone(),
            Policy::Adaptive(parts) => {
                self.learned.shared -= u8::from(self.is_alone(peer));
                slice(parts.get())
            }
            Policy::Exact => T::Credit::empty(),
            Policy::Max => free.clone(),
            Policy::Slice(parts) => slice(parts.get()),
        }
    }

    /// What goes back beside the answer to a recall, or unasked.
    pub(super) fn beside(
        &mut self,
        walk: &Walk<T::Credit, T::Level>,
        fx: &mut Effects<T>,
    ) -> T::Credit {
        let is_answer = !walk.give.is_empty();
        if self.learned.returns_with_release() && self.is_unused() && !walk.free.is_empty() {
            if is_answer {
                return walk.free.clone();
            }
            if self.learned.note_release() {
                fx.decided(Decision::ReturnedUnasked);
                return walk.free.clone();
            }
        }
        match self.policy {
            // A former writer keeps a slice, not all but one share.
            Policy::Adaptive(parts) | Policy::Slice(parts) if is_answer => {
                let kept = walk.free.slice(parts.get()).meet(&walk.free);
                if !kept.is_empty() {
                    fx.decided(Decision::SliceKept);
                }
                walk.free.less(&kept)
            }
            Policy::Adaptive(_) | Policy::Exact | Policy::Max | Policy::Slice(_) => {
                T::Credit::empty()
            }
        }
    }

    /// Whether nothing is lent to any but `peer`, and nobody here uses or waits for anything.
    fn is_alone(&self, peer: PeerId) -> bool {
        self.holds.is_empty() && self.waiting.is_empty() && self.debtors[&peer].loan == self.lent
    }

    /// Whether all that is here lies idle: nothing is held, lent or waited for.
    pub(super) fn is_unused(&self) -> bool {
        self.holds.is_empty() && self.waiting.is_empty() && self.lent.is_empty()
    }
}
