//! The nodes, their clocks, and what happens to them.

use std::collections::VecDeque;
use std::time::Duration;

use rm_core::coordination::{
    Beat, Command, Coordination, Record, RecordKey, RecordState, Transaction,
};
use rm_core::session::lease::{DRIFT_PER_MILLE, LeaseTerms};
use rm_core::testing::coordinator::{Coordinator, Delivery, Network};
use rm_core::testing::random::Random;
use rm_core::time::Time;
use rm_core::view::View;

const LEASE: Duration = Duration::from_secs(15);
const M: Duration = Duration::from_secs(4);
/// Faults begin before this.
const FAULTS_UNTIL: Duration = Duration::from_secs(80);
/// Then all must be well so much later: an eviction, a join, and a second between epochs.
const HEALED_AFTER: Duration = Duration::from_secs(40);
const EVENTS_MAX: u32 = 400_000;
const FIRST_EPOCH: u32 = 3_000_000;

const CALM: Network = Network {
    delay: Duration::from_millis(5),
    delay_rare: Duration::from_millis(40),
    rare_percent: 5,
    lost_percent: 0,
    patience: Duration::from_secs(2),
};

/// What may happen to the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    CleanUp,
    Cut,
    Disconnect,
    Drain,
    Kill,
    Leave,
    NewEpoch,
    Outage,
    Pause,
    Slow,
    Weight,
}

impl Fault {
    pub(crate) const ALL: [Self; 11] = [
        Self::CleanUp,
        Self::Cut,
        Self::Disconnect,
        Self::Drain,
        Self::Kill,
        Self::Leave,
        Self::NewEpoch,
        Self::Outage,
        Self::Pause,
        Self::Slow,
        Self::Weight,
    ];
}

#[derive(Clone, Debug)]
enum Ticket {
    Register(u32),
    Beat(u32, Beat),
    Propose(u32),
}

/// One node: a clock and, while it lives, the machine.
struct Node {
    machine: Option<Coordination>,
    /// Which process: answers to an earlier one are not heard.
    process: u32,
    offset: u64,
    rate_per_mille: u64,
    paused_until: Time,
    /// What arrived while it was paused.
    inbox: VecDeque<Delivery<Ticket>>,
    leaves: bool,
}

impl Node {
    fn clock(&self, now: Time) -> Time {
        let nanos = u128::from(now.as_nanos()) * u128::from(self.rate_per_mille) / 1_000;
        Time::from_nanos(self.offset + u64::try_from(nanos).expect("a short run"))
    }

    /// The true time at which its clock shows `local`.
    fn true_time(&self, local: Time) -> Time {
        if local == Time::MAX {
            return Time::MAX;
        }
        let nanos = u128::from(local.as_nanos().saturating_sub(self.offset)) * 1_000;
        let nanos = nanos.div_ceil(u128::from(self.rate_per_mille));
        Time::from_nanos(u64::try_from(nanos).expect("a short run"))
    }
}

pub(crate) struct World {
    random: Random,
    now: Time,
    nodes: Vec<Node>,
    coordinator: Coordinator<Ticket>,
    last_view: Option<View>,
    views: u32,
    next_fault: Time,
    /// When each cut or outage or slowness is over.
    mend_at: Vec<(Time, Fault, usize)>,
    events: u32,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = 2 + usize::try_from(random.below(4)).expect("small");
        let coordinator = Coordinator::new(count, CALM, random.fork());
        let extreme = random.percent(50);
        let nodes = (0..count).map(|_| {
            let off = if extreme {
                2 * DRIFT_PER_MILLE * random.below(2)
            } else {
                random.below(2 * DRIFT_PER_MILLE + 1)
            };
            Node {
                machine: None,
                process: 0,
                offset: random.below(1 << 50),
                rate_per_mille: 1_000 - DRIFT_PER_MILLE + off,
                paused_until: Time::ZERO,
                inbox: VecDeque::new(),
                leaves: false,
            }
        });
        let nodes = nodes.collect();
        let mut world = Self {
            random,
            now: Time::ZERO.after(Duration::from_secs(1)),
            nodes,
            coordinator,
            last_view: None,
            views: 0,
            next_fault: Time::ZERO,
            mend_at: Vec::new(),
            events: 0,
        };
        for node in 0..count {
            world.start(node);
        }
        world
    }

    pub(crate) const fn views(&self) -> u32 {
        self.views
    }

    /// Faults, and whatever comes of them.
    pub(crate) fn run(&mut self, faults: &[Fault]) -> Result<(), String> {
        self.next_fault = self.now.after(Duration::from_secs(6));
        self.go_on(Time::ZERO.after(FAULTS_UNTIL), faults)
    }

    /// No more faults: after a while all that live are members and know it.
    pub(crate) fn heal(&mut self) -> Result<(), String> {
        for (_, fault, node) in std::mem::take(&mut self.mend_at) {
            self.mend(fault, node);
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].paused_until = self.nodes[node].paused_until.min(self.now);
            if self.nodes[node].machine.is_none() && !self.nodes[node].leaves {
                self.start(node);
            }
        }
        self.go_on(self.now.after(HEALED_AFTER), &[])?;
        self.all_are_well()
    }

    /// The coordinator is away for so long that all are suspended. When it is back, all are members as before.
    pub(crate) fn outage(&mut self) -> Result<(), String> {
        self.go_on(self.now.after(3 * M), &[])?;
        self.all_are_well()?;
        let before = self.last_view.clone();
        self.coordinator.begin_outage();
        let span = Duration::from_millis(500 + self.random.below(20_000));
        for node in 0..self.nodes.len() {
            if self.random.percent(50) {
                self.coordinator.disconnect(self.now, node);
            }
        }
        let until = self.now.after(span);
        self.go_on(until, &[])?;
        self.coordinator.end_outage();
        self.go_on(self.now.after(3 * M), &[])?;
        self.all_are_well()?;
        if self.last_view != before {
            return Err(format!("{before:?} became {:?}", self.last_view));
        }
        Ok(())
    }

    fn all_are_well(&self) -> Result<(), String> {
        let view = self.last_view.as_ref().ok_or("there is no view")?;
        let mut regs = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let Some(machine) = node.machine.as_ref().filter(|it| !it.has_left()) else {
                continue;
            };
            let is_good = machine.good_until() > Some(node.clock(self.now));
            if !is_good || machine.view() != Some(view) {
                let clock = node.clock(self.now);
                return Err(format!(
                    "at {clock} node {index} is not well in {view}: {machine:?}"
                ));
            }
            regs.extend(machine.reg());
        }
        let mut members: Vec<_> = view.members().iter().map(|it| it.reg).collect();
        members.sort_unstable();
        regs.sort_unstable();
        // Where nobody is left, nobody says so.
        if !regs.is_empty() && members != regs {
            return Err(format!("{view}, and {regs:?} live"));
        }
        Ok(())
    }

    fn go_on(&mut self, until: Time, faults: &[Fault]) -> Result<(), String> {
        loop {
            self.events += 1;
            if self.events > EVENTS_MAX {
                return Err("it never ends".into());
            }
            let (due, node) = self.next_due();
            let incoming = self.coordinator.next_at().unwrap_or(Time::MAX);
            let mend = self.mend_at.iter().map(|it| it.0).min();
            let mend = mend.unwrap_or(Time::MAX);
            let fault = if faults.is_empty() {
                Time::MAX
            } else {
                self.next_fault
            };
            let next = due.min(incoming).min(mend).min(fault);
            if next > until {
                self.now = until;
                return Ok(());
            }
            self.now = self.now.max(next);
            if next == fault {
                self.fault(faults);
            } else if next == mend {
                self.mend_next();
            } else if next == incoming {
                if let Some((client, delivery)) = self.coordinator.step() {
                    self.nodes[client].inbox.push_back(delivery);
                    self.work(client);
                }
            } else {
                self.work(node);
            }
            self.check()?;
        }
    }

    /// Which node has something to do next, and when.
    fn next_due(&self) -> (Time, usize) {
        let due = |node: &Node| {
            let tick = node.machine.as_ref().map(Coordination::next_tick);
            let tick = node.true_time(tick.unwrap_or(Time::MAX));
            let at = if node.inbox.is_empty() {
                tick
            } else {
                self.now
            };
            at.max(node.paused_until)
        };
        let all = self.nodes.iter().enumerate();
        all.map(|(index, node)| (due(node), index))
            .min()
            .expect("nodes")
    }

    /// A node reads what came and does what is due.
    fn work(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if now < node.paused_until {
            return;
        }
        let local = node.clock(now);
        let inbox = std::mem::take(&mut node.inbox);
        let Some(machine) = &mut node.machine else {
            return;
        };
        for delivery in inbox {
            match delivery {
                Delivery::Answer(Ticket::Register(process), it) if process == node.process => {
                    machine.on_registered(local, it);
                }
                Delivery::Answer(Ticket::Beat(process, beat), it) if process == node.process => {
                    machine.on_heartbeat(local, beat, it);
                }
                Delivery::Answer(Ticket::Propose(process), it) if process == node.process => {
                    machine.on_proposed(local, it);
                }
                Delivery::Answer(..) => {}
                Delivery::Connected => machine.on_connected(local),
                Delivery::Disconnected => {
                    machine.on_disconnected(local);
                    self.coordinator.connect(now, index);
                }
                Delivery::Store(snapshot) => machine.on_store(local, &snapshot),
            }
        }
        let process = node.process;
        while let Some(command) = machine.poll(local, FIRST_EPOCH) {
            let (ticket, transaction): (_, Transaction) = match command {
                Command::Register(it) => (Ticket::Register(process), it),
                Command::Heartbeat(beat, it) => (Ticket::Beat(process, beat), it),
                Command::Propose(it) => (Ticket::Propose(process), it),
            };
            self.coordinator.submit(now, index, ticket, transaction);
        }
    }

    fn check(&mut self) -> Result<(), String> {
        let stored = self.coordinator.store().snapshot().view.as_ref();
        let view = stored.map(|stored| &stored.value);
        if view != self.last_view.as_ref() {
            let epoch = view.map_or(0, View::epoch);
            let expected = match &self.last_view {
                Some(last) => last.epoch() + 1,
                None => FIRST_EPOCH,
            };
            if epoch != expected {
                return Err(format!("epoch {epoch} and not {expected}"));
            }
            self.views += 1;
            self.last_view = view.cloned();
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let Some(machine) = &node.machine else {
                continue;
            };
            let is_good = machine.good_until() > Some(node.clock(self.now));
            let (reg, is_member) = (machine.reg(), |reg| {
                view.is_some_and(|view| view.members().iter().any(|it| it.reg == reg))
            });
            if is_good && !reg.is_some_and(is_member) {
                let view = view.map(View::to_string);
                return Err(format!(
                    "at {} node {index} believes that {reg:?} is in {view:?}",
                    self.now
                ));
            }
        }
        Ok(())
    }

    /// A new process of that node.
    fn start(&mut self, index: usize) {
        let terms = LeaseTerms::new(LEASE).expect("a lease");
        let record = Record {
            address: format!("10.0.0.{index}:7600"),
            weight: 1,
            lease: terms,
            state: RecordState::Full,
        };
        let run = self.random.next_u64();
        let node = &mut self.nodes[index];
        let (now, name) = (node.clock(self.now), format!("n{index}"));
        node.process += 1;
        node.inbox.clear();
        node.machine =
            Some(Coordination::new(now, name.as_bytes(), run, record).expect("a record"));
        self.coordinator.connect(self.now, index);
    }

    fn fault(&mut self, faults: &[Fault]) {
        let gap = self.random.below(6_000);
        self.next_fault = self.now.after(Duration::from_millis(gap));
        let which = self.random.below(faults.len() as u64);
        let fault = faults[usize::try_from(which).expect("small")];
        let index = self.random.below(self.nodes.len() as u64);
        let index = usize::try_from(index).expect("small");
        let span = Duration::from_millis(self.random.below(12_000));
        let until = self.now.after(span);
        let now = self.nodes[index].clock(self.now);
        match fault {
            Fault::CleanUp => self.clean_up(),
            Fault::Cut => {
                self.coordinator.cut(index);
                self.mend_at.push((until, fault, index));
            }
            Fault::Disconnect => self.coordinator.disconnect(self.now, index),
            Fault::Kill => {
                self.nodes[index].machine = None;
                self.coordinator.forget(index);
                self.mend_at.push((until, fault, index));
            }
            Fault::Outage => {
                self.coordinator.begin_outage();
                self.mend_at.push((until, fault, index));
            }
            Fault::Pause => {
                let node = &mut self.nodes[index];
                node.paused_until = node.paused_until.max(until);
            }
            Fault::Slow => {
                self.coordinator.set_network(Network {
                    delay_rare: Duration::from_secs(9),
                    rare_percent: 40,
                    lost_percent: 10,
                    patience: Duration::from_secs(6),
                    ..CALM
                });
                self.mend_at.push((until, fault, index));
            }
            Fault::Drain | Fault::Leave | Fault::NewEpoch | Fault::Weight => {
                self.command(fault, index, now);
            }
        }
    }

    /// Somebody tells a node to do something. One that is paused cannot be told.
    fn command(&mut self, fault: Fault, index: usize, now: Time) {
        let weight = 1 + u32::try_from(self.random.below(16)).expect("small");
        let node = &mut self.nodes[index];
        let Some(machine) = &mut node.machine else {
            return;
        };
        if self.now < node.paused_until {
            return;
        }
        match fault {
            Fault::Drain => machine.drain(now),
            Fault::Leave if index > 0 => {
                node.leaves = true;
                machine.leave(now);
            }
            Fault::NewEpoch => machine.request_epoch(now),
            Fault::Weight => machine.set_weight(now, weight).expect("a weight"),
            _ => {}
        }
        self.work(index);
    }

    /// The coordinator's own lease of a record ends too early.
    fn clean_up(&mut self) {
        let records = &self.coordinator.store().snapshot().records;
        let which = self.random.below(records.len() as u64);
        let which = usize::try_from(which).expect("small");
        let key: Option<RecordKey> = records.keys().nth(which).cloned();
        if let Some(key) = key {
            self.coordinator.store_mut().clean_up(&key);
            self.coordinator.news(self.now);
        }
    }

    fn mend_next(&mut self) {
        let due = self.mend_at.iter().position(|it| it.0 <= self.now);
        if let Some(due) = due {
            let (_, fault, node) = self.mend_at.swap_remove(due);
            self.mend(fault, node);
        }
    }

    fn mend(&mut self, fault: Fault, node: usize) {
        match fault {
            Fault::Cut => self.coordinator.mend(self.now, node),
            Fault::Kill if self.nodes[node].machine.is_none() => self.start(node),
            Fault::Outage => self.coordinator.end_outage(),
            Fault::Slow => self.coordinator.set_network(CALM),
            _ => {}
        }
    }
}
