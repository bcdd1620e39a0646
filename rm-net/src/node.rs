//! A node: the root of resources, in this process alone or as a server for others; or a server in the middle of a
//! tree, that borrows what it lends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rm_core::access::Rules;
use rm_core::front::{Domain, DomainSettings, Role, Scope, Totals, WindUpReport};
use rm_core::owner::Settings;
use rm_rwlock::{RwLock, all};
use rm_types::{ByteRange, IdRange, Semaphore, Sequence};
use tokio::sync::watch;

use crate::house;
use crate::hub::Hub;
#[cfg(feature = "etcd")]
use crate::member::Member;
use crate::server::Server;
use crate::supervisor::Phase;
use crate::transport::Address;
use crate::types::Types;

mod builder;
mod operating;

pub use self::builder::NodeBuilder;

/// A `try` waits for peers at most this long, and at most an eighth of the lease.
const TRY_LIMIT: Duration = Duration::from_secs(1);
/// A stopping node waits so long for goodbyes to leave.
const STOPPING: Duration = Duration::from_secs(1);

/// A node. Cheap to clone; it stops when told to, or when nobody uses it or a lock of it any more.
///
/// It is the root of all its resources, unless it was given a [creditor](NodeBuilder::creditor).
///
/// It may be used from any thread and any runtime, and lives in the runtime in which it started. When that
/// ends, it stops too: requests fail with [`ShuttingDown`](rm_rwlock::AcquireError::ShuttingDown), and guards
/// of this process are lost.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let node = rm_net::Node::standalone();
/// let lock = node.rw_lock("volumes/42");
/// let guard = lock.read().await?;
/// assert!(guard.is_valid());
/// # Ok::<(), rm_rwlock::AcquireError>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Node {
    domain: Domain,
    hub: Arc<Hub>,
    server: Option<Arc<Server>>,
    address: Option<SocketAddr>,
    addresses: Vec<Address>,
    /// How it stands with its creditors, if it has any.
    phase: Option<watch::Receiver<Phase>>,
    /// What it is in its cluster, if it is a member of one. Then the domain is its borrower's.
    #[cfg(feature = "etcd")]
    member: Option<Arc<Member>>,
}

/// How a node stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopReport {
    /// Whether all credit had come back: every session had ended, or the node was [wound up](Node::wind_up). Then
    /// the next start need not wait for leases.
    pub is_clean: bool,
    /// Loans that were still out.
    pub loans: u64,
}

impl Node {
    /// A node of this process alone: no network, no files, no lease. Its fencing tokens are comparable
    /// within the process only.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn standalone() -> Self {
        Self::builder().standalone()
    }

    fn alone(types: &Types, name: &str) -> Self {
        let hub = Hub::new(name);
        hub.set_epoch(1);
        let role = Role::Root {
            epoch: 1,
            grace: false,
        };
        let mut settings = domain_settings(&hub);
        settings.owner = settings.owner.with_try_limit(TRY_LIMIT);
        let domain = domain(&hub, settings, role, types);
        let keeper = Arc::clone(&hub);
        tokio::spawn(house::keep(Arc::clone(&hub), move || {
            if let Some(domain) = keeper.domain().filter(Domain::needs_epoch) {
                let next = keeper.epoch() + 1;
                keeper.set_epoch(next);
                domain.on_epoch(next);
            }
        }));
        Self {
            domain,
            hub,
            server: None,
            address: None,
            addresses: Vec::new(),
            phase: None,
            #[cfg(feature = "etcd")]
            member: None,
        }
    }

    /// A node with a name that listens for others.
    #[must_use]
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// The lock called `name`. A bad name shows at the first request.
    #[must_use]
    pub fn rw_lock(&self, name: impl AsRef<[u8]>) -> RwLock {
        RwLock::new(&self.domain, name)
    }

    /// Asks for several locks: all of them or none, sorted by name, each once. See [`rm_rwlock::all`].
    #[track_caller]
    pub fn lock_all(&self, names: impl IntoIterator<Item = all::Named>) -> all::LockAll {
        all::lock_all(&self.domain, names)
    }

    /// As [`lock_all`](Self::lock_all), if all can be had without waiting for holders or older requests.
    #[track_caller]
    pub fn try_lock_all(&self, names: impl IntoIterator<Item = all::Named>) -> all::LockAll {
        all::try_lock_all(&self.domain, names)
    }

    /// The semaphore called `name` with so many units. A bad name shows at the first request.
    ///
    /// A semaphore of another number is another semaphore, so all who share one say the same.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let node = rm_net::Node::standalone();
    /// let slots = node.semaphore("render/slots", 4);
    /// let permit = slots.acquire(3).label("frame 7").await?;
    /// assert!(slots.try_acquire(2).await.is_err());
    /// drop(permit);
    /// slots.consume(2).await?;
    /// slots.refill(2)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn semaphore(&self, name: impl AsRef<[u8]>, units: u64) -> Semaphore {
        Semaphore::new(&self.domain, name, units)
    }

    /// Read and write locks on the ranges of what is called `name`. A bad name shows at the first request.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let node = rm_net::Node::standalone();
    /// let file = node.byte_range("volumes/42");
    /// let header = file.write(0..512).await?;
    /// let rest = file.write(512..).await?;
    /// assert!(file.try_read(500..600).await.is_err());
    /// # drop((header, rest));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn byte_range(&self, name: impl AsRef<[u8]>) -> ByteRange {
        ByteRange::new(&self.domain, name)
    }

    /// The identifiers called `name`: unique, and in no order. A bad name shows at the first request.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let node = rm_net::Node::standalone();
    /// let orders = node.id_range("orders");
    /// assert_ne!(orders.next().await?, orders.next().await?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn id_range(&self, name: impl AsRef<[u8]>) -> IdRange {
        IdRange::new(&self.domain, name)
    }

    /// The sequence called `name`: each number is larger than all before it. A bad name shows at the first request.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let node = rm_net::Node::standalone();
    /// let log = node.sequence("log");
    /// let first = log.next().await?;
    /// assert!(log.next().await? > first);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn sequence(&self, name: impl AsRef<[u8]>) -> Sequence {
        Sequence::new(&self.domain, name)
    }

    /// Its resources of all types.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Sums over its resources.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.domain.totals()
    }

    /// All that it listens on.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Records what is counted anyway, and how things stand: as
    /// [`Client::publish_metrics`](crate::Client::publish_metrics).
    #[cfg(feature = "metrics")]
    pub fn publish_metrics(&self) {
        let own = (&*self.hub, &self.domain);
        #[cfg(feature = "etcd")]
        if let Some(life) = self.member.as_ref().and_then(|member| member.life()) {
            let lender = (&*life.server.hub, &life.domain);
            return crate::telemetry::publish(&[own, lender]);
        }
        crate::telemetry::publish(&[own]);
    }

    /// The first address at which it listens by TCP, if it does.
    #[must_use]
    pub const fn local_addr(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Whether it can lend: a root can always, a node in the middle while it has a session with its creditor.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        let phase = self.phase.as_ref();
        phase.is_none_or(|phase| matches!(*phase.borrow(), Phase::Connected { .. }))
    }

    /// Winds up all its resources, before it [stops](Self::stop): it refuses every request, of its own process and of
    /// clients, waits for its own holders, and calls home what clients have. What clients hold comes when they
    /// release it. Completes when everything is home, or after `within`, with what was in the way.
    ///
    /// After a complete one the stop is clean, also with sessions open. There is no way back: clients whose requests
    /// are refused ask again when the node has been started anew.
    ///
    /// Cancel safe: the wind-up goes on; but a stop is then clean only without sessions.
    pub async fn wind_up(&self, within: Duration) -> WindUpReport {
        let report = self.domain.wind_up(Scope::Everything, within).await;
        if let Some(server) = self.server.as_ref().filter(|_| report.is_complete) {
            // Release pairs with the acquire in `Server::note_all_back`.
            server.is_wound_up.store(true, Ordering::Release);
        }
        report
    }

    /// Stops: no new sessions, goodbye to all, and a note in the data directory if nobody has anything any more.
    ///
    /// Holds of this process are lost at once, its requests denied. Debtors trust what they hold until their
    /// leases end; the next start waits for that. Cancel safe: the node stops anyway.
    ///
    /// A node with a [creditor](NodeBuilder::creditor) says goodbye to it as soon as no debtor trusts anything any more,
    /// if that is within a second or its runtime goes on; else what it had comes back with its lease.
    pub async fn stop(&self) -> StopReport {
        #[cfg(feature = "etcd")]
        if let Some(member) = &self.member {
            return self.stop_member(member).await;
        }
        self.hub.stopping.cancel();
        let loans = self.totals().loans;
        // Before the directory is free for a successor, which would grant beside it.
        self.domain.shut_down();
        let Some(server) = &self.server else {
            return StopReport {
                is_clean: loans == 0,
                loans,
            };
        };
        let _ = tokio::time::timeout(STOPPING, self.hub.ended.cancelled()).await;
        let server = Arc::clone(server);
        let noted = tokio::task::spawn_blocking(move || server.close_store()).await;
        let noted = noted.map_err(std::io::Error::other).and_then(|noted| noted);
        if let Err(error) = &noted {
            tracing::error!(%error, "cannot write to the data directory");
        }
        StopReport {
            is_clean: noted.unwrap_or(false),
            loans,
        }
    }

    /// Other rules from now on, without a restart.
    ///
    /// What is asked from here on goes by them. What was asked before and still waits is denied if they forbid it, and credit
    /// that was lent is taken back if its debtor may not have it any more: cached credit silently, holds are
    /// [lost](rm_core::error::LostReason::Revoked). Exclusion holds all the while. The session of an identity that may not do
    /// anything any more ends.
    ///
    /// Who does not give back what it may not have any more loses its session after two leases, and with it, one lease later,
    /// what it had.
    ///
    /// It looks at every resource before it returns.
    pub fn set_rules(&self, rules: Rules) {
        self.hub.desk.set_rules(Arc::new(rules));
        #[cfg(feature = "etcd")]
        if let Some(life) = self.member.as_ref().and_then(|member| member.life()) {
            life.server.enforce();
        }
        if let Some(server) = &self.server {
            server.enforce();
        }
    }

    /// Whether there are any rules.
    #[cfg(feature = "cli")]
    pub(crate) fn has_rules(&self) -> bool {
        self.hub.desk.has_rules()
    }

    /// Hands over what it is the root of, and leaves its cluster, within that time. Returns whether the others have
    /// taken all of it over: then nobody has to wait for anything. A node that is no member has nothing to hand over.
    ///
    /// What this process holds it keeps; there is no way back but to start anew. Cancel safe: it goes on leaving.
    pub async fn drain(&self, within: Duration) -> bool {
        #[cfg(feature = "etcd")]
        if let Some(member) = &self.member {
            return member.leave(within).await;
        }
        let _ = within;
        true
    }

    /// A member that stops: the others learn of it at once, and its own holds go back.
    #[cfg(feature = "etcd")]
    async fn stop_member(&self, member: &Member) -> StopReport {
        let loans = member.life().map_or(0, |life| life.domain.totals().loans);
        self.domain.return_values();
        member.resign(STOPPING).await;
        self.hub.stopping.cancel();
        self.domain.shut_down();
        let _ = tokio::time::timeout(STOPPING, self.hub.ended.cancelled()).await;
        StopReport {
            is_clean: loans == 0,
            loans,
        }
    }
}

/// A domain with all its types.
fn domain(hub: &Arc<Hub>, settings: DomainSettings, role: Role, types: &Types) -> Domain {
    let host: Arc<Hub> = Arc::clone(hub);
    let domain = types.equip(Domain::new(settings, role, host));
    hub.serve(&domain);
    domain
}

fn domain_settings(hub: &Hub) -> DomainSettings {
    let owner = Settings::default().with_party(hub.party, &hub.name);
    DomainSettings::new(&hub.name, owner)
}

/// The host's name, as far as the system knows one.
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() { "node".into() } else { name }
}
