//! The operator's tool: locks for shells, a look into a server, a benchmark and a demonstration.

use std::process::ExitCode;

fn main() -> ExitCode {
    rm_net::cli::rmctl()
}
