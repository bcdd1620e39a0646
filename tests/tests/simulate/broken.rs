//! Each check of the simulator refuses what it is there for: a type that breaks its promises, or a world that does.

use std::time::Duration;

use rm_core::credit::{Credit, Malformed};
use rm_core::id::{ResourceKey, TypeId};
use rm_core::policy::Policy;
use rm_core::resource::ResourceType;
use rm_core::testing::simulate::{Clients, Failure, Sabotage, Simulation, Span, Tree};
use rm_rwlock::{RwCredit, RwLockType};

use super::MS;

const LOCK: RwLockType = RwLockType::with_shares(1 << 20);

/// What is wrong with a type. `SOUND` is nothing.
const SOUND: u8 = 0;
const SAYS_ALL_CONFLICT: u8 = 1;
const NEVER_TICKS: u8 = 2;
const LOSES_CREDIT: u8 = 3;

/// Units of a semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Units<const FAULT: u8>(u64);

impl<const FAULT: u8> Credit for Units<FAULT> {
    fn empty() -> Self {
        Self(0)
    }
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
    fn join(&self, other: &Self) -> Option<Self> {
        let lost = u64::from(FAULT == LOSES_CREDIT && self.0 == 2 && other.0 == 1);
        self.0.checked_add(other.0).map(|sum| Self(sum - lost))
    }
    fn covers(&self, part: &Self) -> bool {
        self.0 >= part.0
    }
    fn meet(&self, other: &Self) -> Self {
        Self(self.0.min(other.0))
    }
    fn sup(&self, other: &Self) -> Self {
        Self(self.0.max(other.0))
    }
    fn less(&self, other: &Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
    fn raise(&self, other: &Self, capital: &Self) -> Self {
        Self(self.0.saturating_add(other.0).min(capital.0))
    }
    fn restrict(&self, to: &Self) -> Self {
        if to.is_empty() { Self(0) } else { *self }
    }
    fn conflicts(&self, other: &Self, capital: &Self) -> bool {
        let both = !self.is_empty() && !other.is_empty();
        both && (FAULT == SAYS_ALL_CONFLICT || self.0.saturating_add(other.0) > capital.0)
    }
    fn slice(&self, parts: u32) -> Self {
        Self(self.0 / u64::from(parts.max(1)))
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_le_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = bytes.try_into().map_err(|_| Malformed)?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Semaphore<const FAULT: u8>;

impl<const FAULT: u8> ResourceType for Semaphore<FAULT> {
    type Credit = Units<FAULT>;

    type Level = Units<FAULT>;

    const ID: TypeId = TypeId(2001);

    const NAME: &'static str = "units";

    fn capital(&self, _key: &ResourceKey) -> Units<FAULT> {
        Units(3)
    }

    fn ticks(ask: &Units<FAULT>, capital: &Units<FAULT>) -> bool {
        FAULT != NEVER_TICKS && ask.conflicts(ask, capital)
    }
}

/// Units of a type with that fault, in a world where nothing else is wrong.
fn units<const FAULT: u8>() -> Result<(), Failure> {
    // Where all are said to conflict, ask for what can be had at once.
    let most = if FAULT == SAYS_ALL_CONFLICT { 1 } else { 3 };
    let clients = Clients::at_leaves()
        .asking(move |random| Units(1 + random.below(most)))
        .thinking(Span::between(MS, 10 * MS))
        .holding(2 * MS);
    let simulation =
        Simulation::new(&Semaphore::<FAULT>, Tree::uniform(8, 2)).policy(Policy::Exact);
    simulation.clients(clients).seed(1).run().map(drop)
}

/// Readers and writers who cancel and try.
fn locks() -> Simulation<RwLockType> {
    let clients = Clients::everywhere()
        .asking(|random| match random.below(3) {
            0 => LOCK.write(),
            _ => RwCredit::READ,
        })
        .thinking(Span::between(MS, 10 * MS))
        .holding(Span::between(MS, 4 * MS))
        .trying(20)
        .cancelling(20, Span::between(MS, 5 * MS));
    let simulation = Simulation::new(&LOCK, Tree::uniform(8, 2)).clients(clients);
    simulation.until(100 * MS).seed(1)
}

/// What the first of the sabotaged runs that fails says. A message that nobody missed may be lost unnoticed.
fn failure_of(sabotage: impl Fn(u64) -> Sabotage) -> Failure {
    let mut runs = (1..200).map(|number| locks().sabotage(sabotage(number)).run());
    let failed = runs.find_map(Result::err);
    failed.expect("one of so many is missed")
}

#[track_caller]
fn assert_says(failure: &Failure, words: &[&str]) {
    let says = words.iter().any(|words| failure.what.contains(words));
    assert!(says, "it should say one of {words:?}: {failure}");
}

#[test]
fn a_sound_type_in_a_sound_world_passes() {
    units::<SOUND>().expect("nothing is wrong");
    locks().run().expect("nothing is wrong");
}

#[test]
fn a_type_that_says_conflict_where_the_credit_allows_both_is_refused() {
    let failure = units::<SAYS_ALL_CONFLICT>().expect_err("two hold one unit each");
    assert_says(&failure, &["two conflicting holds at once"]);
}

#[test]
fn a_type_that_does_not_tick_where_it_should_is_refused() {
    let failure = units::<NEVER_TICKS>().expect_err("two in a row have one token");
    assert_says(&failure, &["the token of this"]);
}

#[test]
fn a_type_that_loses_credit_is_refused() {
    let failure = units::<LOSES_CREDIT>().expect_err("2 and 1 are 2");
    assert_says(&failure, &["panic", "the books disagree", "adds up to"]);
}

#[test]
fn a_lost_grant_is_missed_in_the_books() {
    let failure = failure_of(|number| Sabotage::LoseMessage("Grant", number));
    assert_says(&failure, &["the books disagree"]);
}

#[test]
fn a_doubled_return_is_one_too_many() {
    let failure = failure_of(|number| Sabotage::DoubleMessage("Return", number));
    assert_says(&failure, &["the books disagree", "misbehaved"]);
}

#[test]
fn a_lost_want_leaves_somebody_waiting_beside_free_credit() {
    let failure = failure_of(|number| Sabotage::LoseMessage("Want", number));
    assert_says(&failure, &["all is quiet, and", "nothing more can happen"]);
}

#[test]
fn a_lost_recall_leaves_somebody_waiting_beside_free_credit() {
    let failure = failure_of(|number| Sabotage::LoseMessage("Recall", number));
    assert_says(&failure, &["all is quiet, and", "nothing more can happen"]);
}

#[test]
fn a_lost_unwant_leaves_a_request_that_is_over() {
    let failure = failure_of(|number| Sabotage::LoseMessage("Unwant", number));
    assert_says(&failure, &["all is over, and", "all is quiet, and"]);
}

#[test]
fn an_outcome_that_is_not_told_is_missed() {
    let failure = failure_of(Sabotage::LoseOutcome);
    let words = ["is still Waiting", "its owner knows nothing of it"];
    assert_says(&failure, &words);
}

#[test]
fn an_outcome_that_is_told_twice_is_one_too_many() {
    let failure = failure_of(Sabotage::DoubleOutcome);
    assert_says(&failure, &["which waits for none"]);
}

/// One reader after the other at a leaf, and a writer elsewhere.
fn readers_and_a_writer(leaves: usize) -> Simulation<RwLockType> {
    let readers = Clients::at(1)
        .each(3)
        .asking(|_| RwCredit::READ)
        .holding(Span::between(MS, 2 * MS));
    let writer = Clients::at(2).called("writer").starting(20 * MS).rounds(1);
    Simulation::new(&LOCK, Tree::star(leaves))
        .clients(readers)
        .clients(writer)
        .until(50 * MS)
        .seed(1)
}

#[test]
fn a_wait_above_its_bound_is_refused() {
    let bounded = |bound: Duration| readers_and_a_writer(2).bounding_wait("writer", bound).run();
    bounded(6 * MS).expect("a hold and two round trips");
    let failure = bounded(3 * MS).expect_err("there and back, twice, takes longer");
    assert_says(&failure, &["3ms is the most for a writer"]);
}

#[test]
fn a_run_without_end_is_refused() {
    let failure = locks().events_max(100).run().expect_err("it takes more");
    assert_says(&failure, &["no rest after 100 events"]);
}

#[test]
fn a_failure_says_how_to_see_it_again() {
    let run = || locks().sabotage(Sabotage::LoseMessage("Grant", 3)).run();
    let failure = run().expect_err("a grant is lost");
    let text = failure.to_string();
    assert!(
        text.contains("RM_SEED=1 cargo test broken::a_failure_says_how"),
        "{text}"
    );
    assert!(failure.trace.contains("takes from node") && failure.trace.contains("Grant"));
    assert_eq!(run().expect_err("it is the same run"), failure);
}

#[test]
fn the_same_seed_is_the_same_run_and_another_one_is_not() {
    let run = |seed| {
        locks()
            .seed(seed)
            .recording()
            .run()
            .expect("nothing is wrong")
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).history, run(8).history);
}

/// Writers who write the value, and readers.
fn values() -> Simulation<RwLockType> {
    let clients = Clients::everywhere()
        .asking(|random| match random.below(3) {
            0 => LOCK.write(),
            _ => RwCredit::READ,
        })
        .thinking(Span::between(MS, 10 * MS))
        .holding(Span::between(MS, 4 * MS))
        .writing(70);
    let simulation = Simulation::new(&LOCK, Tree::uniform(8, 2)).clients(clients);
    simulation.until(100 * MS).seed(1)
}

#[test]
fn a_value_that_is_lost_on_its_way_is_missed_by_the_next_holder() {
    values()
        .run()
        .expect("everybody reads what was written last");
    let failure = values().sabotage(Sabotage::LoseValue(3)).run();
    let failure = failure.expect_err("somebody reads what was written before");
    assert_says(&failure, &["was written last"]);
}

#[test]
fn a_holder_who_is_not_told_who_waits_is_found() {
    let run = |number| {
        let world = readers_and_a_writer(2);
        world.sabotage(Sabotage::LoseNotice(number)).run().err()
    };
    let failure = (1..5).find_map(run).expect("one of so many is missed");
    assert_says(&failure, &["was not told that"]);
}

/// A leaf has everything in its cache when the owner above it winds up.
fn a_middle_winds_up() -> Simulation<RwLockType> {
    let tree = Tree::star(2).with(1);
    let writer = Clients::at(3).rounds(1).holding(MS);
    Simulation::new(&LOCK, tree)
        .clients(writer)
        .winding_up(1, 20 * MS)
        .seed(1)
}

#[test]
fn an_owner_that_cannot_wind_up_is_found() {
    a_middle_winds_up().run().expect("all goes home");
    let deaf = a_middle_winds_up().sabotage(Sabotage::LoseMessage("Recall", 1));
    let failure = deaf
        .run()
        .expect_err("nobody else asks the leaf for what it has");
    assert_says(&failure, &["node 1 is not wound up"]);
}
