//! The project's own tasks, run as `cargo xtask TASK`.
//!
//! A newcomer needs cargo and nothing else: each task is a thin layer over cargo commands, which are printed
//! before they run, so that any of them can be repeated by hand. One module per task; `workspace` says where
//! things are, `cargo` runs a command, `report` counts tests.

mod bench;
mod cargo;
mod chaos;
mod dependencies;
mod explore;
mod fuzz;
mod loom;
mod miri;
mod mutants;
mod peers;
mod proto;
mod purity;
mod report;
mod scale;
mod simulate;
mod suite;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::Report;
use crate::suite::Step;
use crate::workspace::Workspace;

/// The project's own tasks.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run everything CI runs, in order, up to the first failure
    Test {
        /// Run these steps only (comma-separated; `--list` names them)
        #[arg(
            long,
            value_enum,
            value_delimiter = ',',
            value_name = "STEP",
            hide_possible_values = true
        )]
        only: Vec<Step>,
        /// Leave these steps out (comma-separated)
        #[arg(
            long,
            value_enum,
            value_delimiter = ',',
            value_name = "STEP",
            hide_possible_values = true
        )]
        skip: Vec<Step>,
        /// Name the steps, run none
        #[arg(long)]
        list: bool,
    },
    /// Check the concurrent parts under loom: every interleaving up to a bound of preemptions
    Loom(loom::Options),
    /// Check the concurrent parts under shuttle: schedules drawn at random, and more threads
    Shuttle(loom::RandomOptions),
    /// Explore small clusters exhaustively and print how many states each had
    Explore(explore::Options),
    /// Break the code on purpose, one seeded mutant at a time: a test must catch each
    Mutants {
        /// Try these mutants only (file names in tests/mutants without `.patch`)
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Only see whether every patch still applies
        #[arg(long)]
        check: bool,
    },
    /// Run tests of the lock and of the async face in Miri, which finds undefined behaviour and data races
    Miri(miri::Options),
    /// Run the benchmarks
    Bench {
        /// Run these only
        #[arg(value_enum, value_name = "PART")]
        parts: Vec<bench::Part>,
    },
    /// Fuzz what reads bytes of strangers, led by coverage; needs a C++ compiler
    Fuzz(fuzz::Options),
    /// Run real servers and clients as processes, break what can be broken, and judge what the clients saw
    Chaos(chaos::Options),
    /// Run the lock services that are installed here, and this one, through the same workloads
    Peers(peers::Options),
    /// Simulate clusters of up to 100,000 nodes and print what an acquire costs in each
    Scale,
    /// Simulate clusters that fail, from seed to seed, and print what they went through
    Simulate(simulate::Options),
    /// Generate the wire types anew from the message schema
    Proto {
        /// Change nothing; fail if the generated file is out of date
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode, String> {
    let workspace = Workspace::locate()?;
    let mut report = Report::default();
    match task {
        Task::Test { list: true, .. } => suite::list(),
        // Its summary has the last word, so it tells of failures itself.
        Task::Test { only, skip, .. } => return suite::run(&workspace, &only, &skip),
        Task::Loom(options) => loom::run(&workspace, &options, &mut report)?,
        Task::Shuttle(options) => loom::run_random(&workspace, &options, &mut report)?,
        Task::Explore(options) => explore::run(&workspace, &options, &mut report)?,
        Task::Fuzz(options) => fuzz::run(&workspace, &options, &mut report)?,
        Task::Mutants { names, check: true } => mutants::check(&workspace, &names)?,
        Task::Mutants { names, .. } => mutants::run(&workspace, &names)?,
        Task::Miri(options) => miri::run(&workspace, &options, &mut report)?,
        Task::Bench { parts } => bench::run(&workspace, &parts, &mut report)?,
        Task::Chaos(options) => chaos::run(&workspace, &options, &mut report)?,
        Task::Peers(options) => peers::run(&workspace, &options, &mut report)?,
        Task::Scale => scale::run(&workspace, &mut report)?,
        Task::Simulate(options) => simulate::run(&workspace, &options, &mut report)?,
        Task::Proto { check } => proto::run(check)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn steps_are_given_as_one_comma_separated_list() {
        let cli = Cli::parse_from(["xtask", "test", "--only", "fmt,clippy"]);
        let Task::Test { only, .. } = cli.task else {
            panic!("`test` parsed as {:?}", cli.task)
        };
        assert_eq!(only, [Step::Fmt, Step::Clippy]);
    }
}
