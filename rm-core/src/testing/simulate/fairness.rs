//! Fairness: who may pass whom, and how long one waits for what nobody uses.
//!
//! * **An owner keeps the order that it knows.** It hands out nothing to a request while it knows of an older one that
//!   conflicts with it: one that waits there, or a recall that it has not met.
//! * **Nobody is passed once word of it is there.** A request is passed by a younger one only while its want and its
//!   recall are under way: over the links between the two nodes, each at the longest delay.
//! * **Who is next gets it in two round trips.** A request is *due* from the moment at which the credit that nobody
//!   holds, less what older requests ask for, covers it. It is granted two round trips later at the latest.
//!
//! Together they bound every wait: it lasts until those who held before word came, and those who asked before, have let
//! go, and two round trips more. A request that excludes none of its kind has four: since each debtor is asked for all that
//! is missing, what arrives for it may be asked back for an older one that gets more than it needs. Under the policies by which
//! debtors keep all they were not asked for, that can happen to it again and again, and there is no bound.
//!
//! **When word leaves.** With the request; but it leaves anew where an older request of the same node spoke for it, and is
//! over; and where the node gave something back for an older request elsewhere. If that crosses the grant, the creditor
//! takes the request for served until the node asks again, which is at most a round trip later.
//!
//! All this is looked at in flat trees, among as many clients as a recall register has steps. In deep ones a request can
//! lose its place for a while, and behind so many others word of it is not sent at all. Of credit that is used up every
//! node has its own, and there is no order among them. A `try` waits for nobody, so nobody passes it.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use super::Plan;
use super::oracle::Fault;
use super::world::World;
use crate::credit::{Credit, Level};
use crate::id::Order;
use crate::message::Step;
use crate::owner::STEPS_MAX;
use crate::policy::Policy;
use crate::resource::{Lending, ResourceType};

/// What has to be remembered for that.
pub(super) struct Fairness {
    is_kept: bool,
    /// Asked for, in whatever tree.
    bounds_bypass: bool,
    /// The longest that a message takes.
    delay_max: u64,
    /// Requests that are due, and since when.
    due: BTreeMap<Order, u64>,
    /// Requests that wait no more, for two round trips: where they were made, and since when.
    over: VecDeque<(u32, Order, u64)>,
}

impl Fairness {
    pub(super) fn new<T: ResourceType>(plan: &Plan<T>) -> Self {
        let (stalls, span) = plan.stall;
        let stall = if stalls > 0 { span.most() } else { 0 };
        let is_lent = T::LENDING == Lending::Loaned;
        let is_kept = is_lent && plan.tree.is_flat();
        Self {
            is_kept,
            bounds_bypass: plan.bounds_bypass,
            delay_max: plan.delay.most().saturating_add(stall),
            due: BTreeMap::new(),
            over: VecDeque::new(),
        }
    }

    /// Among so many clients.
    pub(super) const fn limit(&mut self, clients: usize) {
        self.is_kept &= clients <= STEPS_MAX;
    }

    const fn bounds_bypass(&self) -> bool {
        self.is_kept || self.bounds_bypass
    }

    const fn round_trips(&self, count: u64) -> u64 {
        self.delay_max.saturating_mul(2 * count)
    }

    /// A request of a node waits no more.
    fn on_over(&mut self, now: u64, node: u32, order: Order) {
        let kept = self.round_trips(2);
        while (self.over.front()).is_some_and(|&(_, _, since)| now - since > kept) {
            self.over.pop_front();
        }
        self.over.push_back((node, order, now));
    }

    /// When a request of a node that is older than `order` last ceased to wait.
    fn older_over(&self, node: u32, order: Order) -> Option<u64> {
        let mut latest = self.over.iter().rev();
        let older = latest.find(|&&(at, other, _)| at == node && other < order);
        older.map(|&(_, _, since)| since)
    }
}

impl<T: ResourceType> World<'_, T> {
    /// A request is about to have its outcome.
    pub(super) fn note_over(&mut self, client: usize) {
        if self.fairness.bounds_bypass() {
            let state = &self.clients[client];
            self.fairness.on_over(self.now, state.node, state.order);
        }
    }

    /// A request is about to be granted: it was not due for too long.
    pub(super) fn check_grant(&mut self, client: usize) -> Result<(), Fault> {
        let order = self.clients[client].order;
        match self.fairness.due.get(&order) {
            Some(&since) => self.check_due(client, since),
            None => Ok(()),
        }
    }

    /// Works out who is due, after an event.
    pub(super) fn check_waits(&mut self) -> Result<(), Fault> {
        if !self.fairness.is_kept || !self.oracle.take_changed() {
            return Ok(());
        }
        let mut free = self.issued.less(self.oracle.held_total());
        let (mut due, mut clients) = (BTreeMap::new(), Vec::new());
        for (order, client) in self.oracle.waiting() {
            if free.is_empty() {
                break;
            }
            let state = &self.clients[client as usize];
            let need = state.asked.beyond(&T::Level::of(&state.holds));
            if need.draw_all(&free).is_some() {
                let since = self.fairness.due.get(&order);
                due.insert(order, since.copied().unwrap_or(self.now));
                clients.push(client as usize);
            }
            free = free.less(&need.draw(&free));
        }
        for (client, &since) in clients.into_iter().zip(due.values()) {
            self.check_due(client, since)?;
        }
        self.fairness.due = due;
        Ok(())
    }

    fn check_due(&mut self, client: usize, since: u64) -> Result<(), Fault> {
        let due = self.now - since;
        let longest = &mut self.report.idle_max;
        *longest = Duration::from_nanos(due).max(*longest);
        let Some(most) = self.due_max(client) else {
            return Ok(());
        };
        if due <= most || self.now - since.max(self.speaks_since(client)) <= most {
            return Ok(());
        }
        Err(Fault(format!(
            "{} has waited for {:?} for {:?} beside credit that nobody holds and no older request waits for",
            self.client_name(client),
            self.clients[client].asked,
            Duration::from_nanos(due),
        )))
    }

    /// How long a request may be due, if that has a bound.
    fn due_max(&self, client: usize) -> Option<u64> {
        let asked = &self.clients[client].asked;
        let excludes_its_kind = self
            .oracle
            .conflicts(asked, &asked.draw(&self.plan.capital));
        match self.plan.settings.policy {
            _ if excludes_its_kind => Some(self.fairness.round_trips(2)),
            Policy::Adaptive(_) | Policy::Slice(_) => Some(self.fairness.round_trips(4)),
            Policy::Exact | Policy::Max => None,
        }
    }

    /// When word of a request that waits left its node, at the latest.
    fn speaks_since(&self, client: usize) -> u64 {
        let state = &self.clients[client];
        let is_older_try = |(_, other): (Order, u32)| {
            let other = &self.clients[other as usize];
            other.node == state.node && other.try_only
        };
        let mut older = self.oracle.waiting();
        if older
            .by_ref()
            .take_while(|(order, _)| *order < state.order)
            .any(is_older_try)
        {
            return self.now;
        }
        let returned = self.nodes[state.node as usize].returned_at;
        let returned = returned.filter(|&at| at >= state.asked_at);
        let asks_anew = returned.map(|at| at.saturating_add(self.fairness.round_trips(1)));
        let alone = self.fairness.older_over(state.node, state.order);
        let since = state.asked_at.max(alone.unwrap_or_default());
        since.max(asks_anew.unwrap_or_default()).min(self.now)
    }

    /// Who is passed by what is granted now.
    pub(super) fn note_bypasses(&mut self, client: usize) -> Result<(), Fault> {
        let state = &self.clients[client];
        let node = state.node as usize;
        let granted = state.holds.clone();
        for passed in self.oracle.passed_by(&state.holds, state.order) {
            let passed = passed as usize;
            self.clients[passed].passed += 1;
            let other = &self.clients[passed];
            let waited = self.now - other.asked_at;
            let report = &mut self.report;
            report.bypasses += 1;
            report.passed_max = report.passed_max.max(other.passed);
            report.bypass_age_max = report.bypass_age_max.max(Duration::from_nanos(waited));
            if self.fairness.is_kept && self.knows(node, other.order, &granted) {
                return Err(self.passed(client, passed, "and its own node knows"));
            }
            let links = self.plan.tree.distance(node, other.node as usize);
            let word = (links as u64).saturating_mul(self.fairness.delay_max);
            if self.fairness.bounds_bypass()
                && !other.try_only
                && self.now - self.speaks_since(passed) > word
            {
                return Err(self.passed(client, passed, &format!("{links} links away")));
            }
        }
        Ok(())
    }

    /// Whether the owner of a node knows that a request needs some of that credit: it waits there for it, or the creditor
    /// asks for some for it. A want names only the components of the loan that have to grow; that it needs others too, its node
    /// says when it gives those away.
    fn knows(&self, node: usize, order: Order, credit: &T::Credit) -> bool {
        self.nodes[node].owner.as_ref().is_some_and(|owner| {
            let borrowed = owner.borrowed();
            let asks_back = |step: &Step<T::Credit>| {
                let back = borrowed.less(&step.keep);
                step.order == order && !back.meet(credit).is_empty()
            };
            let mut waiting = owner.waiting();
            waiting.any(|w| w.order == order && !w.level.draw(credit).is_empty())
                || owner.recall_steps().any(asks_back)
        })
    }

    fn passed(&self, client: usize, passed: usize, why: &str) -> Fault {
        let other = &self.clients[passed];
        Fault(format!(
            "{} is granted {:?} though the older {} has waited for {:?} for {:?}, {why}",
            self.client_name(client),
            self.clients[client].asked,
            self.client_name(passed),
            other.asked,
            Duration::from_nanos(self.now - other.asked_at),
        ))
    }
}
