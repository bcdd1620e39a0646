//! The creditor's end of connections: who may have a session, and what its packets do to the domain.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use rm_core::access::Identity;
use rm_core::cluster::Lender;
use rm_core::front::Host as _;
use rm_core::id::PeerId;
use rm_core::inspect::NodeRole;
use rm_core::session::packet::{Body, Hello, Packet, RefuseCode};
use rm_core::session::{
    Admission, CreditorConfig, CreditorSession, CreditorSessions, Refusal, SessionEffect,
    check_stamp, check_ticket, check_version,
};
use rm_core::stamp::STAMP_AHEAD_MAX;
use rm_core::time::Time;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::codec::Decoder as _;

use self::refusals::Refusals;
use crate::clock::stamp_now;
use crate::connection::{Newcomer, say_and_close};
use crate::frame::PacketCodec;
use crate::hub::Hub;
use crate::peer::{Arrived, Peer};
use crate::session::Session;
use crate::store::{Notes, Store};
use crate::transport::{Caller, Listeners, Unopened};

mod access;
mod answers;
pub(crate) mod commands;
mod door;
mod lending;
mod operators;
mod refusals;
mod wants;

pub(crate) use self::answers::totals_by_name;
pub(crate) use self::door::{Spot, accept};

/// Whoever connects has so long to say hello.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);
/// Sessions at once of one identity, those included that only wait for their lease. Of all there are twice as many.
pub(crate) const SESSIONS_MAX: usize = 16_384;
/// Goodbyes are given so long to leave.
const GOODBYE: Duration = Duration::from_millis(300);
/// What a TLS connection starts with, and no hello.
const TLS_HANDSHAKE: &[u8] = &[22, 3];

/// Where in the tree a node that listens is.
#[derive(Debug)]
pub(crate) enum Place {
    /// It is a member of a cluster, which has a root for each resource.
    Member { lender: Lender, coordinator: String },
    /// It is the only member, and the root of everything: of what it lends, something is on disk.
    Root { store: Store, lender: Lender },
    /// In the middle. It borrows what it lends, so the lease of its own creditor covers it over any crash.
    Middle { creditor: String },
}

/// Limits of a server, where they are others than those by default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Whoever connects has so long to say hello.
    pub(crate) hello_patience: Option<Duration>,
    /// Wants of all sessions that wait at once.
    pub(crate) wants_max: Option<u64>,
}

/// What a node that listens has beyond its hub.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) hub: Arc<Hub>,
    pub(crate) config: CreditorConfig,
    pub(crate) started: Time,
    /// What it is the root of, and what it knows of that; `None` in the middle of a tree.
    lender: Option<Mutex<Lender>>,
    /// The lender has something to do.
    stirred: Notify,
    hello_patience: Duration,
    /// Wants of all sessions that wait at once; more are refused.
    wants_max: u64,
    /// Whom no handshake was made with.
    refusals: Refusals,
    /// Whom the rules do not admit: apart, so that those who are nobody cannot hide them.
    unadmitted: Refusals,
    /// Sessions that are refused later than that.
    denied: Refusals,
    /// Orders that are refused. Those that are carried out are always logged.
    unordered: Refusals,
    /// What it is to the others.
    role: NodeRole,
    /// What coordinates the cluster, for people.
    coordinator: String,
    /// Of a node in the middle of a tree, where its creditor is.
    creditor: Option<String>,
    data_dir: Option<PathBuf>,
    /// Whoever admits a session, and whoever notes on disk that there is none, has this lock, so that the
    /// note on disk is there before the first session and goes only when there is none. It may be held
    /// while the disk is slow: so only blocking tasks take it, and before that of the sessions.
    notes: Mutex<Notes>,
    /// Held for moments only.
    sessions: Mutex<CreditorSessions>,
    /// All credit is home and none is lent any more: no session trusts anything, now or later.
    pub(crate) is_wound_up: AtomicBool,
    /// A blocking task looks after the server: where the disk hangs, one such task waits for it, not one more
    /// every second.
    is_looked_after: AtomicBool,
    /// The rules have changed: when sessions end that were asked to give back what these forbid, and have not.
    rules_settle_at: Mutex<Option<Time>>,
}

impl Server {
    pub(crate) fn new(
        hub: Arc<Hub>,
        config: CreditorConfig,
        place: Place,
        limits: Limits,
    ) -> Arc<Self> {
        let started = hub.now();
        let mut creditor = None;
        let mut data_dir = None;
        let (role, notes, lender, coordinator) = match place {
            Place::Root { store, lender } => {
                data_dir = Some(store.dir().to_owned());
                let notes = Notes::Disk(store);
                (
                    NodeRole::Standalone,
                    notes,
                    Some(lender),
                    "standalone".into(),
                )
            }
            Place::Member {
                lender,
                coordinator,
            } => (NodeRole::Member, Notes::Needless, Some(lender), coordinator),
            Place::Middle { creditor: above } => {
                let coordinator = format!("borrows from {above}");
                creditor = Some(above);
                (NodeRole::Relay, Notes::Needless, None, coordinator)
            }
        };
        let sessions = CreditorSessions::new(config.reg, 2 * SESSIONS_MAX);
        Arc::new(Self {
            hub,
            config,
            started,
            lender: lender.map(Mutex::new),
            stirred: Notify::new(),
            hello_patience: limits.hello_patience.unwrap_or(HELLO_PATIENCE),
            wants_max: limits.wants_max.unwrap_or(wants::WANTS_MAX),
            refusals: Refusals::default(),
            unadmitted: Refusals::default(),
            denied: Refusals::default(),
            unordered: Refusals::default(),
            role,
            coordinator,
            creditor,
            data_dir,
            notes: Mutex::new(notes),
            sessions: Mutex::new(sessions),
            is_wound_up: AtomicBool::new(false),
            is_looked_after: AtomicBool::new(false),
            rules_settle_at: Mutex::default(),
        })
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, CreditorSessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts connections until told to stop; then says goodbye to all, and ends.
    pub(crate) async fn listen(self: Arc<Self>, listeners: Listeners) {
        let present = || Some(Arc::clone(&self));
        accept(listeners, &self.hub.stopping, present).await;
        if self.role == NodeRole::Relay {
            // Whoever keeps the session with the creditor ends it after these, and then all tasks.
            return;
        }
        self.part().await;
    }

    /// Says goodbye to all, and ends.
    pub(crate) async fn part(&self) {
        for peer in self.hub.peers() {
            peer.bye(&self.hub, "the server is stopping", |_| {});
        }
        let all_said = async {
            while self.hub.peers().iter().any(|peer| peer.is_connected()) {
                tokio::time::sleep(GOODBYE / 30).await;
            }
        };
        let _ = tokio::time::timeout(GOODBYE, all_said).await;
        self.hub.ended.cancel();
    }

    /// One connection, from its first byte: to the end of the session that it opens, or until the session that it
    /// goes on with has taken it.
    async fn serve(self: Arc<Self>, caller: Caller, place: Spot) {
        let from = caller.from();
        let until = Instant::now() + self.hello_patience;
        let (stream, identity) = match timeout_at(until, caller.open()).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(Unopened { why, stream })) => {
                if let Some(unsaid) = self.refusals.note(self.hub.now()) {
                    tracing::info!(%from, why, unsaid, "no connection");
                }
                if let Some(stream) = stream {
                    say_and_close(stream, self.packet(protocol(why))).await;
                }
                return;
            }
            Err(_) => {
                tracing::debug!(%from, "no handshake in time");
                return;
            }
        };
        let mut newcomer = Newcomer {
            stream,
            identity,
            codec: PacketCodec::new(),
            input: BytesMut::new(),
            hello: None,
            room: None,
            call: None,
        };
        let answer = match timeout_at(until, first_packet(&mut newcomer)).await {
            Ok(Ok(packet)) => {
                // Now: whoever calls says hello after it has noted that it called.
                if self.hub.desk.is_own(&newcomer.stream) {
                    newcomer.identity = Identity::own_process();
                }
                match self.admit(packet, &newcomer.identity).await {
                    Ok(Admitted::New(hello, id)) => {
                        newcomer.room = Some(place.enter());
                        return self.run(newcomer, hello, id).await;
                    }
                    Ok(Admitted::Resumes(hello, peer)) => {
                        newcomer.hello = Some(hello);
                        newcomer.room = Some(place.enter());
                        return peer.offer(&self.hub, newcomer);
                    }
                    Err(answer) => answer,
                }
            }
            Ok(Err(text)) => protocol(text),
            Err(_) => protocol("no hello came: close connections that are not used".into()),
        };
        tracing::debug!(%from, ?answer, "no session");
        newcomer.turn_away(self.packet(answer)).await;
        drop(place);
    }

    /// What is said where there is no session.
    fn packet(&self, body: Body) -> Packet {
        Packet {
            epoch: self.hub.epoch(),
            stamp: self.hub.highest_stamp(),
            body,
        }
    }

    /// Decides about the first packet of a connection.
    async fn admit(
        self: &Arc<Self>,
        packet: Packet,
        identity: &Identity,
    ) -> Result<Admitted, Body> {
        let Packet { epoch, stamp, body } = packet;
        let Body::Hello(hello) = body else {
            return Err(protocol(
                "the first packet of a connection is a hello".into(),
            ));
        };
        check_version(&hello).map_err(refuse)?;
        let Some(domain) = self
            .hub
            .domain()
            .filter(|_| !self.hub.stopping.is_cancelled())
        else {
            let text = "the server is stopping: try another one, or later".into();
            return Err(Body::Refuse {
                code: RefuseCode::Stopping,
                text,
            });
        };
        if self.lender.is_some() && self.view().is_none() {
            let text = "this server is no member of its cluster yet: try another one, or later";
            let code = RefuseCode::Stopping;
            let text = text.into();
            return Err(Body::Refuse { code, text });
        }
        check_ticket(&hello).map_err(refuse)?;
        self.check_access(&hello, identity).map_err(refuse)?;
        let is_another = hello.reg != 0 && hello.reg != self.config.reg;
        if hello.session == 0 || (is_another && self.lender.is_some()) {
            // It asks who the members are, or has to know.
            return Err(self.hub.view_after(0).map_or_else(gone, Body::View));
        }
        // It may say that an earlier session was dropped: what moved in between must not be taken back for that.
        if self.hub.has_to_adopt(epoch) {
            let adopted = self.hub.adopted(epoch);
            if tokio::time::timeout(self.hello_patience, adopted)
                .await
                .is_err()
            {
                let text =
                    "this server does not know the newest view yet: try another one, or later";
                let code = RefuseCode::Stopping;
                let text = text.into();
                return Err(Body::Refuse { code, text });
            }
        }
        let poison = check_stamp(&domain.stamps(), stamp_now(), stamp, STAMP_AHEAD_MAX);
        poison.map_err(refuse)?;
        domain.observe_stamp(stamp);
        // Of a session that there is, something is on disk already.
        if let Some(peer) = self.sessions().resumes(&hello, identity) {
            let peer = self.hub.peer(peer).ok_or_else(gone)?;
            return Ok(Admitted::Resumes(hello, peer));
        }
        let id = self.hub.fresh_peer();
        let server = Arc::clone(self);
        let caller = identity.clone();
        let (hello, admission) = tokio::task::spawn_blocking(move || {
            let mut notes = server.notes();
            // On disk before anybody may trust anything.
            let noted = notes.set_lent();
            let admission = noted.map(|()| server.sessions().admit(&hello, &caller, id));
            drop(notes);
            (hello, admission)
        })
        .await
        .map_err(|error| protocol(error.to_string()))?;
        match admission {
            Err(error) => {
                tracing::error!(%error, "cannot write to the data directory");
                let text = format!("the server cannot write to its data directory: {error}");
                Err(Body::Refuse {
                    code: RefuseCode::Limit,
                    text,
                })
            }
            Ok(Admission::Gone { reason }) => Err(Body::Gone { reason }),
            Ok(Admission::Refused(refusal)) => {
                if refusal.code == RefuseCode::Denied
                    && let Some(unsaid) = self.denied.note(self.hub.now())
                {
                    let why = &*refusal.text;
                    tracing::warn!(target: "rm::audit", caller = %identity, why, unsaid, "no session");
                }
                Err(refuse(refusal))
            }
            Ok(Admission::New) => Ok(Admitted::New(hello, id)),
            Ok(Admission::Resumes { peer }) => {
                let peer = self.hub.peer(peer).ok_or_else(gone)?;
                Ok(Admitted::Resumes(hello, peer))
            }
            Ok(Admission::Succeeds { ends }) => {
                // One that is not there yet finds out by itself, before it does anything.
                if let Some(former) = self.hub.peer(ends) {
                    former.superseded.cancel();
                    former.over.cancelled().await;
                }
                Ok(Admitted::New(hello, id))
            }
        }
    }

    /// The session, over this connection and those that follow, until it is over for good.
    async fn run(self: Arc<Self>, mut newcomer: Newcomer, hello: Hello, id: PeerId) {
        let session = CreditorSession::accept(self.hub.now(), &self.config, &hello);
        let party = session.party();
        let name = String::from_utf8_lossy(&hello.name).into_owned();
        let known = (name, newcomer.identity.clone());
        let peer = Peer::new(id, party, known, Session::Creditor(session));
        self.hub.add(&peer);
        if self.check_access(&hello, &newcomer.identity).is_err() {
            // The rules have changed since it was admitted, and it was not there when they were enforced.
            peer.let_go.cancel();
        }
        newcomer.hello = Some(hello);
        if !self.sessions().is_newest(party, id) {
            peer.superseded.cancel();
        }
        self.on_debtor_connected(&peer);
        let server = Arc::clone(&self);
        let this = Arc::clone(&peer);
        peer.run(&self.hub, newcomer, move |arrived| {
            server.on_arrived(&this, arrived)
        })
        .await;
        self.hub.remove(id);
        peer.over.cancel();
    }

    fn on_arrived(self: &Arc<Self>, peer: &Arc<Peer>, arrived: Arrived) -> Result<(), String> {
        let Some(domain) = self.hub.domain() else {
            return Ok(());
        };
        match arrived {
            // It was told, and it is in the log.
            Arrived::Offence { .. } => {}
            Arrived::Broken { error } => {
                tracing::debug!(peer = %peer.id, name = peer.name, %error, "connection broke");
            }
            Arrived::Head { stamp, .. } => self.hub.on_head(&domain, stamp),
            Arrived::Command { id, command } => self.on_command(peer, id, command),
            Arrived::Question { id, query } => self.on_question(peer, id, query),
            Arrived::Answer { id, answer } => self.hub.inquiries.on_answer(peer.id, id, answer),
            Arrived::Report(_) | Arrived::ReportAck { .. } | Arrived::View(_) => {
                return Err("says what only a creditor says".into());
            }
            Arrived::Effect(effect) => match effect {
                SessionEffect::Deliver(item) if !self.has_room_for(peer, &domain, &item) => {
                    domain.refuse(peer.id, item);
                }
                SessionEffect::Deliver(item) => {
                    return domain
                        .deliver(peer.id, item)
                        .map_err(|crime| crime.to_string());
                }
                SessionEffect::Heard => domain.on_debtor_heard(peer.id),
                SessionEffect::Silent => domain.on_debtor_silent(peer.id),
                // Until it is heard over another connection, or its lease ends.
                SessionEffect::Disconnected(why) | SessionEffect::Ended(why) => {
                    tracing::debug!(peer = %peer.id, name = peer.name, why = why.to_string(), "connection over");
                    domain.on_debtor_silent(peer.id);
                }
                SessionEffect::Void(why) => {
                    tracing::debug!(peer = %peer.id, name = peer.name, why = why.to_string(), "session over");
                    domain.on_debtor_down(peer.id);
                    self.sessions().remove(peer.party, peer.id);
                    peer.over.cancel();
                }
                SessionEffect::Resumed => self.on_debtor_connected(peer),
                SessionEffect::Established(_)
                | SessionEffect::Extended { .. }
                | SessionEffect::JeopardyCleared
                | SessionEffect::JeopardyStarted { .. } => {}
            },
        }
        Ok(())
    }

    /// What a server does now and then: a new epoch where numbers run out, and a note on disk when nobody trusts
    /// anything any more.
    pub(crate) fn now_and_then(self: &Arc<Self>) {
        if self.is_looked_after.swap(true, Ordering::AcqRel) {
            return;
        }
        let server = Arc::clone(self);
        // It may write to the disk.
        tokio::task::spawn_blocking(move || {
            server.look_after();
            server.is_looked_after.store(false, Ordering::Release);
        });
    }

    fn look_after(&self) {
        let Some(domain) = self.hub.domain() else {
            return;
        };
        self.end_sessions_beyond_rules(&domain);
        // A member's are the coordinator's.
        let is_ours = matches!(*self.notes(), Notes::Disk(_));
        if is_ours && domain.needs_epoch() {
            let epoch = self.notes().next_epoch();
            match epoch {
                Ok(epoch) => self.enter(epoch),
                Err(error) => tracing::error!(%error, "cannot write the next epoch"),
            }
        }
        if let Err(error) = self.note_all_back() {
            tracing::error!(%error, "cannot write to the data directory");
        }
    }

    /// Notes on disk that nobody trusts anything, if that is so. Returns whether it is.
    fn note_all_back(&self) -> std::io::Result<bool> {
        let mut notes = self.notes();
        let in_grace = !self.grace().is_zero();
        // Acquire pairs with the release in `Node::wind_up`, which looked at every resource before.
        let is_all_back = self.is_wound_up.load(Ordering::Acquire) || self.sessions().is_empty();
        if in_grace || !is_all_back {
            return Ok(false);
        }
        notes.set_all_back()
    }

    /// Lets go of the data directory, after a last note. Nobody gets a session any more. Returns whether the
    /// next start need not wait.
    pub(crate) fn close_store(&self) -> std::io::Result<bool> {
        let noted = self.note_all_back();
        *self.notes() = Notes::Closed;
        noted
    }
}

/// What a hello came to.
enum Admitted {
    /// A session of that name.
    New(Hello, PeerId),
    /// It goes on with a session that there is.
    Resumes(Hello, Arc<Peer>),
}

/// The first packet of a connection.
async fn first_packet(newcomer: &mut Newcomer) -> Result<Packet, String> {
    let Newcomer {
        stream,
        codec,
        input,
        ..
    } = newcomer;
    loop {
        let is_tls = input.starts_with(TLS_HANDSHAKE);
        match codec.decode(input) {
            Ok(Some(packet)) => return Ok(packet),
            Ok(None) => {}
            Err(_) if is_tls => return Err("this port does not speak TLS: connect without, or give the server a certificate with --tls-cert and --tls-key".into()),
            Err(error) => return Err(error.to_string()),
        }
        match stream.read_buf(input).await {
            Ok(0) => return Err("the connection ended before a hello".into()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// The session ended just now.
fn gone() -> Body {
    Body::Gone {
        reason: "the session is over: open a new one".into(),
    }
}

const fn protocol(text: String) -> Body {
    Body::Refuse {
        code: RefuseCode::Protocol,
        text,
    }
}

fn refuse(refusal: Refusal) -> Body {
    Body::Refuse {
        code: refusal.code,
        text: refusal.text,
    }
}
