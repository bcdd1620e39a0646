//! A root and its debtors as they are in a process, joined without a network: whole domains, whose messages and time are
//! in the hands of the test.
//!
//! Futures are polled by hand ([`Asking`]). Nothing moves but in [`Joined::settle`], and no time passes but in
//! [`Joined::pass`]. Leases do not run out by themselves; [`Joined::part`] ends a session, [`Joined::meet`] begins the next.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rm_core::error::LostReason;
use rm_core::front::{Domain, DomainSettings, Host, Role, Trust};
use rm_core::id::{Boot, NodeId, Party, PeerId};
use rm_core::owner::Settings;
use rm_core::session::packet::Item;
use rm_core::time::Time;
use rm_rwlock::{RwLock, RwLockType};

/// More messages than any scenario needs: beyond it the nodes talk in a circle.
const MESSAGES_MAX: usize = 10_000;

/// One node's clock, and what it has to say: to whom, and what.
#[derive(Default)]
struct Desk {
    now: AtomicU64,
    said: Mutex<VecDeque<(PeerId, Item)>>,
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
        said.push_back((to, item));
    }

    fn flush(&self, _: PeerId) {}

    fn rearm(&self) {}
}

/// A root, node 0, and its debtors. A node's peer number is its own.
pub struct Joined {
    nodes: Vec<(Domain, Arc<Desk>)>,
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = self.nodes.iter().map(|(domain, _)| domain.totals());
        f.debug_list().entries(totals).finish()
    }
}

impl Joined {
    /// A root and so many debtors, called `n0`, `n1` and so on.
    #[must_use]
    pub fn star(debtors: usize) -> Self {
        Self::with(debtors, |settings| settings)
    }

    /// The same with other settings.
    #[must_use]
    pub fn with(debtors: usize, change: impl Fn(DomainSettings) -> DomainSettings) -> Self {
        let nodes = (0..=debtors).map(|node| {
            let name = format!("n{node}");
            let party = Party {
                node: NodeId(node as u64),
                boot: Boot(0),
            };
            let owner = Settings::default().with_party(party, &name);
            let settings = change(DomainSettings::new(&name, owner));
            let role = match node {
                0 => Role::Root {
                    epoch: 1,
                    grace: false,
                },
                _ => Role::Debtor,
            };
            let desk = Arc::new(Desk::default());
            let host = Arc::clone(&desk) as Arc<dyn Host>;
            let domain = Domain::new(settings, role, host).with_type(RwLockType::default());
            if node > 0 {
                domain.on_creditor_up(PeerId(0), Arc::new(Trust::until(Time::MAX)));
            }
            (domain, desk)
        });
        Self {
            nodes: nodes.collect(),
        }
    }

    /// One node's domain.
    #[must_use]
    pub fn domain(&self, node: usize) -> &Domain {
        &self.nodes[node].0
    }

    /// A handle at one node to the lock of that name.
    #[must_use]
    pub fn lock(&self, node: usize, name: &str) -> RwLock {
        RwLock::new(self.domain(node), name)
    }

    /// All messages arrive, and those sent because of them. Returns how many there were.
    ///
    /// # Panics
    /// If there is no end of them, or a node misbehaves.
    pub fn settle(&self) -> usize {
        for count in 0..MESSAGES_MAX {
            let next = self.nodes.iter().enumerate().find_map(|(from, (_, desk))| {
                let mut said = desk.said.lock().unwrap_or_else(PoisonError::into_inner);
                said.pop_front().map(|(to, item)| (from, to, item))
            });
            let Some((from, to, item)) = next else {
                return count;
            };
            let domain = self.domain(to.0 as usize);
            let done = domain.deliver(PeerId(from as u64), item);
            done.expect("nodes keep the rules");
        }
        panic!("no rest after {MESSAGES_MAX} messages");
    }

    /// Time passes on all clocks, and then all messages arrive.
    pub fn pass(&self, span: Duration) {
        for (domain, desk) in &self.nodes {
            let now = desk.now().after(span);
            desk.now.store(now.as_nanos(), Ordering::Relaxed);
            domain.on_deadline(now);
        }
        self.settle();
    }

    /// The session of a debtor ends: first the debtor hears of it, then the root takes back what was lent.
    pub fn part(&self, debtor: usize) {
        let domain = self.domain(debtor);
        domain.on_creditor_down(PeerId(0), LostReason::SessionEnded);
        self.domain(0).on_debtor_down(PeerId(debtor as u64));
        self.settle();
    }

    /// A debtor whose session has ended begins another.
    pub fn meet(&self, debtor: usize) {
        let trust = Arc::new(Trust::until(Time::MAX));
        self.domain(debtor).on_creditor_up(PeerId(0), trust);
        self.settle();
    }

    /// Asks, and lets all messages arrive.
    pub fn ask<A: IntoFuture>(&self, request: A) -> Asking<A::IntoFuture> {
        let asking = Asking::begin(request);
        self.settle();
        asking
    }
}

/// A request that was made, and is polled by hand. Dropping it gives it up, or lets go of what it got.
pub struct Asking<F: Future> {
    future: Pin<Box<F>>,
    outcome: Option<F::Output>,
}

impl<F: Future> fmt::Debug for Asking<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").finish_non_exhaustive()
    }
}

impl<F: Future> Asking<F> {
    /// Asks. What there is to say waits to be sent.
    pub fn begin<A: IntoFuture<IntoFuture = F>>(request: A) -> Self
    where
        F: Future<Output = A::Output>,
    {
        let mut asking = Self {
            future: Box::pin(request.into_future()),
            outcome: None,
        };
        asking.look();
        asking
    }

    fn look(&mut self) -> Option<&mut F::Output> {
        if self.outcome.is_none() {
            let mut cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(outcome) = self.future.as_mut().poll(&mut cx) {
                self.outcome = Some(outcome);
            }
        }
        self.outcome.as_mut()
    }

    /// Whether it has no outcome yet.
    pub fn waits(&mut self) -> bool {
        self.look().is_none()
    }

    /// Its outcome.
    ///
    /// # Panics
    /// If it waits.
    pub fn outcome(mut self) -> F::Output {
        self.look();
        self.outcome.expect("it has an outcome")
    }
}

impl<G, E: fmt::Debug, F: Future<Output = Result<G, E>>> Asking<F> {
    /// Whether it was granted.
    pub fn holds(&mut self) -> bool {
        matches!(self.look(), Some(Ok(_)))
    }

    /// What it got.
    ///
    /// # Panics
    /// If it waits, or failed.
    #[track_caller]
    pub fn guard(self) -> G {
        self.outcome().expect("granted")
    }
}
