//! One shard of a table: the resources whose names hash to it, each live or at rest.
//!
//! A place in the shard holds a *live* resource, which callers and messages can use, or what is left of one *at rest*:
//! its name and the numbers of its book, in a fifth of the memory. The table wakes it before anybody meets it.
//!
//! A hand goes round over the places, for the reclaimer. A table that grows deals its places anew; then the hand may
//! come to some a turn early or late, which only the reclaimer's guesses notice.
//!
//! **Determinism.** The hash is a fixed function of the name, so the same names in the same sequence give the same
//! order of places in every run.

use std::sync::Arc;

use hashbrown::HashTable;

use super::reclaim::Age;
use super::resource::Resource;
use super::totals::Totals;
use crate::credit::Credit;
use crate::id::{LoanId, ResourceKey};
use crate::owner::{Owner, Rest};
use crate::resource::ResourceType;

/// A shard gives memory back when it has room for this many times what is in it.
const ROOMY: usize = 16;

/// Places there is always room for.
const ROOM_MIN: usize = 64;

/// One resource.
pub(super) enum Place<T: ResourceType> {
    Live(Arc<Resource<T>>),
    Resting(Box<Resting<T>>),
}

/// A resource at rest.
pub(super) struct Resting<T: ResourceType> {
    pub(super) key: ResourceKey,
    pub(super) age: Age,
    pub(super) rest: Rest<T::Credit>,
}

impl<T: ResourceType> Place<T> {
    pub(super) fn key(&self) -> &ResourceKey {
        match self {
            Self::Live(resource) => resource.key(),
            Self::Resting(resting) => &resting.key,
        }
    }

    pub(super) fn totals(&self) -> Totals {
        match self {
            Self::Live(resource) => resource.totals(),
            Self::Resting(resting) => Totals {
                resources: 1,
                loans: resting.rest.debtors() as u64,
                ..Totals::default()
            },
        }
    }
}

/// What must not be forgotten with resources that vanish: the highest numbers of all of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// The fencing clock. A debtor's went home with its last credit, and comes again with the next.
    pub(super) fence: u64,
    /// The last loan that was opened.
    pub(super) loan: LoanId,
    /// A value that is not known here may have been written and lost: by a debtor of a root's resource that vanished,
    /// or in a former life. Which one is not kept, so the values of all new resources of the shard are doubtful.
    pub(super) is_doubtful: bool,
}

impl Numbers {
    pub(super) fn of<T: ResourceType>(owner: &Owner<T>) -> Self {
        let is_root = owner.is_root();
        Self {
            fence: if is_root { owner.fence().now() } else { 0 },
            loan: owner.last_lent(),
            is_doubtful: is_root && owner.value().is_some_and(|value| value.is_doubtful()),
        }
    }

    /// Those of a debtor at rest whose session is over.
    pub(super) fn of_resting<C: Credit>(rest: &Rest<C>) -> Self {
        Self {
            loan: rest.last_loan(),
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.fence = self.fence.max(other.fence);
        self.loan = self.loan.max(other.loan);
        self.is_doubtful |= other.is_doubtful;
    }
}

pub(super) struct Shard<T: ResourceType> {
    places: HashTable<Place<T>>,
    /// The place that was visited last.
    hand: usize,
    /// The view by which those at rest go.
    pub(super) seen: u32,
    /// Of resources that vanished.
    pub(super) numbers: Numbers,
    /// What resources that vanished or rest had counted, and how often credit was sent home.
    pub(super) totals: Totals,
}

impl<T: ResourceType> Default for Shard<T> {
    fn default() -> Self {
        Self {
            places: HashTable::new(),
            hand: 0,
            seen: 0,
            numbers: Numbers::default(),
            totals: Totals::default(),
        }
    }
}

impl<T: ResourceType> Shard<T> {
    pub(super) fn find(&mut self, key: &ResourceKey) -> Option<&mut Place<T>> {
        self.places
            .find_mut(hash_of(key), |place| place.key() == key)
    }

    /// Adds a resource that is not in it.
    pub(super) fn insert(&mut self, place: Place<T>) {
        let hash = hash_of(place.key());
        self.places.insert_unique(hash, place, rehash);
    }

    pub(super) fn remove(&mut self, key: &ResourceKey) -> Option<Place<T>> {
        let found = self
            .places
            .find_entry(hash_of(key), |place| place.key() == key);
        Some(found.ok()?.remove().0)
    }

    /// Moves the hand on to the next place with a resource; `None` after `steps` places without one.
    pub(super) fn next(&mut self, steps: usize) -> Option<&mut Place<T>> {
        let buckets = self.places.num_buckets();
        for _ in 0..steps.min(buckets) {
            self.hand = if self.hand + 1 < buckets {
                self.hand + 1
            } else {
                0
            };
            if self.places.get_bucket(self.hand).is_some() {
                break;
            }
        }
        self.at(self.hand)
    }

    /// Where the hand is: good for [`at`](Self::at) until something is inserted.
    pub(super) const fn hand(&self) -> usize {
        self.hand
    }

    /// The resource there, if there still is one.
    pub(super) fn at(&mut self, hand: usize) -> Option<&mut Place<T>> {
        self.places.get_bucket_mut(hand)
    }

    pub(super) fn remove_at_hand(&mut self) -> Option<Place<T>> {
        let found = self.places.get_bucket_entry(self.hand);
        Some(found.ok()?.remove().0)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place<T>> {
        self.places.iter()
    }

    pub(super) fn resting(&self) -> impl Iterator<Item = &Place<T>> {
        let is_resting = |place: &&Place<T>| matches!(place, Place::Resting(_));
        self.places.iter().filter(is_resting)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &ResourceKey> {
        self.places.iter().map(Place::key)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Place<T>> {
        self.places.iter_mut()
    }

    /// Clones of all that are live.
    pub(super) fn live(&self) -> Vec<Arc<Resource<T>>> {
        let live = |place: &Place<T>| match place {
            Place::Live(resource) => Some(Arc::clone(resource)),
            Place::Resting(_) => None,
        };
        self.places.iter().filter_map(live).collect()
    }

    /// Takes out those at rest for which `is_over` holds.
    pub(super) fn take_resting(
        &mut self,
        is_over: impl Fn(&Resting<T>) -> bool,
    ) -> Vec<Box<Resting<T>>> {
        let is_taken = |place: &mut Place<T>| matches!(place, Place::Resting(r) if is_over(r));
        let taken = self.places.extract_if(is_taken);
        taken
            .filter_map(|place| match place {
                Place::Live(_) => None,
                Place::Resting(resting) => Some(resting),
            })
            .collect()
    }

    /// Gives memory back that it no longer needs.
    pub(super) fn trim(&mut self) {
        let needed = self.places.len().max(ROOM_MIN);
        if self.places.capacity() / ROOMY >= needed {
            self.places.shrink_to(2 * needed, rehash);
        }
    }
}

fn rehash<T: ResourceType>(place: &Place<T>) -> u64 {
    hash_of(place.key())
}

/// The table takes the low and the highest bits of it; which shard a name belongs to is told by others.
pub(super) fn hash_of(key: &ResourceKey) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key.as_bytes())
}
