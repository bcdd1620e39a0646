//! What must be true in every state, in every quiet state, and at the end.
//!
//! A state is *quiet* when no message is under way. Then whatever could be decided must have been.

use super::script::Step;
use super::world::{Channel, Fault, Phase, Plan, World, mode};
use crate::credit::Credit;
use crate::id::{Order, PeerId};
use crate::message::{Grant, Message};
use crate::resource::ResourceType;

/// A request that has no outcome.
struct Pending<C> {
    client: usize,
    order: Order,
    /// What it needs beyond what its client holds.
    need: C,
    try_only: bool,
}

impl<T: ResourceType> World<T> {
    /// Checks a state that is new; `node` is the one that acted last.
    pub(super) fn check(&self, plan: &Plan<T>, node: usize) -> Result<(), Fault> {
        // With debug assertions every input ends in this anyway.
        if !cfg!(debug_assertions) {
            self.owners[node].check();
        }
        self.check_books(plan)?;
        self.check_exclusion(plan)?;
        self.check_values(plan)?;
        if self.is_quiet() {
            let pending = self.pending_requests(plan);
            self.check_progress(plan, &pending)?;
            self.check_nothing_left_over(plan, &pending)?;
            self.check_both_books_of_wants(plan)?;
        }
        Ok(())
    }

    /// Checks a state in which nothing more can happen.
    pub(super) fn check_end(&self, plan: &Plan<T>) -> Result<(), Fault> {
        match (0..self.clients.len()).find(|&c| self.clients[c].next < plan.clients[c].steps.len())
        {
            None => Ok(()),
            Some(client) => Err(Fault(format!(
                "deadlock: nothing can happen, and client {} has not done its script",
                plan.client_name(client)
            ))),
        }
    }

    /// What a creditor thinks it lent is at the debtor or under way.
    fn check_books(&self, plan: &Plan<T>) -> Result<(), Fault> {
        for debtor in 1..self.owners.len() {
            let creditor = plan.tree.creditor(debtor);
            let grants = self.channels[Channel::down(debtor)]
                .iter()
                .filter_map(|m| match m {
                    Message::Grant(Grant { delta, .. }) => Some(delta),
                    _ => None,
                });
            let returns = self.channels[Channel::up(debtor)]
                .iter()
                .filter_map(|m| match m {
                    Message::Return { delta, .. } => Some(delta),
                    _ => None,
                });
            let there = self.owners[debtor].borrowed().clone();
            let all = grants
                .chain(returns)
                .try_fold(there, |sum, delta| sum.join(delta));
            let lent = self.owners[creditor].loan(PeerId(debtor as u64));
            let lent = lent.cloned().unwrap_or_else(T::Credit::empty);
            if all.as_ref() != Some(&lent) {
                let (creditor, debtor) = (plan.tree.name(creditor), plan.tree.name(debtor));
                return Err(Fault(format!(
                    "the books disagree: {creditor} has lent {debtor} {lent:?}, but {all:?} is there or \
                     under way"
                )));
            }
        }
        Ok(())
    }

    fn check_exclusion(&self, plan: &Plan<T>) -> Result<(), Fault> {
        for (index, one) in self.clients.iter().enumerate() {
            for (other_index, other) in self.clients.iter().enumerate().skip(index + 1) {
                if one.holds.conflicts(&other.holds, &plan.capital) {
                    return Err(Fault(format!(
                        "two conflicting holds at once: {} of client {} and {} of client {}",
                        mode::<T>(&one.holds, plan),
                        plan.client_name(index),
                        mode::<T>(&other.holds, plan),
                        plan.client_name(other_index),
                    )));
                }
            }
        }
        Ok(())
    }

    /// Whoever holds reads what was written last in the world: nobody else can have written since it began.
    fn check_values(&self, plan: &Plan<T>) -> Result<(), Fault> {
        for (index, client) in self.clients.iter().enumerate() {
            if client.holds.is_empty() {
                continue;
            }
            let known = self.owners[plan.clients[index].place].value();
            let known = known.map(|value| (value.is_doubtful(), &value.bytes[..]));
            let written = self.written.as_ref().map(|bytes| (false, &bytes[..]));
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

    fn pending_requests(&self, plan: &Plan<T>) -> Vec<Pending<T::Credit>> {
        let mut pending = Vec::new();
        for (index, client) in self.clients.iter().enumerate() {
            if !matches!(client.phase, Phase::Converting | Phase::Waiting) {
                continue;
            }
            let step = client.next - 1;
            let (need, try_only) = match &plan.clients[index].steps[step] {
                Step::Acquire { ask, try_only } => (ask.clone(), *try_only),
                Step::Convert { to } => (to.less(&client.holds), false),
                Step::Cancel
                | Step::Reduce { .. }
                | Step::Release
                | Step::ReturnSpare
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
    fn check_progress(&self, plan: &Plan<T>, pending: &[Pending<T::Credit>]) -> Result<(), Fault> {
        let held = |free: T::Credit, owner: &std::rc::Rc<_>| hold_total::<T>(free, owner);
        let mut free = plan
            .capital
            .less(&self.owners.iter().fold(T::Credit::empty(), held));
        for request in pending {
            let client = plan.client_name(request.client);
            if request.try_only {
                return Err(Fault(format!(
                    "all is quiet, and the try of client {client} is undecided"
                )));
            }
            if free.covers(&request.need) {
                return Err(Fault(format!(
                    "all is quiet, and client {client} waits for {:?} though {free:?} is free in the \
                     world",
                    request.need
                )));
            }
            free = free.less(&request.need);
        }
        Ok(())
    }

    /// Quiet: no want, reservation or recall of a request that is over.
    fn check_nothing_left_over(
        &self,
        plan: &Plan<T>,
        pending: &[Pending<T::Credit>],
    ) -> Result<(), Fault> {
        let is_over = |order: &Order| pending.iter().all(|request| request.order.seq != order.seq);
        let fault = |node: usize, what: &str, order: Order| {
            let (node, request) = (plan.tree.name(node), plan.request_name(order));
            Err(Fault(format!(
                "all is quiet, and {node} still {what} {request}, which is over"
            )))
        };
        for (node, owner) in self.owners.iter().enumerate() {
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

    /// Quiet: every want that waits at a creditor stands at its debtor, in the same version.
    fn check_both_books_of_wants(&self, plan: &Plan<T>) -> Result<(), Fault> {
        for (node, owner) in self.owners.iter().enumerate() {
            for (peer, order, version) in owner.debtors_wants() {
                let debtor = peer.0 as usize;
                if !self.owners[debtor]
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
}

fn hold_total<T: ResourceType>(
    total: T::Credit,
    owner: &std::rc::Rc<crate::owner::Owner<T>>,
) -> T::Credit {
    owner.holds().fold(total, |total, (_, hold)| {
        total
            .join(&hold.credit)
            .expect("holds are part of the capital")
    })
}
