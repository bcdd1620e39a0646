//! Nodes and clients: usage credit between processes.
//!
//! A [`Node`] is the root of resources: in one process ([`Node::standalone`]), or as a server that others
//! borrow from ([`Node::builder`]). A [`Client`] borrows from a server. Both give locks by name, and cache
//! what they were lent: taking the same lock again costs no packet.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use rm_net::{Client, Node};
//!
//! let dir = tempfile::tempdir()?;
//! let server = Node::builder().name("server").listen("127.0.0.1:0").data_dir(dir.path()).start().await?;
//! let endpoint = server.local_addr().expect("it listens").to_string();
//!
//! let client = Client::connect(&endpoint).await?;
//! let lock = client.rw_lock("volumes/42");
//! let writer = lock.write().label("resize").await?;
//! assert!(writer.fence() > 0);
//! drop(writer);
//! client.close().await;
//! assert!(server.stop().await.is_clean);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

#[cfg(all(feature = "cli", unix))]
#[doc(hidden)]
pub mod cli;
pub mod client;
#[doc(hidden)]
pub mod clock;
#[cfg(feature = "etcd")]
pub mod coordinator;
pub mod error;
pub mod fenced_file;
#[doc(hidden)]
pub mod frame;
pub mod node;
pub mod operator;
#[cfg(feature = "metrics")]
pub mod telemetry;
#[cfg(all(feature = "testing", unix))]
#[doc(hidden)]
pub mod testing;
#[cfg(feature = "tower")]
pub mod tower;
pub mod transport;
#[doc(hidden)]
pub mod wire;

mod connection;
mod desk;
mod house;
#[cfg(all(feature = "http", unix))]
mod http;
mod hub;
mod inquiry;
mod keeper;
#[cfg(feature = "etcd")]
mod member;
mod peer;
mod roster;
mod server;
mod session;
mod store;
mod supervisor;
mod types;

#[cfg(all(feature = "cli", unix))]
pub use self::cli::Daemon;
pub use self::client::{Client, ClientBuilder, DEFAULT_ENDPOINT};
pub use self::error::{ConnectError, InspectError, StartError};
pub use self::node::{Node, NodeBuilder, StopReport};
pub use self::operator::Operator;
pub use self::transport::{Address, AddressError, Transport};
#[cfg(feature = "tls")]
pub use self::transport::{CertificateRole, CertificateView, TlsConfig, TlsError, TlsFiles};

/// The examples of the README, which are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Those of the page on observability.
#[cfg(all(doctest, feature = "opentelemetry"))]
#[doc = include_str!("../../docs/OBSERVABILITY.md")]
struct Observability;
