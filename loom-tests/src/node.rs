//! A domain of RW locks on a fake host.
//!
//! The host's clock stands still until the model sets it, and its sessions are queues that nobody empties but the
//! model. Both are loom's: loom leaves out orders of steps in which it sees nothing shared, and a
//! clock that it did not see would seem to be set at one moment only.

use std::collections::VecDeque;
use std::sync::Arc;

use rm_core::front::{Domain, DomainSettings, Host, Role};
use rm_core::id::{Boot, NodeId, Party, PeerId};
use rm_core::owner::Settings;
use rm_core::policy::Policy;
use rm_core::session::packet::Item;
use rm_core::sync::{AtomicU64, Mutex, Ordering};
use rm_core::time::Time;
use rm_rwlock::{RwLock, RwLockType};

/// How many shares the locks have: few, so that traces read well.
const SHARES: u64 = 4;

/// One node. Clones are handles to it.
#[derive(Clone, Debug)]
pub struct Node {
    domain: Domain,
    host: Arc<FakeHost>,
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

impl Node {
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
            domain: Domain::new(settings, role, as_host).with_type(RwLockType::with_shares(SHARES)),
            host,
        }
    }

    /// A node that is the root of every lock, and was before.
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

    /// The lock that most models are about.
    #[must_use]
    pub fn lock(&self) -> RwLock {
        RwLock::new(&self.domain, "x")
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
