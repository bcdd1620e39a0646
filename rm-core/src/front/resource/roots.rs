//! A resource and its root: sessions that come and go, and views by which it moves.
//!
//! **What it rests on.** `link` is what bounds the use of what is borrowed. While that is an orphan, `link` has the trust
//! that it had, frozen, and `next_link` is the session over which it was claimed. Once the claim is confirmed, or the
//! orphan lost, what is borrowed rests on that session.

use std::sync::Arc;

use super::{Inner, Resource};
use crate::credit::Credit as _;
use crate::effect::{Effect, Effects};
use crate::error::LostReason;
use crate::front::routes::{Adoption, Link};
use crate::front::shared::Shared;
use crate::id::PeerId;
use crate::owner::Owner;
use crate::resource::ResourceType;
use crate::sync::Ordering;
use crate::time::Time;

impl<T: ResourceType> Resource<T> {
    /// It has just come to be: it goes by the present routes.
    pub(in crate::front) fn on_new(&self) {
        let (link, seen) = {
            let routes = self.shared.routes();
            (routes.find(T::ID, &self.key).cloned(), routes.epoch())
        };
        self.input(|inner, now| {
            inner.seen = seen;
            if let Some(link) = link.filter(|_| !inner.owner.is_root()) {
                inner.connect(now, link);
            }
        });
    }

    /// There is a session with a creditor: perhaps with that of this resource.
    pub(in crate::front) fn on_creditor_up(&self, link: &Arc<Link>) {
        self.input(|inner, now| {
            if inner.owner.is_root() || inner.owner.creditor().is_some() {
                return;
            }
            let routes = self.shared.routes();
            let is_its = routes.find(T::ID, &self.key).map(|its| its.peer) == Some(link.peer);
            // Before it has seen the present view, that finds the session by itself.
            let is_late = inner.seen != routes.epoch();
            drop(routes);
            if is_its && !is_late {
                inner.connect(now, link.clone());
            }
        });
    }

    /// The session with a creditor is over.
    pub(in crate::front) fn on_creditor_down(&self, peer: PeerId, why: LostReason) {
        self.input(|inner, now| {
            if inner.owner.creditor() == Some(peer) {
                inner.lose_creditor(now, why);
            }
        });
    }

    /// The next creditor is another than the last.
    pub(in crate::front) fn on_creditor_replaced(&self) {
        self.input(|inner, _| {
            if inner.owner.creditor().is_none() {
                inner.owner.on_creditor_replaced();
            }
        });
    }

    /// A view was adopted.
    pub(in crate::front) fn adopt(&self, adoption: &Adoption) {
        let view = &adoption.view;
        let root = view.root_id(T::ID, &self.key);
        self.input(|inner, now| {
            if inner.owner.is_root() || inner.seen >= view.epoch() {
                return;
            }
            inner.seen = view.epoch();
            let former = inner.next_link.as_ref().or(inner.link.as_ref());
            let former = former.map(|link| link.root);
            if adoption.is_next && former.is_some() && former == root {
                inner.owner.on_view(view.epoch());
                return;
            }
            inner.owner.on_root_moved(now, &mut inner.fx);
            inner.next_link = None;
            let mut routes = self.shared.routes();
            let orphan = inner.link.take().filter(|_| inner.owner.is_orphan());
            inner.link = orphan.map(|former| {
                let root = root.unwrap_or_default();
                routes.orphan(&former, root, &self.shared.ended)
            });
            let link = routes.find(T::ID, &self.key).cloned();
            drop(routes);
            if let Some(link) = link {
                inner.connect(now, link);
            }
        });
    }

    /// How many guards hold what was borrowed or claimed over that session.
    pub(in crate::front) fn holds_over(&self, peer: PeerId) -> u64 {
        let inner = self.lock();
        let links = inner.link.iter().chain(&inner.next_link);
        let is_over = links.into_iter().any(|link| link.peer == peer);
        let holds = if is_over {
            inner.holders(&self.gate)
        } else {
            0
        };
        self.unlock(inner);
        holds
    }

    /// An input to the owner of a lender.
    pub(in crate::front) fn lend(&self, f: impl FnOnce(&mut Owner<T>, Time, &mut Effects<T>)) {
        self.input(|inner, now| f(&mut inner.owner, now, &mut inner.fx));
    }
}

impl<T: ResourceType> Inner<T> {
    /// There is a session with its root: what is orphaned is claimed, and what waits is asked for.
    fn connect(&mut self, now: Time, link: Arc<Link>) {
        let since = self.seen;
        self.owner
            .on_creditor_up(now, link.peer, since, &mut self.fx);
        if self.owner.is_orphan() {
            self.next_link = Some(link);
        } else {
            self.link = Some(link);
        }
    }

    /// Once nothing is orphaned any more, what is borrowed rests on the session it was claimed over.
    pub(super) fn settle_link(&mut self) {
        if self.next_link.is_some() && !self.owner.is_orphan() {
            self.link = self.next_link.take();
        }
    }

    /// What it rests on is over.
    pub(super) fn lose_trust(&mut self, now: Time, why: LostReason) {
        if !self.owner.is_orphan() {
            return self.lose_creditor(now, why);
        }
        // The claim that may be under way is answered all the same.
        self.owner.on_orphan_lost(now, why, &mut self.fx);
        self.link = None;
        self.fx.push(Effect::Leaving);
    }

    /// The session with the creditor is over, and what was borrowed over it has left without a message; so has what was
    /// claimed over it.
    fn lose_creditor(&mut self, now: Time, why: LostReason) {
        let had_credit = !self.owner.borrowed().is_empty();
        self.owner.on_creditor_down(now, why, &mut self.fx);
        self.next_link = None;
        self.link = None;
        if had_credit && self.owner.borrowed().is_empty() {
            self.fx.push(Effect::Leaving);
        }
    }

    /// Of a member's lender: whether its membership is known to be good.
    pub(super) fn look_whether_it_may_lend(&mut self, shared: &Shared, now: Time) {
        if !self.owner.is_root() {
            return;
        }
        let may_lend = !shared.is_suspended(now);
        if may_lend && self.owner.is_suspended() {
            self.owner.resume(now, &mut self.fx);
        } else if !may_lend && !self.owner.is_suspended() {
            // Release pairs with the swap of whoever resumes all.
            shared.has_suspended.store(true, Ordering::Release);
            self.owner.suspend();
        }
    }
}
