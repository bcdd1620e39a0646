//! Clusters whose members die, join, leave and lose their coordinator, in one process: members in runtimes of their
//! own, which end without a word, clients over loopback, and a real etcd.
//!
//! Names begin with the number of a scenario where they show one: `docs/CONFORMANCE.md` lists them, and which list each
//! is from. Without an etcd these tests say so and pass, but not under `CI`; those in `standalone` need none.
//!
//! Leases are short where a test waits for one, and so long that it would never end where nobody may wait for one.

#[path = "../common/mod.rs"]
mod common;

mod changes;
mod deaths;
mod life;
mod outages;
mod standalone;
mod trio;

use std::future::IntoFuture as _;
use std::time::Duration;

use common::{now, within};
use rm_core::time::Time;
use rm_net::Client;
use rm_rwlock::OwnedWriteGuard;
use tokio::task::JoinHandle;

/// Short, and long enough for a busy machine: the lease of a member is 4/15 of it.
const LEASE: Duration = Duration::from_secs(5);
/// Longer than any test waits: who gets something by then did not wait for the lease.
const LONG: Duration = Duration::from_secs(75);

/// Asks for the lock at once; the task ends with the guard and the time it came.
fn next(client: &Client, name: &str) -> JoinHandle<(OwnedWriteGuard, Time)> {
    let request = client.rw_lock(name).write_owned().into_future();
    tokio::spawn(async move {
        let guard = request.await.expect("granted in the end");
        (guard, now())
    })
}

/// The lock, which can be had.
async fn write(client: &Client, name: &str) -> OwnedWriteGuard {
    let request = client.rw_lock(name).write_owned().into_future();
    within("it is granted", request).await.expect("granted")
}

/// What a request that waits comes to.
async fn granted(waiting: JoinHandle<(OwnedWriteGuard, Time)>) -> (OwnedWriteGuard, Time) {
    within("it is granted", waiting).await.expect("no panic")
}

/// Those who wait are served one after the other, with tokens that rise from the last one.
async fn assert_granted_in_order(
    mut last: u64,
    waiting: impl IntoIterator<Item = JoinHandle<(OwnedWriteGuard, Time)>>,
) {
    for waiting in waiting {
        let (theirs, _) = granted(waiting).await;
        assert!(
            theirs.fence() > last,
            "tokens rise in the order of the requests"
        );
        last = theirs.fence();
    }
}
