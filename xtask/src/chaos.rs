//! `cargo xtask chaos`: real servers and clients as processes, under faults, in release mode.
//!
//! The program is `rm-chaos` of `rm-tests`; what is not named here it takes as it is given. It finds `rmd` beside itself, so
//! both are built in one go.

use std::ffi::OsString;

use crate::cargo::Cargo;
use crate::report::Report;
use crate::workspace::Workspace;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long, the healed phase included
    #[arg(long, default_value = MINUTES, value_name = "N")]
    minutes: String,
    /// What the schedule of faults follows from [default: drawn, and printed]
    #[arg(long)]
    seed: Option<String>,
    /// More for `rm-chaos run`, such as --coordinator, --clients or --network
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    more: Vec<OsString>,
}

/// The part of it that CI runs.
const MINUTES: &str = "1.5";

impl Default for Options {
    fn default() -> Self {
        Self {
            minutes: MINUTES.into(),
            seed: None,
            more: Vec::new(),
        }
    }
}

pub(crate) fn run(
    workspace: &Workspace,
    options: &Options,
    report: &mut Report,
) -> Result<(), String> {
    let release = ["--release", "--package", "rm-tests", "--bin", "rm-chaos"];
    let rmd = ["--package", "rm-net", "--bin", "rmd"];
    Cargo::new(workspace, [&["build"], &release[..], &rmd[..]].concat()).run(report)?;
    let mut args: Vec<OsString> = [&["run"], &release[..], &["--", "run", "--minutes"]]
        .concat()
        .into_iter()
        .map(Into::into)
        .collect();
    args.push(options.minutes.clone().into());
    if let Some(seed) = &options.seed {
        args.extend(["--seed".into(), seed.into()]);
    }
    args.extend(options.more.iter().cloned());
    Cargo::new(workspace, args).run(report)
}
