//! Of which resources credit moves most: a sketch of fixed size for a whole domain, for people.
//!
//! A counter in each resource would cost memory where nothing moves. This is the algorithm *Space-Saving* (Metwally,
//! Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data streams", 2005): [`SLOTS`]
//! counters, and a resource that has none takes over the smallest one, with its count as its own uncertainty. So of the moves
//! that are counted, a resource with more than one part in `SLOTS` is in it. Its true number is at least `grants + recalls`,
//! which begin at zero with the slot, and at most `uncertain` more; both but for the moves that were not counted (see
//! *Threads*). What moves in turn with many others can lose its slot, and then begins anew.
//!
//! **Cost.** Nothing where no message is sent: what is served out of a cache is not counted. Else two walks over an
//! array of `SLOTS` numbers at most.
//!
//! **Threads.** Who meets another in it does not wait, and is not counted: a count for people is not worth a wait under
//! the lock of a resource.

use std::sync::Mutex;

use super::shard::hash_of;
use crate::id::{ResourceKey, TypeId};
use crate::inspect::HotResource;
use crate::resource::ResourceType;

/// How many resources are counted at a time.
const SLOTS: usize = 256;

/// What one input moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Loans that were given or raised.
    pub(super) grants: u64,
    /// Recalls that were sent.
    pub(super) recalls: u64,
}

/// The sketch. It takes memory when something moves first.
#[derive(Debug, Default)]
pub(super) struct Heat(Mutex<Sketch>);

#[derive(Debug, Default)]
struct Sketch {
    /// What tells the resource of a slot from others. Apart from the rest, so that a walk over them is short.
    hashes: Vec<u64>,
    /// All moves that a slot counts, those included that were another's.
    weights: Vec<u64>,
    resources: Vec<HotResource>,
}

impl Heat {
    /// Credit of that resource has moved.
    pub(super) fn count<T: ResourceType>(&self, key: &ResourceKey, moved: Moved) {
        if moved == Moved::default() {
            return;
        }
        if let Ok(mut sketch) = self.0.try_lock() {
            sketch.count((T::ID, T::NAME), key, moved);
        }
    }

    /// Those that move, most first, of those whose name starts with `prefix`.
    pub(super) fn hottest(&self, prefix: &[u8]) -> Vec<HotResource> {
        let sketch = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let resources = sketch.resources.iter();
        let mut hot: Vec<_> = resources
            .filter(|resource| resource.key.as_bytes().starts_with(prefix))
            .cloned()
            .collect();
        drop(sketch);
        hot.sort_by_key(|resource| std::cmp::Reverse(resource.grants + resource.recalls));
        hot
    }
}

impl Sketch {
    fn count(&mut self, (type_id, type_name): (TypeId, &str), key: &ResourceKey, moved: Moved) {
        let hash = hash_of(key) ^ u64::from(type_id.0);
        let is_same = |resource: &HotResource| resource.type_id == type_id && resource.key == *key;
        let mut slots = self.hashes.iter().enumerate();
        let found = slots.find(|&(slot, &of)| of == hash && is_same(&self.resources[slot]));
        let slot = match found {
            Some((slot, _)) => slot,
            None => {
                let uncertain = self.take_slot(hash);
                let resource = HotResource {
                    type_id,
                    type_name: type_name.into(),
                    key: key.clone(),
                    grants: 0,
                    recalls: 0,
                    uncertain: uncertain.1,
                };
                match self.resources.get_mut(uncertain.0) {
                    Some(place) => *place = resource,
                    None => self.resources.push(resource),
                }
                uncertain.0
            }
        };
        self.weights[slot] += moved.grants + moved.recalls;
        self.resources[slot].grants += moved.grants;
        self.resources[slot].recalls += moved.recalls;
    }

    /// A slot for a resource that has none, and how much it has counted for others.
    fn take_slot(&mut self, hash: u64) -> (usize, u64) {
        if self.hashes.len() < SLOTS {
            self.hashes.push(hash);
            self.weights.push(0);
            return (self.hashes.len() - 1, 0);
        }
        let weights = self.weights.iter().copied().enumerate();
        let (slot, weight) = weights
            .min_by_key(|&(_, weight)| weight)
            .expect("all slots are taken");
        self.hashes[slot] = hash;
        (slot, weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: Moved = Moved {
        grants: 1,
        recalls: 0,
    };

    fn key(number: usize) -> ResourceKey {
        ResourceKey::new(format!("r/{number}").as_bytes()).expect("a name")
    }

    fn count(heat: &Heat, number: usize, moved: Moved) {
        let mut sketch = heat.0.lock().expect("nobody panicked");
        sketch.count((TypeId(1), "t"), &key(number), moved);
    }

    #[test]
    fn what_moves_most_is_found_among_many_more_than_there_are_slots() {
        let heat = Heat::default();
        for round in 0..20 * SLOTS {
            count(&heat, round, GRANT);
            count(&heat, 3, GRANT);
        }
        let hot = heat.hottest(b"r/");
        assert_eq!(hot[0].key, key(3));
        assert!(hot[0].grants + hot[0].uncertain >= 20 * SLOTS as u64);
        assert_eq!(
            heat.0.lock().expect("nobody panicked").resources.len(),
            SLOTS
        );
    }

    #[test]
    fn a_newcomer_says_how_much_of_its_place_may_be_its_own() {
        let heat = Heat::default();
        for number in 0..SLOTS {
            count(&heat, number, GRANT);
            count(&heat, number, GRANT);
        }
        let recall = Moved {
            grants: 0,
            recalls: 1,
        };
        count(&heat, SLOTS, recall);
        let hot = heat.hottest(b"");
        let newcomer = hot.iter().find(|hot| hot.key == key(SLOTS)).expect("in");
        assert_eq!(
            (newcomer.grants, newcomer.recalls, newcomer.uncertain),
            (0, 1, 2)
        );
    }

    #[test]
    fn only_names_with_the_prefix_are_told() {
        let heat = Heat::default();
        count(&heat, 1, GRANT);
        assert_eq!(heat.hottest(b"x"), []);
        assert_eq!(heat.hottest(b"r/1").len(), 1);
    }
}
