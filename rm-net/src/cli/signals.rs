//! Signals that somebody sends to the programs.

use std::io;
use std::task::{Context, Poll};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// The signals by which people and systems ask a program to end.
pub(crate) const ENDING: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

/// Signals, one after another.
#[derive(Debug)]
pub(crate) struct Signals {
    streams: Vec<(Signal, tokio::signal::unix::Signal)>,
}

impl Signals {
    /// Listens for `wanted` from here on, except those that were ignored when the program started.
    ///
    /// Whoever started it with a signal ignored (`nohup`, a script's `&`) meant that, for its children too; and a
    /// signal that is listened for would be back at its default in a child.
    pub(crate) fn listen(wanted: &[Signal]) -> io::Result<Self> {
        let ignored = ignored_mask();
        let mut streams = Vec::with_capacity(wanted.len());
        for &wanted in wanted {
            let number = wanted.as_raw();
            if ignored >> (number - 1) & 1 == 0 {
                streams.push((wanted, signal(SignalKind::from_raw(number))?));
            }
        }
        Ok(Self { streams })
    }

    /// The next one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Signal {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        for (which, stream) in &mut self.streams {
            if stream.poll_recv(cx).is_ready() {
                return Poll::Ready(*which);
            }
        }
        Poll::Pending
    }
}

/// Which signals the process ignores: bit `n - 1` for signal `n`. None where the system does not tell.
fn ignored_mask() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    parse_ignored(&status).unwrap_or(0)
}

fn parse_ignored(status: &str) -> Option<u64> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read_as_linux_writes_it() {
        let status = "Name:\trmctl\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert_eq!(parse_ignored(status), Some(0x1001));
        assert_eq!(parse_ignored("Name:\trmctl\n"), None);
    }
}
