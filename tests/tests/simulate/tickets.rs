//! Tickets that are used up: a request asks for any so many, every epoch of the root has its own, and none is ever
//! given twice.

use std::array;
use std::collections::BTreeSet;

use rm_core::credit::{Credit, Level, Malformed};
use rm_core::id::{ResourceKey, TypeId};
use rm_core::policy::Policy;
use rm_core::resource::{Lending, ResourceType};
use rm_core::testing::history::What;
use rm_core::testing::simulate::{Clients, Simulation, Span};

use super::{MS, some_seeds, trees};

/// Each epoch has one word of tickets.
const EPOCHS: usize = 32;

/// A set of tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Tickets([u64; EPOCHS]);

impl Tickets {
    fn zip(&self, other: &Self, word: impl Fn(u64, u64) -> u64) -> Self {
        Self(array::from_fn(|index| word(self.0[index], other.0[index])))
    }
}

impl Credit for Tickets {
    fn empty() -> Self {
        Self([0; EPOCHS])
    }
    fn is_empty(&self) -> bool {
        *self == Self::empty()
    }
    fn join(&self, other: &Self) -> Option<Self> {
        self.meet(other).is_empty().then(|| self.sup(other))
    }
    fn covers(&self, part: &Self) -> bool {
        part.less(self).is_empty()
    }
    fn meet(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & b)
    }
    fn sup(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a | b)
    }
    fn less(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }
    fn raise(&self, other: &Self, capital: &Self) -> Self {
        self.sup(other).meet(capital)
    }
    fn restrict(&self, to: &Self) -> Self {
        self.meet(to)
    }
    fn conflicts(&self, other: &Self, _capital: &Self) -> bool {
        !self.meet(other).is_empty()
    }
    fn slice(&self, parts: u32) -> Self {
        Many(Many::of(self).0 / parts.max(1)).draw(self)
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.iter().flat_map(|word| word.to_le_bytes()));
    }
    fn decode(_: &[u8]) -> Result<Self, Malformed> {
        Err(Malformed)
    }
}

/// How many tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Many(u32);

impl Level<Tickets> for Many {
    fn of(credit: &Tickets) -> Self {
        Self(credit.0.iter().map(|word| word.count_ones()).sum())
    }
    fn is_zero(&self) -> bool {
        self.0 == 0
    }
    fn reaches(&self, other: &Self) -> bool {
        self.0 >= other.0
    }
    fn at_least(&self, other: &Self) -> Self {
        Self(self.0.max(other.0))
    }
    fn beyond(&self, other: &Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
    fn plus(&self, other: &Self, capital: &Tickets) -> Self {
        Self((self.0 + other.0).min(Self::of(capital).0))
    }
    fn only_where(&self, to: &Self) -> Self {
        Self(if to.0 == 0 { 0 } else { self.0 })
    }
    fn draw(&self, credit: &Tickets) -> Tickets {
        let mut left = self.0;
        Tickets(credit.0.map(|mut word| {
            let mut drawn = 0;
            while left > 0 && word > 0 {
                let lowest = word & word.wrapping_neg();
                (drawn, word, left) = (drawn | lowest, word & !lowest, left - 1);
            }
            drawn
        }))
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_le_bytes());
    }
    fn read(_: &[u8]) -> Result<Self, Malformed> {
        Err(Malformed)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Counter;

impl ResourceType for Counter {
    type Credit = Tickets;

    type Level = Many;

    const LENDING: Lending = Lending::UsedUp;

    const ID: TypeId = TypeId(2002);

    const NAME: &'static str = "tickets";

    fn capital(&self, _key: &ResourceKey) -> Tickets {
        Tickets([u64::MAX; EPOCHS])
    }

    fn opening(_capital: &Tickets, epoch: u32) -> Tickets {
        let mut words = [0; EPOCHS];
        words[epoch as usize % EPOCHS] = u64::MAX;
        Tickets(words)
    }

    fn runs_low(left: &Tickets, _opening: &Tickets) -> bool {
        Many::of(left).0 < 8
    }

    fn ticks(_held: &Tickets, _capital: &Tickets) -> bool {
        false
    }
}

#[test]
fn no_ticket_is_given_twice_however_many_epochs_the_root_enters() {
    let mut epochs = 0;
    for seed in some_seeds(1) {
        // `Max` would give all of an epoch to the first that asks.
        let policies = [Policy::Exact, Policy::slice(4)];
        for (tree, policy) in trees()
            .into_iter()
            .flat_map(|tree| policies.map(|policy| (tree.clone(), policy)))
        {
            let clients = Clients::everywhere()
                .asking(|random| Many(1 + random.below(4) as u32))
                .thinking(Span::between(MS, 20 * MS))
                .holding(Span::between(MS, 5 * MS))
                .rounds(12)
                .cancelling(10, Span::between(MS, 5 * MS))
                .returning_spare(10);
            let simulation = Simulation::new(&Counter, tree).policy(policy);
            let report = simulation.clients(clients).recording().seed(seed).run();
            let report = report.unwrap_or_else(|failure| panic!("{policy:?}: {failure}"));
            let mut given = Tickets::empty();
            for record in &report.history {
                if let What::Granted { credit, .. } = &record.what {
                    given = given.join(credit).expect("each ticket is given once");
                }
            }
            let words = given.0.iter().enumerate();
            let used: BTreeSet<_> = words.filter(|(_, word)| **word > 0).collect();
            epochs = epochs.max(used.len());
        }
    }
    assert!(
        epochs > 2,
        "one world goes through several epochs: {epochs}"
    );
}
