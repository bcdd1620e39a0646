//! Everything that can be tried on a resource type, in one call.
//!
//! [`verify`] takes a type and a few samples of what is asked for, one of each kind: a read and a write, one unit and
//! all units. It checks, cheapest first:
//!
//! 1. the laws of the credit and of its levels, and what the type says of them ([`laws`]), on the samples and on all that joining,
//!    meeting and subtracting makes of them;
//! 2. small worlds made from the samples ([`explore`]): every interleaving of clients that ask for
//!    them, beside and against each other, with `try`, cancellation, growing and shrinking holds and voluntary
//!    returns, at two leaves, at three, and in a tree with a middle owner, under every policy;
//! 3. simulated clusters of up to 40 nodes ([`simulate`]), in which two clients at each node ask for any of the samples,
//!    with `try`, deadlines, cancellation, conversions and voluntary returns, over links that stall, under every
//!    policy. What their clients saw must be a good [history](super::history).
//!
//! What fails comes back with the law and the smallest amounts that break it, with the scenario and a shortest run, or
//! with the seed of the cluster and the command that runs it again.
//!
//! Give it a *small* type, with the same rules and a capital of three or four units: the number of states grows with
//! it, and what goes wrong with many units mostly goes wrong with few.
//!
//! # Examples
//!
//! A semaphore of three units, asked for one, two, or all of them:
//!
//! ```
//! # use rm_core::credit::{Credit, Malformed};
//! # use rm_core::id::{ResourceKey, TypeId};
//! # use rm_core::resource::ResourceType;
//! use rm_core::testing::verify::{Failed, Samples, verify};
//!
//! # #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! # struct Units(u64);
//! # impl Credit for Units {
//! #     fn empty() -> Self { Self(0) }
//! #     fn is_empty(&self) -> bool { self.0 == 0 }
//! #     fn join(&self, other: &Self) -> Option<Self> { self.0.checked_add(other.0).map(Self) }
//! #     fn covers(&self, part: &Self) -> bool { self.0 >= part.0 }
//! #     fn meet(&self, other: &Self) -> Self { Self(self.0.min(other.0)) }
//! #     fn sup(&self, other: &Self) -> Self { Self(self.0.max(other.0)) }
//! #     fn less(&self, other: &Self) -> Self { Self(self.0.saturating_sub(other.0)) }
//! #     fn raise(&self, other: &Self, capital: &Self) -> Self {
//! #         Self(self.0.saturating_add(other.0).min(capital.0))
//! #     }
//! #     fn restrict(&self, to: &Self) -> Self { if to.0 > 0 { self.clone() } else { Self(0) } }
//! #     fn conflicts(&self, other: &Self, capital: &Self) -> bool {
//! #         self.join(other).is_none_or(|both| both.0 > capital.0)
//! #             && !self.is_empty() && !other.is_empty()
//! #     }
//! #     fn slice(&self, parts: u32) -> Self { Self(self.0 / u64::from(parts.max(1))) }
//! #     fn encode(&self, out: &mut Vec<u8>) { out.extend(self.0.to_le_bytes()) }
//! #     fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
//! #         bytes.try_into().map(|bytes| Self(u64::from_le_bytes(bytes))).map_err(|_| Malformed)
//! #     }
//! # }
//! # #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! # struct Semaphore(u64);
//! # impl ResourceType for Semaphore {
//! #     type Credit = Units;
//! #     type Level = Units;
//! #     const ID: TypeId = TypeId(2000);
//! #     const NAME: &'static str = "semaphore";
//! #     fn capital(&self, _: &ResourceKey) -> Units { Units(self.0) }
//! # }
//! let verified = verify(&Semaphore(3), &Samples::new([Units(1), Units(3)]))?;
//! assert!(verified.explored.states > 10_000 && verified.simulated.acquires > 10_000);
//! println!("{verified}");
//! # Ok::<(), Failed>(())
//! ```

mod clusters;
mod scenarios;
#[cfg(test)]
mod tests;

use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use self::clusters::Simulated;
use self::scenarios::Scenario;
use super::any_key;
use super::explore::{self, Explorer, Violation};
use super::laws::{self, BrokenLaw, LawSettings};
use super::simulate::Failure;
use crate::credit::Credit;
use crate::policy::Policy;
use crate::resource::ResourceType;

/// The most samples: every pair of them makes scenarios.
pub const SAMPLES_MAX: usize = 6;

/// The most amounts on which the laws are tried, of those that are part of the capital.
const AMOUNTS_MAX: usize = 64;

/// And of those that are more than the capital.
const AMOUNTS_BEYOND_MAX: usize = 4;

/// How much is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Budget {
    /// Worlds of two or three clients, and clusters from a few seeds. Seconds, with optimisation, for a type with a
    /// small capital.
    #[default]
    Quick,
    /// Also four clients, more orders of their requests, three levels of owners, fencing numbers as part of the
    /// state, registers that are merged while they queue, and many seeds. Minutes.
    Thorough,
}

impl Budget {
    /// The most states of one run. Beyond it the type has too much capital for exploration.
    const fn states_max(self) -> usize {
        match self {
            Self::Quick => 1_000_000,
            Self::Thorough => 20_000_000,
        }
    }

    /// From how many seeds clusters are simulated.
    const fn seeds(self) -> u64 {
        match self {
            Self::Quick => 4,
            Self::Thorough => 200,
        }
    }

    /// How many samples each law is tried on.
    const fn law_cases(self) -> u32 {
        match self {
            Self::Quick => 512,
            Self::Thorough => 8_192,
        }
    }
}

/// What clients of a type ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Samples<C> {
    asks: Vec<C>,
    budget: Budget,
}

impl<C: Credit> Samples<C> {
    /// One of each kind of request, such as a read and a write; at most [`SAMPLES_MAX`].
    #[must_use]
    pub fn new(asks: impl IntoIterator<Item = C>) -> Self {
        Self {
            asks: asks.into_iter().collect(),
            budget: Budget::Quick,
        }
    }

    /// The same with another budget. [`Budget::Quick`] unless set.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// What makes the samples useless, if anything.
    fn fault(&self, capital: &C) -> Option<String> {
        let Self { asks, .. } = self;
        if asks.is_empty() {
            return Some("there are none: give one of each kind of request".into());
        }
        if asks.len() > SAMPLES_MAX {
            return Some(format!(
                "there are more than {SAMPLES_MAX}: give one of each kind"
            ));
        }
        asks.iter().find_map(|ask| {
            if ask.is_empty() {
                Some(format!("{ask:?} asks for nothing"))
            } else if !capital.covers(ask) {
                Some(format!("{ask:?} is more than the capital, {capital:?}"))
            } else {
                None
            }
        })
    }

    /// The samples, and what joining, meeting and subtracting makes of them and of the capital. Most are part of the
    /// capital: laws about conflicts say little of what is more.
    fn amounts(&self, capital: &C) -> Vec<C> {
        let mut amounts = vec![C::empty(), capital.clone()];
        amounts.extend(self.asks.iter().cloned());
        let mut beyond = Vec::new();
        let mut next = 0;
        while next < amounts.len() {
            let one = amounts[next].clone();
            next += 1;
            for index in 0..amounts.len() {
                let other = amounts[index].clone();
                let made = [
                    Some(one.meet(&other)),
                    Some(one.less(&other)),
                    Some(other.less(&one)),
                    one.join(&other),
                ];
                for amount in made.into_iter().flatten() {
                    let (list, most) = match capital.covers(&amount) {
                        true => (&mut amounts, AMOUNTS_MAX),
                        false => (&mut beyond, AMOUNTS_BEYOND_MAX),
                    };
                    if list.len() < most && !list.contains(&amount) {
                        list.push(amount);
                    }
                }
            }
        }
        amounts.extend(beyond);
        amounts
    }
}

/// What was tried, and nothing was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// How many amounts the laws were tried on, in threes.
    pub amounts: usize,
    /// How many such threes for each law.
    pub law_cases: u32,
    /// How many small worlds there were.
    pub scenarios: usize,
    /// What was explored of them, under all policies.
    pub explored: explore::Report,
    /// What was simulated, under all policies.
    pub simulated: Simulated,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            amounts,
            law_cases,
            scenarios,
            explored,
            simulated,
        } = self;
        writeln!(f, "laws: each on {law_cases} samples of {amounts} amounts")?;
        writeln!(
            f,
            "explored: {scenarios} scenarios x {} policies, {} runs, {} states, {:.1} s",
            policies().len(),
            explored.runs,
            explored.states,
            explored.elapsed.as_secs_f64()
        )?;
        write!(f, "simulated: {simulated}")
    }
}

/// What is wrong with a type.
///
/// It prints the same with `{}` and `{:?}`, so that a test may simply return it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failed {
    /// The samples are no samples of it.
    #[error("the samples cannot be used: {0}")]
    Samples(String),
    /// Its algebra is not one.
    #[error("{0}")]
    Law(#[from] BrokenLaw),
    /// A small world breaks a rule.
    #[error("{scenario}, {policy:?}: {violation}")]
    Violation {
        /// What happens in it.
        scenario: String,
        /// The policy under which it does.
        policy: Policy,
        /// What is wrong, with a shortest run.
        violation: Violation,
    },
    /// A simulated cluster breaks a rule.
    #[error("simulated, {tree}, {policy:?}: {failure}")]
    Simulation {
        /// Where the clients live.
        tree: &'static str,
        /// The policy of all nodes.
        policy: Policy,
        /// What is wrong, with the seed, and how to replay it.
        failure: Box<Failure>,
    },
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Tries everything there is on a type whose requests ask for what the samples say. See the module's words.
///
/// Laws and clusters start where `RM_SEED` says, if that is set; the clusters then run from that seed alone. The small
/// worlds are the same every time.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify<T: ResourceType>(
    resource_type: &T,
    samples: &Samples<T::Credit>,
) -> Result<Verified, Failed> {
    let capital = resource_type.capital(&any_key());
    let budget = samples.budget;
    let amounts = without_panic(|| match samples.fault(&capital) {
        Some(fault) => Err(fault),
        None => Ok(samples.amounts(&capital)),
    })
    .map_err(Failed::Samples)?;

    let settings = LawSettings::default().with_cases(budget.law_cases());
    let strategy = || proptest::sample::select(amounts.clone());
    laws::check_credit(strategy(), &capital, settings)?;
    laws::check_level(resource_type, strategy(), settings)?;
    laws::check_type(resource_type, strategy(), settings)?;

    let scenarios = scenarios::all::<T>(&samples.asks, &capital, budget);
    let mut explored = explore::Report::default();
    for scenario in &scenarios {
        for policy in policies() {
            let report = explore(resource_type, scenario, policy, budget)?;
            explored = explored.and(report);
        }
    }
    let simulated = clusters::simulate(resource_type, &samples.asks, budget)?;
    Ok(Verified {
        amounts: amounts.len(),
        law_cases: budget.law_cases(),
        scenarios: scenarios.len(),
        explored,
        simulated,
    })
}

/// A slice of a quarter: of a small capital a sixteenth is nothing.
fn policies() -> [Policy; 4] {
    [
        Policy::Exact,
        Policy::slice(4),
        Policy::Max,
        Policy::adaptive(4),
    ]
}

fn explore<T: ResourceType>(
    resource_type: &T,
    scenario: &Scenario<T::Credit>,
    policy: Policy,
    budget: Budget,
) -> Result<explore::Report, Failed> {
    let explorer = Explorer::new(resource_type, scenario.tree.clone())
        .policy(policy)
        .orders(scenario.orders.clone())
        .states_max(budget.states_max())
        .clients(scenario.clients.clone());
    let run = |explorer: Explorer<T>| {
        explorer.run().map_err(|violation| Failed::Violation {
            scenario: scenario.name.clone(),
            policy,
            violation,
        })
    };
    match budget {
        Budget::Quick => run(explorer),
        Budget::Thorough => {
            let plain = run(explorer.clone())?;
            let fenced = run(explorer.clone().with_fences())?;
            Ok(plain
                .and(fenced)
                .and(run(explorer.with_merged_registers())?))
        }
    }
}

/// Makes a panic of the type's algebra a fault.
fn without_panic<R>(act: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(act))
        .unwrap_or_else(|_| Err("a method of the credit panicked over them".into()))
}
