//! What a client takes, one after the other: drawn before the clock runs, from a seed, and gone through again and again.

use crate::peer::Mode;

/// So many are drawn for a client.
const DRAWN: usize = 1 << 16;

/// Which lock, and how.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Pick {
    pub(super) lock: usize,
    pub(super) mode: Mode,
}

/// How picks are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix {
    pub(super) locks: usize,
    /// The exponent of the Zipf distribution over them; of one lock it is always that.
    pub(super) skew: f64,
    /// How many of a hundred are writes.
    pub(super) writes: u32,
}

impl Mix {
    /// The picks of a client. The same seed draws the same.
    pub(super) fn draw(self, seed: u64) -> Vec<Pick> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut sums = Vec::with_capacity(self.locks);
        let mut sum = 0.0;
        for rank in 1..=self.locks {
            sum += (rank as f64).powf(-self.skew);
            sums.push(sum);
        }
        let mut draw = || {
            let at = random.f64() * sum;
            let lock = sums.partition_point(|&sum| sum <= at).min(self.locks - 1);
            let mode = if random.u32(0..100) < self.writes {
                Mode::Write
            } else {
                Mode::Read
            };
            Pick { lock, mode }
        };
        (0..DRAWN).map(|_| draw()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIX: Mix = Mix {
        locks: 1_000,
        skew: 0.99,
        writes: 5,
    };

    fn share(picks: &[Pick], it_is: impl Fn(&Pick) -> bool) -> f64 {
        picks.iter().filter(|pick| it_is(pick)).count() as f64 / picks.len() as f64
    }

    #[test]
    fn the_first_of_a_thousand_locks_has_its_share_and_all_are_within() {
        let picks = MIX.draw(7);
        assert!(picks.iter().all(|pick| pick.lock < 1_000));
        // 1 / sum of rank^-0.99 over a thousand.
        let first = share(&picks, |pick| pick.lock == 0);
        assert!((0.12..0.15).contains(&first), "{first}");
    }

    #[test]
    fn five_of_a_hundred_are_writes() {
        let writes = share(&MIX.draw(7), |pick| pick.mode == Mode::Write);
        assert!((0.04..0.06).contains(&writes), "{writes}");
    }

    #[test]
    fn a_seed_draws_the_same_again_and_another_does_not() {
        assert_eq!(MIX.draw(1), MIX.draw(1));
        assert_ne!(MIX.draw(1), MIX.draw(2));
    }
}
