//! The messages between the owners of one resource: plain data.
//!
//! Two registers ([`Message::Want`] upward, the recall register downward) and two deltas ([`Message::Grant`],
//! [`Message::Return`]). A session delivers them in order and once. Registers are levels: sending one
//! again is harmless, and a late one is weighed anew.
//!
//! The messages are generic in the credit and in what wants ask for. On the wire both are
//! [`Opaque`](crate::credit::Opaque); [`Message::try_map`] goes between.

use core::time::Duration;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::credit::Colour;
use crate::id::{LoanId, Note, Order, Party, Version};
use crate::value::Value;

/// The most blockers that a refusal names.
pub const BLOCKERS_MAX: usize = 8;

/// The longest reason of a forced release, in bytes. Longer ones are cut.
pub const REASON_BYTES_MAX: usize = 256;

/// What one owner tells another of the same resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an owner must handle every message"
)]
pub enum Message<C, L = C> {
    /// Debtor to creditor: how near is my fence to its limit? Give me room.
    AskLimit {
        /// The loan it is about.
        loan: LoanId,
    },
    /// Debtor to creditor: the `try` step of this order meets a holder or an older waiting request.
    Busy {
        /// Whose step.
        order: Order,
        /// What it meets.
        blockers: Blockers,
    },
    /// Debtor to the root of a new view: I still have this loan of the former one; make it yours.
    Claim(Claim<C>),
    /// Root to debtor: what you claimed is a loan of mine.
    Claimed(Claimed),
    /// Creditor to debtor: that want fails.
    Deny {
        /// Whose want.
        order: Order,
        /// Which want of it.
        version: Version,
        /// The reason.
        why: Refusal,
        /// Who is in the way.
        blockers: Blockers,
    },
    /// Creditor to debtor: here is more.
    Grant(Grant<C>),
    /// Creditor to debtor: your tokens may go up to this.
    Limit {
        /// The loan it is about.
        loan: LoanId,
        /// No token above it.
        limit: u64,
    },
    /// Creditor to debtor: replaces the recall register. No steps: it is lifted.
    Recall {
        /// The loan it is about.
        loan: LoanId,
        /// What to shrink to, and for whom.
        steps: Steps<C>,
    },
    /// Debtor to creditor: here is some back.
    Return {
        /// The loan it is part of.
        loan: LoanId,
        /// How much.
        delta: C,
        /// The highest fencing number the debtor has seen.
        fence: u64,
        /// The value, where the creditor does not know it yet.
        value: Option<Arc<Value>>,
        /// The colour of what is coloured of it.
        colour: Option<Colour>,
    },
    /// Creditor to debtor: give it all back, whoever holds it. It is no recall: nobody is waited for.
    Revoke {
        /// The loan it is about.
        loan: LoanId,
        /// For people: who does it, and why. At most [`REASON_BYTES_MAX`] bytes.
        reason: Arc<str>,
    },
    /// Root to debtor: what you claimed is no loan of mine.
    Unclaimed {
        /// The epoch of the claim.
        epoch: u32,
        /// The loan that was claimed.
        old: LoanId,
        /// What is to be done about it.
        why: Unclaimed,
    },
    /// Debtor to creditor: forget that want.
    Unwant {
        /// Whose want.
        order: Order,
    },
    /// Debtor to creditor: raise my loan to cover a level.
    Want(Want<L>),
}

/// Debtor to creditor: raise my loan to cover `level`. Replaces the want of that order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Want<L> {
    /// On whose behalf.
    pub order: Order,
    /// Which want of it.
    pub version: Version,
    /// A level, not a difference: crossing returns cannot spoil it.
    pub level: L,
    /// Do not wait for holders or older requests.
    pub try_only: bool,
    /// How long the request will still wait; `None`: for ever.
    pub deadline: Option<Duration>,
    /// For people.
    pub note: Option<Arc<Note>>,
}

/// Creditor to debtor: here is more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Grant<C> {
    /// The loan it adds to.
    pub loan: LoanId,
    /// Whose want it serves.
    pub order: Order,
    /// The version of that want which it closes; a newer version still stands.
    pub version: Version,
    /// How much.
    pub delta: C,
    /// Replaces the recall register.
    pub steps: Steps<C>,
    /// The highest fencing number the creditor has seen.
    pub fence: u64,
    /// No token above it.
    pub limit: u64,
    /// The value, where there is one.
    pub value: Option<Arc<Value>>,
    /// The colour of what is coloured of `delta`.
    pub colour: Option<Colour>,
}

/// Debtor to the root of a new view: I still have this loan of the former one; make it yours.
///
/// It is the truth about that debtor: whatever else a book says of it is over. After it, the debtor's wants come anew.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Claim<C> {
    /// The view in which the receiver is the root, as the debtor has adopted it. With `loan` it names the claim.
    pub epoch: u32,
    /// The loan, by the name that its creditor gave it. It means nothing to the new root but to find it in a book.
    pub loan: LoanId,
    /// How much of it the debtor still has; nothing where it was lost.
    pub amount: C,
    /// The highest fencing number the debtor has seen.
    pub fence: u64,
    /// The value as the debtor knows it.
    pub value: Option<Arc<Value>>,
    /// The colour of what is coloured of `amount`.
    pub colour: Option<Colour>,
}

/// Root to debtor: what you claimed is a loan of mine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Claimed {
    /// The epoch of the claim.
    pub epoch: u32,
    /// The loan that was claimed.
    pub old: LoanId,
    /// Its name from now on.
    pub loan: LoanId,
    /// The highest fencing number the root has seen.
    pub fence: u64,
    /// No token above it.
    pub limit: u64,
    /// The value as the root knows it.
    pub value: Option<Arc<Value>>,
}

/// Why a root does not confirm a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum Unclaimed {
    /// It was made in a view in which the receiver was not yet the root: claim again with the epoch of the present one.
    Again,
    /// Nobody knows that credit to be out any more: it is lost.
    Refused,
}

/// The recall register: steps by order, each asking for no less than the one before.
pub type Steps<C> = SmallVec<[Step<C>; 1]>;

/// One step of a recall: for the request of that order the loan must shrink to `keep`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Step<C> {
    /// On whose behalf.
    pub order: Order,
    /// What the debtor keeps.
    pub keep: C,
    /// The request does not wait for holders or older requests.
    pub try_only: bool,
    /// Every unit in reach is needed: collect, and return once.
    pub whole: bool,
    /// For people.
    pub note: Option<Arc<Note>>,
}

/// Who is in the way of a request; at most [`BLOCKERS_MAX`] are named.
pub type Blockers = SmallVec<[Blocker; 1]>;

/// One holder, older request, silent peer or rule in the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Blocker {
    /// Where it lives, if that is known.
    pub party: Party,
    /// What it does there.
    pub kind: BlockerKind,
    /// What it said of itself.
    pub note: Option<Arc<Note>>,
}

/// How somebody is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum BlockerKind {
    /// It holds what is asked for.
    Holder,
    /// It asked earlier.
    Older,
    /// It was asked to give way and has not answered.
    Silent,
    /// A rule of a creditor. Its note says which (`label`), what it forbids (`mode`) and to whom (`node`).
    Rule,
}

/// Why a creditor refuses a want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum Refusal {
    /// A `try` that a holder or an older request is in the way of.
    Busy,
    /// Its time ran out.
    Deadline,
    /// Two converting holders wait for each other.
    Deadlock,
    /// A rule of the creditor, or of one above it, forbids it.
    NotAllowed,
    /// It can never be granted, or may not: more than the capital, or over a limit.
    Refused,
    /// The creditor is winding up, and lends nothing any more.
    ShuttingDown,
}

impl<C, L> Message<C, L> {
    /// Whether a creditor sends it (to a debtor).
    #[must_use]
    pub const fn is_downward(&self) -> bool {
        match self {
            Self::Claimed(_)
            | Self::Deny { .. }
            | Self::Grant(_)
            | Self::Limit { .. }
            | Self::Recall { .. }
            | Self::Revoke { .. }
            | Self::Unclaimed { .. } => true,
            Self::AskLimit { .. }
            | Self::Busy { .. }
            | Self::Claim(_)
            | Self::Return { .. }
            | Self::Unwant { .. }
            | Self::Want(_) => false,
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AskLimit { .. } => "AskLimit",
            Self::Busy { .. } => "Busy",
            Self::Claim(_) => "Claim",
            Self::Claimed(_) => "Claimed",
            Self::Deny { .. } => "Deny",
            Self::Grant(_) => "Grant",
            Self::Limit { .. } => "Limit",
            Self::Recall { .. } => "Recall",
            Self::Return { .. } => "Return",
            Self::Revoke { .. } => "Revoke",
            Self::Unclaimed { .. } => "Unclaimed",
            Self::Unwant { .. } => "Unwant",
            Self::Want(_) => "Want",
        }
    }

    /// The credit that moves with it: while it is under way, that is neither at its sender nor at its receiver.
    #[must_use]
    pub const fn credit(&self) -> Option<&C> {
        match self {
            Self::Grant(grant) => Some(&grant.delta),
            Self::Return { delta, .. } => Some(delta),
            // What is claimed is where it was: the claim says so.
            Self::Claim(_)
            | Self::AskLimit { .. }
            | Self::Busy { .. }
            | Self::Claimed(_)
            | Self::Deny { .. }
            | Self::Limit { .. }
            | Self::Recall { .. }
            | Self::Revoke { .. }
            | Self::Unclaimed { .. }
            | Self::Unwant { .. }
            | Self::Want(_) => None,
        }
    }

    /// The same message with its credit and its level in another form.
    ///
    /// # Errors
    /// The first one of `f` or `level`.
    pub fn try_map<D, M, E>(
        self,
        mut f: impl FnMut(C) -> Result<D, E>,
        level: impl FnOnce(L) -> Result<M, E>,
    ) -> Result<Message<D, M>, E> {
        Ok(match self {
            Self::AskLimit { loan } => Message::AskLimit { loan },
            Self::Busy { order, blockers } => Message::Busy { order, blockers },
            Self::Claim(claim) => Message::Claim(Claim {
                epoch: claim.epoch,
                loan: claim.loan,
                amount: f(claim.amount)?,
                fence: claim.fence,
                value: claim.value,
                colour: claim.colour,
            }),
            Self::Claimed(claimed) => Message::Claimed(claimed),
            Self::Deny {
                order,
                version,
                why,
                blockers,
            } => Message::Deny {
                order,
                version,
                why,
                blockers,
            },
            Self::Grant(grant) => Message::Grant(Grant {
                loan: grant.loan,
                order: grant.order,
                version: grant.version,
                delta: f(grant.delta)?,
                steps: map_steps(grant.steps, &mut f)?,
                fence: grant.fence,
                limit: grant.limit,
                value: grant.value,
                colour: grant.colour,
            }),
            Self::Limit { loan, limit } => Message::Limit { loan, limit },
            Self::Recall { loan, steps } => Message::Recall {
                loan,
                steps: map_steps(steps, &mut f)?,
            },
            Self::Return {
                loan,
                delta,
                fence,
                value,
                colour,
            } => Message::Return {
                loan,
                delta: f(delta)?,
                fence,
                value,
                colour,
            },
            Self::Revoke { loan, reason } => Message::Revoke { loan, reason },
            Self::Unclaimed { epoch, old, why } => Message::Unclaimed { epoch, old, why },
            Self::Unwant { order } => Message::Unwant { order },
            Self::Want(want) => Message::Want(Want {
                order: want.order,
                version: want.version,
                level: level(want.level)?,
                try_only: want.try_only,
                deadline: want.deadline,
                note: want.note,
            }),
        })
    }
}

fn map_steps<C, D, E>(
    steps: Steps<C>,
    f: &mut impl FnMut(C) -> Result<D, E>,
) -> Result<Steps<D>, E> {
    steps
        .into_iter()
        .map(|step| {
            Ok(Step {
                order: step.order,
                keep: f(step.keep)?,
                try_only: step.try_only,
                whole: step.whole,
                note: step.note,
            })
        })
        .collect()
}
