//! What a scenario is made of, as its author sees it: a stage, nodes, and the points at which others go on.

use core::fmt;
use core::future::{Future, poll_fn};
use core::task::Poll;
use core::time::Duration;
use std::cell::RefCell;
use std::rc::Rc;

use super::world::World;
use crate::front::Domain;
use crate::time::Time;

/// One run of a scenario, while it is being set up.
pub struct Stage {
    world: Rc<RefCell<World>>,
}

impl Stage {
    pub(super) const fn new(world: Rc<RefCell<World>>) -> Self {
        Self { world }
    }

    /// A process called `name`, in session with the server. It fails by itself, with all its tasks.
    #[must_use]
    pub fn node(&self, name: &str) -> Node {
        let (index, domain) = self.world.borrow_mut().add_node(name);
        Node {
            world: Rc::clone(&self.world),
            index,
            name: name.into(),
            domain,
        }
    }

    /// Judges the run when all tasks have ended, but for those of a node that died: it panics where something is wrong.
    pub fn finally(&self, check: impl FnOnce() + 'static) {
        self.world.borrow_mut().checks.push(Box::new(check));
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}

/// A process of a scenario. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    world: Rc<RefCell<World>>,
    index: usize,
    name: Rc<str>,
    domain: Domain,
}

impl Node {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its resources: where handles to locks come from.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Starts a task on it. It must come to an end by itself, unless its node dies.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.world.borrow_mut().add_task(self.index, Box::pin(task));
    }

    /// The time since the run began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.world.borrow().now().since(Time::ZERO)
    }

    /// A point: other tasks run in between, messages arrive, and the node may fail here.
    ///
    /// Cancel safe.
    pub async fn step(&self) {
        let mut is_first = true;
        poll_fn(|cx| {
            if !is_first {
                return Poll::Ready(());
            }
            is_first = false;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Lets simulated time pass, which takes none. It is a point, too.
    ///
    /// Cancel safe.
    pub async fn sleep(&self, span: Duration) {
        let end = self.world.borrow().now().after(span);
        poll_fn(|cx| {
            let mut world = self.world.borrow_mut();
            if world.now() >= end {
                return Poll::Ready(());
            }
            world.wake_at(end, cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(&self.name).finish()
    }
}
