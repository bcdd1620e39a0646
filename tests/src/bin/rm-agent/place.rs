//! Two servers, one of which speaks TLS, and one certificate by which both sides know each other.

use std::net::SocketAddr;
use std::path::PathBuf;

use rm_net::{Client, ClientBuilder, Node, TlsConfig, TlsFiles};
use tempfile::TempDir;

pub(crate) struct Place {
    pub(crate) dir: TempDir,
    plain: Node,
    tls: Node,
}

/// How a client gets to a server.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) endpoint: String,
    /// The files of TLS, where it is spoken.
    pub(crate) files: Option<Files>,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    fn config(&self) -> TlsConfig {
        let files = TlsFiles::default()
            .identity(&self.cert, &self.key)
            .ca(&self.cert)
            .client_ca(&self.cert);
        TlsConfig::load(files).expect("its own certificate")
    }
}

impl Way {
    pub(crate) async fn client(&self) -> Client {
        let builder = Client::builder().endpoint(&self.endpoint);
        let builder = match &self.files {
            Some(files) => ClientBuilder::tls(builder, files.config()),
            None => builder,
        };
        builder.connect().await.expect("connected")
    }
}

impl Place {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
        let issued = issued.expect("a certificate");
        std::fs::write(dir.path().join("cert.pem"), issued.cert.pem()).expect("written");
        let key = issued.signing_key.serialize_pem();
        std::fs::write(dir.path().join("key.pem"), key).expect("written");
        let builder = |name: &str| {
            let data = dir.path().join(name);
            Node::builder()
                .name(name)
                .listen("127.0.0.1:0")
                .data_dir(data)
        };
        let plain = builder("plain").start().await.expect("started");
        let tls = builder("tls").tls(files(&dir).config());
        let tls = tls.start().await.expect("started");
        Self { dir, plain, tls }
    }

    pub(crate) fn plain_addr(&self) -> SocketAddr {
        self.plain.local_addr().expect("it listens")
    }

    pub(crate) fn tls_addr(&self) -> SocketAddr {
        self.tls.local_addr().expect("it listens")
    }

    pub(crate) fn plain_at(&self, address: SocketAddr) -> Way {
        Way {
            endpoint: address.to_string(),
            files: None,
        }
    }

    pub(crate) fn tls_at(&self, address: SocketAddr) -> Way {
        Way {
            endpoint: address.to_string(),
            files: Some(files(&self.dir)),
        }
    }

    pub(crate) async fn stop(self) {
        self.plain.stop().await;
        self.tls.stop().await;
    }
}

fn files(dir: &TempDir) -> Files {
    let [cert, key] = ["cert.pem", "key.pem"].map(|file| dir.path().join(file));
    Files { cert, key }
}
