//! A root and a debtor, joined.
//!
//! Messages move only when a model carries them, so it chooses what is under way while threads race. One thread
//! carries at a time: a session delivers in order, and has one driver.

use core::task::Poll;
use std::sync::Arc;

use rm_core::error::LostReason;
use rm_core::front::Trust;
use rm_core::id::PeerId;
use rm_core::owner::Owner;
use rm_core::time::Time;
use rm_rwlock::RwLockType;

use crate::by_hand::ByHand;
use crate::node::Node;
use crate::rw::{RwAcquire, RwHeld, RwMode, ask};

/// The root, as the debtor's session calls it.
pub const ROOT: PeerId = PeerId(1);
/// The debtor, as the root's session calls it.
pub const DEBTOR: PeerId = PeerId(2);
/// When the debtor's lease runs out, unless it is extended.
pub const LEASE_END: Time = Time::from_nanos(1_000);

/// More messages than any model has: beyond it, two nodes talk for ever.
const MESSAGES_MAX: usize = 64;

/// A root and a debtor with a session. Clones are handles to it.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The creditor.
    pub root: Node,
    /// The one that borrows.
    pub debtor: Node,
    /// The debtor's view of its lease.
    pub trust: Arc<Trust>,
}

impl Default for Pair {
    fn default() -> Self {
        let pair = Self::apart();
        pair.join();
        pair
    }
}

impl Pair {
    /// A root and a debtor without a session.
    #[must_use]
    pub fn apart() -> Self {
        Self {
            root: Node::root(),
            debtor: Node::debtor(),
            trust: Arc::new(Trust::until(LEASE_END)),
        }
    }

    /// The debtor hears that there is a session.
    pub fn join(&self) {
        let trust = Arc::clone(&self.trust);
        self.debtor.domain().on_creditor_up(ROOT, trust);
    }

    /// The debtor asks for the lock `x`.
    #[must_use]
    pub fn debtor_asks(&self, mode: RwMode) -> ByHand<RwAcquire> {
        ask(&self.debtor.lock(), mode)
    }

    /// The debtor gets the lock `x`.
    ///
    /// # Panics
    /// If it cannot be had.
    pub fn debtor_holds(&self, mode: RwMode) -> RwHeld {
        let mut asking = self.debtor_asks(mode);
        let outcome = match asking.poll() {
            Poll::Ready(cached) => cached,
            Poll::Pending => {
                self.settle();
                asking.expect_woken()
            }
        };
        outcome.expect("nobody else holds it")
    }

    /// The root reads the lock `x` beside whoever reads it.
    ///
    /// # Panics
    /// If it cannot.
    #[must_use]
    pub fn root_reads(&self) -> RwHeld {
        let asking = ask(&self.root.lock(), RwMode::Read);
        asking.expect_ready().expect("there are shares left")
    }

    /// Carries what the debtor has sent. Returns how many messages.
    ///
    /// # Panics
    /// If the root finds that the debtor misbehaved.
    pub fn carry_up(&self) -> usize {
        carry(&self.debtor, ROOT, &self.root, DEBTOR)
    }

    /// Carries what the root has sent. Returns how many messages.
    ///
    /// # Panics
    /// If the debtor finds that the root misbehaved.
    pub fn carry_down(&self) -> usize {
        carry(&self.root, DEBTOR, &self.debtor, ROOT)
    }

    /// Carries messages until nobody has anything to say.
    ///
    /// # Panics
    /// If that does not come about.
    pub fn settle(&self) {
        for _ in 0..MESSAGES_MAX {
            if self.carry_up() + self.carry_down() == 0 {
                return;
            }
        }
        panic!("two nodes talk for ever");
    }

    /// The debtor hears that the session is over. The root waits for the lease.
    pub fn creditor_down(&self) {
        let domain = self.debtor.domain();
        domain.on_creditor_down(ROOT, LostReason::SessionEnded);
    }

    /// Asserts that nobody holds or waits, and that what one has borrowed the other has lent.
    ///
    /// # Panics
    /// If not.
    pub fn assert_idle(&self) {
        for node in [&self.root, &self.debtor] {
            let totals = node.domain().totals();
            assert_eq!((totals.holds, totals.waiting), (0, 0), "{node:?}");
        }
        let lent = with_owner(&self.root, |owner| *owner.lent());
        let borrowed = with_owner(&self.debtor, |owner| *owner.borrowed());
        assert_eq!(lent, borrowed, "one has lent what the other has borrowed");
    }
}

/// Looks at a node's book for the lock `x`, after checking it.
///
/// # Panics
/// If the book breaks an invariant.
pub fn with_owner<R>(node: &Node, f: impl FnOnce(&Owner<RwLockType>) -> R) -> R {
    let lock = node.lock();
    let resource = lock.resource().expect("x is a name");
    resource.with_owner(|owner| {
        owner.check();
        f(owner)
    })
}

fn carry(from: &Node, to: PeerId, receiver: &Node, as_peer: PeerId) -> usize {
    let mut count = 0;
    while let Some(item) = from.next_sent(to) {
        let delivered = receiver.domain().deliver(as_peer, item);
        delivered.expect("correct peers do not misbehave");
        count += 1;
        assert!(count < MESSAGES_MAX, "a node talks for ever");
    }
    count
}
