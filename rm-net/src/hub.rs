//! What ties a domain to its sessions: the clocks, and the way from a resource to the peer it writes to.
//!
//! **One write for many.** While a thread works off a packet ([`Hub::gather`]), what its resources say to others is queued
//! only; each of those is written to once, when the packet is worked off.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use rm_core::access::Allowance;
use rm_core::front::{Domain, Host, Quota, WeakDomain};
use rm_core::id::{NodeId, Party, PeerId, ResourceKey, Stamp, TypeId};
use rm_core::message::Message;
use rm_core::session::packet::Item;
use rm_core::session::{Membership, Ticket};
use rm_core::stamp::STAMP_AHEAD_MAX;
use rm_core::time::Time;
use rm_core::view::View;
use smallvec::SmallVec;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{BootClock, stamp_now};
use crate::desk::Desk;
use crate::inquiry::Inquiries;
use crate::peer::Peer;
#[cfg(feature = "metrics")]
use crate::telemetry::Telemetry;

/// What people read where a debtor's name died with the former life of the server.
pub(crate) const BEFORE_RESTART: &str = "(before the restart)";

/// How far behind the recent time is, if the clock was asked since: it is written no more often.
const RECENT_NANOS: u64 = 1_000_000;

/// Who is to be written to when this thread has worked off a packet.
struct Gathered {
    /// The hub whose packet it is: others may be flushed meanwhile, and those are at once.
    hub: Party,
    peers: SmallVec<[PeerId; 8]>,
}

thread_local! {
    static GATHERED: RefCell<Option<Gathered>> = const { RefCell::new(None) };
}

/// The host of one domain. Its tasks hold it, and the domain only weakly: a domain that nobody uses ends them.
pub(crate) struct Hub {
    pub(crate) name: String,
    pub(crate) party: Party,
    /// What proves to creditors that it is that run.
    pub(crate) ticket: Ticket,
    clock: BootClock,
    /// What the clock last said, in nanoseconds.
    recent: AtomicU64,
    domain: OnceLock<WeakDomain>,
    /// Few, or their numbers follow each other: a tree finds them sooner than a table that hashes as if somebody chose them.
    peers: RwLock<BTreeMap<PeerId, Arc<Peer>>>,
    next_peer: AtomicU64,
    /// What goes into the head of each packet to a creditor.
    epoch: AtomicU32,
    /// The newest view that has been adopted, where this hub goes by views.
    adopted: watch::Sender<Option<u32>>,
    /// What debtors are told.
    view: RwLock<Option<Arc<View>>>,
    /// For how many sessions with this node's own creditors no renewal is answered: each from its end until the next
    /// one, though what was borrowed over it may still be good.
    withheld: AtomicUsize,
    /// As a member: until when its membership is known to be good, in nanoseconds.
    good_until: AtomicU64,
    /// The earliest deadline came nearer, or the domain was dropped.
    pub(crate) timer: Notify,
    /// Told to stop, or nobody uses the domain any more: say goodbye.
    pub(crate) stopping: CancellationToken,
    /// Goodbye was said: end all tasks.
    pub(crate) ended: CancellationToken,
    /// What operators are told, and tell it.
    pub(crate) desk: Arc<Desk>,
    /// Questions to peers.
    pub(crate) inquiries: Inquiries,
    /// The wants of all debtors that wait.
    pub(crate) wants: Mutex<Quota>,
    /// What is counted for metrics.
    #[cfg(feature = "metrics")]
    pub(crate) telemetry: Arc<Telemetry>,
}

impl Hub {
    /// The hub of the node `name` in this run of the process.
    pub(crate) fn new(name: &str) -> Arc<Self> {
        Self::build(name, fresh_ticket(), Arc::new(Desk::new()))
    }

    /// The same for another part of a node, whose operators come to one desk.
    pub(crate) fn with_desk(name: &str, desk: Arc<Desk>) -> Arc<Self> {
        Self::build(name, fresh_ticket(), desk)
    }

    fn build(name: &str, ticket: Ticket, desk: Arc<Desk>) -> Arc<Self> {
        let node = NodeId::of_name(name.as_bytes());
        Arc::new(Self {
            name: name.into(),
            party: Party {
                node,
                boot: ticket.boot(),
            },
            ticket,
            clock: BootClock::new(),
            recent: AtomicU64::new(BootClock::new().now().as_nanos()),
            domain: OnceLock::new(),
            peers: RwLock::default(),
            // 0 is nobody.
            next_peer: AtomicU64::new(1),
            epoch: AtomicU32::new(0),
            adopted: watch::Sender::new(None),
            view: RwLock::default(),
            withheld: AtomicUsize::new(0),
            good_until: AtomicU64::new(u64::MAX),
            timer: Notify::new(),
            stopping: CancellationToken::new(),
            ended: CancellationToken::new(),
            desk,
            inquiries: Inquiries::default(),
            wants: Mutex::default(),
            #[cfg(feature = "metrics")]
            telemetry: Arc::default(),
        })
    }

    /// Tells the hub which domain it serves. Once.
    pub(crate) fn serve(&self, domain: &Domain) {
        let is_first = self.domain.set(domain.downgrade()).is_ok();
        debug_assert!(is_first, "a hub has one domain");
    }

    /// The domain, while anybody uses it.
    pub(crate) fn domain(&self) -> Option<Domain> {
        self.domain.get()?.upgrade()
    }

    pub(crate) fn fresh_peer(&self) -> PeerId {
        // Relaxed: only uniqueness counts.
        PeerId(self.next_peer.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn add(&self, peer: &Arc<Peer>) {
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        peers.insert(peer.id, Arc::clone(peer));
    }

    pub(crate) fn remove(&self, id: PeerId) {
        self.peers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
    }

    pub(crate) fn peer(&self, id: PeerId) -> Option<Arc<Peer>> {
        self.peers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }

    pub(crate) fn peers(&self) -> Vec<Arc<Peer>> {
        self.peers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Runs `f`. Who is flushed meanwhile by this thread is written to when `f` is done, and once.
    pub(crate) fn gather<R>(&self, f: impl FnOnce() -> R) -> R {
        let gathering = Gathering::start(self);
        let result = f();
        drop(gathering);
        result
    }

    /// Notes whom this thread is to write to later. Returns whether it did.
    fn note_for_later(&self, to: PeerId) -> bool {
        GATHERED.with_borrow_mut(|gathered| {
            let gathered = gathered.as_mut();
            let gathered = gathered.filter(|gathered| gathered.hub == self.party);
            gathered.map(|gathered| gathered.peers.push(to)).is_some()
        })
    }

    fn write_to(&self, to: PeerId) {
        if let Some(peer) = self.peer(to) {
            peer.flush(self);
        }
    }

    /// The epoch that goes into each packet.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(crate) fn set_epoch(&self, epoch: u32) {
        self.epoch.fetch_max(epoch, Ordering::AcqRel);
    }

    /// Packets of an epoch wait until its view has been adopted: from now on, that of `epoch`.
    pub(crate) fn set_adopted(&self, epoch: u32) {
        self.adopted.send_replace(Some(epoch));
    }

    /// Whether a packet of that epoch has to wait.
    pub(crate) fn has_to_adopt(&self, epoch: u32) -> bool {
        self.adopted.borrow().is_some_and(|adopted| adopted < epoch)
    }

    /// Waits until a packet of that epoch need not wait any more. Cancel safe.
    pub(crate) async fn adopted(&self, epoch: u32) {
        let mut adopted = self.adopted.subscribe();
        // The sender is ours: it does not go away.
        let _ = adopted
            .wait_for(|adopted| adopted.is_none_or(|adopted| adopted >= epoch))
            .await;
    }

    /// From now on every debtor is told this view before any packet of its epoch.
    pub(crate) fn set_view(&self, view: &Arc<View>) {
        let mut place = self.view.write().unwrap_or_else(PoisonError::into_inner);
        *place = Some(Arc::clone(view));
    }

    /// The view that debtors are told, if it is newer than that of `epoch`.
    pub(crate) fn view_after(&self, epoch: u32) -> Option<Arc<View>> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        view.as_ref().filter(|view| view.epoch() > epoch).cloned()
    }

    /// What the head of a packet says: another's stamp moves ours, unless it is absurd.
    pub(crate) fn on_head(&self, domain: &Domain, stamp: Stamp) {
        if !domain
            .stamps()
            .is_poisoned(stamp_now(), stamp, STAMP_AHEAD_MAX)
        {
            domain.observe_stamp(stamp);
        }
    }

    /// What debtors' renewals may be answered with at this moment.
    pub(crate) fn membership(&self) -> Membership {
        // Acquire pairs with the release in `Say::withhold`.
        if self.withheld.load(Ordering::Acquire) > 0 {
            return Membership::Suspended;
        }
        // Acquire pairs with the release in `set_good_until`.
        if self.clock.now().as_nanos() >= self.good_until.load(Ordering::Acquire) {
            return Membership::Suspended;
        }
        match self.domain().map(|domain| domain.trusted_for()) {
            Some(None) => Membership::Good,
            Some(Some(span)) => Membership::Within(span),
            // Nobody uses it any more, so it stops.
            None => Membership::Suspended,
        }
    }

    /// From then on no renewal is answered.
    pub(crate) fn set_good_until(&self, until: Time) {
        self.good_until.store(until.as_nanos(), Ordering::Release);
    }

    /// The debtors that there are, told that their sessions end: each is over once it has said so or its lease has run out.
    ///
    /// Before, the caller [withholds](Say::withhold) what they are promised. A session that comes later is not among them,
    /// and need not be: whoever promised before that had put its session in the map before, and the map is looked at after.
    fn dismiss_debtors(&self) -> Departure {
        let mut debtors = self.peers();
        debtors.retain(|peer| peer.is_creditor());
        debtors.iter().for_each(|peer| peer.let_go.cancel());
        Departure { debtors }
    }

    /// The highest stamp, that goes into each packet.
    pub(crate) fn highest_stamp(&self) -> Stamp {
        self.domain()
            .map_or(Stamp(0), |domain| domain.stamps().highest())
    }
}

/// A thread that works off a packet. It ends also where that panics.
struct Gathering<'a> {
    hub: &'a Hub,
    /// What the thread was gathering for another hub.
    former: Option<Gathered>,
}

impl<'a> Gathering<'a> {
    fn start(hub: &'a Hub) -> Self {
        let gathered = Gathered {
            hub: hub.party,
            peers: SmallVec::new(),
        };
        Self {
            hub,
            former: GATHERED.replace(Some(gathered)),
        }
    }
}

impl Drop for Gathering<'_> {
    fn drop(&mut self) {
        let gathered = GATHERED.replace(self.former.take());
        let mut peers = gathered.map(|gathered| gathered.peers).unwrap_or_default();
        peers.sort_unstable();
        peers.dedup();
        peers.into_iter().for_each(|peer| self.hub.write_to(peer));
    }
}

/// What one session with a creditor has to say on what debtors are promised: nothing, while it cannot go on.
#[derive(Clone)]
pub(crate) struct Say {
    hub: Arc<Hub>,
    withholds: Arc<AtomicBool>,
}

impl Say {
    pub(crate) fn new(hub: &Arc<Hub>) -> Self {
        Self {
            hub: Arc::clone(hub),
            withholds: Arc::new(AtomicBool::new(false)),
        }
    }

    /// No renewal is answered from here on.
    pub(crate) fn withhold(&self) {
        if !self.withholds.swap(true, Ordering::AcqRel) {
            // Release pairs with the acquire in `membership`.
            self.hub.withheld.fetch_add(1, Ordering::Release);
        }
    }

    /// It has no objection any more. If nobody has, what waited for that is answered.
    pub(crate) fn promise(&self) {
        let was_last = self.withholds.swap(false, Ordering::AcqRel)
            && self.hub.withheld.fetch_sub(1, Ordering::AcqRel) == 1;
        if was_last {
            let debtors = self.hub.peers();
            for peer in debtors.iter().filter(|peer| peer.is_creditor()) {
                peer.flush(&self.hub);
            }
        }
    }

    /// Ends the sessions with all debtors, to whom nothing is promised from here on.
    pub(crate) fn let_debtors_go(&self) -> Departure {
        self.withhold();
        self.hub.dismiss_debtors()
    }
}

/// Debtors that were told to go.
pub(crate) struct Departure {
    debtors: Vec<Arc<Peer>>,
}

impl Departure {
    /// Whether none of them trusts anything any more.
    pub(crate) fn is_over(&self) -> bool {
        self.debtors.iter().all(|peer| peer.over.is_cancelled())
    }

    /// Waits for that. Cancel safe.
    pub(crate) async fn over(&self) {
        for peer in &self.debtors {
            peer.over.cancelled().await;
        }
    }
}

impl Host for Hub {
    fn now(&self) -> Time {
        let now = self.clock.now();
        // Relaxed: any recent value will do. Seldom written, since all threads that pass gates ask for the time.
        let recent = self.recent.load(Ordering::Relaxed);
        if now.as_nanos().saturating_sub(recent) >= RECENT_NANOS {
            self.recent.store(now.as_nanos(), Ordering::Relaxed);
        }
        now
    }

    /// The housekeeper asks the clock twice a second at least.
    fn recent(&self) -> Time {
        Time::from_nanos(self.recent.load(Ordering::Relaxed))
    }

    fn stamp_now(&self) -> Time {
        stamp_now()
    }

    fn queue(&self, to: PeerId, item: Item) {
        if let Some(peer) = self.peer(to) {
            if matches!(item.message, Message::Grant(_) | Message::Deny { .. }) {
                // One of its wants is answered.
                for wants in [&peer.wants, &self.wants] {
                    let mut wants = wants.lock().unwrap_or_else(PoisonError::into_inner);
                    wants.give_back();
                }
            }
            peer.queue(item);
        }
    }

    fn flush(&self, to: PeerId) {
        if !self.note_for_later(to) {
            self.write_to(to);
        }
    }

    fn peer_name(&self, peer: PeerId) -> String {
        match self.peer(peer) {
            Some(peer) => peer.name.clone(),
            None => BEFORE_RESTART.into(),
        }
    }

    fn allowance(&self, debtor: PeerId, type_id: TypeId, key: &ResourceKey) -> Allowance {
        if !self.desk.has_rules() {
            return Allowance::Everything;
        }
        // Of one that is gone nothing is left to be allowed.
        let Some(peer) = self.peer(debtor) else {
            return Allowance::Everything;
        };
        if peer.identity.is_own_process() {
            return Allowance::Everything;
        }
        self.desk.rules().allowance(&peer.identity, type_id, key)
    }

    fn rules_generation(&self) -> u64 {
        self.desk.rules_generation()
    }

    fn party(&self, peer: PeerId) -> Option<Party> {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        peers.get(&peer).map(|peer| peer.party)
    }

    #[cfg(feature = "metrics")]
    fn observer(&self) -> Option<Arc<dyn rm_core::front::Observer>> {
        Some(self.telemetry.observer())
    }

    fn rearm(&self) {
        self.timer.notify_one();
    }

    fn on_domain_dropped(&self) {
        self.timer.notify_one();
        self.stopping.cancel();
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The secret of this run, from which its number is made: no other run has either.
pub(crate) fn fresh_ticket() -> Ticket {
    let mut ticket = Ticket::default();
    if getrandom::fill(&mut ticket.0).is_err() {
        // Without randomness from the system: the clock and the process, which differ between runs of one machine, but
        // which others may guess.
        tracing::warn!("the system gives no random numbers: others may guess this run's ticket");
        let seed = u128::from(stamp_now().as_nanos()) << 32 | u128::from(std::process::id());
        ticket.0 = seed.to_be_bytes();
    }
    ticket
}
