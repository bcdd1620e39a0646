//! The RW lock as a subject of models.

use rm_core::front::Door;
use rm_rwlock::{Mode, Read, RwCredit, RwLock, RwLockType, Write};

use crate::local::Local;
use crate::node::{HeldOf, Node};
use crate::pair::Pair;
use crate::subject::Subject;

/// How many shares the locks have: few, so that traces read well.
const SHARES: u64 = 4;

/// RW locks.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a name for a subject")]
pub struct Rw;

/// How a lock can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the modes of an RW lock")]
pub enum RwMode {
    /// Shared.
    Read,
    /// Shared, and to be converted to exclusive.
    Upgradable,
    /// Exclusive.
    Write,
}

impl Subject for Rw {
    type Type = RwLockType;
    type Mode = RwMode;

    const MODES: &'static [RwMode] = &[RwMode::Read, RwMode::Upgradable, RwMode::Write];

    fn resource_type() -> RwLockType {
        RwLockType::with_shares(SHARES)
    }

    fn level(mode: RwMode, capital: &RwCredit) -> RwCredit {
        match mode {
            RwMode::Read => Read::ask(capital),
            RwMode::Upgradable => RwCredit::UPGRADABLE,
            RwMode::Write => Write::ask(capital),
        }
    }
}

/// RW locks whose readers and writers pass the gate, as those of programs do.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a name for a subject")]
pub struct Gated;

impl Subject for Gated {
    type Type = RwLockType;
    type Mode = RwMode;

    const MODES: &'static [RwMode] = Rw::MODES;

    fn resource_type() -> RwLockType {
        Rw::resource_type()
    }

    fn level(mode: RwMode, capital: &RwCredit) -> RwCredit {
        Rw::level(mode, capital)
    }

    fn door(mode: RwMode) -> Option<Door> {
        match mode {
            RwMode::Read => Some(Door::Shared),
            RwMode::Upgradable => None,
            RwMode::Write => Some(Door::Sole),
        }
    }
}

/// A node with RW locks.
pub type RwNode = Node<Rw>;

/// Two nodes with RW locks.
pub type RwPair = Pair<Rw>;

/// What requests for an RW lock end in.
pub type RwHeld = HeldOf<Rw>;

/// An RW lock at its root.
pub type RwLocal = Local<Rw>;

impl Node<Rw> {
    /// The lock that most models are about, as programs have it.
    #[must_use]
    pub fn lock(&self) -> RwLock {
        RwLock::new(self.domain(), Rw::KEY)
    }
}
