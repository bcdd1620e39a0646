//! What must hold of the registers, and of what clients say about them.
//!
//! * The tokens of a register never go back, and no two writers have one. They are odd.
//! * Each write adds one to the count that its writer found when it opened, and nobody opened in between: no update is lost.
//! * No newer writer writes between two looks of a reader that is valid at both. An *older* one may: a register refuses a writer
//!   once a newer writer has shown its token, and readers leave no mark. So a writer that slept past its lease can still
//!   change what readers look at, until the next writer comes. That is how far fencing goes.
//! * Whoever got something through had the lock to write, with that token; and what a client says it wrote is there.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::writer_of;
use crate::history::Turn;
use crate::record::{Event, Mode};
use crate::register::{Entry, Step};

/// Everything that is wrong with the register of a lock. `turns` are those of all clients and locks.
pub(crate) fn judge(lock: &str, entries: &[Entry], turns: &[Turn]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut before = Entry {
        token: 0,
        count: 0,
        step: Step::Wrote,
        writer: "nobody".into(),
    };
    for entry in entries {
        if let Some(what) = wrong_step(&before, entry) {
            violations.push(format!("the register of {lock}: {what}"));
        }
        before = entry.clone();
    }
    judge_writers(lock, entries, turns, &mut violations);
    judge_readers(lock, entries, turns, &mut violations);
    violations
}

/// What is wrong with a step after the one before it.
fn wrong_step(before: &Entry, entry: &Entry) -> Option<String> {
    let Entry {
        token,
        count,
        writer,
        ..
    } = entry;
    if token % 2 == 0 {
        return Some(format!("{writer} wrote with the even token {token}"));
    }
    if *token < before.token {
        let (older, newer) = (before.token, &before.writer);
        return Some(format!(
            "{writer} came with token {token} after {newer} with {older}"
        ));
    }
    if *token == before.token && *writer != before.writer {
        let other = &before.writer;
        return Some(format!("{other} and {writer} both have token {token}"));
    }
    let found = before.count;
    match entry.step {
        Step::Opened if *count != found => Some(format!(
            "{writer} found {count} where {found} had been left"
        )),
        Step::Wrote if *writer != before.writer || before.step != Step::Opened => Some(format!(
            "{writer} wrote {count} without having opened just before: {} came between",
            before.writer
        )),
        Step::Wrote if *count != found + 1 => {
            Some(format!("{writer} found {found} and wrote {count}"))
        }
        Step::Opened | Step::Wrote => None,
    }
}

fn judge_writers(lock: &str, entries: &[Entry], turns: &[Turn], violations: &mut Vec<String>) {
    let mut holders = BTreeMap::new();
    let steps: BTreeSet<_> = entries
        .iter()
        .map(|entry| (entry.writer.clone(), entry.step == Step::Wrote, entry.count))
        .collect();
    for turn in turns.iter().filter(|turn| &*turn.lock == lock) {
        let Some(hold) = turn.hold() else {
            continue;
        };
        let writer = writer_of(&turn.process, turn.op);
        for (_, event) in &hold.register {
            let step = match event {
                Event::Opened { count } => (writer.clone(), false, *count),
                Event::Wrote { count } => (writer.clone(), true, *count),
                _ => continue,
            };
            if !steps.contains(&step) {
                violations.push(format!(
                    "the register of {lock}: {writer} says it {event:?}, and nothing of it is there"
                ));
            }
        }
        if turn.mode == Mode::Write {
            holders.insert(writer, hold.token);
        }
    }
    for entry in entries {
        let Entry { writer, token, .. } = entry;
        if holders.get(writer) != Some(token) {
            violations.push(format!(
                "the register of {lock}: {writer} came with token {token}, which it was never granted"
            ));
        }
    }
}

fn judge_readers(lock: &str, entries: &[Entry], turns: &[Turn], violations: &mut Vec<String>) {
    let wrote = entries.iter().filter(|entry| entry.step == Step::Wrote);
    let writers: BTreeMap<u64, &Entry> = wrote.map(|entry| (entry.count, entry)).collect();
    for turn in turns.iter().filter(|turn| &*turn.lock == lock) {
        let Some(hold) = turn.hold() else {
            continue;
        };
        for pair in hold.counts_read().windows(2) {
            let (first, second) = (pair[0], pair[1]);
            let reader = turn.in_words();
            if second < first {
                violations.push(format!("{reader} read {first}, and then {second}"));
            }
            let newer = |count| writers.get(&count).filter(|entry| entry.token > hold.token);
            if let Some(writer) = (first..=second).skip(1).find_map(newer) {
                violations.push(format!(
                    "{reader} read {first}, and then {second} while it was valid: the newer {} wrote",
                    writer.writer
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::turns;
    use crate::record::Line;

    fn opened(writer: &str, token: u64, count: u64) -> Entry {
        Entry {
            token,
            count,
            step: Step::Opened,
            writer: format!("{writer}.1/1"),
        }
    }

    fn wrote(writer: &str, token: u64, count: u64) -> Entry {
        Entry {
            step: Step::Wrote,
            ..opened(writer, token, count)
        }
    }

    /// The turns of clients that each were granted the lock to write once.
    fn granted(tokens: &[(&str, u64)]) -> Vec<Turn> {
        let turn = |&(name, token): &(&str, u64)| {
            let asked = Event::Asked {
                lock: "volume-1".into(),
                mode: Mode::Write,
            };
            let events = [asked, Event::Granted { token }];
            let lines = events.map(|event| Line {
                at: 1,
                op: 1,
                event,
            });
            turns(&format!("{name}.1"), lines.to_vec()).expect("sound")
        };
        tokens.iter().flat_map(turn).collect()
    }

    #[track_caller]
    fn assert_found(entries: &[Entry], tokens: &[(&str, u64)], words: &str) {
        let found = judge("volume-1", entries, &granted(tokens));
        assert!(found.iter().any(|what| what.contains(words)), "{found:?}");
    }

    const TWO: &[(&str, u64)] = &[("a", 3), ("b", 5)];

    #[test]
    fn writers_in_turn_are_good_and_so_is_one_that_opened_and_never_wrote() {
        let entries = [opened("a", 3, 0), opened("b", 5, 0), wrote("b", 5, 1)];
        assert!(judge("volume-1", &entries, &granted(TWO)).is_empty());
    }

    #[test]
    fn a_token_that_goes_back_is_found() {
        let entries = [opened("b", 5, 0), opened("a", 3, 0)];
        assert_found(&entries, TWO, "a.1/1 came with token 3 after b.1/1 with 5");
    }

    #[test]
    fn two_writers_with_one_token_are_found() {
        let entries = [opened("a", 3, 0), opened("b", 3, 0)];
        assert_found(&entries, &[("a", 3), ("b", 3)], "both have token 3");
    }

    #[test]
    fn a_lost_update_is_found() {
        let unopened = [opened("b", 5, 0), wrote("a", 7, 1)];
        assert_found(
            &unopened,
            &[("a", 7), ("b", 5)],
            "without having opened just before",
        );
        let skipped = [opened("a", 3, 0), wrote("a", 3, 2)];
        assert_found(&skipped, TWO, "found 0 and wrote 2");
        let forgotten = [opened("a", 3, 0), wrote("a", 3, 1), opened("b", 5, 0)];
        assert_found(&forgotten, TWO, "found 0 where 1 had been left");
    }

    #[test]
    fn a_writer_with_a_readers_token_is_found() {
        assert_found(&[opened("a", 4, 0)], &[("a", 4)], "the even token 4");
    }

    #[test]
    fn a_writer_that_was_never_granted_its_token_is_found() {
        assert_found(&[opened("a", 7, 0)], TWO, "which it was never granted");
    }

    #[test]
    fn a_write_that_a_client_made_and_that_is_not_there_is_found() {
        let mut turns = granted(&[("a", 3)]);
        let crate::history::Outcome::Granted(hold) = &mut turns[0].outcome else {
            panic!("it was granted")
        };
        hold.register.push((2, Event::Wrote { count: 1 }));
        let found = judge("volume-1", &[opened("a", 3, 0)], &turns);
        assert!(found[0].contains("nothing of it is there"), "{found:?}");
    }

    /// A reader of `volume-1` that looked twice.
    fn looked_twice(token: u64, first: u64, second: u64) -> Vec<Turn> {
        let text = format!(
            "10 1 asked volume-1 read\n20 1 granted {token}\n21 1 valid 100\n22 1 read {first}\n30 1 read {second}\n31 1 released"
        );
        let lines = text.lines().map(|line| line.parse().expect("a line"));
        turns("reader.1", lines.collect()).expect("sound")
    }

    #[test]
    fn a_newer_writer_between_two_looks_of_a_valid_reader_is_found_and_a_late_older_one_is_not() {
        let entries = [opened("a", 3, 0), wrote("a", 3, 1)];
        let judge_with = |mut reader: Vec<Turn>| {
            reader.extend(granted(&[("a", 3)]));
            judge("volume-1", &entries, &reader)
        };
        let newer = judge_with(looked_twice(2, 0, 1));
        assert!(newer[0].contains("the newer a.1/1 wrote"), "{newer:?}");
        assert_eq!(judge_with(looked_twice(4, 0, 1)), Vec::<String>::new());
        let back = judge_with(looked_twice(4, 1, 0));
        assert!(back[0].contains("read 1, and then 0"), "{back:?}");
    }
}
