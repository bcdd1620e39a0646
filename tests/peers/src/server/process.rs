//! A server's process: started with its output in a file, gone with its [`Process`], and the memory that it uses.
//!
//! It is started through `setpriv` (of util-linux, which every Debian has), which asks the kernel to kill it when this program
//! dies, however it does, and changes the user for a server that refuses to be root. The kernel kills when the *thread* ends
//! that started the process, so servers are started from the thread that runs to the end.

use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::peer::failed;

/// So long a server may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// Who is nobody, everywhere.
pub(super) const NOBODY: u32 = 65_534;

/// Whose process it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum User {
    /// This program's.
    Own,
    /// Nobody's, where this program is root's.
    NotRoot,
}

impl User {
    /// Whether another user than this program's has to be.
    pub(super) fn changes(self) -> bool {
        self == Self::NotRoot && rustix::process::geteuid().is_root()
    }
}

/// How a process ends that is not needed any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// At once.
    Killed,
    /// By itself, on an interrupt: it would leave shared memory behind otherwise. Killed if that takes long.
    Interrupted,
}

impl Ending {
    /// As `setpriv` wants it.
    const fn name(self) -> &'static str {
        match self {
            Self::Killed => "KILL",
            Self::Interrupted => "INT",
        }
    }

    const fn signal(self) -> Signal {
        match self {
            Self::Killed => Signal::KILL,
            Self::Interrupted => Signal::INT,
        }
    }
}

/// `PROGRAM ARGS`, tied to this program.
pub(super) fn command(
    program: impl Into<OsString>,
    args: impl IntoIterator<Item = OsString>,
    user: User,
    ending: Ending,
) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", ending.name()]);
    if user.changes() {
        let id = NOBODY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    }
    command.arg("--").arg(program.into()).args(args);
    // Another user may not be let into the current one.
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// A process that runs.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    ending: Ending,
}

impl Process {
    /// Starts it; what it says goes to the file `log`.
    pub(super) fn start(mut command: Command, log: &Path, ending: Ending) -> Result<Self, String> {
        let file = File::create(log).map_err(failed("cannot keep a log"))?;
        let errors = file.try_clone().map_err(failed("cannot keep a log"))?;
        let child = command.stdout(file).stderr(errors).spawn();
        Ok(Self {
            ending,
            child: child.map_err(failed("cannot run setpriv (of util-linux)"))?,
        })
    }

    /// Whether it still runs.
    pub(super) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The memory that it and its descendants use, in bytes: what they share is counted once.
    pub(super) fn memory(&self) -> Result<u64, String> {
        let mut family = vec![self.child.id()];
        let all = parents();
        // A child's number can be smaller than its parent's, so one pass would not do.
        let mut next = 0;
        while let Some(&id) = family.get(next) {
            let children = all.iter().filter(|(_, parent)| *parent == id);
            family.extend(children.map(|(child, _)| *child));
            next += 1;
        }
        // One of them may just have ended, but not the first.
        let first = share(family[0]).ok_or("the server's memory cannot be read")?;
        Ok(first + family[1..].iter().filter_map(|&id| share(id)).sum::<u64>())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let id = Pid::from_raw(self.child.id().cast_signed());
        let began = Instant::now();
        if let Some(id) = id
            && self.runs()
        {
            // It may have ended in between.
            let _ = kill_process(id, self.ending.signal());
        }
        while self.runs() && began.elapsed() < PATIENCE {
            thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Its part of the memory, in bytes: a page that several have counts for each in proportion.
fn share(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1_024)
}

/// All processes, each with its parent.
fn parents() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| Some((id, parent(id)?))).collect()
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before it can contain anything, brackets too.
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Process {
        let dir = tempfile::tempdir().expect("a directory");
        let args = ["-c".into(), "sleep 1000 & wait".into()];
        let command = command("sh", args, User::Own, Ending::Killed);
        Process::start(command, &dir.path().join("log"), Ending::Killed).expect("started")
    }

    /// Waits for what comes soon, a minute at most.
    fn until(mut it_is: impl FnMut() -> bool) {
        let began = Instant::now();
        while !it_is() {
            assert!(began.elapsed().as_secs() < 60, "it does not come");
            thread::yield_now();
        }
    }

    #[test]
    fn a_process_ends_with_its_handle() {
        let mut process = sleeper();
        let id = process.child.id();
        assert!(process.runs());
        drop(process);
        assert_eq!(parent(id), None);
    }

    #[test]
    fn the_memory_of_children_counts() {
        let process = sleeper();
        let id = process.child.id();
        until(|| parents().iter().any(|(_, parent)| *parent == id));
        let own = share(id).expect("it runs");
        assert!(process.memory().expect("it runs") > own);
    }
}
