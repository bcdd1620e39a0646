//! The flags of commands that look deeper than `show`, or for longer, and of those about `rmctl` itself.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use rm_core::id::ResourceKey;

use super::parse::{parse_interval, parse_name, parse_span};

#[derive(Args, Debug)]
#[command(after_help = WHY_HELP)]
pub(crate) struct WhyArgs {
    /// Tell the chain of the request that has this in its node or label [default: the youngest]
    #[arg(long, value_name = "TEXT")]
    pub(crate) r#for: Option<String>,
    /// The name of the lock, or of a resource of another type
    #[arg(value_parser = OsStringValueParser::new().try_map(parse_name))]
    pub(crate) name: ResourceKey,
}

const WHY_HELP: &str = "\
First come the holders, and below each who waits for it; below these, who waits behind them because they asked
first. Then one request's way to the holders in a sentence; then holders that themselves wait for other names,
over up to 16 names, and circles among them; then what can be done.

A node that holds one name and waits for another may be one task or two: the labels tell, where they are given.

Exit codes: 0 it was answered, also where nobody waits; 1 no request is as --for says; 64 usage; 75 no server.";

#[derive(Args, Debug)]
#[command(after_help = TREE_HELP)]
pub(crate) struct TreeArgs {
    /// How many locks are looked at, at most
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) limit: u32,
    /// Only names that start so
    pub(crate) prefix: Option<OsString>,
}

const TREE_HELP: &str = "\
One branch a node, over all locks that begin with PREFIX: below each server its clients, and below a server in
the middle of a tree those that it lends to. LENT counts the locks of which a node has credit, used or cached;
HELD its holds; WAITING its requests.

Of one lock, 'rmctl show' tells who has what.";

#[derive(Args, Debug)]
pub(crate) struct WatchArgs {
    /// How often is looked: what came and went in between is not seen
    #[arg(long, value_name = "SPAN", default_value = "500ms", value_parser = parse_interval)]
    pub(crate) interval: Duration,
    /// End, with exit code 0, as soon as this is so
    #[arg(long, value_enum)]
    pub(crate) until: Option<Until>,
    /// The name of the lock, or of a resource of another type
    #[arg(value_parser = OsStringValueParser::new().try_map(parse_name))]
    pub(crate) name: ResourceKey,
}

/// What a watch may end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// Nobody holds it, nobody waits
    Free,
    /// Somebody holds it
    Held,
    /// Somebody waits for it
    Wanted,
}

#[derive(Args, Debug)]
#[command(after_help = WAIT_HELP)]
pub(crate) struct WaitArgs {
    /// Wait at most this long, such as 10, 0.5, 250ms or 2m
    #[arg(short, long, value_name = "SECS", value_parser = parse_span)]
    pub(crate) wait: Option<Duration>,
    /// The exit code where the time is over first
    #[arg(short = 'E', long, value_name = "CODE", default_value_t = 1)]
    pub(crate) conflict_exit_code: u8,
    /// How often is looked
    #[arg(long, value_name = "SPAN", default_value = "500ms", value_parser = parse_interval)]
    pub(crate) interval: Duration,
    /// The name of the lock, or of a resource of another type
    #[arg(value_parser = OsStringValueParser::new().try_map(parse_name))]
    pub(crate) name: ResourceKey,
}

const WAIT_HELP: &str = "\
It ends when nobody holds the lock and nobody waits for it, at the moment when it was looked at. Somebody else may have
it a moment later: to do something while nobody else does, use 'rmctl lock'.

Exit codes: 0 it is free; 1 (or -E) the time was over first; 64 usage; 75 no server.";

#[derive(Args, Debug)]
#[command(after_help = TOP_HELP)]
pub(crate) struct TopArgs {
    /// Print one snapshot, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// How often is looked; rates are of this time
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = parse_interval)]
    pub(crate) interval: Duration,
    /// In which order the locks stand
    #[arg(long, value_enum, default_value_t = Sort::Moves)]
    pub(crate) sort: Sort,
    /// Only names that start so
    pub(crate) prefix: Option<OsString>,
}

const TOP_HELP: &str = "\
Credit moves when it is granted to a node or recalled from it; what nodes serve out of their caches is seen by nobody
but them. Each server counts the 256 locks of which most has moved.

Keys: q ends; up and down select; Tab goes between locks and requests; Enter tells why; s sorts; / filters by
prefix; p pauses. With --json, or --once, one snapshot is printed: no terminal is needed.";

/// An order of locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// Those of which most credit moved first
    Moves,
    /// Those of which most was recalled first
    Recalls,
    /// By name
    Name,
}

#[derive(Args, Debug)]
pub(crate) struct SchemaArgs {
    /// How it is written
    #[arg(long, value_enum, default_value_t = SchemaFormat::Json)]
    pub(crate) format: SchemaFormat,
    /// Only the objects of this command
    #[arg(value_name = "COMMAND")]
    pub(crate) of: Option<String>,
}

/// How shapes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFormat {
    /// One object a line: command, when it is printed, and its JSON Schema
    Json,
    /// A page to read
    Markdown,
}

#[derive(Args, Debug)]
#[command(after_help = COMPLETIONS_HELP)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

const COMPLETIONS_HELP: &str = "\
bash: rmctl completions bash > ~/.local/share/bash-completion/completions/rmctl
zsh:  rmctl completions zsh > \"${fpath[1]}/_rmctl\"
fish: rmctl completions fish > ~/.config/fish/completions/rmctl.fish";

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Where the pages of rmctl, of each of its commands and of rmd go, such as /usr/local/share/man/man1; without it
    /// the page of rmctl is printed, for 'rmctl man | man -l -'
    pub(crate) dir: Option<PathBuf>,
}
