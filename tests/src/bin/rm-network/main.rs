//! What a lock of a client costs, beside what one would compare it with, in one run.
//!
//! Machines are noisy and differ, so every figure stands beside another one of the same run, and the
//! ratio is what counts. Pairs are measured in turn, in short rounds; the median round is printed.
//!
//! ```text
//! cargo xtask bench network
//! ```

mod cached;
mod network;
mod rounds;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        println!(
            "{:<50} {:>12} {:>12} {:>7}",
            "what", "ours", "beside", "ratio"
        );
        cached::run().await;
        network::run().await;
    });
}
