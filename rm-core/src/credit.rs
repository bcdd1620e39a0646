//! The algebra of credit.
//!
//! A resource has a fixed *capital* of credit, which is split, moved and merged, never made, copied or
//! destroyed. That one law gives exclusion: whoever holds all of the capital is alone.
//!
//! A credit type is a cancellative partial commutative monoid (`join`, `empty`) ordered by "is part of"
//! (`covers`), with the lattice operations of that order (`meet`, `sup`) and a difference (`less`): a
//! separation algebra with a greatest common part. Counts, sets of intervals, maps from intervals to counts
//! and vectors of them all fit. `rm_core::testing::laws` checks every law below on a type of yours.

use core::fmt::Debug;
use core::hash::Hash;

use thiserror::Error;

/// An amount of credit.
///
/// # Laws
///
/// Written `+` for [`join`](Self::join) where it is defined, `<=` for "is part of", `-` for
/// [`less`](Self::less):
///
/// * `+` is commutative, associative and cancellative, and `empty` is its identity. Both sides of each are
///   defined, or neither is;
/// * `<=` is a partial order, `empty` its least element, `a <= a + b`, and `b <= a` exactly if
///   `b + (a - b) == a`, and exactly if `b - a` is empty;
/// * `meet` and `sup` are greatest lower and least upper bound, and `sup(a, b) == a + (b - a)`;
/// * `(a - b) + meet(a, b) == a`, and `(a + b) - b == a`;
/// * `raise(a, b)` is `meet(a + b, capital)`. Where `a + b` is not defined, it is the least part of the
///   capital that the type can tell, not below `meet(a, capital)` or `meet(b, capital)`;
/// * `restrict(a, b) <= a`, `restrict(a, empty)` is empty, `restrict(a, a) == a`,
///   `a - b <= restrict(a, a - b)`, and `restrict(a, b) == restrict(a, c)` where `b` and `c` have the same
///   components, that is where `restrict(b, c) == b` and `restrict(c, b) == c`;
/// * `conflicts` is symmetric, `empty` conflicts with nothing, and where `a` and `b` conflict, `a + b` is not part
///   of the capital: that is why two that conflict are never held at once;
/// * `slice(a, n) <= a`;
/// * `decode(encode(a)) == a`, `encode` only appends, and `decode` of any bytes is a value or an error, never
///   a panic.
///
/// Methods run under the lock of their resource: they must not block, and must not panic.
pub trait Credit: Clone + Debug + Eq + Hash + Send + Sync + 'static {
    /// The credit that authorises nothing.
    fn empty() -> Self;

    /// Whether it authorises nothing.
    fn is_empty(&self) -> bool;

    /// Both together; `None` where they are not one credit (a count that does not fit).
    fn join(&self, other: &Self) -> Option<Self>;

    /// Whether `part` is part of this.
    fn covers(&self, part: &Self) -> bool;

    /// The most that is part of both.
    fn meet(&self, other: &Self) -> Self;

    /// The least that covers both.
    fn sup(&self, other: &Self) -> Self;

    /// What this has beyond `other`; empty where it has no more.
    fn less(&self, other: &Self) -> Self;

    /// [`join`](Self::join), cut off at the capital.
    fn raise(&self, other: &Self, capital: &Self) -> Self;

    /// What this has in the components in which `to` has anything.
    ///
    /// A type with one count has one component. A vector has one for each of its counts, a map from keys
    /// to counts one for each key.
    fn restrict(&self, to: &Self) -> Self;

    /// Whether two parties that asked for these may not hold them at once.
    ///
    /// It speaks of what was *asked for*, never of the size of a piece.
    fn conflicts(&self, other: &Self, capital: &Self) -> bool;

    /// About one part in `parts` of this, rounded down: what the policy `Slice` gives on top.
    ///
    /// Never more than this. A type that has no use for a slice returns `empty`.
    fn slice(&self, parts: u32) -> Self;

    /// Appends the bytes of this for the wire.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`Malformed`] for bytes that are no credit. Any bytes are answered so: they come from a peer.
    fn decode(bytes: &[u8]) -> Result<Self, Malformed>;
}

/// Bytes that are no credit of the type they were sent for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Error)]
#[error("the bytes are no credit of this type")]
pub struct Malformed;

/// The bytes of a credit whose type is not known here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Opaque(pub smallvec::SmallVec<[u8; 16]>);

impl Opaque {
    /// The bytes of `credit`.
    #[must_use]
    pub fn of<C: Credit>(credit: &C) -> Self {
        let mut bytes = Vec::with_capacity(16);
        credit.encode(&mut bytes);
        Self(bytes.into())
    }

    /// The credit with these bytes.
    ///
    /// # Errors
    /// [`Malformed`] where there is none.
    pub fn read<C: Credit>(&self) -> Result<C, Malformed> {
        C::decode(&self.0)
    }
}
