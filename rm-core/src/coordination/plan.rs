//! The next view: who goes, who stays, who comes, and who of those that could say so says it first.
//!
//! # Order
//!
//! Proposers are ranked: members before others, then by registration. The one of rank `n` waits `n` steps once there is
//! something to propose, so as a rule one proposes and the others see its view. Nothing rests on that: of two
//! proposals that compare the same view, the coordinator does one.

use core::time::Duration;
use std::collections::BTreeSet;

use crate::session::lease::LeaseTerms;
use crate::time::Time;
use crate::view::{MEMBERS_MAX, Member, View};

use super::roll::Entry;
use super::store::{Change, Compare, Key, RecordState, Transaction};
use super::{Command, Coordination, EPOCH_EVERY, Standing};

/// The most comparisons of one transaction: etcd's limit.
pub(super) const COMPARES_MAX: usize = 128;

/// What the next view changes.
#[derive(Debug)]
struct Plan {
    members: Vec<Member>,
    evicted: Vec<u64>,
}

impl Coordination {
    /// The proposal that is due, if one is.
    pub(super) fn propose(&mut self, now: Time, first_epoch: u32) -> Option<Command> {
        self.proposing.at = None;
        if self.proposing.is_under_way || !self.hears(now) {
            return None;
        }
        let Some(plan) = self.plan(now) else {
            self.proposing.due_since = None;
            return None;
        };
        let due = *self.proposing.due_since.get_or_insert(now);
        let mut at = due.max(self.proposing.not_before);
        at = at.after(self.retry() * self.rank(now));
        if self.stored.is_some() {
            at = at.max(self.stored_since.after(LeaseTerms::wait(EPOCH_EVERY)));
        }
        if now < at {
            self.proposing.at = Some(at);
            return None;
        }
        let transaction = self.transaction(plan, first_epoch)?;
        self.proposing.is_under_way = true;
        Some(Command::Propose(transaction))
    }

    /// When the silence of a member becomes its eviction, if nothing is heard.
    pub(super) fn next_silence(&self) -> Option<Time> {
        let wait = self.wait();
        let stored = self.stored.as_ref()?;
        let members = stored.value.members().iter();
        let silences = members.filter_map(|member| self.roll.silent_since(member.reg));
        let ends = silences.map(|since| since.after(wait));
        ends.filter(|&end| end > self.looked).min()
    }

    /// How long a silence lasts that evicts.
    fn wait(&self) -> Duration {
        LeaseTerms::wait(self.record.lease.member_length())
    }

    /// Whether what it does not hear says something: it heard the coordinator lately, and is registered.
    fn hears(&self, now: Time) -> bool {
        let lately = self.record.lease.member_length() / 2;
        match self.standing {
            Standing::In(life) => {
                let has_left = self.is_known_to_leave(life.reg);
                let is_good = life.good_until.is_some_and(|until| now < until);
                has_left || (is_good && now.since(life.answered) <= lately)
            }
            Standing::Out { .. } | Standing::Registering | Standing::Left => false,
        }
    }

    /// The next view, where it differs from the one that stands.
    fn plan(&self, now: Time) -> Option<Plan> {
        let view = self.stored.as_ref().map(|stored| &stored.value);
        let before = view.map_or(&[][..], View::members);
        let mut evicted = Vec::new();
        let mut members = Vec::new();
        for member in before {
            if self.must_go(member.reg, now) {
                evicted.push(member.reg);
            } else if let Some(entry) = self.roll.entry(member.reg) {
                members.push(entry.record.member(&member.name, member.reg));
            } else {
                // It may still believe in its membership, and its presence could not be compared.
                return None;
            }
        }
        let stays = members.clone();
        let compares = 1 + members.len() + evicted.len();
        let room = (MEMBERS_MAX - members.len()).min(COMPARES_MAX.saturating_sub(compares));
        members.extend(self.joins(now, &members).into_iter().take(room));
        let epoch = view.map(View::epoch);
        let is_wanted = epoch.is_some() && self.proposing.after >= epoch;
        let went_back = self.view.as_ref().map(View::epoch) > epoch;
        let differs = members.len() > stays.len() || stays != before;
        let is_view = view.is_some() || !members.is_empty();
        let is_due = differs || ((is_wanted || went_back) && is_view);
        is_due.then_some(Plan { members, evicted })
    }

    /// Whether that member can no longer believe in its membership.
    fn must_go(&self, reg: u64, now: Time) -> bool {
        let has_left = |entry: &Entry| entry.record.state == RecordState::Left;
        self.dead.contains(&reg)
            || self.roll.entry(reg).is_some_and(has_left)
            || (self.reg() != Some(reg) && self.roll.is_silent(reg, now, self.wait()))
    }

    /// Who may join beside `members`: of each name the latest registration.
    fn joins(&self, now: Time, members: &[Member]) -> Vec<Member> {
        let mut names: BTreeSet<&[u8]> = members.iter().map(|it| it.name.as_slice()).collect();
        let regs: BTreeSet<u64> = members.iter().map(|it| it.reg).collect();
        let may_join = |(reg, entry): &(u64, &Entry)| {
            entry.is_confirmed
                && entry.record.state == RecordState::Full
                && entry.record.lease == self.record.lease
                && entry.record.check(&entry.key.name).is_ok()
                && !regs.contains(reg)
                && !self.dead.contains(reg)
                && !self.roll.is_silent(*reg, now, self.wait())
        };
        let mut candidates: Vec<_> = self.roll.iter().filter(may_join).collect();
        candidates.reverse();
        candidates.retain(|(_, entry)| names.insert(&entry.key.name));
        candidates.reverse();
        let joined = candidates.into_iter();
        joined
            .map(|(reg, entry)| entry.record.member(&entry.key.name, reg))
            .collect()
    }

    /// How many of those that seem alive propose before this node.
    fn rank(&self, now: Time) -> u32 {
        let is_member = |reg: u64| {
            let members = self.stored.as_ref().map(|stored| stored.value.members());
            members.is_some_and(|members| members.iter().any(|it| it.reg == reg))
        };
        let Some(own) = self.reg() else {
            return 0;
        };
        let place = |reg: u64| (!is_member(reg), reg);
        let lately = self.record.lease.member_length() / 2;
        let before = self.roll.iter().filter(|&(reg, entry)| {
            place(reg) < place(own)
                && entry.is_confirmed
                && entry.record.state != RecordState::Left
                && entry.record.lease == self.record.lease
                && !self.roll.is_silent(reg, now, lately)
        });
        u32::try_from(before.count()).unwrap_or(u32::MAX)
    }

    fn transaction(&self, plan: Plan, first_epoch: u32) -> Option<Transaction> {
        let mut compares = vec![match &self.stored {
            Some(stored) => Compare::Modified(Key::View, stored.modified),
            None => Compare::Absent(Key::View),
        }];
        let mut changes = Vec::new();
        for reg in plan.evicted {
            // One whose record is gone has nothing to compare: no record has its creation revision again.
            if let Some(entry) = self.roll.entry(reg) {
                let key = Key::Record(entry.key.clone());
                compares.push(Compare::Modified(key, entry.modified));
                changes.push(Change::Delete(entry.key.clone()));
            }
        }
        for member in &plan.members {
            let entry = self.roll.entry(member.reg)?;
            compares.push(Compare::Created(Key::Record(entry.key.clone()), member.reg));
        }
        let seen = self.view.as_ref().map(View::epoch);
        let stored = self.stored.as_ref().map(|stored| stored.value.epoch());
        let epoch = match (stored, seen) {
            (None, None) => first_epoch.max(1),
            (None, Some(seen)) => first_epoch.max(seen.checked_add(1)?),
            (Some(_), _) => stored.max(seen)?.checked_add(1)?,
        };
        // Each member was checked, and the members of one view are told apart by name and registration.
        let view = View::new(epoch, self.record.lease.length(), plan.members).ok()?;
        // A store that lost its past, as far as this node knows, has no first view: somebody may trust what was before.
        let founded = match (&self.stored, seen) {
            (Some(stored), _) => stored.value.founded(),
            (None, None) => epoch,
            (None, Some(_)) => 0,
        };
        changes.push(Change::PutView(view.founded_in(founded)));
        Some(Transaction { compares, changes })
    }
}
