//! An owner of identifiers among peers that say anything.
//!
//! Random wants, grants, returns and recalls from random peers, mixed with what correct callers and a correct driver do:
//! groups, conversions, splits and merges, epochs, sessions that end. After every input the book agrees
//! ([`Owner::check`]), and a root has never given one identifier to two.
//!
//! Everything follows from the seed. A failure prints it; `RM_SEED=n` starts with that one, `RM_SEEDS=n` runs so many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rm_core::credit::{Credit, Level};
use rm_core::effect::{Effect, Effects};
use rm_core::event::Event;
use rm_core::id::{
    Class, GroupId, LoanId, NodeId, Order, Party, PeerId, ResourceKey, Stamp, Token, Version,
};
use rm_core::message::{Grant, Message, Step, Want};
use rm_core::owner::{Conversion, Owner, Request, Settings};
use rm_core::policy::Policy;
use rm_core::resource::ResourceType;
use rm_core::testing::random::Random;
use rm_core::time::Time;
use rm_types::id_range::{Count, IdRangeType, Ids};

/// Runs of each test, unless `RM_SEEDS` says otherwise.
const SEEDS: u64 = 100;
/// Inputs of one run.
const INPUTS: usize = 400;
const PEERS: u64 = 3;
const CALLERS: u32 = 5;
const GROUPS: u64 = 2;

struct World {
    random: Random,
    owner: Owner<IdRangeType>,
    now: Time,
    epoch: u32,
    next: u32,
    /// What each caller may use, and its group.
    holders: BTreeMap<Token, (Ids, Option<GroupId>)>,
    /// All that was ever given to anybody.
    given: Ids,
}

impl World {
    fn new(seed: u64, is_root: bool) -> Self {
        let settings = Settings::default().with_policy(Policy::slice(2));
        let settings = Arc::new(settings);
        let capital = IdRangeType::default().capital(&ResourceKey::new(b"x").expect("a name"));
        let owner = if is_root {
            Owner::root(settings, capital, 1, 0, LoanId::default())
        } else {
            Owner::debtor(settings, capital, 0, LoanId::default())
        };
        Self {
            random: Random::new(seed),
            owner,
            now: Time::from_nanos(1),
            epoch: 1,
            next: 0,
            holders: BTreeMap::new(),
            given: Ids::empty(),
        }
    }

    fn step(&mut self) {
        let event = match self.random.below(4) {
            0 => Some(self.message()),
            1 => Some(self.driver()),
            _ => self.local(),
        };
        let Some(event) = event else { return };
        let before = self.owner.clone();
        let mut fx = Effects::new();
        let outcome = self.owner.apply(self.now, event, &mut fx);
        assert!(
            outcome.is_ok() || self.owner == before,
            "refused, and changed"
        );
        self.owner.check();
        for effect in fx.drain() {
            match effect {
                Effect::Send {
                    message: Message::Grant(grant),
                    ..
                } => self.give(&grant.delta),
                Effect::Grant { token, .. } => self.on_grant(token),
                Effect::Lost { token, .. } => drop(self.holders.remove(&token)),
                _ => {}
            }
        }
        let owner = &self.owner;
        self.holders.retain(|token, _| owner.hold(*token).is_some());
    }

    /// Nobody had it before: at a root, which believes nobody.
    fn give(&mut self, ids: &Ids) {
        let again = self.given.meet(ids);
        let is_new = again.is_empty() || !self.owner.is_root();
        assert!(is_new, "{again:?} was given twice");
        self.given = self.given.sup(ids);
    }

    /// Members of a group may have the same.
    fn on_grant(&mut self, token: Token) {
        let hold = self.owner.hold(token).expect("granted");
        let (asked, group) = (hold.asked().clone(), hold.group());
        let kin = |(other, (_, theirs)): &(&Token, &(Ids, Option<GroupId>))| {
            **other == token || (group.is_some() && *theirs == group)
        };
        let kin = self.holders.iter().filter(kin);
        let had = kin.fold(Ids::empty(), |had, (_, (ids, _))| had.sup(ids));
        self.give(&asked.less(&had));
        self.holders.insert(token, (asked, group));
    }

    fn order(&mut self, class: Class, node: u64) -> Order {
        self.next += 1;
        Order {
            class,
            stamp: Stamp(self.random.below(9)),
            party: Party {
                node: NodeId(node),
                ..Party::default()
            },
            // Peers use each other's orders.
            seq: if node == 0 {
                u64::from(self.next)
            } else {
                self.random.below(3)
            },
        }
    }

    /// From one to more than an epoch has.
    fn count(&mut self) -> Count {
        let counts = [0, 1, 2, 5, 1 << 30, 1 << 31, 3 << 30, 1 << 32, u64::MAX];
        Count(counts[self.random.below(counts.len() as u64) as usize])
    }

    fn ids(&mut self) -> Ids {
        let start = self.random.below(9);
        Ids::range(start, start + self.random.below(4))
    }

    fn message(&mut self) -> Event<IdRangeType> {
        let order = self.order(Class::New, 1);
        let from = PeerId(self.random.below(PEERS));
        let loan = LoanId {
            epoch: self.random.below(3) as u32,
            counter: self.random.below(3) as u32,
        };
        let delta = self.ids();
        let up = match self.random.below(5) {
            0 => Message::Return {
                loan,
                delta: delta.clone(),
                fence: 9,
                value: None,
                colour: None,
            },
            1 => Message::Unwant { order },
            2 => Message::AskLimit { loan },
            _ => Message::Want(Want {
                order,
                version: Version(self.random.below(4)),
                level: self.count(),
                try_only: self.random.percent(20),
                deadline: None,
                note: None,
            }),
        };
        let Some(creditor) = self.owner.creditor().filter(|_| self.random.percent(60)) else {
            return Event::Message { from, message: up };
        };
        let step = Step {
            order,
            keep: self.ids(),
            try_only: self.random.percent(30),
            whole: self.random.percent(50),
            note: None,
        };
        let steps = core::iter::once(step).filter(|_| self.random.percent(50));
        let steps = steps.collect();
        let message = match self.random.below(3) {
            0 => Message::Recall { loan, steps },
            _ => Message::Grant(Grant {
                loan,
                order,
                version: Version(self.random.below(4)),
                delta,
                steps,
                fence: 4,
                limit: 100,
                value: None,
                colour: None,
            }),
        };
        Event::Message {
            from: creditor,
            message,
        }
    }

    fn driver(&mut self) -> Event<IdRangeType> {
        let peer = PeerId(self.random.below(PEERS));
        self.next += 1;
        match self.random.below(8) {
            0 => Event::DebtorDown { peer },
            1 => Event::DebtorSilent { peer },
            2 => Event::DebtorHeard { peer },
            3 => Event::ReturnSpare,
            4 if self.owner.needs_epoch() || self.random.percent(20) => {
                self.epoch += 1;
                Event::Epoch { epoch: self.epoch }
            }
            5 if self.owner.creditor().is_some() => Event::CreditorDown,
            6 if !self.owner.is_root() && self.owner.creditor().is_none() => Event::CreditorUp {
                peer: PeerId(PEERS + u64::from(self.next)),
                epoch: 0,
            },
            7 if self.random.percent(2) => Event::WindUp {
                order: self.order(Class::New, 0),
            },
            _ => {
                self.now = self.now.after(Duration::from_secs(1));
                Event::Deadline
            }
        }
    }

    fn local(&mut self) -> Option<Event<IdRangeType>> {
        let converts = |token| self.owner.waiting().any(|w| w.token == Some(token));
        let index = self.random.below(u64::from(CALLERS)) as u32;
        let waits = self.owner.waiting().filter_map(|w| w.token);
        let waits = waits.into_iter().find(|token| token.index == index);
        if let Some(token) = waits {
            return self.random.percent(50).then_some(Event::Cancel { token });
        }
        let held = self.holders.keys().find(|token| token.index == index);
        let Some(token) = held.copied() else {
            return Some(self.acquire(index));
        };
        let hold = self.owner.hold(token).expect("it holds");
        let (asked, is_alone) = (hold.asked().clone(), hold.group().is_none());
        let other = self.holders.keys().copied();
        let other = other
            .rev()
            .find(|other| *other != token && !converts(*other));
        match self.random.below(5) {
            0 => {
                let order = self.order(Class::Convert, 0);
                let conversion = Conversion {
                    try_only: self.random.percent(30),
                    deadline: self.random.percent(30).then_some(self.now),
                    ..Conversion::new(token, order, self.count())
                };
                Some(Event::Convert(conversion))
            }
            1 => Some(Event::Reduce {
                token,
                keep: Count(self.random.below(3)).draw(&asked),
            }),
            2 if is_alone => {
                let taken = |index: &u32| {
                    let waits = self.owner.waiting().filter_map(|w| w.token);
                    let mut tokens = self.holders.keys().copied().chain(waits);
                    tokens.any(|token| token.index == *index)
                };
                let index = (0..CALLERS).find(|index| !taken(index))?;
                let new = self.token(index);
                let part = Count(self.random.below(3)).draw(&asked);
                self.holders.insert(token, (asked.less(&part), None));
                self.holders.insert(new, (part.clone(), None));
                Some(Event::SplitHold { token, part, new })
            }
            3 => {
                let from = other?;
                let merges = is_alone && self.owner.hold(from)?.group().is_none();
                if merges {
                    let (theirs, _) = self.holders.remove(&from)?;
                    self.holders.insert(token, (asked.sup(&theirs), None));
                }
                Some(Event::MergeHolds { into: token, from })
            }
            _ => {
                self.holders.remove(&token);
                Some(Event::Release { token })
            }
        }
    }

    fn token(&mut self, index: u32) -> Token {
        self.next += 1;
        Token {
            index,
            generation: self.next,
        }
    }

    fn acquire(&mut self, index: u32) -> Event<IdRangeType> {
        let token = self.token(index);
        let order = self.order(Class::New, 0);
        let group = GroupId(self.random.below(GROUPS));
        Event::Acquire(Request {
            try_only: self.random.percent(20),
            group: self.random.percent(40).then_some(group),
            ..Request::new(token, order, self.count())
        })
    }
}

fn run(is_root: bool) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse());
    let number = |name| number(name).map(|number| number.expect("a whole number"));
    let (first, runs): (u64, u64) = match (number("RM_SEED"), number("RM_SEEDS")) {
        (Some(seed), runs) => (seed, runs.unwrap_or(1)),
        (None, runs) => (0, runs.unwrap_or(SEEDS)),
    };
    for seed in first..first + runs {
        println!("replay with RM_SEED={seed}");
        let mut world = World::new(seed, is_root);
        for _ in 0..INPUTS {
            world.step();
        }
    }
}

#[test]
fn a_root_gives_no_identifier_twice_whatever_its_debtors_say() {
    run(true);
}

#[test]
fn a_debtor_keeps_its_books_whatever_its_peers_say() {
    run(false);
}
