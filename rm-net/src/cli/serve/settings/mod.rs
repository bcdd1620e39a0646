//! The settings of `rmd`, and where each comes from: flags win over the environment, the environment over the file,
//! the file over what is built in.
//!
//! The flags are the one list of what can be set. Each but those that tell how to run this once ([`ONCE`]) is a key of
//! the file under the same name, is checked by the same parser, and has the same defaults. So a setting is added in one
//! place: as a flag in `args/rmd.rs`. What a change of the file at run time does to it is said by [`LIVE`].

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use clap::builder::ArgAction;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use self::file::{Entry, File, Value};
use crate::cli::args::{Rmd, in_one_line};
use crate::cli::exit::{Exit, Failure};

mod file;

/// Flags that are no settings: they say how to run this once.
const ONCE: [&str; 5] = ["config", "check-config", "json", "help", "version"];
/// Settings that take effect while the server runs, when it is told to read its file again.
const LIVE: [&str; 2] = ["log", "rules"];

/// What the daemon was told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) args: Rmd,
    told: Vec<Told>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// As the flag is called, without its dashes.
    pub(crate) key: String,
    /// As text; several with commas between them. `None`: nothing was said, and nothing is built in.
    pub(crate) value: Option<String>,
    pub(crate) source: Source,
}

/// Who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody: it is built in.
    Default,
    File {
        path: PathBuf,
        line: usize,
    },
    Environment(String),
    Flag,
}

/// Why there are no settings.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The arguments make no sense by themselves, or only help was wanted.
    Usage(clap::Error),
    /// The file does not, or what all say together.
    Config(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Config(failure)
    }
}

impl Settings {
    /// Reads arguments, environment, and the file that they name.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(crate) fn load(argv: &[OsString]) -> Result<Self, Refused> {
        let given = match Rmd::command().try_get_matches_from(argv) {
            Ok(given) => given,
            // The file may bring what is missing.
            Err(error) if is_about_several(&error) => Rmd::command()
                .ignore_errors(true)
                .try_get_matches_from(argv)
                .map_err(Refused::Usage)?,
            Err(error) => return Err(Refused::Usage(error)),
        };
        let path = given.get_one::<PathBuf>("config");
        let file = path.map(|path| File::read(path)).transpose()?;
        let (argv, lines) = match &file {
            Some(file) => with_file(argv, &given, file)?,
            None => (argv.to_vec(), HashMap::new()),
        };
        let matches = Rmd::command()
            .try_get_matches_from(argv)
            .map_err(|error| match &file {
                Some(_) => Refused::Config(not_together(&error)),
                None => Refused::Usage(error),
            })?;
        let told = keys(&Rmd::command())
            .map(|arg| told(arg, &matches, path.map(PathBuf::as_path), &lines))
            .collect();
        let args = Rmd::from_arg_matches(&matches).map_err(Refused::Usage)?;
        Ok(Self { args, told })
    }

    /// Each setting, in the order of the help.
    pub(crate) fn told(&self) -> &[Told] {
        &self.told
    }

    /// What `newer` says otherwise.
    pub(crate) fn changed<'a>(&self, newer: &'a Self) -> impl Iterator<Item = &'a Told> {
        let is_new = |told: &&Told| {
            let old = self.told.iter().find(|old| old.key == told.key);
            old.is_none_or(|old| old.value != told.value)
        };
        newer
            .told
            .iter()
            .filter(is_new)
            .collect::<Vec<_>>()
            .into_iter()
    }
}

impl Told {
    /// Whether it takes effect without a restart.
    pub(crate) fn is_live(&self) -> bool {
        LIVE.contains(&&*self.key)
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built in"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// All that can be set.
fn keys(command: &Command) -> impl Iterator<Item = &Arg> {
    let args = command.get_arguments();
    args.filter(|arg| arg.get_long().is_some_and(|long| !ONCE.contains(&long)))
}

/// Whether an error is about how arguments go together: each by itself may be right.
fn is_about_several(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ArgumentConflict | ErrorKind::MissingRequiredArgument
    )
}

/// The arguments, with what the file says and nobody stronger does in front of them; and the lines where that stands.
fn with_file(
    argv: &[OsString],
    given: &ArgMatches,
    file: &File,
) -> Result<(Vec<OsString>, HashMap<String, usize>), Failure> {
    let command = Rmd::command();
    let mut lines = HashMap::new();
    let mut argv = argv.to_vec();
    let program = argv.len().min(1);
    for entry in file.entries() {
        let arg = keys(&command).find(|arg| arg.get_long() == Some(&*entry.key));
        let Some(arg) = arg else {
            return Err(unknown(&command, file, entry));
        };
        let flags = flags(arg, entry, file)?;
        check(&command, &flags, entry, file)?;
        let source = given.value_source(arg.get_id().as_str());
        if matches!(source, None | Some(ValueSource::DefaultValue)) {
            argv.splice(program..program, flags);
            lines.insert(entry.key.clone(), entry.line);
        }
    }
    Ok((argv, lines))
}

fn unknown(command: &Command, file: &File, entry: &Entry) -> Failure {
    let in_section = |key: &str| {
        let section = file::SECTIONS.iter().find_map(|section| {
            let rest = key.strip_prefix(section)?.strip_prefix('-')?;
            Some(format!("{rest} in [{section}]"))
        });
        section.unwrap_or_else(|| key.to_owned())
    };
    let known: Vec<_> = keys(command)
        .filter_map(Arg::get_long)
        .map(in_section)
        .collect();
    let error = format_args!("there is no setting {}", in_section(&entry.key));
    file.complain(entry.line, error)
        .hint(format!("the settings are: {}", known.join(", ")))
}

/// What the file says, as flags.
fn flags(arg: &Arg, entry: &Entry, file: &File) -> Result<Vec<OsString>, Failure> {
    let key = &entry.key;
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let takes_several = matches!(arg.get_action(), ArgAction::Append);
    let flag = |word: &String| OsString::from(format!("--{key}={word}"));
    match (&entry.value, is_switch) {
        (Value::Switch(true), true) => Ok(vec![format!("--{key}").into()]),
        (Value::Switch(false), true) => Ok(Vec::new()),
        (Value::Words(words), false) if words.len() == 1 || (takes_several && words.len() > 1) => {
            Ok(words.iter().map(flag).collect())
        }
        _ => {
            let wanted = match (is_switch, takes_several) {
                (true, _) => "true or false",
                (false, true) => "a text, or a list of texts with something in it",
                (false, false) => "one text or number",
            };
            let error = format_args!("{key} needs {wanted}");
            Err(file
                .complain(entry.line, error)
                .hint("'rmd --help' tells what each setting takes"))
        }
    }
}

/// Whether each value is acceptable by itself, so that the complaint can name the line.
fn check(command: &Command, flags: &[OsString], entry: &Entry, file: &File) -> Result<(), Failure> {
    // What the environment says was found acceptable before.
    let argv = std::iter::once(OsString::from("rmd")).chain(flags.iter().cloned());
    match command.clone().try_get_matches_from(argv) {
        Err(error) if !is_about_several(&error) => {
            let text = in_one_line(&error);
            // The parser says which flag it was. Here it is a key.
            let why = text.split_once(">': ").map_or(&*text, |(_, why)| why);
            let error = format_args!("{} cannot be so: {why}", entry.key);
            Err(file
                .complain(entry.line, error)
                .hint("'rmd --help' tells what each setting takes"))
        }
        _ => Ok(()),
    }
}

fn not_together(error: &clap::Error) -> Failure {
    Failure::new(Exit::CONFIG, in_one_line(error))
        .hint("'rmd --check-config' with the same arguments tells where each setting comes from")
}

fn told(
    arg: &Arg,
    matches: &ArgMatches,
    path: Option<&Path>,
    lines: &HashMap<String, usize>,
) -> Told {
    let key = arg.get_long().unwrap_or_default().to_owned();
    let id = arg.get_id().as_str();
    let source = match (matches.value_source(id), lines.get(&key), path) {
        (Some(ValueSource::CommandLine), Some(&line), Some(path)) => Source::File {
            path: path.to_owned(),
            line,
        },
        (Some(ValueSource::CommandLine), _, _) => Source::Flag,
        (Some(ValueSource::EnvVariable), _, _) => {
            let name = arg.get_env().map(OsStr::to_string_lossy);
            Source::Environment(name.unwrap_or_default().into_owned())
        }
        _ => Source::Default,
    };
    let raw = matches.get_raw(id);
    let value = raw.map(|words| {
        let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
        words.join(",")
    });
    Told { key, value, source }
}

#[cfg(test)]
mod tests;
