//! A process: a borrower, and of a member a lender beside it.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use super::callers::{Bell, Caller, Stage};
use super::desk::{Clock, Desk};
use super::driver::{Borrower, Fault, Lending, Outbox};
use super::network::{Arrival, ConnectionId, Side, What};
use super::plan::{LEASE, Plan};
use crate::cluster::Lender;
use crate::coordination::{Answer, Beat, Command, Coordination, Record, RecordState, Transaction};
use crate::front::{Domain, DomainSettings, Handle, Host, Role};
use crate::id::{Boot, NodeId, Party, ResourceKey};
use crate::owner::Settings;
use crate::resource::ResourceType;
use crate::session::packet::{Body, Packet};
use crate::session::{ClockLook, LeaseTerms};
use crate::testing::coordinator::Delivery;
use crate::time::Time;
use crate::view::{Member, MemberState, RootId, View};

/// The epoch of an empty store.
pub(super) const FIRST_EPOCH: u32 = 1_000;
/// Who does not hear of all members asks others for the view so often.
const ASK_AGAIN: Duration = Duration::from_millis(700);

/// Which request to the coordinator.
#[derive(Clone, Debug)]
pub(super) enum Ticket {
    Register(u32),
    Beat(u32, Beat),
    Propose(u32),
}

/// What comes to a process.
#[derive(Debug)]
pub(super) enum Input {
    Network(Arrival),
    Store(Delivery<Ticket>),
}

/// Where a member's registration comes from.
pub(super) enum Seat {
    Client,
    /// A server alone: its registration is its epoch.
    Alone,
    Coordinated(Box<Coordination>),
}

/// What is on a server's disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disk {
    pub(super) epoch: u32,
    pub(super) lease: Duration,
}

/// One run of a process.
pub(super) struct Live<T: ResourceType> {
    pub(super) borrower: Borrower,
    pub(super) seat: Seat,
    pub(super) lending: Option<Lending>,
    pub(super) callers: Vec<Caller<T>>,
    /// So that they stay.
    pub(super) handles: Vec<Handle<T>>,
    bell: Arc<Bell>,
    boot: Boot,
    /// A registration that is over for good.
    over: Option<u64>,
    view_epoch: u32,
    ask_at: Time,
    sweep_at: Time,
    good_until: Time,
    pub(super) is_draining: bool,
}

/// A process, whether it runs or not.
pub(super) struct Process<T: ResourceType> {
    pub(super) index: usize,
    pub(super) name: Vec<u8>,
    pub(super) clock: Clock,
    pub(super) life: u32,
    pub(super) live: Option<Live<T>>,
    pub(super) paused_until: Time,
    pub(super) inbox: VecDeque<Input>,
    pub(super) disk: Disk,
    pub(super) last_reg: Option<u64>,
}

/// What a process does to the coordinator.
pub(super) type Requests = Vec<(Ticket, Transaction)>;

impl<T: ResourceType> Process<T> {
    fn domain(&self, plan: &Plan<T>, boot: Boot, role: Role, desk: &Arc<Desk>) -> Domain {
        let name = self.name.escape_ascii().to_string();
        let party = Party {
            node: NodeId::of_name(&self.name),
            boot,
        };
        let mut owner = Settings::default()
            .with_policy(plan.policy)
            .with_party(party, &name);
        owner.fence_room = 4;
        let mut settings = DomainSettings::new(&name, owner);
        settings.idle_time = Some(LEASE);
        let host: Arc<dyn Host> = Arc::<Desk>::clone(desk);
        Domain::new(settings, role, host).with_type(plan.resource_type.clone())
    }

    /// A new run of it.
    pub(super) fn start(
        &mut self,
        now: Time,
        plan: &Plan<T>,
        keys: &[ResourceKey],
        seat: Option<Seat>,
        boot: u64,
    ) {
        self.life += 1;
        self.inbox.clear();
        self.paused_until = Time::ZERO;
        let boot = Boot(boot);
        let desk = Arc::new(Desk::default());
        desk.set(self.clock, now);
        let domain = self.domain(plan, boot, Role::Debtor, &desk);
        let party = Party {
            node: NodeId::of_name(&self.name),
            boot,
        };
        let handles = keys.iter().map(|key| domain.resource(key));
        let handles = handles.collect::<Result<_, _>>().unwrap_or_default();
        let borrower = Borrower::new(&self.name, party, domain, desk, plan.windows);
        let callers = (0..plan.callers).map(|_| Caller::Idle(now));
        self.live = Some(Live {
            borrower,
            seat: seat.unwrap_or(Seat::Client),
            lending: None,
            callers: callers.collect(),
            handles,
            bell: Arc::default(),
            boot,
            over: None,
            view_epoch: 0,
            ask_at: Time::ZERO,
            sweep_at: now,
            good_until: Time::ZERO,
            is_draining: false,
        });
    }

    /// A member's machine, which talks to the coordinator.
    pub(super) fn coordination(&self, now: Time, run: u64) -> Box<Coordination> {
        let record = Record {
            address: format!("10.0.0.{}:7600", self.index),
            weight: 1,
            lease: terms(LEASE),
            state: RecordState::Full,
        };
        let local = self.clock.read(now);
        let machine = Coordination::new(local, &self.name, run, record);
        Box::new(machine.expect("a record that can be"))
    }

    /// A server alone starts: its next epoch is on disk before anybody hears of it.
    pub(super) fn found(
        &mut self,
        now: Time,
        plan: &Plan<T>,
        lease: Duration,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let former = self.disk;
        self.disk = Disk {
            epoch: former.epoch + 1,
            lease: former.lease.max(lease),
        };
        let epoch = self.disk.epoch;
        let member = Member {
            name: self.name.clone(),
            reg: u64::from(epoch),
            address: "10.0.0.1:7600".into(),
            state: MemberState::Full,
            weight: 1,
        };
        let view = View::new(epoch, lease, vec![member]);
        let view = Arc::new(view.expect("a view of one").founded_in(FIRST_EPOCH));
        self.lend(now, plan, u64::from(epoch), (lease, former.lease));
        let local = self.clock.read(now);
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        if let Some(lending) = &mut live.lending {
            lending.lender.on_good_until(local, Time::MAX);
        }
        live.learn(local, &view, out)
    }

    /// It is registered: from now on it may become a root.
    fn lend(&mut self, now: Time, plan: &Plan<T>, reg: u64, leases: (Duration, Duration)) {
        let Some(boot) = self.live.as_ref().map(|live| live.boot) else {
            return;
        };
        let desk = Arc::new(Desk::default());
        desk.set(self.clock, now);
        let role = Role::Root {
            epoch: 0,
            grace: false,
        };
        let domain = self.domain(plan, boot, role, &desk);
        let me = RootId {
            node: NodeId::of_name(&self.name),
            reg,
        };
        let lender = Lender::new(me, &domain).after_lease(leases.1);
        let lending = Lending::new(
            self.clock.read(now),
            (&self.name, boot),
            terms(leases.0),
            lender,
            (domain, desk),
            plan.windows,
        );
        self.last_reg = Some(reg);
        if let Some(live) = &mut self.live {
            live.lending = Some(lending);
        }
    }

    /// It does all that is due: reads what has come, runs its timers, says what there is to say.
    pub(super) fn work(
        &mut self,
        stage: &mut Stage<'_, T>,
        requests: &mut Requests,
    ) -> Result<(), Fault> {
        let now = stage.now;
        let local = self.clock.read(now);
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        if self.inbox.is_empty() {
            stage.out.counts.wakes += 1;
        }
        live.borrower.desk.set(self.clock, now);
        let mut has_jumped = false;
        if let Some(lending) = &mut live.lending {
            lending.desk.set(self.clock, now);
            has_jumped = lending.look(local) == ClockLook::Jumped;
        }
        if stage.random.percent(25) {
            // A caller is the first to wake up.
            live.call(self.index, stage)?;
        }
        if !has_jumped && stage.random.percent(50) {
            live.on_time(local, stage.out)?;
        }
        for input in core::mem::take(&mut self.inbox) {
            let Some(live) = &mut self.live else {
                return Ok(());
            };
            match input {
                Input::Network(arrival) => live.on_arrival(local, arrival, stage.out)?,
                Input::Store(delivery) => {
                    live.on_delivery(local, self.life, delivery);
                    self.sync(stage, requests)?;
                }
            }
        }
        self.sync(stage, requests)?;
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        live.on_time(local, stage.out)?;
        live.call(self.index, stage)?;
        live.count_carried(stage);
        if local >= live.sweep_at {
            live.sweep(local, stage.out)?;
        }
        live.transmit(local, stage.out);
        if let Some(lending) = &live.lending
            && matches!(live.seat, Seat::Alone)
            && lending.lender.grace(local).is_zero()
        {
            // Nobody trusts anything any more that was lent under an earlier lease; under this one they may.
            self.disk.lease = lending.lease();
        }
        Ok(())
    }

    /// What the machine says of membership goes to the lender.
    fn sync(&mut self, stage: &mut Stage<'_, T>, requests: &mut Requests) -> Result<(), Fault> {
        let local = self.clock.read(stage.now);
        let life = self.life;
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        let Seat::Coordinated(machine) = &mut live.seat else {
            return Ok(());
        };
        while let Some(command) = machine.poll(local, FIRST_EPOCH) {
            requests.push(match command {
                Command::Register(it) => (Ticket::Register(life), it),
                Command::Heartbeat(beat, it) => (Ticket::Beat(life, beat), it),
                Command::Propose(it) => (Ticket::Propose(life), it),
            });
        }
        let (reg, good) = (machine.reg(), machine.good_until());
        let view = machine.view();
        let news = view.filter(|view| view.epoch() > live.view_epoch);
        let news = news.map(|view| Arc::new(view.clone()));
        let present = live.lending.as_ref().map(|it| it.lender.id().reg);
        if present.is_some() && present != reg {
            live.end_lending(stage.out);
        }
        if let Some(reg) = reg
            && live.lending.is_none()
            && live.over != Some(reg)
        {
            self.lend(stage.now, stage.plan, reg, (LEASE, Duration::ZERO));
        }
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        if let Some(view) = news {
            live.view_epoch = view.epoch();
            live.learn(local, &view, stage.out)?;
        }
        let good = good.unwrap_or(Time::ZERO);
        if let Some(lending) = &mut live.lending {
            if good != live.good_until || lending.lender.good_until() != good {
                live.good_until = good;
                lending.lender.on_good_until(local, good);
                lending.hand_over(stage.out)?;
            }
            if live.is_draining
                && lending.lender.is_relieved()
                && let Seat::Coordinated(machine) = &mut live.seat
            {
                machine.leave(local);
            }
        }
        Ok(())
    }

    /// When it does something next, in true time.
    pub(super) fn next_at(&self, now: Time, is_closing: bool) -> Time {
        let Some(live) = &self.live else {
            return Time::MAX;
        };
        if !self.inbox.is_empty() {
            return now.max(self.paused_until);
        }
        let mut local = live.borrower.next_tick().min(live.sweep_at);
        if !live.borrower.is_settled() {
            local = local.min(live.ask_at);
        }
        if let Some(lending) = &live.lending {
            local = local.min(lending.next_tick());
            if let Some(tick) = lending.lender.next_tick() {
                local = local.min(tick);
            }
        }
        if let Seat::Coordinated(machine) = &live.seat {
            local = local.min(machine.next_tick());
        }
        let callers = live.callers.iter().map(|it| it.next_at(is_closing));
        let calls = callers.min().unwrap_or(Time::MAX);
        self.clock.when(local).min(calls).max(self.paused_until)
    }
}

impl<T: ResourceType> Live<T> {
    fn on_delivery(&mut self, local: Time, life: u32, delivery: Delivery<Ticket>) {
        let Seat::Coordinated(machine) = &mut self.seat else {
            return;
        };
        match delivery {
            Delivery::Answer(Ticket::Register(of), it) if of == life => {
                machine.on_registered(local, it);
            }
            Delivery::Answer(Ticket::Beat(of, beat), it) if of == life => {
                machine.on_heartbeat(local, beat, it);
            }
            Delivery::Answer(Ticket::Propose(of), it) if of == life => {
                machine.on_proposed(local, it);
            }
            Delivery::Answer(_, Answer::Done { .. } | Answer::Refused | Answer::Unknown) => {}
            Delivery::Connected => machine.on_connected(local),
            Delivery::Disconnected => machine.on_disconnected(local),
            Delivery::Store(snapshot) => machine.on_store(local, &snapshot),
        }
    }

    fn on_arrival(&mut self, local: Time, arrival: Arrival, out: &mut Outbox) -> Result<(), Fault> {
        match arrival {
            // The world answers it.
            Arrival::Ask { .. } => Ok(()),
            Arrival::Tell(view) => self.learn(local, &view, out),
            Arrival::At(_, _, What::Packet(packet)) if matches!(packet.body, Body::View(_)) => {
                match packet.body {
                    Body::View(view) => self.learn(local, &view, out),
                    _ => Ok(()),
                }
            }
            Arrival::At(side, id, What::Packet(packet)) => {
                self.check_head(side, id, &packet)?;
                match side {
                    Side::Debtor => {
                        if let Body::ReportAck {
                            epoch,
                            part,
                            is_active,
                            ..
                        } = packet.body
                            && let (Some(root), Some(lending)) =
                                (self.borrower.whose(id), &mut self.lending)
                        {
                            lending.lender.on_report_ack(root, epoch, part, is_active);
                        }
                        if let Body::Report(report) = packet.body {
                            return match (self.borrower.whose(id), &mut self.lending) {
                                (Some(root), Some(lending)) if root.reg == report.reg => {
                                    lending.on_report(local, root, report, out)
                                }
                                _ => Ok(()),
                            };
                        }
                        self.borrower.on_packet(local, id, *packet, out)
                    }
                    Side::Creditor => match &mut self.lending {
                        Some(lending) => lending.on_packet(local, id, *packet, out),
                        None => Ok(()),
                    },
                }
            }
            Arrival::At(Side::Debtor, id, What::Broken) => self.borrower.on_broken(local, id, out),
            Arrival::At(Side::Creditor, id, What::Broken) => match &mut self.lending {
                Some(lending) => lending.on_broken(id, out),
                None => Ok(()),
            },
            Arrival::At(_, id, What::Connect) => {
                match &mut self.lending {
                    Some(lending) => lending.on_connect(id, out),
                    None => out.list.push(super::driver::Out::Close(Side::Creditor, id)),
                }
                Ok(())
            }
        }
    }

    /// The view itself came before the first packet that was sent in it.
    fn check_head(&self, side: Side, id: ConnectionId, packet: &Packet) -> Result<(), Fault> {
        let lending = self.lending.as_ref().filter(|it| it.has(id));
        let view = match side {
            Side::Debtor => self.borrower.domain.view(),
            Side::Creditor => lending.and_then(|lending| lending.view().cloned()),
        };
        let is_known = match side {
            Side::Debtor => self.borrower.whose(id).is_some(),
            Side::Creditor => lending.is_some(),
        };
        let own = view.map_or(0, |view| view.epoch());
        // What comes over a connection that is closed by now is not read.
        let own = if is_known { own } else { u32::MAX };
        if packet.epoch > own {
            return Err(Fault(format!(
                "a packet of view {} came to one in view {own}",
                packet.epoch
            )));
        }
        Ok(())
    }

    /// A view was heard of: both parts adopt it.
    pub(super) fn learn(
        &mut self,
        local: Time,
        view: &Arc<View>,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        if let Some(lending) = &mut self.lending {
            let is_over = lending.adopt(local, view, out);
            lending.hand_over(out)?;
            if is_over {
                self.end_lending(out);
            }
        }
        self.borrower.adopt(view, out);
        self.borrower.hand_over(local, out)
    }

    fn end_lending(&mut self, out: &mut Outbox) {
        if let Some(mut lending) = self.lending.take() {
            self.over = Some(lending.lender.id().reg);
            lending.hang_up(out);
        }
    }

    fn on_time(&mut self, local: Time, out: &mut Outbox) -> Result<(), Fault> {
        if let Some(lending) = &mut self.lending {
            lending.on_time(local, out)?;
        }
        self.borrower.on_time(local, out)
    }

    fn call(&mut self, index: usize, stage: &mut Stage<'_, T>) -> Result<(), Fault> {
        let local = self.borrower.desk.now();
        let waker = self.bell.waker();
        let mut has_rung = true;
        while has_rung {
            for (number, caller) in self.callers.iter_mut().enumerate() {
                caller.step((index, number), &self.borrower.domain, &waker, stage)?;
                self.borrower.hand_over(local, stage.out)?;
            }
            has_rung = self.bell.has_rung();
        }
        Ok(())
    }

    /// Holds of what was claimed, and goes on at another root.
    fn count_carried(&self, stage: &mut Stage<'_, T>) {
        for key in core::mem::take(&mut stage.out.carried) {
            let is_of = |caller: &&Caller<T>| match caller {
                Caller::Holding(holding) => stage.keys[holding.resource] == key,
                Caller::Idle(_) | Caller::Asking(_) => false,
            };
            stage.out.counts.carried += self.callers.iter().filter(is_of).count() as u64;
        }
    }

    fn sweep(&mut self, local: Time, out: &mut Outbox) -> Result<(), Fault> {
        self.sweep_at = local.after(LEASE / 4);
        self.borrower.domain.sweep();
        self.borrower.hand_over(local, out)?;
        if let Some(lending) = &mut self.lending {
            lending.domain.sweep();
            lending.hand_over(out)?;
        }
        Ok(())
    }

    fn transmit(&mut self, local: Time, out: &mut Outbox) {
        if let Some(lending) = &mut self.lending {
            lending.transmit(local, out);
        }
        self.borrower.transmit(local, out);
    }

    /// It has left in good order.
    pub(super) fn has_left(&self) -> bool {
        matches!(&self.seat, Seat::Coordinated(machine) if machine.has_left())
    }

    /// Whether it is to ask somebody for the view now.
    pub(super) fn asks(&mut self, local: Time) -> bool {
        let is_due = !self.borrower.is_settled() && local >= self.ask_at;
        if is_due {
            self.ask_at = local.after(ASK_AGAIN);
        }
        is_due
    }
}

fn terms(lease: Duration) -> LeaseTerms {
    LeaseTerms::new(lease).expect("a lease that can be")
}
