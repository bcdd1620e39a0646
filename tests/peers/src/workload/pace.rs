//! When a loop has gone on for long enough, without a look at the clock for every turn.

use std::mem;
use std::time::{Duration, Instant};

/// So far apart are two looks at the clock, about.
const APART: Duration = Duration::from_micros(200);
/// Turns between two looks, at most.
const TURNS_MAX: u64 = 1_024;
/// So many slices between two looks are kept; of a longer loop, the first ones.
const SLICES_MAX: usize = 1 << 16;

/// Counts the turns of a loop, and ends it.
#[derive(Debug)]
pub(super) struct Pace {
    span: Duration,
    began: Instant,
    looked: Instant,
    done: u64,
    next_look: u64,
    between: u64,
    slices: Vec<f64>,
}

/// A loop that has ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Lap {
    pub(super) turns: u64,
    pub(super) took: Duration,
    /// Nanoseconds a turn between each two looks at the clock.
    pub(super) slices: Vec<f64>,
}

impl Pace {
    pub(super) fn new(span: Duration) -> Self {
        let now = Instant::now();
        Self {
            span,
            began: now,
            looked: now,
            done: 0,
            next_look: 1,
            between: 1,
            slices: Vec::new(),
        }
    }

    /// One turn is done. Says how the loop went, if it is to end.
    pub(super) fn turned(&mut self) -> Option<Lap> {
        self.done += 1;
        if self.done < self.next_look {
            return None;
        }
        let now = Instant::now();
        if self.slices.len() < SLICES_MAX {
            let slice = (now - self.looked).as_nanos() as f64;
            self.slices.push(slice / self.between as f64);
        }
        self.between = if now - self.looked < APART {
            (self.between * 2).min(TURNS_MAX)
        } else {
            (self.between / 2).max(1)
        };
        self.looked = now;
        self.next_look = self.done + self.between;
        let took = now - self.began;
        (took >= self.span).then(|| Lap {
            turns: self.done,
            took,
            slices: mem::take(&mut self.slices),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_lasts_as_long_as_it_should_and_counts_all_its_turns() {
        let span = Duration::from_millis(5);
        let mut pace = Pace::new(span);
        let mut turns = 0;
        let lap = loop {
            turns += 1;
            if let Some(lap) = pace.turned() {
                break lap;
            }
        };
        assert_eq!(lap.turns, turns);
        assert!(lap.took >= span);
    }

    #[test]
    fn the_slices_tell_of_the_whole_loop() {
        let mut pace = Pace::new(Duration::from_millis(5));
        let lap = loop {
            if let Some(lap) = pace.turned() {
                break lap;
            }
        };
        let longest = lap.slices.iter().copied().fold(0.0, f64::max);
        let average = lap.took.as_nanos() as f64 / lap.turns as f64;
        assert!(longest >= average, "{longest} < {average}");
    }

    #[test]
    fn a_loop_of_no_length_has_one_turn() {
        let lap = Pace::new(Duration::ZERO).turned().expect("it ends");
        assert_eq!(lap.turns, 1);
    }
}
