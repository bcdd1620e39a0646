//! The driver of a borrower: a session with each member of the view.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::desk::Desk;
use super::super::network::{ConnectionId, Side};
use super::{Fault, Line, Outbox, Voice, Windows};
use crate::error::LostReason;
use crate::front::{Domain, Host as _, Trust};
use crate::id::{Party, PeerId};
use crate::session::packet::Packet;
use crate::session::{
    DebtorConfig, DebtorSession, EndReason, SessionEffect, SessionEffects, Ticket, VoidReason,
};
use crate::time::Time;
use crate::view::{RootId, View};

/// After a lease ran out the next session waits so long: what a lost holder set in motion has time to stop.
const AFTERMATH: Duration = Duration::from_millis(250);
/// A connection that broke is made anew after so long; each time in a row after twice as long, up to
/// [`AGAIN_MAX`].
const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_millis(1_600);
/// How long a session waits for its first answers.
const PATIENCE: Duration = Duration::from_secs(3);

/// A session with a member.
#[derive(Debug)]
struct Upward {
    peer: PeerId,
    session: DebtorSession,
    trust: Option<Arc<Trust>>,
    line: Option<Line>,
    /// When there is to be another connection.
    connect_at: Time,
    /// It was welcomed over this connection.
    is_welcome: bool,
}

/// One run of a process as a borrower.
#[derive(Debug)]
pub(in super::super) struct Borrower {
    pub(in super::super) domain: Domain,
    pub(in super::super) desk: Arc<Desk>,
    pub(in super::super) party: Party,
    name: Vec<u8>,
    windows: Windows,
    /// So many sessions there were with each member.
    numbers: BTreeMap<RootId, u64>,
    /// When the next may begin.
    not_before: BTreeMap<RootId, Time>,
    /// How long to wait before the next attempt.
    pauses: BTreeMap<RootId, Duration>,
    upward: BTreeMap<RootId, Upward>,
    peers: u64,
}

impl Borrower {
    pub(in super::super) fn new(
        name: &[u8],
        party: Party,
        domain: Domain,
        desk: Arc<Desk>,
        windows: Windows,
    ) -> Self {
        Self {
            domain,
            desk,
            party,
            name: name.to_vec(),
            windows,
            numbers: BTreeMap::new(),
            not_before: BTreeMap::new(),
            pauses: BTreeMap::new(),
            upward: BTreeMap::new(),
            peers: 0,
        }
    }

    /// A view was heard of. Every session tells it on; those with who left are over, and nothing rests on them.
    pub(in super::super) fn adopt(&mut self, view: &Arc<View>, out: &mut Outbox) {
        if self.domain.adopt(view).is_none() {
            return;
        }
        let stamp = self.domain.stamps().highest();
        let voice = Voice {
            view: Some(view),
            stamp,
        };
        self.upward.retain(|root, upward| {
            if let Some(line) = &mut upward.line {
                line.tell(voice, out);
                if !view.has(*root) {
                    line.close(out);
                }
            }
            view.has(*root)
        });
    }

    /// Something came over one of its connections. Returns a view, if it was one.
    pub(in super::super) fn on_packet(
        &mut self,
        now: Time,
        id: ConnectionId,
        packet: Packet,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        self.domain.observe_stamp(packet.stamp);
        let Some(root) = self.whose(id) else {
            return Ok(());
        };
        let mut fx = SessionEffects::new();
        if let Some(upward) = self.upward.get_mut(&root) {
            upward.session.on_packet(now, packet.body, &mut fx);
        }
        self.work_off(now, root, fx, out)
    }

    /// A connection is over.
    pub(in super::super) fn on_broken(
        &mut self,
        now: Time,
        id: ConnectionId,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let Some(root) = self.whose(id) else {
            return Ok(());
        };
        let mut fx = SessionEffects::new();
        let pause = self.pause(root);
        if let Some(upward) = self.upward.get_mut(&root) {
            upward.line = None;
            upward.is_welcome = false;
            upward.connect_at = now.after(pause);
            upward.session.on_disconnect(now, &mut fx);
        }
        self.work_off(now, root, fx, out)
    }

    /// Which member a connection is with.
    pub(in super::super) fn whose(&self, id: ConnectionId) -> Option<RootId> {
        let is_it = |upward: &Upward| upward.line.is_some_and(|line| line.id == id);
        let found = self.upward.iter().find(|(_, upward)| is_it(upward));
        found.map(|(&root, _)| root)
    }

    /// Does what is due by now.
    pub(in super::super) fn on_time(&mut self, now: Time, out: &mut Outbox) -> Result<(), Fault> {
        let roots: Vec<_> = self.upward.keys().copied().collect();
        for root in roots {
            let mut fx = SessionEffects::new();
            if let Some(upward) = self.upward.get_mut(&root)
                && upward.session.next_tick().is_some_and(|at| at <= now)
            {
                upward.session.on_tick(now, &mut fx);
            }
            self.work_off(now, root, fx, out)?;
            self.end_useless(now, root, out)?;
        }
        self.domain.on_deadline(now);
        self.hand_over(now, out)?;
        self.connect(now, out)
    }

    /// A session that cannot go on is of use only as long as something is held.
    fn end_useless(&mut self, now: Time, root: RootId, out: &mut Outbox) -> Result<(), Fault> {
        let Some(upward) = self.upward.get_mut(&root) else {
            return Ok(());
        };
        let is_useless = upward.trust.is_some() && !upward.session.can_resume();
        let mut fx = SessionEffects::new();
        if is_useless && self.domain.holds_over(upward.peer) == 0 {
            upward.session.bye(now, "it cannot go on", &mut fx);
        }
        self.work_off(now, root, fx, out)
    }

    /// A session with each member, and a connection for each session.
    fn connect(&mut self, now: Time, out: &mut Outbox) -> Result<(), Fault> {
        let Some(view) = self.domain.view() else {
            return Ok(());
        };
        for member in view.members() {
            let root = member.id();
            if let Some(upward) = self.upward.get_mut(&root) {
                let waits = upward.line.is_none() && upward.session.can_resume();
                if waits && now >= upward.connect_at {
                    let mut fx = SessionEffects::new();
                    upward.session.reconnect(now, &mut fx);
                    upward.line = Some(Line::new(Side::Debtor, out.connect(root)));
                    out.counts.reconnections += 1;
                    self.work_off(now, root, fx, out)?;
                }
            } else if self.not_before.get(&root).is_none_or(|&at| now >= at) {
                self.open(now, root, out);
            }
        }
        Ok(())
    }

    fn open(&mut self, now: Time, root: RootId, out: &mut Outbox) {
        let number = self.numbers.entry(root).or_insert(0);
        *number += 1;
        self.peers += 1;
        let config = DebtorConfig {
            name: self.name.clone(),
            boot: self.party.boot,
            ticket: Ticket::default(),
            session: *number,
            reg: root.reg,
            window: self.windows.window,
            patience: PATIENCE,
        };
        let upward = Upward {
            peer: PeerId(self.peers),
            session: DebtorSession::connect(now, config),
            trust: None,
            line: Some(Line::new(Side::Debtor, out.connect(root))),
            connect_at: now,
            is_welcome: false,
        };
        out.counts.sessions += 1;
        self.upward.insert(root, upward);
    }

    /// How long to wait before the next attempt.
    fn pause(&mut self, root: RootId) -> Duration {
        let next = self.pauses.entry(root).or_insert(AGAIN);
        let pause = *next;
        *next = (pause * 2).min(AGAIN_MAX);
        pause
    }

    /// Works off what happened to a session, and then what followed from that.
    fn work_off(
        &mut self,
        now: Time,
        root: RootId,
        mut fx: SessionEffects,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        while !fx.is_empty() {
            let effects: Vec<_> = fx.drain().collect();
            for effect in effects {
                self.on_effect(now, root, effect, &mut fx, out)?;
                self.hand_over(now, out)?;
            }
        }
        Ok(())
    }

    fn on_effect(
        &mut self,
        now: Time,
        root: RootId,
        effect: SessionEffect,
        fx: &mut SessionEffects,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let Some(upward) = self.upward.get_mut(&root) else {
            return Ok(());
        };
        match effect {
            SessionEffect::Deliver(item) => {
                out.on_answer(&item);
                let peer = upward.peer;
                let delivered = self.domain.deliver(peer, item);
                return delivered.map_err(|crime| Fault(format!("{root} {crime}")));
            }
            SessionEffect::Established(_) | SessionEffect::Resumed => {
                upward.is_welcome = true;
                self.pauses.remove(&root);
            }
            SessionEffect::Extended { deadline } => match &upward.trust {
                None => {
                    let trust = Arc::new(Trust::until(deadline));
                    upward.trust = Some(Arc::clone(&trust));
                    self.domain.on_root_up(root, upward.peer, trust);
                }
                Some(trust) if trust.extend(deadline) => {}
                // Resources have let go of this session, and would wait for ever for another one.
                Some(_) => upward.session.lapse(fx),
            },
            SessionEffect::Disconnected(why) => {
                check_reason(root, &why)?;
                upward.is_welcome = false;
                if let Some(line) = upward.line.take() {
                    line.close(out);
                    let pause = self.pause(root);
                    if let Some(upward) = self.upward.get_mut(&root) {
                        upward.connect_at = now.after(pause);
                    }
                }
            }
            SessionEffect::Ended(why) => check_reason(root, &why)?,
            SessionEffect::Void(why) => {
                out.note(|| format!("  its session with {root} is void: {why}"));
                if let VoidReason::Ended(why) = &why {
                    check_reason(root, why)?;
                }
                let lost = match why {
                    VoidReason::Expired => LostReason::LeaseExpired,
                    _ => LostReason::SessionEnded,
                };
                if upward.trust.is_some() {
                    self.domain.on_creditor_down(upward.peer, lost);
                }
                let pause = self.pause(root).max(AFTERMATH);
                self.not_before.insert(root, now.after(pause));
            }
            SessionEffect::JeopardyStarted { .. } => out.counts.jeopardies += 1,
            SessionEffect::Silent | SessionEffect::Heard | SessionEffect::JeopardyCleared => {}
        }
        Ok(())
    }

    /// What the domain wants said goes into the sessions.
    pub(in super::super) fn hand_over(&mut self, now: Time, out: &mut Outbox) -> Result<(), Fault> {
        while let Some((peer, item)) = self.desk.take() {
            let found = self.upward.iter_mut().find(|(_, one)| one.peer == peer);
            let Some((&root, upward)) = found else {
                continue;
            };
            let mut fx = SessionEffects::new();
            if let Err(full) = upward.session.push(item) {
                out.counts.overruns += 1;
                let why = EndReason::Overrun(full);
                upward.session.abandon(now, why, &mut fx);
            }
            self.work_off(now, root, fx, out)?;
        }
        Ok(())
    }

    /// Writes what the sessions have to say, and closes connections of which nothing more is to come.
    pub(in super::super) fn transmit(&mut self, now: Time, out: &mut Outbox) {
        let view = self.domain.view();
        let stamp = self.domain.stamps().highest();
        let voice = Voice {
            view: view.as_ref(),
            stamp,
        };
        self.upward.retain(|_, upward| {
            let Some(line) = &mut upward.line else {
                return upward.session.void_reason().is_none();
            };
            while let Some(body) = upward.session.transmit(now, self.windows.batch) {
                line.say(voice, body, out);
            }
            if !upward.session.is_connected() {
                line.close(out);
                upward.line = None;
                upward.is_welcome = false;
            }
            upward.session.void_reason().is_none()
        });
    }

    /// Whether it hears of all members: if not, it asks others for the view.
    pub(in super::super) fn is_settled(&self) -> bool {
        let is_well = |upward: &Upward| upward.is_welcome && upward.session.is_open();
        !self.upward.is_empty() && self.upward.values().all(is_well)
    }

    pub(in super::super) fn next_tick(&self) -> Time {
        let mut next = self.domain.next_deadline().unwrap_or(Time::MAX);
        for upward in self.upward.values() {
            next = next.min(upward.session.next_tick().unwrap_or(Time::MAX));
            if upward.line.is_none() && upward.session.can_resume() {
                next = next.min(upward.connect_at);
            }
        }
        if let Some(view) = self.domain.view() {
            for member in view.members() {
                let root = member.id();
                if !self.upward.contains_key(&root) {
                    let at = self.not_before.get(&root);
                    next = next.min(at.copied().unwrap_or(Time::ZERO));
                }
            }
        }
        next
    }

    /// It goes in good order.
    pub(in super::super) fn bye(&mut self, out: &mut Outbox) -> Result<(), Fault> {
        let now = self.desk.now();
        let roots: Vec<_> = self.upward.keys().copied().collect();
        for root in roots {
            let mut fx = SessionEffects::new();
            if let Some(upward) = self.upward.get_mut(&root) {
                upward.session.bye(now, "it stops", &mut fx);
            }
            self.work_off(now, root, fx, out)?;
        }
        self.transmit(now, out);
        Ok(())
    }
}

/// Nobody here breaks the rules.
fn check_reason(root: RootId, why: &EndReason) -> Result<(), Fault> {
    match why {
        EndReason::Misbehaved(_) | EndReason::Wronged { .. } => {
            Err(Fault(format!("the session with {root} ended: {why}")))
        }
        _ => Ok(()),
    }
}
