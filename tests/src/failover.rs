//! Schedules of failover: what is simulated of each kind, from a seed.

use rm_core::testing::failover::{Counts, Failure, Kind, Schedule};
use rm_core::testing::random::Random;
use rm_rwlock::{RwCredit, RwLockType};
use rm_types::{SemaphoreType, Units};

/// Few, so that readers run out of them too.
const SHARES: u64 = 6;
const UNITS: u64 = 5;

/// One schedule: of locks, and of every fourth seed, of semaphores.
///
/// # Errors
/// What must not happen and did.
pub fn run(kind: Kind, seed: u64, replay: &str) -> Result<Counts, Box<Failure>> {
    if seed % 4 == 3 {
        let ask = |random: &mut Random| match random.below(6) {
            0 => Units(UNITS),
            _ => Units(1 + random.below(3)),
        };
        let resource_type = &SemaphoreType::with_units(UNITS);
        let schedule = Schedule {
            kind,
            seed,
            resource_type,
            ask,
            replay,
        };
        return schedule.run();
    }
    let ask = |random: &mut Random| match random.below(10) {
        0..=4 => RwCredit::READ,
        5 => RwCredit::UPGRADABLE,
        _ => RwLockType::with_shares(SHARES).write(),
    };
    let resource_type = &RwLockType::with_shares(SHARES);
    let schedule = Schedule {
        kind,
        seed,
        resource_type,
        ask,
        replay,
    };
    schedule.run()
}
