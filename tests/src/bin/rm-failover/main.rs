//! What a member's death costs: three daemons and a real etcd as processes, and clients that have very many locks in use.
//!
//! ```text
//! cargo xtask bench failover
//! ```
//!
//! For each number of locks: a client holds so many read locks, a member is killed, and it is measured how long it takes until
//! requests for what it was the root of are served again. The table stands in docs/BENCHMARKS.md, which says what
//! the columns are. `rmd` is looked for beside this program.

mod probes;
mod servers;

use std::time::{Duration, Instant};

use clap::Parser;
use rm_net::Client;
use rm_rwlock::OwnedReadGuard;
use tokio::task::JoinSet;

use crate::probes::{CachedUse, Turns};
use crate::servers::{Servers, VICTIM};

/// Requests for locks of the dead root, of each kind.
const PROBES: usize = 100;
/// Tasks that take the locks to begin with.
const TAKERS: usize = 64;
/// For so long etcd's load is counted, and cached reads are timed before the death.
const CALM: Duration = Duration::from_secs(8);

/// What a member's death costs the clients of a cluster.
#[derive(Debug, Parser)]
struct Options {
    /// How many locks are in use: one run for each number
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    locks: Vec<usize>,
    /// The lease of clients, in seconds; that of members is 4/15 of it
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(3..=3_600))]
    lease: u64,
}

fn main() -> Result<(), String> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let lease = Duration::from_secs(options.lease);
    println!(
        "| locks in use | lost | cached read before, after | view | claimed | unclaimed | of others | etcd: idle, in use, after |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for locks in options.locks {
        println!("{}", runtime.block_on(row(locks, lease))?);
    }
    Ok(())
}

async fn row(locks: usize, lease: Duration) -> Result<String, String> {
    let mut servers = Servers::start(lease)?;
    let holder = servers.client("holder").await?;
    let prober = servers.client("prober").await?;
    let stranger = servers.client("stranger").await?;
    let idle = servers.load_while(tokio::time::sleep(CALM)).await;
    let guards = take(&holder, locks).await?;
    // Half of a sample is asked for by others; the other half is only used.
    let dead = servers::names_of(&holder, VICTIM, "lock", 0..locks);
    let (asked, used): (Vec<_>, Vec<_>) = sample(dead).partition(|(index, _)| index % 2 == 0);
    let use_of_cached = CachedUse::start(&holder, used.iter().map(|(_, name)| name));
    let in_use = servers.load_while(tokio::time::sleep(CALM)).await;
    let fresh = servers::names_of(&holder, VICTIM, "fresh", 0..);
    let fresh: Vec<_> = fresh.take(PROBES).collect();
    let others = servers::names_of(&holder, "a", "other", 0..);
    let others = others.take(PROBES).collect();

    let calm = use_of_cached.mark();
    let turns = Turns::start([prober.clone(), stranger.clone()], others);
    servers.kill(VICTIM);
    let killed = Instant::now();
    let asked = asked.into_iter().map(|(_, name)| name);
    let mut measured = None;
    let served = async {
        measured = Some(tokio::join!(
            probes::view_without(&holder, VICTIM, killed),
            probes::reads(&prober, asked, killed),
            probes::writes(&stranger, fresh, killed),
        ));
    };
    let after = servers.load_while(served).await;
    let (view, claimed, unclaimed) = measured.expect("all of it was served");
    let (claimed, unclaimed) = (claimed?, unclaimed?);
    let others = turns.end().await?;
    let since = use_of_cached.end();
    let lost = guards.iter().filter(|guard| !guard.is_valid()).count();
    drop(guards);
    Ok(format!(
        "| {locks} | {lost} | {calm}, {since} | {view:.2?} | {claimed} | {unclaimed} | {others} | {idle:.1}, {in_use:.1}, {after:.1} |"
    ))
}

/// So many of these as are probed, over the whole of them.
fn sample(names: impl Iterator<Item = String>) -> impl Iterator<Item = (usize, String)> {
    let names: Vec<_> = names.collect();
    let step = (names.len() / (2 * PROBES)).max(1);
    let every = names.into_iter().step_by(step);
    every.take(2 * PROBES).enumerate()
}

/// Takes so many locks to read, and keeps them.
async fn take(client: &Client, locks: usize) -> Result<Vec<OwnedReadGuard>, String> {
    let mut takers = JoinSet::new();
    for taker in 0..TAKERS {
        let client = client.clone();
        takers.spawn(async move {
            let mut guards = Vec::new();
            for number in (taker..locks).step_by(TAKERS) {
                let lock = client.rw_lock(servers::name("lock", number));
                guards.push(lock.read_owned().await.map_err(|error| error.to_string())?);
            }
            Ok::<_, String>(guards)
        });
    }
    let mut guards = Vec::with_capacity(locks);
    while let Some(taken) = takers.join_next().await {
        guards.append(&mut taken.map_err(|error| error.to_string())??);
    }
    Ok(guards)
}
