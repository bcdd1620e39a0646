//! A client for one command.

use super::exit::Failure;
use crate::Client;

/// Connects to the first of `endpoints` that answers.
pub(crate) async fn connect(endpoints: &[String]) -> Result<Client, Failure> {
    connect_as(endpoints, None).await
}

/// The same, under a name of its own.
pub(crate) async fn connect_as(
    endpoints: &[String],
    name: Option<String>,
) -> Result<Client, Failure> {
    let mut builder = Client::builder();
    // An empty one stands for none, as where RM_ENDPOINTS is set to nothing.
    let endpoints = endpoints.iter().map(|endpoint| endpoint.trim());
    for endpoint in endpoints.filter(|endpoint| !endpoint.is_empty()) {
        builder = builder.endpoint(endpoint);
    }
    if let Some(name) = name {
        builder = builder.name(name);
    }
    Ok(builder.connect().await?)
}
