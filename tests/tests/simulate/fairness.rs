//! Who may pass whom, and how long one waits for what nobody uses: in flat trees the simulator looks at that after each
//! event, so these worlds only have to be hard. Several clients of a node ask for different things, and what floods the
//! lock changes from world to world.

use std::time::Duration;

use rm_core::policy::Policy;
use rm_core::testing::script::Language;
use rm_core::testing::simulate::{Clients, Sabotage, Simulation, Span, Tree};
use rm_rwlock::{RwCredit, RwLockType};

use super::{MS, POLICIES, some_seeds};

const LOCK: RwLockType = RwLockType::with_shares(1 << 20);

/// Of a hundred requests so many write.
const WRITES: [u32; 4] = [2, 10, 30, 60];

/// Nodes below the root, and clients at each node: no more than a register has steps.
const SHAPES: [(usize, u32); 3] = [(2, 6), (6, 3), (15, 3)];

/// A mix of readers and writers at every node. Nothing of it is the same for two seeds in a row.
fn mix(seed: u64) -> (Tree, Clients<RwLockType>) {
    let pick = |count: usize, every: u64| (seed / every % count as u64) as usize;
    let writes = WRITES[pick(WRITES.len(), 1)];
    let (leaves, each) = SHAPES[pick(SHAPES.len(), 1)];
    let hold = [MS / 10, 2 * MS, 6 * MS][pick(3, 3)];
    let clients = Clients::everywhere()
        .each(each)
        .asking(move |random| match random.percent(writes) {
            true => LOCK.write(),
            false => RwCredit::READ,
        })
        .starting(Span::between(Duration::ZERO, 5 * MS))
        .thinking(Span::between(MS / 10, 20 * MS))
        .holding(Span::between(hold / 4, hold));
    (Tree::star(leaves), clients)
}

/// Runs the mixes under every policy, with messages that all take the same time and with such that do not.
fn run_mixes(seeds: u64, shape: impl Fn(Clients<RwLockType>) -> Clients<RwLockType>) {
    for seed in some_seeds(seeds) {
        for (policy, delay) in POLICIES.iter().flat_map(|&policy| {
            [MS.into(), Span::between(MS / 10, 3 * MS)].map(|delay| (policy, delay))
        }) {
            let (tree, clients) = mix(seed);
            let report = Simulation::new(&LOCK, tree)
                .policy(policy)
                .delay(delay)
                .clients(shape(clients))
                .skew(5 * MS)
                .until(100 * MS)
                .seed(seed)
                .run()
                .unwrap_or_else(|failure| panic!("{policy:?}, {delay:?}: {failure}"));
            assert!(report.granted() > 20);
        }
    }
}

#[test]
fn among_readers_and_writers_nobody_is_passed_and_who_is_next_gets_it_in_time() {
    run_mixes(12, |clients| clients);
}

#[test]
fn that_is_so_where_requests_are_tried_cancelled_and_downgraded() {
    run_mixes(12, |clients| {
        clients
            .trying(15)
            .with_deadline(15, Span::between(MS, 30 * MS))
            .cancelling(15, Span::between(MS / 10, 30 * MS))
            .converting(20, |_, holds| match *holds == LOCK.write() {
                true => RwCredit::READ,
                false => *holds,
            })
            .returning_spare(10)
    });
}

/// Three readers at one leaf, who go on and on, and somebody at another one.
fn readers_and(other: Clients<RwLockType>) -> Simulation<RwLockType> {
    let readers = Clients::at(1)
        .each(3)
        .asking(|_| RwCredit::READ)
        .holding(Span::between(MS, 2 * MS));
    // In a large world the moments of rest, in which other checks would see it, are not looked at each time.
    Simulation::new(&LOCK, Tree::star(4_000))
        .clients(readers)
        .clients(other.starting(20 * MS).rounds(1))
        .until(50 * MS)
        .seed(1)
}

#[test]
fn nobody_goes_along_with_an_older_request_of_its_node_past_one_in_between() {
    for seed in some_seeds(60) {
        for (leaves, each) in [(2, 2), (2, 3), (3, 2), (3, 3)] {
            let clients = Clients::everywhere()
                .each(each)
                .asking(|random| match random.percent(40) {
                    true => LOCK.write(),
                    false => RwCredit::READ,
                })
                .starting(Span::between(Duration::ZERO, 12 * MS))
                .thinking(Span::between(MS / 10, 5 * MS))
                .holding(Span::between(MS / 2, 6 * MS));
            let world = Simulation::new(&LOCK, Tree::star(leaves)).clients(clients);
            let world = world.policy(Policy::Exact).delay(MS);
            let report = world.until(100 * MS).seed(seed).run();
            report.unwrap_or_else(|failure| panic!("{leaves} leaves, {each} each: {failure}"));
        }
    }
}

#[test]
fn readers_who_do_not_hear_of_a_writer_pass_it_for_too_long() {
    let world = || readers_and(Clients::at(2));
    world().run().expect("they hear of it in time");
    let deaf = world().sabotage(Sabotage::LoseMessage("Recall", 1));
    let failure = deaf.run().expect_err("they go on");
    assert!(failure.what.contains("though the older"), "{failure}");
}

#[test]
fn a_reader_that_is_not_heard_waits_too_long_for_what_nobody_holds() {
    let world = || readers_and(Clients::at(2).asking(|_| RwCredit::READ));
    world().run().expect("it gets a share");
    let unheard = world().sabotage(Sabotage::LoseMessage("Want", 4));
    let failure = unheard.run().expect_err("nobody gives it one");
    assert!(failure.what.contains("that nobody holds"), "{failure}");
}

#[test]
fn what_is_reserved_for_an_older_want_goes_to_no_younger_one_past_a_request_in_between() {
    let language = Language::of(LOCK).word("read", RwCredit::READ);
    let language = language.word("write", LOCK.write());
    language.play(
        "
        tree T; A < T
        R at T: read
        O at A: write; settle               # T reserves for it what R left,
        W at T: write                       # and W is next
        Y at A: read
        O cancels                           # A wants a share for Y, and nothing for O any more;
        deliver A -> T                      # T has heard of the first of these only
        expect A borrows nothing
        settle; expect Y waits
        R releases; settle; expect W holds, Y waits
        W releases; settle; expect Y holds
    ",
    );
}

/// What is known to be weaker: T takes W for served, until A asks again.
#[test]
fn a_grant_that_crosses_a_return_of_its_node_costs_a_request_its_place_for_a_round_trip() {
    let language = Language::of(LOCK).word("read", RwCredit::READ);
    let language = language.word("write", LOCK.write());
    language.play(
        "
        tree T; A < T; A caches write
        R at A: read
        O at T: read                        # T asks A for a share
        W at A: write                       # waits for R, and nobody above knows of it
        deliver T -> A                      # A returns a share, and asks for it again, for W
        P at T: read older than W           # T asks A for another one
        deliver A -> T; expect O holds
        deliver A -> T                      # now T knows of W
        O releases; expect P holds          # and does not need the other share any more
        deliver T -> A                      # which A returns
        P releases                          # T gives W what O and P had: all that W lacked
        deliver A -> T                      # but for the share that comes now
        Y at T: read
        expect Y holds, W waits
        settle
        Z at T: read; expect Z waits        # W is known again
        R and Y release; settle
        expect W holds, Z waits
        W releases; settle; expect Z holds, granted Y then W then Z
    ",
    );
}
