//! What one walk of `balance` works out, and the two questions it asks of the debtors.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::notice::{MISSED_MAX, Missed};
use super::{Owner, STEPS_MAX};
use crate::credit::{Colour, Credit, Level};
use crate::id::{Class, GroupId, Note, Order, PeerId, Version};
use crate::message::{Blockers, Step, Steps};
use crate::resource::{Lending, ResourceType};

/// The running account of a walk.
pub(super) struct Walk<C, L> {
    /// What is here, unused and not reserved.
    pub(super) free: C,
    /// The loan from the creditor when the items so far are served.
    pub(super) loan: L,
    /// Of it, what the steps so far take.
    pub(super) owed: C,
    /// What goes back to the creditor now.
    pub(super) give: C,
    /// What all debtors together keep after the concessions so far.
    pub(super) keep_total: C,
    /// Where debtors stand otherwise than in the book.
    pub(super) plans: BTreeMap<PeerId, Plan<C, L>>,
    /// The least that covers what older conversions miss: those of each group, and those of none.
    pub(super) convert_missed: BTreeMap<Option<GroupId>, L>,
    /// What is asked of the creditor, by order.
    pub(super) wanted: Vec<(Order, L)>,
    /// Loans given, in order.
    pub(super) grants: Vec<PendingGrant<C>>,
    /// Steps that cannot be met at once.
    pub(super) busy: Vec<(Order, Blockers)>,
    /// A granted conversion gave something back, which older items may want.
    pub(super) gave_back: bool,
    /// What is missing, oldest first: holders are told.
    pub(super) missed: Vec<Missed<L>>,
    /// What the items so far could not get, and of which debtor they are.
    unmet: Vec<(Option<PeerId>, L)>,
}

/// Where one debtor stands.
pub(super) struct Plan<C, L> {
    /// Its loan after the concessions so far.
    pub(super) keep: C,
    /// Its loan with its older wants served.
    pub(super) projected: L,
    /// What is reserved here for its wants.
    pub(super) laid: C,
    /// Its recall register.
    pub(super) steps: Steps<C>,
}

impl<C: Credit, L: Level<C>> Plan<C, L> {
    /// A want of that level is served, or will be: younger ones ask for what they need beyond it. Where credit is
    /// given for good there is no loan to reach, and each want says what it needs alone.
    pub(super) fn serve(&mut self, level: &L, lending: Lending) {
        if lending == Lending::Loaned {
            self.projected = self.projected.at_least(level);
        }
    }
}

/// A loan to be sent.
pub(super) struct PendingGrant<C> {
    pub(super) peer: PeerId,
    pub(super) order: Order,
    pub(super) version: Version,
    pub(super) delta: C,
    /// Of what is coloured of it.
    pub(super) colour: Option<Colour>,
}

/// For whom debtors are asked.
pub(super) struct Asking<'a> {
    /// The debtor that asks: it is not asked.
    pub(super) debtor: Option<PeerId>,
    pub(super) order: Order,
    pub(super) try_only: bool,
    pub(super) whole: bool,
    pub(super) note: Option<&'a Arc<Note>>,
}

impl<C: Credit, L: Level<C>> Walk<C, L> {
    pub(super) fn new<T: ResourceType<Credit = C, Level = L>>(owner: &Owner<T>) -> Self {
        // What was given for good is no loan: each want names what is missing for it, and nothing beside it.
        let loan = match T::LENDING {
            Lending::Loaned => L::of(&owner.borrowed),
            Lending::UsedUp => L::of(&C::empty()),
        };
        Self {
            free: owner.cached.clone(),
            loan,
            owed: C::empty(),
            give: C::empty(),
            keep_total: owner.lent.clone(),
            plans: BTreeMap::new(),
            convert_missed: BTreeMap::new(),
            wanted: Vec::new(),
            grants: Vec::new(),
            busy: Vec::new(),
            gave_back: false,
            missed: Vec::new(),
            unmet: Vec::new(),
        }
    }

    /// Somebody still misses something.
    pub(super) fn note_missed(&mut self, missed: Missed<L>) {
        if self.missed.len() < MISSED_MAX {
            self.missed.push(missed);
        }
    }

    /// Where a debtor stands; so far as in the book, if nothing was said.
    pub(super) fn plan<T: ResourceType<Credit = C, Level = L>>(
        &mut self,
        owner: &Owner<T>,
        peer: PeerId,
    ) -> &mut Plan<C, L> {
        self.plans.entry(peer).or_insert_with(|| {
            let loan = owner
                .debtors
                .get(&peer)
                .map_or_else(C::empty, |d| d.loan.clone());
            Plan {
                projected: L::of(&loan),
                keep: loan,
                laid: C::empty(),
                steps: Steps::new(),
            }
        })
    }

    /// An item, of a debtor or not, cannot get so much.
    pub(super) fn note_unmet(&mut self, debtor: Option<PeerId>, miss: &L) {
        // Before any debtor has a plan nothing is reserved for one.
        if !self.plans.is_empty() && !miss.is_zero() {
            self.unmet.push((debtor, miss.clone()));
        }
    }

    /// What a want takes along of what is reserved for older wants of its debtor, if that is all of `tail`.
    ///
    /// What older items of others could not get stays: it is theirs if the older want turns out to be over, of which
    /// word may be on its way. (Theirs are older than the want, and not older than what it takes along: they left
    /// nothing of what they miss for anybody after them.)
    pub(super) fn take_along<T: ResourceType<Credit = C, Level = L>>(
        &mut self,
        owner: &Owner<T>,
        peer: PeerId,
        tail: &L,
    ) -> Option<C> {
        if tail.is_zero() {
            return Some(C::empty());
        }
        let laid = self.plan(owner, peer).laid.clone();
        let others = (self.unmet.iter()).filter(|(debtor, _)| *debtor != Some(peer));
        tail.draw_all(&others.fold(laid, |laid, (_, miss)| laid.less(&miss.draw(&laid))))
    }

    /// What debtors still have to give, without the one that asks and those that said no.
    pub(super) fn reach<T: ResourceType<Credit = C, Level = L>>(
        &mut self,
        owner: &Owner<T>,
        asker: Option<PeerId>,
        busy: &[PeerId],
    ) -> C {
        let mut reach = self.keep_total.clone();
        for &peer in busy.iter().filter(|&&peer| Some(peer) != asker) {
            reach = reach.less(&self.plan(owner, peer).keep);
        }
        if let Some(peer) = asker {
            reach = reach.less(&self.plan(owner, peer).keep);
        }
        reach
    }

    /// Asks every debtor but the asker for all that is missing, which is `miss` of what it has: nobody knows who can give it first, and a
    /// share asked of one that holds it would wait beside another's that is free.
    pub(super) fn ask<T: ResourceType<Credit = C, Level = L>>(
        &mut self,
        owner: &Owner<T>,
        asking: &Asking<'_>,
        miss: impl Fn(&C) -> C,
    ) {
        // What was given for good is never asked back, not even what an older want got in this very walk.
        if T::LENDING == Lending::UsedUp || self.keep_total.is_empty() {
            return;
        }
        for (&peer, _) in owner
            .debtors
            .iter()
            .filter(|(peer, _)| Some(**peer) != asking.debtor)
        {
            let plan = self.plan(owner, peer);
            let conceded = miss(&plan.keep);
            if conceded.is_empty() {
                continue;
            }
            plan.keep = plan.keep.less(&conceded);
            plan.projected = plan.projected.beyond(&L::of(&conceded));
            if plan.steps.len() < STEPS_MAX {
                plan.steps.push(Step {
                    order: asking.order,
                    keep: plan.keep.clone(),
                    try_only: asking.try_only,
                    whole: asking.whole,
                    note: asking.note.cloned(),
                });
            }
            self.keep_total = self.keep_total.less(&conceded);
        }
    }

    /// An older conversion misses this: a younger one that holds part of it waits in a circle.
    ///
    /// Members of one group hold together, so they do not wait for each other.
    pub(super) fn note_convert(&mut self, order: Order, group: Option<GroupId>, miss: &L) {
        if order.class == Class::Convert && !miss.is_zero() {
            let missed = self.convert_missed.entry(group);
            let missed = missed.or_insert_with(|| L::of(&C::empty()));
            *missed = missed.at_least(miss);
        }
    }
}
