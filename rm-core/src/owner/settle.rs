//! What `balance` does about what its walk worked out: policy, returns, wants, grants and recalls.
//!
//! The order in which messages leave matters: a return goes before the busy, unwant or want of the same
//! balance, so that the creditor's book never claims more for a debtor than the debtor has asked to keep.

use std::collections::BTreeMap;

use super::walk::{PendingGrant, Walk};
use super::{Owner, Spare, StandingWant, Upstream, sum};
use crate::credit::{Credit, Level};
use crate::effect::{Effect, Effects};
use crate::id::{Order, Version};
use crate::message::{Grant, Message, Want};
use crate::policy::Decision;
use crate::resource::{Lending, ResourceType};
use crate::time::Time;

/// Above so many loans of one resource in one epoch the root asks for the next one.
const LOANS_LOW: u32 = u32::MAX / 2;

impl<T: ResourceType> Owner<T> {
    pub(super) fn settle(
        &mut self,
        now: Time,
        mut walk: Walk<T::Credit, T::Level>,
        spare: Spare,
        fx: &mut Effects<T>,
    ) {
        self.add_extra(&mut walk, fx);
        self.give_back(&mut walk, spare, fx);
        self.settle_wants(now, &walk, fx);
        self.tell_debtors(walk, fx);
    }

    /// The policy's extra on top of grants, out of what nothing waits for.
    fn add_extra(&mut self, walk: &mut Walk<T::Credit, T::Level>, fx: &mut Effects<T>) {
        // It goes with the last grant to each.
        let grants = walk.grants.iter().enumerate();
        let last: BTreeMap<_, _> = grants.map(|(index, grant)| (grant.peer, index)).collect();
        for index in 0..walk.grants.len() {
            let peer = walk.grants[index].peer;
            if last[&peer] != index {
                continue;
            }
            let extra = self.extra_for(peer, &walk.free);
            if extra.is_empty() {
                continue;
            }
            fx.decided(Decision::ExtraGranted);
            walk.free = walk.free.less(&extra);
            let grant = &mut walk.grants[index];
            grant.colour = grant.colour.or(self.colour_with(&extra));
            grant.delta = sum(&grant.delta, &extra);
            for step in walk
                .plans
                .get_mut(&peer)
                .into_iter()
                .flat_map(|plan| &mut plan.steps)
            {
                step.keep = sum(&step.keep, &extra);
            }
            self.add_to_loan(peer, &extra);
        }
    }

    /// What is recalled and free goes back, with the policy's part of what is spare beside it.
    fn give_back(
        &mut self,
        walk: &mut Walk<T::Credit, T::Level>,
        spare: Spare,
        fx: &mut Effects<T>,
    ) {
        if spare == Spare::Return && T::LENDING == Lending::UsedUp && !self.is_root() {
            // Nobody takes it back: it leaves a hole.
            self.borrowed = self.borrowed.less(&walk.free);
            self.cached = self.cached.less(&walk.free);
            walk.free = T::Credit::empty();
        }
        // An orphan cannot shrink.
        let Some(creditor) = self.creditor().filter(|_| !self.is_orphan()) else {
            return;
        };
        let beside = match spare {
            Spare::Return => walk.free.clone(),
            Spare::Keep => self.beside(walk, fx),
        };
        walk.free = walk.free.less(&beside);
        let give = sum(&walk.give, &beside);
        self.give(&give, fx);
        // A step that is met asks for nothing: only a grant could undo that, and it replaces the register.
        let borrowed = &self.borrowed;
        self.recall
            .retain(|recalled| !recalled.step.keep.covers(borrowed));
        for (order, blockers) in walk.busy.drain(..) {
            fx.send(creditor, Message::Busy { order, blockers });
        }
    }

    /// Sends credit that is cached here back to the creditor.
    pub(super) fn give(&mut self, give: &T::Credit, fx: &mut Effects<T>) {
        let Upstream::Debtor {
            peer: Some(creditor),
            loan,
            ..
        } = self.upstream
        else {
            return;
        };
        if give.is_empty() {
            return;
        }
        self.borrowed = self.borrowed.less(give);
        self.cached = self.cached.less(give);
        fx.push(Effect::Leaving);
        let (fence, value) = (self.fence.now(), self.take_news());
        let (delta, colour) = (give.clone(), self.colour_with(give));
        fx.send(
            creditor,
            Message::Return {
                loan,
                delta,
                fence,
                value,
                colour,
            },
        );
        self.forget_colour();
        if self.borrowed.is_empty() {
            self.forget_value();
        }
    }

    /// Makes the wants at the creditor those that the walk found.
    fn settle_wants(&mut self, now: Time, walk: &Walk<T::Credit, T::Level>, fx: &mut Effects<T>) {
        let Upstream::Debtor {
            peer: Some(creditor),
            ..
        } = self.upstream
        else {
            self.wants.clear();
            return;
        };
        for (order, level) in &walk.wanted {
            let place = self.wants.binary_search_by_key(order, |want| want.order);
            if place.is_ok_and(|index| self.wants[index].level == *level) {
                continue;
            }
            self.version = Version(self.version.0 + 1);
            let want = StandingWant {
                order: *order,
                version: self.version,
                level: level.clone(),
            };
            match place {
                Ok(index) => self.wants[index] = want,
                Err(index) => self.wants.insert(index, want),
            }
            fx.send(creditor, Message::Want(self.want(now, *order, level)));
        }
        // Only now: a want that is taken back before another one comes would let younger requests pass that one.
        self.wants.retain(|want| {
            let place = walk
                .wanted
                .binary_search_by_key(&want.order, |wanted| wanted.0);
            let is_wanted = place.is_ok();
            if !is_wanted {
                fx.send(creditor, Message::Unwant { order: want.order });
            }
            is_wanted
        });
    }

    fn want(&self, now: Time, order: Order, level: &T::Level) -> Want<T::Level> {
        let index = self.waiting.binary_search_by_key(&order, |w| w.order);
        let waiting = &self.waiting[index.expect("only what waits here is wanted")];
        Want {
            order,
            version: self.version,
            level: level.clone(),
            try_only: waiting.try_only,
            deadline: waiting.deadline.map(|at| at.since(now)),
            note: waiting.note.clone(),
        }
    }

    /// Sends the grants, each with its debtor's register, and the registers that changed otherwise.
    fn tell_debtors(&mut self, mut walk: Walk<T::Credit, T::Level>, fx: &mut Effects<T>) {
        if self.recalling > 0 {
            let recalled = self
                .debtors
                .iter()
                .filter(|(_, debtor)| !debtor.sent.is_empty());
            for peer in recalled.map(|(&peer, _)| peer).collect::<Vec<_>>() {
                walk.plan(self, peer);
            }
        }
        // By peer, as the plans are; those to one peer in the order in which they were given.
        let mut grants = core::mem::take(&mut walk.grants);
        grants.sort_by_key(|grant| grant.peer);
        let mut grants = grants.into_iter().peekable();
        for (peer, plan) in walk.plans {
            let to_peer = || grants.next_if(|grant| grant.peer <= peer);
            let mine: Vec<_> = core::iter::from_fn(to_peer).collect();
            let Some(debtor) = self.debtors.get_mut(&peer) else {
                continue;
            };
            let loan = match T::LENDING {
                Lending::Loaned => debtor.id,
                Lending::UsedUp => Some(self.last_loan),
            };
            let Some(loan) = loan else {
                continue;
            };
            if debtor.absent.is_some() {
                continue;
            }
            // Steps that the debtor has met are not in `sent`; so an empty register here lifts one that
            // could still do something.
            if mine.is_empty() && plan.steps == debtor.sent {
                continue;
            }
            self.learned.note_asked(&plan.steps);
            self.recalling -= u32::from(!debtor.sent.is_empty());
            self.recalling += u32::from(!plan.steps.is_empty());
            debtor.sent = plan.steps.clone();
            if mine.is_empty() {
                fx.send(
                    peer,
                    Message::Recall {
                        loan,
                        steps: plan.steps,
                    },
                );
                continue;
            }
            let fence = self.fence.now();
            let room = fence.saturating_add(2 * debtor.room);
            debtor.limit = debtor.limit.max(room.min(self.fence.limit()));
            for PendingGrant {
                order,
                version,
                delta,
                colour,
                ..
            } in mine
            {
                // Also where the loan was open: what the debtor had of it may be on its way back, and then it has
                // forgotten the value.
                let value = self.known.value.clone();
                fx.send(
                    peer,
                    Message::Grant(Grant {
                        loan,
                        order,
                        version,
                        delta,
                        steps: plan.steps.clone(),
                        fence,
                        limit: debtor.limit,
                        value,
                        colour,
                    }),
                );
            }
        }
    }

    /// Asks the creditor for a higher limit of the fence, once, when half of it is used or a debtor needs it.
    pub(super) fn ask_for_limit(&mut self, fx: &mut Effects<T>) {
        let Upstream::Debtor {
            peer: Some(creditor),
            loan,
            ..
        } = self.upstream
        else {
            return;
        };
        if !self.borrowed.is_empty()
            && !self.is_orphan()
            && (self.fence.should_ask() || self.owes_limit())
        {
            self.fence.mark_asked();
            fx.send(creditor, Message::AskLimit { loan });
        }
    }

    /// Whether a debtor waits for a limit that this owner cannot give, and nobody has asked for it.
    fn owes_limit(&self) -> bool {
        !self.fence.is_asked() && self.debtors.values().any(|debtor| debtor.limit_owed)
    }

    /// Whether the fencing numbers or the loans of this epoch run out: the root needs a new one.
    #[must_use]
    pub fn needs_epoch(&self) -> bool {
        self.is_root()
            && (self.fence.is_low()
                || self.last_loan.counter > LOANS_LOW
                || self.debtors.values().any(|debtor| debtor.limit_owed)
                || self.is_used_up())
    }

    /// Whether the root needs a new epoch to have anything to give: little is left, or less than somebody waits for.
    fn is_used_up(&self) -> bool {
        if T::LENDING == Lending::Loaned {
            return false;
        }
        let (left, opening) = (T::Level::of(&self.cached), T::Level::of(&self.opening()));
        let mut waiting = self.waiting.iter();
        T::runs_low(&self.cached, &self.opening())
            || waiting.any(|w| !left.reaches(&w.level) && opening.reaches(&w.level))
    }
}
