//! `cargo xtask chaos`: real servers and clients as processes, under faults, optimised and with the assertions of the
//! exploration: each owner checks its book after every input.
//!
//! The program is `rm-chaos` of `rm-tests`; what is not named here it takes as it is given. It finds `rmd` beside itself, so
//! both are built in one go.

use std::ffi::OsString;
use std::process::Command;

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

/// How long a run is where nothing is said, and the part of the suite with several servers.
const MINUTES: &str = "1.5";

/// How long the part of the suite is in which one server stands alone.
const MINUTES_ALONE: &str = "0.7";

impl Default for Options {
    fn default() -> Self {
        Self {
            minutes: MINUTES.into(),
            seed: None,
            more: Vec::new(),
        }
    }
}

/// The part of the suite: several servers that agree by way of etcd, then one that stands alone and restarts.
pub(crate) fn run_both(workspace: &Workspace, report: &mut Report) -> Result<(), String> {
    let etcd = std::env::var_os("RM_ETCD").unwrap_or_else(|| "etcd".into());
    let has_etcd = Command::new(etcd).arg("--version").output().is_ok();
    if has_etcd {
        run(workspace, &Options::default(), report)?;
    } else if std::env::var_os("CI").is_some() {
        return Err("there is no etcd: install etcd-server, or name the program in RM_ETCD".into());
    } else {
        println!(
            "skipped: several servers. There is no etcd: install etcd-server, or name the program in RM_ETCD"
        );
    }
    let alone = Options {
        minutes: MINUTES_ALONE.into(),
        more: vec!["--coordinator".into(), "standalone".into()],
        ..Options::default()
    };
    run(workspace, &alone, report)
}

pub(crate) fn run(
    workspace: &Workspace,
    options: &Options,
    report: &mut Report,
) -> Result<(), String> {
    let profile = [
        "--profile",
        "explore",
        "--package",
        "rm-tests",
        "--bin",
        "rm-chaos",
    ];
    let rmd = ["--package", "rm-net", "--bin", "rmd"];
    Cargo::new(workspace, [&["build"], &profile[..], &rmd[..]].concat()).run(report)?;
    let mut args: Vec<OsString> = [&["run"], &profile[..], &["--", "run", "--minutes"]]
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
