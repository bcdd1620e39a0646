//! What clients do, and what they are told.

use core::time::Duration;
use std::sync::Arc;

use super::Sabotage;
use super::clients::{Ask, Clients, halves};
use super::oracle::Fault;
use super::report::Group;
use super::world::{Cause, World};
use crate::credit::{Credit, Level};
use crate::error::Denied;
use crate::id::{Class, Order, Party, Stamp, Token};
use crate::owner::{Conversion, Request};
use crate::resource::{Lending, ResourceType};
use crate::testing::history::{Record, What};
use crate::time::Time;

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Begin,
    Cancel,
    Change,
    Release,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Converting,
    Holding,
    Idle,
    Waiting,
}

/// One client.
pub(super) struct Client<'a, T: ResourceType> {
    pub(super) kind: &'a Clients<T>,
    pub(super) node: u32,
    pub(super) phase: Phase,
    /// Counts what it did: what it was to do before that, it does not do.
    pub(super) turn: u32,
    /// Counts its rounds.
    round: u32,
    /// What it waits for, or has waited for.
    pub(super) asked: Ask<T>,
    pub(super) order: Order,
    pub(super) asked_at: u64,
    deadline: Option<u64>,
    pub(super) try_only: bool,
    group: u32,
    /// How many younger requests passed this one.
    pub(super) passed: u32,
    /// What it holds; empty if nothing.
    pub(super) holds: T::Credit,
    fence: u64,
    /// How much longer it will hold.
    hold_left: u64,
    /// Since it holds it was told that somebody waits for that.
    pub(super) told: bool,
}

impl<'a, T: ResourceType> Client<'a, T> {
    pub(super) fn new(node: u32, kind: &'a Clients<T>) -> Self {
        Self {
            kind,
            node,
            phase: Phase::Idle,
            turn: 0,
            round: 0,
            asked: T::Level::of(&T::Credit::empty()),
            order: Order {
                class: Class::New,
                stamp: Stamp::default(),
                party: Party::default(),
                seq: 0,
            },
            asked_at: 0,
            deadline: None,
            try_only: false,
            group: 0,
            passed: 0,
            holds: T::Credit::empty(),
            fence: 0,
            hold_left: 0,
            told: false,
        }
    }

    /// Whether it waits, and that is the order of what it waits for.
    pub(super) fn waits_in(&self, order: Order) -> bool {
        let waits = matches!(self.phase, Phase::Converting | Phase::Waiting);
        waits && self.order == order
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.turn = self.turn.wrapping_add(1);
    }
}

impl<T: ResourceType> World<'_, T> {
    /// A client does what it was to do, unless it did something else since. Returns its node if its owner was told.
    pub(super) fn act(
        &mut self,
        client: usize,
        turn: u32,
        act: Act,
    ) -> Result<Option<usize>, Fault> {
        let state = &self.clients[client];
        let node = state.node as usize;
        if state.turn != turn {
            return Ok(None);
        }
        match act {
            Act::Begin => {
                if self.now > self.plan.until || u64::from(state.round) >= state.kind.rounds {
                    return Ok(None);
                }
                self.begin(client)?;
            }
            Act::Cancel => self.cancel(client)?,
            Act::Change => self.change(client)?,
            Act::Release => self.release(client)?,
        }
        Ok(Some(node))
    }

    fn token(&self, client: usize) -> Token {
        let state = &self.clients[client];
        Token {
            index: client as u32 - self.nodes[state.node as usize].first_client,
            generation: state.round,
        }
    }

    fn cause(&self, client: usize) -> Cause {
        Cause {
            hops: 0,
            group: self.clients[client].group,
        }
    }

    fn begin(&mut self, client: usize) -> Result<(), Fault> {
        self.note_company(client);
        let kind = self.clients[client].kind;
        let random = &mut self.choices;
        let ask = match &kind.ask {
            Some(draw) => draw(random),
            None => T::Level::of(&self.plan.capital),
        };
        let try_only = random.percent(kind.tries);
        let patience = kind.deadline.draw(random);
        let cancel_after = kind.cancel.draw(random);
        let takes_first = random.one_in(2);
        self.clients[client].round += 1;
        let deadline = patience.map(|patience| self.now.saturating_add(patience));
        self.clients[client].try_only = try_only;
        self.clients[client].deadline = deadline;
        self.ask(client, ask, Class::New, Phase::Waiting);
        if let Some(after) = cancel_after {
            self.schedule_client(client, after, Act::Cancel);
        }
        self.record(client, What::Invoked);
        let (token, cause) = (self.token(client), self.cause(client));
        let state = &self.clients[client];
        let (node, order, ask) = (state.node as usize, state.order, state.asked.clone());
        if takes_first {
            // As the async face does.
            let taken = self.input(node, cause, |owner, now, _| {
                owner.take(now, token, &ask, None)
            })?;
            if let Some(fence) = taken {
                return self.on_grant(node, token, fence, 0);
            }
        }
        let request = Request {
            try_only,
            deadline: deadline.map(Time::from_nanos),
            ..Request::new(token, order, ask)
        };
        self.input(node, cause, |owner, now, fx| {
            owner.acquire(now, request, fx)
        })
    }

    /// A client is about to ask. It is alone if nobody else is there and no word of anybody is under way.
    fn note_company(&mut self, client: usize) {
        let is_alone = self.engaged == 0 && self.is_quiet();
        self.alone = is_alone.then_some(client as u32);
    }

    /// A request, of which the owner is not told yet.
    fn ask(&mut self, client: usize, ask: Ask<T>, class: Class, phase: Phase) {
        let round = self.clients[client].round;
        let order = self.order(client, class, round);
        self.oracle.on_wait(&ask, order, client as u32);
        let kind = self.clients[client].kind;
        let group = self.group_of(kind.name.unwrap_or_else(|| self.oracle.mode(&ask)));
        self.groups[group as usize].1.asked += 1;
        self.note(|world| {
            let (name, mode) = (world.client_name(client), world.oracle.mode(&ask));
            format!("{name} asks for {mode} {ask:?}, #{round}")
        });
        self.enter(client, phase);
        let state = &mut self.clients[client];
        state.asked = ask;
        state.order = order;
        state.asked_at = self.now;
        state.group = group;
        state.passed = 0;
    }

    fn enter(&mut self, client: usize, phase: Phase) {
        let state = &mut self.clients[client];
        self.engaged -= u32::from(state.phase != Phase::Idle);
        self.engaged += u32::from(phase != Phase::Idle);
        state.enter(phase);
    }

    fn group_of(&mut self, name: &'static str) -> u32 {
        let known = self.groups.iter().position(|(other, _)| *other == name);
        let index = known.unwrap_or_else(|| {
            self.groups.push((name, Group::default()));
            self.groups.len() - 1
        });
        index as u32
    }

    fn group(&mut self, client: usize) -> &mut Group {
        let group = self.clients[client].group;
        &mut self.groups[group as usize].1
    }

    fn cancel(&mut self, client: usize) -> Result<(), Fault> {
        let phase = self.clients[client].phase;
        self.note(|world| format!("{} cancels", world.client_name(client)));
        self.end_wait(client)?;
        self.group(client).cancelled += 1;
        let (token, cause) = (self.token(client), self.cause(client));
        let node = self.clients[client].node as usize;
        if phase == Phase::Waiting {
            self.record(client, What::Cancelled);
        }
        self.go_on_without(client, phase);
        let waited = self.input(node, cause, |owner, now, fx| owner.cancel(now, token, fx))?;
        if waited {
            Ok(())
        } else {
            Err(Fault(format!(
                "{} waits, and its owner knows nothing of it",
                self.client_name(client)
            )))
        }
    }

    /// What a client does whose request, made in `phase`, came to nothing.
    fn go_on_without(&mut self, client: usize, phase: Phase) {
        if phase == Phase::Converting {
            self.enter(client, Phase::Holding);
            let left = self.clients[client].hold_left;
            self.schedule_client(client, left, Act::Release);
        } else {
            self.rest(client);
        }
    }

    /// The end of a round.
    fn rest(&mut self, client: usize) {
        self.enter(client, Phase::Idle);
        let think = self.clients[client].kind.think.draw(&mut self.choices);
        self.schedule_client(client, think, Act::Begin);
    }

    /// Half-way through a hold it becomes something else.
    fn change(&mut self, client: usize) -> Result<(), Fault> {
        let state = &self.clients[client];
        let (node, holds) = (state.node as usize, state.holds.clone());
        let left = state.hold_left;
        let to = match &state.kind.change {
            Some(draw) => draw(&mut self.choices, &holds),
            None => T::Level::of(&holds),
        };
        if to == T::Level::of(&holds) || to.is_zero() {
            self.enter(client, Phase::Holding);
            self.schedule_client(client, left, Act::Release);
            return Ok(());
        }
        if let Some(keep) = to.draw_all(&holds) {
            return self.reduce(client, keep);
        }
        self.clients[client].try_only = false;
        self.clients[client].deadline = None;
        self.ask(client, to.clone(), Class::Convert, Phase::Converting);
        let cancel = self.clients[client].kind.cancel.draw(&mut self.choices);
        if let Some(after) = cancel {
            self.schedule_client(client, after, Act::Cancel);
        }
        let (token, cause) = (self.token(client), self.cause(client));
        let conversion = Conversion::new(token, self.clients[client].order, to);
        self.input(node, cause, |owner, now, fx| {
            owner.convert(now, conversion, fx);
        })
    }

    fn reduce(&mut self, client: usize, to: T::Credit) -> Result<(), Fault> {
        self.note(|world| format!("{} reduces to {to:?}", world.client_name(client)));
        let state = &self.clients[client];
        let (node, holds, left) = (state.node as usize, state.holds.clone(), state.hold_left);
        self.oracle.on_end(&holds, state.fence);
        self.oracle.on_reduce(&to)?;
        self.use_up(&holds.less(&to))?;
        self.clients[client].holds = to.clone();
        self.enter(client, Phase::Holding);
        self.schedule_client(client, left, Act::Release);
        let (token, cause) = (self.token(client), self.cause(client));
        let fence = self.input(node, cause, |owner, now, fx| {
            owner.reduce(now, token, &to, fx)
        })?;
        self.clients[client].fence = fence;
        self.record(client, What::Changed { to, fence });
        Ok(())
    }

    fn release(&mut self, client: usize) -> Result<(), Fault> {
        self.check_value(client)?;
        self.maybe_write(client, self.token(client))?;
        self.note(|world| format!("{} releases", world.client_name(client)));
        self.record(client, What::Released);
        let held = self.end_hold(client);
        self.use_up(&held)?;
        let (token, cause) = (self.token(client), self.cause(client));
        let (node, kind) = (
            self.clients[client].node as usize,
            self.clients[client].kind,
        );
        self.rest(client);
        let puts_back = self.choices.one_in(2);
        self.input(node, cause, |owner, now, fx| {
            // As the async face does.
            if !(puts_back && owner.put_back(token)) {
                owner.release(now, token, fx);
            }
        })?;
        if self.choices.percent(kind.return_spare) {
            self.note(|_| format!("node {node} returns what is spare"));
            let dropped = self.input(node, cause, |owner, now, fx| {
                let before = owner.cached().clone();
                owner.return_spare(now, fx);
                before.less(owner.cached())
            })?;
            // What is given for good is not returned but dropped.
            self.use_up(&dropped)?;
        }
        Ok(())
    }

    /// A hold ends. Returns what it was of.
    fn end_hold(&mut self, client: usize) -> T::Credit {
        let state = &mut self.clients[client];
        let holds = core::mem::replace(&mut state.holds, T::Credit::empty());
        self.oracle.on_end(&holds, state.fence);
        holds
    }

    pub(super) fn on_grant(
        &mut self,
        node: usize,
        token: Token,
        fence: u64,
        hops: u32,
    ) -> Result<(), Fault> {
        let client = self.pending(node, token)?;
        self.note(|world| {
            let name = world.client_name(client);
            format!("    {name} is granted, token {fence:#x}, after {hops} hops")
        });
        self.check_grant(client)?;
        self.end_wait(client)?;
        let converts = self.clients[client].phase == Phase::Converting;
        let before = if converts {
            self.end_hold(client)
        } else {
            T::Credit::empty()
        };
        let owner = self.nodes[node].owner.as_ref();
        let hold = owner.and_then(|owner| owner.hold(token));
        let asked = &self.clients[client].asked;
        let holds = match hold {
            Some(hold) if T::Level::of(&hold.credit) == *asked && hold.fence == fence => {
                hold.credit.clone()
            }
            Some(_) | None => {
                return Err(Fault(format!(
                    "{} is granted {asked:?}, and its owner has {hold:?}",
                    self.client_name(client)
                )));
            }
        };
        self.use_up(&before.less(&holds))?;
        self.oracle.on_grant(&holds, fence)?;
        let state = &mut self.clients[client];
        (state.holds, state.fence) = (holds.clone(), fence);
        self.check_value(client)?;
        self.note_bypasses(client)?;
        self.note_wait(client, hops)?;
        let what = if converts {
            What::Changed { to: holds, fence }
        } else {
            What::Granted {
                credit: holds,
                fence,
            }
        };
        self.record(client, what);
        self.enter(client, Phase::Holding);
        if converts {
            let left = self.clients[client].hold_left;
            self.schedule_client(client, left, Act::Release);
        } else {
            self.clients[client].told = false;
            self.hold(client);
        }
        Ok(())
    }

    /// Somebody waits for what a client holds.
    pub(super) fn on_wanted(&mut self, node: usize, token: Token) -> Result<(), Fault> {
        self.report.notices += 1;
        if self.plan.sabotage == Some(Sabotage::LoseNotice(self.report.notices)) {
            return Ok(());
        }
        let client = self.nodes[node].first_client as usize + token.index as usize;
        let state = self.clients.get_mut(client);
        let state = state.filter(|state| state.node as usize == node && !state.holds.is_empty());
        let Some(state) = state else {
            return Err(Fault(format!(
                "{token} of node {node} is wanted, and holds nothing"
            )));
        };
        state.told = true;
        self.note(|world| {
            format!(
                "    {} is told that somebody waits",
                world.client_name(client)
            )
        });
        Ok(())
    }

    /// How a hold will go on.
    fn hold(&mut self, client: usize) {
        let kind = self.clients[client].kind;
        let random = &mut self.choices;
        let stuck = kind.stuck.draw(random);
        let span = stuck.unwrap_or_else(|| kind.hold.draw(random));
        if random.percent(kind.convert) {
            let (first, left) = halves(span);
            self.clients[client].hold_left = left;
            self.schedule_client(client, first, Act::Change);
        } else {
            self.schedule_client(client, span, Act::Release);
        }
    }

    pub(super) fn on_deny(&mut self, node: usize, token: Token, why: &Denied) -> Result<(), Fault> {
        let client = self.pending(node, token)?;
        self.note(|world| format!("    {} is denied: {why}", world.client_name(client)));
        self.end_wait(client)?;
        let state = &self.clients[client];
        let phase = state.phase;
        // A `try` that nobody answers in time, or before its own deadline, is busy.
        let waited = Duration::from_nanos(self.now - state.asked_at);
        let is_due = state.deadline == Some(self.now);
        let answered = waited < self.plan.settings.try_limit && !is_due;
        // What is used up is not asked back from where it is.
        let is_alone =
            T::LENDING == Lending::Loaned && self.alone == Some(client as u32) && answered;
        let is_closed = *why == Denied::ShuttingDown && self.winds_up_above(node);
        let group = &mut self.groups[state.group as usize].1;
        match (phase, why) {
            (Phase::Converting | Phase::Waiting, _) if is_closed => group.closed += 1,
            (Phase::Converting, Denied::WouldDeadlock { .. }) => group.deadlocked += 1,
            (Phase::Waiting, Denied::Busy { .. }) if state.try_only && !is_alone => group.busy += 1,
            (Phase::Waiting, Denied::Timeout { .. }) if state.deadline == Some(self.now) => {
                group.late += 1;
            }
            _ => {
                let alone = if is_alone {
                    ", though nobody else was there"
                } else {
                    ""
                };
                let name = self.client_name(client);
                return Err(Fault(format!("{name} is denied{alone}: {why}")));
            }
        }
        if phase == Phase::Waiting {
            self.record(client, What::Denied);
        }
        if is_closed && phase == Phase::Waiting {
            self.enter(client, Phase::Idle);
        } else {
            self.go_on_without(client, phase);
        }
        Ok(())
    }

    /// The client that waits for the outcome of `token`.
    fn pending(&self, node: usize, token: Token) -> Result<usize, Fault> {
        let client = self.nodes[node].first_client as usize + token.index as usize;
        let is_pending = self.clients.get(client).is_some_and(|state| {
            matches!(state.phase, Phase::Converting | Phase::Waiting)
                && state.node as usize == node
                && state.round == token.generation
        });
        if is_pending {
            Ok(client)
        } else {
            Err(Fault(format!(
                "an outcome for {token} of node {node}, which waits for none"
            )))
        }
    }

    /// A request has its outcome, which is not later than its deadline.
    fn end_wait(&mut self, client: usize) -> Result<(), Fault> {
        self.note_over(client);
        let state = &self.clients[client];
        self.oracle.on_outcome(&state.asked, state.order);
        match state.deadline {
            Some(deadline) if self.now > deadline => Err(Fault(format!(
                "{} hears of its request later than its deadline",
                self.client_name(client)
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// A request was granted after so many hops.
    fn note_wait(&mut self, client: usize, hops: u32) -> Result<(), Fault> {
        let state = &self.clients[client];
        let wait = self.now - state.asked_at;
        let (name, group) = &mut self.groups[state.group as usize];
        group.note_grant(hops, wait);
        let (name, mut bounds) = (*name, self.plan.waits_max.iter());
        match bounds.find(|(bounded, most)| *bounded == name && wait > *most) {
            None => Ok(()),
            Some((_, most)) => Err(Fault(format!(
                "{} has waited for {:?}, and {:?} is the most for a {name}",
                self.client_name(client),
                Duration::from_nanos(wait),
                Duration::from_nanos(*most),
            ))),
        }
    }

    fn record(&mut self, client: usize, what: What<T::Credit>) {
        if !self.plan.records {
            return;
        }
        let state = &self.clients[client];
        let process: Arc<str> = self.client_name(client).into();
        self.report.history.push(Record {
            process,
            request: u64::from(state.round),
            resource: Arc::from("simulated"),
            at: self.now,
            uncertainty: 0,
            what,
        });
    }
}
