//! Nodes and clients: usage credit between processes.

pub mod client;
pub mod error;
pub mod node;

pub use self::client::{Client, ClientBuilder};
pub use self::error::{ConnectError, InspectError, StartError};
pub use self::node::{Node, NodeBuilder, StopReport};
