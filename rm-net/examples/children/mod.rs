//! What examples of several processes share: this program once more, with other arguments, and what it says.

#![allow(dead_code, reason = "each example uses its part")]

use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A machine may be slow, but not for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Child processes, and the lines that they print, in the order in which they come.
pub(crate) struct Children {
    children: Vec<(String, Child, Option<ChildStdin>)>,
    said: (Sender<String>, Receiver<String>),
}

impl Children {
    pub(crate) fn new() -> Self {
        Self {
            children: Vec::new(),
            said: channel(),
        }
    }

    /// Starts this program with these arguments; the first line that it prints and all later ones come by [`next`](Self::next).
    pub(crate) fn start(&mut self, name: &str, arguments: &[&str]) -> io::Result<()> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let tell = self.said.0.clone();
        thread::spawn(move || {
            let lines = stdout.map(|it| BufReader::new(it).lines());
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                println!("{line}");
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        self.children.push((name.into(), child, stdin));
        Ok(())
    }

    /// The next line of any of them that contains `part`; others are passed over.
    pub(crate) fn next(&self, part: &str) -> Result<String, String> {
        loop {
            let line = self.said.1.recv_timeout(PATIENCE);
            let line = line.map_err(|_| format!("nobody says '{part}'"))?;
            if line.contains(part) {
                return Ok(line);
            }
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str, signal: Signal) -> io::Result<()> {
        let found = self.children.iter().find(|(other, ..)| other == name);
        let id = found.and_then(|(_, child, _)| i32::try_from(child.id()).ok());
        let pid = id.and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        Ok(kill_process(pid, signal)?)
    }

    /// Closes its standard input: the request to end in good order.
    pub(crate) fn ask_to_end(&mut self, name: &str) {
        let found = self.children.iter_mut().find(|(other, ..)| other == name);
        if let Some((_, _, stdin)) = found {
            *stdin = None;
        }
    }

    /// Waits until all have ended.
    pub(crate) fn join(mut self) -> io::Result<()> {
        for (_, child, stdin) in &mut self.children {
            *stdin = None;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for (_, child, _) in &mut self.children {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until this process is asked to end.
pub(crate) async fn is_asked_to_end() {
    let mut nothing = tokio::io::stdin();
    // What comes in is of no interest, nor how it ends.
    let _ = tokio::io::copy(&mut nothing, &mut tokio::io::sink()).await;
}
