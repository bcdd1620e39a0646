//! Sessions that are open: what TLS costs each packet, and nothing where none is sent.

use std::time::{Duration, Instant};

use rm_net::Client;

use crate::place::Place;
use crate::{line, median};

/// Locks that are taken for the first time.
const FIRST: u32 = 4_000;
/// Takes of a cached lock: so many are timed as one, as one is shorter than the clock is exact.
const CACHED: u32 = 1_000;
const CACHED_ROUNDS: u32 = 401;

pub(crate) async fn run(place: &Place) {
    let plain = place.plain_at(place.plain_addr()).client().await;
    let tls = place.tls_at(place.tls_addr()).client().await;
    println!("on a session that is open, over loopback");
    line("", &["plain", "TLS 1.3"].map(String::from));
    let (mut first, mut cached) = ([vec![], vec![]], [vec![], vec![]]);
    for n in 0..FIRST {
        for (client, spent) in [&plain, &tls].into_iter().zip(&mut first) {
            spent.push(read(client, &format!("first/{n}")).await);
        }
    }
    line("first read of a lock", &first.map(median));
    for _ in 0..CACHED_ROUNDS {
        for (client, spent) in [&plain, &tls].into_iter().zip(&mut cached) {
            let lock = client.rw_lock("cached");
            let start = Instant::now();
            for _ in 0..CACHED {
                drop(lock.read().await.expect("cached"));
            }
            spent.push(start.elapsed() / CACHED);
        }
    }
    line("cached read", &cached.map(median));
    println!();
    plain.close().await;
    tls.close().await;
}

async fn read(client: &Client, name: &str) -> Duration {
    let lock = client.rw_lock(name);
    let start = Instant::now();
    drop(lock.read().await.expect("granted"));
    start.elapsed()
}
