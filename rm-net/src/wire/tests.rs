//! The wire: what it keeps, what it refuses, and the bytes that must not change.

use core::time::Duration;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use rm_core::credit::{Colour, Opaque};
use rm_core::id::{
    Boot, Class, LoanId, NodeId, Note, Order, Party, ResourceKey, Stamp, TypeId, Version,
};
use rm_core::inspect::{Answer, Query};
use rm_core::message::{Message, Want};
use rm_core::session::Ticket;
use rm_core::session::packet::{Body, Hello, Item, Packet, Welcome};
use rm_core::value::{Value, ValueState};

use super::limits::{
    CREDIT_BYTES_MAX, LEASE_MAX, NAME_BYTES_MAX, SPAN_MAX, TEXT_BYTES_MAX, VALUE_BYTES_MAX,
};
use super::*;

mod trace;

proptest! {
    #[test]
    fn every_packet_comes_out_as_it_went_in(packet in arbitrary::packet()) {
        prop_assert_eq!(decode(encoded(&packet)), Ok(packet));
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in vec(any::<u8>(), 0..600)) {
        answer_is_sound(bytes)?;
    }

    #[test]
    fn a_packet_cut_short_gets_an_answer(packet in arbitrary::packet(), cut in any::<prop::sample::Index>()) {
        let mut bytes = encoded(&packet).to_vec();
        bytes.truncate(cut.index(bytes.len() + 1));
        answer_is_sound(bytes)?;
    }

    #[test]
    fn a_packet_with_wrong_bits_gets_an_answer(
        packet in arbitrary::packet(),
        flips in vec((any::<prop::sample::Index>(), 0..8), 1..6),
    ) {
        let mut bytes = encoded(&packet).to_vec();
        for (at, bit) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= 1_u8 << bit;
            }
        }
        answer_is_sound(bytes)?;
    }
}

/// No panic; and what is taken for a packet is within the limits of what may be sent.
fn answer_is_sound(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    if let Ok(packet) = decode(bytes.into()) {
        prop_assert_eq!(decode(encoded(&packet)), Ok(packet));
    }
    Ok(())
}

#[test]
fn the_bytes_of_a_renewal_do_not_change() {
    let renew = packet(Body::Renew {
        sent: 300,
        heard: 0,
    });
    assert_bytes(&renew, "0801110700000000000000 22 03 08ac02");
}

#[test]
fn the_bytes_of_a_hello_do_not_change() {
    let hello = packet(Body::Hello(hello(b"ab")));
    assert_bytes(
        &hello,
        "0801110700000000000000 32 27 0801 12026162 190300000000000000 2004 2805 3006 3a1009090909090909090909090909090909",
    );
}

#[test]
fn the_bytes_of_a_welcome_do_not_change() {
    let welcome = packet(Body::Welcome(welcome(Duration::from_secs(15))));
    assert_bytes(
        &welcome,
        "0801110700000000000000 3a 18 0801 120161 190300000000000000 2004 2805 3080acc7f037",
    );
}

#[test]
fn the_bytes_of_a_want_do_not_change() {
    assert_bytes(
        &data(vec![item(b"k", want())]),
        "0801110700000000000000 1a 3e 0809 100a \
         1a 38 0801 12016b \
         1a 31 0a 1f 0801 110400000000000000 190500000000000000 210600000000000000 2807 \
         1002 1a020102 2001 28e807 3203 120172",
    );
}

#[test]
fn the_bytes_of_a_return_do_not_change() {
    let message = Message::Return {
        loan: LoanId {
            epoch: 1,
            counter: 2,
        },
        delta: credit(2),
        fence: 3,
        value: None,
        colour: None,
    };
    assert_bytes(
        &data(vec![item(b"k", message)]),
        "0801110700000000000000 1a 19 0809 100a 1a 13 0801 12016b 2a 0c 0a04 08011002 12020102 1803",
    );
}

#[test]
fn the_bytes_of_a_return_with_a_value_do_not_change() {
    assert_bytes(
        &data(vec![item(b"k", returning(b"ab"))]),
        "0801110700000000000000 1a 1a 0809 100a 1a 14 0801 12016b 2a 0d 0a00 \
         22 09 08ac02 1001 1a 02 6162",
    );
}

#[test]
fn the_bytes_of_a_return_with_a_colour_do_not_change() {
    let message = Message::Return {
        loan: LoanId::default(),
        delta: Opaque::default(),
        fence: 0,
        value: None,
        colour: Some(Colour(3)),
    };
    assert_bytes(
        &data(vec![item(b"k", message)]),
        "0801110700000000000000 1a 11 0809 100a 1a 0b 0801 12016b 2a 04 0a00 2803",
    );
}

#[test]
fn a_value_over_the_limit_is_refused() {
    let most = data(vec![item(b"k", returning(&[1; VALUE_BYTES_MAX]))]);
    assert_eq!(decode(encoded(&most)), Ok(most));
    let error = Err(WireError::Length {
        field: "Value.bytes",
        bytes: VALUE_BYTES_MAX + 1,
        min: 0,
        max: VALUE_BYTES_MAX,
    });
    let over = data(vec![item(b"k", returning(&[1; VALUE_BYTES_MAX + 1]))]);
    assert_eq!(encode(&over, &mut BytesMut::new()), error);
    let value = field(3, &[1; VALUE_BYTES_MAX + 1]);
    let over = [field(1, b""), field(4, &value)].concat();
    assert_eq!(decode(in_item(5, &over)).map(drop), error);
}

#[test]
fn what_a_later_version_adds_to_a_value_is_ignored() {
    let value = field(4, &[field(3, b"ab"), field(9, b"later")].concat());
    let packet = decode(in_item(5, &[field(1, b""), value].concat())).expect("understood");
    let Body::Data { items, .. } = packet.body else {
        panic!("data stays data");
    };
    assert!(
        matches!(&items[0].message, Message::Return { value: Some(value), .. } if *value.bytes == *b"ab")
    );
}

/// A return that carries a doubtful value of version 300.
fn returning(bytes: &[u8]) -> Message<Opaque> {
    Message::Return {
        loan: LoanId::default(),
        delta: Opaque::default(),
        fence: 0,
        colour: None,
        value: Some(Arc::new(Value {
            version: 300,
            state: ValueState::Doubtful,
            bytes: bytes.into(),
        })),
    }
}

#[test]
fn a_want_is_small() {
    let bytes = encoded(&data(vec![item(b"volume/42", want())]));
    assert!(bytes.len() < 100, "{} bytes", bytes.len());
}

#[test]
fn names_have_1_to_255_bytes() {
    for bytes in [1, NAME_BYTES_MAX] {
        let packet = packet(Body::Hello(hello(&vec![0xff; bytes])));
        assert_eq!(decode(encoded(&packet)), Ok(packet));
    }
    for bytes in [0, NAME_BYTES_MAX + 1] {
        let name = vec![0xff; bytes];
        let error = Err(WireError::Length {
            field: "Hello.name",
            bytes,
            min: 1,
            max: NAME_BYTES_MAX,
        });
        let mut out = BytesMut::new();
        assert_eq!(
            encode(&packet(Body::Hello(hello(&name))), &mut out),
            error.clone()
        );
        assert!(out.is_empty());
        let hello = field(6, &field(2, &name));
        assert_eq!(decode(hello.into()).map(drop), error);
    }
}

#[test]
fn a_resource_without_a_name_is_refused() {
    let unwant = field(9, &field(1, b""));
    let item = [field(2, b""), unwant].concat();
    let error = decode(field(3, &field(3, &item)).into()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Item.key has 0 bytes: it may have 1 to 255"
    );
}

#[test]
fn a_credit_over_the_limit_is_refused() {
    let message = |bytes| Message::Return {
        loan: LoanId::default(),
        delta: Opaque(vec![1; bytes].into()),
        fence: 0,
        value: None,
        colour: None,
    };
    let most = data(vec![item(b"k", message(CREDIT_BYTES_MAX))]);
    assert_eq!(decode(encoded(&most)), Ok(most));
    let over = data(vec![item(b"k", message(CREDIT_BYTES_MAX + 1))]);
    assert!(matches!(
        encode(&over, &mut BytesMut::new()),
        Err(WireError::Length {
            field: "Return.delta",
            ..
        })
    ));
    let over = [field(1, b""), field(2, &vec![1; CREDIT_BYTES_MAX + 1])].concat();
    assert!(matches!(
        decode(in_item(5, &over)),
        Err(WireError::Length {
            field: "Return.delta",
            ..
        })
    ));
}

#[test]
fn a_note_over_the_limit_is_refused() {
    for (bytes, fits) in [(128, true), (129, false)] {
        let note = field(6, &field(1, &vec![b'x'; bytes]));
        let want = [field(1, b""), note].concat();
        assert_eq!(decode(in_item(3, &want)).is_ok(), fits);
    }
}

#[test]
fn a_text_over_the_limit_is_cut_when_sent_and_refused_when_received() {
    let long = packet(Body::Bye {
        reason: "€".repeat(TEXT_BYTES_MAX),
    });
    let Ok(Packet {
        body: Body::Bye { reason },
        ..
    }) = decode(encoded(&long))
    else {
        panic!("a bye stays a bye");
    };
    assert_eq!(reason, "€".repeat(TEXT_BYTES_MAX / 3));
    let received = field(9, &field(1, &vec![b'x'; TEXT_BYTES_MAX + 1]));
    assert!(matches!(
        decode(received.into()),
        Err(WireError::Length {
            field: "Bye.reason",
            ..
        })
    ));
}

#[test]
fn a_deadline_too_far_to_tell_is_sent_as_the_farthest() {
    let Message::Want(mut far) = want() else {
        unreachable!("a want is a want");
    };
    far.deadline = Some(Duration::MAX);
    let bytes = encoded(&data(vec![item(b"k", Message::Want(far.clone()))]));
    far.deadline = Some(SPAN_MAX);
    assert_eq!(
        decode(bytes),
        Ok(data(vec![item(b"k", Message::Want(far))]))
    );
}

#[test]
fn a_deadline_beyond_the_farthest_is_refused() {
    let want = [field(1, b""), number(5, u64::MAX)].concat();
    assert!(matches!(
        decode(in_item(3, &want)),
        Err(WireError::Span {
            field: "Want.deadline",
            ..
        })
    ));
}

#[test]
fn a_lease_of_nothing_or_of_more_than_a_day_is_refused() {
    for lease in [Duration::ZERO, LEASE_MAX + Duration::from_nanos(1)] {
        let sent = packet(Body::Welcome(welcome(lease)));
        assert!(encode(&sent, &mut BytesMut::new()).is_err());
        let received = [field(2, b"a"), number(6, lease.as_nanos() as u64)].concat();
        assert!(matches!(
            decode(field(7, &received).into()),
            Err(WireError::Span {
                field: "Welcome.lease",
                ..
            })
        ));
    }
}

#[test]
fn items_whose_numbers_do_not_fit_are_refused() {
    let unwant = [field(2, b"k"), field(9, &field(1, b""))].concat();
    let data = [number(2, u64::MAX), field(3, &unwant)].concat();
    assert!(matches!(
        decode(field(3, &data).into()),
        Err(WireError::Sequence {
            first: u64::MAX,
            items: 1
        })
    ));
}

#[test]
fn a_list_over_its_limit_is_refused_however_small_its_elements() {
    // The way from the packet to each list: the numbers of the fields.
    let lists: [(&'static str, &[u32], usize); 8] = [
        ("Data.items", &[3, 3], 64),
        ("Grant.steps", &[3, 3, 4, 5], 64),
        ("Recall.steps", &[3, 3, 6, 2], 64),
        ("Deny.blockers", &[3, 3, 10, 4], 8),
        ("Busy.blockers", &[3, 3, 11, 2], 8),
        ("ListAnswer.resources", &[12, 2, 1], 1_000),
        ("ResourceView.entries", &[12, 3, 1, 4], 256),
        ("StatusAnswer.counters", &[12, 4, 10], 256),
    ];
    for (name, path, max) in lists {
        let (list, outer) = path.split_last().unwrap();
        let packet = |count| {
            let elements = field(*list, b"").repeat(count);
            outer
                .iter()
                .rev()
                .fold(elements, |inside, number| field(*number, &inside))
        };
        let count = Err(WireError::Count { field: name, max });
        assert_eq!(decode(packet(max + 1).into()).map(drop), count);
        assert_ne!(decode(packet(max).into()).map(drop), count);
    }
}

#[test]
fn two_parts_that_would_join_into_a_list_over_its_limit_are_refused() {
    let part = field(3, &field(3, b"").repeat(60));
    assert_eq!(
        decode(part.repeat(2).into()),
        Err(WireError::Count {
            field: "Packet.data",
            max: 1
        })
    );
}

#[test]
fn too_many_items_in_one_packet_are_not_sent() {
    let items = vec![item(b"k", want()); 65];
    assert!(matches!(
        encode(&data(items), &mut BytesMut::new()),
        Err(WireError::Count {
            field: "Data.items",
            ..
        })
    ));
}

#[test]
fn a_field_that_must_be_there_is_missed() {
    let fields: [(&'static str, u32); 13] = [
        ("Want.order", 3),
        ("Grant.loan", 4),
        ("Return.loan", 5),
        ("Recall.loan", 6),
        ("Limit.loan", 7),
        ("AskLimit.loan", 8),
        ("Unwant.order", 9),
        ("Deny.order", 10),
        ("Busy.order", 11),
        ("Claim.loan", 12),
        ("Claimed.old", 13),
        ("Unclaimed.old", 14),
        ("Revoke.loan", 15),
    ];
    for (name, number) in fields {
        let missing = Err(WireError::Missing { field: name });
        assert_eq!(decode(in_item(number, b"")), missing);
    }
}

#[test]
fn a_value_that_an_enum_does_not_have_is_refused() {
    for value in [0, 7] {
        let refuse = field(10, &number(1, value));
        let error = decode(refuse.into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("Refuse.code has no value {value}")
        );
    }
    let order = field(1, &number(1, 2));
    let error = decode(in_item(9, &order)).unwrap_err();
    assert_eq!(error.to_string(), "Order.class has no value 2");
}

#[test]
fn an_unknown_field_is_ignored_wherever_it_stands() {
    let unknown = [number(29, 5), field(30, b"later"), number(31, 0)].concat();
    let order = field(1, &[number(5, 4), unknown.clone()].concat());
    let unwant = field(9, &[order, unknown.clone()].concat());
    let item = field(3, &[field(2, b"k"), unwant, unknown.clone()].concat());
    let data = field(3, &[item, unknown.clone()].concat());
    let later_body = field(40, b"");
    let bytes = [unknown, data, later_body].concat();
    let Body::Data { items, .. } = decode(bytes.into()).unwrap().body else {
        panic!("data stays data");
    };
    assert!(matches!(&items[0].message, Message::Unwant { order } if order.seq == 4));
}

#[test]
fn a_packet_of_a_later_kind_is_told_from_an_empty_one() {
    for later in [34, 40, 63, 5_000] {
        let bytes = [number(1, 9), field(later, b"later")].concat();
        let unknown = Err(WireError::UnknownBody { field: later });
        assert_eq!(decode(bytes.into()), unknown);
    }
    for bytes in [vec![], number(1, 9), field(16, b"later")] {
        let missing = Err(WireError::Missing {
            field: "Packet.body",
        });
        assert_eq!(decode(bytes.into()), missing);
    }
}

#[test]
fn an_item_of_a_later_kind_is_an_error() {
    let missing = Err(WireError::Missing {
        field: "Item.message",
    });
    assert_eq!(decode(in_item(32, b"later")), missing);
}

#[test]
fn a_question_or_an_answer_of_a_later_kind_is_unknown() {
    let inspect = field(11, &[number(1, 3), field(9, b"later")].concat());
    let query = Query::Unknown;
    assert_eq!(
        decode(inspect.into()).unwrap().body,
        Body::Inspect { id: 3, query }
    );
    let inspected = field(12, &[number(1, 3), field(9, b"later")].concat());
    let answer = Answer::Unknown;
    assert_eq!(
        decode(inspected.into()).unwrap().body,
        Body::Inspected { id: 3, answer }
    );
}

#[test]
fn a_text_that_is_no_utf8_is_refused() {
    let bye = field(9, &field(1, &[0xff]));
    assert!(matches!(
        decode(bye.into()),
        Err(WireError::Malformed { .. })
    ));
}

fn packet(body: Body) -> Packet {
    Packet {
        epoch: 1,
        stamp: Stamp(7),
        body,
    }
}

fn data(items: Vec<Item>) -> Packet {
    packet(Body::Data {
        ack: 9,
        first: 10,
        items,
    })
}

fn item(key: &[u8], message: Message<Opaque>) -> Item {
    Item {
        type_id: TypeId(1),
        let_go: None,
        key: ResourceKey::new(key).unwrap(),
        message,
    }
}

fn want() -> Message<Opaque> {
    Message::Want(Want {
        order: Order {
            class: Class::Convert,
            stamp: Stamp(4),
            party: Party {
                node: NodeId(5),
                boot: Boot(6),
            },
            seq: 7,
        },
        version: Version(2),
        level: credit(2),
        try_only: true,
        deadline: Some(Duration::from_micros(1)),
        note: Some(Note::new("r", "", "")),
    })
}

fn credit(bytes: u8) -> Opaque {
    Opaque((1..=bytes).collect())
}

fn hello(name: &[u8]) -> Hello {
    Hello {
        version: 1,
        name: name.into(),
        boot: Boot(3),
        ticket: Ticket([9; 16]),
        session: 4,
        reg: 5,
        next_expected: 6,
    }
}

fn welcome(lease: Duration) -> Welcome {
    Welcome {
        version: 1,
        name: b"a".into(),
        boot: Boot(3),
        reg: 4,
        next_expected: 5,
        lease,
    }
}

fn encoded(packet: &Packet) -> Bytes {
    let mut bytes = BytesMut::new();
    encode(packet, &mut bytes).unwrap();
    bytes.freeze()
}

/// `hex` may have spaces for the reader.
fn assert_bytes(packet: &Packet, hex: &str) {
    use core::fmt::Write as _;
    let bytes = encoded(packet)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
    assert_eq!(bytes, hex.replace(' ', ""));
}

/// Hand-made bytes: a field with a length.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = varint(u64::from(number << 3 | 2));
    out.extend(varint(bytes.len() as u64));
    out.extend(bytes);
    out
}

/// Hand-made bytes: a field that is a number.
fn number(number: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(number << 3)), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A packet with one item with one message, of the kind `number`.
fn in_item(number: u32, message: &[u8]) -> Bytes {
    let item = [field(2, b"k"), field(number, message)].concat();
    field(3, &field(3, &item)).into()
}
