//! `cargo xtask simulate`: clusters that fail in simulated time, as many schedules as one likes, in release mode.

use std::ffi::OsString;

use crate::cargo::Cargo;
use crate::report::Report;
use crate::workspace::Workspace;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many schedules of each kind
    #[arg(long, default_value = "1000", value_name = "N")]
    schedules: String,
    /// The first seed; each further schedule has the next
    #[arg(long, default_value = "0", value_name = "N")]
    seed: String,
    /// One kind only: everything, moves, standalone, deaths, restarts, forced, together or visits
    #[arg(long)]
    kind: Option<String>,
    /// How many run at once [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    threads: Option<String>,
}

pub(crate) fn run(
    workspace: &Workspace,
    options: &Options,
    report: &mut Report,
) -> Result<(), String> {
    let program = "run --release --package rm-tests --bin rm-simulate --";
    let mut args: Vec<OsString> = program.split(' ').map(Into::into).collect();
    let flags = [
        ("--schedules", Some(&options.schedules)),
        ("--seed", Some(&options.seed)),
        ("--kind", options.kind.as_ref()),
        ("--threads", options.threads.as_ref()),
    ];
    for (flag, value) in flags {
        if let Some(value) = value {
            args.extend([flag.into(), value.into()]);
        }
    }
    Cargo::new(workspace, args).run(report)
}
