//! What a lock takes on either side once nobody uses it, by what the system gave the process: names, hash tables and what
//! the allocator wastes included. What is asked of the allocator, `cargo xtask bench footprint` says.

use std::time::Duration;

use rm_net::Client;

use crate::server::{Server, Usage};
use crate::verdict;
use crate::work::runtime;

const LOCKS: u64 = 100_000;

/// Targets, in bytes.
const AT_ROOT: u64 = 200;
const AT_CLIENT: u64 = 300;

/// Everything unused is at rest within this.
const PATIENCE: Duration = Duration::from_secs(25);

fn print(what: &str, bytes: u64, target: u64) {
    let verdict = verdict(bytes <= target);
    println!("| {what} | {bytes} | {target}: {verdict} |");
}

/// Prints the table.
///
/// # Errors
/// Where the server dies, or does not grant.
pub(crate) fn run() -> Result<(), String> {
    println!("| resident bytes for each of {LOCKS} locks | | target |");
    println!("|---|---|---|");
    runtime().block_on(async {
        let (at_client, at_root) = measure(Handles::Dropped).await?;
        print(
            "at the root: lent to a client that does not use it",
            at_root,
            AT_ROOT,
        );
        print(
            "at a client: cached, no handle is kept",
            at_client,
            AT_CLIENT,
        );
        let (at_client, _) = measure(Handles::Kept).await?;
        print(
            "at a client: cached, its handle is kept",
            at_client,
            AT_CLIENT,
        );
        Ok(())
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handles {
    Dropped,
    Kept,
}

/// What a client has that has read each lock once, and the server.
async fn measure(handles: Handles) -> Result<(u64, u64), String> {
    let mut server = Server::start(&[])?;
    let client = Client::connect(&server.address).await;
    let client = client.map_err(|error| format!("no session: {error}"))?;
    let mut kept = Vec::with_capacity(LOCKS as usize);
    let (mine, its) = (Usage::now(), server.usage()?);
    for number in 0..LOCKS {
        let lock = client.rw_lock(format!("volume-{number:012}"));
        drop(lock.read().await.map_err(|error| error.to_string())?);
        if handles == Handles::Kept {
            kept.push(lock);
        }
    }
    // A sweep a second looks at 256 locks in each of 64 shards, and each has to be met twice.
    tokio::time::sleep(PATIENCE).await;
    let each = |before: Usage, after: Usage| after.resident.saturating_sub(before.resident) / LOCKS;
    let result = (each(mine, Usage::now()), each(its, server.usage()?));
    drop(kept);
    server.end();
    Ok(result)
}
