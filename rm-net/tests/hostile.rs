//! Peers that do not keep to the protocol, by bytes on real sockets. Each meets a server that serves two good
//! clients meanwhile: those go on as if nothing had been, no task panics, and nothing is left behind.

mod common;

use std::sync::Arc;

use common::{
    Cluster, LOOK, all, credit, give_back, hello, item, order, undisturbed, want, within,
};
use rm_core::command::{Action, Command, Force, Outcome};
use rm_core::credit::Opaque;
use rm_core::id::{LoanId, Stamp, TypeId, Version};
use rm_core::inspect::Query;
use rm_core::message::{Message, Refusal};
use rm_core::session::packet::{Body, Item, RefuseCode};
use rm_core::value::{Value, ValueState};
use rm_net::clock::stamp_now;
use rm_net::frame::{FIRST_FRAME_BYTES_MAX, FRAME_BYTES_MAX};
use tokio::io::AsyncWriteExt as _;

/// A type that nobody has registered.
const UNKNOWN: TypeId = TypeId(4_711);

/// What the server says to a connection that begins with these bytes.
async fn refused(cluster: &Cluster, bytes: &[u8]) -> (RefuseCode, String) {
    let mut raw = cluster.raw().await;
    raw.bytes(bytes).await;
    raw.refusal().await
}

/// What the server says to a session whose first message is this.
async fn refused_item(cluster: &Cluster, message: Message<Opaque>) -> String {
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
            // Before anything else: its ticket is wrong, too.
            hello.boot.0 ^= 1;
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
            raw.say(Body::Renew { sent: 1, heard: 0 }).await;
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
    async fn callers_who_say_what_nobody_knows_without_end_are_closed_and_keep_no_thread() {
        undisturbed(async |cluster| {
            // Frames of a kind that no version has, as fast as they are taken; more callers than threads.
            let flood = [0, 0, 0, 3, 0xfa, 1, 0].repeat(9_000);
            let flooding: Vec<_> = (0..4)
                .map(|_| {
                    let (endpoint, flood) = (cluster.endpoint.clone(), flood.clone());
                    // Threads of their own: the test's must not wait for those of the server.
                    std::thread::spawn(move || {
                        let connected = std::net::TcpStream::connect(endpoint);
                        let mut stream = connected.expect("connected");
                        while std::io::Write::write_all(&mut stream, &flood).is_ok() {}
                    })
                })
                .collect();
            let all_ended = async {
                while !flooding.iter().all(std::thread::JoinHandle::is_finished) {
                    tokio::time::sleep(LOOK).await;
                }
            };
            within("their connections end", all_ended).await;
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
                let_go: None,
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
                let_go: None,
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
            let (delta, fence, value) = (all(), u64::MAX, None);
            let more = Message::Return {
                loan,
                delta,
                fence,
                value,
                colour: None,
            };
            raw.items(2, vec![item(b"x", more)]).await;
            let (_, text) = raw.refusal().await;
            assert!(text.contains("more than it borrowed"), "{text}");
            assert!(reader.is_valid());
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_value_larger_than_the_server_allows_is_refused() {
        undisturbed(async |cluster| {
            let mut raw = cluster.session(b"raw").await;
            raw.items(1, vec![item(b"x", want(1, all()))]).await;
            let loan = raw
                .hear_item("a grant", |message| match message {
                    Message::Grant(grant) => Some(grant.loan),
                    _ => None,
                })
                .await;
            let value = Value {
                version: 1,
                state: ValueState::Sure,
                bytes: vec![0; 1_025].into(),
            };
            let large = Message::Return {
                loan,
                delta: all(),
                fence: 0,
                value: Some(Arc::new(value)),
                colour: None,
            };
            raw.items(2, vec![item(b"x", large)]).await;
            let (_, text) = raw.refusal().await;
            assert!(text.contains("value_bytes_max"), "{text}");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn bytes_that_are_no_credit_are_refused() {
        undisturbed(async |cluster| {
            let bad = Opaque([0xff; 12].as_slice().into());
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
    async fn of_a_flood_of_orders_one_is_carried_out_at_a_time_and_the_others_are_refused() {
        undisturbed(async |cluster| {
            // Somebody who never gives back what it has keeps the first order waiting.
            let mut deaf = cluster.session(b"deaf").await;
            deaf.say(Body::Renew { sent: 1, heard: 0 }).await;
            let wanted = item(b"x", want(1, all()));
            let (type_id, key) = (wanted.type_id, wanted.key.clone());
            deaf.items(1, vec![wanted]).await;
            deaf.hear_item("a grant", |message| {
                matches!(message, Message::Grant(_)).then_some(())
            })
            .await;
            let mut raw = cluster.session(b"orders").await;
            let mut bytes = bytes::BytesMut::new();
            for id in 0..10 {
                let command = Command {
                    action: Action::Release {
                        type_id,
                        key: key.clone(),
                        force: Force::Polite,
                    },
                    reason: "a flood".into(),
                    by: "nobody".into(),
                };
                bytes.extend(raw.packet(Body::Command { id, command }));
            }
            raw.bytes(&bytes).await;
            for expected in 1..10 {
                let outcome = raw.hear_until("a refusal", |body| match body {
                    Body::Commanded { id, outcome } if id == expected => Some(outcome),
                    Body::Commanded { id, .. } => panic!("order {id} was answered first"),
                    _ => None,
                });
                let outcome = outcome.await;
                assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
            }
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
