//! A proxy between a client and a server, with a cable that can be pulled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the cable does with bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cable {
    #[default]
    Good,
    /// Nothing comes through, either way; what was sent comes when it is good again.
    Held,
    /// Nothing comes from the server to the client.
    Deaf,
    /// Nothing comes from the client to the server.
    Mute,
    /// Connections break, and no new one can be made.
    Cut,
}

/// A port that leads to a server.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    cable: watch::Sender<Cable>,
    connections: Arc<AtomicU64>,
    /// Of connections up to this number nothing is known any more.
    forgotten: Arc<AtomicU64>,
}

impl Proxy {
    pub(crate) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = listener.local_addr().expect("bound").to_string();
        let (cable, state) = watch::channel(Cable::Good);
        let connections = Arc::<AtomicU64>::default();
        let forgotten = Arc::<AtomicU64>::default();
        let (server, count) = (server.to_owned(), Arc::clone(&connections));
        let gone = Arc::clone(&forgotten);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *state.borrow() == Cable::Cut {
                    continue;
                }
                let Ok(there) = TcpStream::connect(&server).await else {
                    continue;
                };
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = there.into_split();
                let (up, down) = (state.clone(), state.clone());
                let is_known = |gone: &Arc<AtomicU64>| {
                    let gone = Arc::clone(gone);
                    move || number > gone.load(Ordering::SeqCst)
                };
                let known = (is_known(&gone), is_known(&gone));
                tokio::spawn(pump(from_client, to_server, up, Cable::Mute, known.0));
                tokio::spawn(pump(from_server, to_client, down, Cable::Deaf, known.1));
            }
        });
        Self {
            endpoint,
            cable,
            connections,
            forgotten,
        }
    }

    /// What comes over the connections that there are is thrown away, as by a middlebox that forgot them: neither end
    /// is told. New ones are good.
    pub(crate) fn forget(&self) {
        self.forgotten.store(self.connections(), Ordering::SeqCst);
    }

    pub(crate) fn set(&self, cable: Cable) {
        self.cable.send_replace(cable);
    }

    /// How many connections were made through it.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut cable: watch::Receiver<Cable>,
    held: Cable,
    is_known: impl Fn() -> bool,
) {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let passes = |now: &Cable| *now != Cable::Held && *now != held;
        let count = tokio::select! {
            count = from.read(&mut bytes) => count.unwrap_or(0),
            _ = cable.wait_for(|now| *now == Cable::Cut) => return,
        };
        if count > 0 && !is_known() {
            continue;
        }
        let Ok(now) = cable.wait_for(passes).await.map(|now| *now) else {
            return;
        };
        if now == Cable::Cut || count == 0 || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
