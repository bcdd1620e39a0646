//! Strangers who want to be somebody else, or to have more of a server than their share.

mod common;

use common::{Cluster, LEASE, RW, credit, hello, item, undisturbed, want};
use rm_core::id::ResourceKey;
use rm_core::message::{Message, Refusal};
use rm_core::session::Ticket;
use rm_core::session::packet::{Body, Hello, Item, RefuseCode};
use rm_core::view;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_the_number_of_a_run_cannot_end_or_take_its_session() {
    let cluster = Cluster::new(LEASE).await;
    let client = cluster.client("victim").await;
    let lock = client.rw_lock("x");
    let guard = lock.write().await.expect("granted");
    // The number of a run is part of its orders, so whoever is asked to give something back reads it.
    let mut spy = cluster.session(b"spy").await;
    spy.items(1, vec![item(b"seen", want(1, credit(1, 0)))])
        .await;
    spy.hear_item("a grant", |message| {
        matches!(message, Message::Grant(_)).then_some(())
    })
    .await;
    let seen = client.rw_lock("seen");
    let asking = tokio::spawn(async move { seen.write_owned().await.map(drop) });
    let boot = spy.hear_item("a recall", |message| match message {
        Message::Recall { steps, .. } => steps.first().map(|step| step.order.party.boot),
        _ => None,
    });
    let boot = boot.await;
    for (session, reg, next_expected) in [(2, 0, 1), (1, 1, 2), (u64::MAX, 0, 1)] {
        let mut stolen = hello(b"victim");
        (stolen.boot, stolen.session) = (boot, session);
        (stolen.reg, stolen.next_expected) = (reg, next_expected);
        for ticket in [stolen.ticket, Ticket::default()] {
            let mut raw = cluster.raw().await;
            let hello = Hello {
                ticket,
                ..stolen.clone()
            };
            raw.say(Body::Hello(hello)).await;
            let (code, text) = raw.refusal().await;
            assert_eq!(code, RefuseCode::Denied);
            assert!(text.contains("ticket"), "{text}");
        }
    }
    assert!(guard.is_valid() && guard.release().await.is_ok());
    asking.abort();
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_session_cannot_make_the_server_remember_all_names() {
    const MOST: usize = 10;
    let cluster = Cluster::with(LEASE, |builder| builder.session_resources_max(MOST)).await;
    let mut raw = cluster.session(b"raw").await;
    let items = (1..=MOST as u64 + 5)
        .map(|n| item(format!("name/{n}").as_bytes(), want(n, credit(1, 0))))
        .collect();
    raw.items(1, items).await;
    let mut refused = 0;
    while refused < 5 {
        refused += raw
            .hear_until("refusals", |body| match body {
                Body::Data { items, .. } => {
                    let is_refused = |item: &Item| {
                        matches!(
                            item.message,
                            Message::Deny {
                                why: Refusal::Refused,
                                ..
                            }
                        )
                    };
                    Some(items.iter().filter(|item| is_refused(item)).count())
                }
                _ => None,
            })
            .await;
    }
    assert_eq!(cluster.server.totals().resources, MOST as u64);
    // Nobody else is kept out.
    let other = cluster.client("other").await;
    drop(other.rw_lock("another").write().await.expect("granted"));
    let known = cluster
        .server
        .domain()
        .debtors(RW, &ResourceKey::new(b"name/1").unwrap());
    assert_eq!(known.len(), 1);
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_and_reports_are_not_believed_of_debtors() {
    undisturbed(async |cluster| {
        let member = view::Member {
            name: b"mallory".to_vec(),
            reg: 7,
            address: "127.0.0.1:1".into(),
            state: view::MemberState::Full,
            weight: 1,
        };
        let epoch = cluster.server.status().epoch;
        let forged = epoch + 1_000;
        let forged_view = view::View::new(forged, LEASE, vec![member]).expect("a view");
        let ack = Body::ReportAck {
            epoch: forged,
            reg: 7,
            part: 0,
            is_active: true,
        };
        for body in [Body::View(forged_view.into()), ack] {
            let mut raw = cluster.session(b"raw").await;
            raw.say(body).await;
            let (code, text) = raw.refusal().await;
            assert_eq!(code, RefuseCode::Protocol);
            assert!(text.contains("says what only a creditor says"), "{text}");
        }
        assert_eq!(cluster.server.status().epoch, epoch);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_withdraws_or_replaces_what_another_asks_for() {
    let cluster = Cluster::new(LEASE).await;
    let holder = cluster.client("holder").await;
    let lock = holder.rw_lock("x");
    let held = lock.write().await.expect("granted");
    let mut victim = cluster.session(b"victim").await;
    let wanted = want(1, credit(1, 0));
    let Message::Want(own) = &wanted else {
        unreachable!()
    };
    let order = own.order;
    victim.items(1, vec![item(b"x", wanted.clone())]).await;
    cluster
        .until("it waits", |node| node.totals().waiting == 1)
        .await;
    let mut thief = cluster.session(b"thief").await;
    thief
        .items(
            1,
            vec![item(b"x", Message::Unwant { order }), item(b"x", wanted)],
        )
        .await;
    let why = thief.hear_item("a refusal", |message| match message {
        Message::Deny { why, .. } => Some(*why),
        _ => None,
    });
    assert_eq!(why.await, Refusal::Refused);
    drop(held);
    holder.close().await;
    let granted = victim.hear_item("a grant", |message| {
        matches!(message, Message::Grant(_)).then_some(())
    });
    granted.await;
}
