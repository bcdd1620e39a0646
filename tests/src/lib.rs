//! Fixtures for tests over the whole project.

pub mod exploration;
pub mod semaphore;
