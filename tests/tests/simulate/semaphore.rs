//! A semaphore: unlike the lock, requests of which any two may or may not fit together.

use rm_core::testing::simulate::{Clients, Span};
use rm_types::{SemaphoreType, Units};

use super::{MS, run_everywhere};

const UNITS: u64 = 8;

#[test]
fn weighted_requests_everywhere_keep_the_rules() {
    run_everywhere(
        "weighted",
        &SemaphoreType::with_units(UNITS),
        &Units(UNITS),
        |simulation| {
            simulation.clients(
                Clients::everywhere()
                    .asking(|random| Units(1 + random.below(UNITS)))
                    .thinking(Span::between(MS, 30 * MS))
                    .holding(Span::between(MS / 10, 5 * MS)),
            )
        },
    );
}

#[test]
fn holds_that_grow_and_shrink_keep_the_rules() {
    run_everywhere(
        "holds_that_grow",
        &SemaphoreType::with_units(UNITS),
        &Units(UNITS),
        |simulation| {
            simulation.clients(
                Clients::everywhere()
                    .asking(|random| Units(1 + random.below(UNITS / 2)))
                    .thinking(Span::between(MS, 30 * MS))
                    .holding(Span::between(MS / 10, 5 * MS))
                    .trying(10)
                    .with_deadline(10, Span::between(MS, 30 * MS))
                    .cancelling(10, Span::between(MS / 10, 30 * MS))
                    .converting(50, |random, _| Units(1 + random.below(UNITS)))
                    .returning_spare(10),
            )
        },
    );
}
