//! A client for one command.

use std::time::Duration;

use super::args::Wanted;
use super::exit::Failure;
use crate::{Client, ClientBuilder};

/// Who does not want to wait for a lock still waits so long for a server.
const CONNECT_LEAST: Duration = Duration::from_secs(1);
/// And so long at most.
const CONNECT_MOST: Duration = Duration::from_secs(5);

/// Connects to the first of `endpoints` that answers.
pub(crate) async fn connect(endpoints: &[String]) -> Result<Client, Failure> {
    Ok(builder(endpoints).connect().await?)
}

/// The same, under a name of its own.
pub(crate) async fn connect_as(endpoints: &[String], name: String) -> Result<Client, Failure> {
    Ok(builder(endpoints).name(name).connect().await?)
}

/// The same, for as long as the locks may be waited for.
pub(crate) async fn connect_for(endpoints: &[String], wanted: &Wanted) -> Result<Client, Failure> {
    let timeout = match wanted.wait {
        _ if wanted.nonblock => CONNECT_LEAST,
        Some(wait) => wait.clamp(CONNECT_LEAST, CONNECT_MOST),
        None => CONNECT_MOST,
    };
    let builder = builder(endpoints).connect_timeout(timeout);
    Ok(builder.connect().await?)
}

fn builder(endpoints: &[String]) -> ClientBuilder {
    // An empty one stands for none, as where RM_ENDPOINTS is set to nothing.
    let endpoints = endpoints.iter().map(|endpoint| endpoint.trim());
    endpoints
        .filter(|endpoint| !endpoint.is_empty())
        .fold(Client::builder(), ClientBuilder::endpoint)
}
