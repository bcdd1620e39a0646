//! Two lenders, two debtors, one resource, and the views that move it.
//!
//! What is here besides the owners is what they rest on, in its plainest form: sessions that deliver in order and once, a
//! reader that waits where it meets a later epoch than its own, reports, and copies of books. No time passes: a step says
//! that a lease is over, and may be taken only when nobody trusts it any more.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rm_core::access::Access;
use rm_core::book::{Book, Lessee, Opening};
use rm_core::credit::Credit as _;
use rm_core::effect::{Effect, Effects};
use rm_core::error::LostReason;
use rm_core::id::{Boot, Class, LoanId, NodeId, Order, Party, PeerId, ResourceKey, Stamp, Token};
use rm_core::message::Message;
use rm_core::owner::{Origin, Owner, Request, Settings};
use rm_core::policy::Policy;
use rm_core::resource::ResourceType as _;
use rm_core::time::Time;
use rm_rwlock::{RwCredit, RwLockType};

/// Lenders, and debtors.
pub(crate) const PAIR: usize = 2;
const NOW: Time = Time::from_nanos(1);
/// Stands for everybody when a book is lost.
const UNKNOWN: PeerId = PeerId(900);

/// What is explored.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The root of each epoch, from 1 on.
    pub(crate) roots: Vec<usize>,
    /// What each debtor's callers ask for, one after the other.
    pub(crate) asks: [Vec<RwCredit>; PAIR],
    /// Nodes may adopt a later view than the next.
    pub(crate) skips: bool,
    /// So many orphans may be lost.
    pub(crate) losses: u8,
    /// So many sessions may end.
    pub(crate) ends: u8,
    /// The first root dies with its book before the second view is there.
    pub(crate) death: bool,
    /// Debtors may return what is spare, once each.
    pub(crate) returns: bool,
    /// No hold may be lost.
    pub(crate) keeps_all: bool,
    pub(crate) policy: Policy,
}

pub(crate) fn capital() -> RwCredit {
    RwLockType::with_shares(2).capital(&ResourceKey::new(b"x").expect("a name"))
}

type Mail = (u32, Message<RwCredit>);

/// A book that a former root wrote down.
#[derive(Clone, Debug, Hash)]
struct Copy {
    version: u32,
    book: Book<RwCredit>,
}

#[derive(Clone, Debug, Hash)]
pub(crate) struct Lender {
    pub(crate) epoch: u32,
    pub(crate) owner: Option<Owner<RwLockType>>,
    /// The newest view in which its book was active.
    version: u32,
    copy: Option<Copy>,
    /// What it reported of each view that it adopted.
    reports: Vec<(u32, Option<Copy>)>,
}

#[derive(Clone, Debug, Hash)]
pub(crate) struct Debtor {
    pub(crate) epoch: u32,
    pub(crate) owner: Owner<RwLockType>,
    /// The next of its asks.
    next: usize,
    /// What is waited for or held.
    pub(crate) current: Option<(Token, bool)>,
    has_returned: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) plan: Arc<Plan>,
    pub(crate) lenders: [Lender; PAIR],
    pub(crate) debtors: [Debtor; PAIR],
    /// From debtor to lender, and back.
    up: [[VecDeque<Mail>; PAIR]; PAIR],
    down: [[VecDeque<Mail>; PAIR]; PAIR],
    /// How many sessions each pair has had.
    sessions: [[u64; PAIR]; PAIR],
    is_dead: bool,
    losses: u8,
    ends: u8,
    /// The largest token of a writer, and of anybody.
    pub(crate) tokens: (u64, u64),
}

/// The plan is the same for all.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.lenders, &self.debtors, &self.up, &self.down).hash(state);
        (
            self.sessions,
            self.is_dead,
            self.losses,
            self.ends,
            self.tokens,
        )
            .hash(state);
    }
}

/// One thing that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Acquire(usize),
    Release(usize),
    ReturnSpare(usize),
    Up(usize, usize),
    Down(usize, usize),
    LenderAdopts(usize, u32),
    DebtorAdopts(usize, u32),
    Activate(usize),
    /// The lease of a loan that is in a lender's book without a session is over.
    Expire(usize, PeerId),
    LoseOrphan(usize),
    EndSession(usize, usize),
    Die,
}

fn party(debtor: usize) -> Party {
    let node = NodeId(debtor as u64 + 1);
    Party {
        node,
        boot: Boot(0),
    }
}

fn settings(policy: Policy) -> Arc<Settings> {
    Arc::new(Settings::default().with_policy(policy))
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let lender = |index: usize| {
            let loan = LoanId::default();
            let root = || Owner::root(settings(plan.policy), capital(), 1, 0, loan);
            Lender {
                epoch: 1,
                owner: (index == plan.roots[0]).then(root),
                version: 1,
                copy: None,
                reports: Vec::new(),
            }
        };
        let mut world = Self {
            lenders: core::array::from_fn(lender),
            debtors: core::array::from_fn(|_| Debtor {
                epoch: 1,
                owner: Owner::debtor(settings(plan.policy), capital(), 0, LoanId::default()),
                next: 0,
                current: None,
                has_returned: false,
            }),
            up: Default::default(),
            down: Default::default(),
            sessions: [[0; PAIR]; PAIR],
            is_dead: false,
            losses: plan.losses,
            ends: plan.ends,
            tokens: (0, 0),
            plan: Arc::new(plan),
        };
        for debtor in 0..PAIR {
            world.connect(debtor);
        }
        world
    }

    pub(crate) fn root(&self, epoch: u32) -> usize {
        self.plan.roots[epoch as usize - 1]
    }

    /// A debtor's name for its session with a lender, and the lender's for the same.
    pub(crate) fn peers(&self, debtor: usize, lender: usize) -> (PeerId, PeerId) {
        let session = self.sessions[debtor][lender];
        (
            PeerId(100 + 10 * session + lender as u64),
            PeerId(500 + 10 * session + debtor as u64),
        )
    }

    pub(crate) fn last_epoch(&self) -> u32 {
        if self.plan.death && !self.is_dead {
            return 1;
        }
        self.plan.roots.len() as u32
    }

    fn is_member(&self, lender: usize, epoch: u32) -> bool {
        !(self.plan.death && lender == self.plan.roots[0] && epoch > 1)
    }

    /// Whether a debtor may still use what it has under that loan, or may come to.
    fn is_trusted(&self, debtor: usize, loan: LoanId, epoch: u32) -> bool {
        let Debtor {
            owner, epoch: own, ..
        } = &self.debtors[debtor];
        let has_it = owner.last_loan() == loan && !owner.borrowed().is_empty();
        *own < epoch || owner.is_orphan() || has_it
    }

    /// All that can happen now.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (index, debtor) in self.debtors.iter().enumerate() {
            match debtor.current {
                None if debtor.next < self.plan.asks[index].len() => {
                    steps.push(Step::Acquire(index));
                }
                Some((_, true)) => steps.push(Step::Release(index)),
                _ => {}
            }
            if self.plan.returns && !debtor.has_returned && !debtor.owner.cached().is_empty() {
                steps.push(Step::ReturnSpare(index));
            }
            if self.losses > 0 && debtor.owner.is_orphan() {
                steps.push(Step::LoseOrphan(index));
            }
            for epoch in self.next_epochs(debtor.epoch) {
                steps.push(Step::DebtorAdopts(index, epoch));
            }
            for lender in 0..PAIR {
                let is_for = |mail: Option<&Mail>, epoch| mail.is_some_and(|(e, _)| *e <= epoch);
                let alive = lender != self.plan.roots[0] || !self.is_dead;
                if is_for(self.up[index][lender].front(), self.lenders[lender].epoch) && alive {
                    steps.push(Step::Up(index, lender));
                }
                if is_for(self.down[index][lender].front(), debtor.epoch) {
                    steps.push(Step::Down(index, lender));
                }
                if self.ends > 0 && debtor.owner.creditor() == Some(self.peers(index, lender).0) {
                    steps.push(Step::EndSession(index, lender));
                }
            }
        }
        for lender in 0..PAIR {
            self.lender_steps(lender, &mut steps);
        }
        if self.plan.death && !self.is_dead {
            steps.push(Step::Die);
        }
        steps
    }

    fn next_epochs(&self, epoch: u32) -> impl Iterator<Item = u32> {
        let last = if self.plan.skips {
            self.last_epoch()
        } else {
            self.last_epoch().min(epoch + 1)
        };
        epoch + 1..=last
    }

    fn lender_steps(&self, index: usize, steps: &mut Vec<Step>) {
        if self.is_dead && index == self.plan.roots[0] {
            return;
        }
        let lender = &self.lenders[index];
        for epoch in self.next_epochs(lender.epoch) {
            steps.push(Step::LenderAdopts(index, epoch));
        }
        let Some(owner) = &lender.owner else {
            return;
        };
        let other = 1 - index;
        let has_reported = self.lenders[other]
            .reports
            .iter()
            .any(|(epoch, _)| *epoch == lender.epoch);
        if owner.is_gathering() && (has_reported || !self.is_member(other, lender.epoch)) {
            steps.push(Step::Activate(index));
        }
        for (peer, _) in owner.loans() {
            let may_end = if peer == UNKNOWN {
                let trusts =
                    |debtor: &Debtor| debtor.epoch < lender.epoch || debtor.owner.is_orphan();
                !self.debtors.iter().any(trusts)
            } else if peer.0 >= 1_000 {
                let debtor = (peer.0 / 1_000) as usize - 1;
                let loan = owner.loan_id(peer).expect("it has a name");
                !self.is_trusted(debtor, loan, lender.epoch)
            } else {
                false
            };
            if may_end {
                steps.push(Step::Expire(index, peer));
            }
        }
    }

    /// It happens.
    pub(crate) fn take(&mut self, step: Step) -> Result<(), String> {
        let mut fx = Effects::new();
        match step {
            Step::Acquire(index) => {
                let ask = self.plan.asks[index][self.debtors[index].next];
                let debtor = &mut self.debtors[index];
                let token = Token {
                    index: 0,
                    generation: debtor.next as u32,
                };
                let order = Order {
                    class: Class::New,
                    stamp: Stamp((debtor.next * PAIR + index) as u64 + 1),
                    party: party(index),
                    seq: debtor.next as u64,
                };
                debtor.next += 1;
                debtor.current = Some((token, false));
                let request = Request::new(token, order, ask);
                debtor.owner.acquire(NOW, request, &mut fx);
                self.of_debtor(index, &mut fx)?;
            }
            Step::Release(index) => {
                let debtor = &mut self.debtors[index];
                let (token, _) = debtor.current.take().expect("it holds");
                debtor.owner.release(NOW, token, &mut fx);
                self.of_debtor(index, &mut fx)?;
            }
            Step::ReturnSpare(index) => {
                let debtor = &mut self.debtors[index];
                debtor.has_returned = true;
                debtor.owner.return_spare(NOW, &mut fx);
                self.of_debtor(index, &mut fx)?;
            }
            Step::LoseOrphan(index) => {
                self.losses -= 1;
                let why = LostReason::LeaseExpired;
                self.debtors[index].owner.on_orphan_lost(NOW, why, &mut fx);
                self.of_debtor(index, &mut fx)?;
            }
            Step::Up(debtor, lender) => self.deliver_up(debtor, lender)?,
            Step::Down(debtor, lender) => self.deliver_down(debtor, lender)?,
            Step::LenderAdopts(index, epoch) => self.adopt(index, epoch)?,
            Step::DebtorAdopts(index, epoch) => {
                let debtor = &mut self.debtors[index];
                let is_next = epoch == debtor.epoch + 1;
                let before = core::mem::replace(&mut debtor.epoch, epoch);
                if is_next && self.root(before) == self.root(epoch) {
                    self.debtors[index].owner.on_view(epoch);
                } else {
                    self.debtors[index].owner.on_root_moved(NOW, &mut fx);
                    self.of_debtor(index, &mut fx)?;
                    self.connect(index);
                }
            }
            Step::Activate(index) => self.activate(index)?,
            Step::Expire(index, peer) => {
                let owner = self.lenders[index].owner.as_mut().expect("it has a book");
                owner.on_debtor_down(NOW, peer, &mut fx);
                self.of_lender(index, &mut fx);
            }
            Step::EndSession(debtor, lender) => self.end_session(debtor, lender)?,
            Step::Die => {
                self.is_dead = true;
                self.lenders[self.plan.roots[0]].owner = None;
            }
        }
        Ok(())
    }

    /// The debtor's session with the root of its view.
    fn connect(&mut self, debtor: usize) {
        let epoch = self.debtors[debtor].epoch;
        let (peer, _) = self.peers(debtor, self.root(epoch));
        let mut fx = Effects::new();
        let owner = &mut self.debtors[debtor].owner;
        owner.on_creditor_up(NOW, peer, epoch, &mut fx);
        self.of_debtor(debtor, &mut fx)
            .expect("a session grants nothing");
    }

    fn deliver_up(&mut self, debtor: usize, lender: usize) -> Result<(), String> {
        let (epoch, message) = self.up[debtor][lender].pop_front().expect("it is there");
        let (_, peer) = self.peers(debtor, lender);
        let origin = Origin {
            peer,
            party: party(debtor),
            epoch,
            may_have: Access::Exclusive,
        };
        let mut fx = Effects::new();
        // Who is not the root drops it.
        if let Some(owner) = &mut self.lenders[lender].owner {
            owner
                .on_message(NOW, origin, message, &mut fx)
                .map_err(|error| format!("lender {lender}: {error}"))?;
            self.of_lender(lender, &mut fx);
        }
        Ok(())
    }

    fn deliver_down(&mut self, debtor: usize, lender: usize) -> Result<(), String> {
        let (epoch, message) = self.down[debtor][lender].pop_front().expect("it is there");
        let origin = Origin {
            peer: self.peers(debtor, lender).0,
            party: Party::default(),
            epoch,
            may_have: Access::Exclusive,
        };
        let mut fx = Effects::new();
        let owner = &mut self.debtors[debtor].owner;
        owner
            .on_message(NOW, origin, message, &mut fx)
            .map_err(|error| format!("debtor {debtor}: {error}"))?;
        self.of_debtor(debtor, &mut fx)
    }

    /// A lender adopts a view, and says so to the other.
    fn adopt(&mut self, index: usize, epoch: u32) -> Result<(), String> {
        let root = self.root(epoch);
        let lender = &mut self.lenders[index];
        lender.epoch = epoch;
        let mut fx = Effects::new();
        if root == index {
            if let Some(owner) = &mut lender.owner {
                owner.on_epoch(NOW, epoch, &mut fx);
                lender.version = epoch;
                self.of_lender(index, &mut fx);
            } else {
                let (settings, loan) = (settings(self.plan.policy), LoanId::default());
                lender.owner = Some(Owner::gathering(settings, capital(), epoch, 0, loan));
            }
        } else if let Some(owner) = lender.owner.take().filter(|owner| !owner.is_gathering()) {
            let who = |peer: PeerId| Lessee::Party(party((peer.0 % 10) as usize));
            lender.copy = Some(Copy {
                version: lender.version,
                book: owner.book(who),
            });
        }
        let lender = &mut self.lenders[index];
        let copy = lender.copy.clone().filter(|_| root != index);
        lender.reports.push((epoch, copy));
        Ok(())
    }

    fn activate(&mut self, index: usize) -> Result<(), String> {
        let epoch = self.lenders[index].epoch;
        let reports = &self.lenders[1 - index].reports;
        let reported = reports.iter().find(|(of, _)| *of == epoch);
        let reported = reported.and_then(|(_, copy)| copy.clone());
        let is_member = self.is_member(1 - index, epoch);
        let own = self.lenders[index].copy.take();
        let best = [own, reported.filter(|_| is_member)];
        let best = best.into_iter().flatten().max_by_key(|copy| copy.version);
        let opening = match best {
            Some(copy) => {
                let mut count = 0;
                Opening::of_book(copy.book, |loan| {
                    count += 1;
                    let Lessee::Party(party) = loan.lessee else {
                        return UNKNOWN;
                    };
                    PeerId(party.node.0 * 1_000 + 10 * u64::from(epoch) + count)
                })
            }
            None => Opening::unknown(UNKNOWN, capital()),
        };
        let lender = &mut self.lenders[index];
        lender.version = epoch;
        let mut fx = Effects::new();
        let owner = lender.owner.as_mut().expect("it gathers");
        owner.activate(NOW, epoch, opening, &mut fx);
        self.of_lender(index, &mut fx);
        Ok(())
    }

    /// The debtor opens the next session with its creditor, which takes back what went over the former.
    fn end_session(&mut self, debtor: usize, lender: usize) -> Result<(), String> {
        self.ends -= 1;
        let (_, peer) = self.peers(debtor, lender);
        self.up[debtor][lender].clear();
        self.down[debtor][lender].clear();
        let mut fx = Effects::new();
        let why = LostReason::SessionEnded;
        self.debtors[debtor]
            .owner
            .on_creditor_down(NOW, why, &mut fx);
        self.of_debtor(debtor, &mut fx)?;
        if let Some(owner) = &mut self.lenders[lender].owner {
            owner.on_debtor_down(NOW, peer, &mut fx);
            self.of_lender(lender, &mut fx);
        }
        self.sessions[debtor][lender] += 1;
        self.connect(debtor);
        Ok(())
    }

    fn of_lender(&mut self, index: usize, fx: &mut Effects<RwLockType>) {
        let epoch = self.lenders[index].epoch;
        for effect in fx.drain() {
            let Effect::Send { to, message } = effect else {
                panic!("a lender has no callers: {effect:?}");
            };
            let debtor = (to.0 % 10) as usize;
            // A session that is over takes nothing more.
            if self.peers(debtor, index).1 == to {
                self.down[debtor][index].push_back((epoch, message));
            }
        }
    }

    fn of_debtor(&mut self, index: usize, fx: &mut Effects<RwLockType>) -> Result<(), String> {
        let epoch = self.debtors[index].epoch;
        for effect in fx.drain() {
            match effect {
                Effect::Send { to, message } => {
                    let lender = (to.0 % 10) as usize;
                    if self.peers(index, lender).0 == to {
                        self.up[index][lender].push_back((epoch, message));
                    }
                }
                Effect::Grant { token, fence } => {
                    self.debtors[index].current = Some((token, true));
                    self.on_token(fence)?;
                }
                Effect::Lost { .. } if self.plan.keeps_all => {
                    return Err("a hold was lost without need".into());
                }
                Effect::Lost { .. } => self.debtors[index].current = None,
                Effect::Deny { .. } => return Err("a request was denied".into()),
                Effect::Leaving | Effect::Wanted { .. } => {}
            }
        }
        Ok(())
    }
}
