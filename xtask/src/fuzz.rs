//! `cargo xtask fuzz`: what reads bytes of strangers, under libFuzzer, which is led by coverage.
//!
//! It does what `cargo fuzz run --sanitizer none` would, with the one toolchain that there is: the instrumentation is
//! LLVM's own, which stable compilers have; only sanitizers would need a nightly one, and there is no `unsafe` in what is
//! fuzzed. libFuzzer itself is C++, so a compiler for that is needed.
//!
//! An input that fails is kept in `tests/fuzz/regressions`, where it is a test from then on. With `--keep`, the smallest set
//! of inputs that reaches all that was reached becomes the corpus.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::Cargo;
use crate::report::Report;
use crate::workspace::Workspace;

/// What is fuzzed: the programs of `tests/fuzz`.
const TARGETS: [&str; 4] = ["codec", "engine", "session", "texts"];

/// How long each is fuzzed by the suite.
const SECONDS_OF_SUITE: u32 = 15;

/// An input that takes longer than this is a failure.
const INPUT_SECONDS_MAX: u32 = 10;

/// So do inputs that make the process larger than this, in MiB.
const MEMORY_MIB_MAX: u32 = 1_024;

/// Inputs are no longer than this, in bytes.
const INPUT_BYTES_MAX: u32 = 8_192;

/// Inputs kept for each target: the corpus is a start for the fuzzer and a quick test, not a record.
const CORPUS_MAX: usize = 256;

/// They are no longer than this, in bytes.
const KEPT_BYTES_MAX: u32 = 1_024;

/// How LLVM counts which branches were taken, and what was compared with what.
const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
    --cfg fuzzing";

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Fuzz these only [default: codec, engine, session, texts]
    #[arg(value_name = "TARGET", value_parser = TARGETS)]
    targets: Vec<String>,
    /// How long each
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u32,
    /// What the fuzzer draws from; 0: afresh, and printed
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Keep what reaches new paths in tests/fuzz/corpus, no more than is needed
    #[arg(long)]
    keep: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            seconds: SECONDS_OF_SUITE,
            seed: 0,
            keep: false,
        }
    }
}

/// A step of the suite, bounded in time. Where there is no compiler for libFuzzer it is left out; in CI that fails.
pub(crate) fn run_bounded(workspace: &Workspace, report: &mut Report) -> Result<(), String> {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if Command::new(compiler).arg("--version").output().is_ok() {
        return run(workspace, &Options::default(), report);
    }
    let missing = "fuzzing: there is no C++ compiler, which libFuzzer needs; install g++";
    if std::env::var_os("CI").is_some() {
        return Err(missing.into());
    }
    report.unchecked.push(missing.into());
    Ok(())
}

pub(crate) fn run(
    workspace: &Workspace,
    options: &Options,
    report: &mut Report,
) -> Result<(), String> {
    let host = host()?;
    let build = [
        "build",
        "--profile",
        "fuzz",
        "--package",
        "rm-fuzz",
        "--features",
        "libfuzzer",
        "--target",
        &host,
    ];
    let folder = workspace.target("fuzz");
    Cargo::new(workspace, build)
        .flags(FLAGS, &folder)
        .run(report)?;
    let programs = folder.join(&host).join("fuzz");
    let all = TARGETS.map(str::to_owned);
    let targets = if options.targets.is_empty() {
        &all[..]
    } else {
        &options.targets
    };
    for target in targets {
        fuzz(workspace, options, &programs.join(target), target)?;
    }
    Ok(())
}

/// The machine that this is for: build scripts are then not instrumented.
fn host() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output();
    let output = output.map_err(|error| format!("cannot start rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "`rustc -vV` does not name the host".into())
}

fn fuzz(
    workspace: &Workspace,
    options: &Options,
    program: &Path,
    target: &str,
) -> Result<(), String> {
    let fuzz = workspace.root().join("tests/fuzz");
    let kept = fuzz.join("corpus").join(target);
    let failures = fuzz.join("regressions").join(target);
    // What is found along the way, so that a run changes nothing that is kept.
    let found = workspace.target("fuzz-found").join(target);
    for folder in [&kept, &failures, &found] {
        fs::create_dir_all(folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    }
    let limits = [
        format!("-max_total_time={}", options.seconds),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
        format!("-max_len={INPUT_BYTES_MAX}"),
        format!("-seed={}", options.seed),
        format!("-artifact_prefix={}/", failures.display()),
        "-print_final_stats=1".into(),
        "-verbosity=0".into(),
    ];
    eprintln!("== {target}: {} s", options.seconds);
    let outcome = start(program, &limits, &[&found, &kept])?;
    if !outcome {
        return Err(format!(
            "{target}: an input fails, and is kept in {}; `cargo test -p rm-fuzz` runs it",
            failures.display()
        ));
    }
    if options.keep {
        keep(program, &kept, &found)?;
    }
    // An empty folder is none of git's.
    let _ = fs::remove_dir(&failures);
    Ok(())
}

/// Of all that is known, few inputs that together reach nearly all that all of them reach: the longest ones, each of
/// which goes a long way.
fn keep(program: &Path, kept: &PathBuf, found: &PathBuf) -> Result<(), String> {
    let smaller = kept.with_extension("new");
    let io = |error: std::io::Error| format!("cannot write {}: {error}", smaller.display());
    fs::create_dir_all(&smaller).map_err(io)?;
    let flags = [
        "-set_cover_merge=1".into(),
        format!("-max_len={KEPT_BYTES_MAX}"),
        "-verbosity=0".into(),
    ];
    if !start(program, &flags, &[&smaller, kept, found])? {
        return Err("libFuzzer could not merge the corpus".into());
    }
    let files = fs::read_dir(&smaller).map_err(io)?;
    let mut files = files
        .map(|file| {
            let file = file?;
            Ok((file.metadata()?.len(), file.path()))
        })
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(io)?;
    files.sort();
    files.reverse();
    for (_, path) in files.iter().skip(CORPUS_MAX) {
        fs::remove_file(path).map_err(io)?;
    }
    fs::remove_dir_all(kept).map_err(io)?;
    fs::rename(&smaller, kept).map_err(io)
}

fn start(program: &Path, flags: &[String], folders: &[&PathBuf]) -> Result<bool, String> {
    let status = Command::new(program).args(flags).args(folders).status();
    let status = status.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    Ok(status.success())
}
