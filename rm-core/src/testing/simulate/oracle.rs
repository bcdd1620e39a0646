//! What must be true of holds and requests over the whole world, kept up as they come and go.
//!
//! Holds and requests are counted by what they are of, so a flood of readers is one line here: what a grant costs
//! to check grows with the number of different amounts, not of clients.

use core::marker::PhantomData;
use std::collections::BTreeMap;

use crate::credit::{Credit, Level};
use crate::id::Order;
use crate::resource::{Lending, ResourceType};

/// What must not happen and did, in words.
pub(super) struct Fault(pub(super) String);

/// All holds and all requests that wait.
pub(super) struct Oracle<T: ResourceType> {
    capital: T::Credit,
    /// How many hold that much.
    held: Vec<(T::Credit, u32)>,
    held_total: T::Credit,
    /// The highest token of ended holds of that much.
    ended: Vec<(T::Credit, u64)>,
    /// Who waits for that much.
    waiting: Vec<(T::Level, BTreeMap<Order, u32>)>,
    /// The same, whatever they wait for.
    queue: BTreeMap<Order, u32>,
    /// Whether a hold or a request came or went since somebody asked.
    has_changed: bool,
    resource_type: PhantomData<T>,
}

impl<T: ResourceType> Oracle<T> {
    pub(super) fn new(capital: T::Credit) -> Self {
        Self {
            capital,
            held: Vec::new(),
            held_total: T::Credit::empty(),
            ended: Vec::new(),
            waiting: Vec::new(),
            queue: BTreeMap::new(),
            has_changed: false,
            resource_type: PhantomData,
        }
    }

    /// What is held in the whole world.
    pub(super) const fn held_total(&self) -> &T::Credit {
        &self.held_total
    }

    /// A hold begins: it conflicts with none, and its token is above those of all that conflict and ended.
    pub(super) fn on_grant(&mut self, credit: &T::Credit, fence: u64) -> Result<(), Fault> {
        let conflicts = |other: &T::Credit| other.conflicts(credit, &self.capital);
        if let Some((other, _)) = self.held.iter().find(|(other, _)| conflicts(other)) {
            return Err(Fault(format!(
                "two conflicting holds at once: {} is granted, and {} is held",
                self.mode(&T::Level::of(credit)),
                self.mode(&T::Level::of(other))
            )));
        }
        let above =
            |&&(ref other, highest): &&(T::Credit, u64)| conflicts(other) && highest >= fence;
        if let Some((other, highest)) = self.ended.iter().find(above) {
            return Err(Fault(format!(
                "the token of this {}, {fence:#x}, is not above {highest:#x}, that of a {} that ended before",
                self.mode(&T::Level::of(credit)),
                self.mode(&T::Level::of(other))
            )));
        }
        self.on_reduce(credit)
    }

    /// What is left of a hold that was reduced.
    pub(super) fn on_reduce(&mut self, credit: &T::Credit) -> Result<(), Fault> {
        self.has_changed = true;
        let total = self.held_total.join(credit);
        let total = total.filter(|total| self.capital.covers(total));
        self.held_total = total.ok_or_else(|| Fault("more is held than the capital".into()))?;
        match self.held.iter_mut().find(|(other, _)| other == credit) {
            Some((_, count)) => *count += 1,
            None => self.held.push((credit.clone(), 1)),
        }
        Ok(())
    }

    /// A hold ends.
    pub(super) fn on_end(&mut self, credit: &T::Credit, fence: u64) {
        self.has_changed = true;
        self.held_total = self.held_total.less(credit);
        let place = self.held.iter().position(|(other, _)| other == credit);
        let place = place.expect("what ends was held");
        self.held[place].1 -= 1;
        if self.held[place].1 == 0 {
            self.held.swap_remove(place);
        }
        if T::LENDING == Lending::UsedUp {
            // Nobody will ever hold any of it again.
            return;
        }
        match self.ended.iter_mut().find(|(other, _)| other == credit) {
            Some((_, highest)) => *highest = fence.max(*highest),
            None => self.ended.push((credit.clone(), fence)),
        }
    }

    /// A request waits.
    pub(super) fn on_wait(&mut self, ask: &T::Level, order: Order, client: u32) {
        self.has_changed = true;
        self.queue.insert(order, client);
        match self.waiting.iter_mut().find(|(other, _)| other == ask) {
            Some((_, orders)) => {
                orders.insert(order, client);
            }
            None => self
                .waiting
                .push((ask.clone(), BTreeMap::from([(order, client)]))),
        }
    }

    /// It waits no more.
    pub(super) fn on_outcome(&mut self, ask: &T::Level, order: Order) {
        self.has_changed = true;
        self.queue.remove(&order);
        let place = self.waiting.iter().position(|(other, _)| other == ask);
        let place = place.expect("what has an outcome waited");
        self.waiting[place].1.remove(&order);
        if self.waiting[place].1.is_empty() {
            self.waiting.swap_remove(place);
        }
    }

    /// Who waits, is older than `order`, and asks for what conflicts with `credit`. Of credit that is used up every
    /// node has its own, and there is no order among them.
    pub(super) fn passed_by(&self, credit: &T::Credit, order: Order) -> Vec<u32> {
        let conflicts = |ask| T::LENDING == Lending::Loaned && self.conflicts(ask, credit);
        self.waiting
            .iter()
            .filter(|(ask, _)| conflicts(ask))
            .flat_map(|(_, orders)| orders.range(..order).map(|(_, &client)| client))
            .collect()
    }

    /// Whether two of these amounts may not be held at one time.
    pub(super) fn conflicts(&self, ask: &T::Level, credit: &T::Credit) -> bool {
        ask.draw(&self.capital).conflicts(credit, &self.capital)
    }

    /// How many wait.
    pub(super) fn waits(&self) -> usize {
        self.queue.len()
    }

    /// Who waits, the oldest first.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Order, u32)> {
        self.queue.iter().map(|(&order, &client)| (order, client))
    }

    /// Whether a hold or a request came or went since this was asked last.
    pub(super) const fn take_changed(&mut self) -> bool {
        core::mem::replace(&mut self.has_changed, false)
    }

    pub(super) fn mode(&self, ask: &T::Level) -> &'static str {
        T::mode_name(ask, &self.capital)
    }
}
