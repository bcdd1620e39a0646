//! On from a holder that itself waits, over names: to whom it waits for in the end, or in a circle.
//!
//! Somebody who holds one name and waits for another is known by the node, or by the label: one task may have two nodes, as
//! with a `rmctl lock` within another. A node may also be two tasks that have nothing to do with each other: a server
//! cannot know, so where anything says so that is told.
//!
//! **Bound.** No more than [`NAMES_MAX`] names are asked about, [`DEPTH_MAX`] deep, and [`PATHS_MAX`] ways are told.

use std::collections::HashMap;

use rm_core::id::{ResourceKey, TypeId};
use rm_core::inspect::{LongWait, TOP_MAX};

use super::graph::{Graph, Holder};
use crate::cli::exit::{Exit, Failure};
use crate::cli::servers::Servers;

/// The most names that are asked about.
const NAMES_MAX: usize = 16;
/// The most holders that one way goes over.
const DEPTH_MAX: usize = 8;
/// The most ways that are told.
const PATHS_MAX: usize = 8;

/// A holder that itself waits.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// What it holds.
    pub(crate) held: ResourceKey,
    /// The node and the label of that hold.
    pub(crate) node: String,
    pub(crate) label: String,
    /// What it waits for.
    pub(crate) wait: LongWait,
}

impl Link {
    /// Whether nothing says that hold and wait belong to different tasks.
    pub(crate) fn is_one_task(&self) -> bool {
        self.node == self.wait.node && self.label == self.wait.label
    }
}

/// Whether a holder and a request may be the same party.
fn is_same(holder: &Holder, wait: &LongWait) -> bool {
    let by_label = !holder.label.is_empty() && holder.label == wait.label;
    holder.node == wait.node || by_label
}

/// A way on from the holders of the name that was asked about.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) links: Vec<Link>,
    /// The last of them waits for the first: nobody goes on.
    pub(crate) is_circle: bool,
}

type Name = (TypeId, ResourceKey);

/// What is known of the other names so far.
struct Search<'a> {
    servers: &'a mut Servers,
    waits: Vec<LongWait>,
    graphs: HashMap<Name, Option<Graph>>,
    paths: Vec<Path>,
}

/// All ways on from the holders that are in somebody's way.
pub(crate) async fn follow(servers: &mut Servers, start: &Graph) -> Result<Vec<Path>, Failure> {
    let in_the_way = start
        .holders
        .iter()
        .filter(|holder| !holder.wanted_by.is_empty());
    let in_the_way: Vec<Holder> = in_the_way.cloned().collect();
    if in_the_way.is_empty() {
        return Ok(Vec::new());
    }
    let views = match servers.top(b"", TOP_MAX).await {
        // Who may not see other names is not told of them.
        Err(failure) if failure.exit == Exit::DENIED => return Ok(Vec::new()),
        views => views?,
    };
    let waits = views.into_iter().flat_map(|view| view.waits).collect();
    let name = (start.type_id, start.key.clone());
    let graphs = HashMap::from([(name.clone(), Some(start.clone()))]);
    let mut search = Search {
        servers,
        waits,
        graphs,
        paths: Vec::new(),
    };
    let mut way = Vec::new();
    for holder in in_the_way {
        search.go_on(&name, &holder, &mut way).await?;
    }
    let mut paths = search.paths;
    // A circle says more than a way into it.
    paths.sort_by_key(|path| !path.is_circle);
    paths.truncate(PATHS_MAX);
    Ok(paths)
}

impl Search<'_> {
    /// From a holder of `name` to what its node waits for.
    async fn go_on(
        &mut self,
        name: &Name,
        holder: &Holder,
        way: &mut Vec<Link>,
    ) -> Result<(), Failure> {
        if let Some(first) = way.iter().position(|link| is_same(holder, &link.wait)) {
            self.paths.push(Path {
                links: way[first..].to_vec(),
                is_circle: true,
            });
            return Ok(());
        }
        let is_elsewhere = |wait: &&LongWait| {
            is_same(holder, wait) && (wait.type_id, &wait.key) != (name.0, &name.1)
        };
        let mut waits: Vec<_> = self.waits.iter().filter(is_elsewhere).cloned().collect();
        // Those of the same task first.
        waits.sort_by_key(|wait| wait.label != holder.label);
        if waits.is_empty() && !way.is_empty() {
            self.paths.push(Path {
                links: way.clone(),
                is_circle: false,
            });
        }
        for wait in waits {
            if self.paths.len() >= PATHS_MAX || way.len() >= DEPTH_MAX {
                break;
            }
            let next = (wait.type_id, wait.key.clone());
            let order = wait.order;
            way.push(Link {
                held: name.1.clone(),
                node: holder.node.clone(),
                label: holder.label.clone(),
                wait,
            });
            let graph = self.graph(&next).await?;
            let before = graph.map_or_else(Vec::new, |graph| {
                let place = graph.waits.iter().position(|wait| wait.order == order);
                let holders = place.map_or_else(Vec::new, |place| graph.holders_before(place));
                holders
                    .into_iter()
                    .map(|index| graph.holders[index].clone())
                    .collect()
            });
            if before.is_empty() {
                self.paths.push(Path {
                    links: way.clone(),
                    is_circle: false,
                });
            }
            for holder in before {
                Box::pin(self.go_on(&next, &holder, way)).await?;
            }
            way.pop();
        }
        Ok(())
    }

    async fn graph(&mut self, name: &Name) -> Result<Option<&Graph>, Failure> {
        if !self.graphs.contains_key(name) {
            if self.graphs.len() >= NAMES_MAX {
                return Ok(None);
            }
            let view = self.servers.show(name.0, &name.1).await?;
            self.graphs.insert(name.clone(), view.map(Graph::new));
        }
        Ok(self.graphs.get(name).and_then(Option::as_ref))
    }
}
