//! Winding up a node, a type or a resource: nothing new, what is held is waited for, what is lent is called home, and
//! everything borrowed goes back.
//!
//! **Bounded work.** Resources are wound up shard by shard, and after [`TURN`] of them that had something to say
//! the next turn waits for [`PAUSE`]: all returns at once would not fit into the window of a session. From then
//! on nobody looks at them: each one tells when it has wound up. A resource that is made meanwhile is wound up
//! from the start.
//!
//! **Cancellation.** A wind-up runs by itself: whoever drops the future only loses the report, and after the deadline
//! it still goes on. There is no way back.
//!
//! **Locks.** The lock of a wind-up is one of the small ones: it may be taken under a resource's, and holds nothing
//! else. Its waker is woken without any.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

use super::domain::{Domain, WeakDomain};
use super::resource::Resource;
use super::shared::Shared;
use super::timers::{Due, Entry};
use crate::credit::{Credit as _, Level as _};
use crate::id::{Class, Order, ResourceKey, TypeId};
use crate::owner::Owner;
use crate::resource::ResourceType;
use crate::sync::Mutex;
use crate::time::Time;

/// So many resources that had something to say are wound up in one turn.
const TURN: usize = 1 << 14;
/// So long is the pause between two turns: a peer acknowledges what it was sent in no more than that.
const PAUSE: Duration = Duration::from_millis(50);
/// The most that a [`WindUpReport`] lists.
pub const IN_THE_WAY_MAX: usize = 64;

/// What is wound up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// All resources of all types: the node.
    Everything,
    /// One resource. When nobody uses it any more it vanishes like any other, and its name begins anew.
    Resource(TypeId, ResourceKey),
    /// All resources of one type.
    Type(TypeId),
}

/// What became of a wind-up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it says whether anything is still out"]
#[non_exhaustive]
pub struct WindUpReport {
    /// Nothing of the scope is held, lent or borrowed any more.
    pub is_complete: bool,
    /// What was in the way when the time was over; at most [`IN_THE_WAY_MAX`].
    pub in_the_way: Vec<InTheWay>,
    /// How much more was in the way.
    pub omitted: u64,
}

/// Something that kept a wind-up from its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InTheWay {
    /// The type of the resource.
    pub type_id: TypeId,
    /// What people call that type.
    pub type_name: &'static str,
    /// The resource.
    pub key: ResourceKey,
    /// What is the matter with it.
    pub what: Obstacle,
    /// The node that has it; empty if that is not known.
    pub node: String,
    /// What the holder calls its request; empty if nothing, or not known.
    pub label: String,
    /// The holder's mode, such as `read`; of a loan, its credit.
    pub mode: String,
    /// For how long it has been held, where that is known.
    pub age: Option<Duration>,
}

/// What is in the way of a wind-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Obstacle {
    /// A local holder is not done.
    Held,
    /// A debtor has not returned it.
    Lent,
    /// It is free here, and has not been returned yet.
    Returning,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Held => "held",
            Self::Lent => "lent",
            Self::Returning => "returning",
        })
    }
}

impl fmt::Display for InTheWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.type_name, self.key, self.what)?;
        let with = match self.what {
            Obstacle::Held => "by",
            Obstacle::Lent => "to",
            Obstacle::Returning => "by",
        };
        if !self.node.is_empty() {
            write!(f, " {with} {}", self.node)?;
        }
        if !self.mode.is_empty() {
            write!(f, " ({})", self.mode)?;
        }
        if !self.label.is_empty() {
            write!(f, " \"{}\"", self.label)?;
        }
        if let Some(age) = self.age {
            write!(f, " for {age:.1?}")?;
        }
        Ok(())
    }
}

/// The end of a wind-up: completes when all of its scope is wound up, or its time is over.
///
/// **Cancel safety.** The wind-up began when it was asked for, and goes on when this is dropped; only the report is
/// lost.
#[must_use = "the report says whether anything is still out"]
pub struct WindUp {
    domain: Domain,
    scope: Scope,
    course: Arc<Course>,
}

impl Future for WindUp {
    type Output = WindUpReport;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<WindUpReport> {
        let mut state = self.course.state.lock();
        let Some(end) = state.end else {
            let former = state.waker.replace(cx.waker().clone());
            drop(state);
            // Dropping a waker can run anything: not under the lock.
            drop(former);
            return Poll::Pending;
        };
        drop(state);
        let mut report = WindUpReport {
            is_complete: end == End::Complete,
            ..WindUpReport::default()
        };
        if !report.is_complete {
            self.domain.list_in_the_way(&self.scope, &mut report);
        }
        Poll::Ready(report)
    }
}

impl fmt::Debug for WindUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindUp")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Which types are wound up, and the wind-ups under way.
#[derive(Default)]
pub(super) struct WindUps {
    types: Mutex<BTreeMap<TypeId, Order>>,
    /// Until all their resources were told and they have ended.
    under_way: Mutex<Vec<Arc<Course>>>,
}

impl WindUps {
    /// The order of the wind-up of a type, if there is one.
    pub(super) fn of(&self, type_id: TypeId) -> Option<Order> {
        self.types.lock().get(&type_id).copied()
    }

    /// The node was shut down: nothing comes home any more.
    pub(super) fn end_all(&self) {
        let all = core::mem::take(&mut *self.under_way.lock());
        for course in all {
            course.end(End::Stopped);
        }
    }
}

/// One wind-up.
pub(super) struct Course {
    order: Order,
    deadline: Time,
    domain: WeakDomain,
    shared: Weak<Shared>,
    own: Weak<Self>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Shards whose resources have not been told yet.
    shards: VecDeque<(TypeId, usize)>,
    /// How many that were told have not wound up.
    pending: u64,
    /// All were told.
    is_told: bool,
    end: Option<End>,
    waker: Option<Waker>,
    armed: Option<Entry>,
}

/// How a wind-up ended, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    Stopped,
    TimeIsOver,
}

impl Course {
    /// One more resource has to wind up.
    pub(super) fn expect(&self) {
        self.state.lock().pending += 1;
    }

    /// A resource has wound up.
    pub(super) fn on_wound_up(&self) {
        let mut state = self.state.lock();
        state.pending -= 1;
        let is_complete = state.is_told && state.pending == 0;
        drop(state);
        if is_complete {
            self.end(End::Complete);
        }
    }

    /// The first end counts.
    fn end(&self, end: End) {
        let mut state = self.state.lock();
        state.end.get_or_insert(end);
        let waker = state.waker.take();
        drop(state);
        self.leave();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Tells the resources of the next shards.
    fn turn(&self, now: Time, domain: &Domain, course: &Arc<Self>) {
        let mut told = 0;
        while told < TURN {
            // Not under the lock: resources call back.
            let Some((type_id, shard)) = self.state.lock().shards.pop_front() else {
                break;
            };
            if let Some(table) = domain.table(type_id) {
                told += table.wind_up(shard, self.order, course);
            }
        }
        let mut state = self.state.lock();
        state.is_told = state.shards.is_empty();
        let is_complete = state.is_told && state.pending == 0;
        drop(state);
        if is_complete {
            self.end(End::Complete);
        } else if now >= self.deadline {
            self.end(End::TimeIsOver);
        }
        self.arm(now, domain.shared());
    }

    /// Asks for the next turn, or for a word when the time is over.
    fn arm(&self, now: Time, shared: &Shared) {
        let mut state = self.state.lock();
        let at = match (state.is_told, state.end) {
            (true, Some(_)) => {
                drop(state);
                self.leave();
                return;
            }
            (true, None) => self.deadline,
            (false, Some(_)) => now.after(PAUSE),
            (false, None) => now.after(PAUSE).min(self.deadline),
        };
        let due: Weak<Self> = self.own.clone();
        let (entry, is_first) = shared.timers.set(state.armed, at, due);
        state.armed = Some(entry);
        drop(state);
        if is_first {
            shared.host.rearm();
        }
    }

    /// Nothing is left to do: forgotten, but by whoever has the future.
    fn leave(&self) {
        let mut state = self.state.lock();
        if !state.is_told || state.end.is_none() {
            return;
        }
        let armed = state.armed.take();
        drop(state);
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        if let Some(armed) = armed {
            shared.timers.remove(armed);
        }
        let mut under_way = shared.wind_ups.under_way.lock();
        under_way.retain(|course| !core::ptr::eq(Arc::as_ptr(course), self));
    }
}

impl Due for Course {
    fn on_due(&self, due: Time) {
        self.state.lock().armed = None;
        if let (Some(domain), Some(course)) = (self.domain.upgrade(), self.own.upgrade()) {
            self.turn(domain.shared().host.now().max(due), &domain, &course);
        }
    }
}

impl Domain {
    /// Winds up all of `scope`: from now on its resources refuse requests with
    /// [`ShuttingDown`](super::AcquireError::ShuttingDown) and lend nothing; what waits is denied; holders are
    /// waited for; what is lent is called home, and what is borrowed returned as it becomes free.
    ///
    /// It begins at once. The future completes when all is done, or after `within`, with what is still in the way; the
    /// wind-up goes on either way, and has no end but that of the domain. Where more than 16,384 resources
    /// have something to return, a resource takes requests until its turn comes, 50 ms later for each such number.
    ///
    /// ```
    /// # fn stop(domain: &rm_core::front::Domain) -> impl Future<Output = ()> {
    /// use std::time::Duration;
    /// use rm_core::front::Scope;
    ///
    /// let end = domain.wind_up(Scope::Everything, Duration::from_secs(5));
    /// async {
    ///     for still in end.await.in_the_way {
    ///         println!("{still}");
    ///     }
    /// }
    /// # }
    /// ```
    pub fn wind_up(&self, scope: Scope, within: Duration) -> WindUp {
        let shared = self.shared();
        let now = shared.host.now();
        let order = shared.next_order(Class::New, Duration::ZERO);
        let course = Arc::new_cyclic(|own| Course {
            order,
            deadline: now.after(within),
            domain: self.downgrade(),
            shared: Arc::downgrade(shared),
            own: own.clone(),
            state: Mutex::default(),
        });
        shared.wind_ups.under_way.lock().push(Arc::clone(&course));
        match &scope {
            Scope::Everything => {
                for type_id in self.type_ids() {
                    self.close_type(type_id, &course);
                }
            }
            Scope::Type(type_id) => self.close_type(*type_id, &course),
            Scope::Resource(type_id, key) => {
                if let Some(table) = self.table(*type_id) {
                    table.wind_up_one(key, order, &course);
                }
            }
        }
        course.turn(now, self, &course);
        if shared.is_shut() {
            course.end(End::Stopped);
        }
        WindUp {
            domain: self.clone(),
            scope,
            course,
        }
    }

    /// Whoever makes a resource of that type from here on finds it wound up; the others are to be told.
    fn close_type(&self, type_id: TypeId, course: &Course) {
        let Some(table) = self.table(type_id) else {
            return;
        };
        let mut types = self.shared().wind_ups.types.lock();
        types.entry(type_id).or_insert(course.order);
        drop(types);
        let shards = (0..table.shards()).map(|shard| (type_id, shard));
        course.state.lock().shards.extend(shards);
    }

    fn list_in_the_way(&self, scope: &Scope, report: &mut WindUpReport) {
        match scope {
            Scope::Everything => {
                for type_id in self.type_ids() {
                    self.list_type(type_id, None, report);
                }
            }
            Scope::Type(type_id) => self.list_type(*type_id, None, report),
            Scope::Resource(type_id, key) => self.list_type(*type_id, Some(key), report),
        }
    }

    fn list_type(&self, type_id: TypeId, key: Option<&ResourceKey>, report: &mut WindUpReport) {
        if let Some(table) = self.table(type_id) {
            table.list_in_the_way(key, report);
        }
    }
}

impl WindUpReport {
    fn push(&mut self, entry: impl FnOnce() -> InTheWay) {
        if self.in_the_way.len() < IN_THE_WAY_MAX {
            self.in_the_way.push(entry());
        } else {
            self.omitted += 1;
        }
    }

    /// Adds what keeps a resource from being wound up.
    pub(super) fn add<T: ResourceType>(&mut self, resource: &Resource<T>, owner: &Owner<T>) {
        let shared = resource.shared();
        let now = shared.host.now();
        let entry = |what| InTheWay {
            type_id: T::ID,
            type_name: T::NAME,
            key: resource.key().clone(),
            what,
            node: shared.name.clone(),
            label: String::new(),
            mode: String::new(),
            age: None,
        };
        let mut is_free = true;
        for (_, hold) in owner.holds() {
            is_free = false;
            let label = || hold.note.as_ref().map(|note| note.label.clone());
            self.push(|| InTheWay {
                label: label().unwrap_or_default(),
                mode: T::mode_name(&T::Level::of(&hold.credit), owner.capital()).to_owned(),
                age: Some(now.since(hold.since)),
                ..entry(Obstacle::Held)
            });
        }
        for (peer, loan) in owner.loans() {
            is_free = false;
            self.push(|| InTheWay {
                node: shared.host.peer_name(peer),
                mode: format!("{loan:?}"),
                ..entry(Obstacle::Lent)
            });
        }
        if is_free && !owner.is_root() && !owner.borrowed().is_empty() {
            self.push(|| entry(Obstacle::Returning));
        }
    }
}
