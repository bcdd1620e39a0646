//! TLS between clients and servers, over real sockets: who is let in, who is not and what they are told, and what
//! becomes of sessions when certificates change.

#![cfg(feature = "tls")]

mod common;
#[path = "common/pki.rs"]
mod pki;

use std::time::Duration;

use common::proxy::{Cable, Proxy};
use common::{Cluster, Raw, assert_no_panics, until, within};
use pki::{Authority, Good, Pki};
use rm_core::inspect::{Answer, Query};
use rm_core::session::packet::{Body, RefuseCode};
use rm_net::{Client, ConnectError, Operator, StartError, TlsConfig, TlsFiles, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

const LEASE: Duration = Duration::from_secs(10);
/// What a server is called in certificates.
const HERE: [&str; 2] = ["127.0.0.1", "localhost"];

/// A server with TLS, and the files of one client.
struct Secured {
    pki: Pki,
    authority: Authority,
    config: TlsConfig,
    cluster: Cluster,
}

impl Secured {
    async fn new() -> Self {
        Self::for_hosts(&HERE).await
    }

    async fn for_hosts(hosts: &[&str]) -> Self {
        let (pki, authority) = (Pki::new(), Authority::new("first"));
        pki.trust("ca.pem", &[&authority]);
        pki.issue("server", &authority, hosts, Good::Long);
        pki.issue("client", &authority, &["spiffe://test/client"], Good::Long);
        let config = TlsConfig::load(server_files(&pki)).expect("loaded");
        let tls = config.clone();
        let patience = Duration::from_secs(2);
        let cluster = Cluster::with(LEASE, |node| node.tls(tls).hello_patience(patience)).await;
        Self {
            pki,
            authority,
            config,
            cluster,
        }
    }

    fn client_files(&self) -> TlsFiles {
        client_files(&self.pki, "client")
    }

    async fn connect(&self, files: TlsFiles) -> Result<Client, ConnectError> {
        let config = TlsConfig::load(files).expect("loaded");
        let builder = Client::builder().endpoint(&self.cluster.endpoint).name("c");
        within("an answer", builder.tls(config).connect()).await
    }

    /// What a client with these files is told.
    async fn refusal(&self, files: TlsFiles) -> String {
        match self.connect(files).await {
            Err(ConnectError::Tls { why, .. }) => why,
            other => panic!("expected to be refused: {other:?}"),
        }
    }
}

fn server_files(pki: &Pki) -> TlsFiles {
    TlsFiles::default()
        .identity(pki.path("server.pem"), pki.path("server.key"))
        .client_ca(pki.path("ca.pem"))
}

fn client_files(pki: &Pki, name: &str) -> TlsFiles {
    let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
    TlsFiles::default()
        .identity(pki.path(&cert), pki.path(&key))
        .ca(pki.path("ca.pem"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_certificate_takes_locks_over_tls() {
    let secured = Secured::new().await;
    let client = secured
        .connect(secured.client_files())
        .await
        .expect("connected");
    let other = secured
        .connect(secured.client_files())
        .await
        .expect("connected");
    for _ in 0..20 {
        drop(client.rw_lock("x").write().await.expect("granted"));
        drop(other.rw_lock("x").write().await.expect("granted"));
    }
    client.close().await;
    other.close().await;
    assert!(secured.cluster.server.stop().await.is_clean);
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_many_records_come_whole() {
    let secured = Secured::new().await;
    let client = secured
        .connect(secured.client_files())
        .await
        .expect("connected");
    let names: Vec<_> = (0..3_000).map(|index| format!("{index:0>200}")).collect();
    let locks: Vec<_> = names.iter().map(|name| client.rw_lock(name)).collect();
    let asked: Vec<_> = locks
        .into_iter()
        .map(|lock| tokio::spawn(async move { lock.write().await.map(drop) }))
        .collect();
    for answer in asked {
        within("a grant", answer)
            .await
            .expect("no panic")
            .expect("granted");
    }
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_let_in_by_its_certificate() {
    let secured = Secured::new().await;
    let config = TlsConfig::load(secured.client_files()).expect("loaded");
    let transport = Transport::default().tls(config);
    let endpoint = &secured.cluster.endpoint;
    let patience = Duration::from_secs(5);
    let mut operator = Operator::connect_over(&transport, endpoint, patience)
        .await
        .expect("let in");
    let health = operator.ask(Query::Health).await.expect("answered");
    let Answer::Health(health) = health else {
        panic!("{health:?}");
    };
    assert!(health.is_secured, "doctor goes by it");
    operator.close().await;
    let nobody = TlsConfig::load(TlsFiles::default().ca(secured.pki.path("ca.pem")));
    let transport = Transport::default().tls(nobody.expect("loaded"));
    match Operator::connect_over(&transport, endpoint, patience).await {
        Err(ConnectError::Tls { why, .. }) => assert!(why.contains("--tls-cert"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_let_in_is_told_what_is_wrong_with_its_certificate() {
    let secured = Secured::new().await;
    let pki = &secured.pki;
    let stranger = Authority::new("stranger");
    pki.issue("strange", &stranger, &["spiffe://test/client"], Good::Long);
    pki.issue(
        "old",
        &secured.authority,
        &["spiffe://test/client"],
        Good::Until2020,
    );
    pki.issue(
        "early",
        &secured.authority,
        &["spiffe://test/client"],
        Good::From2100,
    );
    pki.trust("stranger.pem", &[&stranger]);
    let nobody = TlsFiles::default().ca(pki.path("ca.pem"));
    let elsewhere = TlsFiles::default().ca(pki.path("stranger.pem"));
    for (files, parts) in [
        (nobody, ["wants a certificate", "--tls-cert"]),
        (
            client_files(pki, "strange"),
            ["strange.pem", "--tls-client-ca"],
        ),
        (
            client_files(pki, "old"),
            ["old.pem (good until 2020-01-02 00:00 UTC)", "renew"],
        ),
        (
            client_files(pki, "early"),
            ["early.pem", "compare the clocks"],
        ),
        (elsewhere, ["stranger.pem", "--tls-ca"]),
    ] {
        let why = secured.refusal(files).await;
        assert!(
            parts.iter().all(|part| why.contains(part)),
            "{parts:?}: {why}"
        );
    }
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_called_what_its_certificate_says_or_what_the_client_expects() {
    let secured = Secured::for_hosts(&["locks.example.org"]).await;
    let why = secured.refusal(secured.client_files()).await;
    assert!(
        why.contains("127.0.0.1") && why.contains("locks.example.org"),
        "{why}"
    );
    assert!(why.contains("--tls-server-name"), "{why}");
    let files = secured.client_files().server_name("locks.example.org");
    secured.connect(files).await.expect("connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_certificate_has_expired_is_not_talked_to() {
    let secured = Secured::new().await;
    secured
        .pki
        .issue("server", &secured.authority, &HERE, Good::Until2020);
    secured
        .config
        .reload()
        .expect("it makes sense, though it is of no use");
    let why = secured.refusal(secured.client_files()).await;
    assert!(
        why.contains("the server's certificate expired on 2020-01-02"),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_to_a_tls_port_is_told_so() {
    let secured = Secured::new().await;
    match Client::connect(&secured.cluster.endpoint).await {
        Err(ConnectError::Refused { code, text, .. }) => {
            assert_eq!(code, RefuseCode::Protocol);
            assert!(
                text.contains("speaks TLS") && text.contains("--tls-ca"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_to_a_plain_port_is_told_so() {
    let secured = Secured::new().await;
    let plain = Cluster::new(LEASE).await;
    let config = TlsConfig::load(secured.client_files()).expect("loaded");
    let builder = Client::builder().endpoint(&plain.endpoint).tls(config);
    match within("an answer", builder.connect()).await {
        Err(ConnectError::Tls { why, .. }) => {
            assert!(
                why.contains("does not speak TLS") && why.contains("--tls-cert"),
                "{why}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_silence_in_place_of_a_handshake_end_and_nobody_else_notices() {
    let secured = Secured::new().await;
    let endpoint = &secured.cluster.endpoint;
    let mut idle = Vec::new();
    for begun in [
        &b""[..],
        b"\x16",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        for _ in 0..50 {
            let mut stream = TcpStream::connect(endpoint).await.expect("connected");
            stream.write_all(begun).await.expect("taken");
            idle.push(stream);
        }
    }
    let client = secured
        .connect(secured.client_files())
        .await
        .expect("connected");
    drop(client.rw_lock("x").write().await.expect("granted"));
    for mut stream in idle {
        let ended = async {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
        };
        within("the end of a connection without a handshake", ended).await;
    }
    drop(client.rw_lock("x").write().await.expect("granted"));
    assert_no_panics();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_change_under_load_and_no_lock_is_lost() {
    let secured = Secured::new().await;
    let proxy = Proxy::to(&secured.cluster.endpoint).await;
    let config = TlsConfig::load(secured.client_files()).expect("loaded");
    let builder = Client::builder()
        .endpoint(&proxy.endpoint)
        .tls(config.clone());
    let client = builder.connect().await.expect("connected");
    let held = client.rw_lock("held").write_owned().await.expect("granted");
    let (busy, other) = (client.clone(), client.clone());
    let work = tokio::spawn(async move {
        for index in 0..400 {
            let (a, b) = (busy.rw_lock(format!("{index}")), other.rw_lock("shared"));
            drop(a.write().await.expect("granted"));
            drop(b.write().await.expect("granted"));
        }
    });
    // A new authority, which for a while stands beside the old one; then everybody's certificate is the new one's.
    let next = Authority::new("second");
    let pki = &secured.pki;
    let reload = || {
        secured.config.reload().expect("reloaded");
        config.reload().expect("reloaded");
    };
    pki.trust("ca.pem", &[&secured.authority, &next]);
    reload();
    pki.issue("server", &next, &HERE, Good::Long);
    pki.issue("client", &next, &["spiffe://test/client"], Good::Long);
    reload();
    pki.trust("ca.pem", &[&next]);
    reload();
    let before = proxy.connections();
    proxy.set(Cable::Cut);
    until("it is noticed", || !client.is_connected()).await;
    proxy.set(Cable::Good);
    until("another handshake", || proxy.connections() > before).await;
    within("the work is done", work)
        .await
        .expect("nothing was lost");
    assert!(held.is_valid());
    held.release().await.expect("it was good to the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_make_no_sense_change_nothing() {
    let secured = Secured::new().await;
    secured.pki.write("server.key", "-----BEGIN NONSENSE-----");
    let error = secured.config.reload().expect_err("no key");
    assert!(error.to_string().contains("server.key"), "{error}");
    let other = Authority::new("other");
    secured.pki.issue("other", &other, &HERE, Good::Long);
    let key = std::fs::read_to_string(secured.pki.path("other.key")).expect("read");
    secured.pki.write("server.key", &key);
    let error = secured
        .config
        .reload()
        .expect_err("another key")
        .to_string();
    assert!(error.contains("is not that of the certificate"), "{error}");
    secured
        .connect(secured.client_files())
        .await
        .expect("as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_authority_is_taken_out_keeps_its_session_and_gets_no_other() {
    let secured = Secured::new().await;
    let client = secured
        .connect(secured.client_files())
        .await
        .expect("connected");
    let held = client.rw_lock("x").write_owned().await.expect("granted");
    let next = Authority::new("second");
    secured.pki.trust("ca.pem", &[&next]);
    secured.config.reload().expect("reloaded");
    drop(
        client
            .rw_lock("y")
            .write()
            .await
            .expect("the session goes on"),
    );
    assert!(held.is_valid());
    secured.pki.trust("ca-before.pem", &[&secured.authority]);
    let files = secured.client_files().ca(secured.pki.path("ca-before.pem"));
    let why = secured.refusal(files).await;
    assert!(why.contains("--tls-client-ca"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_this_machine_callers_have_to_prove_who_they_are() {
    let pki = Pki::new();
    let authority = Authority::new("first");
    pki.trust("ca.pem", &[&authority]);
    pki.issue("server", &authority, &HERE, Good::Long);
    let files = TlsFiles::default().identity(pki.path("server.pem"), pki.path("server.key"));
    let anonymous = TlsConfig::load(files.clone()).expect("loaded");
    let known = TlsConfig::load(files.client_ca(pki.path("ca.pem"))).expect("loaded");
    let dir = tempfile::tempdir().expect("a directory");
    let builder = || {
        rm_net::Node::builder()
            .listen("0.0.0.0:0")
            .data_dir(dir.path())
    };
    for refused in [builder(), builder().tls(anonymous)] {
        match refused.start().await {
            Err(error @ StartError::Insecure { .. }) => {
                assert!(error.to_string().contains("--tls-client-ca"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    for allowed in [builder().insecure(), builder().tls(known)] {
        allowed.start().await.expect("started").stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_sends_no_plain_text_to_another_machine() {
    // An address that leads nowhere, in the net for examples: nothing is sent.
    for endpoint in ["192.0.2.1:7600", "[2001:db8::1]:7600"] {
        let connecting = Client::builder().endpoint(endpoint).connect();
        match within("an answer", connecting).await {
            Err(error @ ConnectError::Insecure { .. }) => {
                assert!(error.to_string().contains("--insecure"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_unix_socket_locks_are_taken_and_the_kernel_says_by_whom() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("rm.sock");
    let socket = format!("unix:{}", path.display());
    let cluster = Cluster::with(LEASE, |node| node.listen(&socket)).await;
    assert_eq!(cluster.server.addresses()[1].to_string(), socket);
    let client = Client::connect(&socket).await.expect("connected");
    drop(client.rw_lock("x").write().await.expect("granted"));
    client.close().await;
    assert!(cluster.server.stop().await.is_clean);
    until("the socket is gone", || !path.exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_cannot_go_on_with_a_session() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = format!("unix:{}", dir.path().join("rm.sock").display());
    let cluster = Cluster::with(LEASE, |node| node.listen(&socket)).await;
    let mut hello = common::hello(b"v");
    let mut raw = Raw::connect(&cluster.endpoint).await;
    let opening = raw.packet(Body::Hello(hello.clone()));
    let path = socket.strip_prefix("unix:").expect("a path");
    let mut stream = UnixStream::connect(path).await.expect("connected");
    stream.write_all(&opening).await.expect("said");
    let welcomed = stream.read_u8().await;
    assert_eq!(welcomed.expect("a welcome"), 0);
    // By TCP nobody is anybody, whatever it says of itself.
    hello.reg = u64::from(cluster.server.status().epoch);
    raw.say(Body::Hello(hello)).await;
    let (code, text) = raw.refusal().await;
    assert_eq!(code, RefuseCode::Denied);
    assert!(text.contains("comes now as anonymous"), "{text}");
}
