//! Takes several locks, all or none, under one deadline.
//!
//! The names are sorted first, so that two commands which want the same locks cannot wait for each other in a
//! circle; whoever takes locks one by one elsewhere must keep the same order. On failure the guards
//! taken so far are dropped, so nothing is held.

use std::time::Duration;

use rm_core::error::LostReason;
use rm_core::id::ResourceKey;
use rm_core::time::Time;
use rm_rwlock::{AcquireError, Mode, ReadGuard, Request, RwLock, WriteGuard};

use crate::Client;
use crate::cli::args::Wanted;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output;
use crate::clock::BootClock;

/// The most locks one command takes.
const LOCKS_MAX: usize = 1_024;

/// Locks that are held, in the order of their names.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    guards: Vec<(&'a [u8], AnyGuard<'a>)>,
    mode: &'static str,
}

#[derive(Debug)]
enum AnyGuard<'a> {
    Read(ReadGuard<'a>),
    Write(WriteGuard<'a>),
}

/// The names sorted, each once.
pub(crate) fn in_order(names: &[ResourceKey]) -> Result<Vec<ResourceKey>, Failure> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    let has_newline = |name: &ResourceKey| name.as_bytes().contains(&b'\n');
    if names.len() > 1 && names.iter().any(has_newline) {
        let error = "a name with a line break in it can only be locked alone: \
                     RM_LOCK has a line for each name";
        return Err(Failure::new(Exit::USAGE, error));
    }
    if names.len() > LOCKS_MAX {
        let error = format_args!(
            "{} locks at once: at most {LOCKS_MAX} can be taken",
            names.len()
        );
        return Err(Failure::new(Exit::USAGE, error));
    }
    Ok(names)
}

/// Their handles.
pub(crate) fn locks(client: &Client, names: &[ResourceKey]) -> Vec<RwLock> {
    let names = names.iter();
    names.map(|name| client.rw_lock(name.as_bytes())).collect()
}

/// Takes them, in the order given. Cancel safe: nothing is held after it was dropped.
pub(crate) async fn take<'a>(locks: &'a [RwLock], wanted: &Wanted) -> Result<Taken<'a>, Failure> {
    let clock = BootClock::new();
    let deadline = wanted.wait.map(|wait| clock.now().after(wait));
    let mut guards = Vec::with_capacity(locks.len());
    for lock in locks {
        let name = lock.name().unwrap_or_default();
        let patience = Patience::new(wanted.nonblock, deadline, clock.now());
        let guard = take_one(lock, wanted, patience).await;
        let conflict = Exit(wanted.conflict_exit_code);
        let guard =
            guard.map_err(|error| Failure::acquire(&output::readable(name), &error, conflict))?;
        guards.push((name, guard));
    }
    let mode = if wanted.shared { "read" } else { "write" };
    Ok(Taken { guards, mode })
}

async fn take_one<'a>(
    lock: &'a RwLock,
    wanted: &Wanted,
    patience: Patience,
) -> Result<AnyGuard<'a>, AcquireError> {
    let label = wanted.label.as_deref();
    let is_try = patience == Patience::Try;
    if wanted.shared {
        let request = if is_try { lock.try_read() } else { lock.read() };
        set(request, patience, label).await.map(AnyGuard::Read)
    } else {
        let request = if is_try {
            lock.try_write()
        } else {
            lock.write()
        };
        set(request, patience, label).await.map(AnyGuard::Write)
    }
}

fn set<M: Mode, R>(
    mut request: Request<M, R>,
    patience: Patience,
    label: Option<&str>,
) -> Request<M, R>
where
    R: std::ops::Deref<Target = rm_core::front::Resource<rm_rwlock::RwLockType>>,
{
    if let Patience::AtMost(timeout) = patience {
        request = request.timeout(timeout);
    }
    match label {
        Some(label) => request.label(label),
        None => request,
    }
}

/// How long to wait for the next lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    AtMost(Duration),
    Forever,
    Try,
}

impl Patience {
    fn new(nonblock: bool, deadline: Option<Time>, now: Time) -> Self {
        match deadline {
            _ if nonblock => Self::Try,
            None => Self::Forever,
            // Like flock: a wait of 0 is a try.
            Some(deadline) if deadline <= now => Self::Try,
            Some(deadline) => Self::AtMost(deadline.since(now)),
        }
    }
}

impl Taken<'_> {
    /// The mode, as the lock's type calls it.
    pub(crate) const fn mode(&self) -> &'static str {
        self.mode
    }

    /// Each name with its fencing token.
    pub(crate) fn fences(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let guards = self.guards.iter();
        guards.map(|(name, guard)| (*name, guard.fence()))
    }

    /// How long all of them may still be used; `None` where no lease bounds them.
    pub(crate) fn valid_for(&self) -> Option<Duration> {
        let guards = self.guards.iter();
        guards.filter_map(|(_, guard)| guard.valid_for()).min()
    }

    /// Waits until they are lost. All come over one session, so they are lost together.
    pub(crate) async fn lost(&self) -> LostReason {
        match self.guards.first() {
            Some((_, AnyGuard::Read(guard))) => guard.lost().await,
            Some((_, AnyGuard::Write(guard))) => guard.lost().await,
            None => std::future::pending().await,
        }
    }
}

impl AnyGuard<'_> {
    fn fence(&self) -> u64 {
        match self {
            Self::Read(guard) => guard.fence(),
            Self::Write(guard) => guard.fence(),
        }
    }

    fn valid_for(&self) -> Option<Duration> {
        match self {
            Self::Read(guard) => guard.valid_for(),
            Self::Write(guard) => guard.valid_for(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<ResourceKey> {
        let names = names.iter();
        names
            .map(|name| ResourceKey::new(name.as_bytes()).unwrap())
            .collect()
    }

    #[test]
    fn names_are_sorted_and_each_is_taken_once() {
        let sorted = in_order(&keys(&["b", "a", "b"])).unwrap();
        assert_eq!(sorted, keys(&["a", "b"]));
    }

    #[test]
    fn a_line_break_in_one_of_several_names_is_refused() {
        assert!(in_order(&keys(&["a\nb"])).is_ok());
        let failure = in_order(&keys(&["a\nb", "c"])).unwrap_err();
        assert_eq!(failure.exit, Exit::USAGE);
    }

    #[test]
    fn one_deadline_is_for_all_locks_together() {
        let at = |secs| Time::ZERO.after(Duration::from_secs(secs));
        let patience = |now| Patience::new(false, Some(at(10)), at(now));
        assert_eq!(patience(4), Patience::AtMost(Duration::from_secs(6)));
        assert_eq!(patience(10), Patience::Try);
        assert_eq!(Patience::new(false, None, at(0)), Patience::Forever);
        assert_eq!(Patience::new(true, None, at(0)), Patience::Try);
    }
}
