//! Nodes that wind up while all others go on.

use rm_core::testing::random::Random;
use rm_core::testing::simulate::{Clients, Span};
use rm_rwlock::{RwCredit, RwLockType};

use super::{MS, run_everywhere};

const LOCK: RwLockType = RwLockType::with_shares(1 << 20);

fn ask(random: &mut Random) -> RwCredit {
    match random.below(4) {
        0 => LOCK.write(),
        _ => RwCredit::READ,
    }
}

/// Everybody reads and writes, and does to requests what can be done to them.
fn restless() -> Clients<RwLockType> {
    Clients::everywhere()
        .asking(ask)
        .thinking(Span::between(MS, 20 * MS))
        .holding(Span::between(MS / 10, 4 * MS))
        .trying(10)
        .with_deadline(10, Span::between(MS, 30 * MS))
        .cancelling(10, Span::between(MS / 10, 20 * MS))
        .converting(20, |random, _| ask(random))
        .returning_spare(10)
}

/// Node 1 has others below it in all trees but the flat one.
#[test]
fn a_node_winds_up_and_the_others_go_on() {
    run_everywhere("a_node_winds_up", &LOCK, &LOCK.write(), |simulation| {
        simulation.clients(restless()).winding_up(1, 60 * MS)
    });
}

#[test]
fn two_nodes_and_at_last_the_root_wind_up() {
    run_everywhere("two_nodes_and", &LOCK, &LOCK.write(), |simulation| {
        simulation
            .clients(restless())
            .winding_up(2, 40 * MS)
            .winding_up(1, 41 * MS)
            .winding_up(0, 90 * MS)
    });
}
