//! How much a creditor grants beyond what was asked, and what a debtor keeps of what is recalled.
//!
//! The extra comes out of what is free after every waiting request had its turn, so it never takes what a
//! waiting request could use; and it goes only with a grant, so it cannot bounce by itself. A policy decides what
//! requests cost, never whether or in which order they are served. So each node may have its own.
//!
//! Which one an owner has: the domain's for the type ([`DomainSettings::policies`], the operator's word), else the
//! type's for the resource ([`ResourceType::policy`], the author's word), else the domain's for all
//! ([`Settings::policy`]).
//!
//! [`DomainSettings::policies`]: crate::front::DomainSettings::policies
//! [`ResourceType::policy`]: crate::resource::ResourceType::policy
//! [`Settings::policy`]: crate::owner::Settings::policy

use core::num::NonZeroU32;

/// How much a creditor adds to a grant, and a debtor to a return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// It learns from recalls which resources are shared. A debtor alone on its resource gets everything; where
    /// debtors take turns, they get and keep one part in this many, as with [`Slice`](Self::Slice). A debtor
    /// whose idle credit is recalled unused, time after time, returns it with its release instead of
    /// waiting for the recall, until caching pays again.
    Adaptive(NonZeroU32),
    /// What was asked, no more. A debtor returns what is recalled, no more.
    Exact,
    /// Everything that nobody else has or wants. A debtor returns what is recalled, no more.
    Max,
    /// A grant adds one part in this many of what is spare, so that later requests at the debtor cost
    /// nothing. A debtor that answers a recall keeps such a part of its own spare and returns the rest.
    Slice(NonZeroU32),
}

impl Policy {
    /// Adaptive, with a slice of one part in `parts` where a resource is shared; 0 counts as 1, which is everything.
    #[must_use]
    pub const fn adaptive(parts: u32) -> Self {
        Self::Adaptive(at_least_one(parts))
    }

    /// A slice of one part in `parts`; 0 counts as 1, which is everything.
    #[must_use]
    pub const fn slice(parts: u32) -> Self {
        Self::Slice(at_least_one(parts))
    }
}

impl Default for Policy {
    /// Adaptive, with slices of a sixteenth.
    fn default() -> Self {
        Self::adaptive(16)
    }
}

const fn at_least_one(parts: u32) -> NonZeroU32 {
    match NonZeroU32::new(parts) {
        Some(parts) => parts,
        None => NonZeroU32::MIN,
    }
}

/// What a policy decided, or learnt, that is worth counting.
///
/// It is counted under every policy, and never for what the cache serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Decision {
    /// A grant to a debtor carried more than was asked.
    ExtraGranted,
    /// A debtor that answered a recall kept a part of what it could spare.
    SliceKept,
    /// A debtor returned with its release what nobody had recalled yet.
    ReturnedUnasked,
    /// A recall came that asks for something which is here.
    Recalled,
    /// It found everything idle: nothing held, lent on or waited for.
    RecalledIdle,
    /// Nor had any of it been used again since the recall before: caching it was in vain.
    RecalledUnused,
}

impl Decision {
    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 6] = [
        Self::ExtraGranted,
        Self::SliceKept,
        Self::ReturnedUnasked,
        Self::Recalled,
        Self::RecalledIdle,
        Self::RecalledUnused,
    ];

    /// Its counter's name, for people and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExtraGranted => "extras_granted",
            Self::SliceKept => "slices_kept",
            Self::ReturnedUnasked => "returned_unasked",
            Self::Recalled => "recalls",
            Self::RecalledIdle => "recalls_of_idle",
            Self::RecalledUnused => "recalls_of_unused",
        }
    }
}

/// How often each [`Decision`] was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    counts: [u64; Decision::ALL.len()],
}

impl Decisions {
    /// How often that was decided.
    #[must_use]
    pub const fn count(&self, decision: Decision) -> u64 {
        self.counts[decision as usize]
    }

    /// So many more of them.
    pub const fn add(&mut self, decision: Decision, more: u64) {
        let count = &mut self.counts[decision as usize];
        *count = count.saturating_add(more);
    }
}
