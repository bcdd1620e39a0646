//! The six-mode lock: colour, and conversions that may deadlock.

use std::sync::Arc;

use rm_core::effect::{Effect, Effects};
use rm_core::id::{Class, LoanId, Order, Party, PeerId, Stamp, Token};
use rm_core::owner::{Owner, Request, Settings};
use rm_core::policy::Policy;
use rm_core::testing::explore::{Client, Explorer, Orders, Report, Tree};
use rm_core::time::Time;
use rm_tests::exploration::{Family, Scenario, is_long, scenario, some_orders};
use rm_tests::vms::{CAPITAL, Counts, Mode, SixModeLock};

use crate::{L1, L2, L3, M, ROOT, tree};

type Script = Client<Counts>;

fn asks(client: Script, mode: Mode) -> Script {
    in_colour_of(client.acquire(mode.counts()), mode)
}

fn converts(client: Script, to: Mode) -> Script {
    in_colour_of(client.convert(to.counts()), to)
}

fn in_colour_of(client: Script, mode: Mode) -> Script {
    match mode.colour() {
        Some(colour) => client.in_colour(colour),
        None => client,
    }
}

fn takes(node: usize, mode: Mode) -> Script {
    asks(Client::at(node), mode).release()
}

fn tries(node: usize, mode: Mode) -> Script {
    in_colour_of(Client::at(node).try_acquire(mode.counts()), mode).release()
}

fn cancels(node: usize, mode: Mode) -> Script {
    asks(Client::at(node), mode).cancel()
}

fn changes(node: usize, from: Mode, to: Mode) -> Script {
    converts(asks(Client::at(node), from), to).release()
}

fn reduces(node: usize, from: Mode, to: Mode) -> Script {
    asks(Client::at(node), from).reduce(to.counts()).release()
}

fn family(name: &'static str) -> Family<'static, SixModeLock> {
    Family::new(name, &SixModeLock)
}

/// Colours that change hands, in a star of two leaves.
fn in_a_star() -> Vec<Scenario<SixModeLock>> {
    let two = &Tree::star(2);
    vec![
        scenario(
            "a protected read beside a concurrent write",
            two,
            [takes(1, Mode::Pr), takes(2, Mode::Cw)],
        ),
        scenario(
            "two of one colour, and one of the other",
            two,
            [takes(1, Mode::Pr), takes(2, Mode::Pr), takes(1, Mode::Cw)],
        ),
        scenario(
            "the root takes part",
            two,
            [
                takes(1, Mode::Cw),
                takes(ROOT, Mode::Pr),
                takes(2, Mode::Cw),
            ],
        ),
        scenario(
            "colours, and all of B in no colour",
            two,
            [takes(1, Mode::Pr), takes(2, Mode::Cw), takes(2, Mode::Pw)],
        ),
        scenario(
            "everything between two colours",
            two,
            [takes(1, Mode::Cw), takes(2, Mode::Ex), takes(1, Mode::Pr)],
        ),
        scenario(
            "tries of both colours",
            two,
            [tries(1, Mode::Pr), tries(2, Mode::Cw), takes(1, Mode::Cw)],
        ),
        scenario(
            "a cancelled change of colour",
            two,
            [takes(1, Mode::Pr), cancels(2, Mode::Cw), takes(2, Mode::Pr)],
        ),
    ]
}

#[test]
fn six_modes_in_a_star() {
    family("six modes").explore(&in_a_star());
}

/// Conversions, which may ask for what others hold.
fn with_converts() -> Vec<Scenario<SixModeLock>> {
    let two = &Tree::star(2);
    vec![
        scenario(
            "two protected readers want everything",
            two,
            [
                changes(1, Mode::Pr, Mode::Ex),
                changes(2, Mode::Pr, Mode::Ex),
            ],
        ),
        scenario(
            "two change colour towards each other",
            two,
            [
                changes(1, Mode::Pr, Mode::Cw),
                changes(2, Mode::Pr, Mode::Cw),
            ],
        ),
        scenario(
            "a colour is changed in place, beside one that waits",
            two,
            [changes(1, Mode::Pr, Mode::Cw), takes(2, Mode::Pr)],
        ),
        scenario(
            "one comes down to the other colour",
            two,
            [changes(1, Mode::Pw, Mode::Pr), takes(2, Mode::Cw)],
        ),
        scenario(
            "one keeps a part in the colour there is",
            two,
            [
                reduces(1, Mode::Ex, Mode::Cr),
                takes(2, Mode::Cw),
                takes(1, Mode::Pr),
            ],
        ),
        scenario(
            "from nothing to everything",
            two,
            [changes(1, Mode::Nl, Mode::Ex), takes(2, Mode::Cw)],
        ),
        scenario(
            "a cancelled conversion",
            two,
            [
                converts(asks(Client::at(1), Mode::Pr), Mode::Cw)
                    .cancel()
                    .release(),
                takes(2, Mode::Pr),
            ],
        ),
    ]
}

#[test]
fn six_modes_with_converts() {
    family("six modes, converts").explore(&with_converts());
}

fn in_a_tree() -> Vec<Scenario<SixModeLock>> {
    let tree = &tree();
    vec![
        scenario(
            "colours below and beside a middle owner",
            tree,
            [takes(L1, Mode::Pr), takes(L2, Mode::Cw)],
        ),
        scenario(
            "a middle owner between two colours",
            tree,
            [takes(L1, Mode::Pr), takes(L3, Mode::Cw), takes(M, Mode::Pr)],
        ),
        scenario(
            "two readers want everything",
            tree,
            [
                changes(L1, Mode::Pr, Mode::Ex),
                changes(L3, Mode::Pr, Mode::Ex),
            ],
        ),
        scenario(
            "a try meets the other colour",
            tree,
            [tries(L1, Mode::Cw), takes(L3, Mode::Pr)],
        ),
        scenario(
            "a colour comes down",
            tree,
            [changes(L1, Mode::Pw, Mode::Pr), takes(L2, Mode::Cw)],
        ),
    ]
}

#[test]
fn six_modes_in_a_tree() {
    family("six modes, tree").explore(&in_a_tree());
}

#[test]
fn six_modes_with_fences() {
    let two = &Tree::star(2);
    let scenarios = [
        scenario(
            "one colour after the other",
            two,
            [takes(1, Mode::Pr), takes(2, Mode::Cw)],
        ),
        scenario(
            "back and forth",
            two,
            [takes(1, Mode::Pr), takes(1, Mode::Cw), takes(2, Mode::Pr)],
        ),
        scenario(
            "two change colour towards each other",
            two,
            [
                changes(1, Mode::Pr, Mode::Cw),
                changes(2, Mode::Pr, Mode::Cw),
            ],
        ),
        scenario(
            "colours below and beside a middle owner",
            &tree(),
            [takes(L1, Mode::Pr), takes(L2, Mode::Cw)],
        ),
    ];
    family("six modes, fences in the state")
        .with_fences()
        .explore(&scenarios);
}

#[test]
fn six_modes_with_merged_registers() {
    let two = &Tree::star(2);
    let scenarios = [
        scenario(
            "two of one colour, and one of the other",
            two,
            [takes(1, Mode::Pr), takes(2, Mode::Pr), takes(1, Mode::Cw)],
        ),
        scenario(
            "two readers want everything",
            two,
            [
                changes(1, Mode::Pr, Mode::Ex),
                changes(2, Mode::Pr, Mode::Ex),
            ],
        ),
        scenario(
            "colours below and beside a middle owner",
            &tree(),
            [takes(L1, Mode::Pr), takes(L2, Mode::Cw)],
        ),
    ];
    family("six modes, merged registers")
        .with_merged_registers()
        .explore(&scenarios);
}

#[test]
fn six_modes_with_voluntary_returns() {
    let returns = |client: Script| client.return_spare();
    let two = &Tree::star(2);
    let scenarios = [
        scenario(
            "what is spare goes back in its colour",
            two,
            [
                returns(takes(1, Mode::Pr)),
                takes(2, Mode::Cw),
                takes(1, Mode::Pr),
            ],
        ),
        scenario(
            "B goes home in no colour",
            two,
            [
                returns(takes(1, Mode::Pw)),
                takes(2, Mode::Pr),
                takes(1, Mode::Cw),
            ],
        ),
        scenario(
            "a middle owner sends back what it knew the colour of",
            &tree(),
            [
                returns(takes(L1, Mode::Pr)),
                returns(takes(M, Mode::Cw)),
                takes(L2, Mode::Pr),
            ],
        ),
    ];
    family("six modes, voluntary returns").explore(&scenarios);
}

#[test]
fn six_modes_with_more_clients() {
    let two = &Tree::star(2);
    let scenarios = [
        scenario(
            "two of each colour",
            two,
            [
                takes(1, Mode::Pr),
                takes(2, Mode::Pr),
                takes(1, Mode::Cw),
                takes(2, Mode::Cw),
            ],
        ),
        scenario(
            "a try between two colours, and one who changes",
            two,
            [
                tries(1, Mode::Cw),
                changes(2, Mode::Pr, Mode::Cw),
                takes(1, Mode::Pr),
            ],
        ),
        scenario(
            "three readers change colour, root + 3",
            &Tree::star(3),
            [
                changes(1, Mode::Pr, Mode::Cw),
                changes(2, Mode::Pr, Mode::Pw),
                takes(3, Mode::Pr),
            ],
        ),
    ];
    family("six modes, more clients")
        .orders(some_orders())
        .explore(&scenarios);
}

/// The modes that take anything.
const FIVE: [Mode; 5] = [Mode::Cr, Mode::Cw, Mode::Pr, Mode::Pw, Mode::Ex];

fn policies() -> Vec<Policy> {
    if is_long() {
        vec![
            Policy::Exact,
            Policy::slice(4),
            Policy::Max,
            Policy::adaptive(4),
        ]
    } else {
        vec![Policy::slice(4)]
    }
}

/// Explores clients that the explorer alone has to judge.
fn explore_all(what: &str, tree: &Tree, worlds: impl IntoIterator<Item = Vec<Script>>) {
    let mut total = Report::default();
    for clients in worlds {
        for policy in policies() {
            let explorer = Explorer::new(&SixModeLock, tree.clone())
                .policy(policy)
                .orders(Orders::All)
                .clients(clients.clone());
            match explorer.run() {
                Ok(report) => total = total.and(report),
                Err(violation) => panic!("{clients:?}, {policy:?}: {violation}"),
            }
        }
    }
    println!("{total}  six modes: {what}");
}

#[test]
fn every_three_of_six_modes_in_a_star() {
    let three = FIVE.into_iter().flat_map(|a| {
        FIVE.into_iter().flat_map(move |b| {
            FIVE.into_iter()
                .map(move |c| vec![takes(1, a), takes(2, b), takes(1, c)])
        })
    });
    explore_all("every three, root + 2", &Tree::star(2), three);
}

#[test]
fn every_three_of_six_modes_in_a_tree() {
    let three = FIVE.into_iter().flat_map(|a| {
        FIVE.into_iter().flat_map(move |b| {
            FIVE.into_iter()
                .map(move |c| vec![takes(L1, a), takes(L2, b), takes(L3, c)])
        })
    });
    explore_all("every three, tree", &tree(), three);
}

#[test]
fn every_two_conversions_of_six_modes() {
    // Who stays what it was, or comes down from EX to PW, keeps its token.
    let keeps_token = |(from, to)| from == to || (from, to) == (Mode::Ex, Mode::Pw);
    let all = || {
        let to = |from| Mode::ALL.into_iter().map(move |to| (from, to));
        let all = Mode::ALL.into_iter().flat_map(to);
        all.filter(move |&change| !keeps_token(change))
    };
    let two =
        all().flat_map(|(a, b)| all().map(move |(c, d)| vec![changes(1, a, b), changes(2, c, d)]));
    explore_all("every two conversions, root + 2", &Tree::star(2), two);
}

#[test]
fn every_two_tries_of_six_modes_beside_a_third() {
    let three = FIVE.into_iter().flat_map(|a| {
        FIVE.into_iter().flat_map(move |b| {
            [Mode::Cw, Mode::Pr, Mode::Pw]
                .into_iter()
                .map(move |c| vec![tries(L1, a), tries(L3, b), takes(M, c)])
        })
    });
    explore_all("every two tries beside a third, tree", &tree(), three);
}

/// The books of a root and two debtors, and what is under way between them.
struct Trio {
    owners: [Owner<SixModeLock>; 3],
    granted: Vec<u32>,
}

impl Trio {
    fn new(policy: Policy) -> Self {
        let settings = Arc::new(Settings::default().with_policy(policy));
        let debtor = || {
            let mut owner = Owner::debtor(Arc::clone(&settings), CAPITAL, 0, LoanId::default());
            owner.on_creditor_up(Time::ZERO, PeerId(0), 0, &mut Effects::new());
            owner
        };
        let root = Owner::root(Arc::clone(&settings), CAPITAL, 1, 0, LoanId::default());
        Self {
            owners: [root, debtor(), debtor()],
            granted: Vec::new(),
        }
    }

    /// Asks for a mode, and delivers every message that follows from it. Returns whether it was granted.
    fn ask(&mut self, node: usize, number: u32, mode: Mode) -> bool {
        let token = Token {
            index: number,
            generation: 0,
        };
        let order = Order {
            class: Class::New,
            stamp: Stamp(1 + u64::from(number)),
            party: Party::default(),
            seq: u64::from(number),
        };
        let mut fx = Effects::new();
        self.owners[node].acquire(Time::ZERO, Request::new(token, order, mode.ask()), &mut fx);
        let mut sent = Vec::from([(node, fx)]);
        while let Some((from, mut fx)) = sent.pop() {
            for effect in fx.drain() {
                match effect {
                    Effect::Grant { token, .. } => self.granted.push(token.index),
                    Effect::Send { to, message } => {
                        let (to, mut next) = (to.0 as usize, Effects::new());
                        let from = PeerId(from as u64);
                        self.owners[to]
                            .on_message(Time::ZERO, from, message, &mut next)
                            .expect("no misbehaviour");
                        sent.insert(0, (to, next));
                    }
                    _ => {}
                }
            }
        }
        self.granted.contains(&number)
    }
}

/// At one owner, and at two that borrow from a third.
#[test]
fn six_modes_meet_exactly_as_the_classic_table_says() {
    for policy in [
        Policy::Exact,
        Policy::slice(4),
        Policy::Max,
        Policy::adaptive(4),
    ] {
        for (one, other) in [(0, 0), (1, 1), (1, 2), (0, 1), (1, 0)] {
            for first in Mode::ALL {
                for second in Mode::ALL {
                    let mut trio = Trio::new(policy);
                    assert!(trio.ask(one, 0, first), "{first:?} is alone");
                    let meets = trio.ask(other, 1, second);
                    let should = first.is_compatible_with(second);
                    assert_eq!(
                        meets, should,
                        "{second:?} at {other} beside {first:?} at {one}, {policy:?}"
                    );
                }
            }
        }
    }
}
