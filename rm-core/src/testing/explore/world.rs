//! The world under exploration: owners, the channels between them, and the clients.
//!
//! Channels deliver in order and exactly once, as sessions do. Everything else is open: any client that can
//! take its next step may be next, and so may any channel that has a message.
//!
//! Owners and channels are shared between states and copied when they change, since one action changes
//! one owner and a channel or two.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;

use super::script::{self, Client, Place, Step, Tree};
use crate::credit::{Credit, Level};
use crate::effect::{Effect, Effects};
use crate::error::Denied;
use crate::id::{LoanId, Order, PeerId, Token};
use crate::message::Message;
use crate::owner::view::Clocks;
use crate::owner::{Conversion, Owner, Request, Settings};
use crate::resource::ResourceType;
use crate::time::Time;

/// What is the same in all states of one run.
#[derive(Clone, Debug)]
pub(super) struct Plan<T: ResourceType> {
    pub(super) tree: Tree,
    pub(super) clients: Vec<Client<T::Credit>>,
    pub(super) requests: Vec<Place>,
    /// Of each request.
    pub(super) orders: Vec<Order>,
    pub(super) capital: T::Credit,
    pub(super) settings: Arc<Settings>,
    pub(super) clocks: Clocks,
}

impl<T: ResourceType> Plan<T> {
    /// The order of the request that a client makes at `step`.
    pub(super) fn order(&self, client: usize, step: usize) -> Order {
        let made = |place: &Place| place.client == client && place.step == step;
        let number = self
            .requests
            .iter()
            .position(made)
            .expect("a step that asks is a request");
        self.orders[number]
    }

    fn token(&self, client: usize, step: usize) -> Token {
        Token {
            index: client as u32,
            generation: self.clients[client].hold_of(step),
        }
    }
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Converting,
    Holding,
    Idle,
    Waiting,
}

/// One client.
#[derive(Clone, Debug)]
pub(super) struct ClientState<C> {
    /// Its next step.
    pub(super) next: usize,
    pub(super) phase: Phase,
    /// What it holds, as asked for; empty if nothing.
    pub(super) holds: C,
    /// The fencing token of its hold.
    pub(super) fence: u64,
    /// Since it asked for what it waits for, nobody else held or asked for anything.
    pub(super) is_alone: bool,
}

/// Something that may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A client takes its next step.
    Client(u8),
    /// The first message of a channel arrives.
    Deliver(u8),
}

/// What can happen in a state.
pub(super) type Actions = SmallVec<[Action; 16]>;

/// What must not happen and did, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) String);

/// A way between two neighbours, in one direction: `2 * (debtor - 1)`, and one more if it goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    pub(super) debtor: usize,
    pub(super) is_down: bool,
}

impl Channel {
    pub(super) const fn of(index: usize) -> Self {
        Self {
            debtor: index / 2 + 1,
            is_down: index % 2 == 1,
        }
    }

    pub(super) const fn up(debtor: usize) -> usize {
        2 * (debtor - 1)
    }

    pub(super) const fn down(debtor: usize) -> usize {
        2 * (debtor - 1) + 1
    }
}

/// The messages under way in one direction, in the order in which they were sent.
pub(super) type Queue<T> =
    VecDeque<Message<<T as ResourceType>::Credit, <T as ResourceType>::Level>>;

/// One state.
#[derive(Debug)]
pub(super) struct World<T: ResourceType> {
    pub(super) owners: Vec<Rc<Owner<T>>>,
    pub(super) channels: Vec<Rc<Queue<T>>>,
    pub(super) clients: Vec<ClientState<T::Credit>>,
    /// The highest token of ended holds, by what they were asked as.
    pub(super) ended: Rc<Vec<(T::Credit, u64)>>,
    /// The last value that anybody wrote: the client and the step.
    pub(super) written: Option<[u8; 2]>,
}

impl<T: ResourceType> Clone for World<T> {
    fn clone(&self) -> Self {
        Self {
            owners: self.owners.clone(),
            channels: self.channels.clone(),
            clients: self.clients.clone(),
            ended: Rc::clone(&self.ended),
            written: self.written,
        }
    }
}

impl<T: ResourceType> World<T> {
    /// The world before anything happened: the root has everything, nothing is lent.
    pub(super) fn new(plan: &Plan<T>) -> Self {
        let (settings, capital) = (&plan.settings, &plan.capital);
        let mut owners = Vec::with_capacity(plan.tree.len());
        owners.push(Rc::new(Owner::root(
            Arc::clone(settings),
            capital.clone(),
            1,
            0,
            LoanId::default(),
        )));
        for node in 1..plan.tree.len() {
            let mut owner =
                Owner::debtor(Arc::clone(settings), capital.clone(), 0, LoanId::default());
            let creditor = PeerId(plan.tree.creditor(node) as u64);
            owner.on_creditor_up(Time::ZERO, creditor, &mut Effects::new());
            owners.push(Rc::new(owner));
        }
        let client = |_: &Client<_>| ClientState {
            next: 0,
            phase: Phase::Idle,
            holds: T::Credit::empty(),
            fence: 0,
            is_alone: false,
        };
        Self {
            channels: vec![Rc::default(); 2 * (plan.tree.len() - 1)],
            clients: plan.clients.iter().map(client).collect(),
            owners,
            ended: Rc::default(),
            written: None,
        }
    }

    /// Whether no message is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.channels.iter().all(|channel| channel.is_empty())
    }

    /// Everything that can happen now.
    pub(super) fn actions(&self, plan: &Plan<T>) -> Actions {
        let mut actions = Actions::new();
        for (index, client) in self.clients.iter().enumerate() {
            let may_step = match (plan.clients[index].steps.get(client.next), client.phase) {
                (None, _) => false,
                (Some(Step::Cancel), _) | (Some(_), Phase::Holding | Phase::Idle) => true,
                (Some(_), Phase::Converting | Phase::Waiting) => false,
            };
            if may_step {
                actions.push(Action::Client(index as u8));
            }
        }
        for (index, channel) in self.channels.iter().enumerate() {
            if !channel.is_empty() {
                actions.push(Action::Deliver(index as u8));
            }
        }
        actions
    }

    /// Does one action. What its owner wants done is left in `fx`, for [`settle`](Self::settle). Returns the
    /// node of the owner.
    pub(super) fn perform(
        &mut self,
        plan: &Plan<T>,
        action: Action,
        fx: &mut Effects<T>,
    ) -> Result<usize, Fault> {
        let index = match action {
            Action::Client(client) => return Ok(self.step(plan, usize::from(client), fx)),
            Action::Deliver(channel) => usize::from(channel),
        };
        let Channel { debtor, is_down } = Channel::of(index);
        let creditor = plan.tree.creditor(debtor);
        let (from, to) = if is_down {
            (creditor, debtor)
        } else {
            (debtor, creditor)
        };
        let channel = Rc::make_mut(&mut self.channels[index]);
        let message = channel.pop_front().expect("only what was sent arrives");
        let owner = Rc::make_mut(&mut self.owners[to]);
        owner
            .on_message(Time::ZERO, PeerId(from as u64), message, fx)
            .map_err(|why| {
                let (to, from) = (plan.tree.name(to), plan.tree.name(from));
                Fault(format!("{to} says that {from} misbehaved: it {why}"))
            })?;
        Ok(to)
    }

    /// A client's next step. Returns its node.
    fn step(&mut self, plan: &Plan<T>, index: usize, fx: &mut Effects<T>) -> usize {
        let script = &plan.clients[index];
        let client = &mut self.clients[index];
        let step = client.next;
        let token = plan.token(index, step);
        client.next += 1;
        if matches!(script.steps[step], Step::Acquire { .. }) {
            self.note_company(index);
        }
        let client = &mut self.clients[index];
        let owner = Rc::make_mut(&mut self.owners[script.place]);
        match &script.steps[step] {
            Step::Acquire { ask, try_only } => {
                client.phase = Phase::Waiting;
                let request = Request {
                    try_only: *try_only,
                    ..Request::new(token, plan.order(index, step), T::Level::of(ask))
                };
                owner.acquire(Time::ZERO, request, fx);
            }
            Step::Cancel => match client.phase {
                Phase::Converting => {
                    client.phase = Phase::Holding;
                    assert!(
                        owner.cancel(Time::ZERO, token, fx),
                        "a conversion that waits is there"
                    );
                }
                Phase::Waiting => {
                    client.phase = Phase::Idle;
                    client.next = script.end_of_hold(step);
                    assert!(
                        owner.cancel(Time::ZERO, token, fx),
                        "a request that waits is there"
                    );
                }
                Phase::Holding => {
                    client.next = script.end_of_hold(step);
                    owner.release(Time::ZERO, token, fx);
                    self.end_hold(index, Phase::Idle);
                }
                Phase::Idle => unreachable!("a script cancels only after it asked"),
            },
            Step::Convert { to } => {
                client.phase = Phase::Converting;
                let order = plan.order(index, step);
                let conversion = Conversion::new(token, order, T::Level::of(to));
                owner.convert(Time::ZERO, conversion, fx);
            }
            Step::Reduce { keep } => {
                let fence = owner.reduce(Time::ZERO, token, keep, fx);
                self.end_hold(index, Phase::Holding);
                let client = &mut self.clients[index];
                (client.holds, client.fence) = (keep.clone(), fence);
            }
            Step::Release => {
                owner.release(Time::ZERO, token, fx);
                self.end_hold(index, Phase::Idle);
            }
            Step::ReturnSpare => owner.return_spare(Time::ZERO, fx),
            Step::WriteValue => {
                let bytes = [index as u8, step as u8];
                let wrote = owner.write_value(token, &bytes);
                wrote.expect("a script writes while it holds everything");
                self.written = Some(bytes);
            }
        }
        script.place
    }

    /// A client asks for something. It is alone if nobody else is there and no word of anybody is under way; who
    /// waited alone is so no more.
    fn note_company(&mut self, index: usize) {
        let is_there = |client: &ClientState<_>| client.phase != Phase::Idle;
        let is_alone = self.is_quiet() && !self.clients.iter().any(is_there);
        for client in &mut self.clients {
            client.is_alone = false;
        }
        self.clients[index].is_alone = is_alone;
    }

    /// Applies what the owner of `node` wants done.
    pub(super) fn settle(
        &mut self,
        plan: &Plan<T>,
        node: usize,
        fx: &mut Effects<T>,
    ) -> Result<(), Fault> {
        for effect in fx.drain() {
            match effect {
                Effect::Deny { token, why } => self.on_deny(plan, node, token, &why)?,
                Effect::Grant { token, fence } => self.on_grant(plan, node, token, fence)?,
                Effect::Leaving | Effect::Wanted { .. } => {}
                Effect::Lost { .. } => {
                    return Err(Fault("a hold is lost though no session ended".into()));
                }
                Effect::Send { to, message } => {
                    let to = to.0 as usize;
                    let index = if node != 0 && to == plan.tree.creditor(node) {
                        Channel::up(node)
                    } else if to != 0 && to < plan.tree.len() && plan.tree.creditor(to) == node {
                        Channel::down(to)
                    } else {
                        return Err(Fault(format!(
                            "a message to node {to}, which is no neighbour"
                        )));
                    };
                    Rc::make_mut(&mut self.channels[index]).push_back(message);
                }
            }
        }
        Ok(())
    }

    fn on_grant(
        &mut self,
        plan: &Plan<T>,
        node: usize,
        token: Token,
        fence: u64,
    ) -> Result<(), Fault> {
        let (index, step) = self.pending(plan, node, token)?;
        let asked = match &plan.clients[index].steps[step] {
            Step::Acquire { ask, .. } => ask,
            Step::Convert { to } => to,
            Step::Cancel
            | Step::Reduce { .. }
            | Step::Release
            | Step::ReturnSpare
            | Step::WriteValue => {
                unreachable!("a client waits only for what it asked")
            }
        };
        if self.clients[index].phase == Phase::Converting {
            self.end_hold(index, Phase::Holding);
        }
        for (ended, ended_fence) in self.ended.iter() {
            if ended.conflicts(asked, &plan.capital) && *ended_fence >= fence {
                let (asked, ended) = (mode::<T>(asked, plan), mode::<T>(ended, plan));
                return Err(Fault(format!(
                    "the token of this {asked}, {fence:#x}, is not above {ended_fence:#x}, that of a \
                     {ended} that ended before"
                )));
            }
        }
        let client = &mut self.clients[index];
        client.phase = Phase::Holding;
        client.holds = asked.clone();
        client.fence = fence;
        Ok(())
    }

    fn on_deny(
        &mut self,
        plan: &Plan<T>,
        node: usize,
        token: Token,
        why: &Denied,
    ) -> Result<(), Fault> {
        let (index, step) = self.pending(plan, node, token)?;
        let script = &plan.clients[index];
        let is_try = matches!(script.steps[step], Step::Acquire { try_only: true, .. });
        let client = &mut self.clients[index];
        // No deadline is set and nobody asks for more than the capital, so little is a reason.
        match (client.phase, why) {
            (Phase::Converting, Denied::WouldDeadlock { .. }) => {
                client.phase = Phase::Holding;
                client.next = script.next_release(step);
            }
            (Phase::Waiting, Denied::Busy { .. }) if is_try && !client.is_alone => {
                client.phase = Phase::Idle;
                client.next = script.end_of_hold(step + 1);
            }
            _ => {
                let alone = if client.is_alone {
                    ", though nobody else was there"
                } else {
                    ""
                };
                let name = plan.client_name(index);
                return Err(Fault(format!("client {name} is denied{alone}: {why}")));
            }
        }
        Ok(())
    }

    /// The client that waits for the outcome of `token`, and the step in which it asked.
    fn pending(&self, plan: &Plan<T>, node: usize, token: Token) -> Result<(usize, usize), Fault> {
        let index = token.index as usize;
        if let Some(client) = self.clients.get(index)
            && matches!(client.phase, Phase::Converting | Phase::Waiting)
            && plan.clients[index].place == node
            && plan.token(index, client.next - 1) == token
        {
            return Ok((index, client.next - 1));
        }
        Err(Fault(format!(
            "an outcome for {token}, which waits for none"
        )))
    }

    fn end_hold(&mut self, index: usize, phase: Phase) {
        let client = &mut self.clients[index];
        client.phase = phase;
        let mode = core::mem::replace(&mut client.holds, T::Credit::empty());
        let fence = core::mem::take(&mut client.fence);
        let ended = Rc::make_mut(&mut self.ended);
        match ended.iter_mut().find(|(ended, _)| *ended == mode) {
            Some((_, highest)) => *highest = fence.max(*highest),
            None => ended.push((mode, fence)),
        }
    }
}

/// What people call the mode that asks for this.
pub(super) fn mode<T: ResourceType>(ask: &T::Credit, plan: &Plan<T>) -> &'static str {
    T::mode_name(&T::Level::of(ask), &plan.capital)
}

/// The plans of all runs of a scenario.
pub(super) fn plans<T: ResourceType>(
    base: &Plan<T>,
    orders: &script::Orders,
) -> Vec<(Vec<usize>, Plan<T>)> {
    let lists = orders.expand(&base.requests, base.clients.len());
    lists
        .into_iter()
        .map(|list| {
            let mut plan = base.clone();
            plan.orders = (0..list.len())
                .map(|number| {
                    let age = list
                        .iter()
                        .position(|&n| n == number)
                        .expect("each is listed");
                    let place = base.requests[number];
                    script::order_of(number, age, place, base.clients[place.client].place)
                })
                .collect();
            (list, plan)
        })
        .collect()
}
