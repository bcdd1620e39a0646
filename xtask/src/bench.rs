//! `cargo xtask bench`: the benchmarks, in release mode, one program after the other.

use crate::cargo::Cargo;
use crate::report::Report;
use crate::workspace::Workspace;

/// The benchmark programs of `rm-tests`.
const PROGRAMS: [&str; 3] = ["rm-bench", "rm-policies", "rm-fairness"];

/// Runs every benchmark, with `args` handed on to each.
pub(crate) fn run(
    workspace: &Workspace,
    args: &[String],
    report: &mut Report,
) -> Result<(), String> {
    for program in PROGRAMS {
        let command = [
            "run",
            "--release",
            "--package",
            "rm-tests",
            "--bin",
            program,
            "--",
        ];
        let args = args.iter().map(String::as_str);
        Cargo::new(workspace, command.into_iter().chain(args)).run(report)?;
    }
    Ok(())
}
