//! Which modes meet in which scenario, worked out from the conflicts between them.
//!
//! A scenario with two parties is tried on every pair that it makes sense for. Those with three threads cost a hundred
//! times as much, and are tried on the extremes only: the mode that excludes most, and the one that excludes least.

use crate::lock::{Converts, ModelLock};

/// Each pair of modes once, in one order.
#[must_use]
pub fn pairs<L: ModelLock>() -> Vec<[L::Mode; 2]> {
    let mut pairs = Vec::new();
    for (index, &a) in L::MODES.iter().enumerate() {
        pairs.extend(L::MODES[index..].iter().map(|&b| [a, b]));
    }
    pairs
}

/// `[held, asked]`: who asks must wait for the holder.
#[must_use]
pub fn conflicts<L: ModelLock>() -> Vec<[L::Mode; 2]> {
    ordered::<L>(|held, asked| !L::fit(&[held, asked]))
}

/// `[held, waiting, late]`: the second must wait for the first, and the third for the second, but not for the first.
#[must_use]
pub fn barriers<L: ModelLock>() -> Vec<[L::Mode; 3]> {
    let mut barriers = Vec::new();
    for [held, waiting] in conflicts::<L>() {
        let late = L::MODES.iter().copied();
        let late = late.filter(|&late| L::fit(&[held, late]) && !L::fit(&[waiting, late]));
        barriers.extend(late.map(|late| [held, waiting, late]));
    }
    barriers
}

/// `[held, other, to]`: the first fits beside the second, and must wait for it to convert to the third.
#[must_use]
pub fn upgrades<L: Converts>() -> Vec<[L::Mode; 3]> {
    let mut upgrades = Vec::new();
    for [held, to] in ordered::<L>(L::has_conversion) {
        let others = L::MODES.iter().copied();
        let others = others.filter(|&other| L::fit(&[held, other]) && !L::fit(&[to, other]));
        upgrades.extend(others.map(|other| [held, other, to]));
    }
    upgrades
}

/// `[held, to]`: two can hold the first, and neither can convert to the second beside the other.
#[must_use]
pub fn rivals<L: Converts>() -> Vec<[L::Mode; 2]> {
    let is_rival = |[held, other, to]: [L::Mode; 3]| (held == other).then_some([held, to]);
    upgrades::<L>().into_iter().filter_map(is_rival).collect()
}

/// `[held, to, waiting]`: who waits for the first fits beside the second, which excludes nothing else.
#[must_use]
pub fn downgrades<L: Converts>() -> Vec<[L::Mode; 3]> {
    let mut downgrades = Vec::new();
    let is_less = |to, held| {
        let mut others = L::MODES.iter();
        others.all(|&other| L::fit(&[to, other]) || !L::fit(&[held, other]))
    };
    for [held, waiting] in conflicts::<L>() {
        let to = L::MODES.iter().copied().filter(|&to| {
            L::has_conversion(held, to) && is_less(to, held) && L::fit(&[to, waiting])
        });
        downgrades.extend(to.map(|to| [held, to, waiting]));
    }
    downgrades
}

/// Three in the mode that excludes most, and three that fit two by two but not together, if there are any.
#[must_use]
pub fn three_alike<L: ModelLock>() -> Vec<[L::Mode; 3]> {
    let (strongest, _) = extremes::<L>();
    let is_crowded = |&mode: &L::Mode| L::fit(&[mode, mode]) && !L::fit(&[mode; 3]);
    let crowded = L::MODES.iter().copied().find(is_crowded);
    [Some(strongest), crowded]
        .into_iter()
        .flatten()
        .map(|mode| [mode; 3])
        .collect()
}

/// The mode that excludes most of the others and the one that excludes fewest: the first of each in the type's list.
#[must_use]
pub fn extremes<L: ModelLock>() -> (L::Mode, L::Mode) {
    let excludes = |mode: L::Mode| {
        let others = L::MODES.iter();
        others.filter(|&&other| !L::fit(&[mode, other])).count()
    };
    let mut modes = L::MODES.iter().copied();
    let first = modes.next().expect("a lock has at least one mode");
    modes.fold((first, first), |(strongest, weakest), mode| {
        (
            if excludes(mode) > excludes(strongest) {
                mode
            } else {
                strongest
            },
            if excludes(mode) < excludes(weakest) {
                mode
            } else {
                weakest
            },
        )
    })
}

fn ordered<L: ModelLock>(is_case: impl Fn(L::Mode, L::Mode) -> bool) -> Vec<[L::Mode; 2]> {
    let mut cases = Vec::new();
    for &a in L::MODES {
        let others = L::MODES.iter().copied();
        cases.extend(others.filter(|&b| is_case(a, b)).map(|b| [a, b]));
    }
    cases
}
