//! Histories written by hand: good ones pass, and each thing that must not be is found.

use super::*;

const LEASE: Duration = Duration::from_nanos(100);
const PHASES: Phases = Phases {
    broken: 0,
    healed: 1_000,
    ended: 2_000,
};

/// The turns of one process, as a record has them.
fn recorded(process: &str, text: &str) -> Vec<Turn> {
    let lines = text
        .lines()
        .map(|line| line.trim().parse().expect("a line"));
    turns(process, lines.collect()).expect("sound")
}

fn judge_all(records: &[(&str, &str)]) -> Vec<String> {
    let turns: Vec<Turn> = records
        .iter()
        .flat_map(|(process, text)| recorded(process, text))
        .collect();
    let mut found = judge(&turns);
    found.extend(judge_healing(&turns, &[], PHASES, LEASE));
    found
}

#[track_caller]
fn assert_found(records: &[(&str, &str)], words: &str) {
    let found = judge_all(records);
    assert!(found.iter().any(|what| what.contains(words)), "{found:?}");
}

#[track_caller]
fn assert_good(records: &[(&str, &str)]) {
    assert_eq!(judge_all(records), Vec::<String>::new());
}

const WRITER: &str = "10 1 asked x write
    20 1 granted 3
    21 1 valid 100
    22 1 opened 0
    30 1 wrote 1
    40 1 released";

#[test]
fn writers_and_readers_in_turn_are_good() {
    let readers = "15 1 asked x read
        50 1 granted 4
        51 1 valid 100
        52 1 read 1
        60 1 read 1
        61 1 released";
    assert_good(&[("a.1", WRITER), ("b.1", readers), ("c.1", readers)]);
}

#[test]
fn two_writers_that_are_valid_at_once_are_found() {
    let other = "15 1 asked x write
        39 1 granted 5
        39 1 valid 100
        45 1 released";
    assert_found(&[("a.1", WRITER), ("b.1", other)], "conflict at once");
}

#[test]
fn a_reader_within_a_write_is_found() {
    let reader = "15 1 asked x read
        25 1 granted 4
        26 1 valid 100
        45 1 released";
    assert_found(&[("a.1", WRITER), ("b.1", reader)], "conflict at once");
}

#[test]
fn locks_of_different_names_have_nothing_to_do_with_each_other() {
    let other = WRITER.replace(" x ", " y ");
    assert_good(&[("a.1", WRITER), ("b.1", &other)]);
}

#[test]
fn a_token_that_is_not_above_an_earlier_one_is_found() {
    let later = "45 1 asked x write
        50 1 granted 1
        51 1 valid 100
        60 1 released";
    assert_found(&[("a.1", WRITER), ("b.1", later)], "token");
}

#[test]
fn two_writers_with_one_token_are_found_even_if_one_was_never_seen_valid() {
    let other = "15 1 asked x write
        50 1 granted 3
        60 1 lost LeaseExpired";
    assert_found(&[("a.1", WRITER), ("b.1", other)], "have one token, 3");
}

#[test]
fn a_token_of_the_wrong_kind_is_found() {
    let even = WRITER.replace("granted 3", "granted 4");
    assert_found(&[("a.1", &even)], "a writer's is odd");
}

/// Stopped in its tracks after its look at 21, it wakes at 500.
const SLEEPER: &str = "10 1 asked x write
    20 1 granted 3
    21 1 valid 100
    500 1 lost LeaseExpired";

#[test]
fn a_holder_that_sleeps_is_valid_until_its_deadline_and_no_longer() {
    let too_early = "15 1 asked x write
        120 1 granted 5
        120 1 valid 100
        130 1 released";
    assert_found(&[("a.1", SLEEPER), ("b.1", too_early)], "conflict at once");
    let in_time = too_early.replace("120", "122");
    assert_good(&[("a.1", SLEEPER), ("b.1", &in_time)]);
}

#[test]
fn a_hold_that_was_lost_for_another_reason_is_valid_until_it_was_last_seen_so() {
    let cut = SLEEPER.replace("LeaseExpired", "SessionEnded");
    let next = "15 1 asked x write
        30 1 granted 5
        31 1 valid 100
        40 1 released";
    assert_good(&[("a.1", &cut), ("b.1", next)]);
    let killed = cut.replace("500 1 lost SessionEnded", "30 2 asked y read");
    assert_good(&[("a.1", &killed), ("b.1", next)]);
}

#[test]
fn a_late_write_that_is_refused_after_the_deadline_is_as_it_should_be() {
    let late = SLEEPER.replace("500", "490 1 refused 5\n500");
    let next = "15 1 asked x write
        130 1 granted 5
        131 1 valid 100
        140 1 released";
    assert_good(&[("a.1", &late), ("b.1", next)]);
}

#[test]
fn a_holder_that_says_it_is_valid_after_the_register_refused_it_is_found() {
    let liar = "10 1 asked x write
        20 1 granted 3
        21 1 valid 100
        500 1 refused 5
        501 1 valid 0
        502 1 released";
    assert_found(&[("a.1", liar)], "was refused by the register");
}

#[test]
fn a_wait_after_the_healing_that_is_too_long_is_found_and_one_before_it_is_not() {
    let waits = "1100 1 asked x read
        1701 1 granted 2
        1701 1 valid 100
        1710 1 released";
    assert_found(&[("a.1", waits)], "after the healing");
    assert_good(&[("a.1", &waits.replace("1100", "0999"))]);
    assert_found(&[("a.1", "1100 1 asked x read")], "after the healing");
}

#[test]
fn a_wait_for_the_turns_of_those_who_asked_before_is_no_fault_and_one_for_later_turns_is() {
    let waits = "1100 1 asked x read
        1750 1 granted 4
        1750 1 valid 100
        1760 1 released";
    let before = "1050 1 asked x write
        1200 1 granted 3
        1200 1 valid 100
        1220 1 valid 80
        1290 1 valid 10
        1290 1 released";
    assert_good(&[("a.1", waits), ("b.1", before)]);
    let later = before.replace("1050", "1150");
    assert_found(&[("a.1", waits), ("b.1", &later)], "after the healing");
    assert_found(
        &[
            (
                "a.1",
                &waits.replace("1750", "1800").replace("1760", "1810"),
            ),
            ("b.1", before),
        ],
        "waited 610.0ns after the healing",
    );
}

#[test]
fn a_client_that_is_served_only_before_the_healing_is_found() {
    let turns = recorded("a.1", WRITER);
    let clients = ["a".to_owned()];
    let found = judge_healing(&turns, &clients, PHASES, LEASE);
    assert_eq!(found.len(), 2, "{found:?}");
    let healed = Phases {
        healed: 15,
        ..PHASES
    };
    let found = judge_healing(&turns, &clients, healed, LEASE);
    assert_eq!(found, ["a was granted no read after the healing"]);
}

#[test]
fn a_record_that_says_what_cannot_be_is_an_error() {
    let wrong = |text: &str| {
        let lines = text.lines().map(|line| line.parse().expect("a line"));
        turns("a.1", lines.collect()).expect_err("out of turn")
    };
    assert!(wrong("1 1 granted 3").contains("out of turn"));
    assert!(wrong("1 1 asked x read\n2 1 released").contains("out of turn"));
    assert!(wrong("1 1 asked x read\n2 1 asked x read").contains("out of turn"));
}
