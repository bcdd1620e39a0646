//! The laws of a credit, as property tests for any type.
//!
//! [`check_credit`] takes a strategy for amounts of credit and tries every law of
//! [`Credit`] on samples of it; [`check_type`] does the same for what a
//! [`ResourceType`] says of its credit. A broken law comes back with its name and the smallest
//! counterexample found, and with the seed that finds it again.
//!
//! Laws over several amounts say little about amounts that have nothing to do with each other. So a sample
//! is three amounts of the strategy, of which the later ones are often remade from the earlier: the same again, a part
//! of it, what covers both. Amounts above the capital are welcome: laws that speak of the capital hold for them too.
//!
//! A method that panics breaks the law in which it does.

use core::fmt;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use crate::credit::{Credit, Malformed};
use crate::resource::ResourceType;
use crate::testing::fresh_seed;

/// How thoroughly the laws are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LawSettings {
    /// How many samples are tried for each law. 256 by default.
    pub cases: u32,
    /// Where the samples start. By default the environment variable `RM_SEED`, else a number drawn afresh.
    pub seed: u64,
}

impl Default for LawSettings {
    fn default() -> Self {
        Self {
            cases: 256,
            seed: fresh_seed(),
        }
    }
}

impl LawSettings {
    /// The same with another number of samples for each law.
    #[must_use]
    pub const fn with_cases(mut self, cases: u32) -> Self {
        self.cases = cases;
        self
    }

    /// The same from another start.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// A law that does not hold.
///
/// It prints the same with `{}` and `{:?}`, so that a test may simply return it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("the law \"{law}\" is broken: {counterexample}\n(RM_SEED={seed} finds it again)")]
pub struct BrokenLaw {
    /// The law, in words.
    pub law: &'static str,
    /// The smallest amounts found that break it, or the panic of a method.
    pub counterexample: String,
    /// The seed of the samples.
    pub seed: u64,
}

impl fmt::Debug for BrokenLaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Tries every law of [`Credit`] on amounts of `strategy`, of which there are `capital` in the world.
///
/// # Errors
/// The first law that does not hold.
///
/// # Examples
/// ```
/// use proptest::prelude::*;
/// use rm_core::credit::{Credit, Malformed};
/// use rm_core::testing::laws::{BrokenLaw, LawSettings, check_credit};
///
/// /// A semaphore's units.
/// #[derive(Clone, Debug, PartialEq, Eq, Hash)]
/// struct Units(u64);
///
/// impl Credit for Units {
///     fn empty() -> Self { Self(0) }
///     fn is_empty(&self) -> bool { self.0 == 0 }
///     fn join(&self, other: &Self) -> Option<Self> { self.0.checked_add(other.0).map(Self) }
///     fn covers(&self, part: &Self) -> bool { self.0 >= part.0 }
///     fn meet(&self, other: &Self) -> Self { Self(self.0.min(other.0)) }
///     fn sup(&self, other: &Self) -> Self { Self(self.0.max(other.0)) }
///     fn less(&self, other: &Self) -> Self { Self(self.0.saturating_sub(other.0)) }
///     fn raise(&self, other: &Self, capital: &Self) -> Self {
///         Self(self.0.saturating_add(other.0).min(capital.0))
///     }
///     fn restrict(&self, to: &Self) -> Self { if to.0 > 0 { self.clone() } else { Self(0) } }
///     fn conflicts(&self, other: &Self, capital: &Self) -> bool {
///         self.join(other).is_none_or(|both| both.0 > capital.0)
///             && !self.is_empty()
///             && !other.is_empty()
///     }
///     fn slice(&self, parts: u32) -> Self { Self(self.0 / u64::from(parts.max(1))) }
///     fn encode(&self, out: &mut Vec<u8>) { out.extend(self.0.to_le_bytes()) }
///     fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
///         bytes.try_into().map(|bytes| Self(u64::from_le_bytes(bytes))).map_err(|_| Malformed)
///     }
/// }
///
/// check_credit((0..9_u64).prop_map(Units), &Units(8), LawSettings::default())?;
/// # Ok::<(), BrokenLaw>(())
/// ```
pub fn check_credit<C: Credit>(
    strategy: impl Strategy<Value = C> + 'static,
    capital: &C,
    settings: LawSettings,
) -> Result<(), BrokenLaw> {
    let samples = samples(strategy, capital);
    for (law, holds) in credit_laws::<C>() {
        check(law, &samples, settings, |(a, b, c)| holds(a, b, c, capital))?;
    }
    let bytes = proptest::collection::vec(proptest::num::u8::ANY, 0..WILD_BYTES_MAX);
    check(
        "decode of any bytes is a value or an error",
        &bytes,
        settings,
        |bytes| is_answered::<C>(bytes),
    )
}

/// Tries what `resource_type` says of its credit, on amounts of `strategy`. Check the credit first.
///
/// # Errors
/// The first law that does not hold.
pub fn check_type<T: ResourceType>(
    resource_type: &T,
    strategy: impl Strategy<Value = T::Credit> + 'static,
    settings: LawSettings,
) -> Result<(), BrokenLaw> {
    let key = crate::testing::any_key();
    let capital = &resource_type.capital(&key);
    let samples = samples(strategy, capital);
    check("capital is always the same", &samples, settings, |_| {
        resource_type.capital(&key) == *capital
    })?;
    check(
        "a conflicts with a  =>  a ticks",
        &samples,
        settings,
        |(a, _, _)| !a.conflicts(a, capital) || T::ticks(a, capital),
    )?;
    check(
        "b <= a, b ticks  =>  a may tick",
        &samples,
        settings,
        |(a, b, _)| !(a.covers(b) && T::ticks(b, capital)) || T::may_tick(a, capital),
    )
}

/// Runs one law. Every law starts from the same seed, so each is found again alone.
fn check<S: Strategy>(
    law: &'static str,
    samples: &S,
    settings: LawSettings,
    holds: impl Fn(&S::Value) -> bool,
) -> Result<(), BrokenLaw> {
    let config = Config {
        cases: settings.cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(settings.seed),
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(samples, |sample| {
        if holds(&sample) {
            Ok(())
        } else {
            Err(TestCaseError::fail("it does not hold"))
        }
    });
    let counterexample = match outcome {
        Ok(()) => return Ok(()),
        Err(TestError::Abort(reason)) => format!("no samples: {reason}"),
        Err(TestError::Fail(reason, sample)) => format!("{reason} for {sample:?}"),
    };
    Err(BrokenLaw {
        law,
        counterexample,
        seed: settings.seed,
    })
}

/// Three amounts, related often enough that laws about related amounts are really tried.
fn samples<C: Credit>(
    strategy: impl Strategy<Value = C> + 'static,
    capital: &C,
) -> impl Strategy<Value = (C, C, C)> {
    use proptest::strategy::{Just, Union};
    let amount = std::rc::Rc::new(Union::new_weighted(vec![
        (12, strategy.boxed()),
        (1, Just(C::empty()).boxed()),
        (1, Just(capital.clone()).boxed()),
    ]));
    (amount.clone(), amount.clone(), amount, 0..7_u8, 0..5_u8).prop_map(
        |(a, b, c, second, third)| {
            let b = match second {
                0 => a.clone(),
                1 => a.meet(&b),
                2 => a.less(&b),
                3 => a.sup(&b),
                _ => b,
            };
            let c = match third {
                0 => b.clone(),
                1 => a.meet(&b).meet(&c),
                2 => a.sup(&b).sup(&c),
                _ => c,
            };
            (a, b, c)
        },
    )
}

/// The longest run of arbitrary bytes that is decoded.
const WILD_BYTES_MAX: usize = 64;

/// What must hold of three amounts and the capital.
type Law<C> = fn(&C, &C, &C, &C) -> bool;

/// Every law, in words and as code. They stand in the order of the documentation of [`Credit`].
fn credit_laws<C: Credit>() -> [(&'static str, Law<C>); 35] {
    [
        ("a + b == b + a", |a, b, _, _| a.join(b) == b.join(a)),
        ("(a + b) + c == a + (b + c)", |a, b, c, _| {
            let left = a.join(b).and_then(|ab| ab.join(c));
            left == b.join(c).and_then(|bc| a.join(&bc))
        }),
        ("a + c == b + c  =>  a == b", |a, b, c, _| {
            match (a.join(c), b.join(c)) {
                (Some(ac), Some(bc)) => (ac == bc) == (a == b),
                _ => true,
            }
        }),
        ("a + empty == a", |a, _, _, _| {
            a.join(&C::empty()).as_ref() == Some(a)
        }),
        ("a is empty  <=>  a == empty", |a, _, _, _| {
            C::empty().is_empty() && a.is_empty() == (*a == C::empty())
        }),
        ("a <= a", |a, _, _, _| a.covers(a)),
        ("a <= b, b <= a  =>  a == b", |a, b, _, _| {
            !(b.covers(a) && a.covers(b)) || a == b
        }),
        ("a <= b, b <= c  =>  a <= c", |a, b, c, _| {
            !(b.covers(a) && c.covers(b)) || c.covers(a)
        }),
        ("empty <= a", |a, _, _, _| a.covers(&C::empty())),
        ("a <= a + b", |a, b, _, _| {
            a.join(b).is_none_or(|ab| ab.covers(a))
        }),
        ("b <= a  <=>  b + (a - b) == a", |a, b, _, _| {
            a.covers(b) == (b.join(&a.less(b)).as_ref() == Some(a))
        }),
        ("meet(a, b) <= a, meet(a, b) <= b", |a, b, _, _| {
            let meet = a.meet(b);
            a.covers(&meet) && b.covers(&meet)
        }),
        ("c <= a, c <= b  =>  c <= meet(a, b)", |a, b, c, _| {
            !(a.covers(c) && b.covers(c)) || a.meet(b).covers(c)
        }),
        ("a <= sup(a, b), b <= sup(a, b)", |a, b, _, _| {
            let sup = a.sup(b);
            sup.covers(a) && sup.covers(b)
        }),
        ("a <= c, b <= c  =>  sup(a, b) <= c", |a, b, c, _| {
            !(c.covers(a) && c.covers(b)) || c.covers(&a.sup(b))
        }),
        ("sup(a, b) == a + (b - a)", |a, b, _, _| {
            a.join(&b.less(a)) == Some(a.sup(b))
        }),
        ("(a - b) + meet(a, b) == a", |a, b, _, _| {
            a.less(b).join(&a.meet(b)).as_ref() == Some(a)
        }),
        ("(a + b) - b == a", |a, b, _, _| {
            a.join(b).is_none_or(|ab| ab.less(b) == *a)
        }),
        ("a <= b  <=>  a - b is empty", |a, b, _, _| {
            b.covers(a) == a.less(b).is_empty()
        }),
        (
            "a + b <= capital  =>  raise(a, b) == a + b",
            |a, b, _, capital| {
                a.join(b)
                    .is_none_or(|ab| !capital.covers(&ab) || a.raise(b, capital) == ab)
            },
        ),
        ("raise(a, b) == meet(a + b, capital)", |a, b, _, capital| {
            a.join(b)
                .is_none_or(|ab| a.raise(b, capital) == ab.meet(capital))
        }),
        ("raise(a, b) <= capital", |a, b, _, capital| {
            capital.covers(&a.raise(b, capital))
        }),
        (
            "meet(a, capital) <= raise(a, b), likewise b",
            |a, b, _, capital| {
                let raised = a.raise(b, capital);
                raised.covers(&a.meet(capital)) && raised.covers(&b.meet(capital))
            },
        ),
        ("restrict(a, b) <= a", |a, b, _, _| a.covers(&a.restrict(b))),
        ("restrict(a, empty) is empty", |a, _, _, _| {
            a.restrict(&C::empty()).is_empty()
        }),
        ("restrict(a, a) == a", |a, _, _, _| a.restrict(a) == *a),
        ("a - b <= restrict(a, a - b)", |a, b, _, _| {
            a.restrict(&a.less(b)).covers(&a.less(b))
        }),
        (
            "same components b, c  =>  restrict(a, b) == restrict(a, c)",
            |a, b, c, _| {
                !(b.restrict(c) == *b && c.restrict(b) == *c) || a.restrict(b) == a.restrict(c)
            },
        ),
        (
            "a conflicts with b  <=>  b conflicts with a",
            |a, b, _, capital| a.conflicts(b, capital) == b.conflicts(a, capital),
        ),
        ("empty conflicts with nothing", |a, _, _, capital| {
            !C::empty().conflicts(a, capital)
        }),
        (
            "a conflicts with b  =>  a + b is more than the capital",
            |a, b, _, capital| {
                !a.conflicts(b, capital) || a.join(b).is_none_or(|ab| !capital.covers(&ab))
            },
        ),
        ("slice(a, n) <= a", |a, _, _, _| {
            SLICES.iter().all(|&parts| a.covers(&a.slice(parts)))
        }),
        ("decode(encode(a)) == a", |a, _, _, _| {
            C::decode(&bytes_of(a)).as_ref() == Ok(a)
        }),
        ("encode only appends", |a, b, _, _| {
            let mut both = bytes_of(a);
            b.encode(&mut both);
            both == [bytes_of(a), bytes_of(b)].concat()
        }),
        (
            "decode of a part of some bytes is a value or an error",
            |a, _, _, _| {
                let bytes = bytes_of(a);
                (0..bytes.len()).all(|end| is_answered::<C>(&bytes[..end]))
            },
        ),
    ]
}

/// Numbers of parts that a slice is tried with. 0 is no number of parts, but must not panic.
const SLICES: [u32; 5] = [0, 1, 3, 16, u32::MAX];

fn bytes_of<C: Credit>(credit: &C) -> Vec<u8> {
    let mut bytes = Vec::new();
    credit.encode(&mut bytes);
    bytes
}

/// Whether `decode` says anything at all; a panic breaks the law.
fn is_answered<C: Credit>(bytes: &[u8]) -> bool {
    matches!(C::decode(bytes), Ok(_) | Err(Malformed))
}

#[cfg(test)]
mod tests {
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
        let broken =
            breaks::<DECODE_PANICS>("decode of a part of some bytes is a value or an error");
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
}
