//! `cargo xtask test`: everything CI runs.
//!
//! The steps run in the order of [`Step`], the cheap ones first, and the first failure ends the run: later steps
//! would mostly repeat it. Within a step all tests run, so that one run shows every failure of its kind. A summary
//! closes the run, and its last line counts the tests: `N passed, M failed`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::cargo::Cargo;
use crate::report::Report;
use crate::workspace::Workspace;
use crate::{bench, chaos, dependencies, explore, fuzz, loom, mutants, proto, purity};

/// One step of the suite. The order of the variants is the order of the run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Step {
    /// The code is formatted
    Fmt,
    /// The core and the lock types link nothing that acts, waits or guesses
    Purity,
    /// Licences, sources and versions of all dependencies follow deny.toml
    Deps,
    /// The generated wire types match the message schema
    Proto,
    /// Every seeded mutant still applies
    Mutants,
    /// Clippy is content with every target
    Clippy,
    /// Each library crate builds without warnings by itself, with its default features only
    Alone,
    /// The documentation builds without warnings
    Doc,
    /// Unit, integration and documentation tests pass, and none is ignored
    Tests,
    /// The exhaustive exploration of small clusters finds no violation
    Explore,
    /// The loom models pass, up to a bound of preemptions
    Loom,
    /// The models pass under shuttle, for schedules drawn at random
    Shuttle,
    /// What reads bytes of strangers, under a fuzzer for a moment; needs a C++ compiler
    Fuzz,
    /// Real processes under faults keep what locks promise: three servers with etcd, then one alone
    Chaos,
    /// A cached read and a cached write take no more instructions than they may; needs valgrind
    Instructions,
}

impl Step {
    fn name(self) -> String {
        let value = self.to_possible_value().expect("no step is hidden");
        value.get_name().to_owned()
    }

    fn run(self, workspace: &Workspace, report: &mut Report) -> Result<(), String> {
        match self {
            Self::Fmt => Cargo::new(workspace, ["fmt", "--all", "--", "--check"]).run(report),
            Self::Purity => purity::run(workspace),
            Self::Deps => dependencies::run(workspace, report),
            Self::Proto => proto::run(true),
            Self::Mutants => mutants::check(workspace, &[]),
            Self::Clippy => {
                clippy(workspace, &["--workspace", "--all-targets"], report)?;
                // Left out of a plain `cargo test`, it is left out of "all targets" as well.
                clippy(workspace, &["--workspace", "--test", "explore"], report)
            }
            Self::Alone => alone(workspace, report),
            Self::Doc => Cargo::new(workspace, ["doc", "--workspace", "--no-deps"])
                .env("RUSTDOCFLAGS", "-D warnings")
                .run(report),
            Self::Tests => tests(workspace, report),
            Self::Explore => explore::run(workspace, &explore::Options::default(), report),
            Self::Loom => loom::run(workspace, &loom::Options::default(), report),
            Self::Shuttle => loom::run_random(workspace, &loom::RandomOptions::default(), report),
            Self::Fuzz => fuzz::run_bounded(workspace, report),
            Self::Chaos => chaos::run_both(workspace, report),
            Self::Instructions => bench::check_instructions(workspace, report),
        }
    }
}

fn clippy(workspace: &Workspace, what: &[&str], report: &mut Report) -> Result<(), String> {
    Cargo::new(
        workspace,
        [&["clippy"], what, &["--", "-D", "warnings"]].concat(),
    )
    .run(report)
}

/// In a build of the whole workspace every crate gets the features that any other asks for. That can hide a feature
/// that a crate forgot to ask for itself, so each one is built once as its users build it.
fn alone(workspace: &Workspace, report: &mut Report) -> Result<(), String> {
    for package in ["rm-core", "rm-rwlock", "rm-types", "rm-net"] {
        clippy(workspace, &["--package", package], report)?;
    }
    Ok(())
}

fn tests(workspace: &Workspace, report: &mut Report) -> Result<(), String> {
    Cargo::new(workspace, ["test", "--workspace", "--no-fail-fast"]).run(report)?;
    match report.tally.ignored {
        0 => Ok(()),
        ignored => Err(format!(
            "ignored tests: {ignored}; mend them or take them out"
        )),
    }
}

/// Names the steps.
pub(crate) fn list() {
    for step in Step::value_variants() {
        let value = step.to_possible_value().expect("no step is hidden");
        let help = value
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        println!("{:<12} {help}", value.get_name());
    }
}

/// Runs the steps that `only` and `skip` leave, all of them when both are empty. A failed step is told in the summary.
pub(crate) fn run(workspace: &Workspace, only: &[Step], skip: &[Step]) -> Result<ExitCode, String> {
    let steps = select(only, skip);
    if steps.is_empty() {
        return Err("no step is left to run: --only and --skip exclude each other".into());
    }
    let mut report = Report::default();
    let mut done: Vec<(Step, Duration)> = Vec::new();
    let mut failure = None;
    for (index, &step) in steps.iter().enumerate() {
        eprintln!("\n== {} ({} of {})", step.name(), index + 1, steps.len());
        let started = Instant::now();
        let result = step.run(workspace, &mut report);
        done.push((step, started.elapsed()));
        if let Err(reason) = result {
            failure = Some((step, reason));
            break;
        }
    }
    let summary = summary(&steps, &done, failure.as_ref(), &report);
    // The error comes before the summary, so that the counts stay on the last line.
    if let Some((_, reason)) = &failure {
        eprintln!("\nerror: {reason}");
    }
    println!("\n{summary}");
    Ok(if failure.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn select(only: &[Step], skip: &[Step]) -> Vec<Step> {
    let wanted = |step: &Step| (only.is_empty() || only.contains(step)) && !skip.contains(step);
    Step::value_variants()
        .iter()
        .copied()
        .filter(wanted)
        .collect()
}

/// The closing lines: each step with its time, what was not checked, the counts.
fn summary(
    steps: &[Step],
    done: &[(Step, Duration)],
    failure: Option<&(Step, String)>,
    report: &Report,
) -> String {
    let mut lines = Vec::new();
    let failed = failure.map(|(step, _)| *step);
    for (step, took) in done {
        let verdict = if failed == Some(*step) {
            "FAILED"
        } else {
            "ok"
        };
        lines.push(format!(
            "{:<12} {verdict:<7} {:>6.1} s",
            step.name(),
            took.as_secs_f64()
        ));
    }
    for step in &steps[done.len()..] {
        lines.push(format!("{:<12} not run", step.name()));
    }
    for what in &report.unchecked {
        lines.push(format!("NOT CHECKED: {what}"));
    }
    // A step can fail without a failed test: formatting, or a test program that aborts before it counts.
    let failures = match report.tally.failed {
        0 => u64::from(failure.is_some()),
        failed => failed,
    };
    lines.push(format!("{} passed, {failures} failed", report.tally.passed));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Tally;

    #[test]
    fn chosen_steps_run_in_the_order_of_the_suite() {
        assert_eq!(
            select(&[Step::Loom, Step::Fmt], &[]),
            [Step::Fmt, Step::Loom]
        );
        assert_eq!(select(&[Step::Loom, Step::Fmt], &[Step::Fmt]), [Step::Loom]);
        assert_eq!(select(&[], &[]).len(), Step::value_variants().len());
    }

    #[test]
    fn the_summary_ends_with_the_counts() {
        let tally = Tally {
            passed: 7,
            failed: 0,
            ignored: 0,
        };
        let report = Report {
            tally,
            unchecked: vec!["the weather".into()],
        };
        let done = [(Step::Fmt, Duration::from_millis(1500))];
        let text = summary(&[Step::Fmt], &done, None, &report);
        assert_eq!(
            text,
            "fmt          ok         1.5 s\nNOT CHECKED: the weather\n7 passed, 0 failed"
        );
    }

    #[test]
    fn a_step_that_fails_without_a_failed_test_counts_as_one_failure() {
        let failure = (Step::Fmt, String::new());
        let done = [(Step::Fmt, Duration::ZERO)];
        let text = summary(
            &[Step::Fmt, Step::Loom],
            &done,
            Some(&failure),
            &Report::default(),
        );
        assert_eq!(
            text,
            "fmt          FAILED     0.0 s\nloom         not run\n0 passed, 1 failed"
        );
    }
}
