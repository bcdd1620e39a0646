//! The face for threads: a thread parks until its future is ready.
//!
//! Each thread has one parker. Its flag, not the token of [`thread::park`], says whether there is something to look at:
//! whoever else parks this thread may take the token, but not the flag.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::thread::{self, Thread};

struct Parker {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Parker {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            thread: thread::current(),
            is_woken: AtomicBool::new(false),
        })
    }

    fn of_this_thread() -> Arc<Self> {
        // A thread that is being torn down has none any more, and a new one will do.
        PARKER.try_with(Arc::clone).unwrap_or_else(|_| Self::new())
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: the swap of `block_on` acquires what the waker did before. An exchange, since a plain store would hide
        // what an earlier waker released.
        self.is_woken.swap(true, Ordering::Release);
        self.thread.unpark();
    }
}

thread_local! {
    /// One for all that the thread blocks on, so that a lock type knows it as one who asks.
    static PARKER: Arc<Parker> = Parker::new();
}

/// Parks this thread until `future` is ready. It needs no runtime: what wakes the future wakes the thread.
///
/// It is what the `blocking` of a lock type's requests rests on. Not for a task of an async runtime: it would hold up every
/// other task of its thread, perhaps the one that is to let go.
///
/// ```
/// assert_eq!(rm_core::front::block_on(async { 42 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let parker = Parker::of_this_thread();
    let waker = Waker::from(Arc::clone(&parker));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            // Whoever blocks around this call may have been woken in the meantime: it looks again.
            waker.wake_by_ref();
            return output;
        }
        // Acquire: what the waker did is seen by the next poll. It pairs with the exchange of `wake_by_ref`.
        while !parker.is_woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "another thread wakes this one")]
mod tests {
    use core::future::poll_fn;

    use super::*;

    #[test]
    fn a_wake_from_another_thread_ends_the_wait() {
        let (tx, rx) = std::sync::mpsc::channel::<Waker>();
        let other = thread::spawn(move || rx.recv().expect("a waker").wake());
        let mut is_asked = false;
        block_on(poll_fn(|cx| {
            if core::mem::replace(&mut is_asked, true) {
                return Poll::Ready(());
            }
            tx.send(cx.waker().clone()).expect("the other waits for it");
            Poll::Pending
        }));
        other.join().expect("woke");
    }

    #[test]
    fn a_wake_that_came_while_another_wait_ran_inside_is_not_lost() {
        let mut polls = 0;
        block_on(poll_fn(|cx| {
            polls += 1;
            if polls > 1 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            let mut is_first = true;
            block_on(poll_fn(|cx| {
                if core::mem::take(&mut is_first) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(())
            }));
            Poll::Pending
        }));
        assert_eq!(polls, 2);
    }

    #[test]
    fn a_token_that_somebody_else_took_is_not_missed() {
        let mut is_asked = false;
        block_on(poll_fn(|cx| {
            if core::mem::replace(&mut is_asked, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            thread::park();
            Poll::Pending
        }));
    }
}
