//! The gate's other side: who passed it, in the owner's book.
//!
//! **Invariant.** Whoever has locked the resource by [`Resource::lock`] has closed its gate, and the book is exact: those who
//! are inside have one hold, and the numbers they were given are the owner's. So every guard that came by the gate finds
//! its hold's token there, for as long as it is inside.
//!
//! **When it is opened.** By a request that finds it closed and nothing to decide, and enters at once; and by an input
//! after which there is still nothing to decide, if it was open before. A gate whose holders were lost stays closed until
//! the last of them has left: nobody else shares their hold.

use crate::front::gate::{Door, FOR_EVER, Gate, Heat, Inside, Lease, Opening, Pass, Refused};
use crate::front::shared::Shared;
use crate::front::slots::State;
use crate::id::Token;
use crate::owner::Owner;
use crate::resource::ResourceType;
use crate::time::Time;

use super::sleep::Awake;
use super::{Clock, Inner, Resource};

/// By what a holder is known to its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum Claim {
    /// It came by the gate, and leaves by it.
    Gate(Pass),
    /// It has a slot.
    Slot(Token),
}

/// What the lock's side knows of the gate.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// It is open. False from the moment on that somebody has the lock.
    is_open: bool,
    /// It was open when the lock was taken.
    was_open: bool,
    /// When a request last opened it.
    opened_at: Time,
    /// Those inside have a hold in the book.
    booked: Option<Booked>,
    /// There were too many of them to let in more when the gate was closed.
    is_full: bool,
    heat: Heat,
    /// Entries that were found at the last closing.
    entries: u32,
}

impl Passing {
    /// Whether those inside have a hold in the book.
    pub(super) const fn is_booked(&self) -> bool {
        self.booked.is_some()
    }
}

/// The one hold of those who are inside a gate.
#[derive(Clone, Copy, Debug)]
struct Booked {
    token: Token,
    door: Door,
}

impl Lease for Shared {
    #[inline]
    fn now(&self) -> Time {
        self.host.now()
    }

    #[inline]
    fn has_ended(&self, session: u64) -> bool {
        self.ended.has_ended(session)
    }
}

impl<T: ResourceType> Resource<T> {
    /// Enters by the gate, if it is open. Takes no lock.
    #[inline(always)]
    pub(in crate::front) fn pass(&self, door: Door) -> Option<(Pass, u64)> {
        match self.gate.enter(door, &*self.shared) {
            Ok(entered) => Some(entered),
            Err(Refused::Shut) => None,
            Err(Refused::Last) => {
                self.settle();
                None
            }
        }
    }

    /// Leaves by the gate.
    #[inline]
    pub(in crate::front) fn leave_gate(&self, pass: Pass) {
        if self.gate.leave(pass) {
            self.settle();
        }
    }

    /// One more guard shares what a guard has. It leaves by the claim that is returned.
    ///
    /// # Panics
    /// If that guard came by the gate alone.
    pub(in crate::front) fn share(&self, claim: Claim) -> Claim {
        match claim {
            Claim::Gate(pass @ Pass::Shared(_)) => {
                self.gate.share(pass);
                claim
            }
            Claim::Gate(Pass::Alone) => panic!("who is inside alone shares with nobody"),
            Claim::Slot(token) => {
                let mut inner = self.lock();
                inner.slots.share(token);
                self.unlock(inner);
                claim
            }
        }
    }

    /// Whether what came by the gate is surely not lost, without the lock.
    #[inline]
    pub(in crate::front) fn is_good_inside(&self, claim: Claim) -> bool {
        matches!(claim, Claim::Gate(_)) && self.gate.is_good(&*self.shared)
    }

    /// The last of those inside has left, and the gate is closed.
    #[cold]
    fn settle(&self) {
        let mut turn = self.enter(Clock::Exact);
        let (inner, now) = (&mut *turn.inner, turn.now);
        if let Some(Booked { token, .. }) = inner.passing.booked
            && self.gate.is_empty()
        {
            inner.passing.booked = None;
            inner.end(now, token);
        }
        self.leave(turn);
    }

    /// Locks it, and closes its gate.
    pub(in crate::front) fn lock(&self) -> Awake<'_, T> {
        let mut inner = self.wake();
        if inner.passing.is_open {
            let inside = self.gate.close();
            inner.on_closed(inside, &self.capital);
        }
        inner
    }

    /// Unlocks it, and opens its gate again if that was open and still may be.
    pub(in crate::front) fn unlock(&self, mut inner: Awake<'_, T>) {
        if core::mem::take(&mut inner.passing.was_open) {
            inner.reopen(self, None);
        }
        drop(inner);
    }
}

impl<T: ResourceType> Inner<T> {
    /// The token of a claim's hold. The gate is closed.
    pub(in crate::front) fn token(&self, claim: Claim) -> Token {
        match claim {
            Claim::Slot(token) => token,
            Claim::Gate(_) => {
                let booked = self.passing.booked.as_ref();
                booked.expect("who is inside has a hold in the book").token
            }
        }
    }

    /// The token of a claim's hold as one of its own, which it is to leave by from now on; `None` where it shares it with
    /// others.
    pub(in crate::front) fn adopt(
        &mut self,
        resource: &Resource<T>,
        claim: Claim,
    ) -> Option<Token> {
        match claim {
            Claim::Slot(token) => (!self.slots.is_shared(token)).then_some(token),
            Claim::Gate(Pass::Alone) => {
                let booked = self.passing.booked.take();
                resource.gate.forget_alone();
                Some(booked.expect("who is inside has a hold in the book").token)
            }
            Claim::Gate(Pass::Shared(_)) => None,
        }
    }

    /// The gate was closed, and this was found: it goes into the book.
    fn on_closed(&mut self, inside: Inside, capital: &T::Credit) {
        let passing = &mut self.passing;
        passing.is_open = false;
        passing.was_open = true;
        passing.is_full = inside.is_full;
        passing.entries = inside.entries as u32;
        let door = match inside {
            Inside { alone: true, .. } => Some(Door::Sole),
            Inside { shared: true, .. } => Some(Door::Shared),
            Inside { .. } => None,
        };
        // First: what those used who have left lies idle.
        if door.is_none()
            && let Some(Booked { token, .. }) = passing.booked.take()
        {
            self.slots.remove(token);
            let is_back = self.owner.put_back(token);
            debug_assert!(is_back, "nothing is to be decided at an open gate");
        }
        if inside.entries > 0 {
            self.cached_acquires += inside.entries;
            self.owner.on_passed(inside.clock);
        }
        if let Some(door) = door
            && self.passing.booked.is_none()
        {
            self.book(door, inside.clock, capital);
        }
    }

    fn book(&mut self, door: Door, clock: u64, capital: &T::Credit) {
        let fence = match door {
            Door::Shared => clock,
            Door::Sole => clock - 1,
        };
        let level = level_of::<T>(door, capital).expect("it came by that door");
        let token = self.slots.insert(State::Held(fence));
        let since = self.passing.opened_at;
        self.owner.book_in(since, token, &level, fence);
        self.passing.booked = Some(Booked { token, door });
    }

    /// Opens the gate, if there is nothing to decide; for `entrant`, if it can enter.
    fn reopen(&mut self, resource: &Resource<T>, entrant: Option<Door>) -> Option<(Pass, u64)> {
        let sole = self.may_open(resource)?;
        if entrant == Some(Door::Sole) && !sole {
            return None;
        }
        let (session, until) = match &self.link {
            None => (0, FOR_EVER),
            Some(link) => {
                let deadline = link.trust.deadline()?.as_nanos();
                (link.session, deadline.min(FOR_EVER - 1))
            }
        };
        let opening = Opening {
            sole,
            // A sole holder looks at one word.
            sharded: self.passing.heat.is_hot() && entrant != Some(Door::Sole),
            clock: self.owner.fence().now(),
            clock_end: self.owner.numbers_end(),
            session,
            until,
        };
        self.passing.is_open = true;
        resource.gate.open(opening, entrant)
    }

    /// Whether the gate may be opened, and then, whether to sole holders as well.
    fn may_open(&self, resource: &Resource<T>) -> Option<bool> {
        let passes = |door| {
            let level = level_of::<T>(door, &resource.capital);
            level.is_some_and(|level| self.owner.lets_pass(&level))
        };
        match self.passing.booked {
            None => {
                // A gate has both doors or one for all: who names nothing to share has none.
                passes(Door::Shared).then(|| passes(Door::Sole))
            }
            // More may share their hold, unless it was lost or they are too many to count.
            Some(Booked { token, door }) => {
                let is_held = matches!(self.slots.state(token), Some(State::Held(_)));
                let has_room = door == Door::Shared && !self.passing.is_full;
                (has_room && is_held && self.owner.is_quiet()).then_some(false)
            }
        }
    }

    /// Opens the gate for a request that found it closed.
    pub(super) fn open_for(
        &mut self,
        resource: &Resource<T>,
        door: Door,
        now: Time,
    ) -> Option<(Pass, u64)> {
        let Passing {
            heat,
            entries,
            opened_at,
            ..
        } = &mut self.passing;
        heat.on_opening(core::mem::take(entries).into(), *opened_at, now);
        let entered = self.reopen(resource, Some(door))?;
        self.passing.was_open = false;
        self.passing.opened_at = now;
        Some(entered)
    }

    /// How many guards hold: more than holds, where some share one. Those whose hold was lost hold nothing.
    pub(super) fn holders(&self, gate: &Gate) -> u64 {
        let holds = self.owner.holds();
        holds
            .map(|(token, _)| u64::from(self.guards(token, gate)))
            .sum()
    }

    /// How many guards share a hold.
    fn guards(&self, token: Token, gate: &Gate) -> u32 {
        match self.passing.booked {
            // Beside one who is alone, only those are counted who are about to turn back.
            Some(booked) if booked.token == token && booked.door == Door::Shared => {
                gate.count().max(1)
            }
            Some(_) | None => 1 + self.slots.sharers(token),
        }
    }

    /// The gate was open when the lock was taken; it stays closed, until a request opens it.
    pub(super) fn leave_closed(&mut self) -> bool {
        core::mem::take(&mut self.passing.was_open)
    }

    /// A hold is over, whose slot may tell that it was lost before.
    pub(super) fn end(&mut self, now: Time, token: Token) {
        // The future of a conversion that was forgotten, not dropped, has withdrawn nothing.
        if let Some(State::Held(_) | State::Converting(_) | State::Unconverted(..)) =
            self.slots.remove(token)
        {
            self.owner.release(now, token, &mut self.fx);
        }
    }
}

/// What a type asks for at a door.
pub(super) fn level_of<T: ResourceType>(door: Door, capital: &T::Credit) -> Option<T::Level> {
    match door {
        Door::Shared => T::shared(capital),
        Door::Sole => T::sole(capital),
    }
}

/// The owner is only looked at.
impl<T: ResourceType> Resource<T> {
    /// Runs `f` on the owner as it is, for people and tests.
    pub fn with_owner<R>(&self, f: impl FnOnce(&Owner<T>) -> R) -> R {
        self.with_holders(|owner, _| f(owner))
    }

    /// The same, with how many guards share a hold.
    pub(in crate::front) fn with_holders<R>(
        &self,
        f: impl FnOnce(&Owner<T>, &dyn Fn(Token) -> u32) -> R,
    ) -> R {
        let inner = self.lock();
        let result = f(&inner.owner, &|token| inner.guards(token, &self.gate));
        self.unlock(inner);
        result
    }
}
