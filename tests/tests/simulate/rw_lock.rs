//! The read-write lock.

use rm_core::credit::Credit;
use rm_core::testing::random::Random;
use rm_core::testing::simulate::{Clients, Span};
use rm_rwlock::{RwCredit, RwLockType};

use super::{MS, run_everywhere};

const LOCK: RwLockType = RwLockType::with_shares(1 << 20);

fn modes(random: &mut Random) -> RwCredit {
    match random.below(10) {
        0..7 => RwCredit::READ,
        7 => RwCredit::UPGRADABLE,
        _ => LOCK.write(),
    }
}

/// A reader with the intent becomes a writer; a writer becomes a reader.
fn up_or_down(_: &mut Random, holds: &RwCredit) -> RwCredit {
    if *holds == RwCredit::UPGRADABLE {
        LOCK.write()
    } else if *holds == LOCK.write() {
        RwCredit::READ
    } else {
        *holds
    }
}

#[test]
fn readers_and_writers_everywhere_keep_the_rules() {
    run_everywhere("readers_and_writers", &LOCK, &LOCK.write(), |simulation| {
        simulation.clients(
            Clients::everywhere()
                .asking(modes)
                .thinking(Span::between(MS, 30 * MS))
                .holding(Span::between(MS / 10, 5 * MS)),
        )
    });
}

#[test]
fn tries_deadlines_cancels_and_conversions_keep_the_rules() {
    run_everywhere("tries_deadlines", &LOCK, &LOCK.write(), |simulation| {
        simulation.clients(
            Clients::everywhere()
                .each(2)
                .asking(modes)
                .starting(Span::between(MS, 20 * MS))
                .thinking(Span::heavy_tail(MS, 100 * MS))
                .holding(Span::between(MS / 10, 5 * MS))
                .stuck(3, 60 * MS)
                .trying(15)
                .with_deadline(15, Span::between(MS, 30 * MS))
                .cancelling(15, Span::between(MS / 10, 30 * MS))
                .converting(40, up_or_down)
                .returning_spare(10),
        )
    });
}

#[test]
fn few_shares_for_many_readers_keep_the_rules() {
    let lock = RwLockType::with_shares(3);
    let write = lock.write();
    run_everywhere("few_shares", &lock, &write, |simulation| {
        simulation.clients(
            Clients::at_leaves()
                .each(2)
                .asking(move |random| {
                    if random.percent(80) {
                        RwCredit::READ
                    } else {
                        write
                    }
                })
                .thinking(Span::between(MS, 10 * MS))
                .holding(Span::between(MS, 5 * MS))
                .cancelling(10, 5 * MS),
        )
    });
}

#[test]
fn the_lock_under_test_has_more_shares_than_any_slice_takes_away() {
    assert!(!LOCK.write().slice(4).is_empty());
}
