//! The explorer sees what is wrong, and shows it by a shortest run.

use super::*;
use crate::credit::{Credit, Malformed};
use crate::id::{ResourceKey, TypeId};
use crate::resource::Lending;

/// Units of a semaphore; with `STRICT`, two holds of any size are said to conflict, which no count prevents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Units<const STRICT: bool>(u64);

impl<const STRICT: bool> Credit for Units<STRICT> {
    fn empty() -> Self {
        Self(0)
    }
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
    fn join(&self, other: &Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
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
        both && (STRICT || self.0.saturating_add(other.0) > capital.0)
    }
    fn slice(&self, parts: u32) -> Self {
        Self(self.0 / u64::from(parts.max(1)))
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_le_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        bytes
            .try_into()
            .map(|bytes| Self(u64::from_le_bytes(bytes)))
            .map_err(|_| Malformed)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Semaphore<const STRICT: bool>;

impl<const STRICT: bool> ResourceType for Semaphore<STRICT> {
    type Credit = Units<STRICT>;
    type Level = Units<STRICT>;

    const ID: TypeId = TypeId(2000);

    const NAME: &'static str = "semaphore";

    fn capital(&self, _key: &ResourceKey) -> Units<STRICT> {
        Units(2)
    }
}

fn two_takers<const STRICT: bool>() -> Explorer<Semaphore<STRICT>> {
    let takes = |node| Client::at(node).acquire(Units(1)).release();
    Explorer::new(&Semaphore, Tree::star(2)).clients([takes(1), takes(2)])
}

#[test]
fn a_sound_world_has_no_violation_and_the_same_states_every_time() -> Result<(), Violation> {
    let (first, second) = (two_takers::<false>().run()?, two_takers::<false>().run()?);
    assert_eq!((first.runs, first.deepest), (2, 8));
    assert_eq!(
        (first.states, first.transitions),
        (second.states, second.transitions)
    );
    Ok(())
}

#[test]
fn fences_tell_more_states_apart() -> Result<(), Violation> {
    // Whether the cancelled hold was granted is told by the clock alone, once it is over.
    let takes_all = |node| Client::at(node).acquire(Units(2));
    let clients = || two_takers::<false>().client(takes_all(0).cancel());
    assert!(clients().with_fences().run()?.states > clients().run()?.states);
    Ok(())
}

#[test]
fn conflicting_holds_are_found_by_a_shortest_run() {
    let violation = two_takers::<true>()
        .run()
        .expect_err("both units are held at once");
    assert!(
        violation.what.starts_with("two conflicting holds at once"),
        "{violation}"
    );
    // Each asks, the root takes the want and the leaf takes the grant.
    assert_eq!(violation.steps, 6, "{violation}");
    assert!(
        violation
            .trace
            .contains("root takes from L1: Want level Units(1)"),
        "{violation}"
    );
}

#[test]
fn too_many_states_are_a_violation_and_not_a_silent_end() {
    let violation = two_takers::<false>()
        .states_max(5)
        .run()
        .expect_err("there are more");
    assert!(violation.what.contains("more than 5 states"), "{violation}");
    assert_eq!(violation.states, 6);
}

#[test]
#[should_panic(expected = "the script of client 2 does not release in the end")]
fn a_script_that_keeps_its_hold_is_refused() {
    let _ = two_takers::<false>().client(Client::at(0).acquire(Units(1)));
}

#[test]
#[should_panic(expected = "names each request once")]
fn a_listed_order_must_name_every_request() {
    let _ = two_takers::<false>()
        .orders(Orders::Listed(vec![vec![0, 0]]))
        .run();
}

/// Worlds in which owners are busy at the same time.
fn busy_worlds() -> [Explorer<Semaphore<false>>; 4] {
    let takes = |node, units| Client::at(node).acquire(Units(units)).release();
    let tries = |node, units| Client::at(node).try_acquire(Units(units)).release();
    let tree = Tree::root()
        .with("M", 0)
        .with("L1", 1)
        .with("L2", 1)
        .with("L3", 0);
    let three = Tree::star(3);
    let world = |tree: &Tree| Explorer::new(&Semaphore, tree.clone());
    [
        world(&three).clients([takes(1, 1), takes(2, 2), takes(3, 1)]),
        world(&three).clients([tries(1, 2), takes(2, 1).return_spare(), takes(0, 2)]),
        world(&tree).clients([takes(2, 2), takes(3, 1), takes(4, 1)]),
        world(&tree).clients([
            Client::at(2).acquire(Units(2)).cancel(),
            Client::at(1).acquire(Units(1)).convert(Units(2)).release(),
            tries(4, 1),
        ]),
    ]
}

#[test]
fn a_reduced_exploration_visits_every_quiet_state_in_fewer_states() -> Result<(), Violation> {
    for world in busy_worlds() {
        for policy in [Policy::Exact, Policy::Max] {
            let world = world.clone().policy(policy);
            let full = world.clone().reduction(Reduction::None).run()?;
            let reduced = world.run()?;
            assert_eq!(full.quiet, reduced.quiet, "{full}\n{reduced}");
            assert!(reduced.states < full.states, "{full}\n{reduced}");
        }
    }
    Ok(())
}

#[test]
fn a_reduced_exploration_visits_every_quiet_state_with_its_fences() -> Result<(), Violation> {
    for world in busy_worlds() {
        let world = world.with_fences();
        let full = world.clone().reduction(Reduction::None).run()?;
        let reduced = world.run()?;
        assert_eq!(full.quiet, reduced.quiet, "{full}\n{reduced}");
    }
    Ok(())
}

#[test]
fn what_an_unlawful_type_lets_happen_is_found_by_the_same_run() {
    let found = |reduction| {
        let explorer = two_takers::<true>().reduction(reduction);
        explorer.run().expect_err("both units are held at once")
    };
    assert_eq!(found(Reduction::None), found(Reduction::PersistentSets));
}

#[test]
fn merged_registers_leave_fewer_messages_and_break_nothing() -> Result<(), Violation> {
    for world in busy_worlds() {
        let full = world.clone().reduction(Reduction::None).run()?;
        let merged = world.with_merged_registers().run()?;
        assert_ne!(full.states, merged.states);
    }
    Ok(())
}

/// Units that are used up, of which every epoch has the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Quota;

impl ResourceType for Quota {
    type Credit = Units<false>;
    type Level = Units<false>;

    const LENDING: Lending = Lending::UsedUp;

    const ID: TypeId = TypeId(2001);

    const NAME: &'static str = "quota";

    fn capital(&self, _key: &ResourceKey) -> Units<false> {
        Units(2)
    }
}

#[test]
fn an_epoch_that_has_what_another_one_gave_away_is_found() {
    let takes = Client::at(1).acquire(Units(1)).release();
    let explorer = Explorer::new(&Quota, Tree::star(1));
    explorer
        .clone()
        .client(takes.clone())
        .run()
        .expect("one epoch is enough");
    let violation = explorer.clients([takes.clone(), takes]).run();
    let violation = violation.expect_err("the second epoch gives the same again");
    assert!(violation.what.contains("in two places"), "{violation}");
}
