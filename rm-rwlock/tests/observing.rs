//! What a subscriber sees of requests: spans, events, and whose trace is whose.

mod common;

use core::fmt::Debug;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use rm_core::credit::Opaque;
use rm_core::id::{LoanId, Note, Order, PeerId, ResourceKey, Stamp};
use rm_core::message::{Message, Step};
use rm_core::resource::ResourceType as _;
use rm_core::session::packet::Item;
use rm_core::trace::TraceContext;
use rm_rwlock::{AcquireError, RwCredit, RwLock, RwLockType};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use self::common::{World, step};

type Fields = BTreeMap<String, String>;

/// A span or an event of this project's.
#[derive(Clone, Debug, Default)]
struct Seen {
    fields: Fields,
    is_over: bool,
}

impl Seen {
    /// A field; empty where it was not given.
    fn get(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }
}

/// Keeps what it sees at `level` and above, and uses a lock whenever it is called.
#[derive(Clone)]
struct Watcher {
    level: Level,
    seen: Arc<Mutex<Vec<Seen>>>,
    uses: Arc<OnceLock<RwLock>>,
}

impl Watcher {
    fn at(level: Level) -> Self {
        Self {
            level,
            seen: Arc::default(),
            uses: Arc::default(),
        }
    }

    /// All that was seen under that name, in order.
    fn all(&self, name: &str) -> Vec<Seen> {
        let seen = self.seen.lock().expect("no panic");
        let is_it = |one: &&Seen| one.get("name") == name || one.get("message") == name;
        seen.iter().filter(is_it).cloned().collect()
    }

    /// The only one of that name.
    #[track_caller]
    fn one(&self, name: &str) -> Seen {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name}: {all:?}");
        all[0].clone()
    }

    fn add(&self, name: &str, record: impl FnOnce(&mut Fields)) -> u64 {
        let mut one = Seen::default();
        one.fields.insert("name".into(), name.into());
        record(&mut one.fields);
        let mut seen = self.seen.lock().expect("no panic");
        seen.push(one);
        seen.len() as u64
    }

    fn change(&self, id: &Id, f: impl FnOnce(&mut Seen)) {
        let mut seen = self.seen.lock().expect("no panic");
        f(&mut seen[id.into_u64() as usize - 1]);
    }

    /// Foreign code that comes back: it would wait for itself if a lock were held now.
    fn use_the_lock(&self) {
        if let Some(lock) = self.uses.get() {
            let resource = lock.resource().expect("it has a name");
            resource.with_owner(|owner| owner.holds().count());
            drop(lock.try_read_cached());
        }
    }
}

struct Visitor<'a>(&'a mut Fields);

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }
}

impl Subscriber for Watcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "rm::lock" && *metadata.level() <= self.level
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let name = span.metadata().name();
        let id = self.add(name, |fields| span.record(&mut Visitor(fields)));
        self.use_the_lock();
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.change(id, |seen| values.record(&mut Visitor(&mut seen.fields)));
        self.use_the_lock();
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.add("", |fields| event.record(&mut Visitor(fields)));
        self.use_the_lock();
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn try_close(&self, id: Id) -> bool {
        self.change(&id, |seen| seen.is_over = true);
        self.use_the_lock();
        true
    }
}

/// Runs `test` while a watcher listens at `level`.
fn watching(level: Level, test: impl FnOnce(&Watcher)) {
    let watcher = Watcher::at(level);
    tracing::subscriber::with_default(watcher.clone(), || test(&watcher));
}

fn trace(number: u64) -> TraceContext {
    TraceContext::new(number.into(), number, 1).expect("not zero")
}

#[test]
fn a_request_that_waits_is_a_span_until_it_is_granted() {
    watching(Level::INFO, |watcher| {
        let world = World::root();
        let lock = world.lock("x");
        let writer = step(lock.write()).ready().expect("free");
        let mut reading = step(lock.read().label("report"));
        assert!(reading.is_pending());
        let span = watcher.one("lock.acquire");
        let expected = [("kind", "rw-lock"), ("resource", "x"), ("mode", "read")];
        for (field, value) in expected.into_iter().chain([("label", "report")]) {
            assert_eq!(span.get(field), value);
        }
        assert_eq!((span.get("cached"), span.get("queue_pos")), ("false", "0"));
        assert!(!span.is_over);
        world.sleep(5_000);
        drop(writer);
        let reader = reading.ready().expect("free now");
        let span = watcher.one("lock.acquire");
        assert_eq!(span.get("fence"), reader.fence().to_string());
        assert_eq!(
            (span.get("outcome"), span.get("waited_us")),
            ("granted", "5")
        );
        assert!(span.is_over);
    });
}

#[test]
fn the_place_in_the_queue_is_told() {
    watching(Level::INFO, |watcher| {
        let world = World::root();
        let lock = world.lock("x");
        let _writer = step(lock.write()).ready().expect("free");
        let (mut first, mut second) = (step(lock.write()), step(lock.write()));
        assert!(first.is_pending() && second.is_pending());
        let spans = watcher.all("lock.acquire");
        let places: Vec<_> = spans.iter().map(|span| span.get("queue_pos")).collect();
        assert_eq!(places, ["0", "1"]);
    });
}

#[test]
fn a_request_that_is_dropped_ends_its_span_as_cancelled() {
    watching(Level::INFO, |watcher| {
        let world = World::root();
        let lock = world.lock("x");
        let _writer = step(lock.write()).ready().expect("free");
        let mut reading = step(lock.read());
        assert!(reading.is_pending());
        drop(reading);
        let span = watcher.one("lock.acquire");
        assert_eq!(span.get("outcome"), "cancelled");
        assert!(span.is_over);
    });
}

#[test]
fn a_request_that_fails_says_why_and_who_was_in_the_way() {
    watching(Level::INFO, |watcher| {
        let world = World::root();
        let lock = world.lock("x");
        let writing = lock.write().label("resize").trace(trace(7));
        let _writer = step(writing).ready().expect("free");
        let failed = step(lock.try_read()).ready().expect_err("held");
        let AcquireError::Busy { holders } = &failed else {
            panic!("{failed}");
        };
        assert_eq!(holders[0].trace, Some(trace(7)));
        let spans = watcher.all("lock.acquire");
        let span = spans.last().expect("seen");
        assert_eq!(span.get("outcome"), "busy");
        assert_eq!(span.get("error"), failed.to_string());
        assert_eq!(span.get("blocked_by.label"), "resize");
        assert_eq!(span.get("blocked_by.trace_id"), format!("{:032x}", 7));
        assert_eq!(span.get("blocked_by.span_id"), format!("{:016x}", 7));
    });
}

#[test]
fn the_cache_serves_unseen_but_by_those_who_listen_at_trace() {
    let fences = |world: &World| {
        let lock = world.lock("x");
        let ways = [0, 1, 2].map(|_| step(lock.read()).ready().expect("free").fence());
        let cached = lock.try_read_cached().expect("free").fence();
        (ways, cached)
    };
    watching(Level::DEBUG, |watcher| {
        fences(&World::root());
        assert!(watcher.all("lock.acquire").is_empty());
    });
    watching(Level::TRACE, |watcher| {
        let (ways, cached) = fences(&World::root());
        let spans = watcher.all("lock.acquire");
        assert_eq!(spans.len(), ways.len() + 1, "each was seen");
        for (span, fence) in spans.iter().zip(ways.into_iter().chain([cached])) {
            assert_eq!(span.get("cached"), "true");
            assert_eq!(span.get("fence"), fence.to_string());
            assert!(span.is_over);
        }
    });
}

#[test]
fn an_upgrade_that_waits_is_a_span_of_its_own() {
    watching(Level::INFO, |watcher| {
        let world = World::root();
        let lock = world.lock("x");
        let reader = step(lock.read()).ready().expect("free");
        let upgradable = step(lock.upgradable_read()).ready().expect("beside it");
        let mut upgrading = step(upgradable.upgrade());
        assert!(upgrading.is_pending());
        drop(reader);
        let writer = upgrading.ready().expect("alone");
        let span = watcher.one("lock.convert");
        assert_eq!(
            (span.get("mode"), span.get("outcome")),
            ("write", "granted")
        );
        assert_eq!(span.get("fence"), writer.fence().to_string());
        assert!(span.is_over);
    });
}

#[test]
fn a_holder_learns_the_trace_of_who_waits_and_the_waiter_that_of_the_holder() {
    watching(Level::DEBUG, |watcher| {
        let world = World::root();
        let lock = world.lock("x");
        let writing = lock.write().label("resize").trace(trace(7));
        let writer = step(writing).ready().expect("free");
        let mut reading = step(lock.read().trace(trace(8)));
        assert!(reading.is_pending());

        let waiter = step(writer.wanted()).ready().expect("valid");
        assert_eq!(waiter.trace, Some(trace(8)));
        let barrier = watcher.one("barrier");
        assert_eq!(barrier.get("holder.label"), "resize");
        assert_eq!(barrier.get("holder.trace"), trace(7).to_string());
        assert_eq!(barrier.get("waiter.trace"), trace(8).to_string());

        drop(writer);
        let _reader = reading.ready().expect("free now");
        let spans = watcher.all("lock.acquire");
        let span = spans.last().expect("seen");
        assert_eq!(span.get("trace_id"), format!("{:032x}", 8));
        assert_eq!(span.get("blocked_by.label"), "resize");
        assert_eq!(span.get("blocked_by.trace_id"), format!("{:032x}", 7));
    });
}

#[test]
fn a_grant_tells_whose_trace_it_waited_for_on_another_node() {
    watching(Level::INFO, |watcher| {
        let mut world = World::debtor();
        world.begin_session();
        let lock = world.lock("x");
        let mut writing = step(lock.write());
        assert!(writing.is_pending());
        let note = Note::with_trace("write", "resize", "there", Some(trace(7)));
        world.grant_all_after("x", note);
        let _writer = writing.ready().expect("granted");
        let span = watcher.one("lock.acquire");
        assert_eq!(span.get("blocked_by.node"), "there");
        assert_eq!(span.get("blocked_by.trace_id"), format!("{:032x}", 7));
    });
}

#[test]
fn a_recall_is_told_with_who_wants_what_was_lent() {
    watching(Level::DEBUG, |watcher| {
        let mut world = World::debtor();
        world.begin_session();
        world.grant_all("x");
        let order = Order {
            stamp: Stamp(1),
            ..World::ORDER
        };
        let step = Step {
            order,
            keep: Opaque::of(&RwCredit::default()),
            try_only: false,
            whole: true,
            note: Some(Note::with_trace("write", "move", "there", Some(trace(9)))),
        };
        let item = Item {
            type_id: RwLockType::ID,
            let_go: None,
            key: ResourceKey::new(b"x").expect("a name"),
            message: Message::Recall {
                loan: LoanId {
                    epoch: 1,
                    counter: 1,
                },
                steps: [step].into_iter().collect(),
            },
        };
        let delivered = world.domain.deliver(PeerId(1), item);
        delivered.expect("no misbehaviour");
        let recall = watcher.one("recall");
        let expected = [("direction", "received"), ("resource", "x"), ("steps", "1")];
        for (field, value) in expected {
            assert_eq!(recall.get(field), value);
        }
        assert_eq!(recall.get("waiter.node"), "there");
        assert_eq!(recall.get("waiter.trace"), trace(9).to_string());
    });
}

#[test]
fn a_loss_is_told_once_with_how_many_holds_and_why() {
    watching(Level::WARN, |watcher| {
        let mut world = World::debtor();
        world.begin_session();
        world.grant_all("x");
        let lock = world.lock("x");
        let held = [0, 1, 2].map(|_| step(lock.read().label("r")).ready().expect("cached"));
        world.end_session();
        assert!(held.iter().all(|guard| !guard.is_valid()));
        let lost = watcher.one("lost: the lease ran out");
        assert_eq!(lost.get("resource"), "x");
        assert_eq!(
            (lost.get("reason"), lost.get("holds")),
            ("lease_expired", "3")
        );
    });
}

#[test]
fn a_subscriber_may_use_the_very_lock_of_which_it_is_told() {
    // Not at TRACE: there it would see its own use, and use the lock again for that.
    watching(Level::DEBUG, |watcher| {
        let mut world = World::debtor();
        world.begin_session();
        world.grant_all("x");
        let lock = world.lock("x");
        assert!(watcher.uses.set(lock.clone()).is_ok());
        let reader = step(lock.read().label("r")).ready().expect("cached");
        let (mut writing, mut dropped) = (step(lock.write()), step(lock.write()));
        assert!(writing.is_pending() && dropped.is_pending());
        drop(dropped);
        drop(reader);
        let writer = writing.ready().expect("free now");
        assert!(step(lock.try_read()).ready().is_err());
        world.end_session();
        assert!(!writer.is_valid());
        for name in ["barrier", "lost: the lease ran out"] {
            assert!(!watcher.all(name).is_empty(), "{name}");
        }
    });
}
