//! What stands under the keys: JSON objects, for other tools to read too.
//!
//! ```text
//! .../view                        {"format":1,"epoch":3620160,"founded":3620158,"lease_ms":15000,"members":[
//!                                   {"name":"a","reg":1234,"address":"10.0.0.1:7600","state":"full","weight":1}]}
//! .../members/a/9f..3c-1          {"format":1,"address":"10.0.0.1:7600","weight":1,"lease_ms":15000,"state":"full"}
//! ```
//!
//! * `format` is 1. A reader refuses a larger one, and ignores fields that it does not know.
//! * `state` is `full`, `leaving`, or, in a record alone, `left`.
//! * `name` is text as in the key: letters, digits, `.`, `_` and `-` as they are, other bytes as `%XX`.
//! * `reg` is the creation revision of the member's record.
//! * `lease_ms` is the cluster's lease, in milliseconds of true time.

use std::time::Duration;

use rm_core::coordination::{Record, RecordState};
use rm_core::session::lease::LeaseTerms;
use rm_core::view::{Member, MemberState, View};
use serde::{Deserialize, Serialize};

use super::keys::{escape, unescape};

/// The format that is written.
pub const FORMAT: u32 = 1;
/// A longer value is taken for damaged: 64 members of the longest names and addresses have less.
pub const VALUE_BYTES_MAX: usize = 128 * 1024;

#[derive(Serialize, Deserialize)]
struct ViewValue {
    format: u32,
    epoch: u32,
    /// 0 where it is not known.
    #[serde(default)]
    founded: u32,
    lease_ms: u64,
    members: Vec<MemberValue>,
}

#[derive(Serialize, Deserialize)]
struct MemberValue {
    name: String,
    reg: u64,
    address: String,
    state: StateValue,
    weight: u32,
}

#[derive(Serialize, Deserialize)]
struct RecordValue {
    format: u32,
    address: String,
    weight: u32,
    lease_ms: u64,
    state: StateValue,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateValue {
    Full,
    Leaving,
    Left,
}

/// The format alone, read first: a later one may have other fields.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The value of a view.
#[must_use]
pub fn of_view(view: &View) -> Vec<u8> {
    let members = view.members().iter().map(|member| MemberValue {
        name: escape(&member.name),
        reg: member.reg,
        address: member.address.clone(),
        state: match member.state {
            MemberState::Full => StateValue::Full,
            MemberState::Leaving => StateValue::Leaving,
        },
        weight: member.weight,
    });
    to_json(&ViewValue {
        format: FORMAT,
        epoch: view.epoch(),
        founded: view.founded(),
        lease_ms: millis(view.lease()),
        members: members.collect(),
    })
}

/// The view of a value.
///
/// # Errors
/// What is wrong with it, in words.
pub fn to_view(value: &[u8]) -> Result<View, String> {
    let value: ViewValue = from_json(value)?;
    let member = |member: MemberValue| {
        Ok(Member {
            name: unescape(&member.name)?,
            reg: member.reg,
            address: member.address,
            state: match member.state {
                StateValue::Full => MemberState::Full,
                StateValue::Leaving => MemberState::Leaving,
                StateValue::Left => return Err("a member has the state 'left'".into()),
            },
            weight: member.weight,
        })
    };
    let members = value.members.into_iter().map(member);
    let members = members.collect::<Result<_, String>>()?;
    let lease = Duration::from_millis(value.lease_ms);
    let view = View::new(value.epoch, lease, members).map_err(|error| error.to_string())?;
    Ok(view.founded_in(value.founded))
}

/// The value of a record.
#[must_use]
pub fn of_record(record: &Record) -> Vec<u8> {
    to_json(&RecordValue {
        format: FORMAT,
        address: record.address.clone(),
        weight: record.weight,
        lease_ms: millis(record.lease),
        state: match record.state {
            RecordState::Full => StateValue::Full,
            RecordState::Leaving => StateValue::Leaving,
            RecordState::Left => StateValue::Left,
        },
    })
}

/// The record of a value.
///
/// # Errors
/// What is wrong with it, in words.
pub fn to_record(value: &[u8]) -> Result<Record, String> {
    let value: RecordValue = from_json(value)?;
    let lease = LeaseTerms::new(Duration::from_millis(value.lease_ms));
    Ok(Record {
        address: value.address,
        weight: value.weight,
        lease: lease.map_err(|error| error.to_string())?,
        state: match value.state {
            StateValue::Full => RecordState::Full,
            StateValue::Leaving => RecordState::Leaving,
            StateValue::Left => RecordState::Left,
        },
    })
}

fn millis(lease: LeaseTerms) -> u64 {
    // No lease is longer than an hour.
    u64::try_from(lease.length().as_millis()).unwrap_or(u64::MAX)
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts and numbers alone can be written")
}

fn from_json<T: for<'de> Deserialize<'de>>(value: &[u8]) -> Result<T, String> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!("it has {} bytes", value.len()));
    }
    let format: Format = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    if format.format != FORMAT {
        let format = format.format;
        return Err(format!(
            "its format is {format}, and this version knows {FORMAT} only"
        ));
    }
    serde_json::from_slice(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        let member = |name: &[u8], reg, state| Member {
            name: name.to_vec(),
            reg,
            address: "10.0.0.1:7600".into(),
            state,
            weight: 3,
        };
        let members = vec![
            member(b"a", 7, MemberState::Full),
            member(b"b/\xff", 9, MemberState::Leaving),
        ];
        let view = View::new(5, Duration::from_secs(15), members);
        view.expect("a view").founded_in(3)
    }

    #[test]
    fn a_view_is_read_as_it_was_written() {
        assert_eq!(to_view(&of_view(&view())), Ok(view()));
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for state in [RecordState::Full, RecordState::Leaving, RecordState::Left] {
            let record = Record {
                address: "10.0.0.1:7600".into(),
                weight: 2,
                lease: LeaseTerms::default(),
                state,
            };
            assert_eq!(to_record(&of_record(&record)), Ok(record));
        }
    }

    #[test]
    fn the_text_is_what_the_documentation_shows() {
        let text = String::from_utf8(of_view(&view())).expect("text");
        let expected = r#"{"format":1,"epoch":5,"founded":3,"lease_ms":15000,"members":[{"name":"a","reg":7,"address":"10.0.0.1:7600","state":"full","weight":3},{"name":"b%2F%FF","reg":9,"address":"10.0.0.1:7600","state":"leaving","weight":3}]}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let text = r#"{"format":1,"later":[1],"epoch":5,"lease_ms":15000,"members":[]}"#;
        assert_eq!(to_view(text.as_bytes()).map(|view| view.epoch()), Ok(5));
    }

    #[test]
    fn damaged_and_later_values_are_refused_in_words() {
        let bad = [
            (r#"{"format":2}"#, "its format is 2"),
            (r#"{"format":1}"#, "missing field"),
            ("", "EOF"),
            ("\u{0}\u{1}", "expected value"),
            (
                r#"{"format":1,"epoch":5,"lease_ms":1,"members":[]}"#,
                "lease",
            ),
            (
                r#"{"format":1,"epoch":5,"lease_ms":15000,"members":[{"name":"","reg":1,"address":"x","state":"full","weight":1}]}"#,
                "name",
            ),
            (
                r#"{"format":1,"epoch":5,"lease_ms":15000,"members":[{"name":"%zz","reg":1,"address":"x","state":"full","weight":1}]}"#,
                "%zz",
            ),
        ];
        for (text, expected) in bad {
            let error = to_view(text.as_bytes()).expect_err("refused");
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
