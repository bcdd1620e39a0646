//! What an acquire costs in clusters of every size and shape: messages, and hops on the critical path.
//!
//! ```text
//! cargo xtask scale
//! ```
//!
//! The table stands in docs/SCALE.md, which says what the columns are. Nothing in it is measured in real time, so
//! it is the same on every machine; the time that each row took to simulate goes to standard error.

use std::time::{Duration, Instant};

use rm_core::testing::simulate::{Clients, Group, Report, Simulation, Span, Tree};
use rm_rwlock::{RwCredit, RwLockType};

const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// How many debtors a node has; 0 for a flat tree.
const ARITIES: [usize; 5] = [0, 2, 8, 32, 100];

/// Rounds of each of two that take turns.
const TURNS: u64 = 50;

/// Longer than any acquire takes.
const PAUSE: Duration = Duration::from_secs(1);

fn main() {
    println!(
        "| nodes | arity | depth | first read | first write | write over caches | taking turns |"
    );
    println!("|---|---|---|---|---|---|---|");
    for nodes in SIZES {
        for arity in ARITIES.into_iter().filter(|&arity| arity < nodes) {
            let started = Instant::now();
            println!("{}", row(nodes, arity));
            let took = started.elapsed().as_secs_f64();
            eprintln!("{nodes} nodes, arity {arity}: simulated in {took:.2} s");
        }
    }
}

fn row(nodes: usize, arity: usize) -> String {
    let tree = match arity {
        0 => Tree::star(nodes - 1),
        _ => Tree::uniform(nodes, arity),
    };
    let arity = match arity {
        0 => "flat".into(),
        _ => arity.to_string(),
    };
    let far = nodes - 1;
    let read = Clients::at(far).asking(|_| RwCredit::READ).rounds(1);
    let first_read = run(&tree, [read]);
    let first_write = run(&tree, [Clients::at(far).rounds(1)]);
    format!(
        "| {nodes} | {arity} | {} | {} | {} | {} | {} |",
        tree.depth(far),
        cost(first_read.group("read")),
        cost(first_write.group("write")),
        cost(over_caches(&tree).group("last write")),
        cost(taking_turns(&tree).group("turn")),
    )
}

/// Every node reads once, and keeps a share; then the last one writes.
fn over_caches(tree: &Tree) -> Report<RwCredit> {
    let reads = Clients::everywhere()
        .asking(|_| RwCredit::READ)
        .starting(Span::between(Duration::ZERO, 10 * PAUSE))
        .rounds(1);
    let write = Clients::at(tree.len() - 1)
        .called("last write")
        .starting(20 * PAUSE)
        .rounds(1);
    run(tree, [reads, write])
}

/// Two nodes in different branches write in turn, after each has written once.
fn taking_turns(tree: &Tree) -> Report<RwCredit> {
    // The last node, and the end of the first branch.
    let last = tree.len() - 1;
    let is_first_below = |node: &usize, creditor: usize| tree.creditor(*node) == creditor;
    let next = |&node: &usize| (node + 1..=last).find(|below| is_first_below(below, node));
    let first = std::iter::successors(Some(1), next)
        .last()
        .expect("it has a member");
    let write = |node, start| Clients::at(node).called("once").starting(start).rounds(1);
    let turns = |node, start| {
        let turns = Clients::at(node).called("turn").starting(start);
        turns.thinking(2 * PAUSE).rounds(TURNS)
    };
    let clients = [
        write(first, PAUSE),
        write(last, 2 * PAUSE),
        turns(first, 3 * PAUSE),
        turns(last, 4 * PAUSE),
    ];
    run(tree, clients)
}

fn run<const N: usize>(tree: &Tree, clients: [Clients<RwLockType>; N]) -> Report<RwCredit> {
    let simulation = Simulation::new(&RwLockType::default(), tree.clone());
    let simulation = clients.into_iter().fold(simulation, Simulation::clients);
    let simulation = simulation.until(3 * TURNS as u32 * PAUSE).seed(1);
    simulation
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"))
}

/// Messages for each grant, and hops to it: the mean, and the most where it differs.
fn cost(group: &Group) -> String {
    let (messages, hops) = (group.messages_per_grant(), group.hops_mean());
    if hops == f64::from(group.hops_max) {
        format!("{messages} / {hops}")
    } else {
        format!("{messages} / {hops:.1}, at most {}", group.hops_max)
    }
}
