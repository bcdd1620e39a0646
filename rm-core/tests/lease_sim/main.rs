//! One debtor and one creditor in simulated time: the lease keeps its promise whatever happens.
//!
//! The two sides run the real state machines, each by its own clock: any offset, a rate within 1 ± 2 %, half
//! of the runs at the extremes. Connections are streams: what they deliver comes in order, after any delay,
//! and after a cut, which may be in one direction only, nothing comes any more. Either end may learn of a cut
//! late or never; a debtor that hears nothing for half a lease gives its connection up. Then it connects again, and
//! the session goes on; the hello of an earlier connection may come after that of a later one. Either process may
//! pause for up to two leases.
//!
//! Checked before and after every event, by true time:
//!
//! * the debtor trusts no session that the creditor took back;
//! * trust that ended does not return;
//! * items arrive in order and once, over however many connections.
//!
//! After the faults: trust is back, and all that was said in the session has been heard. Without faults the lease never
//! ends; where connections break, and nothing else does, the first session lives to the end. To show that the checks can
//! fail, each rule of the lease is broken in turn, and a violation must turn up.
//!
//! All of a run follows from its seed. A failure prints it; `RM_SEED=n` runs that seed alone, `RM_SEEDS=n`
//! the first `n`.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its seed from the environment"
)]

mod faults;
mod model;
mod rules;
mod talk;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rm_core::access::Identity;
use rm_core::id::{Boot, PeerId};
use rm_core::session::packet::{Body, Hello};
use rm_core::session::{
    Admission, CreditorConfig, CreditorSession, CreditorSessions, DebtorConfig, DebtorSession,
    LeaseTerms, Membership, SessionEffect, SessionEffects, Ticket, VoidReason, Window,
};
use rm_core::time::Time;

use faults::Faults;
use model::{Connection, MS, Process, Random, SEEDS, seeds};
use rules::Rules;

const L: u64 = 15_000 * MS;
/// Faults begin before this; the run ends some time later.
const FAULTS_UNTIL: u64 = 12 * L;
const HEALED_FOR: u64 = 8 * L;
/// Nothing new is said from here on, so that all can be heard.
const TALK_UNTIL: u64 = FAULTS_UNTIL + HEALED_FOR - 2 * L;
const EVENTS_MAX: u32 = 200_000;

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
    faults: Faults,
    random: Random,
    now: u64,
    debtor_process: Process,
    creditor_process: Process,
    /// The debtor uses the last one.
    connections: Vec<Connection>,
    /// How many sessions it opened: the last is `sessions - 1`, everywhere here.
    sessions: usize,
    debtor: Option<DebtorSession>,
    connect_at: Option<u64>,
    /// How often a session went on over another connection.
    resumed: usize,
    /// Trust by broken rules, by the debtor's clock.
    broken_trust: Option<Time>,
    creditors: BTreeMap<usize, CreditorSession>,
    /// Which connection each of them uses.
    used: BTreeMap<usize, usize>,
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
    fn new(seed: u64, rules: Rules, faults: Faults) -> Self {
        let mut random = Random::new(seed);
        Self {
            rules,
            faults,
            now: 0,
            debtor_process: Process::new(&mut random),
            creditor_process: Process::new(&mut random),
            connections: Vec::new(),
            sessions: 0,
            resumed: 0,
            used: BTreeMap::new(),
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
        let mut events = Vec::new();
        if self.talk_at < TALK_UNTIL {
            events.push((creditor_runs(self.talk_at), Event::Talk));
        }
        for (n, connection) in self.connections.iter().enumerate() {
            let up = connection.up.next_at();
            events.extend(up.map(|at| (creditor_runs(at), Event::Up(n))));
            let down = connection.down.next_at();
            events.extend(down.map(|at| (debtor_runs(at), Event::Down(n))));
        }
        if self.faults != Faults::None && self.fault_at < FAULTS_UNTIL {
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
            .expect("there is always a lease to renew")
    }

    fn handle(&mut self, event: Event) -> Verdict {
        match event {
            Event::ConnectDebtor => self.connect()?,
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

    /// Opens a session, or goes on with the one that there is.
    fn connect(&mut self) -> Verdict {
        self.connect_at = None;
        let local = self.debtor_local();
        let mut fx = SessionEffects::new();
        let resumes = self.debtor.as_ref().is_some_and(DebtorSession::can_resume);
        if let Some(debtor) = self.debtor.as_mut().filter(|_| resumes) {
            debtor.reconnect(local, &mut fx);
            self.connections.push(Connection::default());
            return self.debtor_did(&mut fx);
        }
        self.broken_trust = None;
        self.connections.push(Connection::default());
        self.sessions += 1;
        let config = DebtorConfig {
            name: b"debtor".to_vec(),
            boot: Boot(1),
            ticket: Ticket::default(),
            session: self.sessions as u64,
            reg: 0,
            window: Window::default(),
            patience: Duration::from_secs(10),
        };
        self.debtor = Some(DebtorSession::connect(local, config));
        self.debtor_transmits();
        Ok(())
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

    fn arrive_up(&mut self, connection: usize) -> Verdict {
        let packet = self.connections[connection].up.packets.pop_front();
        if let Some((_, Body::Hello(hello))) = packet {
            return self.on_hello(connection, &hello);
        }
        // Nothing is read from a connection that a later one replaced.
        let mut used = self.used.iter().filter(|&(_, &used)| used == connection);
        let session = used.next().map(|(&n, _)| n);
        let (local, mut fx) = (self.creditor_local(), SessionEffects::new());
        let Some(n) = session else {
            self.connections[connection].up.end_at = None;
            return Ok(());
        };
        let session = self.creditors.get_mut(&n).expect("it uses it");
        match packet {
            Some((_, body)) => {
                if matches!(body, Body::Renew { .. }) {
                    self.received.insert(n, local);
                }
                session.on_packet(local, body, &mut fx);
            }
            None => {
                self.connections[connection].up.end_at = None;
                if self.rules == Rules::BreakTakesBack {
                    self.taken_back.insert(n);
                }
                session.on_disconnect(&mut fx);
            }
        }
        self.creditor_did(n, &mut fx)
    }

    fn on_hello(&mut self, connection: usize, hello: &Hello) -> Verdict {
        let (local, mut fx) = (self.creditor_local(), SessionEffects::new());
        let n = hello.session as usize - 1;
        match self
            .registry
            .admit(hello, &Identity::anonymous(), PeerId(n as u64))
        {
            Admission::New => {}
            Admission::Succeeds { ends } => {
                let old = ends.0 as usize;
                if let Some(session) = self.creditors.get_mut(&old) {
                    session.on_superseded(&mut fx);
                    self.creditor_did(old, &mut fx)?;
                }
            }
            Admission::Resumes { peer } => {
                let n = peer.0 as usize;
                let session = self.creditors.get_mut(&n).expect("it is open");
                if session.resume(local, hello, &mut fx).is_err() {
                    return self.is_gone(connection);
                }
                self.used.insert(n, connection);
                return self.creditor_did(n, &mut fx);
            }
            Admission::Gone { .. } => return self.is_gone(connection),
            Admission::Refused(refusal) => return Err(refusal.to_string()),
        }
        let config = CreditorConfig {
            name: b"creditor".to_vec(),
            boot: Boot(2),
            reg: 1,
            terms: LeaseTerms::default(),
            claimed: LeaseTerms::default().length(),
            window: Window::default(),
        };
        let session = CreditorSession::accept(local, &config, hello);
        self.received.insert(n, local);
        self.creditors.insert(n, session);
        self.used.insert(n, connection);
        self.creditor_did(n, &mut fx)
    }

    /// The answer to a hello that nothing can be done with: an old one, or of a session that was taken back.
    fn is_gone(&mut self, connection: usize) -> Verdict {
        let reason = String::new();
        let pipe = &mut self.connections[connection].down;
        pipe.send(self.now, Body::Gone { reason }, &mut self.random);
        Ok(())
    }

    fn debtor_did(&mut self, fx: &mut SessionEffects) -> Verdict {
        let n = self.sessions - 1;
        let mut is_silent = false;
        for effect in fx.drain() {
            match effect {
                SessionEffect::Deliver(item) => {
                    talk::hear(&mut self.heard.entry(n).or_default()[1], &item)?
                }
                SessionEffect::Disconnected(why) => {
                    if self.faults == Faults::None {
                        return Err(format!("broken without a fault: {why}"));
                    }
                    self.connect_at = Some(self.now + self.random.below(500) * MS);
                }
                SessionEffect::Resumed => self.resumed += 1,
                SessionEffect::Silent => is_silent = true,
                SessionEffect::Ended(why) => {
                    if self.faults != Faults::All {
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
                SessionEffect::Void(why) if self.faults != Faults::All => {
                    return Err(format!("void without a reason: {why}"));
                }
                SessionEffect::Established(_)
                | SessionEffect::Extended { .. }
                | SessionEffect::JeopardyCleared
                | SessionEffect::Heard
                | SessionEffect::Void(_) => {}
            }
        }
        if is_silent && let Some(debtor) = &mut self.debtor {
            let mut fx = SessionEffects::new();
            debtor.on_disconnect(self.debtor_process.local(self.now), &mut fx);
            return self.debtor_did(&mut fx);
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
                    if self.faults != Faults::All {
                        return Err(format!("void without a reason: {why}"));
                    }
                    self.taken_back.insert(n);
                    self.registry.remove(session.party(), PeerId(n as u64));
                }
                _ => {}
            }
        }
        let pipe = &mut self.connections[self.used[&n]].down;
        while let Some(body) = session.transmit(Membership::Good, Window::default()) {
            pipe.send(self.now, body, &mut self.random);
        }
        if matches!(session.void_reason(), Some(VoidReason::TakenBack)) {
            pipe.end_at = Some(self.now);
        }
        Ok(())
    }

    /// Both sides say something.
    fn talk(&mut self) {
        self.talk_at = self.now + self.random.below(1_500) * MS + MS;
        let Some(n) = self.sessions.checked_sub(1) else {
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

    fn debtor_local(&self) -> Time {
        self.debtor_process.local(self.now)
    }

    fn creditor_local(&self) -> Time {
        self.creditor_process.local(self.now)
    }

    fn check(&mut self) -> Verdict {
        let Some(n) = self.sessions.checked_sub(1) else {
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
        if self.faults == Faults::None
            && is_live
            && !self.creditors[&n].may_lend(self.creditor_local())
        {
            return Err(format!("at {at} ms: nothing can be lent, without a fault"));
        }
        Ok(())
    }

    fn check_healed(&self) -> Verdict {
        if !self.trusts() {
            return Err("trust did not come back after the faults".to_owned());
        }
        if self.faults == Faults::None && (self.connections.len() > 1 || self.jeopardies > 0) {
            return Err("jeopardy without a fault".to_owned());
        }
        if self.rules != Rules::AsTheyAre {
            return Ok(());
        }
        let last = self.sessions - 1;
        let (said, heard) = (self.said.get(&last), self.heard.get(&last));
        let (said, heard) = (said.copied().unwrap_or_default(), heard.copied());
        if heard.unwrap_or_default() != said {
            return Err(format!("of {said:?} items {heard:?} were heard"));
        }
        Ok(())
    }
}

/// Runs all seeds. Returns how many sessions there were, and how often one went on over another connection.
fn run_all(faults: Faults) -> (usize, usize) {
    let (mut sessions, mut resumed) = (0, 0);
    for seed in seeds() {
        let mut world = World::new(seed, Rules::AsTheyAre, faults);
        if let Err(what) = world.run() {
            panic!("{what}; replay with RM_SEED={seed}");
        }
        sessions += world.sessions;
        resumed += world.resumed;
    }
    println!("{sessions} sessions, resumed {resumed} times");
    (sessions, resumed)
}

#[test]
fn no_fault_makes_a_debtor_trust_what_was_taken_back() {
    run_all(Faults::All);
}

#[test]
fn where_only_connections_break_the_first_session_lives_to_the_end_and_nothing_is_lost() {
    let (sessions, resumed) = run_all(Faults::Breaks);
    assert_eq!(sessions, seeds().count());
    assert!(resumed >= sessions, "connections broke");
}

#[test]
fn without_faults_the_lease_never_ends() {
    run_all(Faults::None);
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
            let what = World::new(seed, rules, Faults::All).run().err()?;
            Some((seed, what))
        });
        let Some((seed, what)) = caught else {
            panic!("{rules:?} passes {SEEDS} seeds");
        };
        println!("{rules:?}: seed {seed}: {what}");
    }
}
