//! The processes of a run: what each is started with, and what faults do to them.
//!
//! A process that ends though nobody ended it is a violation, whatever its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::etcd;
use crate::faults::{Fault, Kind};
use crate::network::Network;
use crate::place::{Coordinator, Group, Layout, Place};
use crate::process::Process;

/// A process is ready, or has ended, within so long; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a process that was told to stop gets beyond the length of its fault.
const LAST_MOMENT: Duration = Duration::from_secs(2);
/// In the line that an `rmd` prints when it listens, alone or as a member.
const RMD_READY: &str = "\"address\"";
/// How servers call their cluster.
const CLUSTER: &str = "chaos";

/// What the processes are started with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) rmd: PathBuf,
    /// Where records, registers, logs and data are.
    pub(crate) dir: PathBuf,
    pub(crate) layout: Layout,
    pub(crate) lease: Duration,
    pub(crate) seed: u64,
    /// Clients go on after a loss: the run must find them out.
    pub(crate) ignore_loss: bool,
}

/// All processes, and the network between them.
#[derive(Debug)]
pub(crate) struct Cluster {
    settings: Settings,
    /// Before the network, so that they are gone when it goes.
    processes: BTreeMap<Place, Process>,
    network: Network,
    /// How often each was started.
    runs: BTreeMap<Place, u32>,
    /// Those that were told to end.
    ending: BTreeSet<Place>,
    /// Servers that were started and have not yet said where they listen.
    starting: BTreeSet<Place>,
    violations: Vec<String>,
}

impl Cluster {
    /// Starts everything, and waits until the servers are ready.
    pub(crate) async fn start(settings: Settings, network: Network) -> Result<Self, String> {
        let places = settings.layout.places();
        let mut cluster = Self {
            settings,
            network,
            processes: BTreeMap::new(),
            runs: BTreeMap::new(),
            ending: BTreeSet::new(),
            starting: BTreeSet::new(),
            violations: Vec::new(),
        };
        for place in places {
            cluster.start_one(place)?;
            if place.group() != Group::Client {
                let ready = cluster.processes[&place].ready(PATIENCE).await;
                let log = cluster.log(place);
                ready.map_err(|what| format!("{place}: {what}; see {}", log.display()))?;
                cluster.look();
            }
        }
        Ok(cluster)
    }

    /// A fault begins.
    pub(crate) async fn begin(&mut self, fault: &Fault) -> Result<(), String> {
        match fault.kind {
            Kind::Kill(_) => {
                if let Some(process) = self.remove(fault.place) {
                    process.kill().await;
                }
            }
            Kind::Restart(_) => self.tell_to_stop(fault.place),
            Kind::Pause(_) => self.processes[&fault.place].signal(Signal::STOP),
            Kind::CutOff(..) | Kind::CutApart(..) | Kind::Slow(_) => {
                self.network.begin(fault).await?;
            }
        }
        Ok(())
    }

    /// A fault that began is over.
    pub(crate) async fn end(&mut self, fault: &Fault) -> Result<(), String> {
        match fault.kind {
            Kind::Kill(_) => self.start_one(fault.place)?,
            Kind::Restart(_) => {
                self.wait_for_end(fault.place, LAST_MOMENT).await;
                self.start_one(fault.place)?;
            }
            Kind::Pause(_) => self.processes[&fault.place].signal(Signal::CONT),
            Kind::CutOff(..) | Kind::CutApart(..) | Kind::Slow(_) => {
                self.network.end(fault).await?;
            }
        }
        Ok(())
    }

    /// Notices what has become of the processes since the last look.
    pub(crate) fn look(&mut self) {
        for (&place, process) in &mut self.processes {
            if !self.ending.contains(&place)
                && let Some(status) = process.has_ended()
            {
                self.violations
                    .push(format!("{place} ended by itself: {status}"));
                self.ending.insert(place);
            }
        }
        let ready = |place: &Place| {
            let process = self.processes.get(place)?;
            process
                .watch_ready()
                .borrow()
                .clone()
                .map(|line| (*place, line))
        };
        let ready: Vec<_> = self.starting.iter().filter_map(ready).collect();
        for (place, line) in ready {
            self.starting.remove(&place);
            if let Some(address) = self.listens(place, &line) {
                self.network.on_listening(place, &address);
            }
        }
    }

    /// Stops the clients, then the servers, and returns what went wrong with processes.
    pub(crate) async fn stop(mut self) -> Vec<String> {
        for group in [Group::Client, Group::Server, Group::Etcd] {
            let places = self.settings.layout.of(group);
            for &place in &places {
                self.tell_to_stop(place);
            }
            for place in places {
                self.wait_for_end(place, PATIENCE).await;
            }
        }
        self.violations
    }

    fn start_one(&mut self, place: Place) -> Result<(), String> {
        let run = self.runs.entry(place).or_default();
        *run += 1;
        let run = *run;
        let (program, arguments, ready) = match place.group() {
            Group::Server => (self.settings.rmd.clone(), self.server(place)?, RMD_READY),
            Group::Client => {
                let this = std::env::current_exe();
                let this = this.map_err(|error| format!("cannot find this program: {error}"))?;
                (this, self.client(place, run), "never")
            }
            Group::Etcd => {
                let address = self.network.listen_address(place)?;
                let data = self.settings.dir.join("etcd");
                (
                    etcd::program()?,
                    etcd::arguments(&address, &data),
                    etcd::READY,
                )
            }
        };
        let mut command = self.network.command(place, &program)?;
        command.args(arguments);
        let process = Process::start(command, &self.log(place), ready)?;
        self.processes.insert(place, process);
        self.ending.remove(&place);
        if place.group() != Group::Client {
            self.starting.insert(place);
        }
        Ok(())
    }

    fn server(&self, place: Place) -> Result<Vec<String>, String> {
        let Settings { dir, lease, .. } = &self.settings;
        let mut words: Vec<String> = [
            "--json",
            "--insecure",
            "--name",
            &place.to_string(),
            "--listen",
            &self.network.listen_address(place)?,
            "--lease",
            &format!("{}ms", lease.as_millis()),
            "--drain-timeout",
            "1s",
            "--log",
            "info",
        ]
        .map(Into::into)
        .to_vec();
        match self.settings.layout.coordinator {
            Coordinator::Standalone => {
                let data = dir.join(format!("{place}.data"));
                words.extend(["--data-dir".into(), data.display().to_string()]);
            }
            Coordinator::Etcd => {
                let etcd = self.network.address(place, Place::Etcd);
                words.extend(["--coordinator".into(), format!("etcd={etcd}")]);
                words.extend(["--cluster".into(), CLUSTER.into()]);
                // With a directory a restart need not wait for the silence of the process before; without one it does.
                if matches!(place, Place::Server(number) if number % 2 == 1) {
                    let data = dir.join(format!("{place}.data"));
                    words.extend(["--data-dir".into(), data.display().to_string()]);
                }
                if let Some(address) = self.network.advertised(place) {
                    words.extend(["--advertise".into(), address]);
                }
            }
        }
        Ok(words)
    }

    fn client(&self, place: Place, run: u32) -> Vec<String> {
        let Settings {
            dir,
            layout,
            lease,
            seed,
            ignore_loss,
            ..
        } = &self.settings;
        let number = match place {
            Place::Client(number) => number as u64,
            Place::Server(_) | Place::Etcd => 0,
        };
        let mut words: Vec<String> = vec!["client".into()];
        for (name, value) in [
            ("--name", place.to_string()),
            ("--run", run.to_string()),
            ("--dir", dir.display().to_string()),
            ("--lease-ms", lease.as_millis().to_string()),
            ("--seed", seed.wrapping_add(number << 48).to_string()),
        ] {
            words.extend([name.into(), value]);
        }
        for server in layout.of(Group::Server) {
            let address = self.network.address(place, server);
            words.extend(["--endpoint".into(), address]);
        }
        if *ignore_loss {
            words.push("--ignore-loss".into());
        }
        words
    }

    /// Where the process listens, by the line that said it is ready.
    fn listens(&self, place: Place, line: &str) -> Option<String> {
        match place.group() {
            Group::Etcd => self.network.listen_address(place).ok(),
            Group::Server | Group::Client => {
                let event: serde_json::Value = serde_json::from_str(line).ok()?;
                Some(event.get("address")?.as_str()?.to_owned())
            }
        }
    }

    fn tell_to_stop(&mut self, place: Place) {
        if let Some(process) = self.processes.get_mut(&place) {
            self.ending.insert(place);
            match place.group() {
                Group::Client => process.close_stdin(),
                Group::Server | Group::Etcd => process.signal(Signal::TERM),
            }
        }
    }

    async fn wait_for_end(&mut self, place: Place, within: Duration) {
        let Some(process) = self.remove(place) else {
            return;
        };
        match process.ended(within).await {
            Some(status) if status.success() || place == Place::Etcd => {}
            Some(status) => self
                .violations
                .push(format!("{place} was told to stop, and ended with {status}")),
            None if within == PATIENCE => self
                .violations
                .push(format!("{place} did not stop within {within:?}")),
            // There was little time for it: that is a kill, and a kill is nothing special here.
            None => {}
        }
    }

    fn remove(&mut self, place: Place) -> Option<Process> {
        self.starting.remove(&place);
        self.processes.remove(&place)
    }

    fn log(&self, place: Place) -> PathBuf {
        log_path(&self.settings.dir, place)
    }
}

/// The log of all processes that were started at a place.
pub(crate) fn log_path(dir: &Path, place: Place) -> PathBuf {
    dir.join(format!("{place}.log"))
}
