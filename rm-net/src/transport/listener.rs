//! Sockets that are listened on, and what becomes of a call until it can say hello.
//!
//! All sockets of a server are one: whoever accepts takes the next call from any of them, in turn, so that a flood on
//! one does not starve another. What takes time, the handshake, is the business of the call's own task.

use std::fmt::{self, Display, Formatter};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
#[cfg(feature = "tls")]
use std::time::Duration;

use rm_core::access::Identity;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
#[cfg(feature = "tls")]
use tokio::sync::Semaphore;

use super::unix::{self, SocketFile};
use super::{Address, Stream, Transport};
use crate::error::StartError;

/// Addresses that one server listens on.
pub(crate) const LISTENERS_MAX: usize = 16;

/// TLS handshakes under way at once, each some tens of KiB of memory: a few hundred MiB at most. Later ones wait, within the
/// time in which a caller has to say hello.
#[cfg(feature = "tls")]
pub(crate) const HANDSHAKES_MAX: usize = 8_192;

/// From its turn on a handshake has so long, so that who only begins one soon makes room. So many have to fit into it as
/// come at once when a server is back; with less, they would all fail and come again.
#[cfg(feature = "tls")]
const HANDSHAKE_TIME: Duration = Duration::from_millis(2_500);

#[cfg(feature = "tls")]
static HANDSHAKES: Semaphore = Semaphore::const_new(HANDSHAKES_MAX);

/// All that a server listens on.
#[derive(Debug)]
pub(crate) struct Listeners {
    sockets: Vec<Listener>,
    addresses: Vec<Address>,
    /// Whose turn it is.
    turn: AtomicUsize,
    #[cfg(feature = "tls")]
    transport: Transport,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    /// With its file, if it has one.
    Unix {
        socket: UnixListener,
        /// Unless its name is abstract. Removed with it.
        _file: Option<SocketFile>,
    },
}

/// Somebody who called, and was not spoken with yet.
#[derive(Debug)]
pub(crate) struct Caller {
    socket: Socket,
    from: Origin,
    #[cfg(feature = "tls")]
    transport: Transport,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Where a call came from, for people.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Tcp(SocketAddr),
    Unix,
}

/// Why nothing can be said to a caller, or nothing but that.
#[derive(Debug)]
pub(crate) struct Unopened {
    pub(crate) why: String,
    /// Where it is understood if it is said.
    pub(crate) stream: Option<Stream>,
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("a process of this machine"),
        }
    }
}

impl Listeners {
    /// Listens on all of them.
    ///
    /// # Errors
    /// Where one of them is no address, cannot be listened on, or would let strangers in.
    pub(crate) async fn bind(
        texts: &[String],
        mode: u32,
        transport: Transport,
    ) -> Result<Self, StartError> {
        if texts.len() > LISTENERS_MAX {
            let most = LISTENERS_MAX;
            return Err(StartError::TooManyListeners { most });
        }
        let (mut sockets, mut addresses) = (Vec::new(), Vec::new());
        for text in texts {
            let address: Address = text.parse()?;
            let bound = bind(&address, mode, &transport).await;
            let socket = bound.map_err(|refused| match refused {
                Refused::System(source) => StartError::Listen {
                    address: text.clone(),
                    source,
                },
                Refused::Strangers => StartError::Insecure {
                    address: text.clone(),
                },
            })?;
            addresses.push(match &socket {
                Listener::Tcp(socket) => socket.local_addr()?.into(),
                Listener::Unix { .. } => address,
            });
            sockets.push(socket);
        }
        Ok(Self {
            sockets,
            addresses,
            turn: AtomicUsize::new(0),
            #[cfg(feature = "tls")]
            transport,
        })
    }

    /// What it listens on: ports are known by now.
    pub(crate) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The first that is TCP.
    pub(crate) fn tcp(&self) -> Option<SocketAddr> {
        self.sockets.iter().find_map(|socket| match socket {
            Listener::Tcp(socket) => socket.local_addr().ok(),
            Listener::Unix { .. } => None,
        })
    }

    /// Waits for the next call. Cancel safe.
    pub(crate) async fn accept(&self) -> io::Result<Caller> {
        let (socket, from) = poll_fn(|cx| self.poll_accept(cx)).await?;
        Ok(Caller {
            socket,
            from,
            #[cfg(feature = "tls")]
            transport: self.transport.clone(),
        })
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, Origin)>> {
        // Relaxed: only fairness rests on it.
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        for index in 0..self.sockets.len() {
            let accepted = match &self.sockets[first.wrapping_add(index) % self.sockets.len()] {
                Listener::Tcp(socket) => socket
                    .poll_accept(cx)
                    .map_ok(|(stream, from)| (Socket::Tcp(stream), Origin::Tcp(from))),
                Listener::Unix { socket, .. } => socket
                    .poll_accept(cx)
                    .map_ok(|(stream, _)| (Socket::Unix(stream), Origin::Unix)),
            };
            if accepted.is_ready() {
                return accepted;
            }
        }
        Poll::Pending
    }
}

impl Caller {
    pub(crate) fn from(&self) -> Origin {
        self.from.clone()
    }

    /// Until packets can be read: the handshake, where there is one. Says who it is, as far as that was proved. How
    /// long that may take is for whoever asks to say.
    pub(crate) async fn open(self) -> Result<(Stream, Identity), Unopened> {
        let failed = |error: io::Error| Unopened {
            why: error.to_string(),
            stream: None,
        };
        match self.socket {
            Socket::Unix(stream) => {
                let identity = unix::identity(&stream).map_err(failed)?;
                Ok((Stream::Unix(stream), identity))
            }
            #[cfg(feature = "tls")]
            Socket::Tcp(stream) if self.transport.answers_by_tls() => {
                open_tls(stream, &self.transport).await
            }
            Socket::Tcp(stream) => Ok((Stream::tcp(stream), Identity::anonymous())),
        }
    }
}

#[cfg(feature = "tls")]
async fn open_tls(
    stream: TcpStream,
    transport: &Transport,
) -> Result<(Stream, Identity), Unopened> {
    let unopened = |why: String| Unopened { why, stream: None };
    let _ = stream.set_nodelay(true);
    // Before anything is set aside for it.
    let mut first = [0];
    let peeked = stream.peek(&mut first).await;
    match peeked.map_err(|error| unopened(error.to_string()))? {
        0 => return Err(unopened("the connection ended before a handshake".into())),
        // The length of a hello is below 2^24, and no record of TLS starts so.
        _ if first[0] == 0 => {
            let why = "this port speaks TLS: give the authority that signs its certificate with --tls-ca, and a certificate with --tls-cert and --tls-key";
            return Err(Unopened {
                why: why.into(),
                stream: Some(Stream::tcp(stream)),
            });
        }
        _ => {}
    }
    let permit = HANDSHAKES.acquire().await;
    let answered = tokio::time::timeout(HANDSHAKE_TIME, transport.answer(stream)).await;
    drop(permit);
    let late = |_| unopened("the handshake took too long".into());
    let (stream, identity) = answered.map_err(late)?.map_err(unopened)?;
    Ok((Stream::Tls(Box::new(stream)), identity))
}

/// Why an address is not listened on.
enum Refused {
    /// Others could reach it, and nobody would have to prove who it is.
    Strangers,
    System(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

async fn bind(address: &Address, mode: u32, transport: &Transport) -> Result<Listener, Refused> {
    match address {
        Address::Tcp(address) => {
            let mut last = None;
            for socket in tokio::net::lookup_host(address.as_str()).await? {
                let is_local = socket.ip().to_canonical().is_loopback();
                if !is_local && !transport.knows_callers() && !transport.trusts_network() {
                    return Err(Refused::Strangers);
                }
                match TcpListener::bind(socket).await {
                    Ok(listener) => return Ok(Listener::Tcp(listener)),
                    Err(error) => last = Some(error),
                }
            }
            let none = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
            Err(Refused::System(last.unwrap_or_else(none)))
        }
        Address::Unix(path) => {
            let (socket, file) = unix::listen(path, mode).await?;
            let _file = Some(file);
            Ok(Listener::Unix { socket, _file })
        }
        Address::Abstract(name) => {
            let (socket, _file) = (unix::listen_abstract(name)?, None);
            Ok(Listener::Unix { socket, _file })
        }
    }
}
