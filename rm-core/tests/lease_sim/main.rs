//! One debtor and one creditor in simulated time: the lease keeps its promise whatever happens.
//!
//! The two sides run the real state machines, each by its own clock: any offset, a rate within 1 ± 2 %, half
//! of the runs at the extremes. Connections are streams: what they deliver comes in order, after any delay,
//! and after a cut, which may be in one direction only, nothing comes any more. Either end may learn of a cut
//! late or never. Either process may pause for up to two leases.
//!
//! Checked before and after every event, by true time:
//!
//! * the debtor trusts no session that the creditor took back;
//! * trust that ended does not return;
//! * items arrive in order and once.
//!
//! After the faults: trust is back. And without faults the lease never ends. To show that the checks can
//! fail, each rule of the lease is broken in turn, and a violation must turn up.
//!
//! All of a run follows from its seed. A failure prints it; `RM_SEED=n` runs that seed alone, `RM_SEEDS=n`
//! the first `n`.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its seed from the environment"
)]

mod model;
mod talk;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rm_core::id::{Boot, PeerId};
use rm_core::session::lease::GUARD;
use rm_core::session::packet::Body;
use rm_core::session::{
    Admission, CreditorConfig, CreditorSession, CreditorSessions, DebtorConfig, DebtorSession,
    LeaseTerms, Membership, SessionEffect, SessionEffects, VoidReason, Window,
};
use rm_core::time::Time;

use model::{Connection, InPause, MS, Process, Random, SEEDS, seeds};

const L: u64 = 15_000 * MS;
/// Faults begin before this; the run ends some time later.
const FAULTS_UNTIL: u64 = 12 * L;
const HEALED_FOR: u64 = 8 * L;
const EVENTS_MAX: u32 = 200_000;

/// How the rules are kept. All but the first must be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    AsTheyAre,
    /// A broken connection counts as the end of the session.
    BreakTakesBack,
    /// The debtor's clock stops while it is paused.
    ClockStopsInPause,
    /// The debtor counts from the receipt of the answer, not from the sending of the renewal.
    DeadlineFromAck,
    /// Neither side allows for drift.
    NoDriftMargin,
    /// An answer after the deadline revives trust.
    NotSticky,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    ConnectDebtor,
    Fault,
    /// Something arrives at the debtor over that connection.
    Down(usize),
    Up(usize),
    TickCreditor(usize),
    TickDebtor,
    Talk,
}

struct World {
    rules: Rules,
    faulty: bool,
    random: Random,
    now: u64,
    debtor_process: Process,
    creditor_process: Process,
    /// Number `n` carries session `n + 1`.
    connections: Vec<Connection>,
    debtor: Option<DebtorSession>,
    connect_at: Option<u64>,
    /// Trust by broken rules, by the debtor's clock.
    broken_trust: Option<Time>,
    creditors: BTreeMap<usize, CreditorSession>,
    registry: CreditorSessions,
    /// The last renewal the creditor received, by its clock.
    received: BTreeMap<usize, Time>,
    taken_back: BTreeSet<usize>,
    /// The session trusted at the last look, and those that once were and are not.
    trusted: Option<usize>,
    lost: BTreeSet<usize>,
    fault_at: u64,
    talk_at: u64,
    /// Items said and heard, by session, upward and downward.
    said: BTreeMap<usize, [u64; 2]>,
    heard: BTreeMap<usize, [u64; 2]>,
    jeopardies: u32,
}

type Verdict = Result<(), String>;

impl World {
    fn new(seed: u64, rules: Rules, faulty: bool) -> Self {
        let mut random = Random::new(seed);
        Self {
            rules,
            faulty,
            now: 0,
            debtor_process: Process::new(&mut random),
            creditor_process: Process::new(&mut random),
            connections: Vec::new(),
            debtor: None,
            connect_at: Some(0),
            broken_trust: None,
            creditors: BTreeMap::new(),
            registry: CreditorSessions::new(1, 1_000),
            received: BTreeMap::new(),
            taken_back: BTreeSet::new(),
            trusted: None,
            lost: BTreeSet::new(),
            fault_at: random.below(2 * L),
            talk_at: 0,
            said: BTreeMap::new(),
            heard: BTreeMap::new(),
            jeopardies: 0,
            random,
        }
    }

    fn run(&mut self) -> Verdict {
        for _ in 0..EVENTS_MAX {
            let (at, event) = self.next_event();
            if at > FAULTS_UNTIL + HEALED_FOR {
                return self.check_healed();
            }
            assert!(at >= self.now, "{event:?} in the past");
            self.now = at;
            self.check()?;
            self.handle(event)?;
            self.check()?;
        }
        Err(format!(
            "{EVENTS_MAX} events by {} s",
            self.now / 1_000 / MS
        ))
    }

    /// The earliest event; of several at once, packets before timers.
    fn next_event(&self) -> (u64, Event) {
        let debtor_runs = |at: u64| at.max(self.debtor_process.paused_until).max(self.now);
        let creditor_runs = |at: u64| at.max(self.creditor_process.paused_until).max(self.now);
        let mut events = vec![(creditor_runs(self.talk_at), Event::Talk)];
        for (n, connection) in self.connections.iter().enumerate() {
            let up = connection.up.next_at();
            events.extend(up.map(|at| (creditor_runs(at), Event::Up(n))));
            let down = connection.down.next_at();
            events.extend(down.map(|at| (debtor_runs(at), Event::Down(n))));
        }
        if self.faulty && self.fault_at < FAULTS_UNTIL {
            events.push((self.fault_at.max(self.now), Event::Fault));
        }
        events.extend(
            self.connect_at
                .map(|at| (debtor_runs(at), Event::ConnectDebtor)),
        );
        if let Some(local) = self.debtor.as_ref().and_then(DebtorSession::next_tick) {
            let at = self.debtor_process.true_time(local) + self.debtor_process.lateness;
            events.push((debtor_runs(at), Event::TickDebtor));
        }
        for (&n, session) in &self.creditors {
            if let Some(local) = session.next_tick() {
                let at = self.creditor_process.true_time(local) + self.creditor_process.lateness;
                events.push((creditor_runs(at), Event::TickCreditor(n)));
            }
        }
        events
            .into_iter()
            .min_by_key(|&(at, _)| at)
            .expect("there is always something to say")
    }

    fn handle(&mut self, event: Event) -> Verdict {
        match event {
            Event::ConnectDebtor => self.connect(),
            Event::Down(n) => self.arrive_down(n)?,
            Event::Fault => self.fault(),
            Event::Talk => self.talk(),
            Event::TickCreditor(n) => {
                let (local, mut fx) = (self.creditor_local(), SessionEffects::new());
                let session = self.creditors.get_mut(&n).expect("it ticks");
                session.on_tick(local, &mut fx);
                self.creditor_did(n, &mut fx)?;
            }
            Event::TickDebtor => {
                let (local, mut fx) = (self.debtor_local(), SessionEffects::new());
                let session = self.debtor.as_mut().expect("it ticks");
                session.on_tick(local, &mut fx);
                self.debtor_did(&mut fx)?;
            }
            Event::Up(n) => self.arrive_up(n)?,
        }
        self.take_back_by_broken_rules();
        Ok(())
    }

    fn connect(&mut self) {
        self.connect_at = None;
        self.broken_trust = None;
        self.connections.push(Connection::default());
        let config = DebtorConfig {
            name: b"debtor".to_vec(),
            boot: Boot(1),
            session: self.connections.len() as u64,
            reg: 0,
            window: Window::default(),
            patience: Duration::from_secs(10),
        };
        self.debtor = Some(DebtorSession::connect(self.debtor_local(), config));
        self.debtor_transmits();
    }

    fn arrive_down(&mut self, n: usize) -> Verdict {
        let packet = self.connections[n].down.packets.pop_front();
        let is_current = n + 1 == self.connections.len();
        let (local, mut fx) = (self.debtor_local(), SessionEffects::new());
        let Some(session) = self.debtor.as_mut().filter(|_| is_current) else {
            self.connections[n].down.end_at = None;
            return Ok(());
        };
        match packet {
            Some((_, body)) => {
                let answer = match &body {
                    Body::RenewAck { sent, length } => Some((*sent, *length)),
                    _ => None,
                };
                session.on_packet(local, body, &mut fx);
                if let Some((sent, length)) = answer {
                    self.trust_by_broken_rules(local, Time::from_nanos(sent), length);
                }
            }
            None => {
                self.connections[n].down.end_at = None;
                session.on_disconnect(local, &mut fx);
            }
        }
        self.debtor_did(&mut fx)
    }

    fn arrive_up(&mut self, n: usize) -> Verdict {
        let (local, mut fx) = (self.creditor_local(), SessionEffects::new());
        match self.connections[n].up.packets.pop_front() {
            Some((_, Body::Hello(hello))) => {
                match self.registry.admit(&hello, PeerId(n as u64)) {
                    Admission::New => {}
                    Admission::Succeeds { ends } => {
                        let old = ends.0 as usize;
                        if let Some(session) = self.creditors.get_mut(&old) {
                            session.on_superseded(&mut fx);
                            self.creditor_did(old, &mut fx)?;
                        }
                    }
                    // A hello that was overtaken by a later one.
                    Admission::Gone { .. } => return Ok(()),
                    Admission::Refused(refusal) => return Err(refusal.to_string()),
                }
                let config = CreditorConfig {
                    name: b"creditor".to_vec(),
                    boot: Boot(2),
                    reg: 1,
                    terms: LeaseTerms::default(),
                    window: Window::default(),
                };
                let session = CreditorSession::accept(local, &config, &hello);
                self.received.insert(n, local);
                self.creditors.insert(n, session);
            }
            Some((_, body)) => {
                let Some(session) = self.creditors.get_mut(&n) else {
                    return Ok(());
                };
                if matches!(body, Body::Renew { .. }) {
                    self.received.insert(n, local);
                }
                session.on_packet(local, body, &mut fx);
            }
            None => {
                self.connections[n].up.end_at = None;
                if self.rules == Rules::BreakTakesBack {
                    self.taken_back.insert(n);
                }
                if let Some(session) = self.creditors.get_mut(&n) {
                    session.on_disconnect(&mut fx);
                }
            }
        }
        self.creditor_did(n, &mut fx)
    }

    fn debtor_did(&mut self, fx: &mut SessionEffects) -> Verdict {
        let n = self.connections.len() - 1;
        for effect in fx.drain() {
            match effect {
                SessionEffect::Deliver(item) => {
                    talk::hear(&mut self.heard.entry(n).or_default()[1], &item)?
                }
                SessionEffect::Ended(why) => {
                    if !self.faulty {
                        return Err(format!("ended without a fault: {why}"));
                    }
                    // One caller holds on to what it has, another has nothing to lose.
                    if self.random.one_in(2) {
                        let local = self.debtor_local();
                        let debtor = self.debtor.as_mut().expect("it just ended");
                        debtor.bye(local, "nothing held", &mut SessionEffects::new());
                        self.broken_trust = None;
                    }
                }
                SessionEffect::JeopardyStarted { .. } => self.jeopardies += 1,
                SessionEffect::Void(why) if !self.faulty => {
                    return Err(format!("void without a fault: {why}"));
                }
                SessionEffect::Established(_)
                | SessionEffect::Extended { .. }
                | SessionEffect::JeopardyCleared
                | SessionEffect::Heard
                | SessionEffect::Silent
                | SessionEffect::Void(_) => {}
            }
        }
        self.debtor_transmits();
        Ok(())
    }

    fn debtor_transmits(&mut self) {
        let local = self.debtor_local();
        let batch = Window {
            items: 4,
            bytes: usize::MAX,
        };
        let trusts = self.trusts();
        let Some(session) = self.debtor.as_mut() else {
            return;
        };
        let pipe = &mut self.connections.last_mut().expect("it is connected").up;
        while let Some(body) = session.transmit(local, batch) {
            // By broken rules it is not over yet.
            if !(trusts && matches!(body, Body::Bye { .. })) {
                pipe.send(self.now, body, &mut self.random);
            }
        }
        let over = session.void_reason().is_some() && !trusts;
        if over && self.connect_at.is_none() {
            self.connect_at = Some(self.now + self.random.below(2_000) * MS);
        }
    }

    fn creditor_did(&mut self, n: usize, fx: &mut SessionEffects) -> Verdict {
        let Some(session) = self.creditors.get_mut(&n) else {
            return Ok(());
        };
        for effect in fx.drain() {
            match effect {
                SessionEffect::Deliver(item) => {
                    talk::hear(&mut self.heard.entry(n).or_default()[0], &item)?
                }
                SessionEffect::Void(why) => {
                    if !self.faulty {
                        return Err(format!("void without a fault: {why}"));
                    }
                    self.taken_back.insert(n);
                    self.registry.remove(session.party(), PeerId(n as u64));
                }
                _ => {}
            }
        }
        let pipe = &mut self.connections[n].down;
        while let Some(body) = session.transmit(Membership::Good, Window::default()) {
            pipe.send(self.now, body, &mut self.random);
        }
        if matches!(session.void_reason(), Some(VoidReason::TakenBack)) {
            pipe.end_at = Some(self.now);
        }
        Ok(())
    }

    fn fault(&mut self) {
        self.fault_at = self.now + self.random.below(L);
        let now = self.now;
        let span = self.random.below(2 * L);
        match self.random.below(4) {
            0 => {
                let clock = match self.rules {
                    Rules::ClockStopsInPause => InPause::Stops,
                    _ => InPause::Runs,
                };
                self.debtor_process.pause(now, span, clock);
            }
            1 => self.creditor_process.pause(now, span, InPause::Runs),
            2 => self.cut(),
            _ => {
                let (up, down) = (self.random.one_in(2), self.random.one_in(2));
                if let Some(connection) = self.connections.last_mut() {
                    if up {
                        connection.up.stall(now + span / 2);
                    }
                    if down {
                        connection.down.stall(now + span / 2);
                    }
                }
            }
        }
    }

    /// Cuts the connection, in one direction or both; each end may learn of it, or not.
    fn cut(&mut self) {
        let Some(connection) = self.connections.last_mut() else {
            return;
        };
        let which = self.random.below(3);
        for (pipe, hit) in [
            (&mut connection.up, which != 1),
            (&mut connection.down, which != 2),
        ] {
            if hit {
                pipe.cut();
            }
            if self.random.one_in(2) {
                pipe.end_at = Some(self.now + self.random.below(3_000) * MS);
            }
        }
    }

    /// Both sides say something.
    fn talk(&mut self) {
        self.talk_at = self.now + self.random.below(1_500) * MS + MS;
        let Some(n) = self.connections.len().checked_sub(1) else {
            return;
        };
        let said = self.said.entry(n).or_default();
        if self.now >= self.debtor_process.paused_until
            && let Some(debtor) = &mut self.debtor
        {
            said[0] += 1;
            debtor.push(talk::upward(said[0])).expect("room");
        }
        if let Some(creditor) = self.creditors.get_mut(&n) {
            said[1] += 1;
            creditor.push(talk::downward(said[1])).expect("room");
            let mut nothing = SessionEffects::new();
            self.creditor_did(n, &mut nothing)
                .expect("no effect, no verdict");
        }
        if self.now >= self.debtor_process.paused_until {
            self.debtor_transmits();
        }
    }

    fn trust_by_broken_rules(&mut self, local: Time, sent: Time, length: Duration) {
        let is_over = self.broken_trust.is_some_and(|until| local >= until);
        let until = match self.rules {
            Rules::DeadlineFromAck => local.after(LeaseTerms::trust(length)),
            Rules::NoDriftMargin => sent.after(length.saturating_sub(GUARD)),
            _ => sent.after(LeaseTerms::trust(length)),
        };
        if !is_over || self.rules == Rules::NotSticky {
            self.broken_trust = self.broken_trust.max(Some(until));
        }
    }

    fn take_back_by_broken_rules(&mut self) {
        if self.rules == Rules::NoDriftMargin {
            let wait = LeaseTerms::default().length() + GUARD;
            let local = self.creditor_local();
            let over = self
                .received
                .iter()
                .filter(|(_, at)| local >= at.after(wait));
            self.taken_back.extend(over.map(|(&n, _)| n));
        }
    }

    fn trusts(&self) -> bool {
        let local = self.debtor_local();
        match self.rules {
            Rules::DeadlineFromAck | Rules::NoDriftMargin | Rules::NotSticky => {
                self.broken_trust.is_some_and(|until| local < until)
            }
            Rules::AsTheyAre | Rules::BreakTakesBack | Rules::ClockStopsInPause => self
                .debtor
                .as_ref()
                .is_some_and(|session| session.is_trusted(local)),
        }
    }

    fn debtor_local(&self) -> Time {
        self.debtor_process.local(self.now)
    }

    fn creditor_local(&self) -> Time {
        self.creditor_process.local(self.now)
    }

    fn check(&mut self) -> Verdict {
        let Some(n) = self.connections.len().checked_sub(1) else {
            return Ok(());
        };
        let at = self.now / MS;
        let is_trusted = self.trusts();
        if is_trusted && self.taken_back.contains(&n) {
            return Err(format!(
                "at {at} ms: session {n} is trusted after it was taken back"
            ));
        }
        if is_trusted && self.lost.contains(&n) {
            return Err(format!("at {at} ms: trust in session {n} came back"));
        }
        if let Some(before) = self.trusted
            && (before != n || !is_trusted)
        {
            self.lost.insert(before);
        }
        self.trusted = is_trusted.then_some(n);
        let is_live = self.creditors.get(&n).is_some_and(|_| is_trusted);
        if !self.faulty && is_live && !self.creditors[&n].may_lend(self.creditor_local()) {
            return Err(format!("at {at} ms: nothing can be lent, without a fault"));
        }
        Ok(())
    }

    fn check_healed(&self) -> Verdict {
        if !self.trusts() {
            return Err("trust did not come back after the faults".to_owned());
        }
        if !self.faulty && (self.connections.len() > 1 || self.jeopardies > 0) {
            return Err("jeopardy without a fault".to_owned());
        }
        Ok(())
    }
}

#[test]
fn no_fault_makes_a_debtor_trust_what_was_taken_back() {
    let mut sessions = 0;
    for seed in seeds() {
        let mut world = World::new(seed, Rules::AsTheyAre, true);
        if let Err(what) = world.run() {
            panic!("{what}; replay with RM_SEED={seed}");
        }
        sessions += world.connections.len();
    }
    println!("{sessions} sessions");
}

#[test]
fn without_faults_the_lease_never_ends() {
    for seed in seeds() {
        if let Err(what) = World::new(seed, Rules::AsTheyAre, false).run() {
            panic!("{what}; replay with RM_SEED={seed}");
        }
    }
}

#[test]
fn each_broken_rule_is_caught() {
    for rules in [
        Rules::BreakTakesBack,
        Rules::ClockStopsInPause,
        Rules::DeadlineFromAck,
        Rules::NoDriftMargin,
        Rules::NotSticky,
    ] {
        let caught = (0..SEEDS).find_map(|seed| {
            let what = World::new(seed, rules, true).run().err()?;
            Some((seed, what))
        });
        let Some((seed, what)) = caught else {
            panic!("{rules:?} passes {SEEDS} seeds");
        };
        println!("{rules:?}: seed {seed}: {what}");
    }
}
