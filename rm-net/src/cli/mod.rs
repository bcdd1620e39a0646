//! What is behind the two programs: `rmd`, the daemon, and `rmctl`, the tool.
//!
//! ```text
//! agent    rmd --agent: where it listens, and how rmctl finds it
//! args     the flags of both, and what makes a name or a number of seconds acceptable
//! exit     exit codes, and failures: a sentence, a hint, a code
//! output   what goes to standard output: text for people, JSON for programs
//! serve    rmd
//! lock     rmctl lock: a command under a lock; hold takes one without a command
//! inspect  rmctl ls, show; pages: what a server lists
//! why      rmctl why: who waits for whom; top, tree, watch, wait: the commands of these names
//! servers  all servers that a question about locks concerns
//! contact  one server, for those who ask or order each by itself
//! status, members, release, drain: the commands of these names
//! schema   what JSON looks like; manual: completions and manual pages
//! doctor   rmctl doctor: what is wrong, and what to change
//! bench    rmctl bench
//! demo     rmctl demo: a server and clients as processes, real work under locks, a verdict
//! ```
//!
//! **Rules.** Results go to standard output, everything else to standard error. With `--json` both are JSON: one
//! object a line. A command returns its exit code or a `Failure`; only the functions here end the process,
//! so guards and temporary files are always dropped first.
//!
//! The main thread drives the main future and starts all child processes. That matters: on Linux a child's
//! parent-death signal is tied to the thread that started it.

use std::process::ExitCode;

use rm_core::resource::ResourceType;
use tokio::runtime::{Builder, Runtime};

use self::args::{Command, Rmctl};
use self::exit::{Exit, Failure};
use self::output::Output;
use crate::types::Types;

mod agent;
mod args;
mod bench;
mod connect;
mod contact;
mod demo;
mod doctor;
mod drain;
pub(crate) mod exit;
mod hold;
mod increment;
pub(crate) mod inspect;
mod lock;
mod lookout;
mod manual;
pub(crate) mod members;
pub(crate) mod output;
mod pages;
mod release;
mod rules;
mod schema;
pub(crate) mod serve;
mod servers;
mod signals;
pub(crate) mod status;
mod stdin;
mod text_file;
mod top;
mod tree;
mod wait;
mod watch;
mod why;

/// Runs `rmctl` with the arguments of the process.
#[must_use]
pub fn rmctl() -> ExitCode {
    let args: Rmctl = match args::parse() {
        Ok(args) => args,
        Err(exit) => return exit.into(),
    };
    let output = Output::new(args.json);
    output.finish("rmctl", run(args, output))
}

/// The daemon `rmd`, with the resource types that it is to know: the whole of it is one line of `main`.
///
/// ```no_run
/// # use std::process::ExitCode;
/// fn main() -> ExitCode {
///     rm_net::Daemon::new().run()
/// }
/// ```
///
/// A type of your own takes one more: `Daemon::new().register(MyType).run()`.
#[derive(Clone, Debug, Default)]
pub struct Daemon {
    types: Types,
}

impl Daemon {
    /// The daemon as it comes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more resource type, beside those that this project brings.
    ///
    /// # Panics
    /// If a registered type has the same number.
    #[must_use]
    pub fn register<T: ResourceType>(mut self, resource_type: T) -> Self {
        self.types.register(resource_type);
        self
    }

    /// Runs with the flags of the process until a signal ends it.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let (told, output) = match serve::settings() {
            Ok(told) => told,
            Err(exit) => return exit.into(),
        };
        let serve = |runtime: Runtime| runtime.block_on(serve::run(told, self.types, output));
        output.finish("rmd", threads().and_then(serve))
    }
}

fn run(args: Rmctl, output: Output) -> Result<Exit, Failure> {
    let endpoints = &args.endpoints;
    // The demonstration brings its own server, which speaks plain text on this machine.
    if !matches!(args.command, Command::Demo(_) | Command::DemoClient(_)) {
        #[cfg(feature = "tls")]
        connect::set_transport(args.tls.transport(None)?);
        #[cfg(not(feature = "tls"))]
        connect::set_transport(args.tls.transport()?);
    }
    match args.command {
        Command::Completions(completions) => manual::completions(&completions),
        Command::Man(man) => manual::pages(&man),
        Command::Bench(bench) => threads()?.block_on(bench::run(endpoints, &bench, output)),
        Command::Demo(demo) => one_thread()?.block_on(demo::run(&demo, output)),
        Command::Doctor(doctor) => one_thread()?.block_on(doctor::run(endpoints, &doctor, output)),
        Command::Drain(drain) => one_thread()?.block_on(drain::run(endpoints, &drain, output)),
        Command::DemoClient(client) => threads()?.block_on(demo::client::run(&client)),
        Command::DemoServer(server) => threads()?.block_on(demo::server::run(&server)),
        Command::Exec(exec) => Err(lock::exec::run(&exec)),
        Command::Hold(hold) => one_thread()?.block_on(hold::run(endpoints, &hold, output)),
        Command::Increment(increment) => increment::run(&increment.file),
        Command::Lock(lock) => one_thread()?.block_on(lock::run(endpoints, &lock, output)),
        Command::Ls(ls) => one_thread()?.block_on(inspect::ls(endpoints, ls, output)),
        Command::Members => one_thread()?.block_on(members::run(endpoints, output)),
        Command::Release(release) => {
            one_thread()?.block_on(release::run(endpoints, &release, output))
        }
        Command::Schema(schema) => schema::run(&schema),
        Command::Show(show) => one_thread()?.block_on(inspect::show(endpoints, &show, output)),
        Command::Top(top) => one_thread()?.block_on(top::run(endpoints, top, output)),
        Command::Tree(tree) => one_thread()?.block_on(tree::run(endpoints, tree, output)),
        Command::Wait(wait) => one_thread()?.block_on(wait::run(endpoints, &wait, output)),
        Command::Watch(watch) => one_thread()?.block_on(watch::run(endpoints, &watch, output)),
        Command::Why(why) => one_thread()?.block_on(why::run(endpoints, &why, output)),
        Command::Status => one_thread()?.block_on(status::run(endpoints, output)),
    }
}

/// A runtime for a command that waits more than it works: it starts no threads.
fn one_thread() -> Result<Runtime, Failure> {
    start(Builder::new_current_thread())
}

/// A runtime with a thread for each core.
fn threads() -> Result<Runtime, Failure> {
    start(Builder::new_multi_thread())
}

fn start(mut builder: Builder) -> Result<Runtime, Failure> {
    let runtime = builder.enable_all().build();
    runtime.map_err(|error| Failure::system("cannot start the runtime", &error))
}
