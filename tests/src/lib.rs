//! Fixtures for tests over the whole project.
