//! `rmctl watch`: a line at each change of who holds a lock and who waits for it.
//!
//! It looks again and again: what came and went between two looks is not seen. The first line tells how it is.
//!
//! JSON shape, stable: a [`WatchLine`] at each change. Times are in milliseconds.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::sleep;

use super::args::{Until, WatchArgs};
use super::exit::{Exit, Failure};
use super::lookout::Lookout;
use super::output::{Output, hex, millis, readable};
use super::why::graph::{Graph, Has};
use super::why::words;

/// What `watch` prints.
#[derive(JsonSchema, Serialize)]
pub(super) struct WatchLine<'a> {
    /// The name, readable: bytes that are no text as `\xNN`.
    name: String,
    /// The name exactly: its bytes in hexadecimal.
    name_hex: String,
    /// The type, such as `rw-lock`; empty where nothing is called so.
    r#type: &'a str,
    /// Since the watch began.
    at_ms: u64,
    /// `free`, `held`, `wanted` (held, and somebody waits for it), or `unknown`: not everybody answers that may know of
    /// holders.
    state: &'static str,
    /// Those that hold it, or are in the way.
    holders: &'a [Party],
    /// The requests that wait.
    waits: &'a [Party],
}

/// Somebody who holds or waits. What changes by itself, such as how long, is left out: it is no news.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
struct Party {
    /// The node, by its name.
    node: String,
    /// The mode, such as `read` or `write`; of cached credit, how much it is; empty where it is not known.
    mode: String,
    /// What the request called itself; empty if nothing.
    label: String,
    /// Of a holder.
    fence: Option<u64>,
    /// Of a holder whose node does not answer.
    silent: bool,
}

/// What is told of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    type_name: String,
    is_complete: bool,
    holders: Vec<Party>,
    waits: Vec<Party>,
}

pub(crate) async fn run(
    endpoints: &[String],
    args: &WatchArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let began = Instant::now();
    let mut lookout = Lookout::new(endpoints, &args.name, output);
    let mut last: Vec<Seen> = Vec::new();
    loop {
        let graphs = lookout.look().await?;
        let seen: Vec<Seen> = graphs.iter().map(Seen::of).collect();
        for (graph, now) in graphs.iter().zip(&seen) {
            if !last.contains(now) {
                let line = now.line(&args.name, began.elapsed());
                output.print(&line, || in_words(graph, line.at_ms))?;
            }
        }
        last = seen;
        if args.until.is_some_and(|until| is_reached(until, &graphs)) {
            lookout.close().await;
            return Ok(Exit::OK);
        }
        sleep(args.interval).await;
    }
}

fn is_reached(until: Until, graphs: &[Graph]) -> bool {
    match until {
        Until::Free => graphs.iter().all(Graph::is_free),
        Until::Held => graphs.iter().any(Graph::is_held),
        Until::Wanted => graphs.iter().any(|graph| !graph.waits.is_empty()),
    }
}

/// The time since the watch began, and how it is.
fn in_words(graph: &Graph, at_ms: u64) -> String {
    let seconds = Duration::from_millis(at_ms).as_secs_f64();
    format!("{seconds:8.1} s  {}", words::by_whom(graph))
}

impl Seen {
    fn of(graph: &Graph) -> Self {
        let holders = graph.holders.iter().map(|holder| Party {
            node: holder.node.clone(),
            mode: if holder.has == Has::Held {
                holder.mode.clone()
            } else {
                String::new()
            },
            label: holder.label.clone(),
            fence: holder.fence,
            silent: holder.has == Has::Unknown,
        });
        let waits = graph.waits.iter().map(|wait| Party {
            node: wait.node.clone(),
            mode: wait.mode.clone(),
            label: wait.label.clone(),
            fence: None,
            silent: false,
        });
        let mut holders: Vec<_> = holders.collect();
        // Servers tell of them in no order that lasts.
        holders.sort_by(|a, b| (&a.node, a.fence, &a.label).cmp(&(&b.node, b.fence, &b.label)));
        Self {
            type_name: graph.type_name.clone(),
            is_complete: graph.is_complete(),
            holders,
            waits: waits.collect(),
        }
    }

    fn line<'a>(&'a self, name: &rm_core::id::ResourceKey, at: Duration) -> WatchLine<'a> {
        WatchLine {
            name: readable(name.as_bytes()),
            name_hex: hex(name.as_bytes()),
            r#type: &self.type_name,
            at_ms: millis(at),
            state: match (self.holders.is_empty(), self.waits.is_empty()) {
                (true, true) if self.is_complete => "free",
                (true, true) => "unknown",
                (false, true) => "held",
                (_, false) => "wanted",
            },
            holders: &self.holders,
            waits: &self.waits,
        }
    }
}
