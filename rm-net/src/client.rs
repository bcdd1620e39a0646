//! A client: it borrows from a server, and caches what it borrowed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rm_core::front::{Domain, DomainSettings, Role, Scope, Totals, WindUpReport};
use rm_core::id::BadName;
use rm_core::inspect::{Answer, Query};
use rm_core::owner::Settings;
use rm_core::resource::ResourceType;
use rm_rwlock::{RwLock, all};
use rm_types::{ByteRange, IdRange, Semaphore, Sequence};
use tokio::sync::watch;

use crate::error::{ConnectError, InspectError};
use crate::house;
use crate::hub::Hub;
use crate::node::host_name;
use crate::roster::Roster;
use crate::supervisor::Phase;
#[cfg(feature = "tls")]
use crate::transport::TlsConfig;
use crate::transport::{Address, Transport};
use crate::types::Types;

/// Connecting gives up after so long, unless configured.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A question is answered within so long, or not at all.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A goodbye is given so long to leave.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Where nobody says otherwise, a server is here.
pub const DEFAULT_ENDPOINT: &str = "127.0.0.1:7600";

/// A connection to a server, and the locks taken over it. Cheap to clone.
///
/// It connects again by itself. When the connection breaks, what is held stays valid until the deadline of
/// its lease ([`Guard::valid_for`](rm_rwlock::Guard::valid_for)) and is lost then; requests wait.
///
/// It may be used from any thread and any runtime, and lives in the runtime in which it connected. When that
/// ends, requests fail with [`ShuttingDown`](rm_rwlock::AcquireError::ShuttingDown), and its guards are lost.
///
/// When the last clone and the last lock of it are dropped, the client says goodbye, and the server takes
/// back at once what it had.
#[derive(Clone, Debug)]
pub struct Client {
    domain: Domain,
    hub: Arc<Hub>,
    roster: Arc<Roster>,
    phase: watch::Receiver<Phase>,
}

/// How a client is to connect.
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    name: Option<String>,
    endpoints: Vec<String>,
    transport: Transport,
    connect_timeout: Duration,
    types: Types,
    value_bytes_max: Option<usize>,
}

impl Client {
    /// Connects to the server at `endpoint`, such as `127.0.0.1:7600`, under a name made of host and process.
    ///
    /// Cancel safe: a connection that is not used ends.
    ///
    /// # Errors
    /// Where no server answers within 5 s, or it refuses.
    pub async fn connect(endpoint: &str) -> Result<Self, ConnectError> {
        Self::builder().endpoint(endpoint).connect().await
    }

    /// A client with a name or several endpoints.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            name: None,
            endpoints: Vec::new(),
            transport: Transport::default(),
            connect_timeout: CONNECT_TIMEOUT,
            types: Types::default(),
            value_bytes_max: None,
        }
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
    /// # let dir = tempfile::tempdir()?;
    /// # let server = rm_net::Node::builder().listen("127.0.0.1:0").data_dir(dir.path()).start().await?;
    /// # let endpoint = server.local_addr().expect("it listens").to_string();
    /// let client = rm_net::Client::connect(&endpoint).await?;
    /// let slots = client.semaphore("render/slots", 4);
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
    /// # let dir = tempfile::tempdir()?;
    /// # let server = rm_net::Node::builder().listen("127.0.0.1:0").data_dir(dir.path()).start().await?;
    /// # let endpoint = server.local_addr().expect("it listens").to_string();
    /// let client = rm_net::Client::connect(&endpoint).await?;
    /// let file = client.byte_range("volumes/42");
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
    /// # let dir = tempfile::tempdir()?;
    /// # let server = rm_net::Node::builder().listen("127.0.0.1:0").data_dir(dir.path()).start().await?;
    /// # let endpoint = server.local_addr().expect("it listens").to_string();
    /// let client = rm_net::Client::connect(&endpoint).await?;
    /// let orders = client.id_range("orders");
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
    /// # let dir = tempfile::tempdir()?;
    /// # let server = rm_net::Node::builder().listen("127.0.0.1:0").data_dir(dir.path()).start().await?;
    /// # let endpoint = server.local_addr().expect("it listens").to_string();
    /// let client = rm_net::Client::connect(&endpoint).await?;
    /// let log = client.sequence("log");
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

    /// Sums over its resources: cached and asked acquires, and others.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.domain.totals()
    }

    /// Records what is counted anyway (requests that the cache served, recalls, losses) and how things stand (the oldest
    /// holder): see [`telemetry`](crate::telemetry). To be called before metrics are read, such as at each scrape.
    ///
    /// It looks at each resource. A process that has several clients has the sums of their counters, and the gauges of the
    /// one that published last.
    #[cfg(feature = "metrics")]
    pub fn publish_metrics(&self) {
        crate::telemetry::publish(&[(&self.hub, &self.domain)]);
    }

    /// Asks the server something. Read-only. Cancel safe.
    ///
    /// # Errors
    /// Where there is no connection, or no answer within 5 s.
    pub async fn inspect(&self, query: Query) -> Result<Answer, InspectError> {
        // Of a resource its root knows most; all else any member can tell.
        let root = match &query {
            Query::Show { type_id, key } => {
                let view = self.domain.view();
                view.and_then(|view| view.root_id(*type_id, key))
            }
            _ => None,
        };
        let id = match (root, &*self.phase.borrow()) {
            (Some(root), _) => self.roster.peer(root).ok_or(InspectError::Unavailable)?,
            (None, Phase::Connected { peer, .. }) => *peer,
            (None, Phase::Connecting { .. } | Phase::Closed) => {
                return Err(InspectError::Unavailable);
            }
        };
        let peer = self.hub.peer(id).ok_or(InspectError::Unavailable)?;
        self.hub
            .inquiries
            .ask(&self.hub, &peer, query, INSPECT_TIMEOUT)
            .await
    }

    /// Whether there is a session with the server at the moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Connected { .. })
    }

    /// The lease length of the server, once it said it.
    #[must_use]
    pub fn lease(&self) -> Option<Duration> {
        match *self.phase.borrow() {
            Phase::Connected { lease, .. } => Some(lease),
            Phase::Connecting { .. } | Phase::Closed => None,
        }
    }

    /// The name under which the server knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.hub.name
    }

    /// Winds up all its resources, before it is [closed](Self::close) or dropped: it refuses new requests, waits for its
    /// own holders, and returns everything. Completes when the server has it all back, or after `within`, with
    /// what was in the way. However the client ends after that, there is nothing for its lease to settle.
    ///
    /// There is no way back. Cancel safe: the wind-up goes on.
    pub async fn wind_up(&self, within: Duration) -> WindUpReport {
        let started = Instant::now();
        let report = self.domain.wind_up(Scope::Everything, within).await;
        if report.is_complete {
            // A question is sent after what was returned, so its answer tells that all of that has arrived. Where
            // there is no connection any more, nothing is to be settled but by the lease.
            let left = within.saturating_sub(started.elapsed());
            drop(tokio::time::timeout(left, self.inspect(Query::Status)).await);
        }
        report
    }

    /// Says goodbye and waits, at most a second, until the server has heard it: everything goes back at once, and the
    /// values that were written here with it. Guards that are still there are lost. Cancel safe: the goodbye is said anyway.
    pub async fn close(&self) {
        self.hub.stopping.cancel();
        let mut phase = self.phase.clone();
        let closed = phase.wait_for(|phase| matches!(phase, Phase::Closed));
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
    }
}

impl ClientBuilder {
    /// The name under which the server and people know this client: 1 to 255 bytes.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// One more address of the server, such as `127.0.0.1:7600` or `unix:/run/rm/agent.sock`; they are tried in turn.
    /// Without any: [`DEFAULT_ENDPOINT`]. See [`Address`].
    ///
    /// All must lead to one server, or to members of one cluster: from any of them the client learns of the others. Two
    /// servers that stand alone know nothing of each other: each would lend the same lock.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// Speaks TLS with servers over TCP, and shows them a certificate if there is one.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.transport = self.transport.tls(config);
        self
    }

    /// Speaks plain text also with servers on other machines. See [`Transport::insecure`].
    #[must_use]
    pub fn insecure(mut self) -> Self {
        self.transport = self.transport.insecure();
        self
    }

    /// How connections are made, in one: for programs that make several kinds of them.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// How long [`connect`](Self::connect) tries. 5 s by default.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// One more resource type, beside those that this project brings. The server must know it too: see
    /// [`NodeBuilder::register`](crate::NodeBuilder::register) and [`Daemon`](crate::Daemon).
    ///
    /// # Panics
    /// If a registered type has the same number.
    #[must_use]
    pub fn register<T: ResourceType>(mut self, resource_type: T) -> Self {
        self.types.register(resource_type);
        self
    }

    /// The most bytes of a value: at most 65,536, and 1,024 by default. No more than the server allows, or it ends the
    /// session when such a value gets there.
    #[must_use]
    pub const fn value_bytes_max(mut self, bytes: usize) -> Self {
        self.value_bytes_max = Some(bytes);
        self
    }

    /// Connects. Cancel safe: a connection that is not used ends.
    ///
    /// # Errors
    /// Where no server answers in time, or it refuses, or an endpoint is no address.
    pub async fn connect(mut self) -> Result<Client, ConnectError> {
        let default_name = || format!("{}/{}", host_name(), std::process::id());
        let name = self.name.unwrap_or_else(default_name);
        BadName::check(name.as_bytes())?;
        if self.endpoints.is_empty() {
            self.endpoints.push(DEFAULT_ENDPOINT.into());
        }
        for endpoint in &self.endpoints {
            endpoint.parse::<Address>()?;
        }
        let hub = Hub::new(&name);
        self.transport.keep_fresh(&hub.ended);
        let mut owner = Settings::default().with_party(hub.party, &name);
        owner.value_bytes_max = self.value_bytes_max.unwrap_or(owner.value_bytes_max);
        let host: Arc<Hub> = Arc::clone(&hub);
        let settings = DomainSettings::new(&name, owner);
        let domain = self.types.equip(Domain::new(settings, Role::Debtor, host));
        hub.serve(&domain);
        let endpoints = self.endpoints.join(",");
        let (roster, mut phase) =
            Roster::new(Arc::clone(&hub), self.transport, self.endpoints, None);
        tokio::spawn(Arc::clone(&roster).run());
        tokio::spawn(house::keep(Arc::clone(&hub), || {}));
        let client = Client {
            domain,
            hub,
            roster,
            phase: phase.clone(),
        };
        let ready = phase.wait_for(Phase::is_decided);
        let outcome = match tokio::time::timeout(self.connect_timeout, ready).await {
            Ok(Ok(phase)) => phase.clone(),
            Ok(Err(_)) => Phase::Closed,
            Err(_) => client.phase.borrow().clone(),
        };
        match outcome {
            Phase::Connected { .. } => Ok(client),
            Phase::Connecting {
                refused: Some(error),
                ..
            } => Err(error),
            Phase::Connecting { last, .. } => Err(ConnectError::Unreachable { endpoints, last }),
            Phase::Closed => Err(ConnectError::Closed),
        }
    }
}
