//! TCP proxies in this process: a network for those who may not make one.
//!
//! ```text
//! standalone   client i -> its own proxy -> the server            so each client can be cut off
//! etcd         anybody  -> the server's proxy -> the server       the address that the server advertises
//!              server i -> its own proxy -> etcd
//! ```
//!
//! A proxy knows who connects by which proxy it is. A server has one advertised address, so its proxy is for all: it can be cut
//! off from everybody, and no two can be cut apart but a server and the store. What a cut-off server
//! dials itself still gets through. The namespaces are the faithful network; this one is for where they are not to be had.
//!
//! Bytes that meet a cut wait for its end, as TCP would send them again. While nothing listens behind a proxy, connections to it end
//! at once.

use std::net::{SocketAddr, TcpListener as Bound};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Condition, Link};
use crate::place::{Coordinator, Group, Layout, Place};

/// How much longer bytes take over a slow link.
const DELAY: Duration = Duration::from_millis(150);

#[derive(Debug)]
pub(super) struct Proxies {
    proxies: Vec<Proxy>,
    layout: Layout,
    /// Where the store listens: its clients have to be told before it runs.
    etcd: Option<SocketAddr>,
}

/// A port that leads to a place.
#[derive(Debug)]
struct Proxy {
    /// Whose it is; `None`: anybody's.
    from: Option<Place>,
    to: Place,
    address: SocketAddr,
    /// Where the place listens at the moment.
    target: Arc<Mutex<Option<SocketAddr>>>,
    up: watch::Sender<Condition>,
    down: watch::Sender<Condition>,
}

impl Proxies {
    pub(super) async fn new(layout: &Layout) -> Result<Self, String> {
        let mut proxies = Vec::new();
        let etcd = match layout.coordinator {
            Coordinator::Standalone => None,
            Coordinator::Etcd => Some(free_address()?),
        };
        for server in layout.of(Group::Server) {
            match layout.coordinator {
                Coordinator::Standalone => {
                    for client in layout.of(Group::Client) {
                        proxies.push(Proxy::new(Some(client), server).await?);
                    }
                }
                Coordinator::Etcd => {
                    proxies.push(Proxy::new(None, server).await?);
                    proxies.push(Proxy::new(Some(server), Place::Etcd).await?);
                }
            }
        }
        Ok(Self {
            proxies,
            layout: *layout,
            etcd,
        })
    }

    /// Whether each link can be cut by itself.
    pub(super) const fn any_link(&self) -> bool {
        matches!(self.layout.coordinator, Coordinator::Standalone)
    }

    pub(super) fn listen_address(&self, place: Place) -> Result<String, String> {
        match place.group() {
            Group::Etcd => match self.etcd {
                Some(address) => Ok(address.to_string()),
                None => Err("this run has no etcd".into()),
            },
            Group::Server | Group::Client => Ok("127.0.0.1:0".into()),
        }
    }

    pub(super) fn address(&self, from: Place, to: Place) -> String {
        let leads = |proxy: &&Proxy| proxy.leads(from, to);
        let proxy = self.proxies.iter().find(leads);
        let address = proxy.map_or_else(String::new, |proxy| proxy.address.to_string());
        debug_assert!(!address.is_empty(), "{from} has no way to {to}");
        address
    }

    pub(super) fn advertised(&self, server: Place) -> Option<String> {
        let shared = |proxy: &&Proxy| proxy.from.is_none() && proxy.to == server;
        let proxy = self.proxies.iter().find(shared)?;
        Some(proxy.address.to_string())
    }

    pub(super) fn on_listening(&self, place: Place, address: &str) {
        let address = address.parse().ok();
        for proxy in self.proxies.iter().filter(|proxy| proxy.to == place) {
            // A target is a word: nothing is half written.
            let mut target = proxy.target.lock().unwrap_or_else(PoisonError::into_inner);
            *target = address;
        }
    }

    /// Brings every proxy into the condition of its links. One that is anybody's is in a condition if all its links are.
    pub(super) fn set(&self, condition: impl Fn(Link) -> Condition) {
        let places = self.layout.places();
        for proxy in &self.proxies {
            let users = || {
                let is_user = |&&place: &&Place| place != proxy.to && proxy.leads(place, proxy.to);
                places.iter().filter(is_user)
            };
            let all = |link: &dyn Fn(Place) -> Link| {
                let all_are = |wanted| users().all(|&user| condition(link(user)) == wanted);
                if all_are(Condition::Cut) {
                    Condition::Cut
                } else if all_are(Condition::Slow) {
                    Condition::Slow
                } else {
                    Condition::Good
                }
            };
            proxy.up.send_replace(all(&|user| (user, proxy.to)));
            proxy.down.send_replace(all(&|user| (proxy.to, user)));
        }
    }
}

impl Proxy {
    async fn new(from: Option<Place>, to: Place) -> Result<Self, String> {
        let failed = |error| format!("cannot listen on this machine: {error}");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let target = Arc::<Mutex<Option<SocketAddr>>>::default();
        let (up, up_rx) = watch::channel(Condition::Good);
        let (down, down_rx) = watch::channel(Condition::Good);
        tokio::spawn(accept(listener, Arc::clone(&target), up_rx, down_rx));
        Ok(Self {
            from,
            to,
            address,
            target,
            up,
            down,
        })
    }

    fn leads(&self, from: Place, to: Place) -> bool {
        self.to == to && self.from.is_none_or(|own| own == from)
    }
}

/// Makes a pair of pumps for each connection, for as long as the proxy is there.
async fn accept(
    listener: TcpListener,
    target: Arc<Mutex<Option<SocketAddr>>>,
    up: watch::Receiver<Condition>,
    down: watch::Receiver<Condition>,
) {
    while let Ok((near, _)) = listener.accept().await {
        let target = *target.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(target) = target else {
            continue;
        };
        let Ok(far) = TcpStream::connect(target).await else {
            continue;
        };
        for stream in [&near, &far] {
            // Without it, small packets would wait for each other; that slows a run down, no more.
            let _ = stream.set_nodelay(true);
        }
        let (from_near, to_near) = near.into_split();
        let (from_far, to_far) = far.into_split();
        tokio::spawn(pump(from_near, to_far, up.clone()));
        tokio::spawn(pump(from_far, to_near, down.clone()));
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut condition: watch::Receiver<Condition>,
) {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let count = from.read(&mut bytes).await.unwrap_or(0);
        let passes = |now: &Condition| *now != Condition::Cut;
        let Ok(now) = condition.wait_for(passes).await.map(|now| *now) else {
            return;
        };
        if now == Condition::Slow {
            tokio::time::sleep(DELAY).await;
        }
        if count == 0 || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// An address that nobody listens on at the moment.
fn free_address() -> Result<SocketAddr, String> {
    let bound = Bound::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map_err(|error| format!("no port is free on this machine: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn cut_if(is_cut: bool) -> Condition {
        if is_cut {
            Condition::Cut
        } else {
            Condition::Good
        }
    }

    #[tokio::test]
    async fn one_way_of_a_link_is_cut_and_what_was_sent_comes_when_it_is_good_again() {
        let layout = Layout {
            servers: 1,
            clients: 2,
            coordinator: Coordinator::Standalone,
        };
        let (client, server) = (Place::Client(1), Place::Server(1));
        let proxies = Proxies::new(&layout).await.expect("made");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        proxies.on_listening(server, &address);
        let near = TcpStream::connect(proxies.address(client, server)).await;
        let mut near = near.expect("connected");
        let (mut far, _) = listener.accept().await.expect("accepted");
        proxies.set(|link| cut_if(link == (client, server)));
        near.write_all(b"up").await.expect("sent");
        far.write_all(b"down").await.expect("sent");
        let mut bytes = [0; 4];
        near.read_exact(&mut bytes).await.expect("received");
        assert_eq!(&bytes, b"down");
        assert!(far.try_read(&mut bytes).is_err(), "nothing comes up");
        proxies.set(|_| Condition::Good);
        far.read_exact(&mut bytes[..2]).await.expect("received");
        assert_eq!(&bytes[..2], b"up");
    }

    #[tokio::test]
    async fn a_proxy_for_all_is_cut_only_with_all_of_its_links() {
        let layout = Layout {
            servers: 2,
            clients: 1,
            coordinator: Coordinator::Etcd,
        };
        let proxies = Proxies::new(&layout).await.expect("made");
        let server = Place::Server(1);
        let is_shared = |proxy: &&Proxy| proxy.from.is_none() && proxy.to == server;
        let up = || {
            let shared = proxies.proxies.iter().find(is_shared);
            *shared.expect("one for each server").up.borrow()
        };
        proxies.set(|link| cut_if(link == (Place::Client(1), server)));
        assert_eq!(up(), Condition::Good);
        proxies.set(|(_, to)| cut_if(to == server));
        assert_eq!(up(), Condition::Cut);
    }
}
