//! The suites: each scenario on all cases that make sense for a type, and each as one test.
//!
//! [`models!`](crate::models) makes the tests. The functions here are what they call: one model each, that takes
//! its name.

use crate::check::Bound::{Full, Given};
use crate::check::check_each;
use crate::lock::{Converts, ModelLock, ModelPair, ShutsDown};
use crate::matrix;
use crate::scenarios::{conversion, lock, pair, shut_down};

/// Makes the models of a type: a module of tests, each of which is one model with its cases.
///
/// For a [`Subject`](crate::subject::Subject), which has everything:
///
/// ```text
/// rm_loom::models! { mod train for resource Train }
/// ```
///
/// For locks that were made by hand, what each of them can do:
///
/// ```text
/// rm_loom::models! { mod handle for lock MyLock, converts MyLock, shuts_down MyLock, pair MyPair }
/// ```
///
/// `three_threads MyLock` adds the models that cost a hundred times as much.
///
/// The crate that invokes it compiles it only under `#![cfg(any(rm_loom, rm_shuttle))]`.
#[macro_export]
macro_rules! models {
    (mod $name:ident for resource $subject:ty) => {
        $crate::models! {
            mod $name for
            lock $crate::local::Local<$subject>,
            three_threads $crate::local::Local<$subject>,
            converts $crate::local::Local<$subject>,
            shuts_down $crate::local::Local<$subject>,
            pair $crate::pair::Joined<$subject>
        }
    };
    (mod $name:ident for $($what:ident $type:ty),+) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $($crate::__models! { $what $type })+
        }
    };
}

/// The tests of one suite.
#[doc(hidden)]
#[macro_export]
macro_rules! __models {
    (lock $lock:ty) => {
        $crate::__tests! { $lock:
            exclusion_of_two, hand_over, cancel_while_queued, cancel_races_grant, ask_and_give_up, guard_dropped_elsewhere, try_never_waits,
            late_comer_waits
        }
        $crate::__crowds! { $lock: crowd_on_one_node }
    };
    (three_threads $lock:ty) => {
        $crate::__tests! { $lock: exclusion_of_three, exclusion_of_three_alike, hand_over_to_two }
    };
    (converts $lock:ty) => {
        $crate::__tests! { $lock:
            upgrade_races_release, upgrade_given_up_races_grant, rival_upgrades_end,
            downgrade_admits
        }
    };
    (shuts_down $lock:ty) => {
        $crate::__tests! { $lock:
            shut_down_races_request, shut_down_races_waiter, shut_down_races_release
        }
    };
    (pair $pair:ty) => {
        $crate::__tests! { $pair:
            recall_races_cached_take, recall_races_release, want_races_release,
            grant_races_cancel, spare_return_races_cached_take
        }
        $crate::__crowds! { $pair: crowd_on_two_nodes }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($type:ty: $($model:ident),+) => {
        $(
            #[test]
            fn $model() {
                let name = $crate::suite::name_of(module_path!(), stringify!($model));
                $crate::suite::$model::<$type>(&name);
            }
        )+
    };
}

/// Loom could not go through a crowd.
#[cfg(rm_loom)]
#[doc(hidden)]
#[macro_export]
macro_rules! __crowds {
    ($type:ty: $model:ident) => {};
}

#[cfg(all(rm_shuttle, not(rm_loom)))]
#[doc(hidden)]
#[macro_export]
macro_rules! __crowds {
    ($type:ty: $model:ident) => {
        $crate::__tests! { $type: $model }
    };
}

/// The name that a test program knows a test by: without the name of its crate.
#[must_use]
pub fn name_of(module_path: &str, test: &str) -> String {
    match module_path.split_once("::") {
        Some((_, module)) => format!("{module}::{test}"),
        None => test.into(),
    }
}

/// Each pair of modes, taken by two threads.
pub fn exclusion_of_two<L: ModelLock>(name: &str) {
    check_each(name, Full, &matrix::pairs::<L>(), |modes| {
        lock::exclusion::<L>(&modes);
    });
}

/// The mode that excludes most, and two of the one that excludes fewest.
pub fn exclusion_of_three<L: ModelLock>(name: &str) {
    let (strongest, weakest) = matrix::extremes::<L>();
    check_each(name, Given, &[[strongest, weakest, weakest]], |modes| {
        lock::exclusion::<L>(&modes);
    });
}

/// Three of one mode.
pub fn exclusion_of_three_alike<L: ModelLock>(name: &str) {
    check_each(name, Given, &matrix::three_alike::<L>(), |modes| {
        lock::exclusion::<L>(&modes);
    });
}

/// A holder lets go while another asks.
pub fn hand_over<L: ModelLock>(name: &str) {
    check_each(name, Full, &matrix::conflicts::<L>(), |[held, asked]| {
        lock::hand_over::<L>(held, &[asked]);
    });
}

/// A holder lets go while two others ask.
pub fn hand_over_to_two<L: ModelLock>(name: &str) {
    let (strongest, weakest) = matrix::extremes::<L>();
    let cases = [
        [strongest, strongest, weakest],
        [weakest, strongest, strongest],
    ];
    check_each(name, Given, &cases, |[held, first, second]| {
        lock::hand_over::<L>(held, &[first, second]);
    });
}

/// Who waits behind a request that is dropped gets through, if the holder does not exclude it.
pub fn cancel_while_queued<L: ModelLock>(name: &str) {
    check_each(
        name,
        Full,
        &matrix::barriers::<L>(),
        |[held, dropped, passing]| {
            lock::cancel_lets_others_pass::<L>(held, dropped, passing);
        },
    );
}

/// A request is dropped while it is granted.
pub fn cancel_races_grant<L: ModelLock>(name: &str) {
    check_each(name, Full, &matrix::conflicts::<L>(), |[held, asked]| {
        lock::cancel_races_grant::<L>(held, asked, held);
    });
}

/// A request is made and dropped while the holder lets go.
pub fn ask_and_give_up<L: ModelLock>(name: &str) {
    check_each(name, Full, &matrix::conflicts::<L>(), |[held, asked]| {
        lock::ask_and_give_up::<L>(held, asked);
    });
}

/// A guard is dropped on another thread.
pub fn guard_dropped_elsewhere<L: ModelLock>(name: &str) {
    check_each(name, Full, &matrix::conflicts::<L>(), |[held, asked]| {
        lock::guard_dropped_elsewhere::<L>(held, asked);
    });
}

/// A `try` has its answer at once.
pub fn try_never_waits<L: ModelLock>(name: &str) {
    check_each(name, Full, &matrix::conflicts::<L>(), |[held, tried]| {
        lock::try_never_waits::<L>(held, tried);
    });
}

/// The barrier against late comers.
pub fn late_comer_waits<L: ModelLock>(name: &str) {
    check_each(
        name,
        Full,
        &matrix::barriers::<L>(),
        |[held, waiting, late]| {
            lock::late_comer_waits::<L>(held, waiting, late);
        },
    );
}

/// A conversion hears of the release that it waits for.
pub fn upgrade_races_release<L: Converts>(name: &str) {
    check_each(name, Full, &matrix::upgrades::<L>(), |[held, other, to]| {
        conversion::upgrade_races_release::<L>(held, other, to);
    });
}

/// A conversion is dropped while it is granted.
pub fn upgrade_given_up_races_grant<L: Converts>(name: &str) {
    check_each(name, Full, &matrix::upgrades::<L>(), |[held, other, to]| {
        conversion::upgrade_given_up_races_grant::<L>(held, other, to);
    });
}

/// Two conversions wait for each other.
pub fn rival_upgrades_end<L: Converts>(name: &str) {
    check_each(name, Full, &matrix::rivals::<L>(), |[held, to]| {
        conversion::rival_upgrades_end::<L>(held, to);
    });
}

/// A hold that becomes less lets others in.
pub fn downgrade_admits<L: Converts>(name: &str) {
    check_each(
        name,
        Full,
        &matrix::downgrades::<L>(),
        |[held, to, waiting]| {
            conversion::downgrade_admits::<L>(held, to, waiting);
        },
    );
}

/// A request against the end of the node.
pub fn shut_down_races_request<L: ShutsDown>(name: &str) {
    check_each(
        name,
        Full,
        L::MODES,
        shut_down::shut_down_races_request::<L>,
    );
}

/// A waiter against the end of the node.
pub fn shut_down_races_waiter<L: ShutsDown>(name: &str) {
    check_each(name, Full, &matrix::conflicts::<L>(), |[held, asked]| {
        shut_down::shut_down_races_waiter::<L>(held, asked);
    });
}

/// A release against the end of the node.
pub fn shut_down_races_release<L: ShutsDown>(name: &str) {
    check_each(name, Full, &matrix::conflicts::<L>(), |[held, asked]| {
        shut_down::shut_down_races_release::<L>(held, asked);
    });
}

/// A recall against who takes what is cached.
pub fn recall_races_cached_take<P: ModelPair>(name: &str) {
    check_each(
        name,
        Full,
        &matrix::conflicts::<P::Lock>(),
        |[cached, asked]| {
            pair::recall_races_cached_take::<P>(cached, asked);
        },
    );
}

/// A recall against a release.
pub fn recall_races_release<P: ModelPair>(name: &str) {
    check_each(
        name,
        Full,
        &matrix::conflicts::<P::Lock>(),
        |[held, asked]| {
            pair::recall_races_release::<P>(held, asked);
        },
    );
}

/// A want against a release at the root.
pub fn want_races_release<P: ModelPair>(name: &str) {
    check_each(
        name,
        Full,
        &matrix::conflicts::<P::Lock>(),
        |[held, asked]| {
            pair::want_races_release::<P>(held, asked);
        },
    );
}

/// A grant on its way against the loss of interest.
pub fn grant_races_cancel<P: ModelPair>(name: &str) {
    check_each(name, Full, P::Lock::MODES, pair::grant_races_cancel::<P>);
}

/// The way back of spare credit against who takes it.
pub fn spare_return_races_cached_take<P: ModelPair>(name: &str) {
    check_each(
        name,
        Full,
        P::Lock::MODES,
        pair::spare_return_races_cached_take::<P>,
    );
}

/// Many threads on one node. For shuttle.
pub fn crowd_on_one_node<L: ModelLock>(name: &str) {
    crate::check::check(name, Full, crate::scenarios::crowd::on_one_node::<L>);
}

/// Many threads on two nodes. For shuttle.
pub fn crowd_on_two_nodes<P: ModelPair>(name: &str) {
    crate::check::check(name, Full, crate::scenarios::crowd::on_two_nodes::<P>);
}
