//! What an RW lock lends: shares, and one intent to write.
//!
//! | mode | asks for |
//! |---|---|
//! | read | 1 share |
//! | upgradable | 1 share and the intent |
//! | write | every share and the intent |
//!
//! **Invariants.** There are as many shares as the capital has, and one intent. A writer has all the shares, so
//! nobody else has any. Whoever may become a writer without letting go has the intent, so there is at
//! most one, and its upgrade waits only for readers that come to an end: it cannot deadlock.
//!
//! The number of shares is how many readers there can be at once in the whole cluster. It is the same on
//! every node and never changes; a small one is for exploration, where it keeps the states few.

use core::fmt;

use rm_core::access::Access;
use rm_core::credit::{Credit, Malformed};
use rm_core::id::{ResourceKey, TypeId};
use rm_core::number;
use rm_core::resource::ResourceType;

/// How many shares a lock has, unless its type says otherwise: the most readers at once.
pub const SHARES: u64 = 1 << 32;

/// An amount of an RW lock's credit.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a pair of counts, and nothing else"
)]
pub struct RwCredit {
    /// How many shares: one for a reader, all for a writer.
    pub shares: u64,
    /// The intent to write: one in the world.
    pub intent: u64,
}

impl RwCredit {
    /// What a reader asks for.
    pub const READ: Self = Self {
        shares: 1,
        intent: 0,
    };
    /// What a reader asks for that may become a writer.
    pub const UPGRADABLE: Self = Self {
        shares: 1,
        intent: 1,
    };
}

impl fmt::Debug for RwCredit {
    /// `(shares, intent)`: traces are full of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.shares, self.intent)
    }
}

impl Credit for RwCredit {
    fn empty() -> Self {
        Self::default()
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn join(&self, other: &Self) -> Option<Self> {
        Some(Self {
            shares: self.shares.checked_add(other.shares)?,
            intent: self.intent.checked_add(other.intent)?,
        })
    }

    fn covers(&self, part: &Self) -> bool {
        self.shares >= part.shares && self.intent >= part.intent
    }

    fn meet(&self, other: &Self) -> Self {
        Self {
            shares: self.shares.min(other.shares),
            intent: self.intent.min(other.intent),
        }
    }

    fn sup(&self, other: &Self) -> Self {
        Self {
            shares: self.shares.max(other.shares),
            intent: self.intent.max(other.intent),
        }
    }

    fn less(&self, other: &Self) -> Self {
        Self {
            shares: self.shares.saturating_sub(other.shares),
            intent: self.intent.saturating_sub(other.intent),
        }
    }

    fn raise(&self, other: &Self, capital: &Self) -> Self {
        Self {
            shares: self.shares.saturating_add(other.shares).min(capital.shares),
            intent: self.intent.saturating_add(other.intent).min(capital.intent),
        }
    }

    fn restrict(&self, to: &Self) -> Self {
        Self {
            shares: if to.shares > 0 { self.shares } else { 0 },
            intent: if to.intent > 0 { self.intent } else { 0 },
        }
    }

    /// A writer conflicts with whoever has a share, a holder of the intent with another one.
    fn conflicts(&self, other: &Self, capital: &Self) -> bool {
        let writes = |a: &Self, b: &Self| a.shares >= capital.shares && b.shares > 0;
        let both_have_the_intent = self.intent > 0 && other.intent > 0;
        writes(self, other) || writes(other, self) || both_have_the_intent
    }

    /// Shares only: the intent cannot be divided.
    fn slice(&self, parts: u32) -> Self {
        Self {
            shares: self.shares / u64::from(parts.max(1)),
            intent: 0,
        }
    }

    /// Two numbers in LEB128: shares, then intent.
    fn encode(&self, out: &mut Vec<u8>) {
        number::encode(self.shares, out);
        number::encode(self.intent, out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (shares, rest) = number::decode(bytes)?;
        let (intent, rest) = number::decode(rest)?;
        if rest.is_empty() {
            Ok(Self { shares, intent })
        } else {
            Err(Malformed)
        }
    }
}

/// The type of RW locks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RwLockType {
    shares: u64,
}

impl RwLockType {
    /// Locks with so many shares; 0 counts as 1. Every node must say the same.
    #[must_use]
    pub const fn with_shares(shares: u64) -> Self {
        Self {
            shares: if shares == 0 { 1 } else { shares },
        }
    }

    /// What a writer asks for: all there is.
    #[must_use]
    pub const fn write(&self) -> RwCredit {
        RwCredit {
            shares: self.shares,
            intent: 1,
        }
    }
}

impl Default for RwLockType {
    /// Locks with [`SHARES`] shares.
    fn default() -> Self {
        Self::with_shares(SHARES)
    }
}

impl ResourceType for RwLockType {
    type Credit = RwCredit;
    type Level = RwCredit;

    const ID: TypeId = TypeId(1);

    const NAME: &'static str = "rw-lock";

    fn capital(&self, _key: &ResourceKey) -> RwCredit {
        self.write()
    }

    /// Whoever has the intent or every share can have served a writer or an upgradable reader.
    fn may_tick(loan: &RwCredit, capital: &RwCredit) -> bool {
        loan.intent > 0 || loan.shares >= capital.shares
    }

    /// Readers at one node may share a share.
    fn shared(_: &RwCredit) -> Option<RwCredit> {
        Some(RwCredit::READ)
    }

    fn sole(capital: &RwCredit) -> Option<RwCredit> {
        Some(*capital)
    }

    /// Who has the intent may become a writer.
    fn access(ask: &RwCredit, capital: &RwCredit) -> Access {
        if Self::may_tick(ask, capital) {
            Access::Exclusive
        } else {
            Access::Share
        }
    }

    fn mode_name(ask: &RwCredit, capital: &RwCredit) -> &'static str {
        if ask.shares >= capital.shares {
            "write"
        } else if ask.intent > 0 {
            "upgradable"
        } else {
            "read"
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rm_core::testing::laws::{BrokenLaw, LawSettings, check_credit, check_type};

    use super::*;

    fn credits(shares: u64) -> impl Strategy<Value = RwCredit> {
        (0..=shares, 0..=1_u64).prop_map(|(shares, intent)| RwCredit { shares, intent })
    }

    fn any_credits() -> impl Strategy<Value = RwCredit> {
        any::<(u64, u64)>().prop_map(|(shares, intent)| RwCredit { shares, intent })
    }

    #[test]
    fn the_credit_keeps_the_laws_within_a_small_capital() -> Result<(), BrokenLaw> {
        let capital = RwLockType::with_shares(4).write();
        check_credit(credits(4), &capital, LawSettings::default())
    }

    #[test]
    fn the_credit_keeps_the_laws_for_any_counts_even_where_they_overflow() -> Result<(), BrokenLaw>
    {
        let capital = RwLockType::default().write();
        check_credit(any_credits(), &capital, LawSettings::default())
    }

    #[test]
    fn the_type_keeps_the_laws() -> Result<(), BrokenLaw> {
        check_type(
            &RwLockType::with_shares(4),
            credits(4),
            LawSettings::default(),
        )
    }

    #[test]
    fn readers_share_one_may_intend_to_write_and_a_writer_is_alone() {
        let capital = RwLockType::default().write();
        let (read, upgradable, write) = (RwCredit::READ, RwCredit::UPGRADABLE, capital);
        assert!(!read.conflicts(&read, &capital));
        assert!(!read.conflicts(&upgradable, &capital));
        assert!(upgradable.conflicts(&upgradable, &capital));
        for other in [read, upgradable, write] {
            assert!(write.conflicts(&other, &capital));
            assert!(other.conflicts(&write, &capital));
        }
    }

    #[test]
    fn only_a_hold_or_loan_with_the_intent_or_every_share_moves_the_clock() {
        let capital = RwLockType::with_shares(4).write();
        assert!(!RwLockType::ticks(&RwCredit::READ, &capital));
        assert!(RwLockType::ticks(&RwCredit::UPGRADABLE, &capital));
        assert!(RwLockType::ticks(&capital, &capital));
        assert!(!RwLockType::may_tick(
            &RwCredit {
                shares: 3,
                intent: 0
            },
            &capital
        ));
        assert!(RwLockType::may_tick(
            &RwCredit {
                shares: 4,
                intent: 0
            },
            &capital
        ));
        assert!(RwLockType::may_tick(
            &RwCredit {
                shares: 0,
                intent: 1
            },
            &capital
        ));
    }

    #[test]
    fn modes_have_the_names_users_know() {
        let capital = RwLockType::default().write();
        let name = |ask| RwLockType::mode_name(&ask, &capital);
        assert_eq!(name(RwCredit::READ), "read");
        assert_eq!(name(RwCredit::UPGRADABLE), "upgradable");
        assert_eq!(name(capital), "write");
    }

    #[test]
    fn a_slice_is_of_shares_only() {
        let credit = RwCredit {
            shares: 10,
            intent: 1,
        };
        assert_eq!(
            credit.slice(4),
            RwCredit {
                shares: 2,
                intent: 0
            }
        );
        assert_eq!(
            credit.slice(0),
            RwCredit {
                shares: 10,
                intent: 0
            }
        );
    }

    #[test]
    fn a_reader_takes_two_bytes_and_a_writer_six() {
        let bytes = |credit: RwCredit| {
            let mut out = Vec::new();
            credit.encode(&mut out);
            out
        };
        assert_eq!(bytes(RwCredit::READ), [1, 0]);
        assert_eq!(
            bytes(RwLockType::default().write()),
            [0x80, 0x80, 0x80, 0x80, 0x10, 1]
        );
    }

    #[test]
    fn bytes_that_encode_no_credit_are_refused() {
        let max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let refused = |bytes: &[u8]| RwCredit::decode(bytes) == Err(Malformed);
        assert!(refused(&[]), "nothing");
        assert!(refused(&[1]), "one number");
        assert!(refused(&[1, 0x80]), "half a number");
        assert!(refused(&[1, 0, 0]), "something after it");
        assert!(refused(&[0x81, 0, 0]), "an overlong number");
        assert!(
            refused(&[&[0xff; 9][..], &[0x02, 0]].concat()),
            "a number above 64 bits"
        );
        assert!(
            refused(&[&[0x80; 40][..], &[0x01, 0]].concat()),
            "a number without end"
        );
        let largest = RwCredit {
            shares: u64::MAX,
            intent: 0,
        };
        assert_eq!(RwCredit::decode(&[&max[..], &[0]].concat()), Ok(largest));
    }

    proptest! {
        #[test]
        fn a_credit_has_one_encoding(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            if let Ok(credit) = RwCredit::decode(&bytes) {
                let mut again = Vec::new();
                credit.encode(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
