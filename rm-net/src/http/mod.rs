//! What `rmd` serves over HTTP: a page for people, metrics, health, and what the page is made of as JSON.
//!
//! ```text
//! mod      accepts connections, within limits of number, size and time
//! routes   which path is answered by whom
//! callers  how many connections one address has
//! guard    who may ask: no page of a stranger can, through a browser of this machine
//! query    what stands behind the question mark, byte by byte
//! answers  JSON
//! ready    whether the server lends now, and if not, why
//! front    who stands in whose way
//! metrics  what Prometheus reads; process: of it, what the system tells of this process
//! page.*   the page; it needs nothing from elsewhere
//! ```
//!
//! All of it is read-only but the log filter, which only this machine can change. It decides nothing, and it needs
//! nothing that the locks need: where it is overrun, it refuses, and the server lends on.
//!
//! **Bounds.** [`CONNECTIONS_MAX`] at once, [`OF_ONE_ADDRESS_MAX`] of one address, each for [`CONNECTION_TIME`]; a request has [`HEAD_BYTES_MAX`],
//! [`BODY_BYTES_MAX`] and [`REQUEST_TIME`]; [`QUESTIONS_MAX`] are worked on at a time.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::callers::{Caller, Callers};
use self::metrics::Metrics;
use crate::Node;
use crate::cli::exit::Failure;
use crate::cli::serve::logs::Logs;
use crate::cli::serve::pulse::Pulse;

mod answers;
mod callers;
mod front;
mod guard;
pub(crate) mod metrics;
mod process;
mod query;
mod ready;
mod routes;

/// Connections at once. Later ones wait to be accepted.
const CONNECTIONS_MAX: usize = 256;
/// Connections at once from one address: more are closed at once, so that one caller leaves room for those who look whether the
/// server is alive.
const OF_ONE_ADDRESS_MAX: usize = 64;
/// A connection is closed after so long; who is still there makes another.
const CONNECTION_TIME: Duration = Duration::from_secs(300);
/// What is being said when that time is over is given so long.
const FAREWELL: Duration = Duration::from_secs(5);
/// Whoever connects, or has had an answer, has so long to send the next head.
const HEAD_TIME: Duration = Duration::from_secs(2);
/// The line of a request and its headers.
const HEAD_BYTES_MAX: usize = 16 * 1_024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// What a request brings along.
const BODY_BYTES_MAX: usize = 4 * 1_024;
/// From the head of a request to its answer.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Questions that are worked on at once. The others wait for their turn.
const QUESTIONS_MAX: usize = 8;
/// Where a process has no more descriptors, it tries again after so long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// An address that is listened on; nothing is answered yet.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    metrics: Metrics,
}

impl Listener {
    /// Listens. What comes meanwhile waits until there is a node.
    ///
    /// # Errors
    /// Where the address cannot be had.
    pub(crate) async fn bind(address: &str) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::system(&format!("cannot serve HTTP at {address}"), &error)
                .hint("give another address with --http or RM_HTTP, or stop what listens there")
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        // Before the node starts, so that nothing it counts is missed.
        let metrics = Metrics::install();
        Ok(Self {
            listener,
            address,
            metrics,
        })
    }

    /// Answers, until the [`Page`] is dropped.
    pub(crate) fn serve(self, node: &Node, logs: &Arc<Logs>) -> Page {
        let stopping = CancellationToken::new();
        let house = Arc::new(House {
            node: node.clone(),
            address: self.address,
            logs: Arc::clone(logs),
            metrics: self.metrics,
            pulse: Pulse::of(node),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            is_stopping: AtomicBool::new(false),
        });
        tokio::spawn(accept(self.listener, Arc::clone(&house), stopping.clone()));
        Page {
            house,
            _stop: stopping.drop_guard(),
        }
    }
}

/// What is served. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Page {
    house: Arc<House>,
    _stop: DropGuard,
}

impl Page {
    /// Where.
    pub(crate) fn address(&self) -> SocketAddr {
        self.house.address
    }

    /// The server takes no new work: from now on it says that it is not ready.
    pub(crate) fn note_stopping(&self) {
        // Relaxed: it stands for itself.
        self.house.is_stopping.store(true, Ordering::Relaxed);
    }
}

/// What answers are made of.
#[derive(Debug)]
struct House {
    node: Node,
    address: SocketAddr,
    logs: Arc<Logs>,
    metrics: Metrics,
    pulse: Pulse,
    questions: Arc<Semaphore>,
    is_stopping: AtomicBool,
}

async fn accept(listener: TcpListener, house: Arc<House>, stopping: CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let callers = Arc::default();
    loop {
        let accepted = async {
            let room = Arc::clone(&room).acquire_owned().await;
            (room.expect("it is never closed"), listener.accept().await)
        };
        let (room, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = stopping.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(caller) = Callers::admit(&callers, peer.ip()) else {
                    continue;
                };
                let house = Arc::clone(&house);
                tokio::spawn(converse(
                    stream,
                    peer,
                    house,
                    (room, caller),
                    stopping.clone(),
                ));
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept over HTTP");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// One connection, to its end.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    house: Arc<House>,
    _room: (OwnedSemaphorePermit, Caller),
    stopping: CancellationToken,
) {
    let service = service_fn(move |request| {
        let house = Arc::clone(&house);
        async move { Ok::<_, Infallible>(routes::answer(&house, peer, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "HTTP");
            }
            return;
        }
        () = stopping.cancelled() => {}
        () = tokio::time::sleep(CONNECTION_TIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(FAREWELL, connection).await;
}
