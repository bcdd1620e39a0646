//! How bytes get from one process to another: plain TCP, TLS over TCP, or a Unix socket.
//!
//! ```text
//! address   where a server is, as text
//! stream    one connection, whatever it is made of; written and read without waiting, from any thread
//! listener  sockets that are listened on; who calls, and as whom
//! unix      the files of Unix sockets: their mode, and whose they are
//! tls       certificates, handshakes, records; what is wrong with whose certificate, in a sentence
//! ```
//!
//! **Who may be spoken to.** Plain text stays on this machine: TCP to loopback addresses, and Unix sockets. To other
//! machines only TLS is spoken, unless the caller says that the network itself is trusted ([`Transport::insecure`]). Where
//! authorities are configured, every TCP connection is TLS: there is no falling back to plain text.
//!
//! **Who is there.** A client's certificate makes it somebody ([`Identity`]), and so does the user id that the kernel tells
//! of the other end of a Unix socket. Everybody else is anonymous.
//!
//! **Bounds.** A handshake is part of the time in which a caller has to say hello. Nothing is set aside for a
//! handshake before its first byte has come, and no more than 1,024 are under way.
//!
//! [`Identity`]: rm_core::access::Identity

use std::io;

use thiserror::Error;
use tokio::net::{TcpStream, UnixStream};

use crate::error::ConnectError;

mod address;
mod listener;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod unix;

pub use self::address::{Address, AddressError, HostPort, UNIX_PATH_BYTES_MAX};
pub(crate) use self::listener::{Caller, Listeners, Unopened};
pub(crate) use self::stream::Stream;
#[cfg(feature = "tls")]
pub use self::tls::{CertificateRole, CertificateView, TlsConfig, TlsError, TlsFiles};
pub use self::unix::SOCKET_MODE_DEFAULT;

/// How connections are made and accepted. By default in plain text, and on this machine alone.
///
/// ```no_run
/// use rm_net::{TlsConfig, TlsFiles, Transport};
///
/// let files = TlsFiles::default().ca("ca.pem").identity("web-1.pem", "web-1.key");
/// let transport = Transport::default().tls(TlsConfig::load(files)?);
/// # Ok::<(), rm_net::TlsError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Transport {
    #[cfg(feature = "tls")]
    tls: Option<TlsConfig>,
    plain: Plain,
}

/// Where plain text may be spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Plain {
    /// Where it does not leave the machine.
    #[default]
    Local,
    Anywhere,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum DialError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(
        "it is on another machine, and plain text is neither encrypted nor authenticated: configure TLS (--tls-ca), or say that the network itself is trusted (--insecure)"
    )]
    Plain,
    #[error(transparent)]
    System(#[from] io::Error),
    #[cfg(feature = "tls")]
    #[error("{0}")]
    Tls(String),
}

impl DialError {
    /// What a caller is told where trying again at once is of no use.
    pub(crate) fn decided(&self, endpoint: &str) -> Option<ConnectError> {
        let endpoint = endpoint.to_owned();
        match self {
            Self::Address(error) => Some(ConnectError::BadEndpoint(error.clone())),
            Self::Plain => Some(ConnectError::Insecure { endpoint }),
            Self::System(_) => None,
            #[cfg(feature = "tls")]
            Self::Tls(why) => {
                let why = why.clone();
                Some(ConnectError::Tls { endpoint, why })
            }
        }
    }
}

/// What is wrong with a TLS connection, if that is what the error says.
pub(crate) fn problem(error: &io::Error) -> Option<String> {
    #[cfg(feature = "tls")]
    {
        let inner = error.get_ref()?.downcast_ref::<tls::TlsProblem>()?;
        Some(inner.0.clone())
    }
    #[cfg(not(feature = "tls"))]
    {
        let _ = error;
        None
    }
}

impl Transport {
    /// Speaks TLS over TCP: to servers if there are authorities, with callers if there is a certificate.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// Speaks plain text also with other machines, where there is no TLS. Whoever is on the way can read and change
    /// everything, and whoever reaches a server can take any lock: for networks that are trusted themselves.
    #[must_use]
    pub const fn insecure(mut self) -> Self {
        self.plain = Plain::Anywhere;
        self
    }

    /// Its certificates and authorities.
    #[cfg(feature = "tls")]
    #[must_use]
    pub const fn tls_config(&self) -> Option<&TlsConfig> {
        self.tls.as_ref()
    }

    /// Connects. Cancel safe. How long that may take is for the caller to say.
    pub(crate) async fn dial(&self, endpoint: &str) -> Result<Stream, DialError> {
        match endpoint.parse()? {
            Address::Tcp(address) => self.dial_tcp(&address).await,
            Address::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
            Address::Abstract(name) => Ok(Stream::Unix(
                UnixStream::connect(unix::abstract_path(&name)).await?,
            )),
        }
    }

    async fn dial_tcp(&self, address: &HostPort) -> Result<Stream, DialError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls
            && let Some(client) = tls.client()
        {
            let stream = TcpStream::connect(address.as_str()).await?;
            let _ = stream.set_nodelay(true);
            let stream = tls.call(client, stream, address.host()).await?;
            return Ok(Stream::Tls(Box::new(stream)));
        }
        if self.plain == Plain::Anywhere {
            return Ok(Stream::tcp(TcpStream::connect(address.as_str()).await?));
        }
        let mut last = None;
        for socket in tokio::net::lookup_host(address.as_str()).await? {
            if !socket.ip().to_canonical().is_loopback() {
                return Err(DialError::Plain);
            }
            match TcpStream::connect(socket).await {
                Ok(stream) => return Ok(Stream::tcp(stream)),
                Err(error) => last = Some(error),
            }
        }
        Err(last
            .unwrap_or_else(|| io::ErrorKind::NotFound.into())
            .into())
    }

    /// Whether it speaks TLS with whoever calls over TCP.
    #[cfg(feature = "tls")]
    fn answers_by_tls(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.server().is_some())
    }

    /// The handshake with whoever called.
    #[cfg(feature = "tls")]
    async fn answer(
        &self,
        stream: TcpStream,
    ) -> Result<(tls::TlsStream, rm_core::access::Identity), String> {
        match &self.tls {
            Some(tls) => tls.answer(stream).await,
            None => Err("there is no certificate any more".into()),
        }
    }

    /// Takes new certificates from their files whenever these change, until told to stop.
    pub(crate) fn keep_fresh(&self, ended: &tokio_util::sync::CancellationToken) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            tokio::spawn(tls.clone().watch(ended.clone()));
        }
        #[cfg(not(feature = "tls"))]
        let _ = ended;
    }

    /// Whether whoever calls over TCP has to prove who it is.
    pub(crate) fn knows_callers(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.knows_callers();
        }
        false
    }

    /// Whether it may be listened beyond this machine.
    #[cfg(feature = "cli")]
    pub(crate) fn is_open_to_strangers(&self) -> bool {
        self.knows_callers() || self.trusts_network()
    }

    /// Whether plain text, or TLS with whoever calls, is allowed everywhere.
    fn trusts_network(&self) -> bool {
        self.plain == Plain::Anywhere
    }
}
