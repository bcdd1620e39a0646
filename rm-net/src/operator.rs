//! An operator's connection to one server: questions about its cluster and its machine, and orders.
//!
//! It is a session in which nothing is borrowed, with one server and no other: who wants to know how each member of a
//! cluster sees it asks each. Orders change something for others, so each says who gives it, and why.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use rm_core::command::{Command, Outcome};
use rm_core::inspect::{Answer, Query};
use rm_core::session::packet::{Body, Packet, Welcome};
use rm_core::session::{
    DebtorConfig, DebtorSession, EndReason, Refusal, SessionEffect, SessionEffects, VoidReason,
    Window,
};
use tokio_util::codec::{Decoder as _, Encoder as _};

use crate::clock::BootClock;
use crate::error::{ConnectError, InspectError};
use crate::frame::PacketCodec;
use crate::hub::fresh_ticket;
use crate::node::host_name;
use crate::transport::{self, Stream, Transport};

/// An answer comes within so long, or not at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nothing is borrowed, so nothing is ever said in sequence.
const WINDOW: Window = Window { items: 1, bytes: 1 };

/// A connection to one server.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use rm_core::inspect::{Answer, Query};
/// use rm_net::Operator;
/// use std::time::Duration;
///
/// # let dir = tempfile::tempdir()?;
/// # let server = rm_net::Node::builder().listen("127.0.0.1:0").data_dir(dir.path()).start().await?;
/// # let address = server.local_addr().expect("it listens").to_string();
/// let mut operator = Operator::connect(&address, Duration::from_secs(3)).await?;
/// if let Answer::Members(cluster) = operator.ask(Query::Members).await? {
///     println!("{} is {:?}", cluster.node, cluster.standing);
/// }
/// operator.close().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Operator {
    address: String,
    stream: Stream,
    codec: PacketCodec,
    input: BytesMut,
    session: DebtorSession,
    welcome: Option<Welcome>,
    next_id: u64,
    /// To be said outside the sequence.
    aside: VecDeque<Body>,
    /// The epoch in the last packet of the server.
    epoch: u32,
}

/// What a packet of the server was about.
enum Heard {
    Answer(u64, Answer),
    Outcome(u64, Outcome),
    Session,
}

impl Operator {
    /// Connects to the server at `address`, such as `127.0.0.1:7600`. Cancel safe.
    ///
    /// # Errors
    /// Where it does not answer in time, or refuses.
    pub async fn connect(address: &str, patience: Duration) -> Result<Self, ConnectError> {
        Self::connect_over(&Transport::default(), address, patience).await
    }

    /// The same by TLS, or where plain text is allowed beyond this machine. Cancel safe.
    ///
    /// # Errors
    /// Where it does not answer in time, or refuses, or what is known of it does not suffice.
    pub async fn connect_over(
        transport: &Transport,
        address: &str,
        patience: Duration,
    ) -> Result<Self, ConnectError> {
        let unreachable = |last: String| ConnectError::Unreachable {
            endpoints: address.into(),
            last,
        };
        let connected = async {
            let stream = transport.dial(address).await.map_err(|error| {
                let decided = error.decided(address);
                decided.unwrap_or_else(|| unreachable(error.to_string()))
            })?;
            let mut operator = Self::over(address, stream, patience);
            operator.until_welcome().await?;
            Ok(operator)
        };
        let timed = tokio::time::timeout(patience, connected).await;
        timed.unwrap_or_else(|_| Err(unreachable(format!("no answer within {patience:?}"))))
    }

    /// Whom the server's certificate names, and until when it is good; if it showed one.
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "for doctor"))]
    pub(crate) fn certificate(&self) -> Option<(String, SystemTime)> {
        self.stream.certificate()
    }

    fn over(address: &str, stream: Stream, patience: Duration) -> Self {
        let now = BootClock::new().now();
        let ticket = fresh_ticket();
        let config = DebtorConfig {
            name: format!("operator@{}/{}", host_name(), std::process::id()).into_bytes(),
            boot: ticket.boot(),
            ticket,
            session: 1,
            reg: 0,
            window: WINDOW,
            patience,
        };
        Self {
            address: address.into(),
            stream,
            codec: PacketCodec::new(),
            input: BytesMut::new(),
            session: DebtorSession::connect(now, config),
            welcome: None,
            next_id: 1,
            aside: VecDeque::new(),
            epoch: 0,
        }
    }

    async fn until_welcome(&mut self) -> Result<(), ConnectError> {
        while self.welcome.is_none() {
            let failed = self.step().await.err();
            if let Some(why) = failed.as_ref().and_then(transport::problem) {
                let endpoint = self.address.clone();
                return Err(ConnectError::Tls { endpoint, why });
            }
            if let Some(VoidReason::Ended(EndReason::Refused(Refusal { code, text }))) =
                self.session.void_reason()
            {
                return Err(ConnectError::Refused {
                    endpoint: self.address.clone(),
                    code: *code,
                    text: text.clone(),
                });
            }
            // No error here passes by trying again: what cannot be read stays in front of all that follows.
            if let Some(error) = failed {
                return Err(ConnectError::Unreachable {
                    endpoints: self.address.clone(),
                    last: error.to_string(),
                });
            }
        }
        Ok(())
    }

    /// What the server said of itself at the beginning.
    ///
    /// # Panics
    /// Never: whoever has a connection was welcomed.
    #[must_use]
    pub const fn welcome(&self) -> &Welcome {
        self.welcome
            .as_ref()
            .expect("whoever has a connection was welcomed")
    }

    /// The epoch that the server is in, as its last packet said.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Asks the server something. Read-only. Cancel safe: an answer that comes later is dropped.
    ///
    /// # Errors
    /// Where a rule forbids it, the connection ended, or no answer came within 5 s.
    pub async fn ask(&mut self, query: Query) -> Result<Answer, InspectError> {
        let id = self.fresh_id();
        self.aside.push_back(Body::Inspect { id, query });
        let answered = async {
            loop {
                match self.step().await {
                    Ok(Heard::Answer(of, Answer::NotAllowed { text })) if of == id => {
                        return Err(InspectError::NotAllowed { text });
                    }
                    Ok(Heard::Answer(of, answer)) if of == id => return Ok(answer),
                    Ok(_) => {}
                    Err(_) => return Err(InspectError::Unavailable),
                }
            }
        };
        let timed = tokio::time::timeout(PATIENCE, answered).await;
        timed.unwrap_or(Err(InspectError::Timeout(PATIENCE)))
    }

    /// Orders the server to do something, and waits for what became of it. A future that is dropped does not take
    /// the order back.
    ///
    /// # Errors
    /// Where a rule forbids it; or the connection ended, or no answer came within 5 s: then it may have been carried out or not.
    pub async fn order(&mut self, command: Command) -> Result<Outcome, InspectError> {
        let id = self.fresh_id();
        self.aside.push_back(Body::Command { id, command });
        let answered = async {
            loop {
                match self.step().await {
                    Ok(Heard::Outcome(of, Outcome::NotAllowed { text })) if of == id => {
                        return Err(InspectError::NotAllowed { text });
                    }
                    Ok(Heard::Outcome(of, outcome)) if of == id => return Ok(outcome),
                    Ok(_) => {}
                    Err(_) => return Err(InspectError::Unavailable),
                }
            }
        };
        let timed = tokio::time::timeout(PATIENCE, answered).await;
        timed.unwrap_or(Err(InspectError::Timeout(PATIENCE)))
    }

    /// Says goodbye, if the server still listens.
    pub async fn close(mut self) {
        let mut fx = SessionEffects::new();
        let now = BootClock::new().now();
        self.session.bye(now, "the operator is done", &mut fx);
        let _ = tokio::time::timeout(Duration::from_secs(1), async {
            self.write().await?;
            self.stream.finish();
            io::Result::Ok(())
        })
        .await;
    }

    const fn fresh_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Says what there is to say, then waits for a packet, or until time has something to do. Cancel safe.
    async fn step(&mut self) -> io::Result<Heard> {
        self.write().await?;
        if !self.session.is_open() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        loop {
            let packet = self.codec.decode(&mut self.input);
            if let Some(packet) = packet.map_err(io::Error::other)? {
                return Ok(self.on_packet(packet));
            }
            let now = BootClock::new().now();
            let due = self.session.next_tick().map(|at| at.since(now));
            let due = tokio::time::sleep(due.unwrap_or(PATIENCE));
            tokio::select! {
                read = self.stream.read_buf(&mut self.input) => if read? == 0 {
                    self.on_disconnect();
                    return Err(io::ErrorKind::UnexpectedEof.into());
                },
                () = due => {
                    let mut fx = SessionEffects::new();
                    self.session.on_tick(BootClock::new().now(), &mut fx);
                    return Ok(Heard::Session);
                }
            }
        }
    }

    fn on_disconnect(&mut self) {
        let mut fx = SessionEffects::new();
        let now = BootClock::new().now();
        self.session.on_disconnect(now, &mut fx);
    }

    fn on_packet(&mut self, packet: Packet) -> Heard {
        self.epoch = packet.epoch;
        match packet.body {
            Body::Inspected { id, answer } => return Heard::Answer(id, answer),
            Body::Commanded { id, outcome } => return Heard::Outcome(id, outcome),
            body => {
                let mut fx = SessionEffects::new();
                self.session
                    .on_packet(BootClock::new().now(), body, &mut fx);
                for effect in fx.drain() {
                    if let SessionEffect::Established(welcome) = effect {
                        self.codec.on_session();
                        self.welcome = Some(welcome);
                    }
                }
            }
        }
        Heard::Session
    }

    async fn write(&mut self) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        loop {
            let now = BootClock::new().now();
            let next = self.session.transmit(now, WINDOW);
            let next = next.or_else(|| {
                let is_welcome = self.welcome.is_some();
                self.aside.pop_front().filter(|_| is_welcome)
            });
            let Some(body) = next else { break };
            let packet = Packet {
                epoch: self.epoch,
                stamp: rm_core::id::Stamp(0),
                body,
            };
            self.codec
                .encode(&packet, &mut bytes)
                .map_err(io::Error::other)?;
        }
        self.stream.write_all(&bytes).await
    }
}
