//! Fencing in stores that can compare and set: key-value stores, and object stores with conditional writes.
//!
//! Such a store replaces an object if it still has the version that was read: an etag, a generation, a revision. That
//! is enough. Read the object and its [`Mark`], compare, and write value and mark together under the condition that
//! nobody came in between; else look again. [`CompareAndSet`] is what the store has to bring, the functions here are
//! the loop.
//! [`asynchronous`] has the same for stores that are called with `await`.
//!
//! Only writes of *other* holds make the loop turn, and of these there are few, since the lock keeps live ones apart.
//! So it ends after [`ATTEMPTS_MAX`] turns with an error, and never waits.
//!
//! What a store must not do:
//!
//! * **Give one version twice.** S3's etag is a hash of the content: the same bytes with another mark beside them have
//!   the same etag. Keep the mark *within* the content there ([`seal`], [`unseal`]). A generation or revision is safe.
//! * **Forget the mark.** Deleting the object deletes it. Replace the object by an empty one instead.
//! * **Lose what it has acknowledged**, as replicas that follow at a distance do when one is promoted.
//!
//! Large data need not pass through the loop: write it under a name that nobody else uses (with the token in it), and
//! then replace a small object that points to it.
//!
//! ```
//! use rm_rwlock::fencing::{Mark, store::{CompareAndSet, Stored, Swap, fenced_get, fenced_put}};
//!
//! /// One key of a store that counts the writes to it.
//! #[derive(Default)]
//! struct Key { revision: u64, content: Option<(Mark, String)> }
//!
//! impl CompareAndSet for Key {
//!     type Value = String;
//!     type Version = u64;
//!     type Error = std::convert::Infallible;
//!
//!     fn load(&mut self) -> Result<Option<Stored<String, u64>>, Self::Error> {
//!         let version = self.revision;
//!         let stored = self.content.clone();
//!         Ok(stored.map(|(mark, value)| Stored { mark, value, version }))
//!     }
//!
//!     fn replace(&mut self, found: Option<&u64>, mark: Mark, value: &String) -> Result<Swap, Self::Error> {
//!         if found.copied().unwrap_or(0) != self.revision {
//!             return Ok(Swap::Changed);
//!         }
//!         self.revision += 1;
//!         self.content = Some((mark, value.clone()));
//!         Ok(Swap::Done)
//!     }
//! }
//!
//! let mut key = Key::default();
//! fenced_put(&mut key, 105, &"new".to_string())?;
//! assert!(fenced_put(&mut key, 101, &"late".to_string()).is_err());
//! assert_eq!(fenced_get(&mut key, 106)?.as_deref(), Some("new"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod asynchronous;
#[cfg(test)]
mod tests;

use thiserror::Error;

use super::{BadMark, Mark, Refused};

/// How often a write looks again after somebody else has written in between.
pub const ATTEMPTS_MAX: u32 = 16;

/// One object of a store, which replaces it only if it is as it was found.
pub trait CompareAndSet {
    /// The content.
    type Value;
    /// What tells two contents of the object apart: no two writes have the same, even if they write the same.
    type Version;
    /// Why the store cannot be used.
    type Error;

    /// The object as it is now; `None` if there is none. It must be the newest: no stale replica, no cache.
    ///
    /// # Errors
    /// The store's own.
    fn load(&mut self) -> Loaded<Self>;

    /// Replaces value and mark in one step if the object still has the version that was found; with `None`, if there
    /// still is no object.
    ///
    /// # Errors
    /// The store's own. It need not be known then whether anything was written.
    fn replace(
        &mut self,
        found: Option<&Self::Version>,
        mark: Mark,
        value: &Self::Value,
    ) -> Result<Swap, Self::Error>;
}

/// What [`CompareAndSet::load`] comes to.
pub type Loaded<S> = Result<
    Option<Stored<<S as CompareAndSet>::Value, <S as CompareAndSet>::Version>>,
    <S as CompareAndSet>::Error,
>;

/// An object as a store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by those who bring a store")]
pub struct Stored<T, V> {
    /// The highest token that wrote it.
    pub mark: Mark,
    /// Its content.
    pub value: T,
    /// Which of its contents this is.
    pub version: V,
}

/// What became of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a condition holds or does not")]
#[must_use = "a write may not have taken place"]
pub enum Swap {
    /// It is written.
    Done,
    /// The object was not as it had been found; nothing is written.
    Changed,
}

/// Why a fenced operation did not take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FencedError<E> {
    /// The token does not allow it. Nothing was written.
    #[error(transparent)]
    Refused(Refused),
    /// Others wrote each time in between.
    #[error(
        "others wrote to the object {ATTEMPTS_MAX} times in between: somebody writes without the lock; find \
         out who, or try again"
    )]
    Contended,
    /// The store's own error. It is not known whether anything was written; to write it again under the same token does
    /// no harm.
    #[error(transparent)]
    Store(E),
}

/// The value, unless a later hold has written; `None` if there is no object. The mark stays as it is.
///
/// # Errors
/// [`FencedError::Refused`], [`FencedError::Store`].
pub fn fenced_get<S: CompareAndSet>(
    store: &mut S,
    token: u64,
) -> Result<Option<S::Value>, FencedError<S::Error>> {
    let stored = store.load().map_err(FencedError::Store)?;
    let mark = mark(stored.as_ref());
    mark.admit_read(token).map_err(FencedError::Refused)?;
    Ok(stored.map(|stored| stored.value))
}

/// Writes the value under a writer's token, whatever an older hold left there.
///
/// # Errors
/// [`FencedError`] says for each whether something was written.
pub fn fenced_put<S: CompareAndSet<Value: Clone>>(
    store: &mut S,
    token: u64,
    value: &S::Value,
) -> Result<(), FencedError<S::Error>> {
    fenced_update(store, token, |_| value.clone())
}

/// Writes under a writer's token what `change` makes of the value that is there (`None`: no object). It is called once
/// for each look at the store; of what it made, only the last is written.
///
/// A holder that reads and then acts elsewhere on what it read first raises the mark, with a `change` that changes
/// nothing: from then on no late write gets in.
///
/// # Errors
/// [`FencedError`] says for each whether something was written.
pub fn fenced_update<S: CompareAndSet>(
    store: &mut S,
    token: u64,
    mut change: impl FnMut(Option<&S::Value>) -> S::Value,
) -> Result<(), FencedError<S::Error>> {
    for _ in 0..ATTEMPTS_MAX {
        let stored = store.load().map_err(FencedError::Store)?;
        let stored = stored.as_ref();
        let mark = mark(stored).admit_write(token);
        let mark = mark.map_err(FencedError::Refused)?;
        let value = change(stored.map(|stored| &stored.value));
        let found = stored.map(|stored| &stored.version);
        let swap = store.replace(found, mark, &value);
        match swap.map_err(FencedError::Store)? {
            Swap::Done => return Ok(()),
            Swap::Changed => {}
        }
    }
    Err(FencedError::Contended)
}

/// The mark of an object; where there is none, nobody has written.
fn mark<T, V>(stored: Option<&Stored<T, V>>) -> Mark {
    stored.map_or(Mark::NONE, |stored| stored.mark)
}

/// What sealed content begins with: whose it is, and in which form.
const MAGIC: [u8; 4] = *b"rmf1";

/// Mark and value as one content, for stores that have no place for the mark beside it: `rmf1`, eight bytes of mark,
/// the most significant first, then the value.
#[must_use]
pub fn seal(mark: Mark, value: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &mark.highest().to_be_bytes(), value].concat()
}

/// What [`seal`] made, apart again.
///
/// # Errors
/// [`UnsealError`]: somebody else wrote this content.
pub fn unseal(content: &[u8]) -> Result<(Mark, &[u8]), UnsealError> {
    let sealed = content.strip_prefix(&MAGIC);
    let sealed = sealed.and_then(<[u8]>::split_first_chunk);
    let (mark, value) = sealed.ok_or(UnsealError::NotSealed)?;
    let mark = Mark::stored(u64::from_be_bytes(*mark)).map_err(UnsealError::BadMark)?;
    Ok((mark, value))
}

/// A content has no mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnsealError {
    /// It is not what [`seal`] makes.
    #[error(
        "the object has no mark: somebody else wrote it; seal it once, then let all write it fenced"
    )]
    NotSealed,
    /// What stands for the mark is none.
    #[error(transparent)]
    BadMark(BadMark),
}
