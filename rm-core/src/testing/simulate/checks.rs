//! What must be true after every event, in a moment of rest, and at the end. How often what is looked at, and why that
//! is enough, stands in the words of the module above.

use super::act::Phase;
use super::oracle::Fault;
use super::windup::NO_CLIENT;
use super::world::{World, both, request_name};
use crate::credit::{Credit, Level};
use crate::id::{Order, PeerId};
use crate::resource::{Lending, ResourceType};
use crate::testing::history;

/// The lists of owners with more debtors than this are not checked after every input.
const DEBTORS_CHECKED: u64 = 64;

/// Where more requests wait, holders hear only of the oldest.
const WAITS_TOLD: usize = 64;

impl<T: ResourceType> World<'_, T> {
    /// What is looked at as a whole is looked at once in so many events.
    fn world_size(&self) -> u64 {
        // The smallest are looked at as a whole after every few events.
        self.nodes.len().max(self.oracle.waits()) as u64 / 8
    }

    /// After an event in which `node` acted.
    pub(super) fn check(&mut self, node: usize) -> Result<(), Fault> {
        let place = &self.nodes[node];
        let sparse = u64::from(place.debtors) / DEBTORS_CHECKED;
        if let Some(owner) = &place.owner
            && self.event.is_multiple_of(1 + sparse)
        {
            owner.check();
        }
        self.used.push(node as u32);
        while let Some(debtor) = self.used.pop() {
            self.check_link(debtor as usize)?;
        }
        self.check_waits()?;
        if self.event - self.summed_at >= self.world_size() {
            self.check_sum()?;
        }
        if self.is_quiet() && self.event - self.looked_at >= self.world_size() {
            self.looked_at = self.event;
            self.check_progress()?;
            self.check_nothing_left_over()?;
            self.check_notices()?;
            self.check_wind_ups()?;
        }
        Ok(())
    }

    /// What is lent over a link is borrowed or under way. What is given for good nobody keeps books of.
    fn check_link(&self, debtor: usize) -> Result<(), Fault> {
        if debtor == 0 || T::LENDING == Lending::UsedUp {
            return Ok(());
        }
        let creditor = self.plan.tree.creditor(debtor);
        let empty = T::Credit::empty();
        let peer = PeerId(debtor as u64);
        let lender = self.nodes[creditor].owner.as_ref();
        let lent = lender.and_then(|owner| owner.loan(peer)).unwrap_or(&empty);
        let link = &self.nodes[debtor];
        let borrowed = link.owner.as_ref().map_or(&empty, |owner| owner.borrowed());
        if borrowed.join(&link.under_way).as_ref() == Some(lent) {
            return Ok(());
        }
        Err(Fault(format!(
            "the books disagree: node {creditor} has lent node {debtor} {lent:?}, which has {borrowed:?}, and \
             {:?} is under way",
            link.under_way
        )))
    }

    /// Every unit that the root ever had is cached, held, under way or used up, once.
    fn check_sum(&mut self) -> Result<(), Fault> {
        self.summed_at = self.event;
        let mut total = self.oracle.held_total().clone();
        let mut add = |credit: &T::Credit| {
            total = both(&total, credit)?;
            Ok(())
        };
        add(&self.gone)?;
        for node in &self.nodes {
            add(&node.under_way)?;
            if let Some(owner) = &node.owner {
                add(owner.cached())?;
            }
        }
        // The root's credit is where it is, even if it never had to act.
        if self.nodes[0].owner.is_none() || total == self.issued {
            return Ok(());
        }
        Err(Fault(format!(
            "the credit of all adds up to {total:?}, not to {:?}",
            self.issued
        )))
    }

    /// Nothing is under way: no request waits that the free credit of the world, taken in order, would cover, and
    /// no `try` is undecided.
    fn check_progress(&self) -> Result<(), Fault> {
        let mut free = self.issued.less(self.oracle.held_total());
        for (_, client) in self.oracle.waiting() {
            let state = &self.clients[client as usize];
            let name = self.client_name(client as usize);
            if state.try_only {
                return Err(Fault(format!(
                    "all is quiet, and the try of {name} is undecided"
                )));
            }
            // What is used up is not asked back from where it is.
            let need = state.asked.beyond(&T::Level::of(&state.holds));
            if T::LENDING == Lending::Loaned && need.draw_all(&free).is_some() {
                return Err(Fault(format!(
                    "all is quiet, and {name} waits for {need:?} though {free:?} is free in the world"
                )));
            }
            free = free.less(&need.draw(&free));
        }
        Ok(())
    }

    /// Nothing more will happen: nobody waits, and nothing of any request is left.
    pub(super) fn check_end(&mut self) -> Result<(), Fault> {
        if let Some(client) = self.clients.iter().position(|c| c.phase != Phase::Idle) {
            let (name, phase) = (self.client_name(client), self.clients[client].phase);
            return Err(Fault(format!(
                "nothing more can happen, and {name} is still {phase:?}"
            )));
        }
        self.check_sum()?;
        for (node, place) in self.nodes.iter().enumerate() {
            self.check_link(node)?;
            if let Some(owner) = &place.owner {
                owner.check();
            }
        }
        self.check_nothing_left_over()?;
        self.check_wind_ups()
    }

    /// Nothing is under way: whoever is in the way of a request was told that somebody waits, once since it holds.
    fn check_notices(&self) -> Result<(), Fault> {
        let waiting: Vec<_> = self.oracle.waiting().map(|(_, client)| client).collect();
        if T::LENDING == Lending::UsedUp || waiting.len() > WAITS_TOLD {
            return Ok(());
        }
        let capital = &self.plan.capital;
        for (client, state) in self.clients.iter().enumerate() {
            if state.told || state.holds.is_empty() {
                continue;
            }
            let is_in_the_way = |&&other: &&u32| {
                let asked = self.clients[other as usize].asked.draw(capital);
                other as usize != client && asked.conflicts(&state.holds, capital)
            };
            if let Some(&other) = waiting.iter().find(is_in_the_way) {
                return Err(Fault(format!(
                    "all is quiet, and {} was not told that {} waits for what it holds",
                    self.client_name(client),
                    self.client_name(other as usize)
                )));
            }
        }
        Ok(())
    }

    /// What clients saw, by the rules of those who know nothing of owners. Of a run that came to its end every request
    /// has an outcome, and every hold was released.
    pub(super) fn check_history(&self) -> Result<(), Fault> {
        match history::check(|_| self.plan.capital.clone(), &self.report.history) {
            Err(violation) => Err(Fault(format!("the history is not good {violation}"))),
            Ok(summary) if summary.unanswered + summary.unended > 0 => Err(Fault(format!(
                "the history has requests or holds without an end: {summary:?}"
            ))),
            Ok(_) => Ok(()),
        }
    }

    /// Nothing is under way: no want, reservation or recall of a request that is over.
    fn check_nothing_left_over(&self) -> Result<(), Fault> {
        let is_over = |order: &Order| {
            if order.seq as u32 == NO_CLIENT {
                return false;
            }
            let asker = self.clients.get(order.seq as u32 as usize);
            !asker.is_some_and(|asker| asker.waits_in(*order))
        };
        let owners = self.nodes.iter().enumerate();
        for (node, owner) in owners.filter_map(|(node, n)| Some((node, n.owner.as_ref()?))) {
            let fault = |what: &str, order: Order| {
                let whose = request_name(&order);
                Err(Fault(format!(
                    "all is quiet, and node {node} still {what} {whose}, which is over"
                )))
            };
            if let Some(waiting) = owner.waiting().find(|waiting| is_over(&waiting.order)) {
                return fault("collects for", waiting.order);
            }
            if let Some((order, _)) = owner.standing_wants().find(|(order, _)| is_over(order)) {
                return fault("has a want standing for", order);
            }
            let borrowed = owner.borrowed();
            let mut steps = owner.recall_steps();
            if let Some(step) =
                steps.find(|step| is_over(&step.order) && !step.keep.covers(borrowed))
            {
                return fault("gives way to", step.order);
            }
        }
        Ok(())
    }
}
