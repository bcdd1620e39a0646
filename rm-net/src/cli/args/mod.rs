//! The flags of `rmctl`. Flags win over the environment. What makes no sense ends with exit code 64.
//!
//! Those of commands that look on for longer, or deeper, are in `look`, those of `rmd` in `rmd`; what makes a value acceptable is in `parse`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use rm_core::id::{ResourceKey, TypeId};
use rm_core::resource::ResourceType as _;
use rm_rwlock::RwLockType;

pub(crate) use self::look::{
    CompletionsArgs, ManArgs, SchemaArgs, SchemaFormat, Sort, TopArgs, TreeArgs, Until, WaitArgs,
    WatchArgs, WhyArgs,
};
pub(crate) use self::parse::{in_one_line, parse, refuse};
use self::parse::{parse_name, parse_reason, parse_span, parse_type};
pub(crate) use self::rmd::{LogFormat, Rmd};
pub(crate) use self::tls::TlsArgs;

mod look;
mod parse;
mod rmd;
mod tls;

/// Locks for shells, and a look into a lock server.
#[derive(Debug, Parser)]
#[command(
    name = "rmctl",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Rmctl {
    /// Addresses of the one server, or of a cluster's members, separated by commas; they are tried in turn. Host and port,
    /// or unix:PATH [default: the agent of this machine if it has one, else 127.0.0.1:7600]
    #[arg(
        long,
        global = true,
        env = "RM_ENDPOINTS",
        value_name = "ADDR,..",
        value_delimiter = ','
    )]
    pub(crate) endpoints: Vec<String>,
    /// Print JSON, one object a line; errors too, on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command while holding locks
    Lock(LockArgs),
    /// Take locks and hold them until standard input ends or a signal comes
    Hold(HoldArgs),
    /// List the locks, and resources of other types, that are held, cached or waited for
    Ls(LsArgs),
    /// Show who holds a lock, who has it cached, and who waits
    Show(ShowArgs),
    /// Tell who waits for whom, over nodes and names, and what can be done
    Why(WhyArgs),
    /// Show which nodes have borrowed from which, and how much of it they use
    Tree(TreeArgs),
    /// Show the hottest locks, the longest waits and the servers, live
    Top(TopArgs),
    /// Print a line whenever holders or waiting requests of a lock change, until interrupted
    Watch(WatchArgs),
    /// Wait until nobody holds a lock, without taking it
    Wait(WaitArgs),
    /// Show how each server is
    Status,
    /// Show the members of the cluster, as the first server that answers sees them
    Members,
    /// Take back what is lent of a lock though somebody uses it
    Release(ReleaseArgs),
    /// Let a server hand over what it has, and stop
    Drain(DrainArgs),
    /// Look for what is wrong with the servers, this machine, and what is between them
    Doctor(DoctorArgs),
    /// Measure what locks cost against the server
    Bench(BenchArgs),
    /// Start a server and clients on this machine, do real work under locks, and judge it
    Demo(DemoArgs),
    /// Print what the objects of --json look like, as JSON Schema or as a page to read
    Schema(SchemaArgs),
    /// Print the script by which a shell completes what is typed
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands and of rmd to a directory
    Man(ManArgs),
    /// Become a command, tied to the life of the parent (internal)
    #[command(name = "__exec", hide = true)]
    Exec(ExecArgs),
    /// A client process of the demonstration (internal)
    #[command(name = "__demo-client", hide = true)]
    DemoClient(DemoClientArgs),
    /// The server process of the demonstration (internal)
    #[command(name = "__demo-server", hide = true)]
    DemoServer(DemoServerArgs),
    /// Add one to the number in a file, in steps that only a lock makes safe (for tests)
    #[command(name = "__increment", hide = true)]
    Increment(IncrementArgs),
}

/// Which locks, in which mode, and how long to wait.
#[derive(Args, Debug)]
pub(crate) struct Wanted {
    /// Take the locks shared: other holders may share them
    #[arg(short, long, conflicts_with = "exclusive")]
    pub(crate) shared: bool,
    /// Take the locks exclusively: the default
    #[arg(short = 'x', long)]
    pub(crate) exclusive: bool,
    /// Do not wait: fail at once where somebody else is in the way
    #[arg(short, long, conflicts_with = "wait")]
    pub(crate) nonblock: bool,
    /// Wait at most this long for all the locks together, such as 10, 0.5, 250ms or 2m
    #[arg(short, long, value_name = "SECS", value_parser = parse_span)]
    pub(crate) wait: Option<Duration>,
    /// The exit code where somebody else is in the way
    #[arg(short = 'E', long, value_name = "CODE", default_value_t = 1)]
    pub(crate) conflict_exit_code: u8,
    /// What the lock is for: shown to whoever asks who holds it
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,
    /// The names of the locks, 1 to 255 bytes each. Several are taken all or none
    #[arg(required = true, value_name = "NAME", value_parser = OsStringValueParser::new().try_map(parse_name))]
    pub(crate) names: Vec<ResourceKey>,
}

#[derive(Args, Debug)]
#[command(after_help = LOCK_HELP)]
pub(crate) struct LockArgs {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// What to do with the command when the lock is lost
    #[arg(long, value_enum, default_value_t = OnLost::Kill)]
    pub(crate) on_lost: OnLost,
    /// The command and its arguments. It is run directly, without a shell
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

const LOCK_HELP: &str = "\
The command finds in its environment:
  RM_LOCK   the name of the lock
  RM_MODE   read or write
  RM_FENCE  the fencing token: pass it to the store, which must refuse smaller ones
With several locks, RM_LOCK and RM_FENCE have a line for each, in the same order (sorted by name).

Exit codes: the command's own; 128+n if signal n ended it; 1 (or -E) somebody else has the lock;
64 usage; 71 the system refused something; 75 no server, or one that cannot serve now; 76 the server
speaks another protocol; 77 not allowed; 113 the lock was lost; 126, 127 the command cannot be run.

When the lock is about to be lost, because the server cannot be reached, the command's process group
gets SIGTERM an eighth of a lease before the end, and SIGKILL at the end, before anybody else can get
the lock. When rmctl itself is killed, the system kills the command at once on Linux and FreeBSD (but
not what the command started, nor a set-user-ID command). Elsewhere it goes on, and everywhere while rmctl
is stopped and cannot kill: there only the fencing token protects.";

/// What to do with the command when the lock is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnLost {
    /// SIGTERM shortly before, SIGKILL at the end
    Kill,
    /// SIGTERM shortly before, and no more
    Term,
    /// A line on standard error, and no more
    Notify,
}

#[derive(Args, Debug)]
pub(crate) struct HoldArgs {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
}

#[derive(Args, Debug)]
pub(crate) struct LsArgs {
    /// Only names that start so
    pub(crate) prefix: Option<OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// The name of the lock, or of a resource of another type; of a semaphore also without its number
    #[arg(value_parser = OsStringValueParser::new().try_map(parse_name))]
    pub(crate) name: ResourceKey,
}

#[derive(Args, Debug)]
#[command(after_help = RELEASE_HELP)]
pub(crate) struct ReleaseArgs {
    /// Needed: those who hold it lose it
    #[arg(long, required = true)]
    pub(crate) force: bool,
    /// Without asking them: at once, and they may not know it
    #[arg(long)]
    pub(crate) now: bool,
    /// Why: it is logged at the server, and told to the holders
    #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
    pub(crate) reason: String,
    /// What it is: rw-lock, byte-range, semaphore (whose name ends in # and its units), or the number of a type
    #[arg(long = "type", value_name = "TYPE", default_value = RwLockType::NAME, value_parser = parse_type)]
    pub(crate) type_id: TypeId,
    /// Its name
    #[arg(value_parser = OsStringValueParser::new().try_map(parse_name))]
    pub(crate) name: ResourceKey,
}

const RELEASE_HELP: &str = "\
The holders are told, lose the lock, and give it back; so two never have it. A node that does not answer keeps
it until its lease ends, and you are told when that is.

With --now nobody is asked. The next one gets the lock at once, with a larger fencing token. Nothing stops the
former holder: until its lease ends it may believe that it still has the lock, and what it writes is refused only
by a store that checks the token.

Exit codes: 0 nobody has it any more, as far as the server knows; 1 somebody still has; 64 usage; 75 no server, or one
that cannot do it now; 76 the server is older than the command.";

#[derive(Args, Debug)]
pub(crate) struct DrainArgs {
    /// The name of the server
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// How long it waits for holders, and this command for it
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = parse_span)]
    pub(crate) timeout: Duration,
    /// Why: it is logged at the server
    #[arg(long, value_name = "TEXT", default_value = "drain", value_parser = parse_reason)]
    pub(crate) reason: String,
}

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// How long the rates of the clocks are compared
    #[arg(long, value_name = "SPAN", default_value = "3s", value_parser = parse_span)]
    pub(crate) watch: Duration,
}

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// How long to measure in all
    #[arg(long, default_value = "5", value_name = "SECS", value_parser = parse_span)]
    pub(crate) seconds: Duration,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// How long to work
    #[arg(long, default_value = "10", value_name = "SECS", value_parser = parse_span)]
    pub(crate) seconds: Duration,
    /// How many client processes, 3 at least
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(3..=64))]
    pub(crate) clients: u32,
    /// For tests of the demonstration: skip the locks of the shared files, so that the verdict must be bad
    #[arg(long, hide = true)]
    pub(crate) sabotage: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ExecArgs {
    /// The process that must be the parent, else it is too late
    #[arg(long)]
    pub(crate) parent: i32,
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct DemoClientArgs {
    #[arg(long)]
    pub(crate) endpoint: String,
    #[arg(long)]
    pub(crate) dir: PathBuf,
    #[arg(long)]
    pub(crate) index: u32,
    #[arg(long, value_parser = parse_span)]
    pub(crate) seconds: Duration,
    #[arg(long)]
    pub(crate) sabotage: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DemoServerArgs {
    #[arg(long)]
    pub(crate) dir: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct IncrementArgs {
    pub(crate) file: PathBuf,
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn lock(args: &[&str]) -> Result<LockArgs, clap::Error> {
        let all = ["rmctl", "lock"].iter().chain(args);
        Rmctl::try_parse_from(all).map(|rmctl| match rmctl.command {
            Command::Lock(lock) => lock,
            other => panic!("parsed as {other:?}"),
        })
    }

    #[test]
    fn the_definitions_are_sound() {
        use clap::CommandFactory;
        Rmctl::command().debug_assert();
    }

    #[test]
    fn names_and_command_are_told_apart_by_two_dashes() {
        let args = lock(&["-s", "-w", "0.5", "a", "b", "--", "cmd", "-s", "--", "x"]).unwrap();
        assert!(args.wanted.shared);
        assert_eq!(args.wanted.wait, Some(Duration::from_millis(500)));
        assert_eq!(args.wanted.names.len(), 2);
        assert_eq!(args.command, ["cmd", "-s", "--", "x"]);
    }

    #[test]
    fn a_lock_needs_a_name_and_a_command() {
        assert!(lock(&["a"]).is_err());
        assert!(lock(&["--", "cmd"]).is_err());
        assert!(lock(&["a", "--"]).is_err());
    }

    #[test]
    fn names_have_1_to_255_bytes() {
        let long = "x".repeat(255);
        assert!(lock(&[&long, "--", "cmd"]).is_ok());
        let longer = "x".repeat(256);
        let error = lock(&[&longer, "--", "cmd"]).unwrap_err().to_string();
        assert!(error.contains("256 bytes"), "{error}");
        let error = lock(&["", "--", "cmd"]).unwrap_err().to_string();
        assert!(error.contains("empty"), "{error}");
    }

    #[test]
    fn names_may_be_any_bytes() {
        let name = OsString::from_vec(vec![0xff, b'/', 0x80]);
        let all = ["rmctl", "lock"].map(OsString::from);
        let all = all.into_iter().chain([name, "--".into(), "cmd".into()]);
        let rmctl = Rmctl::try_parse_from(all).unwrap();
        let Command::Lock(args) = rmctl.command else {
            panic!("not a lock")
        };
        assert_eq!(args.wanted.names[0].as_bytes(), [0xff, b'/', 0x80]);
    }

    #[test]
    fn modes_exclude_each_other_and_so_do_ways_to_wait() {
        assert!(lock(&["-s", "-x", "a", "--", "cmd"]).is_err());
        assert!(lock(&["-n", "-w", "1", "a", "--", "cmd"]).is_err());
        assert!(lock(&["-E", "256", "a", "--", "cmd"]).is_err());
    }

    #[test]
    fn a_release_needs_force_and_a_reason() {
        let release = |args: &[&str]| {
            let all = ["rmctl", "release"].iter().chain(args);
            Rmctl::try_parse_from(all).map(|_| ())
        };
        assert!(release(&["--reason", "r", "x"]).is_err());
        assert!(release(&["--force", "x"]).is_err());
        assert!(release(&["--force", "--reason", " ", "x"]).is_err());
        assert!(release(&["--force", "--reason", &"r".repeat(257), "x"]).is_err());
        assert!(release(&["--force", "--type", "nonsense", "--reason", "r", "x"]).is_err());
        assert!(release(&["--force", "--now", "--reason", "r", "x"]).is_ok());
    }

    #[test]
    fn endpoints_are_separated_by_commas() {
        let all = ["rmctl", "status", "--endpoints", "a:1,b:2"];
        let rmctl = Rmctl::try_parse_from(all).unwrap();
        assert_eq!(rmctl.endpoints, ["a:1", "b:2"]);
    }
}
