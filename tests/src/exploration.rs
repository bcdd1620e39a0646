//! Families of scenarios, explored under every policy, as rows of a table.

use rm_core::policy::Policy;
use rm_core::resource::ResourceType;
use rm_core::testing::explore::{Client, Explorer, Orders, Report, Tree};

/// The most states of one run. The largest has a quarter of a million; a broken rule may have no end of them.
const STATES_MAX: usize = 2_000_000;

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

/// Whether a long exploration was asked for, by `RM_EXPLORE=long`.
#[must_use]
pub fn is_long() -> bool {
    std::env::var("RM_EXPLORE").is_ok_and(|what| what == "long")
}

/// Orders drawn by lot where there are too many to try them all. They are the same every time.
#[must_use]
pub fn some_orders() -> Orders {
    Orders::Sampled {
        count: if is_long() { 60 } else { 6 },
        seed: 1,
    }
}

/// The same for worlds in which a run is short.
#[must_use]
pub fn many_orders() -> Orders {
    Orders::Sampled {
        count: if is_long() { 240 } else { 24 },
        seed: 1,
    }
}

fn policies() -> [Policy; 4] {
    [
        Policy::Exact,
        Policy::slice(4),
        Policy::Max,
        Policy::adaptive(4),
    ]
}

/// Explores all scenarios of a family and prints its row of the table.
///
/// # Panics
/// With the shortest run, if there is a violation.
pub fn explore<T: ResourceType>(
    family: &str,
    resource_type: &T,
    orders: &Orders,
    fences: Fences,
    scenarios: &[Scenario<T>],
) {
    let mut total = Report::default();
    for scenario in scenarios {
        let mut report = Report::default();
        for policy in policies() {
            let explorer = Explorer::new(resource_type, scenario.tree.clone())
                .policy(policy)
                .orders(orders.clone())
                .states_max(STATES_MAX)
                .clients(scenario.clients.clone());
            let explorer = if fences == Fences::Kept {
                explorer.with_fences()
            } else {
                explorer
            };
            match explorer.run() {
                Ok(explored) => report = report.and(explored),
                Err(violation) => panic!(
                    "{family}, \"{}\", {policy:?}, {} steps: {violation}",
                    scenario.name, violation.steps
                ),
            }
        }
        println!("{report}  {family}: {}", scenario.name);
        total = total.and(report);
    }
    println!(
        "{total}  {family}: {} scenarios x {} policies",
        scenarios.len(),
        policies().len()
    );
}
