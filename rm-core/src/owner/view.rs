//! What an exploration sees of an owner: its registers, and what tells one state from another.
//!
//! Two owners are in the same state if they will do the same from now on. So some of what an owner knows is left out
//! here: what is for people, and fencing numbers where nobody asks about them. Others count only by *rank*:
//! versions of wants and names of loans are only compared with those on the same link, so a state in which
//! they are all ten higher is the same state. Without that a livelock would never come back to where it was.
//! They are noted apart from the hash, for the explorer to compare them over all of a link.
//!
//! Every struct is taken apart field by field, so that a new field must be thought about here.

use core::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Asker, Debtor, Owner, RecallStep, StandingWant, Step, Upstream, Waiting};
use crate::id::{LoanId, Order, PeerId, Version};
use crate::policy::Policy;
use crate::resource::ResourceType;
use crate::value::Value;

/// A number that is only compared with others of its kind on the same link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkNumber {
    /// The debtor of the link, by its index in the tree, which is its [`PeerId`] too; [`OWN_LINK`] for the link
    /// to the creditor of whoever has the number.
    pub(crate) link: u8,
    pub(crate) kind: NumberKind,
    pub(crate) value: u64,
}

/// The link between an owner, or a channel, and the creditor above it. The root is nobody's debtor.
pub(crate) const OWN_LINK: u8 = 0;

/// What a number names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberKind {
    Loan,
    Version,
}

/// The numbers that an owner or a message has, in the sequence in which they stand in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkNumbers {
    list: Vec<LinkNumber>,
}

impl LinkNumbers {
    pub(crate) fn note_version(&mut self, link: u8, version: Version) {
        self.list.push(LinkNumber {
            link,
            kind: NumberKind::Version,
            value: version.0,
        });
    }

    pub(crate) fn note_loan(&mut self, link: u8, loan: LoanId) {
        self.list.push(LinkNumber {
            link,
            kind: NumberKind::Loan,
            value: u64::from(loan.epoch) << 32 | u64::from(loan.counter),
        });
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.list.extend_from_slice(&other.list);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = LinkNumber> {
        self.list.iter().copied()
    }
}

/// Whether fencing numbers are part of a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Clocks {
    /// Two states that differ in nothing else are one.
    #[default]
    Forgotten,
    /// They are.
    Kept,
}

/// In one exploration the number of a request tells its whole order; but the step of a wind-up may have a later
/// stamp than the wind-up itself, and a group's request may change its class.
pub(crate) fn hash_order<H: Hasher>(order: &Order, state: &mut H) {
    state.write_u8(order.class as u8);
    state.write_u64(order.seq);
    state.write_u64(order.stamp.0);
}

impl<T: ResourceType> Owner<T> {
    /// The wants that stand at the creditor.
    pub(crate) fn standing_wants(&self) -> impl Iterator<Item = (Order, Version)> {
        self.wants.iter().map(|want| (want.order, want.version))
    }

    /// The wants of debtors that wait here.
    pub(crate) fn debtors_wants(&self) -> impl Iterator<Item = (PeerId, Order, Version)> {
        self.waiting
            .iter()
            .filter_map(|waiting| match waiting.asker {
                Asker::Debtor(peer, version) => Some((peer, waiting.order, version)),
                Asker::Convert(_) | Asker::Local(_) => None,
            })
    }

    /// The steps of the creditor's recall that are not met.
    pub(crate) fn recall_steps(&self) -> impl Iterator<Item = &Step<T::Credit>> {
        self.recall.iter().map(|recalled| &recalled.step)
    }

    /// The recall registers of the debtors as last sent, less the steps that are met.
    pub(crate) fn sent_steps(&self) -> impl Iterator<Item = (PeerId, &Step<T::Credit>)> {
        self.debtors
            .iter()
            .flat_map(|(&peer, d)| d.sent.iter().map(move |step| (peer, step)))
    }

    /// Hashes what tells this state of the owner from another one, but for the numbers of its links: they are
    /// noted.
    pub(crate) fn hash_state<H: Hasher>(
        &self,
        clocks: Clocks,
        numbers: &mut LinkNumbers,
        state: &mut H,
    ) {
        let Self {
            settings: _,
            policy,
            learned,
            capital: _,
            borrowed,
            // These follow from the rest.
            cached: _,
            lent: _,
            recalling: _,
            unlent: _,
            upstream,
            debtors,
            holds,
            // What holders are told follows from the rest.
            is_wanted: _,
            waiting,
            recall,
            wants,
            // The next version is larger than all in use, and the next loan too.
            version: _,
            last_loan: _,
            fence,
            known,
            colour,
            is_shut,
            is_revoked,
            orphan,
            succession,
            winding_up,
            resource_type: _,
        } = self;
        (
            borrowed,
            is_shut,
            is_revoked,
            winding_up.map(|order| order.seq),
        )
            .hash(state);
        // The others only count.
        if let Policy::Adaptive(_) = policy {
            learned.hash(state);
        }
        match upstream {
            Upstream::Root(tenure) => tenure.hash(state),
            Upstream::Debtor {
                peer,
                loan,
                dead,
                since,
            } => {
                (peer.is_some(), since).hash(state);
                numbers.note_loan(OWN_LINK, *loan);
                numbers.note_loan(OWN_LINK, *dead);
            }
        }
        // Explored worlds have one view, and neither.
        (orphan, succession).hash(state);
        if clocks == Clocks::Kept {
            state.write_u64(fence.now());
        }
        colour.hash(state);
        known.is_news.hash(state);
        hash_value(known.value.as_ref(), clocks, state);
        state.write_u8(debtors.len() as u8);
        for (peer, debtor) in debtors {
            state.write_u8(peer.0 as u8);
            hash_debtor(*peer, debtor, numbers, state);
        }
        for (token, hold) in holds.iter() {
            state.write_u8(1);
            (token, &hold.credit).hash(state);
            hold.ties().map(|ties| &ties.group).hash(state);
            if clocks == Clocks::Kept {
                state.write_u64(hold.fence);
            }
        }
        state.write_u8(0);
        for item in waiting {
            hash_waiting(item, numbers, state);
        }
        state.write_u8(0);
        for recalled in recall {
            hash_recall(recalled, state);
        }
        state.write_u8(0);
        for want in wants {
            hash_standing(want, numbers, state);
        }
    }
}

fn hash_recall<C: Hash, H: Hasher>(recalled: &RecallStep<C>, state: &mut H) {
    let RecallStep {
        step,
        busy_sent,
        busy,
        blockers: _,
    } = recalled;
    hash_step(step, state);
    (busy_sent, busy).hash(state);
}

fn hash_standing<L: Hash, H: Hasher>(
    want: &StandingWant<L>,
    numbers: &mut LinkNumbers,
    state: &mut H,
) {
    let StandingWant {
        order,
        version,
        level,
    } = want;
    state.write_u8(1);
    hash_order(order, state);
    numbers.note_version(OWN_LINK, *version);
    level.hash(state);
}

fn hash_debtor<C: Hash, H: Hasher>(
    peer: PeerId,
    debtor: &Debtor<C>,
    numbers: &mut LinkNumbers,
    state: &mut H,
) {
    // Limits matter only after thousands of exclusive holds, and no time passes.
    let Debtor {
        loan,
        id,
        limit: _,
        room: _,
        asked_at: _,
        // The explorer has no rules.
        may_have: _,
        limit_owed,
        sent,
        silent,
        is_claimed,
        absent,
    } = debtor;
    loan.hash(state);
    id.is_some().hash(state);
    if let Some(id) = id {
        numbers.note_loan(peer.0 as u8, *id);
    }
    (limit_owed, silent, is_claimed, absent).hash(state);
    for step in sent {
        hash_step(step, state);
    }
    state.write_u8(0);
}

fn hash_waiting<L: Hash, H: Hasher>(item: &Waiting<L>, numbers: &mut LinkNumbers, state: &mut H) {
    let Waiting {
        order,
        asker,
        level,
        try_only,
        deadline,
        try_until,
        note: _,
        denied_above,
        busy,
        blockers: _,
        group,
        gives_way: _,
    } = item;
    state.write_u8(1);
    hash_order(order, state);
    match asker {
        Asker::Convert(token) => (1_u8, token).hash(state),
        Asker::Debtor(peer, version) => {
            numbers.note_version(peer.0 as u8, *version);
            (2_u8, peer).hash(state);
        }
        Asker::Local(token) => (3_u8, token).hash(state),
    }
    (
        level,
        try_only,
        deadline,
        try_until,
        denied_above,
        busy,
        group,
    )
        .hash(state);
}

/// A value. The bytes of an exploration tell which write it is, and so its version.
pub(crate) fn hash_value<H: Hasher>(value: Option<&Arc<Value>>, clocks: Clocks, state: &mut H) {
    let Some(Value {
        version,
        state: how_sure,
        bytes,
    }) = value.map(|value| &**value)
    else {
        return state.write_u8(0);
    };
    (1_u8, how_sure, bytes).hash(state);
    if clocks == Clocks::Kept {
        state.write_u64(*version);
    }
}

/// A step, told from the end of a list by its first byte.
pub(crate) fn hash_step<C: Hash, H: Hasher>(step: &Step<C>, state: &mut H) {
    let Step {
        order,
        keep,
        try_only,
        whole,
        note: _,
    } = step;
    state.write_u8(1);
    hash_order(order, state);
    (keep, try_only, whole).hash(state);
}
