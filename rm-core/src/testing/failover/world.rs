//! Virtual time: the earliest thing happens next, and after each all is checked.

use core::time::Duration;

use smallvec::SmallVec;

use super::Kind;
use super::callers::{Caller, Holding, Stage};
use super::checks::Oracle;
use super::desk::Clock;
use super::driver::{Fault, Out, Outbox};
use super::faults::Faults;
use super::network::{Arrival, Network, What};
use super::plan::{LEASE, Plan};
use super::process::{Disk, FIRST_EPOCH, Input, Process, Requests, Seat, Ticket};
use crate::credit::Credit as _;
use crate::id::ResourceKey;
use crate::resource::ResourceType;
use crate::session::lease::DRIFT_PER_MILLE;
use crate::session::packet::Body;
use crate::testing::coordinator::{Coordinator, Network as Way};
use crate::testing::random::Random;
use crate::time::Time;
use crate::view::View;

/// More events mean that it goes round in a circle.
const EVENTS_MAX: u64 = 400_000;
/// Within this after the last fault every request is granted.
pub(super) const HEALED: Duration = Duration::from_secs(60);
/// A member that was evicted late may come back meanwhile: so often it is tried.
const HOME_MAX: usize = 3;
/// So long what is left takes to come home.
const SETTLED: Duration = Duration::from_secs(5);

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
    oracle: Oracle<T>,
    requests: Requests,
    /// When each process does something next.
    due: Vec<Time>,
    /// What each process has borrowed of each resource, and until when it may use it by its own clock.
    trusted: Vec<Vec<(T::Credit, Time)>>,
    is_closing: bool,
    last_view: Option<View>,
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

    fn settle(&mut self) -> Result<(), Fault> {
        let healed = self.now;
        self.out.note(|| "all is whole".into());
        self.is_closing = true;
        for process in &mut self.processes {
            if let Some(live) = &mut process.live {
                live.callers.iter_mut().for_each(|it| it.hurry(healed));
            }
        }
        self.go_on(healed.after(HEALED), |world| world.is_quiet())?;
        let waited = self.now.since(healed);
        self.out.counts.longest_healing = waited;
        if !self.is_quiet() {
            return Err(Fault(self.who_is_not_quiet()));
        }
        let mut is_home = Ok(());
        for _ in 0..HOME_MAX {
            is_home = self.bring_home();
            if is_home.is_ok() {
                break;
            }
        }
        is_home
    }

    /// What nobody knew of is over after a lease, and all that is not used goes home.
    fn bring_home(&mut self) -> Result<(), Fault> {
        self.go_on(self.now.after(LEASE * 3), Self::is_known)?;
        for process in &mut self.processes {
            if let Some(live) = &mut process.live {
                live.borrower.desk.set(process.clock, self.now);
                live.handles.iter().for_each(|handle| handle.return_spare());
                live.borrower
                    .hand_over(process.clock.read(self.now), &mut self.out)?;
            }
            process.inbox.push_back(Input::Network(Arrival::Ask {
                from: process.index,
            }));
        }
        self.go_on(self.now.after(SETTLED), |_| false)?;
        if !self.is_known() {
            return Err(Fault("a lender waits for something still".into()));
        }
        self.check_home()
    }

    /// Whether nobody asks or holds, and all members' lenders are active.
    fn is_quiet(&self) -> bool {
        self.processes.iter().all(|process| {
            let Some(live) = &process.live else {
                return false;
            };
            let is_idle = live.callers.iter().all(Caller::is_idle);
            let is_active = |it: &super::driver::Lending| it.lender.is_active();
            let lends = match live.seat {
                Seat::Client => true,
                Seat::Alone | Seat::Coordinated(_) => live.lending.as_ref().is_some_and(is_active),
            };
            is_idle && lends && live.borrower.is_settled()
        })
    }

    /// Whether no lender has anything to wait for: no debtor that nobody knows, and nobody to tell of the view.
    fn is_known(&self) -> bool {
        let lives = self.processes.iter().flat_map(|process| &process.live);
        let mut lendings = lives.filter_map(|live| live.lending.as_ref());
        let borrowers = self.processes.len();
        lendings.all(|lending| {
            // The sessions of those who died are over.
            lending.lender.next_tick().is_none() && lending.debtors() == borrowers
        })
    }

    fn who_is_not_quiet(&self) -> String {
        use core::fmt::Write as _;
        let leases = HEALED.as_secs_f64() / LEASE.as_secs_f64();
        let mut words = format!("{leases:.1} leases after all was whole:");
        for process in &self.processes {
            let name = process.name.escape_ascii();
            let Some(live) = &process.live else {
                continue;
            };
            for (number, caller) in live.callers.iter().enumerate() {
                if let Caller::Asking(asking) = caller {
                    let _ = write!(
                        words,
                        " caller ({}, {number}) waits for {} since {};",
                        process.index, asking.resource, asking.since
                    );
                }
            }
            if !live.borrower.is_settled() {
                let _ = write!(words, " {name} has no session with somebody;");
            }
            if let Some(lending) = &live.lending {
                let missing: Vec<_> = lending.lender.missing().collect();
                if !lending.lender.is_active() {
                    let _ = write!(words, " {name} is not active, it misses {missing:?};");
                }
            }
        }
        words
    }

    /// All credit is at the roots, and nothing is left of what was.
    fn check_home(&self) -> Result<(), Fault> {
        for (index, key) in self.keys.iter().enumerate() {
            let mut found = 0;
            for process in &self.processes {
                let Some(live) = &process.live else {
                    continue;
                };
                let name = process.name.escape_ascii();
                if live.handles[index].with_owner(|owner| owner.has_claim()) {
                    return Err(Fault(format!("{name} has an orphan of {index}")));
                }
                let Some(lending) = &live.lending else {
                    continue;
                };
                let view = lending.view().and_then(|view| view.root_id(T::ID, key));
                if view != Some(lending.lender.id()) {
                    continue;
                }
                found += 1;
                let root = lending.domain.resource::<T>(key);
                let root = root.map_err(|why| Fault(format!("{name}: {why}")))?;
                let what = root.with_owner(|owner| {
                    let is_home = owner.cached() == self.oracle.capital(index);
                    (!is_home || owner.is_silent()).then(|| {
                        let loans: Vec<_> = owner.loans().collect();
                        format!(
                            "of {index} {:?} are at their root {name}, {loans:?} are lent; silent: {}",
                            owner.cached(),
                            owner.is_silent()
                        )
                    })
                });
                if let Some(what) = what {
                    return Err(Fault(what));
                }
            }
            if found != 1 {
                return Err(Fault(format!("{index} has {found} roots")));
            }
        }
        Ok(())
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
                    self.out.note(|| format!("  {side:?} {} says {}", id.0, words(&packet.body)));
                    self.network.send(self.now, id, side, What::Packet(packet));
                }
            }
        }
    }

    /// What must be true at every moment.
    fn check(&mut self) -> Result<(), Fault> {
        self.check_holds()?;
        for resource in 0..self.keys.len() {
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
fn words(body: &Body) -> String {
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
