//! The project's benchmark: what a lock costs, beside what one would compare it with, in one run.
//!
//! Machines are noisy and differ, so every figure stands beside another one of the same run, and the
//! ratio is what counts. Pairs are measured in turn, in short rounds; the median round is printed.
//!
//! ```text
//! cargo xtask bench              all
//! cargo xtask bench -- cached    those whose name contains "cached"
//! ```

mod cached;
mod network;
mod rounds;

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        println!(
            "{:<44} {:>12} {:>12} {:>7}",
            "what", "ours", "beside", "ratio"
        );
        cached::run(&filter).await;
        network::run(&filter).await;
    });
}
