//! From text to steps.
//!
//! **Total**: any text is a script or a [`Mistake`], and there is no other end. Names of nodes and requests are known
//! when they are used, so a misspelt one shows here and not in a run.

use super::language::Language;
use super::step::{Options, Placed, Rank, Row, Step};
use super::tokens::{Reading, Tokens, list};
use super::{Mistake, SCRIPT_BYTES_MAX, Script};
use crate::credit::Credit;
use crate::front::Patience;
use crate::id::GroupId;
use crate::policy::Policy;
use crate::resource::ResourceType;
use crate::testing::cluster::ROOT;
use crate::testing::explore::{NODES_MAX, Tree};

/// Reads a scenario.
pub(super) fn parse<T: ResourceType>(
    language: &Language<T>,
    text: &str,
) -> Result<Script<T>, Mistake> {
    let mistake = |line, what| Mistake {
        line,
        text: text.lines().nth(line - 1).unwrap_or_default().into(),
        what,
    };
    if text.len() > SCRIPT_BYTES_MAX {
        let what = format!("a script has at most {SCRIPT_BYTES_MAX} bytes: make two of it");
        return Err(mistake(1, what));
    }
    let mut parser = Parser {
        language,
        line: 1,
        tree: None,
        policy: None,
        requests: Vec::new(),
        groups: Vec::new(),
        steps: Vec::new(),
    };
    for (index, line) in text.lines().enumerate() {
        parser.line = index + 1;
        let line = line.split('#').next().unwrap_or_default();
        for step in line
            .split(';')
            .map(str::trim)
            .filter(|step| !step.is_empty())
        {
            let read = parser.step(Tokens::new(step));
            read.map_err(|what| mistake(index + 1, what))?;
        }
    }
    let Parser {
        tree,
        policy,
        requests,
        steps,
        line,
        ..
    } = parser;
    let tree = tree.ok_or_else(|| mistake(line, NO_TREE.into()))?;
    Ok(Script {
        resource_type: language.resource_type().clone(),
        text: text.into(),
        tree,
        policy: policy.unwrap_or(Policy::Exact),
        requests,
        steps,
    })
}

const NO_TREE: &str = "a script begins with its nodes: `tree T; A, B < T`";

/// A script, as far as it was read.
pub(super) struct Parser<'a, T: ResourceType> {
    pub(super) language: &'a Language<T>,
    line: usize,
    tree: Option<Tree>,
    policy: Option<Policy>,
    /// Their names.
    requests: Vec<String>,
    groups: Vec<String>,
    steps: Vec<Placed<T>>,
}

/// Nodes or requests, by number.
pub(super) enum Subjects {
    Nodes(Vec<usize>),
    Requests(Vec<usize>),
}

impl<T: ResourceType> Parser<'_, T> {
    fn step(&mut self, mut tokens: Tokens<'_>) -> Reading<()> {
        let first = tokens.peek().unwrap_or_default();
        match first {
            "tree" => self.plant(&mut tokens)?,
            "policy" => self.choose(&mut tokens)?,
            "settle" => {
                tokens.next();
                self.push(Step::Settle)?;
            }
            "deliver" => self.deliver(&mut tokens)?,
            "expect" => {
                tokens.next();
                self.expectations(&mut tokens)?;
            }
            _ if first.starts_with(|c: char| c.is_ascii_digit()) => {
                let span = tokens.duration()?;
                if !tokens.take("pass") && !tokens.take("passes") {
                    return Err(format!("`pass` is expected {}", tokens.place()));
                }
                self.push(Step::Pass(span))?;
            }
            _ => self.named(&mut tokens)?,
        }
        tokens.end()
    }

    /// A step that begins with names.
    fn named(&mut self, tokens: &mut Tokens<'_>) -> Reading<()> {
        let mut names = vec![tokens.name("a step")?];
        while tokens.take(",") || tokens.take("and") {
            names.push(tokens.name("a name")?);
        }
        match tokens.peek() {
            Some("<") => self.link(&names, tokens),
            Some("at") => self.acquire(&names, tokens),
            Some(":") => self.row_of_books(&names, tokens),
            _ => match self.subjects(&names)? {
                Subjects::Nodes(nodes) => self.at_nodes(&nodes, tokens),
                Subjects::Requests(requests) => self.of_requests(&requests, tokens),
            },
        }
    }

    fn plant(&mut self, tokens: &mut Tokens<'_>) -> Reading<()> {
        tokens.next();
        let root = tokens.name("the name of the root")?;
        if self.tree.is_some() {
            return Err("a script has one tree".into());
        }
        self.tree = Some(Tree::rooted(root));
        Ok(())
    }

    /// `A, B < T`: they borrow from it.
    fn link(&mut self, names: &[&str], tokens: &mut Tokens<'_>) -> Reading<()> {
        tokens.next();
        let creditor = tokens.name("the name of the creditor")?;
        let creditor = self.node(creditor)?;
        if !self.steps.is_empty() {
            return Err("nodes are named before the first step".into());
        }
        for name in names {
            self.check_unused(name)?;
            let tree = self.tree.take().ok_or(NO_TREE)?;
            if tree.len() >= NODES_MAX {
                return Err(format!("a tree has at most {NODES_MAX} nodes"));
            }
            self.tree = Some(tree.with(name, creditor));
        }
        Ok(())
    }

    fn choose(&mut self, tokens: &mut Tokens<'_>) -> Reading<()> {
        tokens.next();
        let policy = if tokens.take("exact") {
            Policy::Exact
        } else if tokens.take("max") {
            Policy::Max
        } else if tokens.take("slice") {
            let parts = tokens.number()?;
            let parts = u32::try_from(parts).ok().filter(|&parts| parts > 0);
            Policy::slice(parts.ok_or("a slice is one part in 1 to 4294967295")?)
        } else {
            let place = tokens.place();
            return Err(format!("`exact`, `slice 16` or `max` is expected {place}"));
        };
        if self.policy.is_some() || !self.steps.is_empty() {
            return Err("a script has one policy, and names it before the first step".into());
        }
        self.policy = Some(policy);
        Ok(())
    }

    fn deliver(&mut self, tokens: &mut Tokens<'_>) -> Reading<()> {
        tokens.next();
        if tokens.take("all") {
            return self.push(Step::DeliverAll);
        }
        let from = tokens.name("`all`, or the node that sent the message,")?;
        tokens.expect("->")?;
        let to = tokens.name("the node to which the message goes")?;
        let (from, to) = (self.node(from)?, self.node(to)?);
        self.push(Step::Deliver { from, to })
    }

    /// `A at L: try read older than B`.
    fn acquire(&mut self, names: &[&str], tokens: &mut Tokens<'_>) -> Reading<()> {
        tokens.next();
        let node = tokens.name("the name of a node")?;
        let node = self.node(node)?;
        tokens.expect(":")?;
        let (ask, patience) = self.patient_ask(tokens)?;
        let options = self.options(patience, tokens)?;
        for name in names {
            self.check_unused(name)?;
            self.requests.push((*name).into());
            let ask = ask.clone();
            self.push(Step::Acquire { node, ask, options })?;
        }
        Ok(())
    }

    /// `try write`, or `write within 5 s`.
    fn patient_ask(&self, tokens: &mut Tokens<'_>) -> Reading<(T::Level, Patience)> {
        let tries = tokens.take("try");
        let ask = self.language.ask(tokens)?;
        let patience = match (tries, tokens.take("within")) {
            (true, true) => return Err("a `try` does not wait: leave out `try` or `within`".into()),
            (true, false) => Patience::Try,
            (false, true) => Patience::AtMost(tokens.duration()?),
            (false, false) => Patience::Forever,
        };
        Ok((ask, patience))
    }

    /// What stands behind an ask, each part at most once.
    fn options(&mut self, patience: Patience, tokens: &mut Tokens<'_>) -> Reading<Options> {
        let rank = self.rank(tokens)?;
        let group = if tokens.take("in") {
            tokens.expect("group")?;
            Some(self.group(tokens.name("the name of a group")?))
        } else {
            None
        };
        let gives_way = if tokens.take("giving") {
            tokens.expect("way")?;
            tokens.expect("within")?;
            Some(tokens.duration()?)
        } else {
            None
        };
        Ok(Options {
            patience,
            rank,
            group,
            gives_way,
        })
    }

    fn rank(&self, tokens: &mut Tokens<'_>) -> Reading<Rank> {
        if tokens.take("older") {
            tokens.expect("than")?;
            let other = tokens.name("the name of a request")?;
            return self.request(other).map(Rank::OlderThan);
        }
        if tokens.take("as") {
            tokens.expect("old")?;
            tokens.expect("as")?;
            let other = tokens.name("the name of a request")?;
            return self.request(other).map(Rank::AsOldAs);
        }
        Ok(Rank::Youngest)
    }

    /// A group is there once it is named.
    fn group(&mut self, name: &str) -> GroupId {
        let known = self.groups.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            self.groups.push(name.into());
            self.groups.len() - 1
        });
        GroupId(index as u64)
    }

    fn of_requests(&mut self, requests: &[usize], tokens: &mut Tokens<'_>) -> Reading<()> {
        match tokens.next().map(singular) {
            Some("cancel") => self.push_each(requests, Step::Cancel),
            Some("convert") => {
                tokens.expect("to")?;
                let (to, patience) = self.patient_ask(tokens)?;
                self.push_each(requests, |request| Step::Convert {
                    request,
                    to: to.clone(),
                    patience,
                })
            }
            Some("reduce") => {
                tokens.expect("to")?;
                let keep = self.language.amount(tokens)?;
                self.push_each(requests, |request| Step::Reduce {
                    request,
                    keep: keep.clone(),
                })
            }
            Some("release") => self.push_each(requests, Step::Release),
            _ => {
                let verbs = "`releases`, `cancels`, `converts to` or `reduces to`";
                Err(format!(
                    "a request is followed by {verbs}, or by `at` where it is made"
                ))
            }
        }
    }

    fn at_nodes(&mut self, nodes: &[usize], tokens: &mut Tokens<'_>) -> Reading<()> {
        match tokens.next().map(singular) {
            Some("cache") => {
                let credit = self.language.amount(tokens)?;
                self.push_each(nodes, |node| Step::Cache {
                    node,
                    credit: credit.clone(),
                })
            }
            Some("lose") => {
                tokens.expect("its")?;
                tokens.expect("session")?;
                if nodes.contains(&ROOT) {
                    return Err("the root has no creditor, and so no session to lose".into());
                }
                self.push_each(nodes, Step::LoseSession)
            }
            Some("return") => {
                tokens.expect("spare")?;
                self.push_each(nodes, Step::ReturnSpare)
            }
            Some("shut") => {
                tokens.expect("down")?;
                self.push_each(nodes, Step::ShutDown)
            }
            Some("wind") => {
                tokens.expect("up")?;
                self.push_each(nodes, Step::WindUp)
            }
            _ => {
                let verbs = "`caches`, `returns spare`, `loses its session`, `shuts down`, `winds up` or `<`";
                Err(format!("a node is followed by {verbs}"))
            }
        }
    }

    fn push_each(&mut self, subjects: &[usize], step: impl Fn(usize) -> Step<T>) -> Reading<()> {
        subjects
            .iter()
            .try_for_each(|&subject| self.push(step(subject)))
    }

    /// `T: cached all - 2 read, lent 2 read`, after the first row.
    fn row_of_books(&mut self, names: &[&str], tokens: &mut Tokens<'_>) -> Reading<()> {
        let [name] = names else {
            return Err("a row of books is about one node".into());
        };
        let row = self.row(name, tokens)?;
        match self.steps.last_mut().map(|placed| &mut placed.step) {
            Some(Step::Books(rows)) if rows.iter().any(|known| known.node == row.node) => {
                Err(format!("`{name}` has a row already"))
            }
            Some(Step::Books(rows)) => {
                rows.push(row);
                Ok(())
            }
            _ => Err(format!(
                "a request is made with `{name} at NODE: AMOUNT`, and books begin with `expect books`"
            )),
        }
    }

    /// A row from its colon on.
    pub(super) fn row(&self, name: &str, tokens: &mut Tokens<'_>) -> Reading<Row<T::Credit>> {
        tokens.expect(":")?;
        let (mut cached, mut held, mut lent) = (None, None, None);
        loop {
            let place = match tokens.next() {
                Some("cached") => &mut cached,
                Some("held") => &mut held,
                Some("lent") => &mut lent,
                _ => return Err("a row of books says what is `cached`, `held` and `lent`".into()),
            };
            if place.replace(self.language.amount(tokens)?).is_some() {
                return Err("a row of books says each of `cached`, `held` and `lent` once".into());
            }
            if !tokens.take(",") {
                break;
            }
        }
        Ok(Row {
            node: self.node(name)?,
            cached: cached.unwrap_or_else(T::Credit::empty),
            held: held.unwrap_or_else(T::Credit::empty),
            lent: lent.unwrap_or_else(T::Credit::empty),
        })
    }

    pub(super) fn push(&mut self, step: Step<T>) -> Reading<()> {
        if self.tree.is_none() {
            return Err(NO_TREE.into());
        }
        let line = self.line;
        self.steps.push(Placed { line, step });
        Ok(())
    }

    pub(super) fn subjects(&self, names: &[&str]) -> Reading<Subjects> {
        let is_node = |name: &&str| {
            self.tree
                .as_ref()
                .and_then(|tree| tree.find(name))
                .is_some()
        };
        if names.iter().all(is_node) {
            let nodes = names.iter().map(|name| self.node(name));
            return nodes.collect::<Reading<_>>().map(Subjects::Nodes);
        }
        let requests = names.iter().map(|name| self.request(name));
        requests.collect::<Reading<_>>().map(Subjects::Requests)
    }

    fn node(&self, name: &str) -> Reading<usize> {
        let tree = self.tree.as_ref().ok_or(NO_TREE)?;
        let known = (0..tree.len()).map(|node| tree.name(node));
        tree.find(name)
            .ok_or_else(|| format!("`{name}` is no node: there are {}", list(known)))
    }

    pub(super) fn request(&self, name: &str) -> Reading<usize> {
        let known = self.requests.iter().map(String::as_str);
        let found = self.requests.iter().position(|known| known == name);
        found.ok_or_else(|| {
            format!(
                "`{name}` is no request that was made: there are {}",
                list(known)
            )
        })
    }

    fn check_unused(&self, name: &str) -> Reading<()> {
        let is_node = self
            .tree
            .as_ref()
            .and_then(|tree| tree.find(name))
            .is_some();
        if is_node || self.request(name).is_ok() {
            return Err(format!("`{name}` names something already"));
        }
        Ok(())
    }
}

/// `releases` and `release` are one verb.
pub(super) fn singular(verb: &str) -> &str {
    verb.strip_suffix('s').unwrap_or(verb)
}
