//! Order numbers that are unique for ever, and log positions that rise: `cargo run -p rm-types --example numbers`.
//!
//! It runs on a domain of this process alone. Over a network, take the handles from a `Client` instead.

use rm_types::doc::{block_on, domain};
use rm_types::{AcquireError, IdRange, Sequence};

fn main() -> Result<(), AcquireError> {
    let domain = domain();
    let orders = IdRange::new(&domain, "orders");
    let log = Sequence::new(&domain, "log");
    block_on(async {
        // One at a time, or as many as a batch needs. Nobody else in the cluster gets the same, ever.
        let single = orders.next().await?;
        let batch = orders.take(1_000).await?;
        println!("order {single}, and a batch of {}: {batch:?}", batch.len());

        // Identifiers are unique; positions rise. Use the one that you need: the first is cheaper.
        let first = log.next().await?;
        let second = log.next().await?;
        println!("log positions {first} and {second}");
        assert!(first < second);
        Ok(())
    })
}
