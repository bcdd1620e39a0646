//! A book that sleeps: what is left of a resource that nobody uses while somebody keeps its handle.
//!
//! A resource without handles *rests* in its shard ([`shard`](crate::front::shard)): it is gone, and its place has the numbers.
//! One whose handles are kept has to stay where they point to. So it keeps its name and its gate, and the rest of it, most
//! of its memory, is exchanged for the same numbers.
//!
//! **Invariants.** Who sleeps has no caller, no deadline, no wind-up, and a closed gate; its owner is one that may rest. So
//! nothing is lost by sleeping but what is forgotten by resting, and nothing can happen that does not lock the resource.
//! Whoever locks it wakes it: outside of this file nobody meets a book that sleeps.
//!
//! **Cost.** Waking makes the owner anew from its numbers, once after each time of disuse.

use core::mem;
use core::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::{Inner, Resource};
use crate::front::reclaim::Age;
use crate::front::routes::Link;
use crate::front::slots::Slots;
use crate::front::totals::Totals;
use crate::id::PeerId;
use crate::owner::{Owner, Rest};
use crate::policy::Policy;
use crate::resource::ResourceType;
use crate::sync::{MutexGuard, Ordering};

/// What a resource keeps behind its mutex.
pub(super) enum Book<T: ResourceType> {
    Awake(Box<Inner<T>>),
    Asleep(Sleeper<T>),
}

/// A book that sleeps.
pub(super) struct Sleeper<T: ResourceType> {
    rest: Rest<T::Credit>,
    policy: Policy,
    link: Option<Arc<Link>>,
    age: Age,
    seen: u32,
    /// The next caller's, so that no token is given twice.
    generation: u32,
}

/// A locked book, awake.
pub(in crate::front) struct Awake<'a, T: ResourceType>(MutexGuard<'a, Book<T>>);

impl<T: ResourceType> Deref for Awake<'_, T> {
    type Target = Inner<T>;

    #[inline]
    fn deref(&self) -> &Inner<T> {
        match &*self.0 {
            Book::Awake(inner) => inner,
            Book::Asleep(_) => unreachable!("it was woken when it was locked"),
        }
    }
}

impl<T: ResourceType> DerefMut for Awake<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Inner<T> {
        match &mut *self.0 {
            Book::Awake(inner) => inner,
            Book::Asleep(_) => unreachable!("it was woken when it was locked"),
        }
    }
}

/// What the reclaimer sees of a book without waking it.
pub(in crate::front) struct Asleep {
    pub(in crate::front) age: Age,
    pub(in crate::front) has_spare: bool,
    pub(in crate::front) debtors: usize,
}

impl<T: ResourceType> Resource<T> {
    /// Locks it, and leaves its gate as it is.
    #[inline]
    pub(super) fn wake(&self) -> Awake<'_, T> {
        let mut book = self.inner.lock();
        if let Book::Asleep(sleeper) = &*book {
            let inner = self.woken(sleeper);
            *book = Book::Awake(inner);
        }
        Awake(book)
    }

    #[cold]
    fn woken(&self, sleeper: &Sleeper<T>) -> Box<Inner<T>> {
        let settings = Arc::clone(&self.shared.owner_settings);
        let epoch = self.shared.epoch();
        let owner = Owner::wake(settings, self.capital.clone(), epoch, &sleeper.rest);
        Box::new(Inner {
            link: sleeper.link.clone(),
            age: sleeper.age,
            seen: sleeper.seen,
            slots: Slots::after(sleeper.generation),
            ..Inner::new(owner.with_policy(sleeper.policy))
        })
    }

    /// Lets it sleep, if nothing happens in it and it was not used since the reclaimer's last visit. Returns what it had,
    /// to be dropped without a lock.
    pub(in crate::front) fn fall_asleep(&self) -> Option<Box<Inner<T>>> {
        let mut inner = self.lock();
        // Relaxed: the mutex is held by whoever sets it.
        let is_used = inner.leave_closed() || self.used.load(Ordering::Relaxed);
        let sleeper = inner.sleeper().filter(|_| !is_used)?;
        if let Some(armed) = inner.armed.take() {
            self.shared.timers.remove(armed);
        }
        match mem::replace(&mut *inner.0, Book::Asleep(sleeper)) {
            Book::Awake(inner) => Some(inner),
            Book::Asleep(_) => None,
        }
    }

    /// How it sleeps, if it does.
    pub(in crate::front) fn asleep(&self) -> Option<Asleep> {
        match &*self.inner.lock() {
            Book::Awake(_) => None,
            Book::Asleep(sleeper) => Some(Asleep {
                age: sleeper.age,
                has_spare: sleeper.rest.has_spare(),
                debtors: sleeper.rest.debtors(),
            }),
        }
    }

    /// Whether what happens to that debtor concerns it. Wakes nobody, and is no use.
    pub(in crate::front) fn is_concerned_with(&self, debtor: PeerId) -> bool {
        match &*self.inner.lock() {
            Book::Awake(inner) => inner.owner.is_concerned_with(debtor),
            Book::Asleep(sleeper) => sleeper.rest.lends_to(debtor),
        }
    }

    pub(super) fn totals_asleep(&self) -> Option<Totals> {
        self.asleep().map(|asleep| Totals {
            resources: 1,
            loans: asleep.debtors as u64,
            ..Totals::default()
        })
    }
}

impl<T: ResourceType> Inner<T> {
    /// What is left of it when it sleeps, if it may.
    fn sleeper(&self) -> Option<Sleeper<T>> {
        let Self {
            owner,
            slots,
            passing,
            link,
            next_link,
            seen,
            // The deadline of a request that was served before it.
            armed: _,
            fx,
            age,
            courses,
            kept,
            // They are added up with those of the others that rest.
            cached_acquires: _,
            visited_at: _,
            asked_acquires: _,
        } = self;
        let is_used = slots.are_used() || passing.is_booked() || !kept.is_empty();
        let happens = !fx.is_empty() || next_link.is_some() || !courses.is_empty();
        if is_used || happens {
            return None;
        }
        Some(Sleeper {
            rest: owner.rest()?,
            policy: owner.policy(),
            link: link.clone(),
            age: *age,
            seen: *seen,
            generation: slots.generation(),
        })
    }

    /// What it has counted.
    pub(in crate::front) fn counted(&self) -> Totals {
        Totals {
            cached_acquires: self.cached_acquires,
            asked_acquires: self.asked_acquires,
            ..Totals::default()
        }
    }
}
