//! `rmctl bench`: what locks cost against this server, in three quick measurements.
//!
//! * *uncached*: a lock nobody has, taken and released: one round trip to the server.
//! * *cached*: a lock this client has, taken and released again: no message.
//! * *hand-over*: a lock that another client has just released: the server recalls it.
//!
//! Each gets a third of the time. Names are fresh in every run, and everything goes back at the end.

use std::time::Duration;

use hdrhistogram::Histogram;
use rm_rwlock::{AcquireError, RwLock};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use super::args::BenchArgs;
use super::connect::connect_as;
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use crate::Client;

/// The most locks the first measurement leaves in the server until the end.
const FRESH_MAX: u32 = 100_000;
/// Cached locks are too quick for a clock: so many are measured at once.
const BATCH: u32 = 1_000;
/// The longest time that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(60);

/// What is printed.
#[derive(JsonSchema, Serialize)]
pub(super) struct Report {
    /// A lock that nobody has yet: the server is asked.
    uncached_write: Line,
    /// A lock to read whose credit is cached.
    cached_read: Line,
    /// A lock to write whose credit is cached.
    cached_write: Line,
    /// A lock to write that another client has cached.
    hand_over: Line,
}

/// One measurement. For cached locks each sample is the mean of a batch of 1,000.
#[derive(JsonSchema, Serialize)]
struct Line {
    /// How often it was measured.
    samples: u64,
    /// The median, in nanoseconds.
    p50_ns: u64,
    /// What 99 of 100 took at most, in nanoseconds.
    p99_ns: u64,
    /// The longest, in nanoseconds.
    max_ns: u64,
}

pub(crate) async fn run(
    endpoints: &[String],
    args: &BenchArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let name = |which| format!("bench-{which}-{}", std::process::id());
    let first = connect_as(endpoints, name(1)).await?;
    let second = connect_as(endpoints, name(2)).await?;
    let report = measure(&first, &second, args.seconds / 3).await;
    first.close().await;
    second.close().await;
    let failed = |error| Failure::acquire("bench", &error, Exit::UNAVAILABLE);
    let report = report.map_err(failed)?;
    output.print(&report, || report.in_words())?;
    Ok(Exit::OK)
}

async fn measure(first: &Client, second: &Client, each: Duration) -> Result<Report, AcquireError> {
    let run = format!("bench/{:016x}", fastrand::u64(..));
    let uncached_write = uncached(first, &run, each).await?;
    let lock = first.rw_lock(format!("{run}/cached"));
    let cached_read = batches(each / 2, async || lock.read().await.map(drop)).await?;
    let cached_write = batches(each / 2, async || lock.write().await.map(drop)).await?;
    let name = format!("{run}/hand-over");
    let hand_over = hand_over(&first.rw_lock(&name), &second.rw_lock(&name), each).await?;
    Ok(Report {
        uncached_write: Line::new(&uncached_write),
        cached_read: Line::new(&cached_read),
        cached_write: Line::new(&cached_write),
        hand_over: Line::new(&hand_over),
    })
}

async fn uncached(client: &Client, run: &str, each: Duration) -> Result<Samples, AcquireError> {
    let mut samples = Samples::new();
    let until = Instant::now() + each;
    for index in 0..FRESH_MAX {
        let lock = client.rw_lock(format!("{run}/{index}"));
        let asked = Instant::now();
        drop(lock.write().await?);
        samples.add(asked.elapsed());
        if Instant::now() >= until {
            break;
        }
    }
    Ok(samples)
}

async fn batches(
    each: Duration,
    take: impl AsyncFn() -> Result<(), AcquireError>,
) -> Result<Samples, AcquireError> {
    let mut samples = Samples::new();
    let until = Instant::now() + each;
    // The first time it is not cached yet.
    take().await?;
    while Instant::now() < until {
        let asked = Instant::now();
        for _ in 0..BATCH {
            take().await?;
        }
        samples.add(asked.elapsed() / BATCH);
        // What never waits never lets the client renew its lease.
        tokio::task::yield_now().await;
    }
    Ok(samples)
}

async fn hand_over(one: &RwLock, other: &RwLock, each: Duration) -> Result<Samples, AcquireError> {
    let mut samples = Samples::new();
    let until = Instant::now() + each;
    drop(one.write().await?);
    while Instant::now() < until {
        for lock in [other, one] {
            let asked = Instant::now();
            drop(lock.write().await?);
            samples.add(asked.elapsed());
        }
    }
    Ok(samples)
}

/// Latencies.
struct Samples(Histogram<u64>);

impl Samples {
    fn new() -> Self {
        let longest = LONGEST.as_nanos() as u64;
        Self(Histogram::new_with_max(longest, 3).expect("the bounds are sound"))
    }

    fn add(&mut self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(took);
    }
}

impl Line {
    fn new(Samples(samples): &Samples) -> Self {
        Self {
            samples: samples.len(),
            p50_ns: samples.value_at_quantile(0.5),
            p99_ns: samples.value_at_quantile(0.99),
            max_ns: samples.max(),
        }
    }
}

impl Report {
    fn in_words(&self) -> String {
        let rows = [
            ("uncached write", &self.uncached_write),
            ("cached read", &self.cached_read),
            ("cached write", &self.cached_write),
            ("hand-over", &self.hand_over),
        ];
        let rows = rows.map(|(name, line)| {
            let time = |nanos: u64| match nanos {
                0..10_000 => format!("{nanos} ns"),
                10_000..10_000_000 => format!("{} us", nanos / 1_000),
                _ => format!("{} ms", nanos / 1_000_000),
            };
            let (p50, p99, max) = (time(line.p50_ns), time(line.p99_ns), time(line.max_ns));
            vec![name.into(), p50, p99, max, line.samples.to_string()]
        });
        let header = ["ACQUIRE + RELEASE", "P50", "P99", "MAX", "SAMPLES"].map(String::from);
        let rows = std::iter::once(header.to_vec()).chain(rows);
        output::table(&rows.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_beyond_the_histogram_counts_as_its_longest() {
        let mut samples = Samples::new();
        samples.add(Duration::from_nanos(20));
        samples.add(Duration::MAX);
        let line = Line::new(&samples);
        assert_eq!((line.samples, line.p50_ns), (2, 20));
        assert!(line.max_ns >= LONGEST.as_nanos() as u64);
    }
}
