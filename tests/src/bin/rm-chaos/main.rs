//! `rm-chaos`: real servers and clients as processes, faults upon them, and a judgement of what they saw.
//!
//! ```text
//! cargo xtask chaos --minutes 5 --seed 7
//!
//! run      this process: makes the network, starts the rest, breaks it by a schedule, heals it, and judges
//!  rmd     the servers, and an etcd if they are to agree through one
//!  client  processes that take locks, use registers that the locks guard, and record what they saw
//! ```
//!
//! | module | is |
//! |---|---|
//! | `run` | a run from its beginning to the report |
//! | `faults` | the schedule, which follows from the seed |
//! | `cluster`, `process`, `etcd` | the processes |
//! | `network` | namespaces or proxies, and links that are cut |
//! | `client`, `record`, `register` | what a client does, records and writes |
//! | `history`, `registers` | what must hold of all records and registers together |
//! | `verdict` | the report |
//!
//! **A run** has a faulty phase and a healed one. Nothing that a lock promises may be broken in either. In the second, everybody must get
//! locks again. The seed fixes the schedule and what clients want; how processes and packets interleave it cannot fix,
//! so a failure may need several runs to come again. All records are kept.

mod client;
mod cluster;
mod etcd;
mod faults;
mod history;
mod network;
mod place;
mod process;
mod record;
mod register;
mod registers;
mod run;
mod verdict;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::Builder;

/// Real processes under faults
#[derive(Debug, Parser)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Start servers and clients, break what can be broken, and judge
    Run(run::RunArgs),
    /// Judge what the clients of a run have recorded, once more
    Judge {
        /// Where the records are
        dir: PathBuf,
    },
    /// Take locks and record what becomes of them, until the standard input is closed
    #[command(hide = true)]
    Client(client::ClientArgs),
    /// Become another program that dies with this one's parent
    #[command(hide = true)]
    Tied {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match start(Cli::parse().part) {
        Ok(code) => code,
        Err(what) => {
            eprintln!("error: {what}");
            ExitCode::FAILURE
        }
    }
}

fn start(part: Part) -> Result<ExitCode, String> {
    // One thread: the kernel ties processes to the thread that started them, and this one lives as long as the run.
    let runtime = || {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| format!("cannot start: {error}"))
    };
    match part {
        Part::Run(args) => runtime()?.block_on(run::run(args)),
        Part::Judge { dir } => run::judge_again(&dir),
        Part::Client(args) => {
            runtime()?.block_on(client::run(args))?;
            Ok(ExitCode::SUCCESS)
        }
        Part::Tied { words } => match process::tied(&words)? {},
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
