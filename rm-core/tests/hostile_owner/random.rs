//! Random inputs, out of small pools.

use std::sync::Arc;
use std::time::Duration;

use rm_core::credit::Credit;
use rm_core::id::{Class, Order, Stamp, Version};
use rm_core::value::{VALUE_BYTES_MAX, Value, ValueState};
use rm_rwlock::RwCredit;

use super::{SHARES, capital, party};

/// A small generator: the whole run follows from its seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn pick<C: Copy>(&mut self, choices: &[C]) -> C {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// A credit: mostly a part of the capital, sometimes more than there is.
    pub(crate) fn credit(&mut self) -> RwCredit {
        let shares = match self.below(8) {
            0 => u64::MAX,
            1 => SHARES + 1,
            _ => self.below(SHARES + 1),
        };
        RwCredit {
            shares,
            intent: self.pick(&[0, 0, 1, 1, 1, u64::MAX]),
        }
    }

    /// What a correct caller may ask for.
    pub(crate) fn ask(&mut self) -> RwCredit {
        self.pick(&[RwCredit::READ, RwCredit::UPGRADABLE, capital()])
    }

    /// What a correct caller may convert to.
    pub(crate) fn to(&mut self) -> RwCredit {
        self.pick(&[
            RwCredit::empty(),
            RwCredit::READ,
            RwCredit::UPGRADABLE,
            capital(),
        ])
    }

    /// An order out of a few: peers and the owner's own callers use the same ones.
    pub(crate) fn order(&mut self) -> Order {
        Order {
            class: self.pick(&[Class::Convert, Class::New, Class::New]),
            stamp: Stamp(self.below(6)),
            party: party(self.below(3)),
            seq: self.below(3),
        }
    }

    pub(crate) fn version(&mut self) -> Version {
        Version(self.pick(&[0, 1, 2, 3, 4, 5, u64::MAX]))
    }

    pub(crate) fn fence(&mut self) -> u64 {
        let near = (1 << 32) + self.below(20_000);
        self.pick(&[0, 1, near, near, (1 << 33) + 7, u64::MAX - 1, u64::MAX])
    }

    /// Sometimes larger than any may be.
    pub(crate) fn value(&mut self) -> Option<Arc<Value>> {
        let len = self.pick(&[0, 1, 1024, 1025, VALUE_BYTES_MAX, VALUE_BYTES_MAX + 1]);
        let value = Value {
            version: self.fence(),
            state: self.pick(&[ValueState::Sure, ValueState::Doubtful]),
            bytes: vec![0; len].into(),
        };
        (self.below(4) == 0).then(|| Arc::new(value))
    }

    pub(crate) fn span(&mut self) -> Duration {
        self.pick(&[
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_secs(1),
            Duration::MAX,
        ])
    }
}
