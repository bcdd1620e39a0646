//! Processes of a run: started with a log of their own, signalled, and gone when the run is.
//!
//! Each is started through this program (`rm-chaos tied PROGRAM ..`), which asks the kernel to kill it when its parent dies, and
//! then becomes the program. So nothing is left running, however the run ends.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// A client runs for as long as this is open.
    stdin: Option<ChildStdin>,
    /// The line of its output that said it is ready; `None` before that.
    ready: watch::Receiver<Option<String>>,
}

impl Process {
    /// Starts `command`; what it says goes to the end of the file `log`. It is ready once it prints a line with `ready` in it.
    pub(crate) fn start(
        mut command: Command,
        log: &Path,
        ready: &'static str,
    ) -> Result<Self, String> {
        let program = format!("{:?}", command.as_std());
        let failed = |error| format!("cannot start {program}: {error}");
        let mut file = OpenOptions::new();
        let mut file = file.create(true).append(true).open(log).map_err(failed)?;
        writeln!(file, "$ {program}").map_err(failed)?;
        let stderr = file.try_clone().map_err(failed)?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(failed)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("piped just above");
        let (tx, rx) = watch::channel(None);
        tokio::spawn(keep_output(stdout, file, ready, tx));
        Ok(Self {
            child,
            stdin,
            ready: rx,
        })
    }

    /// Waits for the line that says it is ready.
    pub(crate) async fn ready(&self, within: Duration) -> Result<String, String> {
        let mut ready = self.ready.clone();
        let line = timeout(within, ready.wait_for(Option::is_some)).await;
        match line {
            Ok(Ok(line)) => Ok(line.clone().expect("waited for")),
            Ok(Err(_)) => Err("it ended before it was ready".into()),
            Err(_) => Err(format!("it was not ready within {within:?}")),
        }
    }

    /// To be told when it is ready.
    pub(crate) fn watch_ready(&self) -> watch::Receiver<Option<String>> {
        self.ready.clone()
    }

    /// Sends a signal. One to a process that has just ended does nothing.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(id) = id {
            // It is our child and not waited for, so the id is nobody else's; it may have ended.
            let _ = kill_process(id, signal);
        }
    }

    /// Closes its standard input, which tells a client to stop.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        // It fails where the process has ended already.
        let _ = self.child.kill().await;
    }

    /// Waits until it ends by itself; after so long it is killed, and there is no answer.
    pub(crate) async fn ended(mut self, within: Duration) -> Option<ExitStatus> {
        match timeout(within, self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                self.kill().await;
                None
            }
        }
    }

    /// How it ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

/// Copies what a process prints to its log, and tells of the line that says it is ready.
async fn keep_output(
    stdout: ChildStdout,
    mut log: std::fs::File,
    ready: &str,
    tx: watch::Sender<Option<String>>,
) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // A log that cannot be written is no reason to stop a run.
        let _ = writeln!(log, "{line}");
        if tx.borrow().is_none() && line.contains(ready) {
            tx.send_replace(Some(line));
        }
    }
}

/// Becomes the program that `words` name, and dies with the parent. Returns only if that fails.
pub(crate) fn tied(words: &[OsString]) -> Result<Infallible, String> {
    let [program, arguments @ ..] = words else {
        return Err("say which program to run".into());
    };
    let killed = set_parent_process_death_signal(Some(Signal::KILL));
    killed.map_err(|error| format!("cannot be tied to the parent: {error}"))?;
    let error = std::process::Command::new(program).args(arguments).exec();
    let program = Path::new(program).display();
    Err(format!("cannot run {program}: {error}"))
}
