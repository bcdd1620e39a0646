//! Virtual time: the earliest thing happens next, and after each all is checked.

use core::time::Duration;
use std::sync::Arc;

use super::Kind;
use super::callers::Stage;
use super::checks::Oracle;
use super::desk::Clock;
use super::driver::{Fault, Out, Outbox};
use super::faults::Faults;
use super::look::words;
use super::network::{Arrival, Network, What};
use super::plan::{LEASE, Plan};
use super::process::{Disk, FIRST_EPOCH, Input, Process, Requests, Seat, Ticket};
use crate::command::Force;
use crate::credit::Credit as _;
use crate::id::ResourceKey;
use crate::resource::ResourceType;
use crate::session::lease::DRIFT_PER_MILLE;
use crate::testing::coordinator::{Coordinator, Network as Way};
use crate::testing::random::Random;
use crate::time::Time;
use crate::view::View;

/// More events mean that it goes round in a circle.
const EVENTS_MAX: u64 = 400_000;

/// How the coordinator is reached, as a rule.
pub(super) const CALM: Way = Way {
    delay: Duration::from_millis(5),
    delay_rare: Duration::from_millis(200),
    rare_percent: 5,
    lost_percent: 0,
    patience: Duration::from_secs(1),
};

/// The whole cluster.
pub(super) struct World<T: ResourceType> {
    pub(super) plan: Plan<T>,
    pub(super) random: Random,
    pub(super) now: Time,
    pub(super) processes: Vec<Process<T>>,
    pub(super) coordinator: Coordinator<Ticket>,
    pub(super) network: Network,
    pub(super) out: Outbox,
    pub(super) keys: Vec<ResourceKey>,
    pub(super) oracle: Oracle<T>,
    requests: Requests,
    /// When each process does something next.
    due: Vec<Time>,
    /// What each process has borrowed of each resource, and until when it may use it by its own clock.
    pub(super) trusted: Vec<Vec<(T::Credit, Time)>>,
    pub(super) is_closing: bool,
    pub(super) last_view: Option<View>,
}

impl<T: ResourceType> World<T> {
    pub(super) fn new(plan: Plan<T>, mut random: Random, is_traced: bool) -> Self {
        let keys = (0..plan.resources).map(|_| {
            let name = format!("r{}", random.below(1_000_000));
            ResourceKey::new(name.as_bytes()).expect("a short name")
        });
        let keys: Vec<_> = keys.collect();
        let capitals = keys.iter().map(|key| plan.resource_type.capital(key));
        let oracle = Oracle::new(capitals.collect());
        let count = plan.members + plan.clients;
        let mut process = |index: usize| {
            let off = if plan.extreme {
                2 * DRIFT_PER_MILLE * random.below(2)
            } else {
                random.below(2 * DRIFT_PER_MILLE + 1)
            };
            let letter = if index < plan.members { 'n' } else { 'c' };
            Process {
                index,
                name: format!("{letter}{index}").into_bytes(),
                clock: Clock {
                    offset: random.below(1 << 40),
                    per_mille: 1_000 - DRIFT_PER_MILLE + off,
                    wall: random.below(2_000_000_000),
                },
                life: 0,
                live: None,
                paused_until: Time::ZERO,
                inbox: std::collections::VecDeque::new(),
                disk: Disk {
                    epoch: FIRST_EPOCH - 1,
                    lease: Duration::ZERO,
                },
                last_reg: None,
            }
        };
        let processes = (0..count).map(&mut process).collect();
        let network = Network::new(count, plan.delays, random.fork());
        let coordinator = Coordinator::new(count, CALM, random.fork());
        let out = Outbox {
            trace: is_traced.then(Vec::new),
            ..Outbox::default()
        };
        Self {
            plan,
            random,
            now: Time::from_nanos(1_000_000_000),
            processes,
            coordinator,
            network,
            out,
            due: vec![Time::MAX; count],
            trusted: vec![vec![(T::Credit::empty(), Time::ZERO); keys.len()]; count],
            keys,
            oracle,
            requests: Vec::new(),
            is_closing: false,
            last_view: None,
        }
    }

    /// Faults, healing, and what must then be true.
    pub(super) fn run(&mut self) -> Result<(), Fault> {
        self.out.counts.schedules = 1;
        for index in 0..self.processes.len() {
            if index >= self.plan.late {
                self.start(index)?;
            }
        }
        let mut faults = Faults::new(self);
        let end = self.now.after(self.plan.span);
        loop {
            let next = faults.next_at();
            self.go_on(next.min(end), |_| false)?;
            if next >= end {
                break;
            }
            faults.strike(self)?;
        }
        faults.heal(self)?;
        self.settle()
    }

    /// A new run of a process.
    pub(super) fn start(&mut self, index: usize) -> Result<(), Fault> {
        let (boot, run) = (self.random.next_u64(), self.random.next_u64());
        let process = &mut self.processes[index];
        let is_alone = matches!(self.plan.kind, Kind::Standalone | Kind::Restarts);
        let seat = if index >= self.plan.members {
            Seat::Client
        } else if is_alone {
            Seat::Alone
        } else {
            Seat::Coordinated(process.coordination(self.now, run))
        };
        self.out
            .note(|| format!("{} starts", process.name.escape_ascii()));
        process.start(self.now, &self.plan, &self.keys, Some(seat), boot);
        if index >= self.plan.members {
            return Ok(());
        }
        if is_alone {
            let lease = if self.plan.changes_lease && self.random.percent(50) {
                LEASE * 2 / 3
            } else {
                LEASE
            };
            return process.found(self.now, &self.plan, lease, &mut self.out);
        }
        self.coordinator.connect(self.now, index);
        Ok(())
    }

    /// An operator takes a resource away from whoever has it, at its root.
    pub(super) fn release(&mut self, resource: usize, force: Force) -> Result<(), Fault> {
        let key = &self.keys[resource];
        let now = self.now;
        for index in 0..self.plan.members {
            let process = &mut self.processes[index];
            let Some(live) = process
                .live
                .as_mut()
                .filter(|_| now >= process.paused_until)
            else {
                continue;
            };
            let Some(lending) = &mut live.lending else {
                continue;
            };
            let root = lending.view().and_then(|view| view.root_id(T::ID, key));
            if root != Some(lending.lender.id()) {
                continue;
            }
            lending.desk.set(process.clock, now);
            let lent = lending
                .domain
                .release(T::ID, key, force, &Arc::from("a test"));
            lending.hand_over(&mut self.out)?;
            if force == Force::Now && !lent.loans.is_empty() {
                self.oracle.excuse(resource, now.after(LEASE * 2));
            }
            self.work(index)?;
            return Ok(());
        }
        Ok(())
    }

    /// A process dies. Nobody is told by it.
    pub(super) fn kill(&mut self, index: usize, is_told: bool) {
        let process = &mut self.processes[index];
        process.live = None;
        process.inbox.clear();
        self.network.forget(self.now, index, is_told);
        self.coordinator.forget(index);
    }

    /// Goes on until then, or until `is_over`.
    pub(super) fn go_on(
        &mut self,
        until: Time,
        is_over: impl Fn(&Self) -> bool,
    ) -> Result<(), Fault> {
        self.look_at_all();
        loop {
            self.out.counts.events += 1;
            if self.out.counts.events > EVENTS_MAX {
                return Err(Fault("it never ends".into()));
            }
            let due = self.due.iter().enumerate().map(|(index, &at)| (at, index));
            let (due, index) = due.min().expect("there are processes");
            let store = self.coordinator.next_at().unwrap_or(Time::MAX);
            let arrival = self.network.next_at().unwrap_or(Time::MAX);
            let next = due.min(store).min(arrival);
            if next > until {
                self.now = self.now.max(until);
                return Ok(());
            }
            self.now = self.now.max(next);
            if next == arrival {
                self.arrive()?;
            } else if next == store {
                if let Some((client, delivery)) = self.coordinator.step() {
                    self.on_delivery(client, delivery);
                    self.work(client)?;
                }
            } else {
                self.work(index)?;
            }
            self.check()?;
            if is_over(self) {
                return Ok(());
            }
        }
    }

    fn on_delivery(
        &mut self,
        client: usize,
        delivery: crate::testing::coordinator::Delivery<Ticket>,
    ) {
        use crate::testing::coordinator::Delivery;
        if matches!(delivery, Delivery::Disconnected) {
            self.coordinator.connect(self.now, client);
        }
        let process = &mut self.processes[client];
        if process.live.is_some() {
            process.inbox.push_back(Input::Store(delivery));
        }
    }

    fn arrive(&mut self) -> Result<(), Fault> {
        let processes = &self.processes;
        let lives = |index: usize| {
            processes[index]
                .live
                .as_ref()
                .map(|_| processes[index].life)
        };
        let Some((index, arrival)) = self.network.step(lives) else {
            return Ok(());
        };
        self.processes[index]
            .inbox
            .push_back(Input::Network(arrival));
        self.work(index)
    }

    /// What a process does next, and may use, may be otherwise by now.
    pub(super) fn look_at(&mut self, index: usize) {
        let process = &self.processes[index];
        self.due[index] = process.next_at(self.now, self.is_closing);
        for (resource, trusted) in self.trusted[index].iter_mut().enumerate() {
            *trusted = match &process.live {
                Some(live) => live.handles[resource].trusted(),
                None => (T::Credit::empty(), Time::ZERO),
            };
        }
    }

    /// The same of all.
    fn look_at_all(&mut self) {
        (0..self.processes.len()).for_each(|index| self.look_at(index));
    }

    /// A process works, unless it is paused, and the network gets what it has to say.
    pub(super) fn work(&mut self, index: usize) -> Result<(), Fault> {
        if self.now < self.processes[index].paused_until {
            self.look_at(index);
            return Ok(());
        }
        let asked: Vec<_> = self.processes[index]
            .inbox
            .iter()
            .filter_map(|input| match input {
                Input::Network(Arrival::Ask { from }) => Some(*from),
                _ => None,
            })
            .collect();
        self.note_work(index);
        let mut stage = Stage {
            now: self.now,
            plan: &self.plan,
            keys: &self.keys,
            random: &mut self.random,
            oracle: &mut self.oracle,
            out: &mut self.out,
            is_closing: self.is_closing,
        };
        self.processes[index].work(&mut stage, &mut self.requests)?;
        for from in asked {
            self.answer(index, from);
        }
        let local = self.processes[index].clock.read(self.now);
        let asks = self.processes[index]
            .live
            .as_mut()
            .is_some_and(|live| live.asks(local));
        if asks {
            let to = self.random.below(self.plan.members as u64) as usize;
            self.network
                .post(self.now, index, to, Arrival::Ask { from: index });
        }
        for (ticket, transaction) in self.requests.drain(..) {
            self.coordinator
                .submit(self.now, index, ticket, transaction);
        }
        self.carry(index);
        self.let_go(index)?;
        self.look_at(index);
        Ok(())
    }

    /// A member that has left says goodbye to whom it borrows from, and ends.
    fn let_go(&mut self, index: usize) -> Result<(), Fault> {
        let live = self.processes[index].live.as_mut();
        let Some(live) = live.filter(|live| live.has_left()) else {
            return Ok(());
        };
        live.borrower.bye(&mut self.out)?;
        self.carry(index);
        self.out.note(|| format!("{index} has left"));
        self.kill(index, true);
        Ok(())
    }

    fn note_work(&mut self, index: usize) {
        let process = &self.processes[index];
        let now = self.now;
        self.out.note(|| {
            let read = process.inbox.iter().map(|input| match input {
                Input::Network(Arrival::At(side, id, What::Packet(packet))) => {
                    let body = words(&packet.body);
                    format!("\n    {side:?} {} in {}: {body}", id.0, packet.epoch)
                }
                Input::Network(arrival) => format!("\n    {arrival:?}"),
                Input::Store(_) => "\n    of the coordinator".into(),
            });
            let read: String = read.collect();
            let name = process.name.escape_ascii();
            let local = process.clock.read(now);
            format!("{:.3} {name} at {local}{read}", now.as_nanos() as f64 / 1e9)
        });
    }

    /// Somebody asked for the view: a member that has one tells it.
    fn answer(&mut self, index: usize, from: usize) {
        let live = self.processes[index].live.as_ref();
        let view = live.and_then(|live| live.borrower.domain.view());
        if let Some(view) = view
            && index != from
        {
            self.network
                .post(self.now, index, from, Arrival::Tell(view));
        }
    }

    /// What a process wants of the network.
    pub(super) fn carry(&mut self, index: usize) {
        for out in core::mem::take(&mut self.out.list) {
            match out {
                Out::Connect(id, root) => {
                    let is_it =
                        |it: &&Process<T>| crate::id::NodeId::of_name(&it.name) == root.node;
                    let Some(to) = self.processes.iter().find(is_it) else {
                        continue;
                    };
                    let ends = [(index, self.processes[index].life), (to.index, to.life)];
                    self.network.connect(self.now, id, ends);
                }
                Out::Close(side, id) => self.network.close(self.now, id, side),
                Out::Packet(side, id, packet) => {
                    self.out
                        .note(|| format!("  {side:?} {} says {}", id.0, words(&packet.body)));
                    self.network.send(self.now, id, side, What::Packet(packet));
                }
            }
        }
    }
}
