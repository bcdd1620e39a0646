//! `rmctl ls` and `show`: what servers tell of their locks.
//!
//! JSON shapes, stable: `ls` prints a [`SummaryLine`] a lock, `show` a [`ShowLine`] for each type that has the name.
//! A name is there twice: readable, and exactly, in hexadecimal. Times are in milliseconds.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStringExt as _;

use rm_core::id::{ResourceKey, TypeId};
use rm_core::inspect::{Entry, EntryKind, ResourceView, Summary};
use schemars::JsonSchema;
use serde::Serialize;

use super::args::{LsArgs, ShowArgs};
use super::exit::{Exit, Failure};
use super::output::{self, Output, hex, millis, readable, span, tame};
use super::pages::Pages;
use super::servers::Servers;

/// A line of `ls`.
#[derive(JsonSchema, Serialize)]
pub(crate) struct SummaryLine {
    /// The name, readable: bytes that are no text as `\xNN`.
    name: String,
    /// The name exactly: its bytes in hexadecimal.
    name_hex: String,
    /// The type, such as `rw-lock`; empty where nothing is called so.
    r#type: String,
    /// Holders at the server's own process.
    holds: u32,
    /// Clients with credit of it, held or cached.
    debtors: u32,
    /// Requests that wait at the server.
    waiting: u32,
}

/// What `show` prints.
#[derive(JsonSchema, Serialize)]
pub(crate) struct ShowLine {
    /// The name, readable: bytes that are no text as `\xNN`.
    name: String,
    /// The name exactly: its bytes in hexadecimal.
    name_hex: String,
    /// Empty where the server knows nothing of that name.
    r#type: String,
    /// Whether the server knows of it; if not, nobody holds it and nobody waits.
    known: bool,
    /// The highest fencing token the server has seen.
    fence: u64,
    /// Holders, caches and waiting requests.
    entries: Vec<EntryLine>,
    /// How many more entries there are.
    omitted: u32,
}

/// One party's part in a lock.
#[derive(JsonSchema, Serialize)]
pub(crate) struct EntryLine {
    /// `holds`, `caches`, `waits` or `silent`.
    kind: &'static str,
    /// The node, by its name.
    node: String,
    /// The debtor through which it is known; empty: it has a session with the server itself.
    via: String,
    /// The mode, such as `read` or `write`; of cached credit, how much it is; empty where it is not known.
    mode: String,
    /// What the request called itself; empty if nothing.
    label: String,
    /// How long it has held, or waited.
    age_ms: u64,
    /// The fencing token of a holder; of a lock, the highest that the server has seen.
    fence: Option<u64>,
    /// How many guards share a holder's hold.
    guards: Option<u32>,
    /// Of a node without a connection: when its lease ends.
    lease_left_ms: Option<u64>,
}

pub(crate) async fn ls(
    endpoints: &[String],
    args: LsArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let prefix = args.prefix.unwrap_or_default().into_vec();
    let mut servers = Servers::open(endpoints, output).await?;
    let done = list(&mut servers, &prefix, output).await;
    servers.warn_of_grace(output).await;
    servers.close().await;
    done
}

async fn list(servers: &mut Servers, prefix: &[u8], output: Output) -> Result<Exit, Failure> {
    let mut is_first = true;
    for server in servers.each() {
        let mut pages = Pages::new(prefix.to_vec());
        while let Some(page) = pages.next(&mut server.operator).await? {
            if output.is_json() {
                for summary in &page {
                    output::line(&output::json(&SummaryLine::from(summary)))?;
                }
            } else if !page.is_empty() {
                output::line(&summaries(&page, is_first))?;
            }
            is_first &= page.is_empty();
        }
    }
    if is_first && !output.is_json() {
        output.notice("rmctl", "no such lock is held, cached or waited for");
    }
    Ok(Exit::OK)
}

pub(crate) async fn show(
    endpoints: &[String],
    args: &ShowArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let mut servers = Servers::open(endpoints, output).await?;
    let views = servers.views(&args.name).await;
    if views.as_ref().is_ok_and(Vec::is_empty) {
        notice_similar(&mut servers, &args.name, output).await;
    }
    servers.warn_of_grace(output).await;
    servers.close().await;
    let mut views = views?;
    if views.is_empty() {
        views.push(unknown(&args.name));
    }
    for view in views {
        output.print(&ShowLine::from(&view), || in_words(&view))?;
    }
    Ok(Exit::OK)
}

/// Says which name may have been meant, where nothing is called `name`.
pub(crate) async fn notice_similar(servers: &mut Servers, name: &ResourceKey, output: Output) {
    // Without an answer there is no guess: what was asked for has been answered.
    if let Ok(Some(similar)) = similar(servers, name).await {
        output.notice("rmctl", &format!("did you mean {similar}?"));
    }
}

/// The name in use that is most like `name`, if one is.
async fn similar(servers: &mut Servers, name: &ResourceKey) -> Result<Option<String>, Failure> {
    let wanted = readable(name.as_bytes());
    let most = (wanted.chars().count() / 4).clamp(1, 4);
    // Who mistypes the first letter gets no guess: the server lists by what names begin with.
    let prefix = name.as_bytes()[..1].to_vec();
    let mut best: Option<(usize, String)> = None;
    for server in servers.each() {
        let page = Pages::new(prefix.clone())
            .next(&mut server.operator)
            .await?;
        for summary in page.unwrap_or_default() {
            let other = readable(summary.key.as_bytes());
            let distance = strsim::damerau_levenshtein(&wanted, &other);
            if (1..=most).contains(&distance) && best.as_ref().is_none_or(|best| distance < best.0)
            {
                best = Some((distance, other));
            }
        }
    }
    Ok(best.map(|(_, name)| name))
}

/// Nothing is called so, whatever its type.
pub(crate) fn unknown(name: &ResourceKey) -> ResourceView {
    ResourceView {
        type_id: TypeId(0),
        type_name: String::new(),
        key: name.clone(),
        entries: Vec::new(),
        omitted: 0,
        fence: 0,
    }
}

fn summaries(page: &[Summary], with_header: bool) -> String {
    let header = ["NAME", "TYPE", "CLIENTS", "WAITING", "HELD BY SERVER"]
        .map(String::from)
        .to_vec();
    let rows = page.iter().map(|summary| {
        vec![
            readable(summary.key.as_bytes()),
            tame(&summary.type_name),
            summary.debtors.to_string(),
            summary.waiting.to_string(),
            summary.holds.to_string(),
        ]
    });
    let header = with_header.then_some(header);
    output::table(&header.into_iter().chain(rows).collect::<Vec<_>>())
}

/// Who holds, who caches, who waits, in sentences.
fn in_words(view: &ResourceView) -> String {
    let name = readable(view.key.as_bytes());
    if view.entries.is_empty() {
        return format!("{name}: nobody holds it, nobody waits");
    }
    let mut text = format!("{name} ({}), fence {}", tame(&view.type_name), view.fence);
    let entries = view.entries.iter();
    for entry in entries.filter(|entry| !says_nothing_new(entry, &view.entries)) {
        write!(text, "\n  {}", entry_in_words(entry)).expect("a string takes everything");
    }
    if view.omitted > 0 {
        write!(text, "\n  and {} more", view.omitted).expect("a string takes everything");
    }
    text
}

/// Whether the server only knows that a node has credit, and the node itself tells who uses it.
fn says_nothing_new(entry: &Entry, all: &[Entry]) -> bool {
    let is_below = |other: &Entry| other.via.split(" > ").next() == Some(&*entry.node);
    let is_better = |other: &Entry| {
        let is_same = other.node == entry.node && other.kind != EntryKind::Caches;
        other.kind != EntryKind::Waits && (is_same || is_below(other))
    };
    entry.kind == EntryKind::Caches && all.iter().any(is_better)
}

fn entry_in_words(entry: &Entry) -> String {
    let node = match tame(&entry.node) {
        empty if empty.is_empty() => "a node without a name".into(),
        node => node,
    };
    let node = match tame(&entry.via) {
        via if via.is_empty() => node,
        via => format!("{node} (by way of {via})"),
    };
    let mode = tame(&entry.mode);
    let age = span(entry.age);
    let mut text = match entry.kind {
        EntryKind::Holds => format!("{node} holds it to {mode}, for {age}"),
        // Since when, and how much of it is in use, the server does not know.
        EntryKind::Caches => format!("{node} has it cached, and may use it"),
        EntryKind::Silent => format!("{node} may hold it, and does not answer"),
        EntryKind::Waits if mode.is_empty() => format!("{node} waits for it, for {age}"),
        EntryKind::Waits => format!("{node} waits to {mode}, for {age}"),
    };
    if entry.guards > 1 {
        write!(text, ", {} times", entry.guards).expect("a string takes everything");
    }
    if let Some(left) = entry.lease_left {
        let left = span(left);
        write!(text, "; its lease ends in {left} at most").expect("a string takes everything");
    }
    if let Some(fence) = entry.fence {
        write!(text, ", fence {fence}").expect("a string takes everything");
    }
    if !entry.label.is_empty() {
        write!(text, ": {}", tame(&entry.label)).expect("a string takes everything");
    }
    text
}

impl From<&Summary> for SummaryLine {
    fn from(summary: &Summary) -> Self {
        Self {
            name: readable(summary.key.as_bytes()),
            name_hex: hex(summary.key.as_bytes()),
            r#type: summary.type_name.clone(),
            holds: summary.holds,
            debtors: summary.debtors,
            waiting: summary.waiting,
        }
    }
}

impl From<&ResourceView> for ShowLine {
    fn from(view: &ResourceView) -> Self {
        Self {
            name: readable(view.key.as_bytes()),
            name_hex: hex(view.key.as_bytes()),
            r#type: view.type_name.clone(),
            known: !view.entries.is_empty() || view.fence > 0,
            fence: view.fence,
            entries: view.entries.iter().map(EntryLine::from).collect(),
            omitted: view.omitted,
        }
    }
}

impl From<&Entry> for EntryLine {
    fn from(entry: &Entry) -> Self {
        Self {
            kind: match entry.kind {
                EntryKind::Caches => "caches",
                EntryKind::Holds => "holds",
                EntryKind::Silent => "silent",
                EntryKind::Waits => "waits",
            },
            node: entry.node.clone(),
            via: entry.via.clone(),
            mode: entry.mode.clone(),
            label: entry.label.clone(),
            age_ms: millis(entry.age),
            fence: entry.fence,
            guards: (entry.guards > 0).then_some(entry.guards),
            lease_left_ms: entry.lease_left.map(millis),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rm_core::id::NodeId;

    use super::*;

    fn view(entries: Vec<Entry>) -> ResourceView {
        ResourceView {
            type_name: "rw-lock".into(),
            entries,
            fence: 7,
            ..unknown(&ResourceKey::new(b"volumes/42").unwrap())
        }
    }

    fn entry(kind: EntryKind, mode: &str, label: &str) -> Entry {
        Entry {
            label: label.into(),
            age: Duration::from_millis(1_500),
            fence: (kind == EntryKind::Holds).then_some(7),
            ..Entry::new(kind, "web-1".into(), NodeId(1), mode.into())
        }
    }

    #[test]
    fn show_says_who_holds_and_who_waits() {
        let text = in_words(&view(vec![
            entry(EntryKind::Holds, "write", "resize"),
            entry(EntryKind::Waits, "read", ""),
        ]));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "volumes/42 (rw-lock), fence 7");
        assert_eq!(
            lines[1],
            "  web-1 holds it to write, for 1.5 s, fence 7: resize"
        );
        assert_eq!(lines[2], "  web-1 waits to read, for 1.5 s");
    }

    #[test]
    fn show_says_of_a_holder_once_that_it_holds_and_of_a_cache_that_it_may() {
        let other = Entry {
            node: "web-2".into(),
            ..entry(EntryKind::Caches, "read", "")
        };
        let text = in_words(&view(vec![
            entry(EntryKind::Caches, "write", ""),
            other,
            entry(EntryKind::Holds, "write", ""),
        ]));
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(lines[0], "  web-2 has it cached, and may use it");
        assert_eq!(lines[1], "  web-1 holds it to write, for 1.5 s, fence 7");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn show_says_how_often_a_node_holds_what_its_guards_share() {
        let mut readers = entry(EntryKind::Holds, "read", "");
        readers.guards = 3;
        let text = in_words(&view(vec![readers]));
        let line = "  web-1 holds it to read, for 1.5 s, 3 times, fence 7";
        assert_eq!(text.lines().nth(1), Some(line));
    }

    #[test]
    fn a_lock_nobody_knows_is_free() {
        let text = in_words(&unknown(&ResourceKey::new(b"x").unwrap()));
        assert_eq!(text, "x: nobody holds it, nobody waits");
    }

    #[test]
    fn a_stranger_cannot_drive_the_terminal_through_a_label() {
        let text = in_words(&view(vec![entry(
            EntryKind::Holds,
            "write",
            "a\u{1b}[2Jb\nc",
        )]));
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn names_are_in_json_readable_and_exact() {
        let summary = Summary {
            type_id: TypeId(1),
            type_name: "rw-lock".into(),
            key: ResourceKey::new(b"a\xff").unwrap(),
            holds: 0,
            debtors: 1,
            waiting: 2,
        };
        let expected = "{\"name\":\"a\\\\xff\",\"name_hex\":\"61ff\",\"type\":\"rw-lock\",\
                        \"holds\":0,\"debtors\":1,\"waiting\":2}";
        assert_eq!(output::json(&SummaryLine::from(&summary)), expected);
    }
}
