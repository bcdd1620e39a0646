//! A subject on one node, as a lock: what the scenarios take, convert and shut down.

use core::future::Future;

use rm_core::credit::{Credit as _, Level as _};
use rm_core::front::{Acquire, AcquireError, Held, Patience};
use rm_core::id::ResourceKey;
use rm_core::resource::ResourceType;

use crate::by_hand::ByHand;
use crate::lock::{Converts, ModelLock, ShutsDown};
use crate::node::{AcquireOf, HandleOf, HeldOf, Node, ask};
use crate::subject::{CreditOf, Subject};

/// The resource of a [`Subject`] on one node. Clones are handles to it.
#[derive(Clone, Debug)]
pub struct Local<S: Subject> {
    node: Node<S>,
    handle: HandleOf<S>,
}

impl<S: Subject> Local<S> {
    /// The resource on `node`.
    #[must_use]
    pub fn on(node: Node<S>) -> Self {
        let handle = node.handle();
        Self { node, handle }
    }

    /// Its node.
    #[must_use]
    pub const fn node(&self) -> &Node<S> {
        &self.node
    }

    /// The resource.
    #[must_use]
    pub const fn handle(&self) -> &HandleOf<S> {
        &self.handle
    }

    /// Asks for it, and waits as long as it takes.
    #[must_use]
    pub fn ask(&self, mode: S::Mode) -> ByHand<AcquireOf<S>> {
        ByHand::new(self.request(mode, Patience::Forever))
    }

    /// Takes it if that needs no message and no wait.
    #[must_use]
    pub fn take_cached(&self, mode: S::Mode) -> Option<HeldOf<S>> {
        let level = S::level(mode, self.handle.capital());
        Held::try_cached(self.handle.clone(), &level, S::door(mode), None)
    }

    fn request(&self, mode: S::Mode, patience: Patience) -> AcquireOf<S> {
        let ask = ask::<S>(mode, self.handle.capital());
        Acquire::new(self.handle.clone(), ask.patience(patience))
    }
}

impl<S: Subject> ModelLock for Local<S> {
    type Mode = S::Mode;
    type Guard = HeldOf<S>;

    const MODES: &'static [S::Mode] = S::MODES;

    fn new() -> Self {
        Self::on(Node::root())
    }

    fn acquire(&self, mode: S::Mode) -> impl Future<Output = HeldOf<S>> + Send + 'static {
        let asking = self.request(mode, Patience::Forever);
        async move { asking.await.expect("nobody who waits is refused") }
    }

    fn try_acquire(
        &self,
        mode: S::Mode,
    ) -> impl Future<Output = Option<HeldOf<S>>> + Send + 'static {
        let asking = self.request(mode, Patience::Try);
        async move {
            match asking.await {
                Ok(held) => Some(held),
                Err(AcquireError::Busy { .. }) => None,
                Err(error) => panic!("it says yes or busy, not: {error}"),
            }
        }
    }

    fn conflict(a: S::Mode, b: S::Mode) -> bool {
        !Self::fit(&[a, b])
    }

    /// As the type says it: there is enough for all, no two conflict, and none is of another colour than the others.
    fn fit(together: &[S::Mode]) -> bool {
        let key = ResourceKey::new(S::KEY.as_bytes()).expect("the key is a name");
        let capital = S::resource_type().capital(&key);
        let mut left = capital.clone();
        let mut drawn: Vec<CreditOf<S>> = Vec::new();
        let mut colours = Vec::new();
        for &mode in together {
            let level = S::level(mode, &capital);
            let Some(part) = level.draw_all(&left) else {
                return false;
            };
            left = left.less(&part);
            colours.extend(S::Type::colour_of(&level));
            drawn.push(part);
        }
        let is_alone = |(index, a): (usize, &CreditOf<S>)| {
            let mut others = drawn[index + 1..].iter();
            !others.any(|b| a.conflicts(b, &capital))
        };
        colours.windows(2).all(|two| two[0] == two[1]) && drawn.iter().enumerate().all(is_alone)
    }

    fn assert_idle(&self) {
        self.assert_unused();
        self.node.with_owner(|owner| {
            assert_eq!(owner.cached(), owner.capital(), "all credit is cached");
        });
        for &mode in S::MODES {
            assert!(self.take_cached(mode).is_some(), "{mode:?} can be had");
        }
    }
}

impl<S: Subject> Converts for Local<S> {
    async fn convert(guard: &mut HeldOf<S>, to: S::Mode) -> bool {
        let to = S::level(to, guard.resource().capital());
        match guard.convert(to).await {
            Ok(()) => true,
            Err(AcquireError::WouldDeadlock { .. }) => false,
            Err(error) => panic!("it says yes or deadlock, not: {error}"),
        }
    }

    fn has_conversion(from: S::Mode, to: S::Mode) -> bool {
        S::has_conversion(from, to)
    }
}

impl<S: Subject> ShutsDown for Local<S> {
    fn shut_down(&self) {
        self.node.domain().shut_down();
    }

    fn acquire_if_up(
        &self,
        mode: S::Mode,
    ) -> impl Future<Output = Option<HeldOf<S>>> + Send + 'static {
        let asking = self.request(mode, Patience::Forever);
        async move {
            match asking.await {
                Ok(held) => Some(held),
                Err(AcquireError::ShuttingDown | AcquireError::SessionLost(_)) => None,
                Err(error) => panic!("it says yes or that it shut down, not: {error}"),
            }
        }
    }

    fn is_valid(guard: &HeldOf<S>) -> bool {
        guard.is_valid()
    }

    fn assert_unused(&self) {
        let totals = self.node.domain().totals();
        assert_eq!((totals.holds, totals.waiting), (0, 0));
    }
}
