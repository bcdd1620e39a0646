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

/// `[held, to]`: two can hold the first, and neither can convert to the second beside the other.
#[must_use]
pub fn upgrades<L: Converts>() -> Vec<[L::Mode; 2]> {
    ordered::<L>(|held, to| {
        L::has_conversion(held, to) && L::fit(&[held, held]) && !L::fit(&[held, to])
    })
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

/// For three threads: the strongest mode against two of the weakest, the strongest against itself, and three that fit
/// two by two but not together, if there are any.
#[must_use]
pub fn triples<L: ModelLock>() -> Vec<[L::Mode; 3]> {
    let (strongest, weakest) = extremes::<L>();
    let mut triples = vec![[strongest, weakest, weakest]];
    if strongest != weakest {
        triples.push([strongest; 3]);
    }
    let crowded = L::MODES
        .iter()
        .find(|&&mode| L::fit(&[mode, mode]) && !L::fit(&[mode; 3]));
    triples.extend(crowded.map(|&mode| [mode; 3]));
    triples
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
