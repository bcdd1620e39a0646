//! A register: what the locks of a run guard. It is a file that refuses old fencing tokens by itself.
//!
//! The file is its own history: each accepted step of a writer is a line of fixed length, so the last one says what is
//! in the register, and the judge can walk through all of them. A step is decided and written under `flock`.
//!
//! **A writer** first *opens* the register: it shows its token, which becomes the mark, and reads the count. Later it
//! *writes* the count plus one. From the opening on, no older token gets anything through. Were the mark to rise only at
//! the write, an older holder that wakes between reading and writing of the newer one would be let in, and its
//! write be lost.
//! **A reader** shows its token and leaves no mark: readers after one writer may have different tokens.

use std::fmt::{self, Display, Formatter};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{FlockOperation, flock};

/// Bytes of a line, with its end. A writer's name is cut to fit.
const LINE_BYTES: usize = 96;

/// A register.
#[derive(Clone, Debug)]
pub(crate) struct Register {
    path: PathBuf,
}

/// The answer to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The count, after the step.
    Count(u64),
    /// The register has seen this newer token.
    Refused { mark: u64 },
}

/// A step that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) token: u64,
    pub(crate) count: u64,
    pub(crate) step: Step,
    /// Who: process and turn.
    pub(crate) writer: String,
}

/// What a writer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Opened,
    Wrote,
}

impl Register {
    /// The register of a lock; it need not be there yet.
    pub(crate) fn of(dir: &Path, lock: &str) -> Self {
        let path = dir.join(format!("{lock}.register"));
        Self { path }
    }

    /// A writer shows its token and reads the count.
    pub(crate) fn open(&self, token: u64, writer: &str) -> io::Result<Answer> {
        self.step(token, writer, Step::Opened, |count| count)
    }

    /// A writer writes the count.
    pub(crate) fn write(&self, token: u64, writer: &str, count: u64) -> io::Result<Answer> {
        self.step(token, writer, Step::Wrote, |_| count)
    }

    /// A reader reads the count.
    pub(crate) fn read(&self, token: u64) -> io::Result<Answer> {
        let mut file = self.locked(FlockOperation::LockShared)?;
        Ok(match last(&mut file)? {
            Some(entry) if entry.token > token => Answer::Refused { mark: entry.token },
            Some(entry) => Answer::Count(entry.count),
            None => Answer::Count(0),
        })
    }

    /// All accepted steps, in order. Nobody may be using the register any more.
    pub(crate) fn history(&self) -> Result<Vec<Entry>, String> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(format!("cannot read {}: {error}", self.path.display())),
        };
        let whole = text.len() - text.len() % LINE_BYTES;
        let lines = text.get(..whole).unwrap_or_default().lines();
        lines.map(str::parse).collect()
    }

    fn step(
        &self,
        token: u64,
        writer: &str,
        step: Step,
        next: impl FnOnce(u64) -> u64,
    ) -> io::Result<Answer> {
        let mut file = self.locked(FlockOperation::LockExclusive)?;
        let (mark, count) = last(&mut file)?.map_or((0, 0), |entry| (entry.token, entry.count));
        if token < mark {
            return Ok(Answer::Refused { mark });
        }
        let count = next(count);
        let entry = Entry {
            token,
            count,
            step,
            writer: writer.to_owned(),
        };
        // A process that was killed in the middle of a line has left a part of it, which counts for nothing.
        let length = file.metadata()?.len();
        let whole = length - length % LINE_BYTES as u64;
        file.set_len(whole)?;
        file.seek(SeekFrom::Start(whole))?;
        file.write_all(entry.to_string().as_bytes())?;
        Ok(Answer::Count(count))
    }

    /// The file, locked until it is closed.
    fn locked(&self, how: FlockOperation) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&self.path)?;
        flock(&file, how)?;
        Ok(file)
    }
}

/// The last whole line.
fn last(file: &mut File) -> io::Result<Option<Entry>> {
    let lines = file.metadata()?.len() / LINE_BYTES as u64;
    let Some(before) = lines.checked_sub(1) else {
        return Ok(None);
    };
    let mut line = [0; LINE_BYTES];
    file.seek(SeekFrom::Start(before * LINE_BYTES as u64))?;
    file.read_exact(&mut line)?;
    let entry = String::from_utf8_lossy(&line).parse();
    entry.map(Some).map_err(io::Error::other)
}

impl Display for Entry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Opened => "opened",
            Step::Wrote => "wrote",
        };
        let (token, count, writer) = (self.token, self.count, &self.writer);
        let line = format!("{token} {count} {step} {writer}");
        let width = LINE_BYTES - 1;
        writeln!(f, "{line:<width$.width$}")
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is no line of a register", line.trim_end());
        let words: Vec<&str> = line.split_whitespace().collect();
        let [token, count, step, writer] = words[..] else {
            return Err(wrong());
        };
        Ok(Self {
            token: token.parse().map_err(|_| wrong())?,
            count: count.parse().map_err(|_| wrong())?,
            step: match step {
                "opened" => Step::Opened,
                "wrote" => Step::Wrote,
                _ => return Err(wrong()),
            },
            writer: writer.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register() -> (tempfile::TempDir, Register) {
        let dir = tempfile::tempdir().expect("a directory");
        let register = Register::of(dir.path(), "volume-1");
        (dir, register)
    }

    #[test]
    fn each_writer_adds_one_to_what_the_one_before_left() {
        let (_dir, register) = register();
        for (token, count) in [(1, 0), (3, 1), (5, 2)] {
            assert_eq!(register.open(token, "w").unwrap(), Answer::Count(count));
            let written = register.write(token, "w", count + 1).unwrap();
            assert_eq!(written, Answer::Count(count + 1));
        }
        assert_eq!(register.read(6).unwrap(), Answer::Count(3));
        assert_eq!(register.history().unwrap().len(), 6);
    }

    #[test]
    fn an_older_writer_is_refused_as_soon_as_a_newer_one_has_opened() {
        let (_dir, register) = register();
        register.open(3, "old").unwrap();
        register.open(5, "new").unwrap();
        let late = register.write(3, "old", 1).unwrap();
        assert_eq!(late, Answer::Refused { mark: 5 });
        assert_eq!(register.write(5, "new", 1).unwrap(), Answer::Count(1));
    }

    #[test]
    fn an_older_reader_is_refused_and_a_reader_leaves_no_mark() {
        let (_dir, register) = register();
        register.open(3, "w").unwrap();
        assert_eq!(register.read(2).unwrap(), Answer::Refused { mark: 3 });
        assert_eq!(register.read(100).unwrap(), Answer::Count(0));
        assert_eq!(register.write(3, "w", 1).unwrap(), Answer::Count(1));
    }

    #[test]
    fn the_part_of_a_line_that_a_killed_writer_left_counts_for_nothing() {
        let (_dir, register) = register();
        register.open(3, "w").unwrap();
        let mut file = OpenOptions::new()
            .append(true)
            .open(&register.path)
            .unwrap();
        file.write_all(b"5 1 wro").unwrap();
        assert_eq!(register.read(4).unwrap(), Answer::Count(0));
        assert_eq!(register.open(7, "w").unwrap(), Answer::Count(0));
        let tokens: Vec<_> = register
            .history()
            .unwrap()
            .iter()
            .map(|e| e.token)
            .collect();
        assert_eq!(tokens, [3, 7]);
    }
}
