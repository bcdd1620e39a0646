//! Peers that do not keep to the protocol, by bytes on real sockets. Each meets a server that serves two good
//! clients meanwhile: those go on as if nothing had been, no task panics, and nothing is left behind.

mod common;

use std::time::Duration;

use common::{
    Bystanders, Cluster, RW, Raw, all, connect, credit, give_back, hello, item, order, text, until,
    want, within,
};
use rm_core::id::{LoanId, Stamp, TypeId, Version};
use rm_core::inspect::Query;
use rm_core::message::{Message, Refusal};
use rm_core::session::packet::{Body, Item, RefuseCode};
use rm_net::clock::stamp_now;
use rm_net::frame::{FIRST_FRAME_BYTES_MAX, FRAME_BYTES_MAX};
use rm_rwlock::AcquireError;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

const LEASE: Duration = Duration::from_secs(2);
/// Whoever connects has so long to say hello.
const HELLO_PATIENCE: Duration = Duration::from_millis(500);
/// How many resources the server takes.
const RESOURCES_MAX: usize = 100;
/// How many messages the server keeps for a peer that does not acknowledge them.
const WINDOW_ITEMS: usize = 8_192;
/// A type that nobody has registered.
const UNKNOWN: TypeId = TypeId(4_711);

/// Two good clients take turns while `f` does its worst, and afterwards; then nothing is left.
async fn undisturbed(f: impl AsyncFnOnce(&Cluster)) {
    let cluster = Cluster::with(LEASE, |builder| {
        builder
            .hello_patience(HELLO_PATIENCE)
            .resources_max(RESOURCES_MAX)
            .window_items(WINDOW_ITEMS)
    })
    .await;
    let good = Bystanders::of(&cluster).await;
    f(&cluster).await;
    good.end().await;
    cluster.assert_nothing_is_left().await;
}

/// What the server says to a connection that begins with these bytes.
async fn refused(cluster: &Cluster, bytes: &[u8]) -> (RefuseCode, String) {
    let mut raw = cluster.raw().await;
    raw.bytes(bytes).await;
    raw.refusal().await
}

/// What the server says to a session whose first message is this.
async fn refused_item(cluster: &Cluster, message: Message<rm_core::credit::Opaque>) -> String {
    let mut raw = cluster.session(b"raw").await;
    raw.items(1, vec![item(b"x", message)]).await;
    let (code, text) = raw.refusal().await;
    assert_eq!(code, RefuseCode::Protocol);
    text
}

/// A field with a length, in the encoding of protocol buffers.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut out = vec![number << 3 | 2];
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(bytes);
    out
}

fn frame(packet: &[u8]) -> Vec<u8> {
    [&u32::try_from(packet.len()).unwrap().to_be_bytes(), packet].concat()
}

mod before_hello {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn garbage_is_refused() {
        undisturbed(async |cluster| {
            let (code, text) = refused(cluster, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
            assert_eq!(code, RefuseCode::Protocol);
            assert!(text.contains("at most 4096 are allowed"), "{text}");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_long_frame_is_refused_by_its_head() {
        undisturbed(async |cluster| {
            let head = (FIRST_FRAME_BYTES_MAX as u32 + 1).to_be_bytes();
            let (code, text) = refused(cluster, &head).await;
            assert_eq!(code, RefuseCode::Protocol);
            assert!(text.contains("a frame has 4097 bytes"), "{text}");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_empty_frame_is_refused() {
        undisturbed(async |cluster| {
            let (code, text) = refused(cluster, &[0; 4]).await;
            assert_eq!(code, RefuseCode::Protocol);
            assert!(text.contains("no bytes"), "{text}");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn half_a_frame_and_then_the_end_is_closed() {
        undisturbed(async |cluster| {
            let mut raw = cluster.raw().await;
            let whole = raw.packet(Body::Hello(hello(b"half")));
            raw.bytes(&whole[..whole.len() / 2]).await;
            raw.stream.shutdown().await.expect("said");
            raw.end().await;
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn half_a_frame_and_then_silence_is_refused_in_time() {
        undisturbed(async |cluster| {
            let mut raw = cluster.raw().await;
            let whole = raw.packet(Body::Hello(hello(b"half")));
            raw.bytes(&whole[..whole.len() / 2]).await;
            let (code, text) = raw.refusal().await;
            assert_eq!(code, RefuseCode::Protocol);
            assert!(text.contains("no hello came"), "{text}");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn another_version_is_refused_with_advice() {
        undisturbed(async |cluster| {
            let mut raw = cluster.raw().await;
            let mut hello = hello(b"future");
            hello.version = 99;
            raw.say(Body::Hello(hello)).await;
            let (code, text) = raw.refusal().await;
            assert_eq!(code, RefuseCode::Version);
            assert!(text.contains("99") && text.contains("upgrade"), "{text}");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn another_first_packet_is_refused() {
        undisturbed(async |cluster| {
            let mut raw = cluster.raw().await;
            raw.say(Body::Renew { sent: 1 }).await;
            let (code, text) = raw.refusal().await;
            assert_eq!(code, RefuseCode::Protocol);
            assert!(text.contains("is a hello"), "{text}");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_name_of_0_or_256_bytes_is_refused() {
        undisturbed(async |cluster| {
            for name in [vec![], vec![b'x'; 256]] {
                let hello = [field(2, &name), vec![1 << 3, 1]].concat();
                let (code, text) = refused(cluster, &frame(&field(6, &hello))).await;
                assert_eq!(code, RefuseCode::Protocol);
                assert!(text.contains("1 to 255"), "{text}");
            }
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_stamp_a_week_ahead_is_refused_and_not_taken_over() {
        undisturbed(async |cluster| {
            let week = 7 * 24 * 3_600 * 1_000_000_000;
            let mut raw = cluster.raw().await;
            raw.stamp = Stamp(stamp_now().as_nanos() + week);
            raw.say(Body::Hello(hello(b"future"))).await;
            let (code, text) = raw.refusal().await;
            assert_eq!(code, RefuseCode::Stamp);
            assert!(text.contains("clocks"), "{text}");
            let highest = cluster.server.domain().stamps().highest();
            assert!(highest.0 < stamp_now().as_nanos() + week / 7);
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_thousand_connections_that_say_nothing_are_closed() {
        undisturbed(async |cluster| {
            let mut silent = Vec::new();
            for _ in 0..1_000 {
                silent.push(cluster.raw().await);
            }
            for mut raw in silent {
                raw.end().await;
            }
        })
        .await;
    }
}

mod in_session {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_frame_over_the_limit_is_refused_by_its_head() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"raw").await;
            raw.bytes(&(FRAME_BYTES_MAX as u32 + 1).to_be_bytes()).await;
            let (code, text) = raw.refusal().await;
            assert_eq!(code, RefuseCode::Protocol);
            assert!(text.contains("1048577 bytes"), "{text}");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_empty_frame_is_refused() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"raw").await;
            raw.bytes(&[0; 4]).await;
            assert_eq!(raw.refusal().await.0, RefuseCode::Protocol);
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_refusal_is_heard_even_by_a_peer_that_goes_on_talking() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"raw").await;
            let mut bytes = vec![0; 4];
            bytes.extend([b'x'; 100_000]);
            raw.bytes(&bytes).await;
            assert_eq!(raw.refusal().await.0, RefuseCode::Protocol);
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_second_hello_is_refused() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"raw").await;
            raw.say(Body::Hello(hello(b"raw"))).await;
            let (_, text) = raw.refusal().await;
            assert!(text.contains("Hello"), "{text}");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_want_of_an_unknown_type_is_denied_and_the_session_goes_on() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"raw").await;
            let strange = Item {
                type_id: UNKNOWN,
                ..item(b"x", want(1, all()))
            };
            raw.items(1, vec![strange]).await;
            let denied = raw
                .hear_item("a denial", |message| match message {
                    Message::Deny { version, why, .. } => Some((*version, *why)),
                    _ => None,
                })
                .await;
            assert_eq!(denied, (Version(1), Refusal::Refused));
            raw.items(2, vec![item(b"x", want(2, all()))]).await;
            raw.hear_item("a grant", |message| match message {
                Message::Grant(grant) => Some(grant.version),
                _ => None,
            })
            .await;
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn other_messages_of_an_unknown_type_are_dropped_and_counted() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"raw").await;
            let unwant = Message::Unwant { order: order(1) };
            let strange = |message| Item {
                type_id: UNKNOWN,
                ..item(b"x", message)
            };
            let items = vec![
                strange(unwant),
                strange(give_back(all())),
                item(b"x", want(1, all())),
            ];
            raw.items(1, items).await;
            raw.hear_item("a grant", |message| {
                matches!(message, Message::Grant(_)).then_some(())
            })
            .await;
            assert_eq!(cluster.server.totals().unknown, 2);
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_return_of_what_was_never_lent_changes_nothing() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"raw").await;
            let items = vec![
                item(b"x", give_back(all())),
                item(b"undisturbed", give_back(all())),
                item(b"x", want(1, credit(1, 0))),
            ];
            raw.items(1, items).await;
            raw.hear_item("a grant", |message| {
                matches!(message, Message::Grant(_)).then_some(())
            })
            .await;
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_return_of_more_than_was_lent_is_refused() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"raw").await;
            // Somebody else has the rest: what is lent is one share.
            let other = cluster.client("reader").await;
            let lock = other.rw_lock("x");
            let reader = lock.read().await.expect("granted");
            raw.items(1, vec![item(b"x", want(1, credit(1, 0)))]).await;
            let (loan, delta) = raw
                .hear_item("a grant", |message| match message {
                    Message::Grant(grant) => Some((grant.loan, grant.delta.clone())),
                    _ => None,
                })
                .await;
            assert_ne!(delta, all());
            let (delta, fence) = (all(), u64::MAX);
            let more = Message::Return { loan, delta, fence };
            raw.items(2, vec![item(b"x", more)]).await;
            let (_, text) = raw.refusal().await;
            assert!(text.contains("more than it borrowed"), "{text}");
            assert!(reader.is_valid());
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn bytes_that_are_no_credit_are_refused() {
        undisturbed(async |cluster| {
            let bad = rm_core::credit::Opaque([0xff; 12].as_slice().into());
            let text = refused_item(cluster, want(1, bad)).await;
            assert!(text.contains("no credit"), "{text}");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_message_of_the_other_direction_is_refused() {
        undisturbed(async |cluster| {
            let loan = LoanId::default();
            let text = refused_item(cluster, Message::Limit { loan, limit: 9 }).await;
            assert!(text.contains("only the other side"), "{text}");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_gap_in_the_sequence_is_refused() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"raw").await;
            raw.items(3, vec![item(b"x", want(1, all()))]).await;
            let (_, text) = raw.refusal().await;
            assert!(text.contains("missing"), "{text}");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_acknowledgement_of_what_was_not_sent_is_refused() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"raw").await;
            let items = Vec::new();
            raw.say(Body::Data {
                ack: 7,
                first: 1,
                items,
            })
            .await;
            let (_, text) = raw.refusal().await;
            assert!(text.contains("acknowledged message 7"), "{text}");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_key_of_0_or_256_bytes_is_refused() {
        undisturbed(async |cluster| {
            for key in [vec![], vec![b'x'; 256]] {
                let mut raw = cluster.session(b"raw").await;
                // An unwant, which needs little.
                let item = [vec![1 << 3, 1], field(2, &key), field(9, &field(1, &[]))].concat();
                let data = [vec![2 << 3, 1], field(3, &item)].concat();
                raw.bytes(&frame(&field(3, &data))).await;
                let (_, text) = raw.refusal().await;
                assert!(text.contains("Item.key"), "{text}");
            }
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_peer_that_says_nothing_loses_its_session_with_the_lease() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"mute").await;
            raw.hear_until("it is told", |body| {
                matches!(body, Body::Gone { .. }).then_some(())
            })
            .await;
            raw.end().await;
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_peer_that_talks_without_end_but_does_not_renew_loses_its_session_too() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"talker").await;
            let mut chatter = bytes::BytesMut::new();
            for seq in 0..500 {
                let order = order(seq);
                let items = vec![item(b"x", Message::Unwant { order })];
                let (ack, first) = (0, 1);
                chatter.extend(raw.packet(Body::Data { ack, first, items }));
            }
            let talk = async { while raw.stream.write_all(&chatter).await.is_ok() {} };
            within("its connection ends", talk).await;
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_flood_of_questions_is_answered_within_bounds() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"asker").await;
            let mut bytes = bytes::BytesMut::new();
            for id in 0..10_000 {
                let query = Query::Status;
                bytes.extend(raw.packet(Body::Inspect { id, query }));
            }
            raw.bytes(&bytes).await;
            raw.hear_until("an answer", |body| {
                matches!(body, Body::Inspected { .. }).then_some(())
            })
            .await;
        })
        .await;
    }
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

#[test]
fn the_type_of_rw_locks_is_not_the_unknown_one() {
    assert_ne!(RW, UNKNOWN);
}
