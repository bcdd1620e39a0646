//! A look at a name, again and again: for commands that wait for something to change.
//!
//! Each look asks the servers once. A connection that broke, or a view that changed, is made good once a look; if that does not
//! help, the look fails.

use rm_core::id::ResourceKey;

use super::exit::Failure;
use super::output::Output;
use super::servers::Servers;
use super::why::{self, graph::Graph};

/// Whoever looks.
#[derive(Debug)]
pub(crate) struct Lookout<'a> {
    endpoints: &'a [String],
    name: &'a ResourceKey,
    output: Output,
    servers: Option<Servers>,
    /// Who does not answer is told of once.
    is_told: bool,
}

impl<'a> Lookout<'a> {
    pub(crate) const fn new(
        endpoints: &'a [String],
        name: &'a ResourceKey,
        output: Output,
    ) -> Self {
        Self {
            endpoints,
            name,
            output,
            servers: None,
            is_told: false,
        }
    }

    /// What is called so at this moment, of every type; one that says that nothing is, where nothing is.
    pub(crate) async fn look(&mut self) -> Result<Vec<Graph>, Failure> {
        let known = match self.servers.take() {
            Some(servers) => self.ask(servers).await.ok().flatten(),
            None => None,
        };
        let mut graphs = match known {
            Some(graphs) => graphs,
            None => {
                let output = if std::mem::replace(&mut self.is_told, true) {
                    self.output.quiet()
                } else {
                    self.output
                };
                let servers = Servers::open(self.endpoints, output).await?;
                self.ask(servers).await?.unwrap_or_default()
            }
        };
        if graphs.is_empty() {
            // The view changed while it was asked.
            let doubt = "the servers were just changing".into();
            graphs.push(Graph::untold(self.name, vec![doubt]));
        }
        Ok(graphs)
    }

    /// Asks, and keeps the connections if they were good for it; `None`: other servers are to be asked.
    async fn ask(&mut self, mut servers: Servers) -> Result<Option<Vec<Graph>>, Failure> {
        if servers.is_stale().await? {
            servers.close().await;
            return Ok(None);
        }
        let mut graphs = why::graphs(&mut servers, self.name).await?;
        if graphs.is_empty() {
            graphs.push(why::untold(&mut servers, self.name).await?);
        }
        if servers.is_partial() {
            // Those that did not answer are tried again at the next look.
            servers.close().await;
        } else {
            self.servers = Some(servers);
        }
        Ok(Some(graphs))
    }

    /// Says goodbye.
    pub(crate) async fn close(self) {
        if let Some(servers) = self.servers {
            servers.close().await;
        }
    }
}
