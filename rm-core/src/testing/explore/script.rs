//! Scripted clients, the tree they live in, and the orders of their requests.
//!
//! A client does its steps one after the other. A step is enabled once the one before it has its outcome; only
//! a cancellation may come while a request still waits, so it is tried before the grant, after it and while
//! it is on its way.
//!
//! What becomes of a script when a request is denied: a denied acquire goes on behind the end of that hold, a
//! denied conversion goes on at the release.

use std::collections::BTreeSet;

use crate::credit::{Colour, Credit};
use crate::id::{Class, NodeId, Order, Party, Stamp};

/// The most orders of requests that one exploration tries.
pub const ORDERS_MAX: usize = 10_000;

/// The most nodes of a tree.
pub const NODES_MAX: usize = 255;

/// The most steps of one client.
pub(super) const STEPS_OF_CLIENT_MAX: usize = 200;

/// The tree of owners: the root has the capital, every other owner borrows from the one above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Name and parent of each node; the root is its own parent. Parents come before their children.
    nodes: Vec<(String, usize)>,
}

impl Tree {
    /// Node 0, called `root`, alone.
    #[must_use]
    pub fn root() -> Self {
        Self::rooted("root")
    }

    /// Node 0, called `name`, alone.
    #[must_use]
    pub fn rooted(name: &str) -> Self {
        Self {
            nodes: vec![(name.into(), 0)],
        }
    }

    /// The root and so many leaves, nodes 1 and up, called `L1`, `L2` and so on.
    #[must_use]
    pub fn star(leaves: usize) -> Self {
        (1..=leaves).fold(Self::root(), |tree, leaf| tree.with(&format!("L{leaf}"), 0))
    }

    /// The root, and below it so many nodes in a row: `L1` borrows from the root, `L2` from `L1`, and so on.
    #[must_use]
    pub fn chain(nodes: usize) -> Self {
        (0..nodes).fold(Self::root(), |tree, above| {
            tree.with(&format!("L{}", above + 1), above)
        })
    }

    /// The same with one more node, of the next number, that borrows from node `creditor`.
    ///
    /// # Panics
    /// If there is no node of that number, or there are [`NODES_MAX`] already.
    #[must_use]
    pub fn with(mut self, name: &str, creditor: usize) -> Self {
        assert!(
            creditor < self.nodes.len(),
            "the creditor of a node comes before it"
        );
        assert!(
            self.nodes.len() < NODES_MAX,
            "a tree has at most {NODES_MAX} nodes"
        );
        self.nodes.push((name.into(), creditor));
        self
    }

    pub(in crate::testing) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(in crate::testing) fn name(&self, node: usize) -> &str {
        &self.nodes[node].0
    }

    pub(in crate::testing) fn find(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|(known, _)| known == name)
    }

    /// The root is its own.
    pub(in crate::testing) fn creditor(&self, node: usize) -> usize {
        self.nodes[node].1
    }
}

/// One step of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step<C> {
    Acquire {
        ask: C,
        colour: Option<Colour>,
        try_only: bool,
    },
    Cancel,
    Convert {
        to: C,
        colour: Option<Colour>,
    },
    Reduce {
        keep: C,
    },
    Release,
    ReturnSpare,
    WindUp,
    WriteValue,
}

/// A client: where it lives and what it does there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client<C> {
    pub(super) place: usize,
    pub(super) steps: Vec<Step<C>>,
}

impl<C> Client<C> {
    /// A client at that node of the tree, with nothing to do yet.
    #[must_use]
    pub const fn at(place: usize) -> Self {
        Self {
            place,
            steps: Vec::new(),
        }
    }

    /// Then it asks for credit and waits until it has it.
    #[must_use]
    pub fn acquire(self, ask: C) -> Self {
        self.then(Step::Acquire {
            ask,
            colour: None,
            try_only: false,
        })
    }

    /// Then it asks for credit, but waits for no holder and no older request. If it is denied it goes on
    /// behind the end of that hold.
    #[must_use]
    pub fn try_acquire(self, ask: C) -> Self {
        self.then(Step::Acquire {
            ask,
            colour: None,
            try_only: true,
        })
    }

    /// Then its hold becomes `to`, when that can be had. If it is denied it goes on at the release.
    #[must_use]
    pub fn convert(self, to: C) -> Self {
        self.then(Step::Convert { to, colour: None })
    }

    /// Then its hold becomes a part of what it was.
    #[must_use]
    pub fn reduce(self, keep: C) -> Self {
        self.then(Step::Reduce { keep })
    }

    /// Then it gives up its hold.
    #[must_use]
    pub fn release(self) -> Self {
        self.then(Step::Release)
    }

    /// Then it drops what it asked for: withdraws a request or conversion that still waits, otherwise
    /// gives up the hold and goes on behind its end.
    #[must_use]
    pub fn cancel(self) -> Self {
        self.then(Step::Cancel)
    }

    /// Then its node sends back what is cached and nobody there waits for.
    #[must_use]
    pub fn return_spare(self) -> Self {
        self.then(Step::ReturnSpare)
    }

    /// Then its node winds up: it grants nothing any more, to anybody, and all it has goes home. Like a
    /// request, the wind-up has an age.
    #[must_use]
    pub fn wind_up(self) -> Self {
        self.then(Step::WindUp)
    }

    /// Then it writes the value, which takes a hold of everything. Every holder must then read it.
    #[must_use]
    pub fn write_value(self) -> Self {
        self.then(Step::WriteValue)
    }

    /// And what it asked for last must be of that colour.
    ///
    /// # Panics
    /// If its last step asks for nothing.
    #[must_use]
    pub fn in_colour(mut self, of: Colour) -> Self {
        match self.steps.last_mut() {
            Some(Step::Acquire { colour, .. } | Step::Convert { colour, .. }) => *colour = Some(of),
            _ => panic!("only what is asked for has a colour"),
        }
        self
    }

    fn then(mut self, step: Step<C>) -> Self {
        self.steps.push(step);
        self
    }

    /// Where a script goes on behind the hold that it is in at `step`.
    pub(super) fn end_of_hold(&self, step: usize) -> usize {
        let rest = self.steps.iter().enumerate().skip(step);
        for (index, next) in rest {
            let drops_acquire = index > 0 && matches!(self.steps[index - 1], Step::Acquire { .. });
            match next {
                Step::Release => return index + 1,
                Step::Cancel if drops_acquire => return index + 1,
                Step::Acquire { .. } => return index,
                Step::Cancel
                | Step::Convert { .. }
                | Step::Reduce { .. }
                | Step::ReturnSpare
                | Step::WindUp
                | Step::WriteValue => {}
            }
        }
        self.steps.len()
    }

    /// Where a script goes on whose conversion at `step` was denied.
    pub(super) fn next_release(&self, step: usize) -> usize {
        let release = self.steps[step..]
            .iter()
            .position(|next| matches!(next, Step::Release));
        step + release.expect("a script that converts releases")
    }

    /// Which of the client's holds `step` is about, counted from 1.
    pub(super) fn hold_of(&self, step: usize) -> u32 {
        let acquires = self.steps[..=step]
            .iter()
            .filter(|s| matches!(s, Step::Acquire { .. }));
        acquires.count() as u32
    }

    /// How many requests it makes, conversions included.
    pub(in crate::testing) fn requests(&self) -> usize {
        let asks = |step: &&Step<C>| matches!(step, Step::Acquire { .. } | Step::Convert { .. });
        self.steps.iter().filter(asks).count()
    }

    /// Everything it asks for, and in which colour.
    pub(super) fn asks(&self) -> impl Iterator<Item = (&C, Option<Colour>)> {
        self.steps.iter().filter_map(|step| match step {
            Step::Acquire { ask, colour, .. } => Some((ask, *colour)),
            Step::Convert { to, colour } => Some((to, *colour)),
            Step::Reduce { keep } => Some((keep, None)),
            Step::Cancel | Step::Release | Step::ReturnSpare | Step::WindUp | Step::WriteValue => {
                None
            }
        })
    }

    /// What is wrong with a script, if anything.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.steps.len() > STEPS_OF_CLIENT_MAX {
            return Some("has more than 200 steps");
        }
        let mut holds = false;
        for (index, step) in self.steps.iter().enumerate() {
            let after_request = index > 0
                && matches!(
                    self.steps[index - 1],
                    Step::Acquire { .. } | Step::Convert { .. }
                );
            match step {
                Step::Acquire { .. } if holds => return Some("acquires while it holds"),
                Step::Acquire { .. } => holds = true,
                Step::ReturnSpare | Step::WindUp => {}
                _ if !holds => return Some("releases, converts, reduces or cancels nothing"),
                Step::Cancel if !after_request => return Some("cancels no request"),
                Step::Cancel => holds = matches!(self.steps[index - 1], Step::Convert { .. }),
                Step::Release => holds = false,
                Step::Convert { .. } | Step::Reduce { .. } | Step::WriteValue => {}
            }
        }
        holds.then_some("does not release in the end")
    }
}

/// A request of a scenario: an acquire, a conversion or a wind-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) client: usize,
    pub(super) step: usize,
    pub(super) class: Class,
}

/// All requests, by client and step. Their numbers are their places in this list.
pub(super) fn requests<C: Credit>(clients: &[Client<C>]) -> Vec<Place> {
    let mut places = Vec::new();
    for (client, script) in clients.iter().enumerate() {
        for (step, what) in script.steps.iter().enumerate() {
            let class = match what {
                Step::Acquire { .. } | Step::WindUp => Class::New,
                Step::Convert { .. } => Class::Convert,
                Step::Cancel
                | Step::Reduce { .. }
                | Step::Release
                | Step::ReturnSpare
                | Step::WriteValue => continue,
            };
            places.push(Place {
                client,
                step,
                class,
            });
        }
    }
    places
}

/// Which orders of the requests are explored: each is a run of its own.
///
/// A request's age is fixed beforehand and has nothing to do with when it arrives: old orders turn up late.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Orders {
    /// Every order of the new requests with every order of the conversions. Conversions are younger, and go
    /// before new requests by their class.
    All,
    /// Every order of the clients; a client's requests are one after the other.
    ByClient,
    /// These: each a list of all request numbers, the oldest first. Requests are numbered from 0 by client and
    /// step.
    Listed(Vec<Vec<usize>>),
    /// So many different orders of [`All`](Self::All), drawn by lot, the same for the same seed; all, if there are no
    /// more.
    Sampled {
        /// How many.
        count: usize,
        /// Where the lots start.
        seed: u64,
    },
}

impl Orders {
    /// Lists of request numbers, the oldest first.
    pub(super) fn expand(&self, requests: &[Place], clients: usize) -> Vec<Vec<usize>> {
        let numbers = |class| {
            (0..requests.len())
                .filter(|&n| requests[n].class == class)
                .collect::<Vec<_>>()
        };
        match self {
            Self::All => {
                let converts = permutations(&numbers(Class::Convert));
                let news = permutations(&numbers(Class::New));
                assert!(converts.len() * news.len() <= ORDERS_MAX, "{TOO_MANY}");
                let both = |c: &Vec<usize>| news.iter().map(|n| [&n[..], c].concat()).collect();
                converts
                    .iter()
                    .flat_map(|c| -> Vec<_> { both(c) })
                    .collect()
            }
            Self::ByClient => permutations(&(0..clients).collect::<Vec<_>>())
                .iter()
                .map(|order| {
                    let of = |&client: &usize| {
                        (0..requests.len()).filter(move |&n| requests[n].client == client)
                    };
                    order.iter().flat_map(of).collect()
                })
                .collect(),
            Self::Listed(orders) => {
                for order in orders {
                    let mut sorted = order.clone();
                    sorted.sort_unstable();
                    let all = (0..requests.len()).collect::<Vec<_>>();
                    assert!(
                        sorted == all,
                        "a listed order names each request once: {order:?}"
                    );
                }
                orders.clone()
            }
            Self::Sampled { count, seed } => {
                let (converts, news) = (numbers(Class::Convert), numbers(Class::New));
                let all = orders_of(converts.len()).saturating_mul(orders_of(news.len()));
                if all <= *count {
                    return Self::All.expand(requests, clients);
                }
                assert!(*count <= ORDERS_MAX, "{TOO_MANY}");
                let mut lots = *seed;
                let mut drawn = BTreeSet::new();
                while drawn.len() < *count {
                    let news = shuffled(&news, &mut lots);
                    let converts = shuffled(&converts, &mut lots);
                    drawn.insert([news, converts].concat());
                }
                drawn.into_iter().collect()
            }
        }
    }
}

/// In how many orders so many can be.
fn orders_of(requests: usize) -> usize {
    (1..=requests).fold(1, usize::saturating_mul)
}

const TOO_MANY: &str = "too many orders to try them all: use Orders::ByClient or Orders::Sampled";

/// The order of request `number` that is `age`th in a run.
pub(super) fn order_of(number: usize, age: usize, place: Place, node: usize) -> Order {
    Order {
        class: place.class,
        stamp: Stamp(1 + age as u64),
        party: Party {
            node: NodeId(node as u64),
            ..Party::default()
        },
        seq: number as u64,
    }
}

fn permutations(items: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for &item in items {
        assert!(all.len() <= ORDERS_MAX, "{TOO_MANY}");
        let into = |p: &Vec<usize>, at: usize| [&p[..at], &[item], &p[at..]].concat();
        all = all
            .iter()
            .flat_map(|p| (0..=p.len()).map(|at| into(p, at)).collect::<Vec<_>>())
            .collect();
    }
    all.sort_unstable();
    all
}

fn shuffled(items: &[usize], lots: &mut u64) -> Vec<usize> {
    let mut order = items.to_vec();
    for last in (1..order.len()).rev() {
        *lots = lots.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let drawn = xxhash_rust::xxh3::xxh3_64(&lots.to_le_bytes());
        order.swap(last, (drawn % (last as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_must_end_what_it_begins() {
        let fault = |client: Client<u8>| client.fault();
        assert_eq!(
            fault(Client::at(0).acquire(1).convert(2).reduce(1).release()),
            None
        );
        assert_eq!(
            fault(
                Client::at(0)
                    .acquire(1)
                    .cancel()
                    .return_spare()
                    .acquire(1)
                    .release()
            ),
            None
        );
        assert_eq!(
            fault(Client::at(0).acquire(1).convert(2).cancel().release()),
            None
        );
        assert_eq!(
            fault(Client::at(0).acquire(1)),
            Some("does not release in the end")
        );
        assert_eq!(
            fault(Client::at(0).acquire(1).acquire(1)),
            Some("acquires while it holds")
        );
        assert!(fault(Client::at(0).release()).is_some());
        assert!(fault(Client::at(0).acquire(1).reduce(1).cancel()).is_some());
    }

    #[test]
    fn a_denied_acquire_goes_on_behind_its_hold() {
        let client = Client::at(0)
            .try_acquire(1)
            .convert(2)
            .cancel()
            .release()
            .return_spare();
        assert_eq!(client.end_of_hold(1), 4);
        let client = Client::at(0).acquire(1).cancel().acquire(2).release();
        assert_eq!(client.end_of_hold(1), 2);
        assert_eq!(client.hold_of(3), 2);
    }

    #[test]
    fn all_orders_are_those_of_new_requests_with_those_of_conversions() {
        let place = |class| Place {
            client: 0,
            step: 0,
            class,
        };
        let requests = [place(Class::New), place(Class::Convert), place(Class::New)];
        assert_eq!(Orders::All.expand(&requests, 1), [[0, 2, 1], [2, 0, 1]]);
    }

    #[test]
    fn sampled_orders_are_the_same_for_the_same_seed() {
        let requests = [Place {
            client: 0,
            step: 0,
            class: Class::New,
        }; 6];
        let orders = |seed| Orders::Sampled { count: 4, seed }.expand(&requests, 1);
        assert_eq!(orders(7), orders(7));
        assert_ne!(orders(7), orders(8));
        assert_eq!(orders(7).len(), 4);
    }

    #[test]
    fn no_more_orders_are_sampled_than_there_are() {
        let requests = [Place {
            client: 0,
            step: 0,
            class: Class::New,
        }; 3];
        let sampled = Orders::Sampled { count: 6, seed: 7 }.expand(&requests, 1);
        assert_eq!(sampled, Orders::All.expand(&requests, 1));
    }
}
