//! `cargo xtask mutants`: a test that cannot fail is worth nothing, so each guard of the protocol is taken away once,
//! and a named test must notice.
//!
//! The mutants are patches in `tests/mutants`. The work is done in a copy of the tree under the target folder, so a
//! broken-off run leaves the sources as they were. One build folder serves all mutants, and only files that differ
//! are written, so each costs the build of the crates it touches.
//!
//! A mutant is *caught* when the patched tree builds and its test fails. One that does not apply or does not compile
//! is *stale*, one whose test passes has *survived*; both fail the run, as does a test that fails without any patch.

mod patch;
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::cargo::Cargo;
use crate::report::Tally;
use crate::workspace::Workspace;
use patch::{Patch, Test};
use tree::Tree;

/// Whether every mutant (or every one named) is well-formed and still applies.
pub(crate) fn check(workspace: &Workspace, names: &[String]) -> Result<(), String> {
    let patches = patch::load(&folder(workspace), names)?;
    let mut stale = Vec::new();
    for patch in &patches {
        let mut apply = Command::new("git");
        apply
            .current_dir(workspace.root())
            .args(["apply", "--check"])
            .arg(&patch.path)
            .stdin(Stdio::null());
        let status = apply
            .status()
            .map_err(|error| format!("cannot start git: {error}"))?;
        if !status.success() {
            stale.push(patch.name.as_str());
        }
    }
    println!("{} mutants, {} of them stale", patches.len(), stale.len());
    if stale.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "these mutants no longer apply: {}",
            stale.join(", ")
        ))
    }
}

/// Applies each mutant (or each one named) in a copy of the tree and requires its test to fail.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<(), String> {
    let patches = patch::load(&folder(workspace), names)?;
    let yard = Yard::new(workspace)?;
    yard.require_green(&patches)?;

    let width = patches
        .iter()
        .map(|patch| patch.name.len())
        .max()
        .unwrap_or_default();
    let mut escaped = Vec::new();
    for patch in &patches {
        let started = Instant::now();
        let verdict = yard.try_patch(patch)?;
        println!(
            "{:<width$}  {:<8}  {:>6.1} s",
            patch.name,
            verdict.word(),
            started.elapsed().as_secs_f64()
        );
        if verdict != Verdict::Caught {
            println!("    it breaks: {}", patch.header.what);
            println!("    the rule:  {}", patch.header.rule);
            println!("    look at:   {}", yard.log(&patch.name).display());
            escaped.push(patch.name.as_str());
        }
    }
    println!(
        "{} of {} mutants caught",
        patches.len() - escaped.len(),
        patches.len()
    );
    if escaped.is_empty() {
        Ok(())
    } else {
        Err(format!("not caught: {}", escaped.join(", ")))
    }
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root().join("tests").join("mutants")
}

/// How a mutant fared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// It builds, and its test fails.
    Caught,
    /// It does not apply or does not build: the code has moved on.
    Stale,
    /// Its test passes.
    Survived,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Stale => "STALE",
            Self::Survived => "SURVIVED",
        }
    }
}

/// Where mutants are tried.
#[derive(Debug)]
struct Yard {
    tree: Tree,
    target: PathBuf,
    logs: PathBuf,
}

impl Yard {
    fn new(workspace: &Workspace) -> Result<Self, String> {
        let home = workspace.target("mutants");
        let logs = home.join("logs");
        fs::create_dir_all(&logs)
            .map_err(|error| format!("cannot create {}: {error}", logs.display()))?;
        let tree = Tree::new(workspace.root(), home.join("tree"));
        Ok(Self {
            tree,
            target: home.join("target"),
            logs,
        })
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(name).with_extension("log")
    }

    /// Without a patch every named test must pass, and there must be one: a misspelt name would run nothing.
    fn require_green(&self, patches: &[Patch]) -> Result<(), String> {
        self.tree.restore()?;
        let tests: BTreeSet<&Test> = patches
            .iter()
            .map(|patch| &patch.header.caught_by)
            .collect();
        let log = self.log("unpatched");
        for test in tests {
            println!("unpatched: cargo {}", test.run().join(" "));
            let (success, tally) = self.cargo(test.run()).logged(&log)?;
            let fault = match (success, tally) {
                (true, Tally { passed: 0, .. }) => "runs no test",
                (true, _) => continue,
                (false, _) => "fails without any patch",
            };
            return Err(format!(
                "`cargo {}` {fault}; see {}",
                test.run().join(" "),
                log.display()
            ));
        }
        Ok(())
    }

    fn try_patch(&self, patch: &Patch) -> Result<Verdict, String> {
        self.tree.restore()?;
        let log = self.log(&patch.name);
        if !self.tree.apply(&patch.path, &log)? {
            return Ok(Verdict::Stale);
        }
        let test = &patch.header.caught_by;
        // The build comes first and alone: after it, a failure is the test's.
        let (builds, _) = self.cargo(test.build()).logged(&log)?;
        if !builds {
            return Ok(Verdict::Stale);
        }
        let (passes, _) = self.cargo(test.run()).logged(&log)?;
        Ok(if passes {
            Verdict::Survived
        } else {
            Verdict::Caught
        })
    }

    fn cargo(&self, args: Vec<&str>) -> Cargo {
        Cargo::in_folder(self.tree.root(), args).env("CARGO_TARGET_DIR", &self.target)
    }
}
