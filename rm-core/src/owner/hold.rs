//! The local requests that hold credit (PROTECT pins).
//!
//! A dense table: a token's index is its slot, so that taking and giving back is one access. Tokens come from
//! a slab, which hands out the lowest free slots, so the table stays as small as the most holders there were.

use core::time::Duration;
use std::sync::Arc;

use smallvec::SmallVec;

use super::sum;
use crate::credit::Credit;
use crate::id::{GroupId, Note, Token};
use crate::time::Time;

/// What a local request holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hold<C> {
    /// How much.
    pub credit: C,
    /// Its fencing token.
    pub fence: u64,
    /// When it was granted.
    pub since: Time,
    /// For people.
    pub note: Option<Arc<Note>>,
    generation: u32,
    ties: Option<Box<Ties<C>>>,
}

/// What few holds have, and none that was just taken out of the cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ties<C> {
    /// Its group, and what it asked for itself: the members' parts add up to the least that covers what each asked.
    pub(super) group: Option<(GroupId, C)>,
    /// What of it somebody waits for, as its holder was last told.
    pub(super) told: C,
    /// It promised to give way within this time.
    pub(super) gives_way: Option<Duration>,
    /// When that time is over.
    pub(super) overdue_at: Option<Time>,
}

impl<C: Credit> Ties<C> {
    pub(super) fn none() -> Self {
        Self {
            group: None,
            told: C::empty(),
            gives_way: None,
            overdue_at: None,
        }
    }
}

impl<C: Credit> Ties<C> {
    /// Those of a part that is split off.
    fn of_part(&self, part: &C) -> Self {
        let Self {
            group,
            told,
            gives_way,
            overdue_at,
        } = self;
        Self {
            group: group.clone(),
            told: told.meet(part),
            gives_way: *gives_way,
            overdue_at: *overdue_at,
        }
    }

    /// Those of two holds that become one. Both have promised the same.
    fn merge(&mut self, other: Self) {
        self.told = sum(&self.told, &other.told);
        let due = self.overdue_at.into_iter().chain(other.overdue_at);
        self.overdue_at = due.min();
    }
}

impl<C: Credit> Hold<C> {
    /// Takes a part out of it, which has the same fencing token and the same ties.
    pub(super) fn split(&mut self, part: &C, generation: u32) -> Self {
        let ties = self.ties();
        let of_part = ties.map(|ties| Box::new(ties.of_part(part)));
        self.credit = self.credit.less(part);
        if let Some(ties) = &mut self.ties {
            ties.told = ties.told.meet(&self.credit);
        }
        Self {
            credit: part.clone(),
            note: self.note.clone(),
            ties: of_part,
            generation,
            ..*self
        }
    }

    /// Takes in another hold, under the fencing token `fence`.
    pub(super) fn merge(&mut self, other: Self, fence: u64) {
        self.credit = sum(&self.credit, &other.credit);
        self.fence = fence;
        if let Some(ties) = other.ties {
            self.ties_mut().merge(*ties);
        }
    }

    /// Whether its holder was told that somebody waits for it, and still does.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.ties.as_ref().is_some_and(|ties| !ties.told.is_empty())
    }

    /// What its holder may use: what it asked for. Of a group's hold, `credit` is only this member's part in the book.
    #[must_use]
    pub fn asked(&self) -> &C {
        let group = self.ties().and_then(|ties| ties.group.as_ref());
        group.map_or(&self.credit, |(_, asked)| asked)
    }

    /// The group that shares it.
    #[must_use]
    pub fn group(&self) -> Option<GroupId> {
        self.ties.as_ref()?.group.as_ref().map(|(id, _)| *id)
    }

    /// Within which time it promised to give way.
    pub(super) fn gives_way(&self) -> Option<Duration> {
        self.ties.as_ref()?.gives_way
    }

    pub(super) fn ties(&self) -> Option<&Ties<C>> {
        self.ties.as_deref()
    }

    pub(super) fn ties_mut(&mut self) -> &mut Ties<C> {
        self.ties.get_or_insert_with(|| Box::new(Ties::none()))
    }
}

/// All local holds of one owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Holds<C> {
    /// The last slot is never empty, so that equal tables have equal hashes.
    slots: SmallVec<[Option<Hold<C>>; 1]>,
}

impl<C> Holds<C> {
    pub(super) fn new() -> Self {
        Self {
            slots: SmallVec::new(),
        }
    }

    pub(super) fn get(&self, token: Token) -> Option<&Hold<C>> {
        self.slots
            .get(token.index as usize)?
            .as_ref()
            .filter(|h| h.generation == token.generation)
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Hold<C>> {
        let slot = self.slots.get_mut(token.index as usize)?;
        slot.as_mut().filter(|h| h.generation == token.generation)
    }

    pub(super) fn insert(
        &mut self,
        token: Token,
        credit: C,
        fence: u64,
        since: Time,
        note: Option<Arc<Note>>,
    ) {
        let hold = Hold {
            credit,
            fence,
            since,
            note,
            generation: token.generation,
            ties: None,
        };
        self.put(token, hold);
    }

    /// Gives a hold the name `token`.
    pub(super) fn put(&mut self, token: Token, hold: Hold<C>) {
        let index = token.index as usize;
        // Nearly always the next one.
        if self.slots.len() == index {
            self.slots.push(Some(hold));
            return;
        }
        if self.slots.len() < index {
            self.slots.resize_with(index + 1, || None);
        }
        assert!(self.slots[index].is_none(), "a token is granted once");
        self.slots[index] = Some(hold);
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Hold<C>> {
        self.get(token)?;
        let index = token.index as usize;
        if index + 1 < self.slots.len() {
            return self.slots[index].take();
        }
        // Nearly always the last one.
        let hold = self.slots.pop()?;
        while let Some(None) = self.slots.last() {
            self.slots.pop();
        }
        hold
    }

    pub(super) fn take_all(&mut self) -> Vec<(Token, Hold<C>)> {
        let slots = core::mem::take(&mut self.slots);
        slots
            .into_iter()
            .enumerate()
            .filter_map(|(index, hold)| {
                let hold = hold?;
                Some((
                    Token {
                        index: index as u32,
                        generation: hold.generation,
                    },
                    hold,
                ))
            })
            .collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Token, &Hold<C>)> {
        self.slots.iter().enumerate().filter_map(|(index, hold)| {
            let hold = hold.as_ref()?;
            Some((
                Token {
                    index: index as u32,
                    generation: hold.generation,
                },
                hold,
            ))
        })
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Token, &mut Hold<C>)> {
        self.slots
            .iter_mut()
            .enumerate()
            .filter_map(|(index, hold)| {
                let hold = hold.as_mut()?;
                let token = Token {
                    index: index as u32,
                    generation: hold.generation,
                };
                Some((token, hold))
            })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}
