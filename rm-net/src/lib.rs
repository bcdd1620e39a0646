//! Bytes, sockets, nodes and clients.
