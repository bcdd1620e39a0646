//! The modes of the lock: as types, which guards carry, and as values, for those who choose at run time.

use core::fmt;

use rm_core::front::Door;

use crate::credit::RwCredit;

/// A mode of the lock as a type: [`Read`], [`Upgradable`] or [`Write`].
pub trait Mode: sealed::Sealed + fmt::Debug + Send + Sync + Unpin + 'static {
    /// The mode as a value.
    const MODE: LockMode;

    /// By which door its requests pass the gate, where that is open.
    const DOOR: Option<Door>;

    /// What a request of this mode asks for, of a lock with that capital.
    #[inline]
    #[must_use]
    fn ask(capital: &RwCredit) -> RwCredit {
        Self::MODE.ask(capital)
    }
}

/// A mode of the lock as a value. The greater one can do all that the smaller can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the modes of a read-write lock")]
pub enum LockMode {
    /// Shared: any number at once, while there is no writer.
    Read,
    /// Shared with readers, one at a time, and it can become a writer.
    Upgradable,
    /// Exclusive: one at a time, and no reader beside it.
    Write,
}

impl LockMode {
    /// What a request of this mode asks for, of a lock with that capital.
    #[inline]
    #[must_use]
    pub const fn ask(self, capital: &RwCredit) -> RwCredit {
        match self {
            Self::Read => RwCredit::READ,
            Self::Upgradable => RwCredit::UPGRADABLE,
            Self::Write => *capital,
        }
    }

    /// Its name, as people see it where they ask who holds.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Upgradable => "upgradable",
            Self::Write => "write",
        }
    }
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Shared: any number at once, while there is no writer.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a name for a mode; there are no values"
)]
pub enum Read {}

/// Shared with readers, one at a time: it can become a writer without letting go.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a name for a mode; there are no values"
)]
pub enum Upgradable {}

/// Exclusive: one at a time, and no reader beside it.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a name for a mode; there are no values"
)]
pub enum Write {}

/// A mode whose holder reads beside others: [`Read`] or [`Upgradable`].
pub trait SharedMode: Mode {}

impl SharedMode for Read {}
impl SharedMode for Upgradable {}

impl Mode for Read {
    const MODE: LockMode = LockMode::Read;
    const DOOR: Option<Door> = Some(Door::Shared);
}

impl Mode for Upgradable {
    const MODE: LockMode = LockMode::Upgradable;
    const DOOR: Option<Door> = None;
}

impl Mode for Write {
    const MODE: LockMode = LockMode::Write;
    const DOOR: Option<Door> = Some(Door::Sole);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Read {}
    impl Sealed for super::Upgradable {}
    impl Sealed for super::Write {}
}

#[cfg(test)]
mod tests {
    use rm_core::resource::ResourceType as _;

    use super::*;
    use crate::RwLockType;

    #[test]
    fn the_stronger_mode_is_greater_and_its_ask_covers_the_weaker() {
        let capital = RwLockType::default().write();
        let modes = [LockMode::Read, LockMode::Upgradable, LockMode::Write];
        for pair in modes.windows(2) {
            assert!(pair[0] < pair[1]);
            let (weak, strong) = (pair[0].ask(&capital), pair[1].ask(&capital));
            assert!(strong.shares >= weak.shares && strong.intent >= weak.intent);
        }
    }

    #[test]
    fn a_mode_is_called_what_its_type_calls_it() {
        let capital = RwLockType::default().write();
        for mode in [LockMode::Read, LockMode::Upgradable, LockMode::Write] {
            let name = RwLockType::mode_name(&mode.ask(&capital), &capital);
            assert_eq!(mode.to_string(), name);
        }
    }
}
