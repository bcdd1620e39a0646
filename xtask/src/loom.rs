//! `cargo xtask loom`: the models of `rm-loom`, each run through every interleaving up to a bound of preemptions.
//!
//! The switch is `--cfg rm_loom`, ours alone: the plain `--cfg loom` would also reach into tokio and take half of
//! it away. The profile keeps `debug_assert!`, so that `check()` runs inside the models.

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

pub(crate) fn run(
    workspace: &Workspace,
    options: &Options,
    report: &mut Report,
) -> Result<(), String> {
    let mut args = vec![
        "test",
        "--profile",
        "explore",
        "--package",
        "rm-loom",
        "--no-fail-fast",
    ];
    args.extend(options.no_run.then_some("--no-run"));
    args.extend(options.filter.as_deref());
    args.extend(["--", "--show-output"]);
    let cargo = Cargo::new(workspace, args)
        .flags("--cfg rm_loom", &workspace.target("loom"))
        .env("LOOM_MAX_PREEMPTIONS", options.bound.to_string());
    if options.no_run {
        cargo.run(report)
    } else {
        cargo.run_tests(report)
    }
}
