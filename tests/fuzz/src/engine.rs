//! A root, two honest debtors of it, and a hostile one: owners of one RW lock, with the messages between them in the
//! hands of the fuzzer.
//!
//! Honest messages arrive in the order in which they were sent, as over a session; those of the hostile peer are
//! whatever the bytes make of them, and it may take what another one is due: names of loans, orders of requests. Where
//! the root says that it broke the rules its loan is taken back, as its lease would do, and another hostile peer comes.
//!
//! **Invariants**, asserted after every step: each owner's own (`Owner::check`); on each honest link, what is lent is
//! what is borrowed and what is under way; no two honest holds conflict, and none conflicts with what the books say that
//! the hostile one may use. And at the end, with the hostile one gone and all holders done: every honest request
//! was granted, and all credit can be had by one writer.
//!
//! A second play has an honest debtor below a hostile creditor. Nothing can be promised there but that its book stays
//! sound.

use core::num::NonZero;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use rm_core::credit::Credit as _;
use rm_core::effect::{Effect, Effects};
use rm_core::error::LostReason;
use rm_core::id::{Class, LoanId, Order, PeerId, Stamp, Token};
use rm_core::owner::{Owner, Request, Settings};
use rm_core::policy::Policy;
use rm_core::time::Time;
use rm_rwlock::{RwCredit, RwLockType};

use crate::hostile::{self, RwMessage};

/// Shares: few, so that they run out.
const SHARES: u64 = 4;

/// More steps than this show nothing new.
const STEPS_MAX: usize = 400;

/// More honest requests than this show nothing new.
const REQUESTS_MAX: usize = 24;

/// The root, as its debtors call it.
const ROOT: PeerId = PeerId(0);

/// The first hostile peer; the honest ones are 1 and 2.
const FIRST_HOSTILE: u64 = 10;

/// Plays what `bytes` say.
///
/// # Panics
/// Where an invariant does not hold.
pub fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    // What is left when the bytes are over is a play that ends there.
    if bytes.ratio(1, 8).unwrap_or_default() {
        let _ = below_a_hostile_creditor(&mut bytes);
        return;
    }
    let mut world = World::new(&mut bytes);
    let _ = world.play(&mut bytes);
    world.end();
}

type Node = usize;

struct Debtor {
    owner: Owner<RwLockType>,
    up: VecDeque<RwMessage>,
    down: VecDeque<RwMessage>,
    /// Requests that are not over, and whether they hold.
    requests: BTreeMap<Token, bool>,
}

struct World {
    root: Owner<RwLockType>,
    debtors: [Debtor; 2],
    hostile: PeerId,
    now: Time,
    asked: u32,
    fx: Effects<RwLockType>,
}

impl World {
    fn new(bytes: &mut Unstructured<'_>) -> Self {
        let parts = NonZero::new(2).expect("not zero");
        let policies = [
            Policy::Exact,
            Policy::Slice(parts),
            Policy::Max,
            Policy::Adaptive(parts),
        ];
        let policy = bytes.choose(&policies).copied().unwrap_or(Policy::Exact);
        let capital = RwLockType::with_shares(SHARES).write();
        let settings = |node: u64| {
            let settings = Settings::default().with_policy(policy);
            Arc::new(settings.with_party(hostile::party(node), "honest"))
        };
        let debtor = |node| {
            let mut owner = Owner::debtor(settings(node), capital, 0, LoanId::default());
            owner.on_creditor_up(Time::ZERO, ROOT, 0, &mut Effects::new());
            Debtor {
                owner,
                up: VecDeque::new(),
                down: VecDeque::new(),
                requests: BTreeMap::new(),
            }
        };
        Self {
            root: Owner::root(settings(0), capital, 1, 0, LoanId::default()),
            debtors: [debtor(1), debtor(2)],
            hostile: PeerId(FIRST_HOSTILE),
            now: Time::ZERO,
            asked: 0,
            fx: Effects::new(),
        }
    }

    fn play(&mut self, bytes: &mut Unstructured<'_>) -> Result<()> {
        for _ in 0..STEPS_MAX {
            if bytes.is_empty() {
                break;
            }
            let node = usize::from(bytes.arbitrary::<bool>()?);
            match bytes.int_in_range(0..=11)? {
                0 | 1 => self.acquire(node, bytes)?,
                2 => self.finish(node, bytes.arbitrary()?),
                3 | 4 => self.deliver_up(node),
                5 | 6 => self.deliver_down(node),
                7 => self.pass_time(Duration::from_millis(hostile::number(bytes)? % 2_000)),
                8 => self.silence(node, bytes.arbitrary()?),
                9 => {
                    self.debtors[node]
                        .owner
                        .return_spare(self.now, &mut self.fx);
                    self.settle_debtor(node);
                }
                _ => self.misbehave(bytes)?,
            }
            self.check();
        }
        Ok(())
    }

    fn acquire(&mut self, node: Node, bytes: &mut Unstructured<'_>) -> Result<()> {
        if self.asked as usize >= REQUESTS_MAX {
            return Ok(());
        }
        self.asked += 1;
        let ask = match bytes.int_in_range(0..=2)? {
            0 => RwCredit::READ,
            1 => RwCredit::UPGRADABLE,
            _ => *self.root.capital(),
        };
        let order = Order {
            class: Class::New,
            stamp: Stamp(u64::from(self.asked)),
            party: hostile::party(node as u64 + 1),
            seq: u64::from(self.asked),
        };
        let token = Token {
            index: self.asked,
            generation: 0,
        };
        let mut request = Request::new(token, order, ask);
        request.try_only = bytes.ratio(1, 6)?;
        let debtor = &mut self.debtors[node];
        debtor.requests.insert(token, false);
        debtor.owner.acquire(self.now, request, &mut self.fx);
        self.settle_debtor(node);
        Ok(())
    }

    /// One of the requests of a node is over: it lets go, or gives up.
    fn finish(&mut self, node: Node, which: u8) {
        let debtor = &mut self.debtors[node];
        let Some(nth) = usize::from(which).checked_rem(debtor.requests.len()) else {
            return;
        };
        let (&token, &holds) = debtor.requests.iter().nth(nth).expect("it is one of them");
        debtor.requests.remove(&token);
        if holds {
            debtor.owner.release(self.now, token, &mut self.fx);
        } else {
            debtor.owner.cancel(self.now, token, &mut self.fx);
        }
        self.settle_debtor(node);
    }

    fn deliver_up(&mut self, node: Node) {
        let Some(message) = self.debtors[node].up.pop_front() else {
            return;
        };
        let peer = PeerId(node as u64 + 1);
        let outcome = self.root.on_message(self.now, peer, message, &mut self.fx);
        outcome.expect("an honest debtor breaks no rule");
        self.settle_root();
    }

    fn deliver_down(&mut self, node: Node) {
        let debtor = &mut self.debtors[node];
        let Some(message) = debtor.down.pop_front() else {
            return;
        };
        let outcome = debtor
            .owner
            .on_message(self.now, ROOT, message, &mut self.fx);
        outcome.expect("an honest root breaks no rule");
        self.settle_debtor(node);
    }

    fn pass_time(&mut self, span: Duration) {
        self.now = self.now.after(span);
        self.root.on_deadline(self.now, &mut self.fx);
        self.settle_root();
        for node in 0..self.debtors.len() {
            self.debtors[node].owner.on_deadline(self.now, &mut self.fx);
            self.settle_debtor(node);
        }
    }

    fn silence(&mut self, node: Node, is_silent: bool) {
        let peer = [PeerId(node as u64 + 1), self.hostile][usize::from(is_silent)];
        self.root.on_debtor_silent(self.now, peer, &mut self.fx);
        self.settle_root();
        self.check();
        self.root.on_debtor_heard(self.now, peer, &mut self.fx);
        self.settle_root();
    }

    fn misbehave(&mut self, bytes: &mut Unstructured<'_>) -> Result<()> {
        let message = match bytes.int_in_range(0..=7)? {
            // What only a creditor says.
            0 => hostile::downward(bytes)?,
            // Some or all of what it has, by its right name; or more.
            1 | 2 => match (
                self.root.loan_id(self.hostile),
                self.root.loan(self.hostile),
            ) {
                (Some(loan), Some(&all)) => RwMessage::Return {
                    loan,
                    delta: match bytes.int_in_range(0..=2)? {
                        0 => all,
                        1 => all.meet(&RwCredit::READ),
                        _ => all.join(&RwCredit::READ).unwrap_or(all),
                    },
                    fence: hostile::number(bytes)?,
                    value: None,
                    colour: None,
                },
                _ => hostile::upward(bytes)?,
            },
            3 => {
                let peer = self.hostile;
                self.hostile = PeerId(peer.0 + 1);
                self.root.on_debtor_down(self.now, peer, &mut self.fx);
                self.settle_root();
                return Ok(());
            }
            _ => hostile::upward(bytes)?,
        };
        let outcome = self
            .root
            .on_message(self.now, self.hostile, message, &mut self.fx);
        self.settle_root();
        if outcome.is_err() {
            self.check();
            let peer = self.hostile;
            self.hostile = PeerId(peer.0 + 1);
            self.root.on_debtor_down(self.now, peer, &mut self.fx);
            self.settle_root();
        }
        Ok(())
    }

    fn settle_root(&mut self) {
        for effect in self.fx.drain() {
            let Effect::Send { to, message } = effect else {
                continue;
            };
            match to.0 {
                1 | 2 => self.debtors[to.0 as usize - 1].down.push_back(message),
                // It may do with it what it likes.
                _ => {}
            }
        }
    }

    fn settle_debtor(&mut self, node: Node) {
        let debtor = &mut self.debtors[node];
        for effect in self.fx.drain() {
            match effect {
                Effect::Grant { token, .. } => {
                    debtor.requests.insert(token, true);
                }
                Effect::Deny { token, .. } => {
                    debtor.requests.remove(&token);
                }
                Effect::Lost { .. } => panic!("nobody loses what no one took"),
                Effect::Send { to, message } => {
                    assert_eq!(to, ROOT, "a debtor speaks to its creditor");
                    debtor.up.push_back(message);
                }
                Effect::Leaving | Effect::Wanted { .. } => {}
            }
        }
    }

    fn check(&self) {
        self.root.check();
        let capital = *self.root.capital();
        let mut holds = Vec::new();
        for (index, debtor) in self.debtors.iter().enumerate() {
            debtor.owner.check();
            let mut all = *debtor.owner.borrowed();
            let mail = debtor.up.iter().chain(&debtor.down);
            for under_way in mail.filter_map(RwMessage::credit) {
                all = all.join(under_way).expect("no more than the capital");
            }
            let loan = self.root.loan(PeerId(index as u64 + 1));
            assert_eq!(
                all,
                loan.copied().unwrap_or_default(),
                "the loan of an honest debtor is accounted for"
            );
            holds.extend(debtor.owner.holds().map(|(_, hold)| hold.credit));
        }
        // Whatever the hostile one does with what it was lent: it is its own, and nobody else's.
        holds.extend(self.root.loan(self.hostile).copied());
        for (index, one) in holds.iter().enumerate() {
            for other in &holds[..index] {
                assert!(
                    !one.conflicts(other, &capital),
                    "{one:?} and {other:?} are held at once"
                );
            }
        }
    }

    /// The hostile one is gone, and everybody else comes to an end.
    fn end(&mut self) {
        self.root
            .on_debtor_down(self.now, self.hostile, &mut self.fx);
        self.settle_root();
        self.exhaust();
        for node in 0..self.debtors.len() {
            let left = &self.debtors[node].requests;
            assert!(left.is_empty(), "requests that nobody serves: {left:?}");
            self.debtors[node]
                .owner
                .return_spare(self.now, &mut self.fx);
            self.settle_debtor(node);
        }
        self.exhaust();
        assert_eq!(
            self.root.cached(),
            self.root.capital(),
            "all credit is home when nobody uses any"
        );
    }

    /// Delivers everything, and ends every hold, until nothing is left to do.
    fn exhaust(&mut self) {
        for _ in 0..10_000 {
            let busy = |debtor: &Debtor| !debtor.up.is_empty() || !debtor.down.is_empty();
            let Some(node) = self.debtors.iter().position(busy) else {
                let holder = |debtor: &Debtor| debtor.requests.values().any(|holds| *holds);
                let Some(node) = self.debtors.iter().position(holder) else {
                    return;
                };
                let debtor = &mut self.debtors[node];
                let token = debtor.requests.iter().find(|(_, holds)| **holds);
                let token = *token.expect("it has a holder").0;
                debtor.requests.remove(&token);
                debtor.owner.release(self.now, token, &mut self.fx);
                self.settle_debtor(node);
                continue;
            };
            self.deliver_up(node);
            self.deliver_down(node);
            self.check();
        }
        panic!("the owners talk in a circle");
    }
}

/// An honest debtor, whose creditor says what the bytes make of it.
fn below_a_hostile_creditor(bytes: &mut Unstructured<'_>) -> Result<()> {
    let capital = RwLockType::with_shares(SHARES).write();
    let settings = Settings::default().with_party(hostile::party(1), "honest");
    let mut owner = Owner::<RwLockType>::debtor(Arc::new(settings), capital, 0, LoanId::default());
    let mut fx = Effects::new();
    let mut now = Time::ZERO;
    let mut creditor = PeerId(FIRST_HOSTILE);
    owner.on_creditor_up(now, creditor, 0, &mut fx);
    let mut ours = BTreeMap::<Token, bool>::new();
    for step in 0..STEPS_MAX as u32 {
        if bytes.is_empty() {
            break;
        }
        now = now.after(Duration::from_millis(10));
        match bytes.int_in_range(0..=5)? {
            0 => {
                let ask = *bytes.choose(&[RwCredit::READ, RwCredit::UPGRADABLE, capital])?;
                let token = Token {
                    index: step,
                    generation: 1,
                };
                ours.insert(token, false);
                let order = Order {
                    class: Class::New,
                    stamp: Stamp(hostile::number(bytes)?),
                    party: hostile::party(1),
                    seq: u64::from(step),
                };
                owner.acquire(now, Request::new(token, order, ask), &mut fx);
            }
            1 => {
                if let Some((token, holds)) = ours.pop_first() {
                    if holds {
                        owner.release(now, token, &mut fx);
                    } else {
                        owner.cancel(now, token, &mut fx);
                    }
                }
            }
            2 => owner.on_deadline(now, &mut fx),
            _ => {
                let message = hostile::downward(bytes)?;
                if owner.on_message(now, creditor, message, &mut fx).is_err() {
                    owner.check();
                    owner.on_creditor_down(now, LostReason::LeaseExpired, &mut fx);
                    creditor = PeerId(creditor.0 + 1);
                    owner.on_creditor_up(now, creditor, 0, &mut fx);
                }
            }
        }
        for effect in fx.drain() {
            match effect {
                Effect::Grant { token, .. } => {
                    ours.insert(token, true);
                }
                Effect::Deny { token, .. } | Effect::Lost { token, .. } => {
                    ours.remove(&token);
                }
                Effect::Leaving | Effect::Send { .. } | Effect::Wanted { .. } => {}
            }
        }
        owner.check();
        let used = owner.holds().map(|(_, hold)| hold.credit);
        let used = used.fold(RwCredit::default(), |sum, one| {
            sum.join(&one).expect("no more than the capital")
        });
        assert!(
            owner.borrowed().covers(&used),
            "nobody holds what was not lent"
        );
    }
    Ok(())
}
