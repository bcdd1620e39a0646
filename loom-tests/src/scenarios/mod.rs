//! The models that every lock type should pass, written once.
//!
//! Each function is one execution: it makes a lock, lets threads meet on it, and asserts that everything is back
//! at the end. Run it under [`check`](crate::check::check); [`suite`](crate::suite) does so for all cases of a type. The
//! main thread counts as a thread; it holds and releases rather than only waiting, to keep the executions few.

pub mod conversion;
pub mod crowd;
pub mod lock;
pub mod pair;
pub mod shut_down;
