//! Simulated clusters of each type of the crate: trees of every shape, every policy, and odd delays.
//!
//! The simulator checks books, exclusion, tokens and outcomes after every event, and the history at the end. `RM_SEED=n`
//! runs one seed alone.

use std::collections::BTreeSet;
use std::time::Duration;

use rm_core::credit::{Credit, Level};
use rm_core::policy::Policy;
use rm_core::resource::ResourceType;
use rm_core::testing::history::{Record, What};
use rm_core::testing::random::Random;
use rm_core::testing::simulate::{Clients, Report, Simulation, Span, Tree, seeds};
use rm_types::id_range::Count;
use rm_types::{ByteRangeType, IdRangeType, Ids, SemaphoreType, SequenceType, Units};

const MS: Duration = Duration::from_millis(1);

const SEEDS: u64 = 2;

const POLICIES: [Policy; 4] = [
    Policy::Exact,
    Policy::slice(4),
    Policy::adaptive(4),
    Policy::Max,
];

fn trees() -> [Tree; 4] {
    [
        Tree::star(6),
        Tree::chain(4),
        Tree::uniform(15, 2),
        Tree::uniform(30, 5),
    ]
}

/// Who asks now and then, and does with a request all that can be done with one of any type.
fn restless<T: ResourceType>() -> Clients<T> {
    Clients::everywhere()
        .rounds(12)
        .thinking(Span::between(MS, 20 * MS))
        .holding(Span::between(MS / 10, 4 * MS))
        .trying(10)
        .with_deadline(10, Span::between(MS, 30 * MS))
        .cancelling(10, Span::between(MS / 10, 20 * MS))
        .returning_spare(10)
}

/// Runs every tree under every policy, and hands each report on.
fn run_everywhere<T: ResourceType>(
    resource_type: &T,
    clients: &Clients<T>,
    look: impl Fn(&Report<T::Credit>),
) {
    let (mut runs, mut events, mut acquires) = (0, 0, 0);
    for seed in seeds(SEEDS) {
        for (tree, policy) in trees().iter().flat_map(|tree| POLICIES.map(|p| (tree, p))) {
            let simulation = Simulation::new(resource_type, tree.clone())
                .policy(policy)
                .delay(Span::heavy_tail(MS / 10, 100 * MS))
                .skew(20 * MS)
                .stalling(200, 50 * MS)
                .clients(clients.clone())
                .recording()
                .seed(seed);
            let report = simulation.run().unwrap_or_else(|failure| {
                panic!("{policy:?}, {tree:?}: {failure}");
            });
            look(&report);
            runs += 1;
            events += report.events;
            acquires += report.granted();
        }
    }
    println!(
        "{}: {runs} runs, {events} events, {acquires} acquires",
        T::NAME
    );
    assert!(acquires > 1_000);
}

/// What was granted, in the order of time.
fn grants<C>(history: &[Record<C>]) -> impl Iterator<Item = (&C, u64)> {
    history.iter().filter_map(|record| match &record.what {
        What::Granted { credit, fence } => Some((credit, *fence)),
        _ => None,
    })
}

#[test]
fn semaphores_keep_the_rules_while_permits_grow_and_shrink() {
    let clients = restless()
        .asking(|random| Units(1 + random.below(8)))
        .converting(30, |random, _| Units(1 + random.below(8)));
    run_everywhere(&SemaphoreType::with_units(8), &clients, |_| ());
}

#[test]
fn range_locks_keep_the_rules_while_parts_change_their_mode() {
    const FILE: ByteRangeType = ByteRangeType::with_shares(64);
    // A few bytes of eight; three of four ask to read.
    let any = |random: &mut Random| {
        let first = random.below(8);
        let range = first..=first + random.below(8 - first);
        if random.one_in(4) {
            FILE.write(range)
        } else {
            ByteRangeType::read(range)
        }
    };
    let clients = restless()
        .asking(any)
        .converting(30, move |random, _| any(random));
    run_everywhere(&FILE, &clients, |_| ());
}

/// A root has 2^32 identifiers in an epoch, so each run goes through several.
#[test]
fn no_identifier_is_given_twice_in_any_epoch() {
    let clients = restless().asking(|random| Count(1 + random.below(1 << 28)));
    run_everywhere(&IdRangeType::default(), &clients, |report| {
        let mut given = Ids::empty();
        for (ids, _) in grants(&report.history) {
            given = given.join(ids).expect("each identifier is given once");
        }
        let epochs: BTreeSet<u64> = given.ranges().map(|range| range.start >> 32).collect();
        assert!(epochs.len() > 1, "{epochs:?}");
    });
}

#[test]
fn identifiers_are_as_many_as_were_asked_for() {
    let clients = restless().asking(|_| Count(3));
    run_everywhere(&IdRangeType::with_ids(60), &clients, |report| {
        assert!(grants(&report.history).all(|(ids, _)| Count::of(ids) == Count(3)));
    });
}

#[test]
fn numbers_in_sequence_rise_in_the_order_in_which_they_are_given() {
    let clients = restless().asking(|_| Units(1));
    run_everywhere(&SequenceType::default(), &clients, |report| {
        let numbers: Vec<u64> = grants(&report.history).map(|(_, fence)| fence).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next));
    });
}
