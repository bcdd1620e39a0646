//! The driver of a member's lender: it accepts connections and sessions, and tells its machine what the others report.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::desk::Desk;
use super::super::network::{ConnectionId, Side};
use super::{Fault, Line, Outbox, Voice, Windows};
use crate::access::Identity;
use crate::cluster::{Adopted, Frozen, Lender, Report};
use crate::front::Domain;
use crate::id::{Boot, NodeId, PeerId};
use crate::session::packet::{Body, Hello, Packet};
use crate::session::{
    Admission, ClockLook, CreditorConfig, CreditorSession, CreditorSessions, EndReason, JumpWatch,
    LeaseTerms, Membership, SessionEffect, SessionEffects,
};
use crate::time::Time;
use crate::view::{Member, RootId, View};

/// More sessions than there are processes and runs of them.
const SESSIONS_MAX: usize = 1_000;

/// A session with a debtor.
#[derive(Debug)]
struct Downward {
    session: CreditorSession,
    line: Option<Line>,
}

/// One registration of a member.
#[derive(Debug)]
pub(in super::super) struct Lending {
    pub(in super::super) domain: Domain,
    pub(in super::super) desk: Arc<Desk>,
    pub(in super::super) lender: Lender,
    config: CreditorConfig,
    batch: crate::session::Window,
    sessions: CreditorSessions,
    downward: BTreeMap<PeerId, Downward>,
    /// Connections over which nobody said hello yet.
    doors: BTreeMap<ConnectionId, Line>,
    jump: JumpWatch,
    peers: u64,
}

impl Lending {
    /// The lease under which it lends.
    pub(in super::super) const fn lease(&self) -> Duration {
        self.config.terms.length()
    }

    pub(in super::super) fn new(
        now: Time,
        (name, boot): (&[u8], Boot),
        terms: LeaseTerms,
        lender: Lender,
        (domain, desk): (Domain, Arc<Desk>),
        windows: Windows,
    ) -> Self {
        let reg = lender.id().reg;
        let claimed = lender.claimed_lease(terms);
        Self {
            domain,
            desk,
            lender,
            config: CreditorConfig {
                name: name.to_vec(),
                boot,
                reg,
                terms,
                claimed,
                window: windows.window,
            },
            batch: windows.batch,
            sessions: CreditorSessions::new(reg, SESSIONS_MAX),
            downward: BTreeMap::new(),
            doors: BTreeMap::new(),
            jump: JumpWatch::new(now, terms),
            peers: 0,
        }
    }

    /// A view was heard of: it is told to every session first, so no answer of an older one follows. Returns whether this
    /// registration is over.
    pub(in super::super) fn adopt(
        &mut self,
        now: Time,
        view: &Arc<View>,
        out: &mut Outbox,
    ) -> bool {
        let is_new = self
            .lender
            .view()
            .is_none_or(|old| old.epoch() < view.epoch());
        if is_new && view.has(self.lender.id()) {
            let stamp = self.domain.stamps().highest();
            let voice = Voice {
                view: Some(view),
                stamp,
            };
            let lines = self.downward.values_mut().filter_map(|it| it.line.as_mut());
            for line in lines.chain(self.doors.values_mut()) {
                line.tell(voice, out);
            }
        }
        let downward = &self.downward;
        let frozen = |peer: PeerId| {
            let session = &downward.get(&peer)?.session;
            Some(Frozen {
                party: session.party(),
                until: session.take_back_at()?,
            })
        };
        self.lender.adopt(now, view, &frozen) == Adopted::Evicted
    }

    /// Somebody connects. Before it is in a view, it answers nobody.
    pub(in super::super) fn on_connect(&mut self, id: ConnectionId, out: &mut Outbox) {
        let mut line = Line::new(Side::Creditor, id);
        let stamp = self.domain.stamps().highest();
        match self.lender.view() {
            None => line.close(out),
            Some(view) => {
                let view = Some(view);
                line.tell(Voice { view, stamp }, out);
                self.doors.insert(id, line);
            }
        }
    }

    pub(in super::super) fn on_packet(
        &mut self,
        now: Time,
        id: ConnectionId,
        packet: Packet,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        self.domain.observe_stamp(packet.stamp);
        if let Some(line) = self.doors.remove(&id) {
            return match packet.body {
                Body::Hello(hello) => self.on_hello(now, line, &hello, out),
                _ => {
                    self.doors.insert(id, line);
                    Ok(())
                }
            };
        }
        let Some(peer) = self.whose(id) else {
            return Ok(());
        };
        let mut fx = SessionEffects::new();
        if let Some(downward) = self.downward.get_mut(&peer) {
            downward.session.on_packet(now, packet.body, &mut fx);
        }
        self.work_off(peer, fx, out)
    }

    /// Another member tells of a view: over the session in which that one is the creditor, so it is its own word.
    pub(in super::super) fn on_report(
        &mut self,
        now: Time,
        from: RootId,
        report: Report,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let answer = self.lender.on_report(now, from, report);
        self.hand_over(out)?;
        if let Some(answer) = answer {
            self.tell(from, &answer, out);
        }
        Ok(())
    }

    /// Says something to another member, over the sessions in which this one is the creditor. Where there is none, it is
    /// said again.
    fn tell(&mut self, to: RootId, body: &Body, out: &mut Outbox) {
        let stamp = self.domain.stamps().highest();
        let view = self.lender.view();
        for downward in self.downward.values_mut() {
            let is_its = downward.session.party().node == to.node && downward.session.is_open();
            if let Some(line) = downward.line.as_mut().filter(|_| is_its) {
                line.say(Voice { view, stamp }, body.clone(), out);
            }
        }
    }

    /// There is a connection with a debtor: perhaps with another member's borrower.
    fn on_connected(&mut self, node: NodeId) {
        let view = self.lender.view().cloned();
        let members = view.iter().flat_map(|view| view.members());
        let member = members.map(Member::id).find(|id| id.node == node);
        if let Some(member) = member {
            self.lender.on_connected(member);
        }
    }

    fn on_hello(
        &mut self,
        now: Time,
        mut line: Line,
        hello: &Hello,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        self.peers += 1;
        let peer = PeerId(self.peers);
        let stamp = self.domain.stamps().highest();
        let refusal = match self.sessions.admit(hello, &Identity::anonymous(), peer) {
            Admission::New => None,
            Admission::Succeeds { ends } => {
                let mut fx = SessionEffects::new();
                if let Some(former) = self.downward.get_mut(&ends) {
                    former.session.on_superseded(&mut fx);
                }
                self.work_off(ends, fx, out)?;
                None
            }
            Admission::Resumes { peer } => return self.resume(now, (peer, line), hello, out),
            Admission::Gone { reason } => Some(Body::Gone { reason }),
            Admission::Refused(refusal) => return Err(Fault(format!("refused: {refusal}"))),
        };
        if let Some(body) = refusal {
            let view = self.lender.view();
            line.say(Voice { view, stamp }, body, out);
            line.close(out);
            return Ok(());
        }
        let session = CreditorSession::accept(now, &self.config, hello);
        let party = session.party();
        self.desk.introduce(peer, party);
        let line = Some(line);
        self.downward.insert(peer, Downward { session, line });
        self.on_connected(party.node);
        Ok(())
    }

    fn resume(
        &mut self,
        now: Time,
        (peer, mut line): (PeerId, Line),
        hello: &Hello,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let mut fx = SessionEffects::new();
        let stamp = self.domain.stamps().highest();
        let Some(downward) = self.downward.get_mut(&peer) else {
            return Err(Fault("a session that is not over is not there".into()));
        };
        match downward.session.resume(now, hello, &mut fx) {
            Ok(()) => {
                if let Some(former) = downward.line.replace(line) {
                    former.close(out);
                }
                out.counts.resumptions += 1;
                let node = downward.session.party().node;
                self.on_connected(node);
            }
            Err(why) => {
                let reason = why.to_string();
                let view = self.lender.view();
                line.say(Voice { view, stamp }, Body::Gone { reason }, out);
                line.close(out);
            }
        }
        self.work_off(peer, fx, out)
    }

    pub(in super::super) fn on_broken(
        &mut self,
        id: ConnectionId,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        self.doors.remove(&id);
        let Some(peer) = self.whose(id) else {
            return Ok(());
        };
        let mut fx = SessionEffects::new();
        if let Some(downward) = self.downward.get_mut(&peer) {
            downward.line = None;
            downward.session.on_disconnect(&mut fx);
        }
        self.work_off(peer, fx, out)
    }

    /// Whether that connection is one of its own.
    pub(in super::super) fn has(&self, id: ConnectionId) -> bool {
        self.doors.contains_key(&id) || self.whose(id).is_some()
    }

    fn whose(&self, id: ConnectionId) -> Option<PeerId> {
        let is_it = |it: &Downward| it.line.is_some_and(|line| line.id == id);
        let found = self.downward.iter().find(|(_, it)| is_it(it));
        found.map(|(&peer, _)| peer)
    }

    /// Whether its clock jumped: then it reads what has come before it does what is due.
    pub(in super::super) fn look(&mut self, now: Time) -> ClockLook {
        self.jump.look(now)
    }

    pub(in super::super) fn on_time(&mut self, now: Time, out: &mut Outbox) -> Result<(), Fault> {
        self.lender.on_tick(now);
        self.domain.on_deadline(now);
        self.hand_over(out)?;
        let peers: Vec<_> = self.downward.keys().copied().collect();
        for peer in peers {
            let mut fx = SessionEffects::new();
            if let Some(downward) = self.downward.get_mut(&peer) {
                downward.session.on_tick(now, &mut fx);
            }
            self.work_off(peer, fx, out)?;
        }
        Ok(())
    }

    fn work_off(
        &mut self,
        peer: PeerId,
        mut fx: SessionEffects,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let effects: Vec<_> = fx.drain().collect();
        for effect in effects {
            match effect {
                SessionEffect::Deliver(item) => {
                    let delivered = self.domain.deliver(peer, item);
                    delivered.map_err(|crime| Fault(format!("debtor {peer} {crime}")))?;
                }
                SessionEffect::Heard => self.domain.on_debtor_heard(peer),
                SessionEffect::Disconnected(why) | SessionEffect::Ended(why) => {
                    if let EndReason::Misbehaved(_) = why {
                        return Err(Fault(format!("debtor {peer}: {why}")));
                    }
                    self.domain.on_debtor_silent(peer);
                }
                SessionEffect::Silent => self.domain.on_debtor_silent(peer),
                SessionEffect::Void(why) => {
                    out.note(|| format!("  {} takes back from {peer}: {why}", self.lender.id()));
                    self.domain.on_debtor_down(peer);
                    if let Some(downward) = self.downward.get(&peer) {
                        self.sessions.remove(downward.session.party(), peer);
                    }
                }
                SessionEffect::Established(_)
                | SessionEffect::Extended { .. }
                | SessionEffect::JeopardyCleared
                | SessionEffect::JeopardyStarted { .. }
                | SessionEffect::Resumed => {}
            }
            self.hand_over(out)?;
        }
        Ok(())
    }

    /// What the domain wants said goes into the sessions.
    pub(in super::super) fn hand_over(&mut self, out: &mut Outbox) -> Result<(), Fault> {
        while let Some((peer, item)) = self.desk.take() {
            let Some(downward) = self.downward.get_mut(&peer) else {
                continue;
            };
            let mut fx = SessionEffects::new();
            if let Err(full) = downward.session.push(item) {
                out.counts.overruns += 1;
                downward.session.abandon(EndReason::Overrun(full), &mut fx);
            }
            self.work_off(peer, fx, out)?;
        }
        Ok(())
    }

    /// Writes what there is to say: first what other members are to be told.
    pub(in super::super) fn transmit(&mut self, now: Time, out: &mut Outbox) {
        let view = self.lender.view().cloned();
        for member in view.iter().flat_map(|view| view.members()) {
            while let Some(report) = self.lender.say(now, member.id()) {
                self.tell(member.id(), &report, out);
            }
        }
        let stamp = self.domain.stamps().highest();
        let view = self.lender.view();
        let voice = Voice { view, stamp };
        let membership = if now < self.lender.good_until() {
            Membership::Good
        } else {
            Membership::Suspended
        };
        let (desk, batch) = (&self.desk, self.batch);
        self.downward.retain(|&peer, downward| {
            let is_over = downward.session.void_reason().is_some();
            if let Some(line) = &mut downward.line {
                while let Some(body) = downward.session.transmit(membership, batch) {
                    line.say(voice, body, out);
                }
                if !downward.session.is_connected() {
                    line.close(out);
                    downward.line = None;
                }
            }
            if is_over {
                desk.forget(peer);
            }
            !is_over
        });
    }

    pub(in super::super) fn next_tick(&self) -> Time {
        let ticks = self.downward.values();
        let ticks = ticks.filter_map(|it| it.session.next_tick());
        let own = self.domain.next_deadline();
        ticks.chain(own).min().unwrap_or(Time::MAX)
    }

    /// Its connections are over with it.
    pub(in super::super) fn hang_up(&mut self, out: &mut Outbox) {
        let lines = self.downward.values().filter_map(|it| it.line);
        for line in lines.chain(self.doors.values().copied()) {
            line.close(out);
        }
    }

    /// With so many debtors there is a session.
    pub(in super::super) fn debtors(&self) -> usize {
        self.downward.len()
    }

    /// The view that it has adopted.
    pub(in super::super) fn view(&self) -> Option<&Arc<View>> {
        self.lender.view()
    }
}
