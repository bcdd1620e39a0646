//! Very many locks held at once by one client, for what they take of memory.

use futures_util::future::try_join_all;

use crate::peer::{Mode, Peer};

/// Requests at a time.
const TASKS: usize = 64;

/// Takes so many locks to write, looks, and forgets them: where giving back is a request, it is not sent.
pub(crate) async fn hold<P: Peer, T>(
    client: &P,
    locks: usize,
    look: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let handle = |number: usize| client.lock(&format!("held-{number}"));
    let handles: Vec<P::Lock> = (0..locks).map(handle).collect();
    let share = handles.chunks(locks.div_ceil(TASKS).max(1));
    let guards = share.map(async |handles| {
        let mut guards = Vec::with_capacity(handles.len());
        for lock in handles {
            guards.push(client.acquire(lock, Mode::Write).await?);
        }
        Ok::<_, String>(guards)
    });
    let guards = try_join_all(guards).await?;
    let seen = look();
    drop(guards);
    seen
}
