//! What the tests over real sockets share: a server on a port that the system picks, peers that write bytes by
//! hand, and clients that must not notice any of it.
//!
//! Nothing here sleeps for a guess: everything waits on its condition, and gives up loudly after [`PATIENCE`].

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod process;
pub(crate) mod proxy;

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use rm_core::credit::Opaque;
use rm_core::front::Domain;
use rm_core::id::{Boot, Class, LoanId, NodeId, Order, Party, ResourceKey, Stamp, TypeId, Version};
use rm_core::message::{Grant, Message, Steps, Want};
use rm_core::session::Ticket;
use rm_core::session::packet::{Body, Hello, Item, Packet, RefuseCode, WIRE_VERSION, Welcome};
use rm_core::time::Time;
use rm_net::clock::{BootClock, stamp_now};
use rm_net::frame::PacketCodec;
use rm_net::{Client, Node, NodeBuilder};
use rm_rwlock::{RwCredit, RwLock};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::codec::{Decoder as _, Encoder as _};

/// Whatever is waited for comes within this, or never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How often a condition is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(2);
/// The type of RW locks.
pub(crate) const RW: TypeId = TypeId(1);

/// Waits on a condition.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(LOOK).await;
        }
    };
    within(what, wait).await;
}

/// The clock that leases rest on.
pub(crate) fn now() -> Time {
    BootClock::new().now()
}

/// What `future` comes to, or a failed test.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"))
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// From now on panics of the runtime's threads are counted; a test's own panic is on the test's thread.
pub(crate) fn count_panics() {
    static IS_SET: AtomicBool = AtomicBool::new(false);
    if IS_SET.swap(true, Ordering::SeqCst) {
        return;
    }
    let former = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        if thread.name().is_some_and(|name| name.starts_with("tokio")) {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        former(info);
    }));
}

/// Fails where a task has panicked.
pub(crate) fn assert_no_panics() {
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "a task has panicked");
}

/// A server, and its directory.
pub(crate) struct Cluster {
    pub(crate) server: Node,
    pub(crate) endpoint: String,
    pub(crate) dir: TempDir,
}

impl Cluster {
    pub(crate) async fn new(lease: Duration) -> Self {
        Self::with(lease, |builder| builder).await
    }

    pub(crate) async fn with(
        lease: Duration,
        more: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Self {
        count_panics();
        let dir = tempfile::tempdir().expect("a directory");
        let builder = Node::builder()
            .name("server")
            .listen("127.0.0.1:0")
            .data_dir(dir.path())
            .lease(lease);
        let server = more(builder).start().await.expect("started");
        let endpoint = server.local_addr().expect("it listens").to_string();
        Self {
            server,
            endpoint,
            dir,
        }
    }

    pub(crate) async fn client(&self, name: &str) -> Client {
        connect(&self.endpoint, name).await
    }

    /// A connection on which nothing has been said.
    pub(crate) async fn raw(&self) -> Raw {
        Raw::connect(&self.endpoint).await
    }

    /// A session that has said nothing but hello.
    pub(crate) async fn session(&self, name: &[u8]) -> Raw {
        let mut raw = self.raw().await;
        raw.say(Body::Hello(hello(name))).await;
        assert!(matches!(raw.hear().await, Some(Body::Welcome(_))));
        raw
    }

    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Node) -> bool) {
        until(what, || condition(&self.server)).await;
    }

    /// Waits until nothing of anybody is left, as it must be when all leases have run out.
    pub(crate) async fn assert_nothing_is_left(&self) {
        self.until("nothing is left behind", |server| {
            let totals = server.totals();
            let status = server.status();
            (
                totals.resources,
                totals.loans,
                totals.waiting,
                status.sessions,
            ) == (0, 0, 0, 0)
        })
        .await;
        assert_no_panics();
    }
}

pub(crate) async fn connect(endpoint: &str, name: &str) -> Client {
    let client = Client::builder().name(name).endpoint(endpoint);
    client.connect().await.expect("connected")
}

/// For servers that meet hostile peers.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// Whoever connects has so long to say hello.
pub(crate) const HELLO_PATIENCE: Duration = Duration::from_millis(500);
/// How many resources the server takes.
pub(crate) const RESOURCES_MAX: usize = 100;
/// How many messages the server keeps for a peer that does not acknowledge them.
pub(crate) const WINDOW_ITEMS: usize = 8_192;
/// Two good clients take turns while `f` does its worst, and afterwards; then nothing is left.
pub(crate) async fn undisturbed(f: impl AsyncFnOnce(&Cluster)) {
    let cluster = Cluster::with(LEASE, |builder| {
        builder
            .hello_patience(HELLO_PATIENCE)
            .resources_max(RESOURCES_MAX)
            .window_items(WINDOW_ITEMS)
    })
    .await;
    let good = Bystanders::of(&cluster).await;
    f(&cluster).await;
    good.end().await;
    cluster.assert_nothing_is_left().await;
}

/// Two clients that take one lock from each other for as long as the test runs: each turn needs the server.
pub(crate) struct Bystanders {
    turns: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
    clients: Vec<Client>,
    server: Node,
}

impl Bystanders {
    pub(crate) async fn of(cluster: &Cluster) -> Self {
        let (turns, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (mut tasks, mut clients) = (Vec::new(), Vec::new());
        for name in ["good-1", "good-2"] {
            let client = cluster.client(name).await;
            clients.push(client.clone());
            let (turns, is_over) = (Arc::clone(&turns), Arc::clone(&is_over));
            tasks.push(tokio::spawn(async move {
                let lock = client.rw_lock("undisturbed");
                while !is_over.load(Ordering::SeqCst) {
                    let guard = lock.write().await.expect("granted");
                    assert!(guard.is_valid(), "a good client's guard is lost");
                    turns.fetch_add(1, Ordering::SeqCst);
                    drop(guard);
                    tokio::task::yield_now().await;
                }
                client.close().await;
            }));
        }
        let bystanders = Self {
            turns,
            is_over,
            tasks,
            clients,
            server: cluster.server.clone(),
        };
        bystanders.assert_progress().await;
        bystanders
    }

    /// They still take turns.
    pub(crate) async fn assert_progress(&self) {
        let before = self.turns.load(Ordering::SeqCst);
        let enough = async {
            while self.turns.load(Ordering::SeqCst) < before + 20 {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(PATIENCE, enough).await.is_err() {
            let turns = self.turns.load(Ordering::SeqCst);
            panic!(
                "never: the good clients take turns (they took {turns}, of which {before} before)\n{}",
                self.state()
            );
        }
    }

    /// Who is connected, and what everybody's book says: for whoever must find out why they stand still.
    fn state(&self) -> String {
        let book = |domain: &Domain| {
            let lock = RwLock::new(domain, "undisturbed");
            let resource = lock.resource().expect("a name");
            resource.with_owner(|owner| format!("{owner:#?}"))
        };
        let mut state = format!("server: {:#?}\n", self.server.status());
        state += &book(self.server.domain());
        for client in &self.clients {
            let (name, is_connected) = (client.name(), client.is_connected());
            state += &format!("\n{name}, connected: {is_connected}\n");
            state += &book(client.domain());
        }
        state
    }

    /// They took turns to the end, and say goodbye.
    pub(crate) async fn end(mut self) {
        self.assert_progress().await;
        self.is_over.store(true, Ordering::SeqCst);
        for task in &mut self.tasks {
            match tokio::time::timeout(PATIENCE, task).await {
                Ok(ended) => ended.expect("no panic"),
                Err(_) => panic!("never: a good client ends\n{}", self.state()),
            }
        }
    }
}

/// One end of a connection, written by hand.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    codec: PacketCodec,
    input: BytesMut,
    /// What goes into the head of each packet.
    pub(crate) stamp: Stamp,
}

impl Raw {
    pub(crate) async fn connect(endpoint: &str) -> Self {
        Self::over(TcpStream::connect(endpoint).await.expect("connected"))
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        let mut codec = PacketCodec::new();
        codec.on_session();
        Self {
            stream,
            codec,
            input: BytesMut::new(),
            stamp: Stamp(stamp_now().as_nanos()),
        }
    }

    /// Writes as much as is taken: the other side may close at any byte.
    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        let _ = within("the bytes are taken", self.stream.write_all(bytes)).await;
    }

    pub(crate) async fn say(&mut self, body: Body) {
        let bytes = self.packet(body);
        self.bytes(&bytes).await;
    }

    pub(crate) fn packet(&mut self, body: Body) -> BytesMut {
        let packet = Packet {
            epoch: 0,
            stamp: self.stamp,
            body,
        };
        let mut bytes = BytesMut::new();
        self.codec.encode(&packet, &mut bytes).expect("encoded");
        bytes
    }

    /// Items from number `first` on.
    pub(crate) async fn items(&mut self, first: u64, items: Vec<Item>) {
        let ack = 0;
        self.say(Body::Data { ack, first, items }).await;
    }

    /// The next packet; `None` at the end of the connection.
    pub(crate) async fn hear(&mut self) -> Option<Body> {
        within("a packet or the end", async {
            loop {
                if let Some(packet) = self.codec.decode(&mut self.input).expect("a packet") {
                    return Some(packet.body);
                }
                match self.stream.read_buf(&mut self.input).await {
                    Ok(0) => return None,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .await
    }

    /// The first packet that `f` makes something of.
    pub(crate) async fn hear_until<R>(
        &mut self,
        what: &str,
        mut f: impl FnMut(Body) -> Option<R>,
    ) -> R {
        loop {
            let body = self.hear().await;
            let body = body.unwrap_or_else(|| panic!("the connection ended before {what}"));
            if let Some(found) = f(body) {
                return found;
            }
        }
    }

    /// The first item that `f` makes something of.
    pub(crate) async fn hear_item<R>(
        &mut self,
        what: &str,
        mut f: impl FnMut(&Message<Opaque>) -> Option<R>,
    ) -> R {
        self.hear_until(what, |body| match body {
            Body::Data { items, .. } => items.iter().find_map(|item| f(&item.message)),
            _ => None,
        })
        .await
    }

    /// Waits for the end of the connection, and returns the refusal that came before.
    pub(crate) async fn refusal(&mut self) -> (RefuseCode, String) {
        let mut refusal = None;
        while let Some(body) = self.hear().await {
            if let Body::Refuse { code, text } = body {
                refusal = Some((code, text));
            }
        }
        refusal.expect("a refusal before the end")
    }

    /// Waits for the end of the connection, whatever comes before.
    pub(crate) async fn end(&mut self) {
        while self.hear().await.is_some() {}
    }
}

pub(crate) fn hello(name: &[u8]) -> Hello {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut ticket = Ticket::default();
    ticket.0[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::SeqCst).to_be_bytes());
    Hello {
        version: WIRE_VERSION,
        name: name.to_vec(),
        boot: ticket.boot(),
        ticket,
        session: 1,
        reg: 0,
        next_expected: 1,
    }
}

pub(crate) fn welcome(lease: Duration) -> Body {
    Body::Welcome(Welcome {
        version: WIRE_VERSION,
        name: b"false".to_vec(),
        boot: Boot(1),
        reg: 1,
        next_expected: 1,
        lease,
    })
}

pub(crate) fn item(key: &[u8], message: Message<Opaque>) -> Item {
    Item {
        type_id: RW,
        let_go: None,
        key: ResourceKey::new(key).expect("a name"),
        message,
    }
}

pub(crate) fn credit(shares: u64, intent: u64) -> Opaque {
    Opaque::of(&RwCredit { shares, intent })
}

/// All of a lock.
pub(crate) fn all() -> Opaque {
    credit(rm_rwlock::credit::SHARES, 1)
}

/// The order of request number `seq` of a peer by hand.
pub(crate) fn order(seq: u64) -> Order {
    Order {
        class: Class::New,
        stamp: Stamp(stamp_now().as_nanos()),
        party: Party {
            node: NodeId::of_name(b"raw"),
            boot: Boot(1),
        },
        seq,
    }
}

pub(crate) fn want(seq: u64, level: Opaque) -> Message<Opaque> {
    Message::Want(Want {
        order: order(seq),
        version: Version(seq),
        level,
        try_only: false,
        deadline: None,
        note: None,
    })
}

pub(crate) fn grant(want: &Want<Opaque>, delta: Opaque, fence: u64, limit: u64) -> Message<Opaque> {
    Message::Grant(Grant {
        loan: LoanId {
            epoch: 1,
            counter: 1,
        },
        order: want.order,
        version: want.version,
        delta,
        steps: Steps::new(),
        fence,
        limit,
        value: None,
        colour: None,
    })
}

pub(crate) fn give_back(delta: Opaque) -> Message<Opaque> {
    let loan = LoanId {
        epoch: 1,
        counter: 1,
    };
    Message::Return {
        loan,
        delta,
        fence: 0,
        value: None,
        colour: None,
    }
}

/// The text of an error.
pub(crate) fn text<T: Debug, E: std::error::Error>(result: Result<T, E>) -> String {
    result.expect_err("an error").to_string()
}
