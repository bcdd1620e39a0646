//! Packets as bytes, by the schema in `proto/rm.proto`.
//!
//! Any bytes give a packet or a [`WireError`] that says what is wrong. Reading takes three steps:
//!
//! * `scan` counts the elements of lists in the bytes, before memory is given to them. Two bytes can stand for
//!   an element that takes hundreds in memory; with the counts bounded, so is what a frame can cost.
//! * The structs in `generated`, made from the schema, take the bytes. Nothing outside this module sees them.
//! * `incoming` makes them the core's types. What these cannot say, or may not, is an error here: nothing behind
//!   this module checks a packet again.
//!
//! Writing goes back the same way, by `outgoing`, and holds to the same [`limits`], so a mistake of ours shows
//! here and not at the peer. Only texts for people and far deadlines are cut instead. A decoded packet holds
//! no slice of its frame: the frame's memory is free at once.

use std::mem;

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use rm_core::session::packet::{Body, Item, Packet};
use smallvec::{SmallVec, smallvec};

#[cfg(test)]
pub(crate) mod arbitrary;
mod cluster;
mod command;
mod error;
mod incoming;
mod inspect;
pub mod limits;
mod members;
mod outgoing;
mod scan;
mod top;

#[rustfmt::skip]
#[allow(
    clippy::all,
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "made by a program"
)]
mod generated;

#[cfg(test)]
mod tests;

pub use self::error::WireError;

use self::generated as pb;

/// Appends the bytes of `packet` to `out`. On an error nothing is appended.
///
/// ```
/// use bytes::BytesMut;
/// use rm_core::id::Stamp;
/// use rm_core::session::packet::{Body, Packet};
///
/// let packet = Packet {
///     epoch: 1,
///     stamp: Stamp(7),
///     body: Body::Renew { sent: 9, heard: 0 },
/// };
/// let mut bytes = BytesMut::new();
/// rm_net::wire::encode(&packet, &mut bytes)?;
/// assert_eq!(rm_net::wire::decode(bytes.freeze())?, packet);
/// # Ok::<(), rm_net::wire::WireError>(())
/// ```
///
/// # Errors
/// A packet beyond the [`limits`].
pub fn encode(packet: &Packet, out: &mut BytesMut) -> Result<(), WireError> {
    let message = outgoing::packet(packet)?;
    if let Some(pb::packet::Body::Data(data)) = &message.body {
        limits::count("Data.items", data.items.len(), limits::ITEMS_MAX)?;
    }
    message.encode(out).expect("the buffer grows");
    Ok(())
}

/// The packet that all of `bytes` say.
///
/// # Errors
/// Bytes that are no packet. After [`WireError::UnknownBody`] the reader may go on with the next packet; after
/// all others the peer cannot be trusted to follow the rules.
pub fn decode(bytes: Bytes) -> Result<Packet, WireError> {
    let later_body = scan::check(&bytes)?;
    let message = pb::Packet::decode(bytes).map_err(|error| WireError::Malformed {
        detail: error.to_string(),
    })?;
    incoming::packet(message, later_body)
}

/// Packets that say the same as `packet`, in order: as many as it takes for each to have no more than
/// [`limits::ITEMS_MAX`] items and `bytes_max` bytes. Only what is no `Data` can be longer.
pub(crate) fn parts(packet: &Packet, bytes_max: usize) -> Result<Parts, WireError> {
    let message = outgoing::packet(packet)?;
    let fits = is_surely_short(packet, bytes_max) || message.encoded_len() <= bytes_max;
    Ok(match message.body {
        Some(pb::packet::Body::Data(data)) if !fits || data.items.len() > limits::ITEMS_MAX => {
            split(message.epoch, message.stamp, data, bytes_max)
        }
        body => smallvec![pb::Packet { body, ..message }],
    })
}

/// Whether it takes no more than that, by an estimate that is quicker than a count.
fn is_surely_short(packet: &Packet, bytes_max: usize) -> bool {
    let Body::Data { items, .. } = &packet.body else {
        return false;
    };
    // An item takes less on the wire than in memory, though none of it is promised: so half.
    items.iter().map(Item::weight).sum::<usize>() <= bytes_max / 2
}

/// What one packet becomes: nearly always one.
pub(crate) type Parts = SmallVec<[pb::Packet; 1]>;

fn split(epoch: u32, stamp: u64, data: pb::Data, bytes_max: usize) -> Parts {
    // No more than all fields of a `Packet` and a `Data` but the items, and than the header of an item.
    const HEAD_BYTES: usize = 64;
    const ITEM_HEAD_BYTES: usize = 8;

    let pb::Data { ack, first, items } = data;
    let mut parts = Parts::new();
    let mut first = first;
    let mut part: Vec<pb::Item> = Vec::new();
    let mut bytes = HEAD_BYTES;
    let mut finish = |items: Vec<pb::Item>| {
        let next = first + items.len() as u64;
        let data = pb::Data { ack, first, items };
        parts.push(pb::Packet {
            epoch,
            stamp,
            body: Some(pb::packet::Body::Data(data)),
        });
        first = next;
    };
    for item in items {
        let item_bytes = ITEM_HEAD_BYTES + item.encoded_len();
        let full = part.len() == limits::ITEMS_MAX || bytes + item_bytes > bytes_max;
        if full && !part.is_empty() {
            finish(mem::take(&mut part));
            bytes = HEAD_BYTES;
        }
        bytes += item_bytes;
        part.push(item);
    }
    finish(part);
    parts
}

/// Appends the bytes of `message` to `out`.
pub(crate) fn append(message: &pb::Packet, out: &mut Vec<u8>) {
    message.encode(out).expect("the buffer grows");
}
