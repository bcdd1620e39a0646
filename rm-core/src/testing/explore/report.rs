//! What an exploration tells: how much it visited, or the run that must not be, step by step.

use core::fmt::{self, Write as _};
use core::time::Duration;

use super::channel::Channel;
use super::mode::mode;
use super::script::Step;
use super::search::Found;
use super::store::{Store, Told};
use super::world::{Action, Phase, Plan, World};
use crate::credit::Colour;
use crate::id::Order;
use crate::message::{Message, Steps};
use crate::resource::ResourceType;
use crate::value::Value;

/// How much was visited, and nothing was wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Orders of the requests; each is explored by itself.
    pub runs: u64,
    /// Distinct states, in all runs together.
    pub states: u64,
    /// Those of them in which no message was under way. As many with a [`Reduction`](super::Reduction) as without.
    pub quiet: u64,
    /// Actions that were tried.
    pub transitions: u64,
    /// The longest run from the start, in steps.
    pub deepest: usize,
    /// How long it took.
    pub elapsed: Duration,
}

impl Report {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            states: self.states + other.states,
            quiet: self.quiet + other.quiet,
            transitions: self.transitions + other.transitions,
            deepest: self.deepest.max(other.deepest),
            elapsed: self.elapsed + other.elapsed,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            runs,
            states,
            quiet,
            transitions,
            deepest,
            elapsed,
        } = self;
        write!(
            f,
            "{runs:>5} runs {states:>10} states ({quiet:>8} quiet) {transitions:>10} transitions, deepest \
             {deepest:>3}, {:>6.1} s",
            elapsed.as_secs_f64()
        )
    }
}

/// A run that must not be.
///
/// It prints the same with `{}` and `{:?}`, so that a test may simply return it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{what}\norders, oldest first: {order:?}\n{trace}")]
pub struct Violation {
    /// What is wrong at its end.
    pub what: String,
    /// The order of the requests in that run: their numbers, the oldest first.
    pub order: Vec<usize>,
    /// How many steps it has: actions of clients, and messages that arrive.
    pub steps: usize,
    /// How many distinct states had been visited when it was found, in all orders together. The shortest run is looked
    /// for afterwards.
    pub states: u64,
    /// Every step: who did what, the messages it caused, the books after it.
    pub trace: String,
}

impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T: ResourceType> Plan<T> {
    /// Clients are called A, B, C and so on.
    pub(super) fn client_name(&self, client: usize) -> String {
        match u8::try_from(client) {
            Ok(small @ 0..26) => char::from(b'A' + small).to_string(),
            _ => format!("client{client}"),
        }
    }

    /// A request in words, such as `B's write`, with its number.
    pub(super) fn request_name(&self, order: Order) -> String {
        let Some(place) = self.requests.get(order.seq as usize) else {
            return format!("an unknown request {order}");
        };
        let (ask, colour) = match &self.clients[place.client].steps[place.step] {
            Step::Acquire { ask, colour, .. } => (ask, *colour),
            Step::Convert { to, colour } => (to, *colour),
            Step::WindUp => {
                let client = self.client_name(place.client);
                return format!("{client}'s wind-up (#{})", order.seq);
            }
            Step::Cancel
            | Step::Reduce { .. }
            | Step::Release
            | Step::ReturnSpare
            | Step::WriteValue => {
                return format!("an unknown request {order}");
            }
        };
        format!(
            "{}'s {} (#{})",
            self.client_name(place.client),
            mode::<T>(ask, colour, self),
            order.seq
        )
    }

    /// Replays what was found, in words. `before` is how many states earlier orders had.
    pub(super) fn violation(&self, order: Vec<usize>, before: u64, found: Found) -> Violation {
        let mut trace = String::new();
        let mut store = Store::new();
        let mut world = World::new(self, &mut store);
        let mut last = None;
        for (index, &action) in found.path.iter().chain(&found.cycle).enumerate() {
            if index == found.path.len() {
                trace.push_str("  ---- from here it goes round ----\n");
            }
            let _ = writeln!(
                trace,
                "{:>4}  {}",
                index + 1,
                self.action_in_words(&world, &store, action)
            );
            // A panic, or what must not be, is the fault that was found, and is told at the end.
            let Ok((node, outcome)) = world.perform(self, &mut store, action) else {
                break;
            };
            for told in &outcome.told {
                let _ = writeln!(trace, "        {}", self.told_in_words(&store, told));
            }
            if world.settle(self, &mut store, node, &outcome).is_err() {
                break;
            }
            let _ = writeln!(
                trace,
                "        {}",
                self.books_in_words(&world, &store, node)
            );
            last = Some(node);
        }
        for node in (0..self.tree.len()).filter(|&node| Some(node) != last) {
            let _ = writeln!(
                trace,
                "  end:  {}",
                self.books_in_words(&world, &store, node)
            );
        }
        let _ = writeln!(trace, "  => {}", found.fault.0);
        let steps = found.path.len() + found.cycle.len();
        Violation {
            what: found.fault.0,
            order,
            steps,
            states: before + found.states as u64,
            trace,
        }
    }

    fn action_in_words(&self, world: &World, store: &Store<T>, action: Action) -> String {
        match action {
            Action::Client(client) => {
                let client = usize::from(client);
                let node = self.tree.name(self.clients[client].place);
                let name = self.client_name(client);
                let state = &world.clients[client];
                let what = match &self.clients[client].steps[state.step()] {
                    Step::Acquire {
                        ask,
                        colour,
                        try_only,
                    } => {
                        let verb = if *try_only { "tries" } else { "asks for" };
                        format!("{verb} {} {ask:?}", mode::<T>(ask, *colour, self))
                    }
                    Step::Cancel if state.phase == Phase::Holding => {
                        "cancels, and has it already".into()
                    }
                    Step::Cancel => "cancels".into(),
                    Step::Convert { to, colour } => {
                        format!("converts to {} {to:?}", mode::<T>(to, *colour, self))
                    }
                    Step::Reduce { keep } => {
                        format!("reduces to {} {keep:?}", mode::<T>(keep, None, self))
                    }
                    Step::Release => "releases".into(),
                    Step::ReturnSpare => "has its node return what is spare".into(),
                    Step::WindUp => "has its node wind up".into(),
                    Step::WriteValue => "writes the value".into(),
                };
                format!("{name} at {node} {what}")
            }
            Action::Deliver(index) => {
                let index = usize::from(index);
                let (from, to) = Channel::of(index).ends(&self.tree);
                let (from, to) = (self.tree.name(from), self.tree.name(to));
                let message = store.messages(world.queues[index]).next();
                let message = message.map_or_else(String::new, |m| self.message_in_words(m));
                format!("{to} takes from {from}: {message}")
            }
        }
    }

    fn told_in_words(&self, store: &Store<T>, told: &Told) -> String {
        let client = |index: u32| self.client_name(index as usize);
        match told {
            Told::Deny { token, why } => format!("{} is denied: {why}", client(token.index)),
            Told::Grant { token, fence, .. } => {
                format!("{} is granted, token {fence:#x}", client(token.index))
            }
            Told::Leaving => "credit leaves".into(),
            Told::Lost { token, why } => format!("{} loses its hold: {why}", client(token.index)),
            Told::Send { to, message } => {
                let to = to.0 as usize;
                let name = if to < self.tree.len() {
                    self.tree.name(to)
                } else {
                    "nobody"
                };
                format!(
                    "to {name}: {}",
                    self.message_in_words(store.message(*message))
                )
            }
            Told::Wanted { token, order } => {
                let waiter = self.request_name(*order);
                format!("{} is told that {waiter} waits", client(token.index))
            }
        }
    }

    fn message_in_words(&self, message: &Message<T::Credit, T::Level>) -> String {
        let name = |order: &Order| self.request_name(*order);
        match message {
            Message::AskLimit { .. } => "AskLimit".into(),
            Message::Busy { order, .. } => format!("Busy for {}", name(order)),
            Message::Claim(claim) => format!("Claim {:?} in {}", claim.amount, claim.epoch),
            Message::Claimed(claimed) => format!("Claimed in {}", claimed.epoch),
            Message::Deny {
                order,
                version,
                why,
                ..
            } => {
                format!("Deny {} v{}: {why:?}", name(order), version.0)
            }
            Message::Grant(grant) => format!(
                "Grant {:?}{} for {} v{}{}{}",
                grant.delta,
                colour_in_words(grant.colour),
                name(&grant.order),
                grant.version.0,
                self.steps_in_words(&grant.steps),
                value_in_words(grant.value.as_deref())
            ),
            Message::Limit { limit, .. } => format!("Limit {limit:#x}"),
            Message::Recall { steps, .. } => format!("Recall{}", self.steps_in_words(steps)),
            Message::Return {
                delta,
                value,
                colour,
                ..
            } => {
                let (colour, value) = (colour_in_words(*colour), value_in_words(value.as_deref()));
                format!("Return {delta:?}{colour}{value}")
            }
            Message::Revoke { .. } => "Revoke".into(),
            Message::Unclaimed { epoch, why, .. } => format!("Unclaimed in {epoch}: {why:?}"),
            Message::Unwant { order } => format!("Unwant {}", name(order)),
            Message::Want(want) => format!(
                "Want level {:?} for {} v{}{}",
                want.level,
                name(&want.order),
                want.version.0,
                if want.try_only { ", try" } else { "" }
            ),
        }
    }

    fn steps_in_words(&self, steps: &Steps<T::Credit>) -> String {
        if steps.is_empty() {
            return ", no steps".into();
        }
        steps.iter().fold(String::new(), |mut text, step| {
            let _ = write!(
                text,
                ", keep {:?} for {}",
                step.keep,
                self.request_name(step.order)
            );
            text.push_str(if step.try_only { ", try" } else { "" });
            text.push_str(if step.whole { ", whole" } else { "" });
            text
        })
    }

    fn books_in_words(&self, world: &World, store: &Store<T>, node: usize) -> String {
        let owner = store.owner(world.owners[node]);
        let mut text = format!(
            "[{}: borrowed {:?}, cached {:?}",
            self.tree.name(node),
            owner.borrowed(),
            owner.cached()
        );
        for (token, hold) in owner.holds() {
            let client = self.client_name(token.index as usize);
            let _ = write!(text, ", {client} holds {:?}", hold.credit);
        }
        for (peer, loan) in owner.loans() {
            let _ = write!(text, ", lent {} {loan:?}", self.tree.name(peer.0 as usize));
        }
        for waiting in owner.waiting() {
            let _ = write!(text, ", waits: {}", self.request_name(waiting.order));
        }
        for (order, version) in owner.standing_wants() {
            let _ = write!(
                text,
                ", wants for {} v{}",
                self.request_name(order),
                version.0
            );
        }
        for step in owner.recall_steps() {
            let _ = write!(
                text,
                ", to keep {:?} for {}",
                step.keep,
                self.request_name(step.order)
            );
        }
        for (peer, step) in owner.sent_steps() {
            let peer = self.tree.name(peer.0 as usize);
            let _ = write!(
                text,
                ", recalls {peer} to {:?} for {}",
                step.keep,
                self.request_name(step.order)
            );
        }
        text.push(']');
        text
    }
}

fn colour_in_words(colour: Option<Colour>) -> String {
    colour.map_or_else(String::new, |Colour(number)| format!(" of colour {number}"))
}

/// The value that a message carries, if it does.
fn value_in_words(value: Option<&Value>) -> String {
    value.map_or_else(String::new, |value| {
        let doubtful = if value.is_doubtful() {
            ", doubtful"
        } else {
            ""
        };
        format!(", value {:?}{doubtful}", value.bytes)
    })
}
