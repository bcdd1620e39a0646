//! Each recipe against its real server: it excludes, shares, hands over, and gives back.
//!
//! Where a server is not installed, its test says so and passes: nobody has to have all of them, and neither has CI.

use std::sync::Arc;
use std::time::Duration;

use rm_net::Node;

use crate::contest::Recipe;
use crate::ours::Ours;
use crate::peer::{Mode, Peer};
use crate::workload::{CLIENTS, Round, Workload};
use clap::ValueEnum as _;

/// Short, but with every hand-over in it.
const ROUND: Round = Round {
    span: Duration::from_millis(100),
    number: 0,
    seed: 1,
};

async fn all_workloads(recipe: Recipe) {
    let product = recipe.product();
    if !product.is_installed() {
        eprintln!(
            "skipped: {product:?} is not installed: {}",
            product.install()
        );
        return;
    }
    let contestant = recipe.enter().await.expect("it starts");
    for &workload in Workload::value_variants() {
        if workload.suits(recipe.modes()) {
            let sample = contestant.run(workload, ROUND).await;
            let sample = sample.unwrap_or_else(|why| panic!("{}: {why}", workload.title()));
            assert!(sample.operations > 0, "{}", workload.title());
        }
    }
    let footprint = contestant.hold(1_000).await.expect("it holds many");
    assert!(footprint.client > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_read_write_lock_of_etcd_excludes_and_hands_over() {
    all_workloads(Recipe::EtcdInMemory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mutex_of_etcd_excludes_and_hands_over() {
    all_workloads(Recipe::EtcdExclusive).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_read_write_lock_of_redis_excludes_and_hands_over() {
    all_workloads(Recipe::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exclusive_lock_of_redis_excludes_and_hands_over() {
    all_workloads(Recipe::RedisExclusive).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_read_write_lock_of_zookeeper_excludes_and_hands_over() {
    all_workloads(Recipe::ZooKeeperInMemory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_advisory_locks_of_postgresql_exclude_and_hand_over() {
    all_workloads(Recipe::Postgres).await;
}

/// The tests of other crates start the daemon; here a server in this process says as much of the recipe.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_lock_excludes_and_hands_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Node::builder().listen("127.0.0.1:0").data_dir(dir.path());
    let server = server.start().await.expect("it starts");
    let address = server.local_addr().expect("it listens").to_string();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Arc::new(Ours::connect(&address).await.expect("connected")));
    }
    for &workload in Workload::value_variants() {
        let sample = workload.run(&clients, ROUND).await;
        let sample = sample.unwrap_or_else(|why| panic!("{}: {why}", workload.title()));
        assert!(sample.operations > 0, "{}", workload.title());
    }
    server.stop().await;
}

/// A lock that excludes nobody.
#[derive(Debug)]
struct Broken;

impl Peer for Broken {
    type Lock = ();
    type Guard<'l> = ();

    fn lock(&self, _: &str) {}

    async fn acquire(&self, (): &(), _: Mode) -> Result<(), String> {
        Ok(())
    }

    async fn release(&self, (): Self::Guard<'_>) -> Result<(), String> {
        // So that two holders overlap even where there is one processor.
        tokio::task::yield_now().await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_excludes_nobody_is_found_out() {
    let clients: Vec<_> = (0..CLIENTS).map(|_| Arc::new(Broken)).collect();
    let found = Workload::Starve.run(&clients, ROUND).await;
    let why = found.expect_err("the writer enters beside readers");
    assert!(why.contains("exclusion violated"), "{why}");
}
