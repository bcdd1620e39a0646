//! How connections are secured: the flags that `rmctl` and `rmd` have in common.

use clap::Args;
#[cfg(feature = "tls")]
use std::path::PathBuf;

use crate::Transport;
use crate::cli::exit::Failure;
#[cfg(feature = "tls")]
use crate::{TlsConfig, TlsFiles, cli::exit::Exit};

/// Certificates, and whether plain text may leave the machine.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Security")]
pub(crate) struct TlsArgs {
    /// The certificate by which others know this process, in PEM form, with those up to its authority
    #[cfg(feature = "tls")]
    #[arg(
        long,
        global = true,
        env = "RM_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of that certificate
    #[cfg(feature = "tls")]
    #[arg(
        long,
        global = true,
        env = "RM_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub(crate) tls_key: Option<PathBuf>,
    /// Speak TLS to servers: the authorities that sign their certificates
    #[cfg(feature = "tls")]
    #[arg(long, global = true, env = "RM_TLS_CA", value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// The name in the certificates of servers [default: the host that is dialled]
    #[cfg(feature = "tls")]
    #[arg(long, global = true, env = "RM_TLS_SERVER_NAME", value_name = "NAME")]
    pub(crate) tls_server_name: Option<String>,
    /// Speak plain text beyond this machine where there is no TLS: whoever is on the way can read and change it all
    #[arg(long, global = true)]
    pub(crate) insecure: bool,
}

impl TlsArgs {
    /// What they come to, with the authorities of clients where there are any.
    ///
    /// # Errors
    /// Where a file cannot be used.
    #[cfg(feature = "tls")]
    pub(crate) fn transport(&self, client_ca: Option<&PathBuf>) -> Result<Transport, Failure> {
        let mut files = TlsFiles::default();
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            files = files.identity(cert, key);
        }
        if let Some(ca) = &self.tls_ca {
            files = files.ca(ca);
        }
        if let Some(ca) = client_ca {
            files = files.client_ca(ca);
        }
        let has_some = files != TlsFiles::default();
        if let Some(name) = &self.tls_server_name {
            files = files.server_name(name);
        }
        let mut transport = self.plain();
        if has_some {
            let config = TlsConfig::load(files);
            transport = transport.tls(config.map_err(|error| Failure::new(Exit::CONFIG, error))?);
        }
        Ok(transport)
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn transport(&self) -> Result<Transport, Failure> {
        Ok(self.plain())
    }

    fn plain(&self) -> Transport {
        let transport = Transport::default();
        if self.insecure {
            transport.insecure()
        } else {
            transport
        }
    }
}
