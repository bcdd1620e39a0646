//! Running cargo: one command at a time, printed first, in the root of the workspace.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::report::{LineCounter, Report, Tally};
use crate::workspace::Workspace;

/// A cargo command that has not run yet.
#[derive(Debug)]
pub(crate) struct Cargo {
    command: Command,
    /// The command as one would type it.
    line: String,
}

impl Cargo {
    /// `cargo ARGS`, in the root of `workspace`.
    pub(crate) fn new<A: AsRef<OsStr>>(
        workspace: &Workspace,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self::in_folder(workspace.root(), args)
    }

    /// `cargo ARGS`, in another tree.
    pub(crate) fn in_folder<A: AsRef<OsStr>>(
        folder: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        // `cargo run` names the cargo that started us: the same toolchain does the rest.
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(folder).stdin(Stdio::null());
        let mut line = String::from("cargo");
        for arg in args {
            line = format!("{line} {}", arg.as_ref().display());
            command.arg(arg);
        }
        Self { command, line }
    }

    /// `cargo ARGS` of the nightly toolchain, in the root of `workspace`.
    pub(crate) fn nightly<A: AsRef<OsStr>>(
        workspace: &Workspace,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        // The toolchain that started us would hand itself on by its environment; rustup goes by the name.
        let mut cargo = Self::new(workspace, args);
        let mut command = Command::new("rustup");
        command.current_dir(workspace.root()).stdin(Stdio::null());
        command.args(["run", "nightly", "cargo"]);
        command.args(cargo.command.get_args());
        cargo.line = format!("rustup run nightly {}", cargo.line);
        cargo.command = command;
        cargo
    }

    /// Sets an environment variable for this command.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.line = format!("{name}='{}' {}", value.as_ref().display(), self.line);
        self.command.env(name, value);
        self
    }

    /// Adds compiler flags to those that the caller's environment asks for, kept in a build folder of their own:
    /// changed flags rebuild everything, and must not do so to the normal build.
    pub(crate) fn flags(mut self, flags: &str, target: &Path) -> Self {
        // The encoded form would win over `RUSTFLAGS`.
        self.command.env_remove("CARGO_ENCODED_RUSTFLAGS");
        let inherited = env::var("RUSTFLAGS").unwrap_or_default();
        self.env("RUSTFLAGS", format!("{inherited} {flags}").trim())
            .env("CARGO_TARGET_DIR", target)
    }

    /// Runs the command, lets its output stream to the terminal, and adds the tests it ran to `report`.
    ///
    /// # Errors
    ///
    /// When it cannot be started or does not succeed.
    pub(crate) fn run(mut self, report: &mut Report) -> Result<(), String> {
        eprintln!("$ {}", self.line);
        self.command.stdout(Stdio::piped());
        let mut child = self
            .command
            .spawn()
            .map_err(|error| format!("cannot start `{}`: {error}", self.line))?;
        let output = child
            .stdout
            .take()
            .expect("the output was piped just above");
        let copied = copy_and_count(output, &mut io::stdout().lock(), &mut report.tally);
        let status = child
            .wait()
            .map_err(|error| format!("cannot wait for `{}`: {error}", self.line))?;
        copied.map_err(|error| format!("cannot pass on the output of `{}`: {error}", self.line))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("`{}` failed: {status}", self.line))
        }
    }

    /// Like [`Cargo::run`], for a command that must run at least one test: a misspelt name selects none, and a run of
    /// none would pass.
    pub(crate) fn run_tests(self, report: &mut Report) -> Result<(), String> {
        let line = self.line.clone();
        let mut own = Report::default();
        let result = self.run(&mut own);
        report.tally += own.tally;
        result?;
        match own.tally.passed {
            0 => Err(format!("`{line}` ran no test: is the name right?")),
            _ => Ok(()),
        }
    }

    /// Runs the command and hands back what it printed; its complaints go to the terminal.
    ///
    /// # Errors
    ///
    /// When it cannot be started, does not succeed, or prints something else than text.
    pub(crate) fn output(mut self) -> Result<String, String> {
        let output = self
            .command
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cannot start `{}`: {error}", self.line))?;
        if !output.status.success() {
            return Err(format!("`{}` failed: {}", self.line, output.status));
        }
        String::from_utf8(output.stdout)
            .map_err(|error| format!("`{}` printed no text: {error}", self.line))
    }

    /// Whether the command succeeds; nothing is printed. For asking what is installed.
    pub(crate) fn succeeds(mut self) -> bool {
        let status = self
            .command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }

    /// Runs the command with all output kept in the file `log`, and says whether it succeeded and what it counted.
    ///
    /// # Errors
    ///
    /// When it cannot be started or the file cannot be used. That the command fails is an answer, not an error.
    pub(crate) fn logged(mut self, log: &Path) -> Result<(bool, Tally), String> {
        let unusable =
            |error: io::Error| format!("cannot keep a log in {}: {error}", log.display());
        let mut file = File::create(log).map_err(unusable)?;
        writeln!(file, "$ {}", self.line).map_err(unusable)?;
        let status = self
            .command
            .stdout(file.try_clone().map_err(unusable)?)
            .stderr(file)
            .status()
            .map_err(|error| format!("cannot start `{}`: {error}", self.line))?;
        let output = std::fs::read(log).map_err(unusable)?;
        Ok((
            status.success(),
            Tally::of_output(&String::from_utf8_lossy(&output)),
        ))
    }
}

/// Copies all of `from` to `to` as it comes, not line by line: a test's name appears when the test starts.
fn copy_and_count(mut from: impl Read, to: &mut impl Write, tally: &mut Tally) -> io::Result<()> {
    let mut counter = LineCounter::default();
    let mut piece = [0; 8192];
    loop {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                counter.feed(&piece[..length]);
                to.write_all(&piece[..length])?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    *tally += counter.finish();
    Ok(())
}
