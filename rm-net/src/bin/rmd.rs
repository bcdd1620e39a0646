//! The daemon: a standalone server.

use std::process::ExitCode;

fn main() -> ExitCode {
    rm_net::Daemon::new().run()
}
