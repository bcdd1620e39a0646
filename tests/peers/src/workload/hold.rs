//! Very many locks held at once by one client, for what they take of memory.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::peer::{Mode, Peer};

/// Requests at a time.
const TASKS: usize = 64;

/// Takes so many locks to write, and keeps them until the result is dropped.
pub(crate) async fn hold<P: Peer>(
    client: &Arc<P>,
    locks: usize,
) -> Result<Vec<(P::Lock, P::Guard)>, String> {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let client = Arc::clone(client);
        tasks.spawn(async move {
            let mut held = Vec::new();
            for number in (task..locks).step_by(TASKS) {
                let lock = client.lock(&format!("held-{number}"));
                let guard = client.acquire(&lock, Mode::Write).await?;
                held.push((lock, guard));
            }
            Ok::<_, String>(held)
        });
    }
    let mut held = Vec::with_capacity(locks);
    while let Some(ended) = tasks.join_next().await {
        held.append(&mut ended.map_err(|error| error.to_string())??);
    }
    Ok(held)
}
