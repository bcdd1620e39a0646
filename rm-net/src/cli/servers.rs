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
    Answer, MembersView, NodeRole, Query, ResourceView, StatusView, Summary, TopView,
};
use rm_core::view::View;

use super::connect::addresses;
use super::contact;
use super::exit::{Exit, Failure};
use super::output::{Output, span, tame};
use super::pages;
use crate::Operator;

/// So many creditors are gone up to: more would be a ring.
const HOPS_MAX: usize = 8;

/// Connections to all of them.
#[derive(Debug)]
pub(crate) struct Servers {
    view: Option<Arc<View>>,
    all: Vec<Server>,
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
        let (operator, members) = look_up(&mut known, output).await?;
        let first = Server {
            name: members.node.clone(),
            reg: members.reg,
            operator,
        };
        let mut servers = Self {
            view: members.view.clone(),
            all: vec![first],
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

    /// Whether the servers are no longer those of the view by which these were found.
    pub(crate) async fn is_stale(&mut self) -> Result<bool, Failure> {
        let now = look_around(&mut self.all[0].operator).await?;
        let epoch = |view: Option<&View>| view.map(View::epoch);
        Ok(epoch(now.view.as_deref()) != epoch(self.view.as_deref()))
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

/// The first server that answers, or the one at the top of the tree in which it is in the middle.
async fn look_up(
    known: &mut Vec<String>,
    output: Output,
) -> Result<(Operator, MembersView), Failure> {
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
                break;
            }
        }
    }
    Ok((operator, members))
}
