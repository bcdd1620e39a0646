//! Machine instructions per operation, counted by valgrind's callgrind: the same on a busy machine as on an idle one.
//!
//! This program runs itself under callgrind with a loop of two lengths; the difference is what the loop does, and
//! all that comes before and after it falls out. Callgrind counts the instructions that lock the bus as well: atomic
//! exchanges, which cost many times as much as the others.

use std::env;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::subject::{NAMES, WATCHED, named};
use crate::workload::Workload;

/// The argument by which this program runs a loop and nothing else.
pub(crate) const REPEAT: &str = "repeat";

/// The lengths of the two loops. The shorter one is there to warm up what is set up lazily.
const SHORT: u64 = 1_000;
const LONG: u64 = 11_000;

const WORKLOADS: [Workload; 4] = [
    Workload::Read,
    Workload::Write,
    Workload::ReadByMutex,
    Workload::Upgrade,
];

/// What an operation of ours may cost: about half more than it did when this was written, since compilers differ.
const CEILINGS: [(Workload, Cost); 2] = [
    (
        Workload::Read,
        Cost {
            instructions: 240.0,
            exchanges: 2.0,
        },
    ),
    (
        Workload::Write,
        Cost {
            instructions: 240.0,
            exchanges: 2.0,
        },
    ),
];

/// Of one operation, on average.
#[derive(Clone, Copy, Debug)]
struct Cost {
    instructions: f64,
    /// Of these, how many are atomic exchanges.
    exchanges: f64,
}

/// Prints the table.
///
/// # Errors
/// When valgrind does not do its work.
pub(crate) fn run() -> Result<(), String> {
    let scale = Scale::new()?;
    let columns = || NAMES.into_iter().chain([WATCHED]);
    let names: Vec<_> = columns().map(|name| format!(" {name} |")).collect();
    println!(
        "| instructions (of these, atomic exchanges) |{}",
        names.concat()
    );
    println!("|---|{}", "---|".repeat(names.len()));
    for workload in WORKLOADS {
        let mut row = format!("| {} |", workload.name());
        for name in columns() {
            if named(name).is_some_and(|lock| lock.can(workload)) {
                let cost = scale.weigh(name, workload)?;
                row += &format!(" {:.0} ({:.0}) |", cost.instructions, cost.exchanges);
            } else {
                row += " – |";
            }
        }
        println!("{row}");
    }
    Ok(())
}

/// Fails where an operation of ours costs more than it may.
///
/// # Errors
/// Which one does, or when valgrind does not do its work.
pub(crate) fn check() -> Result<(), String> {
    let scale = Scale::new()?;
    for (workload, ceiling) in CEILINGS {
        let cost = scale.weigh("ours", workload)?;
        let what = workload.name();
        println!(
            "a cached {what}: {:.1} instructions (at most {}), {:.1} atomic exchanges (at most {})",
            cost.instructions, ceiling.instructions, cost.exchanges, ceiling.exchanges
        );
        // Now and then the gate is closed and opened again, so an average is a little above a whole number.
        if cost.instructions > ceiling.instructions || cost.exchanges > ceiling.exchanges + 0.5 {
            return Err(format!(
                "a cached {what} costs more than it may: make it cheaper, or raise its ceiling in bench/src/instructions.rs \
                 and say why"
            ));
        }
    }
    Ok(())
}

/// Runs one loop: what valgrind looks at.
///
/// # Errors
/// When an argument is none of those that [`Scale`] gives.
pub(crate) fn repeat(subject: &str, workload: &str, count: &str) -> Result<(), String> {
    let lock = named(subject).ok_or(format!("no lock is called {subject}"))?;
    let workload = Workload::named(workload).ok_or(format!("no workload is called {workload}"))?;
    let count = count.parse().map_err(|error| format!("{count}: {error}"))?;
    lock.repeat(workload, count);
    Ok(())
}

/// Callgrind, and a place for what it writes.
struct Scale(TempDir);

impl Scale {
    fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir();
        folder
            .map(Self)
            .map_err(|error| format!("no temporary folder: {error}"))
    }

    fn weigh(&self, name: &str, workload: Workload) -> Result<Cost, String> {
        let short = self.count(name, workload, SHORT)?;
        let long = self.count(name, workload, LONG)?;
        let each = |all: fn(&Counts) -> u64| {
            all(&long).saturating_sub(all(&short)) as f64 / (LONG - SHORT) as f64
        };
        Ok(Cost {
            instructions: each(|counts| counts.instructions),
            exchanges: each(|counts| counts.exchanges),
        })
    }

    fn count(&self, name: &str, workload: Workload, count: u64) -> Result<Counts, String> {
        let program = env::current_exe().map_err(|error| format!("who am I? {error}"))?;
        let file = self.0.path().join("callgrind.out");
        let output = Command::new("valgrind")
            .args(["--quiet", "--tool=callgrind", "--collect-bus=yes"])
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(program)
            .args([REPEAT, name, workload.name(), &count.to_string()])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot start valgrind ({error}); install it"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("valgrind failed: {}\n{said}", output.status));
        }
        let text = std::fs::read_to_string(&file);
        let text = text.map_err(|error| format!("cannot read what callgrind wrote: {error}"))?;
        Counts::parse(&text).ok_or("callgrind wrote no counts of instructions and exchanges".into())
    }
}

/// Of a whole run.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    instructions: u64,
    exchanges: u64,
}

impl Counts {
    /// From a file of callgrind's. The line `events:` names the columns of the line `summary:`.
    fn parse(file: &str) -> Option<Self> {
        let line = |key| file.lines().find_map(|line| line.strip_prefix(key));
        let (names, counts) = (line("events: ")?, line("summary: ")?);
        let column = |wanted| {
            let named = names.split(' ').zip(counts.split(' '));
            named
                .filter(|(name, _)| *name == wanted)
                .find_map(|(_, count)| count.parse().ok())
        };
        Some(Self {
            instructions: column("Ir")?,
            exchanges: column("Ge")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_by_the_names_of_their_columns() {
        let counts = |text| Counts::parse(text);
        let expected = Counts {
            instructions: 131_026,
            exchanges: 3_020,
        };
        assert_eq!(
            counts("version: 1\nevents: Ir Ge\nsummary: 131026 3020\n"),
            Some(expected)
        );
        assert_eq!(counts("events: Ir\nsummary: 131026\n"), None);
        assert_eq!(counts(""), None);
    }

    #[test]
    fn whatever_is_weighed_can_be_named_on_the_command_line() {
        for workload in WORKLOADS {
            assert_eq!(Workload::named(workload.name()), Some(workload));
        }
        for name in NAMES {
            assert!(named(name).is_some());
        }
    }
}
