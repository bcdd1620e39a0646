//! Strangers who want to be somebody else, or to have more of a server than their share.

mod common;

use common::{Cluster, LEASE, RW, credit, hello, item, undisturbed, want};
use rm_core::id::ResourceKey;
use rm_core::message::{Message, Refusal};
use rm_core::session::Ticket;
use rm_core::session::packet::{Body, Hello, Item, RefuseCode};

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
async fn a_name_that_would_write_to_a_terminal_is_shown_as_what_it_is() {
    undisturbed(async |cluster| {
        let client = cluster.client("\u{1b}[2Jboo\n").await;
        let lock = client.rw_lock(b"\x1b]0;owned\x07");
        let request = lock.write().label("\u{1b}[31mred\r\nINFO forged");
        let guard = request.await.expect("granted");
        drop(guard);
        client.close().await;
    })
    .await;
}
