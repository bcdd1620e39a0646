//! Resource types: what a kind of lockable thing tells the framework.

use core::fmt::Debug;
use core::hash::Hash;

use crate::access::Access;
use crate::credit::{Colour, Credit, Level};
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

    /// What its requests ask for: the credit itself, unless any so-and-so-much of it will do.
    type Level: Level<Self::Credit>;

    /// Whether what is lent comes back.
    const LENDING: Lending = Lending::Loaned;

    /// The number of the type, the same on every node. 0 to 1023 are the project's own.
    const ID: TypeId;

    /// Its name, for people and metrics, such as `rw-lock`.
    const NAME: &'static str;

    /// All the credit there is of the resource `key`: the same answer on every node, for ever.
    fn capital(&self, key: &ResourceKey) -> Self::Credit;

    /// What a root has to lend that enters `epoch`.
    ///
    /// Credit that is [used up](Lending::UsedUp) must never be lent by two lives of a root: give each epoch a part
    /// of the capital of its own. Of other types each epoch has all of it.
    fn opening(capital: &Self::Credit, epoch: u32) -> Self::Credit {
        let _ = epoch;
        capital.clone()
    }

    /// Whether so little is `left` of what the root [had](Self::opening) to give for good in this epoch that it should
    /// enter the next one. It does so in any case where somebody waits for more than is left.
    fn runs_low(left: &Self::Credit, opening: &Self::Credit) -> bool {
        let _ = opening;
        left.is_empty()
    }

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
    /// Too often costs a number; too seldom lets two holders share a token. It is not asked of credit that is
    /// [used up](Lending::UsedUp): nobody else ever holds that.
    fn ticks(held: &Self::Credit, capital: &Self::Credit) -> bool {
        held.conflicts(held, capital)
    }

    /// Whether a loan of this much could have served a hold that [`ticks`](Self::ticks).
    ///
    /// If in doubt, yes.
    fn may_tick(loan: &Self::Credit, capital: &Self::Credit) -> bool {
        let _ = capital;
        !loan.is_empty()
    }

    /// What any number of holders at one node may share as if they were one; `None`, unless the type says otherwise.
    ///
    /// Requests for it that [say so](crate::front::Ask::door) pass by a gate, without a lock, while it is cached and nobody
    /// waits. Its hold must conflict with none of its kind, and so not [tick](Self::ticks).
    fn shared(capital: &Self::Credit) -> Option<Self::Level> {
        let _ = capital;
        None
    }

    /// What one holder has alone, so that nobody else has anything: the capital, as a level; `None`, unless the type says
    /// otherwise. It counts only beside [`shared`](Self::shared).
    ///
    /// As [`shared`](Self::shared): requests for it that say so pass by the gate.
    fn sole(capital: &Self::Credit) -> Option<Self::Level> {
        let _ = capital;
        None
    }

    /// The part of the capital that has a colour; nothing, unless the type says otherwise.
    ///
    /// Two requests of one colour share coloured credit as they share any. Requests of different colours exclude each
    /// other, however small: all coloured credit of a resource has one colour, and only who has all of it free may
    /// give it another one. It is for modes that conflict with each other but not with their own kind, where neither
    /// is more than the other.
    ///
    /// The coloured part is made of whole components: what it has of any credit is
    /// [`restrict`](Credit::restrict)`(credit, coloured)`.
    fn coloured(capital: &Self::Credit) -> Self::Credit {
        let _ = capital;
        Self::Credit::empty()
    }

    /// The colour in which a request needs its coloured credit; `None` where any will do.
    ///
    /// A colour is no part of the order of levels: the laws of [`Level`] hold for the rest of it, and what its methods
    /// return has the colour of `self`.
    fn colour_of(ask: &Self::Level) -> Option<Colour> {
        let _ = ask;
        None
    }

    /// The same level in that colour.
    fn in_colour(level: Self::Level, colour: Colour) -> Self::Level {
        let _ = colour;
        level
    }

    /// Whether what is asked for shuts out who asks for the same: whoever may only read never gets so much.
    ///
    /// If in doubt it does, as it does unless the type says otherwise: then any use of the type's resources is writing.
    /// Of two levels, and of what is lent in steps, the larger shuts out no less.
    fn access(ask: &Self::Level, capital: &Self::Credit) -> Access {
        let _ = (ask, capital);
        Access::Exclusive
    }

    /// What a person calls the mode that asks for this, such as `read`.
    fn mode_name(ask: &Self::Level, capital: &Self::Credit) -> &'static str {
        let _ = (ask, capital);
        Self::NAME
    }
}

/// What becomes of credit that was lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Lending {
    /// It is recalled when somebody else needs it, and comes back when its holder is lost.
    Loaned,
    /// It is given for good: never recalled, never returned, gone when its holder is done. What a lost debtor had
    /// leaves a hole. For identifiers.
    UsedUp,
}
