//! Peers that want, send or keep too much, and names at the edge of what is allowed. As for those that break the
//! rules: two good clients go on as if nothing had been, no task panics, and nothing is left behind.

mod common;

use common::{
    Cluster, LEASE, RESOURCES_MAX, Raw, WINDOW_ITEMS, all, connect, credit, hello, item, text,
    undisturbed, until, want, within,
};
use rm_core::id::Version;
use rm_core::inspect::Query;
use rm_core::message::{Message, Refusal};
use rm_core::session::packet::{Body, Item};
use rm_rwlock::AcquireError;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_takes_the_answers_to_many_requests_at_once() {
    let cluster = Cluster::new(LEASE).await;
    let client = cluster.client("busy").await;
    let tasks: Vec<_> = (0..1_000)
        .map(|n| {
            let lock = client.rw_lock(format!("a rather long name of a lock, number {n}"));
            tokio::spawn(async move { lock.read().await.map(drop) })
        })
        .collect();
    for task in tasks {
        let granted = within("all are granted", task).await.expect("no panic");
        granted.expect("granted");
    }
    assert_eq!(cluster.server.status().sessions, 1);
    until("it is the first session", || client.is_connected()).await;
    let query = Query::List {
        prefix: Vec::new(),
        after: None,
        limit: 1_000,
    };
    client.inspect(query).await.expect("a long answer");
    assert_eq!(client.totals().asked_acquires, 1_000);
}

mod limits {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_peer_that_acknowledges_nothing_is_closed_when_the_window_is_full() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"deaf").await;
            let above = credit(u64::MAX, 1);
            let wants = |first: u64| {
                let seqs = first..first + 64;
                seqs.map(|seq| item(b"x", want(seq, above.clone())))
                    .collect()
            };
            let mut first = 1;
            let talk = async {
                loop {
                    let (ack, items) = (0, wants(first));
                    let bytes = raw.packet(Body::Data { ack, first, items });
                    if raw.stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                    first += 64;
                }
            };
            within("its connection ends", talk).await;
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_peer_that_says_goodbye_but_reads_nothing_is_let_go() {
        undisturbed(async |cluster| {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.set_recv_buffer_size(4_096).expect("set");
            let address = cluster.endpoint.parse().expect("an address");
            let mut raw = Raw::over(socket.connect(address).await.expect("connected"));
            raw.say(Body::Hello(hello(b"deaf"))).await;
            let above = credit(u64::MAX, 1);
            // Until its answers no longer fit into the socket.
            for first in (0..WINDOW_ITEMS as u64 / 2).step_by(64) {
                let items = (first..first + 64).map(|seq| item(b"x", want(seq, above.clone())));
                raw.items(first + 1, items.collect()).await;
            }
            raw.say(Body::Hello(hello(b"again"))).await;
            let talk = async { while raw.stream.write_all(&[0; 1_000]).await.is_ok() {} };
            within("its connection ends", talk).await;
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_sessions_in_a_row_only_the_last_one_stays() {
        undisturbed(async |cluster| {
            let mut hello = hello(b"hasty");
            let mut open = Vec::new();
            for session in 1..=100 {
                hello.session = session;
                let mut raw = cluster.raw().await;
                raw.say(Body::Hello(hello.clone())).await;
                raw.items(1, vec![item(b"x", want(1, all()))]).await;
                open.push(raw);
            }
            let mut last = open.pop().expect("the last one");
            last.hear_item("a grant", |message| {
                matches!(message, Message::Grant(_)).then_some(())
            })
            .await;
            for mut raw in open {
                raw.end().await;
            }
            cluster
                .until("one session is left, beside those of the good", |server| {
                    server.status().sessions == 3
                })
                .await;
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_session_that_is_replaced_while_it_talks_leaves_no_loan_behind() {
        undisturbed(async |cluster| {
            for round in 0..100 {
                let mut first = hello(b"hasty");
                let mut former = cluster.raw().await;
                former.say(Body::Hello(first.clone())).await;
                assert!(matches!(former.hear().await, Some(Body::Welcome(_))));
                let mut bytes = bytes::BytesMut::new();
                for seq in 1..=50 {
                    let key = format!("{}", (round + seq) % 20);
                    let items = vec![item(key.as_bytes(), want(seq, all()))];
                    let ack = 0;
                    bytes.extend(former.packet(Body::Data {
                        ack,
                        first: seq,
                        items,
                    }));
                }
                let mut later = cluster.raw().await;
                first.session = 2;
                let hello = later.packet(Body::Hello(first));
                tokio::join!(former.bytes(&bytes), later.bytes(&hello));
                assert!(matches!(later.hear().await, Some(Body::Welcome(_))));
                let reason = "done".into();
                later.say(Body::Bye { reason }).await;
            }
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn wants_beyond_the_limit_of_one_debtor_are_refused() {
        undisturbed(async |cluster| {
            let holder = cluster.client("holder").await;
            let lock = holder.rw_lock("x");
            let guard = lock.write().await.expect("free");
            let mut raw = cluster.session(b"greedy").await;
            for first in (1..=4_097).step_by(64) {
                let seqs = first..(first + 64).min(4_098);
                let items = seqs.map(|seq| item(b"x", want(seq, all()))).collect();
                raw.items(first, items).await;
            }
            let refused = raw
                .hear_item("a denial", |message| match message {
                    Message::Deny { version, why, .. } => Some((*version, *why)),
                    _ => None,
                })
                .await;
            assert_eq!(refused, (Version(4_097), Refusal::Refused));
            assert!(guard.is_valid());
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_wants_beyond_the_limit_of_the_node_are_refused_whoever_wants() {
        let cluster = Cluster::with(LEASE, |builder| builder.wants_max(10)).await;
        let holder = cluster.client("holder").await;
        let lock = holder.rw_lock("x");
        let guard = lock.write().await.expect("free");
        let mut first = cluster.session(b"first").await;
        first
            .items(1, (1..=6).map(|n| item(b"x", want(n, all()))).collect())
            .await;
        cluster
            .until("six wait", |node| node.totals().waiting == 6)
            .await;
        let mut second = cluster.session(b"second").await;
        // Four more, and from then on each is one too many.
        second
            .items(1, (101..=124).map(|n| item(b"x", want(n, all()))).collect())
            .await;
        let is_denial = |item: &&Item| matches!(item.message, Message::Deny { .. });
        let mut denials = 0;
        while denials < 20 {
            denials += second
                .hear_until("the denials", |body| match body {
                    Body::Data { items, .. } => Some(items.iter().filter(is_denial).count()),
                    _ => None,
                })
                .await;
        }
        assert_eq!(denials, 20);
        assert_eq!(cluster.server.totals().waiting, 10);
        drop(guard);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn resources_beyond_the_limit_are_refused() {
        undisturbed(async |cluster| {
            let greedy = cluster.client("greedy").await;
            let mut guards = Vec::new();
            let refused = loop {
                let lock = greedy.rw_lock(format!("{}", guards.len()));
                match lock.read_owned().await {
                    Ok(guard) => guards.push(guard),
                    Err(error) => break error,
                }
            };
            assert_eq!(refused, AcquireError::Refused);
            assert_eq!(guards.len(), RESOURCES_MAX - 1, "one is the good clients'");
            drop(guards);
            greedy.close().await;
        })
        .await;
    }
}

mod names {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn any_1_to_255_bytes_name_a_lock_and_a_client() {
        undisturbed(async |cluster| {
            let a = connect(&cluster.endpoint, "x").await;
            let b = connect(&cluster.endpoint, &"y".repeat(255)).await;
            let every: Vec<u8> = (0..=254).collect();
            for name in [
                b"x".to_vec(),
                vec![b'x'; 255],
                every,
                vec![0],
                vec![0xff; 3],
            ] {
                let (ours, theirs) = (a.rw_lock(&name), b.rw_lock(&name));
                let guard = ours.write().await.expect("free");
                let busy = text(theirs.try_write().await);
                assert!(busy.contains("held by x"), "{busy}");
                drop(guard);
                drop(theirs.write().await.expect("free again"));
            }
            a.close().await;
            b.close().await;
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn names_of_0_and_256_bytes_are_errors() {
        undisturbed(async |cluster| {
            let client = cluster.client("a").await;
            for name in [vec![], vec![b'x'; 256]] {
                let lock = client.rw_lock(&name);
                let error = lock.write().await.expect_err("no name");
                assert!(matches!(error, AcquireError::BadName(_)), "{error}");
            }
            for name in [String::new(), "x".repeat(256)] {
                let builder = rm_net::Client::builder().name(name);
                let error = text(builder.endpoint(&cluster.endpoint).connect().await);
                assert!(error.contains("name cannot be used"), "{error}");
            }
            client.close().await;
        })
        .await;
    }
}
