//! Bytes, sockets, nodes and clients.

pub mod frame;
pub mod wire;
