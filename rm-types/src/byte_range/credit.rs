//! What a range lock lends: shares of each byte.
//!
//! A credit is a map from bytes to counts, kept as a sorted list of [`Piece`]s. **Invariants:** pieces do not overlap,
//! none is empty, and neighbours with the same count are one piece. So equal maps are equal lists.
//!
//! **Cost.** Every operation is one pass over the pieces of its operands, and the result has at most as many pieces as
//! both together. The bytes of a range do not count.

use core::fmt;
use core::ops::{Bound, RangeBounds, RangeInclusive};

use rm_core::access::Access;
use rm_core::credit::{Credit, Malformed};
use rm_core::front::{AcquireError, Resource};
use rm_core::id::{ResourceKey, TypeId};
use rm_core::number;
use rm_core::resource::ResourceType;
use smallvec::SmallVec;

use crate::request::{Kind, sealed};

/// How many shares a byte has, unless the type says otherwise: the most readers of it at once.
pub const SHARES: u64 = 1 << 32;

/// The most pieces of a credit that comes from a peer; more are malformed. In the longest encoding they take 15 KiB,
/// which is what the wire allows.
pub const PIECES_MAX: usize = 512;

/// The most guards and waiting requests of one range lock at one node; more are refused.
pub const GUARDS_MAX: usize = 128;

/// A node that has more pieces than this on loan sends those home that nobody there uses, before it asks for another.
pub const CACHED_PIECES_MAX: usize = 64;

/// A run of bytes with the same count.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Piece {
    first: u64,
    last: u64,
    shares: u64,
}

/// An amount of a range lock's credit: so many shares of each byte.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct RangeCredit {
    pieces: SmallVec<[Piece; 1]>,
}

impl RangeCredit {
    /// So many shares of each byte of a range; nothing, if it is empty.
    #[must_use]
    pub fn new(range: impl RangeBounds<u64>, shares: u64) -> Self {
        span(&range).map_or_else(Self::default, |span| Self::of(span, shares))
    }

    /// So many shares of each byte of a span.
    pub(super) fn of(span: Span, shares: u64) -> Self {
        let mut credit = Self::default();
        credit.push(span.first, span.last, shares);
        credit
    }

    /// The runs of bytes that have the same count, and that count, in order.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = (RangeInclusive<u64>, u64)> {
        self.pieces
            .iter()
            .map(|piece| (piece.first..=piece.last, piece.shares))
    }

    /// From the first byte it has anything of to the last.
    pub(super) fn span(&self) -> Option<Span> {
        Some(Span {
            first: self.pieces.first()?.first,
            last: self.pieces.last()?.last,
        })
    }

    /// Appends a run behind the others.
    fn push(&mut self, first: u64, last: u64, shares: u64) {
        if shares == 0 {
            return;
        }
        match self.pieces.last_mut() {
            Some(before)
                if before.shares == shares && before.last.checked_add(1) == Some(first) =>
            {
                before.last = last;
            }
            _ => self.pieces.push(Piece {
                first,
                last,
                shares,
            }),
        }
    }

    /// The credit that has `count` of both counts at each byte. Nothing of nothing must be nothing.
    fn combine(&self, other: &Self, count: impl Fn(u64, u64) -> u64) -> Self {
        let mut credit = Self::default();
        for run in runs(self, other) {
            credit.push(run.first, run.last, count(run.a, run.b));
        }
        credit
    }
}

impl fmt::Debug for RangeCredit {
    /// `[0..=9: 1, 20..=29: 4]`: traces are full of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, piece) in self.pieces.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(
                f,
                "{comma}{}..={}: {}",
                piece.first, piece.last, piece.shares
            )?;
        }
        f.write_str("]")
    }
}

impl Credit for RangeCredit {
    fn empty() -> Self {
        Self::default()
    }

    fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    fn join(&self, other: &Self) -> Option<Self> {
        let fits = runs(self, other).all(|run| run.a.checked_add(run.b).is_some());
        fits.then(|| self.combine(other, u64::saturating_add))
    }

    fn covers(&self, part: &Self) -> bool {
        runs(self, part).all(|run| run.a >= run.b)
    }

    fn meet(&self, other: &Self) -> Self {
        self.combine(other, u64::min)
    }

    fn sup(&self, other: &Self) -> Self {
        self.combine(other, u64::max)
    }

    fn less(&self, other: &Self) -> Self {
        self.combine(other, u64::saturating_sub)
    }

    fn raise(&self, other: &Self, capital: &Self) -> Self {
        self.combine(other, u64::saturating_add).meet(capital)
    }

    /// A byte is a component: who asks for one part of a file asks nobody for another.
    fn restrict(&self, to: &Self) -> Self {
        self.combine(to, |shares, wanted| if wanted > 0 { shares } else { 0 })
    }

    /// Where both have a byte of which they want more together than there is.
    fn conflicts(&self, other: &Self, capital: &Self) -> bool {
        let contended = |a: u64, b: u64| {
            if a > 0 && b > 0 {
                a.saturating_add(b)
            } else {
                0
            }
        };
        !capital.covers(&self.combine(other, contended))
    }

    /// Nothing. Nobody knows which bytes a debtor will want next, and what it has of others beyond its request
    /// must be recalled by each who writes there. Parts of a file that different nodes write stay theirs so,
    /// without a message between them. Under the policy `Adaptive` a node that is alone on a file gets the
    /// rest of it at once all the same.
    fn slice(&self, _: u32) -> Self {
        Self::default()
    }

    /// Three numbers for each piece: how many bytes lie between it and the one before, how many it has less one, and
    /// its count.
    fn encode(&self, out: &mut Vec<u8>) {
        let mut next = 0;
        for piece in &self.pieces {
            number::encode(piece.first - next, out);
            number::encode(piece.last - piece.first, out);
            number::encode(piece.shares, out);
            // Behind the last byte there is no piece.
            next = piece.last.wrapping_add(1);
        }
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, Malformed> {
        let mut credit = Self::default();
        let mut next = Some(0_u64);
        while !bytes.is_empty() {
            let (gap, rest) = number::decode(bytes)?;
            let (more, rest) = number::decode(rest)?;
            let (shares, rest) = number::decode(rest)?;
            let first = next
                .and_then(|next| next.checked_add(gap))
                .ok_or(Malformed)?;
            let last = first.checked_add(more).ok_or(Malformed)?;
            let pieces = credit.pieces.len();
            credit.push(first, last, shares);
            // No shares, or a part of the piece before: there is a shorter way to write it.
            if credit.pieces.len() == pieces || pieces == PIECES_MAX {
                return Err(Malformed);
            }
            next = last.checked_add(1);
            bytes = rest;
        }
        Ok(credit)
    }
}

/// The bytes from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Span {
    pub(super) const fn contains(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

/// The bytes of a range; `None` if there are none.
pub(super) fn span(range: &impl RangeBounds<u64>) -> Option<Span> {
    let first = match range.start_bound() {
        Bound::Included(&first) => first,
        Bound::Excluded(&before) => before.checked_add(1)?,
        Bound::Unbounded => 0,
    };
    let last = match range.end_bound() {
        Bound::Included(&last) => last,
        Bound::Excluded(&end) => end.checked_sub(1)?,
        Bound::Unbounded => u64::MAX,
    };
    (first <= last).then_some(Span { first, last })
}

/// Bytes of which one credit has the count `a` each and another one `b`.
struct Run {
    first: u64,
    last: u64,
    a: u64,
    b: u64,
}

/// All bytes there are, as runs in which both credits have one count: at most one more than twice their pieces
/// together.
fn runs(a: &RangeCredit, b: &RangeCredit) -> impl Iterator<Item = Run> {
    let (mut a, mut b) = (Cursor(&a.pieces), Cursor(&b.pieces));
    let mut next = Some(0);
    core::iter::from_fn(move || {
        let first = next?;
        let ((a, a_last), (b, b_last)) = (a.at(first), b.at(first));
        let last = a_last.min(b_last);
        next = last.checked_add(1);
        Some(Run { first, last, a, b })
    })
}

/// A place in a credit, which only goes forward.
struct Cursor<'a>(&'a [Piece]);

impl Cursor<'_> {
    /// The count of the byte `at`, and the last byte up to which it is the same.
    fn at(&mut self, at: u64) -> (u64, u64) {
        while let [piece, rest @ ..] = self.0
            && piece.last < at
        {
            self.0 = rest;
        }
        match self.0 {
            [] => (0, u64::MAX),
            [piece, ..] if at < piece.first => (0, piece.first - 1),
            [piece, ..] => (piece.shares, piece.last),
        }
    }
}

/// The type of range locks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ByteRangeType {
    shares: u64,
}

impl ByteRangeType {
    /// Range locks with so many shares of each byte; less than 2 counts as 2. Every node must say the same.
    #[must_use]
    pub const fn with_shares(shares: u64) -> Self {
        Self {
            shares: if shares < 2 { 2 } else { shares },
        }
    }

    /// What a reader of a range asks for: one share of each byte.
    #[must_use]
    pub fn read(range: impl RangeBounds<u64>) -> RangeCredit {
        RangeCredit::new(range, 1)
    }

    /// What a writer of a range asks for: all shares of each byte.
    #[must_use]
    pub fn write(&self, range: impl RangeBounds<u64>) -> RangeCredit {
        RangeCredit::new(range, self.shares)
    }
}

impl Default for ByteRangeType {
    /// Range locks with [`SHARES`] shares of each byte.
    fn default() -> Self {
        Self::with_shares(SHARES)
    }
}

impl ResourceType for ByteRangeType {
    type Credit = RangeCredit;
    type Level = RangeCredit;

    const ID: TypeId = TypeId(3);

    const NAME: &'static str = "byte-range";

    fn capital(&self, _key: &ResourceKey) -> RangeCredit {
        self.write(..)
    }

    /// Only who has more than half the shares of some byte can have served a writer.
    fn may_tick(loan: &RangeCredit, capital: &RangeCredit) -> bool {
        loan.conflicts(loan, capital)
    }

    fn access(ask: &RangeCredit, capital: &RangeCredit) -> Access {
        if ask.conflicts(ask, capital) {
            Access::Exclusive
        } else {
            Access::Share
        }
    }

    fn mode_name(ask: &RangeCredit, capital: &RangeCredit) -> &'static str {
        if ask.conflicts(ask, capital) {
            "write"
        } else {
            "read"
        }
    }
}

impl sealed::Sealed for ByteRangeType {}

impl Kind for ByteRangeType {
    /// Bounds what this node has on loan, so that each message about it can be told.
    ///
    /// Each hold adds at most two boundaries, and what is cached beyond [`CACHED_PIECES_MAX`] pieces goes home first.
    /// With the steps of a recall, which add two each, a loan stays below [`PIECES_MAX`] pieces.
    fn admit(resource: &Resource<Self>) -> Result<(), AcquireError> {
        let (used, pieces) = resource.with_owner(|owner| {
            let used =
                owner.holds().count() + owner.waiting().filter(|w| w.token.is_some()).count();
            (used, owner.borrowed().pieces.len())
        });
        if used >= GUARDS_MAX {
            return Err(AcquireError::BadRequest {
                why: "this node has too many guards and requests of this range lock: end some, or merge neighbours",
            });
        }
        if pieces > CACHED_PIECES_MAX {
            resource.return_spare();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
