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

/// How much a request asks for.
///
/// For nearly every type it is the credit itself: *this* share, *those* bytes. Where units have names and a request
/// does not care which ones it gets, it is a size: "any five identifiers" is no credit, but every credit has a
/// size. What is lent, held and recalled is credit; what is asked for is a level.
///
/// # Laws
///
/// * a level obeys the laws of [`Credit`], by other names: `reaches` is `covers`, `at_least` is `sup`, `beyond` is
///   `less`, `plus` is `raise`, `only_where` is `restrict`;
/// * `of` keeps the order and the sums: `of(a + b)` is `of(a)` plus `of(b)`, and `of(empty)` is zero;
/// * `draw(c) <= c`, this level reaches `of(draw(c))`, and `draw(c)` is as much as there is: if `of(c)` reaches this
///   level, so does `of(draw(c))`;
/// * `read(write(a)) == a`, and `read` of any bytes is a value or an error.
///
/// Methods run under the lock of their resource: they must not block, and must not panic.
pub trait Level<C: Credit>: Clone + Debug + Eq + Hash + Send + Sync + 'static {
    /// How much a credit amounts to.
    fn of(credit: &C) -> Self;

    /// Whether it is nothing.
    fn is_zero(&self) -> bool;

    /// Whether `other` is no more than this.
    fn reaches(&self, other: &Self) -> bool;

    /// The least that reaches both.
    fn at_least(&self, other: &Self) -> Self;

    /// What this has beyond `other`.
    fn beyond(&self, other: &Self) -> Self;

    /// The sum, cut off at the capital.
    fn plus(&self, other: &Self, capital: &C) -> Self;

    /// What this has in the components in which `to` has anything.
    fn only_where(&self, to: &Self) -> Self;

    /// The part of `credit` that serves this level: as much of it as there is, and no more than it takes.
    fn draw(&self, credit: &C) -> C;

    /// The part of `credit` that serves this level, if it serves all of it.
    fn draw_all(&self, credit: &C) -> Option<C> {
        let drawn = self.draw(credit);
        Self::of(&drawn).reaches(self).then_some(drawn)
    }

    /// Appends the bytes of this for the wire.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// [`Malformed`] for bytes that are no level. Any bytes are answered so: they come from a peer.
    fn read(bytes: &[u8]) -> Result<Self, Malformed>;
}

/// A credit asks for itself.
impl<C: Credit> Level<C> for C {
    fn of(credit: &C) -> Self {
        credit.clone()
    }

    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    fn reaches(&self, other: &Self) -> bool {
        self.covers(other)
    }

    fn at_least(&self, other: &Self) -> Self {
        self.sup(other)
    }

    fn beyond(&self, other: &Self) -> Self {
        self.less(other)
    }

    fn plus(&self, other: &Self, capital: &C) -> Self {
        self.raise(other, capital)
    }

    fn only_where(&self, to: &Self) -> Self {
        self.restrict(to)
    }

    fn draw(&self, credit: &C) -> C {
        credit.meet(self)
    }

    fn draw_all(&self, credit: &C) -> Option<C> {
        credit.covers(self).then(|| self.clone())
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }

    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::decode(bytes)
    }
}

/// A colour of credit: a mark that all coloured credit of a resource has in common.
///
/// It tells apart requests that never conflict with their own kind and always with one another, which counts alone
/// cannot: see [`ResourceType::coloured`](crate::resource::ResourceType::coloured). The numbers mean what the type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number, and nothing else")]
pub struct Colour(pub u8);

/// Bytes that are no credit of the type they were sent for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Error)]
#[error("the bytes are no credit of this type")]
pub struct Malformed;

/// The bytes of a credit or a level whose type is not known here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Opaque(pub smallvec::SmallVec<[u8; 16]>);

impl Opaque {
    /// The bytes of `credit`.
    #[must_use]
    pub fn of<C: Credit>(credit: &C) -> Self {
        Self::written(|out| credit.encode(out))
    }

    /// The bytes of `level`, which measures credit of type `C`.
    #[must_use]
    pub fn of_level<C: Credit, L: Level<C>>(level: &L) -> Self {
        Self::written(|out| level.write(out))
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = Vec::with_capacity(16);
        write(&mut bytes);
        Self(bytes.into())
    }

    /// The credit with these bytes.
    ///
    /// # Errors
    /// [`Malformed`] where there is none.
    pub fn read<C: Credit>(&self) -> Result<C, Malformed> {
        C::decode(&self.0)
    }

    /// The level with these bytes, which measures credit of type `C`.
    ///
    /// # Errors
    /// [`Malformed`] where there is none.
    pub fn read_level<C: Credit, L: Level<C>>(&self) -> Result<L, Malformed> {
        L::read(&self.0)
    }
}
