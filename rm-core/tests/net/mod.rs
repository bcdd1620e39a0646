//! Domains joined to a tree in one process: their sessions are queues that a test empties as it likes.
//!
//! Time stands still until the test moves it. Messages of one session arrive in order, those of two in any; the
//! seed of a [`Net`] decides which, so a run is replayed by its seed.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rm_core::credit::Credit as _;
use rm_core::error::LostReason;
use rm_core::front::{Domain, DomainSettings, Handle, Host, Role, Trust};
use rm_core::id::{Boot, NodeId, Party, PeerId, ResourceKey};
use rm_core::message::Message;
use rm_core::owner::Settings;
use rm_core::policy::Policy;
use rm_core::session::packet::Item;
use rm_core::time::Time;
use rm_rwlock::{RwCredit, RwLock, RwLockType};

/// How long leases last, unless a test says otherwise: for ever.
const FOR_EVER: Time = Time::MAX;

/// All nodes. The first is the root.
#[derive(Debug)]
pub struct Net {
    nodes: Vec<Node>,
    post: Arc<Post>,
    random: fastrand::Rng,
    sessions: u64,
}

#[derive(Debug)]
struct Node {
    domain: Domain,
    /// The creditor, and the session with it as both sides name it.
    creditor: Option<usize>,
    session: Option<Session>,
}

#[derive(Clone, Debug)]
struct Session {
    /// The creditor, as the debtor calls it.
    up: PeerId,
    /// The debtor, as the creditor calls it.
    down: PeerId,
    trust: Arc<Trust>,
}

/// What is under way, and how late it is.
#[derive(Debug, Default)]
struct Post {
    nanos: AtomicU64,
    boxes: Mutex<Boxes>,
}

#[derive(Debug, Default)]
struct Boxes {
    /// To whom a name of a peer leads, and what that one calls the sender.
    addresses: BTreeMap<PeerId, (usize, PeerId)>,
    under_way: BTreeMap<PeerId, VecDeque<Item>>,
    sent: u64,
    returns: u64,
}

impl Post {
    fn boxes(&self) -> MutexGuard<'_, Boxes> {
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Desk(Arc<Post>);

impl Host for Desk {
    fn now(&self) -> Time {
        Time::from_nanos(self.0.nanos.load(Ordering::Relaxed))
    }

    fn stamp_now(&self) -> Time {
        self.now()
    }

    fn queue(&self, to: PeerId, item: Item) {
        let mut boxes = self.0.boxes();
        // What is for a session that is over is lost with it.
        if boxes.addresses.contains_key(&to) {
            boxes.sent += 1;
            boxes.returns += u64::from(matches!(item.message, Message::Return { .. }));
            boxes.under_way.entry(to).or_default().push_back(item);
        }
    }

    fn flush(&self, _: PeerId) {}

    fn rearm(&self) {}
}

impl Net {
    /// A node starts anew: a domain that knows nothing. Its sessions have ended before.
    pub fn replace(&mut self, node: usize) {
        let host: Arc<dyn Host> = Arc::new(Desk(Arc::clone(&self.post)));
        let settings = DomainSettings::new("anew", Settings::default());
        let domain = Domain::new(settings, Role::Debtor, host);
        self.nodes[node].domain = domain.with_type(RwLockType::default());
    }

    /// Nodes of which each borrows from the one named, in a tree: `creditors[0]` is of node 1.
    pub fn new(
        creditors: &[usize],
        seed: u64,
        change: impl Fn(usize, &mut DomainSettings),
    ) -> Self {
        let post = Arc::new(Post::default());
        post.nanos.store(1, Ordering::Relaxed);
        let node = |index: usize| {
            let name = format!("node-{index}");
            let party = Party {
                node: NodeId::of_name(name.as_bytes()),
                boot: Boot(1),
            };
            let owner = Settings::default()
                .with_policy(Policy::Exact)
                .with_party(party, &name);
            let mut settings = DomainSettings::new(&name, owner);
            change(index, &mut settings);
            let role = match index {
                0 => Role::Root {
                    epoch: 1,
                    grace: false,
                },
                _ => Role::Debtor,
            };
            let host: Arc<dyn Host> = Arc::new(Desk(Arc::clone(&post)));
            Node {
                domain: Domain::new(settings, role, host).with_type(RwLockType::default()),
                creditor: index.checked_sub(1).map(|index| creditors[index]),
                session: None,
            }
        };
        let mut net = Self {
            nodes: (0..=creditors.len()).map(node).collect(),
            post: Arc::clone(&post),
            random: fastrand::Rng::with_seed(seed),
            sessions: 0,
        };
        for index in 1..net.nodes.len() {
            net.join(index);
        }
        net
    }

    /// Every node under the one before it.
    pub fn chain(nodes: usize) -> Self {
        let creditors: Vec<_> = (0..nodes - 1).collect();
        Self::new(&creditors, 0, |_, _| {})
    }

    pub fn domain(&self, node: usize) -> &Domain {
        &self.nodes[node].domain
    }

    pub fn lock(&self, node: usize, name: &str) -> RwLock {
        RwLock::new(self.domain(node), name)
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn handle(&self, node: usize, name: &str) -> Handle<RwLockType> {
        self.domain(node).resource(&key(name)).expect("room")
    }

    /// Opens a session between a node and its creditor.
    pub fn join(&mut self, node: usize) {
        self.join_until(node, FOR_EVER);
    }

    pub fn join_until(&mut self, node: usize, deadline: Time) {
        let creditor = self.nodes[node].creditor.expect("no root");
        self.sessions += 1;
        let session = Session {
            up: PeerId(2 * self.sessions),
            down: PeerId(2 * self.sessions + 1),
            trust: Arc::new(Trust::until(deadline)),
        };
        {
            let mut boxes = self.post.boxes();
            let addresses = &mut boxes.addresses;
            addresses.insert(session.up, (creditor, session.down));
            addresses.insert(session.down, (node, session.up));
        }
        let trust = Arc::clone(&session.trust);
        self.domain(node).on_creditor_up(session.up, trust);
        self.nodes[node].session = Some(session);
    }

    /// The session of a node with its creditor ends: first at the node, then, if no less than all below it have
    /// ended, at its creditor.
    pub fn end(&mut self, node: usize) {
        let session = self.nodes[node].session.take().expect("a session");
        for peer in [session.up, session.down] {
            let mut boxes = self.post.boxes();
            boxes.addresses.remove(&peer);
            boxes.under_way.remove(&peer);
        }
        self.domain(node)
            .on_creditor_down(session.up, LostReason::SessionEnded);
        for below in 0..self.len() {
            if self.nodes[below].creditor == Some(node) && self.nodes[below].session.is_some() {
                self.end(below);
            }
        }
        let creditor = self.nodes[node].creditor.expect("no root");
        self.domain(creditor).on_debtor_down(session.down);
    }

    /// What a node calls the session with its creditor, and that with a debtor.
    pub fn peer_of_debtor(&self, debtor: usize) -> PeerId {
        self.nodes[debtor].session.as_ref().expect("a session").down
    }

    pub fn peer_of_creditor(&self, debtor: usize) -> PeerId {
        self.nodes[debtor].session.as_ref().expect("a session").up
    }

    /// Takes what is under way to a peer.
    pub fn take_for(&self, peer: PeerId) -> VecDeque<Item> {
        let under_way = &mut self.post.boxes().under_way;
        under_way.remove(&peer).unwrap_or_default()
    }

    /// How many messages were sent so far, and how many of them were returns.
    pub fn sent(&self) -> (u64, u64) {
        let boxes = self.post.boxes();
        (boxes.sent, boxes.returns)
    }

    pub fn advance(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).expect("a short time");
        self.post.nanos.fetch_add(nanos, Ordering::Relaxed);
        for node in &self.nodes {
            let now = Time::from_nanos(self.post.nanos.load(Ordering::Relaxed));
            node.domain.on_deadline(now);
        }
    }

    pub fn now(&self) -> Time {
        Time::from_nanos(self.post.nanos.load(Ordering::Relaxed))
    }

    /// Delivers one message of a session that the seed chooses. Returns whether there was any.
    pub fn deliver_one(&mut self) -> bool {
        let (to, from, item) = {
            let mut boxes = self.post.boxes();
            let busy: Vec<_> = boxes.under_way.keys().copied().collect();
            let Some(&peer) = self.random.choice(&busy) else {
                return false;
            };
            let queue = boxes.under_way.get_mut(&peer).expect("it was there above");
            let item = queue.pop_front().expect("no queue is empty");
            if queue.is_empty() {
                boxes.under_way.remove(&peer);
            }
            let (to, from) = boxes.addresses[&peer];
            (to, from, item)
        };
        self.domain(to)
            .deliver(from, item)
            .expect("no peer misbehaves");
        true
    }

    /// Delivers all messages, and those that they bring about.
    pub fn settle(&mut self) {
        while self.deliver_one() {}
    }

    /// A sweep at every node, and what it brings about.
    pub fn sweep(&mut self) {
        for node in 0..self.len() {
            self.domain(node).sweep();
        }
        self.settle();
    }

    /// Asserts, where nothing is under way, that the credit of a lock is all there, each unit in one book.
    pub fn check(&self, name: &str) {
        assert!(self.post.boxes().under_way.is_empty(), "all has settled");
        let handles: Vec<_> = (0..self.len())
            .map(|node| self.handle(node, name))
            .collect();
        for (node, handle) in handles.iter().enumerate() {
            let (borrowed, lent) = handle.with_owner(|owner| {
                owner.check();
                (*owner.borrowed(), *owner.lent())
            });
            match self.nodes[node].creditor {
                None => assert_eq!(borrowed, *handle.capital(), "the root has all of it"),
                Some(creditor) => {
                    let session = self.nodes[node].session.as_ref();
                    let loan = session.and_then(|session| {
                        handles[creditor].with_owner(|owner| owner.loan(session.down).copied())
                    });
                    let loan = loan.unwrap_or_else(RwCredit::empty);
                    assert_eq!(loan, borrowed, "both books of node {node} say the same");
                }
            }
            let debtors = handles.iter().enumerate();
            let below = debtors.filter(|(index, _)| self.nodes[*index].creditor == Some(node));
            let loans = below.fold(RwCredit::empty(), |sum, (_, handle)| {
                let borrowed = handle.with_owner(|owner| *owner.borrowed());
                sum.join(&borrowed).expect("parts of one capital")
            });
            assert_eq!(loans, lent, "what node {node} lent is below it");
        }
    }
}

pub fn key(name: &str) -> ResourceKey {
    ResourceKey::new(name.as_bytes()).expect("a name")
}
