//! Members of a cluster, by way of a real etcd.
//!
//! Each test has a server of its own ([`Etcd`]), and nodes that are only coordinators: they lend nothing.
//! `M` is 1.6 s here, long enough for a machine that is busy.

#![cfg(all(feature = "etcd", unix))]

#[allow(dead_code, reason = "a part of it is used")]
#[path = "common/proxy.rs"]
mod proxy;

use std::path::PathBuf;
use std::time::Duration;

use proxy::{Cable, Proxy};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rm_core::session::lease::LeaseTerms;
use rm_core::time::Time;
use rm_core::view::{MemberState, View};
use rm_net::clock::BootClock;
use rm_net::coordinator::{
    CoordinatorError, Departure, EtcdConfig, EtcdCoordinator, EtcdHandle, EtcdTls, NodeRecord,
    State,
};
use rm_net::testing::Etcd;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

const LEASE: Duration = Duration::from_secs(6);
const M: Duration = Duration::from_millis(1_600);
/// Whatever is waited for comes within this, or never.
const PATIENCE: Duration = Duration::from_secs(30);

struct Node {
    handle: EtcdHandle,
    states: watch::Receiver<State>,
}

impl Node {
    fn start(config: EtcdConfig, name: &str) -> Self {
        Self::start_with(config, name, LEASE)
    }

    fn start_with(config: EtcdConfig, name: &str, lease: Duration) -> Self {
        let node = NodeRecord {
            name: name.into(),
            address: "127.0.0.1:7600".into(),
            weight: 1,
            lease: LeaseTerms::new(lease).expect("a lease"),
        };
        let (handle, states) = EtcdCoordinator::start(config, node).expect("started");
        Self { handle, states }
    }

    async fn until(&mut self, what: &str, is_so: impl FnMut(&State) -> bool) -> State {
        let state = timeout(PATIENCE, self.states.wait_for(is_so)).await;
        match state.map(|state| state.map(|state| state.clone())) {
            Ok(state) => state.expect("the driver runs"),
            Err(_) => panic!("{what}: still {:?}", *self.states.borrow()),
        }
    }

    async fn until_members(&mut self, names: &str) -> State {
        self.until(names, |state| names_of(state) == names && is_good(state))
            .await
    }

    fn state(&self) -> State {
        self.states.borrow().clone()
    }
}

fn now() -> Time {
    BootClock::new().now()
}

fn is_good(state: &State) -> bool {
    state.is_good(now())
}

/// The members' names, one after the other.
fn names_of(state: &State) -> String {
    let members = state.view.iter().flat_map(|view| view.members());
    members
        .map(|it| String::from_utf8_lossy(&it.name))
        .collect()
}

fn epoch(state: &State) -> u32 {
    state.view.as_ref().map_or(0, |view| view.epoch())
}

fn config(endpoints: &str) -> EtcdConfig {
    EtcdConfig::new("test", endpoints).expect("a configuration")
}

/// Nodes with names from `a` on, which are all members.
async fn cluster<const COUNT: usize>(etcd: &Etcd) -> [Node; COUNT] {
    let all = &"abcdefgh"[..COUNT];
    let mut nodes =
        std::array::from_fn(|index| Node::start(config(&etcd.endpoint()), &all[index..=index]));
    for node in &mut nodes {
        node.until_members(all).await;
    }
    nodes
}

#[tokio::test]
async fn nodes_join_drain_and_leave_and_all_see_the_same_views() {
    let Some(etcd) = Etcd::start() else { return };
    let [mut a, mut b, c] = cluster(&etcd).await;
    c.handle.set_weight(3).await.expect("a weight");
    let state = a.until("its weight", |it| weights(it) == [1, 1, 3]).await;
    b.until("the same view", |it| it.view == state.view).await;
    c.handle.drain().await;
    let leaving = |it: &State| members(it).last().map(|it| it.2) == Some(MemberState::Leaving);
    a.until("it drains", leaving).await;
    assert!(is_good(&c.state()), "it stays a member");
    assert_eq!(c.handle.leave().await, Departure::Told);
    a.until_members("ab").await;
    b.until_members("ab").await;
    assert!(c.state().has_left && c.state().good_until.is_none());
    assert!(
        !etcd
            .ctl(&["get", "--prefix", "/rm/test/members/c"])
            .contains("7600")
    );
}

fn members(state: &State) -> Vec<(Vec<u8>, u32, MemberState)> {
    let members = state.view.iter().flat_map(|view| view.members());
    members
        .map(|it| (it.name.clone(), it.weight, it.state))
        .collect()
}

fn weights(state: &State) -> Vec<u32> {
    members(state).iter().map(|it| it.1).collect()
}

#[tokio::test]
async fn a_silent_member_is_evicted_after_about_m_and_comes_back_as_another() {
    let Some(etcd) = Etcd::start() else { return };
    let mut a = Node::start(config(&etcd.endpoint()), "a");
    let proxy = Proxy::to(&etcd.endpoint()).await;
    let mut b = Node::start(config(&proxy.endpoint), "b");
    a.until_members("ab").await;
    let before = b.until_members("ab").await;
    proxy.set(Cable::Held);
    let held = now();
    a.until_members("a").await;
    let evicted = now();
    let good_until = b.state().good_until.expect("it was a member");
    assert!(evicted >= good_until, "evicted while it believed");
    assert_eq!(b.state().reg, before.reg, "it knows nothing yet");
    println!(
        "evicted {:?} after its last word could come, {:?} after it stopped believing; M is {M:?}",
        evicted.since(held),
        evicted.since(good_until)
    );
    assert!(evicted.since(held) < 2 * M, "and soon");
    proxy.set(Cable::Good);
    let back = b
        .until("it comes back", |it| it.reg > before.reg && is_good(it))
        .await;
    a.until("and is seen", |it| it.view == back.view).await;
}

#[tokio::test]
async fn proof_of_death_evicts_at_once_and_a_new_epoch_comes_on_request() {
    let Some(etcd) = Etcd::start() else { return };
    let [mut a, b] = cluster(&etcd).await;
    let before = epoch(&a.state());
    a.handle.new_epoch().await;
    a.until("an epoch", |it| {
        epoch(it) == before + 1 && names_of(it) == "ab"
    })
    .await;
    let dead = b.state().reg.expect("a member");
    drop(b);
    a.handle.proof_of_death(dead).await;
    let state = a.until_members("a").await;
    assert_eq!(epoch(&state), before + 2);
}

#[tokio::test]
async fn a_restart_of_etcd_changes_no_view() {
    let Some(mut etcd) = Etcd::start() else {
        return;
    };
    let [mut a, mut b] = cluster(&etcd).await;
    let before = [a.state(), b.state()];
    etcd.kill();
    a.until("it notices", |it| !it.connected).await;
    let problem = a.state().problem.expect("it says why").to_string();
    assert!(problem.contains("cannot be reached"), "{problem}");
    etcd.start_again();
    for (node, before) in [&mut a, &mut b].into_iter().zip(&before) {
        let after = node
            .until("it goes on", |it| {
                it.connected && it.good_until > before.good_until && is_good(it)
            })
            .await;
        assert_eq!((after.reg, after.view), (before.reg, before.view.clone()));
    }
}

#[tokio::test]
async fn a_pause_of_etcd_shorter_than_m_is_not_noticed() {
    let Some(etcd) = Etcd::start() else { return };
    let [mut a, mut b] = cluster(&etcd).await;
    let before = [a.state(), b.state()];
    etcd.pause();
    // The pause is what is tested: it has to last.
    sleep(M / 4).await;
    etcd.resume();
    for (node, before) in [&mut a, &mut b].into_iter().zip(&before) {
        assert!(is_good(&node.state()), "it never doubted");
        let after = node
            .until("it goes on", |it| it.good_until > before.good_until)
            .await;
        assert_eq!((after.reg, after.view), (before.reg, before.view.clone()));
    }
}

#[tokio::test]
async fn a_pause_of_etcd_longer_than_m_suspends_all_and_evicts_nobody() {
    let Some(etcd) = Etcd::start() else { return };
    let mut a = Node::start(config(&etcd.endpoint()), "a");
    let proxy = Proxy::to(&etcd.endpoint()).await;
    let mut b = Node::start(config(&proxy.endpoint), "b");
    a.until_members("ab").await;
    b.until_members("ab").await;
    let before = [a.state(), b.state()];
    etcd.pause();
    for node in [&mut a, &mut b] {
        node.until("it notices", |it| !it.connected).await;
        while is_good(&node.state()) {
            sleep(M / 20).await;
        }
    }
    proxy.set(Cable::Held);
    etcd.resume();
    a.until("it goes on", is_good).await;
    // One of them is back, and the other has been silent for longer than M: but that was etcd's fault.
    sleep(M / 4).await;
    assert_eq!(a.state().view, before[0].view);
    proxy.set(Cable::Good);
    let after = b.until("it goes on", is_good).await;
    assert_eq!((after.reg, &after.view), (before[1].reg, &before[1].view));
    assert_eq!(a.state().view, before[0].view);
}

#[tokio::test]
async fn a_compaction_behind_the_back_of_a_node_that_was_cut_off_is_no_matter() {
    let Some(etcd) = Etcd::start() else { return };
    let mut a = Node::start(config(&etcd.endpoint()), "a");
    let proxy = Proxy::to(&etcd.endpoint()).await;
    let mut b = Node::start(config(&proxy.endpoint), "b");
    a.until_members("ab").await;
    b.until_members("ab").await;
    proxy.set(Cable::Cut);
    b.until("it notices", |it| !it.connected).await;
    a.until_members("a").await;
    let revision = etcd.ctl(&["endpoint", "status", "--write-out", "json"]);
    let revision = revision.split("\"revision\":").nth(1).expect("a revision");
    let revision = revision.split([',', '}']).next().expect("a number");
    let _ = etcd.ctl(&["compact", revision]);
    proxy.set(Cable::Good);
    let back = b.until_members("ab").await;
    a.until("the same view", |it| it.view == back.view).await;
}

#[tokio::test]
async fn a_link_that_carries_nothing_one_way_is_a_link_that_is_cut() {
    let Some(etcd) = Etcd::start() else { return };
    let mut a = Node::start(config(&etcd.endpoint()), "a");
    let proxy = Proxy::to(&etcd.endpoint()).await;
    let mut b = Node::start(config(&proxy.endpoint), "b");
    a.until_members("ab").await;
    b.until_members("ab").await;
    for cable in [Cable::Deaf, Cable::Mute] {
        proxy.set(cable);
        b.until("it notices", |it| !it.connected).await;
        a.until_members("a").await;
        assert!(!is_good(&b.state()));
        proxy.set(Cable::Good);
        b.until_members("ab").await;
        a.until_members("ab").await;
    }
}

#[tokio::test]
async fn the_next_endpoint_is_taken_where_one_is_dead() {
    let Some(etcd) = Etcd::start() else { return };
    let (one, other) = (
        Proxy::to(&etcd.endpoint()).await,
        Proxy::to(&etcd.endpoint()).await,
    );
    let both = format!("{},{}", one.endpoint, other.endpoint);
    other.set(Cable::Cut);
    let mut a = Node::start(config(&both), "a");
    let first = a.until_members("a").await;
    other.set(Cable::Good);
    one.set(Cable::Cut);
    let next = a
        .until("it goes on", |it| {
            it.connected && it.good_until > first.good_until && is_good(it)
        })
        .await;
    a.until("by the other", |_| other.connections() > 0).await;
    assert_eq!((next.reg, next.view), (first.reg, first.view));
}

#[tokio::test]
async fn clusters_that_share_an_etcd_do_not_see_each_other() {
    let Some(etcd) = Etcd::start() else { return };
    let of = |cluster| EtcdConfig::new(cluster, &etcd.endpoint()).expect("a configuration");
    let mut one = Node::start(of("x"), "a");
    let mut two = Node::start(of("xy"), "a");
    let below = of("x").with_prefix("/teams/rm").expect("a prefix");
    let mut three = Node::start(below, "a");
    for node in [&mut one, &mut two, &mut three] {
        node.until_members("a").await;
    }
    let keys = etcd.ctl(&["get", "--prefix", "", "--keys-only"]);
    for key in ["/rm/x/view", "/rm/xy/view", "/teams/rm/view"] {
        assert!(keys.lines().any(|line| line == key), "{key} in {keys}");
    }
}

#[tokio::test]
async fn a_node_with_another_lease_is_refused_and_leaves_nothing_behind() {
    let Some(etcd) = Etcd::start() else { return };
    let mut a = Node::start(config(&etcd.endpoint()), "a");
    a.until_members("a").await;
    let mut b = Node::start_with(config(&etcd.endpoint()), "b", 2 * LEASE);
    let refused = |it: &State| matches!(it.problem.as_deref(), Some(CoordinatorError::Refused(_)));
    let text = b
        .until("it is refused", refused)
        .await
        .problem
        .expect("a reason")
        .to_string();
    assert!(text.contains("12s") && text.contains("6s"), "{text}");
    b.until("it ended", |it| !it.connected).await;
    let keys = etcd.ctl(&["get", "--prefix", "/rm/test/", "--keys-only"]);
    assert!(!keys.contains("members/b"), "{keys}");
}

#[tokio::test]
async fn a_damaged_view_is_an_error_that_names_the_key() {
    let Some(etcd) = Etcd::start() else { return };
    let mut a = Node::start(config(&etcd.endpoint()), "a");
    let good = a.until_members("a").await;
    let _ = etcd.ctl(&["put", "/rm/test/view", "{\"format\":1,\"ep"]);
    let damaged = |it: &State| {
        matches!(
            it.problem.as_deref(),
            Some(CoordinatorError::Damaged { .. })
        )
    };
    let state = a.until("it says so", damaged).await;
    let text = state.problem.expect("a reason").to_string();
    assert!(text.contains("/rm/test/view"), "{text}");
    assert_eq!(state.view, good.view, "nothing was made up");
}

#[tokio::test]
async fn a_user_logs_in_again_when_its_token_is_void_and_a_wrong_password_is_named() {
    let Some(etcd) = Etcd::start() else { return };
    let _ = etcd.ctl(&["user", "add", "root:top"]);
    let _ = etcd.ctl(&["user", "grant-role", "root", "root"]);
    let _ = etcd.ctl(&["role", "add", "rm"]);
    let _ = etcd.ctl(&[
        "role",
        "grant-permission",
        "rm",
        "--prefix=true",
        "readwrite",
        "/rm/",
    ]);
    let _ = etcd.ctl(&["user", "add", "rm:secret"]);
    let _ = etcd.ctl(&["user", "grant-role", "rm", "rm"]);
    let _ = etcd.ctl(&["auth", "enable"]);
    let user = config(&etcd.endpoint()).with_user("rm", "secret");
    let mut a = Node::start(user.clone(), "a");
    let first = a.until_members("a").await;
    // A change of the password voids the tokens of the user.
    let passwd = [
        "--user",
        "root:top",
        "user",
        "passwd",
        "rm",
        "--interactive=false",
    ];
    let _ = etcd.ctl_with_input(&passwd, "secret\n");
    let later = a
        .until("it goes on", |it| {
            it.good_until > first.good_until.map(|it| it.after(M))
        })
        .await;
    assert_eq!((later.reg, &later.view), (first.reg, &first.view));
    assert!(later.problem.is_none() && later.connected);

    let mut wrong = Node::start(config(&etcd.endpoint()).with_user("rm", "guess"), "b");
    let problem = wrong
        .until("it says so", |it| it.problem.is_some())
        .await
        .problem;
    let problem = problem.expect("a reason");
    assert!(
        matches!(*problem, CoordinatorError::Authentication { .. }),
        "{problem}"
    );
    let outside = user.with_prefix("/elsewhere/").expect("a prefix");
    let mut outside = Node::start(outside, "c");
    let problem = outside
        .until("it says so", |it| it.problem.is_some())
        .await
        .problem;
    let problem = problem.expect("a reason");
    assert!(
        matches!(*problem, CoordinatorError::Permission { .. }),
        "{problem}"
    );
    assert!(problem.to_string().contains("/elsewhere/"), "{problem}");
}

/// An authority, and certificates of it, in a directory.
struct Certificates {
    dir: TempDir,
}

impl Certificates {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).expect("written");
        for who in ["server", "client"] {
            let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let params = CertificateParams::new(names).expect("parameters");
            let key = KeyPair::generate().expect("a key");
            let certificate = params.signed_by(&key, &authority).expect("signed");
            let file = |end: &str| dir.path().join(format!("{who}{end}"));
            std::fs::write(file(".pem"), certificate.pem()).expect("written");
            std::fs::write(file(".key"), key.serialize_pem()).expect("written");
        }
        Self { dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn tls(&self) -> EtcdTls {
        EtcdTls {
            ca: self.file("ca.pem"),
            identity: Some((self.file("client.pem"), self.file("client.key"))),
            server_name: None,
        }
    }
}

#[tokio::test]
async fn over_tls_both_sides_show_certificates_and_a_stranger_is_named() {
    let ours = Certificates::new();
    let etcd = Etcd::start_tls(
        &ours.file("ca.pem"),
        &ours.file("server.pem"),
        &ours.file("server.key"),
    );
    let Some(etcd) = etcd else { return };
    let secure = config(&etcd.endpoint()).with_tls(ours.tls()).expect("TLS");
    let mut a = Node::start(secure.clone(), "a");
    a.until_members("a").await;
    let health = EtcdCoordinator::check(&secure).await;
    let (_, health) = health.into_iter().next().expect("one endpoint");
    let health = health.expect("reached");
    assert!(
        !health.version.is_empty() && !health.warnings.iter().any(|it| it.contains("encrypted"))
    );

    let theirs = Certificates::new();
    let mut strange = theirs.tls();
    let stranger = config(&etcd.endpoint())
        .with_tls(strange.clone())
        .expect("TLS");
    let mut b = Node::start(stranger, "b");
    let problem = b
        .until("it says so", |it| it.problem.is_some())
        .await
        .problem;
    let problem = problem.expect("a reason");
    assert!(
        matches!(*problem, CoordinatorError::Tls { .. }),
        "{problem}"
    );
    strange.ca = ours.file("ca.pem");
    let unknown = config(&etcd.endpoint()).with_tls(strange).expect("TLS");
    let mut c = Node::start(unknown, "c");
    let problem = c
        .until("it says so", |it| it.problem.is_some())
        .await
        .problem;
    let problem = problem.expect("a reason").to_string();
    assert!(problem.contains("certificate"), "{problem}");
}

#[tokio::test]
async fn idle_nodes_send_four_writes_each_in_a_members_lease_and_little_else() {
    let Some(etcd) = Etcd::start() else { return };
    let nodes: [Node; 8] = cluster(&etcd).await;
    let counted = || etcd.metric("grpc_server_handled_total{");
    let (before, began) = (counted(), now());
    sleep(5 * M).await;
    let (requests, span) = (counted() - before, now().since(began));
    let rate = requests / span.as_secs_f64();
    let expected = 4.0 * nodes.len() as f64 / M.as_secs_f64();
    println!(
        "{} nodes: {rate:.1} requests a second, of {expected:.1} heartbeats",
        nodes.len()
    );
    assert!(rate < expected * 1.2, "{rate} requests a second");
    let views: Vec<_> = nodes.iter().map(|node| node.state().view).collect();
    assert!(
        views.windows(2).all(|pair| pair[0] == pair[1]),
        "{:?}",
        views[0].as_deref().map(View::epoch)
    );
}
