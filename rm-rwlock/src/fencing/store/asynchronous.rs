//! The loop of [`store`](super) for stores that are called with `await`. It needs no runtime of its own.
//!
//! Cancel safe in this sense: dropping a future leaves the object as it was, or with what was to be written and its
//! mark, depending on how far the store's own call got. Writing again under the same token is right in both cases.

use core::future::Future;

use super::{ATTEMPTS_MAX, FencedError, Mark, Stored, Swap, mark};

/// One object of a store, which replaces it only if it is as it was found: [`CompareAndSet`](super::CompareAndSet) with
/// futures. It may be implemented by `async fn`.
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
    fn load(&mut self) -> impl Future<Output = Loaded<Self>> + Send;

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
    ) -> impl Future<Output = Result<Swap, Self::Error>> + Send;
}

/// What [`CompareAndSet::load`] comes to.
pub type Loaded<S> = Result<
    Option<Stored<<S as CompareAndSet>::Value, <S as CompareAndSet>::Version>>,
    <S as CompareAndSet>::Error,
>;

/// The value, unless a later hold has written; `None` if there is no object. The mark stays as it is.
///
/// # Errors
/// [`FencedError::Refused`], [`FencedError::Store`].
pub async fn fenced_get<S: CompareAndSet>(
    store: &mut S,
    token: u64,
) -> Result<Option<S::Value>, FencedError<S::Error>> {
    let stored = store.load().await.map_err(FencedError::Store)?;
    let mark = mark(stored.as_ref());
    mark.admit_read(token).map_err(FencedError::Refused)?;
    Ok(stored.map(|stored| stored.value))
}

/// Writes the value under a writer's token, whatever an older hold left there.
///
/// # Errors
/// [`FencedError`] says for each whether something was written.
pub async fn fenced_put<S: CompareAndSet<Value: Clone>>(
    store: &mut S,
    token: u64,
    value: &S::Value,
) -> Result<(), FencedError<S::Error>> {
    fenced_update(store, token, |_| value.clone()).await
}

/// Writes under a writer's token what `change` makes of the value that is there (`None`: no object). It is called once
/// for each look at the store; of what it made, only the last is written.
///
/// A holder that reads and then acts elsewhere on what it read first raises the mark, with a `change` that changes
/// nothing: from then on no late write gets in.
///
/// # Errors
/// [`FencedError`] says for each whether something was written.
pub async fn fenced_update<S: CompareAndSet>(
    store: &mut S,
    token: u64,
    mut change: impl FnMut(Option<&S::Value>) -> S::Value,
) -> Result<(), FencedError<S::Error>> {
    for _ in 0..ATTEMPTS_MAX {
        let stored = store.load().await.map_err(FencedError::Store)?;
        let stored = stored.as_ref();
        let mark = mark(stored).admit_write(token);
        let mark = mark.map_err(FencedError::Refused)?;
        let value = change(stored.map(|stored| &stored.value));
        let found = stored.map(|stored| &stored.version);
        let swap = store.replace(found, mark, &value).await;
        match swap.map_err(FencedError::Store)? {
            Swap::Done => return Ok(()),
            Swap::Changed => {}
        }
    }
    Err(FencedError::Contended)
}
