//! `rmctl hold`: takes locks and holds them, until standard input ends or a signal comes.
//!
//! It is for programs that cannot start the work as a child: they start `rmctl hold`, read the line that says that
//! the locks are held, and close its standard input when they are done. If they die, it is closed too.

use schemars::JsonSchema;
use serde::Serialize;

use super::args::HoldArgs;
use super::connect::connect_for;
use super::exit::{Exit, Failure};
use super::lock::take::{self, Taken};
use super::lock::until_ending;
use super::output::{Output, hex, readable};
use super::signals::{ENDING, Signals};
use super::stdin;
use crate::Client;

/// What is printed when something happens to the locks.
#[derive(JsonSchema, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Event {
    /// All are held.
    Held {
        /// The mode, such as `read` or `write`; of cached credit, how much it is; empty where it is not known.
        mode: &'static str,
        /// Each lock, sorted by name.
        locks: Vec<HeldLock>,
    },
    /// They are held no more. It ends with 113.
    Lost {
        /// Why.
        reason: String,
    },
    /// They were given back. It ends with 0.
    Released,
}

/// A lock that is held.
#[derive(JsonSchema, Serialize)]
pub(super) struct HeldLock {
    /// The name, readable: bytes that are no text as `\xNN`.
    name: String,
    /// The name exactly: its bytes in hexadecimal.
    name_hex: String,
    /// The fencing token of a holder; of a lock, the highest that the server has seen.
    fence: u64,
}

pub(crate) async fn run(
    endpoints: &[String],
    args: &HoldArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let signals = Signals::listen(&ENDING);
    let mut signals =
        signals.map_err(|error| Failure::system("cannot listen for signals", &error))?;
    let names = take::in_order(&args.wanted.names)?;
    let client = tokio::select! {
        client = connect_for(endpoints, &args.wanted) => client?,
        signal = until_ending(&mut signals) => return Ok(Exit::signalled(signal.as_raw())),
    };
    let done = hold(&client, &names, args, &mut signals, output).await;
    client.close().await;
    done
}

async fn hold(
    client: &Client,
    names: &[rm_core::id::ResourceKey],
    args: &HoldArgs,
    signals: &mut Signals,
    output: Output,
) -> Result<Exit, Failure> {
    let mut closed = stdin::closed();
    let taken: Taken = tokio::select! {
        taken = take::take(client, names, &args.wanted) => taken?,
        signal = until_ending(signals) => return Ok(Exit::signalled(signal.as_raw())),
        _ = &mut closed => {
            let error = "standard input ended before the locks were had";
            return Err(Failure::new(Exit(args.wanted.conflict_exit_code), error)
                .hint("keep it open for as long as the locks are to be held"));
        }
    };
    say(&held(&taken), output)?;
    tokio::select! {
        reason = taken.lost() => {
            say(&Event::Lost { reason }, output)?;
            return Ok(Exit::LOST);
        }
        _ = &mut closed => {}
        _ = until_ending(signals) => {}
    }
    drop(taken);
    // So that whoever reads the line finds the locks free.
    client.close().await;
    say(&Event::Released, output)?;
    Ok(Exit::OK)
}

fn held(taken: &Taken) -> Event {
    let locks = taken.fences().map(|(name, fence)| HeldLock {
        name: readable(name),
        name_hex: hex(name),
        fence,
    });
    Event::Held {
        mode: taken.mode(),
        locks: locks.collect(),
    }
}

fn say(event: &Event, output: Output) -> Result<(), Failure> {
    output.print(event, || match event {
        Event::Held { mode, locks } => {
            let lines = locks.iter();
            let lines =
                lines.map(|lock| format!("held {} ({mode}), fence {}", lock.name, lock.fence));
            lines.collect::<Vec<_>>().join("\n")
        }
        Event::Lost { reason } => format!("lost: {reason}"),
        Event::Released => "released".into(),
    })
}
