//! What can go wrong between processes, in sentences that say what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rm_core::id::BadName;
use rm_core::session::packet::RefuseCode;
use thiserror::Error;

use crate::transport::AddressError;

/// Why a node did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The node's name cannot be one.
    #[error("the node's name cannot be used: {0}")]
    BadName(#[from] BadName),
    /// The lease length is outside of what is allowed.
    #[error("a lease of {given:?} cannot be used: choose one between {least:?} and {most:?}")]
    BadLease {
        /// What was asked for.
        given: Duration,
        /// The shortest.
        least: Duration,
        /// The longest.
        most: Duration,
    },
    /// What was given as an address cannot be one.
    #[error(transparent)]
    BadAddress(#[from] AddressError),
    /// Others could reach it, and nobody would have to prove who it is.
    #[error(
        "{address} can be reached from other machines, and whoever reaches it could take any lock: listen on 127.0.0.1, [::1] or a Unix socket; or configure TLS with a certificate and the authorities of clients (--tls-cert, --tls-key, --tls-client-ca); or add --insecure where the network itself is trusted"
    )]
    Insecure {
        /// Which.
        address: String,
    },
    /// Too many to listen on.
    #[error("a server listens on at most {most} addresses: give fewer")]
    TooManyListeners {
        /// How many it may be.
        most: usize,
    },
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; is another server running there? choose another with --listen"
    )]
    Listen {
        /// Which.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// A node that listens needs a directory, and none was given or found.
    #[error(
        "a server needs a directory for its epoch, so that a restart is safe: give one with --data-dir"
    )]
    NoDataDir,
    /// The data directory cannot be used.
    #[error("cannot use the data directory {path}: {source}; make it writable for this user, or choose another with --data-dir", path = path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another server has the data directory.
    #[error("the data directory {path} is in use by another server: stop that one, or choose another with --data-dir", path = path.display())]
    DataDirInUse {
        /// Which.
        path: PathBuf,
    },
    /// The data directory is that of a server that stood alone, and clients may still trust what it lent.
    #[error("the data directory {path} is that of a server that stood alone, and clients may still have its locks: stop that server cleanly first (it says so), or wait until their leases are over and give the member a directory of its own", path = path.display())]
    DataDirStandsAlone {
        /// Which.
        path: PathBuf,
    },
    /// The coordinator cannot be used like that.
    #[cfg(feature = "etcd")]
    #[error(transparent)]
    Coordinator(#[from] crate::coordinator::CoordinatorError),
    /// What others are to be told of this node cannot be.
    #[error("this node cannot be a member like that: {0}")]
    Member(#[from] rm_core::view::BadView),
    /// The file in the data directory is not ours, or damaged.
    #[error("the file {path} in the data directory is damaged: {what}; do not restore an old copy, which would repeat fencing tokens: wait until the leases of all clients are over, then start on an empty directory", path = path.display())]
    DataDamaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Something else of the system.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// Why a client did not connect.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The client's name cannot be one.
    #[error("the client's name cannot be used: {0}")]
    BadName(#[from] BadName),
    /// An endpoint is no address.
    #[error(transparent)]
    BadEndpoint(#[from] AddressError),
    /// The server is on another machine, and there is no TLS.
    #[error(
        "{endpoint} is on another machine, and plain text is neither encrypted nor authenticated: configure TLS (--tls-ca), or say that the network itself is trusted (--insecure)"
    )]
    Insecure {
        /// Which server.
        endpoint: String,
    },
    /// One side does not accept the other's certificate, or does not speak TLS.
    #[error("no secure connection to {endpoint}: {why}")]
    Tls {
        /// Which server.
        endpoint: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// No endpoint could be reached in time.
    #[error("no server answers at {endpoints}: {last}; is it running, and is the address right?")]
    Unreachable {
        /// Which were tried.
        endpoints: String,
        /// What went wrong with the last one.
        last: String,
    },
    /// The server refused.
    #[error("the server at {endpoint} refuses: {text}")]
    Refused {
        /// Which server.
        endpoint: String,
        /// The kind of reason.
        code: RefuseCode,
        /// The reason.
        text: String,
    },
    /// The client was closed.
    #[error("the client was closed")]
    Closed,
}

/// Why a question to a server was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InspectError {
    /// A rule of the server forbids it.
    #[error("not allowed: {text}")]
    NotAllowed {
        /// Which rule, and whom it took this side for.
        text: String,
    },
    /// There is no connection to the server at the moment.
    #[error("no connection to the server: is it running, and is the address right?")]
    Unavailable,
    /// No answer came in time.
    #[error("the server did not answer within {0:?}")]
    Timeout(Duration),
}
