//! Pairs of measurements, in turn.

use std::time::{Duration, Instant};

/// Rounds of each of a pair.
pub(crate) const ROUNDS: usize = 101;

/// The median of the rounds of one thing, in nanoseconds per operation.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn add(&mut self, spent: Duration, operations: u64) {
        self.0.push(spent.as_nanos() as f64 / operations as f64);
    }

    pub(crate) fn median(&mut self) -> f64 {
        self.0.sort_by(f64::total_cmp);
        self.0[self.0.len() / 2]
    }
}

/// How long `f` takes.
pub(crate) async fn timed<F: Future>(f: F) -> Duration {
    let start = Instant::now();
    f.await;
    start.elapsed()
}

/// One line: ours, what it stands beside, the ratio.
pub(crate) fn line(what: &str, ours: f64, beside: f64) {
    println!(
        "{what:<50} {:>12} {:>12} {:>7.2}",
        text(ours),
        text(beside),
        ours / beside
    );
}

/// One line of a figure that stands alone.
pub(crate) fn alone(what: &str, figure: &str) {
    println!("{what:<50} {figure:>12}");
}

/// Nanoseconds, readable.
pub(crate) fn text(nanos: f64) -> String {
    if nanos < 10_000.0 {
        format!("{nanos:.1} ns")
    } else {
        format!("{:.1} us", nanos / 1_000.0)
    }
}
