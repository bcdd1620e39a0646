//! What a resource costs in memory, measured: bytes asked of the allocator, without the allocator's own overhead.
//!
//! One test, because all tests of a program share its allocator and would see each other's bytes.

use std::alloc::System;
use std::sync::Arc;

use cap::Cap;
use rm_core::credit::Opaque;
use rm_core::front::{Domain, DomainSettings, Host, Role, Trust};
use rm_core::id::{Class, LoanId, Order, Party, PeerId, ResourceKey, Stamp, Version};
use rm_core::message::{Grant, Message, Steps, Want};
use rm_core::owner::Settings;
use rm_core::resource::ResourceType;
use rm_core::session::packet::Item;
use rm_core::time::Time;
use rm_rwlock::{RwCredit, RwLockType};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const RESOURCES: u64 = 20_000;
const PEER: PeerId = PeerId(1);

/// A host that nobody listens to.
#[derive(Debug)]
struct Nowhere;

impl Host for Nowhere {
    fn now(&self) -> Time {
        Time::from_nanos(1)
    }

    fn stamp_now(&self) -> Time {
        self.now()
    }

    fn queue(&self, _: PeerId, _: Item) {}

    fn flush(&self, _: PeerId) {}

    fn rearm(&self) {}
}

fn domain(role: Role) -> Domain {
    let settings = DomainSettings::new("here", Settings::default());
    Domain::new(settings, role, Arc::new(Nowhere)).with_type(RwLockType::default())
}

/// A name as they are in practice: short enough to be kept inline.
fn key(number: u64) -> ResourceKey {
    ResourceKey::new(format!("volume-{number:012}").as_bytes()).expect("a name")
}

fn order(seq: u64) -> Order {
    Order {
        class: Class::New,
        stamp: Stamp(seq),
        party: Party::default(),
        seq,
    }
}

fn item(number: u64, message: Message<Opaque, Opaque>) -> Item {
    Item {
        type_id: RwLockType::ID,
        let_go: None,
        key: key(number),
        message,
    }
}

/// One debtor has asked for a lock and got it.
fn want(number: u64) -> Item {
    item(
        number,
        Message::Want(Want {
            order: order(number),
            version: Version(1),
            level: Opaque::of(&RwCredit::READ),
            try_only: false,
            deadline: None,
            note: None,
        }),
    )
}

fn grant(number: u64) -> Item {
    item(
        number,
        Message::Grant(Grant {
            loan: LoanId {
                epoch: 1,
                counter: 1,
            },
            order: order(number),
            version: Version(1),
            delta: Opaque::of(&RwCredit::READ),
            steps: Steps::new(),
            fence: 2,
            limit: 100,
            value: None,
            colour: None,
        }),
    )
}

/// How many bytes each resource takes, each made by one message: just after it, and once all rest.
fn bytes_each(domain: &Domain, made_by: impl Fn(u64) -> Item) -> [u64; 2] {
    let before = ALLOCATOR.allocated();
    let each = || {
        assert_eq!(domain.totals().resources, RESOURCES);
        (ALLOCATOR.allocated() - before) as u64 / RESOURCES
    };
    for number in 0..RESOURCES {
        domain
            .deliver(PEER, made_by(number))
            .expect("no misbehaviour");
    }
    let used = each();
    // Every resource is visited once in two sweeps; the first visit finds it used, the second puts it to rest.
    for _ in 0..5 {
        domain.sweep();
    }
    [used, each()]
}

/// The same for locks whose handles somebody keeps, which are not counted.
fn bytes_each_kept(domain: &Domain, made_by: impl Fn(u64) -> Item) -> [u64; 2] {
    let mut handles = Vec::with_capacity(RESOURCES as usize);
    let before = ALLOCATOR.allocated();
    let each = || (ALLOCATOR.allocated() - before) as u64 / RESOURCES;
    for number in 0..RESOURCES {
        let delivered = domain.deliver(PEER, made_by(number));
        delivered.expect("no misbehaviour");
        let handle = domain.resource::<RwLockType>(&key(number));
        handles.push(handle.expect("room"));
    }
    let used = each();
    for _ in 0..5 {
        domain.sweep();
    }
    [used, each()]
}

#[test]
fn a_resource_at_rest_is_small() {
    let root = domain(Role::Root {
        epoch: 1,
        grace: false,
    });
    let lent = bytes_each(&root, want);
    let client = domain(Role::Debtor);
    let lease = Arc::new(Trust::until(Time::from_nanos(u64::MAX)));
    client.on_creditor_up(PEER, lease);
    let cached = bytes_each(&client, grant);
    println!("bytes [lately used, at rest] of a resource at the root with one loan out: {lent:?}");
    println!("bytes [lately used, at rest] of a lock cached at a client: {cached:?}");
    drop(client);
    let keeper = domain(Role::Debtor);
    let lease = Arc::new(Trust::until(Time::from_nanos(u64::MAX)));
    keeper.on_creditor_up(PEER, lease);
    let kept = bytes_each_kept(&keeper, grant);
    println!("bytes [lately used, asleep] of one whose handle is kept: {kept:?}");
    assert!(kept[1] <= 300, "{kept:?}");
    assert!(lent[1] <= 200, "{lent:?}");
    assert!(cached[1] <= 200, "{cached:?}");
}
