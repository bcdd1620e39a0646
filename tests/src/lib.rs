//! Fixtures for tests over the whole project.

pub mod semaphore;
