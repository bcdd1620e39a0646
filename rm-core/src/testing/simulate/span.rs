//! How long things take: delays, holds, pauses for thought.

use core::time::Duration;

use crate::testing::random::Random;
use crate::time::saturating_nanos;

/// A length of time, drawn anew each time it is needed. A [`Duration`] is one that is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    least: u64,
    most: u64,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Even,
    HeavyTail,
}

impl Span {
    /// No time at all.
    pub const NONE: Self = Self::nanos(0, 0, Shape::Even);

    /// Any length between the two, all equally likely.
    #[must_use]
    pub const fn between(least: Duration, most: Duration) -> Self {
        Self::nanos(saturating_nanos(least), saturating_nanos(most), Shape::Even)
    }

    /// Mostly near `least`, and rarely very long: twice as long is half as likely. Cut off at `most`.
    #[must_use]
    pub const fn heavy_tail(least: Duration, most: Duration) -> Self {
        Self::nanos(
            saturating_nanos(least),
            saturating_nanos(most),
            Shape::HeavyTail,
        )
    }

    const fn nanos(least: u64, most: u64, shape: Shape) -> Self {
        Self { least, most, shape }
    }

    /// The longest there is, in nanoseconds.
    pub(super) const fn most(self) -> u64 {
        if self.most > self.least {
            self.most
        } else {
            self.least
        }
    }

    /// One of them, in nanoseconds.
    pub(super) const fn draw(self, random: &mut Random) -> u64 {
        match self.shape {
            Shape::Even => {
                let width = self.most() - self.least;
                self.least + random.below(width.saturating_add(1))
            }
            Shape::HeavyTail => {
                let doublings = random.next_u64().trailing_zeros();
                let scale = match self.least.checked_shl(doublings) {
                    Some(scale) if scale >> doublings == self.least => scale,
                    Some(_) | None => self.most(),
                };
                let span = scale.saturating_add(random.below(scale));
                if span < self.most() {
                    span
                } else {
                    self.most()
                }
            }
        }
    }
}

impl From<Duration> for Span {
    fn from(length: Duration) -> Self {
        Self::between(length, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn every_shape_keeps_its_bounds() {
        let mut random = Random::new(1);
        let spans = [
            Span::NONE,
            MS.into(),
            Span::between(MS, 3 * MS),
            Span::heavy_tail(MS, 500 * MS),
            Span::heavy_tail(MS, Duration::MAX),
        ];
        for span in spans {
            for _ in 0..1_000 {
                let drawn = span.draw(&mut random);
                assert!((span.least..=span.most()).contains(&drawn));
            }
        }
    }

    #[test]
    fn a_heavy_tail_is_mostly_short_and_sometimes_very_long() {
        let mut random = Random::new(1);
        let span = Span::heavy_tail(MS, 1_000 * MS);
        let drawn: Vec<u64> = (0..10_000).map(|_| span.draw(&mut random)).collect();
        let longer = |times: u64| {
            drawn
                .iter()
                .filter(|&&span| span > times * 1_000_000)
                .count()
        };
        assert!(longer(4) < 3_000 && longer(100) > 20);
    }
}
