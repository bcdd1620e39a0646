//! A run, from the network to the report.
//!
//! ```text
//! start       servers, then clients, and a lease of peace
//! faults      by the schedule, which is printed with the times of the run
//! healing     every fault that goes on ends; then everybody must be served
//! judgement   of records, registers, processes and logs
//! ```
//!
//! Where anything was violated, the directory with all records and logs stays, the report says where, and with what to run the
//! same schedule again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::ctrl_c;
use tokio::time::{Instant, sleep_until};

use crate::client::{LOCKS, RECORD, lock_name};
use crate::cluster::{Cluster, Settings, log_path};
use crate::faults::{Fault, plan};
use crate::history::{self, Phases, Turn};
use crate::network::{Network, Wish};
use crate::place::{Coordinator, Group, Layout};
use crate::record::{self, now};
use crate::register::Register;
use crate::registers;
use crate::verdict::Verdict;

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// The healed phase, in leases: long enough for everybody to be granted something after the longest wait that is allowed.
const HEALED_LEASES: u32 = 9;
/// The most clients and servers: each is a process.
const PROCESSES_MAX: usize = 100;

/// How to run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// How long, the healed phase included
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    minutes: f64,
    /// What the schedule follows from [default: drawn, and printed]
    #[arg(long)]
    seed: Option<u64>,
    /// How the servers agree on who is a member
    #[arg(long, value_enum, default_value_t = Coordinator::Etcd)]
    coordinator: Coordinator,
    /// How many servers [default: 1 standalone, 3 with etcd]
    #[arg(long)]
    servers: Option<usize>,
    /// How many client processes
    #[arg(long, default_value_t = 10)]
    clients: usize,
    /// How packets are dropped
    #[arg(long, value_enum, default_value_t = Wish::Auto)]
    network: Wish,
    /// The servers' lease in milliseconds: a short one sees more faults in the same time
    #[arg(long, default_value_t = 3_000)]
    lease_ms: u64,
    /// Where records and logs go, and stay [default: a new directory, which stays only if something was violated]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Clients go on after a loss: the judgement must find them out
    #[arg(long, hide = true)]
    ignore_loss: bool,
}

impl RunArgs {
    fn layout(&self) -> Result<Layout, String> {
        let servers = self.servers.unwrap_or(match self.coordinator {
            Coordinator::Standalone => 1,
            Coordinator::Etcd => 3,
        });
        if self.coordinator == Coordinator::Standalone && servers != 1 {
            return Err("standalone servers know nothing of each other: say --servers 1, or --coordinator etcd".into());
        }
        if self.clients == 0 || servers == 0 || self.clients + servers > PROCESSES_MAX {
            return Err(format!(
                "at least one client and server, and at most {PROCESSES_MAX} in all"
            ));
        }
        Ok(Layout {
            servers,
            clients: self.clients,
            coordinator: self.coordinator,
        })
    }

    fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// How long faults begin.
    fn faulty(&self) -> Result<Duration, String> {
        let all = Duration::try_from_secs_f64(self.minutes * 60.0);
        let all = all.map_err(|error| format!("--minutes {}: {error}", self.minutes))?;
        let rest = all.checked_sub(self.lease() * (HEALED_LEASES + 1));
        rest.filter(|rest| *rest >= self.lease()).ok_or_else(|| {
            let least = self.lease() * (HEALED_LEASES + 2);
            format!(
                "--minutes {} is too short: with this lease it takes at least {least:?}",
                self.minutes
            )
        })
    }

    /// The command that runs the same schedule.
    fn again(&self, seed: u64, layout: &Layout, network: &str) -> String {
        let coordinator = match layout.coordinator {
            Coordinator::Standalone => "standalone",
            Coordinator::Etcd => "etcd",
        };
        format!(
            "cargo xtask chaos --minutes {} --seed {seed} --coordinator {coordinator} --servers {} --clients {} --lease-ms {} --network {network}",
            self.minutes, layout.servers, layout.clients, self.lease_ms
        )
    }
}

/// Where a run keeps its files.
enum Keep {
    Given(PathBuf),
    Fresh(tempfile::TempDir),
}

/// Runs, prints the report, and says by the code whether all was well.
pub(crate) async fn run(args: RunArgs) -> Result<ExitCode, String> {
    let layout = args.layout()?;
    let span = args.faulty()?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let rmd = rmd()?;
    let keep = Keep::new(args.dir.as_deref())?;
    let network = Network::new(args.network, layout).await?;
    let name = network.name();
    let faults = plan(seed, &layout, network.abilities(), args.lease(), span);
    let again = args.again(seed, &layout, name);
    println!("$ {again}");
    let settings = Settings {
        rmd,
        dir: keep.path().to_owned(),
        layout,
        lease: args.lease(),
        seed,
        ignore_loss: args.ignore_loss,
    };
    let done = tokio::select! {
        done = live_and_judge(settings, network, &faults, span) => done,
        _ = ctrl_c() => Err("interrupted".into()),
    };
    let is_good = done.map(|(turns, phases, violations)| {
        let verdict = Verdict::new(name, seed, &faults, &turns, phases, violations);
        println!("\n{verdict}");
        verdict.is_good()
    });
    if is_good == Ok(true) {
        return Ok(ExitCode::SUCCESS);
    }
    let dir = keep.stay();
    println!("records and logs: {}", dir.display());
    println!("the same schedule again: {again}");
    is_good.map(|_| ExitCode::FAILURE)
}

/// The run itself: what the clients did, when, and what is wrong with it.
async fn live_and_judge(
    settings: Settings,
    network: Network,
    faults: &[Fault],
    span: Duration,
) -> Result<(Vec<Turn>, Phases, Vec<String>), String> {
    let Settings { layout, lease, .. } = settings;
    let dir = settings.dir.clone();
    let mut cluster = Cluster::start(settings, network).await?;
    let phases = live(&mut cluster, faults, lease, span).await?;
    let mut violations = cluster.stop().await;
    let turns = read_records(&dir)?;
    violations.extend(judge(&turns, &layout, phases, lease, &dir)?);
    Ok((turns, phases, violations))
}

/// The faulty phase and the healed one.
async fn live(
    cluster: &mut Cluster,
    faults: &[Fault],
    lease: Duration,
    span: Duration,
) -> Result<Phases, String> {
    watch(cluster, Instant::now() + lease).await;
    let broken = now();
    let began = Instant::now();
    let mut steps: Vec<(Duration, bool, &Fault)> = Vec::new();
    for fault in faults {
        steps.push((fault.at, false, fault));
        // What goes on at the end of the phase is healed with it.
        let end = (fault.at + fault.lasts).min(span);
        steps.push((end, true, fault));
    }
    steps.sort_by_key(|(at, is_end, _)| (*at, *is_end));
    for (at, is_end, fault) in steps {
        watch(cluster, began + at).await;
        if is_end {
            cluster.end(fault).await?;
        } else {
            println!("{fault}");
            cluster.begin(fault).await?;
        }
    }
    watch(cluster, began + span).await;
    let healed = now();
    println!("healed after {:.2} s", began.elapsed().as_secs_f64());
    watch(cluster, Instant::now() + lease * HEALED_LEASES).await;
    let ended = now();
    Ok(Phases {
        broken,
        healed,
        ended,
    })
}

/// Looks at the processes until then.
async fn watch(cluster: &mut Cluster, until: Instant) {
    loop {
        cluster.look();
        let next = Instant::now() + LOOK;
        if next >= until {
            return sleep_until(until).await;
        }
        sleep_until(next).await;
    }
}

/// The server's program: it is built beside this one.
fn rmd() -> Result<PathBuf, String> {
    let this = std::env::current_exe();
    let this = this.map_err(|error| format!("cannot find this program: {error}"))?;
    let rmd = this.with_file_name("rmd");
    if rmd.is_file() {
        return Ok(rmd);
    }
    let rmd = rmd.display();
    Err(format!(
        "{rmd} is not there: run `cargo xtask chaos`, which builds it"
    ))
}

/// The turns of all client processes.
fn read_records(dir: &Path) -> Result<Vec<Turn>, String> {
    let failed = |error| format!("cannot read {}: {error}", dir.display());
    let mut turns = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == RECORD)
        {
            let process = path.file_stem().unwrap_or_default().to_string_lossy();
            turns.extend(history::turns(&process, record::read(&path)?)?);
        }
    }
    turns.sort_by_key(|turn| turn.asked);
    Ok(turns)
}

/// Everything that is wrong with the records, the registers and the logs of a run.
fn judge(
    turns: &[Turn],
    layout: &Layout,
    phases: Phases,
    lease: Duration,
    dir: &Path,
) -> Result<Vec<String>, String> {
    let mut violations = judge_records(turns, dir)?;
    let clients = layout.of(Group::Client);
    let clients: Vec<String> = clients.iter().map(ToString::to_string).collect();
    violations.extend(history::judge_healing(turns, &clients, phases, lease));
    for place in layout.places() {
        let log = log_path(dir, place);
        let text = fs::read(&log);
        let text = text.map_err(|error| format!("cannot read {}: {error}", log.display()))?;
        let text = String::from_utf8_lossy(&text);
        if let Some(line) = text.lines().find(|line| line.contains("panicked at")) {
            violations.push(format!("{place}: {line}"));
        }
    }
    Ok(violations)
}

/// The same of records and registers, which is what is left when nobody knows the phases any more.
fn judge_records(turns: &[Turn], dir: &Path) -> Result<Vec<String>, String> {
    let mut violations = history::judge(turns);
    for lock in (0..LOCKS).map(lock_name) {
        let entries = Register::of(dir, &lock).history()?;
        violations.extend(registers::judge(&lock, &entries, turns));
    }
    Ok(violations)
}

/// Judges the records in `dir` once more, and says by the code whether all was well.
pub(crate) fn judge_again(dir: &Path) -> Result<ExitCode, String> {
    let turns = read_records(dir)?;
    let violations = judge_records(&turns, dir)?;
    for violation in &violations {
        println!("{violation}");
    }
    println!(
        "requests: {}; violations: {}",
        turns.len(),
        violations.len()
    );
    Ok(if violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Keep {
    fn new(given: Option<&Path>) -> Result<Self, String> {
        match given {
            Some(dir) => {
                let made = fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
                let unusable = |error| format!("cannot use {}: {error}", dir.display());
                let dir = made.map_err(unusable)?;
                if fs::read_dir(&dir).map_err(unusable)?.next().is_some() {
                    let dir = dir.display();
                    return Err(format!(
                        "{dir} is not empty: records of two runs would be judged as one"
                    ));
                }
                Ok(Self::Given(dir))
            }
            None => tempfile::Builder::new()
                .prefix("rm-chaos-")
                .tempdir()
                .map(Self::Fresh)
                .map_err(|error| format!("cannot make a directory: {error}")),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(dir) => dir,
            Self::Fresh(dir) => dir.path(),
        }
    }

    fn stay(self) -> PathBuf {
        match self {
            Self::Given(dir) => dir,
            Self::Fresh(dir) => dir.keep(),
        }
    }
}
