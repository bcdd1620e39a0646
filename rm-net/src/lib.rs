//! Nodes and clients: usage credit between processes.

#[cfg(all(feature = "cli", unix))]
#[doc(hidden)]
pub mod cli;
pub mod client;
pub mod clock;
pub mod error;
pub mod frame;
pub mod node;
pub mod wire;

pub use self::client::{Client, ClientBuilder};
pub use self::error::{ConnectError, InspectError, StartError};
pub use self::node::{Node, NodeBuilder, StopReport};
