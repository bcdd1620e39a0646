//! Frames: where one packet ends and the next begins.
//!
//! A frame is a length, four bytes, big-endian, and so many bytes of one packet. [`PacketCodec`] goes between
//! a stream of bytes and packets, for `tokio_util::codec::Framed` and its halves.
//!
//! * A frame's length is checked before anything is done for it. No memory is reserved by what a peer claims,
//!   only for what it sent.
//! * Encoding appends. Any number of packets go into one buffer and out by one write: `feed` them, then `flush`.
//! * On a session a packet of a kind unknown here is skipped and counted; before, it is an error: the first packet decides
//!   what is spoken. Every other error ends the stream: after it nobody knows where the next frame begins, or the peer
//!   does not follow the rules.
//!
//! Decoding keeps its state in the buffer, so reading a `Framed` is cancel safe.

use std::io;

use bytes::{Buf as _, BufMut as _, BytesMut};
use rm_core::session::packet::Packet;
use thiserror::Error;
use tokio_util::codec::{Decoder, Encoder};

use crate::wire::{self, WireError};

/// The most bytes of a packet.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// The most bytes of a packet from a peer with which no session stands yet.
pub const FIRST_FRAME_BYTES_MAX: usize = 4096;

/// So much room for a packet is kept.
const SCRATCH_BYTES: usize = 16 << 10;

/// The bytes of a frame before its packet.
pub const HEAD_BYTES: usize = 4;

/// What is wrong with a stream of frames. The connection is of no more use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame without a packet.
    #[error("a frame has no bytes")]
    Empty,
    /// The other side is no peer at all.
    #[error("it speaks {what}: this is the port of another program")]
    Foreign {
        /// What it speaks, as far as its first bytes tell.
        what: &'static str,
    },
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A frame over the limit; when sending, a packet that does not fit into one.
    #[error("a frame has {bytes} bytes: at most {max} are allowed here")]
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        max: usize,
    },
    /// The connection ended inside a frame.
    #[error("the connection ended inside a frame: {have} of {need} bytes came")]
    Truncated {
        /// How many bytes of the frame came, its head included.
        have: usize,
        /// How many were announced; of a head that did not come whole, its own.
        need: usize,
    },
    /// The frame is whole, but what is in it is no packet.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Between a stream of bytes and packets.
///
/// A new one reads frames of up to [`FIRST_FRAME_BYTES_MAX`] bytes only, and none of an unknown kind: say
/// [`PacketCodec::on_session`] when the session stands.
#[derive(Debug)]
pub struct PacketCodec {
    /// The longest frame that is read.
    bytes_max: usize,
    /// Packets of unknown kinds so far.
    skipped: u64,
    /// Where a packet is written before it is appended: a number is written byte by byte, which takes a plain vector
    /// less.
    scratch: Vec<u8>,
}

impl PacketCodec {
    /// For a new connection.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes_max: FIRST_FRAME_BYTES_MAX,
            skipped: 0,
            scratch: Vec::new(),
        }
    }

    /// The session stands: from now on frames of up to [`FRAME_BYTES_MAX`] bytes are read.
    pub const fn on_session(&mut self) {
        self.bytes_max = FRAME_BYTES_MAX;
    }

    const fn is_on_session(&self) -> bool {
        self.bytes_max == FRAME_BYTES_MAX
    }

    /// How many packets of kinds unknown here were skipped.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }
}

impl Default for PacketCodec {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for PacketCodec {
    type Item = Packet;
    type Error = FrameError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Packet>, FrameError> {
        while let Some(bytes) = announced(buffer) {
            if bytes == 0 {
                return Err(FrameError::Empty);
            }
            if bytes > self.bytes_max {
                return Err(match foreign(buffer) {
                    Some(what) => FrameError::Foreign { what },
                    None => FrameError::TooLarge {
                        bytes,
                        max: self.bytes_max,
                    },
                });
            }
            if buffer.len() < HEAD_BYTES + bytes {
                return Ok(None);
            }
            buffer.advance(HEAD_BYTES);
            match wire::decode(buffer.split_to(bytes).freeze()) {
                Err(WireError::UnknownBody { .. }) if self.is_on_session() => self.skipped += 1,
                packet => return Ok(Some(packet?)),
            }
        }
        Ok(None)
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Packet>, FrameError> {
        let packet = self.decode(buffer)?;
        if packet.is_none() && !buffer.is_empty() {
            return Err(FrameError::Truncated {
                have: buffer.len(),
                need: HEAD_BYTES + announced(buffer).unwrap_or(0),
            });
        }
        Ok(packet)
    }
}

/// What the other side speaks, where its first bytes are those of something else: as a length they are too large.
fn foreign(buffer: &BytesMut) -> Option<&'static str> {
    let words: [(&[u8], &str); 4] = [
        (b"HTTP", "HTTP"),
        (b"SSH-", "SSH"),
        (b"\x15\x03", "TLS"),
        (b"-ERR", "the protocol of Redis"),
    ];
    let found = words.iter().find(|(begin, _)| buffer.starts_with(begin));
    found.map(|(_, what)| *what)
}

/// The length in the head of the frame at the front of `buffer`, if the head is whole.
fn announced(buffer: &BytesMut) -> Option<usize> {
    // On a machine whose sizes are smaller than 32 bits, too long is too long.
    let head = buffer.first_chunk::<HEAD_BYTES>()?;
    Some(usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX))
}

impl Encoder<&Packet> for PacketCodec {
    type Error = FrameError;

    /// Appends `packet` to `buffer`. Items that are too many or too long for one `Data` go in several, each in
    /// its frame.
    ///
    /// # Errors
    /// A packet beyond the limits of the wire. The buffer is then as it was, and other packets can follow.
    fn encode(&mut self, packet: &Packet, buffer: &mut BytesMut) -> Result<(), FrameError> {
        let before = buffer.len();
        for part in wire::parts(packet, FRAME_BYTES_MAX)? {
            self.scratch.clear();
            wire::append(&part, &mut self.scratch);
            let bytes = self.scratch.len();
            if bytes > FRAME_BYTES_MAX {
                buffer.truncate(before);
                return Err(FrameError::TooLarge {
                    bytes,
                    max: FRAME_BYTES_MAX,
                });
            }
            buffer.put_u32(bytes as u32);
            buffer.extend_from_slice(&self.scratch);
        }
        // What a large packet took is not kept for the small ones.
        self.scratch.shrink_to(SCRATCH_BYTES);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
