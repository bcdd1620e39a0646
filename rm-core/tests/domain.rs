//! A domain and its host: what one node does with its resources, whatever their type.

mod desk;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use desk::{CREDITOR, DEBTOR, Desk, ROOT, order};
use rm_core::credit::Opaque;
use rm_core::error::LostReason;
use rm_core::front::{
    Acquire, AcquireError, Ask, Domain, DomainSettings, Handle, Held, Host, Obstacle, Patience,
    Role, Scope, Trust, WindUp, WindUpReport,
};
use rm_core::id::{Class, LoanId, Order, Party, PeerId, ResourceKey, Stamp, TypeId, Version};
use rm_core::message::{Grant, Message, Steps, Want};
use rm_core::owner::Settings;
use rm_core::policy::{Decision, Policy};
use rm_core::resource::ResourceType;
use rm_core::session::packet::Item;
use rm_core::time::Time;
use rm_core::value::Value;
use rm_rwlock::{RwCredit, RwLockType};

/// Another type than the RW lock: one share, no intent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Mutual;

impl ResourceType for Mutual {
    type Credit = RwCredit;
    type Level = RwCredit;
    const ID: TypeId = TypeId(2001);
    const NAME: &'static str = "mutual";

    fn capital(&self, _: &ResourceKey) -> RwCredit {
        RwCredit::READ
    }
}

/// A type of 8 shares that says of one resource how it is lent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pool;

impl ResourceType for Pool {
    type Credit = RwCredit;
    type Level = RwCredit;
    const ID: TypeId = TypeId(2002);
    const NAME: &'static str = "pool";

    fn capital(&self, _: &ResourceKey) -> RwCredit {
        shares(8)
    }

    fn policy(&self, key: &ResourceKey) -> Option<Policy> {
        (key.as_bytes() == b"exact").then_some(Policy::Exact)
    }
}

const fn shares(shares: u64) -> RwCredit {
    RwCredit { shares, intent: 0 }
}

fn domain(role: Role, change: impl FnOnce(&mut DomainSettings)) -> (Domain, Arc<Desk>) {
    let mut settings = DomainSettings::new("here", Settings::default());
    change(&mut settings);
    let desk = Arc::new(Desk::default());
    let domain = Domain::new(settings, role, Arc::clone(&desk) as Arc<dyn Host>)
        .with_type(RwLockType::default())
        .with_type(Mutual)
        .with_type(Pool);
    (domain, desk)
}

fn key(name: &str) -> ResourceKey {
    ResourceKey::new(name.as_bytes()).expect("a name")
}

fn ask(credit: RwCredit, patience: Patience) -> Ask<RwCredit> {
    Ask {
        patience,
        ..Ask::new(credit)
    }
}

fn now_or_never<T: ResourceType<Credit = RwCredit, Level = RwCredit>>(
    handle: Handle<T>,
    credit: RwCredit,
) -> Option<Held<T, Handle<T>>> {
    let mut acquire = pin!(Acquire::new(handle, ask(credit, Patience::Forever)));
    match acquire
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(outcome) => outcome.ok(),
        Poll::Pending => None,
    }
}

/// A grant of `credit` of the RW lock `name`.
fn want(name: &str, level: RwCredit) -> Item {
    Item {
        type_id: RwLockType::ID,
        let_go: None,
        key: key(name),
        message: Message::Want(Want {
            order: order(),
            version: Version(1),
            level: Opaque::of(&level),
            try_only: false,
            deadline: None,
            note: None,
        }),
    }
}

fn grant(name: &str, credit: RwCredit) -> Item {
    Item {
        type_id: RwLockType::ID,
        let_go: None,
        key: key(name),
        message: Message::Grant(Grant {
            loan: LoanId {
                epoch: 1,
                counter: 1,
            },
            order: order(),
            version: Version(1),
            delta: Opaque::of(&credit),
            steps: Steps::new(),
            fence: 2,
            limit: 100,
            value: None,
            colour: None,
        }),
    }
}

#[test]
fn resources_of_two_types_with_one_name_have_nothing_to_do_with_each_other() {
    let (domain, _) = domain(ROOT, |_| {});
    let lock: Handle<RwLockType> = domain.resource(&key("x")).expect("room");
    let mutual: Handle<Mutual> = domain.resource(&key("x")).expect("room");
    let writer = now_or_never(lock.clone(), *lock.capital()).expect("free");
    let first = now_or_never(mutual.clone(), RwCredit::READ).expect("free");
    assert!(now_or_never(mutual.clone(), RwCredit::READ).is_none());
    drop(first);
    assert!(now_or_never(mutual, RwCredit::READ).is_some());
    assert!(now_or_never(lock, RwCredit::READ).is_none());
    drop(writer);
    assert_eq!(domain.totals().resources, 2);
}

#[test]
fn a_grant_that_there_is_no_room_for_goes_back() {
    let (domain, desk) = domain(Role::Debtor, |settings| settings.resources_max = 1);
    let _full: Handle<RwLockType> = domain.resource(&key("x")).expect("room");
    domain.on_creditor_up(CREDITOR, Arc::new(Trust::until(Time::from_nanos(100))));
    domain
        .deliver(CREDITOR, grant("y", RwCredit::READ))
        .expect("no misbehaviour");
    let said = desk.said();
    let [(CREDITOR, item)] = &said[..] else {
        panic!("one answer: {said:?}");
    };
    assert!(matches!(item.message, Message::Return { .. }), "{item:?}");
    assert_eq!(item.key, key("y"));
}

#[test]
fn a_doubt_outlives_the_resource_that_it_is_about() {
    let (domain, _) = domain(ROOT, |_| {});
    let all = RwLockType::default().capital(&key("x"));
    let wanted = domain.deliver(DEBTOR, want("x", all));
    wanted.expect("no misbehaviour");
    domain.on_debtor_down(DEBTOR);
    domain.sweep();
    assert_eq!(domain.totals().resources, 0);
    let lock: Handle<RwLockType> = domain.resource(&key("x")).expect("room");
    let reader = now_or_never(lock, RwCredit::READ).expect("free");
    let value = reader.value().expect("held");
    assert_eq!(value.as_deref(), Some(&Value::unknown()));
}

#[test]
fn a_root_with_a_former_life_knows_no_value_and_says_so() {
    let (domain, _) = domain(ROOT, |_| {});
    domain.doubt_values();
    let lock: Handle<RwLockType> = domain.resource(&key("x")).expect("room");
    let all = *lock.capital();
    let writer = now_or_never(lock, all).expect("free");
    assert_eq!(
        writer.value().expect("held").as_deref(),
        Some(&Value::unknown())
    );
    writer.set_value(b"v").expect("held");
    assert!(
        !writer
            .value()
            .expect("held")
            .expect("written")
            .is_doubtful()
    );
}

#[test]
fn a_resource_with_a_value_stays_until_the_value_is_empty() {
    let (domain, _) = domain(ROOT, |_| {});
    for (bytes, resources) in [(&b"v"[..], 1), (b"", 0)] {
        let lock: Handle<RwLockType> = domain.resource(&key("x")).expect("room");
        let all = *lock.capital();
        let writer = now_or_never(lock, all).expect("free");
        writer.set_value(bytes).expect("held");
        drop(writer);
        domain.sweep();
        assert_eq!(domain.totals().resources, resources);
    }
}

#[test]
fn the_timer_of_a_request_that_was_served_vanishes_with_its_resource() {
    let (domain, _) = domain(ROOT, |_| {});
    {
        let lock: Handle<RwLockType> = domain.resource(&key("x")).expect("room");
        let reader = now_or_never(lock.clone(), RwCredit::READ).expect("free");
        let hour = Patience::AtMost(Duration::from_secs(3600));
        let all = *lock.capital();
        let mut writing = pin!(Acquire::new(lock, ask(all, hour)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(writing.as_mut().poll(&mut cx).is_pending());
        assert!(domain.next_deadline().is_some());
        drop(reader);
        assert!(writing.as_mut().poll(&mut cx).is_ready());
    }
    domain.sweep();
    assert_eq!(domain.totals().resources, 0);
    assert_eq!(domain.next_deadline(), None);
}

#[test]
fn a_deadline_told_early_by_the_host_s_clock_is_passed_all_the_same() {
    let (domain, desk) = domain(ROOT, |_| {});
    let lock: Handle<RwLockType> = domain.resource(&key("x")).expect("room");
    let _reader = now_or_never(lock.clone(), RwCredit::READ).expect("free");
    let all = *lock.capital();
    let second = Patience::AtMost(Duration::from_secs(1));
    let mut writing = pin!(Acquire::new(lock, ask(all, second)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(writing.as_mut().poll(&mut cx).is_pending());
    // The host itself says that no time has passed.
    domain.on_deadline(Time::from_nanos(2_000_000_000));
    assert_eq!(desk.now(), Time::ZERO);
    assert!(writing.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_hold_tells_how_long_it_may_be_used_and_zero_once_its_session_is_over() {
    let (domain, _) = domain(Role::Debtor, |_| {});
    let lock: Handle<RwLockType> = domain.resource(&key("x")).expect("room");
    domain.on_creditor_up(CREDITOR, Arc::new(Trust::until(Time::from_nanos(100))));
    domain
        .deliver(CREDITOR, grant("x", RwCredit::READ))
        .expect("no misbehaviour");
    let held = now_or_never(lock, RwCredit::READ).expect("it was granted");
    assert_eq!(held.valid_for(), Some(Duration::from_nanos(100)));
    domain.on_creditor_down(CREDITOR, LostReason::SessionEnded);
    assert_eq!(held.valid_for(), Some(Duration::ZERO));
}

#[test]
fn a_crowded_debtor_sends_home_what_is_too_much_and_no_more() {
    let (domain, desk) = domain(Role::Debtor, |settings| settings.cached_max = 3);
    domain.on_creditor_up(CREDITOR, Arc::new(Trust::until(Time::from_nanos(100))));
    for name in ["a", "b", "c", "d", "e"] {
        domain
            .deliver(CREDITOR, grant(name, RwCredit::READ))
            .expect("no misbehaviour");
    }
    // The first sweep only notes that none was used since.
    domain.sweep();
    assert_eq!(desk.said().len(), 0);
    domain.sweep();
    assert_eq!(desk.said().len(), 2);
    domain.sweep();
    assert_eq!(domain.totals().resources, 3);
}

/// Whether a wind-up is over, and if so how.
fn report(end: &mut WindUp) -> Option<WindUpReport> {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(end).poll(&mut cx) {
        Poll::Ready(report) => Some(report),
        Poll::Pending => None,
    }
}

const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_wind_up_waits_for_holders_and_refuses_requests_also_of_new_resources() {
    let (domain, _) = domain(ROOT, |_| {});
    let lock: Handle<RwLockType> = domain.resource(&key("x")).expect("room");
    let held = now_or_never(lock.clone(), RwCredit::READ).expect("free");
    let mut end = domain.wind_up(Scope::Everything, SOON);
    assert_eq!(report(&mut end), None);
    let fresh: Handle<RwLockType> = domain.resource(&key("y")).expect("room");
    for lock in [lock, fresh] {
        let mut acquire = pin!(Acquire::new(lock, ask(RwCredit::READ, Patience::Forever)));
        let refused = acquire
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(
            refused,
            Poll::Ready(Err(AcquireError::ShuttingDown))
        ));
    }
    drop(held);
    let report = report(&mut end).expect("all is home");
    assert!(report.is_complete && report.in_the_way.is_empty());
}

#[test]
fn a_wind_up_wakes_its_caller_when_the_last_holder_is_done() {
    struct Count(AtomicU64);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (domain, _) = domain(ROOT, |_| {});
    let lock: Handle<RwLockType> = domain.resource(&key("x")).expect("room");
    let held = now_or_never(lock.clone(), RwCredit::READ).expect("free");
    let last = now_or_never(lock, RwCredit::READ).expect("free");
    let mut end = pin!(domain.wind_up(Scope::Type(RwLockType::ID), SOON));
    let count = Arc::new(Count(AtomicU64::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    assert!(end.as_mut().poll(&mut cx).is_pending());
    drop(held);
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    drop(last);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(end.as_mut().poll(&mut cx).is_ready());
    assert_eq!(domain.next_deadline(), None, "nothing is left of it");
}

#[test]
fn a_wind_up_that_runs_out_of_time_names_who_was_in_the_way_and_goes_on() {
    let (domain, desk) = domain(Role::Debtor, |_| {});
    domain.on_creditor_up(CREDITOR, Arc::new(Trust::until(Time::from_nanos(u64::MAX))));
    domain
        .deliver(CREDITOR, grant("x", RwCredit::READ))
        .expect("no misbehaviour");
    let lock: Handle<RwLockType> = domain.resource(&key("x")).expect("room");
    let held = Held::try_cached(lock, &RwCredit::READ, None, Some("backup")).expect("it is cached");
    let mut end = domain.wind_up(Scope::Everything, SOON);
    desk.now.store(6_000_000_000, Ordering::Relaxed);
    domain.on_deadline(desk.now());
    let report = report(&mut end).expect("its time is over");
    assert!(!report.is_complete);
    let [held_here] = &report.in_the_way[..] else {
        panic!("one holder: {report:?}");
    };
    assert_eq!(held_here.what, Obstacle::Held);
    assert_eq!(
        held_here.to_string(),
        "rw-lock x: held by here (read) \"backup\" for 6.0s"
    );
    assert_eq!(desk.said().len(), 0);
    drop(held);
    assert_eq!(desk.said().len(), 1, "it is returned all the same");
}

#[test]
fn a_wind_up_whose_future_is_dropped_goes_on() {
    let (domain, desk) = domain(Role::Debtor, |_| {});
    domain.on_creditor_up(CREDITOR, Arc::new(Trust::until(Time::from_nanos(u64::MAX))));
    domain
        .deliver(CREDITOR, grant("x", RwCredit::READ))
        .expect("no misbehaviour");
    let lock: Handle<RwLockType> = domain.resource(&key("x")).expect("room");
    let held = now_or_never(lock, RwCredit::READ).expect("it is cached");
    drop(domain.wind_up(Scope::Everything, SOON));
    drop(held);
    let said = desk.said();
    assert!(matches!(
        said[..],
        [(
            CREDITOR,
            Item {
                message: Message::Return { .. },
                ..
            }
        )]
    ));
}

#[test]
fn a_wind_up_of_one_type_or_one_resource_leaves_the_others_alone() {
    let (domain, _) = domain(ROOT, |_| {});
    let lock = |name| -> Handle<RwLockType> { domain.resource(&key(name)).expect("room") };
    let mutual = |name| -> Handle<Mutual> { domain.resource(&key(name)).expect("room") };
    let (x, y) = (lock("x"), lock("y"));
    let one = Scope::Resource(RwLockType::ID, key("x"));
    assert!(report(&mut domain.wind_up(one, SOON)).is_some());
    assert!(now_or_never(x, RwCredit::READ).is_none());
    assert!(now_or_never(y, RwCredit::READ).is_some());
    let held = now_or_never(lock("z"), RwCredit::READ).expect("free");
    let mut end = domain.wind_up(Scope::Type(Mutual::ID), SOON);
    assert!(report(&mut end).expect("nothing is held").is_complete);
    assert!(now_or_never(mutual("x"), RwCredit::READ).is_none());
    assert!(held.is_valid() && now_or_never(lock("y"), RwCredit::READ).is_some());
}

#[test]
fn a_node_that_is_shut_down_ends_its_wind_up() {
    let (domain, _) = domain(ROOT, |_| {});
    let lock: Handle<RwLockType> = domain.resource(&key("x")).expect("room");
    let held = now_or_never(lock, RwCredit::READ).expect("free");
    let mut end = domain.wind_up(Scope::Everything, SOON);
    assert_eq!(report(&mut end), None);
    domain.shut_down();
    assert!(report(&mut end).is_some());
    assert!(!held.is_valid());
    assert!(report(&mut domain.wind_up(Scope::Everything, SOON)).is_some());
}

/// All returns at once would not fit into the window of a session.
#[test]
fn a_wind_up_of_many_resources_returns_in_turns() {
    const MANY: usize = 20_000;
    let (domain, desk) = domain(Role::Debtor, |_| {});
    domain.on_creditor_up(CREDITOR, Arc::new(Trust::until(Time::from_nanos(u64::MAX))));
    for number in 0..MANY {
        domain
            .deliver(CREDITOR, grant(&number.to_string(), RwCredit::READ))
            .expect("no misbehaviour");
    }
    let mut end = domain.wind_up(Scope::Everything, SOON);
    let first = desk.said().len();
    assert!((16_384..17_500).contains(&first), "{first} in one turn");
    assert_eq!(report(&mut end), None);
    let next = domain.next_deadline().expect("another turn");
    desk.now.store(next.as_nanos(), Ordering::Relaxed);
    domain.on_deadline(next);
    assert_eq!(first + desk.said().len(), MANY);
    assert!(report(&mut end).expect("all is home").is_complete);
}

/// What a root that has these settings lends of a pool to a debtor that asks for one share.
fn lent_of(name: &str, change: impl FnOnce(&mut DomainSettings)) -> (RwCredit, u64) {
    let (domain, desk) = domain(ROOT, change);
    let want = Want {
        order: Order {
            class: Class::New,
            stamp: Stamp(1),
            party: Party::default(),
            seq: 1,
        },
        version: Version(1),
        level: Opaque::of(&shares(1)),
        try_only: false,
        deadline: None,
        note: None,
    };
    let item = Item {
        type_id: Pool::ID,
        let_go: None,
        key: key(name),
        message: Message::Want(want),
    };
    domain.deliver(PeerId(7), item).expect("a correct peer");
    let said = desk.said();
    let [(_, Item { message, .. })] = &said[..] else {
        panic!("one answer: {said:?}");
    };
    let Message::Grant(grant) = message else {
        panic!("a grant: {message:?}");
    };
    let extras = domain.totals().decisions.count(Decision::ExtraGranted);
    (grant.delta.read().expect("credit of the pool"), extras)
}

#[test]
fn the_policy_is_the_domain_s_for_the_type_else_the_type_s_for_the_resource_else_the_domain_s() {
    let halves = |settings: &mut DomainSettings| settings.owner.policy = Policy::slice(2);
    assert_eq!(lent_of("any", halves), (shares(1 + 3), 1));
    assert_eq!(lent_of("exact", halves), (shares(1), 0));
    let all = |settings: &mut DomainSettings| {
        settings.policies.insert(Pool::ID, Policy::Max);
    };
    assert_eq!(lent_of("exact", all), (shares(8), 1));
}
