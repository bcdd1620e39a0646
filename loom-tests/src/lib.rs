//! Models of lock types, for loom and shuttle; compiled only under `--cfg rm_loom` or `--cfg rm_shuttle`.
//!
//! A model is a small concurrent program. Loom runs it once for each order in which its threads can meet, up to
//! a bound of preemptions; shuttle draws schedules at random, also for many threads. `cargo xtask loom` and `cargo
//! xtask shuttle` set the flags and the bounds; without a flag this crate is empty. The flags are our own, because
//! `--cfg loom` would reach into tokio and take parts of it away.
//!
//! **For a resource type of yours**, write a `subject::Subject`, which says what is asked of it, and
//! `models!` makes the suite. **For a lock of another make**, or for what your handles add, write a
//! `lock::ModelLock`. docs/MODELS.md is the guide.
//!
//! ```text
//! subject     a resource type, and what is asked of it
//! lock        what a lock brings to be modelled: modes, requests, the conflict relation, what else it can do
//! suite       `models!`: the scenarios on all cases of a type, each as a test
//! matrix      which modes meet in which scenario
//! scenarios   the models that every lock type should pass, written once
//! check       runs a model: each in a process of its own, executions counted, a truncated run fails
//! engine      loom or shuttle, by one set of names
//! witness     watches the critical sections: conflicting holds, and what a later holder missed
//! by_hand     a future polled step by step, to drop it or to leave it waiting at a chosen point
//! node        a domain on a fake host: a clock to be set, queues instead of sessions
//! local       a subject on one node, as a lock
//! pair        a root and a debtor joined by those queues
//! rw          the RW lock as a subject
//! ```
//!
//! The models of this project are in `tests/`: one test is one model, and has its name.
//!
//! **What is modelled.** The mutexes and atomics of `rm_core::sync`, and the fake host's clock and queues.
//! `std::sync::Arc` is used on purpose: its count is not what is in question, and each modelled operation
//! multiplies the executions. The counters by which models check themselves are std's: both engines run one thread
//! at a time, and what they do not see costs no branch. But they also try no orders for it, so nothing that a
//! model is *about* may be std's.
//!
//! **What loom cannot show.** It weakens `SeqCst` accesses to acquire and release, and does not reorder a load
//! with a later store. No code here rests on either.
//!
//! **What shuttle cannot show.** It takes every atomic operation for a sequentially consistent one, so a fault of
//! ordering passes; and it shows nothing for certain, as it tries a sample of the schedules. It is for faults of
//! logic among more threads than loom can take.

#![cfg(any(rm_loom, rm_shuttle))]

pub mod by_hand;
pub mod check;
pub mod engine;
pub mod local;
pub mod lock;
pub mod matrix;
pub mod node;
pub mod pair;
pub mod rw;
pub mod scenarios;
pub mod subject;
pub mod suite;
pub mod witness;
