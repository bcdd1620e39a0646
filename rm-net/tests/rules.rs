//! Who may do what: rules at real servers, and what those hear whom they forbid something.

mod common;

use common::{Cluster, LEASE, all, connect, credit, hello, item, within};
use rm_core::access::{Action, Rule, Rules};
use rm_core::command::{self, Command, Force};
use rm_core::error::LostReason;
use rm_core::id::{LoanId, ResourceKey};
use rm_core::inspect::{Answer, Query};
use rm_core::message::{Claim, Message, Unclaimed};
use rm_core::session::lease::LEASE_MIN;
use rm_core::session::packet::{Body, RefuseCode};
use rm_net::{ConnectError, InspectError, Node, Operator};
use rm_rwlock::AcquireError;

/// Everybody may read what is public, write what is common, and nothing else.
fn public_and_common() -> Rules {
    let read = Rule::new(["*"], [Action::Read]).and_then(|rule| rule.names(["public/"]));
    let write = Rule::new(["*"], [Action::Write]).and_then(|rule| rule.names(["common/"]));
    Rules::new(vec![read.unwrap(), write.unwrap()], vec![]).expect("rules")
}

fn only(what: impl IntoIterator<Item = Action>) -> Rules {
    Rules::new(vec![Rule::new(["*"], what).unwrap()], vec![]).expect("rules")
}

async fn cluster(rules: Rules) -> Cluster {
    Cluster::with(LEASE, |builder| builder.rules(rules)).await
}

fn forbidden(error: &AcquireError) -> String {
    assert!(matches!(error, AcquireError::NotAllowed { .. }), "{error}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_who_writes_is_told_which_rule_and_whom_it_took_him_for() {
    let cluster = cluster(public_and_common()).await;
    let client = cluster.client("reader").await;
    let public = client.rw_lock("public/a");
    drop(public.read().await.expect("allowed"));
    drop(client.rw_lock("common/a").write().await.expect("allowed"));
    let why = forbidden(&public.write().await.unwrap_err());
    let expected = "not allowed: no [[allow]] rule of the server lets anonymous write it";
    assert_eq!(why, expected);
    forbidden(&public.try_write().await.unwrap_err());
    forbidden(&public.upgradable_read().await.unwrap_err());
    forbidden(&client.rw_lock("private").read().await.unwrap_err());
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forbidden_makes_no_resource_at_the_server() {
    let cluster = cluster(public_and_common()).await;
    let client = cluster.client("curious").await;
    for n in 0..10 {
        let lock = client.rw_lock(format!("private/{n}"));
        forbidden(&lock.read().await.unwrap_err());
    }
    assert_eq!(cluster.server.totals().resources, 0);
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_is_lent_nothing_on_top_that_would_let_him_write() {
    let cluster = cluster(public_and_common()).await;
    let client = cluster.client("reader").await;
    // Who may write is alone there, so he gets all of it at once.
    let common = client.rw_lock("common/a");
    drop(common.read().await.expect("allowed"));
    assert!(common.try_write_cached().is_some());
    let public = client.rw_lock("public/a");
    drop(public.read().await.expect("allowed"));
    assert!(public.try_read_cached().is_some());
    assert!(public.try_write_cached().is_none());
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_in_whom_no_rule_names() {
    let rules = Rules::new(vec![Rule::new(["ci"], [Action::Write]).unwrap()], vec![]);
    let cluster = cluster(rules.unwrap()).await;
    let refused = rm_net::Client::connect(&cluster.endpoint)
        .await
        .unwrap_err();
    let ConnectError::Refused { code, text, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(code, RefuseCode::Denied);
    let expected = "not allowed: no [[allow]] rule lets anonymous connect";
    assert_eq!(text, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_that_change_take_back_what_is_forbidden_now_and_deny_what_waits_for_it() {
    let cluster = cluster(Rules::open()).await;
    let (one, two) = (cluster.client("one").await, cluster.client("two").await);
    let reader = one.rw_lock("public/kept");
    let reading = reader.read().await.expect("allowed");
    let lock = one.rw_lock("public/lost");
    let writing = lock.write().await.expect("allowed");
    let other = two.rw_lock("public/lost");
    let asking = tokio::spawn(async move { other.write_owned().await.map(drop) });
    cluster
        .until("it waits", |node| node.totals().waiting == 1)
        .await;
    cluster.server.set_rules(public_and_common());
    forbidden(&within("denied", asking).await.unwrap().unwrap_err());
    assert_eq!(within("lost", writing.lost()).await, LostReason::Revoked);
    let why = writing.release_reason().expect("a reason");
    assert!(why.starts_with("the rules have changed: "), "{why}");
    drop(writing);
    drop(lock.read().await.expect("reading is allowed"));
    // It had all of this one, alone as it was, and a loan is not divided: so its reader loses it, and may ask again.
    assert_eq!(within("lost", reading.lost()).await, LostReason::Revoked);
    drop(reading);
    drop(reader.read().await.expect("reading is allowed"));
    one.close().await;
    two.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_keeps_what_the_rules_forbid_now_and_goes_on_renewing_loses_its_session() {
    let cluster = Cluster::with(LEASE_MIN, |builder| builder.rules(Rules::open())).await;
    let mut raw = cluster.session(b"stubborn").await;
    raw.say(Body::Renew { sent: 1, heard: 0 }).await;
    raw.items(1, vec![item(b"public/kept", common::want(1, all()))])
        .await;
    let granted = |message: &Message<_>| matches!(message, Message::Grant(_)).then_some(());
    raw.hear_item("a grant", granted).await;
    cluster.server.set_rules(public_and_common());
    let revoked = |message: &Message<_>| matches!(message, Message::Revoke { .. }).then_some(());
    raw.hear_item("a revocation", revoked).await;
    let renew = async {
        for sent in 2.. {
            raw.say(Body::Renew { sent, heard: 2 }).await;
            tokio::time::sleep(LEASE_MIN / 5).await;
        }
    };
    let taken_back = cluster.until("its loan is taken back", |node| node.totals().loans == 0);
    tokio::select! {
        () = renew => {}
        () = taken_back => {}
    }
    assert_eq!(cluster.server.totals().loans, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_whose_identity_may_do_nothing_any_more() {
    let cluster = cluster(Rules::open()).await;
    let client = cluster.client("gone").await;
    let lock = client.rw_lock("x");
    let guard = lock.write().await.expect("allowed");
    let rules = Rules::new(vec![Rule::new(["ci"], [Action::Write]).unwrap()], vec![]);
    cluster.server.set_rules(rules.unwrap());
    within("lost", guard.lost()).await;
    drop(guard);
    cluster
        .until("it is out", |node| node.status().sessions == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_inspect_some_names_sees_only_those_and_nothing_of_the_server() {
    let look = Rule::new(["*"], [Action::Inspect]).and_then(|rule| rule.names(["public/"]));
    let write = Rule::new(["*"], [Action::Write]);
    let rules = Rules::new(vec![look.unwrap(), write.unwrap()], vec![]);
    let cluster = cluster(rules.unwrap()).await;
    let client = cluster.client("holder").await;
    let (public, private) = (client.rw_lock("public/a"), client.rw_lock("private/a"));
    let _held = (
        public.write().await.unwrap(),
        private.write().await.unwrap(),
    );
    let list = Query::List {
        prefix: vec![],
        after: None,
        limit: 1,
    };
    let Answer::List { resources, more } = client.inspect(list).await.unwrap() else {
        panic!("no list");
    };
    let names: Vec<_> = resources.iter().map(|one| one.key.to_string()).collect();
    assert_eq!((names, more), (vec!["public/a".into()], false));
    let show = |name: &str| Query::Show {
        type_id: common::RW,
        key: ResourceKey::new(name.as_bytes()).unwrap(),
    };
    assert!(matches!(
        client.inspect(show("public/a")).await,
        Ok(Answer::Show(Some(_)))
    ));
    for query in [
        show("private/a"),
        Query::Status,
        Query::Members,
        Query::Health,
    ] {
        let refused = client.inspect(query).await;
        let Err(InspectError::NotAllowed { text }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(text, "no [[allow]] rule lets anonymous inspect");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_for_operators() {
    let cluster = cluster(only([Action::Write])).await;
    let client = cluster.client("holder").await;
    let lock = client.rw_lock("x");
    let guard = lock.write().await.expect("allowed");
    let release = command::Action::Release {
        type_id: common::RW,
        key: ResourceKey::new(b"x").unwrap(),
        force: Force::Now,
    };
    let drain = command::Action::Drain {
        node: "server".into(),
        within: LEASE,
    };
    for action in [release, drain] {
        let mut operator = Operator::connect(&cluster.endpoint, LEASE).await.unwrap();
        let command = Command {
            action,
            reason: "mine".into(),
            by: "nobody".into(),
        };
        let refused = operator.order(command).await.unwrap_err();
        let text = "no [[allow]] rule lets anonymous operate".into();
        assert_eq!(refused, InspectError::NotAllowed { text });
        operator.close().await;
    }
    assert!(guard.is_valid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_members_may_call_themselves_like_one() {
    let cluster = cluster(only([Action::Write])).await;
    let mut raw = cluster.raw().await;
    raw.say(Body::Hello(hello(b"server"))).await;
    let (code, text) = raw.refusal().await;
    assert_eq!(code, RefuseCode::Denied);
    assert!(text.contains("lets anonymous member"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_of_what_may_not_be_had_is_refused() {
    let cluster = cluster(public_and_common()).await;
    let mut raw = cluster.session(b"raw").await;
    let claim = |amount| {
        Message::Claim(Claim {
            epoch: 1,
            loan: LoanId {
                epoch: 1,
                counter: 1,
            },
            amount,
            fence: 0,
            value: None,
            colour: None,
        })
    };
    let claims = [("public/a", all()), ("private/a", credit(1, 0))];
    for (number, (name, amount)) in (1..).zip(claims) {
        raw.items(number, vec![item(name.as_bytes(), claim(amount))])
            .await;
        let why = raw.hear_item("an answer", |message| match message {
            Message::Unclaimed { why, .. } => Some(*why),
            _ => None,
        });
        assert_eq!(why.await, Unclaimed::Refused);
    }
    assert_eq!(cluster.server.totals().resources, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_below_a_relay_is_told_what_the_root_forbids_the_relay() {
    let cluster = cluster(public_and_common()).await;
    let relay = Node::builder()
        .name("rack")
        .listen("127.0.0.1:0")
        .creditor(&cluster.endpoint)
        .lease(LEASE)
        .start()
        .await
        .expect("started");
    let endpoint = relay.local_addr().expect("it listens").to_string();
    let client = connect(&endpoint, "below").await;
    let lock = client.rw_lock("public/a");
    drop(lock.read().await.expect("allowed"));
    forbidden(&lock.write().await.unwrap_err());
    // The relay's own rules are about those below it.
    relay.set_rules(only([Action::Read]));
    forbidden(&client.rw_lock("common/a").write().await.unwrap_err());
    client.close().await;
    relay.stop().await;
}
