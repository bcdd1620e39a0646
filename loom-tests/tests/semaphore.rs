//! The suite of the library on a semaphore of three units: one, two, or all of them.

#![cfg(any(rm_loom, rm_shuttle))]

use rm_loom::subject::Subject;
use rm_types::semaphore::{SemaphoreType, Units};

rm_loom::models! { mod semaphore for resource Slots }

/// A semaphore of three units.
#[derive(Clone, Copy, Debug)]
struct Slots;

impl Subject for Slots {
    type Type = SemaphoreType;
    /// How many units.
    type Mode = u64;

    // Of two units each, two exclude each other; of one unit each, three fit.
    const MODES: &'static [u64] = &[1, 2, 3];

    fn resource_type() -> SemaphoreType {
        SemaphoreType::with_units(3)
    }

    fn level(units: u64, _: &Units) -> Units {
        Units(units)
    }
}
