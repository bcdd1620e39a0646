//! What clients do to the server.

use std::time::{Duration, Instant};

use rm_net::Client;
use tokio::runtime::Runtime;

use crate::server::{Server, Side, Usage, stay_on};

/// Tasks of each client that ask at the same time.
const TASKS: u64 = 256;
/// Clients, each with a connection.
const CLIENTS: u64 = 2;

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Many tasks, each reads one lock after the other that nobody has.
    Batched,
    /// Many locks go from one client to the other and back, all at the same time.
    HandOversBatched,
    /// One task reads one lock after the other that nobody has.
    Single,
    /// One lock goes from one client to the other and back.
    HandOvers,
}

/// What a round took.
pub(crate) struct Round {
    pub(crate) operations: u64,
    /// The server's processor.
    pub(crate) server: Duration,
    /// This process's processors.
    pub(crate) client: Duration,
    pub(crate) wall: Duration,
}

/// What the clients run on.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .on_thread_start(|| drop(stay_on(Side::Clients)))
        .enable_all()
        .build()
        .expect("a runtime")
}

impl Work {
    pub(crate) const ALL: [Self; 4] = [
        Self::Batched,
        Self::HandOversBatched,
        Self::Single,
        Self::HandOvers,
    ];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Batched => "first reads of locks, 512 asked for at once by 2 clients",
            Self::HandOversBatched => "writes taken from another client, 256 at once",
            Self::Single => "first reads of locks, one after the other",
            Self::HandOvers => "writes taken from another client, one after the other",
        }
    }

    /// So many make a round.
    pub(crate) const fn operations(self) -> u64 {
        match self {
            Self::Batched => 102_400,
            Self::HandOversBatched => 51_200,
            Self::Single | Self::HandOvers => 5_000,
        }
    }

    /// One round.
    ///
    /// # Errors
    /// Where the server dies, or does not grant.
    pub(crate) async fn run(self, server: &mut Server, operations: u64) -> Result<Round, String> {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let client = Client::connect(&server.address).await;
            clients.push(client.map_err(|error| format!("no session: {error}"))?);
        }
        // What happens once only is not measured.
        self.play(&clients, "before", operations / 20).await?;
        let (before, mine, start) = (server.usage()?.spent, Usage::now().spent, Instant::now());
        let done = self.play(&clients, "measured", operations).await?;
        let round = Round {
            operations: done,
            wall: start.elapsed(),
            client: Usage::now().spent - mine,
            server: server.usage()?.spent - before,
        };
        // First: it is not to see them leave.
        server.end();
        Ok(round)
    }

    /// Returns how many operations were done.
    async fn play(self, clients: &[Client], run: &str, operations: u64) -> Result<u64, String> {
        match self {
            Self::Batched => {
                let tasks = CLIENTS * TASKS;
                let each = operations.div_ceil(tasks);
                let read = |task: u64| {
                    let client = clients[(task % CLIENTS) as usize].clone();
                    let prefix = format!("{run}/{task}");
                    tokio::spawn(read_fresh(client, prefix, each))
                };
                all((0..tasks).map(read).collect()).await?;
                Ok(each * tasks)
            }
            Self::HandOversBatched => {
                let each = operations.div_ceil(TASKS);
                let pass = |task: u64| {
                    let clients = clients.to_vec();
                    tokio::spawn(pass_on(clients, format!("{run}/{task}"), each))
                };
                all((0..TASKS).map(pass).collect()).await?;
                Ok(each * TASKS)
            }
            Self::Single => {
                read_fresh(clients[0].clone(), run.into(), operations).await?;
                Ok(operations)
            }
            Self::HandOvers => {
                pass_on(clients.to_vec(), run.into(), operations).await?;
                Ok(operations)
            }
        }
    }
}

async fn all(tasks: Vec<tokio::task::JoinHandle<Result<(), String>>>) -> Result<(), String> {
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    Ok(())
}

/// Reads locks that nobody has, one after the other.
async fn read_fresh(client: Client, prefix: String, count: u64) -> Result<(), String> {
    for number in 0..count {
        let lock = client.rw_lock(format!("{prefix}/{number}"));
        drop(lock.read().await.map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// Takes one lock from one client by the other, over and over.
async fn pass_on(clients: Vec<Client>, name: String, count: u64) -> Result<(), String> {
    let locks: Vec<_> = clients.iter().map(|client| client.rw_lock(&name)).collect();
    for (_, lock) in (0..count).zip(locks.iter().cycle()) {
        drop(lock.write().await.map_err(|error| error.to_string())?);
    }
    Ok(())
}
