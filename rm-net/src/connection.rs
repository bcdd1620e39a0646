//! One connection of a session. A session has one after the other; it has them one at a time.
//!
//! A connection has a number, and the session knows that of the present one. What an earlier one still wants to write
//! finds that it has nothing to say any more: so no packet is taken out of the session for a stream that nobody reads.

use std::sync::Mutex;
use std::time::Duration;

use bytes::BytesMut;
use rm_core::access::Identity;
use rm_core::session::packet::{Hello, Packet};
use tokio::sync::Notify;
use tokio_util::codec::Encoder as _;

use crate::desk::Call;
use crate::frame::PacketCodec;
use crate::hub::Hub;
use crate::server::Spot;
use crate::transport::Stream;

/// Whoever is turned away is given so long to hear why.
const FAREWELL: Duration = Duration::from_millis(300);

/// A connection that no session uses yet, and what was read from it.
pub(crate) struct Newcomer {
    pub(crate) stream: Stream,
    /// Who is at the other end, as far as that was proved. Of a server: nobody in particular, though its certificate
    /// was checked.
    pub(crate) identity: Identity,
    pub(crate) codec: PacketCodec,
    /// Read, and not decoded.
    pub(crate) input: BytesMut,
    /// What the other side began with; `None` where this side called.
    pub(crate) hello: Option<Hello>,
    /// Its place among the connections of a server.
    pub(crate) room: Option<Spot>,
    /// That this side called, where it did.
    pub(crate) call: Option<Call>,
}

impl Newcomer {
    /// A connection that this side made.
    pub(crate) fn dialled(hub: &Hub, stream: Stream) -> Self {
        let call = hub.desk.note_call(&stream);
        let mut codec = PacketCodec::new();
        // A view, which may be the first that is heard, is longer than what strangers may say.
        codec.on_session();
        Self {
            stream,
            identity: Identity::anonymous(),
            codec,
            input: BytesMut::new(),
            hello: None,
            room: None,
            call,
        }
    }

    /// Says why there is no session, and closes. Its place is free when that is done.
    pub(crate) async fn turn_away(self, packet: Packet) {
        say_and_close(self.stream, packet).await;
        drop(self.room);
    }
}

/// A last packet. Then whatever comes is read and thrown away for a moment: a connection that is closed with
/// something unread is reset, and the other side might not get to see why.
pub(crate) async fn say_and_close(stream: Stream, packet: Packet) {
    let mut bytes = BytesMut::new();
    if PacketCodec::new().encode(&packet, &mut bytes).is_ok() {
        let said = async {
            stream.write_all(&bytes).await?;
            stream.finish();
            while stream.read_buf(&mut bytes).await? > 0 {
                bytes.clear();
            }
            std::io::Result::Ok(())
        };
        let _ = tokio::time::timeout(FAREWELL, said).await;
    }
}

/// What waits for the socket to take it.
pub(crate) struct Output {
    pub(crate) codec: PacketCodec,
    pub(crate) bytes: BytesMut,
    /// The epoch of the view that the other side was told over this connection.
    pub(crate) told: u32,
}

/// The connection that a session uses, or used.
pub(crate) struct Connection {
    /// Before the stream: when its address is another's, it is forgotten.
    _call: Option<Call>,
    /// Which of the session's, from 1.
    pub(crate) number: u64,
    pub(crate) stream: Stream,
    pub(crate) output: Mutex<Output>,
    /// There is something to write.
    pub(crate) work: Notify,
    /// Kept as long as the stream is open.
    _room: Option<Spot>,
}

impl Connection {
    pub(crate) fn new(
        number: u64,
        stream: Stream,
        (room, call): (Option<Spot>, Option<Call>),
    ) -> Self {
        let mut codec = PacketCodec::new();
        codec.on_session();
        Self {
            _call: call,
            number,
            stream,
            output: Mutex::new(Output {
                codec,
                bytes: BytesMut::new(),
                told: 0,
            }),
            work: Notify::new(),
            _room: room,
        }
    }

    /// Nothing more is read or written.
    pub(crate) fn close(&self) {
        self.stream.close();
    }
}
