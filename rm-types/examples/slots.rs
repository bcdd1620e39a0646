//! A limit on how many jobs run at once, and a quota of bytes in flight, over a whole cluster.
//!
//! Ten workers share three slots. A job reserves its bytes as a quota: the task that starts it and the task that ends
//! it are different ones, so no guard goes from one to the other. Run it with `cargo run -p rm-types --example slots`.
//!
//! Here the cluster is one node without a network; the same code runs on a node or client that has the type registered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rm_types::{AcquireError, Semaphore, doc};
use tokio::task::JoinSet;

const SLOTS: u64 = 3;
const BYTES: u64 = 64 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let domain = doc::domain();
    let slots = Semaphore::new(&domain, "render/slots", SLOTS);
    let in_flight = Semaphore::new(&domain, "render/bytes", BYTES);
    let (running, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));

    let mut workers = JoinSet::new();
    for job in 1..=10_u64 {
        let (slots, in_flight) = (slots.clone(), in_flight.clone());
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        workers.spawn(async move {
            let _slot = slots.acquire(1).label(format!("job {job}")).await?;
            most.fetch_max(
                1 + running.fetch_add(1, Ordering::Relaxed),
                Ordering::Relaxed,
            );
            in_flight.consume(job << 20).await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
            running.fetch_sub(1, Ordering::Relaxed);
            Ok::<u64, AcquireError>(job << 20)
        });
    }
    let mut rendered = 0;
    while let Some(job) = workers.join_next().await {
        let bytes = job??;
        println!(
            "{bytes:>9} bytes rendered, {:>9} in flight",
            in_flight.consumed()
        );
        // Sent: whoever waits for room goes on.
        in_flight.refill(bytes)?;
        rendered += bytes;
    }
    println!(
        "{rendered:>9} bytes in all, at most {} jobs at once",
        most.load(Ordering::Relaxed)
    );
    assert_eq!(most.load(Ordering::Relaxed), SLOTS);

    // Twice is once too often, and it says so.
    println!("a refill too many: {}", in_flight.refill(1).unwrap_err());

    // Who must not wait, or not for long, says so.
    let all = slots.acquire(SLOTS).label("maintenance").await?;
    let busy = slots.try_acquire(1).await.unwrap_err();
    println!("a try: {busy}");
    let patience = Duration::from_millis(20);
    tokio::select! {
        permit = slots.acquire(1) => drop(permit?),
        () = tokio::time::sleep(patience) => println!("a wait: given up after {patience:?}"),
    }
    drop(all);
    Ok(())
}
