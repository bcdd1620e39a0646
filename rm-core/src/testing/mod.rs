//! The published test kit: what the project's own types are tested with, for any type.
//!
//! * [`laws`] checks the algebra of a credit, and what its resource type says of it.
//! * [`script`] plays scenarios that are written down as text, on a [`cluster`] of owners.
//! * [`explore`] visits every interleaving of a small world of owners and clients.
//! * [`simulate`] runs a large one in simulated time, with faults of delay and order, from a seed.
//! * [`coordinator`] is a coordinator in simulated time, for nodes that are members of views.
//! * [`history`] checks who held what and when, whoever recorded it.
//! * [`verify`] does all of it for a type of yours, in one call.
//! * [`trial`] runs code of yours that uses locks, which it loses at every point.
//!
//! Feature `testing`. It is for tests only: it asserts, panics and takes its time.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the kit runs beside the pure part, not in it"
)]

pub mod cluster;
pub mod coordinator;
pub mod explore;
pub mod failover;
pub mod history;
pub mod laws;
pub mod random;
pub mod script;
pub mod simulate;
pub mod trial;
pub mod verify;
pub(crate) mod words;

use std::any::Any;
use std::hash::{BuildHasher, RandomState};

use crate::id::ResourceKey;

/// Where random tests start: the environment variable `RM_SEED`, else a number drawn afresh.
///
/// # Panics
/// If `RM_SEED` is set and is no number.
#[must_use]
pub fn fresh_seed() -> u64 {
    match std::env::var("RM_SEED") {
        Ok(seed) => seed
            .parse()
            .expect("RM_SEED is a whole number, as a failed test printed it"),
        Err(_) => RandomState::new().hash_one(0),
    }
}

/// The command that repeats a run of this test, or what the caller says instead of it.
pub(crate) fn how_to_replay(seed: u64, command: Option<&str>) -> String {
    let thread = std::thread::current();
    let command = match (command, thread.name()) {
        (Some(command), _) => command.into(),
        // The thread of a test has its name.
        (None, Some(test)) if test != "main" => format!("cargo test {test}"),
        (None, _) => "and the same command".into(),
    };
    format!("RM_SEED={seed} {command}")
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text")
}

/// The resource whose capital is explored or simulated: a type under test answers the same for all.
pub(crate) fn any_key() -> ResourceKey {
    ResourceKey::new(b"any").expect("a name of three bytes")
}
