//! What each grant policy costs on each workload: one table, the same every time.
//!
//! ```text
//! cargo xtask bench policies                                 all of them
//! cargo run --release -p rm-tests --bin rm-policies -- migr  those whose name contains "migr"
//! ```

use rm_tests::workload::{policies, run, table_head, table_row, workloads};

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    println!("{}", table_head());
    for workload in workloads(1) {
        for (name, policy) in policies() {
            if workload.name.contains(&filter) {
                println!(
                    "{}",
                    table_row(workload.name, name, &run(policy, &workload))
                );
            }
        }
    }
}
