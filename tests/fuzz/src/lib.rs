//! What reads bytes of strangers, as functions of bytes that a fuzzer led by coverage calls.
//!
//! | module | the bytes are | what must hold |
//! |---|---|---|
//! | [`codec`] | what comes over a connection | a packet, or an error; what was read says the same when it is written and read again |
//! | [`session`] | frames of a hostile debtor, and of a hostile creditor | no panic; trust never lasts beyond the lease; nothing is delivered twice or after the end |
//! | [`engine`] | what honest nodes do, and the messages of a hostile debtor beside them | the books of the creditor are exact, honest holders never conflict, and all honest requests are served when the hostile one is gone |
//! | [`texts`] | names, values of etcd | a value, or an error; what was read says the same when it is written and read again |
//!
//! Each panics where something does not hold, so a failing input is a failing test: `tests/corpus.rs` runs every input in
//! `corpus` and `regressions` as an ordinary test, with no fuzzer at all. `cargo xtask fuzz` runs the fuzzer itself, and
//! keeps what finds new paths.
//!
//! Everything here is a function of its bytes alone: no clock, no randomness, no thread.

pub mod codec;
pub mod engine;
pub mod session;
pub mod texts;

mod hostile;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by the names of their folders and programs.
pub const TARGETS: [Target; 4] = [
    ("codec", codec::run),
    ("engine", engine::run),
    ("session", session::run),
    ("texts", texts::run),
];
