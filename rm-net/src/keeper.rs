//! What keeps one session with one creditor: a connection, and another one whenever it breaks, until the session is
//! over.
//!
//! A connection that breaks means nothing. The keeper connects again at once, then after pauses that double, each a
//! little shorter by chance so that the clients of a server that comes back do not all come at the same moment. A
//! connection over which nothing is heard for half a lease is given up in the same way: a middlebox may have
//! forgotten it. Whether it is worth while to go on so is for the caller to decide: see [`Keeper::fruitless_for`].
//!
//! A keeper knows of no other session. A node that borrows from several creditors has one for each.

use std::sync::Arc;
use std::time::Duration;

use rm_core::access::Identity;
use rm_core::front::Host as _;
use rm_core::id::Party;
use rm_core::session::{DebtorConfig, DebtorSession, SessionEffect};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::connection::Newcomer;
use crate::hub::Hub;
use crate::peer::{Arrived, Peer, WINDOW};
use crate::session::Session;
use crate::transport::{Stream, Transport};

/// One attempt at a connection, and the wait for a welcome.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(3);
/// The longest first pause before the next connection is tried.
const REDIAL_MIN: Duration = Duration::from_millis(10);
/// The longest pause.
const REDIAL_MAX: Duration = Duration::from_secs(1);

/// Which session is opened with whom.
#[derive(Debug)]
pub(crate) struct Opening {
    /// Where the creditor is.
    pub(crate) endpoint: String,
    /// The creditor's registration; 0: whoever answers.
    pub(crate) reg: u64,
    /// Which of this run's sessions with it, from 1.
    pub(crate) session: u64,
    /// How connections are made.
    pub(crate) transport: Transport,
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has a connection, or waits for its first welcome.
    Connected,
    /// It has none, since then.
    Broken(Instant),
    /// It has one over which it was not welcomed yet, since it had none.
    Calling(Instant),
    /// It cannot go on over another.
    Over,
}

impl Standing {
    fn broken_since(self) -> Option<Instant> {
        match self {
            Self::Broken(since) | Self::Calling(since) => Some(since),
            Self::Connected | Self::Over => None,
        }
    }
}

/// Keeps one session connected.
pub(crate) struct Keeper {
    hub: Arc<Hub>,
    endpoint: String,
    transport: Transport,
    peer: Arc<Peer>,
    standing: watch::Sender<Standing>,
}

impl Keeper {
    /// A session that is not opened yet.
    pub(crate) fn new(hub: &Arc<Hub>, opening: Opening) -> Self {
        let Opening {
            endpoint,
            reg,
            session,
            transport,
        } = opening;
        let config = DebtorConfig {
            name: hub.name.clone().into_bytes(),
            boot: hub.party.boot,
            ticket: hub.ticket,
            session,
            reg,
            window: WINDOW,
            patience: ATTEMPT,
        };
        let session = Session::Debtor(DebtorSession::connect(hub.now(), config));
        let id = hub.fresh_peer();
        let known = (endpoint.clone(), Identity::anonymous());
        let peer = Peer::new(id, Party::default(), known, session);
        Self {
            hub: Arc::clone(hub),
            endpoint,
            transport,
            peer,
            standing: watch::Sender::new(Standing::Connected),
        }
    }

    pub(crate) const fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Opens the session over `stream`, and keeps it until it is void. `f` gets what arrives.
    pub(crate) async fn run(
        &self,
        stream: Stream,
        mut f: impl FnMut(Arrived) -> Result<(), String>,
    ) {
        self.hub.add(&self.peer);
        let first = Newcomer::dialled(&self.hub, stream);
        let session = self.peer.run(&self.hub, first, |arrived| {
            self.note(&arrived);
            f(arrived)
        });
        tokio::select! {
            () = session => {}
            () = self.redial() => {}
        }
        self.hub.remove(self.peer.id);
    }

    /// Whether it cannot go on over another connection.
    pub(crate) fn is_over(&self) -> bool {
        *self.standing.borrow() == Standing::Over
    }

    /// For how long there has been no connection over which it goes on.
    pub(crate) fn fruitless_for(&self) -> Duration {
        let since = self.standing.borrow().broken_since();
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn note(&self, arrived: &Arrived) {
        let Arrived::Effect(effect) = arrived else {
            return;
        };
        match effect {
            SessionEffect::Disconnected(_) => {
                let since = self.standing.borrow().broken_since();
                let since = since.unwrap_or_else(Instant::now);
                self.standing.send_replace(Standing::Broken(since));
            }
            SessionEffect::Resumed => {
                self.standing.send_replace(Standing::Connected);
            }
            SessionEffect::Ended(_) | SessionEffect::Void(_) => {
                self.standing.send_replace(Standing::Over);
            }
            SessionEffect::Silent => {
                tracing::info!(
                    endpoint = self.endpoint,
                    "nothing is heard: connecting again"
                );
                self.peer.hang_up();
            }
            SessionEffect::Deliver(_)
            | SessionEffect::Established(_)
            | SessionEffect::Extended { .. }
            | SessionEffect::Heard
            | SessionEffect::JeopardyCleared
            | SessionEffect::JeopardyStarted { .. } => {}
        }
    }

    /// Makes another connection whenever there is none. Never ends.
    async fn redial(&self) {
        let mut standing = self.standing.subscribe();
        let mut pause = REDIAL_MIN;
        loop {
            // The sender is ours: it does not go away.
            let _ = standing
                .wait_for(|now| matches!(now, Standing::Broken(_)))
                .await;
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(REDIAL_MAX);
            let attempt = tokio::time::timeout(ATTEMPT, self.transport.dial(&self.endpoint));
            let stream = match attempt.await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    tracing::debug!(endpoint = self.endpoint, %error, "no connection");
                    continue;
                }
                Err(_) => continue,
            };
            let calls = self.standing.send_if_modified(|now| match *now {
                Standing::Broken(since) => {
                    *now = Standing::Calling(since);
                    true
                }
                Standing::Calling(_) | Standing::Connected | Standing::Over => false,
            });
            if calls {
                self.peer
                    .offer(&self.hub, Newcomer::dialled(&self.hub, stream));
                let answered = standing.wait_for(|now| !matches!(now, Standing::Calling(_)));
                if answered.await.is_ok_and(|now| *now == Standing::Connected) {
                    pause = REDIAL_MIN;
                }
            }
        }
    }
}

/// At least half of it, by chance.
fn jittered(pause: Duration) -> Duration {
    // Without randomness from the system they come at the same moment, which is no more than a nuisance.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    let half = pause / 2;
    half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_shortened_by_half_at_most() {
        for _ in 0..1_000 {
            let pause = jittered(REDIAL_MAX);
            assert!((REDIAL_MAX / 2..=REDIAL_MAX).contains(&pause), "{pause:?}");
        }
    }
}
