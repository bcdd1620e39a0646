//! `cargo xtask scale`: what an acquire costs in clusters of every size and shape, by simulation, in release mode.

use crate::cargo::Cargo;
use crate::report::Report;
use crate::workspace::Workspace;

/// Prints the table of docs/SCALE.md.
pub(crate) fn run(workspace: &Workspace, report: &mut Report) -> Result<(), String> {
    let program = [
        "run",
        "--release",
        "--package",
        "rm-tests",
        "--bin",
        "rm-scale",
    ];
    Cargo::new(workspace, program).run(report)
}
