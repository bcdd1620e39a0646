//! What must be true at every moment, and a trace in words.

use smallvec::SmallVec;

use super::callers::{Caller, Holding};
use super::driver::Fault;
use super::process::Seat;
use super::world::World;
use crate::credit::Credit as _;
use crate::resource::ResourceType;
use crate::session::packet::Body;
use crate::view::View;

impl<T: ResourceType> World<T> {
    /// What must be true at every moment.
    pub(super) fn check(&mut self) -> Result<(), Fault> {
        self.check_holds()?;
        for resource in 0..self.keys.len() {
            if self.oracle.is_excused(resource, self.now) {
                continue;
            }
            let trusted = self.trusted.iter().zip(&self.processes);
            let trusted = trusted.filter_map(|(loans, process)| {
                let (loan, until) = &loans[resource];
                let is_trusted = !loan.is_empty() && process.clock.read(self.now) < *until;
                is_trusted.then_some(loan)
            });
            self.oracle.check_trusted(resource, trusted)?;
        }
        self.check_members()
    }

    /// No two that hold of one resource, and may use it at this moment, conflict.
    fn check_holds(&self) -> Result<(), Fault> {
        let mut holds = SmallVec::<[((usize, usize), &Holding<T>); 12]>::new();
        for process in &self.processes {
            let callers = process.live.iter().flat_map(|live| &live.callers);
            for (number, caller) in callers.enumerate() {
                if let Caller::Holding(holding) = caller {
                    holds.push(((process.index, number), holding));
                }
            }
        }
        let is_valid = |(name, holding): &((usize, usize), &Holding<T>)| {
            let local = self.processes[name.0].clock.read(self.now);
            holding
                .held
                .valid_until()
                .is_some_and(|until| local < until)
        };
        for (index, one) in holds.iter().enumerate() {
            for other in &holds[..index] {
                let resource = one.1.resource;
                let capital = self.oracle.capital(resource);
                if other.1.resource == resource
                    && !self.oracle.is_excused(resource, self.now)
                    && one.1.credit.conflicts(&other.1.credit, capital)
                    && is_valid(one)
                    && is_valid(other)
                {
                    return Err(Fault(format!(
                        "caller {:?} holds {:?} and caller {:?} holds {:?} of {resource}",
                        one.0, one.1.credit, other.0, other.1.credit
                    )));
                }
            }
        }
        Ok(())
    }

    /// There is no view without a member that believes in its membership.
    fn check_members(&mut self) -> Result<(), Fault> {
        let stored = self.coordinator.store().snapshot().view.as_ref();
        let Some(view) = stored.map(|stored| &stored.value) else {
            return Ok(());
        };
        if self.last_view.as_ref().map(View::epoch) != Some(view.epoch()) {
            self.out.counts.views += 1;
            let view = view.clone();
            self.out.note(|| format!("there is {view}"));
            self.last_view = Some(view);
        }
        for process in &self.processes {
            let Some(live) = &process.live else {
                continue;
            };
            if let Seat::Coordinated(_) = live.seat
                && let Some(lending) = &live.lending
                && process.clock.read(self.now) < lending.lender.good_until()
                && !view.has(lending.lender.id())
            {
                let name = process.name.escape_ascii();
                return Err(Fault(format!("{name} believes to be in {view}")));
            }
        }
        Ok(())
    }
}

/// A packet in a few words.
pub(super) fn words(body: &Body) -> String {
    let name = |order: &crate::id::Order| format!("{:x}/{}", order.party.node.0 >> 48, order.seq);
    match body {
        Body::Data { ack, first, items } => {
            let item = |item: &crate::session::packet::Item| {
                let message = super::super::words::of_message(&item.message, &name);
                let loan = match &item.message {
                    crate::message::Message::Claim(it) => Some(it.loan),
                    crate::message::Message::Claimed(it) => Some(it.loan),
                    crate::message::Message::Grant(it) => Some(it.loan),
                    crate::message::Message::Return { loan, .. } => Some(*loan),
                    _ => None,
                };
                format!(" {}: {message} {loan:?};", item.key)
            };
            let items: String = items.iter().map(item).collect();
            format!("Data from {first}, ack {ack}:{items}")
        }
        Body::Report(report) => {
            let book = |it: &crate::cluster::ReportedBook| {
                format!(
                    " {} of {} with {:?} left: {:?};",
                    it.key, it.version, it.remaining, it.book
                )
            };
            let books: String = report.books.iter().map(book).collect();
            let past = report.past.iter().map(|it| (it.view.epoch(), it.remaining));
            let past: Vec<_> = past.collect();
            format!("Report {} by {}: {past:?}{books}", report.epoch, report.reg)
        }
        Body::View(view) => view.to_string(),
        other => format!("{other:?}"),
    }
}
