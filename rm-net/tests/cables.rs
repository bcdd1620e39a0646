//! Sessions that outlive their connections: cables that break for a moment, middleboxes that forget, and peers that
//! make too much of it. No lock is lost, and no credit is lost or doubled.

mod common;

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use common::proxy::{Cable, Proxy};
use common::{
    Cluster, LOOK, Raw, all, assert_no_panics, connect, hello, item, now, until, want, within,
};
use rm_core::message::Message;
use rm_core::session::packet::{Body, Hello};
use rm_net::Client;
use rm_rwlock::RwLock;

/// Longer than any test waits: what comes by then did not wait for a lease.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(2);

/// Breaks the cable for a moment.
async fn break_off(proxy: &Proxy, client: &Client) {
    proxy.set(Cable::Cut);
    until("it is noticed", || !client.is_connected()).await;
    proxy.set(Cable::Good);
    until("it goes on", || client.is_connected()).await;
}

/// Who has a lock, as those see it who have it.
#[derive(Default)]
struct Usage {
    /// Readers; a writer counts as minus a thousand.
    holders: AtomicI64,
    fence: AtomicU64,
}

impl Usage {
    /// Reads and writes until told to stop. Returns how often.
    async fn work(self: Arc<Self>, lock: RwLock, is_over: Arc<AtomicBool>) -> u64 {
        let mut turns = 0;
        while !is_over.load(Ordering::SeqCst) {
            turns += 1;
            if turns % 3 == 0 {
                let guard = lock.write().await.expect("granted");
                let before = self.holders.fetch_sub(1_000, Ordering::SeqCst);
                assert_eq!(before, 0, "a writer is alone");
                let former = self.fence.swap(guard.fence(), Ordering::SeqCst);
                assert!(guard.fence() > former, "tokens rise");
                tokio::task::yield_now().await;
                assert!(guard.is_valid(), "a hold was lost");
                self.holders.fetch_add(1_000, Ordering::SeqCst);
            } else {
                let guard = lock.read().await.expect("granted");
                let before = self.holders.fetch_add(1, Ordering::SeqCst);
                assert!(before >= 0, "a reader beside a writer");
                tokio::task::yield_now().await;
                assert!(guard.is_valid(), "a hold was lost");
                self.holders.fetch_sub(1, Ordering::SeqCst);
            }
        }
        turns
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cables_that_break_under_load_cost_no_lock_and_no_credit() {
    let cluster = Cluster::new(LONG).await;
    let mut clients = Vec::new();
    for name in ["a", "b", "c"] {
        let proxy = Proxy::to(&cluster.endpoint).await;
        let client = connect(&proxy.endpoint, name).await;
        clients.push((proxy, client));
    }
    let mut guards = Vec::new();
    let (mut tasks, is_over) = (Vec::new(), Arc::<AtomicBool>::default());
    let locks = 3;
    for n in 0..locks {
        let usage = Arc::new(Usage::default());
        for (_, client) in &clients {
            let lock = client.rw_lock(format!("shared/{n}"));
            let work = Arc::clone(&usage).work(lock, Arc::clone(&is_over));
            tasks.push(tokio::spawn(work));
        }
    }
    for (_, client) in &clients {
        let own = client.rw_lock(format!("own/{}", client.name()));
        guards.push(own.write_owned().await.expect("free"));
    }
    let rounds = 15;
    for _ in 0..rounds {
        for (proxy, client) in &clients {
            break_off(proxy, client).await;
        }
    }
    is_over.store(true, Ordering::SeqCst);
    for task in tasks {
        let turns = within("all requests are granted", task).await;
        assert!(turns.expect("no violation") > 0);
    }
    assert!(
        guards.iter().all(|guard| guard.is_valid()),
        "a lock was lost"
    );
    drop(guards);
    // All that was lent comes back by messages alone: nothing was lost on the way, and nothing came twice.
    for (proxy, client) in &clients {
        assert_eq!(proxy.connections(), 1 + rounds);
        for n in 0..locks {
            let lock = client.rw_lock(format!("shared/{n}"));
            lock.resource().expect("a name").return_spare();
        }
        let own = client.rw_lock(format!("own/{}", client.name()));
        own.resource().expect("a name").return_spare();
    }
    cluster
        .until("all credit is home", |server| server.totals().loans == 0)
        .await;
    let sessions = cluster.server.status().sessions;
    assert_eq!(sessions, 3, "each client has the session it began with");
    for (_, client) in &clients {
        client.close().await;
    }
    cluster.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_a_middlebox_forgot_is_given_up_before_the_lease_ends() {
    let cluster = Cluster::new(SHORT).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let client = connect(&proxy.endpoint, "a").await;
    let guard = client.rw_lock("x").write_owned().await.expect("free");
    proxy.forget();
    let later = now().after(SHORT * 2);
    until("two leases have passed", || now() >= later).await;
    assert!(guard.is_valid());
    assert_eq!(proxy.connections(), 2);
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_and_released_without_a_connection_is_said_over_the_next() {
    let cluster = Cluster::new(LONG).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (a, b) = (
        connect(&proxy.endpoint, "a").await,
        cluster.client("b").await,
    );
    let guard = a.rw_lock("x").write_owned().await.expect("free");
    let theirs = tokio::spawn(b.rw_lock("x").write_owned().into_future());
    cluster
        .until("it waits", |server| server.totals().waiting == 1)
        .await;
    proxy.set(Cable::Cut);
    until("it is noticed", || !a.is_connected()).await;
    drop(guard);
    let ours = tokio::spawn(a.rw_lock("y").write_owned().into_future());
    let cancelled = a.rw_lock("z");
    let short = Duration::from_millis(20);
    cancelled.write().timeout(short).await.expect_err("cut off");
    proxy.set(Cable::Good);
    let theirs = within("the other has it", theirs).await.expect("no panic");
    assert!(theirs.expect("granted").is_valid());
    let ours = within("and this one", ours).await.expect("no panic");
    assert!(ours.expect("granted").is_valid());
    // Nobody collects credit for the request that gave up.
    let lock = b.rw_lock("z");
    let free = within("it is free", lock.write().into_future()).await;
    drop(free.expect("granted"));
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_takes_nothing_for_a_while_keeps_its_lock_however_often_it_is_recalled() {
    let cluster = Cluster::with(LONG, |builder| builder.window_items(256)).await;
    let proxy = Proxy::to(&cluster.endpoint).await;
    let (a, b) = (
        connect(&proxy.endpoint, "a").await,
        cluster.client("b").await,
    );
    let guard = a.rw_lock("x").write_owned().await.expect("free");
    proxy.set(Cable::Held);
    // Each request changes what the holder is asked for, when it comes and when it goes.
    let lock = b.rw_lock("x");
    for _ in 0..300 {
        let short = Duration::from_millis(1);
        lock.write().timeout(short).await.expect_err("it is held");
    }
    proxy.set(Cable::Good);
    let last = tokio::spawn(b.rw_lock("x").write_owned().into_future());
    let told = within("the last word comes through", guard.wanted()).await;
    told.expect("it is held");
    assert!(guard.is_valid());
    drop(guard);
    let last = within("it is granted", last).await.expect("no panic");
    assert!(last.expect("granted").is_valid());
    assert_eq!(proxy.connections(), 1, "it is the first session");
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_holds_nothing_goes_to_another_server_where_its_own_is_gone() {
    let (first, second) = (Cluster::new(LONG).await, Cluster::new(LONG).await);
    let proxy = Proxy::to(&first.endpoint).await;
    let client = Client::builder()
        .endpoint(&proxy.endpoint)
        .endpoint(&second.endpoint);
    let client = client.connect().await.expect("connected");
    drop(client.rw_lock("x").write().await.expect("free"));
    proxy.set(Cable::Cut);
    second
        .until("it is there", |server| server.status().sessions == 1)
        .await;
    let lock = client.rw_lock("x");
    let granted = within("it is lent to", lock.write().into_future()).await;
    drop(granted.expect("granted"));
    assert_no_panics();
}

/// A peer that plays the debtor by hand.
mod hostile {
    use super::*;

    /// A session that was lent all of `x`, and the hello that goes on with it.
    async fn lent(cluster: &Cluster) -> (Raw, Hello) {
        let mut again = hello(b"by hand");
        let mut raw = cluster.raw().await;
        raw.say(Body::Hello(again.clone())).await;
        let Some(Body::Welcome(welcome)) = raw.hear().await else {
            panic!("not welcome");
        };
        again.reg = welcome.reg;
        raw.say(Body::Renew { sent: 1, heard: 0 }).await;
        raw.items(1, vec![item(b"x", want(1, all()))]).await;
        raw.hear_item("a grant", |message| {
            matches!(message, Message::Grant(_)).then_some(())
        })
        .await;
        (raw, again)
    }

    async fn first_answer(cluster: &Cluster, hello: &Hello) -> Option<Body> {
        let mut raw = cluster.raw().await;
        raw.say(Body::Hello(hello.clone())).await;
        raw.hear().await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_hello_that_fits_no_session_ends_none() {
        let cluster = Cluster::new(SHORT).await;
        let (mut raw, good) = lent(&cluster).await;
        let (mut beyond, mut boot, mut older) = (good.clone(), good.clone(), good.clone());
        beyond.next_expected = u64::MAX;
        // Another run, with a ticket of its own.
        let another = hello(b"by hand");
        (boot.boot, boot.ticket) = (another.boot, another.ticket);
        boot.next_expected = 2;
        older.session += 1;
        older.next_expected = 2;
        for bad in [beyond, boot, older] {
            let answer = first_answer(&cluster, &bad).await;
            assert!(matches!(answer, Some(Body::Gone { .. })), "{answer:?}");
        }
        // The first connection is still the session's.
        raw.say(Body::Renew { sent: 2, heard: 1 }).await;
        raw.hear_until("an answer", |body| match body {
            Body::RenewAck { sent: 2, .. } => Some(()),
            _ => None,
        })
        .await;
        drop(raw);
        cluster.assert_nothing_is_left().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_peer_that_breaks_the_rules_cannot_come_back_and_is_waited_for() {
        let cluster = Cluster::new(SHORT).await;
        let (mut raw, good) = lent(&cluster).await;
        raw.items(9, vec![item(b"x", want(2, all()))]).await;
        raw.refusal().await;
        let answer = first_answer(&cluster, &good).await;
        assert!(matches!(answer, Some(Body::Gone { .. })), "{answer:?}");
        assert_eq!(cluster.server.status().sessions, 1);
        cluster.assert_nothing_is_left().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_peer_that_comes_back_all_the_time_disturbs_nobody_and_renews_nothing() {
        common::undisturbed(async |cluster| {
            let (raw, again) = lent(cluster).await;
            let other = cluster.client("other").await;
            let lock = other.rw_lock("x");
            let next = tokio::spawn(lock.write_owned().into_future());
            // As often as it can, and for longer than its lease.
            let mut open = vec![raw];
            let mut times = 0;
            while !next.is_finished() {
                let mut raw = cluster.raw().await;
                raw.say(Body::Hello(again.clone())).await;
                open.push(raw);
                times += 1;
                if open.len() > 64 {
                    open.clear();
                }
            }
            assert!(times > 100, "{times}");
            let guard = within("it is free after the lease", next).await;
            assert!(guard.expect("no panic").expect("granted").is_valid());
            drop(open);
            other.close().await;
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_later_connection_closes_the_earlier_and_gets_what_that_one_did_not_acknowledge() {
        let cluster = Cluster::new(SHORT).await;
        let (mut former, again) = lent(&cluster).await;
        let mut later = cluster.raw().await;
        later.say(Body::Hello(again.clone())).await;
        let welcome = later.hear().await;
        let Some(Body::Welcome(welcome)) = welcome else {
            panic!("not welcome: {welcome:?}");
        };
        assert_eq!(welcome.next_expected, 2);
        former.end().await;
        later
            .hear_item("the grant again", |message| {
                matches!(message, Message::Grant(_)).then_some(())
            })
            .await;
        let reason = "done".into();
        later.say(Body::Bye { reason }).await;
        cluster.assert_nothing_is_left().await;
    }
}

/// A server that lost its memory: the client asks to go on, and is told that nobody knows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_whose_server_knows_nothing_of_it_keeps_its_lock_until_the_deadline() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let endpoint = listener.local_addr().expect("bound").to_string();
    let server = tokio::spawn(async move {
        let accept = async || Raw::over(listener.accept().await.expect("accepted").0);
        let mut raw = accept().await;
        raw.hear().await;
        raw.say(common::welcome(SHORT)).await;
        let mut granted = false;
        while !granted {
            match raw.hear().await.expect("a want") {
                Body::Renew { sent, .. } => {
                    let length = SHORT;
                    raw.say(Body::RenewAck { sent, length }).await;
                }
                Body::Data { items, .. } => {
                    if let Some(Message::Want(want)) = items.first().map(|item| &item.message) {
                        let grant = common::grant(want, all(), 2, 100);
                        raw.items(1, vec![item(b"x", grant)]).await;
                        granted = true;
                    }
                }
                _ => {}
            }
        }
        // Until it has the grant.
        raw.hear_until("an acknowledgement", |body| match body {
            Body::Data { ack: 1, .. } => Some(()),
            _ => None,
        })
        .await;
        drop(raw);
        let mut raw = accept().await;
        let Some(Body::Hello(hello)) = raw.hear().await else {
            panic!("no hello");
        };
        let reason = "a new life".into();
        raw.say(Body::Gone { reason }).await;
        raw.end().await;
        // Nothing held any more: the next session.
        let mut raw = accept().await;
        let Some(Body::Hello(next)) = raw.hear().await else {
            panic!("no hello");
        };
        (hello, next)
    });
    let client = Client::connect(&endpoint).await.expect("connected");
    let lock = client.rw_lock("x");
    let guard = lock.write().await.expect("granted");
    let mut last_valid = now();
    let started = last_valid;
    while guard.is_valid() {
        last_valid = now();
        tokio::time::sleep(LOOK).await;
    }
    assert!(last_valid.since(started) > SHORT / 2, "lost too early");
    let (again, next) = within("the next session", server).await.expect("no panic");
    assert_eq!((again.session, again.reg, again.next_expected), (1, 1, 2));
    assert_eq!((next.session, next.reg, next.next_expected), (2, 0, 1));
    assert_no_panics();
}
