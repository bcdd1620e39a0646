//! The debtor's side of one session: from hello to the end of trust.
//!
//! ```text
//! Connecting --Welcome--> Live --deadline, Gone, bye--> Void
//!      \------refused, broken, no answer in time---------^
//! ```
//!
//! Live, the session may lose its connection ([`SessionEffect::Disconnected`]), which means nothing: what is borrowed
//! stays usable until the deadline, and what is to be said waits. Over the next connection
//! ([`reconnect`](DebtorSession::reconnect)) it says hello again, with the number that it expects next; the welcome
//! says what the creditor expects; both send again from there, and a renewal goes first.
//!
//! Where that cannot be ([`SessionEffect::Ended`]), because the creditor says that it is gone or stops, or breaks the
//! rules, the session only runs out. A caller that holds nothing ends it at once with [`bye`](DebtorSession::bye).
//!
//! # Invariants
//!
//! * Every input looks at the clock first: past the deadline the session is void, and the input changes
//!   nothing. A process that slept wakes up into this.
//! * Void is for good, and so is the end of what can be said.
//! * It goes on only with the run of the creditor that it began with, on the same terms.
//! * A renewal goes out at once when the session stands, and before all items: whoever is lent credit has an
//!   answer to a renewal by then.
//! * A renewal says which answer was heard last. So the creditor knows whether it is heard, and over a link
//!   that is dead one way parks no credit lease after lease.

use core::time::Duration;

use crate::id::Boot;
use crate::time::Time;

use self::resume::Resuming;
use super::effect::{EndReason, Misbehaviour, Refusal, SessionEffect, SessionEffects, VoidReason};
use super::lease::{DebtorLease, LeaseTerms, Renewed};
use super::link::{Data, Link, Side, earliest, has_grant, unexpected};
use super::packet::{Body, Hello, Item, WIRE_VERSION, Welcome};
use super::sequence::{Window, WindowFull};
use super::ticket::Ticket;

/// What a debtor opens a session with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain configuration")]
pub struct DebtorConfig {
    /// The debtor's configured name, 1 to 255 bytes.
    pub name: Vec<u8>,
    /// Its run.
    pub boot: Boot,
    /// What proves that it is that run: [`Ticket::boot`] is `boot`, if the creditor checks it.
    pub ticket: Ticket,
    /// Which of that run's sessions with this creditor: from 1, one more each time.
    pub session: u64,
    /// The creditor's registration; 0: whoever answers.
    pub reg: u64,
    /// How much may wait for the creditor to acknowledge it.
    pub window: Window,
    /// How long to wait for a welcome, and then for the first answer to a renewal. For the welcome to go on over
    /// another connection it waits a quarter of the lease, if that is shorter.
    pub patience: Duration,
}

/// The debtor's side of one session. The [module](super) says how to drive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebtorSession {
    state: State,
    link: Link,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Connecting {
        /// What was or will be said.
        hello: Hello,
        /// It was said.
        said: bool,
        /// When to give up.
        until: Time,
        /// How long after the welcome to give up where no renewal is answered.
        patience: Duration,
    },
    Live(Live),
    Void(VoidReason),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Live {
    /// What is said over a further connection, but for what is expected next.
    hello: Hello,
    /// The creditor's run.
    creditor: Boot,
    /// A further connection whose welcome has not come.
    resuming: Option<Resuming>,
    patience: Duration,
    terms: LeaseTerms,
    lease: DebtorLease,
    /// The number of the newest answer.
    heard: u64,
    /// A renewal goes out as soon as the connection takes it.
    renew_due: bool,
    /// Jeopardy was told.
    in_jeopardy: bool,
}

impl DebtorSession {
    /// A session to be opened over a fresh connection. Its hello is the first packet to transmit.
    #[must_use]
    pub fn connect(now: Time, config: DebtorConfig) -> Self {
        let hello = Hello {
            version: WIRE_VERSION,
            name: config.name,
            boot: config.boot,
            ticket: config.ticket,
            session: config.session,
            reg: config.reg,
            next_expected: 1,
        };
        Self {
            state: State::Connecting {
                hello,
                said: false,
                until: now.after(config.patience),
                patience: config.patience,
            },
            link: Link::new(now, Side::Debtor, config.window),
        }
    }

    /// A packet came.
    ///
    /// [`Body::Inspect`], [`Body::Command`] and their answers belong to the driver; here they are a sign of life.
    pub fn on_packet(&mut self, now: Time, body: Body, fx: &mut SessionEffects) {
        if self.expire(now, fx) || !self.link.is_open() {
            return;
        }
        if self.resuming().is_some() {
            return self.on_answer(now, body, fx);
        }
        self.link.on_heard(now, fx);
        match body {
            Body::Bye { reason } => self.end(EndReason::Bye { reason }, fx),
            Body::Data { ack, first, items } => self.on_data(now, Data { ack, first, items }, fx),
            Body::Gone { reason } => self.void(VoidReason::Gone { reason }, None, fx),
            Body::Hello(_) => self.end(unexpected("Hello"), fx),
            // The driver's.
            Body::Command { .. }
            | Body::Commanded { .. }
            | Body::Inspect { .. }
            | Body::Inspected { .. }
            | Body::Report(_)
            | Body::ReportAck { .. }
            | Body::View(_) => {}
            Body::Refuse { code, text } => {
                self.end(EndReason::Refused(Refusal { code, text }), fx);
            }
            Body::Renew { .. } => self.end(unexpected("Renew"), fx),
            Body::RenewAck { sent, length } => self.on_renew_ack(now, sent, length, fx),
            Body::Welcome(welcome) => self.on_welcome(now, welcome, fx),
        }
        self.mark_renewal(now);
    }

    /// Queues a credit message to the creditor. Before the welcome it waits for it.
    ///
    /// Between two connections it waits for the next. Once the session has ended it is dropped: the lease settles
    /// what can no longer be said.
    ///
    /// # Errors
    /// [`WindowFull`] where more waits than may, though it was merged. The message is gone, so the session is of no
    /// more use: [`abandon`](Self::abandon) it.
    ///
    /// # Panics
    /// On a message that only a creditor sends.
    pub fn push(&mut self, item: Item) -> Result<(), WindowFull> {
        self.link.push(item)
    }

    /// Time passed: to be called at [`next_tick`](Self::next_tick). More often does no harm.
    pub fn on_tick(&mut self, now: Time, fx: &mut SessionEffects) {
        if self.expire(now, fx) {
            return;
        }
        if let State::Live(live) = &mut self.state {
            if let Some(deadline) = live.lease.deadline()
                && !live.in_jeopardy
                && live.lease.jeopardy_at().is_some_and(|at| now >= at)
            {
                live.in_jeopardy = true;
                fx.push(SessionEffect::JeopardyStarted { deadline });
            }
            self.link.on_tick(now, live.terms.silence(), fx);
            if self
                .resuming()
                .is_some_and(|resuming| now >= resuming.until)
            {
                self.disconnect(EndReason::Unanswered, fx);
            }
        }
        self.mark_renewal(now);
    }

    /// The connection broke. What is borrowed stays trusted until its deadline, and what is said waits.
    pub fn on_disconnect(&mut self, now: Time, fx: &mut SessionEffects) {
        if !self.expire(now, fx) {
            self.disconnect(EndReason::Disconnected, fx);
        }
        self.link.on_disconnect();
    }

    /// The session is of no more use: more is to be said than can be kept, or the other side broke rules that only
    /// the driver knows. What is borrowed stays trusted until its deadline.
    pub fn abandon(&mut self, now: Time, why: EndReason, fx: &mut SessionEffects) {
        if !self.expire(now, fx) {
            self.end(why, fx);
        }
    }

    /// Ends the session at once and, if the connection stands, tells the creditor, which takes back all it
    /// lent. The caller holds nothing, or gives up what it holds.
    ///
    /// What is queued and unsent is dropped; see [`has_unsent`](Self::has_unsent).
    pub fn bye(&mut self, now: Time, reason: &str, fx: &mut SessionEffects) {
        if self.expire(now, fx) {
            return;
        }
        let reason = reason.to_owned();
        self.void(VoidReason::Closed, Some(Body::Bye { reason }), fx);
    }

    /// Somebody who used what was borrowed found the deadline past before an answer pushed it on, and has been
    /// told so: the lease is over, whatever has been answered since.
    pub fn lapse(&mut self, fx: &mut SessionEffects) {
        if let State::Live(_) = self.state {
            self.void(VoidReason::Expired, None, fx);
        }
    }

    /// The next packet to write, now that the connection takes one; `None`: nothing to say.
    ///
    /// `now` is read just before, and all effects have been worked off. `batch` bounds the credit messages
    /// of one packet. Where [`is_connected`](Self::is_connected) then is false, close the connection.
    #[must_use]
    pub fn transmit(&mut self, now: Time, batch: Window) -> Option<Body> {
        if !self.link.is_open() {
            return self.link.take_last_words();
        }
        match &mut self.state {
            State::Connecting { hello, said, .. } => {
                let first = !*said;
                *said = true;
                first.then(|| Body::Hello(hello.clone()))
            }
            State::Live(live) => {
                // The next tick makes the session void.
                if live.lease.is_over(now) {
                    return None;
                }
                if let Some(resuming) = &mut live.resuming {
                    let first = !core::mem::replace(&mut resuming.said, true);
                    let next_expected = self.link.next_expected();
                    return first.then(|| {
                        Body::Hello(Hello {
                            next_expected,
                            ..live.hello.clone()
                        })
                    });
                }
                if live.renew_due {
                    live.renew_due = false;
                    live.lease.on_renew_sent(now);
                    return Some(Body::Renew {
                        sent: now.as_nanos(),
                        heard: live.heard,
                    });
                }
                self.link.next_data(batch)
            }
            State::Void(_) => None,
        }
    }

    /// When [`on_tick`](Self::on_tick) next has something to do; `None`: never.
    #[must_use]
    pub fn next_tick(&self) -> Option<Time> {
        match &self.state {
            State::Connecting { until, .. } => Some(*until),
            State::Live(live) => {
                let silence = live.terms.silence();
                let renews = self.renews() && !live.renew_due;
                earliest([
                    Some(live.lease.over_at()),
                    live.lease.jeopardy_at().filter(|_| !live.in_jeopardy),
                    renews.then(|| live.lease.renew_at()),
                    live.resuming.map(|resuming| resuming.until),
                    self.link.next_tick(silence),
                ])
            }
            State::Void(_) => None,
        }
    }

    /// Whether what was borrowed may be used now: what every use of a guard asks.
    #[must_use]
    pub fn is_trusted(&self, now: Time) -> bool {
        match &self.state {
            State::Live(live) => live.lease.is_trusted(now),
            State::Connecting { .. } | State::Void(_) => false,
        }
    }

    /// Until when what was borrowed may be used; `None`: it may not.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        match &self.state {
            State::Live(live) => live.lease.deadline(),
            State::Connecting { .. } | State::Void(_) => None,
        }
    }

    /// Why the session is over; `None` while it is not.
    #[must_use]
    pub const fn void_reason(&self) -> Option<&VoidReason> {
        match &self.state {
            State::Void(reason) => Some(reason),
            State::Connecting { .. } | State::Live(_) => None,
        }
    }

    /// Whether it can go on over another connection, now or once the present one is gone.
    #[must_use]
    pub const fn can_resume(&self) -> bool {
        matches!(self.state, State::Live(_)) && !self.link.is_over()
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

    fn on_welcome(&mut self, now: Time, welcome: Welcome, fx: &mut SessionEffects) {
        let State::Connecting {
            hello,
            said,
            patience,
            ..
        } = &self.state
        else {
            return self.end(unexpected("Welcome"), fx);
        };
        if !said {
            return self.end(unexpected("Welcome"), fx);
        }
        match check_welcome(hello, &welcome) {
            Err(why) => self.end(EndReason::Misbehaved(why), fx),
            Ok(terms) => {
                self.state = State::Live(Live {
                    hello: Hello {
                        reg: welcome.reg,
                        ..hello.clone()
                    },
                    creditor: welcome.boot,
                    resuming: None,
                    patience: *patience,
                    terms,
                    lease: DebtorLease::new(now, terms).with_patience(now, *patience),
                    heard: 0,
                    renew_due: true,
                    in_jeopardy: false,
                });
                fx.push(SessionEffect::Established(welcome));
            }
        }
    }

    fn on_renew_ack(&mut self, now: Time, sent: u64, length: Duration, fx: &mut SessionEffects) {
        let State::Live(live) = &mut self.state else {
            return self.end(unexpected("RenewAck"), fx);
        };
        let renewed = live.lease.on_renew_ack(now, Time::from_nanos(sent), length);
        if renewed == Renewed::Unchanged {
            return;
        }
        live.heard = live.heard.max(sent);
        if let Some(deadline) = live.lease.deadline() {
            fx.push(SessionEffect::Extended { deadline });
        }
        if live.in_jeopardy && live.lease.jeopardy_at().is_some_and(|at| now < at) {
            live.in_jeopardy = false;
            fx.push(SessionEffect::JeopardyCleared);
        }
    }

    fn on_data(&mut self, now: Time, data: Data, fx: &mut SessionEffects) {
        let State::Live(live) = &self.state else {
            return self.end(unexpected("Data"), fx);
        };
        let outcome = if live.lease.deadline().is_none() && has_grant(&data.items) {
            Err(Misbehaviour::GrantBeforeAck)
        } else {
            self.link.on_data(now, data, fx)
        };
        if let Err(why) = outcome {
            self.end(EndReason::Misbehaved(why), fx);
        }
    }

    /// The connection is over, and there may be another. Without trust there is nothing to go on with.
    fn disconnect(&mut self, why: EndReason, fx: &mut SessionEffects) {
        if !self.link.is_open() {
            return;
        }
        if self.deadline().is_none() {
            return self.end(why, fx);
        }
        if let State::Live(live) = &mut self.state {
            live.resuming = None;
            live.renew_due = false;
        }
        self.link.on_disconnect();
        fx.push(SessionEffect::Disconnected(why));
    }

    /// Nothing can be said any more. So the session is over, unless something may be borrowed over it.
    fn end(&mut self, why: EndReason, fx: &mut SessionEffects) {
        if self.link.is_over() {
            return;
        }
        if self.deadline().is_none() {
            return self.void(VoidReason::Ended(why), None, fx);
        }
        if let State::Live(live) = &mut self.state {
            live.resuming = None;
            live.renew_due = false;
        }
        self.link.end(None);
        fx.push(SessionEffect::Ended(why));
    }

    /// Makes the session void where its time is over. Returns whether it is void.
    fn expire(&mut self, now: Time, fx: &mut SessionEffects) -> bool {
        match &mut self.state {
            State::Connecting { until, .. } => {
                if now < *until {
                    return false;
                }
                self.void_with_bye(VoidReason::Unanswered, fx);
            }
            State::Live(live) => {
                if !live.lease.is_over(now) {
                    return false;
                }
                if live.lease.was_trusted() {
                    // No goodbye: what a holder set in motion may take a moment to stop, and the creditor
                    // waits a little longer than the lease for just that.
                    self.void(VoidReason::Expired, None, fx);
                } else {
                    self.void_with_bye(VoidReason::Unanswered, fx);
                }
            }
            State::Void(_) => {}
        }
        true
    }

    /// Void, and the creditor is told why, so that it need not wait.
    fn void_with_bye(&mut self, why: VoidReason, fx: &mut SessionEffects) {
        let reason = why.to_string();
        self.void(why, Some(Body::Bye { reason }), fx);
    }

    fn void(&mut self, why: VoidReason, last_words: Option<Body>, fx: &mut SessionEffects) {
        // Who never said hello over this connection needs no goodbye.
        let is_unmet = |resuming: Resuming| !resuming.said;
        let met = !matches!(self.state, State::Connecting { said: false, .. })
            && !self.resuming().is_some_and(is_unmet);
        self.link.end(last_words.filter(|_| met));
        self.state = State::Void(why.clone());
        fx.push(SessionEffect::Void(why));
    }

    /// Marks a renewal that is due. Also while nothing is heard: after a pause there may be nothing to hear before
    /// it is answered.
    fn mark_renewal(&mut self, now: Time) {
        let renews = self.renews();
        if let State::Live(live) = &mut self.state {
            live.renew_due |= renews && now >= live.lease.renew_at();
        }
    }

    /// Whether a renewal can be said.
    const fn renews(&self) -> bool {
        self.link.is_open() && self.resuming().is_none()
    }

    const fn resuming(&self) -> Option<Resuming> {
        match &self.state {
            State::Live(live) => live.resuming,
            State::Connecting { .. } | State::Void(_) => None,
        }
    }
}

/// Whether `welcome` answers `hello`, and the terms it offers.
fn check_welcome(hello: &Hello, welcome: &Welcome) -> Result<LeaseTerms, Misbehaviour> {
    if welcome.version != WIRE_VERSION {
        let theirs = welcome.version;
        return Err(Misbehaviour::Version { theirs });
    }
    let other_reg = hello.reg != 0 && hello.reg != welcome.reg;
    if other_reg || welcome.next_expected != 1 {
        return Err(Misbehaviour::WrongSession);
    }
    Ok(LeaseTerms::new(welcome.lease)?)
}

mod resume;
#[cfg(test)]
mod tests;
