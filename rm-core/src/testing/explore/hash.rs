//! Tables whose keys are hashes already, or small numbers.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A set of states, each told by 128 bits.
pub(super) type Identities = HashSet<u128, BuildHasherDefault<Fold>>;

/// A table by numbers of up to 128 bits.
pub(super) type HashedMap<K, V> = HashMap<K, V, BuildHasherDefault<Fold>>;

/// Mixes the halves of a number by one multiplication. Nobody chooses these keys to make them collide.
#[derive(Default)]
pub(super) struct Fold(u64);

/// An odd number without a pattern: 2^64 divided by the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0.rotate_left(8) ^ u64::from(byte)).wrapping_mul(MIX);
        }
    }

    fn write_u128(&mut self, number: u128) {
        let halves = (number as u64) ^ ((number >> 64) as u64).wrapping_mul(MIX).rotate_left(32);
        let product = u128::from(halves ^ MIX) * u128::from(MIX);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}
