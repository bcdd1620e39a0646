//! Fixtures for tests over the whole project.

pub mod exploration;
pub mod failover;
pub mod joined;
pub mod rings;
pub mod vms;
pub mod workload;
