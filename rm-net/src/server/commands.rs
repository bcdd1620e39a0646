//! What operators order a server to do. Each order is in the log, with who gave it and why, and so is its outcome.
//! Of those that are refused, which cost nothing to give, some are.
//!
//! **Bounds.** A session has one order carried out at a time. An order takes no longer than [`PATIENCE`].

use std::sync::Arc;
use std::time::Duration;

use rm_core::command::{Action, Command, Force, LoanEnd, Outcome, RELEASED_MAX, Released};
use rm_core::front::{Domain, Host as _, Lent};
use rm_core::id::{LoanId, PeerId, ResourceKey, TypeId};
use rm_core::inspect::{MembersView, NodeRole, Standing};
use rm_core::session::LeaseTerms;
use rm_core::session::packet::Body;
use rm_core::view::Member;

use super::Server;
use crate::peer::Peer;

/// Debtors that were asked to give something back have so long until they are called silent.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often is looked whether it is back.
const LOOK: Duration = Duration::from_millis(10);

/// The answer of a node that takes no orders from there.
pub(crate) fn turn_away(command: &Command) -> Outcome {
    tracing::warn!(
        target: "rm::audit",
        by = command.by,
        action = in_words(&command.action),
        reason = command.reason,
        "refused: it came from this node's own creditor"
    );
    refused("this node takes no orders over a session in which it is the debtor: connect to it")
}

impl Server {
    pub(crate) fn on_command(self: &Arc<Self>, peer: &Arc<Peer>, id: u64, command: Command) {
        let Ok(permit) = Arc::clone(&peer.commands).try_acquire_owned() else {
            let outcome = refused("an order of this session is under way: wait for its answer");
            peer.say(Body::Commanded { id, outcome }, &self.hub);
            return;
        };
        if let Err(why) = self.check_order(peer, &command.action) {
            let text = why.to_string();
            let action = in_words(&command.action);
            if let Some(unsaid) = self.unordered.note(self.hub.now()) {
                tracing::warn!(
                    target: "rm::audit",
                    from = peer.name, identity = %peer.identity, by = command.by, action, reason = command.reason,
                    unsaid, "not allowed: {text}"
                );
            }
            let outcome = Outcome::NotAllowed { text };
            peer.say(Body::Commanded { id, outcome }, &self.hub);
            return;
        }
        let (server, peer) = (Arc::clone(self), Arc::clone(peer));
        tokio::spawn(async move {
            let _permit = permit;
            let action = in_words(&command.action);
            tracing::warn!(
                target: "rm::audit",
                from = peer.name, identity = %peer.identity, by = command.by, action, reason = command.reason, "ordered"
            );
            let drain = match &command.action {
                Action::Drain { within, .. } => Some(*within),
                _ => None,
            };
            let outcome = server.carry_out(command).await;
            let drain = drain.filter(|_| outcome == Outcome::Draining);
            tracing::warn!(target: "rm::audit", from = peer.name, action, ?outcome, "carried out");
            peer.say(Body::Commanded { id, outcome }, &server.hub);
            // After the answer: a server with nothing lent is gone at once.
            if let Some(within) = drain {
                server.hub.desk.order_drain(within);
            }
        });
    }

    async fn carry_out(&self, command: Command) -> Outcome {
        let Command { action, reason, by } = command;
        if action != Action::Unknown && reason.trim().is_empty() {
            return refused(
                "no reason was given: say why. It is written to the log, and told to those whom it hits",
            );
        }
        match action {
            Action::Drain { node, .. } => self.may_drain(&node),
            Action::Release {
                type_id,
                key,
                force,
            } => match self.not_the_root_of(type_id, &key) {
                Some(outcome) => outcome,
                None => {
                    let why = format!("{}: {reason}", if by.is_empty() { "somebody" } else { &by });
                    self.release(type_id, &key, force, &why.into()).await
                }
            },
            Action::Unknown => Outcome::Unknown,
        }
    }

    /// This node can hand over and go; of another it says where that is.
    fn may_drain(&self, node: &str) -> Outcome {
        if node == self.hub.name {
            return Outcome::Draining;
        }
        let view = self.members().view;
        let members = view.as_ref().map_or(&[][..], |view| view.members());
        match members.iter().find(|member| member.name == node.as_bytes()) {
            Some(member) => elsewhere(member),
            None => {
                let names = members.iter().map(|member| readable(&member.name));
                let names = names.collect::<Vec<_>>().join(", ");
                refused(&format!(
                    "there is no member called {node}; the members are: {names}"
                ))
            }
        }
    }

    /// The answer where this node cannot take back a resource for good.
    fn not_the_root_of(&self, type_id: TypeId, key: &ResourceKey) -> Option<Outcome> {
        let MembersView {
            role,
            standing,
            view,
            reg,
            ..
        } = self.members();
        if role == NodeRole::Relay {
            let creditor = self.creditor.as_deref().unwrap_or_default();
            let address = creditor.split(',').next().unwrap_or_default();
            return Some(Outcome::Elsewhere {
                node: "its creditor".into(),
                address: address.into(),
            });
        }
        match view.as_ref().and_then(|view| view.root(type_id, key)) {
            Some(root) if root.reg != reg => return Some(elsewhere(root)),
            Some(_) => {}
            None => {
                return Some(refused(
                    "no member can be the root of anything: all are leaving, or this node knows no view yet",
                ));
            }
        }
        match standing {
            Standing::Active | Standing::Leaving => None,
            Standing::Gathering => Some(refused(
                "the server has just taken the resource over, and does not know yet what is lent: try again in a few seconds",
            )),
            Standing::Suspended | Standing::Outside => Some(refused(
                "the server does not know whether it is still a member of the cluster: see 'rmctl members'",
            )),
        }
    }

    async fn release(
        &self,
        type_id: TypeId,
        key: &ResourceKey,
        force: Force,
        reason: &Arc<str>,
    ) -> Outcome {
        let Some(domain) = self.hub.domain() else {
            return refused("the server is stopping");
        };
        let lent = domain.release(type_id, key, force, reason);
        // Before a session ends for that, and with it the name is gone.
        let name = |loan: &(PeerId, _)| self.hub.peer_name(loan.0);
        let names: Vec<_> = lent.loans.iter().take(RELEASED_MAX).map(name).collect();
        let still_out = match force {
            Force::Polite => still_out(&domain, type_id, key, &lent).await,
            Force::Now => lent.loans.clone(),
        };
        let told = lent.loans.iter().zip(names).map(|(loan, node)| {
            let believed_for = self.trusted_for(loan.0);
            let end = match force {
                Force::Now => LoanEnd::Closed { believed_for },
                Force::Polite if still_out.contains(loan) => LoanEnd::Silent {
                    ends_in: believed_for,
                },
                Force::Polite => LoanEnd::Returned,
            };
            Released { node, end }
        });
        Outcome::Released {
            loans: told.collect(),
            omitted: count(lent.loans.len().saturating_sub(RELEASED_MAX)),
            own_holds: count(lent.own_holds),
        }
    }

    /// How long a debtor may still trust what it was lent, at most.
    pub(super) fn trusted_for(&self, debtor: PeerId) -> Duration {
        let now = self.hub.now();
        let until = match self.hub.peer(debtor) {
            Some(peer) => peer.take_back_at(),
            // Of the time before this server began, or before it became the root.
            None => Some(now.after(self.members().grace)),
        };
        let most = LeaseTerms::wait(self.config.terms.length());
        until.map_or(most, |until| until.since(now))
    }
}

/// Waits until the loans that were lent are back. Those that are not, after [`PATIENCE`].
async fn still_out(
    domain: &Domain,
    type_id: TypeId,
    key: &ResourceKey,
    lent: &Lent,
) -> Vec<(PeerId, Option<LoanId>)> {
    let out = || {
        let now = domain.lent(type_id, key).loans;
        let mut loans = lent.loans.clone();
        loans.retain(|loan| now.contains(loan));
        loans
    };
    let back = async {
        while !out().is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, back).await;
    out()
}

fn elsewhere(member: &Member) -> Outcome {
    Outcome::Elsewhere {
        node: readable(&member.name),
        address: member.address.clone(),
    }
}

fn refused(text: &str) -> Outcome {
    Outcome::Refused { text: text.into() }
}

fn readable(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn in_words(action: &Action) -> String {
    match action {
        Action::Drain { node, within } => format!("drain {node} within {within:?}"),
        Action::Release {
            type_id,
            key,
            force,
        } => {
            let how = match force {
                Force::Polite => "politely",
                Force::Now => "now",
            };
            format!("release {key} of type {} {how}", type_id.0)
        }
        Action::Unknown => "an order of a later version".into(),
    }
}
