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

use super::notice::Missed;
use super::walk::{Asking, PendingGrant, Walk};
use super::{Asker, Owner, RecallStep, Spare, Waiting, sum};
use crate::credit::{Credit, Level};
use crate::effect::{Effect, Effects};
use crate::error::Denied;
use crate::id::{Class, Order, PeerId, Token};
use crate::message::{BLOCKERS_MAX, Blocker, BlockerKind, Blockers, Message, Refusal};
use crate::resource::{Lending, ResourceType};
use crate::time::Time;

impl<T: ResourceType> Owner<T> {
    /// Decides everything that can be decided now. Every input ends here.
    pub(super) fn balance(&mut self, now: Time, spare: Spare, fx: &mut Effects<T>) {
        if self.is_shut {
            return;
        }
        if self.is_silent() {
            self.forget_strangers();
            #[cfg(debug_assertions)]
            self.check();
            return;
        }
        let spare = self.spare(spare);
        if !self.is_settled() || spare == Spare::Return {
            // Another pass happens only after a conversion was granted or a group came to hold something: each request
            // does either once.
            for _ in 0..=2 * self.waiting.len() {
                let mut walk = self.walk(now, fx);
                let missed = core::mem::take(&mut walk.missed);
                let gave_back = walk.gave_back;
                self.settle(now, walk, spare, fx);
                if !self.promote_groups(fx) && !gave_back {
                    self.tell_holders(now, &missed, fx);
                    break;
                }
            }
        } else {
            self.tell_holders(now, &[], fx);
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

    fn walk(&mut self, now: Time, fx: &mut Effects<T>) -> Walk<T::Credit, T::Level> {
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
        self.visit_wind_up(&mut walk, &steps);
        self.recall = steps;
        walk
    }

    /// A step of the creditor's recall.
    fn visit_step(
        &self,
        walk: &mut Walk<T::Credit, T::Level>,
        recalled: &mut RecallStep<T::Credit>,
    ) {
        let step = &recalled.step;
        let excess = self.borrowed.less(&step.keep).less(&walk.owed);
        walk.owed = sum(&walk.owed, &excess);
        walk.loan = walk.loan.beyond(&T::Level::of(&excess));
        let have = walk.free.meet(&excess);
        walk.free = walk.free.less(&have);
        let miss = excess.less(&have);
        if miss.is_empty() || !step.whole {
            walk.give = sum(&walk.give, &have);
        }
        if miss.is_empty() {
            return;
        }
        let level = T::Level::of(&miss);
        walk.note_unmet(None, &level);
        walk.note_convert(step.order, None, &level);
        if !step.try_only && !self.holds.is_empty() {
            walk.note_missed(Missed {
                order: step.order,
                level: level.clone(),
                note: step.note.clone(),
                converts: None,
                group: None,
            });
        }
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
                let asks = (step.order, &T::Level::of(&excess));
                let blockers = self.blockers(known, asks, &level, None);
                walk.busy.push((step.order, blockers));
            }
        }
        walk.ask(self, &asking, |keep| keep.meet(&miss));
    }

    /// A waiting request. Returns it if it still waits.
    fn visit(
        &mut self,
        walk: &mut Walk<T::Credit, T::Level>,
        now: Time,
        mut item: Waiting<T::Level>,
        fx: &mut Effects<T>,
    ) -> Option<Waiting<T::Level>> {
        let debtor = item.asker.debtor();
        let is_deaf = |peer| self.debtors[&peer].silent || self.is_orphan();
        if debtor.is_some_and(is_deaf) || self.is_barred(item.order) {
            return Some(item);
        }
        let wide = self.widened_then(walk, &item);
        let level = wide.as_ref().unwrap_or(&item.level);
        let (need, tail) = self.need(walk, &item, level);
        let recolours = wide.is_some() && self.may_recolour(walk, &item, &tail);
        if let Some(mut taken) = need.draw_all(&walk.free)
            && (!recolours || self.fence.has_room())
        {
            let mut level = level;
            if recolours {
                level = &item.level;
                taken = self.need(walk, &item, level).0.draw(&taken);
            }
            match item.asker {
                Asker::Debtor(peer, version) => {
                    let tail = walk.take_along(self, peer, &tail);
                    let total = tail.as_ref().map(|tail| sum(&taken, tail));
                    if let (Some(tail), Some(delta)) = (tail, total)
                        && !delta.is_empty()
                    {
                        let grant = PendingGrant {
                            peer,
                            order: item.order,
                            version,
                            delta,
                            colour: None,
                        };
                        if recolours {
                            self.recolour(level);
                            self.fence.tick();
                        }
                        self.lend(walk, grant, level, &taken, &tail);
                        return None;
                    }
                }
                Asker::Local(_) | Asker::Convert(_) => {
                    let credit = self.held_then(&item, level, &taken);
                    let ticks = self.ticks(&credit);
                    if !ticks || self.fence.has_room() {
                        if recolours {
                            self.recolour(level);
                        }
                        if recolours && !ticks {
                            self.fence.tick();
                        }
                        walk.free = walk.free.less(&taken);
                        self.hand_over(walk, now, item, credit, &taken, fx);
                        return None;
                    }
                }
            }
        }
        if self.is_deadlocked(walk, &item) {
            self.deny(&item, Refusal::Deadlock, fx);
            return None;
        }
        let have = need.draw(&walk.free);
        let miss = need.beyond(&T::Level::of(&have));
        if item.try_only && self.is_hopeless(walk, &item, &have, &need) {
            self.deny(&item, Refusal::Busy, fx);
            return None;
        }
        walk.free = walk.free.less(&have);
        let group = self.group_of(&item);
        walk.note_convert(item.order, group, &miss);
        if !miss.is_zero() && !item.try_only && !self.holds.is_empty() {
            walk.note_missed(Missed {
                order: item.order,
                level: miss.clone(),
                note: item.note.clone(),
                converts: match item.asker {
                    Asker::Convert(token) => Some(token),
                    Asker::Debtor(..) | Asker::Local(_) => None,
                },
                group,
            });
        }
        walk.note_unmet(debtor, &miss);
        let asking = Asking {
            debtor,
            order: item.order,
            try_only: item.try_only,
            whole: need.reaches(&self.pot(walk, &item, &have, &[])),
            note: item.note.as_ref(),
        };
        walk.ask(self, &asking, |keep| miss.draw(keep));
        if let Some(peer) = debtor {
            let plan = walk.plan(self, peer);
            // Not what it reckons with in another colour: once that is changed it keeps what it asked for.
            plan.serve(&item.level, T::LENDING);
            plan.laid = sum(&plan.laid, &have);
        }
        if !self.is_root() && !item.denied_above {
            let level = walk.loan.plus(&miss, &self.capital);
            let level = level.only_where(&level.beyond(&walk.loan));
            if !level.is_zero() {
                if T::LENDING == Lending::Loaned {
                    walk.loan = walk.loan.at_least(&level);
                }
                let level = self.tinted(level, &item.level);
                walk.wanted.push((item.order, level));
            }
        }
        item.busy.retain(|peer| self.debtors.contains_key(peer));
        Some(item)
    }

    /// Whether a `try` would have to wait for somebody: not enough even if all came that may still come.
    fn is_hopeless(
        &self,
        walk: &mut Walk<T::Credit, T::Level>,
        item: &Waiting<T::Level>,
        have: &T::Credit,
        need: &T::Level,
    ) -> bool {
        !self.pot(walk, item, have, &item.busy).reaches(need)
    }

    /// All that may still come to a request beside what it has: from debtors but itself and those that said no, and
    /// from the creditor.
    fn pot(
        &self,
        walk: &mut Walk<T::Credit, T::Level>,
        item: &Waiting<T::Level>,
        have: &T::Credit,
        busy: &[PeerId],
    ) -> T::Level {
        let reach = walk.reach(self, item.asker.debtor(), busy);
        let pot = T::Level::of(&have.raise(&reach, &self.capital));
        if self.is_root() || item.denied_above {
            return pot;
        }
        let above = T::Level::of(&self.capital).beyond(&walk.loan);
        pot.plus(&above, &self.capital)
    }

    /// Whether an older conversion, or an older request of a group that holds, misses part of what this one or its group
    /// holds: each would wait for the other.
    fn is_deadlocked(&self, walk: &Walk<T::Credit, T::Level>, item: &Waiting<T::Level>) -> bool {
        if walk.convert_missed.is_empty() || item.order.class != Class::Convert {
            return false;
        }
        let has = self.has_already(item.asker, item.group);
        let own = self.group_of(item);
        let mut others = walk.convert_missed.iter();
        others.any(|(group, miss)| {
            let is_kin = group.is_some() && *group == own;
            !is_kin && !miss.draw(&has).is_empty()
        })
    }

    /// What a request still needs, and what it takes for granted from older wants of the same debtor.
    fn need(
        &self,
        walk: &mut Walk<T::Credit, T::Level>,
        item: &Waiting<T::Level>,
        level: &T::Level,
    ) -> (T::Level, T::Level) {
        let nothing = || T::Level::of(&T::Credit::empty());
        match item.asker {
            Asker::Debtor(peer, _) => {
                let plan = walk.plan(self, peer);
                let need = level.beyond(&plan.projected);
                let tail = level.beyond(&T::Level::of(&plan.keep)).beyond(&need);
                (need, tail)
            }
            Asker::Convert(_) => {
                let has = T::Level::of(&self.has_already(item.asker, item.group));
                (level.beyond(&has), nothing())
            }
            Asker::Local(_) if item.group.is_some() => {
                let has = T::Level::of(&self.has_already(item.asker, item.group));
                (level.beyond(&has), nothing())
            }
            Asker::Local(_) => (level.clone(), nothing()),
        }
    }

    /// What a local request may use once it has got `taken`.
    fn held_then(
        &self,
        item: &Waiting<T::Level>,
        level: &T::Level,
        taken: &T::Credit,
    ) -> T::Credit {
        match (item.asker, item.group) {
            (Asker::Local(_), None) | (Asker::Debtor(..), _) => taken.clone(),
            (Asker::Convert(_), _) | (Asker::Local(_), Some(_)) => {
                let has = self.has_already(item.asker, item.group);
                level.draw(&sum(&has, taken))
            }
        }
    }

    /// A loan, in the books.
    fn lend(
        &mut self,
        walk: &mut Walk<T::Credit, T::Level>,
        mut grant: PendingGrant<T::Credit>,
        level: &T::Level,
        taken: &T::Credit,
        tail: &T::Credit,
    ) {
        grant.colour = self.colour_with(&grant.delta);
        let delta = &grant.delta;
        walk.free = walk.free.less(taken);
        if T::LENDING == Lending::Loaned {
            walk.keep_total = sum(&walk.keep_total, delta);
        }
        let plan = walk.plan(self, grant.peer);
        plan.laid = plan.laid.less(tail);
        plan.serve(level, T::LENDING);
        plan.keep = sum(&plan.keep, delta);
        for step in &mut plan.steps {
            step.keep = sum(&step.keep, delta);
        }
        self.add_to_loan(grant.peer, delta);
        walk.grants.push(grant);
    }

    /// Moves credit from the cache into a debtor's loan, or gives it away for good.
    pub(super) fn add_to_loan(&mut self, peer: PeerId, delta: &T::Credit) {
        self.cached = self.cached.less(delta);
        if T::LENDING == Lending::UsedUp {
            self.borrowed = self.borrowed.less(delta);
            return;
        }
        let fresh = self.debtors[&peer].id.is_none().then(|| self.open_loan());
        self.unlent -= u32::from(fresh.is_some());
        let debtor = self
            .debtors
            .get_mut(&peer)
            .expect("a debtor that asks is in the book");
        debtor.id = debtor.id.or(fresh);
        debtor.loan = sum(&debtor.loan, delta);
        self.lent = sum(&self.lent, delta);
        self.forget_colour();
    }

    /// A local hold of `credit`, for which `taken` goes out of the cache, in the books.
    fn hand_over(
        &mut self,
        walk: &mut Walk<T::Credit, T::Level>,
        now: Time,
        item: Waiting<T::Level>,
        credit: T::Credit,
        taken: &T::Credit,
        fx: &mut Effects<T>,
    ) {
        self.cached = self.cached.less(taken);
        let fence = if self.ticks(&credit) {
            self.fence.tick()
        } else {
            self.fence.now()
        };
        let token = match item.asker {
            Asker::Convert(token) => {
                let hold = self.holds.get_mut(token).expect("only a holder converts");
                hold.fence = fence;
                let back = match hold.group() {
                    Some(group) => {
                        hold.credit = sum(&hold.credit, taken);
                        hold.ties_mut().group = Some((group, credit));
                        self.share_out(group)
                    }
                    None => {
                        let all = sum(&hold.credit, taken);
                        let back = all.less(&credit);
                        hold.credit = credit;
                        back
                    }
                };
                walk.gave_back |= !back.is_empty();
                self.take_back(&back);
                token
            }
            Asker::Local(token) => {
                let part = if item.group.is_some() { taken } else { &credit };
                self.holds
                    .insert(token, part.clone(), fence, now, item.note);
                if item.group.is_some() || item.gives_way.is_some() {
                    let hold = self.holds.get_mut(token).expect("it was put there above");
                    let ties = hold.ties_mut();
                    ties.group = item.group.map(|group| (group, credit));
                    ties.gives_way = item.gives_way;
                }
                token
            }
            Asker::Debtor(..) => unreachable!("a debtor's want is lent to, not handed over"),
        };
        fx.push(Effect::Grant { token, fence });
    }

    /// Refuses a request that no longer stands in the list.
    pub(super) fn deny(&self, item: &Waiting<T::Level>, why: Refusal, fx: &mut Effects<T>) {
        let known = item.blockers.clone();
        let wide = self.widened(&item.level);
        let level = wide.as_ref().unwrap_or(&item.level);
        let miss = level.beyond(&T::Level::of(&self.cached));
        let asks = (item.order, level);
        let blockers = self.blockers(known, asks, &miss, item.asker.token());
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
            Refusal::NotAllowed => Denied::NotAllowed { blockers },
            Refusal::Refused => Denied::Refused,
            Refusal::ShuttingDown => Denied::ShuttingDown,
        };
        fx.push(Effect::Deny { token, why });
    }

    /// Who is in the way of who asks for that much: those that peers named, holders here of what it misses, and older
    /// requests here that ask for some of the same.
    fn blockers(
        &self,
        known: Blockers,
        (order, asked): (Order, &T::Level),
        miss: &T::Level,
        own: Option<Token>,
    ) -> Blockers {
        let mut blockers = known;
        let holders = self
            .holds
            .iter()
            .filter(|(token, hold)| Some(*token) != own && !miss.draw(&hold.credit).is_empty())
            .take(BLOCKERS_MAX);
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
                .filter(|w| !w.level.only_where(asked).is_zero())
                .take(BLOCKERS_MAX)
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
