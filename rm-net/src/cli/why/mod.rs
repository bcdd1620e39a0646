//! `rmctl why`: who waits for whom, and what can be done about it.
//!
//! It asks the servers and, by them, the holders' nodes; so the answer is of a moment, put together from several. It works
//! as well where nobody waits: then it says who holds.
//!
//! JSON shape, stable: a [`WhyLine`] for each type that has the name. Times are in milliseconds.

use rm_core::id::{ResourceKey, TypeId};
use rm_core::resource::ResourceType as _;
use rm_rwlock::RwLockType;
use rm_types::{ByteRangeType, IdRangeType, SemaphoreType, SequenceType};
use schemars::JsonSchema;
use serde::Serialize;

use super::args::WhyArgs;
use super::exit::{Exit, Failure};
use super::inspect::notice_similar;
use super::output::{Output, hex, millis, readable};
use super::servers::Servers;

pub(crate) mod follow;
pub(crate) mod graph;
pub(crate) mod words;

use self::follow::{Path, follow};
use self::graph::{Graph, Has, Holder, Wait};

/// The types that every server knows: what nobody tells of may be of each.
const TYPES: [TypeId; 5] = [
    RwLockType::ID,
    SemaphoreType::ID,
    ByteRangeType::ID,
    IdRangeType::ID,
    SequenceType::ID,
];

/// What `why` prints.
#[derive(JsonSchema, Serialize)]
pub(super) struct WhyLine {
    /// The name, readable: bytes that are no text as `\xNN`.
    name: String,
    /// The name exactly: its bytes in hexadecimal.
    name_hex: String,
    /// The type, such as `rw-lock`; empty where nothing is called so.
    r#type: String,
    /// The highest fencing token the server has seen.
    fence: u64,
    /// Those that hold it, or are in the way.
    holders: Vec<HolderLine>,
    /// Oldest first.
    waits: Vec<WaitLine>,
    /// Nodes that have it cached and are in nobody's way.
    caches: usize,
    /// How many parties the server left out.
    omitted: u32,
    /// Why there may be holders of whom nobody tells; empty: all that concern it have answered.
    doubts: Vec<String>,
    /// From the request that was asked about over those that it waits behind: places in `waits`.
    chain: Vec<usize>,
    /// Holders that themselves wait for other names.
    paths: Vec<PathLine>,
    /// What people can do.
    advice: Vec<String>,
}

#[derive(JsonSchema, Serialize)]
struct HolderLine {
    /// `holds`, `caches` or `silent`.
    kind: &'static str,
    /// The node, by its name.
    node: String,
    /// The debtor through which it is known; empty: it has a session with the server itself.
    via: String,
    /// The mode, such as `read` or `write`; of cached credit, how much it is; empty where it is not known.
    mode: String,
    /// What the request called itself; empty if nothing.
    label: String,
    /// How long it has held.
    held_ms: u64,
    /// The fencing token of a holder; of a lock, the highest that the server has seen.
    fence: Option<u64>,
    /// How many guards share a holder's hold; null where that is not known.
    guards: Option<u32>,
    /// How long ago it was asked to give way; null: nobody wants it.
    asked_ms: Option<u64>,
    /// When its lease ends; null: it has a connection.
    lease_left_ms: Option<u64>,
    /// The requests that it was asked for: places in `waits`.
    wanted_by: Vec<usize>,
}

#[derive(JsonSchema, Serialize)]
struct WaitLine {
    /// The node, by its name.
    node: String,
    /// The debtor through which it is known; several are separated by ` > `; empty: it has a session with the server itself.
    via: String,
    /// The mode, such as `read` or `write`; of cached credit, how much it is; empty where it is not known.
    mode: String,
    /// What the request called itself; empty if nothing.
    label: String,
    /// How long it has waited.
    waited_ms: u64,
    /// Whether a holder asks to hold something else.
    converts: bool,
    /// The older requests that it waits behind: places in `waits`.
    behind: Vec<usize>,
    /// Those that it waits for: places in `holders`.
    holders: Vec<usize>,
}

#[derive(JsonSchema, Serialize)]
struct PathLine {
    /// The last of them waits for the first, and node and label say of each that it is one task.
    deadlock: bool,
    /// The last of them may wait for the first: not all have a label that says so.
    perhaps: bool,
    /// Each holder that itself waits, from the first to the last.
    links: Vec<LinkLine>,
}

#[derive(JsonSchema, Serialize)]
struct LinkLine {
    /// The node, by its name.
    node: String,
    /// What it holds, and the label of that hold.
    holds: String,
    /// What the request called itself; empty if nothing.
    label: String,
    /// What it waits for, with node and label of that request.
    waits_for: String,
    /// The node of that request.
    wait_node: String,
    /// The label of that request.
    wait_label: String,
    /// The mode, such as `read` or `write`; of cached credit, how much it is; empty where it is not known.
    mode: String,
    /// How long it has waited.
    waited_ms: u64,
}

pub(crate) async fn run(
    endpoints: &[String],
    args: &WhyArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let mut servers = Servers::open(endpoints, output).await?;
    let done = explain(&mut servers, args, output).await;
    servers.close().await;
    done
}

async fn explain(servers: &mut Servers, args: &WhyArgs, output: Output) -> Result<Exit, Failure> {
    let mut graphs = graphs(servers, &args.name).await?;
    if graphs.is_empty() {
        notice_similar(servers, &args.name, output).await;
        graphs.push(untold(servers, &args.name).await?);
    }
    for graph in &graphs {
        let from = whose(graph, args.r#for.as_deref())?;
        let paths = follow(servers, graph).await?;
        output.print(&WhyLine::new(graph, from, &paths), || {
            words::in_words(graph, from, &paths)
        })?;
    }
    Ok(Exit::OK)
}

/// What is called `name`, of every type, with its arrows.
pub(crate) async fn graphs(
    servers: &mut Servers,
    name: &ResourceKey,
) -> Result<Vec<Graph>, Failure> {
    let views = servers.views(name).await?;
    let mut graphs: Vec<Graph> = views.into_iter().map(Graph::new).collect();
    for graph in &mut graphs {
        graph.doubts = servers.doubts(&[graph.type_id], name).await?;
    }
    Ok(graphs)
}

/// That nothing is called `name`, as far as that is known.
pub(crate) async fn untold(servers: &mut Servers, name: &ResourceKey) -> Result<Graph, Failure> {
    let doubts = servers.doubts(&TYPES, name).await?;
    Ok(Graph::untold(name, doubts))
}

/// Of whose request the chain is told: of the one that was named, else of the youngest, which waits behind most.
fn whose(graph: &Graph, wanted: Option<&str>) -> Result<Option<usize>, Failure> {
    let Some(wanted) = wanted else {
        return Ok(graph.waits.len().checked_sub(1));
    };
    let is_it = |wait: &Wait| wait.node.contains(wanted) || wait.label.contains(wanted);
    match graph.waits.iter().rposition(is_it) {
        Some(place) => Ok(Some(place)),
        None => {
            let error = format_args!("no request waits with '{wanted}' in its node or label");
            Err(Failure::new(Exit::NOT_DONE, error).hint("leave out --for to see all that wait"))
        }
    }
}

impl WhyLine {
    fn new(graph: &Graph, from: Option<usize>, paths: &[Path]) -> Self {
        Self {
            name: readable(graph.key.as_bytes()),
            name_hex: hex(graph.key.as_bytes()),
            r#type: graph.type_name.clone(),
            fence: graph.fence,
            holders: graph.holders.iter().map(HolderLine::from).collect(),
            waits: graph.waits.iter().map(WaitLine::from).collect(),
            caches: graph.caches,
            omitted: graph.omitted,
            doubts: graph.doubts.clone(),
            chain: from.map_or_else(Vec::new, |from| graph.chain(from)),
            paths: paths.iter().map(PathLine::from).collect(),
            advice: words::advice(graph, paths),
        }
    }
}

impl From<&Holder> for HolderLine {
    fn from(holder: &Holder) -> Self {
        Self {
            kind: match holder.has {
                Has::Cached => "caches",
                Has::Held => "holds",
                Has::Unknown => "silent",
            },
            node: holder.node.clone(),
            via: holder.via.clone(),
            mode: holder.mode.clone(),
            label: holder.label.clone(),
            held_ms: millis(holder.age),
            fence: holder.fence,
            guards: (holder.guards > 0).then_some(holder.guards),
            asked_ms: holder.asked.map(millis),
            lease_left_ms: holder.lease_left.map(millis),
            wanted_by: holder.wanted_by.clone(),
        }
    }
}

impl From<&Wait> for WaitLine {
    fn from(wait: &Wait) -> Self {
        Self {
            node: wait.node.clone(),
            via: wait.via.clone(),
            mode: wait.mode.clone(),
            label: wait.label.clone(),
            waited_ms: millis(wait.age),
            converts: wait.converts(),
            behind: wait.behind.clone(),
            holders: wait.holders.clone(),
        }
    }
}

impl From<&Path> for PathLine {
    fn from(path: &Path) -> Self {
        let links = path.links.iter().map(|link| LinkLine {
            node: link.node.clone(),
            holds: readable(link.held.as_bytes()),
            label: link.label.clone(),
            waits_for: readable(link.wait.key.as_bytes()),
            wait_node: link.wait.node.clone(),
            wait_label: link.wait.label.clone(),
            mode: link.wait.mode.clone(),
            waited_ms: millis(link.wait.age),
        });
        Self {
            deadlock: path.is_deadlock(),
            perhaps: path.is_circle() && !path.is_deadlock(),
            links: links.collect(),
        }
    }
}
