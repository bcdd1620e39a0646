//! Where the resources of a debtor lead: the view, and the sessions with its members.
//!
//! Without a view there is one creditor of everything: whoever there is a session with. With one, each resource is
//! borrowed from its root, over the session with that member.
//!
//! # When a view is adopted
//!
//! What was borrowed of a resource whose root changed becomes an *orphan*: it may be used until the deadline that it had,
//! which nothing extends, and is claimed from its new root. So extensions of every session are held back while resources
//! are visited ([`Trust::hold`]), and an orphan rests on a trust of its own, with the same deadline.
//!
//! A claim shares the fate of the session it goes over. So the orphans that go from one session to one new root have one
//! trust, and that ends with the session of the new root ([`Trust::take_along`]).

use std::sync::Arc;

use smallvec::SmallVec;

use super::trust::{Ended, Trust};
use crate::id::{PeerId, ResourceKey, TypeId};
use crate::view::{RootId, View};

/// A session with a creditor, as resources see it; or what an orphan rests on.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: PeerId,
    /// Which member it is; without a view, nobody in particular.
    pub(super) root: RootId,
    pub(super) trust: Arc<Trust>,
    /// Which trust of the domain it is: the first is 1.
    pub(super) session: u64,
}

/// The sessions of a debtor, and what leads where.
#[derive(Debug, Default)]
pub(super) struct Routes {
    view: Option<Arc<View>>,
    links: SmallVec<[Arc<Link>; 1]>,
    /// Links whose root left the view, while their resources are told.
    leaving: Vec<Arc<Link>>,
    /// What orphans rest on, by the trust they had and their new root.
    orphans: Vec<(u64, RootId, Arc<Link>)>,
    /// How many trusts there were.
    trusts: u64,
}

/// What a resource must know of a view that is adopted.
#[derive(Debug)]
pub(super) struct Adoption {
    pub(super) view: Arc<View>,
    /// The former view was the one before: a root that is the same was never another in between.
    pub(super) is_next: bool,
}

impl Routes {
    pub(super) fn view(&self) -> Option<&Arc<View>> {
        self.view.as_ref()
    }

    /// Since when this node is sure of the present roots of new resources.
    pub(super) fn epoch(&self) -> u32 {
        self.view.as_ref().map_or(0, |view| view.epoch())
    }

    /// The session over which a resource is borrowed, if there is one.
    pub(super) fn find(&self, type_id: TypeId, key: &ResourceKey) -> Option<&Arc<Link>> {
        match &self.view {
            None => self.links.first(),
            Some(view) => {
                let root = view.root_id(type_id, key)?;
                self.links.iter().find(|link| link.root == root)
            }
        }
    }

    /// The session with that peer, also while its root leaves.
    pub(super) fn find_peer(&self, peer: PeerId) -> Option<&Arc<Link>> {
        let all = self.links.iter().chain(&self.leaving);
        all.into_iter().find(|link| link.peer == peer)
    }

    /// The peers of all sessions.
    pub(super) fn peers(&self) -> SmallVec<[PeerId; 4]> {
        let all = self.links.iter().chain(&self.leaving);
        all.map(|link| link.peer).collect()
    }

    /// All that anything borrowed may rest on.
    pub(super) fn trusts(&mut self) -> impl Iterator<Item = &Arc<Trust>> {
        // Nothing rests any more on what only this list knows.
        self.orphans
            .retain(|(_, _, link)| Arc::strong_count(link) > 1);
        let orphans = self.orphans.iter().map(|(_, _, link)| link);
        // Until it is told of the view, a resource rests on what it had.
        let all = self.links.iter().chain(&self.leaving);
        all.chain(orphans).map(|link| &link.trust)
    }

    /// There is a session with that member, or without a view, with the creditor.
    pub(super) fn add(
        &mut self,
        root: RootId,
        peer: PeerId,
        trust: Arc<Trust>,
        ended: &Arc<Ended>,
    ) -> Arc<Link> {
        let link = self.link(root, peer, trust, ended);
        for (_, to, orphan) in &self.orphans {
            if *to == root {
                link.trust.take_along(&orphan.trust);
            }
        }
        // Word of one that has left may come late: nothing leads there any more.
        if self.view.as_ref().is_none_or(|view| view.has(root)) {
            self.links.push(Arc::clone(&link));
        }
        link
    }

    fn link(
        &mut self,
        root: RootId,
        peer: PeerId,
        trust: Arc<Trust>,
        ended: &Arc<Ended>,
    ) -> Arc<Link> {
        self.trusts += 1;
        let session = self.trusts;
        trust.tell(Arc::clone(ended), session);
        Arc::new(Link {
            peer,
            root,
            trust,
            session,
        })
    }

    /// The session with that peer is over.
    pub(super) fn remove(&mut self, peer: PeerId) -> Option<Arc<Link>> {
        let place = self.links.iter().position(|link| link.peer == peer)?;
        Some(self.links.remove(place))
    }

    /// Takes a view, if it is newer. From here until [`adopted`](Self::adopted) nothing is extended.
    pub(super) fn adopt(&mut self, view: &Arc<View>) -> Option<Adoption> {
        let former = self.epoch();
        if view.epoch() <= former {
            return None;
        }
        for link in &self.links {
            link.trust.hold();
        }
        let is_next = former != 0 && view.epoch() == former + 1;
        self.view = Some(Arc::clone(view));
        // Those of an earlier view whose root stays are still under way.
        self.orphans
            .retain(|(_, _, link)| Arc::strong_count(link) > 1);
        let links = core::mem::take(&mut self.links);
        let (links, leaving): (Vec<_>, Vec<_>) =
            links.into_iter().partition(|link| view.has(link.root));
        self.links = links.into();
        self.leaving = leaving;
        let view = Arc::clone(view);
        Some(Adoption { view, is_next })
    }

    /// What an orphan rests on that had `former` and goes to `root`.
    pub(super) fn orphan(&mut self, former: &Link, root: RootId, ended: &Arc<Ended>) -> Arc<Link> {
        let key = (former.session, root);
        let known = self
            .orphans
            .iter()
            .find(|(session, to, _)| (*session, *to) == key);
        if let Some((_, _, link)) = known {
            return link.clone();
        }
        let trust = Arc::new(former.trust.frozen());
        let orphan = self.link(former.root, former.peer, trust, ended);
        if let Some(link) = self.links.iter().find(|link| link.root == root) {
            link.trust.take_along(&orphan.trust);
        }
        self.orphans.push((former.session, root, orphan.clone()));
        orphan
    }

    /// All resources have been told of the view. Returns the sessions with those who left it.
    pub(super) fn adopted(&mut self) -> Vec<PeerId> {
        for link in &self.links {
            link.trust.let_go();
        }
        self.leaving.drain(..).map(|link| link.peer).collect()
    }
}
