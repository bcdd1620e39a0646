//! Resource types: what a kind of lockable thing tells the framework.

use core::fmt::Debug;
use core::hash::Hash;

use crate::credit::Credit;
use crate::id::{ResourceKey, TypeId};
use crate::policy::Policy;

/// A kind of resource.
///
/// This and its [`Credit`] are all that a new type supplies. Who may have what, who waits for whom, what is
/// recalled and what is cached follow from the arithmetic of the credit; the same book-keeping runs
/// for every type.
pub trait ResourceType: Clone + Debug + Eq + Hash + Send + Sync + 'static {
    /// Its credit.
    type Credit: Credit;

    /// The number of the type, the same on every node. 0 to 1023 are the project's own.
    const ID: TypeId;

    /// Its name, for people and metrics, such as `rw-lock`.
    const NAME: &'static str;

    /// All the credit there is of the resource `key`: the same answer on every node, for ever.
    fn capital(&self, key: &ResourceKey) -> Self::Credit;

    /// How much is granted beyond what was asked of the resource `key`; `None`: as the domain has it for all.
    ///
    /// It may differ from node to node. What the domain is told for this type goes before it
    /// ([`DomainSettings::policies`](crate::front::DomainSettings::policies)).
    fn policy(&self, key: &ResourceKey) -> Option<Policy> {
        let _ = key;
        None
    }

    /// Whether a hold of what was asked moves the fencing clock: whether it conflicts with its own kind.
    ///
    /// Too often costs a number; too seldom lets two holders share a token.
    fn ticks(ask: &Self::Credit, capital: &Self::Credit) -> bool {
        ask.conflicts(ask, capital)
    }

    /// Whether a loan of this much could have served a hold that [`ticks`](Self::ticks).
    ///
    /// If in doubt, yes.
    fn may_tick(loan: &Self::Credit, capital: &Self::Credit) -> bool {
        let _ = capital;
        !loan.is_empty()
    }

    /// What a person calls the mode that asks for this, such as `read`.
    fn mode_name(ask: &Self::Credit, capital: &Self::Credit) -> &'static str {
        let _ = (ask, capital);
        Self::NAME
    }
}
