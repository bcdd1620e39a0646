//! Fixtures for tests over the whole project.

pub mod exploration;
pub mod pump;
pub mod vms;
pub mod workload;
