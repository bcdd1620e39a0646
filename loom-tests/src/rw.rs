//! The RW lock, as the scenarios see it.

use core::future::Future;

use rm_core::front::{Acquire, AcquireError, Ask, Handle, Held, Patience};
use rm_rwlock::{Mode, Read, RwCredit, RwLock, RwLockType, Write};

use crate::by_hand::ByHand;
use crate::lock::ModelLock;
use crate::node::Node;
use crate::pair::with_owner;

/// An RW lock at its root.
#[derive(Clone, Debug)]
pub struct RwModel {
    node: Node,
    lock: RwLock,
}

/// How it can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RwMode {
    /// Shared.
    Read,
    /// Exclusive.
    Write,
}

impl RwMode {
    fn ask(self, capital: &RwCredit) -> RwCredit {
        match self {
            Self::Read => Read::ask(capital),
            Self::Write => Write::ask(capital),
        }
    }
}

/// How what is asked for here refers to its lock.
pub type RwHandle = Handle<RwLockType>;

/// What the guards of both modes are underneath.
pub type RwHeld = Held<RwLockType, RwHandle>;

impl RwModel {
    /// The lock.
    #[must_use]
    pub const fn lock(&self) -> &RwLock {
        &self.lock
    }
}

/// A request of either mode.
pub type RwAcquire = Acquire<RwLockType, RwHandle>;

/// Asks for `lock`, and waits as long as it takes.
#[must_use]
pub fn ask(lock: &RwLock, mode: RwMode) -> ByHand<RwAcquire> {
    ByHand::new(acquire(lock, mode, Patience::Forever))
}

fn acquire(lock: &RwLock, mode: RwMode, patience: Patience) -> RwAcquire {
    let resource = lock.resource().expect("x is a name").clone();
    let ask = Ask {
        patience,
        ..Ask::new(mode.ask(resource.capital()))
    };
    Acquire::new(resource, ask)
}

impl ModelLock for RwModel {
    type Mode = RwMode;
    type Guard = RwHeld;

    fn new() -> Self {
        let node = Node::root();
        let lock = node.lock();
        Self { node, lock }
    }

    fn acquire(&self, mode: RwMode) -> impl Future<Output = RwHeld> + Send + 'static {
        let asking = acquire(&self.lock, mode, Patience::Forever);
        async move { asking.await.expect("a root refuses nobody who waits") }
    }

    fn try_acquire(&self, mode: RwMode) -> impl Future<Output = Option<RwHeld>> + Send + 'static {
        let asking = acquire(&self.lock, mode, Patience::Try);
        async move {
            match asking.await {
                Ok(held) => Some(held),
                Err(AcquireError::Busy { .. }) => None,
                Err(error) => panic!("a root says yes or busy, not: {error}"),
            }
        }
    }

    fn conflict(a: RwMode, b: RwMode) -> bool {
        a == RwMode::Write || b == RwMode::Write
    }

    fn assert_idle(&self) {
        let totals = self.node.domain().totals();
        assert_eq!((totals.holds, totals.waiting), (0, 0));
        with_owner(&self.node, |owner| {
            assert_eq!(owner.cached(), owner.capital(), "all credit is cached");
        });
        assert!(self.lock.try_write_cached().is_some(), "it can be taken");
    }
}
