//! All servers that a question about locks concerns, however the first one was found.
//!
//! A server that stands alone is the only one. Of a cluster each member is asked, since each knows the locks that it is the
//! root of and no others. A server in the middle of a tree knows what is below it, so its creditor is asked instead,
//! which asks it in turn.
//!
//! A member that does not answer is told of, and the others are asked: half an answer is better than none at night.

use std::sync::Arc;

use rm_core::id::{ResourceKey, TypeId};
use rm_core::inspect::{
    Answer, MembersView, NodeRole, Query, ResourceView, Standing, StatusView, Summary, TopView,
};
use rm_core::view::View;

use super::connect::addresses;
use super::contact;
use super::exit::{Exit, Failure};
use super::output::{Output, span, tame};
use super::pages;
use crate::Operator;
use crate::error::InspectError;

/// So many creditors are gone up to: more would be a ring.
const HOPS_MAX: usize = 8;

/// Connections to all of them.
#[derive(Debug)]
pub(crate) struct Servers {
    view: Option<Arc<View>>,
    all: Vec<Server>,
    /// The creditors of a server in the middle of a tree, where none of them answers.
    silent_above: Option<String>,
}

/// A connection to one of them.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// Its registration in the view; 0: it has none.
    reg: u64,
    pub(crate) operator: Operator,
}

impl Servers {
    /// Connects to all of them, from the first of `endpoints` that answers.
    pub(crate) async fn open(endpoints: &[String], output: Output) -> Result<Self, Failure> {
        let mut known = addresses(endpoints)?;
        let (operator, members, silent_above) = look_up(&mut known, output).await?;
        let first = Server {
            name: members.node.clone(),
            reg: members.reg,
            operator,
        };
        let mut servers = Self {
            view: members.view.clone(),
            all: vec![first],
            silent_above,
        };
        let others = members.view.as_ref().map_or(&[][..], |view| view.members());
        for member in others.iter().filter(|member| member.reg != members.reg) {
            let name = String::from_utf8_lossy(&member.name).into_owned();
            match contact::open(&member.address).await {
                Ok(operator) => servers.all.push(Server {
                    name,
                    reg: member.reg,
                    operator,
                }),
                Err(failure) => output.notice(
                    "rmctl",
                    &format!(
                        "member {} at {} does not answer, so its locks are not told of: {}",
                        tame(&name),
                        tame(&member.address),
                        failure.error
                    ),
                ),
            }
        }
        Ok(servers)
    }

    /// None at all.
    #[cfg(test)]
    pub(crate) const fn none() -> Self {
        Self {
            view: None,
            all: Vec::new(),
            silent_above: None,
        }
    }

    /// Whether the servers are no longer those of the view by which these were found.
    pub(crate) async fn is_stale(&mut self) -> Result<bool, Failure> {
        let now = look_around(&mut self.all[0].operator).await?;
        let epoch = |view: Option<&View>| view.map(View::epoch);
        Ok(epoch(now.view.as_deref()) != epoch(self.view.as_deref()))
    }

    /// Whether somebody did not answer when these were found.
    pub(crate) fn is_partial(&self) -> bool {
        let members = self.view.as_ref().map_or(0, |view| view.members().len());
        self.silent_above.is_some() || self.all.len() < members
    }

    /// Why `name`, of one of those types, may be held without anybody here telling of it: its root does not answer, or has
    /// started anew and does not know yet. In sentences; none where all is known.
    ///
    /// Whoever may not look at servers is not told how they are, and has no such doubts.
    pub(crate) async fn doubts(
        &mut self,
        types: &[TypeId],
        name: &ResourceKey,
    ) -> Result<Vec<String>, Failure> {
        let mut doubts = Vec::new();
        if let Some(above) = &self.silent_above {
            doubts.push(format!("{above}, which lends it, does not answer"));
        }
        let regs: Vec<u64> = self.all.iter().map(|server| server.reg).collect();
        let (places, silent) = roots(self.view.as_deref(), &regs, types, name);
        doubts.extend(silent);
        for place in places {
            let server = &mut self.all[place];
            let status = match server.operator.ask(Query::Status).await {
                Ok(Answer::Status(status)) => status,
                Err(InspectError::NotAllowed { .. }) => continue,
                Err(error) => return Err(error.into()),
                Ok(_) => return Err(contact::not_understood()),
            };
            if !status.grace.is_zero() || status.standing == Standing::Gathering {
                doubts.push(format!(
                    "{}, which lends it, has just started, or taken over from another: for another {} it may be held \
                     without its knowing",
                    server.name,
                    span(status.grace)
                ));
            }
        }
        Ok(doubts)
    }

    /// Each by itself.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut Server> {
        self.all.iter_mut()
    }

    /// All that is called `name`, of whatever type.
    pub(crate) async fn called(&mut self, name: &ResourceKey) -> Result<Vec<Summary>, Failure> {
        let mut found: Vec<Summary> = Vec::new();
        for server in &mut self.all {
            let more = pages::called(&mut server.operator, name).await?;
            let is_new = |summary: &Summary| {
                let is_same = |other: &Summary| {
                    (other.type_id, &other.key) == (summary.type_id, &summary.key)
                };
                !found.iter().any(is_same)
            };
            let more: Vec<_> = more.into_iter().filter(is_new).collect();
            found.extend(more);
        }
        Ok(found)
    }

    /// One resource as its root sees it, if anything is known of it.
    pub(crate) async fn show(
        &mut self,
        type_id: TypeId,
        key: &ResourceKey,
    ) -> Result<Option<ResourceView>, Failure> {
        let server = self.root_of(type_id, key)?;
        let query = Query::Show {
            type_id,
            key: key.clone(),
        };
        match server.operator.ask(query).await? {
            Answer::Show(view) => Ok(view),
            _ => Err(contact::not_understood()),
        }
    }

    /// What is called `name`, of every type.
    pub(crate) async fn views(&mut self, name: &ResourceKey) -> Result<Vec<ResourceView>, Failure> {
        let mut views = Vec::new();
        for Summary { type_id, key, .. } in self.called(name).await? {
            // It may have been let go of since it was listed.
            views.extend(self.show(type_id, &key).await?);
        }
        Ok(views)
    }

    /// What goes on at each of them. One that does not know the question is left out.
    pub(crate) async fn top(&mut self, prefix: &[u8], limit: u32) -> Result<Vec<TopView>, Failure> {
        let mut views = Vec::new();
        for server in &mut self.all {
            let prefix = prefix.to_vec();
            match server.operator.ask(Query::Top { prefix, limit }).await? {
                Answer::Top(view) => views.push(*view),
                Answer::Unknown => {}
                _ => return Err(contact::not_understood()),
            }
        }
        Ok(views)
    }

    /// How each of them is.
    pub(crate) async fn statuses(&mut self) -> Result<Vec<StatusView>, Failure> {
        let mut statuses = Vec::new();
        for server in &mut self.all {
            match server.operator.ask(Query::Status).await? {
                Answer::Status(status) => statuses.push(status),
                _ => return Err(contact::not_understood()),
            }
        }
        Ok(statuses)
    }

    /// Says so where one has started anew, and does not know yet what was lent before.
    pub(crate) async fn warn_of_grace(&mut self, output: Output) {
        // Without an answer to this there is no warning: what was asked for has been answered.
        for status in self.statuses().await.unwrap_or_default() {
            if !status.grace.is_zero() {
                let text = format!(
                    "server {} has just started, or taken over from another: for another {} locks that it does not \
                     show may still be held",
                    tame(&status.name),
                    span(status.grace)
                );
                output.notice("rmctl", &text);
            }
        }
    }

    /// Says goodbye to all.
    pub(crate) async fn close(self) {
        for server in self.all {
            server.operator.close().await;
        }
    }

    fn root_of(&mut self, type_id: TypeId, key: &ResourceKey) -> Result<&mut Server, Failure> {
        let root = self.view.as_ref().and_then(|view| view.root(type_id, key));
        let Some(root) = root.filter(|_| self.all.len() > 1) else {
            return Ok(&mut self.all[0]);
        };
        let name = String::from_utf8_lossy(&root.name).into_owned();
        let reg = root.reg;
        let found = self.all.iter_mut().find(|server| server.reg == reg);
        found.ok_or_else(|| {
            let error = format_args!("{}, which lends it, does not answer", tame(&name));
            Failure::new(Exit::UNAVAILABLE, error)
                .hint("'rmctl members' tells who is there; try again in a few seconds")
        })
    }
}

/// Where among the servers with those registrations those are that lend `name`, of one of those types; of those that are
/// not among them it says so.
fn roots(
    view: Option<&View>,
    regs: &[u64],
    types: &[TypeId],
    name: &ResourceKey,
) -> (Vec<usize>, Vec<String>) {
    let Some(view) = view.filter(|view| view.members().len() > 1) else {
        return (vec![0], Vec::new());
    };
    let (mut places, mut silent) = (Vec::new(), Vec::new());
    for &type_id in types {
        let Some(root) = view.root(type_id, name) else {
            silent.push("no member lends it at the moment".into());
            continue;
        };
        match regs.iter().position(|reg| *reg == root.reg) {
            Some(place) => places.push(place),
            None => {
                let name = String::from_utf8_lossy(&root.name);
                silent.push(format!("{name}, which lends it, does not answer"));
            }
        }
    }
    places.sort_unstable();
    places.dedup();
    silent.sort_unstable();
    silent.dedup();
    (places, silent)
}

/// The cluster as a server sees it. Who may look at locks and not at servers is not told, and asks that one alone.
async fn look_around(operator: &mut Operator) -> Result<MembersView, Failure> {
    match contact::members(operator).await {
        Err(failure) if failure.exit == Exit::DENIED => Ok(MembersView {
            node: String::from_utf8_lossy(&operator.welcome().name).into_owned(),
            ..MembersView::default()
        }),
        members => members,
    }
}

/// The first server that answers, or the one at the top of the tree in which it is in the middle; and the creditors that
/// are above that one and do not answer.
async fn look_up(
    known: &mut Vec<String>,
    output: Output,
) -> Result<(Operator, MembersView, Option<String>), Failure> {
    let (_, mut operator) = contact::open_first(known).await?;
    let mut members = look_around(&mut operator).await?;
    for _ in 0..HOPS_MAX {
        if members.role != NodeRole::Relay || members.creditor.is_empty() {
            break;
        }
        let above: Vec<String> = members.creditor.split(',').map(String::from).collect();
        match contact::open_first(&above).await {
            Ok((_, next)) => {
                operator.close().await;
                operator = next;
                members = look_around(&mut operator).await?;
                *known = above;
            }
            Err(failure) => {
                let text = format!(
                    "{} is in the middle of a tree, and its creditor does not answer, so only what is below it is told \
                     of: {}",
                    tame(&members.node),
                    failure.error
                );
                output.notice("rmctl", &text);
                let above = members.creditor.clone();
                return Ok((operator, members, Some(above)));
            }
        }
    }
    Ok((operator, members, None))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rm_core::view::{Member, MemberState};

    use super::*;

    #[test]
    fn a_name_whose_root_does_not_answer_is_in_doubt_and_the_others_are_not() {
        let member = |name: &str, reg| Member {
            name: name.as_bytes().into(),
            reg,
            address: "127.0.0.1:1".into(),
            weight: 1,
            state: MemberState::Full,
        };
        let members = vec![member("a", 1), member("b", 2)];
        let view = View::new(1, Duration::from_secs(3), members).expect("a view");
        let mut doubts = 0;
        for number in 0..32_u32 {
            let name = ResourceKey::new(&number.to_le_bytes()).expect("a name");
            let is_a = view
                .root(TypeId(1), &name)
                .is_some_and(|root| root.reg == 1);
            let (places, silent) = roots(Some(&view), &[1], &[TypeId(1)], &name);
            assert_eq!((places.is_empty(), silent.is_empty()), (!is_a, is_a));
            doubts += silent.len();
        }
        assert!((1..32).contains(&doubts), "{doubts}");
    }
}
