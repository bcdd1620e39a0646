//! Runs the command: passes signals on, ends it when the lock is lost, and reports how it ended.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::ExitStatus;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::exec;
use super::take::Taken;
use super::terminal::Terminal;
use super::watch::Watch;
use crate::cli::args::{LockArgs, OnLost};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::signals::Signals;

/// Runs the command of `args` while `taken` is held under a lease of that length, to its end.
pub(super) async fn run(
    taken: &Taken,
    lease: Duration,
    args: &LockArgs,
    signals: &mut Signals,
    output: Output,
) -> Result<Exit, Failure> {
    let changes = signal(SignalKind::child());
    let mut changes =
        changes.map_err(|error| Failure::system("cannot listen for signals", &error))?;
    let mut child = start(taken, args, output)?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let group = group.expect("a child that was not waited for has an id");
    let mut terminal = Terminal::new(group);
    let mut guard = Guard::new(taken, Watch::new(args.on_lost, lease), group, output);
    let status = loop {
        guard.check();
        let mut goes_on = false;
        tokio::select! {
            status = child.wait() => break status,
            // The next look finds them lost.
            _ = taken.lost(), if !guard.watch.is_over() => {}
            signal = signals.next() => match signal {
                Signal::CONT => goes_on = true,
                signal => send(group, signal),
            },
            _ = changes.recv() => goes_on = terminal.on_child_change(),
            () = tokio::time::sleep(guard.pause()) => {}
        }
        if goes_on {
            // The lease ran on while we were stopped: the command goes on only if the lock is still good.
            guard.check();
            terminal.on_continue();
        }
    };
    drop(terminal);
    guard.check();
    if guard.watch.is_lost() && args.on_lost == OnLost::Kill {
        // The command ended; what it started may not have.
        send(group, Signal::KILL);
    }
    if guard.end() {
        return Ok(Exit::LOST);
    }
    let status = status.map_err(|error| Failure::system("cannot wait for the command", &error))?;
    Ok(exit_of(status))
}

/// Does to the command what the state of the locks demands.
struct Guard<'a> {
    taken: &'a Taken,
    watch: Watch,
    group: Pid,
    output: Output,
    notices: Vec<JoinHandle<()>>,
}

impl<'a> Guard<'a> {
    const fn new(taken: &'a Taken, watch: Watch, group: Pid, output: Output) -> Self {
        Self {
            taken,
            watch,
            group,
            output,
            notices: Vec::new(),
        }
    }

    fn check(&mut self) {
        let Some(action) = self.watch.look(self.taken.valid_for()) else {
            return;
        };
        if let Some(signal) = action.signal {
            send(self.group, signal);
        }
        // On a thread of its own: perhaps nobody reads our standard error, and the next signal must not wait.
        let output = self.output;
        let why = self.taken.why_lost();
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        let text = format!("{}{why}", action.notice);
        let notice = thread::spawn(move || output.notice("rmctl", &text));
        self.notices.push(notice);
    }

    fn pause(&self) -> Duration {
        self.watch.pause(self.taken.valid_for())
    }

    /// The command has ended: now there is time to be heard. Tells whether the locks were lost.
    fn end(self) -> bool {
        for notice in self.notices {
            // One that failed has nothing to tell.
            drop(notice.join());
        }
        self.watch.is_lost()
    }
}

/// Starts the command in a process group of its own. Only the main thread may call it: see [`exec`].
fn start(taken: &Taken, args: &LockArgs, output: Output) -> Result<Child, Failure> {
    let program = &args.command[0];
    let mut command = exec::tied(&args.command, output)
        .map_err(|error| Failure::system("cannot find this program's own file", &error))?;
    command.process_group(0);
    for (name, value) in environment(taken) {
        command.env(name, value);
    }
    let child = Command::from(command).kill_on_drop(true).spawn();
    child.map_err(|error| exec::cannot_run(program, &error))
}

/// What the command is told: the names, the mode and the fencing tokens.
fn environment(taken: &Taken) -> [(&'static str, std::ffi::OsString); 3] {
    use std::os::unix::ffi::OsStringExt as _;

    let (names, fences): (Vec<_>, Vec<_>) = taken
        .fences()
        .map(|(name, fence)| (name, fence.to_string()))
        .unzip();
    [
        ("RM_LOCK", std::ffi::OsString::from_vec(names.join(&b'\n'))),
        ("RM_MODE", taken.mode().into()),
        ("RM_FENCE", fences.join("\n").into()),
    ]
}

fn send(group: Pid, signal: Signal) {
    // The group may just have ended: then it needs no signal.
    let _ = kill_process_group(group, signal);
}

/// The command's own code, or 128 + n where signal n ended it.
fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit(code as u8),
        (None, Some(signal)) => Exit::signalled(signal),
        (None, None) => Exit::SYSTEM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_code_is_passed_on_and_a_signal_becomes_128_and_n() {
        assert_eq!(exit_of(ExitStatus::from_raw(7 << 8)), Exit(7));
        assert_eq!(exit_of(ExitStatus::from_raw(255 << 8)), Exit(255));
        assert_eq!(exit_of(ExitStatus::from_raw(9)), Exit(137));
    }
}
