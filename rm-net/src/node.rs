//! A node: the root of resources, in this process alone or as a server for others.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rm_core::front::{Domain, Totals};
use rm_core::inspect::StatusView;
use rm_rwlock::RwLock;

use crate::error::StartError;

/// A node. Cheap to clone; it stops when told to, or when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Node {
    domain: Domain,
}

/// How a node is to start.
#[derive(Clone, Debug)]
pub struct NodeBuilder {}

/// How a node stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopReport {
    /// Whether all credit had come back: then the next start need not wait for leases.
    pub is_clean: bool,
    /// Loans that were still out.
    pub loans: u64,
}

impl Node {
    /// A node of this process alone: no network, no files, no lease. Its fencing tokens are comparable
    /// within the process only.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn standalone() -> Self {
        panic!("soon")
    }

    /// A node with a name that listens for others.
    #[must_use]
    pub fn builder() -> NodeBuilder {
        NodeBuilder {}
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

    /// Sums over its resources.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.domain.totals()
    }

    /// The address it listens on, if it does.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// What it says of itself.
    #[must_use]
    pub fn status(&self) -> StatusView {
        StatusView::default()
    }

    /// Stops: no new sessions, goodbye to all, and a note in the data directory if everything had come back.
    pub async fn stop(&self) -> StopReport {
        StopReport::default()
    }
}

impl NodeBuilder {
    /// The node's name: 1 to 255 bytes. By default the host's name.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        let _ = name.into();
        self
    }

    /// The address to listen on, such as `127.0.0.1:7600`; port 0 lets the system choose.
    #[must_use]
    pub fn listen(self, address: impl Into<String>) -> Self {
        let _ = address.into();
        self
    }

    /// Where the epoch is kept. Needed for a node that listens.
    #[must_use]
    pub fn data_dir(self, path: impl Into<PathBuf>) -> Self {
        let _ = path.into();
        self
    }

    /// The lease length `L`. 15 s by default.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Self {
        let _ = lease;
        self
    }

    /// Starts.
    ///
    /// # Errors
    /// Where the address, the directory, the name or the lease cannot be used.
    pub async fn start(self) -> Result<Node, StartError> {
        Err(StartError::NoDataDir)
    }
}
