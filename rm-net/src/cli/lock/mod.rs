//! `rmctl lock`: a command under locks, with the flags and the manners of `flock`.
//!
//! ```text
//! take      several locks, all or none
//! exec      starts the command so that it dies when rmctl does
//! watch     when to warn, end or kill the command: a decision, without a clock
//! terminal  who has the terminal, so that Ctrl-C and Ctrl-Z mean the command
//! child     runs the command: signals, the lease, the exit code
//! ```

use rustix::process::Signal;

use super::args::LockArgs;
use super::connect::connect_for;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::signals::{ENDING, Signals};
use crate::Client;

mod child;
pub(crate) mod exec;
pub(crate) mod take;
mod terminal;
mod watch;

use self::take::Taken;

/// What is passed on to the command, beside the signals that end.
const PASSED_ON: [Signal; 2] = [Signal::USR1, Signal::USR2];

pub(crate) async fn run(
    endpoints: &[String],
    args: &LockArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let wanted = [&ENDING[..], &PASSED_ON, &[Signal::CONT]].concat();
    let signals = Signals::listen(&wanted);
    let mut signals =
        signals.map_err(|error| Failure::system("cannot listen for signals", &error))?;
    let names = take::in_order(&args.wanted.names)?;
    let client = tokio::select! {
        client = connect_for(endpoints, &args.wanted) => client?,
        signal = until_ending(&mut signals) => return Ok(Exit::signalled(signal.as_raw())),
    };
    let done = run_over(&client, &names, args, &mut signals, output).await;
    // The locks go back at once, also where the command failed.
    client.close().await;
    done
}

async fn run_over(
    client: &Client,
    names: &[rm_core::id::ResourceKey],
    args: &LockArgs,
    signals: &mut Signals,
    output: Output,
) -> Result<Exit, Failure> {
    let taken: Taken = tokio::select! {
        taken = take::take(client, names, &args.wanted) => taken?,
        signal = until_ending(signals) => return Ok(Exit::signalled(signal.as_raw())),
    };
    // Where the connection just broke, what is left of the lease is all that is known of it.
    let lease = client.lease().or(taken.valid_for()).unwrap_or_default();
    child::run(&taken, lease, args, signals, output).await
}

/// The next signal that ends the wait for the locks.
pub(crate) async fn until_ending(signals: &mut Signals) -> Signal {
    loop {
        let signal = signals.next().await;
        if signal != Signal::CONT {
            return signal;
        }
    }
}
