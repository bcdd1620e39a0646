//! The world under exploration: owners, the channels between them, and the clients.
//!
//! Channels deliver in order and exactly once, as sessions do. Everything else is open: any client that can
//! take its next step may be next, and so may any channel that has a message.
//!
//! A state is a short list of numbers; what they stand for is in the [`Store`].

use std::sync::Arc;

use smallvec::SmallVec;

use super::channel::Channel;
use super::mode::{Mode, differ, level, mode};
use super::script::{self, Client, Place, Step, Tree};
use super::store::{CreditId, MessageId, Outcome, OwnerId, QueueId, Registers, Store, Told};
use crate::credit::{Colour, Credit, Level};
use crate::effect::Effects;
use crate::error::Denied;
use crate::id::{LoanId, Order, PeerId, Token};
use crate::owner::view::Clocks;
use crate::owner::{Conversion, Owner, Request, Settings};
use crate::resource::{Lending, ResourceType};
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
    pub(super) registers: Registers,
    pub(super) reduction: Reduction,
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

    /// Whether an order is that of a wind-up.
    pub(super) fn is_wind_up(&self, order: Order) -> bool {
        let place = self.requests.get(order.seq as usize);
        place.is_some_and(|place| {
            matches!(self.clients[place.client].steps[place.step], Step::WindUp)
        })
    }

    fn token(&self, client: usize, step: usize) -> Token {
        Token {
            index: client as u32,
            generation: self.clients[client].hold_of(step),
        }
    }

    /// What a client asks for at `step`, and in which colour.
    fn asked(&self, client: usize, step: usize) -> (&T::Credit, Option<Colour>) {
        match &self.clients[client].steps[step] {
            Step::Acquire { ask, colour, .. } => (ask, *colour),
            Step::Convert { to, colour } => (to, *colour),
            Step::Cancel
            | Step::Reduce { .. }
            | Step::Release
            | Step::ReturnSpare
            | Step::WindUp
            | Step::WriteValue => unreachable!("a client waits only for what it asked"),
        }
    }

    /// Hands an input to an owner. A root whose credit is used up enters its next epoch with it. Returns the token of a
    /// hold that was reduced.
    pub(super) fn apply(
        &self,
        store: &Store<T>,
        owner: &mut Owner<T>,
        input: Input,
        fx: &mut Effects<T>,
    ) -> Result<u64, Fault> {
        let fence = self.hand_over(store, owner, input, fx)?;
        if T::LENDING == Lending::UsedUp && owner.needs_epoch() {
            owner.on_epoch(Time::ZERO, owner.last_loan().epoch + 1, fx);
        }
        Ok(fence)
    }

    fn hand_over(
        &self,
        store: &Store<T>,
        owner: &mut Owner<T>,
        input: Input,
        fx: &mut Effects<T>,
    ) -> Result<u64, Fault> {
        let now = Time::ZERO;
        let (client, step) = match input {
            Input::Deliver { from, message } => {
                let message = store.message(message).clone();
                let taken = owner.on_message(now, PeerId(u64::from(from)), message, fx);
                return taken.map(|()| 0).map_err(|why| {
                    let from = self.tree.name(usize::from(from));
                    Fault(format!("{from} is said to misbehave: it {why}"))
                });
            }
            Input::End { client, step } => {
                let (client, step) = (usize::from(client), usize::from(step));
                owner.release(now, self.token(client, step), fx);
                return Ok(0);
            }
            Input::Step { client, step } => (usize::from(client), usize::from(step)),
        };
        let token = self.token(client, step);
        match &self.clients[client].steps[step] {
            Step::Acquire {
                ask,
                colour,
                try_only,
            } => {
                let ask = level::<T>(ask, *colour);
                let request = Request {
                    try_only: *try_only,
                    ..Request::new(token, self.order(client, step), ask)
                };
                owner.acquire(now, request, fx);
            }
            Step::Cancel => {
                let is_there = owner.cancel(now, token, fx);
                assert!(is_there, "a request or conversion that waits is there");
            }
            Step::Convert { to, colour } => {
                let order = self.order(client, step);
                let to = level::<T>(to, *colour);
                owner.convert(now, Conversion::new(token, order, to), fx);
            }
            Step::Reduce { keep } => return Ok(owner.reduce(now, token, keep, fx)),
            Step::Release => owner.release(now, token, fx),
            Step::ReturnSpare => owner.return_spare(now, fx),
            Step::WindUp => owner.wind_up(now, self.order(client, step), fx),
            Step::WriteValue => {
                let wrote = owner.write_value(token, &[client as u8, step as u8]);
                wrote.expect("a script writes while it holds everything");
            }
        }
        Ok(0)
    }
}

/// Which interleavings are visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reduction {
    /// All of them. For an algebra that is not trusted to obey its laws, and to compare.
    None,
    /// Persistent sets: of steps at different nodes that do not concern each other, one sequence. It meets every quiet
    /// state and every step of every owner, and so finds the same violations, in a fraction of the states.
    ///
    /// Nothing is left out where that could hide something: with merged registers, and where two clients ask for what
    /// conflicts though the capital has both.
    PersistentSets,
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
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientState {
    /// Its next step.
    pub(super) next: u16,
    pub(super) phase: Phase,
    /// Since it asked for what it waits for, nobody else held or asked for anything.
    pub(super) is_alone: bool,
    /// What it holds.
    pub(super) holds: CreditId,
    /// In which colour.
    pub(super) colour: Option<Colour>,
    /// The fencing token of its hold.
    pub(super) fence: u64,
}

impl ClientState {
    pub(super) fn step(&self) -> usize {
        usize::from(self.next)
    }
}

/// Something that may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A client takes its next step.
    Client(u8),
    /// The first message of a channel arrives.
    Deliver(u16),
}

/// What can happen in a state.
pub(super) type Actions = SmallVec<[Action; 16]>;

/// What an owner is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A message of a neighbour, which is node `from`.
    Deliver { from: u8, message: MessageId },
    /// A client releases what it has, though its step there says to cancel.
    End { client: u8, step: u8 },
    /// What a client does in that step.
    Step { client: u8, step: u8 },
}

impl Input {
    /// No other input has this number.
    pub(super) fn number(self) -> u64 {
        let made_of =
            |kind: u64, place: u8, rest: u32| kind << 40 | u64::from(place) << 32 | u64::from(rest);
        match self {
            Self::Deliver { from, message } => made_of(1, from, message.number()),
            Self::End { client, step } => made_of(2, client, u32::from(step)),
            Self::Step { client, step } => made_of(3, client, u32::from(step)),
        }
    }
}

/// What must not happen and did, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) String);

/// One state.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) owners: SmallVec<[OwnerId; 5]>,
    /// By the index of their channel.
    pub(super) queues: SmallVec<[QueueId; 8]>,
    pub(super) clients: SmallVec<[ClientState; 4]>,
    /// The highest token of ended holds, by what they held.
    pub(super) ended: SmallVec<[(Mode, u64); 2]>,
    /// The last value that anybody wrote: the client and the step.
    pub(super) written: Option<[u8; 2]>,
}

impl World {
    /// The world before anything happened: the root has everything, nothing is lent.
    pub(super) fn new<T: ResourceType>(plan: &Plan<T>, store: &mut Store<T>) -> Self {
        let (settings, capital) = (&plan.settings, &plan.capital);
        let root = Owner::root(
            Arc::clone(settings),
            capital.clone(),
            1,
            0,
            LoanId::default(),
        );
        let mut owners = SmallVec::new();
        owners.push(store.keep_owner(plan, root));
        for node in 1..plan.tree.len() {
            let mut owner =
                Owner::debtor(Arc::clone(settings), capital.clone(), 0, LoanId::default());
            let creditor = PeerId(plan.tree.creditor(node) as u64);
            owner.on_creditor_up(Time::ZERO, creditor, 0, &mut Effects::new());
            owners.push(store.keep_owner(plan, owner));
        }
        let client = |_: &Client<_>| ClientState {
            next: 0,
            phase: Phase::Idle,
            is_alone: false,
            holds: CreditId::EMPTY,
            colour: None,
            fence: 0,
        };
        Self {
            queues: SmallVec::from_elem(QueueId::EMPTY, 2 * (plan.tree.len() - 1)),
            clients: plan.clients.iter().map(client).collect(),
            owners,
            ended: SmallVec::new(),
            written: None,
        }
    }

    /// Whether no message is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.queues.iter().all(|&queue| queue == QueueId::EMPTY)
    }

    /// Everything that can happen now.
    pub(super) fn actions<T: ResourceType>(&self, plan: &Plan<T>) -> Actions {
        let mut actions = Actions::new();
        for (index, client) in self.clients.iter().enumerate() {
            let may_step = match (plan.clients[index].steps.get(client.step()), client.phase) {
                (None, _) => false,
                (Some(Step::Cancel), _) | (Some(_), Phase::Holding | Phase::Idle) => true,
                (Some(_), Phase::Converting | Phase::Waiting) => false,
            };
            if may_step {
                actions.push(Action::Client(index as u8));
            }
        }
        for (index, &queue) in self.queues.iter().enumerate() {
            if queue != QueueId::EMPTY {
                actions.push(Action::Deliver(index as u16));
            }
        }
        actions
    }

    /// Does one action, and what the owner wants done then. Returns the node of the owner.
    pub(super) fn go<T: ResourceType>(
        &mut self,
        plan: &Plan<T>,
        store: &mut Store<T>,
        action: Action,
    ) -> Result<usize, Fault> {
        let (node, outcome) = self.perform(plan, store, action)?;
        self.settle(plan, store, node, &outcome)?;
        Ok(node)
    }

    /// Does one action. What its owner wants done is left to [`settle`](Self::settle). Returns its node.
    pub(super) fn perform<T: ResourceType>(
        &mut self,
        plan: &Plan<T>,
        store: &mut Store<T>,
        action: Action,
    ) -> Result<(usize, std::rc::Rc<Outcome>), Fault> {
        let index = match action {
            Action::Client(client) => return self.step(plan, store, usize::from(client)),
            Action::Deliver(channel) => usize::from(channel),
        };
        let (from, to) = Channel::of(index).ends(&plan.tree);
        let (message, rest) = store.pop(self.queues[index]);
        self.queues[index] = rest;
        let input = Input::Deliver {
            from: from as u8,
            message,
        };
        let outcome = store.outcome(plan, self.owners[to], input)?;
        self.owners[to] = outcome.owner;
        Ok((to, outcome))
    }

    /// A client's next step.
    fn step<T: ResourceType>(
        &mut self,
        plan: &Plan<T>,
        store: &mut Store<T>,
        index: usize,
    ) -> Result<(usize, std::rc::Rc<Outcome>), Fault> {
        let script = &plan.clients[index];
        let (step, phase) = (self.clients[index].step(), self.clients[index].phase);
        let what = &script.steps[step];
        let mut input = Input::Step {
            client: index as u8,
            step: step as u8,
        };
        if matches!(what, Step::Acquire { .. }) {
            self.note_company(index);
        }
        let client = &mut self.clients[index];
        let colour = client.colour;
        client.next += 1;
        match (what, phase) {
            (Step::Acquire { .. }, _) => client.phase = Phase::Waiting,
            (Step::Convert { .. }, _) => client.phase = Phase::Converting,
            (Step::Cancel, Phase::Converting) => client.phase = Phase::Holding,
            (Step::Cancel, Phase::Waiting) => {
                client.phase = Phase::Idle;
                client.next = script.end_of_hold(step) as u16;
            }
            (Step::Cancel, Phase::Holding) => {
                client.next = script.end_of_hold(step) as u16;
                input = Input::End {
                    client: index as u8,
                    step: step as u8,
                };
                self.end_hold(index, Phase::Idle);
            }
            (Step::Cancel, Phase::Idle) => {
                unreachable!("a script cancels only after it asked")
            }
            (Step::Reduce { .. }, _) => self.end_hold(index, Phase::Holding),
            (Step::Release, _) => self.end_hold(index, Phase::Idle),
            (Step::ReturnSpare | Step::WindUp, _) => {}
            (Step::WriteValue, _) => self.written = Some([index as u8, step as u8]),
        }
        let outcome = store.outcome(plan, self.owners[script.place], input)?;
        self.owners[script.place] = outcome.owner;
        if let Step::Reduce { keep } = what {
            let client = &mut self.clients[index];
            let all = T::coloured(&plan.capital);
            client.colour = colour.filter(|_| !keep.restrict(&all).is_empty());
            (client.holds, client.fence) = (store.keep_credit(keep), outcome.fence);
        }
        Ok((script.place, outcome))
    }

    /// A client asks for something. It is alone if nobody else is there and no word of anybody is under way; who
    /// waited alone is so no more.
    fn note_company(&mut self, index: usize) {
        let is_there = |client: &ClientState| client.phase != Phase::Idle;
        let is_alone = self.is_quiet() && !self.clients.iter().any(is_there);
        for client in &mut self.clients {
            client.is_alone = false;
        }
        self.clients[index].is_alone = is_alone;
    }

    /// Applies what the owner of `node` wants done.
    pub(super) fn settle<T: ResourceType>(
        &mut self,
        plan: &Plan<T>,
        store: &mut Store<T>,
        node: usize,
        outcome: &Outcome,
    ) -> Result<(), Fault> {
        for told in &outcome.told {
            match told {
                Told::Deny { token, why } => self.on_deny(plan, store, node, *token, why)?,
                Told::Grant {
                    token,
                    fence,
                    credit,
                } => self.on_grant(plan, store, node, *token, (*credit, *fence))?,
                Told::Leaving | Told::Wanted { .. } => {}
                Told::Lost { .. } => {
                    return Err(Fault("a hold is lost though no session ended".into()));
                }
                Told::Send { to, message } => {
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
                    self.queues[index] = store.push(plan, self.queues[index], *message);
                }
            }
        }
        Ok(())
    }

    fn on_grant<T: ResourceType>(
        &mut self,
        plan: &Plan<T>,
        store: &Store<T>,
        node: usize,
        token: Token,
        (granted, fence): (CreditId, u64),
    ) -> Result<(), Fault> {
        let (index, step) = self.pending(plan, node, token)?;
        let ((asked, colour), credit) = (plan.asked(index, step), store.credit(granted));
        if asked != credit && !T::Level::of(credit).reaches(&T::Level::of(asked)) {
            return Err(Fault(format!(
                "client {} asked for {asked:?} and is granted {credit:?}",
                plan.client_name(index)
            )));
        }
        let converts = self.clients[index].phase == Phase::Converting;
        if converts {
            self.end_hold(index, Phase::Holding);
        }
        for &((ended, ended_colour), ended_fence) in &self.ended {
            let ended = store.credit(ended);
            let conflicts = ended.conflicts(credit, &plan.capital) || differ(ended_colour, colour);
            if T::LENDING == Lending::UsedUp && !converts && ended.conflicts(credit, &plan.capital)
            {
                return Err(Fault(format!(
                    "{credit:?} is granted, and some of it was used up before, as part of {ended:?}"
                )));
            }
            if ended_fence >= fence && conflicts {
                let begins = mode::<T>(credit, colour, plan);
                let ended = mode::<T>(ended, ended_colour, plan);
                return Err(Fault(format!(
                    "the token of this {begins}, {fence:#x}, is not above {ended_fence:#x}, that of a \
                     {ended} that ended before"
                )));
            }
        }
        let client = &mut self.clients[index];
        client.phase = Phase::Holding;
        client.holds = granted;
        client.colour = colour;
        client.fence = fence;
        Ok(())
    }

    fn on_deny<T: ResourceType>(
        &mut self,
        plan: &Plan<T>,
        store: &Store<T>,
        node: usize,
        token: Token,
        why: &Denied,
    ) -> Result<(), Fault> {
        let (index, step) = self.pending(plan, node, token)?;
        let script = &plan.clients[index];
        let is_try = matches!(script.steps[step], Step::Acquire { try_only: true, .. });
        let is_closing = *why == Denied::ShuttingDown && self.winds_up_above(plan, store, node);
        let client = &mut self.clients[index];
        // No deadline is set and nobody asks for more than the capital, so little is a reason.
        match (client.phase, why) {
            (Phase::Converting, why)
                if is_closing || matches!(why, Denied::WouldDeadlock { .. }) =>
            {
                client.phase = Phase::Holding;
                client.next = script.next_release(step) as u16;
            }
            (Phase::Waiting, why)
                if is_closing
                    || is_try && !client.is_alone && matches!(why, Denied::Busy { .. }) =>
            {
                client.phase = Phase::Idle;
                client.next = script.end_of_hold(step + 1) as u16;
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

    /// Whether a node, or one between it and the root, winds up.
    fn winds_up_above<T: ResourceType>(
        &self,
        plan: &Plan<T>,
        store: &Store<T>,
        node: usize,
    ) -> bool {
        store.owner(self.owners[node]).is_winding_up()
            || node != 0 && self.winds_up_above(plan, store, plan.tree.creditor(node))
    }

    /// The client that waits for the outcome of `token`, and the step in which it asked.
    fn pending<T: ResourceType>(
        &self,
        plan: &Plan<T>,
        node: usize,
        token: Token,
    ) -> Result<(usize, usize), Fault> {
        let index = token.index as usize;
        if let Some(client) = self.clients.get(index)
            && matches!(client.phase, Phase::Converting | Phase::Waiting)
            && plan.clients[index].place == node
            && plan.token(index, client.step() - 1) == token
        {
            return Ok((index, client.step() - 1));
        }
        Err(Fault(format!(
            "an outcome for {token}, which waits for none"
        )))
    }

    fn end_hold(&mut self, index: usize, phase: Phase) {
        let client = &mut self.clients[index];
        client.phase = phase;
        let holds = core::mem::replace(&mut client.holds, CreditId::EMPTY);
        let mode = (holds, client.colour.take());
        let fence = core::mem::take(&mut client.fence);
        match self.ended.binary_search_by_key(&mode, |&(mode, _)| mode) {
            Ok(place) => self.ended[place].1 = fence.max(self.ended[place].1),
            Err(place) => self.ended.insert(place, (mode, fence)),
        }
    }
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
