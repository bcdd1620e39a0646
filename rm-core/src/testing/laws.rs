//! The laws of a credit, as property tests for any type.
//!
//! [`check_credit`] takes a strategy for amounts of credit and tries every law of
//! [`Credit`] on samples of it; [`check_level`] does the same for what requests ask for, and [`check_type`] for
//! what a [`ResourceType`] says of its credit. A broken law comes back with its name and the smallest
//! counterexample found, and with the seed that finds it again.
//!
//! Laws over several amounts say little about amounts that have nothing to do with each other. So a sample
//! is three amounts of the strategy, of which the later ones are often remade from the earlier: the same again, a part
//! of it, what covers both. Amounts above the capital are welcome: laws that speak of the capital hold for them too.
//!
//! A method that panics breaks the law in which it does.

mod level;
#[cfg(test)]
mod tests;

use core::fmt;

use proptest::strategy::{Just, Strategy};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

pub use self::level::check_level;
use crate::credit::{Credit, Level, Malformed};
use crate::resource::{Lending, ResourceType};
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
        // What is given for good is never held twice.
        |(a, _, _)| {
            let may_meet = T::LENDING == Lending::Loaned && a.conflicts(a, capital);
            !may_meet || T::ticks(a, capital)
        },
    )?;
    check(
        "b <= a, b ticks  =>  a may tick",
        &samples,
        settings,
        |(a, b, _)| !(a.covers(b) && T::ticks(b, capital)) || T::may_tick(a, capital),
    )?;
    let doors = (Just(T::shared(capital)), Just(T::sole(capital)));
    check(
        "what is shared is loaned, and conflicts with none of its kind; what one has alone is everything",
        &doors,
        settings,
        |(shared, sole)| {
            let drawn = |level: &T::Level| level.draw_all(capital);
            let is_shared = |held: &T::Credit| !held.is_empty() && !T::ticks(held, capital);
            let is_loaned = T::LENDING == Lending::Loaned || (shared.is_none() && sole.is_none());
            is_loaned
                && shared
                    .iter()
                    .all(|level| drawn(level).is_some_and(|held| is_shared(&held)))
                && sole
                    .iter()
                    .all(|level| drawn(level).as_ref() == Some(capital))
        },
    )?;
    let epochs = (1..=EPOCHS, 1..=EPOCHS);
    check(
        "an epoch opens with all of the capital, or with a part of its own where it is used up",
        &epochs,
        settings,
        |&(one, other)| {
            let [first, second] = [one, other].map(|epoch| T::opening(capital, epoch));
            match T::LENDING {
                Lending::Loaned => first == *capital,
                Lending::UsedUp => {
                    capital.covers(&first) && (one == other || first.meet(&second).is_empty())
                }
            }
        },
    )
}

/// The epochs in which openings are compared: 1 up to this one.
const EPOCHS: u32 = 4;

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
fn credit_laws<C: Credit>() -> Vec<(&'static str, Law<C>)> {
    [
        &monoid_laws()[..],
        &order_laws()[..],
        &lattice_laws()[..],
        &capital_laws()[..],
        &use_laws()[..],
    ]
    .concat()
}

/// Of adding, and of what is nothing.
fn monoid_laws<C: Credit>() -> [(&'static str, Law<C>); 5] {
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
    ]
}

/// Of being a part.
fn order_laws<C: Credit>() -> [(&'static str, Law<C>); 6] {
    [
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
    ]
}

/// Of the greatest common part, the least that covers both, and the difference.
fn lattice_laws<C: Credit>() -> [(&'static str, Law<C>); 8] {
    [
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
    ]
}

/// Of what is cut off at the capital, and of components.
fn capital_laws<C: Credit>() -> [(&'static str, Law<C>); 9] {
    [
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
    ]
}

/// Of conflicts, slices and bytes.
fn use_laws<C: Credit>() -> [(&'static str, Law<C>); 7] {
    [
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
