//! Families of scenarios, explored under every policy, as rows of a table.

use rm_core::policy::Policy;
use rm_core::resource::ResourceType;
use rm_core::testing::explore::{Client, Explorer, Orders, Reduction, Report, Tree};

/// The most states of one run. The largest has a few hundred thousand; a broken rule may have no end of them.
const STATES_MAX: usize = 5_000_000;

/// A few clients in one world.
#[derive(Clone, Debug)]
pub struct Scenario<T: ResourceType> {
    name: &'static str,
    tree: Tree,
    clients: Vec<Client<T::Credit>>,
}

/// A scenario.
#[must_use]
pub fn scenario<T: ResourceType, const N: usize>(
    name: &'static str,
    tree: &Tree,
    clients: [Client<T::Credit>; N],
) -> Scenario<T> {
    Scenario {
        name,
        tree: tree.clone(),
        clients: clients.into(),
    }
}

/// Whether fencing numbers tell states apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fences {
    /// They do not.
    Forgotten,
    /// They do.
    Kept,
}

/// What becomes of registers that wait to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registers {
    /// Each goes out as it came.
    AsTheyCome,
    /// A new one replaces those that were not sent yet.
    Merged,
}

/// Whether a long exploration was asked for, by `RM_EXPLORE=long`.
#[must_use]
pub fn is_long() -> bool {
    std::env::var("RM_EXPLORE").is_ok_and(|what| what == "long")
}

/// All orders of three or four requests, and otherwise some that are drawn by lot. They are the same every time.
#[must_use]
pub fn many_orders() -> Orders {
    Orders::Sampled {
        count: if is_long() { 240 } else { 24 },
        seed: 1,
    }
}

/// Fewer, for worlds in which a run is long.
#[must_use]
pub fn some_orders() -> Orders {
    Orders::Sampled {
        count: if is_long() { 60 } else { 6 },
        seed: 1,
    }
}

/// Which interleavings are visited: all of them with `RM_REDUCTION=none`, to compare.
fn reduction() -> Reduction {
    match std::env::var("RM_REDUCTION") {
        Ok(what) if what == "none" => Reduction::None,
        _ => Reduction::PersistentSets,
    }
}

/// Scenarios of one type that are explored alike: a row of the table.
#[derive(Clone, Debug)]
pub struct Family<'a, T: ResourceType> {
    name: &'static str,
    resource_type: &'a T,
    policies: Vec<Policy>,
    orders: Orders,
    fences: Fences,
    registers: Registers,
}

impl<'a, T: ResourceType> Family<'a, T> {
    /// A family that is explored under every policy.
    #[must_use]
    pub fn new(name: &'static str, resource_type: &'a T) -> Self {
        Self {
            name,
            resource_type,
            policies: vec![
                Policy::Exact,
                Policy::slice(4),
                Policy::Max,
                Policy::adaptive(4),
            ],
            orders: many_orders(),
            fences: Fences::Forgotten,
            registers: Registers::AsTheyCome,
        }
    }

    /// The same under these policies alone.
    #[must_use]
    pub fn policies(mut self, policies: impl IntoIterator<Item = Policy>) -> Self {
        self.policies = policies.into_iter().collect();
        self
    }

    /// The same for other orders of the requests. [`many_orders`] unless set.
    #[must_use]
    pub fn orders(mut self, orders: Orders) -> Self {
        self.orders = orders;
        self
    }

    /// The same with fencing numbers as part of the state.
    #[must_use]
    pub fn with_fences(mut self) -> Self {
        self.fences = Fences::Kept;
        self
    }

    /// The same with registers that are merged while they wait to be sent.
    #[must_use]
    pub fn with_merged_registers(mut self) -> Self {
        self.registers = Registers::Merged;
        self
    }

    /// Explores all scenarios and prints their rows of the table.
    ///
    /// # Panics
    /// With the shortest run, if there is a violation.
    pub fn explore(&self, scenarios: &[Scenario<T>]) {
        let total = self.explore_by(reduction(), scenarios);
        println!(
            "{total}  {}: {} scenarios x {} policies",
            self.name,
            scenarios.len(),
            self.policies.len()
        );
    }

    /// Explores all scenarios with and without the reduction, which must not leave out a quiet state.
    ///
    /// # Panics
    /// If it does, or if there is a violation.
    pub fn compare(&self, scenarios: &[Scenario<T>]) {
        for scenario in scenarios {
            let one = core::slice::from_ref(scenario);
            let full = self.explore_by(Reduction::None, one);
            let reduced = self.explore_by(Reduction::PersistentSets, one);
            assert_eq!(
                full.quiet, reduced.quiet,
                "quiet states of {}, \"{}\"",
                self.name, scenario.name
            );
            assert!(reduced.states < full.states);
        }
    }

    fn explore_by(&self, reduction: Reduction, scenarios: &[Scenario<T>]) -> Report {
        let mut total = Report::default();
        for scenario in scenarios {
            let mut report = Report::default();
            for &policy in &self.policies {
                match self.explorer(scenario, policy).reduction(reduction).run() {
                    Ok(explored) => report = report.and(explored),
                    Err(violation) => panic!(
                        "{}, \"{}\", {policy:?}, {} steps, found after {} states: {violation}",
                        self.name, scenario.name, violation.steps, violation.states
                    ),
                }
            }
            println!("{report}  {}: {}", self.name, scenario.name);
            total = total.and(report);
        }
        total
    }

    fn explorer(&self, scenario: &Scenario<T>, policy: Policy) -> Explorer<T> {
        let mut explorer = Explorer::new(self.resource_type, scenario.tree.clone())
            .policy(policy)
            .orders(self.orders.clone())
            .states_max(STATES_MAX)
            .clients(scenario.clients.clone());
        if self.fences == Fences::Kept {
            explorer = explorer.with_fences();
        }
        if self.registers == Registers::Merged {
            explorer = explorer.with_merged_registers();
        }
        explorer
    }
}
