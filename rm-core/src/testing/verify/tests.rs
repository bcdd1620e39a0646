//! A sound type passes, and an unsound one fails for its own reason.

use super::*;
use crate::credit::{Level, Malformed};
use crate::id::{ResourceKey, TypeId};

/// What is wrong with a semaphore.
mod fault {
    pub(super) const NONE: u8 = 0;
    /// Two holds of any size are said to conflict, which no count prevents.
    pub(super) const CONFLICTS: u8 = 1;
    /// Subtracting loses a unit.
    pub(super) const LOSES: u8 = 2;
    /// Bytes that are too short are read all the same.
    pub(super) const DECODES: u8 = 3;
    /// A hold of everything is said to share its token.
    pub(super) const SHARES_TOKENS: u8 = 4;
    /// The level of two units is served by one.
    pub(super) const DRAWS_LESS: u8 = 5;
    /// Joining panics.
    pub(super) const PANICS: u8 = 6;
    /// Subtracting one unit loses another.
    pub(super) const LOSES_BY_ONE: u8 = 7;
    /// Subtracting loses a unit where some 150 of a thousand are gone.
    pub(super) const LOSES_AMONG_MANY: u8 = 8;
}

/// The capital of a large semaphore.
const MANY: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Units<const FAULT: u8>(u64);

impl<const FAULT: u8> Credit for Units<FAULT> {
    fn empty() -> Self {
        Self(0)
    }
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
    fn join(&self, other: &Self) -> Option<Self> {
        assert!(FAULT != fault::PANICS, "this type cannot add");
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
        let is_lost = match FAULT {
            fault::LOSES => other.0 > 1,
            fault::LOSES_BY_ONE => other.0 == 1,
            fault::LOSES_AMONG_MANY => (835..865).contains(&self.0.saturating_sub(other.0)),
            _ => false,
        };
        let rest = self.0.saturating_sub(other.0);
        Self(rest.saturating_sub(u64::from(is_lost)))
    }
    fn raise(&self, other: &Self, capital: &Self) -> Self {
        Self(self.0.saturating_add(other.0).min(capital.0))
    }
    fn restrict(&self, to: &Self) -> Self {
        if to.is_empty() { Self(0) } else { *self }
    }
    fn conflicts(&self, other: &Self, capital: &Self) -> bool {
        let both = !self.is_empty() && !other.is_empty();
        both && (FAULT == fault::CONFLICTS || self.0.saturating_add(other.0) > capital.0)
    }
    fn slice(&self, parts: u32) -> Self {
        Self(self.0 / u64::from(parts.max(1)))
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_le_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = match FAULT {
            fault::DECODES => &bytes[..8],
            _ => bytes,
        };
        bytes
            .try_into()
            .map(|bytes| Self(u64::from_le_bytes(bytes)))
            .map_err(|_| Malformed)
    }
}

/// So many units, whichever they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Size<const FAULT: u8>(u64);

impl<const FAULT: u8> Level<Units<FAULT>> for Size<FAULT> {
    fn of(credit: &Units<FAULT>) -> Self {
        Self(credit.0)
    }
    fn is_zero(&self) -> bool {
        self.0 == 0
    }
    fn reaches(&self, other: &Self) -> bool {
        self.0 >= other.0
    }
    fn at_least(&self, other: &Self) -> Self {
        Self(self.0.max(other.0))
    }
    fn beyond(&self, other: &Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
    fn plus(&self, other: &Self, capital: &Units<FAULT>) -> Self {
        Self(self.0.saturating_add(other.0).min(capital.0))
    }
    fn only_where(&self, to: &Self) -> Self {
        if to.is_zero() { Self(0) } else { *self }
    }
    fn draw(&self, credit: &Units<FAULT>) -> Units<FAULT> {
        Units(self.0.min(credit.0))
    }
    fn draw_all(&self, credit: &Units<FAULT>) -> Option<Units<FAULT>> {
        let enough = match (FAULT, self.0) {
            (fault::DRAWS_LESS, 2) => 1,
            (_, all) => all,
        };
        (credit.0 >= enough).then(|| self.draw(credit))
    }
    fn write(&self, out: &mut Vec<u8>) {
        Units::<FAULT>(self.0).encode(out);
    }
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        Units::<FAULT>::decode(bytes).map(|units| Self(units.0))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Semaphore<const FAULT: u8>;

impl<const FAULT: u8> ResourceType for Semaphore<FAULT> {
    type Credit = Units<FAULT>;
    type Level = Size<FAULT>;

    const ID: TypeId = TypeId(2000);

    const NAME: &'static str = "semaphore";

    fn capital(&self, _key: &ResourceKey) -> Units<FAULT> {
        Units(match FAULT {
            fault::LOSES_BY_ONE => 8,
            fault::LOSES_AMONG_MANY => MANY,
            _ => 2,
        })
    }

    fn ticks(held: &Units<FAULT>, capital: &Units<FAULT>) -> bool {
        FAULT != fault::SHARES_TOKENS && held.conflicts(held, capital)
    }
}

/// One unit, or both.
fn verified<const FAULT: u8>() -> Result<Verified, Failed> {
    verify(&Semaphore::<FAULT>, &Samples::new([Units(1), Units(2)]))
}

fn broken_law<const FAULT: u8>() -> &'static str {
    match verified::<FAULT>() {
        Err(Failed::Law(broken)) => broken.law,
        other => panic!("no broken law, but {other:?}"),
    }
}

#[test]
fn a_sound_type_passes() -> Result<(), Failed> {
    let verified = verify(&Semaphore::<{ fault::NONE }>, &Samples::new([Units(2)]))?;
    assert!(verified.scenarios > 10, "{verified}");
    assert!(verified.explored.states > 1_000, "{verified}");
    assert!(verified.simulated.acquires > 1_000, "{verified}");
    Ok(())
}

#[test]
fn a_conflict_that_the_credit_does_not_prevent_breaks_a_law() {
    let law = broken_law::<{ fault::CONFLICTS }>();
    assert_eq!(
        law,
        "a conflicts with b  =>  a + b is more than the capital"
    );
}

#[test]
fn a_difference_that_loses_credit_breaks_a_law() {
    let law = broken_law::<{ fault::LOSES }>();
    assert!(law.contains("(a - b)"), "{law}");
}

#[test]
fn a_panic_over_wild_bytes_breaks_a_law() {
    let law = broken_law::<{ fault::DECODES }>();
    assert!(law.contains("is a value or an error"), "{law}");
}

#[test]
fn an_exclusive_hold_that_shares_its_token_breaks_a_law() {
    let law = broken_law::<{ fault::SHARES_TOKENS }>();
    assert_eq!(law, "a conflicts with a  =>  a ticks");
}

#[test]
fn a_level_that_is_served_by_less_breaks_a_law() {
    let law = broken_law::<{ fault::DRAWS_LESS }>();
    assert!(law.starts_with("draw_all(c) is draw(c)"), "{law}");
}

/// One unit is in no sample, nor in what becomes of them; it comes about where a policy slices the other four.
#[test]
fn what_the_samples_do_not_show_is_found_by_exploration() {
    match verify(
        &Semaphore::<{ fault::LOSES_BY_ONE }>,
        &Samples::new([Units(4)]),
    ) {
        Err(Failed::Violation {
            policy, violation, ..
        }) => {
            assert_eq!(policy, Policy::slice(4));
            assert!(violation.what.contains("add up"), "{violation}");
            assert!(violation.steps <= 6, "{violation}");
        }
        other => panic!("no violation, but {other:?}"),
    }
}

/// So many units are never lent in a small world, nor are they among the amounts that the laws are tried on.
#[test]
fn what_small_worlds_do_not_show_is_found_by_simulation() {
    let asks = [5, 7].map(Units::<{ fault::LOSES_AMONG_MANY }>);
    match verify(&Semaphore, &Samples::new(asks)) {
        Err(failed @ Failed::Simulation { .. }) => {
            let text = failed.to_string();
            assert!(text.contains("replay it: RM_SEED="), "{text}");
            assert!(text.contains("found_by_simulation"), "{text}");
        }
        other => panic!("no failed simulation, but {other:?}"),
    }
}

#[test]
fn a_method_that_panics_is_said_to() {
    match verified::<{ fault::PANICS }>() {
        Err(Failed::Samples(why)) => assert!(why.contains("panicked"), "{why}"),
        other => panic!("no complaint, but {other:?}"),
    }
}

#[test]
fn samples_that_cannot_be_asked_for_are_refused() {
    let why = |asks: &[u64]| {
        let asks = asks.iter().map(|&units| Units::<{ fault::NONE }>(units));
        match verify(&Semaphore, &Samples::new(asks)) {
            Err(Failed::Samples(why)) => why,
            other => panic!("no complaint, but {other:?}"),
        }
    };
    assert!(why(&[]).contains("there are none"));
    assert!(why(&[0]).contains("asks for nothing"));
    assert!(why(&[1, 3]).contains("is more than the capital"));
    assert!(why(&[1; SAMPLES_MAX + 1]).contains("more than 6"));
}
