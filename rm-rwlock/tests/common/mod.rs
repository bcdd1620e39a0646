//! What the tests run on: domains whose clock is set by hand, and futures that are polled by hand.

#![allow(dead_code, reason = "each test uses its part")]

use core::future::{Future, IntoFuture};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Wake;

use rm_core::credit::Opaque;
use rm_core::error::LostReason;
use rm_core::front::{Domain, DomainSettings, Host, Role, Trust};
use rm_core::id::{
    Boot, Class, LoanId, NodeId, Note, Order, Party, PeerId, ResourceKey, Stamp, Version,
};
use rm_core::message::{Grant, Message, Steps};
use rm_core::owner::Settings;
use rm_core::resource::ResourceType as _;
use rm_core::session::packet::Item;
use rm_core::time::Time;
use rm_rwlock::{RwCredit, RwLock, RwLockType};

/// A clock that is set by hand; nobody is there to hear anything.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    nanos: AtomicU64,
}

impl Host for Desk {
    fn now(&self) -> Time {
        Time::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    fn stamp_now(&self) -> Time {
        self.now()
    }

    fn queue(&self, _: PeerId, _: Item) {}

    fn flush(&self, _: PeerId) {}

    fn rearm(&self) {}
}

/// A domain, and its clock.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) domain: Domain,
    desk: Arc<Desk>,
    sessions: u32,
}

/// When the lease of a [`World::debtor`]'s session ends.
const LEASE: u64 = 1_000;

impl World {
    /// The place of a request of nobody's.
    pub(crate) const ORDER: Order = Order {
        class: Class::New,
        stamp: Stamp(0),
        party: Party {
            node: NodeId(0),
            boot: Boot(0),
        },
        seq: 0,
    };

    /// The root of every lock.
    pub(crate) fn root() -> Self {
        let role = Role::Root {
            epoch: 1,
            grace: false,
        };
        Self::new(role)
    }

    /// One that borrows.
    pub(crate) fn debtor() -> Self {
        Self::new(Role::Debtor)
    }

    fn new(role: Role) -> Self {
        let desk = Arc::new(Desk::default());
        let settings = DomainSettings::new("here", Settings::default());
        let host = Arc::clone(&desk) as Arc<dyn Host>;
        let domain = Domain::new(settings, role, host).with_type(RwLockType::default());
        Self {
            domain,
            desk,
            sessions: 0,
        }
    }

    /// The lock called `name`.
    pub(crate) fn lock(&self, name: &str) -> RwLock {
        RwLock::new(&self.domain, name)
    }

    /// Time passes, and deadlines with it.
    pub(crate) fn sleep(&self, nanos: u64) {
        self.desk.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.domain.on_deadline(self.desk.now());
    }

    /// A new session with the creditor, under a lease.
    pub(crate) fn begin_session(&mut self) {
        self.sessions += 1;
        let until = Time::from_nanos(self.desk.now().as_nanos() + LEASE);
        let trust = Arc::new(Trust::until(until));
        self.domain
            .on_creditor_up(PeerId(self.sessions.into()), trust);
    }

    /// The lease runs out, and the session with it.
    pub(crate) fn end_session(&self) {
        self.sleep(LEASE);
        let peer = PeerId(self.sessions.into());
        self.domain.on_creditor_down(peer, LostReason::LeaseExpired);
    }

    /// The creditor grants all there is of `name`.
    pub(crate) fn grant_all(&self, name: &str) {
        let delta = Opaque::of(&RwLockType::default().write());
        self.grant(name, delta);
    }

    /// The same, after somebody let go of it.
    pub(crate) fn grant_all_after(&self, name: &str, let_go: Arc<Note>) {
        let delta = Opaque::of(&RwLockType::default().write());
        self.deliver(name, delta, Some(let_go));
    }

    /// The creditor grants one share of `name`.
    pub(crate) fn grant_share(&self, name: &str) {
        self.grant(name, Opaque::of(&RwCredit::READ));
    }

    fn grant(&self, name: &str, delta: Opaque) {
        self.deliver(name, delta, None);
    }

    fn deliver(&self, name: &str, delta: Opaque, let_go: Option<Arc<Note>>) {
        let item = Item {
            type_id: RwLockType::ID,
            let_go,
            key: ResourceKey::new(name.as_bytes()).expect("a name"),
            message: Message::Grant(Grant {
                loan: LoanId {
                    epoch: 1,
                    counter: self.sessions,
                },
                order: Self::ORDER,
                version: Version(1),
                delta,
                steps: Steps::new(),
                fence: 1_000 * u64::from(self.sessions),
                limit: 1_000 * u64::from(self.sessions) + 100,
                value: None,
                colour: None,
            }),
        };
        self.domain
            .deliver(PeerId(self.sessions.into()), item)
            .expect("no misbehaviour");
    }
}

/// A future that is polled when the test says so, as a task of its own.
pub(crate) struct Step<F> {
    future: Pin<Box<F>>,
    waker: Waker,
}

struct Task;

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

/// A task, by a waker that no other task has.
pub(crate) fn task() -> Waker {
    // Not an empty type: two of these may lie in one place.
    struct Named(#[expect(dead_code, reason = "takes place in memory")] u64);
    impl Wake for Named {
        fn wake(self: Arc<Self>) {}
    }
    Waker::from(Arc::new(Named(0)))
}

/// What is to be polled by hand.
pub(crate) fn step<I: IntoFuture>(what: I) -> Step<I::IntoFuture> {
    step_of(what, Waker::from(Arc::new(Task)))
}

/// The same, as part of that task.
pub(crate) fn step_of<I: IntoFuture>(what: I, task: Waker) -> Step<I::IntoFuture> {
    Step {
        future: Box::pin(what.into_future()),
        waker: task,
    }
}

impl<F: Future> Step<F> {
    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        self.future
            .as_mut()
            .poll(&mut Context::from_waker(&self.waker))
    }

    pub(crate) fn is_pending(&mut self) -> bool {
        self.poll().is_pending()
    }

    /// What comes of it, which must be there.
    pub(crate) fn ready(&mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it waits"),
        }
    }
}
