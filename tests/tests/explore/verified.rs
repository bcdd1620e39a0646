//! The one call that tries everything on a type, on the types that are here.

use rm_core::resource::ResourceType;
use rm_core::testing::verify::{Budget, Failed, Samples, verify};
use rm_tests::exploration::is_long;
use rm_types::{SemaphoreType, Units};

use crate::rw_lock::{LOCK, READ, UPGRADABLE, WRITE};

fn passes<T: ResourceType>(resource_type: &T, samples: Samples<T::Credit>) -> Result<(), Failed> {
    let budget = if is_long() {
        Budget::Thorough
    } else {
        Budget::Quick
    };
    let verified = verify(resource_type, &samples.with_budget(budget))?;
    println!("{}\n{verified}", T::NAME);
    Ok(())
}

#[test]
fn the_rw_lock_passes_the_one_call() -> Result<(), Failed> {
    passes(&LOCK, Samples::new([READ, UPGRADABLE, WRITE]))
}

#[test]
fn a_semaphore_passes_the_one_call() -> Result<(), Failed> {
    passes(
        &SemaphoreType::with_units(3),
        Samples::new([Units(1), Units(2), Units(3)]),
    )
}
