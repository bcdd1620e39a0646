//! Rules about whom the transport proves somebody to be: by certificate, and by user id at a Unix socket.

#![cfg(feature = "tls")]

mod common;
#[allow(dead_code, reason = "others need certificates that are not good")]
#[path = "common/pki.rs"]
mod pki;

use common::{Cluster, LEASE, within};
use pki::{Authority, Good, Pki};
use rm_core::access::{Action, Rule, Rules};
use rm_core::session::packet::RefuseCode;
use rm_net::{Client, ConnectError, TlsConfig, TlsFiles};
use rm_rwlock::AcquireError;

fn allow(who: &str, what: Action) -> Rule {
    Rule::new([who], [what]).expect("a rule")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_decides_who_may_write() {
    let (pki, authority) = (Pki::new(), Authority::new("first"));
    pki.trust("ca.pem", &[&authority]);
    pki.issue("server", &authority, &["127.0.0.1"], Good::Long);
    for name in ["writer", "reader", "stranger"] {
        let uri = format!("spiffe://test/{name}");
        pki.issue(name, &authority, &[&uri], Good::Long);
    }
    let own = TlsFiles::default()
        .identity(pki.path("server.pem"), pki.path("server.key"))
        .client_ca(pki.path("ca.pem"));
    let tls = TlsConfig::load(own).expect("loaded");
    let rules = Rules::new(
        vec![
            allow("spiffe://test/writer", Action::Write),
            allow("spiffe://test/reader", Action::Read),
        ],
        vec![],
    );
    let rules = rules.expect("rules");
    let cluster = Cluster::with(LEASE, |node| node.tls(tls).rules(rules)).await;
    let connect = async |name: &str| {
        let files = TlsFiles::default()
            .identity(
                pki.path(&format!("{name}.pem")),
                pki.path(&format!("{name}.key")),
            )
            .ca(pki.path("ca.pem"));
        let config = TlsConfig::load(files).expect("loaded");
        let builder = Client::builder().endpoint(&cluster.endpoint).name(name);
        within("an answer", builder.tls(config).connect()).await
    };
    let writer = connect("writer").await.expect("connected");
    drop(writer.rw_lock("x").write().await.expect("allowed"));
    let reader = connect("reader").await.expect("connected");
    let lock = reader.rw_lock("x");
    drop(lock.read().await.expect("allowed"));
    let Err(AcquireError::NotAllowed { why }) = lock.write().await else {
        panic!("a reader writes");
    };
    let expected = "no [[allow]] rule of the server lets spiffe://test/reader write it";
    assert_eq!(why, expected);
    match connect("stranger").await {
        Err(ConnectError::Refused { code, text, .. }) => {
            assert_eq!(code, RefuseCode::Denied);
            assert!(
                text.contains("lets spiffe://test/stranger connect"),
                "{text}"
            );
        }
        other => panic!("a stranger: {other:?}"),
    }
    writer.close().await;
    reader.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_unix_socket_the_user_id_is_who_somebody_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = format!("unix:{}", dir.path().join("rm.sock").display());
    let uid = rustix::process::getuid().as_raw();
    let me = allow(&format!("unix:uid={uid}"), Action::Write);
    let rules = Rules::new(vec![me], vec![]).expect("rules");
    let cluster = Cluster::with(LEASE, |node| node.listen(&socket).rules(rules)).await;
    let here = Client::connect(&socket).await.expect("connected");
    drop(here.rw_lock("x").write().await.expect("allowed"));
    // The same process over TCP is nobody.
    let refused = Client::connect(&cluster.endpoint).await.unwrap_err();
    assert!(
        refused.to_string().contains("lets anonymous connect"),
        "{refused}"
    );
    here.close().await;
}
