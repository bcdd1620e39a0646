//! What an identifier range lends: identifiers, for good.
//!
//! An identifier is `epoch << 32 | counter`. Each epoch of the root has the identifiers that begin with it, so two lives
//! of a root never lend the same one, whatever was lost between them: there are holes, and never a repeat.
//!
//! A request asks for *any* so many of them, which is no credit but a size ([`Count`]). What is lent is never
//! recalled and never returned: identifiers that were handed out are used up, and those that a lost node had not
//! handed out yet are a hole.

use core::fmt;

use rm_core::credit::{Credit, Level, Malformed};
use rm_core::id::{ResourceKey, TypeId};
use rm_core::number;
use rm_core::resource::{Lending, ResourceType};
use smallvec::SmallVec;

use crate::request::{Kind, sealed};

/// The most ranges that a set from the wire may have.
pub const RANGES_MAX: usize = 512;

/// The most identifiers that a grant carries beyond what was asked.
const SLICE_MAX: u64 = 4_096;

/// How many epochs a type has that has few identifiers in each.
const SMALL_EPOCHS: u64 = 1 << 16;

/// A set of identifiers.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Ids {
    /// Half open, by start; between two of them something is missing.
    ranges: SmallVec<[(u64, u64); 1]>,
}

impl Ids {
    /// The identifiers from `start` up to, and without, `end`.
    #[must_use]
    pub fn range(start: u64, end: u64) -> Self {
        let mut ids = Self::default();
        ids.push(start, end);
        ids
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| end - start).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, half open, in order.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = core::ops::Range<u64>> + '_ {
        self.ranges.iter().map(|&(start, end)| start..end)
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges().flatten()
    }

    /// The `count` lowest, or all if there are fewer.
    fn lowest(&self, count: u64) -> Self {
        let mut left = count;
        let mut lowest = Self::default();
        for &(start, end) in &self.ranges {
            let taken = left.min(end - start);
            lowest.push(start, start + taken);
            left -= taken;
            if left == 0 {
                break;
            }
        }
        lowest
    }

    /// Adds a range behind all that are there.
    fn push(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        match self.ranges.last_mut() {
            Some((_, last)) if *last >= start => *last = end.max(*last),
            _ => self.ranges.push((start, end)),
        }
    }

    /// Both together; what is in both counts once.
    fn union(&self, other: &Self) -> Self {
        let mut union = Self::default();
        let (mut ours, mut theirs) = (
            self.ranges.iter().peekable(),
            other.ranges.iter().peekable(),
        );
        loop {
            let next = match (ours.peek(), theirs.peek()) {
                (Some(our), Some(their)) if our.0 <= their.0 => ours.next(),
                (_, Some(_)) => theirs.next(),
                (_, None) => ours.next(),
            };
            let Some(&(start, end)) = next else {
                return union;
            };
            union.push(start, end);
        }
    }

    /// What is in both.
    fn intersection(&self, other: &Self) -> Self {
        let mut common = Self::default();
        let (mut ours, mut theirs) = (
            self.ranges.iter().peekable(),
            other.ranges.iter().peekable(),
        );
        while let (Some(our), Some(their)) = (ours.peek(), theirs.peek()) {
            common.push(our.0.max(their.0), our.1.min(their.1));
            if our.1 <= their.1 {
                ours.next();
            } else {
                theirs.next();
            }
        }
        common
    }

    /// What is here and not in `other`.
    fn without(&self, other: &Self) -> Self {
        let mut rest = Self::default();
        let mut theirs = other.ranges.iter().peekable();
        for &(start, end) in &self.ranges {
            let mut from = start;
            while let Some(&&(cut, until)) = theirs.peek()
                && cut < end
            {
                rest.push(from, cut.min(end));
                from = from.max(until);
                if until > end {
                    break;
                }
                theirs.next();
            }
            rest.push(from, end);
        }
        rest
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ranges()).finish()
    }
}

impl Credit for Ids {
    fn empty() -> Self {
        Self::default()
    }

    fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    fn join(&self, other: &Self) -> Option<Self> {
        self.intersection(other)
            .ranges
            .is_empty()
            .then(|| self.union(other))
    }

    fn covers(&self, part: &Self) -> bool {
        part.without(self).ranges.is_empty()
    }

    fn meet(&self, other: &Self) -> Self {
        self.intersection(other)
    }

    fn sup(&self, other: &Self) -> Self {
        self.union(other)
    }

    fn less(&self, other: &Self) -> Self {
        self.without(other)
    }

    fn raise(&self, other: &Self, capital: &Self) -> Self {
        self.union(other).intersection(capital)
    }

    /// Each identifier is a component of its own.
    fn restrict(&self, to: &Self) -> Self {
        self.intersection(to)
    }

    fn conflicts(&self, other: &Self, _capital: &Self) -> bool {
        !self.intersection(other).ranges.is_empty()
    }

    /// The lowest ones, and no more than a few thousand: what goes along with a grant does not come back.
    fn slice(&self, parts: u32) -> Self {
        self.lowest((self.len() / u64::from(parts.max(1))).min(SLICE_MAX))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut last = 0;
        for &(start, end) in &self.ranges {
            number::encode(start - last, out);
            number::encode(end - start, out);
            last = end;
        }
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut ids, mut last) = (Self::default(), 0_u64);
        while !bytes.is_empty() {
            let (gap, rest) = number::decode(bytes)?;
            let (len, rest) = number::decode(rest)?;
            let start = last.checked_add(gap).ok_or(Malformed)?;
            let end = start.checked_add(len).ok_or(Malformed)?;
            // A set has one encoding: ranges are not empty, and do not touch.
            let touches = gap == 0 && !ids.ranges.is_empty();
            if len == 0 || touches || ids.ranges.len() == RANGES_MAX {
                return Err(Malformed);
            }
            ids.ranges.push((start, end));
            (last, bytes) = (end, rest);
        }
        Ok(ids)
    }
}

/// How many identifiers: any of them will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a count, and nothing else")]
pub struct Count(pub u64);

impl Level<Ids> for Count {
    fn of(credit: &Ids) -> Self {
        Self(credit.len())
    }

    fn is_zero(&self) -> bool {
        self.0 == 0
    }

    fn reaches(&self, other: &Self) -> bool {
        self.0 >= other.0
    }

    fn at_least(&self, other: &Self) -> Self {
        Self(self.0.max(other.0))
    }

    fn beyond(&self, other: &Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    fn plus(&self, other: &Self, capital: &Ids) -> Self {
        Self(self.0.saturating_add(other.0).min(capital.len()))
    }

    fn only_where(&self, to: &Self) -> Self {
        if to.is_zero() { Self(0) } else { *self }
    }

    /// The lowest ones.
    fn draw(&self, credit: &Ids) -> Ids {
        credit.lowest(self.0)
    }

    fn write(&self, out: &mut Vec<u8>) {
        number::encode(self.0, out);
    }

    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        match number::decode(bytes)? {
            (count, []) => Ok(Self(count)),
            (_, _) => Err(Malformed),
        }
    }
}

/// The type of identifier ranges.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdRangeType {
    /// How many identifiers there are at most.
    capital: u64,
}

impl IdRangeType {
    /// A type with so few identifiers in each of its 65,536 epochs: for exploration, where they keep the states few.
    ///
    /// No request may ask for more than half of them: a root goes on to its next epoch when it has less than that.
    #[must_use]
    pub const fn with_ids(each_epoch: u16) -> Self {
        Self {
            capital: each_epoch as u64 * SMALL_EPOCHS,
        }
    }
}

impl Default for IdRangeType {
    fn default() -> Self {
        Self { capital: u64::MAX }
    }
}

impl sealed::Sealed for IdRangeType {}
impl Kind for IdRangeType {}

impl ResourceType for IdRangeType {
    type Credit = Ids;
    type Level = Count;
    const LENDING: Lending = Lending::UsedUp;
    const ID: TypeId = TypeId(4);
    const NAME: &'static str = "id-range";

    /// 0 is no identifier.
    fn capital(&self, _key: &ResourceKey) -> Ids {
        Ids::range(1, self.capital)
    }

    fn opening(capital: &Ids, epoch: u32) -> Ids {
        let each = match capital.len() {
            few @ 0..=0xffff_ffff => few.div_ceil(SMALL_EPOCHS),
            _ => 1 << 32,
        };
        let start = u64::from(epoch).saturating_mul(each);
        Ids::range(start, start.saturating_add(each)).intersection(capital)
    }

    fn runs_low(left: &Ids, opening: &Ids) -> bool {
        left.len() < opening.len() / 2
    }

    /// No two hold the same identifier.
    fn ticks(_held: &Ids, _capital: &Ids) -> bool {
        false
    }

    fn may_tick(_loan: &Ids, _capital: &Ids) -> bool {
        false
    }

    fn mode_name(_ask: &Count, _capital: &Ids) -> &'static str {
        "take"
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rm_core::testing::laws::{LawSettings, check_credit, check_level, check_type};

    use super::*;

    const SMALL: IdRangeType = IdRangeType { capital: 12 };

    fn key() -> ResourceKey {
        ResourceKey::new(b"x").expect("a name")
    }

    /// Sets of small identifiers, also of some above the capital.
    fn sets() -> impl Strategy<Value = Ids> {
        prop::collection::vec(any::<bool>(), 0..16).prop_map(|bits| {
            let mut ids = Ids::default();
            for (index, _) in bits.iter().enumerate().filter(|(_, bit)| **bit) {
                ids.push(index as u64 + 1, index as u64 + 2);
            }
            ids
        })
    }

    #[test]
    fn the_laws_hold() {
        let settings = LawSettings::default().with_cases(1_000);
        check_credit(sets(), &SMALL.capital(&key()), settings).unwrap();
        check_level(&SMALL, sets(), settings).unwrap();
        check_type(&SMALL, sets(), settings).unwrap();
    }

    #[test]
    fn each_epoch_has_identifiers_of_its_own() {
        let capital = IdRangeType::default().capital(&key());
        let of = |epoch| IdRangeType::opening(&capital, epoch);
        assert_eq!(of(7).ranges().next(), Some(7 << 32..8 << 32));
        assert!(of(0).meet(&of(1)).is_empty());
        assert_eq!(of(0).iter().next(), Some(1), "0 is no identifier");
        assert_eq!(of(u32::MAX).len(), (1 << 32) - 1);
    }

    #[test]
    fn a_small_type_has_a_few_identifiers_in_each_epoch() {
        let capital = IdRangeType::with_ids(8).capital(&key());
        let of = |epoch| IdRangeType::opening(&capital, epoch);
        assert_eq!(of(0).ranges().next(), Some(1..8), "0 is no identifier");
        assert_eq!(of(1).ranges().next(), Some(8..16));
        assert_eq!(of(0xffff).len(), 8);
        assert!(of(0x1_0000).is_empty());
    }

    #[test]
    fn bytes_that_are_no_set_are_refused() {
        let two_that_touch = [1, 1, 0, 1];
        let an_empty_one = [1, 0];
        let many: Vec<u8> = [1, 1].repeat(RANGES_MAX + 1);
        for bytes in [&two_that_touch[..], &an_empty_one, &many, &[1]] {
            assert_eq!(Ids::decode(bytes), Err(Malformed));
        }
        assert!(Ids::decode(&many[..2 * RANGES_MAX]).is_ok());
    }

    proptest! {
        #[test]
        fn a_set_has_one_encoding(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            if let Ok(ids) = Ids::decode(&bytes) {
                let mut again = Vec::new();
                ids.encode(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
