//! What a lock takes in memory: the sizes of its parts, and what its use asks of the allocator.
//!
//! ```text
//! cargo xtask bench footprint
//! ```

use core::mem::{size_of, size_of_val};
use std::alloc::System;
use std::future::IntoFuture;
use std::sync::Arc;

use cap::Cap;
use rm_core::credit::Opaque;
use rm_core::front::{Domain, DomainSettings, Host, Role, Trust};
use rm_core::id::{Class, LoanId, Order, Party, PeerId, ResourceKey, Stamp, Version};
use rm_core::message::{Grant, Message, Steps, Want};
use rm_core::owner::Settings;
use rm_core::resource::ResourceType as _;
use rm_core::session::packet::Item;
use rm_core::time::Time;
use rm_rwlock::doc::domain;
use rm_rwlock::{OwnedReadGuard, ReadGuard, RwCredit, RwLock, RwLockType};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Operations.
const MANY: usize = 10_000;
/// Locks of one node.
const LOCKS: usize = 100_000;
/// So many sweeps meet each of them twice.
const SWEEPS: usize = 16;
const PEER: PeerId = PeerId(1);

/// Targets, in bytes.
const AT_ROOT: usize = 200;
const AT_CLIENT: usize = 300;

fn main() {
    sizes();
    println!();
    allocations();
    println!();
    nodes();
}

fn sizes() {
    let ours = RwLock::new(&domain(), "size");
    let tokio = tokio::sync::RwLock::new(());
    let async_lock = async_lock::RwLock::new(());
    println!("| bytes | lock or handle | guard | owned guard | future of a read |");
    println!("|---|---|---|---|---|");
    println!(
        "| ours | {} | {} | {} | {} |",
        size_of_val(&ours),
        size_of::<ReadGuard<'_>>(),
        size_of::<OwnedReadGuard>(),
        size_of_val(&ours.read().into_future())
    );
    println!(
        "| tokio | {} | {} | {} | {} |",
        size_of_val(&tokio),
        size_of::<tokio::sync::RwLockReadGuard<'_, ()>>(),
        size_of::<tokio::sync::OwnedRwLockReadGuard<()>>(),
        size_of_val(&tokio.read())
    );
    println!(
        "| async-lock | {} | {} | {} | {} |",
        size_of_val(&async_lock),
        size_of::<async_lock::RwLockReadGuard<'_, ()>>(),
        size_of::<async_lock::RwLockReadGuardArc<()>>(),
        size_of_val(&async_lock.read())
    );
    println!(
        "| parking_lot | {} | {} | | |",
        size_of::<parking_lot::RwLock<()>>(),
        size_of::<parking_lot::RwLockReadGuard<'_, ()>>()
    );
    println!(
        "| std | {} | {} | | |",
        size_of::<std::sync::RwLock<()>>(),
        size_of::<std::sync::RwLockReadGuard<'_, ()>>()
    );
}

fn allocations() {
    let domain = domain();
    let lock = RwLock::new(&domain, "used");
    let read = async || drop(lock.read().await.expect("granted"));
    let read_owned = async || drop(lock.read_owned().await.expect("granted"));
    let write = async || drop(lock.write().await.expect("granted"));
    println!("| of ours | bytes asked of the allocator |");
    println!("|---|---|");
    println!("| a cached read, {MANY} times | {} |", asked(read));
    println!(
        "| a cached owned read, {MANY} times | {} |",
        asked(read_owned)
    );
    println!("| a cached write, {MANY} times | {} |", asked(write));
}

/// What the locks of a node take: in use lately, and once nobody used them for some seconds. Names of 19 bytes, which are
/// kept inline, and the hash table included.
fn nodes() {
    println!("| bytes for each of {LOCKS} locks | lately used | unused | target |");
    println!("|---|---|---|---|");
    let root = Role::Root {
        epoch: 1,
        grace: false,
    };
    let at_root = node(root, want, Handles::Dropped);
    let cached = node(Role::Debtor, grant, Handles::Dropped);
    let kept = node(Role::Debtor, grant, Handles::Kept);
    for (what, [used, unused], target) in [
        ("at the root: lent to a client", at_root, AT_ROOT),
        ("at a client: cached, no handle is kept", cached, AT_CLIENT),
        ("at a client: cached, its handle is kept", kept, AT_CLIENT),
    ] {
        let verdict = if unused <= target {
            "reached"
        } else {
            "not reached"
        };
        println!("| {what} | {used} | {unused} | {target}: {verdict} |");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handles {
    Dropped,
    Kept,
}

/// Bytes for each lock of a node, each made by one message; the handles themselves are not counted.
fn node(role: Role, made_by: impl Fn(usize) -> Message<Opaque>, handles: Handles) -> [usize; 2] {
    let settings = DomainSettings::new("here", Settings::default());
    let domain = Domain::new(settings, role, Arc::new(Nowhere)).with_type(RwLockType::default());
    if role == Role::Debtor {
        let lease = Arc::new(Trust::until(Time::from_nanos(u64::MAX)));
        domain.on_creditor_up(PEER, lease);
    }
    let mut kept = Vec::with_capacity(LOCKS);
    let before = ALLOCATOR.allocated();
    let each = || (ALLOCATOR.allocated() - before) / LOCKS;
    for number in 0..LOCKS {
        let name = format!("volume-{number:012}");
        let item = Item {
            type_id: RwLockType::ID,
            key: ResourceKey::new(name.as_bytes()).expect("a name"),
            message: made_by(number),
            let_go: None,
        };
        domain.deliver(PEER, item).expect("no misbehaviour");
        if handles == Handles::Kept {
            kept.push(RwLock::new(&domain, &name));
        }
    }
    let used = each();
    for _ in 0..SWEEPS {
        domain.sweep();
    }
    [used, each()]
}

fn order(number: usize) -> Order {
    Order {
        class: Class::New,
        stamp: Stamp(number as u64),
        party: Party::default(),
        seq: number as u64,
    }
}

/// A debtor asks for a share.
fn want(number: usize) -> Message<Opaque> {
    Message::Want(Want {
        order: order(number),
        version: Version(1),
        level: Opaque::of(&RwCredit::READ),
        try_only: false,
        deadline: None,
        note: None,
    })
}

/// The creditor lends one.
fn grant(number: usize) -> Message<Opaque> {
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
    })
}

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

/// How many bytes were asked for while `operation` ran many times, after a first time.
fn asked(operation: impl AsyncFn()) -> usize {
    pollster::block_on(async {
        operation().await;
        let before = ALLOCATOR.total_allocated();
        for _ in 0..MANY {
            operation().await;
        }
        ALLOCATOR.total_allocated() - before
    })
}
