//! The one decision function.
//!
//! It walks, in one order, the waiting requests and the steps of the creditor's recall: a step is a request
//! of the creditor's for `borrowed - keep`.
//!
//! * What is covered by free credit is granted: a hold, a loan, a return.
//! * Otherwise the item *reserves* what there is of it, so that younger items cannot take it (its BARRIER
//!   pin), and what is missing is asked of every debtor but the one that asks, and of the creditor: of each
//!   the whole of it, since nobody knows who can give it first.
//! * A `try` that cannot be served without a holder or an older request letting go is denied, as soon as that
//!   is known.
//!
//! **Fairness.** Waiting withholds from the younger, never from the older; only holding withholds from all. The
//! oldest request in the world is first in the walk of every owner that it reaches; all free credit flows to
//! it there, and nothing but a holder can keep any back. So it goes on.
//!
//! **Bound.** One pass, over each item once and over each debtor once for each item that misses something. It is
//! repeated only after a conversion gave something back.
//!
//! Nothing of the walk outlives it but the books and the registers: reservations, concessions and levels
//! are worked out anew at the next input.

use std::sync::Arc;

use super::walk::{Asking, PendingGrant, Walk};
use super::{Asker, Owner, RecallStep, Spare, Waiting, sum};
use crate::credit::Credit;
use crate::effect::{Effect, Effects};
use crate::error::Denied;
use crate::id::{Order, PeerId, Token};
use crate::message::{BLOCKERS_MAX, Blocker, BlockerKind, Blockers, Message, Refusal};
use crate::resource::ResourceType;
use crate::time::Time;

impl<T: ResourceType> Owner<T> {
    /// Decides everything that can be decided now. Every input ends here.
    pub(super) fn balance(&mut self, now: Time, spare: Spare, fx: &mut Effects<T::Credit>) {
        if self.is_shut {
            return;
        }
        if !self.is_settled() || spare == Spare::Return {
            // A second pass happens only after a conversion was granted, and each is granted once.
            for _ in 0..=self.waiting.len() {
                let walk = self.walk(now, fx);
                let again = walk.gave_back;
                self.settle(now, walk, spare, fx);
                if !again {
                    break;
                }
            }
        }
        self.forget_strangers();
        self.ask_for_limit(fx);
        #[cfg(debug_assertions)]
        self.check();
    }

    /// Whether there is nothing to decide about what is cached.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty()
            && self.recall.is_empty()
            && self.wants.is_empty()
            && self.recalling == 0
            && !self.learned.returns_with_release()
    }

    /// Debtors with neither loan nor want are no debtors.
    pub(super) fn forget_strangers(&mut self) {
        if self.unlent == 0 {
            return;
        }
        let asking = self.waiting.iter().filter_map(|w| w.asker.debtor());
        let mut asking: Vec<_> = asking.collect();
        asking.sort_unstable();
        let mut unlent = 0;
        self.debtors.retain(|peer, debtor| {
            let asks = debtor.id.is_none() && asking.binary_search(peer).is_ok();
            unlent += u32::from(asks);
            debtor.id.is_some() || asks
        });
        self.unlent = unlent;
    }

    fn walk(&mut self, now: Time, fx: &mut Effects<T::Credit>) -> Walk<T::Credit> {
        let mut walk = Walk::new(self);
        let mut steps = core::mem::take(&mut self.recall);
        let waiting = core::mem::take(&mut self.waiting);
        let mut next_step = 0;
        for item in waiting {
            while next_step < steps.len() && steps[next_step].step.order < item.order {
                self.visit_step(&mut walk, &mut steps[next_step]);
                next_step += 1;
            }
            if let Some(item) = self.visit(&mut walk, now, item, fx) {
                self.waiting.push(item);
            }
        }
        for step in &mut steps[next_step..] {
            self.visit_step(&mut walk, step);
        }
        self.recall = steps;
        walk
    }

    /// A step of the creditor's recall.
    fn visit_step(&self, walk: &mut Walk<T::Credit>, recalled: &mut RecallStep<T::Credit>) {
        let step = &recalled.step;
        let excess = self.borrowed.less(&step.keep).less(&walk.owed);
        walk.owed = sum(&walk.owed, &excess);
        walk.loan = walk.loan.less(&excess);
        let have = walk.free.meet(&excess);
        walk.free = walk.free.less(&have);
        let miss = excess.less(&have);
        if miss.is_empty() || !step.whole {
            walk.give = sum(&walk.give, &have);
        }
        if miss.is_empty() {
            return;
        }
        walk.note_convert(step.order, &miss);
        let asking = Asking {
            debtor: None,
            order: step.order,
            try_only: step.try_only,
            whole: step.whole,
            note: step.note.as_ref(),
        };
        if step.try_only && !recalled.busy_sent {
            let reach = walk.reach(self, None, &recalled.busy);
            if !have.raise(&reach, &self.capital).covers(&excess) {
                recalled.busy_sent = true;
                let known = recalled.blockers.clone();
                walk.busy
                    .push((step.order, self.blockers(known, step.order, &miss, None)));
            }
        }
        walk.ask(self, &asking, &miss);
    }

    /// A waiting request. Returns it if it still waits.
    fn visit(
        &mut self,
        walk: &mut Walk<T::Credit>,
        now: Time,
        mut item: Waiting<T::Credit>,
        fx: &mut Effects<T::Credit>,
    ) -> Option<Waiting<T::Credit>> {
        let debtor = item.asker.debtor();
        if debtor.is_some_and(|peer| self.debtors[&peer].silent) {
            return Some(item);
        }
        let (need, tail) = self.need(walk, &item);
        let covered = walk.free.covers(&need);
        match item.asker {
            Asker::Debtor(peer, version) => {
                let total = sum(&need, &tail);
                if covered && !total.is_empty() && walk.plan(self, peer).laid.covers(&tail) {
                    let grant = PendingGrant {
                        peer,
                        order: item.order,
                        version,
                        delta: total,
                    };
                    self.lend(walk, grant, &need, &tail);
                    return None;
                }
            }
            Asker::Local(_) | Asker::Convert(_) => {
                let ticks = T::ticks(&item.level, &self.capital);
                if covered && (!ticks || self.fence.has_room()) {
                    walk.free = walk.free.less(&need);
                    self.hand_over(walk, now, item, &need, ticks, fx);
                    return None;
                }
            }
        }
        if self.is_deadlocked(walk, &item) {
            self.deny(&item, Refusal::Deadlock, fx);
            return None;
        }
        let have = walk.free.meet(&need);
        let miss = need.less(&have);
        if item.try_only && self.is_hopeless(walk, &item, &have, &need) {
            self.deny(&item, Refusal::Busy, fx);
            return None;
        }
        let above = self.capital.less(&walk.loan);
        walk.free = walk.free.less(&have);
        walk.note_convert(item.order, &miss);
        let mut all = have.raise(&walk.reach(self, debtor, &[]), &self.capital);
        if !self.is_root() {
            all = all.raise(&above, &self.capital);
        }
        let asking = Asking {
            debtor,
            order: item.order,
            try_only: item.try_only,
            whole: need.covers(&all),
            note: item.note.as_ref(),
        };
        walk.ask(self, &asking, &miss);
        if let Some(peer) = debtor {
            let plan = walk.plan(self, peer);
            plan.projected = plan.projected.sup(&item.level);
            plan.laid = sum(&plan.laid, &have);
        }
        if !self.is_root() && !item.denied_above {
            let level = walk.loan.raise(&miss, &self.capital);
            let level = level.restrict(&level.less(&walk.loan));
            if !level.is_empty() {
                walk.loan = walk.loan.sup(&level);
                walk.wanted.push((item.order, level));
            }
        }
        item.busy.retain(|peer| self.debtors.contains_key(peer));
        Some(item)
    }

    /// Whether a `try` would have to wait for somebody: not enough even if all came that may still come.
    fn is_hopeless(
        &self,
        walk: &mut Walk<T::Credit>,
        item: &Waiting<T::Credit>,
        have: &T::Credit,
        need: &T::Credit,
    ) -> bool {
        let reach = walk.reach(self, item.asker.debtor(), &item.busy);
        let mut pot = have.raise(&reach, &self.capital);
        if !self.is_root() && !item.denied_above {
            pot = pot.raise(&self.capital.less(&walk.loan), &self.capital);
        }
        !pot.covers(need)
    }

    /// Whether an older conversion misses part of what this one holds: each would wait for the other.
    fn is_deadlocked(&self, walk: &Walk<T::Credit>, item: &Waiting<T::Credit>) -> bool {
        let Asker::Convert(token) = item.asker else {
            return false;
        };
        let hold = self.holds.get(token);
        hold.is_some_and(|hold| !walk.convert_missed.meet(&hold.credit).is_empty())
    }

    /// What a request still needs, and what it takes for granted from older wants of the same debtor.
    fn need(
        &self,
        walk: &mut Walk<T::Credit>,
        item: &Waiting<T::Credit>,
    ) -> (T::Credit, T::Credit) {
        match item.asker {
            Asker::Debtor(peer, _) => {
                let plan = walk.plan(self, peer);
                let need = item.level.less(&plan.projected);
                let tail = item.level.less(&plan.keep).less(&need);
                (need, tail)
            }
            Asker::Convert(token) => {
                let held = self.holds.get(token).map(|hold| &hold.credit);
                let need = held.map_or_else(|| item.level.clone(), |held| item.level.less(held));
                (need, T::Credit::empty())
            }
            Asker::Local(_) => (item.level.clone(), T::Credit::empty()),
        }
    }

    /// A loan, in the books.
    fn lend(
        &mut self,
        walk: &mut Walk<T::Credit>,
        grant: PendingGrant<T::Credit>,
        need: &T::Credit,
        tail: &T::Credit,
    ) {
        let delta = &grant.delta;
        walk.free = walk.free.less(need);
        walk.keep_total = sum(&walk.keep_total, delta);
        let plan = walk.plan(self, grant.peer);
        plan.laid = plan.laid.less(tail);
        plan.projected = sum(&plan.projected, need);
        plan.keep = sum(&plan.keep, delta);
        for step in &mut plan.steps {
            step.keep = sum(&step.keep, delta);
        }
        self.add_to_loan(grant.peer, delta);
        walk.grants.push(grant);
    }

    /// Moves credit from the cache into a debtor's loan.
    pub(super) fn add_to_loan(&mut self, peer: PeerId, delta: &T::Credit) {
        let fresh = self.debtors[&peer].id.is_none().then(|| self.open_loan());
        self.unlent -= u32::from(fresh.is_some());
        let debtor = self
            .debtors
            .get_mut(&peer)
            .expect("a debtor that asks is in the book");
        debtor.id = debtor.id.or(fresh);
        debtor.loan = sum(&debtor.loan, delta);
        self.cached = self.cached.less(delta);
        self.lent = sum(&self.lent, delta);
    }

    /// A local hold, in the books.
    fn hand_over(
        &mut self,
        walk: &mut Walk<T::Credit>,
        now: Time,
        item: Waiting<T::Credit>,
        need: &T::Credit,
        ticks: bool,
        fx: &mut Effects<T::Credit>,
    ) {
        self.cached = self.cached.less(need);
        let fence = if ticks {
            self.fence.tick()
        } else {
            self.fence.now()
        };
        let token = match item.asker {
            Asker::Convert(token) => {
                let hold = self.holds.get_mut(token).expect("only a holder converts");
                let back = hold.credit.less(&item.level);
                hold.credit = item.level;
                hold.fence = fence;
                walk.gave_back |= !back.is_empty();
                self.cached = sum(&self.cached, &back);
                token
            }
            Asker::Local(token) => {
                self.holds.insert(token, item.level, fence, now, item.note);
                token
            }
            Asker::Debtor(..) => unreachable!("a debtor's want is lent to, not handed over"),
        };
        fx.push(Effect::Grant { token, fence });
    }

    /// Refuses a request that no longer stands in the list.
    pub(super) fn deny(
        &self,
        item: &Waiting<T::Credit>,
        why: Refusal,
        fx: &mut Effects<T::Credit>,
    ) {
        let known = item.blockers.clone();
        let blockers = self.blockers(
            known,
            item.order,
            &item.level.less(&self.cached),
            item.asker.token(),
        );
        let token = match item.asker {
            Asker::Debtor(to, version) => {
                fx.send(
                    to,
                    Message::Deny {
                        order: item.order,
                        version,
                        why,
                        blockers,
                    },
                );
                return;
            }
            Asker::Convert(token) | Asker::Local(token) => token,
        };
        let ahead = self.waiting.iter().filter(|w| w.order < item.order).count();
        let why = match why {
            Refusal::Busy => Denied::Busy { blockers },
            Refusal::Deadline => Denied::Timeout {
                blockers,
                ahead: ahead as u32,
            },
            Refusal::Deadlock => Denied::WouldDeadlock { blockers },
            Refusal::Refused => Denied::Refused,
        };
        fx.push(Effect::Deny { token, why });
    }

    /// Who is in the way of `order`: those that peers named, holders here of what it misses, older requests
    /// here.
    fn blockers(
        &self,
        known: Blockers,
        order: Order,
        miss: &T::Credit,
        own: Option<Token>,
    ) -> Blockers {
        let mut blockers = known;
        let holders = self
            .holds
            .iter()
            .filter(|(token, hold)| Some(*token) != own && !hold.credit.meet(miss).is_empty());
        blockers.extend(holders.map(|(_, hold)| Blocker {
            party: self.settings.party,
            kind: BlockerKind::Holder,
            note: Some(Arc::clone(
                hold.note.as_ref().unwrap_or(&self.settings.unlabelled),
            )),
        }));
        blockers.extend(
            self.waiting
                .iter()
                .take_while(|w| w.order < order)
                .map(|w| Blocker {
                    party: w.order.party,
                    kind: BlockerKind::Older,
                    note: w.note.clone(),
                }),
        );
        blockers.truncate(BLOCKERS_MAX);
        blockers
    }
}
