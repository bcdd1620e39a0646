//! Simulated clusters that fail: members that die, leave, join, are cut off and evicted; servers alone that restart.
//!
//! `RM_SEED=n` runs that seed alone. `cargo xtask simulate` is the long form.

use rm_core::testing::failover::{Counts, Kind};
use rm_core::testing::simulate::seeds;
use rm_tests::failover::run;

/// Runs so many schedules of a kind, and prints what they did.
fn run_all(kind: Kind, count: u64, test: &str) -> Counts {
    let replay = format!("cargo test -p rm-tests --test failover {test}");
    let mut sum = Counts::default();
    for seed in seeds(count) {
        let counts = run(kind, seed, &replay).unwrap_or_else(|failure| panic!("{failure}"));
        sum.add(&counts);
    }
    println!("{sum}");
    sum
}

/// Schedules that found a fault, or find one in which a rule is broken on purpose: `tests/mutants` has some of those.
const FOUND: [(Kind, u64); 14] = [
    (Kind::Everything, 0),
    (Kind::Everything, 1),
    (Kind::Everything, 6),
    (Kind::Everything, 13),
    (Kind::Everything, 29),
    (Kind::Everything, 72),
    (Kind::Everything, 86),
    (Kind::Moves, 54),
    (Kind::Moves, 92),
    (Kind::Standalone, 1),
    (Kind::Standalone, 9),
    (Kind::Standalone, 331),
    (Kind::Standalone, 1_003_997),
    (Kind::Together, 0),
];

#[test]
fn whatever_fails_no_two_conflicting_holds_are_valid_and_all_credit_comes_home() {
    let sum = run_all(Kind::Everything, 40, "whatever_fails");
    assert!(sum.granted > 500 && sum.claimed > 100);
}

#[test]
fn members_that_join_leave_and_are_cut_off_hand_over_what_they_lent() {
    let sum = run_all(Kind::Moves, 40, "members_that_join");
    assert!(sum.granted > 500 && sum.claimed > 100);
}

#[test]
fn a_server_alone_that_restarts_knows_what_its_clients_still_trust() {
    let sum = run_all(Kind::Standalone, 200, "a_server_alone");
    assert!(sum.granted > 500 && sum.claimed > 100);
}

#[test]
fn clients_keep_their_holds_when_roots_die() {
    let sum = run_all(Kind::Deaths, 30, "clients_keep");
    assert!(sum.claimed > 100);
}

#[test]
fn what_is_released_by_force_at_once_is_protected_by_its_tokens_and_comes_home() {
    let sum = run_all(Kind::Forced, 40, "released_by_force");
    assert!(sum.lost > 50);
}

#[test]
fn a_root_and_a_debtor_that_are_cut_off_together_agree_when_the_root_is_back_first() {
    let sum = run_all(Kind::Together, 40, "cut_off_together");
    assert!(sum.claimed > 100);
}

#[test]
fn what_moves_to_a_member_that_comes_and_goes_is_claimed_by_clients_that_hear_of_it_late() {
    let sum = run_all(Kind::Visits, 40, "comes_and_goes");
    assert!(sum.claimed > 100);
}

#[test]
fn clients_keep_their_holds_when_a_server_is_away_for_a_moment() {
    let sum = run_all(Kind::Restarts, 60, "a_moment");
    assert!(sum.claimed > 100);
}

#[test]
fn schedules_that_found_a_fault_once_find_none_now() {
    for (kind, seed) in FOUND {
        let replay = "cargo test -p rm-tests --test failover";
        run(kind, seed, replay).unwrap_or_else(|failure| panic!("{failure}"));
    }
}
