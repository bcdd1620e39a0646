//! `cargo xtask bench`: the benchmarks, in release mode, one program after the other.

use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::cargo::Cargo;
use crate::report::Report;
use crate::workspace::Workspace;

/// One of the benchmarks. The order of the variants is the order of the run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Part {
    /// Locks of this process beside tokio's, async-lock's, parking_lot's and std's: nanoseconds and ratios
    Local,
    /// The same locks in machine instructions, which do not depend on what else the machine does; needs valgrind
    Instructions,
    /// Bytes of a lock, a guard and a future; what their use asks of the allocator
    Footprint,
    /// Locks of a client of a server: cached under a lease, and over the network
    Network,
    /// What the agent of a host saves processes that live shortly, and what TLS costs
    Agent,
    /// What a server's processor does for a grant, and what a lock takes in memory on either side
    Grants,
    /// The same work by instructions and system calls; needs valgrind and strace, and is run only when it is named
    Profile,
    /// What each grant policy costs on each workload
    Policies,
    /// How long readers and writers wait under a flood of the others, in one process and over several
    Fairness,
    /// What a member's death costs clients with very many locks in use; needs etcd
    Failover,
}

impl Part {
    fn run(self, workspace: &Workspace, report: &mut Report) -> Result<(), String> {
        match self {
            Self::Local => program(workspace, "rm-bench", "rm-bench", &["local"]),
            Self::Instructions if !answers("valgrind") => {
                println!("not counted: {NO_VALGRIND}");
                return Ok(());
            }
            Self::Instructions => program(workspace, "rm-bench", "rm-bench", &["instructions"]),
            Self::Footprint => program(workspace, "rm-bench", "rm-footprint", &[]),
            Self::Network => program(workspace, "rm-tests", "rm-network", &[]),
            Self::Agent => {
                // It finds it beside itself.
                let rmctl = ["build", "--release", "--package", "rm-net", "--bin", "rmctl"];
                Cargo::new(workspace, rmctl).run(report)?;
                program(workspace, "rm-tests", "rm-agent", &[])
            }
            Self::Grants => program(workspace, "rm-tests", "rm-grants", &[]),
            Self::Profile if !(answers("valgrind") && answers("strace")) => {
                println!("not profiled: valgrind or strace is missing (on Debian: apt-get install valgrind strace)");
                return Ok(());
            }
            Self::Profile => program(workspace, "rm-tests", "rm-grants", &["profile"]),
            Self::Policies => program(workspace, "rm-tests", "rm-policies", &[]),
            Self::Fairness => program(workspace, "rm-tests", "rm-fairness", &[]),
            Self::Failover if !answers("etcd") => {
                println!("not measured: what a member's death costs, as etcd is missing (on Debian: apt-get install etcd-server)");
                return Ok(());
            }
            Self::Failover => {
                // It finds it beside itself.
                let rmd = ["build", "--release", "--package", "rm-net", "--bin", "rmd"];
                Cargo::new(workspace, rmd).run(report)?;
                program(workspace, "rm-tests", "rm-failover", &[])
            }
        }
        .run(report)
    }
}

const NO_VALGRIND: &str =
    "instructions per operation, as valgrind is missing (on Debian: apt-get install valgrind)";

/// Runs these benchmarks; when none is named, all but the profile, which takes longer than all the others.
pub(crate) fn run(
    workspace: &Workspace,
    parts: &[Part],
    report: &mut Report,
) -> Result<(), String> {
    let is_asked =
        |part: &&Part| parts.contains(part) || (parts.is_empty() && **part != Part::Profile);
    for part in Part::value_variants().iter().filter(is_asked) {
        part.run(workspace, report)?;
        println!();
    }
    Ok(())
}

/// Fails where a cached read or write takes more instructions than it may; in CI also where nothing can count them.
pub(crate) fn check_instructions(workspace: &Workspace, report: &mut Report) -> Result<(), String> {
    if !answers("valgrind") {
        if std::env::var_os("CI").is_some() {
            return Err(NO_VALGRIND.into());
        }
        report.unchecked.push(NO_VALGRIND.into());
        return Ok(());
    }
    program(workspace, "rm-bench", "rm-bench", &["check-instructions"]).run(report)
}

fn program(workspace: &Workspace, package: &str, name: &str, args: &[&str]) -> Cargo {
    let command = [
        "run",
        "--release",
        "--package",
        package,
        "--bin",
        name,
        "--",
    ];
    Cargo::new(workspace, [&command, args].concat())
}

/// Whether there is such a program.
fn answers(program: &str) -> bool {
    let asked = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}
