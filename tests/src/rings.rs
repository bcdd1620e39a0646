//! Twenty rings with names, and one that many may wear at once: a third credit beside the lock's and the semaphore's.
//!
//! It has what counts have not: units that differ. [`Rings`] asks for them by name, [`AnyRings`] by number. No type
//! does both: "`Nenya`, and any one" has no place in an order in which any one is part of `Nenya`, too.

use core::fmt;

use rm_core::credit::{Credit, Level, Malformed};
use rm_core::id::{ResourceKey, TypeId};
use rm_core::resource::ResourceType;
use rm_core::testing::script::Language;

/// Three for the elves, seven for the dwarves, nine for men, and one.
const NAMES: [&str; 20] = [
    "narya",
    "nenya",
    "vilya",
    "durin",
    "thror",
    "thrain",
    "gror",
    "fror",
    "borin",
    "thorin",
    "angmar",
    "khamul",
    "dwar",
    "ji",
    "akhorahil",
    "hoarmurath",
    "adunaphel",
    "ren",
    "uvatha",
    "one",
];

/// All rings with names.
const NAMED: u32 = (1 << NAMES.len()) - 1;

/// How many may wear the shared ring at once.
const SHARES: u64 = 1 << 16;

/// Some rings.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rings {
    /// A bit for each, in the order of their names.
    named: u32,
    /// Shares of the shared ring.
    shares: u64,
}

impl Rings {
    /// All there are.
    pub const ALL: Self = Self {
        named: NAMED,
        shares: SHARES,
    };

    /// A ring that there is not.
    pub const FORGED: Self = Self {
        named: NAMED + 1,
        shares: 0,
    };

    /// These and no others: one bit for each.
    #[must_use]
    pub const fn new(named: u32, shares: u64) -> Self {
        Self { named, shares }
    }
}

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named =
            |(bit, name): (usize, &&'static str)| (self.named >> bit & 1 == 1).then_some(*name);
        let names: Vec<_> = NAMES.iter().enumerate().filter_map(named).collect();
        let forged = if self.named > NAMED { ", forged" } else { "" };
        write!(f, "[{}; {} shared{forged}]", names.join(" "), self.shares)
    }
}

impl Credit for Rings {
    fn empty() -> Self {
        Self::default()
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A ring is not there twice.
    fn join(&self, other: &Self) -> Option<Self> {
        let shares = self.shares.checked_add(other.shares)?;
        let are_apart = self.named & other.named == 0;
        are_apart.then_some(Self {
            named: self.named | other.named,
            shares,
        })
    }

    fn covers(&self, part: &Self) -> bool {
        part.named & !self.named == 0 && self.shares >= part.shares
    }

    fn meet(&self, other: &Self) -> Self {
        Self {
            named: self.named & other.named,
            shares: self.shares.min(other.shares),
        }
    }

    fn sup(&self, other: &Self) -> Self {
        Self {
            named: self.named | other.named,
            shares: self.shares.max(other.shares),
        }
    }

    fn less(&self, other: &Self) -> Self {
        Self {
            named: self.named & !other.named,
            shares: self.shares.saturating_sub(other.shares),
        }
    }

    fn raise(&self, other: &Self, capital: &Self) -> Self {
        Self {
            named: (self.named | other.named) & capital.named,
            shares: self.shares.saturating_add(other.shares).min(capital.shares),
        }
    }

    fn restrict(&self, to: &Self) -> Self {
        Self {
            named: self.named & to.named,
            shares: if to.shares > 0 { self.shares } else { 0 },
        }
    }

    fn conflicts(&self, other: &Self, _: &Self) -> bool {
        self.named & other.named != 0
    }

    fn slice(&self, parts: u32) -> Self {
        Self {
            named: 0,
            shares: self.shares / u64::from(parts.max(1)),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.named.to_le_bytes());
        out.extend(self.shares.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (named, shares) = bytes.split_first_chunk().ok_or(Malformed)?;
        Ok(Self {
            named: u32::from_le_bytes(*named),
            shares: u64::from_le_bytes(shares.try_into().map_err(|_| Malformed)?),
        })
    }
}

/// Rings that are asked for by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RingsByName;

impl ResourceType for RingsByName {
    type Credit = Rings;
    type Level = Rings;

    const ID: TypeId = TypeId(2002);

    const NAME: &'static str = "rings";

    fn capital(&self, _: &ResourceKey) -> Rings {
        Rings::ALL
    }
}

/// Rings of which any will do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AnyRings;

impl ResourceType for AnyRings {
    type Credit = Rings;
    type Level = Count;

    const ID: TypeId = TypeId(2003);

    const NAME: &'static str = "any-rings";

    fn capital(&self, _: &ResourceKey) -> Rings {
        Rings::ALL
    }
}

/// How many rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Count {
    /// Of those with a name.
    pub named: u64,
    /// Of the shares.
    pub shares: u64,
}

impl Level<Rings> for Count {
    fn of(rings: &Rings) -> Self {
        Self {
            named: u64::from(rings.named.count_ones()),
            shares: rings.shares,
        }
    }

    fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    fn reaches(&self, other: &Self) -> bool {
        self.named >= other.named && self.shares >= other.shares
    }

    fn at_least(&self, other: &Self) -> Self {
        Self {
            named: self.named.max(other.named),
            shares: self.shares.max(other.shares),
        }
    }

    fn beyond(&self, other: &Self) -> Self {
        Self {
            named: self.named.saturating_sub(other.named),
            shares: self.shares.saturating_sub(other.shares),
        }
    }

    fn plus(&self, other: &Self, capital: &Rings) -> Self {
        let most = Self::of(capital);
        Self {
            named: self.named.saturating_add(other.named).min(most.named),
            shares: self.shares.saturating_add(other.shares).min(most.shares),
        }
    }

    fn only_where(&self, to: &Self) -> Self {
        Self {
            named: if to.named > 0 { self.named } else { 0 },
            shares: if to.shares > 0 { self.shares } else { 0 },
        }
    }

    /// The first of them.
    fn draw(&self, rings: &Rings) -> Rings {
        let mut rest = rings.named;
        for _ in 0..self.named.min(u64::from(u32::BITS)) {
            rest &= rest.wrapping_sub(1);
        }
        Rings {
            named: rings.named & !rest,
            shares: rings.shares.min(self.shares),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.named.to_le_bytes());
        out.extend(self.shares.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let (named, shares) = bytes.split_first_chunk().ok_or(Malformed)?;
        Ok(Self {
            named: u64::from_le_bytes(*named),
            shares: u64::from_le_bytes(shares.try_into().map_err(|_| Malformed)?),
        })
    }
}

/// Scripts about rings: `narya`, `nenya` and so on, `shared` for one share, and `forged`.
#[must_use]
pub fn by_name() -> Language<RingsByName> {
    named(Language::of(RingsByName))
}

/// The same, where `any 2` rings can be asked for.
#[must_use]
pub fn by_number() -> Language<AnyRings> {
    named(Language::of(AnyRings)).level_with("any", "2", |count| {
        let named = count.parse().ok()?;
        Some(Count { named, shares: 0 })
    })
}

fn named<T: ResourceType<Credit = Rings>>(language: Language<T>) -> Language<T> {
    let language = language
        .word("shared", Rings::new(0, 1))
        .word("forged", Rings::FORGED);
    (0..).zip(NAMES).fold(language, |language, (bit, name)| {
        language.word(name, Rings::new(1 << bit, 0))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rm_core::testing::laws::{BrokenLaw, LawSettings, check_credit, check_level, check_type};

    use super::*;

    fn rings() -> impl Strategy<Value = Rings> {
        (0..=NAMED, 0..=SHARES).prop_map(|(named, shares)| Rings { named, shares })
    }

    #[test]
    fn the_credit_keeps_the_laws_for_any_rings_even_those_that_there_are_not()
    -> Result<(), BrokenLaw> {
        let any = any::<(u32, u64)>().prop_map(|(named, shares)| Rings { named, shares });
        check_credit(any, &Rings::ALL, LawSettings::default())
    }

    #[test]
    fn both_types_keep_the_laws() -> Result<(), BrokenLaw> {
        check_type(&RingsByName, rings(), LawSettings::default())?;
        check_type(&AnyRings, rings(), LawSettings::default())?;
        check_level(&AnyRings, rings(), LawSettings::default())
    }

    proptest! {
        #[test]
        fn what_is_drawn_is_part_of_what_there_is_and_as_much_as_is_asked(rings in rings(), named in 0..40_u64) {
            let count = Count { named, shares: 1 };
            let drawn = count.draw(&rings);
            prop_assert!(rings.covers(&drawn));
            prop_assert_eq!(Count::of(&drawn).named, named.min(Count::of(&rings).named));
        }
    }
}
