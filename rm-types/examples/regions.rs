//! Locks on the regions of one file: writers of different blocks do not meet, a reader of all waits for them.
//!
//! A log is appended block by block by several writers while a scrubber reads it as a whole, finds a bad block, and
//! repairs that one without letting go of the rest. Run it with `cargo run -p rm-types --example regions`.
//!
//! Here the cluster is one node without a network; the same code runs on a node or client that has the type registered.

use std::time::Duration;

use rm_types::{AcquireError, ByteRange, doc};
use tokio::task::JoinSet;

const BLOCK: u64 = 4096;
const BLOCKS: u64 = 8;

fn block(index: u64) -> core::ops::Range<u64> {
    index * BLOCK..(index + 1) * BLOCK
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let domain = doc::domain();
    let log = ByteRange::new(&domain, "logs/today");

    let mut writers = JoinSet::new();
    for index in 0..BLOCKS {
        let log = log.clone();
        writers.spawn(async move {
            let guard = log
                .write(block(index))
                .label(format!("block {index}"))
                .await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
            // The store of the block refuses smaller numbers from now on.
            Ok::<u64, AcquireError>(guard.fence())
        });
    }
    tokio::task::yield_now().await;
    let busy = log.try_read(..BLOCKS * BLOCK).await.unwrap_err();
    println!("all at once, each its block. A reader of all: {busy}");

    let mut scrub = log.read(..BLOCKS * BLOCK).label("scrub").await?;
    println!(
        "it waited for {} writers, and reads {:?}",
        writers.len(),
        scrub.range()
    );
    while let Some(fence) = writers.join_next().await {
        assert!(fence?? < scrub.fence());
    }

    scrub.upgrade(block(3)).await?;
    println!("block 3 is repaired:");
    for (range, mode) in scrub.pieces() {
        println!("  {range:?} {mode:?}");
    }
    assert!(
        log.try_read_cached(block(2)).is_some(),
        "others read the rest"
    );
    assert!(log.try_read_cached(block(3)).is_none());

    // What was scrubbed is let go of; the repaired block stays with the guard until it is on disk.
    let rest = scrub.split_at(4 * BLOCK)?;
    let mut repaired = scrub.split_at(3 * BLOCK)?;
    drop((scrub, rest));
    println!("only {:?} is held", repaired.range());
    let append = log.write(BLOCKS * BLOCK..).await?;
    repaired.downgrade(block(3))?;
    assert!(log.try_read_cached(block(3)).is_some());
    println!(
        "and now it is on disk. Appending at {}",
        append.range().start()
    );
    Ok(())
}
