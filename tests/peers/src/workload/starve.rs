//! A writer among readers who never let the lock rest: each comes again as soon as it gave back.
//!
//! A wait that takes [`ENDLESS`] counts as starved. The readers stop then, so that the writer's request, which no recipe could
//! simply forget, comes to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Round, Sample};
use crate::peer::{Mode, Peer};
use crate::witness::Witness;

/// For so long a reader has the lock.
const HOLD: Duration = Duration::from_millis(1);
/// Between two requests of the writer.
const PAUSE: Duration = Duration::from_millis(10);
/// A longer wait is starvation.
const ENDLESS: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
struct Stop(AtomicBool);

impl Stop {
    fn is_set(&self) -> bool {
        // Nothing else follows from it.
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) async fn run<P: Peer>(
    readers: &[Arc<P>],
    writer: &Arc<P>,
    round: Round,
) -> Result<Sample, String> {
    let witness = Arc::new(Witness::new(1));
    let stop = Arc::new(Stop::default());
    let mut tasks = JoinSet::new();
    for reader in readers {
        tasks.spawn(read(
            Arc::clone(reader),
            Arc::clone(&witness),
            Arc::clone(&stop),
        ));
    }
    let sample = write(writer, &witness, &stop, round.span).await;
    stop.set();
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| error.to_string())??;
    }
    sample
}

async fn read<P: Peer>(
    client: Arc<P>,
    witness: Arc<Witness>,
    stop: Arc<Stop>,
) -> Result<(), String> {
    let lock = client.lock("starve");
    while !stop.is_set() {
        let guard = client.acquire(&lock, Mode::Read).await?;
        witness.enter(0, Mode::Read)?;
        sleep(HOLD).await;
        witness.leave(0, Mode::Read);
        client.release(guard).await?;
    }
    Ok(())
}

async fn write<P: Peer>(
    client: &Arc<P>,
    witness: &Arc<Witness>,
    stop: &Stop,
    span: Duration,
) -> Result<Sample, String> {
    let mut sample = Sample::default();
    let began = Instant::now();
    while began.elapsed() < span && !stop.is_set() {
        sleep(PAUSE).await;
        let mut once = tokio::spawn(write_once(Arc::clone(client), Arc::clone(witness)));
        let ended = match timeout(ENDLESS, &mut once).await {
            Ok(ended) => ended,
            Err(_) => {
                sample.starved += 1;
                stop.set();
                once.await
            }
        };
        let waited = ended.map_err(|error| error.to_string())??;
        sample.waits.push(waited);
        sample.operations += 1;
    }
    Ok(sample)
}

/// Returns how long it waited.
async fn write_once<P: Peer>(client: Arc<P>, witness: Arc<Witness>) -> Result<Duration, String> {
    let lock = client.lock("starve");
    let asked = Instant::now();
    let guard = client.acquire(&lock, Mode::Write).await?;
    let waited = asked.elapsed();
    witness.enter(0, Mode::Write)?;
    witness.leave(0, Mode::Write);
    client.release(guard).await?;
    Ok(waited)
}
