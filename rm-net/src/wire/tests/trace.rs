//! Trace contexts on the wire: they go with the notes, and one that is none disturbs nobody.

use rm_core::id::NOTE_BYTES_MAX;
use rm_core::trace::TraceContext;

use super::*;

fn trace() -> TraceContext {
    TraceContext::new(0xab, 0xcd, 1).expect("not zero")
}

/// A want with a trace, and who let go.
fn traced() -> Item {
    let note = Note::with_trace("w", "", "n", Some(trace()));
    let Message::Want(want) = want() else {
        unreachable!("it is one");
    };
    let want = Want {
        note: Some(Arc::clone(&note)),
        ..want
    };
    Item {
        let_go: Some(note),
        ..item(b"k", Message::Want(want))
    }
}

/// What is read where a peer changes what is written.
fn read_after(change: impl FnOnce(&mut pb::Item)) -> Item {
    let mut bytes = BytesMut::new();
    encode(&data(vec![traced()]), &mut bytes).expect("within limits");
    let mut packet = pb::Packet::decode(bytes.freeze()).expect("just written");
    let Some(pb::packet::Body::Data(data)) = &mut packet.body else {
        panic!("it is data");
    };
    change(&mut data.items[0]);
    let read = decode(packet.encode_to_vec().into()).expect("a good packet");
    let Body::Data { mut items, .. } = read.body else {
        panic!("it is data");
    };
    items.remove(0)
}

fn trace_of(item: &Item) -> Option<TraceContext> {
    let Message::Want(want) = &item.message else {
        panic!("it is a want");
    };
    want.note.as_ref().expect("it has one").trace()
}

#[test]
fn a_trace_goes_with_the_request_and_with_who_let_go() {
    let read = read_after(|_| {});
    assert_eq!(read, traced());
    assert_eq!(trace_of(&read), Some(trace()));
}

#[test]
fn a_trace_that_is_none_is_left_out_and_the_request_stays() {
    for bytes in [&[1; 24][..], &[1; 26], &[0; 25]] {
        let read = read_after(|item| {
            let Some(pb::item::Message::Want(want)) = &mut item.message else {
                panic!("it is a want");
            };
            want.note.as_mut().expect("it has one").trace = Bytes::copy_from_slice(bytes);
        });
        assert_eq!(trace_of(&read), None);
    }
}

#[test]
fn who_let_go_is_left_out_where_that_breaks_the_rules() {
    let read = read_after(|item| {
        item.let_go.as_mut().expect("it has one").label = "x".repeat(NOTE_BYTES_MAX + 1);
    });
    assert_eq!(read.let_go, None);
    assert_eq!(trace_of(&read), Some(trace()));
}
