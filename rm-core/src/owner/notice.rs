//! Telling holders that somebody waits for what they hold.
//!
//! A holder is told at the edge: when somebody begins to wait for a part of its hold that nobody waited for before.
//! A second request for the same part says nothing new; one for more of it does. When nobody waits any more,
//! nothing is said, and the next one to wait is told of again. What is told follows from the last walk alone, so
//! a request that is cancelled, and one that is older and comes late, need no rules of their own. A `try` waits for
//! nobody, and tells nobody. A wind-up waits for all holders.
//!
//! A holder may have promised to give way within a time. It runs from the first notice, stops when nobody waits any
//! more, and when it is over the hold is lost, and what it held goes on to whoever waits. Nothing takes a hold
//! from a holder that has promised nothing. A hold that is split leaves its promise to both parts; holds that
//! promised different things are not merged.

use std::sync::Arc;

use super::{Asker, Owner};
use crate::credit::{Credit, Level};
use crate::effect::{Conflict, Effect, Effects};
use crate::error::LostReason;
use crate::id::{GroupId, Note, Order, Token};
use crate::resource::ResourceType;
use crate::time::Time;

/// The most waiting requests of which holders are told, oldest first: a younger one waits for the older ones anyway.
pub(super) const MISSED_MAX: usize = 64;

/// What a request or a step still misses after a walk.
pub(super) struct Missed<L> {
    pub(super) order: Order,
    pub(super) level: L,
    pub(super) note: Option<Arc<Note>>,
    /// The hold that asks for more: it does not wait for itself.
    pub(super) converts: Option<Token>,
    /// Its group: its members do not wait for each other.
    pub(super) group: Option<GroupId>,
}

impl<T: ResourceType> Owner<T> {
    /// Tells each holder of whom it was not told before.
    pub(super) fn tell_holders(
        &mut self,
        now: Time,
        missed: &[Missed<T::Level>],
        fx: &mut Effects<T>,
    ) {
        if missed.is_empty() && !self.is_wanted {
            return;
        }
        let nothing = T::Level::of(&T::Credit::empty());
        let all = missed
            .iter()
            .fold(nothing, |all, one| all.at_least(&one.level));
        let is_kin = |one: &Missed<_>| one.converts.is_some() || one.group.is_some();
        let has_kin = missed.iter().any(is_kin);
        self.is_wanted = false;
        for (token, hold) in self.holds.iter_mut() {
            let group = hold.group();
            let is_other = |one: &&Missed<T::Level>| {
                one.converts != Some(token) && (group.is_none() || one.group != group)
            };
            let asked = hold.asked();
            let wanted = if has_kin {
                let others = missed.iter().filter(is_other);
                others.fold(T::Credit::empty(), |wanted, one| {
                    wanted.sup(&one.level.draw(asked))
                })
            } else {
                all.draw(asked)
            };
            let told = hold.ties().map(|ties| &ties.told);
            if told.is_none() && wanted.is_empty() {
                continue;
            }
            self.is_wanted |= !wanted.is_empty();
            if told == Some(&wanted) {
                continue;
            }
            let is_news = |one: &&Missed<T::Level>| {
                let part = one.level.draw(asked);
                !part.is_empty() && !told.is_some_and(|told| told.covers(&part))
            };
            let news = missed.iter().filter(is_other).find(is_news);
            if let Some(one) = news {
                fx.push(Effect::Wanted {
                    token,
                    by: Conflict {
                        order: one.order,
                        note: one.note.clone(),
                    },
                });
            }
            let ties = hold.ties_mut();
            ties.overdue_at = match ties.gives_way {
                Some(_) if wanted.is_empty() => None,
                Some(within) => ties.overdue_at.or(Some(now.after(within))),
                None => None,
            };
            ties.told = wanted;
        }
    }

    /// When the first promise to give way is due.
    pub(super) fn next_give_way(&self) -> Option<Time> {
        if !self.is_wanted {
            return None;
        }
        let due = self.holds.iter().filter_map(|(_, hold)| hold.ties());
        due.filter_map(|ties| ties.overdue_at).min()
    }

    /// Takes back what was promised by now and not given up.
    pub(super) fn take_overdue(&mut self, now: Time, fx: &mut Effects<T>) {
        let is_overdue = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if !self.is_wanted {
            return;
        }
        let due = self.holds.iter().filter_map(|(token, hold)| {
            let at = hold.ties().and_then(|ties| ties.overdue_at);
            is_overdue(at).then_some(token)
        });
        for token in due.collect::<Vec<_>>() {
            self.waiting.retain(|w| w.asker != Asker::Convert(token));
            if let Some(hold) = self.holds.get(token)
                && Self::may_write(hold.asked(), &self.capital)
            {
                // It may have been in the middle of what the value speaks of.
                self.doubt_value();
            }
            self.end_hold(token);
            fx.push(Effect::Lost {
                token,
                why: LostReason::Overdue,
            });
        }
    }
}
