//! Who may do what at this server: the rules, asked about each hello, question and order before anything comes of it.
//!
//! What debtors want and claim is asked in the core, through [`Host::allowance`]. This process's own borrowing is not
//! asked about: the ends of its connection prove that it called itself, which its ticket, that each creditor knows, does not.
//!
//! [`Host::allowance`]: rm_core::front::Host::allowance

use std::sync::{MutexGuard, PoisonError};

use rm_core::access::{Action, Forbidden, Identity, Target};
use rm_core::command;
use rm_core::front::{Domain, Host as _};
use rm_core::id::{NodeId, ResourceKey, TypeId};
use rm_core::inspect::Query;
use rm_core::session::Refusal;
use rm_core::session::packet::{Hello, RefuseCode};
use rm_core::time::Time;

use super::Server;
use crate::peer::Peer;

/// Who is asked to give back what the rules forbid now has so many leases for it: in one of them, a node in the middle of a
/// tree has settled with those below it that do not answer.
const SETTLE_LEASES: u32 = 2;

impl Server {
    /// Whether there are any, and that is not this process.
    fn has_rules_for(&self, identity: &Identity) -> bool {
        self.hub.desk.has_rules() && !identity.is_own_process()
    }

    fn check(
        &self,
        identity: &Identity,
        action: Action,
        target: Target<'_>,
    ) -> Result<(), Forbidden> {
        if !self.has_rules_for(identity) {
            return Ok(());
        }
        self.hub.desk.rules().check(identity, action, target)
    }

    /// Whether somebody may come in, and under that name: that of a member belongs to members.
    pub(super) fn check_access(&self, hello: &Hello, identity: &Identity) -> Result<(), Refusal> {
        if !self.has_rules_for(identity) {
            return Ok(());
        }
        let rules = self.hub.desk.rules();
        let mut checked = rules.admit(identity);
        if checked.is_ok() && self.is_name_of_member(NodeId::of_name(&hello.name)) {
            checked = rules.check(identity, Action::Member, Target::Node);
        }
        checked.map_err(|why| {
            if let Some(unsaid) = self.unadmitted.note(self.hub.now()) {
                tracing::warn!(target: "rm::audit", %identity, unsaid, "no session: {why}");
            }
            Refusal {
                code: RefuseCode::Denied,
                text: format!("not allowed: {why}"),
            }
        })
    }

    fn is_name_of_member(&self, node: NodeId) -> bool {
        let view = self.view();
        let mut members = view.iter().flat_map(|view| view.members());
        members.any(|member| member.id().node == node)
    }

    /// Whether the other end of a session may be another member.
    pub(super) fn check_member(&self, peer: &Peer) -> Result<(), Forbidden> {
        self.check_peer(peer, Action::Member, Target::Node)
    }

    fn check_peer(&self, peer: &Peer, action: Action, to: Target<'_>) -> Result<(), Forbidden> {
        self.check(&peer.identity, action, to)
    }

    /// Whether a question may be asked. Of a list, each line is asked about.
    pub(super) fn check_question(&self, peer: &Peer, query: &Query) -> Result<(), Forbidden> {
        match query {
            Query::Status | Query::Members | Query::Health => {
                self.check_peer(peer, Action::Inspect, Target::Node)
            }
            Query::Show { type_id, key } => {
                self.check_peer(peer, Action::Inspect, Target::Resource(*type_id, key))
            }
            Query::List { .. } | Query::Top { .. } if !self.has_rules_for(&peer.identity) => Ok(()),
            Query::List { .. } | Query::Top { .. } => {
                let rules = self.hub.desk.rules();
                rules.check_any(&peer.identity, Action::Inspect)
            }
            Query::Unknown => Ok(()),
        }
    }

    pub(super) fn may_inspect(&self, peer: &Peer, type_id: TypeId, key: &ResourceKey) -> bool {
        let resource = Target::Resource(type_id, key);
        self.check_peer(peer, Action::Inspect, resource).is_ok()
    }

    /// The rules have changed. Debtors that may not have what they have are asked to give it back, and sessions end of those
    /// who may not come in any more, at once; of those who do not give it back, later. It looks at every resource.
    pub(crate) fn enforce(&self) {
        if let Some(domain) = self.hub.domain() {
            domain.enforce();
            let patience = self.config.terms.length() * SETTLE_LEASES;
            *self.rules_settle_at() = Some(self.hub.now().after(patience));
        }
        let rules = self.hub.desk.rules();
        for peer in self.hub.peers() {
            let is_own = peer.identity.is_own_process();
            if peer.is_creditor() && !is_own && rules.admit(&peer.identity).is_err() {
                peer.let_go.cancel();
            }
        }
    }

    fn rules_settle_at(&self) -> MutexGuard<'_, Option<Time>> {
        let settle_at = self.rules_settle_at.lock();
        settle_at.unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session of each debtor that was asked in time to give back what the rules forbid, and has not: then its
    /// lease takes it back.
    pub(super) fn end_sessions_beyond_rules(&self, domain: &Domain) {
        let now = self.hub.now();
        if self.rules_settle_at().take_if(|at| now >= *at).is_none() {
            return;
        }
        for id in domain.beyond_rules() {
            let Some(peer) = self.hub.peer(id) else {
                continue;
            };
            let (caller, name) = (&peer.identity, &*peer.name);
            tracing::warn!(target: "rm::audit", %caller, name, "session ends: it keeps what the rules forbid");
            peer.let_go.cancel();
        }
    }

    /// How many rules there are, and what they allow those of whom nothing is known.
    pub(super) fn rules_in_words(&self) -> (u32, String) {
        let rules = self.hub.desk.rules();
        let nobody = Identity::anonymous();
        let allowed = Action::ALL
            .into_iter()
            .filter(|action| rules.check_any(&nobody, *action).is_ok())
            .map(Action::name);
        let count = u32::try_from(rules.len()).unwrap_or(u32::MAX);
        (count, allowed.collect::<Vec<_>>().join(" "))
    }

    /// Whether an order may be given.
    pub(super) fn check_order(
        &self,
        peer: &Peer,
        action: &command::Action,
    ) -> Result<(), Forbidden> {
        let target = match action {
            command::Action::Release { type_id, key, .. } => Target::Resource(*type_id, key),
            command::Action::Drain { .. } | command::Action::Unknown => Target::Node,
        };
        self.check_peer(peer, Action::Operate, target)
    }
}
