//! What an acquire costs in clusters of every size and shape: messages, and hops on the critical path.
//!
//! ```text
//! cargo xtask scale
//! ```
//!
//! The tables stand in docs/SCALE.md, which says what the columns are. Nothing in the first is measured in real time,
//! so it is the same on every machine. The second is: it shows how the work of one owner grows with its debtors.

use std::time::{Duration, Instant};

use rm_core::policy::Policy;
use rm_core::testing::simulate::{Clients, Group, Report, Simulation, Span, Tree};
use rm_rwlock::{RwCredit, RwLockType};

const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// How many debtors a node has; 0 for a flat tree.
const ARITIES: [usize; 5] = [0, 2, 8, 32, 100];

/// Rounds of each of two that take turns.
const TURNS: u64 = 50;

/// Of the fixed policies the one that lends a part of what is spare.
const SLICE: Policy = Policy::slice(16);

/// Requests that arrive while a write collects.
const LATE: u32 = 100;

/// Longer than any acquire takes.
const PAUSE: Duration = Duration::from_secs(1);

fn main() {
    println!(
        "| nodes | arity | depth | first read | first write | write over caches | taking turns |"
    );
    println!("|---|---|---|---|---|---|---|");
    for nodes in SIZES {
        for arity in ARITIES.into_iter().filter(|&arity| arity < nodes) {
            println!("{}", row(nodes, arity));
        }
    }
    println!("\n| debtors | a read each, `Exact` | a read each, `Slice` | `Max` |");
    println!("|---|---|---|---|");
    for debtors in [10, 100, 300, 1_000] {
        let tree = Tree::star(debtors);
        let policies = [Policy::Exact, SLICE, Policy::Max];
        let [exact, slice, max] = policies.map(|policy| {
            let report = run(&tree, policy, [one_read_each(&tree)]);
            cost(report.group("read"))
        });
        println!("| {debtors} | {exact} | {slice} | {max} |");
    }
    println!("\n| debtors | write over caches, each debtor | request while a write collects |");
    println!("|---|---|---|");
    for debtors in [1_000, 10_000, 100_000] {
        let tree = Tree::star(debtors);
        let (reads, _) = timed(|| run(&tree, Policy::Exact, [one_read_each(&tree)]));
        let (alone, writes) = timed(|| over_caches(&tree, 0));
        let (late, _) = timed(|| over_caches(&tree, LATE));
        assert_eq!(writes.group("last write").messages, 2 * debtors as u64);
        let each = alone.saturating_sub(reads) / debtors as u32;
        let request = late.saturating_sub(alone) / LATE;
        println!("| {debtors} | {each:.1?} | {request:.1?} |");
    }
}

fn timed<R>(work: impl FnOnce() -> R) -> (Duration, R) {
    let started = Instant::now();
    let result = work();
    (started.elapsed(), result)
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
    let first_read = run(&tree, SLICE, [read]);
    let first_write = run(&tree, SLICE, [Clients::at(far).rounds(1)]);
    format!(
        "| {nodes} | {arity} | {} | {} | {} | {} | {} |",
        tree.depth(far),
        cost(first_read.group("read")),
        cost(first_write.group("write")),
        cost(over_caches(&tree, 0).group("last write")),
        cost(taking_turns(&tree).group("turn")),
    )
}

/// How long it takes until every node has begun to read, if each waits for the one before.
fn reading(tree: &Tree) -> Duration {
    PAUSE / 10 * tree.len() as u32
}

/// Every node reads once.
fn one_read_each(tree: &Tree) -> Clients<RwLockType> {
    Clients::everywhere()
        .asking(|_| RwCredit::READ)
        .starting(Span::between(Duration::ZERO, reading(tree)))
        .rounds(1)
}

/// Every node reads once, and keeps a share; then the last one writes. One reader holds for long, and meanwhile so
/// many readers ask at its node.
fn over_caches(tree: &Tree, late: u32) -> Report<RwCredit> {
    let quiet = 3 * reading(tree);
    let write = Clients::at(tree.len() - 1)
        .called("last write")
        .starting(quiet + 2 * PAUSE)
        .rounds(1);
    let read = || {
        let reader = Clients::at(1).called("late").rounds(1);
        reader.asking(|_| RwCredit::READ)
    };
    let hold = if late > 0 { 10 * PAUSE } else { Duration::ZERO };
    let holder = read().starting(quiet).holding(hold);
    let begin = Span::between(quiet + 3 * PAUSE, quiet + 9 * PAUSE);
    let readers = read().each(late).starting(begin);
    let clients = [one_read_each(tree), write, holder, readers];
    // A flat root that lends slices runs dry, and a deep tree of single shares passes them on.
    let is_flat = tree.depth(tree.len() - 1) == 1;
    let policy = if is_flat { Policy::Exact } else { SLICE };
    run(tree, policy, clients)
}

/// The last node and one as far away as can be write in turn, after each has written once.
fn taking_turns(tree: &Tree) -> Report<RwCredit> {
    let last = tree.len() - 1;
    let other = (1..last).max_by_key(|&node| tree.distance(node, last));
    let first = other.expect("there are more than two nodes");
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
    run(tree, SLICE, clients)
}

fn run<const N: usize>(
    tree: &Tree,
    policy: Policy,
    clients: [Clients<RwLockType>; N],
) -> Report<RwCredit> {
    let simulation = Simulation::new(&RwLockType::default(), tree.clone()).policy(policy);
    let simulation = clients.into_iter().fold(simulation, Simulation::clients);
    let simulation = simulation
        .until(4 * (reading(tree) + TURNS as u32 * PAUSE))
        .seed(1);
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
        format!("{messages:.2} / {hops:.1}, at most {}", group.hops_max)
    }
}
