//! Debug builds notice a task that reads twice while a writer waits in between: each waits for the other for ever.
//!
//! A plain read goes behind a waiting writer, and the writer waits for the task's first read. The answer is
//! [`Guard::read_recursive`](crate::Guard::read_recursive), which shares the first. What is logged names both places.
//!
//! **Who is who.** A task is known by its waker: the pointer and the table in it, as numbers, so that nothing keeps the
//! task alive. A thread that blocks is known by the waker of its own (`blocking`). A combinator that gives its parts
//! wakers of their own hides the task; then nothing is said. A guard that outlives its task, whose place in memory
//! another task then takes, can be taken for the other's: a warning too many, and no more than a warning.
//!
//! **Cost.** In release builds, and under loom, both types are empty and every function does nothing.

use core::task::Context;

use rm_core::front::{Held, Resource};

use crate::credit::RwLockType;
use crate::guard::Guard;
use crate::mode::{LockMode, Mode};

pub(crate) use self::imp::{Reader, Site};

impl Site {
    /// A grant becomes a guard; a plain read of a task is remembered.
    #[inline]
    pub(crate) fn granted<M: Mode, R>(
        self,
        held: Held<RwLockType, R>,
        cx: &Context<'_>,
    ) -> Guard<M, R>
    where
        R: core::ops::Deref<Target = Resource<RwLockType>>,
    {
        let reader = self.reader(M::MODE, held.resource(), cx);
        Guard::of_reader(held, reader)
    }
}

#[cfg(not(all(debug_assertions, not(rm_loom))))]
mod imp {
    use super::{Context, LockMode, Resource, RwLockType};

    /// Where a request was made: not noted in this build.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Site;

    /// A plain read of a task: not noted in this build.
    #[derive(Debug)]
    pub(crate) struct Reader;

    impl Reader {
        pub(crate) const NONE: Self = Self;

        #[inline]
        pub(crate) const fn again(&self) -> Self {
            Self
        }
    }

    impl Site {
        #[inline]
        pub(crate) const fn here() -> Self {
            Self
        }

        #[inline]
        pub(crate) const fn silent(self) -> Self {
            self
        }

        #[inline]
        #[expect(clippy::unused_self, reason = "the twin of debug builds uses it")]
        pub(super) const fn reader(
            self,
            _: LockMode,
            _: &Resource<RwLockType>,
            _: &Context<'_>,
        ) -> Reader {
            Reader
        }

        #[inline]
        #[expect(
            clippy::unused_self,
            clippy::needless_pass_by_ref_mut,
            reason = "the twin of debug builds uses it"
        )]
        pub(crate) const fn waits(
            &mut self,
            _: LockMode,
            _: Option<&Resource<RwLockType>>,
            _: &Context<'_>,
        ) {
        }
    }
}

#[cfg(all(debug_assertions, not(rm_loom)))]
mod imp {
    use core::panic::Location;
    use core::task::Waker;
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

    use rm_core::credit::Credit;

    use super::{Context, LockMode, Resource, RwLockType};
    use crate::credit::RwCredit;

    /// Where the plain reads of each task began, for each lock. As many as there are read guards.
    static READS: LazyLock<Mutex<HashMap<Read, Vec<&'static Location<'static>>>>> =
        LazyLock::new(Mutex::default);

    /// Where a request was made.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Site {
        location: &'static Location<'static>,
        /// It has said what there is to say, or has nothing to.
        is_silent: bool,
    }

    /// A task and a lock that it reads, by their addresses.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    struct Read {
        lock: usize,
        task: (usize, usize),
    }

    /// A plain read of a task, for as long as its guard lives.
    #[derive(Debug)]
    pub(crate) struct Reader(Option<(Read, &'static Location<'static>)>);

    impl Reader {
        /// What is no plain read of a task that is known.
        pub(crate) const NONE: Self = Self(None);

        /// The same read once more, for another guard of the same hold.
        pub(crate) fn again(&self) -> Self {
            if let Some((read, place)) = self.0 {
                reads().entry(read).or_default().push(place);
            }
            Self(self.0)
        }
    }

    impl Read {
        fn new(lock: &Resource<RwLockType>, waker: &Waker) -> Self {
            Self {
                lock: core::ptr::from_ref(lock).addr(),
                task: (
                    waker.data().addr(),
                    core::ptr::from_ref(waker.vtable()).addr(),
                ),
            }
        }
    }

    fn reads() -> MutexGuard<'static, HashMap<Read, Vec<&'static Location<'static>>>> {
        READS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    impl Site {
        #[track_caller]
        pub(crate) const fn here() -> Self {
            Self {
                location: Location::caller(),
                is_silent: false,
            }
        }

        /// A request that may meet what it likes: it does not wait, or has an arrangement with those in its way.
        pub(crate) const fn silent(mut self) -> Self {
            self.is_silent = true;
            self
        }

        pub(super) fn reader(
            self,
            mode: LockMode,
            lock: &Resource<RwLockType>,
            cx: &Context<'_>,
        ) -> Reader {
            // A no-op waker is everybody's.
            if mode != LockMode::Read || cx.waker().will_wake(Waker::noop()) {
                return Reader::NONE;
            }
            let read = Read::new(lock, cx.waker());
            reads().entry(read).or_default().push(self.location);
            Reader(Some((read, self.location)))
        }

        /// It waits: warns once if that is for ever.
        pub(crate) fn waits(
            &mut self,
            mode: LockMode,
            lock: Option<&Resource<RwLockType>>,
            cx: &Context<'_>,
        ) {
            let Some(lock) = lock.filter(|_| !self.is_silent && mode == LockMode::Read) else {
                return;
            };
            let first = reads()
                .get(&Read::new(lock, cx.waker()))
                .and_then(|places| places.first().copied());
            if let Some(first) = first
                && has_waiting_writer(lock)
            {
                self.is_silent = true;
                tracing::warn!(
                    lock = %lock.key(),
                    first = %first,
                    second = %self.location,
                    "deadlock: a task reads a lock a second time while a writer waits for its first read; \
                     share the first with `read_recursive`"
                );
            }
        }
    }

    /// Whether somebody waits whom a reader is in the way of: here or, as the creditor says, elsewhere.
    fn has_waiting_writer(lock: &Resource<RwLockType>) -> bool {
        let capital = lock.capital();
        lock.with_owner(|owner| {
            let conflicts = |level: &RwCredit| level.conflicts(&RwCredit::READ, capital);
            owner.is_recalled() || owner.waiting().any(|one| conflicts(one.level))
        })
    }

    impl Drop for Reader {
        fn drop(&mut self) {
            let Some((read, place)) = self.0 else {
                return;
            };
            let mut reads = reads();
            if let Some(places) = reads.get_mut(&read) {
                if let Some(index) = places.iter().position(|one| *one == place) {
                    places.swap_remove(index);
                }
                if places.is_empty() {
                    reads.remove(&read);
                }
            }
        }
    }
}
