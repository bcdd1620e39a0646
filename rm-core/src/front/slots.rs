//! The callers of one resource: who waits, who holds, who is to be told of a loss.
//!
//! A slab gives each caller the lowest free slot; the slot's index and a generation make its token. The slab
//! outlives no caller: a slot is taken when the request reaches the owner, and freed when the caller has let
//! go of the outcome.

use core::task::Waker;

use slab::Slab;
use smallvec::SmallVec;

use crate::error::{Denied, LostReason};
use crate::id::Token;

/// One caller.
#[derive(Debug)]
struct Slot {
    generation: u32,
    state: State,
    /// To be woken at the next change.
    waker: Option<Waker>,
}

/// How far a caller's request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It failed, and the caller has not looked yet.
    Denied(Denied),
    /// It holds, with that fencing token.
    Held(u64),
    /// It held, and the hold was lost. Sticky.
    Lost(LostReason),
    /// It waits.
    Waiting,
}

/// All callers of one resource.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slab: Slab<Slot>,
    generation: u32,
    /// Wakers that nobody waits with any more. Dropping one can run a task's destructor, and that may use this very
    /// resource: so not here, under its lock.
    spent: SmallVec<[Waker; 1]>,
}

impl Slots {
    /// The token that the next [`insert`](Self::insert) gives.
    pub(super) fn vacant(&self) -> Token {
        Token {
            index: self.slab.vacant_key() as u32,
            generation: self.generation,
        }
    }

    pub(super) fn insert(&mut self, state: State) -> Token {
        let token = self.vacant();
        self.slab.insert(Slot {
            generation: token.generation,
            state,
            waker: None,
        });
        self.generation = self.generation.wrapping_add(1);
        token
    }

    pub(super) fn state(&self, token: Token) -> Option<&State> {
        self.slot(token).map(|slot| &slot.state)
    }

    /// Notes a change, and returns whom to wake.
    #[must_use]
    pub(super) fn set(&mut self, token: Token, state: State) -> Option<Waker> {
        let slot = self.slab.get_mut(token.index as usize);
        let slot = slot.filter(|slot| slot.generation == token.generation)?;
        slot.state = state;
        slot.waker.take()
    }

    /// Asks to be woken at the next change.
    pub(super) fn wait(&mut self, token: Token, waker: &Waker) {
        let slot = self.slab.get_mut(token.index as usize);
        let Some(slot) = slot.filter(|slot| slot.generation == token.generation) else {
            return;
        };
        let is_known = |present: &Waker| present.will_wake(waker);
        if !slot.waker.as_ref().is_some_and(is_known) {
            self.spent.extend(slot.waker.replace(waker.clone()));
        }
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<State> {
        self.slot(token)?;
        let slot = self.slab.remove(token.index as usize);
        self.spent.extend(slot.waker);
        Some(slot.state)
    }

    /// The wakers to be dropped once the lock is released.
    #[must_use]
    pub(super) fn take_spent(&mut self) -> SmallVec<[Waker; 1]> {
        core::mem::take(&mut self.spent)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    fn slot(&self, token: Token) -> Option<&Slot> {
        self.slab
            .get(token.index as usize)
            .filter(|slot| slot.generation == token.generation)
    }
}
