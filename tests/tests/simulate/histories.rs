//! The history checker refuses bad histories, for the right reason, and takes good ones.

use std::sync::Arc;

use rm_core::testing::history::{Record, Summary, Violation, What, check};
use rm_core::testing::simulate::{Clients, Simulation, Span, Tree};
use rm_rwlock::{RwCredit, RwLockType};
use rm_types::Units;

use super::MS;

const LOCK: RwLockType = RwLockType::with_shares(1 << 20);

const READ: RwCredit = RwCredit::READ;

const WRITE: RwCredit = LOCK.write();

fn record<C>(process: &str, at: u64, what: What<C>) -> Record<C> {
    Record {
        process: process.into(),
        request: 1,
        resource: Arc::from("volume"),
        at,
        uncertainty: 0,
        what,
    }
}

/// A request that is made at 0 and holds for a while.
fn held<C>(process: &str, credit: C, from: u64, to: u64, fence: u64) -> [Record<C>; 3] {
    [
        record(process, 0, What::Invoked),
        record(process, from, What::Granted { credit, fence }),
        record(process, to, What::Released),
    ]
}

fn check_lock(records: &[Record<RwCredit>]) -> Result<Summary, Violation> {
    check(|_| WRITE, records)
}

#[track_caller]
fn assert_refused<C: rm_core::credit::Credit>(capital: &C, records: &[Record<C>], words: &[&str]) {
    let violation = check(|_| capital.clone(), records).expect_err("something is wrong");
    for words in words {
        assert!(
            violation.what.contains(words),
            "no {words:?} in: {violation}"
        );
    }
}

#[test]
fn readers_together_and_writers_in_turn_are_good() {
    let history = [
        held("a", READ, 10, 50, 2),
        held("b", READ, 20, 40, 2),
        held("c", WRITE, 50, 60, 3),
        held("d", WRITE, 60, 70, 5),
        held("e", READ, 70, 90, 6),
    ];
    let summary = check_lock(&history.concat()).expect("nothing is wrong");
    assert_eq!((summary.requests, summary.granted), (5, 5));
}

#[test]
fn two_writers_at_once_are_refused_and_both_are_named() {
    let history = [held("ann", WRITE, 10, 50, 3), held("bob", WRITE, 49, 60, 5)];
    let words = ["two holds that conflict at once", "ann", "bob"];
    assert_refused(&WRITE, &history.concat(), &words);
}

#[test]
fn a_reader_inside_a_write_is_refused() {
    let history = [held("a", WRITE, 10, 50, 3), held("b", READ, 20, 30, 4)];
    assert_refused(
        &WRITE,
        &history.concat(),
        &["two holds that conflict at once"],
    );
}

#[test]
fn more_than_the_capital_is_refused_though_no_two_conflict() {
    let history = [
        held("a", Units(2), 10, 50, 2),
        held("b", Units(2), 20, 50, 2),
        held("c", Units(2), 30, 50, 2),
    ];
    assert_refused(
        &Units(5),
        &history.concat(),
        &["more is held than the capital"],
    );
    check(|_| Units(6), &history.concat()).expect("six are enough");
}

#[test]
fn a_token_that_does_not_rise_is_refused() {
    for fence in [3, 2] {
        let history = [held("a", WRITE, 10, 50, 3), held("b", WRITE, 60, 70, fence)];
        assert_refused(&WRITE, &history.concat(), &["a token that does not rise"]);
    }
}

#[test]
fn a_readers_token_below_an_older_readers_is_good() {
    let history = [held("a", READ, 10, 20, 8), held("b", READ, 30, 40, 6)];
    check_lock(&history.concat()).expect("readers do not conflict");
}

#[test]
fn what_may_have_been_one_after_the_other_is_good() {
    let mut history = [held("a", WRITE, 10, 50, 5), held("b", WRITE, 45, 60, 3)].concat();
    assert_refused(&WRITE, &history, &["two holds that conflict at once"]);
    for record in &mut history {
        record.uncertainty = 3;
    }
    check_lock(&history).expect("a may have ended at 47, and b begun at 48");
    for record in &mut history {
        record.uncertainty = 2;
    }
    assert_refused(&WRITE, &history, &["two holds that conflict at once"]);
}

#[test]
fn a_hold_whose_end_nobody_recorded_proves_nothing() {
    let a = held("a", WRITE, 10, 50, 3);
    let b = held("b", WRITE, 20, 30, 5);
    let summary = check_lock(&[&a[..2], &b[..]].concat()).expect("a may have died at 11");
    assert_eq!(summary.unended, 1);
}

#[test]
fn a_hold_that_was_lost_ended_then() {
    let mut a = held("a", WRITE, 10, 50, 3);
    a[2].what = What::Lost;
    let history = [a.clone(), held("b", WRITE, 60, 70, 5)];
    check_lock(&history.concat()).expect("b began after a was lost");
    let history = [a, held("b", WRITE, 40, 70, 5)];
    assert_refused(
        &WRITE,
        &history.concat(),
        &["two holds that conflict at once"],
    );
}

#[test]
fn a_changed_hold_counts_as_what_it_became() {
    let downgraded = [
        record("a", 0, What::Invoked),
        record(
            "a",
            10,
            What::Granted {
                credit: WRITE,
                fence: 3,
            },
        ),
        record("a", 20, What::Changed { to: READ, fence: 4 }),
        record("a", 90, What::Released),
    ];
    let with = |other: [Record<RwCredit>; 3]| [&downgraded[..], &other[..]].concat();
    check_lock(&with(held("b", READ, 30, 40, 4))).expect("both read by then");
    assert_refused(
        &WRITE,
        &with(held("b", READ, 15, 40, 4)),
        &["conflict at once"],
    );
    assert_refused(
        &WRITE,
        &with(held("b", WRITE, 30, 40, 5)),
        &["conflict at once"],
    );
}

#[test]
fn a_request_ends_once() {
    let grant = || What::Granted {
        credit: READ,
        fence: 2,
    };
    let ends: [(&[What<RwCredit>], &str); 7] = [
        (
            &[What::Invoked, grant(), grant()],
            "granted, but it holds already",
        ),
        (
            &[What::Invoked, grant(), What::Denied],
            "denied, but it holds already",
        ),
        (
            &[What::Invoked, What::Denied, grant()],
            "granted, but it is over",
        ),
        (
            &[What::Invoked, What::Cancelled, What::Cancelled],
            "cancelled, but it is over",
        ),
        (&[What::Invoked, What::Released], "released, but it waits"),
        (&[What::Invoked, What::Invoked], "invoked, but it waits"),
        (&[grant()], "granted, but it was not invoked"),
    ];
    for (whats, words) in ends {
        let records = whats.iter().zip(1..);
        let history: Vec<_> = records
            .map(|(what, at)| record("a", at, what.clone()))
            .collect();
        assert_refused(&WRITE, &history, &[words]);
    }
}

#[test]
fn requests_without_an_outcome_are_counted() {
    let history = [
        record("a", 0, What::Invoked),
        record("b", 0, What::Invoked),
        record("b", 5, What::Denied),
        record("c", 0, What::Invoked),
        record("c", 5, What::Cancelled),
    ];
    let summary = check_lock(&history).expect("nothing is wrong");
    let Summary {
        requests,
        denied,
        cancelled,
        unanswered,
        ..
    } = summary;
    assert_eq!((requests, denied, cancelled, unanswered), (3, 1, 1, 1));
}

#[test]
fn a_record_before_the_one_ahead_of_it_is_refused() {
    let history = held("a", READ, 10, 5, 2);
    assert_refused(&WRITE, &history, &["before the record ahead of it"]);
}

#[test]
fn resources_have_nothing_to_do_with_each_other() {
    let mut other = held("b", WRITE, 20, 30, 3);
    for record in &mut other {
        record.resource = Arc::from("another volume");
    }
    check_lock(&[held("a", WRITE, 10, 50, 3), other].concat()).expect("they are two locks");
}

#[test]
fn of_several_violations_the_first_in_time_is_told() {
    let history = [
        held("a", WRITE, 10, 20, 3),
        held("b", WRITE, 30, 40, 3),
        held("c", WRITE, 50, 90, 7),
        held("d", WRITE, 60, 70, 9),
    ];
    let violation = check_lock(&history.concat()).expect_err("two things are wrong");
    assert_eq!(violation.at, 30);
}

#[test]
fn a_long_simulated_history_is_good_and_one_token_less_is_not() {
    let clients = Clients::everywhere()
        .each(10)
        .asking(|random| if random.percent(5) { WRITE } else { READ })
        .thinking(Span::between(MS, 20 * MS))
        .holding(Span::between(MS / 10, MS));
    let simulation = Simulation::new(&LOCK, Tree::star(20)).clients(clients);
    let report = simulation.until(200 * MS).recording().run();
    let mut history = report.expect("nothing is wrong").history;
    assert!(history.len() > 2_000);
    check_lock(&history).expect("nothing is wrong");
    // The last write gets the token of the first.
    let is_write = |record: &&mut Record<RwCredit>| matches!(&record.what, What::Granted { credit, .. } if *credit == WRITE);
    let mut writes = history.iter_mut().filter(is_write);
    let first = writes.next().expect("there are writes").what.clone();
    writes.next_back().expect("there are two").what = first;
    assert_refused(&WRITE, &history, &["a token that does not rise"]);
}

#[test]
fn a_hundred_thousand_records_are_no_burden() {
    let mut history = Vec::new();
    for round in 0..10_000_u64 {
        for process in ["a", "b", "c"] {
            let records = held(
                process,
                READ,
                100 * round + 10,
                100 * round + 50,
                2 * round + 2,
            );
            history.extend(records);
        }
        history.extend(held(
            "w",
            WRITE,
            100 * round + 60,
            100 * round + 70,
            2 * round + 3,
        ));
    }
    for (index, record) in history.iter_mut().enumerate() {
        record.request = index as u64 / 12;
    }
    let summary = check_lock(&history).expect("nothing is wrong");
    assert_eq!(summary.granted, 40_000);
}
