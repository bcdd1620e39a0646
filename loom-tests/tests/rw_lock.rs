//! The scenarios of the library, on the RW lock at its root: exclusion, hand-over, cancellation, order.

#![cfg(rm_loom)]

use rm_loom::check::{Bound, check};
use rm_loom::rw::RwMode::{Read, Write};
use rm_loom::rw::RwModel;
use rm_loom::scenarios;

#[test]
fn two_writers_exclude_each_other() {
    check("two_writers_exclude_each_other", Bound::Full, || {
        scenarios::exclusion::<RwModel>(&[Write, Write]);
    });
}

#[test]
fn a_writer_and_a_reader_exclude_each_other() {
    check(
        "a_writer_and_a_reader_exclude_each_other",
        Bound::Full,
        || {
            scenarios::exclusion::<RwModel>(&[Write, Read]);
        },
    );
}

#[test]
fn a_writer_excludes_two_readers() {
    check("a_writer_excludes_two_readers", Bound::Given, || {
        scenarios::exclusion::<RwModel>(&[Write, Read, Read]);
    });
}

#[test]
fn three_writers_exclude_each_other() {
    check("three_writers_exclude_each_other", Bound::Given, || {
        scenarios::exclusion::<RwModel>(&[Write, Write, Write]);
    });
}

#[test]
fn a_writer_hands_over_to_a_writer_and_a_reader() {
    check(
        "a_writer_hands_over_to_a_writer_and_a_reader",
        Bound::Given,
        || scenarios::hand_over::<RwModel>(Write, &[Write, Read]),
    );
}

#[test]
fn a_reader_hands_over_to_two_writers() {
    check("a_reader_hands_over_to_two_writers", Bound::Given, || {
        scenarios::hand_over::<RwModel>(Read, &[Write, Write]);
    });
}

#[test]
fn a_cancelled_writer_races_its_grant() {
    check("a_cancelled_writer_races_its_grant", Bound::Full, || {
        scenarios::cancel_races_grant::<RwModel>(Read, Write, Read);
    });
}

#[test]
fn a_cancelled_reader_races_its_grant() {
    check("a_cancelled_reader_races_its_grant", Bound::Full, || {
        scenarios::cancel_races_grant::<RwModel>(Write, Read, Write);
    });
}

#[test]
fn a_cancelled_writer_lets_readers_pass() {
    check("a_cancelled_writer_lets_readers_pass", Bound::Full, || {
        scenarios::cancel_lets_others_pass::<RwModel>(Read, Write);
    });
}

#[test]
fn a_request_given_up_leaves_nothing_behind() {
    check(
        "a_request_given_up_leaves_nothing_behind",
        Bound::Full,
        || scenarios::ask_and_give_up::<RwModel>(Write, Read),
    );
}

#[test]
fn a_guard_may_be_dropped_on_another_thread() {
    check(
        "a_guard_may_be_dropped_on_another_thread",
        Bound::Full,
        || scenarios::guard_dropped_elsewhere::<RwModel>(Write, Write),
    );
}

#[test]
fn a_try_never_waits() {
    check("a_try_never_waits", Bound::Full, || {
        scenarios::try_never_waits::<RwModel>(Write, Read);
    });
}

#[test]
fn a_late_reader_waits_behind_a_waiting_writer() {
    check(
        "a_late_reader_waits_behind_a_waiting_writer",
        Bound::Full,
        || scenarios::late_comer_waits::<RwModel>(Read, Write, Read),
    );
}
