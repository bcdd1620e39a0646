//! A domain with one resource type, on a fake host.
//!
//! The host's clock stands still until the model sets it, and its sessions are queues that nobody empties but the
//! model. Both are the engine's: loom leaves out orders of steps in which it sees nothing shared, and a
//! clock that it did not see would seem to be set at one moment only.

use core::marker::PhantomData;
use std::collections::VecDeque;
use std::sync::Arc;

use rm_core::front::{Acquire, Ask, Domain, DomainSettings, Handle, Held, Host, Role};
use rm_core::id::{Boot, NodeId, Party, PeerId, ResourceKey};
use rm_core::owner::{Owner, Settings};
use rm_core::policy::Policy;
use rm_core::session::packet::Item;
use rm_core::sync::{AtomicU64, Mutex, Ordering};
use rm_core::time::Time;

use crate::by_hand::ByHand;
use crate::subject::{CreditOf, LevelOf, Subject};

/// How a request refers to its resource here.
pub type HandleOf<S> = Handle<<S as Subject>::Type>;

/// What a granted request becomes here.
pub type HeldOf<S> = Held<<S as Subject>::Type, HandleOf<S>>;

/// A request here.
pub type AcquireOf<S> = Acquire<<S as Subject>::Type, HandleOf<S>>;

/// One node. Clones are handles to it.
#[derive(Clone, Debug)]
pub struct Node<S> {
    domain: Domain,
    host: Arc<FakeHost>,
    subject: PhantomData<fn() -> S>,
}

#[derive(Debug)]
struct FakeHost {
    nanos: AtomicU64,
    /// What was sent to whom and has not been taken, oldest first.
    sent: Mutex<VecDeque<(PeerId, Item)>>,
}

impl Host for FakeHost {
    fn now(&self) -> Time {
        // Relaxed: a clock is not what threads synchronise by.
        Time::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    fn stamp_now(&self) -> Time {
        self.now()
    }

    fn queue(&self, to: PeerId, item: Item) {
        self.sent.lock().push_back((to, item));
    }

    fn flush(&self, _: PeerId) {}

    fn rearm(&self) {}
}

impl<S: Subject> Node<S> {
    /// A node called `name`; it grants what is asked for and no more.
    #[must_use]
    pub fn new(name: &str, role: Role) -> Self {
        let host = Arc::new(FakeHost {
            nanos: AtomicU64::new(0),
            sent: Mutex::new(VecDeque::new()),
        });
        let party = Party {
            node: NodeId::of_name(name.as_bytes()),
            boot: Boot(1),
        };
        let owner = Settings::default()
            .with_policy(Policy::Exact)
            .with_party(party, name);
        let settings = DomainSettings::new(name, owner);
        let as_host: Arc<dyn Host> = Arc::<FakeHost>::clone(&host);
        Self {
            domain: Domain::new(settings, role, as_host).with_type(S::resource_type()),
            host,
            subject: PhantomData,
        }
    }

    /// A node that is the root of every resource, and was before.
    #[must_use]
    pub fn root() -> Self {
        let role = Role::Root {
            epoch: 1,
            grace: false,
        };
        Self::new("root", role)
    }

    /// A node that borrows, once it has a creditor.
    #[must_use]
    pub fn debtor() -> Self {
        Self::new("debtor", Role::Debtor)
    }

    /// Its domain.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The resource that models are about.
    ///
    /// # Panics
    /// If the subject's key is no name.
    #[must_use]
    pub fn handle(&self) -> HandleOf<S> {
        let key = ResourceKey::new(S::KEY.as_bytes()).expect("the subject's key is a name");
        self.domain.resource(&key).expect("there is room for one")
    }

    /// Asks for the resource, and waits as long as it takes.
    #[must_use]
    pub fn ask(&self, mode: S::Mode) -> ByHand<AcquireOf<S>> {
        let handle = self.handle();
        let ask = ask::<S>(mode, handle.capital());
        ByHand::new(Acquire::new(handle, ask))
    }

    /// Looks at the book of the resource, after checking it.
    ///
    /// # Panics
    /// If the book breaks an invariant.
    pub fn with_owner<R>(&self, f: impl FnOnce(&Owner<S::Type>) -> R) -> R {
        self.handle().with_owner(|owner| {
            owner.check();
            f(owner)
        })
    }

    /// Sets its clock. Time must not go back.
    pub fn set_clock(&self, now: Time) {
        // Relaxed: as in `now`.
        self.host.nanos.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// The oldest message to `to`. What is queued for others before it is dropped, as for peers that are gone.
    pub(crate) fn next_sent(&self, to: PeerId) -> Option<Item> {
        let mut sent = self.host.sent.lock();
        while let Some((peer, item)) = sent.pop_front() {
            if peer == to {
                return Some(item);
            }
        }
        None
    }
}

/// What a request in that mode asks for, and how it passes the gate.
pub(crate) fn ask<S: Subject>(mode: S::Mode, capital: &CreditOf<S>) -> Ask<LevelOf<S>> {
    Ask {
        door: S::door(mode),
        ..Ask::new(S::level(mode, capital))
    }
}
