//! `cargo xtask peers`: the lock services that are installed here beside this one, in release mode.
//!
//! The program is `rm-peers`; what is not named here it takes as it is given. It finds `rmd` beside itself.

use std::ffi::OsString;

use crate::cargo::Cargo;
use crate::report::Report;
use crate::workspace::Workspace;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Beside these only (comma-separated: etcd, redis, zookeeper, postgres)
    #[arg(long, value_name = "PEERS")]
    only: Option<OsString>,
    /// For how long each peer does each workload
    #[arg(long, value_name = "N")]
    seconds: Option<OsString>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// More for `rm-peers`, such as --workloads, --rounds or --locks
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    more: Vec<OsString>,
}

pub(crate) fn run(
    workspace: &Workspace,
    options: &Options,
    report: &mut Report,
) -> Result<(), String> {
    let both = [
        "--release",
        "--package",
        "rm-net",
        "--package",
        "rm-peers",
        "--features",
        "rm-peers/services",
    ];
    let programs = ["--bin", "rmd", "--bin", "rm-peers"];
    let build = [&["build"], &both[..], &programs[..]].concat();
    Cargo::new(workspace, build).run(report)?;
    // With the same packages, or what they share is built again for one of them alone.
    let program = ["--bin", "rm-peers", "--"];
    let command = [&["run"], &both[..], &program[..]].concat();
    let mut args: Vec<OsString> = command.into_iter().map(Into::into).collect();
    if let Some(only) = &options.only {
        args.extend(["--only".into(), only.clone()]);
    }
    if let Some(seconds) = &options.seconds {
        args.extend(["--seconds".into(), seconds.clone()]);
    }
    args.extend(options.json.then(|| "--json".into()));
    args.extend(options.more.iter().cloned());
    Cargo::new(workspace, args).run(report)
}
