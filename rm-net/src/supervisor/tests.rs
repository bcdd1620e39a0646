//! A supervisor and a server that the test plays.

use bytes::BytesMut;
use rm_core::front::{Domain, DomainSettings, Role};
use rm_core::id::{Boot, Stamp};
use rm_core::owner::Settings;
use rm_core::session::packet::{Packet, WIRE_VERSION};
use rm_rwlock::RwLockType;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Decoder as _, Encoder as _};

use super::*;
use crate::frame::PacketCodec;
use crate::transport::Transport;

const PATIENCE: Duration = Duration::from_secs(20);
const LEASE: Duration = Duration::from_secs(1);

/// The server's end of one connection.
struct Server {
    stream: TcpStream,
    codec: PacketCodec,
    input: BytesMut,
}

impl Server {
    async fn hear(&mut self) -> Body {
        loop {
            if let Some(packet) = self.codec.decode(&mut self.input).expect("a packet") {
                return packet.body;
            }
            let count = self
                .stream
                .read_buf(&mut self.input)
                .await
                .expect("connected");
            assert!(count > 0, "the client is there");
        }
    }

    async fn say(&mut self, body: Body) {
        let packet = Packet {
            epoch: 1,
            stamp: Stamp(0),
            body,
        };
        let mut bytes = BytesMut::new();
        self.codec.encode(&packet, &mut bytes).expect("fits");
        self.stream.write_all(&bytes).await.expect("connected");
    }

    async fn welcome(&mut self) {
        assert!(matches!(self.hear().await, Body::Hello(_)));
        self.say(Body::Welcome(Welcome {
            version: WIRE_VERSION,
            name: b"server".to_vec(),
            boot: Boot(1),
            reg: 1,
            next_expected: 1,
            lease: LEASE,
        }))
        .await;
    }

    async fn renew(&mut self) {
        let body = self.hear().await;
        self.answer(body).await;
    }

    async fn answer(&mut self, body: Body) {
        let Body::Renew { sent, .. } = body else {
            panic!("a renewal, not {body:?}");
        };
        let length = LEASE;
        self.say(Body::RenewAck { sent, length }).await;
    }

    /// Answers every renewal until the client ends the connection.
    async fn renew_to_the_end(mut self) {
        loop {
            if let Some(packet) = self.codec.decode(&mut self.input).expect("a packet") {
                self.answer(packet.body).await;
            } else if !matches!(self.stream.read_buf(&mut self.input).await, Ok(1..)) {
                return;
            }
        }
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("in time")
}

#[tokio::test]
async fn a_lease_that_a_user_found_past_is_not_revived_and_a_new_session_begins() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = listener.local_addr().expect("bound").to_string();
    let hub = Hub::new("client");
    let host: Arc<Hub> = Arc::clone(&hub);
    let settings = DomainSettings::new("client", Settings::default());
    let domain = Domain::new(settings, Role::Debtor, host).with_type(RwLockType::default());
    hub.serve(&domain);
    let (roster, mut phase) =
        Roster::new(Arc::clone(&hub), Transport::default(), vec![endpoint], None);
    let running = tokio::spawn(roster.run());
    let accept = async || {
        let (stream, _) = listener.accept().await.expect("accepted");
        Server {
            stream,
            codec: PacketCodec::new(),
            input: BytesMut::new(),
        }
    };
    let mut server = within(accept()).await;
    within(server.welcome()).await;
    within(server.renew()).await;
    let connected = phase.wait_for(|phase| matches!(phase, Phase::Connected { .. }));
    let Phase::Connected { peer, .. } = *within(connected).await.expect("running") else {
        unreachable!("waited for");
    };
    let peer = hub.peer(peer).expect("connected");
    // What a task does that looks at the clock between the deadline and the answer.
    assert!(!peer.trust().expect("acknowledged").is_good(Time::MAX));
    // However well it goes on answering.
    within(server.renew_to_the_end()).await;
    let mut next = within(accept()).await;
    within(next.welcome()).await;
    within(next.renew()).await;
    hub.stopping.cancel();
    within(running).await.expect("no panic");
}
