//! Small worlds made from samples of what is asked for.
//!
//! Every pair of samples meets at two leaves, in each way in which two requests can: side by side, as a `try`, with
//! a cancellation, with a voluntary return, as a hold that grows or shrinks. The pair that matters most, what conflicts
//! most against what conflicts least, meets in larger trees.

use super::Budget;
use crate::credit::Credit;
use crate::resource::{Lending, ResourceType};
use crate::testing::explore::{Client, Orders, Tree};

/// A few clients in one world.
#[derive(Clone, Debug)]
pub(super) struct Scenario<C> {
    pub(super) name: String,
    pub(super) tree: Tree,
    pub(super) clients: Vec<Client<C>>,
    pub(super) orders: Orders,
}

/// The most requests of which all orders are tried.
const ALL_ORDERS_OF: usize = 3;

// Nodes of the trees.
const ROOT: usize = 0;
const MIDDLE: usize = 1;

fn takes<C: Credit>(node: usize, ask: &C) -> Client<C> {
    Client::at(node).acquire(ask.clone()).release()
}

fn tries<C: Credit>(node: usize, ask: &C) -> Client<C> {
    Client::at(node).try_acquire(ask.clone()).release()
}

fn cancels<C: Credit>(node: usize, ask: &C) -> Client<C> {
    Client::at(node).acquire(ask.clone()).cancel()
}

fn grows<C: Credit>(node: usize, from: &C, to: &C) -> Client<C> {
    Client::at(node)
        .acquire(from.clone())
        .convert(to.clone())
        .release()
}

fn shrinks<C: Credit>(node: usize, from: &C, to: &C) -> Client<C> {
    Client::at(node)
        .acquire(from.clone())
        .reduce(to.clone())
        .release()
}

/// All scenarios of a type.
pub(super) fn all<T: ResourceType>(
    asks: &[T::Credit],
    capital: &T::Credit,
    budget: Budget,
) -> Vec<Scenario<T::Credit>> {
    let mut maker = Maker {
        budget,
        scenarios: Vec::new(),
    };
    for (index, a) in asks.iter().enumerate() {
        for b in &asks[index..] {
            maker.meet(a, b);
            if T::LENDING == Lending::Loaned {
                maker.change(a, b);
                maker.change(b, a);
            }
        }
    }
    let conflicts = |ask: &&T::Credit| asks.iter().filter(|o| ask.conflicts(o, capital)).count();
    let (light, heavy) = (
        asks.iter().min_by_key(conflicts),
        asks.iter().max_by_key(conflicts),
    );
    if let (Some(light), Some(heavy)) = (light, heavy) {
        maker.spread(light, heavy);
        if budget == Budget::Thorough {
            maker.crowd(light, heavy);
        }
    }
    maker.scenarios
}

struct Maker<C> {
    budget: Budget,
    scenarios: Vec<Scenario<C>>,
}

impl<C: Credit> Maker<C> {
    fn add<const N: usize>(&mut self, name: String, tree: &Tree, clients: [Client<C>; N]) {
        let requests = clients.iter().map(Client::requests).sum::<usize>();
        let orders = if requests <= ALL_ORDERS_OF {
            Orders::All
        } else {
            let count = match self.budget {
                Budget::Quick => 8,
                Budget::Thorough => 24,
            };
            Orders::Sampled { count, seed: 1 }
        };
        self.scenarios.push(Scenario {
            name,
            tree: tree.clone(),
            clients: clients.into(),
            orders,
        });
    }

    /// Two requests at two leaves.
    fn meet(&mut self, a: &C, b: &C) {
        let two = &Tree::star(2);
        let name = |what: &str| format!("{what}, {a:?} against {b:?} at two leaves");
        self.add(
            name("requests, and one at the root"),
            two,
            [takes(1, a), takes(2, b), takes(ROOT, b)],
        );
        self.add(
            name("requests, and one beside the first"),
            two,
            [takes(1, a), takes(1, b), takes(2, b)],
        );
        self.add(
            name("tries"),
            two,
            [tries(1, a), tries(2, b), takes(ROOT, a)],
        );
        self.add(
            name("cancellations"),
            two,
            [cancels(1, a), cancels(2, b), takes(ROOT, a)],
        );
        self.add(
            name("voluntary returns"),
            two,
            [takes(1, a).return_spare(), takes(2, b).return_spare()],
        );
    }

    /// Holds that become larger or smaller.
    fn change(&mut self, less: &C, more: &C) {
        if less == more || !more.covers(less) {
            return;
        }
        let two = &Tree::star(2);
        let name = |what: &str| format!("{what}, {less:?} and {more:?} at two leaves");
        self.add(
            name("a hold that grows, and others"),
            two,
            [grows(1, less, more), takes(2, less), takes(1, more)],
        );
        self.add(
            name("two holds that grow"),
            two,
            [grows(1, less, more), grows(2, less, more)],
        );
        self.add(
            name("a hold that shrinks, and others"),
            two,
            [shrinks(1, more, less), takes(2, less), takes(ROOT, more)],
        );
    }

    /// More owners.
    fn spread(&mut self, light: &C, heavy: &C) {
        let (three, tree) = (&Tree::star(3), &middle_tree());
        let name = |what: &str| format!("{what}, {light:?} and {heavy:?}");
        self.add(
            name("three leaves"),
            three,
            [takes(1, light), takes(2, light), takes(3, heavy)],
        );
        self.add(
            name("three leaves, all the same"),
            three,
            [takes(1, heavy), takes(2, heavy), takes(3, heavy)],
        );
        self.add(
            name("three leaves, and a try"),
            three,
            [takes(1, light), tries(2, heavy), takes(3, heavy)],
        );
        self.add(
            name("a tree, above and below and beside"),
            tree,
            [takes(2, light), takes(MIDDLE, light), takes(4, heavy)],
        );
        self.add(
            name("a tree, all the same"),
            tree,
            [takes(2, heavy), takes(3, heavy), takes(4, heavy)],
        );
        self.add(
            name("a tree, a try and a cancellation"),
            tree,
            [tries(2, heavy), cancels(4, heavy), takes(3, light)],
        );
    }

    /// More clients, and more levels.
    fn crowd(&mut self, light: &C, heavy: &C) {
        let (two, three, tree, deep) =
            (&Tree::star(2), &Tree::star(3), &middle_tree(), &deep_tree());
        let name = |what: &str| format!("{what}, {light:?} and {heavy:?}");
        self.add(
            name("four clients at two leaves"),
            two,
            [
                takes(1, light),
                takes(1, heavy),
                takes(2, light),
                takes(2, heavy),
            ],
        );
        self.add(
            name("four clients at three leaves"),
            three,
            [
                takes(1, light),
                takes(2, heavy),
                takes(3, heavy),
                takes(ROOT, light),
            ],
        );
        self.add(
            name("four clients in a tree"),
            tree,
            [
                takes(2, light),
                takes(3, heavy),
                takes(4, heavy),
                takes(MIDDLE, light),
            ],
        );
        self.add(
            name("three levels"),
            deep,
            [takes(3, light), takes(4, heavy), takes(MIDDLE, light)],
        );
    }
}

/// A middle owner with two leaves below it, and a leaf beside it.
fn middle_tree() -> Tree {
    Tree::root()
        .with("M", ROOT)
        .with("L1", MIDDLE)
        .with("L2", MIDDLE)
        .with("L3", ROOT)
}

/// Two middle owners in a chain, with two leaves below them.
fn deep_tree() -> Tree {
    Tree::root()
        .with("M", ROOT)
        .with("N", MIDDLE)
        .with("L1", 2)
        .with("L2", 2)
}
