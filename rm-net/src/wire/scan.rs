//! Counts what a packet's lists hold, before they get memory.
//!
//! An element of a list can be two bytes long and take hundreds in memory, so a length limit on the frame
//! alone would let a peer make us reserve a hundred times as much. This walks over the bytes, reserves nothing,
//! and refuses lists over their limits. It goes into fields that lead to lists and over all others; what those
//! hold is checked later. A field that leads to a list may be there once, since the decoder would join two.
//!
//! The walk is as deep as the table below, never as deep as the bytes claim.

use rm_core::command::RELEASED_MAX;
use rm_core::inspect::WARNINGS_MAX;

use super::WireError;
use super::limits::{
    self, BLOCKERS_MAX, BOOK_LOANS_MAX, BOOK_WAITING_MAX, COUNTERS_MAX, EDGES_MAX, ENTRIES_MAX,
    ITEMS_MAX, LIST_MAX, MEMBERS_MAX, PART_BOOKS_MAX, PAST_MAX, STEPS_MAX, TOP_MAX,
};

/// A field that is a list, or leads to one.
struct Field {
    name: &'static str,
    number: u32,
    max: usize,
    inside: &'static [Self],
}

impl Field {
    const fn new(name: &'static str, number: u32, max: usize, inside: &'static [Self]) -> Self {
        assert!(inside.len() <= FIELDS_MAX);
        Self {
            name,
            number,
            max,
            inside,
        }
    }
}

const FIELDS_MAX: usize = 8;
const _: () = assert!(PACKET.len() <= FIELDS_MAX);

const PACKET: &[Field] = &[
    Field::new("Packet.data", 3, 1, DATA),
    Field::new("Packet.inspected", 12, 1, INSPECTED),
    Field::new("Packet.view", 13, 1, MEMBERS),
    Field::new("Packet.report", 14, 1, REPORT),
    Field::new("Packet.commanded", 33, 1, COMMANDED),
];
const MEMBERS: &[Field] = &[Field::new("View.members", 4, MEMBERS_MAX, &[])];
const REPORT: &[Field] = &[
    Field::new("Report.past", 5, PAST_MAX, PAST),
    Field::new("Report.books", 6, PART_BOOKS_MAX, BOOK),
];
const PAST: &[Field] = &[Field::new("Past.view", 1, 1, MEMBERS)];
const BOOK: &[Field] = &[
    Field::new("Book.given", 4, MEMBERS_MAX, &[]),
    Field::new("Book.loans", 5, BOOK_LOANS_MAX, &[]),
    Field::new("Book.waiting", 10, BOOK_WAITING_MAX, &[]),
];
const DATA: &[Field] = &[Field::new("Data.items", 3, ITEMS_MAX, ITEM)];
const ITEM: &[Field] = &[
    Field::new("Item.grant", 4, 1, GRANT),
    Field::new("Item.recall", 6, 1, RECALL),
    Field::new("Item.deny", 10, 1, DENY),
    Field::new("Item.busy", 11, 1, BUSY),
];
const GRANT: &[Field] = &[Field::new("Grant.steps", 5, STEPS_MAX, &[])];
const RECALL: &[Field] = &[Field::new("Recall.steps", 2, STEPS_MAX, &[])];
const DENY: &[Field] = &[Field::new("Deny.blockers", 4, BLOCKERS_MAX, &[])];
const BUSY: &[Field] = &[Field::new("Busy.blockers", 2, BLOCKERS_MAX, &[])];
const INSPECTED: &[Field] = &[
    Field::new("Inspected.list", 2, 1, LIST),
    Field::new("Inspected.show", 3, 1, SHOW),
    Field::new("Inspected.status", 4, 1, STATUS),
    Field::new("Inspected.members", 5, 1, STANDING),
    Field::new("Inspected.top", 7, 1, TOP),
];
const LIST: &[Field] = &[Field::new(
    "ListAnswer.resources",
    1,
    LIST_MAX as usize,
    &[],
)];
const SHOW: &[Field] = &[Field::new("ShowAnswer.view", 1, 1, VIEW)];
const VIEW: &[Field] = &[Field::new("ResourceView.entries", 4, ENTRIES_MAX, ENTRY)];
const ENTRY: &[Field] = &[
    Field::new("Entry.behind", 12, EDGES_MAX, &[]),
    Field::new("Entry.wanted_by", 13, EDGES_MAX, &[]),
];
const TOP: &[Field] = &[
    Field::new("TopAnswer.hot", 3, TOP_MAX as usize, &[]),
    Field::new("TopAnswer.waits", 4, TOP_MAX as usize, &[]),
];
const STATUS: &[Field] = &[Field::new("StatusAnswer.counters", 10, COUNTERS_MAX, &[])];
const STANDING: &[Field] = &[
    Field::new("MembersAnswer.view", 5, 1, MEMBERS),
    Field::new("MembersAnswer.missing", 6, MEMBERS_MAX, &[]),
    Field::new("MembersAnswer.coordinator", 8, 1, COORDINATOR),
];
const COORDINATOR: &[Field] = &[Field::new(
    "CoordinatorState.warnings",
    6,
    WARNINGS_MAX,
    &[],
)];
const COMMANDED: &[Field] = &[Field::new("Commanded.released", 5, 1, RELEASED)];
const RELEASED: &[Field] = &[Field::new("ReleasedOutcome.loans", 1, RELEASED_MAX, &[])];

/// A field as it stands in the bytes.
struct RawField<'a> {
    number: u32,
    /// Its bytes, where it has a length.
    bytes: Option<&'a [u8]>,
}

/// Refuses a packet with a list over its limit. Gives the number of a field that could be a body.
pub(super) fn check(packet: &[u8]) -> Result<Option<u32>, WireError> {
    walk(packet, PACKET)?;
    let mut rest = packet;
    while let Some(field) = next_field(&mut rest)? {
        if is_body(field.number) {
            return Ok(Some(field.number));
        }
    }
    Ok(None)
}

/// Whether a field of a `Packet` is a body, known here or not: all are but those that every packet carries.
const fn is_body(number: u32) -> bool {
    !matches!(number, 1 | 2 | 16..=31)
}

fn walk(message: &[u8], fields: &[Field]) -> Result<(), WireError> {
    let mut counts = [0; FIELDS_MAX];
    let mut rest = message;
    while let Some(raw) = next_field(&mut rest)? {
        // What has no length where it should have one is left to the decoder.
        if let Some(bytes) = raw.bytes
            && let Some(index) = fields.iter().position(|field| field.number == raw.number)
        {
            let field = &fields[index];
            counts[index] += 1;
            limits::count(field.name, counts[index], field.max)?;
            if !field.inside.is_empty() {
                walk(bytes, field.inside)?;
            }
        }
    }
    Ok(())
}

/// Takes the next field off the front of `rest`.
fn next_field<'a>(rest: &mut &'a [u8]) -> Result<Option<RawField<'a>>, WireError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let key = u32::try_from(varint(rest)?).map_err(|_| malformed("a key does not fit"))?;
    let bytes = match key & 7 {
        0 => varint(rest).map(|_| None)?,
        1 => take(rest, 8).map(|_| None)?,
        2 => {
            let length = varint(rest)?;
            Some(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| None)?,
        _ => return Err(malformed("a field is of a type that is not used here")),
    };
    let number = key >> 3;
    Ok(Some(RawField { number, bytes }))
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], WireError> {
    usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_off(..length))
        .ok_or_else(|| malformed("a field is longer than what holds it"))
}

/// Takes a number off the front of `rest`: seven bits in each byte, the lowest first.
#[inline]
fn varint(rest: &mut &[u8]) -> Result<u64, WireError> {
    // Nearly all keys and lengths.
    if let [byte @ ..0x80, after @ ..] = *rest {
        *rest = after;
        return Ok((*byte).into());
    }
    long_varint(rest)
}

fn long_varint(rest: &mut &[u8]) -> Result<u64, WireError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *rest
            .split_off_first()
            .ok_or_else(|| malformed("a number is cut off"))?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(malformed("a number has too many bytes"))
}

fn malformed(detail: &str) -> WireError {
    WireError::Malformed {
        detail: detail.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_list_of_the_schema_is_counted() {
        let mut counted = BTreeSet::new();
        let mut left = vec![PACKET];
        while let Some(fields) = left.pop() {
            for field in fields {
                left.push(field.inside);
                if field.max > 1 {
                    counted.insert((field.name.to_owned(), field.number));
                }
            }
        }
        assert_eq!(counted, lists_of_the_schema());
    }

    fn lists_of_the_schema() -> BTreeSet<(String, u32)> {
        let mut lists = BTreeSet::new();
        let mut message = "";
        for line in include_str!("../../proto/rm.proto").lines() {
            match *line.split_whitespace().collect::<Vec<_>>() {
                ["message", name, ..] => message = name,
                ["repeated", _, name, "=", number] => {
                    let number = number.trim_end_matches(';').parse().unwrap();
                    lists.insert((format!("{message}.{name}"), number));
                }
                _ => {}
            }
        }
        lists
    }

    #[test]
    fn a_number_of_eleven_bytes_is_refused() {
        assert!(varint(&mut &[0xff; 11][..]).is_err());
    }

    #[test]
    fn a_group_is_refused() {
        assert!(check(&[0x0b, 0x0c]).is_err());
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        assert!(check(&[0x1a, 0x02, 0x08]).is_err());
    }
}
