//! Guards: the right to read or write each byte of a range, until dropped or lost.
//!
//! **Invariant.** A guard's bytes are one range without gaps, and it has each of them to read or to write.

use core::ops::{Deref, RangeBounds, RangeInclusive};
use core::time::Duration;

use rm_core::credit::Credit;
use rm_core::error::LostReason;
use rm_core::front::{AcquireError, Handle, Held, Patience, Resource, Waiter};
use thiserror::Error;

use super::credit::{ByteRangeType, RangeCredit, Span, span};
use crate::request::{Outcome, sealed};

/// How a byte is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two")]
pub enum Mode {
    /// Shared: any number at once, while nobody writes it.
    Read,
    /// Exclusive.
    Write,
}

impl Mode {
    /// How many shares of a byte it takes, of as many as the capital has.
    pub(super) fn shares(self, capital: &RangeCredit) -> u64 {
        match self {
            Self::Read => 1,
            Self::Write => capital.pieces().next().map_or(0, |(_, shares)| shares),
        }
    }
}

/// A range that a guard cannot do this with. It is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "not in the guard's range, which is {first} to {last} inclusive; and a part has one byte at least"
)]
#[non_exhaustive]
pub struct BadRange {
    /// The guard's first byte.
    pub first: u64,
    /// The guard's last byte.
    pub last: u64,
}

/// The right to a range of bytes; `R` is how it refers to the lock.
///
/// Dropping it gives the right back: synchronously, without fail, without a runtime. The credit stays cached.
#[derive(Debug)]
#[must_use = "dropping the guard releases the range"]
pub struct Guard<R: Deref<Target = Resource<ByteRangeType>>> {
    held: Held<ByteRangeType, R>,
    credit: RangeCredit,
}

/// A guard that borrows the lock's handle.
pub type GuardRef<'a> = Guard<&'a Resource<ByteRangeType>>;
/// A guard with a handle of its own.
pub type OwnedGuard = Guard<Handle<ByteRangeType>>;

impl<R: Deref<Target = Resource<ByteRangeType>>> Guard<R> {
    pub(super) const fn new(held: Held<ByteRangeType, R>, credit: RangeCredit) -> Self {
        Self { held, credit }
    }

    /// Its bytes.
    #[must_use]
    pub fn range(&self) -> RangeInclusive<u64> {
        let Span { first, last } = self.span();
        first..=last
    }

    /// Its bytes by how it holds them, in order.
    pub fn pieces(&self) -> impl Iterator<Item = (RangeInclusive<u64>, Mode)> {
        let write = self.shares(Mode::Write);
        self.credit.pieces().map(move |(range, shares)| {
            let mode = if shares >= write {
                Mode::Write
            } else {
                Mode::Read
            };
            (range, mode)
        })
    }

    /// How it holds its bytes; `None` where it holds some to read and others to write.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        let mut pieces = self.pieces();
        let (_, mode) = pieces.next()?;
        pieces.next().is_none().then_some(mode)
    }

    /// Splits it: the new guard has the bytes from `at`, this one those before. Both have the same fencing token,
    /// and if this one was lost, so is the new one.
    ///
    /// # Errors
    /// If `at` is not one of its bytes, or is the first.
    pub fn split_at(&mut self, at: u64) -> Result<Self, BadRange>
    where
        R: Clone,
    {
        let Span { first, last } = self.span();
        if at <= first || at > last {
            return Err(self.bad_range());
        }
        let part = self.credit.restrict(&RangeCredit::new(at.., 1));
        self.credit = self.credit.less(&part);
        Ok(Self::new(self.held.split(&part), part))
    }

    /// Takes in another guard of the same lock, whose bytes begin where this one's end, or the other way round.
    ///
    /// # Errors
    /// The other guard, where it is no neighbour or of another lock, where one of the two was lost, or where there
    /// is no fencing number for both together at the moment. Then both are as they were.
    pub fn merge(&mut self, other: Self) -> Result<(), Self> {
        let (one, two) = (self.span(), other.span());
        let touch = |a: Span, b: Span| a.last.checked_add(1) == Some(b.first);
        let Some(both) = self.credit.join(&other.credit) else {
            return Err(other);
        };
        if !touch(one, two) && !touch(two, one) {
            return Err(other);
        }
        let Self { held, credit } = other;
        match self.held.merge(held) {
            Ok(()) => {
                self.credit = both;
                Ok(())
            }
            Err(held) => Err(Self::new(held, credit)),
        }
    }

    /// Goes on to read what it wrote of a part, and lets others read it. At once; it cannot fail for others.
    ///
    /// The token of a guard that writes nothing any more rises: it is a reader's then.
    ///
    /// # Errors
    /// If the part is not within its range.
    pub fn downgrade(&mut self, part: impl RangeBounds<u64>) -> Result<(), BadRange> {
        let part = self.part(&part)?;
        let beyond = RangeCredit::of(part, self.shares(Mode::Write) - 1);
        let keep = self
            .credit
            .meet(&self.held.resource().capital().less(&beyond));
        self.held.reduce(&keep);
        self.credit = keep;
        Ok(())
    }

    /// Asks to write a part that it reads, without letting go of anything meanwhile. The token rises.
    ///
    /// It goes before new requests, and waits for other readers of the part. Cancel safe: dropping the future
    /// leaves the guard as it was, so a timeout around it does no harm.
    ///
    /// # Errors
    /// [`AcquireError::WouldDeadlock`], at once, where another guard upgrades too and each waits for the other: split
    /// off and drop what the other waits for, or drop the guard, and ask again.
    /// [`AcquireError::SessionLost`] where the guard was lost, [`AcquireError::BadRequest`] where the part is not
    /// within its range. After each of these it is as it was.
    pub async fn upgrade(&mut self, part: impl RangeBounds<u64>) -> Result<(), AcquireError> {
        let part = self.part(&part);
        self.convert(part, Patience::Forever).await
    }

    /// Upgrades a part if that can be had without waiting for another reader of it. As [`upgrade`](Self::upgrade).
    ///
    /// # Errors
    /// [`AcquireError::Busy`] where somebody is in the way, and those of [`upgrade`](Self::upgrade).
    pub async fn try_upgrade(&mut self, part: impl RangeBounds<u64>) -> Result<(), AcquireError> {
        let part = self.part(&part);
        self.convert(part, Patience::Try).await
    }

    async fn convert(
        &mut self,
        part: Result<Span, BadRange>,
        patience: Patience,
    ) -> Result<(), AcquireError> {
        let part = part.map_err(|_| AcquireError::BadRequest {
            why: "a guard upgrades parts of its own range only, of one byte at least",
        })?;
        let more = RangeCredit::of(part, self.shares(Mode::Write));
        let to = self.credit.sup(&more);
        self.held.convert(to.clone()).patience(patience).await?;
        self.credit = to;
        Ok(())
    }

    /// The fencing token, never zero: larger than that of every conflicting hold that ended before this one
    /// began. That of a guard that writes is odd.
    ///
    /// Pass it to the store that the lock guards. The store keeps the highest *odd* token that it has seen
    /// for each byte, and refuses a smaller one.
    #[must_use]
    pub const fn fence(&self) -> u64 {
        self.held.fence()
    }

    /// Whether it may still be used, by this node's clock at this moment. Once it may not, it never may again.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.held.is_valid()
    }

    /// How long it may still be used if its lease is not extended; zero once it was lost; `None` where no
    /// lease bounds it, at the root's own process.
    #[must_use]
    pub fn valid_for(&self) -> Option<Duration> {
        self.held.valid_for()
    }

    /// Whether somebody waits because of this guard, as far as this node knows.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.held.is_wanted()
    }

    /// Waits until somebody waits because of this guard, and says who. Each is told once; the next call waits for the
    /// next.
    ///
    /// Cancel safe: dropping the future loses no notice.
    ///
    /// # Errors
    /// Why it was lost, if it is.
    pub async fn wanted(&self) -> Result<Waiter, LostReason> {
        self.held.wanted().await
    }

    /// Waits until the guard is lost, and says why. Never ends while it is valid.
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn lost(&self) -> LostReason {
        self.held.lost().await
    }

    fn shares(&self, mode: Mode) -> u64 {
        mode.shares(self.held.resource().capital())
    }

    fn span(&self) -> Span {
        self.credit.span().expect("a guard has one byte at least")
    }

    fn part(&self, range: &impl RangeBounds<u64>) -> Result<Span, BadRange> {
        span(range)
            .filter(|part| self.span().contains(*part))
            .ok_or_else(|| self.bad_range())
    }

    fn bad_range(&self) -> BadRange {
        let Span { first, last } = self.span();
        BadRange { first, last }
    }
}

impl<R: Deref<Target = Resource<ByteRangeType>>> sealed::Sealed for Guard<R> {}

impl<R: Deref<Target = Resource<ByteRangeType>>> Outcome<ByteRangeType, R> for Guard<R> {
    fn granted(held: Held<ByteRangeType, R>, ask: RangeCredit) -> Result<Self, AcquireError> {
        Ok(Self::new(held, ask))
    }
}
