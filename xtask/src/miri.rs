//! `cargo xtask miri`: tests of the lock and of the async face in Miri, an interpreter that finds undefined behaviour, data
//! races and leaks.
//!
//! Every test runs under several seeds. A seed decides when threads are preempted and which of the values that the
//! memory orderings allow a load sees, so tests with threads are tried in as many ways; the others run the same way each time, at other
//! addresses.
//!
//! Miri is a thousand times slower than the machine, so what it could say nothing about is left out: tests of pure
//! arithmetic over many samples (the laws of a credit), the protocol's own tests, and all that has sockets. It needs a
//! nightly toolchain, which nothing else here does: that, and the minutes it takes, is why it is no step of
//! `cargo xtask test`.

use crate::cargo::Cargo;
use crate::report::Report;
use crate::workspace::Workspace;

/// Seeds tried unless told otherwise.
const SEEDS: u32 = 4;

/// What is run: the package, and how cargo is told which tests of it.
const TESTS: [(&str, &[&str]); 4] = [
    (
        "rm-rwlock",
        &[
            "--test", "alone", "--test", "blocking", "--test", "cancel", "--test", "guarded",
            "--test", "modes", "--test", "threads",
        ],
    ),
    // Tests about what is forgotten leak it, as they must.
    (
        "rm-rwlock",
        &[
            "--lib",
            "--",
            "--skip",
            "credit",
            "--skip",
            "fencing",
            "--skip",
            "forgotten",
        ],
    ),
    // A gate gets hot by many thousand entries.
    (
        "rm-core",
        &[
            "--test",
            "gate",
            "--test",
            "holds",
            "--",
            "--skip",
            "hot_gate",
            "--skip",
            "forgotten",
        ],
    ),
    ("rm-core", &["--lib", "--", "front"]),
];

/// How to run it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Try each test under N seeds
    #[arg(long, value_name = "N", default_value_t = SEEDS, value_parser = clap::value_parser!(u32).range(1..))]
    seeds: u32,
}

pub(crate) fn run(
    workspace: &Workspace,
    options: &Options,
    report: &mut Report,
) -> Result<(), String> {
    if !Cargo::nightly(workspace, ["miri", "--version"]).succeeds() {
        return Err(
            "Miri is missing; run: rustup toolchain install nightly --component miri,rust-src"
                .into(),
        );
    }
    let flags = format!(
        "-Zmiri-strict-provenance -Zmiri-many-seeds=0..{}",
        options.seeds
    );
    for (package, tests) in TESTS {
        let command = ["miri", "test", "--package", package];
        Cargo::nightly(workspace, [&command, tests].concat())
            .env("MIRIFLAGS", &flags)
            .run_tests(report)?;
    }
    Ok(())
}
