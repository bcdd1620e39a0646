//! The flags of `rmd`. Each is a key of its configuration file too: see `serve/settings`.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "etcd")]
use clap::Args;
use clap::{Parser, ValueEnum};

use super::TlsArgs;
use super::parse::{parse_mode, parse_span};
use crate::cli::agent;
use crate::client::DEFAULT_ENDPOINT;

/// A lock server that stands alone: it lends locks to clients and keeps its epoch on disk. With --coordinator etcd=.. it is
/// one of several, each of which lends a share of all locks; when one dies, the others take over its share. With
/// --creditor it stands in the middle of a tree: it borrows from another server what it lends. With --agent too it does so
/// for the processes of one machine.
#[derive(Debug, Parser)]
#[command(name = "rmd", version, max_term_width = 100, after_help = RMD_HELP)]
pub(crate) struct Rmd {
    /// Read settings from this file; flags and the environment win over it
    #[arg(long, env = "RM_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print each setting and where it comes from, say whether they make sense together, and end
    #[arg(long)]
    pub(crate) check_config: bool,
    /// The name by which people know the server [default: the name of the host]
    #[arg(long, env = "RM_NAME")]
    pub(crate) name: Option<String>,
    /// The addresses to listen on: host and port, where port 0 lets the system choose, or unix:PATH
    #[arg(long, env = "RM_LISTEN", value_name = "ADDR,..", value_delimiter = ',',
          default_value = DEFAULT_ENDPOINT,
          default_value_if("agent", "true", Some(agent::own_address())))]
    pub(crate) listen: Vec<String>,
    /// Serve the processes of this machine, over a Unix socket unless --listen says otherwise: what they are done with stays
    /// cached here, so that the next one need not ask the cluster
    #[arg(long, requires = "creditor")]
    pub(crate) agent: bool,
    /// Who may connect to the Unix sockets, as the mode of their files
    #[arg(long, env = "RM_SOCKET_MODE", value_name = "MODE", default_value = "600", value_parser = parse_mode)]
    pub(crate) socket_mode: u32,
    /// Borrow all that is lent from the server at these addresses, which are tried in turn; no data directory is used
    #[arg(
        long,
        env = "RM_CREDITOR",
        value_name = "ADDR,..",
        value_delimiter = ','
    )]
    pub(crate) creditor: Vec<String>,
    #[cfg(feature = "etcd")]
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Where the epoch is kept [default: $STATE_DIRECTORY, else rmd in the user's state directory]
    #[arg(long, env = "RM_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// How long a client that falls silent keeps its locks
    #[arg(long, env = "RM_LEASE", value_name = "SPAN", default_value = "15s", value_parser = parse_span)]
    pub(crate) lease: Duration,
    /// When it is told to stop: how long it waits for holders, and calls home what clients have; 0: not at all
    #[arg(long, env = "RM_DRAIN_TIMEOUT", value_name = "SPAN", default_value = "5s", value_parser = parse_span)]
    pub(crate) drain_timeout: Duration,
    /// Who may do what: a file with [[allow]] and [[deny]] sections [default: everything is allowed to whoever can connect]
    #[arg(long, env = "RM_RULES", value_name = "FILE", help_heading = "Security")]
    pub(crate) rules: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// Let those in whose certificates these authorities sign, and nobody else over TCP
    #[cfg(feature = "tls")]
    #[arg(
        long,
        env = "RM_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert",
        help_heading = "Security"
    )]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Serve a page about locks and members, metrics and health over HTTP at this address, such as 127.0.0.1:7680
    #[cfg(feature = "http")]
    #[arg(long, env = "RM_HTTP", value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// What to log to standard error, such as info or rm_net=debug
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
    /// How to write the log
    #[arg(
        long,
        env = "RM_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub(crate) log_format: LogFormat,
    /// Print JSON, one object a line; errors too, on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How a server is a member of a cluster.
#[cfg(feature = "etcd")]
#[derive(Args, Debug)]
pub(crate) struct ClusterArgs {
    /// Who keeps the list of members: standalone, where this is the only server, or etcd=HOST:PORT,..
    #[arg(
        long,
        env = "RM_COORDINATOR",
        value_name = "WHICH",
        default_value = "standalone",
        conflicts_with = "creditor"
    )]
    pub(crate) coordinator: String,
    /// The name of the cluster, the same for all members: its keys at etcd are under /rm/NAME/
    #[arg(
        long,
        env = "RM_CLUSTER",
        value_name = "NAME",
        default_value = "default"
    )]
    pub(crate) cluster: String,
    /// Where other members and clients reach this one [default: the address it listens on]
    #[arg(long, env = "RM_ADVERTISE", value_name = "ADDR")]
    pub(crate) advertise: Option<String>,
    /// Its share of the locks, beside the others': 1 to 16
    #[arg(long, env = "RM_WEIGHT", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) weight: u32,
    /// Another prefix of the keys at etcd
    #[arg(long, env = "RM_ETCD_PREFIX", value_name = "PREFIX")]
    pub(crate) etcd_prefix: Option<String>,
    /// Speak TLS to etcd: the file with the authorities that sign its certificates
    #[arg(long, env = "RM_ETCD_CA", value_name = "FILE")]
    pub(crate) etcd_ca: Option<PathBuf>,
    /// The certificate by which etcd knows this server
    #[arg(long, env = "RM_ETCD_CERT", value_name = "FILE", requires_all = ["etcd_ca", "etcd_key"])]
    pub(crate) etcd_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, env = "RM_ETCD_KEY", value_name = "FILE", requires = "etcd_cert")]
    pub(crate) etcd_key: Option<PathBuf>,
    /// The user that etcd knows
    #[arg(
        long,
        env = "RM_ETCD_USER",
        value_name = "NAME",
        requires = "etcd_password_file"
    )]
    pub(crate) etcd_user: Option<String>,
    /// The file with the password of that user, on its first line
    #[arg(
        long,
        env = "RM_ETCD_PASSWORD_FILE",
        value_name = "FILE",
        requires = "etcd_user"
    )]
    pub(crate) etcd_password_file: Option<PathBuf>,
}

const RMD_HELP: &str = "\
It prints a line when it is ready. SIGTERM and SIGINT stop it: it refuses new requests, calls all credit
home and waits for holders, at most for --drain-timeout; a second signal ends that wait. It prints what was
in the way. A restart need not wait for leases if all credit had come back. SIGHUP makes it read its file again
and take over what can change while it runs; it logs what cannot.

Settings come from flags, then the environment, then the file of --config, in which each flag is a key:
--data-dir is data-dir, --etcd-ca is ca in the section [etcd].

The log, on standard error, is as --log-format says, also with --json.

Exit codes: 0 stopped as told; 64 usage; 71 the address cannot be listened on; 73 the data directory
cannot be used; 78 a setting makes no sense.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        use clap::CommandFactory;
        Rmd::command().debug_assert();
    }
}
