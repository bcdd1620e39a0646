//! Whether locks exclude: holders say when they enter and leave, and whoever finds somebody that must not be there says so.
//!
//! One word for each lock: the number of readers, or the bit of the writer. All clients of a run are in this process, so the
//! words are shared by all of them whatever the lock service does. An entry is one atomic operation and so is leaving; they
//! are part of what is measured, for every peer alike.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::peer::Mode;

const WRITER: u64 = 1 << 63;

/// The words of so many locks.
#[derive(Debug)]
pub(crate) struct Witness {
    words: Vec<AtomicU64>,
}

impl Witness {
    pub(crate) fn new(locks: usize) -> Self {
        Self {
            words: (0..locks).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Somebody has that lock now.
    ///
    /// # Errors
    /// If somebody else has it who excludes that.
    pub(crate) fn enter(&self, lock: usize, mode: Mode) -> Result<(), String> {
        // Sequentially consistent, so that it orders nothing less than the strictest lock would; what it costs is the same on
        // the machines where this is run.
        let before = match mode {
            Mode::Read => self.words[lock].fetch_add(1, Ordering::SeqCst) & WRITER,
            Mode::Write => self.words[lock].fetch_or(WRITER, Ordering::SeqCst),
        };
        if before == 0 {
            return Ok(());
        }
        let (who, other) = match (mode, before & WRITER) {
            (Mode::Read, _) => ("a reader", "a writer"),
            (Mode::Write, 0) => ("a writer", "readers"),
            (Mode::Write, _) => ("a writer", "another writer"),
        };
        Err(format!(
            "exclusion violated: {who} entered lock {lock} beside {other}"
        ))
    }

    /// It is about to give it back.
    pub(crate) fn leave(&self, lock: usize, mode: Mode) {
        match mode {
            Mode::Read => self.words[lock].fetch_sub(1, Ordering::SeqCst),
            Mode::Write => self.words[lock].fetch_and(!WRITER, Ordering::SeqCst),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_together() {
        let witness = Witness::new(1);
        assert_eq!(witness.enter(0, Mode::Read), Ok(()));
        assert_eq!(witness.enter(0, Mode::Read), Ok(()));
    }

    #[test]
    fn a_reader_beside_a_writer_is_seen() {
        let witness = Witness::new(1);
        assert_eq!(witness.enter(0, Mode::Write), Ok(()));
        let seen = witness.enter(0, Mode::Read).expect_err("a violation");
        assert!(
            seen.contains("a reader entered lock 0 beside a writer"),
            "{seen}"
        );
    }

    #[test]
    fn a_writer_beside_readers_is_seen() {
        let witness = Witness::new(1);
        assert_eq!(witness.enter(0, Mode::Read), Ok(()));
        let seen = witness.enter(0, Mode::Write).expect_err("a violation");
        assert!(
            seen.contains("a writer entered lock 0 beside readers"),
            "{seen}"
        );
    }

    #[test]
    fn two_writers_are_seen() {
        let witness = Witness::new(1);
        assert_eq!(witness.enter(0, Mode::Write), Ok(()));
        let seen = witness.enter(0, Mode::Write).expect_err("a violation");
        assert!(seen.contains("beside another writer"), "{seen}");
    }

    #[test]
    fn who_left_is_in_nobodys_way() {
        let witness = Witness::new(2);
        for mode in [Mode::Write, Mode::Read, Mode::Write] {
            assert_eq!(witness.enter(1, mode), Ok(()));
            witness.leave(1, mode);
        }
    }

    #[test]
    fn each_lock_has_a_word_of_its_own() {
        let witness = Witness::new(2);
        assert_eq!(witness.enter(0, Mode::Write), Ok(()));
        assert_eq!(witness.enter(1, Mode::Write), Ok(()));
    }
}
