//! What the settings come to: each is acceptable by itself; here they must make sense together.
//!
//! Nothing is opened but the file with a password. What cannot be is an error that names the setting to change.

use std::env;
use std::ffi::OsString;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use super::logs;
use crate::cli::args::Rmd;
use crate::cli::exit::{Exit, Failure};
#[cfg(feature = "etcd")]
use crate::coordinator::{CoordinatorError, EtcdConfig, EtcdTls};

/// Settings that make sense together.
pub(super) struct Plan {
    /// Where the epoch is kept, or what saves a member a wait after a crash.
    pub(super) data_dir: Option<PathBuf>,
    pub(super) coordinator: Coordinator,
}

impl Plan {
    /// What the settings come to.
    ///
    /// # Errors
    /// Where they make no sense together, or the file with a password cannot be read.
    pub(super) fn of(args: &Rmd) -> Result<Self, Failure> {
        logs::parse(&args.log)?;
        refuse_strangers(&args.listen, "listen", args.insecure)?;
        #[cfg(feature = "http")]
        if let Some(http) = &args.http {
            refuse_strangers(http, "http", args.insecure)?;
        }
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
        let listens = args.listen.to_socket_addrs().ok();
        let is_anywhere = listens.is_some_and(|mut all| all.any(|one| one.ip().is_unspecified()));
        if is_anywhere && cluster.advertise.is_none() {
            let error = format_args!("others cannot reach a member at {}", args.listen);
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

/// Without encryption and authentication a server serves its own machine only, unless told otherwise.
fn refuse_strangers(listen: &str, key: &str, insecure: bool) -> Result<(), Failure> {
    if insecure {
        return Ok(());
    }
    let addresses = listen.to_socket_addrs().map_err(|error| {
        Failure::new(
            Exit::CONFIG,
            format_args!("'{listen}' is no address to listen on: {error}"),
        )
        .hint(format!(
            "give --{key} an address and a port, such as 127.0.0.1:7600"
        ))
    })?;
    let is_local = |ip: IpAddr| ip.to_canonical().is_loopback();
    if addresses.into_iter().all(|address| is_local(address.ip())) {
        return Ok(());
    }
    let error = format_args!(
        "{listen} can be reached from other machines, and the connection is neither encrypted nor authenticated"
    );
    Err(Failure::new(Exit::CONFIG, error).hint(
        "listen on 127.0.0.1 or [::1], or add --insecure where the network itself is trusted",
    ))
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
    fn without_insecure_only_this_machine_is_served() {
        let code =
            |listen, insecure| refuse_strangers(listen, "listen", insecure).map_err(|f| f.exit);
        assert_eq!(code("127.0.0.1:0", false), Ok(()));
        assert_eq!(code("[::1]:7600", false), Ok(()));
        assert_eq!(code("0.0.0.0:7600", false), Err(Exit::CONFIG));
        assert_eq!(code("[::]:7600", false), Err(Exit::CONFIG));
        assert_eq!(code("0.0.0.0:7600", true), Ok(()));
        assert_eq!(code("nonsense", false), Err(Exit::CONFIG));
    }
}
