//! Who vanishes, who rests, and whose credit goes home.
//!
//! A hand goes round over the resources of each shard. Where it comes by,
//!
//! * what nobody uses and nothing is lent of **vanishes**. Its numbers stay with the shard;
//! * credit of a debtor that was not used for [`idle_time`](super::DomainSettings::idle_time) goes **home**;
//! * where a debtor is over its budget, the credit that was used longest ago goes home (below);
//! * what was not used since the hand's last visit **rests**: a fifth of the memory. Where somebody keeps its handle, it
//!   **sleeps**: a third.
//!
//! What is held, waited for or watched by a caller is in use and stays as it is.
//!
//! **Which credit goes first.** Of the places that the hand passed in one run, the least recently used; that is a random
//! sample, since names are dealt to places by their hash, and the oldest of a dozen is nearly the oldest of all. The
//! hand learns of a use at its next visit, so ages are exact to a turn. If at that visit the cache was found to have
//! served a request, that halves the age, up to [`REUSES_MAX`] times. So names that were used once (in a scan over very
//! many) go before the working set, and that in its turn once it has not been used for long. A list in true order of
//! use would have to be moved at every use, by all threads at once, and would lose the working set to a scan; here
//! a use costs the mark that it sets anyway.
//!
//! **What it costs.** The hand moves [`VISITS_AT_INSERT`] places when a new name comes in, [`VISITS_OVER_BUDGET`] where
//! that is one too many, and [`VISITS_AT_SWEEP`] in each shard about once a second. So the work is bounded, and no
//! flood of new names outruns it: a turn over `n` resources takes at most `n / VISITS_AT_INSERT` new ones.

use core::time::Duration;
use std::sync::Arc;

use smallvec::SmallVec;

use super::resource::{Inner, Resource};
use super::settings::Role;
use super::shard::{Numbers, Place, Resting, Shard};
use super::table::Table;
use super::totals::Totals;
use crate::credit::Credit;
use crate::id::PeerId;
use crate::owner::Rest;
use crate::resource::{Lending, ResourceType};
use crate::sync::{Mutex, Ordering};
use crate::time::Time;

/// How often a use out of the cache halves the age.
const REUSES_MAX: u8 = 3;

/// Resources that are looked at when a new one comes in.
const VISITS_AT_INSERT: usize = 2;

/// The same where there are more than the budget allows.
const VISITS_OVER_BUDGET: usize = 16;

/// How many go home for one that comes in: more than one, so that a crowd shrinks.
const HOME_AT_INSERT: u64 = 2;

/// Resources of each shard that one sweep looks at. Over all shards these are few enough that the returns of all of them
/// fit into a session's window.
const VISITS_AT_SWEEP: usize = 256;

/// The hand passes over so many empty places for each visit.
const STEPS_PER_VISIT: usize = 8;

/// How much a debtor keeps cached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// How long unused credit stays.
    pub(super) idle_time: Option<Duration>,
    /// Resources of one type.
    pub(super) resources: u64,
    /// Memory of one type, in bytes.
    pub(super) bytes: u64,
}

/// What the hand remembers of a resource.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Age {
    /// When it was last found used.
    used_at: Tick,
    /// How often it was found to have served out of its cache.
    reuses: u8,
}

/// A time of the host's clock in units of 67 ms: it begins anew after nine years.
#[derive(Clone, Copy, Debug, Default)]
struct Tick(u32);

impl Tick {
    const SHIFT: u32 = 26;

    const fn at(now: Time) -> Self {
        Self((now.as_nanos() >> Self::SHIFT) as u32)
    }

    const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }
}

/// How the hand finds a resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) used: Use,
    /// Its cache served a request since the hand's last visit.
    pub(super) from_cache: bool,
}

/// Whether a resource was used since the hand's last visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    No,
    Lately,
    /// It is held or waited for.
    Now,
}

/// What becomes of a resource.
enum Verdict<C> {
    /// Its spare credit goes home: it was not used for long.
    Home,
    /// The same, if there is no room for it. It has this age.
    HomeIfCrowded(u32),
    Rest(Rest<C>, Age),
    Sleep,
    Stay,
    Vanish,
}

/// One run of the hand.
struct Round {
    now: Tick,
    /// `None` at a root, whose credit has nowhere to go.
    budget: Option<Budget>,
    /// How many more are to go home for want of room.
    excess: u64,
    /// Of a resource that vanished, nothing is known but what is known of all: at a member's lender that may be less,
    /// for as long as something may still be lent that it has no book of.
    may_vanish: bool,
}

impl Age {
    /// Counts a use that was found.
    fn on_use(&mut self, found: Found, now: Tick) {
        self.used_at = now;
        if found.from_cache {
            self.reuses = (self.reuses + 1).min(REUSES_MAX);
        }
    }

    /// Whether unused credit goes home, whose owner has so many debtors.
    fn verdict<T: ResourceType>(self, round: &Round, debtors: usize) -> Verdict<T::Credit> {
        let Some(budget) = round.budget else {
            return Verdict::Stay;
        };
        let unused = round.now.since(self.used_at);
        let span = Duration::from_nanos(u64::from(unused) << Tick::SHIFT);
        // Credit that is used up cannot go home: it would leave a hole, and does so only for want of room.
        if T::LENDING == Lending::Loaned && budget.idle_time.is_some_and(|limit| span >= limit) {
            Verdict::Home
        } else if round.excess > 0 && debtors == 0 {
            Verdict::HomeIfCrowded(unused >> self.reuses)
        } else {
            Verdict::Stay
        }
    }
}

impl<T: ResourceType> Table<T> {
    /// What a live resource takes, in bytes: itself, its counts of references, its book, its place, and the room beside it.
    /// One that sleeps counts as much, though it takes a third.
    const LIVE_BYTES: u64 =
        (size_of::<Resource<T>>() + 16 + size_of::<Inner<T>>() + Self::PLACE_BYTES) as u64;
    /// The same for one at rest.
    const RESTING_BYTES: u64 = (size_of::<Resting<T>>() + Self::PLACE_BYTES) as u64;
    const PLACE_BYTES: usize = (size_of::<Place<T>>() + 1) * 3 / 2;

    /// How many resources there are more than the budget allows.
    fn excess(&self, budget: &Budget) -> u64 {
        // Relaxed: the budget needs no exact numbers.
        let count = self.count.load(Ordering::Relaxed);
        let live = self.live.load(Ordering::Relaxed).min(count);
        let bytes = live * Self::LIVE_BYTES + (count - live) * Self::RESTING_BYTES;
        let by_bytes = bytes
            .saturating_sub(budget.bytes)
            .div_ceil(Self::LIVE_BYTES);
        count.saturating_sub(budget.resources).max(by_bytes)
    }

    fn round(&self) -> Round {
        let budget = match self.shared.role() {
            Role::Debtor => Some(self.shared.budget),
            Role::Root { .. } => None,
        };
        let now = self.shared.host.now();
        let tenure = self.shared.tenure();
        Round {
            may_vanish: tenure.is_none_or(|tenure| tenure.grace(now).is_zero()),
            now: Tick::at(now),
            budget,
            excess: budget.map_or(0, |budget| self.excess(&budget)),
        }
    }

    /// A new resource came into `shard`.
    pub(super) fn on_insert(&self, shard: &Mutex<Shard<T>>) {
        let mut round = self.round();
        let visits = if round.excess == 0 {
            VISITS_AT_INSERT
        } else {
            VISITS_OVER_BUDGET
        };
        round.excess = round.excess.min(HOME_AT_INSERT);
        self.reclaim(shard, visits, &mut round);
    }

    /// The hand's work of about a second.
    pub(super) fn reclaim_all(&self) {
        let mut round = self.round();
        let share = round.excess.div_ceil(self.shards.len() as u64);
        let mut left = round.excess;
        for shard in &self.shards {
            let mine = share.min(left);
            round.excess = mine;
            self.reclaim(shard, VISITS_AT_SWEEP, &mut round);
            left -= mine - round.excess;
            shard.lock().trim();
        }
    }

    /// Moves the hand over `visits` resources of a shard.
    fn reclaim(&self, shard: &Mutex<Shard<T>>, visits: usize, round: &mut Round) {
        let mut homeward = Vec::new();
        // Dropped without the lock.
        let (mut gone, mut asleep) = (Vec::new(), Vec::new());
        let creditors;
        {
            let mut shard = shard.lock();
            // Under the shard's lock: what rests here has borrowed over this session, or over one that has ended.
            creditors = self.shared.routes().peers();
            let seen = shard.seen;
            let mut crowd: SmallVec<[(u32, usize); VISITS_OVER_BUDGET]> = SmallVec::new();
            for _ in 0..visits.min(shard.len()) {
                let Some(place) = shard.next(STEPS_PER_VISIT) else {
                    continue;
                };
                match self.judge(place, round, &creditors) {
                    Verdict::Stay => {}
                    Verdict::HomeIfCrowded(age) => crowd.push((age, shard.hand())),
                    Verdict::Home => {
                        homeward.push(self.wake(place, seen));
                        shard.totals.idle_returns += 1;
                    }
                    Verdict::Rest(rest, age) => {
                        let former = lay_down(place, rest, age);
                        self.live.fetch_sub(1, Ordering::Relaxed);
                        shard.totals.add(&counted(&former));
                        gone.push(former);
                    }
                    Verdict::Sleep => {
                        let former = sleep(place);
                        let counted = former.iter().map(|former| former.counted());
                        counted.for_each(|counted| shard.totals.add(&counted));
                        asleep.extend(former);
                    }
                    Verdict::Vanish => {
                        let place = shard.remove_at_hand();
                        gone.extend(place.inspect(|place| self.on_gone(&mut shard, place)));
                    }
                }
            }
            // The oldest first.
            crowd.sort_unstable_by_key(|&(age, _)| core::cmp::Reverse(age));
            for (_, place) in crowd.into_iter().take(round.excess as usize) {
                homeward.extend(shard.at(place).map(|place| self.wake(place, seen)));
                shard.totals.evictions += 1;
                round.excess -= 1;
            }
        }
        drop((gone, asleep));
        self.send_home(homeward, shard, &creditors);
    }

    fn send_home(
        &self,
        homeward: Vec<Arc<Resource<T>>>,
        shard: &Mutex<Shard<T>>,
        creditors: &[PeerId],
    ) {
        if homeward.is_empty() {
            return;
        }
        for resource in &homeward {
            resource.send_home();
        }
        for &peer in creditors {
            self.shared.host.flush(peer);
        }
        self.put_away(shard, homeward);
    }

    /// What becomes of the resource in a place.
    fn judge(
        &self,
        place: &mut Place<T>,
        round: &Round,
        creditors: &[PeerId],
    ) -> Verdict<T::Credit> {
        let resource = match place {
            Place::Live(resource) => resource,
            Place::Resting(resting) => {
                let former = resting.rest.creditor();
                return if former.is_some_and(|peer| !creditors.contains(&peer)) {
                    // What it had went with that session.
                    Verdict::Vanish
                } else if resting.rest.has_spare() {
                    resting.age.verdict::<T>(round, resting.rest.debtors())
                } else {
                    Verdict::Stay
                };
            }
        };
        // Nobody else can get at it: the one reference is the shard's, whose lock we have.
        let is_free = Arc::strong_count(resource) == 1;
        // One that nobody keeps any more is woken by the visit, and rests or vanishes.
        if let Some(asleep) = resource.asleep().filter(|_| !is_free) {
            return if asleep.has_spare {
                asleep.age.verdict::<T>(round, asleep.debtors)
            } else {
                Verdict::Stay
            };
        }
        resource.visit(|found, age, owner| {
            if is_free && round.may_vanish && found.used != Use::Now && owner.is_idle() {
                return Verdict::Vanish;
            }
            if found.used != Use::No {
                age.on_use(found, round.now);
                return Verdict::Stay;
            }
            if !owner.is_root() && !owner.cached().is_empty() {
                let verdict = age.verdict::<T>(round, owner.loans().count());
                if !matches!(verdict, Verdict::Stay) {
                    return verdict;
                }
            }
            match owner.rest() {
                Some(rest) if is_free => Verdict::Rest(rest, *age),
                Some(_) => Verdict::Sleep,
                None => Verdict::Stay,
            }
        })
    }

    /// A resource was taken out: keeps what must not be forgotten.
    pub(super) fn on_gone(&self, shard: &mut Shard<T>, place: &Place<T>) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        shard.totals.add(&counted(place));
        match place {
            Place::Live(resource) => {
                self.live.fetch_sub(1, Ordering::Relaxed);
                shard.numbers.add(resource.with_owner(Numbers::of));
            }
            Place::Resting(resting) => shard.numbers.add(Numbers::of_resting(&resting.rest)),
        }
    }

    /// Lets resources vanish or rest that were woken for something that is done, unless somebody uses them by now.
    pub(super) fn put_away(&self, shard: &Mutex<Shard<T>>, woken: Vec<Arc<Resource<T>>>) {
        if woken.is_empty() {
            return;
        }
        let mut gone = Vec::new();
        {
            let mut shard = shard.lock();
            for resource in &woken {
                gone.extend(self.put_away_one(&mut shard, resource));
            }
        }
        // Dropped without the lock.
        drop((gone, woken));
    }

    fn put_away_one(&self, shard: &mut Shard<T>, resource: &Arc<Resource<T>>) -> Option<Place<T>> {
        let place = shard.find(resource.key())?;
        let is_same = matches!(place, Place::Live(live) if Arc::ptr_eq(live, resource));
        // The shard's reference and ours.
        if !is_same || Arc::strong_count(resource) > 2 {
            return None;
        }
        let tenure = self.shared.tenure();
        let now = self.shared.host.now();
        let may_vanish = tenure.is_none_or(|tenure| tenure.grace(now).is_zero());
        let (is_idle, rest, age) = resource.visit(|found, age, owner| {
            let is_free = found.used != Use::Now;
            (
                is_free && may_vanish && owner.is_idle(),
                owner.rest().filter(|_| is_free),
                *age,
            )
        });
        if is_idle {
            let place = shard.remove(resource.key())?;
            self.on_gone(shard, &place);
            return Some(place);
        }
        let former = lay_down(place, rest?, age);
        self.live.fetch_sub(1, Ordering::Relaxed);
        shard.totals.add(&counted(&former));
        Some(former)
    }
}

/// Lets a resource sleep. Returns what it had.
fn sleep<T: ResourceType>(place: &Place<T>) -> Option<Box<Inner<T>>> {
    match place {
        Place::Live(resource) => resource.fall_asleep(),
        Place::Resting(_) => None,
    }
}

/// Puts what is left of a resource in its place. Returns the resource.
fn lay_down<T: ResourceType>(place: &mut Place<T>, rest: Rest<T::Credit>, age: Age) -> Place<T> {
    let key = place.key().clone();
    let resting = Place::Resting(Box::new(Resting { key, age, rest }));
    core::mem::replace(place, resting)
}

/// What a resource that vanishes or rests has counted, without what it is.
fn counted<T: ResourceType>(place: &Place<T>) -> Totals {
    Totals {
        resources: 0,
        holds: 0,
        waiting: 0,
        loans: 0,
        ..place.totals()
    }
}
