//! What must be true in every state, in every quiet state, and at the end.
//!
//! A state is *quiet* when no message is under way. Then whatever could be decided must have been.

use super::channel::Channel;
use super::mode::{differ, level, mode};
use super::script::Step;
use super::store::{CreditId, Store};
use super::world::{ClientState, Fault, Phase, Plan, World};
use crate::credit::{Colour, Credit, Level};
use crate::id::{Order, PeerId};
use crate::message::{Grant, Message};
use crate::owner::Owner;
use crate::resource::{Lending, ResourceType};

/// A request that has no outcome.
struct Pending<L> {
    client: usize,
    order: Order,
    /// What it needs beyond what its client holds.
    need: L,
    try_only: bool,
}

/// A state, with what it is checked against.
pub(super) struct Checked<'a, T: ResourceType> {
    pub(super) world: &'a World,
    pub(super) plan: &'a Plan<T>,
    pub(super) store: &'a Store<T>,
}

impl<'a, T: ResourceType> Checked<'a, T> {
    /// Checks a state that is new.
    pub(super) fn check(&self) -> Result<(), Fault> {
        match T::LENDING {
            Lending::Loaned => self.check_books()?,
            Lending::UsedUp => self.check_total()?,
        }
        self.check_exclusion()?;
        self.check_colours()?;
        self.check_values()?;
        if self.world.is_quiet() {
            let pending = self.pending_requests();
            self.check_progress(&pending)?;
            self.check_nothing_left_over(&pending)?;
            self.check_both_books_of_wants()?;
            self.check_wind_ups()?;
        }
        Ok(())
    }

    fn owner(&self, node: usize) -> &'a Owner<T> {
        self.store.owner(self.world.owners[node])
    }

    fn owners(&self) -> impl Iterator<Item = &'a Owner<T>> {
        (0..self.world.owners.len()).map(|node| self.owner(node))
    }

    fn messages(&self, channel: usize) -> impl Iterator<Item = &'a super::store::MessageOf<T>> {
        self.store.messages(self.world.queues[channel])
    }

    /// Checks a state in which nothing more can happen.
    pub(super) fn check_end(&self) -> Result<(), Fault> {
        let Self { world, plan, .. } = self;
        let is_unfinished = |&c: &usize| world.clients[c].step() < plan.clients[c].steps.len();
        match (0..world.clients.len()).find(is_unfinished) {
            None => Ok(()),
            Some(client) => Err(Fault(format!(
                "deadlock: nothing can happen, and client {} has not done its script",
                plan.client_name(client)
            ))),
        }
    }

    /// What a creditor thinks it lent is at the debtor or under way.
    fn check_books(&self) -> Result<(), Fault> {
        for debtor in 1..self.world.owners.len() {
            let creditor = self.plan.tree.creditor(debtor);
            let under_way = self
                .under_way(Channel::down(debtor))
                .chain(self.under_way(Channel::up(debtor)));
            let there = self.owner(debtor).borrowed().clone();
            let all = under_way
                .into_iter()
                .try_fold(there, |sum, delta| sum.join(delta));
            let lent = self.owner(creditor).loan(PeerId(debtor as u64));
            let is_right = match lent {
                Some(lent) => all.as_ref() == Some(lent),
                None => all.as_ref().is_some_and(T::Credit::is_empty),
            };
            if !is_right {
                let lent = lent.cloned().unwrap_or_else(T::Credit::empty);
                let (creditor, debtor) =
                    (self.plan.tree.name(creditor), self.plan.tree.name(debtor));
                return Err(Fault(format!(
                    "the books disagree: {creditor} has lent {debtor} {lent:?}, but {all:?} is there or \
                     under way"
                )));
            }
        }
        Ok(())
    }

    /// Of credit that is given for good, no unit is in two places.
    fn check_total(&self) -> Result<(), Fault> {
        let here = self.owners().map(|owner| owner.borrowed());
        let under_way = (0..self.world.queues.len()).flat_map(|channel| self.under_way(channel));
        let total = here
            .chain(under_way)
            .try_fold(T::Credit::empty(), |sum, credit| sum.join(credit));
        match total {
            Some(total) if self.plan.capital.covers(&total) => Ok(()),
            _ => Err(Fault("some credit is in two places at once".into())),
        }
    }

    /// The credit that is under way on a channel.
    fn under_way(&self, channel: usize) -> impl Iterator<Item = &'a T::Credit> {
        self.messages(channel).filter_map(|message| match message {
            Message::Grant(Grant { delta, .. }) | Message::Return { delta, .. } => Some(delta),
            Message::AskLimit { .. }
            | Message::Busy { .. }
            | Message::Claim(_)
            | Message::Claimed(_)
            | Message::Deny { .. }
            | Message::Limit { .. }
            | Message::Recall { .. }
            | Message::Revoke { .. }
            | Message::Unclaimed { .. }
            | Message::Unwant { .. }
            | Message::Want(_) => None,
        })
    }

    fn check_exclusion(&self) -> Result<(), Fault> {
        let Self { world, plan, store } = self;
        for (index, one) in world.clients.iter().enumerate() {
            if one.holds == CreditId::EMPTY {
                continue;
            }
            for (other_index, other) in world.clients.iter().enumerate().skip(index + 1) {
                let (of_one, of_other) = (one.colour, other.colour);
                let (one, other) = (store.credit(one.holds), store.credit(other.holds));
                if one.conflicts(other, &plan.capital) || differ(of_one, of_other) {
                    return Err(Fault(format!(
                        "two conflicting holds at once: {} of client {} and {} of client {}",
                        mode::<T>(one, of_one, plan),
                        plan.client_name(index),
                        mode::<T>(other, of_other, plan),
                        plan.client_name(other_index),
                    )));
                }
            }
        }
        Ok(())
    }

    /// Whoever holds reads what was written last in the world: nobody else can have written since it began.
    fn check_values(&self) -> Result<(), Fault> {
        let Self { world, plan, .. } = self;
        for (index, client) in world.clients.iter().enumerate() {
            if client.holds == CreditId::EMPTY {
                continue;
            }
            let known = self.owner(plan.clients[index].place).value();
            let known = known.map(|value| (value.is_doubtful(), &value.bytes[..]));
            let written = world.written.as_ref().map(|bytes| (false, &bytes[..]));
            if known != written {
                let client = plan.client_name(index);
                return Err(Fault(format!(
                    "client {client} holds, and reads {known:?} (doubtful, bytes) where {written:?} was \
                     written last"
                )));
            }
        }
        Ok(())
    }

    /// All coloured credit of the world has one colour, or none yet, and whoever can know it knows it.
    fn check_colours(&self) -> Result<(), Fault> {
        let all = T::coloured(&self.plan.capital);
        if all.is_empty() {
            return Ok(());
        }
        let is_coloured = |credit: &T::Credit| !credit.restrict(&all).is_empty();
        let here = |owner: &Owner<T>| is_coloured(&owner.borrowed().less(owner.lent()));
        let known = self
            .owners()
            .filter(|owner| owner.colour().is_some() || here(owner))
            .map(Owner::colour);
        let under_way = (0..self.world.queues.len()).flat_map(|channel| self.messages(channel));
        let sent = under_way.filter_map(|message| match message {
            Message::Grant(Grant { delta, colour, .. }) | Message::Return { delta, colour, .. } => {
                is_coloured(delta).then_some(*colour)
            }
            _ => None,
        });
        let held = self.world.clients.iter().map(|client| client.colour);
        let held = held.filter(Option::is_some);
        let mut colours = known.chain(sent).chain(held);
        let first = colours.next();
        match colours.find(|&colour| Some(colour) != first) {
            None => Ok(()),
            Some(other) => Err(Fault(format!(
                "coloured credit of two colours: {first:?} and {other:?}"
            ))),
        }
    }

    /// Quiet: the colour of all coloured credit.
    fn colour(&self) -> Option<Colour> {
        self.owners().find_map(Owner::colour)
    }

    /// Quiet: what a request waits for. In another colour than there is, for all coloured credit.
    fn reckoned(&self, ask: &T::Credit, colour: Option<Colour>) -> T::Level {
        let asked = level::<T>(ask, colour);
        if colour.is_some() && colour != self.colour() {
            asked.at_least(&T::Level::of(&T::coloured(&self.plan.capital)))
        } else {
            asked
        }
    }

    fn pending_requests(&self) -> Vec<Pending<T::Level>> {
        let Self { world, plan, store } = self;
        let mut pending = Vec::new();
        for (index, client) in world.clients.iter().enumerate() {
            if !matches!(client.phase, Phase::Converting | Phase::Waiting) {
                continue;
            }
            let step = client.step() - 1;
            let (need, try_only) = match &plan.clients[index].steps[step] {
                Step::Acquire {
                    ask,
                    colour,
                    try_only,
                } => (self.reckoned(ask, *colour), *try_only),
                Step::Convert { to, colour } => {
                    let has = T::Level::of(store.credit(client.holds));
                    (self.reckoned(to, *colour).beyond(&has), false)
                }
                Step::Cancel
                | Step::Reduce { .. }
                | Step::Release
                | Step::ReturnSpare
                | Step::WindUp
                | Step::WriteValue => continue,
            };
            pending.push(Pending {
                client: index,
                order: plan.order(index, step),
                need,
                try_only,
            });
        }
        pending.sort_unstable_by_key(|request| request.order);
        pending
    }

    /// Quiet: no request waits that the free credit of the world, taken in order, would cover; no `try` waits.
    fn check_progress(&self, pending: &[Pending<T::Level>]) -> Result<(), Fault> {
        let plan = self.plan;
        let mut free = match T::LENDING {
            Lending::Loaned => plan.capital.less(&self.held()),
            // What is elsewhere stays there.
            Lending::UsedUp => self.owner(0).cached().clone(),
        };
        for request in pending {
            let client = plan.client_name(request.client);
            if request.try_only {
                return Err(Fault(format!(
                    "all is quiet, and the try of client {client} is undecided"
                )));
            }
            let part = request.need.draw(&free);
            if T::Level::of(&part).reaches(&request.need) {
                return Err(Fault(format!(
                    "all is quiet, and client {client} waits for {:?} though {free:?} is free in the \
                     world",
                    request.need
                )));
            }
            free = free.less(&part);
        }
        Ok(())
    }

    /// Quiet: no want, reservation or recall of a request that is over.
    fn check_nothing_left_over(&self, pending: &[Pending<T::Level>]) -> Result<(), Fault> {
        let plan = self.plan;
        let is_over = |order: &Order| {
            let is_pending = pending.iter().any(|request| request.order.seq == order.seq);
            // A wind-up is never over.
            !is_pending && !plan.is_wind_up(*order)
        };
        let fault = |node: usize, what: &str, order: Order| {
            let (node, request) = (plan.tree.name(node), plan.request_name(order));
            Err(Fault(format!(
                "all is quiet, and {node} still {what} {request}, which is over"
            )))
        };
        for (node, owner) in self.owners().enumerate() {
            if let Some(waiting) = owner.waiting().find(|waiting| is_over(&waiting.order)) {
                return fault(node, "collects for", waiting.order);
            }
            if let Some((order, _)) = owner.standing_wants().find(|(order, _)| is_over(order)) {
                return fault(node, "has a want standing for", order);
            }
            let borrowed = owner.borrowed();
            let does_something = |keep: &T::Credit| !borrowed.less(keep).is_empty();
            let mut steps = owner.recall_steps();
            if let Some(step) = steps.find(|s| is_over(&s.order) && does_something(&s.keep)) {
                return fault(node, "gives way to", step.order);
            }
        }
        Ok(())
    }

    /// Quiet: an owner that winds up has nothing but what is held there or below, and all of it only because a
    /// holder is in the way.
    fn check_wind_ups(&self) -> Result<(), Fault> {
        let plan = self.plan;
        for (node, owner) in self.owners().enumerate() {
            if !owner.is_winding_up() || owner.is_wound_up() {
                continue;
            }
            let is_below = |mut place: usize| {
                while place > node {
                    place = plan.tree.creditor(place);
                }
                place == node
            };
            let holds = |(index, client): (usize, &ClientState)| {
                is_below(plan.clients[index].place)
                    && matches!(client.phase, Phase::Converting | Phase::Holding)
            };
            let is_held = self.world.clients.iter().enumerate().any(holds);
            let is_kept = node != 0 && !owner.is_recalled() && !owner.cached().is_empty();
            if !is_held || is_kept {
                let what = if is_held {
                    "keeps what is free"
                } else {
                    "is not wound up"
                };
                return Err(Fault(format!(
                    "all is quiet, and {} {what}",
                    plan.tree.name(node)
                )));
            }
        }
        Ok(())
    }

    /// Quiet: every want that waits at a creditor stands at its debtor, in the same version.
    fn check_both_books_of_wants(&self) -> Result<(), Fault> {
        let plan = self.plan;
        for (node, owner) in self.owners().enumerate() {
            for (peer, order, version) in owner.debtors_wants() {
                let debtor = peer.0 as usize;
                if !self
                    .owner(debtor)
                    .standing_wants()
                    .any(|want| want == (order, version))
                {
                    return Err(Fault(format!(
                        "all is quiet, and {} has a want of {} for {} that does not stand there",
                        plan.tree.name(node),
                        plan.tree.name(debtor),
                        plan.request_name(order)
                    )));
                }
            }
        }
        Ok(())
    }

    fn held(&self) -> T::Credit {
        let holds = self.owners().flat_map(Owner::holds);
        holds.fold(T::Credit::empty(), |total, (_, hold)| {
            total
                .join(&hold.credit)
                .expect("holds are part of the capital")
        })
    }
}
