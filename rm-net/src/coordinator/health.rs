//! How etcd is, for people: versions, leaders, alarms.

use std::time::{Duration, Instant};

use super::client::Connection;
use super::config::{CoordinatorError, EtcdConfig};
use super::driver::EtcdCoordinator;

/// How long one endpoint may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// An answer that takes longer is worth a word: a heartbeat is due every second.
const SLOW: Duration = Duration::from_millis(250);

/// What one endpoint says of itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointHealth {
    /// Which.
    pub endpoint: String,
    /// Its version, such as `3.5.30`.
    pub version: String,
    /// How long it took to read the cluster's keys.
    pub latency: Duration,
    /// What somebody should look at, in sentences.
    pub warnings: Vec<String>,
}

impl EtcdCoordinator {
    /// Asks each endpoint how it is, one after the other, and reads the cluster's keys from it. It changes nothing.
    ///
    /// It can be dropped at any time.
    pub async fn check(
        config: &EtcdConfig,
    ) -> Vec<(String, Result<EndpointHealth, CoordinatorError>)> {
        let mut all = Vec::new();
        for endpoint in config.endpoints() {
            all.push((endpoint.clone(), check_one(config, endpoint).await));
        }
        all
    }
}

async fn check_one(
    config: &EtcdConfig,
    endpoint: &str,
) -> Result<EndpointHealth, CoordinatorError> {
    let connection = Connection::open(config, endpoint, PATIENCE).await?;
    let status = connection.status().await?;
    let began = Instant::now();
    connection.read().await?;
    let latency = began.elapsed();
    let mut warnings = of_version(&status.version);
    if status.leader == 0 {
        warnings.push("it has no leader: most of its servers are down or cut off".into());
    }
    warnings.extend(
        status
            .errors
            .iter()
            .map(|error| format!("it says: {error}")),
    );
    if latency > SLOW {
        warnings.push(format!(
            "it took {latency:?} to read the cluster's keys: are its disks busy?"
        ));
    }
    if config.tls.is_none() {
        warnings.push("the connection is not encrypted: use --etcd-ca".into());
    }
    Ok(EndpointHealth {
        endpoint: endpoint.into(),
        version: status.version,
        latency,
        warnings,
    })
}

/// What is known against a version. None of it touches the safety of locks.
fn of_version(text: &str) -> Vec<String> {
    let mut numbers = text.split(['.', '-']).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) =
        (numbers.next(), numbers.next(), numbers.next())
    else {
        return vec![format!("its version '{text}' cannot be read")];
    };
    let version = (major, minor, patch);
    let mut warnings = Vec::new();
    if version < (3, 4, 0) {
        warnings.push(format!("version {text} is too old: use 3.4 or later"));
    }
    if version < (3, 5, 13) {
        warnings.push(format!(
            "version {text} may revoke a lease that was renewed, so that a node loses its registration: use 3.5.23, 3.6.5 or later"
        ));
    }
    let is_mended = version >= (3, 6, 5) || ((3, 5, 23)..(3, 6, 0)).contains(&version);
    if !is_mended {
        warnings.push(format!(
            "version {text} may confirm the renewal of a lease that it revoked: use 3.5.23, 3.6.5 or later"
        ));
    }
    if ((3, 5, 0)..(3, 5, 3)).contains(&version) {
        warnings.push(format!(
            "version {text} may lose writes when it is killed, and then nothing is safe: use 3.5.23, 3.6.5 or later"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_with_known_faults_are_named() {
        for (version, count) in [
            ("3.3.27", 3),
            ("3.4.23", 2),
            ("3.5.1", 3),
            ("3.5.13", 1),
            ("3.5.23", 0),
            ("3.6.0", 1),
            ("3.6.5", 0),
            ("3.7.0-rc.1", 0),
            ("x", 1),
        ] {
            assert_eq!(of_version(version).len(), count, "{version}");
        }
    }
}
