//! The local requests that hold credit (PROTECT pins).
//!
//! A dense table: a token's index is its slot, so that taking and giving back is one access. Tokens come from
//! a slab, which hands out the lowest free slots, so the table stays as small as the most holders there were.

use core::time::Duration;
use std::sync::Arc;

use smallvec::SmallVec;

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

impl<C: Credit> Hold<C> {
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
        let index = token.index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        assert!(self.slots[index].is_none(), "a token is granted once");
        let generation = token.generation;
        self.slots[index] = Some(Hold {
            credit,
            fence,
            since,
            note,
            generation,
            ties: None,
        });
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Hold<C>> {
        self.get(token)?;
        let hold = self.slots[token.index as usize].take();
        while matches!(self.slots.last(), Some(None)) {
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
