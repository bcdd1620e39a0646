//! What a run has found: how many tests passed, failed or were ignored, and what it could not check.
//!
//! The counts come from the lines by which each test program closes, `test result: ok. 3 passed; 0 failed; ...`,
//! found in the output while it streams past.

use std::ops::AddAssign;

const RESULT: &str = "test result: ";

/// How many tests ended which way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Tally {
    /// Reads the closing line of a test program; `None` for every other line.
    fn from_line(line: &str) -> Option<Self> {
        let counts = line.trim().strip_prefix(RESULT)?;
        let count = |what: &str| {
            let words: Vec<&str> = counts
                .split([' ', ';', '.'])
                .filter(|word| !word.is_empty())
                .collect();
            words.windows(2).find(|pair| pair[1] == what)?[0]
                .parse()
                .ok()
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            ignored: count("ignored")?,
        })
    }

    /// Sums the closing lines in a whole output.
    pub(crate) fn of_output(output: &str) -> Self {
        let mut sum = Self::default();
        output
            .lines()
            .filter_map(Self::from_line)
            .for_each(|tally| sum += tally);
        sum
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// Everything a task has found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) tally: Tally,
    /// What could not be checked here, as sentences for the closing summary: nothing is left out in silence.
    pub(crate) unchecked: Vec<String>,
}

/// Counts tests in output that arrives in pieces, cut anywhere.
#[derive(Debug, Default)]
pub(crate) struct LineCounter {
    tally: Tally,
    partial: Vec<u8>,
}

impl LineCounter {
    /// Longest line looked at; the rest of a longer one is dropped, since closing lines are short.
    const LINE_BYTES_MAX: usize = 4096;

    /// Takes the next piece of the output.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        for &byte in piece {
            if byte == b'\n' {
                self.end_line();
            } else if self.partial.len() < Self::LINE_BYTES_MAX {
                self.partial.push(byte);
            }
        }
    }

    /// Ends the output and says what was counted.
    pub(crate) fn finish(mut self) -> Tally {
        self.end_line();
        self.tally
    }

    fn end_line(&mut self) {
        if let Some(tally) = Tally::from_line(&String::from_utf8_lossy(&self.partial)) {
            self.tally += tally;
        }
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: &str = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
    const FAILED: &str = "test result: FAILED. 2 passed; 5 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9s";

    #[test]
    fn the_closing_lines_of_several_programs_add_up() {
        let output = format!("running 13 tests\ntest a ... ok\n\n{PASSED}\n\n{FAILED}\n");
        assert_eq!(
            Tally::of_output(&output),
            Tally {
                passed: 14,
                failed: 5,
                ignored: 1
            }
        );
    }

    #[test]
    fn lines_that_only_mention_results_count_nothing() {
        let output = "the test result: ok. 1 passed; 1 failed; 0 ignored\ntest result: unknown\n3 passed; 4 failed\n";
        assert_eq!(Tally::of_output(output), Tally::default());
    }

    #[test]
    fn pieces_cut_anywhere_count_as_the_whole_does() {
        let output = format!("{PASSED}\nnoise\n{FAILED}");
        for size in 1..output.len() {
            let mut counter = LineCounter::default();
            output
                .as_bytes()
                .chunks(size)
                .for_each(|piece| counter.feed(piece));
            assert_eq!(
                counter.finish(),
                Tally::of_output(&output),
                "pieces of {size} bytes"
            );
        }
    }

    #[test]
    fn a_line_without_end_is_dropped_and_the_next_one_counts() {
        let mut counter = LineCounter::default();
        counter.feed(&vec![b'x'; 3 * LineCounter::LINE_BYTES_MAX]);
        assert_eq!(counter.partial.len(), LineCounter::LINE_BYTES_MAX);
        counter.feed(format!("\n{FAILED}\n").as_bytes());
        assert_eq!(counter.finish().failed, 5);
    }
}
