//! Several locks at once: all or none.
//!
//! **Order.** The names are sorted, and each lock is taken once, in the strongest mode that was asked of it. Whoever
//! takes several locks this way waits for nobody in a circle. A task that holds one already and asks for more has
//! left that order.
//!
//! **Fairness.** Each lock is asked for when the one before it is held, and is waited for in its own order.
//!
//! **Cancellation.** Dropping the future releases what was taken so far and withdraws the request that waits.

use core::cmp::Reverse;
use core::fmt;
use core::future::{Future, IntoFuture};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::time::Instant;
use std::vec;

use rm_core::error::LostReason;
use rm_core::front::{AcquireError, Domain, Handle, block_on};
use rm_core::trace::TraceContext;
use thiserror::Error;

use crate::credit::RwLockType;
use crate::guard::{OwnedReadGuard, OwnedUpgradableGuard, OwnedWriteGuard};
use crate::lock::RwLock;
use crate::mode::{LockMode, Mode, Read, Upgradable, Write};
use crate::nesting::Site;
use crate::request::{Acquiring, Request, Wait};

/// The most locks that one call takes.
pub const LOCKS_MAX: usize = 1_024;

/// The name of a lock and the mode in which it is to be had.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Named {
    name: Vec<u8>,
    // The stronger one comes first.
    mode: Reverse<LockMode>,
}

impl Named {
    /// The lock called `name` in that mode. A bad name shows when the locks are taken.
    pub fn new(name: impl AsRef<[u8]>, mode: LockMode) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            mode: Reverse(mode),
        }
    }

    /// To be read.
    pub fn read(name: impl AsRef<[u8]>) -> Self {
        Self::new(name, LockMode::Read)
    }

    /// To be read, and perhaps written later.
    pub fn upgradable(name: impl AsRef<[u8]>) -> Self {
        Self::new(name, LockMode::Upgradable)
    }

    /// To be written.
    pub fn write(name: impl AsRef<[u8]>) -> Self {
        Self::new(name, LockMode::Write)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> LockMode {
        self.mode.0
    }
}

/// Asks for several locks of a domain: all, or none of them. They are taken in the order of their names, each once.
///
/// Cancel safe: dropping the future releases what it had, and withdraws the request that waits.
///
/// ```
/// # use rm_rwlock::doc::{block_on, domain};
/// use rm_rwlock::all::{Named, lock_all};
///
/// # block_on(async {
/// # let domain = domain();
/// let guards = lock_all(&domain, [Named::write("b"), Named::read("a"), Named::read("b")])
///     .label("move 7")
///     .await?;
/// assert_eq!(guards.len(), 2);
/// assert!(guards.get("b").is_some_and(|guard| guard.as_write().is_some()));
/// assert!(guards.release().await.is_ok());
/// # Ok::<(), rm_rwlock::all::LockAllError>(())
/// # }).unwrap();
/// ```
///
/// # Errors
/// [`LockAllError`], from the awaited request: it names the lock that was not had, or was lost before the last one was. None
/// is held then.
///
/// # Panics
/// If the domain has no RW locks registered.
#[track_caller]
pub fn lock_all(domain: &Domain, names: impl IntoIterator<Item = Named>) -> LockAll {
    LockAll::new(domain, names, Wait::Forever)
}

/// Asks for several locks of a domain, if all can be had without waiting for holders or older requests. As
/// [`lock_all`]; it may ask the cluster once for each lock.
///
/// # Errors
/// [`LockAllError`] with [`AcquireError::Busy`] where somebody is in the way, and others, from the awaited request.
///
/// # Panics
/// If the domain has no RW locks registered.
#[track_caller]
pub fn try_lock_all(domain: &Domain, names: impl IntoIterator<Item = Named>) -> LockAll {
    LockAll::new(domain, names, Wait::Never)
}

/// A request for several locks that has not been made yet: set what it needs, then await it, or block a thread on it.
#[derive(Debug)]
#[must_use = "a request does nothing unless awaited"]
pub struct LockAll {
    domain: Domain,
    /// In the order in which they are taken.
    names: Vec<Named>,
    wait: Wait,
    label: Option<String>,
    trace: Option<TraceContext>,
    site: Site,
}

impl LockAll {
    #[track_caller]
    fn new(domain: &Domain, names: impl IntoIterator<Item = Named>, wait: Wait) -> Self {
        let mut names: Vec<Named> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup_by(|next, first| next.name == first.name);
        Self {
            domain: domain.clone(),
            names,
            wait,
            label: None,
            trace: None,
            site: Site::here(),
        }
    }

    /// Gives up after so long for all locks together, counted from the first poll. Of several timeouts and deadlines
    /// the last counts. A `try` does not wait anyway.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.wait = self.wait.within(timeout);
        self
    }

    /// Gives up at that moment. Of several timeouts and deadlines the last counts. A `try` does not wait anyway.
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.wait = self.wait.until(deadline);
        self
    }

    /// What the request is for, shown to people who ask who holds or waits for any of the locks. At most 128 bytes
    /// are kept.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Where the requests belong in a distributed trace: as [`Request::trace`].
    pub const fn trace(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Takes the locks, and parks this thread until that is decided: as [`Request::blocking`].
    ///
    /// # Errors
    /// As the awaited request.
    pub fn blocking(self) -> Result<AllGuards, LockAllError> {
        block_on(self.into_future())
    }
}

impl IntoFuture for LockAll {
    type Output = Result<AllGuards, LockAllError>;
    type IntoFuture = LockingAll;

    fn into_future(self) -> LockingAll {
        let Self {
            domain,
            names,
            wait,
            label,
            trace,
            site,
        } = self;
        LockingAll {
            domain,
            wait,
            label,
            trace,
            site,
            taken: Vec::new(),
            asking: None,
            left: names.into_iter(),
            stage: Stage::New,
        }
    }
}

/// The future of a [`LockAll`]. Cancel safe: dropping it releases what it had, and withdraws the request that waits.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct LockingAll {
    domain: Domain,
    wait: Wait,
    label: Option<String>,
    trace: Option<TraceContext>,
    site: Site,
    taken: Vec<(Vec<u8>, AnyGuard)>,
    asking: Option<(Vec<u8>, AnyAcquiring)>,
    left: vec::IntoIter<Named>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Asked,
    Done,
}

impl LockingAll {
    /// The first poll: its time begins to run.
    fn start(&mut self) -> Result<(), LockAllError> {
        if core::mem::replace(&mut self.stage, Stage::Asked) != Stage::New {
            return Ok(());
        }
        let names = self.left.len();
        if names > LOCKS_MAX {
            return Err(LockAllError::TooMany { names });
        }
        if let Wait::Within(timeout) = self.wait {
            // A moment that no clock reaches is none.
            let deadline = Instant::now().checked_add(timeout);
            self.wait = deadline.map_or(Wait::Forever, Wait::Until);
        }
        self.taken.reserve_exact(names);
        Ok(())
    }

    fn ask(&self, named: Named) -> (Vec<u8>, AnyAcquiring) {
        let lock = RwLock::new(&self.domain, &named.name);
        let asking = match named.mode() {
            LockMode::Read => AnyAcquiring::Read(self.ask_as(&lock)),
            LockMode::Upgradable => AnyAcquiring::Upgradable(self.ask_as(&lock)),
            LockMode::Write => AnyAcquiring::Write(self.ask_as(&lock)),
        };
        (named.name, asking)
    }

    fn ask_as<M: Mode>(&self, lock: &RwLock) -> Acquiring<M, Handle<RwLockType>> {
        let mut request = Request::at(lock.owned(), self.wait, self.site);
        if let Some(label) = &self.label {
            request = request.label(label);
        }
        if let Some(trace) = self.trace {
            request = request.trace(trace);
        }
        request.into_future()
    }
}

impl LockingAll {
    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<AllGuards, LockAllError>> {
        self.start()?;
        loop {
            let Some((_, asking)) = &mut self.asking else {
                let Some(next) = self.left.next() else {
                    return Poll::Ready(self.all());
                };
                self.asking = Some(self.ask(next));
                continue;
            };
            let outcome = ready!(asking.poll(cx));
            let (name, _) = self.asking.take().expect("it was there above");
            match outcome {
                Ok(guard) => self.taken.push((name, guard)),
                Err(why) => return Poll::Ready(Err(LockAllError::Lock { name, why })),
            }
        }
    }

    /// All have been granted. One that was granted early may have been lost while the others were waited for: then others
    /// may have it.
    fn all(&mut self) -> Result<AllGuards, LockAllError> {
        let guards = core::mem::take(&mut self.taken);
        let lost = guards.iter().find_map(|(name, guard)| {
            let why = AcquireError::SessionLost(guard.why_lost()?);
            let name = name.clone();
            Some(LockAllError::Lock { name, why })
        });
        lost.map_or(Ok(AllGuards { guards }), Err)
    }
}

impl Future for LockingAll {
    type Output = Result<AllGuards, LockAllError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(
            self.stage != Stage::Done,
            "a finished future is not polled again"
        );
        let outcome = ready!(self.poll_all(cx));
        self.stage = Stage::Done;
        // All or none: nothing is held after a failure, however long the future is kept.
        self.taken.clear();
        Poll::Ready(outcome)
    }
}

#[derive(Debug)]
enum AnyAcquiring {
    Read(Acquiring<Read, Handle<RwLockType>>),
    Upgradable(Acquiring<Upgradable, Handle<RwLockType>>),
    Write(Acquiring<Write, Handle<RwLockType>>),
}

impl AnyAcquiring {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<AnyGuard, AcquireError>> {
        match self {
            Self::Read(future) => Pin::new(future).poll(cx).map_ok(AnyGuard::Read),
            Self::Upgradable(future) => Pin::new(future).poll(cx).map_ok(AnyGuard::Upgradable),
            Self::Write(future) => Pin::new(future).poll(cx).map_ok(AnyGuard::Write),
        }
    }
}

/// A guard of any mode.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the modes of a read-write lock")]
#[must_use = "dropping the guard releases the lock"]
pub enum AnyGuard {
    /// The right to read.
    Read(OwnedReadGuard),
    /// The right to read, and to ask to write.
    Upgradable(OwnedUpgradableGuard),
    /// The right to write.
    Write(OwnedWriteGuard),
}

/// Does the same with the guard, whatever its mode.
macro_rules! with_guard {
    ($any:expr, $guard:ident => $body:expr) => {
        match $any {
            AnyGuard::Read($guard) => $body,
            AnyGuard::Upgradable($guard) => $body,
            AnyGuard::Write($guard) => $body,
        }
    };
}

impl AnyGuard {
    /// Its mode.
    #[must_use]
    pub const fn mode(&self) -> LockMode {
        match self {
            Self::Read(_) => LockMode::Read,
            Self::Upgradable(_) => LockMode::Upgradable,
            Self::Write(_) => LockMode::Write,
        }
    }

    /// The writer, if it is one.
    #[must_use]
    pub const fn as_write(&self) -> Option<&OwnedWriteGuard> {
        match self {
            Self::Write(guard) => Some(guard),
            Self::Read(_) | Self::Upgradable(_) => None,
        }
    }

    /// The fencing token: see [`Guard::fence`](crate::Guard::fence).
    #[must_use]
    pub const fn fence(&self) -> u64 {
        with_guard!(self, guard => guard.fence())
    }

    /// Whether it may still be used: see [`Guard::is_valid`](crate::Guard::is_valid).
    #[must_use]
    pub fn is_valid(&self) -> bool {
        with_guard!(self, guard => guard.is_valid())
    }

    /// How long it may still be used: see [`Guard::valid_for`](crate::Guard::valid_for).
    #[must_use]
    pub fn valid_for(&self) -> Option<Duration> {
        with_guard!(self, guard => guard.valid_for())
    }

    /// Whether it is lost; if not, the task is woken when it is. The future is one of [`AllGuards::lost`].
    fn watch(&self) -> crate::guard::Loss<'_, Handle<RwLockType>> {
        with_guard!(self, guard => guard.loss())
    }

    fn why_lost(&self) -> Option<LostReason> {
        with_guard!(self, guard => guard.why_lost())
    }

    fn release(self) -> Result<(), LostReason> {
        with_guard!(self, guard => guard.release_now())
    }
}

/// Several locks that are held, in the order of their names. Dropping it releases them all.
#[derive(Debug)]
#[must_use = "dropping the guards releases the locks"]
pub struct AllGuards {
    guards: Vec<(Vec<u8>, AnyGuard)>,
}

impl AllGuards {
    /// The guard of the lock called `name`, if it is among them.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&AnyGuard> {
        let find = |(one, _): &(Vec<u8>, AnyGuard)| one.as_slice().cmp(name.as_ref());
        let index = self.guards.binary_search_by(find).ok()?;
        self.guards.get(index).map(|(_, guard)| guard)
    }

    /// Each name with its guard, in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &AnyGuard)> {
        let guards = self.guards.iter();
        guards.map(|(name, guard)| (name.as_slice(), guard))
    }

    /// How many locks they are: names that were asked for twice count once.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.guards.len()
    }

    /// Whether there is none, since none was asked for.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// Whether all of them may still be used, by this node's clock at this moment. Once they may not, they never may
    /// again.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.guards.iter().all(|(_, guard)| guard.is_valid())
    }

    /// How long all of them may still be used if their leases are not extended; zero once one was lost; `None` where
    /// no lease bounds any.
    #[must_use]
    pub fn valid_for(&self) -> Option<Duration> {
        let guards = self.guards.iter();
        guards.filter_map(|(_, guard)| guard.valid_for()).min()
    }

    /// Waits until one of them is lost, and says which and why. Never ends while all are valid.
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn lost(&self) -> LostLock {
        let guards = self.guards.iter();
        let mut losses: Vec<_> = guards.map(|(_, guard)| guard.watch()).collect();
        core::future::poll_fn(|cx| {
            for ((name, _), loss) in self.guards.iter().zip(&mut losses) {
                if let Poll::Ready(why) = Pin::new(loss).poll(cx) {
                    let name = name.clone();
                    return Poll::Ready(LostLock { name, why });
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Releases all locks, and says whether each was valid to the end. Where one was not, others may have had it while
    /// the work still went on.
    ///
    /// It never waits. Cancel safe: dropping the future releases the locks too, and nobody hears the answer.
    ///
    /// # Errors
    /// The first that was lost, if one was. All are released nevertheless.
    #[expect(clippy::unused_async, reason = "as the release of one guard")]
    pub async fn release(self) -> Result<(), LostLock> {
        let mut first = Ok(());
        for (name, guard) in self.guards {
            let released = guard.release().map_err(|why| LostLock { name, why });
            first = first.and(released);
        }
        first
    }
}

impl IntoIterator for AllGuards {
    type Item = (Vec<u8>, AnyGuard);
    type IntoIter = vec::IntoIter<Self::Item>;

    /// Each name with its guard: from then on each is released by itself.
    fn into_iter(self) -> Self::IntoIter {
        self.guards.into_iter()
    }
}

/// One of several locks was lost.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("lock '{}' was lost: {why}", Readable(name))]
#[expect(clippy::exhaustive_structs, reason = "to be taken apart")]
pub struct LostLock {
    /// Its name.
    pub name: Vec<u8>,
    /// Why.
    pub why: LostReason,
}

/// Several locks were not had. None is held.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LockAllError {
    /// One of them was not had.
    #[error("lock '{}': {why}", Readable(name))]
    Lock {
        /// Its name.
        name: Vec<u8>,
        /// Why.
        why: AcquireError,
    },
    /// More than [`LOCKS_MAX`] were asked for.
    #[error(
        "{names} locks at once: at most {LOCKS_MAX} can be taken; take one that stands for many"
    )]
    TooMany {
        /// How many, names that were asked for twice counted once.
        names: usize,
    },
}

/// A name for people; what was asked for can be of any length.
struct Readable<'a>(&'a [u8]);

impl fmt::Display for Readable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(rm_core::id::NAME_BYTES_MAX)];
        write!(f, "{}", String::from_utf8_lossy(shown).escape_debug())
    }
}
