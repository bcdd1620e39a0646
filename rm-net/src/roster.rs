//! The borrower's sessions: one with each member of the view.
//!
//! A client starts with addresses and no view. It opens a session with whoever answers there, and is told the view; from
//! then on that session is the one with that member. A node in the middle of a tree knows no view: then it is the one
//! creditor of everything. A member's borrower has no addresses, and is given its view.
//!
//! Views arrive over any session and are adopted one at a time, by the task of the roster: resources are visited, and
//! wakers woken, with no lock held. Packets of a newer epoch wait for that.
//!
//! **Cancellation.** The roster ends when its hub is told to stop, and says goodbye to all. Sessions with those who left
//! the view are dropped without a word: nothing rests on them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use rm_core::id::PeerId;
use rm_core::session::packet::{Body, Hello, Packet, WIRE_VERSION};
use rm_core::view::{RootId, View};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::codec::{Decoder as _, Encoder as _};
use tokio_util::sync::CancellationToken;

use crate::frame::PacketCodec;
use crate::hub::Hub;
use crate::keeper::ATTEMPT;
use crate::server::Server;
use crate::supervisor::{Phase, Supervisor};
use crate::transport::Transport;

/// Without any session for so long, the addresses are asked again: all members may be others by now.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// What the sessions of one borrower have in common.
#[derive(Debug)]
pub(crate) struct Roster {
    hub: Arc<Hub>,
    /// How connections are made.
    transport: Transport,
    /// Where to ask for a view.
    endpoints: Vec<String>,
    /// The newest view that was heard of.
    newest: watch::Sender<Option<Arc<View>>>,
    /// How the borrower stands.
    phase: watch::Sender<Phase>,
    /// How each session stands.
    sessions: Mutex<BTreeMap<RootId, Phase>>,
    /// With whom there are sessions, and what ends each when that one is a member no more.
    members: Mutex<BTreeMap<RootId, CancellationToken>>,
    /// What a node in the middle lends by.
    below: Option<Arc<Server>>,
    /// Of a member: its lender, which tells the others.
    lender: Mutex<Option<Arc<Server>>>,
}

impl Roster {
    /// The roster of a client, or of a node in the middle, that asks these addresses; or with none, of a member.
    pub(crate) fn new(
        hub: Arc<Hub>,
        transport: Transport,
        endpoints: Vec<String>,
        below: Option<Arc<Server>>,
    ) -> (Arc<Self>, watch::Receiver<Phase>) {
        let last = "no connection yet".into();
        let refused = None;
        let (phase, receiver) = watch::channel(Phase::Connecting { last, refused });
        let roster = Self {
            hub,
            transport,
            endpoints,
            newest: watch::Sender::new(None),
            phase,
            sessions: Mutex::default(),
            members: Mutex::default(),
            below,
            lender: Mutex::new(None),
        };
        (Arc::new(roster), receiver)
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<RootId, Phase>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its lender, where it is a member's.
    pub(crate) fn lender(&self) -> Option<Arc<Server>> {
        let lender = self.lender.lock();
        lender.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The life of the member whose borrower it is.
    pub(crate) fn set_lender(&self, lender: Option<Arc<Server>>) {
        let place = self.lender.lock();
        *place.unwrap_or_else(PoisonError::into_inner) = lender;
    }

    /// A view was heard of.
    pub(crate) fn on_view(&self, view: Arc<View>) {
        self.newest.send_if_modified(|newest| {
            let is_newer = newest
                .as_ref()
                .is_none_or(|known| view.epoch() > known.epoch());
            if is_newer {
                *newest = Some(view);
            }
            is_newer
        });
    }

    /// The session with that member stands so.
    pub(crate) fn note(&self, root: RootId, left: &CancellationToken, phase: Phase) {
        let mut sessions = self.sessions();
        // Who leaves does so before its session is taken out.
        if left.is_cancelled() {
            return;
        }
        sessions.insert(root, phase);
        let phase = overall(&sessions);
        drop(sessions);
        if let Some(phase) = phase {
            self.phase.send_replace(phase);
        }
    }

    /// The session with a member that has left stands no more.
    fn forget(&self, root: RootId) {
        let mut sessions = self.sessions();
        sessions.remove(&root);
        let last = "the members of the view are being connected to".into();
        let phase = overall(&sessions).unwrap_or(Phase::Connecting {
            last,
            refused: None,
        });
        drop(sessions);
        self.phase.send_replace(phase);
    }

    /// Whether the view has several members.
    pub(crate) fn has_many(&self) -> bool {
        let view = self.newest.borrow();
        view.as_ref().is_some_and(|view| view.members().len() > 1)
    }

    /// Where that member says it is, if it is not the only one.
    pub(crate) fn address(&self, root: Option<RootId>) -> Option<String> {
        let view = self.newest.borrow().clone()?;
        let member = view.member(root?)?;
        (view.members().len() > 1).then(|| member.address.clone())
    }

    /// The session with that member.
    pub(crate) fn peer(&self, root: RootId) -> Option<PeerId> {
        match self.sessions().get(&root) {
            Some(Phase::Connected { peer, .. }) => Some(*peer),
            _ => None,
        }
    }

    /// The first session, with whoever answered, turned out to be that with a member. Returns what ends it.
    pub(crate) fn enlist(&self, root: RootId) -> CancellationToken {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.entry(root).or_default().clone()
    }

    /// Runs until the hub is told to stop.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut tasks = JoinSet::new();
        if !self.endpoints.is_empty() {
            let endpoints = self.endpoints.clone();
            let first = Supervisor::first(&self, endpoints, self.phase.clone());
            tasks.spawn(first.run());
        }
        self.follow(&mut tasks).await;
        // They say goodbye by themselves.
        while tasks.join_next().await.is_some() {}
        // Requests that wait would wait for ever.
        if let Some(domain) = self.hub.domain() {
            domain.shut_down();
        }
        self.phase.send_replace(Phase::Closed);
        self.hub.ended.cancel();
    }

    /// Asks the addresses, one after the other, until one knows a view.
    async fn ask_all(&self) {
        for endpoint in &self.endpoints {
            if let Ok(Ok(Some(view))) =
                tokio::time::timeout(ATTEMPT, ask_for_view(&self.hub, &self.transport, endpoint))
                    .await
            {
                return self.on_view(view);
            }
        }
    }

    /// Keeps a session with each member of the newest view.
    async fn follow(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        let mut views = self.newest.subscribe();
        let mut heard = Instant::now();
        views.mark_changed();
        loop {
            let may_ask = !self.endpoints.is_empty() && views.borrow().is_some();
            tokio::select! {
                changed = views.changed() => if changed.is_err() { return },
                () = self.hub.stopping.cancelled() => return,
                () = tokio::time::sleep(LOST_AFTER / 4), if may_ask => {
                    if matches!(*self.phase.borrow(), Phase::Connected { .. }) {
                        heard = Instant::now();
                    } else if heard.elapsed() >= LOST_AFTER {
                        heard = Instant::now();
                        let mut newer = views.clone();
                        tokio::select! {
                            () = self.ask_all() => {}
                            _ = newer.changed() => {}
                            () = self.hub.stopping.cancelled() => return,
                        }
                    }
                    continue;
                }
            }
            while tasks.try_join_next().is_some() {}
            let view = views.borrow_and_update().clone();
            if let Some(view) = view {
                self.adopt(&view);
                self.connect(&view, tasks);
            }
        }
    }

    fn adopt(&self, view: &Arc<View>) {
        let Some(domain) = self.hub.domain() else {
            return;
        };
        // What is claimed and asked for from here on goes under the new epoch.
        self.hub.set_epoch(view.epoch());
        if domain.adopt(view).is_some() {
            tracing::info!(%view, "adopted");
        }
        self.hub.set_adopted(view.epoch());
    }

    /// Ends the sessions with those who left, and begins those with newcomers.
    fn connect(self: &Arc<Self>, view: &View, tasks: &mut JoinSet<()>) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|root, left| {
            let stays = view.has(*root);
            if !stays {
                left.cancel();
                self.forget(*root);
            }
            stays
        });
        let is_only = view.members().len() == 1 && !self.endpoints.is_empty();
        for member in view.members() {
            let root = member.id();
            members.entry(root).or_insert_with(|| {
                let left = CancellationToken::new();
                // The only one is where it was asked, whatever it calls that place.
                let endpoints = if is_only {
                    self.endpoints.clone()
                } else {
                    vec![member.address.clone()]
                };
                let supervisor = Supervisor::of_member(self, root, endpoints, left.clone());
                tasks.spawn(supervisor.run());
                left
            });
        }
    }

    /// The newest view that was heard of.
    pub(crate) fn newest(&self) -> watch::Receiver<Option<Arc<View>>> {
        self.newest.subscribe()
    }

    /// How connections are made.
    pub(crate) const fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(crate) const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(crate) fn below(&self) -> Option<Arc<Server>> {
        self.below.clone()
    }
}

/// How a borrower stands whose sessions stand so: connected if any is.
fn overall(sessions: &BTreeMap<RootId, Phase>) -> Option<Phase> {
    let connected = |phase: &&Phase| matches!(phase, Phase::Connected { .. });
    let best = sessions.values().find(connected);
    best.or_else(|| sessions.values().next()).cloned()
}

/// Asks an address for the newest view it knows, if it knows one.
async fn ask_for_view(
    hub: &Hub,
    transport: &Transport,
    endpoint: &str,
) -> std::io::Result<Option<Arc<View>>> {
    let dialled = transport.dial(endpoint).await;
    let stream = dialled.map_err(std::io::Error::other)?;
    // Perhaps itself.
    let _call = hub.desk.note_call(&stream);
    let hello = Hello {
        version: WIRE_VERSION,
        name: hub.name.clone().into_bytes(),
        boot: hub.party.boot,
        ticket: hub.ticket,
        session: 0,
        reg: 0,
        next_expected: 1,
    };
    let packet = Packet {
        epoch: 0,
        stamp: hub.highest_stamp(),
        body: Body::Hello(hello),
    };
    let (mut codec, mut bytes) = (PacketCodec::new(), BytesMut::new());
    let wrong = std::io::Error::other;
    codec.encode(&packet, &mut bytes).map_err(wrong)?;
    stream.write_all(&bytes).await?;
    bytes.clear();
    codec.on_session();
    loop {
        if let Some(packet) = codec.decode(&mut bytes).map_err(wrong)? {
            return Ok(match packet.body {
                Body::View(view) => Some(view),
                _ => None,
            });
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}
