//! The creditor's side of one session: from an accepted hello to the return of what was lent.
//!
//! It is live from the start and ends in void: by the debtor's goodbye, by a later session of the same run,
//! or when the lease ran out. A broken connection ends nothing: the debtor may come back over another
//! ([`resume`](CreditorSession::resume)), and both sides go on where the other left off. Even a debtor that breaks the
//! rules may still trust; with it nothing goes on, so the session waits for the lease.
//!
//! # Invariants
//!
//! * A renewal is answered after its receipt was noted, never once the session is void, and only while the
//!   creditor's own membership is good: for no longer than the creditor itself is trusted.
//! * Only [`on_tick`](CreditorSession::on_tick) takes back for time. So a driver that reads its sockets
//!   before it runs timers (see [`JumpWatch`](super::JumpWatch)) takes nothing back needlessly.
//! * The answer to a renewal leaves before any item: credit never overtakes the trust it is used under.
//! * Over a new connection nothing may be lent until the debtor has shown that it hears: a hello proves nothing.

use core::time::Duration;

use crate::credit::Opaque;
use crate::id::{Boot, NodeId, Party};
use crate::message::Message;
use crate::time::Time;

use super::effect::{EndReason, Misbehaviour, SessionEffect, SessionEffects, VoidReason};
use super::lease::{CreditorLease, LeaseTerms};
use super::link::{Data, Link, Side, earliest};
use super::packet::{Body, Hello, Item, RefuseCode, WIRE_VERSION, Welcome};
use super::sequence::{CannotResume, Window, WindowFull};

/// What a creditor welcomes its debtors with: the same for all sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain configuration")]
pub struct CreditorConfig {
    /// The creditor's configured name, 1 to 255 bytes.
    pub name: Vec<u8>,
    /// Its run.
    pub boot: Boot,
    /// Its registration.
    pub reg: u64,
    /// The cluster's lease.
    pub terms: LeaseTerms,
    /// The longest lease under which a debtor may trust what it claims: the cluster's, or a longer one of a former life.
    pub claimed: Duration,
    /// How much may wait for the debtor to acknowledge it.
    pub window: Window,
}

/// Whether a creditor may say anything that extends trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a driver must know which it is")]
pub enum Membership {
    /// It is a member beyond doubt, and what it lends is its own.
    Good,
    /// It has borrowed what it lends, and is trusted for so long by its own clock
    /// ([`Domain::trusted_for`](crate::front::Domain::trusted_for)): it answers renewals with no more than that.
    Within(Duration),
    /// It may have been evicted, or has no session with its own creditor: it answers no renewal until it knows better.
    Suspended,
}

impl Membership {
    /// What a renewal may be answered with now, if at all.
    fn offer(self, terms: LeaseTerms) -> Option<Duration> {
        match self {
            Self::Good => Some(terms.length()),
            Self::Within(span) => Some(terms.within(span)).filter(|length| !length.is_zero()),
            Self::Suspended => None,
        }
    }
}

/// The creditor's side of one session. The [module](super) says how to drive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditorSession {
    /// The debtor.
    party: Party,
    /// Which of its sessions.
    number: u64,
    terms: LeaseTerms,
    /// The longest lease under which it may trust what it claims.
    claimed: Duration,
    lease: CreditorLease,
    /// What is said first over each connection, but for what is expected next.
    welcome: Welcome,
    /// It is to be said.
    welcome_due: bool,
    /// The newest renewal that was not answered.
    answer: Option<u64>,
    /// The newest answer that the debtor said it has heard; `None`: it has not renewed yet.
    heard: Option<u64>,
    /// When the debtor last proved that it hears.
    proof: Option<Time>,
    link: Link,
    void: Option<VoidReason>,
}

impl CreditorSession {
    /// The session that an admitted hello opens (see [`CreditorSessions`](super::CreditorSessions)). Its
    /// welcome is the first packet to transmit.
    #[must_use]
    pub fn accept(now: Time, config: &CreditorConfig, hello: &Hello) -> Self {
        Self {
            party: Party {
                node: NodeId::of_name(&hello.name),
                boot: hello.boot,
            },
            number: hello.session,
            terms: config.terms,
            claimed: config.claimed.max(config.terms.length()),
            lease: CreditorLease::new(now, config.terms),
            welcome: Welcome {
                version: WIRE_VERSION,
                name: config.name.clone(),
                boot: config.boot,
                reg: config.reg,
                next_expected: 1,
                lease: config.terms.length(),
            },
            welcome_due: true,
            answer: None,
            heard: None,
            proof: None,
            link: Link::new(now, Side::Creditor, config.window),
            void: None,
        }
    }

    /// A packet came. `now` is read after its receipt.
    ///
    /// [`Body::Inspect`], [`Body::Command`] and their answers belong to the driver.
    pub fn on_packet(&mut self, now: Time, body: Body, fx: &mut SessionEffects) {
        if self.void.is_some() || !self.link.is_open() {
            return;
        }
        let outcome = match body {
            Body::Bye { reason } => {
                self.make_void(VoidReason::Bye { reason }, None, fx);
                Ok(())
            }
            Body::Data { ack, first, items } => {
                let claims = items.iter().any(|item| is_claim(&item.message));
                let heard = self.link.on_data(now, Data { ack, first, items }, fx);
                heard.map(|is_proof| {
                    if claims {
                        self.lease.on_claim(now, self.claimed);
                    }
                    if is_proof {
                        self.on_proof(now, fx);
                    }
                })
            }
            Body::Gone { .. } => Err(Misbehaviour::Unexpected { packet: "Gone" }),
            Body::Hello(_) => Err(Misbehaviour::Unexpected { packet: "Hello" }),
            // The driver's.
            Body::Command { .. }
            | Body::Commanded { .. }
            | Body::Inspect { .. }
            | Body::Inspected { .. }
            | Body::Report(_)
            | Body::View(_) => Ok(()),
            Body::ReportAck { .. } => Err(Misbehaviour::Unexpected {
                packet: "ReportAck",
            }),
            Body::Refuse { .. } => Err(Misbehaviour::Unexpected { packet: "Refuse" }),
            Body::Renew { sent, heard } => {
                self.lease.on_renew(now);
                self.answer = Some(sent);
                // The first one follows the welcome, which it has heard.
                if self.heard.is_none_or(|former| heard > former) {
                    self.heard = Some(heard);
                    self.on_proof(now, fx);
                }
                Ok(())
            }
            Body::RenewAck { .. } => Err(Misbehaviour::Unexpected { packet: "RenewAck" }),
            Body::Welcome(_) => Err(Misbehaviour::Unexpected { packet: "Welcome" }),
        };
        if let Err(why) = outcome {
            let words = Body::Refuse {
                code: RefuseCode::Protocol,
                text: format!("the debtor {why}"),
            };
            self.end(EndReason::Misbehaved(why), Some(words), fx);
        }
    }

    /// The debtor said hello over another connection, to go on with this session: see
    /// [`Admission::Resumes`](super::Admission::Resumes). The welcome is the first packet to transmit over it. From now
    /// on nothing may be read from an earlier connection, nor written to it.
    ///
    /// # Errors
    /// [`CannotResume`] where the session has ended, or the debtor expects what was never sent or is no longer kept.
    /// Nothing changes, and an earlier connection stays in use: such a hello may be an old one that comes late.
    /// Answer it with [`Body::Gone`].
    pub fn resume(
        &mut self,
        now: Time,
        hello: &Hello,
        fx: &mut SessionEffects,
    ) -> Result<(), CannotResume> {
        self.link.resume(hello.next_expected)?;
        self.disconnect(EndReason::Replaced, fx);
        self.link.on_connection(now);
        self.welcome.next_expected = self.link.next_expected();
        self.welcome_due = true;
        Ok(())
    }

    /// Queues a credit message to the debtor.
    ///
    /// Between two connections it waits for the next. Once the session has ended it is dropped: the lease settles
    /// what can no longer be said.
    ///
    /// # Errors
    /// [`WindowFull`] where more waits than may, though it was merged. The message is gone, so the session is of no
    /// more use: [`abandon`](Self::abandon) it.
    ///
    /// # Panics
    /// On a message that only a debtor sends.
    pub fn push(&mut self, item: Item) -> Result<(), WindowFull> {
        self.link.push(item)
    }

    /// Time passed: to be called at [`next_tick`](Self::next_tick), after the sockets if the clock jumped.
    /// More often does no harm.
    pub fn on_tick(&mut self, now: Time, fx: &mut SessionEffects) {
        if self.void.is_some() {
            return;
        }
        if now >= self.lease.take_back_at() {
            let why = VoidReason::TakenBack;
            let reason = why.to_string();
            self.make_void(why, Some(Body::Gone { reason }), fx);
        } else {
            self.link.on_tick(now, self.terms.silence(), fx);
        }
    }

    /// The connection broke. The session waits for another one, and no longer than the lease.
    pub fn on_disconnect(&mut self, fx: &mut SessionEffects) {
        self.disconnect(EndReason::Disconnected, fx);
        self.link.on_disconnect();
    }

    /// The session is of no more use: more is to be said than can be kept, or the debtor broke rules that only the
    /// driver knows. It waits for the lease.
    pub fn abandon(&mut self, why: EndReason, fx: &mut SessionEffects) {
        self.end(why, None, fx);
    }

    /// The same run of the debtor opened a later session, so it has dropped this one: all that was lent is
    /// taken back at once. Only [`Admission::Succeeds`](super::Admission::Succeeds) proves it.
    pub fn on_superseded(&mut self, fx: &mut SessionEffects) {
        let why = VoidReason::Superseded;
        let reason = why.to_string();
        self.make_void(why, Some(Body::Gone { reason }), fx);
    }

    /// This side stops, and tells the debtor. The session still waits for the lease.
    pub fn bye(&mut self, reason: &str, fx: &mut SessionEffects) {
        let reason = reason.to_owned();
        self.end(EndReason::Closed, Some(Body::Bye { reason }), fx);
    }

    /// The next packet to write, now that the connection takes one; `None`: nothing to say.
    ///
    /// All effects have been worked off. `membership` is as good as known at this moment. `batch` bounds
    /// the credit messages of one packet. Where [`is_connected`](Self::is_connected) then is false, close
    /// the connection.
    #[must_use]
    pub fn transmit(&mut self, membership: Membership, batch: Window) -> Option<Body> {
        if !self.link.is_open() {
            return self.link.take_last_words();
        }
        if core::mem::take(&mut self.welcome_due) {
            return Some(Body::Welcome(self.welcome.clone()));
        }
        if let Some(sent) = self.answer
            && let Some(length) = membership.offer(self.terms)
        {
            self.answer = None;
            self.lease.on_answer(length);
            return Some(Body::RenewAck { sent, length });
        }
        self.link.next_data(batch)
    }

    /// When [`on_tick`](Self::on_tick) next has something to do; `None`: never.
    #[must_use]
    pub fn next_tick(&self) -> Option<Time> {
        let link = self.link.next_tick(self.terms.silence());
        earliest([self.take_back_at(), link])
    }

    /// When what was lent is taken back, unless a renewal comes; `None`: it was.
    #[must_use]
    pub fn take_back_at(&self) -> Option<Time> {
        self.void.is_none().then(|| self.lease.take_back_at())
    }

    /// Whether credit may be lent now: the connection stands, and the debtor proved within L/2 that it
    /// hears.
    ///
    /// Otherwise a link that is dead one way would park credit at a debtor that cannot use it. The proofs:
    /// a new acknowledgement, and a renewal that says that a further answer was heard. The caller sees to it
    /// that its own membership is good.
    #[must_use]
    pub fn may_lend(&self, now: Time) -> bool {
        let silence: Duration = self.terms.silence();
        self.link.is_open() && self.proof.is_some_and(|at| now < at.after(silence))
    }

    /// The debtor.
    #[must_use]
    pub const fn party(&self) -> Party {
        self.party
    }

    /// Which of the debtor's sessions it is.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Why the session is over; `None` while it is not.
    #[must_use]
    pub const fn void_reason(&self) -> Option<&VoidReason> {
        self.void.as_ref()
    }

    /// Whether it can go on over another connection, now or once the present one is gone.
    #[must_use]
    pub const fn can_resume(&self) -> bool {
        !self.link.is_over()
    }

    /// Whether packets go both ways. If not, there is no connection, or only last words are said.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// Whether the connection is still needed, if only for last words.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.link.is_needed()
    }

    /// Whether [`push`](Self::push) refuses, unless merging makes room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.link.outgoing().is_full()
    }

    /// How many items were sent over the present connection and not acknowledged.
    #[must_use]
    pub const fn under_way(&self) -> usize {
        self.link.outgoing().under_way()
    }

    /// Whether something is queued that was never sent.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.link.outgoing().has_unsent()
    }

    /// The debtor hears us. Whatever else it says is no news: over a link that is dead one way it says much.
    fn on_proof(&mut self, now: Time, fx: &mut SessionEffects) {
        self.proof = Some(now);
        self.link.on_heard(now, fx);
    }

    /// The connection is over, and there may be another. Proof of hearing was of this one.
    fn disconnect(&mut self, why: EndReason, fx: &mut SessionEffects) {
        if self.link.is_open() {
            self.link.on_disconnect();
            self.answer = None;
            self.heard = None;
            self.proof = None;
            fx.push(SessionEffect::Disconnected(why));
        }
    }

    /// Nothing can be said any more; the session waits for the lease.
    fn end(&mut self, why: EndReason, last_words: Option<Body>, fx: &mut SessionEffects) {
        if !self.link.is_over() {
            self.link.end(last_words);
            self.answer = None;
            fx.push(SessionEffect::Ended(why));
        }
    }

    fn make_void(&mut self, why: VoidReason, last_words: Option<Body>, fx: &mut SessionEffects) {
        if self.void.is_none() {
            self.link.end(last_words);
            self.answer = None;
            self.void = Some(why.clone());
            fx.push(SessionEffect::Void(why));
        }
    }
}

/// Whether a message claims credit that another root lent: it counts as a renewal, since the deadline of what is
/// claimed may be later than that of the session.
const fn is_claim(message: &Message<Opaque>) -> bool {
    matches!(message, Message::Claim(_))
}

#[cfg(test)]
mod tests;
