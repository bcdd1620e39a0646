//! Who takes part: a recipe, its server, and clients of it. Behind [`Contestant`], so that they can take turns.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::ALLOCATOR;
use crate::etcd::{Etcd, EtcdExclusive};
use crate::ours::Ours;
use crate::peer::{Modes, Peer};
use crate::postgres::Postgres;
use crate::redis::{Redis, RedisExclusive};
use crate::server::{Data, Product, Server};
use crate::workload::{CLIENTS, Round, Sample, Workload, hold};
use crate::zookeeper::ZooKeeper;

/// What a client keeps is looked at again after this, as long as it gets less: ours packs what rests, bit by bit.
const SETTLE: Duration = Duration::from_secs(2);
/// But not more often than this.
const SETTLING: u32 = 20;

/// A way to lock with a product. The order of the variants is the order of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Recipe {
    Ours,
    Etcd,
    EtcdInMemory,
    EtcdExclusive,
    Redis,
    RedisExclusive,
    ZooKeeper,
    ZooKeeperInMemory,
    Postgres,
}

impl Recipe {
    pub(crate) const ALL: [Self; 9] = [
        Self::Ours,
        Self::Etcd,
        Self::EtcdInMemory,
        Self::EtcdExclusive,
        Self::Redis,
        Self::RedisExclusive,
        Self::ZooKeeper,
        Self::ZooKeeperInMemory,
        Self::Postgres,
    ];

    pub(crate) const fn product(self) -> Product {
        match self {
            Self::Ours => Product::Rmd,
            Self::Etcd | Self::EtcdInMemory | Self::EtcdExclusive => Product::Etcd,
            Self::Redis | Self::RedisExclusive => Product::Redis,
            Self::ZooKeeper | Self::ZooKeeperInMemory => Product::Zookeeper,
            Self::Postgres => Product::Postgres,
        }
    }

    /// Its column.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Etcd => "etcd",
            Self::EtcdInMemory => "etcd, in memory",
            Self::EtcdExclusive => "etcd mutex, in memory",
            Self::Redis => "Redis",
            Self::RedisExclusive => "Redis SET NX",
            Self::ZooKeeper => "ZooKeeper",
            Self::ZooKeeperInMemory => "ZooKeeper, in memory",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// Where its server keeps its files.
    const fn data(self) -> Data {
        match self {
            Self::EtcdInMemory | Self::EtcdExclusive | Self::ZooKeeperInMemory => Data::Memory,
            Self::Ours | Self::Etcd | Self::Redis | Self::RedisExclusive => Data::Disk,
            Self::ZooKeeper | Self::Postgres => Data::Disk,
        }
    }

    pub(crate) const fn modes(self) -> Modes {
        match self {
            Self::EtcdExclusive | Self::RedisExclusive => Modes::WriteOnly,
            Self::Ours | Self::Etcd | Self::EtcdInMemory | Self::Redis => Modes::ReadAndWrite,
            Self::ZooKeeper | Self::ZooKeeperInMemory | Self::Postgres => Modes::ReadAndWrite,
        }
    }

    /// Starts a server and connects clients to it.
    pub(crate) async fn enter(self) -> Result<Box<dyn Contestant>, String> {
        match self {
            Self::Ours => enter(self, async |server| Ours::connect(&server.address()).await).await,
            Self::Etcd | Self::EtcdInMemory => {
                enter(self, async |server| Etcd::connect(&server.address()).await).await
            }
            Self::EtcdExclusive => {
                let connect =
                    async |server: &Server| EtcdExclusive::connect(&server.address()).await;
                enter(self, connect).await
            }
            Self::Redis => enter(self, async |server| Redis::connect(server.port()).await).await,
            Self::RedisExclusive => {
                enter(self, async |server| {
                    RedisExclusive::connect(server.port()).await
                })
                .await
            }
            Self::ZooKeeper | Self::ZooKeeperInMemory => {
                enter(self, async |server| {
                    ZooKeeper::connect(&server.address()).await
                })
                .await
            }
            Self::Postgres => {
                enter(self, async |server| Postgres::connect(server.port()).await).await
            }
        }
    }
}

/// What so many held locks take of memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    pub(crate) locks: usize,
    pub(crate) server: u64,
    pub(crate) client: u64,
    /// What the client still has when it gave all of them back: ours caches.
    pub(crate) kept: u64,
}

impl Footprint {
    pub(crate) fn server_each(self) -> f64 {
        self.server as f64 / self.locks as f64
    }

    pub(crate) fn client_each(self) -> f64 {
        self.client as f64 / self.locks as f64
    }

    pub(crate) fn kept_each(self) -> f64 {
        self.kept as f64 / self.locks as f64
    }
}

type Turn<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + 'a>>;

/// A recipe that takes part.
pub(crate) trait Contestant: fmt::Debug {
    fn recipe(&self) -> Recipe;

    fn server(&self) -> &Server;

    /// One round of a workload that suits it.
    fn run(&self, workload: Workload, round: Round) -> Turn<'_, Sample>;

    /// Takes so many locks, and measures what that took.
    fn hold(&self, locks: usize) -> Turn<'_, Footprint>;
}

#[derive(Debug)]
struct Entrant<P> {
    recipe: Recipe,
    // They say farewell before the server goes.
    clients: Vec<Arc<P>>,
    server: Server,
}

async fn enter<P: Peer>(
    recipe: Recipe,
    connect: impl AsyncFn(&Server) -> Result<P, String>,
) -> Result<Box<dyn Contestant>, String> {
    let (server, first) = Server::start(recipe.product(), recipe.data(), &connect).await?;
    let mut clients = vec![Arc::new(first)];
    while clients.len() < CLIENTS {
        clients.push(Arc::new(connect(&server).await?));
    }
    Ok(Box::new(Entrant {
        recipe,
        clients,
        server,
    }))
}

impl<P: Peer> Contestant for Entrant<P> {
    fn recipe(&self) -> Recipe {
        self.recipe
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn run(&self, workload: Workload, round: Round) -> Turn<'_, Sample> {
        Box::pin(workload.run(&self.clients, round))
    }

    fn hold(&self, locks: usize) -> Turn<'_, Footprint> {
        Box::pin(async move {
            let server = self.server.memory()?;
            let before = ALLOCATOR.allocated();
            let more = || ALLOCATOR.allocated().saturating_sub(before) as u64;
            let (server, client) = hold(&*self.clients[0], locks, || {
                Ok((self.server.memory()?.saturating_sub(server), more()))
            })
            .await?;
            let mut kept = more();
            for _ in 0..SETTLING {
                tokio::time::sleep(SETTLE).await;
                let now = more();
                if mem::replace(&mut kept, now) <= now {
                    break;
                }
            }
            Ok(Footprint {
                locks,
                server,
                client,
                kept,
            })
        })
    }
}
