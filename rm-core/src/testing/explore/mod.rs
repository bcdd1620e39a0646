//! Every interleaving of a small world.
//!
//! A world is a tree of owners of one resource, in-order channels between them, and scripted clients. The
//! explorer visits every state that any interleaving of client steps and deliveries leads to, for many or all
//! orders of the requests: also for those that contradict their arrival. It is generic in the resource type,
//! and for a user's type it is one call.
//!
//! **In every state**: what a creditor has lent is at its debtor or under way; each owner's books add up; no two
//! conflicting holds exist; tokens rise over conflicting holds; nobody is denied but a `try` that was not alone,
//! a conversion that would deadlock, and whoever asks where the way to the root is winding up.
//!
//! Credit that is [used up](crate::resource::Lending::UsedUp) is in one place at a time and is granted once; a root that
//! runs low enters its next epoch.
//!
//! **In every quiet state** (no message under way): no request waits that the free credit of the world, taken in
//! order, would cover; no `try` is undecided; no want, reservation or recall of a request that is over is left;
//! an owner that winds up has nothing but what is held there or below.
//!
//! **Over all**: every run ends with all scripts done (no deadlock), and no state leads back to itself (no
//! livelock).
//!
//! What breaks a rule comes back as a [`Violation`] with the shortest run that does.
//!
//! Steps at different nodes commute, so by default not every sequence of them is tried ([`Reduction`]). What is said
//! above is then tried in fewer states, and holds in those that were left out.
//!
//! # Examples
//!
//! Two writers and a `try`, of the credit that the crate's RW lock has:
//!
//! ```
//! # use rm_core::credit::{Credit, Malformed};
//! # use rm_core::id::{ResourceKey, TypeId};
//! # use rm_core::resource::ResourceType;
//! use rm_core::policy::Policy;
//! use rm_core::testing::explore::{Client, Explorer, Orders, Tree, Violation};
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
//! #     fn conflicts(&self, other: &Self, capital: &Self) -> bool { self.0 + other.0 > capital.0 }
//! #     fn slice(&self, parts: u32) -> Self { Self(self.0 / u64::from(parts.max(1))) }
//! #     fn encode(&self, out: &mut Vec<u8>) { out.extend(self.0.to_le_bytes()) }
//! #     fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
//! #         bytes.try_into().map(|bytes| Self(u64::from_le_bytes(bytes))).map_err(|_| Malformed)
//! #     }
//! # }
//! # #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! # struct Semaphore;
//! # impl ResourceType for Semaphore {
//! #     type Credit = Units;
//! #     type Level = Units;
//! #     const ID: TypeId = TypeId(2000);
//! #     const NAME: &'static str = "semaphore";
//! #     fn capital(&self, _: &ResourceKey) -> Units { Units(3) }
//! # }
//! // `Semaphore` is a resource type whose credit is `Units`, and there are three of them.
//! let report = Explorer::new(&Semaphore, Tree::star(2))
//!     .policy(Policy::Max)
//!     .orders(Orders::All)
//!     .client(Client::at(1).acquire(Units(2)).release())
//!     .client(Client::at(2).try_acquire(Units(3)).release())
//!     .client(Client::at(0).acquire(Units(1)).cancel())
//!     .run()?;
//! assert_eq!(report.runs, 6);
//! println!("{report}");
//! # Ok::<(), Violation>(())
//! ```

mod channel;
mod hash;
mod identity;
mod invariants;
mod mode;
mod reduction;
mod report;
mod script;
mod search;
mod store;
#[cfg(test)]
mod tests;
mod world;

use std::sync::Arc;
use std::time::Instant;

pub use self::report::{Report, Violation};
pub use self::script::{Client, NODES_MAX, ORDERS_MAX, Orders, Tree};
use self::search::Limits;
use self::store::Registers;
use self::world::Plan;
pub use self::world::Reduction;
use crate::owner::Settings;
use crate::owner::view::Clocks;
use crate::policy::Policy;
use crate::resource::ResourceType;
use crate::testing::any_key;

/// The most states of one run, unless set: 20 million. They take 32 bytes each.
pub const STATES_MAX: usize = 20_000_000;

/// The longest run, unless set, in steps. Scripts end, so a longer one is a livelock that never repeats.
pub const STEPS_MAX: usize = 2_000;

/// The most clients of one exploration.
pub const CLIENTS_MAX: usize = 16;

/// A scenario to be explored. See the module's words.
#[derive(Clone, Debug)]
pub struct Explorer<T: ResourceType> {
    plan: Plan<T>,
    orders: Orders,
    limits: Limits,
}

impl<T: ResourceType> Explorer<T> {
    /// A scenario without clients, for a resource of that type. Choose a type whose capital is small: the
    /// number of states grows with it.
    #[must_use]
    pub fn new(resource_type: &T, tree: Tree) -> Self {
        Self {
            plan: Plan {
                tree,
                clients: Vec::new(),
                requests: Vec::new(),
                orders: Vec::new(),
                capital: resource_type.capital(&any_key()),
                settings: Arc::new(Settings::default().with_policy(Policy::Exact)),
                clocks: Clocks::Forgotten,
                registers: Registers::AsTheyCome,
                reduction: Reduction::PersistentSets,
            },
            orders: Orders::All,
            limits: Limits {
                states_max: STATES_MAX,
                steps_max: STEPS_MAX,
            },
        }
    }

    /// How much owners grant beyond what was asked. [`Policy::Exact`] unless set.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.plan.settings = Arc::new(Settings::default().with_policy(policy));
        self
    }

    /// Which orders of the requests are explored. [`Orders::All`] unless set.
    #[must_use]
    pub fn orders(mut self, orders: Orders) -> Self {
        self.orders = orders;
        self
    }

    /// One more client.
    ///
    /// # Panics
    /// If it lives at a node that the tree does not have, if its script does not release what it acquires
    /// or releases what it does not have, or if there are [`CLIENTS_MAX`] already.
    #[must_use]
    pub fn client(mut self, client: Client<T::Credit>) -> Self {
        let number = self.plan.clients.len();
        assert!(
            number < CLIENTS_MAX,
            "an exploration has at most {CLIENTS_MAX} clients"
        );
        assert!(
            client.place < self.plan.tree.len(),
            "client {number} lives at no node of the tree"
        );
        if let Some(fault) = client.fault() {
            panic!("the script of client {number} {fault}");
        }
        self.plan.clients.push(client);
        self
    }

    /// More clients. Like [`client`](Self::client) for each.
    #[must_use]
    pub fn clients(self, clients: impl IntoIterator<Item = Client<T::Credit>>) -> Self {
        clients.into_iter().fold(self, Self::client)
    }

    /// Makes fencing numbers part of a state: more states, and every way to a hold is checked for tokens
    /// that rise, instead of one way to each state.
    #[must_use]
    pub fn with_fences(mut self) -> Self {
        self.plan.clocks = Clocks::Kept;
        self
    }

    /// Merges registers while they wait to be sent: a new `Recall`, or a `Grant`, drops the `Recall`s that were not
    /// delivered yet, a new `Want` or `Unwant` the `Want`s of its order. Then no interleaving is left out.
    ///
    /// What was delivered before the new one was sent is not merged, so every mixture is explored.
    #[must_use]
    pub fn with_merged_registers(mut self) -> Self {
        self.plan.registers = Registers::Merged;
        self
    }

    /// Which interleavings are visited. [`Reduction::PersistentSets`] unless set, which finds the same violations
    /// in fewer states.
    #[must_use]
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.plan.reduction = reduction;
        self
    }

    /// The most states of one run; more are a violation, so that no part of a scenario is left out silently.
    #[must_use]
    pub fn states_max(mut self, states: usize) -> Self {
        self.limits.states_max = states;
        self
    }

    /// Visits the states of every run.
    ///
    /// # Errors
    /// The first violation found, with a shortest run that leads to it.
    ///
    /// # Panics
    /// If there are more than [`ORDERS_MAX`] orders, or a listed one does not name each request once.
    pub fn run(mut self) -> Result<Report, Violation> {
        let started = Instant::now();
        self.plan.requests = script::requests(&self.plan.clients);
        let mut report = Report::default();
        for (order, plan) in world::plans(&self.plan, &self.orders) {
            let visited = search::visit_all(&plan, self.limits)
                .map_err(|found| plan.violation(order, report.states, found))?;
            report.runs += 1;
            report.states += visited.states;
            report.quiet += visited.quiet;
            report.transitions += visited.transitions;
            report.deepest = report.deepest.max(visited.deepest);
        }
        report.elapsed = started.elapsed();
        Ok(report)
    }
}
