//! Frames: whole ones, halves, and what no frame may be.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use rm_core::credit::{Colour, Opaque};
use rm_core::id::{
    Boot, Class, LoanId, NodeId, Note, Order, Party, ResourceKey, Stamp, TypeId, Version,
};
use rm_core::inspect::{Answer, LIST_MAX, Summary};
use rm_core::message::{Grant, Message, Step};
use rm_core::session::packet::{Body, Item};
use rm_core::trace::TraceContext;
use rm_core::value::{Value, ValueState};

use super::*;
use crate::wire::arbitrary;
use crate::wire::limits::{
    CREDIT_BYTES_MAX, ITEMS_MAX, NAME_BYTES_MAX, NOTE_BYTES_MAX, STEPS_MAX, TEXT_BYTES_MAX,
    VALUE_BYTES_MAX,
};

proptest! {
    #[test]
    fn packets_in_one_buffer_come_out_in_order_however_they_arrive(
        packets in vec(arbitrary::packet(), 1..6),
        chunk in 1_usize..200,
    ) {
        let mut sent = BytesMut::new();
        for packet in &packets {
            PacketCodec::new().encode(packet, &mut sent).unwrap();
        }
        let mut codec = on_session();
        let mut buffer = BytesMut::new();
        let mut received = Vec::new();
        for chunk in sent.chunks(chunk) {
            buffer.extend_from_slice(chunk);
            while let Some(packet) = codec.decode(&mut buffer).unwrap() {
                received.push(packet);
            }
        }
        prop_assert_eq!(received, packets);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn any_bytes_come_to_an_end(bytes in vec(any::<u8>(), 0..600)) {
        let mut codec = on_session();
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = codec.decode_eof(&mut buffer) {}
    }
}

#[test]
fn a_frame_over_the_limit_is_refused_by_its_head_alone() {
    let mut buffer = head(FRAME_BYTES_MAX + 1);
    let capacity = buffer.capacity();
    let error = on_session().decode(&mut buffer).unwrap_err();
    assert!(matches!(
        error,
        FrameError::TooLarge {
            bytes: 1_048_577,
            max: FRAME_BYTES_MAX
        }
    ));
    assert_eq!(buffer.capacity(), capacity);
}

#[test]
fn no_memory_is_reserved_for_what_has_not_come() {
    let mut buffer = head(FRAME_BYTES_MAX);
    let capacity = buffer.capacity();
    assert!(on_session().decode(&mut buffer).unwrap().is_none());
    assert_eq!(buffer.capacity(), capacity);
}

#[test]
fn before_the_session_frames_are_small() {
    let mut codec = PacketCodec::new();
    assert!(codec.decode(&mut head(4_096)).unwrap().is_none());
    assert!(matches!(
        codec.decode(&mut head(4_097)),
        Err(FrameError::TooLarge { max: 4_096, .. })
    ));
    codec.on_session();
    assert!(codec.decode(&mut head(4_097)).unwrap().is_none());
}

#[test]
fn a_frame_without_bytes_is_refused() {
    let error = PacketCodec::new().decode(&mut head(0)).unwrap_err();
    assert!(matches!(error, FrameError::Empty));
}

#[test]
fn an_end_inside_a_frame_is_told_from_an_end_between_frames() {
    let mut frame = BytesMut::new();
    let mut codec = PacketCodec::new();
    codec.encode(&renew(), &mut frame).unwrap();
    let whole = frame.len();
    for have in 1..whole {
        let error = codec
            .decode_eof(&mut BytesMut::from(&frame[..have]))
            .unwrap_err();
        let announced = if have < HEAD_BYTES { HEAD_BYTES } else { whole };
        assert_eq!(
            error.to_string(),
            format!("the connection ended inside a frame: {have} of {announced} bytes came")
        );
    }
    assert_eq!(codec.decode_eof(&mut frame).unwrap(), Some(renew()));
    assert_eq!(codec.decode_eof(&mut frame).unwrap(), None);
}

#[test]
fn before_a_session_a_packet_of_a_later_kind_is_an_error() {
    let mut buffer = BytesMut::from(&[0, 0, 0, 3, 0xc2, 0x02, 0x00][..]);
    let error = PacketCodec::new().decode(&mut buffer).unwrap_err();
    assert!(matches!(
        error,
        FrameError::Wire(WireError::UnknownBody { .. })
    ));
}

#[test]
fn a_packet_of_a_later_kind_is_skipped_and_counted() {
    // Field 40 with no bytes.
    let mut buffer = BytesMut::from(&[0, 0, 0, 3, 0xc2, 0x02, 0x00][..]);
    let mut codec = PacketCodec::new();
    codec.on_session();
    codec.encode(&renew(), &mut buffer).unwrap();
    assert_eq!(codec.decode(&mut buffer).unwrap(), Some(renew()));
    assert_eq!(codec.skipped(), 1);
}

#[test]
fn garbage_in_a_frame_is_an_error() {
    let mut buffer = BytesMut::from(&b"\0\0\0\x04junk"[..]);
    assert!(matches!(
        PacketCodec::new().decode(&mut buffer),
        Err(FrameError::Wire(_))
    ));
}

#[test]
fn items_over_the_limit_go_in_several_packets_with_their_numbers() {
    let items: Vec<_> = (0..200).map(|n| returning(n, 1)).collect();
    let packets = through(&data(10, items.clone()));
    assert_eq!(packets.len(), 200_usize.div_ceil(ITEMS_MAX));
    assert_eq!(joined(10, packets), items);
}

#[test]
fn items_too_long_for_one_frame_go_in_several() {
    let items = vec![largest_item(); 3];
    let packets = through(&data(1, items.clone()));
    assert_eq!(packets.len(), 3);
    assert_eq!(joined(1, packets), items);
}

#[test]
fn items_that_just_fit_or_just_do_not_are_sent_all_the_same() {
    let mut items = vec![largest_item(), returning(0, 14_000)];
    let mut buffer = BytesMut::new();
    PacketCodec::new()
        .encode(&data(1, items.clone()), &mut buffer)
        .unwrap();
    let left = HEAD_BYTES + FRAME_BYTES_MAX - buffer.len();
    let mut counts = Vec::new();
    for bytes in left - 90..=left {
        items.truncate(2);
        items.push(returning(0, bytes));
        let packets = through(&data(1, items.clone()));
        counts.push(packets.len());
        assert_eq!(joined(1, packets), items);
    }
    assert_eq!((counts.first(), counts.last()), (Some(&1), Some(&2)));
    assert!(counts.is_sorted());
}

#[test]
fn a_packet_that_cannot_be_sent_leaves_the_buffer_as_it_was() {
    let mut buffer = BytesMut::from(&b"before"[..]);
    let mut items: Vec<_> = (0..200).map(|n| returning(n, 1)).collect();
    items.push(returning(0, CREDIT_BYTES_MAX + 1));
    assert!(
        PacketCodec::new()
            .encode(&data(1, items), &mut buffer)
            .is_err()
    );
    let error = PacketCodec::new()
        .encode(&huge_answer(), &mut buffer)
        .unwrap_err();
    assert!(matches!(error, FrameError::TooLarge { .. }));
    assert_eq!(&buffer[..], b"before");
}

fn on_session() -> PacketCodec {
    let mut codec = PacketCodec::new();
    codec.on_session();
    codec
}

fn head(bytes: usize) -> BytesMut {
    BytesMut::from(&(bytes as u32).to_be_bytes()[..])
}

fn packet(body: Body) -> Packet {
    Packet {
        epoch: u32::MAX,
        stamp: Stamp(u64::MAX),
        body,
    }
}

fn renew() -> Packet {
    packet(Body::Renew { sent: 1, heard: 0 })
}

fn data(first: u64, items: Vec<Item>) -> Packet {
    packet(Body::Data {
        ack: u64::MAX,
        first,
        items,
    })
}

fn returning(fence: u64, bytes: usize) -> Item {
    Item {
        type_id: TypeId(1),
        let_go: None,
        key: ResourceKey::new(b"k").unwrap(),
        message: Message::Return {
            loan: LoanId::default(),
            delta: Opaque(vec![1; bytes].into()),
            fence,
            value: None,
            colour: None,
        },
    }
}

/// A grant with everything at its limit.
fn largest_item() -> Item {
    let text = "x".repeat(NOTE_BYTES_MAX);
    let order = Order {
        class: Class::Convert,
        stamp: Stamp(u64::MAX),
        party: Party {
            node: NodeId(u64::MAX),
            boot: Boot(u64::MAX),
        },
        seq: u64::MAX,
    };
    let trace = TraceContext::new(u128::MAX, u64::MAX, u8::MAX);
    let note = Note::with_trace(&text, &text, &text, trace);
    let step = Step {
        order,
        keep: Opaque(vec![1; CREDIT_BYTES_MAX].into()),
        try_only: true,
        whole: true,
        note: Some(Arc::clone(&note)),
    };
    Item {
        type_id: TypeId(u32::MAX),
        let_go: Some(note),
        key: ResourceKey::new(&[b'k'; NAME_BYTES_MAX]).unwrap(),
        message: Message::Grant(Grant {
            loan: LoanId {
                epoch: u32::MAX,
                counter: u32::MAX,
            },
            order,
            version: Version(u64::MAX),
            delta: Opaque(vec![1; CREDIT_BYTES_MAX].into()),
            steps: vec![step; STEPS_MAX].into(),
            fence: u64::MAX,
            limit: u64::MAX,
            colour: Some(Colour(u8::MAX)),
            value: Some(Arc::new(Value {
                version: u64::MAX,
                state: ValueState::Doubtful,
                bytes: vec![1; VALUE_BYTES_MAX].into(),
            })),
        }),
    }
}

fn huge_answer() -> Packet {
    let resource = Summary {
        type_id: TypeId(1),
        type_name: "x".repeat(TEXT_BYTES_MAX),
        key: ResourceKey::new(&[b'k'; NAME_BYTES_MAX]).unwrap(),
        holds: 0,
        debtors: 0,
        waiting: 0,
    };
    packet(Body::Inspected {
        id: 1,
        answer: Answer::List {
            resources: vec![resource; LIST_MAX as usize],
            more: false,
        },
    })
}

/// What comes out where `packet` goes in.
fn through(packet: &Packet) -> Vec<Packet> {
    let mut codec = on_session();
    let mut buffer = BytesMut::new();
    codec.encode(packet, &mut buffer).unwrap();
    core::iter::from_fn(|| codec.decode_eof(&mut buffer).unwrap()).collect()
}

/// The items of all packets, whose numbers must go on from `first`.
fn joined(first: u64, packets: Vec<Packet>) -> Vec<Item> {
    let mut joined = Vec::new();
    for packet in packets {
        let Body::Data {
            first: number,
            items,
            ..
        } = packet.body
        else {
            panic!("data stays data");
        };
        assert_eq!(number, first + joined.len() as u64);
        joined.extend(items);
    }
    joined
}
