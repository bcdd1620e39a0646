//! A future polled step by step.
//!
//! A model drops a request while it waits, or leaves it waiting, at a point of its own choosing. Its waker only
//! counts, so that a future that became ready without a wake-up is found out.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Wake;

/// A waker that counts.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Relaxed: the engine runs one thread at a time.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future, polled when told to. Dropping it drops the future.
pub struct ByHand<F: Future> {
    future: Pin<Box<F>>,
    wakes: Arc<Count>,
    /// Wake-ups before the last poll; `None` before the first.
    seen: Option<u64>,
}

impl<F: Future> ByHand<F> {
    /// Nothing happens before the first poll.
    pub fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            wakes: Arc::default(),
            seen: None,
        }
    }

    /// Polls it once.
    pub fn poll(&mut self) -> Poll<F::Output> {
        // Relaxed: the engine runs one thread at a time.
        self.seen = Some(self.wakes.0.load(Ordering::Relaxed));
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Polls it once.
    ///
    /// # Panics
    /// If it does not wait.
    pub fn expect_waiting(mut self) -> Self {
        assert!(self.poll().is_pending(), "it was expected to wait");
        self
    }

    /// Polls it for what it must have at its first poll.
    ///
    /// # Panics
    /// If it waits.
    pub fn expect_ready(mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it was expected not to wait"),
        }
    }

    /// Polls it for what it must have by now, all other threads being done.
    ///
    /// # Panics
    /// If it waits, or waited and nobody has woken it since.
    pub fn expect_woken(self) -> F::Output {
        let wakes = self.wakes.0.load(Ordering::Relaxed);
        let woken = self.seen.is_none_or(|seen| wakes > seen);
        let output = self.expect_ready();
        assert!(woken, "it is ready, and nobody has said so");
        output
    }
}

impl<F: Future + Unpin> ByHand<F> {
    /// The future as it stands, to be driven by another waker.
    pub fn into_future(self) -> F {
        *Pin::into_inner(self.future)
    }
}

impl<F: Future> fmt::Debug for ByHand<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByHand")
            .field("wakes", &self.wakes)
            .finish_non_exhaustive()
    }
}
