//! A client: it borrows from a server, and caches what it borrowed.

use std::time::Duration;

use rm_core::front::{Domain, Totals};
use rm_core::inspect::{Answer, Query};
use rm_rwlock::RwLock;

use crate::error::{ConnectError, InspectError};

/// A connection to a server, and the locks taken over it. Cheap to clone.
///
/// When the last clone is dropped, the client says goodbye, and the server takes back at once what it had.
#[derive(Clone, Debug)]
pub struct Client {
    domain: Domain,
}

/// How a client is to connect.
#[derive(Clone, Debug)]
pub struct ClientBuilder {}

impl Client {
    /// Connects to the server at `endpoint`, such as `127.0.0.1:7600`, under a name made of host and process.
    ///
    /// # Errors
    /// Where no server answers within 5 s, or it refuses.
    pub async fn connect(endpoint: &str) -> Result<Self, ConnectError> {
        Self::builder().endpoint(endpoint).connect().await
    }

    /// A client with a name, several endpoints or other types.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder {}
    }

    /// The lock called `name`. A bad name shows at the first request.
    #[must_use]
    pub fn rw_lock(&self, name: impl AsRef<[u8]>) -> RwLock {
        RwLock::new(&self.domain, name)
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

    /// Asks the server something. Read-only. Cancel safe.
    ///
    /// # Errors
    /// Where there is no connection, or no answer within 5 s.
    pub async fn inspect(&self, query: Query) -> Result<Answer, InspectError> {
        let _ = query;
        Err(InspectError::Unavailable)
    }

    /// Whether there is a session with the server at the moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        false
    }

    /// The name under which the server knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        ""
    }

    /// The lease length `L`, as the server says.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::ZERO
    }

    /// Says goodbye and waits, at most a second, until the server has heard it: everything goes back at once.
    /// Guards that are still there are lost. Cancel safe: the goodbye is said anyway.
    pub async fn close(&self) {}
}

impl ClientBuilder {
    /// The name under which the server and people know this client: 1 to 255 bytes.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        let _ = name.into();
        self
    }

    /// One more address of a server, such as `127.0.0.1:7600`; they are tried in turn.
    #[must_use]
    pub fn endpoint(self, endpoint: impl Into<String>) -> Self {
        let _ = endpoint.into();
        self
    }

    /// How long [`connect`](Self::connect) tries. 5 s by default.
    #[must_use]
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        let _ = timeout;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// Where no server answers in time, or it refuses.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        Err(ConnectError::Closed)
    }
}
