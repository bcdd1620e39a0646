//! What is answered at each path, as JSON where programs read it.
//!
//! Shapes, stable: `/status` is what `rmctl status --json` prints, with what `rmctl members --json` prints as `cluster`;
//! `/resources` is a [`List`] and `/resource` a [`Shown`]. Names are there twice: readable, and exactly, in hexadecimal.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::StatusCode;
use rm_core::id::{ResourceKey, TypeId};
use rm_core::inspect::{Answer, MembersView, Query, StatusView};
use serde::Serialize;

use super::House;
use super::front::{self, Front};
use super::metrics::Look;
use super::process::Usage;
use super::query::{BadField, Fields};
use super::ready;
use super::routes::Reply;
use crate::cli::inspect::{ShowLine, SummaryLine};
use crate::cli::members::MembersLine;
use crate::cli::output::hex;
use crate::cli::status::StatusLine;

/// The most resources on one page, and how many there are if nobody says.
const PAGE_MAX: u32 = 500;
const PAGE: u32 = 100;

/// What `/status` says.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    status: StatusLine,
    cluster: MembersLine,
    ready: bool,
    /// Why it does not lend now.
    reasons: Vec<String>,
}

/// What `/resources` says: those with any state, by type and name.
#[derive(Serialize)]
struct List {
    resources: Vec<Row>,
    /// What to give as `after` for those behind; null: these were the last.
    next: Option<String>,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    summary: SummaryLine,
    type_id: u32,
}

/// What `/resource` says.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    resource: ShowLine,
    type_id: u32,
    /// For each entry that waits, who is in front of it, in the order in which they are served.
    fronts: Vec<Front>,
}

/// Works on a thread that may be kept busy: sums and lists go over all resources. Where too much is asked at once, it
/// waits for its turn; a question that nobody waits for any more keeps its turn until it is answered.
async fn on_a_thread<T: Send + 'static>(
    house: &Arc<House>,
    work: impl FnOnce(&House) -> T + Send + 'static,
) -> Option<T> {
    let turn = Arc::clone(&house.questions).acquire_owned().await.ok()?;
    let house = Arc::clone(house);
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work(&house)
    });
    done.await.ok()
}

/// Asks the node.
async fn ask(house: &Arc<House>, query: Query) -> Option<Answer> {
    let runtime = tokio::runtime::Handle::current();
    on_a_thread(house, move |house| {
        runtime.block_on(house.node.inspect(query))
    })
    .await
}

async fn ask_status(house: &Arc<House>) -> Option<StatusView> {
    match ask(house, Query::Status).await? {
        Answer::Status(status) => Some(status),
        _ => None,
    }
}

async fn ask_members(house: &Arc<House>) -> Option<MembersView> {
    match ask(house, Query::Members).await? {
        Answer::Members(members) => Some(*members),
        _ => None,
    }
}

fn silent() -> Reply {
    let error = "the server does not answer now";
    Reply::refuse(
        StatusCode::SERVICE_UNAVAILABLE,
        error,
        "try again in a second",
    )
}

fn readiness_of(house: &House, members: &MembersView) -> ready::Readiness {
    // Relaxed: it stands for itself.
    ready::of(members, house.is_stopping.load(Ordering::Relaxed))
}

/// Alive: the runtime turns, and the locks inside can be taken.
pub(super) async fn health(house: &Arc<House>) -> Reply {
    if house.pulse.beats().await {
        return Reply::text(StatusCode::OK, "alive\n");
    }
    let error = "the books cannot be read: a lock inside is stuck";
    Reply::refuse(
        StatusCode::SERVICE_UNAVAILABLE,
        error,
        "restart the server, and report this",
    )
}

/// Ready: it lends now.
pub(super) async fn readiness(house: &Arc<House>) -> Reply {
    let Some(members) = ask_members(house).await else {
        return silent();
    };
    let readiness = readiness_of(house, &members);
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    Reply::json(status, &readiness)
}

pub(super) async fn metrics(house: &Arc<House>) -> Reply {
    let (Some(status), Some(members)) = (ask_status(house).await, ask_members(house).await) else {
        return silent();
    };
    // A node that is no member at the moment says nothing of its machine.
    let health = match ask(house, Query::Health).await {
        Some(Answer::Health(health)) => Some(*health),
        _ => None,
    };
    let is_ready = readiness_of(house, &members).ready;
    let look = Look {
        status,
        members,
        health,
        usage: Usage::now(),
        is_ready,
    };
    let asked = on_a_thread(house, move |house| {
        house.node.publish_metrics();
        house.metrics.render(&look)
    });
    asked.await.map_or_else(silent, Reply::metrics)
}

pub(super) async fn status(house: &Arc<House>) -> Reply {
    let (Some(status), Some(members)) = (ask_status(house).await, ask_members(house).await) else {
        return silent();
    };
    let address = house.node.local_addr();
    let address = address.map_or_else(String::new, |address| address.to_string());
    let readiness = readiness_of(house, &members);
    let whole = Whole {
        status: StatusLine::new(&address, &status),
        cluster: MembersLine::new(&address, &members),
        ready: readiness.ready,
        reasons: readiness.reasons,
    };
    Reply::json(StatusCode::OK, &whole)
}

pub(super) async fn resources(house: &Arc<House>, query: Option<&str>) -> Reply {
    let query = match list_query(query) {
        Ok(query) => query,
        Err(error) => return misunderstood(&error),
    };
    let Some(Answer::List { resources, more }) = ask(house, query).await else {
        return silent();
    };
    let last = resources.last().filter(|_| more);
    let next = last.map(|last| format!("{}:{}", last.type_id.0, hex(last.key.as_bytes())));
    let resources = resources.iter().map(|summary| Row {
        summary: SummaryLine::from(summary),
        type_id: summary.type_id.0,
    });
    let list = List {
        resources: resources.collect(),
        next,
    };
    Reply::json(StatusCode::OK, &list)
}

fn list_query(query: Option<&str>) -> Result<Query, BadField> {
    let fields = Fields::parse(query, &["prefix", "after", "limit"])?;
    let prefix = fields.bytes("prefix");
    // No name is longer.
    if prefix.len() > rm_core::id::NAME_BYTES_MAX {
        return Err(BadField::Value {
            name: "prefix",
            what: "is longer than a name",
        });
    }
    let after = match fields.bytes("after") {
        [] => None,
        after => Some(cursor(after).ok_or(BadField::Value {
            name: "after",
            what: "is not the 'next' of an earlier answer",
        })?),
    };
    let limit = fields.number("limit")?.unwrap_or(PAGE);
    Ok(Query::List {
        prefix: prefix.to_vec(),
        after,
        limit: limit.clamp(1, PAGE_MAX),
    })
}

/// A type and a name, as an earlier answer said them.
fn cursor(text: &[u8]) -> Option<(TypeId, ResourceKey)> {
    let text = std::str::from_utf8(text).ok()?;
    let (type_id, digits) = text.split_once(':')?;
    if digits.len() % 2 != 0 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2);
    let bytes = pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok());
    let bytes: Option<Vec<_>> = bytes.collect();
    let key = ResourceKey::new(&bytes?).ok()?;
    Some((TypeId(type_id.parse().ok()?), key))
}

pub(super) async fn resource(house: &Arc<House>, query: Option<&str>) -> Reply {
    let (type_id, key) = match show_query(query) {
        Ok(asked) => asked,
        Err(error) => return misunderstood(&error),
    };
    let query = Query::Show { type_id, key };
    let Some(Answer::Show(view)) = ask(house, query).await else {
        return silent();
    };
    let Some(view) = view else {
        let error = "nobody holds this, has it cached or waits for it";
        let hint = "/resources lists what there is; a name is percent-encoded, byte by byte";
        return Reply::refuse(StatusCode::NOT_FOUND, error, hint);
    };
    let shown = Shown {
        resource: ShowLine::from(&view),
        type_id: view.type_id.0,
        fronts: front::of(&view.entries),
    };
    Reply::json(StatusCode::OK, &shown)
}

fn show_query(query: Option<&str>) -> Result<(TypeId, ResourceKey), BadField> {
    let fields = Fields::parse(query, &["type", "name"])?;
    let type_id = fields.number("type")?.ok_or(BadField::Value {
        name: "type",
        what: "is missing: give the number of a type, as 'type_id' in /resources",
    })?;
    let key = ResourceKey::new(fields.bytes("name")).map_err(|_| BadField::Value {
        name: "name",
        what: "is no name: a name has 1 to 255 bytes",
    })?;
    Ok((TypeId(type_id), key))
}

fn misunderstood(error: &BadField) -> Reply {
    let hint = "see 'HTTP' in docs/OPERATIONS.md";
    Reply::refuse(StatusCode::BAD_REQUEST, &error.to_string(), hint)
}

/// Changes what is logged, from now on until it is changed again or the server starts anew.
pub(super) fn change_log(house: &House, body: &[u8]) -> Reply {
    let Ok(filter) = std::str::from_utf8(body) else {
        let error = "the body is no text";
        return Reply::refuse(
            StatusCode::BAD_REQUEST,
            error,
            "send a log filter such as info",
        );
    };
    let filter = filter.trim();
    let before = house.logs.filter();
    match house.logs.change(filter) {
        Ok(()) => {
            // It is an order, and as such in the log whatever the filter says.
            tracing::warn!(target: "rm::audit", before, filter, "log filter changed over HTTP");
            Reply::text(StatusCode::OK, house.logs.filter() + "\n")
        }
        Err(failure) => {
            let hint = failure.hint.as_deref().unwrap_or_default();
            Reply::refuse(StatusCode::BAD_REQUEST, &failure.error, hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_any_bytes_and_nonsense_none() {
        let found = cursor(b"7:61ff");
        assert_eq!(
            found,
            Some((TypeId(7), ResourceKey::new(b"a\xff").unwrap()))
        );
        for bad in [
            "",
            "7",
            "7:",
            "7:6",
            "7:6g",
            "x:61",
            "-1:61",
            "7:+1",
            "4294967296:61",
        ] {
            assert_eq!(cursor(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(cursor(&[0xff, b':', b'6', b'1']), None);
        assert_eq!(cursor(format!("1:{}", "61".repeat(256)).as_bytes()), None);
    }

    #[test]
    fn a_list_is_bounded_whatever_is_asked() {
        let limit = |query| match list_query(query) {
            Ok(Query::List { limit, .. }) => limit,
            other => panic!("{other:?}"),
        };
        assert_eq!(limit(None), PAGE);
        assert_eq!(limit(Some("limit=4000000000")), PAGE_MAX);
        assert_eq!(limit(Some("limit=0")), 1);
        let long = format!("prefix={}", "x".repeat(256));
        assert!(list_query(Some(&long)).is_err());
        assert!(show_query(Some("name=x")).is_err());
        assert!(show_query(Some("type=1&name=")).is_err());
    }
}
