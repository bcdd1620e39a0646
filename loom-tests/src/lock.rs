//! What a lock type brings to be modelled: [`ModelLock`], and a trait for each thing that only some locks can do.
//!
//! A [`Subject`](crate::subject::Subject) gets all of them from [`Local`](crate::local::Local) and
//! [`Pair`](crate::pair::Pair). Implement them by hand for a handle of your own, to model what it adds.

use core::fmt;
use core::future::Future;

/// A lock, as the [scenarios](crate::scenarios) see it. Clones are handles to the same lock.
pub trait ModelLock: Clone + Send + Sync + 'static {
    /// How it can be taken.
    type Mode: Copy + fmt::Debug + PartialEq + Send + Sync + 'static;
    /// The right to use it, until dropped, on whatever thread.
    type Guard: Send + 'static;

    /// The modes that the models are made from. Two or three: each pair of them is tried.
    const MODES: &'static [Self::Mode];

    /// A fresh lock in a world of its own.
    fn new() -> Self;

    /// Takes it; waits as long as it must.
    fn acquire(&self, mode: Self::Mode) -> impl Future<Output = Self::Guard> + Send + 'static;

    /// Takes it if nobody is in the way. Must not wait for a holder.
    fn try_acquire(
        &self,
        mode: Self::Mode,
    ) -> impl Future<Output = Option<Self::Guard>> + Send + 'static;

    /// Whether two holders exclude each other.
    fn conflict(a: Self::Mode, b: Self::Mode) -> bool;

    /// Whether there can be holders in all of these modes at once. Unless said otherwise, where no two conflict; a
    /// semaphore says otherwise.
    fn fit(together: &[Self::Mode]) -> bool {
        let conflicts = |(index, &a): (usize, &Self::Mode)| {
            let mut others = together[index + 1..].iter();
            others.any(|&b| Self::conflict(a, b))
        };
        !together.iter().enumerate().any(conflicts)
    }

    /// Asserts that nobody holds it or waits for it, and that all of it can be had again.
    ///
    /// # Panics
    /// If not.
    fn assert_idle(&self);
}

/// A lock whose holders can change what they hold without letting go in between.
pub trait Converts: ModelLock {
    /// Makes the hold one in the mode `to`. False if that is refused, as another holder converts too and each waits for
    /// the other: then the guard holds what it held, and so it does when the future is dropped.
    fn convert(guard: &mut Self::Guard, to: Self::Mode) -> impl Future<Output = bool> + Send;

    /// Whether there is such a conversion. Unless said otherwise, there is one between any two modes.
    fn has_conversion(from: Self::Mode, to: Self::Mode) -> bool {
        from != to
    }
}

/// A lock whose node can be stopped.
pub trait ShutsDown: ModelLock {
    /// Stops the node: what is held here is lost, and whoever waits is told.
    fn shut_down(&self);

    /// Takes the lock; `None` once the node has stopped.
    fn acquire_if_up(
        &self,
        mode: Self::Mode,
    ) -> impl Future<Output = Option<Self::Guard>> + Send + 'static;

    /// Whether the guard may still be used.
    fn is_valid(guard: &Self::Guard) -> bool;

    /// Asserts that nobody holds it or waits for it.
    ///
    /// # Panics
    /// If not.
    fn assert_unused(&self);
}

/// One lock on two nodes: one lends what the other uses. Clones are handles to it.
///
/// Messages move when the model carries them, and not before: so a model chooses what is under way while threads race.
/// One thread carries at a time, as a session has one driver.
pub trait ModelPair: Clone + Send + Sync + 'static {
    /// The lock, as seen on either node.
    type Lock: ModelLock;

    /// Two nodes with a session, and all credit at the root.
    fn new() -> Self;

    /// The lock on the node that lends.
    fn root(&self) -> &Self::Lock;

    /// The lock on the node that borrows.
    fn debtor(&self) -> &Self::Lock;

    /// Takes the lock at the debtor if that needs no message and no wait.
    fn take_cached(&self, mode: Mode<Self>) -> Option<Guard<Self>>;

    /// The debtor sends home what it does not use.
    fn return_spare(&self);

    /// Carries what the debtor has sent. Returns how many messages.
    fn carry_up(&self) -> usize;

    /// Carries what the root has sent. Returns how many messages.
    fn carry_down(&self) -> usize;

    /// Carries messages until nobody has anything to say.
    ///
    /// # Panics
    /// If that does not come about.
    fn settle(&self) {
        settle(|| self.carry_up() + self.carry_down());
    }

    /// Asserts that nobody holds or waits on either node, and that one has lent what the other has borrowed.
    ///
    /// # Panics
    /// If not.
    fn assert_idle(&self);
}

/// Carries until nothing is left to carry.
pub(crate) fn settle(carry: impl Fn() -> usize) {
    let is_quiet = (0..MESSAGES_MAX).any(|_| carry() == 0);
    assert!(is_quiet, "two nodes talk for ever");
}

/// More messages than any model has: beyond it, two nodes talk for ever.
pub(crate) const MESSAGES_MAX: usize = 64;

/// How the lock of a pair can be taken.
pub type Mode<P> = <<P as ModelPair>::Lock as ModelLock>::Mode;

/// The right to use the lock of a pair.
pub type Guard<P> = <<P as ModelPair>::Lock as ModelLock>::Guard;
