//! What a lock takes on either side once nobody uses it: by the allocator's count and by what the system gave the
//! process, names and hash tables included.

use std::time::{Duration, Instant};

use rm_net::Client;

use crate::server::{Server, Usage};
use crate::verdict;
use crate::work::runtime;

const LOCKS: u64 = 100_000;

/// Targets, in bytes.
const AT_ROOT: u64 = 200;
const AT_CLIENT: u64 = 300;

/// Everything unused is at rest within this: a sweep visits some 16,000 locks a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What one side takes for each lock.
#[derive(Clone, Copy)]
struct Each {
    allocated: u64,
    resident: u64,
}

impl Each {
    fn between(before: Usage, after: Usage) -> Self {
        Self {
            allocated: after.allocated.saturating_sub(before.allocated) / LOCKS,
            resident: after.resident.saturating_sub(before.resident) / LOCKS,
        }
    }

    fn print(self, what: &str, target: u64) {
        let verdict = verdict(self.allocated <= target);
        let (allocated, resident) = (self.allocated, self.resident);
        println!("| {what} | {allocated} | {resident} | {target}: {verdict} |");
    }
}

/// Prints the table.
///
/// # Errors
/// Where the server dies, or does not grant.
pub(crate) fn run() -> Result<(), String> {
    println!("| bytes for each of {LOCKS} locks | allocated | resident | target |");
    println!("|---|---|---|---|");
    runtime().block_on(async {
        let (at_client, at_root) = measure(Handles::Dropped).await?;
        at_root.print(
            "at the root: lent to a client that does not use it",
            AT_ROOT,
        );
        at_client.print("at a client: cached, no handle is kept", AT_CLIENT);
        let (at_client, _) = measure(Handles::Kept).await?;
        at_client.print("at a client: cached, its handle is kept", AT_CLIENT);
        Ok(())
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handles {
    Dropped,
    Kept,
}

/// What a client has that has read each lock once, and the server.
async fn measure(handles: Handles) -> Result<(Each, Each), String> {
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
    let mut least = (Usage::now(), server.usage()?);
    let began = Instant::now();
    let mut changed = began;
    // Until nothing more comes to rest.
    while changed.elapsed() < 10 * LOOK && began.elapsed() < PATIENCE {
        tokio::time::sleep(LOOK).await;
        let next = (Usage::now(), server.usage()?);
        let bytes = |usage: &(Usage, Usage)| usage.0.allocated + usage.1.allocated;
        if bytes(&next) + LOCKS < bytes(&least) {
            changed = Instant::now();
        }
        least = next;
    }
    drop(kept);
    client.close().await;
    Ok((Each::between(mine, least.0), Each::between(its, least.1)))
}
