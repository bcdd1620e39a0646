//! On from a holder that itself waits, over names: to whom it waits for in the end, or in a circle.
//!
//! Somebody who holds one name and waits for another is known by the node, or by the label: one task may have two nodes, as
//! with a `rmctl lock` within another. A node may also be two tasks that have nothing to do with each other: a server
//! cannot know, so a circle is sure only where node and label are the same at each step, and the label says something.
//!
//! **Bound.** No more than [`NAMES_MAX`] names are asked about, [`DEPTH_MAX`] deep, in [`STEPS_MAX`] steps, and [`PATHS_MAX`]
//! ways are told.

use std::collections::HashMap;

use rm_core::id::{ResourceKey, TypeId};
use rm_core::inspect::{LongWait, TOP_MAX};

use super::graph::{Graph, Has, Holder};
use crate::cli::exit::{Exit, Failure};
use crate::cli::servers::Servers;

/// The most names that are asked about.
const NAMES_MAX: usize = 16;
/// The most holders that one way goes over.
const DEPTH_MAX: usize = 8;
/// The most holders that are looked at, each as often as a way leads to it.
const STEPS_MAX: usize = 4_096;
/// The most ways that are told.
const PATHS_MAX: usize = 8;
/// The most ways that are looked for: those that are no circles are told of only where there is room.
const FOUND_MAX: usize = 2 * PATHS_MAX;

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

    /// Whether hold and wait belong to the same task, as far as a label can say so.
    fn is_surely_one_task(&self) -> bool {
        is_surely_same(&self.node, &self.label, &self.wait)
    }
}

fn is_surely_same(node: &str, label: &str, wait: &LongWait) -> bool {
    node == wait.node && !label.is_empty() && label == wait.label
}

/// Whether a holder and a request may be the same party.
fn is_same(holder: &Holder, wait: &LongWait) -> bool {
    let by_label = !holder.label.is_empty() && holder.label == wait.label;
    holder.node == wait.node || by_label
}

/// Whether a holder may be the party that made a request, so that a circle closes: two labels are two tasks.
fn is_closing(holder: &Holder, wait: &LongWait) -> bool {
    let differs = !holder.label.is_empty() && !wait.label.is_empty() && holder.label != wait.label;
    is_same(holder, wait) && !differs
}

/// Whether somebody uses it, or may. Cached credit is given back, whatever its node waits for.
const fn may_wait(holder: &Holder) -> bool {
    matches!(holder.has, Has::Held | Has::Unknown)
}

/// A way on from the holders of the name that was asked about.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) links: Vec<Link>,
    /// Node and label of the last holder, where that is the one that waits first: nobody goes on.
    pub(crate) closing: Option<(String, String)>,
}

impl Path {
    /// Whether the last waits for the first, or for somebody who may be that one.
    pub(crate) const fn is_circle(&self) -> bool {
        self.closing.is_some()
    }

    /// Whether it is a circle, and each step is one task by node and label.
    pub(crate) fn is_deadlock(&self) -> bool {
        let Some(((node, label), first)) = self.closing.as_ref().zip(self.links.first()) else {
            return false;
        };
        is_surely_same(node, label, &first.wait) && self.links.iter().all(Link::is_surely_one_task)
    }
}

type Name = (TypeId, ResourceKey);

/// What is known of the other names so far.
struct Search<'a> {
    servers: &'a mut Servers,
    waits: Vec<LongWait>,
    graphs: HashMap<Name, Option<Graph>>,
    paths: Vec<Path>,
    steps: usize,
}

/// All ways on from the holders that are in somebody's way.
pub(crate) async fn follow(servers: &mut Servers, start: &Graph) -> Result<Vec<Path>, Failure> {
    let in_the_way = start
        .holders
        .iter()
        .filter(|holder| !holder.wanted_by.is_empty() && may_wait(holder));
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
        steps: 0,
    };
    let mut way = Vec::new();
    for holder in in_the_way {
        search.go_on(&name, &holder, &mut way).await?;
    }
    let mut paths = search.paths;
    // A circle says more than a way into it.
    paths.sort_by_key(|path| !path.is_circle());
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
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Ok(());
        }
        if let Some(first) = way.iter().position(|link| is_closing(holder, &link.wait)) {
            if self.paths.len() < FOUND_MAX {
                self.paths.push(Path {
                    links: way[first..].to_vec(),
                    closing: Some((holder.node.clone(), holder.label.clone())),
                });
            }
            return Ok(());
        }
        let is_elsewhere = |wait: &&LongWait| {
            is_same(holder, wait) && (wait.type_id, &wait.key) != (name.0, &name.1)
        };
        let mut waits: Vec<_> = self.waits.iter().filter(is_elsewhere).cloned().collect();
        // Those of the same task first.
        waits.sort_by_key(|wait| wait.label != holder.label);
        let is_deep = way.len() >= DEPTH_MAX;
        if (waits.is_empty() || is_deep) && !way.is_empty() {
            self.end(way);
        }
        for wait in waits {
            if self.paths.len() >= FOUND_MAX || self.steps >= STEPS_MAX || is_deep {
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
                    .filter(may_wait)
                    .collect()
            });
            if before.is_empty() {
                self.end(way);
            }
            for holder in before {
                Box::pin(self.go_on(&next, &holder, way)).await?;
            }
            way.pop();
        }
        Ok(())
    }

    /// Nobody knows how that way goes on. Such ways leave room for circles.
    fn end(&mut self, way: &[Link]) {
        if self.paths.len() >= PATHS_MAX {
            return;
        }
        self.paths.push(Path {
            links: way.to_vec(),
            closing: None,
        });
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

#[cfg(test)]
mod tests {
    use rm_core::inspect::EntryKind;

    use super::super::graph::tests::{entry, order, view};
    use super::*;

    fn holder(node: &str, label: &str) -> Holder {
        let mut holds = entry(EntryKind::Holds, node, "write", 1);
        holds.label = label.into();
        let graph = Graph::new(view("x", vec![holds]));
        graph.holders[0].clone()
    }

    fn wait(node: &str, label: &str) -> LongWait {
        LongWait {
            type_id: TypeId(1),
            type_name: "rw-lock".into(),
            key: ResourceKey::new(b"x").expect("a name"),
            node: node.into(),
            via: String::new(),
            mode: "write".into(),
            label: label.into(),
            age: std::time::Duration::ZERO,
            order: order(1),
        }
    }

    fn circle(link: [(&str, &str); 2], closing: (&str, &str)) -> Path {
        let [(node, label), (wait_node, wait_label)] = link;
        Path {
            links: vec![Link {
                held: ResourceKey::new(b"y").expect("a name"),
                node: node.into(),
                label: label.into(),
                wait: wait(wait_node, wait_label),
            }],
            closing: Some((closing.0.into(), closing.1.into())),
        }
    }

    #[tokio::test]
    async fn names_that_all_wait_for_each_other_are_followed_to_an_end_and_told() {
        // Each label is another one, so no circle ever closes.
        let mut servers = Servers::none();
        let name = |number: u64| {
            let key = ResourceKey::new(&number.to_le_bytes()).expect("a name");
            (TypeId(1), key)
        };
        let graph = |number: u64| {
            let mut holds = entry(EntryKind::Holds, "n", "write", 1);
            holds.label = format!("holds {number}");
            holds.wanted_by = vec![order(number)];
            let mut waits = entry(EntryKind::Waits, "n", "write", 1);
            waits.order = Some(order(number));
            Graph::new(view("x", vec![holds, waits]))
        };
        let numbers = 0..NAMES_MAX as u64;
        let waits = numbers.clone().map(|number| LongWait {
            key: name(number).1,
            order: order(number),
            ..wait("n", &format!("waits {number}"))
        });
        let mut search = Search {
            servers: &mut servers,
            waits: waits.collect(),
            graphs: numbers
                .map(|number| (name(number), Some(graph(number))))
                .collect(),
            paths: Vec::new(),
            steps: 0,
        };
        let mut way = Vec::new();
        let first = holder("n", "holds 0");
        search
            .go_on(&name(0), &first, &mut way)
            .await
            .expect("no server is asked");
        assert!(search.steps <= STEPS_MAX + 1, "{}", search.steps);
        assert_eq!(search.paths[0].links.len(), DEPTH_MAX);
        assert!(!search.paths[0].is_circle());
    }

    #[test]
    fn two_tasks_of_one_node_that_say_so_are_no_circle() {
        assert!(!is_closing(&holder("n", "a"), &wait("n", "b")));
        assert!(is_closing(&holder("n", "a"), &wait("n", "a")));
        assert!(is_closing(&holder("n", ""), &wait("n", "b")));
        assert!(is_closing(&holder("m", "a"), &wait("n", "a")));
    }

    #[test]
    fn a_circle_is_a_deadlock_only_where_all_labels_say_so_the_last_one_too() {
        let same = [("n", "a"), ("n", "a")];
        assert!(circle(same, ("n", "a")).is_deadlock());
        assert!(!circle(same, ("n", "")).is_deadlock());
        assert!(!circle(same, ("m", "a")).is_deadlock());
        assert!(!circle([("n", ""), ("n", "")], ("n", "")).is_deadlock());
        assert!(!circle([("n", "b"), ("n", "a")], ("n", "a")).is_deadlock());
    }
}
