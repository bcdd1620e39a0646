//! What a client process records of its turns: one line for each event, written at once, in a file of its own.
//!
//! ```text
//! at op word ..        nanoseconds of the clock that leases rest on; the number of the turn; what happened
//! 81234567 17 asked volume-2 write
//! 81239000 17 granted 4294967297
//! 81239100 17 valid 2938000000
//! ```
//!
//! A line goes out in one write, so a process that is killed leaves whole lines, and perhaps a torn last one, which
//! readers leave out. All processes of a machine share the clock, so times of different files can be compared.
//!
//! **When.** Each time is on the side on which it proves something. It is read after a grant, and before a look at the guard and
//! a release: at that moment the holder had the lock for certain. It is read after a register answered: whoever is
//! valid later was valid when it did.

use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::str::FromStr;
use std::sync::Mutex;

use rm_net::clock::BootClock;

/// Nanoseconds of the clock that leases rest on.
pub(crate) type Nanos = u64;

/// The time now.
pub(crate) fn now() -> Nanos {
    BootClock::new().now().as_nanos()
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    Write,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) at: Nanos,
    /// The turn it is about; 0: none.
    pub(crate) op: u64,
    pub(crate) event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The lock was asked for.
    Asked { lock: String, mode: Mode },
    /// It was granted, with this fencing token.
    Granted { token: u64 },
    /// It was not granted: the error's name.
    Failed { cause: String },
    /// The guard said that it is valid, and for how long if nothing extends its lease.
    Valid { left: Nanos },
    /// A writer showed its token to the register, and read the count.
    Opened { count: u64 },
    /// A writer wrote the count.
    Wrote { count: u64 },
    /// A reader read the count.
    Read { count: u64 },
    /// The register refused the token, for it had seen this one.
    Refused { mark: u64 },
    /// The guard was given back, valid to the end.
    Released,
    /// The guard was found lost: the reason's name.
    Lost { cause: String },
}

/// Writes the lines of one process.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: Mutex<File>,
}

impl Recorder {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = Mutex::new(File::create_new(path)?);
        Ok(Self { file })
    }

    /// Writes one line. A record with holes would judge wrongly, so a process that cannot write it ends.
    pub(crate) fn write(&self, at: Nanos, op: u64, event: Event) {
        let line = format!("{}\n", Line { at, op, event });
        let mut file = self.file.lock().expect("no writer panics");
        file.write_all(line.as_bytes())
            .expect("the record can be written");
    }
}

/// All whole lines of a record.
///
/// # Errors
/// Where the file cannot be read, or a whole line has no sense.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>, String> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let parse = |(number, line): (usize, &str)| {
        let line = line.parse();
        line.map_err(|what: String| format!("{}:{}: {what}", path.display(), number + 1))
    };
    whole.lines().enumerate().map(parse).collect()
}

/// The name of a variant, without what it carries: a word for people and for counting.
pub(crate) fn variant(value: &impl fmt::Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find(|c: char| !c.is_ascii_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}

impl Display for Mode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.at, self.op)?;
        match &self.event {
            Event::Asked { lock, mode } => write!(f, "asked {lock} {mode}"),
            Event::Granted { token } => write!(f, "granted {token}"),
            Event::Failed { cause } => write!(f, "failed {cause}"),
            Event::Valid { left } => write!(f, "valid {left}"),
            Event::Opened { count } => write!(f, "opened {count}"),
            Event::Wrote { count } => write!(f, "wrote {count}"),
            Event::Read { count } => write!(f, "read {count}"),
            Event::Refused { mark } => write!(f, "refused {mark}"),
            Event::Released => f.write_str("released"),
            Event::Lost { cause } => write!(f, "lost {cause}"),
        }
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no line of a record");
        let number = |word: &str| word.parse::<u64>().map_err(|_| wrong());
        let words: Vec<&str> = text.split(' ').collect();
        let [at, op, rest @ ..] = &words[..] else {
            return Err(wrong());
        };
        let event = match *rest {
            ["asked", lock, mode] => Event::Asked {
                lock: lock.to_owned(),
                mode: match mode {
                    "read" => Mode::Read,
                    "write" => Mode::Write,
                    _ => return Err(wrong()),
                },
            },
            ["granted", token] => Event::Granted {
                token: number(token)?,
            },
            ["failed", cause] => Event::Failed {
                cause: cause.to_owned(),
            },
            ["valid", left] => Event::Valid {
                left: number(left)?,
            },
            ["opened", count] => Event::Opened {
                count: number(count)?,
            },
            ["wrote", count] => Event::Wrote {
                count: number(count)?,
            },
            ["read", count] => Event::Read {
                count: number(count)?,
            },
            ["refused", mark] => Event::Refused {
                mark: number(mark)?,
            },
            ["released"] => Event::Released,
            ["lost", cause] => Event::Lost {
                cause: cause.to_owned(),
            },
            _ => return Err(wrong()),
        };
        let (at, op) = (number(at)?, number(op)?);
        Ok(Self { at, op, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<Event> {
        vec![
            Event::Asked {
                lock: "volume-1".into(),
                mode: Mode::Write,
            },
            Event::Granted { token: 5 },
            Event::Failed {
                cause: "Timeout".into(),
            },
            Event::Valid { left: 7 },
            Event::Opened { count: 8 },
            Event::Wrote { count: 9 },
            Event::Read { count: 10 },
            Event::Refused { mark: 11 },
            Event::Released,
            Event::Lost {
                cause: "LeaseExpired".into(),
            },
        ]
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_a_torn_last_line_is_left_out() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("record");
        let recorder = Recorder::create(&path).expect("created");
        for (at, event) in (1..).zip(events()) {
            recorder.write(at, 3, event);
        }
        write!(recorder.file.lock().unwrap(), "99 3 gran").expect("written");
        let lines = read(&path).expect("sound");
        assert!(lines.iter().map(|line| line.at).eq(1..=10));
        assert!(lines.into_iter().map(|line| line.event).eq(events()));
    }

    #[test]
    fn a_whole_line_without_sense_is_an_error_that_says_where() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("record");
        std::fs::write(&path, "1 1 released\n2 1 vanished\n").expect("written");
        let error = read(&path).expect_err("no such event");
        assert!(error.contains(":2: `2 1 vanished`"), "{error}");
    }

    #[test]
    fn causes_are_named_by_their_variant() {
        assert_eq!(variant(&Some(3)), "Some");
        assert_eq!(
            variant(&rm_rwlock::LostReason::LeaseExpired),
            "LeaseExpired"
        );
    }
}
