//! TLS 1.3 with certificates on both sides.
//!
//! ```text
//! files     what is in the files: certificates, keys, until when they are good, whom they name
//! stream    one connection: records in, bytes out, from any thread
//! words     what went wrong with whose certificate, and what to do
//! ```
//!
//! **Rotation.** A [`TlsConfig`] is read from files, and read again when they change ([`TlsConfig::reload`]). What is read
//! is used for every handshake from then on; connections that stand go on. Files that make no sense change nothing: what
//! was there before is kept. A certificate whose authority is taken out of the file is refused from the next handshake
//! on: sessions are not resumed within TLS, and there is no early data, so every connection has a whole handshake.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rm_core::access::Identity;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, ServerConfig};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use self::files::{Stamp, stamp};
use super::DialError;

mod files;
mod stream;
mod words;

pub use self::files::{CertificateRole, CertificateView};
pub(crate) use self::stream::{TlsProblem, TlsStream};

/// What both sides speak above TLS.
const ALPN: &[u8] = b"rm/1";

/// The files are looked at this often.
const LOOK: Duration = Duration::from_secs(5);

/// Which files there are. All are in PEM form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    identity: Option<(PathBuf, PathBuf)>,
    ca: Option<PathBuf>,
    client_ca: Option<PathBuf>,
    server_name: Option<String>,
}

impl TlsFiles {
    /// Who this process is: its certificate, those between it and its authority after it, and its key. Servers need it;
    /// clients where the server wants to know them. Both files change together.
    #[must_use]
    pub fn identity(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((cert.into(), key.into()));
        self
    }

    /// The authorities that sign the certificates of servers. With them, every server over TCP is spoken to by TLS.
    #[must_use]
    pub fn ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca = Some(file.into());
        self
    }

    /// The authorities that sign the certificates of clients. With them, whoever calls over TCP needs a certificate.
    #[must_use]
    pub fn client_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.client_ca = Some(file.into());
        self
    }

    /// The name in the certificates of servers. By default the host that is dialled.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    fn all(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity.iter().flat_map(|(cert, key)| [cert, key]);
        let authorities = self.ca.iter().chain(&self.client_ca);
        identity.chain(authorities).map(PathBuf::as_path)
    }
}

/// Certificates, keys and authorities, as they are at the moment. Cheap to clone: all clones are one.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: TlsFiles,
    name: Option<ServerName<'static>>,
    loaded: RwLock<Arc<Loaded>>,
    /// The files at the last attempt to read them. Held while they are read, by blocking tasks alone.
    stamps: Mutex<Vec<Option<Stamp>>>,
}

/// What was in the files.
pub(crate) struct Loaded {
    client: Option<Arc<ClientConfig>>,
    server: Option<Arc<ServerConfig>>,
    certificates: Vec<CertificateView>,
    files: TlsFiles,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not what is in them.
        self.files.fmt(f)
    }
}

/// What is wrong with the files.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {file}: {source}; it has to be there, and readable for this user", file = file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file has not what it should.
    #[error("{file} is no use: {why}", file = file.display())]
    Useless {
        /// Which.
        file: PathBuf,
        /// What it lacks, and what it should have.
        why: String,
    },
    /// The certificate is not that of the key.
    #[error("the key in {key} is not that of the certificate in {cert}: issue both together, and replace both", key = key.display(), cert = cert.display())]
    Mismatch {
        /// The file with the certificate.
        cert: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// A name that no certificate can have.
    #[error(
        "'{name}' can be in no certificate: give a name of the DNS or an IP address with --tls-server-name"
    )]
    BadServerName {
        /// What was given.
        name: String,
    },
    /// Neither of them makes sense alone.
    #[error(
        "authorities for clients are of no use without a certificate and key of this server: give --tls-cert and --tls-key too"
    )]
    NoIdentity,
    /// Nothing was given.
    #[error(
        "no file was given: a server needs a certificate and a key, a client the authority that signs the server's"
    )]
    Nothing,
}

impl TlsConfig {
    /// Reads the files. Blocks for as long as that takes.
    ///
    /// # Errors
    /// Where one of them cannot be read, or they do not go together.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let name = files.server_name.clone().map(|name| {
            let known = ServerName::try_from(name.clone());
            known.map_err(|_| TlsError::BadServerName { name })
        });
        let name = name.transpose()?;
        let stamps = files.all().map(stamp).collect();
        let loaded = Loaded::read(&files)?;
        let shared = Arc::new(Shared {
            files,
            name,
            loaded: RwLock::new(Arc::new(loaded)),
            stamps: Mutex::new(stamps),
        });
        Ok(Self { shared })
    }

    /// Reads the files again. Handshakes from now on use what is in them; connections that stand go on. Blocks for as
    /// long as that takes. It is done anyway a few seconds after a file has changed.
    ///
    /// # Errors
    /// As [`load`](Self::load). Then nothing has changed.
    pub fn reload(&self) -> Result<(), TlsError> {
        let mut stamps = self
            .shared
            .stamps
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Before they are read: what changes meanwhile is read again.
        *stamps = self.stamps();
        let loaded = Arc::new(Loaded::read(&self.shared.files)?);
        let place = self.shared.loaded.write();
        *place.unwrap_or_else(PoisonError::into_inner) = loaded;
        drop(stamps);
        Ok(())
    }

    /// The certificates in use, and until when they are good.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateView> {
        self.loaded().certificates.clone()
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.shared.files.all().map(stamp).collect()
    }

    fn loaded(&self) -> Arc<Loaded> {
        let loaded = self.shared.loaded.read();
        Arc::clone(&loaded.unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn client(&self) -> Option<Arc<ClientConfig>> {
        self.loaded().client.clone()
    }

    pub(super) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.loaded().server.clone()
    }

    /// Whether whoever calls needs a certificate.
    pub(super) fn knows_callers(&self) -> bool {
        self.shared.files.client_ca.is_some()
    }

    /// Looks at the files until told to stop, and reads them again when they have changed.
    pub(super) async fn watch(self, ended: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = ended.cancelled() => return,
            }
            let this = self.clone();
            // It reads from the disk.
            let _ = tokio::task::spawn_blocking(move || this.look()).await;
        }
    }

    fn look(&self) {
        let known = self.shared.stamps.lock();
        if *known.unwrap_or_else(PoisonError::into_inner) == self.stamps() {
            return;
        }
        match self.reload() {
            Ok(()) => tracing::info!("new certificates are in use"),
            Err(error) => tracing::error!(%error, "the new certificates are not used"),
        }
    }

    /// The handshake with a server.
    pub(super) async fn call(
        &self,
        client: Arc<ClientConfig>,
        stream: TcpStream,
        host: &str,
    ) -> Result<TlsStream, DialError> {
        let loaded = self.loaded();
        let name = match &self.shared.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(|_| {
                let name = host.to_owned();
                DialError::Tls(TlsError::BadServerName { name }.to_string())
            })?,
        };
        let shaken = TlsConnector::from(client).connect(name, stream).await;
        let stream =
            shaken.map_err(|error| words::of_handshake(error, words::Side::Client, &loaded))?;
        let (socket, tls) = stream.into_inner();
        if tls.alpn_protocol() != Some(ALPN) {
            return Err(DialError::Tls(words::OTHER_PROTOCOL.into()));
        }
        Ok(TlsStream::new(
            socket,
            tls.into(),
            words::Side::Client,
            loaded,
        ))
    }

    /// The handshake with whoever called, and who that is.
    pub(super) async fn answer(&self, stream: TcpStream) -> Result<(TlsStream, Identity), String> {
        let loaded = self.loaded();
        let server = loaded.server.clone().ok_or("there is no certificate")?;
        let shaken = TlsAcceptor::from(server).accept(stream).await;
        let stream = shaken.map_err(|error| {
            words::of_handshake(error, words::Side::Server, &loaded).to_string()
        })?;
        let (socket, tls) = stream.into_inner();
        if tls.alpn_protocol() != Some(ALPN) {
            return Err(words::OTHER_PROTOCOL.into());
        }
        let certificate = tls.peer_certificates().and_then(<[_]>::first);
        let identity = match certificate {
            Some(certificate) => files::identity(certificate)?,
            None => Identity::anonymous(),
        };
        let stream = TlsStream::new(socket, tls.into(), words::Side::Server, loaded);
        Ok((stream, identity))
    }
}

impl Loaded {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        if files.all().next().is_none() {
            return Err(TlsError::Nothing);
        }
        if files.client_ca.is_some() && files.identity.is_none() {
            return Err(TlsError::NoIdentity);
        }
        let mut certificates = Vec::new();
        let own = match &files.identity {
            Some((cert, key)) => Some(files::own(cert, key, &mut certificates)?),
            None => None,
        };
        let mut authorities = |file: &Option<PathBuf>, role| match file {
            Some(file) => files::authorities(file, role, &mut certificates).map(Some),
            None => Ok(None),
        };
        let ca = authorities(&files.ca, CertificateRole::Authority)?;
        let client_ca = authorities(&files.client_ca, CertificateRole::ClientAuthority)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = &[&rustls::version::TLS13];
        let client = match ca {
            None => None,
            Some(ca) => {
                let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
                let builder = builder.with_protocol_versions(versions).map_err(unusable)?;
                let builder = builder.with_root_certificates(ca);
                let mut config = match &own {
                    Some(own) => builder
                        .with_client_auth_cert(own.chain.clone(), own.key.clone_key())
                        .map_err(|error| own.unusable(&error))?,
                    None => builder.with_no_client_auth(),
                };
                config.alpn_protocols = vec![ALPN.into()];
                config.resumption = Resumption::disabled();
                config.enable_early_data = false;
                Some(Arc::new(config))
            }
        };
        let server = match &own {
            None => None,
            Some(own) => {
                let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
                let builder = builder.with_protocol_versions(versions).map_err(unusable)?;
                let builder = match client_ca {
                    None => builder.with_no_client_auth(),
                    Some(ca) => {
                        let verifier =
                            WebPkiClientVerifier::builder_with_provider(Arc::new(ca), provider);
                        builder.with_client_cert_verifier(verifier.build().map_err(unusable)?)
                    }
                };
                let config = builder.with_single_cert(own.chain.clone(), own.key.clone_key());
                let mut config = config.map_err(|error| own.unusable(&error))?;
                config.alpn_protocols = vec![ALPN.into()];
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
                config.max_early_data_size = 0;
                Some(Arc::new(config))
            }
        };
        Ok(Self {
            client,
            server,
            certificates,
            files: files.clone(),
        })
    }
}

/// What cannot be but by a fault of this program: its algorithms go together.
fn unusable(error: impl std::fmt::Display) -> TlsError {
    TlsError::Useless {
        file: PathBuf::new(),
        why: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
