//! The rule against histories of holds: who is admitted follows from the order of the holds alone.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What happens to a lock, and to the store that it guards.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A hold begins; a writer's only after all others have ended or were lost.
    Begin(Kind),
    /// The clock jumps: a dead node's loan was taken back.
    Jump(u16),
    /// A new epoch: the server started again, or the lock has another root.
    NextEpoch,
    /// One of the holds so far, perhaps one that was lost long ago, goes to the store.
    Use(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Upgradable,
    Write,
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![Just(Kind::Read), Just(Kind::Upgradable), Just(Kind::Write)];
    prop_oneof![
        4 => kind.prop_map(Event::Begin),
        1 => any::<u16>().prop_map(Event::Jump),
        1 => Just(Event::NextEpoch),
        6 => any::<usize>().prop_map(Event::Use),
    ]
}

/// Runs a history. Whoever goes to the store is admitted if and only if no later hold has written.
fn run(events: &[Event]) -> Result<(), TestCaseError> {
    let mut clock = 3_600_000_u64 << 32;
    let mut holds: Vec<(Kind, u64)> = Vec::new();
    let (mut mark, mut last_writer) = (Mark::NONE, 0);
    for event in events {
        match *event {
            Event::Begin(kind) => {
                // A hold that ticks has the odd number above the clock, any other has the clock.
                let token = clock + u64::from(kind != Kind::Read);
                clock = token + token % 2;
                holds.push((kind, token));
            }
            Event::Jump(by) => clock += 2 * u64::from(by),
            Event::NextEpoch => clock = ((clock >> 32) + 1) << 32,
            Event::Use(_) if holds.is_empty() => {}
            Event::Use(who) => {
                let who = who % holds.len();
                let (kind, token) = holds[who];
                let in_time = who >= last_writer;
                if kind == Kind::Write {
                    let admitted = mark.admit_write(token);
                    prop_assert_eq!(admitted.is_ok(), in_time, "writer {} of {:?}", who, holds);
                    if let Ok(raised) = admitted {
                        prop_assert!(raised >= mark);
                        (mark, last_writer) = (raised, who);
                    }
                } else {
                    let admitted = mark.admit_read(token);
                    prop_assert_eq!(admitted.is_ok(), in_time, "reader {} of {:?}", who, holds);
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_hold_is_admitted_unless_a_later_one_has_written(events in vec(event(), 0..60)) {
        run(&events)?;
    }

    #[test]
    fn a_shared_hold_never_writes(mark in 0_u64..100, token in any::<u64>()) {
        let mark = Mark::stored(mark | 1).expect("odd");
        let token = token & !1;
        prop_assert_eq!(mark.admit_write(token), Err(Refused::NotExclusive { token }));
    }
}

#[test]
fn the_same_hold_may_write_again() {
    let mark = Mark::NONE.admit_write(7).expect("first");
    assert_eq!(mark.admit_write(7), Ok(mark));
}

#[test]
fn a_late_writer_hears_who_was_later() {
    let mark = Mark::NONE.admit_write(7).expect("first");
    let refused = mark.admit_write(5).expect_err("late");
    assert_eq!(refused, Refused::Late { token: 5, mark: 7 });
    assert!(refused.to_string().contains("take the lock again"));
}

#[test]
fn a_mark_is_kept_and_found_again() {
    for mark in [Mark::NONE, Mark::NONE.admit_write(u64::MAX).expect("first")] {
        assert_eq!(Mark::stored(mark.highest()), Ok(mark));
    }
}

#[test]
fn a_mark_that_no_writer_left_is_none() {
    assert_eq!(Mark::stored(8), Err(BadMark { found: 8 }));
}
