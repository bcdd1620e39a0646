//! How a debtor goes on over another connection: it says hello again, and is welcomed back.
//!
//! Between the hello and the welcome nothing else is said, and nothing else may come. A welcome that fits neither the
//! creditor nor the terms that the session began with ends what can be said, but not trust. One that leaves a gap,
//! which nobody can fill, makes the session void.

use crate::time::Time;

use super::super::effect::{
    EndReason, Misbehaviour, Refusal, SessionEffect, SessionEffects, VoidReason,
};
use super::super::link::unexpected;
use super::super::packet::{Body, RefuseCode, WIRE_VERSION, Welcome};
use super::{DebtorSession, State};

/// A further connection on which hello was, or will be, said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resuming {
    pub(super) said: bool,
    /// When to try another one.
    pub(super) until: Time,
}

impl DebtorSession {
    /// There is another connection, over which the session goes on: its hello is the first packet to transmit. One
    /// that there was is no longer used.
    ///
    /// Nothing happens where the session cannot go on ([`can_resume`](Self::can_resume)).
    pub fn reconnect(&mut self, now: Time, fx: &mut SessionEffects) {
        if self.expire(now, fx) {
            return;
        }
        if let State::Live(live) = &mut self.state
            && !self.link.is_over()
        {
            let patience = live.patience.min(live.terms.length() / 4);
            live.renew_due = false;
            live.resuming = Some(Resuming {
                said: false,
                until: now.after(patience),
            });
            self.link.on_connection(now);
        }
    }

    /// The answer to a hello over a further connection.
    pub(super) fn on_answer(&mut self, now: Time, body: Body, fx: &mut SessionEffects) {
        match body {
            Body::Bye { reason } => self.end(EndReason::Bye { reason }, fx),
            Body::Data { .. } => self.end(unexpected("Data"), fx),
            Body::Gone { reason } => self.end(EndReason::Gone { reason }, fx),
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
                let why = EndReason::Refused(Refusal { code, text });
                match code {
                    // It may change its mind.
                    RefuseCode::Limit | RefuseCode::Stamp | RefuseCode::Stopping => {
                        self.disconnect(why, fx);
                    }
                    RefuseCode::Denied | RefuseCode::Protocol | RefuseCode::Version => {
                        self.end(why, fx);
                    }
                }
            }
            Body::Renew { .. } => self.end(unexpected("Renew"), fx),
            Body::RenewAck { .. } => self.end(unexpected("RenewAck"), fx),
            Body::Welcome(welcome) => self.on_welcome_back(now, &welcome, fx),
        }
    }

    fn on_welcome_back(&mut self, now: Time, welcome: &Welcome, fx: &mut SessionEffects) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        let is_same = (welcome.version, welcome.reg, welcome.boot, welcome.lease)
            == (
                WIRE_VERSION,
                live.hello.reg,
                live.creditor,
                live.terms.length(),
            );
        if !is_same || live.resuming.is_none_or(|resuming| !resuming.said) {
            return self.end(EndReason::Misbehaved(Misbehaviour::WrongSession), fx);
        }
        match self.link.resume(welcome.next_expected) {
            Ok(()) => {
                live.resuming = None;
                live.renew_due = true;
                fx.push(SessionEffect::Resumed);
                self.link.on_heard(now, fx);
            }
            // Nobody has what is missing. The creditor need not wait for a lease that is of no use.
            Err(why) => self.void_with_bye(VoidReason::Gap(why), fx),
        }
    }
}
