//! A node on a desk: a clock that is set by hand, peers that only listen, and one RW lock that it has or has borrowed.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use rm_core::credit::Opaque;
use rm_core::front::{Domain, DomainSettings, Handle, Held, Host, Role, Trust};
use rm_core::id::{Class, LoanId, Order, Party, PeerId, ResourceKey, Stamp, Version};
use rm_core::message::{Grant, Message, Steps};
use rm_core::owner::Settings;
use rm_core::resource::ResourceType as _;
use rm_core::session::packet::Item;
use rm_core::time::Time;
use rm_rwlock::{RwCredit, RwLockType};

pub(crate) const CREDITOR: PeerId = PeerId(1);
pub(crate) const DEBTOR: PeerId = PeerId(2);
pub(crate) const LEASE: Time = Time::from_nanos(100);
pub(crate) const READ: RwCredit = RwCredit::READ;
pub(crate) const UPGRADABLE: RwCredit = RwCredit::UPGRADABLE;
pub(crate) const ROOT: Role = Role::Root {
    epoch: 1,
    grace: false,
};

pub(crate) type Lock = Handle<RwLockType>;
pub(crate) type Hold = Held<RwLockType, Lock>;

/// A clock that is set by hand, and what was said to peers.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) now: AtomicU64,
    said: Mutex<Vec<(PeerId, Item)>>,
}

impl Desk {
    /// What was said to peers since this was last asked.
    pub(crate) fn said(&self) -> Vec<(PeerId, Item)> {
        std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Host for Desk {
    fn now(&self) -> Time {
        Time::from_nanos(self.now.load(Ordering::Relaxed))
    }

    fn stamp_now(&self) -> Time {
        self.now()
    }

    fn queue(&self, to: PeerId, item: Item) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push((to, item));
    }

    fn flush(&self, _: PeerId) {}

    fn rearm(&self) {}
}

pub(crate) fn domain(role: Role) -> (Domain, Arc<Desk>) {
    let desk = Arc::new(Desk::default());
    let settings = DomainSettings::new("here", Settings::default());
    let host = Arc::clone(&desk) as Arc<dyn Host>;
    let domain = Domain::new(settings, role, host).with_type(RwLockType::default());
    (domain, desk)
}

pub(crate) fn lock(domain: &Domain) -> Lock {
    let key = ResourceKey::new(b"x").expect("a name");
    domain.resource(&key).expect("room")
}

pub(crate) fn hold(lock: &Lock, credit: RwCredit) -> Hold {
    Held::try_cached(lock.clone(), &credit, None, None).expect("it is cached")
}

pub(crate) fn is_free(lock: &Lock, credit: RwCredit) -> bool {
    Held::try_cached(lock.clone(), &credit, None, None).is_some()
}

pub(crate) fn order() -> Order {
    Order {
        class: Class::New,
        stamp: Stamp(0),
        party: Party::default(),
        seq: 0,
    }
}

pub(crate) fn item(message: Message<Opaque>) -> Item {
    Item {
        type_id: RwLockType::ID,
        let_go: None,
        key: ResourceKey::new(b"x").expect("a name"),
        message,
    }
}

/// A debtor to which the whole of its lock was lent, until its lease runs out.
pub(crate) fn debtor() -> (Domain, Arc<Desk>) {
    let (domain, desk) = domain(Role::Debtor);
    domain.on_creditor_up(CREDITOR, Arc::new(Trust::until(LEASE)));
    lend_all(&domain);
    (domain, desk)
}

/// The creditor lends the whole of the lock.
pub(crate) fn lend_all(domain: &Domain) {
    let counter = 1 + lock(domain).with_owner(|owner| owner.last_loan().counter);
    let grant = Message::Grant(Grant {
        loan: LoanId { epoch: 1, counter },
        order: order(),
        version: Version(1),
        delta: Opaque::of(lock(domain).capital()),
        steps: Steps::new(),
        fence: 2,
        limit: 100,
        value: None,
        colour: None,
    });
    let delivered = domain.deliver(CREDITOR, item(grant));
    delivered.expect("no misbehaviour");
}

pub(crate) fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
