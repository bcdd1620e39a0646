//! A few owners in one thread, and the messages between them in the hands of the test.
//!
//! Nothing happens by itself: the test makes requests, and says when messages arrive, one by one
//! ([`Cluster::deliver`]) or all of them ([`Cluster::settle`], which counts them). Messages from one owner to
//! another arrive in the order in which they were sent, as over a session; those of different pairs in any order
//! that the test likes. Nothing is random. [`script`](crate::testing::script) says the same in words.
//!
//! **Invariants**, asserted after every input and every delivery: each owner's own ([`Owner::check`]); each unit is
//! held, cached or under way exactly once, unless it was [used up](crate::resource::Lending::UsedUp); on each link what is lent is what is borrowed and what is under way;
//! no two holds in the cluster conflict.

mod books;
mod outcome;

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

pub use self::books::Books;
pub use self::outcome::Outcome;
use crate::effect::{Effect, Effects};
use crate::error::{Denied, LostReason};
use crate::front::Patience;
use crate::id::{Boot, Class, GroupId, LoanId, NodeId, Note, Order, Party, PeerId, Stamp, Token};
use crate::message::Message;
use crate::owner::{Conversion, Owner, Request, Settings};
use crate::policy::Policy;
use crate::resource::ResourceType;
use crate::testing::any_key;
use crate::testing::explore::Tree;
use crate::time::Time;
use crate::value::{Value, WriteError};

/// The root of every cluster.
pub const ROOT: usize = 0;

/// More messages than any scenario needs: beyond it the owners talk in a circle.
const MESSAGES_MAX: usize = 10_000;

/// Requests are that far apart in age, so that others fit between them.
const AGE_STEP: u64 = 1 << 32;

/// A request that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked(u32);

/// How old a request is among all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "one order of all requests has no other places"
)]
pub enum Age {
    /// As old as that one: where they were made decides, then which was made first.
    AsOldAs(Asked),
    /// Older than that one, and younger than every request that was older than it.
    OlderThan(Asked),
    /// Younger than every request before.
    #[default]
    Youngest,
}

/// How a request is made, beside where and for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by the test")]
pub struct Options {
    /// How long it waits.
    pub patience: Patience,
    /// How old it is.
    pub age: Age,
    /// What those it is in the way of are told of it.
    pub label: Option<String>,
    /// Its group.
    pub group: Option<GroupId>,
    /// It gives up its hold within this time after somebody waits for it.
    pub gives_way: Option<Duration>,
}

/// A message under way.
#[derive(Clone, Debug)]
struct Mail<T: ResourceType> {
    from: usize,
    to: usize,
    message: Message<T::Credit, T::Level>,
}

/// A request, and where it was made.
#[derive(Clone, Debug)]
struct Entry {
    node: usize,
    order: Order,
    outcome: Outcome,
    /// Its last conversion, if there was one.
    conversion: Option<Outcome>,
    /// The last token it had.
    fence: Option<u64>,
    /// Who waits for what it holds, as it was told.
    told: Vec<Asked>,
}

/// Owners of one resource in a tree. Each node's peer number is its number in the tree.
#[derive(Clone, Debug)]
pub struct Cluster<T: ResourceType> {
    tree: Tree,
    owners: Vec<Owner<T>>,
    capital: T::Credit,
    under_way: VecDeque<Mail<T>>,
    entries: Vec<Entry>,
    granted: Vec<Asked>,
    /// Who has the order of each number, from 1 on.
    ordered: Vec<Asked>,
    /// How often each node was told that cached credit leaves.
    leaving: Vec<usize>,
    now: Time,
}

impl<T: ResourceType> Cluster<T> {
    /// Owners in that tree, of which only the root has anything.
    #[must_use]
    pub fn new(resource_type: &T, tree: Tree, policy: Policy) -> Self {
        let capital = resource_type.capital(&any_key());
        let loan = LoanId::default();
        let owners = (0..tree.len()).map(|node| {
            let settings = Settings::default().with_policy(policy);
            let settings = Arc::new(settings.with_party(party(node), tree.name(node)));
            if node == ROOT {
                return Owner::root(settings, capital.clone(), 1, 0, loan);
            }
            let creditor = PeerId(tree.creditor(node) as u64);
            let mut owner = Owner::debtor(settings, capital.clone(), 0, loan);
            owner.on_creditor_up(Time::ZERO, creditor, 0, &mut Effects::new());
            owner
        });
        Self {
            owners: owners.collect(),
            leaving: vec![0; tree.len()],
            tree,
            capital,
            under_way: VecDeque::new(),
            entries: Vec::new(),
            granted: Vec::new(),
            ordered: Vec::new(),
            now: Time::ZERO,
        }
    }

    /// A root with so many debtors, under the policy `Exact`, so that credit can be counted.
    #[must_use]
    pub fn star(resource_type: &T, debtors: usize) -> Self {
        Self::new(resource_type, Tree::star(debtors), Policy::Exact)
    }

    /// A root, and below it so many owners in a row, under the policy `Exact`.
    #[must_use]
    pub fn chain(resource_type: &T, debtors: usize) -> Self {
        Self::new(resource_type, Tree::chain(debtors), Policy::Exact)
    }

    /// Asks for credit at a node, and waits as long as it takes. Younger than every request before.
    pub fn acquire(&mut self, node: usize, ask: T::Level) -> Asked {
        self.request(node, ask, Options::default())
    }

    /// The same without waiting for holders and older requests.
    pub fn try_acquire(&mut self, node: usize, ask: T::Level) -> Asked {
        let patience = Patience::Try;
        let options = Options {
            patience,
            ..Options::default()
        };
        self.request(node, ask, options)
    }

    /// The same for so long at most.
    pub fn acquire_within(&mut self, node: usize, ask: T::Level, patience: Duration) -> Asked {
        let patience = Patience::AtMost(patience);
        let options = Options {
            patience,
            ..Options::default()
        };
        self.request(node, ask, options)
    }

    /// Asks for credit at a node.
    ///
    /// # Panics
    /// If none [can be older](Self::can_be_older) than the one that it is to be older than.
    pub fn request(&mut self, node: usize, ask: T::Level, options: Options) -> Asked {
        let Options {
            patience,
            age,
            label,
            group,
            gives_way,
        } = options;
        let asked = Asked(u32::try_from(self.entries.len()).expect("few requests"));
        let order = self.next_order(asked, node, Class::New, age);
        let mode = T::mode_name(&ask, &self.capital);
        let note = label.map(|label| Note::new(mode, &label, self.tree.name(node)));
        let request = Request {
            try_only: patience == Patience::Try,
            deadline: self.deadline(patience),
            note,
            group,
            gives_way,
            ..Request::new(token(asked), order, ask)
        };
        self.entries.push(Entry {
            node,
            order,
            outcome: Outcome::Waits,
            conversion: None,
            fence: None,
            told: Vec::new(),
        });
        self.input(node, |owner, now, fx| owner.acquire(now, request, fx));
        asked
    }

    const fn deadline(&self, patience: Patience) -> Option<Time> {
        match patience {
            Patience::AtMost(patience) => Some(self.now.after(patience)),
            Patience::Forever | Patience::Try => None,
        }
    }

    fn next_order(&mut self, asked: Asked, node: usize, class: Class, age: Age) -> Order {
        self.ordered.push(asked);
        let seq = self.ordered.len() as u64;
        let stamp = match age {
            Age::AsOldAs(other) => self.stamp(other),
            Age::OlderThan(other) => {
                assert!(self.can_be_older(other), "a request finds its place");
                let (upper, lower) = (self.stamp(other), self.stamp_before(other));
                lower + (upper - lower) / 2
            }
            Age::Youngest => seq * AGE_STEP,
        };
        Order {
            class,
            stamp: Stamp(stamp),
            party: party(node),
            seq,
        }
    }

    /// Whether one more request can be older than that one and younger than the next older: for 32 there is room.
    #[must_use]
    pub fn can_be_older(&self, than: Asked) -> bool {
        self.stamp(than) - self.stamp_before(than) > 1
    }

    fn stamp(&self, asked: Asked) -> u64 {
        self.entries[asked.0 as usize].order.stamp.0
    }

    /// Of the next older request.
    fn stamp_before(&self, asked: Asked) -> u64 {
        let stamps = self.entries.iter().map(|entry| entry.order.stamp.0);
        let older = stamps.filter(|&stamp| stamp < self.stamp(asked));
        older.max().unwrap_or(0)
    }

    /// A holder asks to hold something else, and keeps what it has until then.
    ///
    /// # Panics
    /// If it does not hold, or converts already.
    #[track_caller]
    pub fn convert(&mut self, asked: Asked, to: T::Level, patience: Patience) {
        assert!(self.holds(asked), "only a holder converts");
        assert!(!self.converts(asked), "a hold converts once at a time");
        let node = self.node(asked);
        let order = self.next_order(asked, node, Class::Convert, Age::Youngest);
        let conversion = Conversion {
            try_only: patience == Patience::Try,
            deadline: self.deadline(patience),
            ..Conversion::new(token(asked), order, to)
        };
        self.entries[asked.0 as usize].conversion = Some(Outcome::Waits);
        self.input(node, |owner, now, fx| owner.convert(now, conversion, fx));
    }

    /// A hold becomes a part of what it was.
    ///
    /// # Panics
    /// If it does not hold that much, or converts at the time.
    #[track_caller]
    pub fn reduce(&mut self, asked: Asked, keep: &T::Credit) {
        assert!(self.holds(asked), "only a holder is reduced");
        let mut fence = 0;
        self.input(self.node(asked), |owner, now, fx| {
            fence = owner.reduce(now, token(asked), keep, fx);
        });
        self.entries[asked.0 as usize].fence = Some(fence);
    }

    /// A holder is done, also with its conversion.
    ///
    /// # Panics
    /// If it does not hold.
    #[track_caller]
    pub fn release(&mut self, asked: Asked) {
        assert!(self.holds(asked), "only a holder releases");
        let converts = self.converts(asked);
        let entry = &mut self.entries[asked.0 as usize];
        entry.outcome = Outcome::Over;
        if converts {
            entry.conversion = Some(Outcome::Over);
        }
        self.input(self.node(asked), |owner, now, fx| {
            owner.release(now, token(asked), fx);
        });
    }

    /// Who waits does not want it any more: a request, or the conversion of a hold.
    ///
    /// # Panics
    /// If it does not wait.
    #[track_caller]
    pub fn cancel(&mut self, asked: Asked) {
        assert!(self.waits(asked), "only a request that waits is cancelled");
        let converts = self.converts(asked);
        let entry = &mut self.entries[asked.0 as usize];
        if converts {
            entry.conversion = Some(Outcome::Over);
        } else {
            entry.outcome = Outcome::Over;
        }
        self.input(self.node(asked), |owner, now, fx| {
            assert!(owner.cancel(now, token(asked), fx), "it waited");
        });
    }

    /// A debtor sends back what nobody there uses or waits for.
    pub fn return_spare(&mut self, node: usize) {
        self.input(node, |owner, now, fx| owner.return_spare(now, fx));
    }

    /// A node stops: nothing is decided there any more.
    pub fn shut_down(&mut self, node: usize) {
        self.input(node, |owner, _, fx| owner.shut_down(fx));
    }

    /// A node winds up. Younger than every request before, and older than the next.
    pub fn wind_up(&mut self, node: usize) {
        let order = Order {
            class: Class::New,
            stamp: Stamp(self.ordered.len() as u64 * AGE_STEP + AGE_STEP / 2),
            party: party(node),
            // No request has it.
            seq: u64::MAX,
        };
        self.input(node, |owner, now, fx| owner.wind_up(now, order, fx));
    }

    /// Whether a node has wound up: nothing is left there.
    #[must_use]
    pub fn is_wound_up(&self, node: usize) -> bool {
        self.owners[node].is_wound_up()
    }

    /// A holder of everything writes the value.
    ///
    /// # Errors
    /// As the owner says.
    pub fn write_value(&mut self, asked: Asked, bytes: &[u8]) -> Result<(), WriteError> {
        let mut written = Ok(());
        self.input(self.node(asked), |owner, _, _| {
            written = owner.write_value(token(asked), bytes);
        });
        written
    }

    /// The value as a node knows it.
    #[must_use]
    pub fn value(&self, node: usize) -> Option<&Value> {
        self.owners[node].value().map(|value| &**value)
    }

    /// The session of a node with its creditor is over, with all that was under way: what it had is taken back. So are
    /// those of the nodes below it, whose credit came the same way. Each has a new session at once.
    ///
    /// # Panics
    /// If it is the root.
    pub fn lose(&mut self, node: usize) {
        assert!(node != ROOT, "the root has no creditor");
        // A creditor has a smaller number than its debtors, so this is a list from the top down.
        let mut lost = vec![node];
        for below in node + 1..self.size() {
            if lost.contains(&self.tree.creditor(below)) {
                lost.push(below);
            }
        }
        // All books before they are compared.
        for &node in &lost {
            self.end_session(node);
        }
        for &node in &lost {
            let creditor = PeerId(self.tree.creditor(node) as u64);
            let mut fx = Effects::new();
            self.owners[node].on_creditor_up(self.now, creditor, 0, &mut fx);
            self.apply(node, &mut fx);
        }
        self.check();
    }

    fn end_session(&mut self, node: usize) {
        let creditor = self.tree.creditor(node);
        let is_on_link = |mail: &Mail<T>| {
            (mail.from, mail.to) == (node, creditor) || (mail.from, mail.to) == (creditor, node)
        };
        self.under_way.retain(|mail| !is_on_link(mail));
        let mut fx = Effects::new();
        self.owners[node].on_creditor_down(self.now, LostReason::LeaseExpired, &mut fx);
        self.apply(node, &mut fx);
        let peer = PeerId(node as u64);
        self.owners[creditor].on_debtor_down(self.now, peer, &mut fx);
        self.apply(creditor, &mut fx);
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

    /// All messages arrive that are under way now, those sent because of them not. Returns how many there were.
    pub fn deliver_all(&mut self) -> usize {
        let count = self.under_way.len();
        (0..count).for_each(|_| self.arrive(0));
        count
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
        panic!("no rest after {MESSAGES_MAX} messages:\n{self}");
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
                Effect::Deny { token, why } => self.on_deny(token, why),
                Effect::Grant { token, fence } => self.on_grant(token, fence),
                Effect::Leaving => self.leaving[node] += 1,
                Effect::Lost { token, why } => self.on_lost(token, why),
                Effect::Send { to, message } => {
                    let (from, to) = (node, to.0 as usize);
                    self.under_way.push_back(Mail { from, to, message });
                }
                Effect::Wanted { token, by } => {
                    // A wind-up is no request, and has no number among them.
                    let by = self.ordered.get(by.order.seq as usize - 1);
                    self.entries[token.index as usize].told.extend(by);
                }
            }
        }
    }

    fn on_grant(&mut self, token: Token, fence: u64) {
        let entry = &mut self.entries[token.index as usize];
        entry.outcome = Outcome::Holds;
        entry.fence = Some(fence);
        if entry.conversion == Some(Outcome::Waits) {
            entry.conversion = Some(Outcome::Holds);
        }
        self.granted.push(Asked(token.index));
    }

    fn on_deny(&mut self, token: Token, why: Denied) {
        let entry = &mut self.entries[token.index as usize];
        if entry.conversion == Some(Outcome::Waits) {
            entry.conversion = Some(Outcome::Denied(why));
        } else {
            entry.outcome = Outcome::Denied(why);
        }
    }

    /// A hold that is lost takes its conversion along.
    fn on_lost(&mut self, token: Token, why: LostReason) {
        let entry = &mut self.entries[token.index as usize];
        entry.outcome = Outcome::Lost(why);
        if entry.conversion == Some(Outcome::Waits) {
            entry.conversion = Some(Outcome::Lost(why));
        }
    }

    /// The tree that the owners are in.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    fn node(&self, asked: Asked) -> usize {
        self.entries[asked.0 as usize].node
    }

    /// How many nodes there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.owners.len()
    }

    /// How many messages are under way from one node to another.
    #[must_use]
    pub fn under_way(&self, from: usize, to: usize) -> usize {
        let on_way = |mail: &&Mail<T>| (mail.from, mail.to) == (from, to);
        self.under_way.iter().filter(on_way).count()
    }

    /// Whether a node's creditor asks for something back that is still there.
    #[must_use]
    pub fn is_recalled(&self, node: usize) -> bool {
        self.owners[node].is_recalled()
    }
}

const fn party(node: usize) -> Party {
    Party {
        node: NodeId(node as u64),
        boot: Boot(0),
    }
}

const fn token(asked: Asked) -> Token {
    Token {
        index: asked.0,
        generation: 0,
    }
}
