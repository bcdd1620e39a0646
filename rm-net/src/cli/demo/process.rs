//! The processes of the demonstration, as the one that started them sees them.
//!
//! They are started from this program's own file, and talk in lines of JSON on standard output. They end when their
//! standard input does, so they never outlive this process; dropping them kills them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::tally::{ClientLine, Counts};
use super::{PATIENCE, ServerReady};
use crate::cli::args::DemoArgs;
use crate::cli::exit::{Exit, Failure};

/// How many lines of clients may wait to be counted. A client that is ahead of that waits.
const LINES_MAX: usize = 64;

/// The server process.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts it, and waits until it listens.
    pub(super) async fn start(dir: &Path) -> Result<Self, Failure> {
        let (child, mut lines) = start("__demo-server", ["--dir".as_ref(), dir.as_os_str()])?;
        let ready: ServerReady = next_line(&mut lines, "the server").await?;
        Ok(Self {
            address: ready.address,
            child,
            lines,
        })
    }

    /// Stops it in order.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        drop(self.child.stdin.take());
        let ended = timeout(PATIENCE, async {
            while let Ok(Some(_)) = self.lines.next_line().await {}
            self.child.wait().await
        });
        match ended.await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(failed(&format!("the server ended with {status}"))),
            Ok(Err(error)) => Err(Failure::system("cannot wait for the server", &error)),
            Err(_) => Err(failed(&format!(
                "the server did not stop within {PATIENCE:?}"
            ))),
        }
    }
}

/// The client processes, and what they have counted so far.
#[derive(Debug)]
pub(super) struct Clients {
    // Kept for their standard input: while it is open, they go on.
    _children: Vec<Child>,
    lines: mpsc::Receiver<(usize, Result<ClientLine, Failure>)>,
    latest: Vec<ClientLine>,
}

impl Clients {
    pub(super) fn start(args: &DemoArgs, address: &str, dir: &Path) -> Result<Self, Failure> {
        let (line, lines) = mpsc::channel(LINES_MAX);
        let mut children = Vec::new();
        for index in 0..args.clients {
            let (index_text, seconds) = (index.to_string(), args.seconds.as_secs_f64().to_string());
            let mut arguments: Vec<&OsStr> = vec!["--endpoint".as_ref(), address.as_ref()];
            arguments.extend([OsStr::new("--dir"), dir.as_os_str()]);
            arguments.extend(["--index", &index_text, "--seconds", &seconds].map(OsStr::new));
            if args.sabotage {
                arguments.push("--sabotage".as_ref());
            }
            let (child, own_lines) = start("__demo-client", arguments)?;
            children.push(child);
            tokio::spawn(forward(index as usize, own_lines, line.clone()));
        }
        Ok(Self {
            latest: vec![ClientLine::default(); children.len()],
            _children: children,
            lines,
        })
    }

    /// Takes in the next line of a client; tells whether all have finished. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<bool, Failure> {
        let gone = || failed("the clients are gone");
        let (index, line) = self.lines.recv().await.ok_or_else(gone)?;
        self.latest[index] = line?;
        Ok(self.latest.iter().all(|line| line.is_finished))
    }

    /// The sums over all clients.
    pub(super) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for line in &self.latest {
            sum.add(&line.counts);
        }
        sum
    }
}

/// Hands on the lines of one client, up to its last.
async fn forward(
    index: usize,
    mut lines: Lines<BufReader<ChildStdout>>,
    to: mpsc::Sender<(usize, Result<ClientLine, Failure>)>,
) {
    loop {
        let line = next_line::<ClientLine>(&mut lines, "a client").await;
        let is_last = line.as_ref().map_or(true, |line| line.is_finished);
        if to.send((index, line)).await.is_err() || is_last {
            return;
        }
    }
}

/// The next line of a process: it has to come in time, and to be what was expected.
async fn next_line<T: DeserializeOwned>(
    lines: &mut Lines<BufReader<ChildStdout>>,
    who: &str,
) -> Result<T, Failure> {
    let line = timeout(PATIENCE, lines.next_line()).await;
    let line = line.map_err(|_| failed(&format!("{who} said nothing for {PATIENCE:?}")))?;
    let line = line.ok().flatten();
    let line = line.ok_or_else(|| failed(&format!("{who} ended early; what it said is above")))?;
    serde_json::from_str(&line).map_err(|error| failed(&format!("{who} said '{line}': {error}")))
}

fn start<'a>(
    command: &str,
    arguments: impl IntoIterator<Item = &'a OsStr>,
) -> Result<(Child, Lines<BufReader<ChildStdout>>), Failure> {
    let own = std::env::current_exe();
    let own =
        own.map_err(|error| Failure::system("cannot find this program's own file", &error))?;
    let child = Command::new(own)
        .arg(command)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C is for the process that started them: it ends them.
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| Failure::system("cannot start a process", &error))?;
    let stdout = child
        .stdout
        .take()
        .expect("it was asked for, and not taken yet");
    Ok((child, BufReader::new(stdout).lines()))
}

fn failed(what: &str) -> Failure {
    Failure::new(Exit::SYSTEM, what)
}
