//! Starts the command so that it dies when `rmctl` does.
//!
//! A command that runs under a lock must not go on when nobody renews the lease for it any more. If `rmctl` is
//! killed it cannot do anything about that, so the system must: a process can ask for a signal at the
//! death of its parent (Linux, Android, FreeBSD). Only the process itself can ask, so `rmctl` starts itself once
//! more, asks, and becomes the command. The wish survives that, except where the command is set-user-ID.
//! There is no moment in which the command runs without it: where the parent died before the wish
//! was made, the process finds a stranger as its parent, and ends.
//!
//! On Linux the wish is tied to the *thread* that started the process. `rmctl` starts it from its main thread,
//! which lives as long as `rmctl` itself.
//!
//! On other systems the command runs directly, and outlives a killed `rmctl`.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::getpid;

use crate::cli::args::ExecArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Output, readable};

/// Whether the system tells a process of its parent's death.
const IS_TIED: bool = cfg!(any(
    target_os = "android",
    target_os = "freebsd",
    target_os = "linux"
));

/// The command line that ends up as `command`: to be started from the main thread.
pub(super) fn tied(command: &[OsString], output: Output) -> io::Result<Command> {
    if !IS_TIED {
        let mut direct = Command::new(&command[0]);
        direct.args(&command[1..]);
        return Ok(direct);
    }
    let mut tied = Command::new(own_program()?);
    tied.arg0("rmctl");
    if output.is_json() {
        tied.arg("--json");
    }
    let parent = getpid().as_raw_pid().to_string();
    tied.args(["__exec", "--parent", &parent, "--"]);
    tied.args(command);
    Ok(tied)
}

/// This very program, even if its file was replaced or deleted meanwhile.
fn own_program() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") {
        Ok("/proc/self/exe".into())
    } else {
        std::env::current_exe()
    }
}

/// Becomes the command; returns only where it cannot.
pub(crate) fn run(args: &ExecArgs) -> Failure {
    if let Err(failure) = tie(args.parent) {
        return failure;
    }
    let error = Command::new(&args.command[0])
        .args(&args.command[1..])
        .exec();
    cannot_run(&args.command[0], &error)
}

/// Why a command was not run, with the exit codes of shells.
pub(super) fn cannot_run(program: &OsString, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        ErrorKind::NotFound => Exit::NOT_FOUND,
        _ => Exit::NOT_EXECUTABLE,
    };
    let program = readable(program.as_encoded_bytes());
    Failure::new(exit, format_args!("cannot run '{program}': {error}"))
}

#[cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux"))]
fn tie(parent: i32) -> Result<(), Failure> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| {
        Failure::system("cannot tie the command to the life of rmctl", &error.into())
    })?;
    // Died before the wish was made: then no signal comes.
    let is_ours = getppid().is_some_and(|now| now.as_raw_pid() == parent);
    if is_ours {
        Ok(())
    } else {
        Err(Failure::new(
            Exit::LOST,
            "rmctl ended before the command began",
        ))
    }
}

#[cfg(not(any(target_os = "android", target_os = "freebsd", target_os = "linux")))]
fn tie(_: i32) -> Result<(), Failure> {
    Ok(())
}
