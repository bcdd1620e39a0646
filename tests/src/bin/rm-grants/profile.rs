//! Where the server's work for one operation goes: machine instructions by what they belong to, and system calls.
//!
//! The server runs under callgrind, then under strace, for a short round and for a long one. The difference, divided by
//! the operations that the long one has more, is an operation; what happens once falls out. Instructions of the kernel
//! are not counted: for these see the system calls.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::server::Server;
use crate::work::{Work, runtime};

/// The argument by which this program profiles.
pub(crate) const ARGUMENT: &str = "profile";

/// Operations of the two rounds.
const SHORT: u64 = 2_048;
const LONG: u64 = 10_240;

/// What the parts of a name say that a function belongs to. The first that fits counts.
const GROUPS: [(&str, &[&str]); 12] = [
    (
        "memory: allocate, free",
        &["malloc", "free", "realloc", "calloc", "alloc::", "cap::"],
    ),
    (
        "memory: copy, compare",
        &["memcpy", "memmove", "memset", "memcmp", "bcmp"],
    ),
    (
        "wire: encode and decode",
        &["rm_net::wire", "rm_net::frame", "prost::", "bytes::"],
    ),
    ("connection: queue, read, write", &["rm_net::"]),
    ("session: sequence, acknowledgements", &["rm_core::session"]),
    (
        "owner: the book",
        &["rm_core::owner", "rm_core::fence", "rm_rwlock"],
    ),
    (
        "resource: table, lock, reclaim",
        &["rm_core::front", "hashbrown", "xxhash"],
    ),
    ("other of rm-core", &["rm_core::"]),
    ("runtime: tasks and sockets", &["tokio::", "mio::"]),
    ("clocks", &["clock_gettime", "vdso", "time::"]),
    ("locks and threads", &["sync::", "pthread", "futex"]),
    ("other", &[""]),
];

/// Prints the tables.
///
/// # Errors
/// Where a tool is missing or fails, and where the server does.
pub(crate) fn run() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let mut instructions = BTreeMap::new();
    let mut calls = BTreeMap::new();
    let mut functions = Vec::new();
    for (column, work) in Work::ALL.into_iter().enumerate() {
        let counted = Tool::Callgrind.count(&folder, work)?;
        for (name, count) in &counted {
            let group = GROUPS
                .iter()
                .position(|(_, parts)| parts.iter().any(|part| name.contains(part)));
            let row: &mut Row = instructions
                .entry(group.unwrap_or(GROUPS.len() - 1))
                .or_default();
            row[column] += count;
        }
        functions.push((work, counted));
        for (name, count) in Tool::Strace.count(&folder, work)? {
            let row: &mut Row = calls.entry(name).or_default();
            row[column] += count;
        }
    }
    table(
        "instructions of the server, for each operation",
        instructions
            .iter()
            .map(|(&group, row)| (GROUPS[group].0, row)),
        0,
    );
    table(
        "system calls of the server, for each operation",
        calls.iter().map(|(name, row)| (name.as_str(), row)),
        2,
    );
    for (work, counted) in functions {
        print_functions(work, counted);
    }
    Ok(())
}

/// A figure for each workload.
type Row = [f64; Work::ALL.len()];

fn table<'a>(what: &str, rows: impl Iterator<Item = (&'a str, &'a Row)>, digits: usize) {
    let heads = Work::ALL.map(|work| format!(" {} |", work.words()));
    println!("| {what} |{}", heads.concat());
    println!("|---|{}", "---|".repeat(Work::ALL.len()));
    let mut sum = Row::default();
    for (name, row) in rows {
        let least = 0.5 / 10_f64.powi(digits as i32);
        if row.iter().all(|&count| count < least) {
            continue;
        }
        for (total, count) in sum.iter_mut().zip(row) {
            *total += count;
        }
        println!(
            "| {name} |{}",
            row.map(|count| format!(" {count:.digits$} |")).concat()
        );
    }
    println!(
        "| **sum** |{}\n",
        sum.map(|count| format!(" {count:.digits$} |")).concat()
    );
}

/// The functions that cost most by themselves.
fn print_functions(work: Work, counted: BTreeMap<String, f64>) {
    const SHOWN: usize = 25;
    let mut counted: Vec<_> = counted.into_iter().collect();
    counted.sort_by(|a, b| b.1.total_cmp(&a.1));
    println!(
        "{}: instructions of the server by function, for each operation",
        work.words()
    );
    for (name, count) in counted.into_iter().take(SHOWN) {
        println!("{count:>8.0}  {name}");
    }
    println!();
}

#[derive(Clone, Copy, Debug)]
enum Tool {
    Callgrind,
    Strace,
}

impl Tool {
    /// What it counts for one operation, by name.
    fn count(self, folder: &TempDir, work: Work) -> Result<BTreeMap<String, f64>, String> {
        let file = folder.path().join("counts");
        let (short, done_short) = self.run(&file, work, SHORT)?;
        let (long, done_long) = self.run(&file, work, LONG)?;
        let more = (done_long - done_short) as f64;
        let each = |(name, count): (String, u64)| {
            let count = count as f64 - short.get(&name).copied().unwrap_or(0) as f64;
            (name, count.max(0.0) / more)
        };
        Ok(long.into_iter().map(each).collect())
    }

    fn run(self, file: &Path, work: Work, operations: u64) -> Result<(Counts, u64), String> {
        let mut server = Server::start(&self.command(file))?;
        let done = runtime()
            .block_on(work.run(&mut server, operations))?
            .operations;
        drop(server);
        let text = fs::read_to_string(file);
        let text = text.map_err(|error| format!("{self:?} wrote nothing: {error}"))?;
        let counts = match self {
            Self::Callgrind => functions(&text),
            Self::Strace => calls(&text),
        };
        Ok((counts, done))
    }

    fn command(self, file: &Path) -> Vec<String> {
        let file = PathBuf::from(file).display().to_string();
        let words: &[&str] = match self {
            Self::Callgrind => &[
                "valgrind",
                "--quiet",
                "--tool=callgrind",
                "--compress-strings=no",
                "--compress-pos=no",
            ],
            Self::Strace => &["strace", "--follow-forks", "--summary-only", "--output"],
        };
        let mut command: Vec<String> = words.iter().map(|&word| word.into()).collect();
        match self {
            Self::Callgrind => command.push(format!("--callgrind-out-file={file}")),
            Self::Strace => command.push(file),
        }
        command
    }
}

type Counts = BTreeMap<String, u64>;

/// What each function costs by itself, from a file of callgrind's without compression.
fn functions(file: &str) -> Counts {
    let mut counts = Counts::new();
    let mut function = "";
    let mut is_call = false;
    for line in file.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            function = name;
        } else if line.starts_with("calls=") {
            // The next line is what was called, with all that it called.
            is_call = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit()) {
            let count = line
                .split(' ')
                .nth(1)
                .and_then(|count| count.parse::<u64>().ok());
            if !core::mem::take(&mut is_call)
                && let Some(count) = count
            {
                *counts.entry(function.into()).or_default() += count;
            }
        }
    }
    counts
}

/// How often each system call was made, from a summary of strace's.
fn calls(file: &str) -> Counts {
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // % time, seconds, usecs/call, calls, perhaps errors, syscall.
        let count = words.get(3)?.parse().ok()?;
        let name = words.last().filter(|&&name| name != "total")?;
        Some(((*name).into(), count))
    };
    file.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_costs_what_it_does_itself() {
        let file = "fn=a\n10 5\ncfn=b\ncalls=2 7\n11 900\n12 1\nfn=b\n7 450\n";
        let expected = [("a".into(), 6), ("b".into(), 450)];
        assert_eq!(functions(file), Counts::from(expected));
    }

    #[test]
    fn calls_are_counted_with_and_without_errors() {
        let file = "% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ----------------\n \
                    70.00    0.000100           1       100        50 read\n \
                    30.00    0.000010           1        20           write\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                    100.00    0.000110                   120        50 total\n";
        let expected = [("read".into(), 100), ("write".into(), 20)];
        assert_eq!(calls(file), Counts::from(expected));
    }
}
