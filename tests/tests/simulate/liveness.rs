//! How long a request waits, and who may pass it, in simulated time.

use std::time::Duration;

use rm_core::policy::Policy;
use rm_core::resource::ResourceType;
use rm_core::testing::random::Random;
use rm_core::testing::simulate::{Clients, Report, Simulation, Span, Tree};
use rm_rwlock::{RwCredit, RwLockType};
use rm_types::{SemaphoreType, Units};

use super::{MS, POLICIES, some_seeds, trees};

const LOCK: RwLockType = RwLockType::with_shares(1 << 20);

/// What a message takes.
const DELAY: Duration = MS;

const ROUND_TRIP: Duration = Duration::from_millis(2);

/// A flood of readers at 20 nodes, each holding for at most `hold`, and one writer now and then.
fn flood_of_readers(policy: Policy, hold: Duration, pause: Span, seed: u64) -> Report<RwCredit> {
    let readers = Clients::everywhere()
        .each(3)
        .called("flood")
        .asking(|_| RwCredit::READ)
        .starting(Span::between(Duration::ZERO, 5 * MS))
        .thinking(Span::between(MS / 10, 2 * MS))
        .holding(Span::between(hold / 4, hold));
    let writer = Clients::at(7)
        .called("writer")
        .starting(30 * MS)
        .thinking(pause)
        .holding(MS);
    Simulation::new(&LOCK, Tree::star(20))
        .policy(policy)
        .delay(DELAY)
        .clients(readers)
        .clients(writer)
        .until(200 * MS)
        .bounding_wait("writer", hold + 2 * ROUND_TRIP)
        .seed(seed)
        .run()
        .unwrap_or_else(|failure| panic!("{policy:?}: {failure}"))
}

#[test]
fn a_writer_under_a_flood_of_readers_waits_for_one_hold_and_two_round_trips() {
    for seed in some_seeds(2) {
        for policy in [Policy::slice(4), Policy::slice(16)] {
            for hold in [MS, 10 * MS] {
                let report = flood_of_readers(policy, hold, Span::between(MS, 20 * MS), seed);
                let (writer, flood) = (report.group("writer"), report.group("flood"));
                assert!(writer.granted > 5 && flood.granted > 500);
            }
        }
    }
}

/// Where a former writer keeps all but the share that a reader asked for, every reader asks for its own, and those
/// that are older than a writer may still be on their way to one when it asks: they are first.
#[test]
fn where_a_writer_keeps_what_it_can_it_does_so_once_the_readers_before_it_read() {
    for seed in some_seeds(2) {
        for policy in [Policy::Exact, Policy::Max] {
            for hold in [MS, 10 * MS] {
                let pause = Span::between(25 * MS, 60 * MS);
                let report = flood_of_readers(policy, hold, pause, seed);
                assert!(report.group("writer").granted > 1);
            }
        }
    }
}

#[test]
fn a_reader_under_a_flood_of_writers_waits_for_the_writers_before_it() {
    const HOLD: Duration = Duration::from_millis(5);
    const WRITERS: u32 = 12;
    // Each holds and hands over: a return and a grant. One may be younger and get ahead of the word.
    let bound = (WRITERS + 1) * (HOLD + ROUND_TRIP);
    for seed in some_seeds(4) {
        for policy in POLICIES {
            let writers = Clients::at_leaves().called("flood").holding(HOLD);
            let reader = Clients::at(3)
                .called("reader")
                .asking(|_| RwCredit::READ)
                .starting(7 * MS)
                .thinking(Span::between(MS, 20 * MS))
                .holding(MS);
            let report = Simulation::new(&LOCK, Tree::star(WRITERS as usize))
                .policy(policy)
                .delay(DELAY)
                .clients(writers)
                .clients(reader)
                .until(2_000 * MS)
                .bounding_wait("reader", bound)
                .seed(seed)
                .run()
                .unwrap_or_else(|failure| panic!("{policy:?}: {failure}"));
            assert!(report.group("reader").granted > 10);
            assert!(report.passed_max <= 1, "{policy:?}: {report}");
        }
    }
}

/// A world in which nobody cancels and nobody is denied.
fn patient<T: ResourceType>(
    resource_type: &T,
    tree: &Tree,
    policy: Policy,
    ask: impl Fn(&mut Random) -> T::Level + Send + Sync + 'static,
) -> Simulation<T> {
    let clients = Clients::everywhere()
        .each(2)
        .asking(ask)
        .thinking(Span::between(MS, 40 * MS))
        .holding(Span::between(MS / 10, 4 * MS));
    Simulation::new(resource_type, tree.clone())
        .policy(policy)
        .delay(Span::between(MS / 10, 3 * MS))
        .clients(clients)
        .skew(5 * MS)
        .until(200 * MS)
}

fn mostly_reads(random: &mut Random) -> RwCredit {
    match random.below(4) {
        0 => LOCK.write(),
        _ => RwCredit::READ,
    }
}

fn some_units(random: &mut Random) -> Units {
    Units(1 + random.below(6))
}

#[test]
fn in_a_flat_tree_nobody_is_passed_after_word_of_it_can_have_got_there() {
    let tree = Tree::star(12);
    for seed in some_seeds(6) {
        for policy in POLICIES {
            let locks = patient(&LOCK, &tree, policy, mostly_reads).bounding_bypass();
            let locks = locks.seed(seed).run();
            let units =
                patient(&SemaphoreType::with_units(6), &tree, policy, some_units).bounding_bypass();
            let units = units.seed(seed).run();
            let (locks, units) = (
                locks.map(|report| report.granted()),
                units.map(|r| r.granted()),
            );
            for granted in [locks, units] {
                let granted = granted.unwrap_or_else(|failure| panic!("{policy:?}: {failure}"));
                assert!(granted > 50);
            }
        }
    }
}

/// In a deep tree with readers a request can lose its place on the way for a moment, as where what it was granted
/// crosses what its node returns. So it is passed more often, and still not for ever.
#[test]
fn in_any_tree_fewer_pass_one_than_there_are_clients() {
    for seed in some_seeds(4) {
        for (tree, policy) in trees().iter().flat_map(|tree| POLICIES.map(|p| (tree, p))) {
            let locks = patient(&LOCK, tree, policy, mostly_reads).seed(seed).run();
            let locks = locks.unwrap_or_else(|failure| panic!("{policy:?}: {failure}"));
            let units = patient(&SemaphoreType::with_units(6), tree, policy, some_units)
                .seed(seed)
                .run();
            let units = units.unwrap_or_else(|failure| panic!("{policy:?}: {failure}"));
            let passed = locks.passed_max.max(units.passed_max) as usize;
            assert!(
                passed < 2 * tree.len(),
                "seed {seed}, {policy:?}, {tree:?}: {passed}"
            );
        }
    }
}

/// Down a chain an older writer takes over what was asked for a younger one, at every node. There is always a want for
/// one of them, so a still younger one elsewhere gets nothing in between.
#[test]
fn along_a_chain_no_writer_is_passed_after_word_of_it_can_have_got_there() {
    // Seed 2 is one from which wants that are taken back too early show.
    for seed in some_seeds(30).chain([2]) {
        for policy in POLICIES {
            let writers = Clients::everywhere()
                .thinking(Span::between(MS, 10 * MS))
                .holding(Span::between(MS / 10, 4 * MS));
            let report = Simulation::new(&LOCK, Tree::chain(8))
                .policy(policy)
                .delay(Span::between(MS / 10, 8 * MS))
                .clients(writers)
                .skew(5 * MS)
                .until(200 * MS)
                .bounding_bypass()
                .seed(seed)
                .run();
            let report = report.unwrap_or_else(|failure| panic!("{policy:?}: {failure}"));
            assert!(report.granted() > 10);
        }
    }
}

#[test]
fn what_an_acquire_costs_does_not_depend_on_how_many_nodes_are_idle() {
    let cost = |nodes: usize| {
        let ping = |node: usize, after: u32| {
            let client = Clients::at(node).called("ping").starting(after * MS);
            client.thinking(200 * MS).rounds(10)
        };
        let simulation = Simulation::new(&LOCK, Tree::star(nodes))
            .clients(ping(1, 0))
            .clients(ping(nodes, 100))
            .until(10_000 * MS)
            .seed(1);
        let report = simulation.run().expect("nothing is wrong");
        assert_eq!(report.granted(), 20);
        report.messages
    };
    assert_eq!(cost(2), cost(100_000));
}
