//! Sessions and leases: how two nodes stay in step, and when they must stop trusting each other.

pub mod packet;
