//! `cargo xtask loom` and `cargo xtask shuttle`: the models of `rm-loom`, each run through every interleaving up to a
//! bound of preemptions, or under schedules drawn at random.
//!
//! The switches are `--cfg rm_loom` and `--cfg rm_shuttle`, ours alone: the plain `--cfg loom` would also reach into
//! tokio and take half of it away. The profile keeps `debug_assert!`, so that `check()` runs inside the models.

use crate::cargo::Cargo;
use crate::report::Report;
use crate::workspace::Workspace;

/// Preemptions explored per execution in CI: 2 finds most faults, 3 all that were ever seeded here.
const PREEMPTIONS: u8 = 3;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Explore interleavings with up to N preemptions
    #[arg(long, value_name = "N", default_value_t = PREEMPTIONS)]
    bound: u8,
    /// Build the models, run none
    #[arg(long)]
    no_run: bool,
    /// Run the models whose name contains this
    filter: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bound: PREEMPTIONS,
            no_run: false,
            filter: None,
        }
    }
}

/// What to run under schedules drawn at random.
#[derive(Debug, clap::Args)]
pub(crate) struct RandomOptions {
    /// Draw N schedules for each case of each model
    #[arg(long, value_name = "N", default_value_t = SCHEDULES)]
    schedules: u32,
    /// Run the models whose name contains this
    filter: Option<String>,
}

/// Schedules of each case in CI: all of it takes half a minute.
const SCHEDULES: u32 = 1_000;

impl Default for RandomOptions {
    fn default() -> Self {
        Self {
            schedules: SCHEDULES,
            filter: None,
        }
    }
}

pub(crate) fn run(
    workspace: &Workspace,
    options: &Options,
    report: &mut Report,
) -> Result<(), String> {
    let cargo = models(
        workspace,
        "loom",
        options.no_run.then_some("--no-run"),
        options.filter.as_deref(),
    )
    .env("LOOM_MAX_PREEMPTIONS", options.bound.to_string());
    if options.no_run {
        cargo.run(report)
    } else {
        cargo.run_tests(report)
    }
}

pub(crate) fn run_random(
    workspace: &Workspace,
    options: &RandomOptions,
    report: &mut Report,
) -> Result<(), String> {
    models(workspace, "shuttle", None, options.filter.as_deref())
        .env("RM_SHUTTLE_SCHEDULES", options.schedules.to_string())
        .run_tests(report)
}

/// The command that runs the models by an engine, in a build folder of the engine's own.
fn models(
    workspace: &Workspace,
    engine: &str,
    no_run: Option<&str>,
    filter: Option<&str>,
) -> Cargo {
    let mut args = vec![
        "test",
        "--profile",
        "explore",
        "--package",
        "rm-loom",
        "--no-fail-fast",
    ];
    args.extend(no_run);
    args.extend(filter);
    args.extend(["--", "--show-output"]);
    Cargo::new(workspace, args).flags(&format!("--cfg rm_{engine}"), &workspace.target(engine))
}
