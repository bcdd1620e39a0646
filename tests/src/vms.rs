//! The six-mode lock of the classic lock managers, as a resource type for tests.
//!
//! | mode | means | takes |
//! |---|---|---|
//! | NL | nothing yet | nothing |
//! | CR | reads, whatever others do | one of pool A |
//! | CW | writes, beside other writers | one of A, and one of B in its colour |
//! | PR | reads, and nobody writes | one of A, and one of B in its colour |
//! | PW | writes, beside unprotected readers | one of A, and all of B |
//! | EX | alone | everything |
//!
//! CW excludes PR, and neither excludes its own kind. Counts alone cannot say that: what excludes by its count
//! excludes its like too. So pool B is coloured.

use core::fmt;

use rm_core::credit::{Colour, Credit, Level, Malformed};
use rm_core::id::{ResourceKey, TypeId};
use rm_core::number;
use rm_core::resource::ResourceType;

/// The colour of protected reads.
pub const PROTECTED_READ: Colour = Colour(0);
/// The colour of concurrent writes.
pub const CONCURRENT_WRITE: Colour = Colour(1);

/// All credit there is.
pub const CAPITAL: Counts = Counts { a: 4, b: 3 };

/// Counts of the two pools.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Of pool A: one for whoever is there at all.
    pub a: u64,
    /// Of pool B, which is coloured: one for whoever keeps others from writing or from reading undisturbed.
    pub b: u64,
}

impl fmt::Debug for Counts {
    /// Traces are full of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.a, self.b).fmt(f)
    }
}

impl Credit for Counts {
    fn empty() -> Self {
        Self { a: 0, b: 0 }
    }

    fn is_empty(&self) -> bool {
        *self == Self::empty()
    }

    fn join(&self, other: &Self) -> Option<Self> {
        Some(Self {
            a: self.a.checked_add(other.a)?,
            b: self.b.checked_add(other.b)?,
        })
    }

    fn covers(&self, part: &Self) -> bool {
        self.a >= part.a && self.b >= part.b
    }

    fn meet(&self, other: &Self) -> Self {
        Self {
            a: self.a.min(other.a),
            b: self.b.min(other.b),
        }
    }

    fn sup(&self, other: &Self) -> Self {
        Self {
            a: self.a.max(other.a),
            b: self.b.max(other.b),
        }
    }

    fn less(&self, other: &Self) -> Self {
        Self {
            a: self.a.saturating_sub(other.a),
            b: self.b.saturating_sub(other.b),
        }
    }

    fn raise(&self, other: &Self, capital: &Self) -> Self {
        Self {
            a: self.a.saturating_add(other.a).min(capital.a),
            b: self.b.saturating_add(other.b).min(capital.b),
        }
    }

    fn restrict(&self, to: &Self) -> Self {
        Self {
            a: if to.a > 0 { self.a } else { 0 },
            b: if to.b > 0 { self.b } else { 0 },
        }
    }

    /// Two that together want more than there is. What colours exclude is not for counts to say.
    fn conflicts(&self, other: &Self, capital: &Self) -> bool {
        let fits = self.join(other).is_some_and(|both| capital.covers(&both));
        !self.is_empty() && !other.is_empty() && !fits
    }

    fn slice(&self, parts: u32) -> Self {
        let parts = u64::from(parts.max(1));
        Self {
            a: self.a / parts,
            b: self.b / parts,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        number::encode(self.a, out);
        number::encode(self.b, out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (a, rest) = number::decode(bytes)?;
        match number::decode(rest)? {
            (b, []) => Ok(Self { a, b }),
            _ => Err(Malformed),
        }
    }
}

/// What a mode asks for: counts, and perhaps a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    counts: Counts,
    colour: Option<Colour>,
}

impl Asked {
    const fn with(self, counts: Counts) -> Self {
        Self {
            counts,
            colour: self.colour,
        }
    }
}

impl Level<Counts> for Asked {
    fn of(credit: &Counts) -> Self {
        Self {
            counts: *credit,
            colour: None,
        }
    }

    fn is_zero(&self) -> bool {
        self.counts.is_empty()
    }

    fn reaches(&self, other: &Self) -> bool {
        self.counts.covers(&other.counts)
    }

    fn at_least(&self, other: &Self) -> Self {
        self.with(self.counts.sup(&other.counts))
    }

    fn beyond(&self, other: &Self) -> Self {
        self.with(self.counts.less(&other.counts))
    }

    fn plus(&self, other: &Self, capital: &Counts) -> Self {
        self.with(self.counts.raise(&other.counts, capital))
    }

    fn only_where(&self, to: &Self) -> Self {
        self.with(self.counts.restrict(&to.counts))
    }

    fn draw(&self, credit: &Counts) -> Counts {
        self.counts.meet(credit)
    }

    /// The counts, and the colour if there is one.
    fn write(&self, out: &mut Vec<u8>) {
        self.counts.encode(out);
        out.extend(self.colour.map(|colour| colour.0));
    }

    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let (a, rest) = number::decode(bytes)?;
        let (b, rest) = number::decode(rest)?;
        let colour = match *rest {
            [] => None,
            [colour] => Some(Colour(colour)),
            _ => return Err(Malformed),
        };
        let counts = Counts { a, b };
        Ok(Self { counts, colour })
    }
}

/// The resource type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SixModeLock;

impl ResourceType for SixModeLock {
    type Credit = Counts;
    type Level = Asked;

    const ID: TypeId = TypeId(1100);
    const NAME: &'static str = "six-mode-lock";

    fn capital(&self, _: &ResourceKey) -> Counts {
        CAPITAL
    }

    fn coloured(capital: &Counts) -> Counts {
        Counts { a: 0, b: capital.b }
    }

    fn colour_of(ask: &Asked) -> Option<Colour> {
        ask.colour
    }

    fn in_colour(level: Asked, colour: Colour) -> Asked {
        Asked {
            colour: Some(colour),
            ..level
        }
    }

    fn mode_name(ask: &Asked, _: &Counts) -> &'static str {
        let asks = |mode: &&Mode| mode.ask() == *ask;
        let mode = Mode::ALL.iter().find(asks);
        mode.map_or("some", |mode| mode.name())
    }
}

/// The six modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Null.
    Nl,
    /// Concurrent read.
    Cr,
    /// Concurrent write.
    Cw,
    /// Protected read.
    Pr,
    /// Protected write.
    Pw,
    /// Exclusive.
    Ex,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Nl, Self::Cr, Self::Cw, Self::Pr, Self::Pw, Self::Ex];

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nl => "NL",
            Self::Cr => "CR",
            Self::Cw => "CW",
            Self::Pr => "PR",
            Self::Pw => "PW",
            Self::Ex => "EX",
        }
    }

    /// How much it takes.
    #[must_use]
    pub const fn counts(self) -> Counts {
        match self {
            Self::Nl => Counts { a: 0, b: 0 },
            Self::Cr => Counts { a: 1, b: 0 },
            Self::Cw | Self::Pr => Counts { a: 1, b: 1 },
            Self::Pw => Counts { a: 1, b: CAPITAL.b },
            Self::Ex => CAPITAL,
        }
    }

    /// In which colour it takes B.
    #[must_use]
    pub const fn colour(self) -> Option<Colour> {
        match self {
            Self::Cw => Some(CONCURRENT_WRITE),
            Self::Pr => Some(PROTECTED_READ),
            Self::Nl | Self::Cr | Self::Pw | Self::Ex => None,
        }
    }

    /// What it asks for.
    #[must_use]
    pub const fn ask(self) -> Asked {
        Asked {
            counts: self.counts(),
            colour: self.colour(),
        }
    }

    /// Whether holders of both may be there at once, as the classic table has it.
    #[must_use]
    pub const fn is_compatible_with(self, other: Self) -> bool {
        match (self, other) {
            (Self::Nl, _) | (_, Self::Nl) => true,
            (Self::Ex, _) | (_, Self::Ex) => false,
            (Self::Cr, _) | (_, Self::Cr) | (Self::Cw, Self::Cw) | (Self::Pr, Self::Pr) => true,
            (Self::Cw | Self::Pr | Self::Pw, _) => false,
        }
    }
}
