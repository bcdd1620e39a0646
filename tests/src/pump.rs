//! A few owners in one thread, and the messages between them in the hands of the test.
//!
//! Nothing happens by itself: the test makes requests, and says when messages arrive, one by one
//! ([`Cluster::deliver`]) or all of them ([`Cluster::settle`], which counts them). Messages from one owner to
//! another arrive in the order in which they were sent, as over a session; those of different pairs in any order
//! that the test likes. Nothing is random.
//!
//! **Invariants**, asserted after every input and every delivery: each owner's own ([`Owner::check`]); each unit is
//! held, cached or under way exactly once; on each link what is lent is what is borrowed and what is under way;
//! no two holds in the cluster conflict.

use std::collections::VecDeque;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use rm_core::credit::{Credit, Level as _};
use rm_core::effect::{Effect, Effects};
use rm_core::error::{Denied, LostReason};
use rm_core::id::{Boot, Class, LoanId, NodeId, Order, Party, PeerId, ResourceKey, Stamp, Token};
use rm_core::message::Message;
use rm_core::owner::{Owner, Request, Settings};
use rm_core::policy::Policy;
use rm_core::resource::ResourceType;
use rm_core::time::Time;
use rm_core::value::{Value, WriteError};

/// The root of every cluster.
pub const ROOT: usize = 0;

/// More messages than any scenario needs: beyond it the owners talk in a circle.
const MESSAGES_MAX: usize = 10_000;

/// A request that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked(u32);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "for tests of this project only")]
pub enum Outcome {
    /// It waits.
    Waits,
    /// It was granted, with that fencing token.
    Holds(u64),
    /// It failed.
    Denied(Denied),
    /// It was released or cancelled.
    Over,
}

/// Where the credit of one owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "for tests of this project only")]
pub struct Books<C> {
    /// What it has of its creditor; at the root, the capital.
    pub borrowed: C,
    /// What is unused.
    pub cached: C,
    /// What its local requests hold.
    pub held: C,
    /// What its debtors have.
    pub lent: C,
}

/// A message under way.
#[derive(Debug)]
struct Mail<T: ResourceType> {
    from: usize,
    to: usize,
    message: Message<T::Credit, T::Level>,
}

/// A request, and where it was made.
#[derive(Debug)]
struct Ask {
    node: usize,
    outcome: Outcome,
}

/// Owners of one resource in a tree. Node 0 is the root, and each node's peer number is its index.
#[derive(Debug)]
pub struct Cluster<T: ResourceType> {
    owners: Vec<Owner<T>>,
    /// The creditor of each node but the root.
    creditors: Vec<usize>,
    capital: T::Credit,
    under_way: VecDeque<Mail<T>>,
    asks: Vec<Ask>,
    granted: Vec<Asked>,
    now: Time,
}

impl<T: ResourceType> Cluster<T> {
    /// A root with so many debtors.
    #[must_use]
    pub fn star(resource_type: &T, debtors: usize) -> Self {
        Self::new(resource_type, vec![ROOT; debtors])
    }

    /// A root, and below it so many owners in a row.
    #[must_use]
    pub fn chain(resource_type: &T, debtors: usize) -> Self {
        Self::new(resource_type, (0..debtors).collect())
    }

    /// The policy is `Exact`, so that credit can be counted.
    fn new(resource_type: &T, creditors: Vec<usize>) -> Self {
        let key = ResourceKey::new(b"x").expect("a good name");
        let capital = resource_type.capital(&key);
        let settings = Arc::new(Settings::default().with_policy(Policy::Exact));
        let loan = LoanId::default();
        let root = Owner::root(Arc::clone(&settings), capital.clone(), 1, 0, loan);
        let debtors = creditors.iter().map(|&creditor| {
            let mut owner = Owner::debtor(Arc::clone(&settings), capital.clone(), 0, loan);
            owner.on_creditor_up(Time::ZERO, PeerId(creditor as u64), &mut Effects::new());
            owner
        });
        Self {
            owners: iter::once(root).chain(debtors).collect(),
            creditors,
            capital,
            under_way: VecDeque::new(),
            asks: Vec::new(),
            granted: Vec::new(),
            now: Time::ZERO,
        }
    }

    /// Asks for credit at a node, and waits as long as it takes. Younger than every request before.
    pub fn acquire(&mut self, node: usize, ask: T::Level) -> Asked {
        self.ask(node, |request| request.ask = ask)
    }

    /// The same without waiting for holders and older requests.
    pub fn try_acquire(&mut self, node: usize, ask: T::Level) -> Asked {
        self.ask(node, |request| {
            request.ask = ask;
            request.try_only = true;
        })
    }

    /// The same for so long at most.
    pub fn acquire_within(&mut self, node: usize, ask: T::Level, patience: Duration) -> Asked {
        let deadline = self.now.after(patience);
        self.ask(node, |request| {
            request.ask = ask;
            request.deadline = Some(deadline);
        })
    }

    fn ask(&mut self, node: usize, shape: impl FnOnce(&mut Request<T::Level>)) -> Asked {
        let number = u32::try_from(self.asks.len()).expect("few requests");
        let party = Party {
            node: NodeId(node as u64),
            boot: Boot(0),
        };
        let order = Order {
            class: Class::New,
            stamp: Stamp(u64::from(number)),
            party,
            seq: u64::from(number),
        };
        let nothing = T::Level::of(&T::Credit::empty());
        let mut request = Request::new(token(Asked(number)), order, nothing);
        shape(&mut request);
        let outcome = Outcome::Waits;
        self.asks.push(Ask { node, outcome });
        self.input(node, |owner, now, fx| owner.acquire(now, request, fx));
        Asked(number)
    }

    /// A holder is done.
    ///
    /// # Panics
    /// If it does not hold.
    #[track_caller]
    pub fn release(&mut self, asked: Asked) {
        assert!(self.holds(asked), "only a holder releases");
        let node = self.end(asked);
        self.input(node, |owner, now, fx| owner.release(now, token(asked), fx));
    }

    /// Who waits does not want it any more.
    ///
    /// # Panics
    /// If it does not wait.
    #[track_caller]
    pub fn cancel(&mut self, asked: Asked) {
        assert!(self.waits(asked), "only a request that waits is cancelled");
        let node = self.end(asked);
        self.input(node, |owner, now, fx| {
            assert!(owner.cancel(now, token(asked), fx), "it waited");
        });
    }

    fn end(&mut self, asked: Asked) -> usize {
        let ask = &mut self.asks[asked.0 as usize];
        ask.outcome = Outcome::Over;
        ask.node
    }

    /// A debtor sends back what nobody there uses or waits for.
    pub fn return_spare(&mut self, node: usize) {
        self.input(node, |owner, now, fx| owner.return_spare(now, fx));
    }

    /// A node stops: nothing is decided there any more.
    pub fn shut_down(&mut self, node: usize) {
        self.input(node, |owner, _, fx| owner.shut_down(fx));
    }

    /// A holder of everything writes the value.
    ///
    /// # Errors
    /// As the owner says.
    pub fn write_value(&mut self, asked: Asked, bytes: &[u8]) -> Result<(), WriteError> {
        let node = self.asks[asked.0 as usize].node;
        let mut written = Ok(());
        self.input(node, |owner, _, _| {
            written = owner.write_value(token(asked), bytes);
        });
        written
    }

    /// The value as a node knows it.
    #[must_use]
    pub fn value(&self, node: usize) -> Option<&Value> {
        self.owners[node].value().map(|value| &**value)
    }

    /// The session of a node with its creditor is over, with all that was under way: what it had is taken back. It
    /// has a new session at once.
    ///
    /// # Panics
    /// If it is the root.
    pub fn lose(&mut self, node: usize) {
        let creditor = self.creditors[node - 1];
        let is_on_link = |mail: &Mail<T>| {
            (mail.from, mail.to) == (node, creditor) || (mail.from, mail.to) == (creditor, node)
        };
        self.under_way.retain(|mail| !is_on_link(mail));
        // Both books before they are compared.
        let mut fx = Effects::new();
        self.owners[node].on_creditor_down(self.now, LostReason::LeaseExpired, &mut fx);
        self.apply(node, &mut fx);
        self.owners[creditor].on_debtor_down(self.now, PeerId(node as u64), &mut fx);
        self.apply(creditor, &mut fx);
        self.input(node, |owner, now, fx| {
            owner.on_creditor_up(now, PeerId(creditor as u64), fx);
        });
    }

    /// Time passes everywhere.
    pub fn advance(&mut self, span: Duration) {
        self.now = self.now.after(span);
        for node in 0..self.owners.len() {
            self.input(node, |owner, now, fx| owner.on_deadline(now, fx));
        }
    }

    /// The next message from one owner to another arrives.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn deliver(&mut self, from: usize, to: usize) {
        let is_next = |mail: &Mail<T>| mail.from == from && mail.to == to;
        let index = self.under_way.iter().position(is_next);
        let index = index.unwrap_or_else(|| panic!("nothing is under way from {from} to {to}"));
        self.arrive(index);
    }

    /// All messages arrive, and those sent because of them, until none is under way. Returns how many there were.
    ///
    /// # Panics
    /// If there is no end of them.
    #[track_caller]
    pub fn settle(&mut self) -> usize {
        for count in 0..MESSAGES_MAX {
            if self.under_way.is_empty() {
                return count;
            }
            self.arrive(0);
        }
        panic!(
            "no rest after {MESSAGES_MAX} messages: {:?}",
            self.under_way
        );
    }

    fn arrive(&mut self, index: usize) {
        let mail = self.under_way.remove(index).expect("it is under way");
        let from = PeerId(mail.from as u64);
        self.input(mail.to, |owner, now, fx| {
            let done = owner.on_message(now, from, mail.message, fx);
            done.expect("owners keep the rules");
        });
    }

    fn input(&mut self, node: usize, input: impl FnOnce(&mut Owner<T>, Time, &mut Effects<T>)) {
        let mut fx = Effects::new();
        input(&mut self.owners[node], self.now, &mut fx);
        self.apply(node, &mut fx);
        self.check();
    }

    fn apply(&mut self, node: usize, fx: &mut Effects<T>) {
        for effect in fx.drain() {
            match effect {
                Effect::Deny { token, why } => {
                    self.asks[token.index as usize].outcome = Outcome::Denied(why);
                }
                Effect::Grant { token, fence } => {
                    self.asks[token.index as usize].outcome = Outcome::Holds(fence);
                    self.granted.push(Asked(token.index));
                }
                Effect::Leaving | Effect::Wanted { .. } => {}
                Effect::Lost { token, .. } => {
                    self.asks[token.index as usize].outcome = Outcome::Over;
                }
                Effect::Send { to, message } => {
                    let (from, to) = (node, to.0 as usize);
                    self.under_way.push_back(Mail { from, to, message });
                }
            }
        }
    }

    /// What became of a request.
    #[must_use]
    pub fn outcome(&self, asked: Asked) -> &Outcome {
        &self.asks[asked.0 as usize].outcome
    }

    /// Whether it was granted and not released.
    #[must_use]
    pub fn holds(&self, asked: Asked) -> bool {
        matches!(self.outcome(asked), Outcome::Holds(_))
    }

    /// Whether it waits.
    #[must_use]
    pub fn waits(&self, asked: Asked) -> bool {
        *self.outcome(asked) == Outcome::Waits
    }

    /// Its fencing token.
    ///
    /// # Panics
    /// If it does not hold.
    #[must_use]
    #[track_caller]
    pub fn fence(&self, asked: Asked) -> u64 {
        match self.outcome(asked) {
            Outcome::Holds(fence) => *fence,
            other => panic!("it does not hold: {other:?}"),
        }
    }

    /// All that was granted, in the order in which it was.
    #[must_use]
    pub fn granted(&self) -> &[Asked] {
        &self.granted
    }

    /// How many nodes there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.owners.len()
    }

    /// Whether a node's creditor asks for something back that is still there.
    #[must_use]
    pub fn is_recalled(&self, node: usize) -> bool {
        self.owners[node].is_recalled()
    }

    /// Where the credit of one owner is.
    #[must_use]
    pub fn books(&self, node: usize) -> Books<T::Credit> {
        let owner = &self.owners[node];
        Books {
            borrowed: owner.borrowed().clone(),
            cached: owner.cached().clone(),
            held: total(owner.holds().map(|(_, hold)| &hold.credit)),
            lent: owner.lent().clone(),
        }
    }

    fn check(&self) {
        self.owners.iter().for_each(Owner::check);
        let here = self.owners.iter().map(Owner::cached);
        let under_way = self.under_way.iter().filter_map(Mail::credit);
        let all = total(here.chain(self.holds_of_all()).chain(under_way));
        assert_eq!(all, self.capital, "each unit is in exactly one place");
        for (index, &creditor) in self.creditors.iter().enumerate() {
            let debtor = index + 1;
            let peer = PeerId(debtor as u64);
            let loan = self.owners[creditor].loan(peer);
            let loan = loan.cloned().unwrap_or_else(T::Credit::empty);
            let on_link = |mail: &&Mail<T>| {
                (mail.from, mail.to) == (debtor, creditor)
                    || (mail.from, mail.to) == (creditor, debtor)
            };
            let under_way = self.under_way.iter().filter(on_link);
            let under_way = under_way.filter_map(Mail::credit);
            let borrowed = total(iter::once(self.owners[debtor].borrowed()).chain(under_way));
            assert_eq!(loan, borrowed, "the loan of node {debtor} is accounted for");
        }
        let holds: Vec<_> = self.holds_of_all().collect();
        for (index, one) in holds.iter().enumerate() {
            for other in &holds[..index] {
                let conflict = one.conflicts(other, &self.capital);
                assert!(!conflict, "{one:?} and {other:?} are held at once");
            }
        }
    }

    fn holds_of_all(&self) -> impl Iterator<Item = &T::Credit> {
        let holds = self.owners.iter().flat_map(Owner::holds);
        holds.map(|(_, hold)| &hold.credit)
    }
}

impl<T: ResourceType> Mail<T> {
    /// The credit that moves with it.
    const fn credit(&self) -> Option<&T::Credit> {
        match &self.message {
            Message::Grant(grant) => Some(&grant.delta),
            Message::Return { delta, .. } => Some(delta),
            Message::AskLimit { .. }
            | Message::Busy { .. }
            | Message::Deny { .. }
            | Message::Limit { .. }
            | Message::Recall { .. }
            | Message::Unwant { .. }
            | Message::Want(_) => None,
        }
    }
}

const fn token(asked: Asked) -> Token {
    Token {
        index: asked.0,
        generation: 0,
    }
}

fn total<'a, C: Credit>(parts: impl Iterator<Item = &'a C>) -> C {
    parts.fold(C::empty(), |sum, part| {
        sum.join(part).expect("parts of one capital are one credit")
    })
}
