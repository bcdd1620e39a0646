//! Trees of domains: nodes in the middle borrow and lend at once, and their own callers use locks too.

mod net;

use std::cell::RefCell;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use net::{Net, key};
use rm_core::credit::Opaque;
use rm_core::error::LostReason;
use rm_core::front::Domain;
use rm_core::id::{NodeId, Party, PeerId, TypeId, Version};
use rm_core::inspect::{Answer, EntryKind, Query};
use rm_core::message::{Message, Refusal, Want};
use rm_core::policy::Policy;
use rm_core::resource::ResourceType as _;
use rm_core::session::packet::Item;
use rm_core::time::Time;
use rm_rwlock::{RwCredit, RwLock, RwLockType};

/// Four levels: a root, two nodes under it, two under each of them, and two under each of these.
const FOUR_LEVELS: [usize; 14] = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6];
const NAMES: [&str; 2] = ["x", "y"];
const ROUNDS: u32 = 12;

/// Who uses a lock at the moment, according to those who do.
#[derive(Debug, Default)]
struct Usage {
    readers: u32,
    writers: u32,
    /// The token of the last writer.
    fence: u64,
}

type Usages = Rc<RefCell<[Usage; NAMES.len()]>>;

/// A task that runs when its flag is up.
struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    flag: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lets others go first.
async fn pause() {
    let mut has_paused = false;
    poll_fn(|cx| {
        if has_paused {
            return Poll::Ready(());
        }
        has_paused = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn pauses(random: &mut fastrand::Rng) {
    for _ in 0..random.u32(0..6) {
        pause().await;
    }
}

/// Polls a request a few times, and gives it up if it is not granted by then.
async fn lose_patience<F: Future>(request: F, polls: u32) -> Option<F::Output> {
    let mut request = pin!(request);
    let mut left = polls;
    poll_fn(|cx| match request.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

async fn reads(lock: &RwLock, which: usize, usages: &Usages, random: &mut fastrand::Rng) {
    let guard = lock.read().await.expect("granted");
    usages.borrow_mut()[which].readers += 1;
    assert_eq!(
        usages.borrow()[which].writers,
        0,
        "a reader beside a writer"
    );
    pauses(random).await;
    assert!(guard.is_valid());
    usages.borrow_mut()[which].readers -= 1;
}

async fn writes(lock: &RwLock, which: usize, usages: &Usages, random: &mut fastrand::Rng) {
    let guard = lock.write().await.expect("granted");
    {
        let usage = &mut usages.borrow_mut()[which];
        usage.writers += 1;
        assert_eq!((usage.writers, usage.readers), (1, 0), "a writer is alone");
        assert!(guard.fence() > usage.fence, "tokens rise");
        usage.fence = guard.fence();
    }
    pauses(random).await;
    assert!(guard.is_valid());
    usages.borrow_mut()[which].writers -= 1;
}

/// What a caller at one node does. It keeps no lock's handle, so what it does not use may rest or vanish.
async fn work(domain: Domain, usages: Usages, mut random: fastrand::Rng) {
    for _ in 0..ROUNDS {
        let which = random.usize(0..NAMES.len());
        let lock = &RwLock::new(&domain, NAMES[which]);
        match random.u32(0..8) {
            0..4 => reads(lock, which, &usages, &mut random).await,
            4..6 => writes(lock, which, &usages, &mut random).await,
            6 => {
                let polls = random.u32(0..20);
                let request = async { lock.write().await.map(drop).is_ok() };
                lose_patience(request, polls).await;
            }
            _ => drop(lock.try_write().await),
        }
        pauses(&mut random).await;
    }
}

/// Runs tasks and delivers messages, in a sequence that the seed decides, until all tasks are done.
fn run(net: &mut Net, futures: Vec<Pin<Box<dyn Future<Output = ()>>>>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let task = |future| Task {
        future,
        flag: Arc::new(Flag(AtomicBool::new(true))),
    };
    let mut tasks: Vec<_> = futures.into_iter().map(task).collect();
    while !tasks.is_empty() {
        let is_ready = |index: &usize| tasks[*index].flag.0.load(Ordering::Relaxed);
        let ready: Vec<_> = (0..tasks.len()).filter(is_ready).collect();
        if random.u32(0..64) == 0 {
            net.domain(random.usize(0..net.len())).sweep();
        }
        if ready.is_empty() || random.bool() {
            // A `try` waits for answers of peers, no longer than its time.
            if !net.deliver_one() && ready.is_empty() {
                panic!("seed {seed}: {} tasks wait for nothing", tasks.len());
            }
            continue;
        }
        let index = ready[random.usize(0..ready.len())];
        let task = &mut tasks[index];
        task.flag.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&task.flag));
        if task
            .future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            drop(tasks.swap_remove(index));
        }
    }
    net.settle();
}

fn now<F: Future>(net: &mut Net, future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        assert!(net.deliver_one(), "it waits for nothing");
    }
}

fn write(net: &mut Net, node: usize, name: &str) -> u64 {
    let lock = net.lock(node, name);
    now(net, async { lock.write().await.expect("granted").fence() })
}

fn sweeps(net: &mut Net) {
    for _ in 0..6 {
        net.sweep();
    }
}

#[test]
fn locks_exclude_each_other_at_every_level_of_a_tree_and_no_credit_is_lost() {
    let policies = [
        Policy::Exact,
        Policy::Slice(NonZeroU32::new(4).expect("not zero")),
        Policy::Max,
    ];
    for seed in 0..40 {
        println!("seed {seed}");
        let policy = policies[(seed % 3) as usize];
        let mut net = Net::new(&FOUR_LEVELS, seed, |_, settings| {
            settings.owner = settings.owner.clone().with_policy(policy);
            // In every second run what a sweep finds unused goes home at once.
            settings.idle_time = (seed % 2 == 0).then_some(Duration::ZERO);
        });
        let usages = Usages::default();
        let tasks = (0..net.len()).map(|node| {
            let random = fastrand::Rng::with_seed(seed * 100 + node as u64);
            let work = work(net.domain(node).clone(), Rc::clone(&usages), random);
            Box::pin(work) as Pin<Box<dyn Future<Output = ()>>>
        });
        let tasks = tasks.collect();
        run(&mut net, tasks, seed);
        for name in NAMES {
            net.check(name);
        }
        for node in 0..net.len() {
            let totals = net.domain(node).totals();
            assert_eq!((totals.holds, totals.waiting), (0, 0), "node {node}");
        }
    }
}

#[test]
fn unused_credit_goes_home_through_the_whole_tree_and_nothing_is_left_of_it() {
    let mut net = Net::chain(4);
    for node in [3, 1, 2, 3] {
        write(&mut net, node, "x");
    }
    assert_eq!(net.domain(1).totals().loans, 1);
    // Each level lets go once what was lent below has come back and lain idle.
    for _ in 0..3 {
        sweeps(&mut net);
        net.advance(Duration::from_secs(601));
        sweeps(&mut net);
    }
    for node in 0..4 {
        assert_eq!(net.domain(node).totals().resources, 0, "node {node}");
    }
}

#[test]
fn a_middle_that_has_lent_stays_and_sends_home_only_what_it_has_to_spare() {
    let mut net = Net::new(&[0, 1], 0, |_, settings| {
        settings.owner = settings.owner.clone().with_policy(Policy::Max);
        settings.idle_time = None;
    });
    let leaf = net.lock(2, "x");
    let reading = now(&mut net, async { leaf.read().await.expect("free") });
    net.handle(1, "x").return_spare();
    sweeps(&mut net);
    assert_eq!(net.domain(1).totals().loans, 1);
    net.check("x");
    assert!(reading.is_valid());
}

#[test]
fn a_middle_gives_new_names_to_its_loans_after_a_resource_vanished() {
    let mut net = Net::chain(3);
    let leaf = net.lock(2, "x");
    // The leaf has a second loan of the middle's and gives it back.
    for _ in 0..2 {
        now(&mut net, async { drop(leaf.write().await.expect("free")) });
        net.handle(2, "x").return_spare();
        net.settle();
    }
    net.handle(1, "x").return_spare();
    net.settle();
    sweeps(&mut net);
    assert_eq!(net.domain(1).totals().resources, 0, "it vanished");
    // The leaf kept its handle, and knows the names it had seen.
    now(&mut net, async { drop(leaf.write().await.expect("free")) });
    net.check("x");
}

#[test]
fn a_middle_that_started_anew_can_lend_to_those_who_knew_its_former_life() {
    let mut net = Net::chain(3);
    let leaf = net.lock(2, "x");
    for _ in 0..3 {
        now(&mut net, async { drop(leaf.write().await.expect("free")) });
        net.handle(2, "x").return_spare();
        net.settle();
    }
    net.end(1);
    net.replace(1);
    net.join(1);
    net.domain(2).on_creditor_replaced();
    net.join(2);
    now(&mut net, async { drop(leaf.write().await.expect("free")) });
    net.check("x");
}

#[test]
fn what_a_middle_lent_is_lost_with_its_own_session_and_asked_for_again_over_the_next() {
    let mut net = Net::chain(3);
    let leaf = net.lock(2, "x");
    let reading = now(&mut net, async { leaf.read().await.expect("free") });
    let other = net.lock(2, "y");
    let held_above = net.lock(0, "y");
    let writing_above = now(&mut net, async { held_above.write().await.expect("free") });
    let mut waiting = pin!(async { other.write().await.expect("granted").fence() });
    let mut cx = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    net.settle();
    // The leaf's session ends with that of the middle, before the root hears of either.
    net.end(1);
    assert!(!reading.is_valid());
    assert_eq!(now(&mut net, reading.lost()), LostReason::SessionEnded);
    assert_eq!(net.domain(1).totals().loans, 0);
    assert!(write(&mut net, 0, "x") > 0, "the root has all of it again");
    net.join(1);
    net.join(2);
    net.settle();
    drop(writing_above);
    assert!(now(&mut net, waiting.as_mut()) > 0);
    drop(reading);
    for name in NAMES {
        net.check(name);
    }
}

#[test]
fn a_middle_is_trusted_for_no_longer_than_its_creditor_trusts_it() {
    let mut net = Net::chain(2);
    assert_eq!(net.domain(0).trusted_for(), None);
    net.end(1);
    assert_eq!(net.domain(1).trusted_for(), Some(Duration::ZERO));
    let now = net.now();
    net.join_until(1, now.after(Duration::from_secs(15)));
    net.advance(Duration::from_secs(5));
    assert_eq!(net.domain(1).trusted_for(), Some(Duration::from_secs(10)));
    net.advance(Duration::from_secs(11));
    assert_eq!(net.domain(1).trusted_for(), Some(Duration::ZERO));
}

#[test]
fn a_middle_whose_lease_ran_out_lends_nothing() {
    let mut net = Net::chain(3);
    write(&mut net, 1, "x");
    net.end(1);
    let soon = net.now().after(Duration::from_secs(15));
    net.join_until(1, soon);
    net.join(2);
    write(&mut net, 1, "x");
    net.advance(Duration::from_secs(16));
    let leaf = net.lock(2, "x");
    let mut writing = pin!(async { leaf.write().await.is_ok() });
    let mut cx = Context::from_waker(Waker::noop());
    assert!(writing.as_mut().poll(&mut cx).is_pending());
    net.settle();
    assert!(writing.as_mut().poll(&mut cx).is_pending());
    assert_eq!(net.domain(1).totals().loans, 0);
}

#[test]
fn a_middle_refuses_wants_of_types_that_it_does_not_know() {
    let net = Net::chain(3);
    let leaf = net.peer_of_debtor(2);
    let want = Want {
        order: rm_core::id::Order {
            class: rm_core::id::Class::New,
            stamp: rm_core::id::Stamp(1),
            party: Party::default(),
            seq: 1,
        },
        version: Version(1),
        level: Opaque::of(&RwCredit::READ),
        try_only: false,
        deadline: None,
        note: None,
    };
    let item = Item {
        type_id: TypeId(77_777),
        let_go: None,
        key: key("x"),
        message: Message::Want(want),
    };
    net.domain(1).deliver(leaf, item).expect("no offence");
    let answers = net.take_for(leaf);
    let Some(Message::Deny { why, .. }) = answers.front().map(|item| &item.message) else {
        panic!("{answers:?}");
    };
    assert_eq!(*why, Refusal::Refused);
    assert_eq!(net.domain(1).totals().resources, 0);
}

#[test]
fn a_middle_tells_who_below_has_what() {
    let mut net = Net::chain(3);
    let leaf = net.lock(2, "x");
    let _reading = now(&mut net, async { leaf.read().await.expect("free") });
    let peer = net.peer_of_debtor(2);
    assert_eq!(net.domain(1).debtors(RwLockType::ID, &key("x")), [peer]);
    let query = Query::Show {
        type_id: RwLockType::ID,
        key: key("x"),
    };
    let names = |peer: PeerId| (format!("{peer}"), NodeId::default());
    let Answer::Show(Some(view)) = net.domain(1).inspect(&query, &names, &|_, _| true) else {
        panic!("it is there");
    };
    let [entry] = &view.entries[..] else {
        panic!("{view:?}");
    };
    assert_eq!(
        (entry.kind, &entry.node),
        (EntryKind::Caches, &format!("{peer}"))
    );
}

#[test]
fn a_debtor_that_dies_below_a_middle_leaves_its_credit_there() {
    let mut net = Net::chain(3);
    let before = write(&mut net, 2, "x");
    sweeps(&mut net);
    net.end(2);
    // The middle may ask for a higher limit of its tokens, since it went to that of the dead one.
    net.settle();
    net.check("x");
    let after = write(&mut net, 1, "x");
    assert!(after > before);
    assert_eq!(net.now(), Time::from_nanos(1));
}
