//! `rmctl tree`: who has borrowed from whom.
//!
//! One branch a node, summed over all locks that were asked for; a lock by itself is for `show`. A server asks its
//! debtors, and those in the middle theirs, so the depth of the tree is that of the cluster.
//!
//! JSON shape, stable: a [`BranchLine`] a node, each after the one above it.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStringExt as _;

use rm_core::inspect::{Entry, EntryKind, ResourceView, Summary};
use schemars::JsonSchema;
use serde::Serialize;

use super::args::TreeArgs;
use super::exit::{Exit, Failure};
use super::output::{self, Output, tame};
use super::pages::Pages;
use super::servers::Servers;

/// What `tree` prints.
#[derive(JsonSchema, Serialize)]
pub(super) struct BranchLine<'a> {
    /// The node, by its name.
    node: &'a str,
    /// From the server down to the node above; empty: it is the server.
    above: &'a [String],
    #[serde(flatten)]
    sums: Sums,
}

/// What one node has, over all locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
struct Sums {
    /// Locks of which it has credit, used or cached; of a server, those that it lends.
    lent: u64,
    /// Guards.
    held: u64,
    /// Its requests that wait.
    waiting: u64,
    /// Locks for which it was asked and did not answer.
    silent: u64,
}

/// Nodes by their way from the server: each after the one above it.
type Branches = BTreeMap<Vec<String>, Sums>;

pub(crate) async fn run(
    endpoints: &[String],
    args: TreeArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let prefix = args.prefix.unwrap_or_default().into_vec();
    let mut servers = Servers::open(endpoints, output).await?;
    let (found, more) = find(&mut servers, &prefix, args.limit as usize).await?;
    let mut branches = Branches::new();
    for (server, summary) in found {
        branches.entry(vec![server.clone()]).or_default();
        if let Some(view) = servers.show(summary.type_id, &summary.key).await? {
            add(&mut branches, &server, &view);
        }
    }
    servers.warn_of_grace(output).await;
    servers.close().await;
    if more {
        let text = format!(
            "only the first {} locks were looked at: --limit takes more, PREFIX others",
            args.limit
        );
        output.notice("rmctl", &text);
    }
    print(&branches, output)?;
    Ok(Exit::OK)
}

/// The locks that are looked at, with the server that lists each; and whether there are more.
async fn find(
    servers: &mut Servers,
    prefix: &[u8],
    limit: usize,
) -> Result<(Vec<(String, Summary)>, bool), Failure> {
    let mut found = Vec::new();
    for server in servers.each() {
        let mut pages = Pages::new(prefix.to_vec());
        while let Some(page) = pages.next(&mut server.operator).await? {
            found.extend(
                page.into_iter()
                    .map(|summary| (server.name.clone(), summary)),
            );
            if found.len() > limit {
                found.truncate(limit);
                return Ok((found, true));
            }
        }
    }
    Ok((found, false))
}

fn add(branches: &mut Branches, server: &str, view: &ResourceView) {
    branches.entry(vec![server.into()]).or_default().lent += 1;
    for entry in &view.entries {
        let sums = branches.entry(way(server, entry)).or_default();
        match entry.kind {
            EntryKind::Caches => sums.lent += 1,
            EntryKind::Holds => sums.held += u64::from(entry.guards.max(1)),
            EntryKind::Silent => sums.silent += 1,
            EntryKind::Waits => sums.waiting += 1,
        }
    }
}

/// From the server to the node of an entry.
fn way(server: &str, entry: &Entry) -> Vec<String> {
    let between = entry.via.split(" > ").filter(|node| !node.is_empty());
    let mut way: Vec<String> = vec![server.into()];
    way.extend(between.map(String::from));
    if entry.node != server || way.len() > 1 {
        way.push(entry.node.clone());
    }
    way
}

fn print(branches: &Branches, output: Output) -> Result<(), Failure> {
    if output.is_json() {
        for (way, &sums) in branches {
            let (node, above) = way.split_last().expect("a way begins with the server");
            output::line(&output::json(&BranchLine { node, above, sums }))?;
        }
        return Ok(());
    }
    if branches.is_empty() {
        output.notice("rmctl", "no such lock is held, cached or waited for");
        return Ok(());
    }
    output::line(&in_words(branches))
}

fn in_words(branches: &Branches) -> String {
    let header = ["NODE", "LENT", "HELD", "WAITING", ""].map(String::from);
    let ways: Vec<&Vec<String>> = branches.keys().collect();
    let rows = branches.iter().enumerate().map(|(index, (way, sums))| {
        let silent = match sums.silent {
            0 => String::new(),
            _ => "does not answer".into(),
        };
        vec![
            branch(&ways, index) + &tame(way.last().map_or("", String::as_str)),
            sums.lent.to_string(),
            sums.held.to_string(),
            sums.waiting.to_string(),
            silent,
        ]
    });
    let table = output::table(
        &std::iter::once(header.to_vec())
            .chain(rows)
            .collect::<Vec<_>>(),
    );
    let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// The lines in front of a node that join it to those above it.
fn branch(ways: &[&Vec<String>], index: usize) -> String {
    let way = ways[index];
    let mut text = String::new();
    for depth in 2..=way.len() {
        // Whether another one with the same node above it follows.
        let follows = ways[index + 1..]
            .iter()
            .take_while(|other| other.len() >= depth && other[..depth - 1] == way[..depth - 1])
            .any(|other| other[depth - 1] != way[depth - 1]);
        text.push_str(match (depth == way.len(), follows) {
            (true, true) => "├─ ",
            (true, false) => "└─ ",
            (false, true) => "│  ",
            (false, false) => "   ",
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use rm_core::id::{NodeId, ResourceKey, TypeId};

    use super::*;

    fn entry(kind: EntryKind, node: &str, via: &str) -> Entry {
        Entry {
            via: via.into(),
            ..Entry::new(kind, node.into(), NodeId(0), "write".into())
        }
    }

    #[test]
    fn each_node_stands_below_the_one_that_it_borrowed_from() {
        let view = ResourceView {
            type_id: TypeId(1),
            type_name: "rw-lock".into(),
            key: ResourceKey::new(b"x").expect("a name"),
            entries: vec![
                entry(EntryKind::Caches, "rack", ""),
                entry(EntryKind::Caches, "app-1", "rack"),
                entry(EntryKind::Holds, "app-1", "rack"),
                entry(EntryKind::Waits, "app-2", "rack"),
                entry(EntryKind::Silent, "web", ""),
            ],
            omitted: 0,
            fence: 1,
        };
        let mut branches = Branches::new();
        add(&mut branches, "n1", &view);
        let text = in_words(&branches);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "NODE         LENT  HELD  WAITING");
        assert_eq!(lines[1], "n1           1     0     0");
        assert_eq!(lines[2], "├─ rack      1     0     0");
        assert_eq!(lines[3], "│  ├─ app-1  1     1     0");
        assert_eq!(lines[4], "│  └─ app-2  0     0     1");
        assert_eq!(
            lines[5],
            "└─ web       0     0     0        does not answer"
        );
    }
}
