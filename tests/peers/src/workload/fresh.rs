//! Locks that are new to a client: the case in which a cache of credit is worth nothing.
//!
//! No lock is taken twice at a time here, so there is nothing to witness.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;

use super::pace::Pace;
use super::{Round, Sample, average};
use crate::peer::{Mode, Peer};

/// Locks that one client uses before the other one's turn is timed.
const HANDFUL: u64 = 32;

/// Locks that nobody used before, so many at a time.
pub(super) async fn first_use<P: Peer>(
    client: &Arc<P>,
    at_a_time: u64,
    round: Round,
) -> Result<Sample, String> {
    let mut tasks = JoinSet::new();
    for task in 0..at_a_time {
        let client = Arc::clone(client);
        tasks.spawn(async move {
            let mut pace = Pace::new(round.span);
            for number in 0_u64.. {
                let lock = client.lock(&format!("first-{}-{task}-{number}", round.number));
                use_once(&*client, &lock).await?;
                if let Some(lap) = pace.turned() {
                    return Ok(lap);
                }
                consume_budget().await;
            }
            Err("the numbers ran out".into())
        });
    }
    let mut sample = average(tasks).await?;
    // For the client as a whole, not for each of its tasks.
    sample.nanos /= at_a_time as f64;
    Ok(sample)
}

/// Locks that `one` used, and that `other` uses next.
pub(super) async fn elsewhere<P: Peer>(
    one: &Arc<P>,
    other: &Arc<P>,
    round: Round,
) -> Result<Sample, String> {
    let (one, other) = (Arc::clone(one), Arc::clone(other));
    let run = async move {
        let mut sample = Sample::default();
        let mut took = Duration::ZERO;
        let mut name = 0..;
        while took < round.span {
            let names: Vec<u64> = name.by_ref().take(HANDFUL as usize).collect();
            let named = |number: &u64| format!("elsewhere-{}-{number}", round.number);
            let names: Vec<_> = names.iter().map(named).collect();
            for name in &names {
                use_once(&*one, &one.lock(name)).await?;
            }
            let began = Instant::now();
            for name in &names {
                use_once(&*other, &other.lock(name)).await?;
            }
            took += began.elapsed();
            sample.operations += HANDFUL;
        }
        sample.nanos = took.as_nanos() as f64 / sample.operations as f64;
        Ok(sample)
    };
    tokio::spawn(run).await.map_err(|error| error.to_string())?
}

async fn use_once<P: Peer>(client: &P, lock: &P::Lock) -> Result<(), String> {
    let guard = client.acquire(lock, Mode::Write).await?;
    client.release(guard).await
}
