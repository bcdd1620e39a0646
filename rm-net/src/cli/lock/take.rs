//! Takes several locks, all or none, under one deadline.
//!
//! The order of their names, and that nothing is held after a failure, comes with [`Client::lock_all`]; whoever takes
//! locks one by one elsewhere must keep the same order.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rm_core::error::LostReason;
use rm_core::front::Domain;
use rm_core::id::ResourceKey;
use rm_core::resource::ResourceType as _;
use rm_rwlock::all::{AllGuards, LOCKS_MAX, LockAllError, LostLock, Named};
use rm_rwlock::{LockMode, RwLockType};

use crate::Client;
use crate::cli::args::Wanted;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output;

/// Locks that are held, in the order of their names.
#[derive(Debug)]
pub(crate) struct Taken {
    guards: AllGuards,
    mode: LockMode,
    /// It knows why something was taken away.
    domain: Domain,
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

/// Takes them. Cancel safe: nothing is held after it was dropped.
pub(crate) async fn take(
    client: &Client,
    names: &[ResourceKey],
    wanted: &Wanted,
) -> Result<Taken, Failure> {
    let mode = if wanted.shared {
        LockMode::Read
    } else {
        LockMode::Write
    };
    let names = names.iter().map(|name| Named::new(name.as_bytes(), mode));
    // Like flock: a wait of 0 is a try.
    let is_try = wanted.nonblock || wanted.wait == Some(Duration::ZERO);
    let mut request = if is_try {
        client.try_lock_all(names)
    } else {
        client.lock_all(names)
    };
    if let Some(wait) = wanted.wait {
        request = request.timeout(wait);
    }
    if let Some(label) = &wanted.label {
        request = request.label(label);
    }
    let conflict = Exit(wanted.conflict_exit_code);
    let guards = request.await.map_err(|error| match &error {
        LockAllError::Lock { name, why } => {
            Failure::acquire(&output::readable(name), why, conflict)
        }
        _ => Failure::new(Exit::USAGE, error),
    })?;
    let domain = client.domain().clone();
    Ok(Taken {
        guards,
        mode,
        domain,
    })
}

impl Taken {
    /// The mode, as the lock's type calls it.
    pub(crate) const fn mode(&self) -> &'static str {
        self.mode.name()
    }

    /// Each name with its fencing token.
    pub(crate) fn fences(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let guards = self.guards.iter();
        guards.map(|(name, guard)| (name, guard.fence()))
    }

    /// How long all of them may still be used; `None` where no lease bounds them.
    pub(crate) fn valid_for(&self) -> Option<Duration> {
        self.guards.valid_for()
    }

    /// Waits until one of them is lost, and says why, as a sentence.
    pub(crate) async fn lost(&self) -> String {
        let lost = self.guards.lost().await;
        self.in_words(&lost)
    }

    /// Why one of them was lost, if one was.
    pub(crate) fn why_lost(&self) -> Option<String> {
        let mut cx = Context::from_waker(Waker::noop());
        match pin!(self.guards.lost()).as_mut().poll(&mut cx) {
            Poll::Ready(lost) => Some(self.in_words(&lost)),
            Poll::Pending => None,
        }
    }

    fn in_words(&self, lost: &LostLock) -> String {
        let key = ResourceKey::new(&lost.name).ok();
        let reason = key.filter(|_| lost.why == LostReason::Revoked);
        let reason = reason.and_then(|key| self.domain.release_reason(RwLockType::ID, &key));
        match reason {
            Some(reason) => format!("{lost} by {}", output::tame(&reason)),
            None => lost.to_string(),
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
}
