//! Bytes, sockets, nodes and clients.

pub mod wire;
