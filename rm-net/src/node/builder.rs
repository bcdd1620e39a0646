//! How a node is configured and started: alone, as a server, as a member of a cluster, or in the middle of a tree.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rm_core::access::Rules;
use rm_core::cluster::Lender;
use rm_core::front::{DomainSettings, Role};
use rm_core::id::BadName;
use rm_core::resource::ResourceType;
use rm_core::session::lease::{LEASE_DEFAULT, LEASE_MAX, LEASE_MIN};
use rm_core::session::{CreditorConfig, LeaseTerms, Window};
use rm_core::time::Time;
use rm_core::view::{self, MemberState, RootId, View};

use crate::client::DEFAULT_ENDPOINT;
#[cfg(feature = "etcd")]
use crate::coordinator::{EtcdConfig, EtcdCoordinator, NodeRecord, tell};
use crate::error::StartError;
use crate::house;
use crate::hub::Hub;
#[cfg(feature = "etcd")]
use crate::member::{Member, Plan};
use crate::peer::WINDOW;
use crate::roster::Roster;
#[cfg(feature = "etcd")]
use crate::server::accept;
use crate::server::{Limits, Place, Server};
#[cfg(feature = "etcd")]
use crate::store::Anchor;
use crate::store::Store;
#[cfg(feature = "tls")]
use crate::transport::TlsConfig;
use crate::transport::{Address, Listeners, SOCKET_MODE_DEFAULT, Transport};
use crate::types::Types;

use super::{Node, TRY_LIMIT, domain, domain_settings, host_name};

/// How a node is to start.
#[derive(Clone, Debug, Default)]
pub struct NodeBuilder {
    name: Option<String>,
    listen: Vec<String>,
    socket_mode: Option<u32>,
    transport: Transport,
    data_dir: Option<PathBuf>,
    creditors: Vec<String>,
    lease: Option<Duration>,
    resources_max: Option<usize>,
    session_resources_max: Option<usize>,
    value_bytes_max: Option<usize>,
    limits: Limits,
    window_items: Option<usize>,
    advertise: Option<String>,
    weight: Option<u32>,
    #[cfg(feature = "etcd")]
    etcd: Option<EtcdConfig>,
    rules: Rules,
    types: Types,
}

impl NodeBuilder {
    /// The node's name: 1 to 255 bytes. By default the host's name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Who may do what here: see [`Rules`]. Without them everything is allowed to everybody who can connect.
    ///
    /// They are about sessions. What this process asks of its own node is not asked about.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// One more address to listen on, such as `127.0.0.1:7600` or `unix:/run/rm/agent.sock`: see [`Address`]. Port 0 lets
    /// the system choose. Without any: `127.0.0.1:7600`.
    ///
    /// Beyond this machine it listens only where callers have to prove who they are ([`tls`](Self::tls) with authorities
    /// for clients), or where the network is trusted ([`insecure`](Self::insecure)).
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen.push(address.into());
        self
    }

    /// Who may connect to the Unix sockets it listens on, as the mode of their files: `0o600` by default.
    #[must_use]
    pub const fn socket_mode(mut self, mode: u32) -> Self {
        self.socket_mode = Some(mode);
        self
    }

    /// Speaks TLS over TCP, with whoever calls and with whom it calls.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.transport = self.transport.tls(config);
        self
    }

    /// Speaks plain text also with other machines. See [`Transport::insecure`].
    #[must_use]
    pub fn insecure(mut self) -> Self {
        self.transport = self.transport.insecure();
        self
    }

    /// How connections are made and accepted, in one: for programs that make several kinds of them.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Makes it a node in the middle of a tree: the root of nothing. It borrows from the server at this address, such as
    /// `10.0.0.1:7600`, lends that on to its own clients, and may use it itself. Several addresses are tried in turn;
    /// all must lead to one server, which may be in the middle of a tree in its turn.
    ///
    /// It needs no data directory, and uses none: over a crash, what it lent is covered by its own lease. Nobody below
    /// it is trusted for longer than it is itself. So when its creditor cannot be reached until its lease runs out,
    /// guards here and below are lost by then. Give it the same lease as the root.
    ///
    /// It starts also where the creditor does not answer yet: requests wait ([`Node::is_connected`]).
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use rm_net::{Client, Node};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let root = Node::builder().listen("127.0.0.1:0").data_dir(dir.path()).start().await?;
    /// let root_address = root.local_addr().expect("it listens").to_string();
    /// let rack = Node::builder().listen("127.0.0.1:0").creditor(root_address).start().await?;
    /// let rack_address = rack.local_addr().expect("it listens").to_string();
    ///
    /// let client = Client::connect(&rack_address).await?;
    /// let lock = client.rw_lock("volumes/42");
    /// drop(lock.write().await?);
    /// client.close().await;
    /// assert!(rack.stop().await.is_clean);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn creditor(mut self, address: impl Into<String>) -> Self {
        self.creditors.push(address.into());
        self
    }

    /// Makes it a member of a cluster, whose members agree by way of etcd on who lends what. Each is the root of a share of
    /// all resources, and uses them all.
    ///
    /// A [data directory](Self::data_dir) is of use, but not needed: with it, a restart after a crash need not wait until the
    /// others have noticed the silence of the process before.
    ///
    /// It starts also where etcd does not answer yet: requests wait ([`Node::is_connected`]). All members have the same
    /// [lease](Self::lease), which the first one writes down; one with another does not become a member, and the log says why.
    #[cfg(feature = "etcd")]
    #[must_use]
    pub fn etcd(mut self, config: EtcdConfig) -> Self {
        self.etcd = Some(config);
        self
    }

    /// Where other members and clients reach it, such as `10.0.0.1:7600`. By default the address it listens on.
    #[must_use]
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// Its share of the resources beside the other members': 1 to 16, and 1 by default.
    #[must_use]
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Where the epoch is kept. Needed for a node that listens, unless it has a [creditor](Self::creditor).
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// The lease length `L`: 1 s to 1 h, 15 s by default.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// The most locks with any state at the server; requests for more are refused. 4,194,304 by default.
    #[must_use]
    pub const fn resources_max(mut self, count: usize) -> Self {
        self.resources_max = Some(count);
        self
    }

    /// The most resources of one type that exist at the server because one session asked for them; requests for more are
    /// refused. 1,048,576 by default.
    #[must_use]
    pub const fn session_resources_max(mut self, count: usize) -> Self {
        self.session_resources_max = Some(count);
        self
    }

    /// The most requests of all its sessions together that wait at the server; more are refused. 4,194,304 by default. Of
    /// one session 262,144 at most may wait.
    #[must_use]
    pub const fn wants_max(mut self, count: u64) -> Self {
        self.limits.wants_max = Some(count);
        self
    }

    /// The most bytes of a value: at most 65,536, and 1,024 by default. The same at all nodes and clients.
    #[must_use]
    pub const fn value_bytes_max(mut self, bytes: usize) -> Self {
        self.value_bytes_max = Some(bytes);
        self
    }

    /// How many messages may wait for a peer's acknowledgement: 262,144 by default. For tests.
    #[doc(hidden)]
    #[must_use]
    pub const fn window_items(mut self, count: usize) -> Self {
        self.window_items = Some(count);
        self
    }

    /// Whoever connects has so long to say hello: 5 s by default. For tests.
    #[doc(hidden)]
    #[must_use]
    pub const fn hello_patience(mut self, patience: Duration) -> Self {
        self.limits.hello_patience = Some(patience);
        self
    }

    /// One more resource type, beside those that this project brings.
    ///
    /// # Panics
    /// If a registered type has the same number.
    #[must_use]
    pub fn register<T: ResourceType>(mut self, resource_type: T) -> Self {
        self.types.register(resource_type);
        self
    }

    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "for the daemon"))]
    pub(crate) fn types(mut self, types: Types) -> Self {
        self.types = types;
        self
    }

    /// A node of this process alone: no network, no files, no lease. What says how to listen is not used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn standalone(self) -> Node {
        Node::alone(&self.types, &self.name.unwrap_or_else(host_name))
    }

    /// Starts.
    ///
    /// # Errors
    /// Where an address, the directory, the name or the lease cannot be used.
    pub async fn start(mut self) -> Result<Node, StartError> {
        let name = self.name.take().unwrap_or_else(host_name);
        BadName::check(name.as_bytes())?;
        let lease = self.lease.unwrap_or(LEASE_DEFAULT);
        let terms = LeaseTerms::new(lease).map_err(|_| StartError::BadLease {
            given: lease,
            least: LEASE_MIN,
            most: LEASE_MAX,
        })?;
        for address in self.creditors.iter().chain(&self.advertise) {
            address.parse::<Address>()?;
        }
        #[cfg(feature = "etcd")]
        if let Some(etcd) = self.etcd.take() {
            let listeners = self.bind().await?;
            return self.start_member(name, terms, listeners, etcd).await;
        }
        let is_root = self.creditors.is_empty();
        let data_dir = self.data_dir.take().filter(|_| is_root);
        if is_root && data_dir.is_none() {
            return Err(StartError::NoDataDir);
        }
        // First, so that a start that fails here leaves the directory as it was.
        let listeners = self.bind().await?;
        let hub = Hub::new(&name);
        hub.desk.set_rules(Arc::new(self.rules.clone()));
        hub.desk.set_knows_callers(self.transport.knows_callers());
        self.transport.keep_fresh(&hub.ended);
        match data_dir {
            Some(data_dir) => {
                let opened = tokio::task::spawn_blocking(move || Store::open(&data_dir, lease));
                let (store, trusted) = opened.await.map_err(std::io::Error::other)??;
                self.start_root(hub, terms, listeners, store, trusted)
            }
            None => self.start_middle(hub, terms, listeners),
        }
    }

    /// Listens on all addresses.
    async fn bind(&mut self) -> Result<Listeners, StartError> {
        if self.listen.is_empty() {
            self.listen.push(DEFAULT_ENDPOINT.into());
        }
        let mode = self.socket_mode.unwrap_or(SOCKET_MODE_DEFAULT);
        Listeners::bind(&self.listen, mode, self.transport.clone()).await
    }

    fn start_root(
        self,
        hub: Arc<Hub>,
        terms: LeaseTerms,
        listeners: Listeners,
        store: Store,
        trusted: Option<Duration>,
    ) -> Result<Node, StartError> {
        let addresses = listeners.addresses().to_vec();
        let address = listeners.tcp();
        let epoch = store.epoch();
        hub.set_epoch(epoch);
        let role = Role::Root {
            epoch,
            grace: false,
        };
        let mut settings = self.settings(&hub);
        settings.owner = settings
            .owner
            .with_try_limit(TRY_LIMIT.min(terms.length() / 8));
        let domain = domain(&hub, settings, role, &self.types);
        if store.has_past() {
            domain.doubt_values();
        }
        let config = CreditorConfig {
            claimed: trusted.unwrap_or_default().max(terms.length()),
            ..self.creditor_config(&hub, terms, u64::from(epoch))
        };
        let (view, me) = only_member(&hub, terms, &addresses, epoch, trusted.is_none())?;
        let lender = Lender::new(me, &domain).after_lease(trusted.unwrap_or_default());
        let place = Place::Root { store, lender };
        let server = Server::new(Arc::clone(&hub), config, place, self.limits);
        // Nobody else can become the root.
        server.on_good_until(Time::from_nanos(u64::MAX));
        let _ = server.adopt(&view);
        tokio::spawn(Arc::clone(&server).listen(listeners));
        tokio::spawn(Arc::clone(&server).run_lender());
        spawn_keeper(&server);
        Ok(Node {
            domain,
            hub,
            server: Some(server),
            address,
            addresses,
            phase: None,
            #[cfg(feature = "etcd")]
            member: None,
        })
    }

    /// A member of a cluster.
    #[cfg(feature = "etcd")]
    async fn start_member(
        self,
        name: String,
        terms: LeaseTerms,
        listeners: Listeners,
        etcd: EtcdConfig,
    ) -> Result<Node, StartError> {
        let addresses = listeners.addresses().to_vec();
        let address = listeners.tcp();
        let anchor = match self.data_dir.clone() {
            Some(dir) => {
                let opened = tokio::task::spawn_blocking(move || Anchor::open(&dir)).await;
                Some(Arc::new(opened.map_err(std::io::Error::other)??))
            }
            None => None,
        };
        let hub = Hub::new(&name);
        hub.desk.set_rules(Arc::new(self.rules.clone()));
        hub.desk.set_knows_callers(self.transport.knows_callers());
        self.transport.keep_fresh(&hub.ended);
        let domain = domain(&hub, self.settings(&hub), Role::Debtor, &self.types);
        let coordinator = format!("etcd at {}", etcd.endpoints().join(","));
        let record = NodeRecord {
            name: name.clone().into_bytes(),
            address: self.advertise.clone().unwrap_or_else(|| first(&addresses)),
            weight: self.weight.unwrap_or(1),
            lease: terms,
        };
        let (handle, states) = EtcdCoordinator::start(etcd.clone(), record)?;
        tokio::spawn(tell(etcd, states.clone(), Arc::clone(&hub.desk)));
        let (roster, phase) =
            Roster::new(Arc::clone(&hub), self.transport.clone(), Vec::new(), None);
        let plan = Plan {
            name,
            terms,
            types: self.types.clone(),
            window: Window {
                items: self.window_items.unwrap_or(WINDOW.items),
                ..WINDOW
            },
            resources_max: self.resources_max,
            session_resources_max: self.session_resources_max,
            value_bytes_max: self.value_bytes_max,
            try_limit: TRY_LIMIT.min(terms.length() / 8),
            limits: self.limits,
            coordinator,
            anchor,
        };
        let member = Member::new(plan, Arc::clone(&roster), handle, states);
        tokio::spawn(roster.run());
        tokio::spawn(Arc::clone(&member).run());
        tokio::spawn(house::keep(Arc::clone(&hub), || {}));
        let (stopping, present) = (hub.stopping.clone(), Arc::clone(&member));
        tokio::spawn(async move {
            accept(listeners, &stopping, || present.server()).await;
        });
        Ok(Node {
            domain,
            hub,
            server: None,
            address,
            addresses,
            phase: Some(phase),
            member: Some(member),
        })
    }

    /// A node that borrows what it lends.
    fn start_middle(
        self,
        hub: Arc<Hub>,
        terms: LeaseTerms,
        listeners: Listeners,
    ) -> Result<Node, StartError> {
        let addresses = listeners.addresses().to_vec();
        let address = listeners.tcp();
        let domain = domain(&hub, self.settings(&hub), Role::Debtor, &self.types);
        // Of this run alone: what it lends ends with it.
        let config = self.creditor_config(&hub, terms, hub.party.boot.0);
        let place = Place::Middle {
            creditor: self.creditors.join(","),
        };
        let server = Server::new(Arc::clone(&hub), config, place, self.limits);
        let below = Some(Arc::clone(&server));
        let (roster, phase) = Roster::new(Arc::clone(&hub), self.transport, self.creditors, below);
        tokio::spawn(roster.run());
        tokio::spawn(Arc::clone(&server).listen(listeners));
        spawn_keeper(&server);
        Ok(Node {
            domain,
            hub,
            server: Some(server),
            address,
            addresses,
            phase: Some(phase),
            #[cfg(feature = "etcd")]
            member: None,
        })
    }

    fn settings(&self, hub: &Hub) -> DomainSettings {
        let mut settings = domain_settings(hub);
        settings.resources_max = self.resources_max.unwrap_or(settings.resources_max);
        settings.debtor_resources_max = self
            .session_resources_max
            .unwrap_or(settings.debtor_resources_max);
        let owner = &mut settings.owner;
        owner.value_bytes_max = self.value_bytes_max.unwrap_or(owner.value_bytes_max);
        settings
    }

    fn creditor_config(&self, hub: &Hub, terms: LeaseTerms, reg: u64) -> CreditorConfig {
        CreditorConfig {
            name: hub.name.clone().into_bytes(),
            boot: hub.party.boot,
            reg,
            terms,
            claimed: terms.length(),
            window: Window {
                items: self.window_items.unwrap_or(WINDOW.items),
                ..WINDOW
            },
        }
    }
}

/// The server's timer.
fn spawn_keeper(server: &Arc<Server>) {
    let keeper = Arc::clone(server);
    let hub = Arc::clone(&server.hub);
    tokio::spawn(house::keep(hub, move || keeper.now_and_then()));
}

/// The view of a server that is the only member, and what it is in it. If it is the first there is, nobody can trust
/// anything from before.
fn only_member(
    hub: &Hub,
    terms: LeaseTerms,
    addresses: &[Address],
    epoch: u32,
    is_first: bool,
) -> Result<(Arc<View>, RootId), StartError> {
    let member = view::Member {
        name: hub.name.clone().into_bytes(),
        reg: u64::from(epoch),
        address: first(addresses),
        state: MemberState::Full,
        weight: 1,
    };
    let me = member.id();
    let view = View::new(epoch, terms.length(), vec![member]).map_err(std::io::Error::other)?;
    let founded = if is_first { epoch } else { 0 };
    Ok((Arc::new(view.founded_in(founded)), me))
}

/// Where others reach it, unless it says otherwise: by TCP, if that can be.
fn first(addresses: &[Address]) -> String {
    let tcp = |address: &&Address| matches!(address, Address::Tcp(_));
    let best = addresses.iter().find(tcp).or_else(|| addresses.first());
    best.map_or_else(String::new, Address::to_string)
}
