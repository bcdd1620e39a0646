//! The callers of one resource: who waits, who holds, who is to be told of a loss.
//!
//! A slab gives each caller the lowest free slot; the slot's index and a generation make its token. The slab
//! outlives no caller: a slot is taken when the request reaches the owner, and freed when the caller has let
//! go of the outcome.

use core::task::Waker;
use std::sync::Arc;

use slab::Slab;
use smallvec::SmallVec;

use crate::effect::Conflict;
use crate::error::{Denied, LostReason};
use crate::id::{Note, Token};

/// One caller.
#[derive(Debug)]
struct Slot {
    generation: u32,
    state: State,
    /// How many guards share it, beside the first.
    sharers: u32,
    /// The caller, to be woken at the next change.
    waker: Option<Waker>,
    /// What few holds need.
    audience: Option<Box<Audience>>,
}

/// Who watches a hold, and what they are told.
#[derive(Debug, Default)]
struct Audience {
    /// To be woken at the next change.
    watchers: Vec<(Watch, Waker)>,
    /// How often somebody began to wait for what it holds, and who did last.
    notices: u32,
    notice: Option<Conflict>,
    /// Who let go last of what was then granted.
    let_go: Option<Arc<Note>>,
}

impl Slot {
    fn watchers(&mut self) -> impl Iterator<Item = Waker> {
        let audience = self.audience.as_mut();
        let watchers = audience.map(|audience| audience.watchers.drain(..));
        watchers.into_iter().flatten().map(|(_, waker)| waker)
    }

    fn is_watched(&self) -> bool {
        let audience = self.audience.as_ref();
        audience.is_some_and(|audience| !audience.watchers.is_empty())
    }
}

/// Who is to be told when credit leaves.
#[derive(Debug, Default)]
struct Departures {
    count: u64,
    watchers: Vec<(Watch, Waker)>,
}

/// One who watches a hold, told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch(u64);

/// How far a caller's request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It holds, with that fencing token, and waits to hold something else.
    Converting(u64),
    /// It failed, and the caller has not looked yet.
    Denied(Box<Denied>),
    /// It holds, with that fencing token.
    Held(u64),
    /// It held, and the hold was lost. Sticky.
    Lost(LostReason),
    /// Its conversion failed, and the caller has not looked yet. It holds what it held, with that fencing token.
    Unconverted(u64, Box<Denied>),
    /// It waits.
    Waiting,
}

/// All callers of one resource.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slab: Slab<Slot>,
    generation: u32,
    watches: u64,
    /// How often credit left, and who waits for that; made when somebody first asks.
    departures: Option<Box<Departures>>,
    /// Wakers that nobody waits with any more. Dropping one can run a task's destructor, and that may use this very
    /// resource: so not here, under its lock.
    spent: SmallVec<[Waker; 1]>,
}

impl Slots {
    /// Those of a resource whose former slots gave tokens of the generations before that one.
    pub(super) fn after(generation: u32) -> Self {
        Self {
            generation,
            ..Self::default()
        }
    }

    /// The generation of the next token.
    pub(super) const fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether anybody holds, waits, watches or counts here.
    pub(super) fn are_used(&self) -> bool {
        !self.slab.is_empty() || self.departures.is_some() || !self.spent.is_empty()
    }

    /// The token that the next [`insert`](Self::insert) gives.
    #[inline]
    pub(super) fn vacant(&self) -> Token {
        Token {
            index: self.slab.vacant_key() as u32,
            generation: self.generation,
        }
    }

    #[inline]
    pub(super) fn insert(&mut self, state: State) -> Token {
        let token = self.vacant();
        self.slab.insert(Slot {
            generation: token.generation,
            state,
            sharers: 0,
            waker: None,
            audience: None,
        });
        self.generation = self.generation.wrapping_add(1);
        token
    }

    #[inline]
    pub(super) fn state(&self, token: Token) -> Option<&State> {
        self.slot(token).map(|slot| &slot.state)
    }

    /// Notes a change, and returns whom to wake.
    #[must_use]
    pub(super) fn set(&mut self, token: Token, state: State) -> SmallVec<[Waker; 1]> {
        let mut wake = SmallVec::new();
        if let Some(slot) = self.slot_mut(token) {
            slot.state = state;
            wake.extend(slot.waker.take());
            wake.extend(slot.watchers());
        }
        wake
    }

    /// Notes that somebody waits for what is held, and returns whom to wake.
    #[must_use]
    pub(super) fn notify(&mut self, token: Token, by: Conflict) -> SmallVec<[Waker; 1]> {
        let mut wake = SmallVec::new();
        if let Some(slot) = self.slot_mut(token) {
            let audience = slot.audience.get_or_insert_default();
            audience.notices = audience.notices.wrapping_add(1);
            audience.notice = Some(by);
            wake.extend(slot.watchers());
        }
        wake
    }

    /// The last notice and its number, if that is not `told`.
    pub(super) fn notice(&self, token: Token, told: u32) -> Option<(u32, &Conflict)> {
        let audience = self.slot(token)?.audience.as_deref()?;
        let news = audience.notice.as_ref();
        news.filter(|_| audience.notices != told)
            .map(|by| (audience.notices, by))
    }

    /// Notes who let go last of what is granted to it.
    pub(super) fn note_let_go(&mut self, token: Token, who: Arc<Note>) {
        if let Some(slot) = self.slot_mut(token) {
            slot.audience.get_or_insert_default().let_go = Some(who);
        }
    }

    /// Who let go last of what was granted to it. Told once.
    pub(super) fn take_let_go(&mut self, token: Token) -> Option<Arc<Note>> {
        self.slot_mut(token)?.audience.as_mut()?.let_go.take()
    }

    /// One more guard shares the hold.
    pub(super) fn share(&mut self, token: Token) {
        if let Some(slot) = self.slot_mut(token) {
            slot.sharers += 1;
        }
    }

    /// How many guards share a hold beside the first.
    pub(super) fn sharers(&self, token: Token) -> u32 {
        self.slot(token).map_or(0, |slot| slot.sharers)
    }

    /// Whether several guards share the hold.
    #[inline]
    pub(super) fn is_shared(&self, token: Token) -> bool {
        self.slot(token).is_some_and(|slot| slot.sharers > 0)
    }

    /// One of several guards that share a hold is dropped. Returns whether there are others.
    #[inline]
    pub(super) fn unshare(&mut self, token: Token) -> bool {
        let shared = self.slot_mut(token).filter(|slot| slot.sharers > 0);
        shared.map(|slot| slot.sharers -= 1).is_some()
    }

    /// How often credit left since somebody first asked.
    pub(super) fn departures(&mut self) -> u64 {
        self.departures.get_or_insert_default().count
    }

    /// Credit leaves. Returns whom to wake.
    #[must_use]
    pub(super) fn depart(&mut self) -> SmallVec<[Waker; 1]> {
        let Some(departures) = &mut self.departures else {
            return SmallVec::new();
        };
        departures.count += 1;
        let watchers = departures.watchers.drain(..);
        watchers.map(|(_, waker)| waker).collect()
    }

    /// Asks to be woken when credit leaves. `watch` is what an earlier call returned.
    pub(super) fn watch_leaving(&mut self, watch: Option<Watch>, waker: &Waker) -> Watch {
        if let Some(watch) = watch {
            self.unwatch_leaving(watch);
        }
        let watch = watch.unwrap_or(Watch(self.watches));
        self.watches += 1;
        let departures = self.departures.get_or_insert_default();
        departures.watchers.push((watch, waker.clone()));
        watch
    }

    /// No longer asks to be woken when credit leaves.
    pub(super) fn unwatch_leaving(&mut self, watch: Watch) {
        if let Some(departures) = &mut self.departures
            && let Some(index) = departures
                .watchers
                .iter()
                .position(|(one, _)| *one == watch)
        {
            let (_, waker) = departures.watchers.swap_remove(index);
            self.spent.push(waker);
        }
    }

    /// What it asked for was denied: the request is over, or a hold stays what it is.
    #[must_use]
    pub(super) fn deny(&mut self, token: Token, why: Denied) -> SmallVec<[Waker; 1]> {
        let why = Box::new(why);
        let state = match self.state(token) {
            Some(State::Converting(fence)) => State::Unconverted(*fence, why),
            _ => State::Denied(why),
        };
        self.set(token, state)
    }

    /// The caller has seen what became of its conversion, or no longer looks for it.
    pub(super) fn resume(&mut self, token: Token, fence: u64) {
        if let Some(slot) = self.slot_mut(token) {
            slot.state = State::Held(fence);
            let former = slot.waker.take();
            self.spent.extend(former);
        }
    }

    /// Asks to be woken at the next change, as one of several. `watch` is what an earlier call returned.
    pub(super) fn watch(&mut self, token: Token, watch: Option<Watch>, waker: &Waker) -> Watch {
        self.unwatch(token, watch);
        let watch = watch.unwrap_or(Watch(self.watches));
        self.watches += 1;
        if let Some(slot) = self.slot_mut(token) {
            let audience = slot.audience.get_or_insert_default();
            audience.watchers.push((watch, waker.clone()));
        }
        watch
    }

    /// No longer asks to be woken.
    pub(super) fn unwatch(&mut self, token: Token, watch: Option<Watch>) {
        let slot = self.slot_mut(token);
        if let Some(audience) = slot.and_then(|slot| slot.audience.as_mut()) {
            let mut watchers = audience.watchers.iter();
            if let Some(index) = watchers.position(|(one, _)| Some(*one) == watch) {
                let (_, waker) = audience.watchers.swap_remove(index);
                self.spent.push(waker);
            }
        }
    }

    /// Asks to be woken at the next change.
    pub(super) fn wait(&mut self, token: Token, waker: &Waker) {
        let Some(slot) = self.slot_mut(token) else {
            return;
        };
        let is_known = |present: &Waker| present.will_wake(waker);
        if !slot.waker.as_ref().is_some_and(is_known) {
            let former = slot.waker.replace(waker.clone());
            self.spent.extend(former);
        }
    }

    /// Frees a slot. Returns what became of the request.
    pub(super) fn remove(&mut self, token: Token) -> Option<State> {
        self.slot(token)?;
        let mut slot = self.slab.remove(token.index as usize);
        self.spent.extend(slot.watchers());
        self.spent.extend(slot.waker);
        Some(slot.state)
    }

    /// The wakers to be dropped once the lock is released.
    #[must_use]
    pub(super) fn take_spent(&mut self) -> SmallVec<[Waker; 1]> {
        core::mem::take(&mut self.spent)
    }

    /// Whether a token's slot is a holder's that nobody is to be woken for.
    #[inline]
    pub(super) fn is_unwatched(&self, token: Token) -> bool {
        self.slot(token).is_some_and(|slot| {
            let is_alone = slot.waker.is_none() && !slot.is_watched();
            is_alone && matches!(slot.state, State::Held(_))
        })
    }

    /// Frees the slot of a holder that nobody is to be woken for.
    #[inline]
    pub(super) fn remove_unwatched(&mut self, token: Token) {
        debug_assert!(self.is_unwatched(token));
        self.slab.remove(token.index as usize);
    }

    /// A hold waits to become something else.
    pub(super) fn convert(&mut self, token: Token, fence: u64, waker: &Waker) {
        if let Some(slot) = self.slot_mut(token) {
            slot.state = State::Converting(fence);
        }
        self.wait(token, waker);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    #[inline]
    fn slot_mut(&mut self, token: Token) -> Option<&mut Slot> {
        let slot = self.slab.get_mut(token.index as usize);
        slot.filter(|slot| slot.generation == token.generation)
    }

    #[inline]
    fn slot(&self, token: Token) -> Option<&Slot> {
        self.slab
            .get(token.index as usize)
            .filter(|slot| slot.generation == token.generation)
    }
}
