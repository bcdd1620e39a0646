//! Servers that do not keep to the protocol: a client says clearly what is wrong, in time, and does not panic.

mod common;

use std::time::Duration;

use common::{
    PATIENCE, Raw, all, assert_no_panics, count_panics, credit, grant, item, text, until, welcome,
    within,
};
use rm_core::credit::Opaque;
use rm_core::message::{Message, Want};
use rm_core::session::packet::{Body, RefuseCode};
use rm_net::{Client, ConnectError};
use tokio::net::TcpListener;

const LEASE: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A server by hand. It hears the hello, and `f` says the rest, to each connection.
async fn server<F>(f: impl Fn(Raw) -> F + Send + 'static) -> String
where
    F: Future<Output = Raw> + Send + 'static,
{
    count_panics();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.expect("accepted");
            let mut raw = Raw::over(stream);
            if matches!(raw.hear().await, Some(Body::Hello(_))) {
                open.push(f(raw).await);
            }
        }
    });
    endpoint
}

/// A server that lends on good terms, until it has heard a want.
async fn wanted(raw: &mut Raw) -> Want<Opaque> {
    raw.say(welcome(LEASE)).await;
    loop {
        match raw.hear().await.expect("a want before the end") {
            Body::Renew { sent, .. } => {
                let length = LEASE;
                raw.say(Body::RenewAck { sent, length }).await;
            }
            Body::Data { items, .. } => {
                let mut messages = items.into_iter().map(|item| item.message);
                if let Some(Message::Want(want)) = messages.next() {
                    return want;
                }
            }
            _ => {}
        }
    }
}

async fn failure(endpoint: &str) -> String {
    let client = Client::builder()
        .endpoint(endpoint)
        .connect_timeout(CONNECT_TIMEOUT);
    let error = text(within("an error", client.connect()).await);
    assert!(error.contains(endpoint), "{error}");
    assert_no_panics();
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_named_as_what_it_is() {
    let endpoint = server(async |mut raw: Raw| {
        raw.bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        raw
    })
    .await;
    let error = failure(&endpoint).await;
    assert!(error.contains("breaks the protocol"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_is_named_with_advice() {
    let endpoint = server(async |mut raw: Raw| {
        if let Body::Welcome(mut welcome) = welcome(LEASE) {
            welcome.version = 99;
            raw.say(Body::Welcome(welcome)).await;
        }
        raw
    })
    .await;
    let error = failure(&endpoint).await;
    assert!(error.contains("99") && error.contains("upgrade"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_passed_on_at_once() {
    let endpoint = server(async |mut raw: Raw| {
        let (code, text) = (RefuseCode::Denied, "you are not on the list".into());
        raw.say(Body::Refuse { code, text }).await;
        raw
    })
    .await;
    let client = Client::builder()
        .endpoint(&endpoint)
        .connect_timeout(2 * PATIENCE);
    let refused = within("an error", client.connect()).await;
    let Err(ConnectError::Refused { code, text, .. }) = refused else {
        panic!("not refused: {refused:?}");
    };
    assert_eq!(
        (code, &*text),
        (RefuseCode::Denied, "you are not on the list")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_endpoint_is_tried_where_one_refuses() {
    let unwilling = server(async |mut raw: Raw| {
        let (code, text) = (RefuseCode::Stopping, "not here".into());
        raw.say(Body::Refuse { code, text }).await;
        raw
    })
    .await;
    let good = common::Cluster::new(LEASE).await;
    let both = Client::builder().endpoint(&unwilling);
    let both = both.endpoint(&good.endpoint).connect_timeout(PATIENCE);
    let client = both.connect().await.expect("the second one is good");
    drop(client.rw_lock("x").write().await.expect("granted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_of_a_moment_or_a_day_is_not_accepted() {
    for (lease, what) in [(1_000, "too short"), (86_400_000_000_000, "too long")] {
        let endpoint = server(move |mut raw: Raw| async move {
            raw.say(welcome(Duration::from_nanos(lease))).await;
            raw
        })
        .await;
        let error = failure(&endpoint).await;
        assert!(error.contains(what), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_given_up() {
    let endpoint = server(async |raw: Raw| raw).await;
    let error = failure(&endpoint).await;
    assert!(error.contains("no server answers"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_no_renewal_is_given_up_however_long_its_lease() {
    let endpoint = server(async |mut raw: Raw| {
        raw.say(welcome(Duration::from_secs(3_600))).await;
        raw
    })
    .await;
    let client = Client::builder()
        .endpoint(&endpoint)
        .connect_timeout(PATIENCE / 4);
    let error = text(within("an error", client.connect()).await);
    assert!(error.contains("did not answer in time"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_endpoint_is_tried_where_one_answers_no_renewal() {
    let mute = server(async |mut raw: Raw| {
        raw.say(welcome(Duration::from_secs(3_600))).await;
        raw
    })
    .await;
    let good = common::Cluster::new(LEASE).await;
    let client = Client::builder().endpoint(&mute).endpoint(&good.endpoint);
    let client = client.connect_timeout(PATIENCE).connect().await;
    let client = client.expect("the second one is good");
    drop(client.rw_lock("x").write().await.expect("granted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_above_the_capital_is_not_believed() {
    let endpoint = server(async |mut raw: Raw| {
        let want = wanted(&mut raw).await;
        let more = credit(u64::MAX, 7);
        raw.items(1, vec![item(b"x", grant(&want, more, 2, 100))])
            .await;
        raw
    })
    .await;
    let client = Client::connect(&endpoint).await.expect("connected");
    let lock = client.rw_lock("x");
    let patience = Duration::from_secs(1);
    lock.read().timeout(patience).await.expect_err("no credit");
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_fencing_numbers_do_no_harm() {
    let endpoint = server(async |mut raw: Raw| {
        let want = wanted(&mut raw).await;
        let message = grant(&want, all(), u64::MAX, u64::MAX);
        raw.items(1, vec![item(b"x", message)]).await;
        raw
    })
    .await;
    let client = Client::connect(&endpoint).await.expect("connected");
    let lock = client.rw_lock("x");
    let patience = Duration::from_millis(500);
    // There is no number left for a writer.
    lock.write().timeout(patience).await.expect_err("no number");
    let guard = lock.read().await.expect("a reader needs none of its own");
    assert!(guard.is_valid());
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_outlives_a_server_that_breaks_the_rules_until_its_deadline() {
    let endpoint = server(async |mut raw: Raw| {
        let want = wanted(&mut raw).await;
        let message = grant(&want, all(), 2, 100);
        raw.items(1, vec![item(b"x", message)]).await;
        raw.bytes(&[0; 64]).await;
        raw
    })
    .await;
    let client = Client::connect(&endpoint).await.expect("connected");
    let lock = client.rw_lock("x");
    let guard = lock.write().await.expect("granted");
    until("the connection is over", || !client.is_connected()).await;
    assert!(guard.is_valid(), "the lease still runs");
    within("it is lost", guard.lost()).await;
    assert!(!guard.is_valid());
    assert_no_panics();
}
