//! What the agent of a host saves processes that live shortly, and what TLS costs.
//!
//! The ways to one server are used in turn, operation by operation, so that all see the same machine; the median of each
//! is printed. Where a network is said to be between, `delay` makes it.
//!
//! ```text
//! cargo xtask bench agent
//! ```

mod delay;
mod open;
mod place;
mod short;

use std::time::Duration;

use self::place::Place;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let place = Place::start().await;
        open::run(&place).await;
        short::run(&place).await;
        place.stop().await;
    });
}

/// The median, readable.
fn median(mut spent: Vec<Duration>) -> String {
    spent.sort();
    let nanos = spent[spent.len() / 2].as_nanos() as f64;
    match nanos {
        ..10e3 => format!("{nanos:.0} ns"),
        ..10e6 => format!("{:.1} us", nanos / 1e3),
        _ => format!("{:.1} ms", nanos / 1e6),
    }
}

/// One line of a table.
fn line(what: &str, cells: &[String]) {
    print!("{what:<44}");
    for cell in cells {
        print!(" {cell:>12}");
    }
    println!();
}
