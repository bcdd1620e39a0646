//! The event loop: owners, links and the agenda.
//!
//! An owner comes to be at the first input that reaches its node, so a node that has nothing to do with the
//! resource costs about a hundred bytes and no time.

use core::cmp::Ordering;
use core::fmt::Write as _;
use core::time::Duration;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use slab::Slab;

use super::act::{Act, Client};
use super::clients::{Clients, Place};
use super::fairness::Fairness;
use super::oracle::{Fault, Oracle};
use super::report::{Group, Report};
use super::windup::NO_CLIENT;
use super::{Found, Plan, Sabotage};
use crate::credit::Credit;
use crate::effect::{Effect, Effects};
use crate::id::{Boot, Class, LoanId, NodeId, Order, Party, PeerId, Stamp};
use crate::message::{Grant, Message};
use crate::owner::Owner;
use crate::resource::{Lending, ResourceType};
use crate::stamp::HybridClock;
use crate::testing::random::Random;
use crate::testing::words;
use crate::time::Time;

/// What the clocks that stamp requests show at the beginning, so that one may be behind.
const CLOCK_START: u64 = 1 << 60;

const FIRST_EPOCH: u32 = 1;

/// Something that will happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A client does something, unless it did something else since.
    Client { client: u32, turn: u32, act: Act },
    /// A deadline of requests at a node is over.
    Deadline { node: u32 },
    /// A node winds up.
    WindUp { node: u32 },
    /// A message arrives over the link between a debtor and its creditor.
    Deliver {
        debtor: u32,
        to_debtor: bool,
        mail: u32,
    },
}

/// When it will.
#[derive(Debug)]
struct Scheduled {
    at: u64,
    /// What was decided first happens first.
    sequence: u64,
    event: Event,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        // The agenda gives out the greatest.
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

/// What an input came from: how many messages in a row led to it, and whose doing the first was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause {
    pub(super) hops: u32,
    pub(super) group: u32,
}

/// A message under way.
#[derive(Debug)]
struct Mail<T: ResourceType> {
    message: Message<T::Credit, T::Level>,
    cause: Cause,
    /// The highest stamp that its sender had seen.
    stamp: Stamp,
}

/// One node, and its link to the creditor.
#[derive(Debug)]
pub(super) struct Node<T: ResourceType> {
    pub(super) owner: Option<Box<Owner<T>>>,
    /// The credit under way on the link, in both directions.
    pub(super) under_way: T::Credit,
    /// Nothing arrives over the link before: up, and down.
    clear: [u64; 2],
    clock: HybridClock,
    skew: u64,
    /// When its next deadline is on the agenda.
    timer: u64,
    pub(super) first_client: u32,
    /// When it last gave something back.
    pub(super) returned_at: Option<u64>,
    pub(super) debtors: u32,
}

/// One run.
pub(super) struct World<'a, T: ResourceType> {
    pub(super) plan: &'a Plan<T>,
    pub(super) now: u64,
    pub(super) event: u64,
    sequence: u64,
    agenda: BinaryHeap<Scheduled>,
    pub(super) nodes: Vec<Node<T>>,
    mail: Slab<Mail<T>>,
    pub(super) clients: Vec<Client<'a, T>>,
    pub(super) oracle: Oracle<T>,
    pub(super) fairness: Fairness,
    pub(super) report: Report<T::Credit>,
    pub(super) groups: Vec<(&'static str, Group)>,
    /// What links draw from.
    network: Random,
    /// What clients draw from.
    pub(super) choices: Random,
    /// What the root had to lend, in all epochs so far.
    pub(super) issued: T::Credit,
    /// What of it was used up, or left behind in an epoch.
    pub(super) gone: T::Credit,
    epoch: u32,
    /// Clients that wait or hold.
    pub(super) engaged: u32,
    /// Who asked last, if nobody else was there.
    pub(super) alone: Option<u32>,
    /// Outcomes so far.
    outcomes: u64,
    /// Messages with a value so far.
    values_sent: u64,
    /// The number of the last write of the value.
    pub(super) written: Option<u64>,
    /// The links that this event used, by their debtors.
    pub(super) used: Vec<u32>,
    /// After which event the whole was last summed up, and last looked at while all was quiet.
    pub(super) summed_at: u64,
    pub(super) looked_at: u64,
    trace_from: u64,
    trace: String,
}

impl<'a, T: ResourceType> World<'a, T> {
    pub(super) fn new(plan: &'a Plan<T>, seed: u64, trace_from: u64) -> Self {
        let mut random = Random::new(seed);
        let (network, choices) = (random.fork(), random.fork());
        let node = |debtors| Node {
            owner: None,
            under_way: T::Credit::empty(),
            clear: [0; 2],
            clock: HybridClock::default(),
            skew: CLOCK_START - plan.skew + random.below(2 * plan.skew + 1),
            timer: u64::MAX,
            first_client: 0,
            returned_at: None,
            debtors,
        };
        let mut world = Self {
            plan,
            now: 0,
            event: 0,
            sequence: 0,
            agenda: BinaryHeap::new(),
            nodes: plan.tree.debtors().into_iter().map(node).collect(),
            mail: Slab::new(),
            clients: Vec::new(),
            oracle: Oracle::new(plan.capital.clone()),
            fairness: Fairness::new(plan),
            report: Report {
                seed,
                events: 0,
                span: Duration::ZERO,
                messages: BTreeMap::new(),
                groups: BTreeMap::new(),
                bypasses: 0,
                bypass_age_max: Duration::ZERO,
                passed_max: 0,
                idle_max: Duration::ZERO,
                notices: 0,
                history: Vec::new(),
            },
            // What no client did.
            groups: vec![("deadlines", Group::default())],
            network,
            choices,
            issued: T::opening(&plan.capital, FIRST_EPOCH),
            gone: T::Credit::empty(),
            epoch: FIRST_EPOCH,
            engaged: 0,
            alone: None,
            outcomes: 0,
            values_sent: 0,
            written: None,
            used: Vec::new(),
            summed_at: 0,
            looked_at: 0,
            trace_from,
            trace: String::new(),
        };
        world.settle_clients();
        world.fairness.limit(world.clients.len());
        for &(node, at) in &plan.wind_ups {
            world.schedule(at, Event::WindUp { node });
        }
        world
    }

    /// Puts the clients in their places: those of one node in a row, as their tokens count from its first.
    fn settle_clients(&mut self) {
        let plan = self.plan;
        for (node, place) in self.nodes.iter_mut().enumerate() {
            place.first_client = self.clients.len() as u32;
            let is_here = |clients: &&Clients<T>| match clients.place {
                Place::Everywhere => true,
                Place::Leaves => place.debtors == 0,
                Place::Node(there) => there == node,
            };
            for kind in plan.clients.iter().filter(is_here) {
                let client = || Client::new(node as u32, kind);
                self.clients
                    .extend(core::iter::repeat_with(client).take(kind.each as usize));
            }
        }
        for client in 0..self.clients.len() {
            let start = self.clients[client].kind.start.draw(&mut self.choices);
            self.schedule_client(client, start, Act::Begin);
        }
    }

    pub(super) fn into_report(mut self) -> Report<T::Credit> {
        self.report.events = self.event;
        self.report.span = Duration::from_nanos(self.now);
        let used = |(_, group): &(&str, Group)| group.asked + group.messages > 0;
        self.report.groups = self.groups.into_iter().filter(used).collect();
        self.report.finish();
        self.report
    }

    pub(super) fn into_found(self, what: String) -> Found {
        Found {
            what,
            event: self.event,
            at: self.now,
            trace: self.trace,
        }
    }

    /// Lets everything happen, in order, until nothing more will.
    pub(super) fn run(&mut self) -> Result<(), Fault> {
        while let Some(Scheduled { at, event, .. }) = self.agenda.pop() {
            self.now = at;
            self.event += 1;
            if self.event > self.plan.events_max {
                return Err(Fault(format!(
                    "no rest after {} events",
                    self.plan.events_max
                )));
            }
            let acted = match event {
                Event::Client { client, turn, act } => self.act(client as usize, turn, act)?,
                Event::Deadline { node } => Some(self.on_deadline(node as usize)?),
                Event::WindUp { node } => Some(self.wind_up(node as usize)?),
                Event::Deliver {
                    debtor,
                    to_debtor,
                    mail,
                } => Some(self.deliver(debtor as usize, to_debtor, mail as usize)?),
            };
            if let Some(node) = acted {
                self.enter_epoch(node)?;
                self.check(node)?;
            }
        }
        self.check_end()?;
        self.check_history()
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.agenda.push(Scheduled {
            at,
            sequence: self.sequence,
            event,
        });
    }

    /// A client will do something, unless it does something else first.
    pub(super) fn schedule_client(&mut self, client: usize, after: u64, act: Act) {
        let event = Event::Client {
            client: client as u32,
            turn: self.clients[client].turn,
            act,
        };
        self.schedule(self.now.saturating_add(after), event);
    }

    fn on_deadline(&mut self, node: usize) -> Result<usize, Fault> {
        self.nodes[node].timer = u64::MAX;
        self.note(|_| format!("a deadline at node {node}"));
        let cause = Cause { hops: 0, group: 0 };
        self.input(node, cause, |owner, now, fx| owner.on_deadline(now, fx))?;
        Ok(node)
    }

    fn deliver(&mut self, debtor: usize, to_debtor: bool, mail: usize) -> Result<usize, Fault> {
        let creditor = self.plan.tree.creditor(debtor);
        let (from, to) = if to_debtor {
            (creditor, debtor)
        } else {
            (debtor, creditor)
        };
        let Mail {
            message,
            cause,
            stamp,
        } = self.mail.remove(mail);
        self.note(|world| {
            let message = world.in_words(&message);
            format!("node {to} takes from node {from}: {message}")
        });
        if let Some(credit) = message.credit() {
            let link = &mut self.nodes[debtor];
            link.under_way = link.under_way.less(credit);
        }
        self.used.push(debtor as u32);
        self.nodes[to].clock.observe(stamp);
        let peer = PeerId(from as u64);
        self.input(to, cause, |owner, now, fx| {
            owner.on_message(now, peer, message, fx)
        })?
        .map_err(|why| {
            Fault(format!(
                "node {to} says that node {from} misbehaved: it {why}"
            ))
        })?;
        Ok(to)
    }

    /// One input to the owner of a node, and all that it wants done.
    pub(super) fn input<R>(
        &mut self,
        node: usize,
        cause: Cause,
        input: impl FnOnce(&mut Owner<T>, Time, &mut Effects<T>) -> R,
    ) -> Result<R, Fault> {
        let now = Time::from_nanos(self.now);
        let plan = self.plan;
        let place = &mut self.nodes[node];
        let owner = place.owner.get_or_insert_with(|| new_owner(plan, node));
        let mut fx = Effects::new();
        let result = input(owner, now, &mut fx);
        if let Some(due) = owner.next_deadline()
            && due.as_nanos() < place.timer
        {
            place.timer = due.as_nanos();
            self.schedule(
                due.as_nanos().max(self.now),
                Event::Deadline { node: node as u32 },
            );
        }
        for effect in fx.drain() {
            match effect {
                Effect::Send { to, message } => {
                    self.send(node, to.0 as usize, cause, message)?;
                    continue;
                }
                Effect::Leaving => continue,
                Effect::Wanted { token, .. } => {
                    self.on_wanted(node, token)?;
                    continue;
                }
                Effect::Deny { .. } | Effect::Grant { .. } | Effect::Lost { .. } => {}
            }
            self.outcomes += 1;
            let told = match self.plan.sabotage {
                Some(Sabotage::LoseOutcome(number)) if number == self.outcomes => 0,
                Some(Sabotage::DoubleOutcome(number)) if number == self.outcomes => 2,
                _ => 1,
            };
            for _ in 0..told {
                self.tell(node, cause, &effect)?;
            }
        }
        Ok(result)
    }

    fn tell(&mut self, node: usize, cause: Cause, effect: &Effect<T>) -> Result<(), Fault> {
        match effect {
            Effect::Deny { token, why } => self.on_deny(node, *token, why),
            Effect::Grant { token, fence } => self.on_grant(node, *token, *fence, cause.hops),
            Effect::Lost { .. } => Err(Fault("a hold is lost though no session ended".into())),
            Effect::Leaving | Effect::Send { .. } | Effect::Wanted { .. } => Ok(()),
        }
    }

    fn send(
        &mut self,
        node: usize,
        to: usize,
        cause: Cause,
        mut message: Message<T::Credit, T::Level>,
    ) -> Result<(), Fault> {
        let tree = &self.plan.tree;
        let to_debtor = to != 0 && to < tree.len() && tree.creditor(to) == node;
        if !to_debtor && (node == 0 || tree.creditor(node) != to) {
            return Err(Fault(format!(
                "a message to node {to}, which is no neighbour"
            )));
        }
        let debtor = if to_debtor { to } else { node };
        self.note(|world| format!("    to node {to}: {}", world.in_words(&message)));
        self.used.push(debtor as u32);
        self.groups[cause.group as usize].1.messages += 1;
        if matches!(message, Message::Return { .. }) {
            self.nodes[node].returned_at = Some(self.now);
        }
        let name = message.name();
        let count = self.report.messages.entry(name).or_default();
        *count += 1;
        let copies = match self.plan.sabotage {
            Some(Sabotage::LoseMessage(lost, number)) if (lost, number) == (name, *count) => 0,
            Some(Sabotage::DoubleMessage(twice, number)) if (twice, number) == (name, *count) => 2,
            _ => 1,
        };
        if let Message::Grant(Grant { value, .. }) | Message::Return { value, .. } = &mut message {
            self.values_sent += u64::from(value.is_some());
            value.take_if(|_| self.plan.sabotage == Some(Sabotage::LoseValue(self.values_sent)));
        }
        let mut delay = self.plan.delay.draw(&mut self.network);
        let (stalls, span) = self.plan.stall;
        if self.network.one_in(stalls) && self.now <= self.plan.until {
            delay = delay.saturating_add(span.draw(&mut self.network));
        }
        let link = &mut self.nodes[debtor];
        let clear = &mut link.clear[usize::from(to_debtor)];
        let at = self.now.saturating_add(delay).max(*clear);
        *clear = at;
        if let Some(credit) = message.credit().filter(|_| copies > 0) {
            link.under_way = both(&link.under_way, credit)?;
        }
        for _ in 0..copies {
            let mail = self.mail.insert(Mail {
                message: message.clone(),
                cause: Cause {
                    hops: cause.hops + 1,
                    group: cause.group,
                },
                stamp: self.nodes[node].clock.highest(),
            });
            let event = Event::Deliver {
                debtor: debtor as u32,
                to_debtor,
                mail: mail as u32,
            };
            self.schedule(at, event);
        }
        Ok(())
    }

    /// A root whose numbers or credit run out enters the next epoch.
    fn enter_epoch(&mut self, node: usize) -> Result<(), Fault> {
        let place = &self.nodes[node];
        // The question is a walk over all debtors: one with many is asked it now and then.
        let is_due = self.event.is_multiple_of(1 + u64::from(place.debtors) / 64);
        let owner = place.owner.as_ref().filter(|_| is_due);
        let Some(owner) = owner.filter(|owner| owner.needs_epoch()) else {
            return Ok(());
        };
        self.epoch += 1;
        let epoch = self.epoch;
        if T::LENDING == Lending::UsedUp {
            let left_behind = owner.cached().clone();
            self.use_up(&left_behind)?;
            let opening = T::opening(&self.plan.capital, epoch);
            self.issued = both(&self.issued, &opening)?;
        }
        self.note(|_| format!("the root enters epoch {epoch}"));
        let cause = Cause { hops: 0, group: 0 };
        self.input(node, cause, |owner, now, fx| owner.on_epoch(now, epoch, fx))
    }

    /// Credit leaves the world, where a type says so of what a hold gives up.
    pub(super) fn use_up(&mut self, credit: &T::Credit) -> Result<(), Fault> {
        if T::LENDING == Lending::UsedUp {
            self.gone = both(&self.gone, credit)?;
        }
        Ok(())
    }

    /// The order of a request made now.
    pub(super) fn order(&mut self, client: usize, class: Class, round: u32) -> Order {
        let node = self.clients[client].node as usize;
        self.order_at(node, class, u64::from(round) << 32 | client as u64)
    }

    /// The order of something that happens now at a node.
    pub(super) fn order_at(&mut self, node: usize, class: Class, seq: u64) -> Order {
        let place = &mut self.nodes[node];
        let clock = Time::from_nanos(self.now.saturating_add(place.skew));
        Order {
            class,
            stamp: place.clock.next(clock),
            party: Party {
                node: NodeId(node as u64),
                boot: Boot(0),
            },
            seq,
        }
    }

    /// Whether no message is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.mail.is_empty()
    }

    pub(super) fn client_name(&self, client: usize) -> String {
        format!("client {client} at node {}", self.clients[client].node)
    }

    /// Puts down what happens, if this event is one of those that are wanted in words.
    pub(super) fn note(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.event >= self.trace_from {
            let text = what(self);
            let at = Duration::from_nanos(self.now);
            let _ = writeln!(self.trace, "  {:>6} {at:<12?} {text}", self.event);
        }
    }

    fn in_words(&self, message: &Message<T::Credit, T::Level>) -> String {
        words::of_message(message, &request_name)
    }
}

pub(super) fn both<C: Credit>(one: &C, other: &C) -> Result<C, Fault> {
    let sum = one.join(other);
    sum.ok_or_else(|| Fault(format!("there is {other:?} twice, or more than fits")))
}

pub(super) fn request_name(order: &Order) -> String {
    if order.seq as u32 == NO_CLIENT {
        return format!("the wind-up of node {}", order.seq >> 32);
    }
    format!("client {}'s #{}", order.seq as u32, order.seq >> 32)
}

fn new_owner<T: ResourceType>(plan: &Plan<T>, node: usize) -> Box<Owner<T>> {
    let (settings, capital) = (Arc::clone(&plan.settings), plan.capital.clone());
    let loan = LoanId::default();
    if node == 0 {
        return Box::new(Owner::root(settings, capital, FIRST_EPOCH, 0, loan));
    }
    let mut owner = Owner::debtor(settings, capital, 0, loan);
    let creditor = PeerId(plan.tree.creditor(node) as u64);
    owner.on_creditor_up(Time::ZERO, creditor, 0, &mut Effects::new());
    Box::new(owner)
}
