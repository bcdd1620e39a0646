//! Broken laws are caught: each fault of a toy type breaks the law that speaks of it.

use proptest::prelude::*;

use super::*;
use crate::id::{ResourceKey, TypeId};

const SOUND: u8 = 0;
const JOIN_SATURATES: u8 = 1;
const JOIN_FORGETS_THE_SECOND: u8 = 2;
const COVERS_IS_STRICT: u8 = 3;
const COVERS_ANYTHING: u8 = 4;
const MEET_IS_TOO_LARGE: u8 = 5;
const MEET_IS_TOO_SMALL: u8 = 6;
const SUP_IS_A_SUM: u8 = 7;
const LESS_WRAPS: u8 = 8;
const RAISE_EXCEEDS_THE_CAPITAL: u8 = 9;
const RESTRICT_KEEPS_ALL: u8 = 10;
const CONFLICT_IS_ONE_SIDED: u8 = 11;
const CONFLICT_IS_LOOSE: u8 = 12;
const EMPTY_CONFLICTS: u8 = 13;
const SLICE_ROUNDS_UP: u8 = 14;
const DECODE_PANICS: u8 = 15;
const ENCODE_TRUNCATES: u8 = 16;
const RAISE_SATURATES_EARLY: u8 = 17;

/// Units of a semaphore, with at most one fault.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Units<const FAULT: u8>(u64);

impl<const FAULT: u8> Credit for Units<FAULT> {
    fn empty() -> Self {
        Self(0)
    }

    fn is_empty(&self) -> bool {
        self.0 == 0
    }

    fn join(&self, other: &Self) -> Option<Self> {
        match FAULT {
            JOIN_SATURATES => Some(Self((self.0 + other.0).min(CAPITAL))),
            JOIN_FORGETS_THE_SECOND => Some(self.clone()),
            _ => self.0.checked_add(other.0).map(Self),
        }
    }

    fn covers(&self, part: &Self) -> bool {
        match FAULT {
            COVERS_IS_STRICT => self.0 > part.0,
            COVERS_ANYTHING => true,
            _ => self.0 >= part.0,
        }
    }

    fn meet(&self, other: &Self) -> Self {
        match FAULT {
            MEET_IS_TOO_LARGE => self.clone(),
            MEET_IS_TOO_SMALL => Self(0),
            _ => Self(self.0.min(other.0)),
        }
    }

    fn sup(&self, other: &Self) -> Self {
        Self(if FAULT == SUP_IS_A_SUM {
            self.0 + other.0
        } else {
            self.0.max(other.0)
        })
    }

    fn less(&self, other: &Self) -> Self {
        let wraps = FAULT == LESS_WRAPS;
        Self(if wraps {
            self.0.wrapping_sub(other.0)
        } else {
            self.0.saturating_sub(other.0)
        })
    }

    fn raise(&self, other: &Self, capital: &Self) -> Self {
        let sum = self.0.saturating_add(other.0);
        Self(match FAULT {
            RAISE_EXCEEDS_THE_CAPITAL => sum,
            RAISE_SATURATES_EARLY => sum.min(capital.0 - 1),
            _ => sum.min(capital.0),
        })
    }

    fn restrict(&self, to: &Self) -> Self {
        if to.0 > 0 || FAULT == RESTRICT_KEEPS_ALL {
            self.clone()
        } else {
            Self(0)
        }
    }

    fn conflicts(&self, other: &Self, capital: &Self) -> bool {
        let above = self.0.saturating_add(other.0) > capital.0;
        match FAULT {
            CONFLICT_IS_ONE_SIDED => above && self.0 > other.0,
            CONFLICT_IS_LOOSE => self.0 > 0 && other.0 > 0,
            EMPTY_CONFLICTS => above || self.is_empty() || other.is_empty(),
            _ => above && !self.is_empty() && !other.is_empty(),
        }
    }

    fn slice(&self, parts: u32) -> Self {
        let parts = u64::from(parts.max(1));
        Self(if FAULT == SLICE_ROUNDS_UP {
            self.0 / parts + 1
        } else {
            self.0 / parts
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let bytes = self.0.to_le_bytes();
        let whole = FAULT != ENCODE_TRUNCATES;
        out.extend(if whole {
            bytes
        } else {
            u64::from(self.0 as u8 & 3).to_le_bytes()
        });
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = bytes.try_into();
        assert!(FAULT != DECODE_PANICS || bytes.is_ok(), "not eight bytes");
        bytes
            .map(|bytes| Self(u64::from_le_bytes(bytes)))
            .map_err(|_| Malformed)
    }
}

const CAPITAL: u64 = 8;

fn broken<const FAULT: u8>(seed: u64) -> Result<(), BrokenLaw> {
    let settings = LawSettings::default().with_seed(seed);
    check_credit(
        (0..12_u64).prop_map(Units::<FAULT>),
        &Units(CAPITAL),
        settings,
    )
}

#[track_caller]
fn breaks<const FAULT: u8>(law: &str) -> BrokenLaw {
    let broken = broken::<FAULT>(fresh_seed()).expect_err("a fault breaks a law");
    assert_eq!(broken.law, law, "{broken}");
    broken
}

#[test]
fn a_sound_credit_keeps_every_law() -> Result<(), BrokenLaw> {
    broken::<SOUND>(fresh_seed())
}

#[test]
fn each_fault_breaks_the_law_that_speaks_of_it() {
    breaks::<JOIN_SATURATES>("a + c == b + c  =>  a == b");
    breaks::<JOIN_FORGETS_THE_SECOND>("a + b == b + a");
    breaks::<COVERS_IS_STRICT>("a <= a");
    breaks::<COVERS_ANYTHING>("a <= b, b <= a  =>  a == b");
    breaks::<MEET_IS_TOO_LARGE>("meet(a, b) <= a, meet(a, b) <= b");
    breaks::<MEET_IS_TOO_SMALL>("c <= a, c <= b  =>  c <= meet(a, b)");
    breaks::<SUP_IS_A_SUM>("a <= c, b <= c  =>  sup(a, b) <= c");
    breaks::<RAISE_EXCEEDS_THE_CAPITAL>("raise(a, b) == meet(a + b, capital)");
    breaks::<RAISE_SATURATES_EARLY>("a + b <= capital  =>  raise(a, b) == a + b");
    breaks::<RESTRICT_KEEPS_ALL>("restrict(a, empty) is empty");
    breaks::<CONFLICT_IS_ONE_SIDED>("a conflicts with b  <=>  b conflicts with a");
    breaks::<CONFLICT_IS_LOOSE>("a conflicts with b  =>  a + b is more than the capital");
    breaks::<EMPTY_CONFLICTS>("empty conflicts with nothing");
    breaks::<SLICE_ROUNDS_UP>("slice(a, n) <= a");
    breaks::<ENCODE_TRUNCATES>("decode(encode(a)) == a");
    // Nothing that covers both is the least: the first law about the difference shows it.
    breaks::<LESS_WRAPS>("sup(a, b) == a + (b - a)");
}

#[test]
fn a_panic_breaks_the_law_in_which_it_happens() {
    let broken = breaks::<DECODE_PANICS>("decode of a part of some bytes is a value or an error");
    assert!(
        broken.counterexample.contains("not eight bytes"),
        "{broken}"
    );
}

#[test]
fn the_counterexample_is_the_smallest_and_the_seed_finds_it_again() {
    let first = breaks::<SLICE_ROUNDS_UP>("slice(a, n) <= a");
    assert!(
        first
            .counterexample
            .contains("(Units(0), Units(0), Units(0))"),
        "{first}"
    );
    assert_eq!(broken::<SLICE_ROUNDS_UP>(first.seed), Err(first));
}

/// A type that forgets that a hold of everything conflicts with its kind, or that a loan may have served one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Forgetful<const TICKS: bool>;

impl<const TICKS: bool> ResourceType for Forgetful<TICKS> {
    type Credit = Units<SOUND>;
    type Level = Units<SOUND>;

    const ID: TypeId = TypeId(9);

    const NAME: &'static str = "forgetful";

    fn capital(&self, _key: &ResourceKey) -> Units<SOUND> {
        Units(CAPITAL)
    }

    fn ticks(ask: &Units<SOUND>, capital: &Units<SOUND>) -> bool {
        TICKS && ask.conflicts(ask, capital)
    }

    fn may_tick(loan: &Units<SOUND>, capital: &Units<SOUND>) -> bool {
        loan == capital
    }
}

#[test]
fn a_type_that_ticks_too_seldom_is_found() {
    let units = || (0..12_u64).prop_map(Units);
    let law = |outcome: Result<(), BrokenLaw>| outcome.map_err(|broken| broken.law);
    let hold = check_type(&Forgetful::<false>, units(), LawSettings::default());
    assert_eq!(law(hold), Err("a conflicts with a  =>  a ticks"));
    let loan = check_type(&Forgetful::<true>, units(), LawSettings::default());
    assert_eq!(law(loan), Err("b <= a, b ticks  =>  a may tick"));
}
