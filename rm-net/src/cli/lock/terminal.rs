//! Who has the terminal: `rmctl`'s process group, or the command's.
//!
//! The command has a process group of its own, so that all of it can be killed when the lock is lost. A terminal
//! talks to one group only. So where people sit before it, the command's group gets it, and Ctrl-C and
//! Ctrl-Z mean the command; when the command stops, `rmctl` takes the terminal back and stops too, as a shell
//! expects of a job.
//!
//! In a pipeline (`rmctl lock .. | less`) others of the same job read from the terminal, so there it changes hands
//! only when the command turns out to need it: the system stops a command that reads without having it.

use std::io::{self, IsTerminal as _};

use nix::sys::signal::{SigSet, Signal as NixSignal};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpgrp, kill_current_process_group, kill_process_group,
    waitid,
};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

/// The terminal, as far as there is one.
#[derive(Debug)]
pub(super) struct Terminal {
    command: Pid,
    own: Pid,
    is_lent: bool,
}

impl Terminal {
    /// Gives the terminal to the command's group where both its input and its output are there.
    pub(super) fn new(command: Pid) -> Self {
        let mut terminal = Self {
            command,
            own: getpgrp(),
            is_lent: false,
        };
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            terminal.lend();
        }
        terminal
    }

    /// Looks whether the command has stopped, and if so stops the job, as a shell expects.
    ///
    /// Tells whether the job has stopped and goes on now: then look at the lock, and call
    /// [`on_continue`](Self::on_continue).
    pub(super) fn on_child_change(&mut self) -> bool {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        let Ok(Some(status)) = waitid(WaitId::Pid(self.command), options) else {
            return false;
        };
        let signal = status.stopping_signal().and_then(Signal::from_named_raw);
        let needs_terminal = matches!(signal, Some(Signal::TTIN | Signal::TTOU));
        if needs_terminal && !self.is_lent && self.lend() {
            return false;
        }
        let stops = self.is_lent || needs_terminal;
        if stops {
            self.take_back();
            // The whole job stops here, as with Ctrl-Z, until somebody lets it go on. Where nobody could, the
            // system does not stop it, and the command must not stay stopped either.
            ignore_errors(kill_current_process_group(Signal::TSTP));
        }
        stops
    }

    /// The job goes on, in front or in the background.
    pub(super) fn on_continue(&mut self) {
        if !(io::stdin().is_terminal() && self.lend()) {
            ignore_errors(kill_process_group(self.command, Signal::CONT));
        }
    }

    /// Gives the terminal to the command, if it is ours to give, and wakes the command.
    fn lend(&mut self) -> bool {
        let is_ours = tcgetpgrp(io::stdin()).is_ok_and(|group| group == self.own);
        if !is_ours || tcsetpgrp(io::stdin(), self.command).is_err() {
            return false;
        }
        self.is_lent = true;
        // It may have asked for the terminal before it had it, and been stopped.
        ignore_errors(kill_process_group(self.command, Signal::CONT));
        true
    }

    /// Takes the terminal back, unless somebody else has it by now.
    fn take_back(&mut self) {
        if !std::mem::take(&mut self.is_lent) {
            return;
        }
        let is_theirs = tcgetpgrp(io::stdin()).is_ok_and(|group| group == self.command);
        // A group in the background is stopped when it reaches for the terminal, unless it blocks the signal.
        let mut reaching = SigSet::empty();
        reaching.add(NixSignal::SIGTTOU);
        if is_theirs && reaching.thread_block().is_ok() {
            ignore_errors(tcsetpgrp(io::stdin(), self.own));
            let _ = reaching.thread_unblock();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// The terminal or the process may be gone at any moment: then there is nothing left to do for it.
fn ignore_errors(done: rustix::io::Result<()>) {
    let _ = done;
}
