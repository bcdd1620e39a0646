//! Runs the command: passes signals on, ends it when the lock is lost, and reports how it ended.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::ExitStatus;
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
    taken: &Taken<'_>,
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
    let mut watch = Watch::new(args.on_lost, lease);
    let mut is_lost_told = false;
    let status = loop {
        check(&mut watch, taken, group, output);
        let pause = watch.pause(taken.valid_for());
        tokio::select! {
            status = child.wait() => break status,
            reason = taken.lost(), if !is_lost_told => {
                is_lost_told = true;
                output.notice("rmctl", &reason.to_string());
            }
            signal = signals.next() => match signal {
                // The lease ran on while we were stopped: the command goes on only if the lock is still good.
                Signal::CONT => {
                    check(&mut watch, taken, group, output);
                    terminal.on_continue();
                }
                signal => send(group, signal),
            },
            _ = changes.recv() => terminal.on_child_change(),
            () = tokio::time::sleep(pause) => {}
        }
    };
    drop(terminal);
    check(&mut watch, taken, group, output);
    if watch.is_lost() {
        // The command ended; what it started may not have.
        if args.on_lost == OnLost::Kill {
            send(group, Signal::KILL);
        }
        return Ok(Exit::LOST);
    }
    let status = status.map_err(|error| Failure::system("cannot wait for the command", &error))?;
    Ok(exit_of(status))
}

/// Starts the command in a process group of its own. Only the main thread may call it: see [`exec`].
fn start(taken: &Taken<'_>, args: &LockArgs, output: Output) -> Result<Child, Failure> {
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
fn environment(taken: &Taken<'_>) -> [(&'static str, std::ffi::OsString); 3] {
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

/// Does to the command what the state of the locks demands.
fn check(watch: &mut Watch, taken: &Taken<'_>, group: Pid, output: Output) {
    if let Some(action) = watch.look(taken.valid_for()) {
        // First the signal: a full pipe behind standard error must not hold it up.
        if let Some(signal) = action.signal {
            send(group, signal);
        }
        output.notice("rmctl", action.notice);
    }
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
