//! What a semaphore lends: units.

use core::fmt;

use rm_core::credit::{Credit, Malformed};
use rm_core::id::{BadName, NAME_BYTES_MAX, ResourceKey, TypeId};
use rm_core::number;
use rm_core::resource::ResourceType;

use crate::request::{Kind, sealed};

/// What stands between a semaphore's name and the number of its units.
const MARK: u8 = b'#';

/// Some units of a semaphore.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a count, and nothing else")]
pub struct Units(pub u64);

impl fmt::Debug for Units {
    /// The number alone: traces are full of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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

    /// Two that together want more units than there are.
    fn conflicts(&self, other: &Self, capital: &Self) -> bool {
        !self.is_empty() && !other.is_empty() && self.0.saturating_add(other.0) > capital.0
    }

    fn slice(&self, parts: u32) -> Self {
        Self(self.0 / u64::from(parts.max(1)))
    }

    /// One number.
    fn encode(&self, out: &mut Vec<u8>) {
        number::encode(self.0, out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match number::decode(bytes)? {
            (units, []) => Ok(Self(units)),
            _ => Err(Malformed),
        }
    }
}

/// The type of semaphores.
///
/// **How many units.** The name says it: `slots/gpu#8` has 8. All nodes must agree on the capital of a resource, for
/// ever: a node that thinks there is more asks for what nobody has, and one that thinks there is less takes its
/// creditor for a liar. What all nodes that share a resource agree on is its name. So nodes that were configured
/// with different numbers have different semaphores, which is a mistake that shows, and no unit is ever lent
/// twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SemaphoreType {
    unnamed: u64,
}

impl SemaphoreType {
    /// Semaphores whose names say no number have so many units; 0 counts as 1. Every node must say the same.
    ///
    /// [`Semaphore`](super::Semaphore) always puts the number into the name. This is for tests, in which a
    /// small capital keeps the states few.
    #[must_use]
    pub const fn with_units(units: u64) -> Self {
        Self {
            unnamed: if units == 0 { 1 } else { units },
        }
    }
}

impl Default for SemaphoreType {
    /// One unit, where the name says no number.
    fn default() -> Self {
        Self::with_units(1)
    }
}

impl sealed::Sealed for SemaphoreType {}

impl Kind for SemaphoreType {}

impl ResourceType for SemaphoreType {
    type Credit = Units;
    type Level = Units;

    const ID: TypeId = TypeId(2);

    const NAME: &'static str = "semaphore";

    fn capital(&self, key: &ResourceKey) -> Units {
        Units(units_of(key.as_bytes()).unwrap_or(self.unnamed))
    }

    fn mode_name(_: &Units, _: &Units) -> &'static str {
        "use"
    }
}

/// The name of the resource that is the semaphore `name` of so many units.
pub(super) fn key(name: &[u8], units: u64) -> Result<ResourceKey, BadName> {
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    let mut bytes = Vec::with_capacity(NAME_BYTES_MAX.min(name.len() + 21));
    bytes.extend_from_slice(name);
    bytes.push(MARK);
    bytes.extend(units.to_string().bytes());
    ResourceKey::new(&bytes)
}

/// The number at the end of a semaphore's name: decimal, at least 1, no more than 64 bits, no leading zero.
fn units_of(key: &[u8]) -> Option<u64> {
    let mark = key.iter().rposition(|&byte| byte == MARK)?;
    let digits = core::str::from_utf8(&key[mark + 1..]).ok()?;
    let is_plain = digits.starts_with(|first: char| matches!(first, '1'..='9'));
    digits.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rm_core::testing::laws::{BrokenLaw, LawSettings, check_credit, check_type};

    use super::*;

    #[test]
    fn the_credit_keeps_the_laws_within_a_small_capital() -> Result<(), BrokenLaw> {
        let units = (0..=5_u64).prop_map(Units);
        check_credit(units, &Units(4), LawSettings::default())
    }

    #[test]
    fn the_credit_keeps_the_laws_for_any_counts_even_where_they_overflow() -> Result<(), BrokenLaw>
    {
        let units = any::<u64>().prop_map(Units);
        check_credit(units, &Units(u64::MAX), LawSettings::default())
    }

    #[test]
    fn the_type_keeps_the_laws() -> Result<(), BrokenLaw> {
        let units = (0..=5_u64).prop_map(Units);
        check_type(&SemaphoreType::with_units(4), units, LawSettings::default())
    }

    #[test]
    fn the_name_says_how_many_units_there_are() {
        let capital = |name: &str| {
            let key = ResourceKey::new(name.as_bytes()).expect("a name");
            SemaphoreType::default().capital(&key).0
        };
        assert_eq!(capital("slots/gpu#8"), 8);
        assert_eq!(capital("a#3#12"), 12);
        assert_eq!(capital(&format!("x#{}", u64::MAX)), u64::MAX);
        for other in [
            "x",
            "x#",
            "x#0",
            "x#08",
            "x#+8",
            "x#8 ",
            "x#8a",
            "x#18446744073709551616",
            "#",
        ] {
            assert_eq!(capital(other), 1, "{other} says no number");
        }
    }

    #[test]
    fn a_name_and_a_number_make_a_key_that_says_the_number() {
        let key = key(b"slots#9", 8).expect("a name");
        assert_eq!(key.as_bytes(), b"slots#9#8");
        assert_eq!(SemaphoreType::default().capital(&key), Units(8));
    }

    #[test]
    fn bytes_that_are_no_number_or_more_are_no_credit() {
        assert_eq!(Units::decode(&[]), Err(Malformed));
        assert_eq!(Units::decode(&[1, 0]), Err(Malformed));
        assert_eq!(Units::decode(&[3]), Ok(Units(3)));
    }
}
