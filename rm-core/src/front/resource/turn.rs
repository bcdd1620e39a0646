//! One input to a resource, from lock to wake.
//!
//! What the owner wants done is done here: messages go into the sessions' queues and outcomes into the callers' slots, under
//! the lock; wakers, what is flushed, and what subscribers are told, after it.

use core::convert::Infallible;
use core::task::Waker;
use std::sync::{Arc, Weak};

use smallvec::SmallVec;
use tracing::Level;

use super::sleep::Awake;
use super::{Inner, Resource};
use crate::credit::Opaque;
use crate::effect::Effect;
use crate::error::LostReason;
use crate::front::shared::Shared;
use crate::front::slots::State;
use crate::front::trace::{self, Happened};
use crate::front::windup::Course;
use crate::id::{Note, PeerId};
use crate::message::Message;
use crate::resource::ResourceType;
use crate::session::packet::Item;
use crate::sync::Ordering;
use crate::time::Time;

/// Which time an input needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// The present one: something is measured from it.
    Exact,
    /// Any recent one, where no lease depends on it.
    Recent,
}

/// A resource that is locked for one input.
pub(super) struct Turn<'a, T: ResourceType> {
    pub(super) inner: Awake<'a, T>,
    pub(super) now: Time,
    pub(super) after: Afterwards,
    /// Who lets go of what moves in it, where that is in a distributed trace.
    pub(super) let_go: Option<Arc<Note>>,
}

/// What is done after the lock was released.
#[derive(Default)]
pub(super) struct Afterwards {
    pub(super) wake: SmallVec<[Waker; 4]>,
    /// Dropped, not woken: dropping one can run anything, too.
    pub(super) spent: SmallVec<[Waker; 1]>,
    pub(super) flush: SmallVec<[PeerId; 4]>,
    pub(super) rearm: bool,
    /// Wind-ups that waited for this resource.
    pub(super) wound_up: Vec<Arc<Course>>,
    /// What is told to whoever listens.
    pub(super) happened: Vec<Happened>,
}

impl<T: ResourceType> Resource<T> {
    /// One input to the owner, from lock to wake.
    pub(super) fn input(&self, f: impl FnOnce(&mut Inner<T>, Time)) {
        let mut turn = self.enter(Clock::Exact);
        f(&mut turn.inner, turn.now);
        self.leave(turn);
    }

    /// An outside fact for the owner that is no use of the resource: what is idle stays so.
    pub(super) fn input_unused(&self, f: impl FnOnce(&mut Inner<T>, Time)) {
        let mut turn = self.enter_unused(Clock::Exact);
        f(&mut turn.inner, turn.now);
        self.leave(turn);
    }

    /// Locks it for a use, and does what is due by now: a lease that ran out takes every hold with it first.
    ///
    /// Where no lease bounds what is held here, nothing is due for time, and a recent time will do for inputs
    /// that only note when they were.
    pub(super) fn enter(&self, clock: Clock) -> Turn<'_, T> {
        let turn = self.enter_unused(clock);
        // Relaxed: a hint for the reclaimer.
        self.used.store(true, Ordering::Relaxed);
        turn
    }

    fn enter_unused(&self, clock: Clock) -> Turn<'_, T> {
        let inner = self.lock();
        let now = match clock {
            Clock::Recent if inner.link.is_none() => self.shared.recent(),
            Clock::Exact | Clock::Recent => self.shared.host.now(),
        };
        let mut turn = Turn {
            inner,
            now,
            after: Afterwards::default(),
            let_go: None,
        };
        let inner = &mut *turn.inner;
        if let Some(link) = &inner.link
            && !link.trust.is_good(turn.now)
        {
            let why = link.trust.why_over().unwrap_or(LostReason::LeaseExpired);
            inner.lose_trust(turn.now, why);
            // At once: the input that follows looks at the slots, and must see who has lost what.
            self.apply(&mut turn);
        }
        turn.inner.look_whether_it_may_lend(&self.shared, turn.now);
        turn
    }

    /// Unlocks it, and does what is to be done without the lock.
    pub(super) fn leave(&self, mut turn: Turn<'_, T>) {
        self.apply(&mut turn);
        turn.after.spent = turn.inner.slots.take_spent();
        if !turn.inner.courses.is_empty() && turn.inner.owner.is_wound_up() {
            turn.after.wound_up = core::mem::take(&mut turn.inner.courses);
        }
        let Turn {
            inner, mut after, ..
        } = turn;
        self.unlock(inner);
        let happened = core::mem::take(&mut after.happened);
        // First, as somebody may wait for it.
        after.run(&self.shared);
        for one in happened {
            one.tell(T::NAME, &self.key, &*self.shared.host);
        }
    }

    /// Does what the owner wants done under the lock, and notes what is left for afterwards.
    pub(super) fn apply(&self, turn: &mut Turn<'_, T>) {
        let Turn {
            inner,
            after,
            let_go,
            ..
        } = turn;
        let inner = &mut **inner;
        inner.settle_link();
        self.shared.count(&self.key, &mut inner.fx);
        if inner.fx.is_empty() && inner.owner.next_deadline().is_none() {
            return;
        }
        let Inner {
            owner,
            slots,
            fx,
            kept,
            ..
        } = inner;
        // Not kept for its memory: that would be more than all the rest of a resource.
        for effect in core::mem::take(fx).drain() {
            let wake = match effect {
                Effect::Deny { token, why } => slots.deny(token, why),
                Effect::Grant { token, fence } => {
                    if let Some(who) = &*let_go {
                        slots.note_let_go(token, Arc::clone(who));
                    }
                    slots.set(token, State::Held(fence))
                }
                Effect::Leaving => slots.depart(),
                Effect::Lost { token, why } => {
                    after.on_lost(why);
                    let wake = slots.set(token, State::Lost(why));
                    if let Some(index) = kept.iter().position(|&one| one == token) {
                        // Nobody else will let go of it.
                        kept.swap_remove(index);
                        slots.remove(token);
                    }
                    wake
                }
                Effect::Send { to, message } => {
                    after.on_sending(to, &message);
                    if matches!(message, Message::Grant(_)) {
                        // What is lent leaves, too.
                        after.wake.extend(slots.depart());
                    }
                    let Ok(message) = message.try_map(
                        |credit| Ok::<_, Infallible>(Opaque::of(&credit)),
                        |level| Ok(Opaque::of_level::<T::Credit, _>(&level)),
                    );
                    let item = Item {
                        type_id: T::ID,
                        let_go: let_go.clone().filter(|_| moves_credit(&message)),
                        key: self.key.clone(),
                        message,
                    };
                    self.shared.host.queue(to, item);
                    if !after.flush.contains(&to) {
                        after.flush.push(to);
                    }
                    continue;
                }
                Effect::Wanted { token, by } => {
                    if trace::may_listen(Level::DEBUG) {
                        let hold = owner.hold(token);
                        after.happened.push(Happened::Barrier {
                            waiter: by.note.clone(),
                            holder: hold.and_then(|hold| hold.note.clone()),
                        });
                    }
                    slots.notify(token, by)
                }
            };
            after.wake.extend(wake);
        }
        if let Some(at) = inner.owner.next_deadline()
            && inner.armed.is_none_or(|armed| at < armed.at)
        {
            let due: Weak<Self> = self.own.clone();
            let (entry, is_first) = self.shared.timers.set(inner.armed, at, due);
            inner.armed = Some(entry);
            after.rearm |= is_first;
        }
    }
}

/// Whether a message can tell who let go of what it is about.
const fn moves_credit<C, L>(message: &Message<C, L>) -> bool {
    matches!(message, Message::Grant(_) | Message::Return { .. })
}

impl Afterwards {
    fn on_lost(&mut self, why: LostReason) {
        match self.happened.last_mut() {
            Some(Happened::Lost(same, holds)) if *same == why => *holds += 1,
            _ => self.happened.push(Happened::Lost(why, 1)),
        }
    }

    fn on_sending<C, L>(&mut self, to: PeerId, message: &Message<C, L>) {
        if let Message::Recall { steps, .. } = message
            && let Some(first) = steps.first()
            && trace::may_listen(Level::DEBUG)
        {
            self.happened.push(Happened::Recall {
                to,
                steps: steps.len(),
                waiter: first.note.clone(),
            });
        }
    }

    fn run(self, shared: &Shared) {
        for peer in self.flush {
            shared.host.flush(peer);
        }
        if self.rearm {
            shared.host.rearm();
        }
        for course in self.wound_up {
            course.on_wound_up();
        }
        for waker in self.wake {
            waker.wake();
        }
    }
}
