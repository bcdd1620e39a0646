//! Models of lock types for loom, compiled only under `--cfg rm_loom`.
//!
//! A model is a small concurrent program. Loom runs it once for each order in which its threads can meet, up to
//! a bound of preemptions. `cargo xtask loom` sets the flag and the bound; without the flag this crate is
//! empty. The flag is our own, because `--cfg loom` would reach into tokio and take parts of it away.
//!
//! ```text
//! check       runs a model: each in a process of its own, executions counted, a truncated run fails
//! lock        what a lock type brings to be modelled: modes, requests, the conflict relation
//! scenarios   the models that every lock type should pass, written once
//! witness     watches the critical sections: conflicting holds, and writes that a later holder missed
//! by_hand     a future polled step by step, to drop it or to leave it waiting at a chosen point
//! node        a domain on a fake host: a clock to be set, queues instead of sessions
//! pair        a root and a debtor joined by those queues
//! rw          the RW lock, as the scenarios see it
//! ```
//!
//! The models of this project are in `tests/`: one test is one model, and has its name.
//!
//! **What is modelled.** The mutexes and atomics of `rm_core::sync`, and the fake host's clock and queues.
//! `std::sync::Arc` is used on purpose: its count is not what is in question, and each modelled operation
//! multiplies the executions. The counters by which models check themselves are std's: loom runs one thread at
//! a time, and what it does not see costs no branch. But it also tries no orders for it, so nothing that a
//! model is *about* may be std's.
//!
//! **What loom cannot show.** It weakens `SeqCst` accesses to acquire and release, and does not reorder a load
//! with a later store. No code here rests on either.

#[cfg(rm_loom)]
pub mod by_hand;
#[cfg(rm_loom)]
pub mod check;
#[cfg(rm_loom)]
pub mod lock;
#[cfg(rm_loom)]
pub mod node;
#[cfg(rm_loom)]
pub mod pair;
#[cfg(rm_loom)]
pub mod rw;
#[cfg(rm_loom)]
pub mod scenarios;
#[cfg(rm_loom)]
pub mod witness;
