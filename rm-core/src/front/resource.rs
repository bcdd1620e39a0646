//! One owner behind a mutex, with the callers that use it.

mod holds;
#[cfg(feature = "testing")]
mod look;
mod neighbours;
mod notices;
mod passing;
mod release;
mod roots;
mod sleep;
mod turn;
mod value;
mod visit;

use core::fmt;
use core::task::{Poll, Waker};
use core::time::Duration;
use std::sync::{Arc, Weak};

use smallvec::SmallVec;

pub(super) use self::passing::Claim;
use self::passing::Passing;
use self::sleep::{Awake, Book};
use self::turn::Clock;
use super::ask::{Ask, Patience};
use super::gate::{Door, Gate};
use super::observe::Subject;
use super::reclaim::Age;
use super::routes::Link;
use super::shared::Shared;
use super::slots::{Slots, State, Watch};
use super::timers::{Due, Entry};
use super::totals::Totals;
use super::trace;
use super::windup::Course;
use crate::credit::Level as _;
use crate::effect::{Effect, Effects};
use crate::error::{Denied, LostReason};
use crate::id::{Class, Note, Order, ResourceKey, Token};
use crate::owner::{Owner, Request};
use crate::resource::ResourceType;
use crate::sync::{AtomicBool, Mutex, Ordering};
use crate::time::Time;
use crate::trace::TraceContext;

/// One resource at this node.
pub struct Resource<T: ResourceType> {
    key: ResourceKey,
    capital: T::Credit,
    shared: Arc<Shared>,
    /// What is let pass without the lock.
    gate: Gate,
    inner: Mutex<Book<T>>,
    /// Used since the last look of the reclaimer.
    used: AtomicBool,
    own: Weak<Self>,
}

pub(super) struct Inner<T: ResourceType> {
    owner: Owner<T>,
    slots: Slots,
    passing: Passing,
    /// The session over which the owner borrowed, which bounds what is used of that; `None` at a root.
    link: Option<Arc<Link>>,
    /// The session over which an orphan was claimed: what is used rests on it once that is confirmed.
    next_link: Option<Arc<Link>>,
    /// The view by which it goes.
    seen: u32,
    /// The deadline that the node's timer knows.
    armed: Option<Entry>,
    /// Empty between inputs.
    fx: Effects<T>,
    /// What the reclaimer remembers of it.
    age: Age,
    /// Wind-ups that wait for it.
    courses: Vec<Arc<Course>>,
    /// Holds that the node keeps without a caller.
    kept: SmallVec<[Token; 1]>,
    /// Local requests that the cache served.
    cached_acquires: u64,
    /// How many they were at the reclaimer's last visit.
    visited_at: u64,
    /// Local requests that it did not.
    asked_acquires: u64,
}

impl<T: ResourceType> Resource<T> {
    pub(super) fn new(key: ResourceKey, shared: Arc<Shared>, owner: Owner<T>) -> Arc<Self> {
        let capital = owner.capital().clone();
        let inner = Inner::new(owner);
        Arc::new_cyclic(|own| Self {
            key,
            capital,
            shared,
            gate: Gate::new(),
            inner: Mutex::new(Book::Awake(Box::new(inner))),
            used: AtomicBool::new(true),
            own: own.clone(),
        })
    }

    /// Its name.
    #[must_use]
    pub fn key(&self) -> &ResourceKey {
        &self.key
    }

    /// All the credit there is of it.
    pub const fn capital(&self) -> &T::Credit {
        &self.capital
    }

    /// Takes `ask` if it is cached and nobody waits for it. Sends nothing.
    pub(super) fn take(
        &self,
        ask: &T::Level,
        door: Option<Door>,
        label: Option<&str>,
    ) -> Option<(Claim, u64)> {
        let sees_cached = trace::sees_cached();
        let door = door.filter(|_| label.is_none() && !sees_cached);
        if let Some((pass, fence)) = door.and_then(|door| self.pass(door)) {
            return Some((Claim::Gate(pass), fence));
        }
        let mut turn = self.enter(Clock::Recent);
        let note = label.map(|label| self.note(ask, label, None));
        let now = turn.now;
        let taken = turn.inner.take(self, now, ask, door, note);
        self.leave(turn);
        if let Some((_, fence)) = taken
            && sees_cached
        {
            trace::on_cached(self, ask, fence);
        }
        taken
    }

    /// Starts a request at the owner.
    pub(super) fn start(
        &self,
        ask: &Ask<T::Level>,
        trace: Option<TraceContext>,
        waker: &Waker,
    ) -> Started {
        let mut turn = self.enter(Clock::Exact);
        let now = turn.now;
        let inner = &mut *turn.inner;
        let token = inner.slots.insert(State::Waiting);
        inner.slots.wait(token, waker);
        let request = Request {
            try_only: ask.patience == Patience::Try,
            deadline: ask.patience.deadline(now),
            note: Some(self.note(&ask.level, ask.label(), trace)),
            group: ask.options.as_ref().and_then(|options| options.group),
            gives_way: ask.options.as_ref().and_then(|options| options.gives_way),
            ..Request::new(
                token,
                self.shared.next_order(Class::New, ask.priority()),
                ask.level.clone(),
            )
        };
        inner.owner.acquire(now, request, &mut inner.fx);
        let is_cached = matches!(inner.fx.as_slice(), [Effect::Grant { .. }]);
        inner.cached_acquires += u64::from(is_cached);
        inner.asked_acquires += u64::from(!is_cached);
        self.apply(&mut turn);
        let ahead = turn.inner.owner.waiting().len().saturating_sub(1);
        let outcome = turn.inner.outcome(token);
        let started = outcome.map_or(Started::Waiting(token, ahead), |decided| {
            match decided.outcome {
                Ok(fence) if is_cached => Started::Cached(Claim::Slot(token), fence),
                Ok(fence) => Started::Granted(Claim::Slot(token), fence),
                Err(denied) => Started::Denied(denied),
            }
        });
        self.leave(turn);
        started
    }

    /// Takes what a request asks for where that has no effect on anybody else: the way of cached requests, kept short.
    pub(super) fn take_at_once(&self, ask: &Ask<T::Level>) -> Option<(Claim, u64)> {
        if !ask.is_plain() {
            return None;
        }
        let sees_cached = trace::sees_cached();
        let door = ask.door.filter(|_| !sees_cached);
        let taken = {
            let (mut inner, now) = self.lock_in_good_time();
            inner.take(self, now?, &ask.level, door, None)
        };
        if let Some((_, fence)) = taken
            && sees_cached
        {
            trace::on_cached(self, &ask.level, fence);
        }
        taken
    }

    /// Locks it, for something that has no effect on anybody else; `None` where a lease has run out, which has.
    ///
    /// The gate stays closed: the next who comes by a door opens it.
    fn lock_in_good_time(&self) -> (Awake<'_, T>, Option<Time>) {
        let mut inner = self.lock();
        inner.leave_closed();
        let now = match &inner.link {
            None => Some(self.shared.recent()),
            Some(link) => Some(self.shared.host.now()).filter(|&now| link.trust.is_good(now)),
        };
        // Relaxed: a hint for the reclaimer.
        self.used.store(true, Ordering::Relaxed);
        (inner, now)
    }

    /// Gives back what is held where that has no effect on anybody else. Returns whether it did.
    ///
    /// It asks no clock: credit whose lease ran out may lie in the cache, since nobody takes it from there
    /// without asking.
    fn put_back_at_once(&self, token: Token, parting: &mut Option<Parting>) -> bool {
        let mut inner = self.lock();
        *parting = inner.parting(self, token);
        let Inner { owner, slots, .. } = &mut *inner;
        let is_shared = slots.unshare(token);
        let is_back = !is_shared && slots.is_unwatched(token) && owner.put_back(token);
        if is_back {
            slots.remove_unwatched(token);
        }
        inner.leave_closed();
        is_shared || is_back
    }

    /// Whether a request has its outcome; if not, `waker` is woken when it has.
    pub(super) fn poll(&self, token: Token, waker: &Waker) -> Poll<Decided> {
        let mut turn = self.enter(Clock::Exact);
        let poll = match turn.inner.outcome(token) {
            Some(decided) => Poll::Ready(decided),
            None => {
                turn.inner.slots.wait(token, waker);
                Poll::Pending
            }
        };
        self.leave(turn);
        poll
    }

    /// The caller no longer looks for the outcome of its request.
    pub(super) fn abandon(&self, token: Token) {
        self.input(|inner, now| {
            // If it was granted in the meantime, the caller never saw it.
            if let Some(State::Waiting | State::Held(_)) = inner.slots.remove(token) {
                let Inner { owner, fx, .. } = inner;
                if !owner.cancel(now, token, fx) {
                    owner.release(now, token, fx);
                }
            }
        });
    }

    /// A holder is done.
    #[inline(never)]
    pub(super) fn release(&self, token: Token) {
        let mut parting = None;
        if !self.put_back_at_once(token, &mut parting) {
            let mut turn = self.enter(Clock::Exact);
            let (inner, now) = (&mut *turn.inner, turn.now);
            parting = inner.parting(self, token);
            let hold = inner.owner.hold(token).filter(|hold| hold.is_wanted());
            let note = hold.and_then(|hold| hold.note.as_ref());
            turn.let_go = note.filter(|note| note.trace().is_some()).cloned();
            inner.end(now, token);
            self.leave(turn);
        }
        if let (Some(observer), Some((mode, since))) = (&self.shared.observer, parting) {
            let subject = Subject {
                type_name: T::NAME,
                mode,
                key: &self.key,
            };
            observer.on_release(subject, self.shared.host.now().since(since));
        }
    }

    /// Why a hold is no longer valid, if it is not. Asks the clock.
    pub(super) fn lost(&self, claim: Claim) -> Option<LostReason> {
        if self.is_good_inside(claim) {
            return None;
        }
        let turn = self.enter(Clock::Recent);
        let lost = turn.inner.why_lost(turn.inner.token(claim));
        self.leave(turn);
        lost
    }

    /// As [`lost`](Self::lost); if the hold is valid, `waker` is woken when it no longer is. `watch` tells the
    /// several that may ask apart.
    pub(super) fn poll_lost(
        &self,
        claim: Claim,
        watch: &mut Option<Watch>,
        waker: &Waker,
    ) -> Poll<LostReason> {
        let mut turn = self.enter(Clock::Exact);
        let token = turn.inner.token(claim);
        let poll = match turn.inner.why_lost(token) {
            Some(why) => Poll::Ready(why),
            None => {
                *watch = Some(turn.inner.slots.watch(token, *watch, waker));
                Poll::Pending
            }
        };
        self.leave(turn);
        poll
    }

    /// Whoever asked for the loss no longer waits for it.
    pub(super) fn unwatch(&self, claim: Claim, watch: Watch) {
        let mut turn = self.enter(Clock::Recent);
        let token = turn.inner.token(claim);
        turn.inner.slots.unwatch(token, Some(watch));
        self.leave(turn);
    }

    /// The node stops.
    pub(super) fn shut_down(&self) {
        self.input(|inner, _| inner.owner.shut_down(&mut inner.fx));
    }

    /// How long a hold may be used if its lease is not extended: zero once it was lost; `None` at a root, for ever.
    pub(super) fn valid_for(&self, claim: Claim) -> Option<Duration> {
        let turn = self.enter(Clock::Exact);
        let token = turn.inner.token(claim);
        let valid_for = match (turn.inner.why_lost(token), &turn.inner.link) {
            (Some(_), _) => Some(Duration::ZERO),
            (None, None) => None,
            (None, Some(link)) => {
                let until = link.trust.deadline().unwrap_or(Time::ZERO);
                Some(until.since(turn.now))
            }
        };
        self.leave(turn);
        valid_for
    }

    /// Refuses everything new from now on, and lets what is out come home; `course` is told when it has.
    /// Returns whether it had anything to say to anybody.
    pub(super) fn wind_up(&self, order: Order, course: Option<&Arc<Course>>) -> bool {
        let mut is_busy = false;
        self.input(|inner, now| {
            inner.owner.wind_up(now, order, &mut inner.fx);
            is_busy = !inner.fx.is_empty();
            if let Some(course) = course
                && !inner.owner.is_wound_up()
            {
                course.expect();
                inner.courses.push(Arc::clone(course));
            }
        });
        is_busy
    }

    /// Sends back what is cached and nobody here waits for.
    pub fn return_spare(&self) {
        self.input(|inner, now| inner.owner.return_spare(now, &mut inner.fx));
    }

    pub(super) fn totals(&self) -> Totals {
        if let Some(totals) = self.totals_asleep() {
            return totals;
        }
        let inner = self.lock();
        let totals = inner.totals(self);
        self.unlock(inner);
        totals
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn note(&self, ask: &T::Level, label: &str, trace: Option<TraceContext>) -> Arc<Note> {
        let mode = T::mode_name(ask, &self.capital);
        Note::with_trace(mode, label, &self.shared.name, trace)
    }
}

impl<T: ResourceType> Inner<T> {
    fn new(owner: Owner<T>) -> Self {
        Self {
            owner,
            slots: Slots::default(),
            passing: Passing::default(),
            link: None,
            next_link: None,
            seen: 0,
            armed: None,
            fx: Effects::new(),
            age: Age::default(),
            courses: Vec::new(),
            kept: SmallVec::new(),
            cached_acquires: 0,
            visited_at: 0,
            asked_acquires: 0,
        }
    }

    fn totals(&self, resource: &Resource<T>) -> Totals {
        let since = self.owner.holds().map(|(_, hold)| hold.since).min();
        let asked = self.owner.waiting().map(|waiting| waiting.order.stamp);
        let host = &resource.shared.host;
        // The clocks are asked only where there is something to measure.
        let held = since.map(|since| host.now().since(since));
        let waited = asked
            .min()
            .map(|stamp| host.stamp_now().since(Time::from_nanos(stamp.0)));
        Totals {
            resources: 1,
            holds: self.holders(&resource.gate),
            waiting: self.owner.waiting().len() as u64,
            loans: self.owner.loans().count() as u64,
            oldest_hold: held.unwrap_or_default(),
            oldest_wait: waited.unwrap_or_default(),
            ..self.counted()
        }
    }

    /// Takes `ask`; by the door, if it has one, which opens the gate for it.
    fn take(
        &mut self,
        resource: &Resource<T>,
        now: Time,
        ask: &T::Level,
        door: Option<Door>,
        note: Option<Arc<Note>>,
    ) -> Option<(Claim, u64)> {
        if let Some(door) = door {
            debug_assert!(
                passing::level_of::<T>(door, &resource.capital).as_ref() == Some(ask),
                "who comes by a door asks for what its type names for it"
            );
            if let Some((pass, fence)) = self.open_for(resource, door, now) {
                return Some((Claim::Gate(pass), fence));
            }
        }
        let token = self.slots.vacant();
        let fence = self.owner.take(now, token, ask, note)?;
        let same = self.slots.insert(State::Held(fence));
        debug_assert_eq!(token, same);
        self.cached_acquires += 1;
        Some((Claim::Slot(token), fence))
    }

    /// The outcome of a request, if it has one. A denial frees the slot. A grant that was lost before its
    /// caller looked is no grant.
    fn outcome(&mut self, token: Token) -> Option<Decided> {
        let outcome = match self.slots.state(token)? {
            State::Waiting | State::Converting(_) | State::Unconverted(..) => None,
            State::Held(fence) => Some(Ok(*fence)),
            State::Denied(_) | State::Lost(_) => match self.slots.remove(token)? {
                State::Denied(why) => Some(Err(*why)),
                State::Lost(why) => Some(Err(Denied::Lost(why))),
                State::Converting(_) | State::Held(_) | State::Unconverted(..) | State::Waiting => {
                    None
                }
            },
        };
        Some(Decided {
            outcome: outcome?,
            let_go: self.slots.take_let_go(token),
        })
    }

    /// What an observer is told of a hold that is about to end.
    fn parting(&self, resource: &Resource<T>, token: Token) -> Option<Parting> {
        resource.shared.observer.as_ref()?;
        if self.slots.is_shared(token) {
            return None;
        }
        let hold = self.owner.hold(token)?;
        let mode = T::mode_name(&T::Level::of(hold.asked()), &resource.capital);
        Some((mode, hold.since))
    }

    fn why_lost(&self, token: Token) -> Option<LostReason> {
        match self.slots.state(token) {
            Some(State::Lost(why)) => Some(*why),
            _ => None,
        }
    }
}

/// The mode of a hold that ends, and since when it held.
type Parting = (&'static str, Time);

/// How a request started.
pub(super) enum Started {
    /// Granted, without an effect on anybody else.
    Cached(Claim, u64),
    Denied(Denied),
    Granted(Claim, u64),
    /// Behind so many others that wait at this node.
    Waiting(Token, usize),
}

/// What became of a request.
pub(super) struct Decided {
    /// Its fencing token, or why it failed.
    pub(super) outcome: Result<u64, Denied>,
    /// Who let go last of what was granted, where that is in a distributed trace.
    pub(super) let_go: Option<Arc<Note>>,
}

impl<T: ResourceType> Due for Resource<T> {
    fn on_due(&self, due: Time) {
        self.input(|inner, now| {
            inner.armed = None;
            // Not before what the caller calls now: else the same deadline would be due again at once.
            inner.owner.on_deadline(now.max(due), &mut inner.fx);
        });
    }
}

impl<T: ResourceType> Drop for Resource<T> {
    /// The timer of a request that was served long before its deadline must not outlive the resource.
    fn drop(&mut self) {
        let armed = match &*self.inner.lock() {
            Book::Awake(inner) => inner.armed,
            Book::Asleep(_) => None,
        };
        if let Some(armed) = armed {
            self.shared.timers.remove(armed);
        }
    }
}

impl<T: ResourceType> fmt::Debug for Resource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource")
            .field("type", &T::NAME)
            .field("key", &self.key)
            .finish()
    }
}
