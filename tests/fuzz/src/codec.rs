//! Bytes from a connection, through frames and packets.
//!
//! The first byte says whether a session stands, since a stranger may say less. The rest comes in pieces, whose sizes
//! are taken from the bytes themselves, so a frame is cut anywhere.

use bytes::{Bytes, BytesMut};
use rm_core::session::packet::{Body, Packet};
use rm_net::frame::{FrameError, PacketCodec};
use rm_net::wire;
use tokio_util::codec::{Decoder as _, Encoder as _};

/// Reads `bytes` as a connection would bring them.
///
/// # Panics
/// Where a packet is not the same after it was written and read again, or cutting a stream changes what it says.
pub fn run(bytes: &[u8]) {
    let Some((&head, stream)) = bytes.split_first() else {
        return;
    };
    let whole = read(head, [stream]);
    let cut = stream.len() * usize::from(head >> 1) / 128;
    let (first, second) = stream.split_at(cut);
    let pieces = read(head, [first, second]);
    assert_eq!(
        whole, pieces,
        "where a stream is cut changes nothing of what it says"
    );
    for packet in &whole.packets {
        check_round_trip(packet);
    }
    // And what stands alone, without a frame.
    if let Ok(packet) = wire::decode(Bytes::copy_from_slice(stream)) {
        check_round_trip(&packet);
    }
}

/// What a stream said, and how it ended.
#[derive(Debug, PartialEq)]
struct Read {
    packets: Vec<Packet>,
    skipped: u64,
    error: Option<String>,
}

fn read<'a>(head: u8, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let mut codec = PacketCodec::new();
    if head & 1 == 1 {
        codec.on_session();
    }
    let mut read = Read {
        packets: Vec::new(),
        skipped: 0,
        error: None,
    };
    let mut buffer = BytesMut::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        read.error = drain(&mut codec, &mut buffer, &mut read.packets).err();
        if read.error.is_some() {
            break;
        }
    }
    read.skipped = codec.skipped();
    read
}

fn drain(
    codec: &mut PacketCodec,
    buffer: &mut BytesMut,
    packets: &mut Vec<Packet>,
) -> Result<(), String> {
    loop {
        match codec.decode(buffer) {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// What was understood is said again in the same words, but for what only says that it was not understood.
fn check_round_trip(packet: &Packet) {
    if !can_be_said(&packet.body) {
        return;
    }
    let mut codec = PacketCodec::new();
    codec.on_session();
    let mut bytes = BytesMut::new();
    match codec.encode(packet, &mut bytes) {
        Ok(()) => {}
        // It was read in a tighter form than ours.
        Err(FrameError::TooLarge { .. }) => return,
        Err(error) => panic!("{packet:?} was read and cannot be written: {error}"),
    }
    let mut again = Vec::new();
    drain(&mut codec, &mut bytes, &mut again).expect("what we write can be read");
    assert_eq!(again, std::slice::from_ref(packet), "read, written, read");
}

/// Questions, orders and answers of a later version are read as unknown, and never said.
const fn can_be_said(body: &Body) -> bool {
    use rm_core::command::{Action, Command, Outcome};
    use rm_core::inspect::{Answer, Query};
    !matches!(
        body,
        Body::Inspect {
            query: Query::Unknown,
            ..
        } | Body::Inspected {
            answer: Answer::Unknown,
            ..
        } | Body::Command {
            command: Command {
                action: Action::Unknown,
                ..
            },
            ..
        } | Body::Commanded {
            outcome: Outcome::Unknown,
            ..
        }
    )
}
