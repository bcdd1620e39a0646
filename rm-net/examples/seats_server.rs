//! `rmd` that knows one more resource type.

mod seats;

use std::process::ExitCode;

use seats::Train;

fn main() -> ExitCode {
    rm_net::Daemon::new().register(Train { seats: 40 }).run()
}
