//! `cargo xtask bench`: the benchmarks, in release mode, one program after the other.

use crate::cargo::Cargo;
use crate::report::Report;
use crate::workspace::Workspace;

/// Each benchmark program as arguments of cargo. A new one is a new row.
const PROGRAMS: [&[&str]; 1] = [&[
    "run",
    "--release",
    "--package",
    "rm-tests",
    "--bin",
    "rm-bench",
    "--",
]];

/// Runs every benchmark, with `args` handed on to each.
pub(crate) fn run(
    workspace: &Workspace,
    args: &[String],
    report: &mut Report,
) -> Result<(), String> {
    for program in PROGRAMS {
        let command = program
            .iter()
            .copied()
            .chain(args.iter().map(String::as_str));
        Cargo::new(workspace, command).run(report)?;
    }
    Ok(())
}
