//! A second resource type, so that nothing rests on the RW lock's two counts: a semaphore with any number of units.

use rm_core::credit::{Credit, Malformed};
use rm_core::id::{ResourceKey, TypeId};
use rm_core::resource::ResourceType;

/// Some units of a semaphore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Units(pub u64);

impl Credit for Units {
    fn empty() -> Self {
        Self(0)
    }

    fn is_empty(&self) -> bool {
        self.0 == 0
    }

    fn join(&self, other: &Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    fn covers(&self, part: &Self) -> bool {
        self.0 >= part.0
    }

    fn meet(&self, other: &Self) -> Self {
        Self(self.0.min(other.0))
    }

    fn sup(&self, other: &Self) -> Self {
        Self(self.0.max(other.0))
    }

    fn less(&self, other: &Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    fn raise(&self, other: &Self, capital: &Self) -> Self {
        Self(self.0.saturating_add(other.0).min(capital.0))
    }

    fn restrict(&self, to: &Self) -> Self {
        if to.is_empty() { Self::empty() } else { *self }
    }

    fn conflicts(&self, other: &Self, capital: &Self) -> bool {
        !self.is_empty() && !other.is_empty() && self.0.saturating_add(other.0) > capital.0
    }

    fn slice(&self, parts: u32) -> Self {
        Self(self.0 / u64::from(parts.max(1)))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        bytes
            .try_into()
            .map(|bytes| Self(u64::from_le_bytes(bytes)))
            .map_err(|_| Malformed)
    }
}

/// A semaphore with so many units.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Semaphore(pub u64);

impl ResourceType for Semaphore {
    type Credit = Units;
    type Level = Units;

    const ID: TypeId = TypeId(2000);

    const NAME: &'static str = "semaphore";

    fn capital(&self, _key: &ResourceKey) -> Units {
        Units(self.0)
    }
}
