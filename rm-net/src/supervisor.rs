//! What keeps a client connected, or a node in the middle of a tree: one session after the other.
//!
//! A session outlives its connections ([`Keeper`]). The next session begins when the one before is void, since opening
//! it tells the server that the former was dropped. So where a session cannot go on, because the server stopped or
//! knows nothing of it, a wait follows until what is held is released or its deadline has passed; where nothing is held,
//! the next session is opened at once. A session whose server is not there is given up in the same way if there are
//! other endpoints, after a while and if nothing is held.
//!
//! **Debtors.** A node in the middle lends what it has borrowed. When its session cannot go on, or it is to stop, it lets
//! its debtors go at once, and promises nothing to new ones. Neither is a session ended before its deadline, nor is the
//! next one opened, until none of these debtors trusts anything: either would free what they still use. A connection
//! that breaks is nothing to them.

use std::sync::Arc;
use std::time::Duration;

use rm_core::error::LostReason;
use rm_core::id::{Boot, NodeId, PeerId};
use rm_core::session::packet::{Body, Welcome};
use rm_core::session::{EndReason, Refusal, SessionEffect, VoidReason};
use rm_core::time::Time;
use rm_core::view::{RootId, View};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::ConnectError;
use crate::hub::{Departure, Hub, Say};
use crate::keeper::{ATTEMPT, Keeper, Opening};
use crate::peer::{Arrived, Extended, Peer};
use crate::roster::Roster;
use crate::server::{Server, commands};
use crate::transport::{self, Stream};

/// The first pause between attempts; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause between attempts.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// After a lease ran out: opening the next session tells the server that the former was dropped, upon which it
/// lends again. What a lost holder set in motion, such as the end of a process, is given so long to happen.
const AFTERMATH: Duration = Duration::from_millis(250);
/// While a session cannot go on and locks are held, the client looks this often whether they still are.
const LOOK: Duration = Duration::from_millis(100);
/// A server that could not be reached for so long is given up, if there are others and nothing is held.
const FRUITLESS_MAX: Duration = Duration::from_secs(1);

/// How a client stands.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// It is over.
    Closed,
    /// There is a session, and its lease was acknowledged.
    Connected { peer: PeerId, lease: Duration },
    /// There is none.
    Connecting {
        /// What went wrong last.
        last: String,
        /// Of all endpoints none was willing, and one refused: trying again at once is of no use.
        refused: Option<ConnectError>,
    },
}

impl Phase {
    /// Whether there is no use in waiting for another one.
    pub(crate) const fn is_decided(&self) -> bool {
        match self {
            Self::Closed | Self::Connected { .. } => true,
            Self::Connecting { refused, .. } => refused.is_some(),
        }
    }
}

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Its lease ran out.
    Expired,
    /// It was good for something, and ended otherwise.
    Lived,
    /// It was never good for anything.
    Stillborn,
}

/// Keeps one client connected.
pub(crate) struct Supervisor {
    hub: Arc<Hub>,
    endpoints: Vec<String>,
    phase: watch::Sender<Phase>,
    /// Sessions so far.
    sessions: u64,
    /// The creditor of the last session, and its run.
    creditor: Option<(Vec<u8>, Boot)>,
    /// What a node in the middle lends by, and answers questions by.
    server: Option<Arc<Server>>,
    roster: Arc<Roster>,
    /// What it has to say on what a node in the middle promises.
    say: Say,
    /// The member of a view with which its sessions are; without one, with whoever answers.
    member: Option<Member>,
}

/// A member whose sessions a supervisor keeps.
#[derive(Clone, Debug)]
struct Member {
    root: RootId,
    /// It is a member no more.
    left: CancellationToken,
}

impl Supervisor {
    /// The first of a borrower: with whoever answers at one of these addresses. If that is a member of a view, it becomes
    /// the one of that member.
    pub(crate) fn first(
        roster: &Arc<Roster>,
        endpoints: Vec<String>,
        phase: watch::Sender<Phase>,
    ) -> Self {
        Self {
            hub: Arc::clone(roster.hub()),
            endpoints,
            phase,
            sessions: 0,
            creditor: None,
            server: roster.below(),
            say: Say::new(roster.hub()),
            roster: Arc::clone(roster),
            member: None,
        }
    }

    /// The one of a member, until that has left.
    pub(crate) fn of_member(
        roster: &Arc<Roster>,
        root: RootId,
        endpoints: Vec<String>,
        left: CancellationToken,
    ) -> Self {
        let member = Some(Member { root, left });
        Self {
            member,
            ..Self::first(roster, endpoints, own_phase())
        }
    }

    /// Runs until the client is closed, or nobody uses it, or the member has left.
    pub(crate) async fn run(mut self) {
        self.keep_connected().await;
    }

    async fn keep_connected(&mut self) {
        let stopping = self.hub.stopping.clone();
        let mut pause = PAUSE_MIN;
        let mut turn = 0;
        // By the first endpoint that refused in this round.
        let mut refused = None;
        while !stopping.is_cancelled() && !self.has_left() {
            let endpoint = self.endpoints[turn % self.endpoints.len()].clone();
            turn += 1;
            let attempt = tokio::time::timeout(ATTEMPT, self.roster.transport().dial(&endpoint));
            let connected = tokio::select! {
                connected = attempt => connected,
                () = stopping.cancelled() => break,
            };
            match connected {
                Ok(Ok(stream)) => {
                    let (outcome, refusal) = self.session(stream, &endpoint).await;
                    match outcome {
                        Outcome::Expired => (refused, pause) = (None, AFTERMATH),
                        Outcome::Lived => (refused, pause) = (None, PAUSE_MIN),
                        Outcome::Stillborn => refused = refused.or(refusal),
                    }
                }
                Ok(Err(error)) => {
                    self.note(error.to_string());
                    refused = refused.or_else(|| error.decided(&endpoint));
                }
                Err(_) => self.note(format!("no answer within {ATTEMPT:?}")),
            }
            // Not before all were asked: where one refuses, another may be willing.
            if turn % self.endpoints.len() == 0
                && let Some(refused) = refused.take()
            {
                self.set(Phase::Connecting {
                    last: refused.to_string(),
                    refused: Some(refused),
                });
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopping.cancelled() => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Whether it is that of a member that is one no more: nothing rests on its sessions.
    fn has_left(&self) -> bool {
        let left = self.member.as_ref().map(|member| &member.left);
        left.is_some_and(CancellationToken::is_cancelled)
    }

    /// How it stands, for whoever asks.
    fn set(&self, phase: Phase) -> Phase {
        set(&self.phase, &self.roster, self.member.as_ref(), phase)
    }

    fn note(&self, last: String) {
        let text = last.clone();
        let former = self.set(Phase::Connecting {
            last,
            refused: None,
        });
        // Once for each time that something else goes wrong: it is tried many times a minute.
        if !matches!(former, Phase::Connecting { last, .. } if last == text) {
            tracing::info!(endpoints = ?self.endpoints, why = text, "no connection");
        }
    }

    /// One session, until it is void: what became of it, and why the server refused, if it did.
    async fn session(&mut self, stream: Stream, endpoint: &str) -> (Outcome, Option<ConnectError>) {
        self.sessions += 1;
        let opening = Opening {
            endpoint: endpoint.to_owned(),
            reg: self.member.as_ref().map_or(0, |member| member.root.reg),
            session: self.sessions,
            transport: self.roster.transport().clone(),
        };
        let keeper = Keeper::new(&self.hub, opening);
        let mut events = Events {
            hub: Arc::clone(&self.hub),
            peer: Arc::clone(keeper.peer()),
            phase: self.phase.clone(),
            endpoint: endpoint.to_owned(),
            lease: Duration::ZERO,
            welcomed: None,
            outcome: Outcome::Stillborn,
            refused: None,
            offence: None,
            broke: None,
            creditor: self.creditor.take(),
            server: self.server.clone(),
            roster: Arc::clone(&self.roster),
            say: self.say.clone(),
            member: self.member.clone(),
            left: watch::Sender::new(self.member.as_ref().map(|member| member.left.clone())),
        };
        let left = events.left.subscribe();
        let (over, is_over) = watch::channel(false);
        let runner = async {
            keeper
                .run(stream, |arrived| events.on_arrived(arrived))
                .await;
            over.send_replace(true);
        };
        let known = left.clone();
        let both = async { tokio::join!(runner, self.watch(&keeper, is_over, known)) };
        let departure = tokio::select! {
            (_, departure) = both => departure,
            () = has_left(left) => None,
        };
        self.become_member(&events);
        if self.has_left() {
            self.hub.remove(keeper.peer().id);
            // Debtors that were to go for its sake need not any more.
            self.say.promise();
        } else if events.outcome != Outcome::Stillborn {
            let departure = departure.unwrap_or_else(|| self.say.let_debtors_go());
            tokio::select! {
                () = departure.over() => {
                    // Nobody below has anything of that member any more, and it is not the only one.
                    if self.member.is_some() {
                        self.say.promise();
                    }
                }
                () = self.hub.stopping.cancelled() => {}
            }
        }
        self.creditor = events.creditor;
        (events.outcome, events.refused)
    }

    /// The first session turned out to be that with a member, and so are all that follow.
    fn become_member(&mut self, events: &Events) {
        if self.member.is_none() && events.member.is_some() {
            self.member.clone_from(&events.member);
            self.phase = events.phase.clone();
            if let Some(address) = self.roster.address(events.member.as_ref().map(|m| m.root)) {
                self.endpoints = vec![address];
            }
        }
    }

    /// Ends a session that is of no more use: when told to stop, and when it cannot go on and nothing is held. Either
    /// way debtors go first. Returns those that were told to.
    async fn watch(
        &self,
        keeper: &Keeper,
        mut is_over: watch::Receiver<bool>,
        left: watch::Receiver<Option<CancellationToken>>,
    ) -> Option<Departure> {
        let mut was_told = false;
        let mut departure: Option<Departure> = None;
        loop {
            tokio::select! {
                _ = is_over.wait_for(|over| *over) => return departure,
                () = self.hub.stopping.cancelled(), if !was_told => was_told = true,
                () = tokio::time::sleep(LOOK) => {}
            }
            let is_member = left.borrow().is_some();
            if !was_told && !self.gives_up(keeper, is_member) {
                // It goes on after all. Those who were let go come back.
                if departure.take().is_some() {
                    self.say.promise();
                }
                continue;
            }
            let departure = departure.get_or_insert_with(|| self.say.let_debtors_go());
            if !departure.is_over() {
                continue;
            }
            // Adding up takes a look at every resource: only where it matters.
            let id = keeper.peer().id;
            let holds = || self.hub.domain().map_or(0, |domain| domain.holds_over(id));
            if was_told {
                self.end(keeper.peer(), "the client is done");
            } else if holds() == 0 {
                self.end(
                    keeper.peer(),
                    "the session cannot go on, and nothing was held",
                );
            }
        }
    }

    /// Whether the session is of no more use, as soon as nothing is held.
    fn gives_up(&self, keeper: &Keeper, is_member: bool) -> bool {
        // The other addresses are those of other members, unless all lead to one.
        let elsewhere = self.endpoints.len() > 1 && !(is_member && self.roster.has_many());
        keeper.is_over() || (elsewhere && keeper.fruitless_for() >= FRUITLESS_MAX)
    }

    fn end(&self, peer: &Arc<Peer>, reason: &str) {
        if let Some(domain) = self.hub.domain() {
            domain.return_values();
        }
        peer.bye(&self.hub, reason, |arrived| {
            if let Arrived::Effect(SessionEffect::Void(_)) = arrived
                && let Some(domain) = self.hub.domain()
            {
                domain.on_creditor_down(peer.id, LostReason::SessionEnded);
            }
        });
    }
}

/// What the packets and ticks of one session do to the client.
struct Events {
    hub: Arc<Hub>,
    peer: Arc<Peer>,
    phase: watch::Sender<Phase>,
    endpoint: String,
    lease: Duration,
    /// Who answers there, and with which registration.
    welcomed: Option<(Vec<u8>, u64)>,
    outcome: Outcome,
    /// Why the server refused, if it did.
    refused: Option<ConnectError>,
    /// How the server broke the rules, if it did: then that is the reason for all that follows.
    offence: Option<String>,
    /// How the connection broke, if it did.
    broke: Option<String>,
    /// The creditor of the last session that had one, and its run.
    creditor: Option<(Vec<u8>, Boot)>,
    server: Option<Arc<Server>>,
    roster: Arc<Roster>,
    say: Say,
    member: Option<Member>,
    /// What says that the member has left, once it is known who it is.
    left: watch::Sender<Option<CancellationToken>>,
}

impl Events {
    fn on_arrived(&mut self, arrived: Arrived) -> Result<(), String> {
        let Some(domain) = self.hub.domain() else {
            return Ok(());
        };
        match arrived {
            Arrived::Broken { error } => self.on_broken(&error),
            Arrived::Offence { why } => {
                self.offence = Some(format!("what answers there breaks the protocol: {why}"));
            }
            Arrived::Head { epoch, stamp } => {
                if self.member.is_none() {
                    self.hub.set_epoch(epoch);
                }
                self.hub.on_head(&domain, stamp);
            }
            Arrived::Command { id, command } => {
                let outcome = commands::turn_away(&command);
                self.peer.say(Body::Commanded { id, outcome }, &self.hub);
            }
            Arrived::View(view) => self.on_view(view),
            Arrived::ReportAck {
                epoch,
                part,
                is_active,
            } => {
                if let Some(member) = &self.member
                    && let Some(lender) = self.roster.lender()
                {
                    lender.on_report_ack(member.root, epoch, part, is_active);
                }
            }
            Arrived::Report(report) => {
                // It is that member's word: this side has called it where the view says that it is.
                if let Some(member) = self.member.as_ref().filter(|m| m.root.reg == report.reg)
                    && let Some(lender) = self.roster.lender()
                {
                    lender.on_report(member.root, report);
                }
            }
            Arrived::Question { id, query } => match &self.server {
                Some(server) => server.on_question(&self.peer, id, query),
                None => {
                    let node = NodeId::of_name(self.endpoint.as_bytes());
                    let answer =
                        domain.inspect(&query, &|_| (self.endpoint.clone(), node), &|_, _| true);
                    self.peer.say(Body::Inspected { id, answer }, &self.hub);
                }
            },
            Arrived::Answer { id, answer } => {
                self.hub.inquiries.on_answer(self.peer.id, id, answer);
            }
            Arrived::Effect(effect) => return self.on_effect(&domain, effect),
        }
        Ok(())
    }

    fn on_broken(&mut self, error: &std::io::Error) {
        self.broke = Some(error.to_string());
        // A client learns after the handshake what the server has against its certificate.
        if let Some(why) = transport::problem(error) {
            let endpoint = self.endpoint.clone();
            self.refused = Some(ConnectError::Tls { endpoint, why });
        }
    }

    fn on_extended(&mut self, domain: &rm_core::front::Domain, deadline: Time) {
        match self.peer.extend_trust(deadline) {
            Extended::First(trust) => {
                self.outcome = Outcome::Lived;
                match &self.member {
                    None => domain.on_creditor_up(self.peer.id, trust),
                    Some(member) => domain.on_root_up(member.root, self.peer.id, trust),
                }
                self.say.promise();
                self.on_connected();
            }
            Extended::Further => {}
            // Resources have let go of this session, and would wait for ever for another one.
            Extended::TooLate => {
                let (hub, peer) = (Arc::clone(&self.hub), Arc::clone(&self.peer));
                peer.lapse(&hub, |arrived| {
                    let _ = self.on_arrived(arrived);
                });
            }
        }
    }

    fn on_effect(
        &mut self,
        domain: &rm_core::front::Domain,
        effect: SessionEffect,
    ) -> Result<(), String> {
        match effect {
            SessionEffect::Deliver(item) => {
                return domain
                    .deliver(self.peer.id, item)
                    .map_err(|crime| crime.to_string());
            }
            SessionEffect::Established(welcome) => return self.on_welcome(domain, welcome),
            SessionEffect::Extended { deadline } => {
                self.on_extended(domain, deadline);
            }
            SessionEffect::Disconnected(why) => {
                let why = self.reason(&why);
                tracing::info!(endpoint = self.endpoint, why, "connecting again");
                self.set(Phase::Connecting {
                    last: self.reason(&why),
                    refused: None,
                });
            }
            SessionEffect::Resumed => {
                self.broke = None;
                tracing::info!(endpoint = self.endpoint, "the session goes on");
                self.on_connected();
            }
            SessionEffect::Ended(why) => {
                tracing::info!(
                    endpoint = self.endpoint,
                    why = why.to_string(),
                    "the session cannot go on"
                );
                self.say.withhold();
                self.set(Phase::Connecting {
                    last: self.reason(&why),
                    refused: None,
                });
            }
            SessionEffect::JeopardyStarted { .. } => {
                self.hub.desk.count_jeopardy();
                tracing::warn!(
                    target: "rm::lock",
                    endpoint = self.endpoint,
                    "jeopardy: no answer, and the lease is about to run out"
                );
            }
            SessionEffect::JeopardyCleared => {
                tracing::info!(endpoint = self.endpoint, "the lease is good again");
            }
            SessionEffect::Void(why) => {
                let lost = if why == VoidReason::Expired {
                    self.outcome = Outcome::Expired;
                    LostReason::LeaseExpired
                } else {
                    LostReason::SessionEnded
                };
                self.say.withhold();
                domain.on_creditor_down(self.peer.id, lost);
                tracing::debug!(
                    endpoint = self.endpoint,
                    why = why.to_string(),
                    "the session is over"
                );
                self.refused = self.refusal(&why).or(self.refused.take());
                self.set(Phase::Connecting {
                    last: self.reason(&why),
                    refused: None,
                });
            }
            SessionEffect::Heard | SessionEffect::Silent => {}
        }
        Ok(())
    }

    fn on_welcome(
        &mut self,
        domain: &rm_core::front::Domain,
        welcome: Welcome,
    ) -> Result<(), String> {
        // A member's borrower borrows from its own lender, too.
        if welcome.boot == self.hub.party.boot && self.member.is_none() {
            return Err("it is this node itself, which cannot borrow from itself".into());
        }
        self.lease = welcome.lease;
        self.welcomed = Some((welcome.name.clone(), welcome.reg));
        let creditor = (welcome.name, welcome.boot);
        let former = self.creditor.replace(creditor);
        if former.is_some() && former != self.creditor && self.member.is_none() {
            domain.on_creditor_replaced();
        }
        Ok(())
    }

    fn reason(&self, why: &impl ToString) -> String {
        let known = self.offence.as_ref().or(self.broke.as_ref());
        known.cloned().unwrap_or_else(|| why.to_string())
    }

    fn refusal(&self, why: &VoidReason) -> Option<ConnectError> {
        let VoidReason::Ended(EndReason::Refused(Refusal { code, text })) = why else {
            return None;
        };
        let endpoint = self.endpoint.clone();
        Some(ConnectError::Refused {
            endpoint,
            code: *code,
            text: text.clone(),
        })
    }

    fn on_connected(&self) {
        self.set(Phase::Connected {
            peer: self.peer.id,
            lease: self.lease,
        });
    }

    /// A view came. Before anything is borrowed over the first session, it tells that this is one with a member.
    fn on_view(&mut self, view: Arc<View>) {
        let is_first = self.member.is_none() && self.outcome == Outcome::Stillborn;
        if let Some((name, reg)) = self.welcomed.as_ref().filter(|_| is_first) {
            let root = RootId {
                node: NodeId::of_name(name),
                reg: *reg,
            };
            if view.has(root) {
                let left = self.roster.enlist(root);
                self.left.send_replace(Some(left.clone()));
                self.member = Some(Member { root, left });
                self.phase = own_phase();
            }
        }
        if self.member.is_some() {
            self.roster.on_view(view);
        }
    }

    fn set(&self, phase: Phase) {
        set(&self.phase, &self.roster, self.member.as_ref(), phase);
    }
}

/// How a session stands, for whoever asks.
fn set(
    own: &watch::Sender<Phase>,
    roster: &Roster,
    member: Option<&Member>,
    phase: Phase,
) -> Phase {
    if let Some(Member { root, left }) = member {
        roster.note(*root, left, phase.clone());
    }
    own.send_replace(phase)
}

/// How the sessions with one member stand.
fn own_phase() -> watch::Sender<Phase> {
    let last = "no connection yet".into();
    let refused = None;
    watch::Sender::new(Phase::Connecting { last, refused })
}

/// Waits until the member whose session it is has left, if it is one's.
async fn has_left(mut left: watch::Receiver<Option<CancellationToken>>) {
    let token = match left.wait_for(Option::is_some).await {
        Ok(token) => token.clone(),
        Err(_) => None,
    };
    match token {
        Some(token) => token.cancelled().await,
        None => core::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
