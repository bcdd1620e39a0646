//! Bytes, sockets, nodes and clients.

pub mod clock;
pub mod frame;
pub mod wire;
