//! A client for one command.

use std::sync::OnceLock;
use std::time::Duration;

use super::agent;
use super::args::Wanted;
use super::exit::{Exit, Failure};
use crate::client::DEFAULT_ENDPOINT;
use crate::{Address, Client, ClientBuilder, Transport};

/// Who does not want to wait for a lock still waits so long for a server.
const CONNECT_LEAST: Duration = Duration::from_secs(1);
/// And so long at most.
const CONNECT_MOST: Duration = Duration::from_secs(5);

/// How this process makes connections: its flags say so once, before there are any.
static TRANSPORT: OnceLock<Transport> = OnceLock::new();

/// All connections of this process are made like that.
pub(super) fn set_transport(transport: Transport) {
    // The second of two would be that of another process.
    let _ = TRANSPORT.set(transport);
}

/// How connections are made: in plain text on this machine, unless said otherwise.
pub(super) fn transport() -> &'static Transport {
    TRANSPORT.get_or_init(Transport::default)
}

/// Connects to the first of `endpoints` that answers, under a name of its own.
pub(crate) async fn connect_as(endpoints: &[String], name: String) -> Result<Client, Failure> {
    Ok(builder(endpoints)?.name(name).connect().await?)
}

/// The same, for as long as the locks may be waited for.
pub(crate) async fn connect_for(endpoints: &[String], wanted: &Wanted) -> Result<Client, Failure> {
    let timeout = match wanted.wait {
        _ if wanted.nonblock => CONNECT_LEAST,
        Some(wait) => wait.clamp(CONNECT_LEAST, CONNECT_MOST),
        None => CONNECT_MOST,
    };
    let builder = builder(endpoints)?.connect_timeout(timeout);
    Ok(builder.connect().await?)
}

fn builder(endpoints: &[String]) -> Result<ClientBuilder, Failure> {
    let endpoints = addresses(endpoints)?;
    Ok(endpoints
        .into_iter()
        .fold(Client::builder(), ClientBuilder::endpoint)
        .transport(transport().clone()))
}

/// The addresses that were given; else that of the agent of this machine, or where a server is when nobody says otherwise.
pub(super) fn addresses(endpoints: &[String]) -> Result<Vec<String>, Failure> {
    // An empty one stands for none, as where RM_ENDPOINTS is set to nothing.
    let endpoints = endpoints.iter().map(|endpoint| endpoint.trim());
    let mut addresses = Vec::new();
    for endpoint in endpoints.filter(|endpoint| !endpoint.is_empty()) {
        is_address(endpoint)?;
        addresses.push(endpoint.to_owned());
    }
    if addresses.is_empty() {
        addresses.push(agent::found().unwrap_or_else(|| DEFAULT_ENDPOINT.into()));
    }
    Ok(addresses)
}

/// What is no address is a typing error, and no reason to try for seconds.
fn is_address(endpoint: &str) -> Result<(), Failure> {
    endpoint.parse::<Address>().map(drop).map_err(|error| {
        Failure::new(Exit::USAGE, error).hint(format!(
            "give --endpoints or RM_ENDPOINTS host and port, such as {DEFAULT_ENDPOINT}, or unix: and a path"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_a_usage_error_that_says_what_to_write() {
        for wrong in ["foo", "foo:", ":7600", "foo:http", "foo:70000"] {
            let failure = is_address(wrong).expect_err(wrong);
            assert_eq!(failure.exit, Exit::USAGE);
            assert!(
                failure
                    .hint
                    .is_some_and(|hint| hint.contains(DEFAULT_ENDPOINT))
            );
        }
        for right in [
            "localhost:1",
            "[::1]:7600",
            "10.0.0.1:65535",
            "unix:/run/x.sock",
        ] {
            assert_eq!(is_address(right), Ok(()));
        }
    }
}
