//! What a model is run by: loom or shuttle, by one set of names.
//!
//! Models take threads and `block_on` from here, and mutexes and atomics from [`rm_core::sync`].

#[cfg(rm_loom)]
pub use loom::{future::block_on, thread};
#[cfg(all(rm_shuttle, not(rm_loom)))]
pub use shuttle::{future::block_on, thread};

/// Waits for a thread of the model.
///
/// # Panics
/// If it panicked.
pub fn join<T: 'static>(thread: thread::JoinHandle<T>) -> T {
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
