//! How to reach etcd, and what can be wrong with that.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rm_core::coordination::{BadRecord, Refusal};
use thiserror::Error;

/// The most endpoints that are tried.
pub const ENDPOINTS_MAX: usize = 16;
/// The longest name of a cluster, in bytes.
pub const CLUSTER_BYTES_MAX: usize = 64;

/// Where etcd is, and who speaks to it.
///
/// ```
/// use rm_net::coordinator::EtcdConfig;
///
/// let config = EtcdConfig::new("prod", "10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379")?;
/// assert_eq!(config.prefix(), "/rm/prod/");
/// # Ok::<(), rm_net::coordinator::CoordinatorError>(())
/// ```
#[derive(Clone)]
pub struct EtcdConfig {
    pub(super) endpoints: Vec<String>,
    pub(super) prefix: String,
    pub(super) tls: Option<EtcdTls>,
    pub(super) user: Option<(String, String)>,
}

/// How connections to etcd are secured. All files are PEM, and are read at each connection, so that renewed
/// certificates are taken without a restart.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "made by the caller")]
pub struct EtcdTls {
    /// Whose signature a server's certificate needs. There is no default: name it.
    pub ca: PathBuf,
    /// This node's certificate and its key, where etcd asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that a server's certificate must have, where it is not the one in its endpoint.
    pub server_name: Option<String>,
}

impl EtcdConfig {
    /// The cluster called `cluster`, at these endpoints: host and port, separated by commas, with or without `http://` or
    /// `https://`.
    ///
    /// # Errors
    /// Where the name or an endpoint cannot be one.
    pub fn new(cluster: &str, endpoints: &str) -> Result<Self, CoordinatorError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=CLUSTER_BYTES_MAX).contains(&cluster.len()) || !cluster.bytes().all(is_plain) {
            let cluster = cluster.into();
            return Err(CoordinatorError::BadCluster { cluster });
        }
        let endpoints: Vec<String> = endpoints
            .split(',')
            .map(str::trim)
            .filter(|endpoint| !endpoint.is_empty())
            .map(str::to_owned)
            .collect();
        if !(1..=ENDPOINTS_MAX).contains(&endpoints.len()) {
            let count = endpoints.len();
            return Err(CoordinatorError::EndpointCount { count });
        }
        for endpoint in &endpoints {
            let bare = endpoint.strip_prefix("http://");
            let bare = bare.or_else(|| endpoint.strip_prefix("https://"));
            let bare = bare.unwrap_or(endpoint);
            let port = bare.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            let has_port = port.is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let is_uri = format!("http://{bare}").parse::<http::Uri>().is_ok();
            if !has_port || !is_uri || bare.contains(['/', '@']) {
                let endpoint = endpoint.clone();
                return Err(CoordinatorError::BadEndpoint { endpoint });
            }
        }
        Ok(Self {
            endpoints,
            prefix: format!("/rm/{cluster}/"),
            tls: None,
            user: None,
        })
    }

    /// Under which keys the cluster is: `/rm/<cluster>/` where nothing else is said.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where etcd is, as configured.
    #[must_use]
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// Under other keys. A slash is added at the end where there is none.
    ///
    /// # Errors
    /// Where it is empty, or longer than 255 bytes.
    pub fn with_prefix(mut self, prefix: &str) -> Result<Self, CoordinatorError> {
        let trimmed = prefix.trim_end_matches('/');
        if trimmed.is_empty() || prefix.len() > 255 {
            let prefix = prefix.into();
            return Err(CoordinatorError::BadPrefix { prefix });
        }
        self.prefix = format!("{trimmed}/");
        Ok(self)
    }

    /// Over TLS.
    ///
    /// # Errors
    /// Where an endpoint says `http://`.
    pub fn with_tls(mut self, tls: EtcdTls) -> Result<Self, CoordinatorError> {
        let mut plain = self.endpoints.iter().filter(|it| it.starts_with("http://"));
        if let Some(endpoint) = plain.next() {
            let endpoint = endpoint.clone();
            return Err(CoordinatorError::PlainEndpoint { endpoint });
        }
        self.tls = Some(tls);
        Ok(self)
    }

    /// As that user of etcd.
    #[must_use]
    pub fn with_user(mut self, name: &str, password: &str) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// The address of an endpoint, with its scheme.
    ///
    /// # Errors
    /// Where it asks for TLS, and no certificate authority is configured.
    pub(super) fn url(&self, endpoint: &str) -> Result<String, CoordinatorError> {
        match &self.tls {
            None if endpoint.starts_with("https://") => Err(CoordinatorError::NoAuthority {
                endpoint: endpoint.into(),
            }),
            _ if endpoint.contains("://") => Ok(endpoint.into()),
            Some(_) => Ok(format!("https://{endpoint}")),
            None => Ok(format!("http://{endpoint}")),
        }
    }
}

impl fmt::Debug for EtcdConfig {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdConfig")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .field("tls", &self.tls)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .finish()
    }
}

/// What can go wrong with a coordinator.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum CoordinatorError {
    /// etcd refused the user or the password.
    #[error(
        "etcd at {endpoint} does not let the user in: {what}; check --etcd-user and its password"
    )]
    Authentication {
        /// Where.
        endpoint: String,
        /// What it said.
        what: String,
    },
    /// The cluster's name cannot be one.
    #[error(
        "'{cluster}' cannot be the name of a cluster: use 1 to {CLUSTER_BYTES_MAX} letters, digits, '.', '_' and '-'"
    )]
    BadCluster {
        /// What was given.
        cluster: String,
    },
    /// An endpoint cannot be one.
    #[error(
        "the etcd endpoint '{endpoint}' is no address: write host and port, such as 10.0.0.1:2379"
    )]
    BadEndpoint {
        /// What was given.
        endpoint: String,
    },
    /// The prefix cannot be one.
    #[error(
        "'{prefix}' cannot be the prefix of keys: use 1 to 255 bytes other than slashes, such as /rm/prod/"
    )]
    BadPrefix {
        /// What was given.
        prefix: String,
    },
    /// A node cannot register like that.
    #[error("the node cannot register: {0}")]
    BadRecord(#[from] BadRecord),
    /// What stands under a key is no value of ours.
    #[error(
        "the value of {key} at etcd is damaged: {what}; find out who wrote it, or stop all nodes and delete the key"
    )]
    Damaged {
        /// Under which.
        key: String,
        /// What is wrong.
        what: String,
    },
    /// No endpoints, or too many.
    #[error("{count} etcd endpoints are given: give 1 to {ENDPOINTS_MAX}, separated by commas")]
    EndpointCount {
        /// How many.
        count: usize,
    },
    /// A file cannot be read.
    #[error("cannot read the file {path}: {what}; check the TLS options for etcd", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        what: String,
    },
    /// A lease with a fraction of a millisecond.
    #[error("a lease of {0:?} cannot be written down: use whole milliseconds")]
    LeaseGrain(Duration),
    /// TLS without an authority.
    #[error(
        "the etcd endpoint '{endpoint}' asks for TLS: name the certificate authority with --etcd-ca"
    )]
    NoAuthority {
        /// Which.
        endpoint: String,
    },
    /// The user may not read or write the keys.
    #[error(
        "etcd at {endpoint} does not allow it: {what}; give the user read and write permission for the prefix {prefix}"
    )]
    Permission {
        /// Where.
        endpoint: String,
        /// What it said.
        what: String,
        /// For which keys.
        prefix: String,
    },
    /// TLS is configured, and the endpoint says it does not want it.
    #[error(
        "the etcd endpoint '{endpoint}' is without TLS, and a certificate authority is configured: write https://"
    )]
    PlainEndpoint {
        /// Which.
        endpoint: String,
    },
    /// The node cannot be a member.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection cannot be secured.
    #[error(
        "cannot speak TLS with etcd at {endpoint}: {what}; check the certificates, and that their names and dates fit"
    )]
    Tls {
        /// Where.
        endpoint: String,
        /// What is wrong.
        what: String,
    },
    /// It cannot be reached, or does not answer.
    #[error(
        "etcd at {endpoint} cannot be reached: {what}; is it running, and is the address right?"
    )]
    Unreachable {
        /// Where.
        endpoint: String,
        /// What went wrong.
        what: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_host_and_port() {
        for good in [
            "a:1",
            "http://a:1",
            "https://10.0.0.1:2379, b:2",
            "[::1]:2379",
        ] {
            assert!(EtcdConfig::new("c", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ",",
            "a",
            "a:x",
            ":1",
            "ftp://a:1",
            "a:1/path",
            "u:p@a:1",
        ] {
            assert!(EtcdConfig::new("c", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cluster_cannot_leave_its_prefix() {
        for bad in ["", "a/b", "a b", &"x".repeat(65)] {
            assert!(EtcdConfig::new(bad, "a:1").is_err(), "{bad}");
        }
        let config = EtcdConfig::new("c", "a:1").expect("good");
        assert!(config.clone().with_prefix("//").is_err());
        let config = config.with_prefix("/teams/storage").expect("good");
        assert_eq!(config.prefix(), "/teams/storage/");
    }

    #[test]
    fn tls_is_all_or_nothing() {
        let config = EtcdConfig::new("c", "https://a:1").expect("good");
        assert!(config.url("https://a:1").is_err(), "without an authority");
        let config = config.with_tls(EtcdTls::default()).expect("good");
        assert_eq!(config.url("a:1").expect("good"), "https://a:1");
        let plain = EtcdConfig::new("c", "http://a:1").expect("good");
        assert!(plain.with_tls(EtcdTls::default()).is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        let config = EtcdConfig::new("c", "a:1").expect("good");
        let shown = format!("{:?}", config.with_user("u", "secret"));
        assert!(shown.contains('u') && !shown.contains("secret"));
    }
}
