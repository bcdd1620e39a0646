//! `rmd`: a server as a daemon, standalone or in the middle of a tree.

use std::env;
use std::ffi::OsString;
#[cfg(feature = "etcd")]
use std::net::ToSocketAddrs as _;
use std::path::PathBuf;
use std::time::Duration;

use rm_core::front::InTheWay;
use rustix::process::Signal;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use super::args::Rmd;
use super::exit::{Exit, Failure};
use super::output::{Output, hex, millis, readable, tame};
use super::signals::Signals;
use crate::Node;
#[cfg(feature = "etcd")]
use crate::coordinator::{CoordinatorError, EtcdConfig, EtcdTls};
use crate::types::Types;

/// Commands of operators are always logged.
const AUDIT: &str = "rm::audit=warn";

/// What is printed when the server is ready, for all that was in the way of its end, and when it has stopped.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    /// It was not back when the time was over.
    InTheWay {
        name: String,
        name_hex: String,
        r#type: &'static str,
        /// `held` here, or `lent` to a client.
        what: String,
        node: String,
        label: String,
        mode: String,
        age_ms: Option<u64>,
        #[serde(skip)]
        text: String,
    },
    /// There was more than what was named.
    MoreInTheWay {
        count: u64,
    },
    Listening {
        address: String,
        name: String,
        epoch: u32,
        data_dir: String,
    },
    /// One of several, or about to be: whether etcd answers is another matter.
    Joining {
        address: String,
        name: String,
        coordinator: String,
        cluster: String,
    },
    /// In the middle of a tree. Whether its creditor answers is another matter.
    Relaying {
        address: String,
        name: String,
        creditor: String,
    },
    Stopped {
        clean: bool,
        loans: u64,
    },
}

pub(crate) async fn run(args: &Rmd, types: Types, output: Output) -> Result<Exit, Failure> {
    log_to_stderr(&args.log)?;
    #[cfg(feature = "tls")]
    let transport = args.tls.transport(args.tls_client_ca.as_ref())?;
    #[cfg(not(feature = "tls"))]
    let transport = args.tls.transport()?;
    let variable = |name: &str| env::var_os(name);
    let coordinator = Coordinator::of(args)?;
    let data_dir = match (&coordinator, &*args.creditor) {
        (Coordinator::Standalone, []) => Some(data_dir(args.data_dir.clone(), variable)?),
        (Coordinator::Standalone, _) => None,
        // It saves a wait after a crash: where none is given, there is none.
        #[cfg(feature = "etcd")]
        (Coordinator::Etcd(_), _) => {
            let given = args.data_dir.is_some() || env::var_os("STATE_DIRECTORY").is_some();
            given
                .then(|| data_dir(args.data_dir.clone(), variable))
                .transpose()?
        }
    };
    // From here on: a signal that comes during the start is not lost.
    let signals = Signals::listen(&[Signal::INT, Signal::TERM]);
    let mut signals =
        signals.map_err(|error| Failure::system("cannot listen for signals", &error))?;
    let mut builder = Node::builder()
        .types(types)
        .transport(transport)
        .socket_mode(args.socket_mode)
        .lease(args.lease);
    for address in &args.listen {
        builder = builder.listen(address);
    }
    if let Some(data_dir) = &data_dir {
        builder = builder.data_dir(data_dir);
    }
    for address in &args.creditor {
        builder = builder.creditor(address);
    }
    if let Some(name) = &args.name {
        builder = builder.name(name);
    }
    let mut is_member = false;
    match coordinator {
        Coordinator::Standalone => {}
        #[cfg(feature = "etcd")]
        Coordinator::Etcd(config) => {
            is_member = true;
            let cluster = &args.cluster;
            builder = builder.etcd(*config).weight(cluster.weight);
            if let Some(address) = &cluster.advertise {
                builder = builder.advertise(address);
            }
        }
    }
    let node = builder.start().await?;
    let status = node.status();
    let addresses = node.addresses().iter().map(ToString::to_string);
    let address = addresses.collect::<Vec<_>>().join(",");
    let listening = match data_dir {
        #[cfg(feature = "etcd")]
        _ if is_member => Event::Joining {
            address,
            name: args.name.clone().unwrap_or_else(crate::node::host_name),
            coordinator: args.cluster.coordinator.clone(),
            cluster: args.cluster.cluster.clone(),
        },
        Some(data_dir) => Event::Listening {
            address,
            name: status.name,
            epoch: status.epoch,
            data_dir: data_dir.display().to_string(),
        },
        None => Event::Relaying {
            address,
            name: status.name,
            creditor: args.creditor.join(","),
        },
    };
    output.print(&listening, || listening.in_words())?;
    let within = tokio::select! {
        _ = signals.next() => args.drain_timeout,
        within = node.drain_ordered() => within,
    };
    let in_the_way = if is_member {
        hand_over(&node, within, &mut signals).await;
        Vec::new()
    } else {
        drain(&node, within, &mut signals).await
    };
    for still in &in_the_way {
        output.print(still, || still.in_words())?;
    }
    let report = node.stop().await;
    let stopped = Event::Stopped {
        clean: report.is_clean,
        loans: report.loans,
    };
    output.print(&stopped, || stopped.in_words())?;
    Ok(Exit::OK)
}

impl Event {
    fn in_words(&self) -> String {
        match self {
            Self::InTheWay { text, .. } => format!("not back in time: {text}"),
            Self::MoreInTheWay { count } => format!("not back in time: {count} more"),
            Self::Listening {
                address,
                name,
                epoch,
                data_dir,
            } => {
                let name = tame(name);
                format!("listening on {address} as {name}, epoch {epoch}, data in {data_dir}")
            }
            Self::Joining {
                address,
                name,
                coordinator,
                cluster,
            } => {
                let name = tame(name);
                format!(
                    "listening on {address} as {name}, a member of cluster {cluster} by {coordinator}"
                )
            }
            Self::Relaying {
                address,
                name,
                creditor,
            } => {
                let name = tame(name);
                format!("listening on {address} as {name}, borrows from {creditor}")
            }
            Self::Stopped { clean: true, .. } => "stopped: all credit had come back".into(),
            Self::Stopped { loans, .. } => format!(
                "stopped, loans still out: {loans}; the next start lends nothing until the leases of all clients are over"
            ),
        }
    }
}

/// Who keeps the list of members.
enum Coordinator {
    Standalone,
    #[cfg(feature = "etcd")]
    Etcd(Box<EtcdConfig>),
}

impl Coordinator {
    #[cfg(not(feature = "etcd"))]
    fn of(_: &Rmd) -> Result<Self, Failure> {
        Ok(Self::Standalone)
    }

    #[cfg(feature = "etcd")]
    fn of(args: &Rmd) -> Result<Self, Failure> {
        let cluster = &args.cluster;
        let Some(endpoints) = cluster.coordinator.strip_prefix("etcd=") else {
            if cluster.coordinator == "standalone" {
                return Ok(Self::Standalone);
            }
            let error = format_args!("'{}' is no coordinator", cluster.coordinator);
            return Err(Failure::new(Exit::CONFIG, error).hint(
                "give --coordinator standalone, or etcd=HOST:PORT with commas between several",
            ));
        };
        // Those that are no host and port are not where others look first.
        let listens = args
            .listen
            .iter()
            .find_map(|one| one.to_socket_addrs().ok());
        let is_anywhere = listens.is_some_and(|mut all| all.any(|one| one.ip().is_unspecified()));
        if is_anywhere && cluster.advertise.is_none() {
            let error = format_args!("others cannot reach a member at {}", args.listen.join(","));
            return Err(Failure::new(Exit::CONFIG, error).hint(
                "say where they can with --advertise or RM_ADVERTISE, such as 10.0.0.1:7600",
            ));
        }
        let unusable = |error: CoordinatorError| Failure::new(Exit::CONFIG, error);
        let mut config = EtcdConfig::new(&cluster.cluster, endpoints).map_err(unusable)?;
        if let Some(prefix) = &cluster.etcd_prefix {
            config = config.with_prefix(prefix).map_err(unusable)?;
        }
        if let Some(ca) = cluster.etcd_ca.clone() {
            let identity = cluster.etcd_cert.clone().zip(cluster.etcd_key.clone());
            let tls = EtcdTls {
                ca,
                identity,
                server_name: None,
            };
            config = config.with_tls(tls).map_err(unusable)?;
        }
        if let (Some(user), Some(file)) = (&cluster.etcd_user, &cluster.etcd_password_file) {
            let text = std::fs::read_to_string(file).map_err(|error| {
                let error = format_args!(
                    "cannot read the password of {user} in {}: {error}",
                    file.display()
                );
                Failure::new(Exit::CONFIG, error)
            })?;
            config = config.with_user(user, text.lines().next().unwrap_or_default());
        }
        Ok(Self::Etcd(Box::new(config)))
    }
}

/// Hands over what the others are to be the roots of from now on, until the time is over or another signal comes.
async fn hand_over(node: &Node, within: Duration, signals: &mut Signals) {
    if within.is_zero() {
        return;
    }
    let relieved = tokio::select! {
        relieved = node.drain(within) => relieved,
        _ = signals.next() => return,
    };
    if !relieved {
        tracing::warn!(
            "the others have not taken everything over in time: what they do not know of has to wait for leases"
        );
    }
}

/// Calls everything home before the server stops, until the time is over or another signal comes. Returns what was
/// not back by then.
async fn drain(node: &Node, within: Duration, signals: &mut Signals) -> Vec<Event> {
    if within.is_zero() {
        return Vec::new();
    }
    let report = tokio::select! {
        report = node.wind_up(within) => report,
        _ = signals.next() => return Vec::new(),
    };
    let mut events: Vec<_> = report.in_the_way.into_iter().map(Event::from).collect();
    if report.omitted > 0 {
        events.push(Event::MoreInTheWay {
            count: report.omitted,
        });
    }
    events
}

impl From<InTheWay> for Event {
    fn from(still: InTheWay) -> Self {
        Self::InTheWay {
            name: readable(still.key.as_bytes()),
            name_hex: hex(still.key.as_bytes()),
            r#type: still.type_name,
            what: still.what.to_string(),
            text: tame(&still.to_string()),
            node: still.node,
            label: still.label,
            mode: still.mode,
            age_ms: still.age.map(millis),
        }
    }
}

fn log_to_stderr(filter: &str) -> Result<(), Failure> {
    // What operators ordered is in the log, whatever else is.
    let audit = |filter: EnvFilter| filter.add_directive(AUDIT.parse().expect("it is a filter"));
    let filter = EnvFilter::try_new(filter).map(audit).map_err(|error| {
        Failure::new(
            Exit::CONFIG,
            format_args!("the log filter '{filter}' cannot be used: {error}"),
        )
        .hint("give --log or RUST_LOG such as info or rm_net=debug")
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(
            std::io::IsTerminal::is_terminal(&std::io::stderr())
                && env::var_os("NO_COLOR").is_none(),
        );
    subscriber
        .try_init()
        .map_err(|error| Failure::new(Exit::SYSTEM, format_args!("cannot log: {error}")))
}

/// Where the epoch is kept: as told, else where the system's service manager or the user keeps state.
fn data_dir(
    given: Option<PathBuf>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, Failure> {
    let absolute = |name: &str| {
        let path = variable(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    if let Some(given) = given {
        return Ok(given);
    }
    // A service manager gives several, separated by colons, if the service asks for several.
    if let Some(dirs) = variable("STATE_DIRECTORY")
        && let Some(first) = env::split_paths(&dirs).next()
        && first.is_absolute()
    {
        return Ok(first);
    }
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("rmd")).ok_or_else(|| {
        let error = "no data directory: --data-dir is not given, and neither STATE_DIRECTORY, \
                     XDG_STATE_HOME nor HOME is set. The server keeps its epoch there, so that a restart is safe";
        Failure::new(Exit::CONFIG, error).hint("give a directory with --data-dir or RM_DATA_DIR")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(variables: &[(&str, &str)]) -> Option<PathBuf> {
        let find = |name: &str| {
            let mut variables = variables.iter();
            variables
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        data_dir(None, find).ok()
    }

    #[test]
    fn the_data_directory_is_the_services_then_the_users_and_else_there_is_none() {
        let service = ("STATE_DIRECTORY", "/var/lib/rmd:/var/lib/other");
        let (xdg, home) = (("XDG_STATE_HOME", "/x"), ("HOME", "/home/u"));
        assert_eq!(dir(&[service, xdg, home]), Some("/var/lib/rmd".into()));
        assert_eq!(dir(&[xdg, home]), Some("/x/rmd".into()));
        assert_eq!(dir(&[home]), Some("/home/u/.local/state/rmd".into()));
        assert_eq!(dir(&[("XDG_STATE_HOME", "relative")]), None);
        assert_eq!(dir(&[]), None);
    }
}
