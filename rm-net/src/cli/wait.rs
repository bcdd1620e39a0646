//! `rmctl wait`: until nobody holds a lock, without taking it.
//!
//! It looks again and again: what the lock was like in between is not seen. It stands in nobody's way.
//!
//! JSON shape, stable: one [`FreeLine`].

use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::sleep;

use super::args::WaitArgs;
use super::exit::{Exit, Failure};
use super::lookout::Lookout;
use super::output::{Output, hex, millis, readable, span};
use super::why::{graph::Graph, words};

/// What `wait` prints.
#[derive(JsonSchema, Serialize)]
pub(super) struct FreeLine {
    /// The name, readable: bytes that are no text as `\xNN`.
    name: String,
    /// The name exactly: its bytes in hexadecimal.
    name_hex: String,
    /// Always `free`.
    state: &'static str,
    /// How long it has waited.
    waited_ms: u64,
}

pub(crate) async fn run(
    endpoints: &[String],
    args: &WaitArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let began = Instant::now();
    let mut lookout = Lookout::new(endpoints, &args.name, output);
    loop {
        let graphs = lookout.look().await?;
        let Some(taken) = graphs.iter().find(|graph| !graph.is_free()) else {
            break;
        };
        let left = args.wait.map(|wait| wait.saturating_sub(began.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            let failure = still_taken(taken, args);
            lookout.close().await;
            return Err(failure);
        }
        sleep(left.map_or(args.interval, |left| left.min(args.interval))).await;
    }
    lookout.close().await;
    let waited = began.elapsed();
    let line = FreeLine {
        name: readable(args.name.as_bytes()),
        name_hex: hex(args.name.as_bytes()),
        state: "free",
        waited_ms: millis(waited),
    };
    output.print(&line, || {
        format!("{} is free, after {}", line.name, span(waited))
    })?;
    Ok(Exit::OK)
}

fn still_taken(graph: &Graph, args: &WaitArgs) -> Failure {
    let name = readable(args.name.as_bytes());
    let most = args.wait.unwrap_or_default();
    let by = words::by_whom(graph);
    let error = format_args!("'{name}' was not free within {}: {by}", span(most));
    Failure::new(Exit(args.conflict_exit_code), error).hint(format!(
        "'rmctl why {}' tells who waits for whom",
        words::shell_word(args.name.as_bytes())
    ))
}
