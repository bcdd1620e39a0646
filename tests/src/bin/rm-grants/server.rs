//! The server as a process of its own, on a processor of its own.
//!
//! It tells its address, and then for each line that it reads what it has spent so far. It ends with its input, at once: what
//! a server does for clients that leave is not measured.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rm_net::Node;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The argument by which this program is the server.
pub(crate) const ARGUMENT: &str = "server";

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Time of processors.
    pub(crate) spent: Duration,
    /// Bytes of memory that the process has from the system.
    pub(crate) resident: u64,
}

impl Usage {
    /// Of this process.
    pub(crate) fn now() -> Self {
        Self {
            spent: Duration::try_from(clock_gettime(ClockId::ProcessCPUTime))
                .expect("no process has used less than nothing"),
            resident: resident().unwrap_or(0),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split(' ').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self {
            spent: Duration::from_nanos(next()?),
            resident: next()?,
        })
    }
}

/// From the second number of the system's file, in pages.
fn resident() -> Option<u64> {
    let file = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = file.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// A running server. It ends when this is dropped.
pub(crate) struct Server {
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    /// Where it listens.
    pub(crate) address: String,
}

impl Server {
    /// Starts one; behind `wrapper`, a program and its arguments, if there are any.
    ///
    /// # Errors
    /// Where it does not start.
    pub(crate) fn start(wrapper: &[String]) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| format!("who am I? {error}"))?;
        let mut command = match wrapper {
            [] => Command::new(own),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(own);
                command
            }
        };
        let command = command
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let started = command.spawn();
        let mut process = started.map_err(|error| format!("the server does not start: {error}"))?;
        let output = process.stdout.take().expect("piped");
        let mut server = Self {
            input: process.stdin.take(),
            output: BufReader::new(output).lines(),
            process,
            address: String::new(),
        };
        server.address = server.line()?;
        Ok(server)
    }

    /// Ends it, and waits for that.
    pub(crate) fn end(&mut self) {
        self.input = None;
        let _ = self.process.wait();
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// Where it has died.
    pub(crate) fn usage(&mut self) -> Result<Usage, String> {
        let input = self.input.as_mut().expect("it has not been closed");
        writeln!(input).map_err(|error| format!("the server hears nothing: {error}"))?;
        let line = self.line()?;
        Usage::parse(&line).ok_or(format!("the server said {line}"))
    }

    fn line(&mut self) -> Result<String, String> {
        let line = self.output.next().ok_or("the server has died")?;
        line.map_err(|error| format!("the server says nothing: {error}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Is the server, until its input ends.
///
/// # Errors
/// Where it cannot serve.
pub(crate) fn serve() -> Result<(), String> {
    stay_on(Side::Server)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let dir = tempfile::tempdir().map_err(|error| format!("no directory: {error}"))?;
    let start = Node::builder().listen("127.0.0.1:0").data_dir(dir.path());
    let node = runtime.block_on(start.start());
    let node = node.map_err(|error| format!("the server does not start: {error}"))?;
    println!("{}", node.local_addr().expect("it listens"));
    for line in std::io::stdin().lines() {
        line.map_err(|error| format!("nothing can be read: {error}"))?;
        let usage = Usage::now();
        let nanos = usage.spent.as_nanos();
        println!("{nanos} {}", usage.resident);
    }
    // Callgrind writes what it has counted.
    std::process::exit(0)
}

/// Who uses which processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// All but the server's.
    Clients,
    /// The last one.
    Server,
}

/// Keeps this thread, and those that it makes, on the processors of its side; where there is only one, all share it.
///
/// # Errors
/// Where the system does not allow it.
pub(crate) fn stay_on(side: Side) -> Result<(), String> {
    let failed = |error| format!("processors cannot be chosen: {error}");
    let all = sched_getaffinity(None).map_err(failed)?;
    let numbers: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|&cpu| all.is_set(cpu))
        .collect();
    let Some((&last, others @ [_, ..])) = numbers.split_last() else {
        return Ok(());
    };
    let mut mine = CpuSet::new();
    match side {
        Side::Clients => others.iter().for_each(|&cpu| mine.set(cpu)),
        Side::Server => mine.set(last),
    }
    sched_setaffinity(None, &mine).map_err(failed)
}
