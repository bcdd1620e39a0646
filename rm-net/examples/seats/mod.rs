//! Seats of a train: each passenger holds some of them, and nobody else holds the same.

use rm_core::credit::{Credit, Malformed};
use rm_core::id::{ResourceKey, TypeId};
use rm_core::resource::ResourceType;

/// A set of seats, one bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seats(pub(crate) u64);

impl Credit for Seats {
    fn empty() -> Self {
        Self(0)
    }

    fn is_empty(&self) -> bool {
        self.0 == 0
    }

    fn join(&self, other: &Self) -> Option<Self> {
        (self.0 & other.0 == 0).then_some(Self(self.0 | other.0))
    }

    fn covers(&self, part: &Self) -> bool {
        part.0 & !self.0 == 0
    }

    fn meet(&self, other: &Self) -> Self {
        Self(self.0 & other.0)
    }

    fn sup(&self, other: &Self) -> Self {
        Self(self.0 | other.0)
    }

    fn less(&self, other: &Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn raise(&self, other: &Self, capital: &Self) -> Self {
        Self((self.0 | other.0) & capital.0)
    }

    fn restrict(&self, to: &Self) -> Self {
        self.meet(to)
    }

    fn conflicts(&self, other: &Self, _capital: &Self) -> bool {
        self.0 & other.0 != 0
    }

    fn slice(&self, parts: u32) -> Self {
        let count = self.0.count_ones() / parts.max(1);
        let rest = (0..count).fold(self.0, |rest, _| rest & (rest - 1));
        Self(self.0 & !rest)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = bytes.try_into().map_err(|_| Malformed)?;
        Ok(Self(u64::from_be_bytes(bytes)))
    }
}

/// Trains with so many seats.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Train {
    pub(crate) seats: u32,
}

impl ResourceType for Train {
    type Credit = Seats;
    type Level = Seats;
    const ID: TypeId = TypeId(5_000);
    const NAME: &'static str = "train";

    fn capital(&self, _train: &ResourceKey) -> Seats {
        Seats(u64::MAX >> (64 - self.seats.clamp(1, 64)))
    }
}
