//! Owners among peers that say anything.
//!
//! Random well-typed messages from random peers go to one owner, in both directions, mixed with what correct
//! callers and a correct driver do. The numbers come from small pools, so that orders, versions and loans collide:
//! peers use each other's orders, and those of the owner's own requests. After every input:
//!
//! * the books agree ([`Owner::check`]), and no two local holds conflict;
//! * a message that was refused as misbehaviour has changed nothing;
//! * each local request has at most one outcome, and no effect speaks of one that is over;
//! * the exclusive tokens of a root rise, whatever numbers its debtors send;
//! * the lists are no longer than the limits say.
//!
//! Everything follows from the seed. A failure prints it; `RM_SEED=n` runs that seed alone, `RM_SEEDS=n` so many.

mod moves;
mod random;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rm_core::credit::{Colour, Credit};
use rm_core::effect::{Effect, Effects};
use rm_core::event::Event;
use rm_core::id::{Boot, Class, GroupId, LoanId, NodeId, Order, Party, PeerId, ResourceKey, Token};
use rm_core::message::{Blocker, BlockerKind, Grant, Message, Refusal, Step, Want};
use rm_core::owner::{Conversion, Owner, Request, STEPS_MAX, Settings};
use rm_core::policy::Policy;
use rm_core::resource::ResourceType;
use rm_core::time::Time;
use rm_rwlock::{RwCredit, RwLockType};

use self::random::Random;

/// Runs of each test, unless `RM_SEEDS` says otherwise.
const SEEDS: u64 = 200;
/// Inputs of one run.
const INPUTS: usize = 400;
/// The debtors there may be.
const DEBTORS: u64 = 3;
/// The requests a local caller has at once.
const CALLERS: u32 = 5;
/// How many wants of one debtor the owner lets wait.
const WANTS_MAX: usize = 3;
const SHARES: u64 = 4;

fn party(node: u64) -> Party {
    Party {
        node: NodeId(node),
        boot: Boot(0),
    }
}

fn capital() -> RwCredit {
    let key = ResourceKey::new(b"x").expect("a name");
    RwLockType::with_shares(SHARES).capital(&key)
}

/// What a caller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Converts,
    Holds,
    Waits,
}

/// What the owner is at first.
#[derive(Clone, Copy)]
enum Part {
    Debtor,
    Gathering,
    Root,
}

struct World {
    random: Random,
    owner: Owner<RwLockType>,
    now: Time,
    callers: BTreeMap<u32, (Token, Caller)>,
    /// The last generation of a token, or number of a creditor's session.
    next: u32,
    epoch: u32,
    /// The largest exclusive token so far.
    highest: u64,
}

impl World {
    fn new(seed: u64, part: Part) -> Self {
        let mut random = Random(seed);
        let policy = random.pick(&[
            Policy::adaptive(2),
            Policy::Exact,
            Policy::Max,
            Policy::slice(2),
        ]);
        let mut settings = Settings::default().with_policy(policy);
        settings.party = party(0);
        settings.wants_per_debtor_max = WANTS_MAX;
        let settings = Arc::new(settings);
        let (capital, loan) = (capital(), LoanId::default());
        let owner = match part {
            Part::Debtor => Owner::debtor(settings, capital, 0, loan),
            Part::Gathering => Owner::gathering(settings, capital, 1, 0, loan),
            Part::Root => Owner::root(settings, capital, 1, 0, loan),
        };
        Self {
            random,
            owner,
            now: Time::from_nanos(1),
            callers: BTreeMap::new(),
            next: 0,
            epoch: 1,
            highest: 0,
        }
    }

    fn run(&mut self) {
        for _ in 0..INPUTS {
            self.step();
        }
    }

    fn step(&mut self) {
        let event = match self.random.below(20) {
            0..12 => Some(self.message()),
            12..17 => self.local(),
            _ => Some(self.driver()),
        };
        let Some(event) = event else { return };
        let before = self.owner.clone();
        let mut fx = Effects::new();
        let described = format!("{event:?}");
        let merged = match event {
            Event::MergeHolds { from, .. } => Some(from),
            _ => None,
        };
        let outcome = self.owner.apply(self.now, event, &mut fx);
        if outcome.is_err() {
            assert_eq!(
                self.owner, before,
                "{described} was refused, and changed something"
            );
            assert!(fx.is_empty(), "{described} was refused, and had effects");
        }
        self.owner.check();
        if let Some(from) = merged.filter(|from| self.owner.hold(*from).is_none()) {
            self.callers.remove(&from.index);
        }
        for effect in fx.drain() {
            self.on_effect(&effect);
        }
        self.check();
    }

    /// Anything a peer may say.
    fn message(&mut self) -> Event<RwLockType> {
        let random = &mut self.random;
        let from = PeerId(random.below(DEBTORS));
        // Half of the time the loan there is.
        let loan = match random.below(4) {
            0 => LoanId {
                epoch: random.below(3) as u32,
                counter: random.below(4) as u32,
            },
            _ => self.owner.loan_id(from).unwrap_or(self.owner.last_loan()),
        };
        let order = random.order();
        let message = match random.below(14) {
            0 => Message::AskLimit { loan },
            1 => Message::Busy {
                order,
                blockers: blockers(random),
            },
            2 => Message::Deny {
                order,
                version: random.version(),
                why: random.pick(&[
                    Refusal::Busy,
                    Refusal::Deadline,
                    Refusal::Deadlock,
                    Refusal::Refused,
                    Refusal::ShuttingDown,
                ]),
                blockers: blockers(random),
            },
            3 | 4 => Message::Grant(Grant {
                loan,
                order,
                version: random.version(),
                delta: random.credit(),
                steps: steps(random),
                fence: random.fence(),
                limit: random.fence(),
                value: random.value(),
                colour: random.one_in(3).then_some(Colour(1)),
            }),
            5 => Message::Limit {
                loan,
                limit: random.fence(),
            },
            6 => Message::Recall {
                loan,
                steps: steps(random),
            },
            7 | 8 => Message::Return {
                loan,
                delta: random.credit(),
                fence: random.fence(),
                value: random.value(),
                colour: random.one_in(3).then_some(Colour(1)),
            },
            9 => Message::Unwant { order },
            10 | 11 => moves::message(random, loan, self.epoch),
            _ => Message::Want(Want {
                order,
                version: random.version(),
                level: random.credit(),
                try_only: random.one_in(3),
                deadline: random.one_in(3).then(|| random.span()),
                note: None,
            }),
        };
        // Mostly in the right direction.
        let from = match self.owner.creditor() {
            Some(creditor) if message.is_downward() != random.one_in(8) => creditor,
            _ => from,
        };
        Event::Message { from, message }
    }

    /// What a correct caller does.
    fn local(&mut self) -> Option<Event<RwLockType>> {
        let index = self.random.below(u64::from(CALLERS)) as u32;
        match self.callers.get(&index).copied() {
            None => Some(self.acquire(index)),
            Some((token, Caller::Waits)) => {
                self.callers.remove(&index);
                Some(Event::Cancel { token })
            }
            Some((token, Caller::Converts)) => {
                self.callers.insert(index, (token, Caller::Holds));
                Some(Event::Cancel { token })
            }
            Some((token, Caller::Holds)) => match self.random.below(7) {
                0 => {
                    let order = self.fresh_order(Class::Convert)?;
                    self.callers.insert(index, (token, Caller::Converts));
                    let to = self.random.to();
                    Some(Event::Convert(Conversion {
                        try_only: self.random.one_in(3),
                        deadline: self.deadline(),
                        ..Conversion::new(token, order, to)
                    }))
                }
                1 => {
                    let held = self.owner.hold(token).expect("it holds").asked();
                    let keep = held.meet(&self.random.ask());
                    Some(Event::Reduce { token, keep })
                }
                2 => {
                    let bytes = vec![1; self.random.pick(&[0, 8, 1024, 1025])].into();
                    Some(Event::WriteValue { token, bytes })
                }
                3 => self.split(token),
                4 => self.merge(token),
                _ => {
                    self.callers.remove(&index);
                    Some(Event::Release { token })
                }
            },
        }
    }

    /// Members of a group are neither split nor merged.
    fn split(&mut self, token: Token) -> Option<Event<RwLockType>> {
        let hold = self.owner.hold(token).expect("it holds");
        let free = (0..CALLERS).find(|index| !self.callers.contains_key(index));
        let index = free.filter(|_| hold.group().is_none())?;
        let part = hold.credit.meet(&self.random.ask());
        let new = self.token(index);
        self.callers.insert(index, (new, Caller::Holds));
        Some(Event::SplitHold { token, part, new })
    }

    fn merge(&mut self, into: Token) -> Option<Event<RwLockType>> {
        let mut others = self.callers.values();
        let is_other =
            |(token, caller): &&(Token, Caller)| *token != into && *caller == Caller::Holds;
        let (from, _) = *others.find(is_other)?;
        Some(Event::MergeHolds { into, from })
    }

    fn token(&mut self, index: u32) -> Token {
        self.next += 1;
        Token {
            index,
            generation: self.next,
        }
    }

    fn deadline(&mut self) -> Option<Time> {
        let has_one = self.random.one_in(3);
        has_one.then(|| self.now.after(self.random.span()))
    }

    fn acquire(&mut self, index: u32) -> Event<RwLockType> {
        let token = self.token(index);
        self.callers.insert(index, (token, Caller::Waits));
        let order = self.fresh_order(Class::New).expect("no caller has it");
        let ask = self.random.ask();
        Event::Acquire(Request {
            try_only: self.random.one_in(3),
            deadline: self.deadline(),
            group: self.random.one_in(3).then(|| GroupId(self.random.below(2))),
            gives_way: self.random.one_in(3).then(|| self.random.span()),
            ..Request::new(token, order, ask)
        })
    }

    /// An order that none of the owner's own requests has: a peer may well have used it.
    fn fresh_order(&mut self, class: Class) -> Option<Order> {
        (0..).find_map(|_| {
            let order = Order {
                class,
                party: party(0),
                seq: self.random.below(8),
                ..self.random.order()
            };
            let mut own = self.owner.waiting().filter(|w| w.token.is_some());
            // A member of a group may change its class.
            let is_other = |other: Order| Order { class, ..other } != order;
            own.all(|w| is_other(w.order)).then_some(order)
        })
    }

    /// What a correct driver does.
    fn driver(&mut self) -> Event<RwLockType> {
        if self.random.one_in(3) {
            return moves::driver(&mut self.random, &self.owner, self.epoch);
        }
        // Also one that stands for somebody absent.
        let peer = self.random.pick(&[0, 1, 2, moves::ABSENT]);
        let peer = PeerId(peer);
        match self.random.below(10) {
            0 if self.owner.creditor().is_some() => Event::CreditorDown,
            1 => Event::DebtorDown { peer },
            2 => Event::DebtorSilent { peer },
            3 => Event::DebtorHeard { peer },
            4 => Event::ReturnSpare,
            5 => {
                self.epoch += 1;
                Event::Epoch { epoch: self.epoch }
            }
            6..8 if !self.owner.is_root() && self.owner.creditor().is_none() => {
                self.next += 1;
                Event::CreditorUp {
                    peer: PeerId(DEBTORS + u64::from(self.next)),
                    epoch: self.epoch,
                }
            }
            8 if self.random.one_in(20) => Event::WindUp {
                order: Order {
                    class: Class::New,
                    ..self.random.order()
                },
            },
            _ => {
                self.now = self
                    .now
                    .after(Duration::from_millis(self.random.below(1_500)));
                Event::Deadline
            }
        }
    }

    fn on_effect(&mut self, effect: &Effect<RwLockType>) {
        match effect {
            Effect::Deny { token, .. } => {
                let caller = self.caller(*token);
                match caller {
                    Caller::Waits => {
                        self.callers.remove(&token.index);
                    }
                    Caller::Converts => {
                        self.callers.insert(token.index, (*token, Caller::Holds));
                    }
                    Caller::Holds => panic!("a holder was denied"),
                }
            }
            Effect::Grant { token, fence } => {
                let caller = self.caller(*token);
                assert_ne!(caller, Caller::Holds, "granted twice");
                self.callers.insert(token.index, (*token, Caller::Holds));
                self.on_token(*fence, caller);
            }
            Effect::Leaving => {}
            Effect::Wanted { token, .. } => {
                assert_ne!(self.caller(*token), Caller::Waits, "only a holder is told");
            }
            Effect::Lost { token, .. } => {
                assert_ne!(
                    self.caller(*token),
                    Caller::Waits,
                    "lost, but never granted"
                );
                self.callers.remove(&token.index);
            }
            Effect::Send { to, message } => {
                let down = Some(*to) != self.owner.creditor();
                // Credit that may not be taken goes back to whoever sent it.
                let is_back = matches!(message, Message::Return { .. }) && !self.owner.is_root();
                assert!(message.is_downward() == down || is_back);
                assert!(to.0 < moves::ABSENT, "nobody is there");
            }
        }
    }

    fn caller(&self, token: Token) -> Caller {
        let (of, caller) = self.callers[&token.index];
        assert_eq!(of, token, "an effect of a request that is over");
        caller
    }

    /// At a root a hostile debtor cannot move the clock back, nor past its limit.
    fn on_token(&mut self, fence: u64, caller: Caller) {
        assert_ne!(fence, 0, "no token is zero");
        if self.owner.is_root() && !fence.is_multiple_of(2) {
            // Who converts to less may keep its token.
            let may_be_its_own = caller == Caller::Converts && fence == self.highest;
            assert!(
                fence > self.highest || may_be_its_own,
                "{fence} after {}",
                self.highest
            );
            self.highest = fence;
        }
    }

    fn check(&self) {
        let holds: Vec<_> = self.owner.holds().collect();
        for (index, (_, one)) in holds.iter().enumerate() {
            for (_, other) in &holds[index + 1..] {
                assert!(!one.credit.conflicts(&other.credit, &capital()));
            }
        }
        let waiting = self.owner.waiting().len();
        assert!(waiting <= CALLERS as usize + DEBTORS as usize * WANTS_MAX);
        for (index, (token, caller)) in &self.callers {
            let waits = self.owner.waiting().any(|w| w.token == Some(*token));
            let holds = self.owner.hold(*token).is_some();
            let expected = match caller {
                Caller::Converts => (true, true),
                Caller::Holds => (false, true),
                Caller::Waits => (true, false),
            };
            assert_eq!((waits, holds), expected, "caller {index}: {caller:?}");
        }
        let owner = &self.owner;
        let idle = holds.is_empty() && waiting == 0 && owner.lent().is_empty();
        // A root keeps what only it knows.
        let is_valued = owner.value().is_some_and(|value| !value.bytes.is_empty());
        let is_settled =
            !owner.is_silent() && !owner.has_claim() && owner.next_deadline().is_none();
        let idle = idle && !is_valued && is_settled;
        if idle && (owner.is_root() || owner.borrowed().is_empty()) {
            assert!(
                owner.is_idle(),
                "debtors without loan or want are remembered"
            );
        }
    }
}

fn blockers(random: &mut Random) -> rm_core::message::Blockers {
    let blocker = Blocker {
        party: party(1),
        kind: BlockerKind::Holder,
        note: None,
    };
    (0..random.below(12)).map(|_| blocker.clone()).collect()
}

/// A register: mostly as a correct creditor sends it, in order.
fn steps(random: &mut Random) -> rm_core::message::Steps<RwCredit> {
    let count = match random.below(20) {
        0 => STEPS_MAX as u64 + 1,
        _ => random.below(4),
    };
    let mut steps: Vec<_> = (0..count)
        .map(|_| Step {
            order: random.order(),
            keep: random.credit(),
            try_only: random.one_in(3),
            whole: random.one_in(2),
            note: None,
        })
        .collect();
    if !random.one_in(10) {
        steps.sort_by_key(|step| step.order);
        steps.dedup_by_key(|step| step.order);
    }
    steps.into()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the seed to replay comes from the environment"
)]
fn seeds() -> std::ops::Range<u64> {
    let number = |name| -> Option<u64> {
        let text = std::env::var(name).ok()?;
        Some(
            text.parse()
                .expect("RM_SEED and RM_SEEDS are whole numbers"),
        )
    };
    match number("RM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RM_SEEDS").unwrap_or(SEEDS),
    }
}

/// Says which seed was running, if it fails.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with RM_SEED={}", self.0);
        }
    }
}

#[test]
fn a_root_keeps_its_books_whatever_its_debtors_say() {
    for seed in seeds() {
        let _replay = Replay(seed);
        World::new(seed, Part::Root).run();
    }
}

#[test]
fn a_debtor_keeps_its_books_whatever_its_creditor_and_its_debtors_say() {
    for seed in seeds() {
        let _replay = Replay(seed);
        World::new(seed, Part::Debtor).run();
    }
}

#[test]
fn a_root_that_takes_over_keeps_its_books_whatever_anybody_claims() {
    for seed in seeds() {
        let _replay = Replay(seed);
        World::new(seed, Part::Gathering).run();
    }
}
