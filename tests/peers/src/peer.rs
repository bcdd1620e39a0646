//! What every lock service is asked to do, in the words of the workloads.
//!
//! A [`Peer`] is one client of a service, with its own connections and its own session. Workloads are generic over it, so all
//! services run the very same code, and the compiler sees each of them as it would in a user's program.
//!
//! A request that is dropped before it is answered is not used here: recipes differ in what they leave behind then, and most
//! leave something. So workloads wait for every answer.

use std::fmt;

/// How a lock is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// Beside other readers.
    Read,
    /// Alone.
    Write,
}

/// Whether a recipe knows readers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Modes {
    /// It does.
    ReadAndWrite,
    /// Every holder is alone.
    WriteOnly,
}

/// One client of a lock service, by one recipe.
pub(crate) trait Peer: fmt::Debug + Send + Sync + 'static {
    /// What a program keeps to take the same lock again.
    type Lock: Clone + Send + Sync + 'static;
    /// What it has while it holds one.
    type Guard<'l>: Send;

    /// The handle of the lock of that name. Asks nobody.
    fn lock(&self, name: &str) -> Self::Lock;

    /// Takes it in that mode, and waits for as long as others have it.
    fn acquire<'l>(
        &self,
        lock: &'l Self::Lock,
        mode: Mode,
    ) -> impl Future<Output = Result<Self::Guard<'l>, String>> + Send;

    /// Gives it back, and waits until the service knows, if the recipe does.
    fn release(&self, guard: Self::Guard<'_>) -> impl Future<Output = Result<(), String>> + Send;
}

/// An error as a sentence that says where it came from.
pub(crate) fn failed<E: fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}
