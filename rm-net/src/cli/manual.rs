//! `rmctl completions` and `rmctl man`: scripts for shells, and pages for `man`. Both follow from the flags, so they tell no
//! more and no less than `--help`.

use std::io::{self, Write as _};
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::args::{CompletionsArgs, ManArgs, Rmctl, Rmd};
use super::exit::{Exit, Failure};

/// Prints the script of one shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut visible(), "rmctl", &mut script);
    print(&script)
}

/// Prints the page of `rmctl`, or writes all pages to a directory.
pub(crate) fn pages(args: &ManArgs) -> Result<Exit, Failure> {
    let Some(dir) = &args.dir else {
        let page = page(visible());
        return print(&page.map_err(|error| Failure::system("cannot make the page", &error))?);
    };
    let written = write_all(dir);
    written.map_err(|error| {
        let what = format!("cannot write to {}", dir.display());
        Failure::system(&what, &error)
            .hint("name a directory that exists and that you may write to")
    })?;
    Ok(Exit::OK)
}

/// `rmctl` without the commands that it only gives itself.
fn visible() -> Command {
    let all = Rmctl::command();
    let commands = all.get_subcommands();
    let commands = commands.filter(|command| !command.is_hide_set()).cloned();
    let about = all.get_about().cloned().unwrap_or_default();
    Command::new("rmctl")
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(all.get_arguments().cloned())
        .subcommands(commands.collect::<Vec<_>>())
}

fn write_all(dir: &Path) -> io::Result<()> {
    let mut rmctl = visible();
    rmctl.build();
    for command in rmctl.get_subcommands() {
        let name = format!("rmctl-{}", command.get_name());
        let command = command.clone().display_name(&name);
        std::fs::write(dir.join(format!("{name}.1")), page(command)?)?;
    }
    std::fs::write(dir.join("rmctl.1"), page(rmctl)?)?;
    std::fs::write(dir.join("rmd.1"), page(Rmd::command())?)
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(page)
}

fn print(bytes: &[u8]) -> Result<Exit, Failure> {
    match io::stdout().write_all(bytes) {
        // Who closes the pipe early has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::system("cannot write to standard output", &error))
        }
        _ => Ok(Exit::OK),
    }
}
