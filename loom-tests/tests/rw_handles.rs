//! The suite of the library on the handles and guards that programs have of an RW lock.

#![cfg(any(rm_loom, rm_shuttle))]

use core::future::{Future, IntoFuture as _};

use rm_loom::lock::{Converts, ModelLock};
use rm_loom::rw::{RwMode, RwNode};
use rm_rwlock::{AcquireError, OwnedReadGuard, OwnedUpgradableGuard, OwnedWriteGuard, RwLock};

rm_loom::models! { mod handles for lock Handles, converts Handles }

/// The lock as programs have it, at its root.
#[derive(Clone, Debug)]
struct Handles {
    node: RwNode,
    lock: RwLock,
}

/// A guard of any mode.
#[derive(Debug)]
enum Guard {
    #[expect(dead_code, reason = "held, not used")]
    Read(OwnedReadGuard),
    Upgradable(OwnedUpgradableGuard),
    Write(OwnedWriteGuard),
    /// It is being converted, or was dropped with its conversion.
    Gone,
}

impl ModelLock for Handles {
    type Mode = RwMode;
    type Guard = Guard;

    const MODES: &'static [RwMode] = &[RwMode::Read, RwMode::Upgradable, RwMode::Write];

    fn new() -> Self {
        let node = RwNode::root();
        let lock = node.lock();
        Self { node, lock }
    }

    fn acquire(&self, mode: RwMode) -> impl Future<Output = Guard> + Send + 'static {
        let lock = self.lock.clone();
        async move {
            let guard = match mode {
                RwMode::Read => lock.read_owned().await.map(Guard::Read),
                RwMode::Upgradable => lock.upgradable_read_owned().await.map(Guard::Upgradable),
                RwMode::Write => lock.write_owned().await.map(Guard::Write),
            };
            guard.expect("a root refuses nobody who waits")
        }
    }

    fn try_acquire(&self, mode: RwMode) -> impl Future<Output = Option<Guard>> + Send + 'static {
        let lock = self.lock.clone();
        async move {
            let guard = match mode {
                RwMode::Read => lock.try_read_owned().await.map(Guard::Read),
                RwMode::Upgradable => lock
                    .try_upgradable_read_owned()
                    .await
                    .map(Guard::Upgradable),
                RwMode::Write => lock.try_write_owned().await.map(Guard::Write),
            };
            match guard {
                Ok(guard) => Some(guard),
                Err(AcquireError::Busy { .. }) => None,
                Err(error) => panic!("it says yes or busy, not: {error}"),
            }
        }
    }

    fn conflict(a: RwMode, b: RwMode) -> bool {
        use RwMode::{Upgradable, Write};
        a == Write || b == Write || (a, b) == (Upgradable, Upgradable)
    }

    fn assert_idle(&self) {
        let totals = self.node.domain().totals();
        assert_eq!((totals.holds, totals.waiting), (0, 0));
        assert!(self.lock.try_write_cached().is_some(), "it can be taken");
    }
}

impl Converts for Handles {
    async fn convert(guard: &mut Guard, to: RwMode) -> bool {
        let from = core::mem::replace(guard, Guard::Gone);
        *guard = match (from, to) {
            (Guard::Upgradable(held), RwMode::Write) => {
                let upgraded = held.upgrade().into_future().await;
                Guard::Write(upgraded.expect("only one upgrades"))
            }
            (Guard::Upgradable(held), RwMode::Read) => Guard::Read(held.downgrade()),
            (Guard::Write(held), RwMode::Read) => Guard::Read(held.downgrade()),
            (Guard::Write(held), RwMode::Upgradable) => {
                Guard::Upgradable(held.downgrade_to_upgradable())
            }
            (from, to) => panic!("no conversion from {from:?} to {to:?}"),
        };
        true
    }

    fn has_conversion(from: RwMode, to: RwMode) -> bool {
        from != RwMode::Read && from != to
    }
}
