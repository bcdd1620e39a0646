//! What the settings come to: each is acceptable by itself; here they must make sense together.
//!
//! Nothing is opened but the file with a password and the one with the rules. What cannot be is an error that names the setting to change.

use std::env;
use std::ffi::OsString;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use rm_core::access::Rules;

use super::logs;
use crate::cli::agent;
use crate::cli::args::Rmd;
use crate::cli::exit::{Exit, Failure};
use crate::cli::rules;
#[cfg(feature = "etcd")]
use crate::coordinator::{CoordinatorError, EtcdConfig, EtcdTls};
use crate::error::StartError;
use crate::transport::{Address, Transport};
use crate::types::Types;

/// Settings that make sense together.
pub(super) struct Plan {
    /// Where the epoch is kept, or what saves a member a wait after a crash.
    pub(super) data_dir: Option<PathBuf>,
    pub(super) coordinator: Coordinator,
    /// How connections are made and accepted.
    pub(super) transport: Transport,
    /// Who may do what.
    pub(super) rules: Rules,
}

impl Plan {
    /// What the settings come to.
    ///
    /// # Errors
    /// Where they make no sense together, or the file with a password or that with the rules cannot be used.
    pub(super) fn of(args: &Rmd, types: &Types) -> Result<Self, Failure> {
        logs::parse(&args.log)?;
        let transport = transport(args)?;
        if !transport.is_open_to_strangers() {
            refuse_strangers(&args.listen)?;
        }
        #[cfg(feature = "http")]
        if let Some(http) = &args.http
            && !args.tls.insecure
        {
            refuse_readers(http)?;
        }
        if args.agent {
            agent::refuse_ring(&args.listen, &args.creditor)?;
        }
        let rules = args.rules.as_ref();
        let rules = rules.map(|path| rules::read(path, types)).transpose()?;
        let coordinator = Coordinator::of(args)?;
        let variable = |name: &str| env::var_os(name);
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
        Ok(Self {
            data_dir,
            coordinator,
            transport,
            rules: rules.unwrap_or_default(),
        })
    }
}

/// Who keeps the list of members.
pub(super) enum Coordinator {
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

#[cfg(feature = "tls")]
fn transport(args: &Rmd) -> Result<Transport, Failure> {
    args.tls.transport(args.tls_client_ca.as_ref())
}

#[cfg(not(feature = "tls"))]
fn transport(args: &Rmd) -> Result<Transport, Failure> {
    args.tls.transport()
}

/// Where callers need not prove who they are, a server serves its own machine only. It would refuse to start otherwise:
/// here that is found out without listening.
fn refuse_strangers(listen: &[String]) -> Result<(), Failure> {
    for text in listen {
        let address: Address = text.parse().map_err(StartError::from)?;
        if let Address::Tcp(address) = address
            && !is_here(address.as_str(), "listen")?
        {
            let address = text.clone();
            return Err(StartError::Insecure { address }.into());
        }
    }
    Ok(())
}

/// HTTP is not encrypted, and asks nobody who they are.
#[cfg(feature = "http")]
fn refuse_readers(http: &str) -> Result<(), Failure> {
    if is_here(http, "http")? {
        return Ok(());
    }
    let error = format_args!(
        "{http} can be reached from other machines, and whoever reaches it can read the names of all locks and who uses them"
    );
    Err(Failure::new(Exit::CONFIG, error).hint(
        "serve HTTP on 127.0.0.1 or [::1], or add --insecure where the network itself is trusted",
    ))
}

/// Whether all that an address may mean is on this machine.
fn is_here(address: &str, key: &str) -> Result<bool, Failure> {
    let resolved = address.to_socket_addrs().map_err(|error| {
        Failure::new(
            Exit::CONFIG,
            format_args!("'{address}' is no address to listen on: {error}"),
        )
        .hint(format!(
            "give --{key} an address and a port, such as 127.0.0.1:7600"
        ))
    })?;
    let is_local = |ip: IpAddr| ip.to_canonical().is_loopback();
    Ok(resolved.into_iter().all(|address| is_local(address.ip())))
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

    #[test]
    fn only_this_machine_is_served_where_callers_prove_nothing() {
        let code = |listen: &str| refuse_strangers(&[listen.into()]).map_err(|f| f.exit);
        assert_eq!(code("127.0.0.1:0"), Ok(()));
        assert_eq!(code("[::1]:7600"), Ok(()));
        assert_eq!(code("unix:/run/rm/rmd.sock"), Ok(()));
        assert_eq!(code("0.0.0.0:7600"), Err(Exit::CONFIG));
        assert_eq!(code("[::]:7600"), Err(Exit::CONFIG));
        assert_eq!(code("nonsense"), Err(Exit::CONFIG));
    }
}
