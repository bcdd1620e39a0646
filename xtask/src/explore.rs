//! `cargo xtask explore`: the exhaustive exploration of small clusters, in the tests `explore` of `rm-tests` and
//! `rm-types`.
//!
//! These tests visit millions of states. They have a profile of their own, optimised and with all assertions
//! on, and are left out of a plain `cargo test`.

use crate::cargo::Cargo;
use crate::report::Report;
use crate::workspace::Workspace;

/// The tests read this variable; when it is set they add the configurations that take minutes.
const LONG: &str = "RM_EXPLORE";

/// What to run.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Add the larger clusters, which take minutes
    #[arg(long)]
    long: bool,
    /// Run the explorations whose name contains this
    filter: Option<String>,
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
        "rm-tests",
        "--package",
        "rm-types",
        "--test",
        "explore",
        "--no-fail-fast",
    ];
    args.extend(options.filter.as_deref());
    args.extend(["--", "--show-output"]);
    let mut cargo = Cargo::new(workspace, args);
    if options.long {
        cargo = cargo.env(LONG, "long");
    }
    cargo.run_tests(report)
}
