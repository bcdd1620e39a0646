//! A root and a debtor, joined.
//!
//! Messages move only when a model carries them, so it chooses what is under way while threads race. One thread
//! carries at a time: a session delivers in order, and has one driver.

use core::task::Poll;
use std::sync::Arc;

use rm_core::error::LostReason;
use rm_core::front::Trust;
use rm_core::id::PeerId;
use rm_core::time::Time;

use crate::by_hand::ByHand;
use crate::local::Local;
use crate::lock::{MESSAGES_MAX, ModelPair, settle};
use crate::node::{AcquireOf, HeldOf, Node};
use crate::subject::Subject;

/// The root, as the debtor's session calls it.
pub const ROOT: PeerId = PeerId(1);
/// The debtor, as the root's session calls it.
pub const DEBTOR: PeerId = PeerId(2);
/// When the debtor's lease runs out, unless it is extended.
pub const LEASE_END: Time = Time::from_nanos(1_000);

/// A root and a debtor with a session. Clones are handles to it.
#[derive(Clone, Debug)]
pub struct Pair<S: Subject> {
    /// The creditor.
    pub root: Node<S>,
    /// The one that borrows.
    pub debtor: Node<S>,
    /// The debtor's view of its lease.
    pub trust: Arc<Trust>,
}

impl<S: Subject> Default for Pair<S> {
    fn default() -> Self {
        let pair = Self::apart();
        pair.join();
        pair
    }
}

impl<S: Subject> Pair<S> {
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

    /// The debtor asks for the resource.
    #[must_use]
    pub fn debtor_asks(&self, mode: S::Mode) -> ByHand<AcquireOf<S>> {
        self.debtor.ask(mode)
    }

    /// The debtor gets the resource.
    ///
    /// # Panics
    /// If it cannot be had.
    pub fn debtor_holds(&self, mode: S::Mode) -> HeldOf<S> {
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

    /// The root takes the resource beside whoever else has it.
    ///
    /// # Panics
    /// If it cannot.
    pub fn root_holds(&self, mode: S::Mode) -> HeldOf<S> {
        let asking = self.root.ask(mode);
        asking.expect_ready().expect("there is enough for both")
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
        settle(|| self.carry_up() + self.carry_down());
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
        let lent = self.root.with_owner(|owner| owner.lent().clone());
        let borrowed = self.debtor.with_owner(|owner| owner.borrowed().clone());
        assert_eq!(lent, borrowed, "one has lent what the other has borrowed");
    }
}

/// A pair whose resource is in use on both nodes, so that it neither rests nor vanishes: what the
/// [scenarios](crate::scenarios) for pairs need. Clones are handles to it.
#[derive(Clone, Debug)]
pub struct Joined<S: Subject> {
    pair: Pair<S>,
    root: Local<S>,
    debtor: Local<S>,
}

impl<S: Subject> ModelPair for Joined<S> {
    type Lock = Local<S>;

    fn new() -> Self {
        let pair = Pair::default();
        Self {
            root: Local::on(pair.root.clone()),
            debtor: Local::on(pair.debtor.clone()),
            pair,
        }
    }

    fn root(&self) -> &Local<S> {
        &self.root
    }

    fn debtor(&self) -> &Local<S> {
        &self.debtor
    }

    fn take_cached(&self, mode: S::Mode) -> Option<HeldOf<S>> {
        self.debtor.take_cached(mode)
    }

    fn return_spare(&self) {
        self.debtor.handle().return_spare();
    }

    fn carry_up(&self) -> usize {
        self.pair.carry_up()
    }

    fn carry_down(&self) -> usize {
        self.pair.carry_down()
    }

    fn assert_idle(&self) {
        self.pair.assert_idle();
    }
}

fn carry<S: Subject>(from: &Node<S>, to: PeerId, receiver: &Node<S>, as_peer: PeerId) -> usize {
    let mut count = 0;
    while let Some(item) = from.next_sent(to) {
        let delivered = receiver.domain().deliver(as_peer, item);
        delivered.expect("correct peers do not misbehave");
        count += 1;
        assert!(count < MESSAGES_MAX, "a node talks for ever");
    }
    count
}
