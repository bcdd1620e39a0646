//! What operators ask and order, over real sockets and in one process.

use std::future::IntoFuture as _;
use std::time::{Duration, Instant};

use rm_core::command::{Action, Command, Force, LoanEnd, Outcome};
use rm_core::error::LostReason;
use rm_core::id::ResourceKey;
use rm_core::inspect::{Answer, NodeRole, Query, Standing};
use rm_core::resource::ResourceType as _;
use rm_net::{Client, Node, Operator};
use rm_rwlock::{RwLockType, WriteError};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);

struct Server {
    node: Node,
    endpoint: String,
    dir: TempDir,
}

async fn server() -> Server {
    server_with_lease(Duration::from_secs(15)).await
}

async fn server_with_lease(lease: Duration) -> Server {
    let dir = tempfile::tempdir().expect("a directory");
    let builder = Node::builder()
        .name("server")
        .listen("127.0.0.1:0")
        .lease(lease);
    let node = builder.data_dir(dir.path()).start().await;
    let node = node.expect("started");
    let endpoint = node.local_addr().expect("it listens").to_string();
    Server {
        node,
        endpoint,
        dir,
    }
}

impl Server {
    async fn client(&self) -> Client {
        Client::connect(&self.endpoint).await.expect("connected")
    }

    async fn order(&self, action: Action, reason: &str) -> Outcome {
        let mut operator = self.operator().await;
        let command = Command {
            action,
            reason: reason.into(),
            by: "ada@ops".into(),
        };
        let outcome = operator.order(command).await;
        operator.close().await;
        outcome.expect("an answer")
    }

    async fn until_waiting(&self, count: u64) {
        while self.node.totals().waiting < count {
            tokio::task::yield_now().await;
        }
    }

    async fn operator(&self) -> Operator {
        let operator = Operator::connect(&self.endpoint, PATIENCE).await;
        operator.expect("connected")
    }
}

fn release(name: &str, force: Force) -> Action {
    Action::Release {
        type_id: RwLockType::ID,
        key: ResourceKey::new(name.as_bytes()).expect("a name"),
        force,
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("in time")
}

#[tokio::test]
async fn a_guard_that_was_released_by_force_says_so_and_who_did_it_and_why() {
    let server = server().await;
    let client = server.client().await;
    let lock = client.rw_lock("x");
    let guard = lock.write().await.expect("granted");
    assert_eq!(guard.release_reason(), None);
    let outcome = server.order(release("x", Force::Polite), "stuck").await;
    let Outcome::Released { loans, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(loans.len(), 1);
    assert_eq!(loans[0].end, LoanEnd::Returned);
    assert_eq!(within(guard.lost()).await, LostReason::Revoked);
    assert_eq!(guard.release_reason().as_deref(), Some("ada@ops: stuck"));
    assert!(!guard.is_valid());
    let late = guard.set_value("late");
    assert_eq!(late, Err(WriteError::Lost(LostReason::Revoked)));
    assert_eq!(client.totals().losses.count(LostReason::Revoked), 1);
}

#[tokio::test]
async fn who_waited_first_is_next_after_a_release() {
    let server = server().await;
    let (one, two, three) = (
        server.client().await,
        server.client().await,
        server.client().await,
    );
    let held = one.rw_lock("x").write_owned().await.expect("granted");
    let first = tokio::spawn(two.rw_lock("x").write_owned().into_future());
    within(server.until_waiting(1)).await;
    let second = tokio::spawn(three.rw_lock("x").write_owned().into_future());
    within(server.until_waiting(2)).await;
    let old = held.fence();
    let _ = server.order(release("x", Force::Polite), "stuck").await;
    let next = within(first).await.expect("no panic").expect("granted");
    assert!(next.fence() > old);
    assert!(!second.is_finished());
    drop(next);
    drop(within(second).await.expect("no panic").expect("granted"));
}

#[tokio::test]
async fn guards_of_the_servers_own_process_are_told_of_and_not_taken_away() {
    let server = server().await;
    let guard = server
        .node
        .rw_lock("x")
        .write_owned()
        .await
        .expect("granted");
    for force in [Force::Polite, Force::Now] {
        let outcome = server.order(release("x", force), "stuck").await;
        let Outcome::Released {
            loans, own_holds, ..
        } = outcome
        else {
            panic!("{outcome:?}");
        };
        assert_eq!((loans.len(), own_holds), (0, 1));
    }
    assert!(guard.is_valid());
}

#[tokio::test]
async fn an_order_without_a_reason_is_refused_and_changes_nothing() {
    let server = server().await;
    let client = server.client().await;
    let guard = client.rw_lock("x").write_owned().await.expect("granted");
    for reason in ["", " \t"] {
        let outcome = server.order(release("x", Force::Now), reason).await;
        let Outcome::Refused { text } = outcome else {
            panic!("{outcome:?}");
        };
        assert!(text.contains("reason"), "{text}");
    }
    assert!(guard.is_valid());
}

#[tokio::test]
async fn an_order_of_a_later_version_is_not_understood() {
    let server = server().await;
    assert_eq!(server.order(Action::Unknown, "r").await, Outcome::Unknown);
}

#[tokio::test]
async fn a_drain_is_heard_by_who_runs_the_node_and_shown_in_its_standing() {
    let server = server().await;
    let node = server.node.clone();
    let heard = tokio::spawn(async move { node.drain_ordered().await });
    let drain = Action::Drain {
        node: "server".into(),
        within: Duration::from_secs(7),
    };
    assert_eq!(server.order(drain, "new disks").await, Outcome::Draining);
    let heard = within(heard).await.expect("no panic");
    assert_eq!(heard, Duration::from_secs(7));
    let mut operator = server.operator().await;
    let Ok(Answer::Members(view)) = operator.ask(Query::Members).await else {
        panic!("no answer");
    };
    assert_eq!(
        (view.role, view.standing),
        (NodeRole::Standalone, Standing::Leaving)
    );
}

#[tokio::test]
async fn health_tells_of_the_clock_the_files_and_the_data_directory() {
    let server = server().await;
    let answer = server.operator().await.ask(Query::Health).await;
    let Ok(Answer::Health(health)) = answer else {
        panic!("{answer:?}");
    };
    assert!(health.clock_nanos > 0 && health.wall_nanos > 0 && !health.clock.is_empty());
    assert!(health.files_max > 0);
    let data_dir = health.data_dir.expect("it has one");
    assert_eq!(data_dir.path, server.dir.path().display().to_string());
    assert_eq!(data_dir.error, "");
    assert!(data_dir.free_bytes > 0);
}

#[tokio::test]
async fn an_operator_who_asks_for_longer_than_a_lease_keeps_its_session() {
    let server = server_with_lease(Duration::from_secs(1)).await;
    let mut operator = server.operator().await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2_500) {
        let answer = operator.ask(Query::Members).await;
        assert!(matches!(answer, Ok(Answer::Members(_))), "{answer:?}");
    }
}
