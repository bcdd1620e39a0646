//! The server as a member: views, reports, and until when it may lend.
//!
//! [`Lender`] decides; here is what it needs: the sessions' leases, the way to the debtors, and time. Its lock is held
//! while resources are visited, and taken with no other lock held; wakers are not run under it, since a member's
//! lender has no holds of its own. (A server that stands alone has, but no view takes anything from it.)

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use rm_core::cluster::{Adopted, Frozen, Lender, Report};
use rm_core::front::Host as _;
use rm_core::id::PeerId;
use rm_core::session::packet::Body;
use rm_core::time::Time;
use rm_core::view::{RootId, View};

use super::Server;
use crate::peer::Peer;

/// The lender's timer is looked at this often, whatever it was set to: a timer may stand still while the machine sleeps.
const NAP: Duration = Duration::from_millis(250);

impl Server {
    pub(crate) fn lender(&self) -> Option<MutexGuard<'_, Lender>> {
        let lender = self.lender.as_ref()?;
        Some(lender.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A view: every debtor is told before any packet of its epoch, then the lender adopts it.
    pub(crate) fn adopt(&self, view: &Arc<View>) -> Adopted {
        let Some(mut lender) = self.lender() else {
            return Adopted::Known;
        };
        if lender
            .view()
            .is_some_and(|known| known.epoch() >= view.epoch())
        {
            return Adopted::Known;
        }
        // First: what is answered from here on is answered under the new epoch.
        self.hub.set_view(view);
        let adopted = lender.adopt(self.hub.now(), view, &|peer| self.frozen(peer));
        drop(lender);
        self.hub.desk.count_view();
        self.hub.set_adopted(view.epoch());
        for peer in self.hub.peers() {
            peer.flush(&self.hub);
        }
        self.stirred.notify_one();
        adopted
    }

    /// The only member enters a new epoch, because the numbers of the present one run out: nothing moves.
    pub(super) fn enter(&self, epoch: u32) {
        let present = self.lender().and_then(|lender| lender.view().cloned());
        let next = present.and_then(|view| {
            let (lease, members) = (view.lease().length(), view.members().to_vec());
            let next = View::new(epoch, lease, members).ok()?;
            Some(Arc::new(next.founded_in(view.founded())))
        });
        if let Some(next) = next {
            self.hub.set_epoch(epoch);
            // It cannot be evicted.
            let _ = self.adopt(&next);
        }
    }

    fn frozen(&self, peer: PeerId) -> Option<Frozen> {
        let peer = self.hub.peer(peer)?;
        let until = peer.take_back_at()?;
        let party = peer.party;
        Some(Frozen { party, until })
    }

    /// The own membership is good until then.
    pub(crate) fn on_good_until(&self, until: Time) {
        self.hub.set_good_until(until);
        if let Some(mut lender) = self.lender() {
            lender.on_good_until(self.hub.now(), until);
        }
        // What had to wait for that is answered: renewals, too.
        for peer in self.hub.peers() {
            peer.flush(&self.hub);
        }
        self.stirred.notify_one();
    }

    /// Another member tells of a view. It is its own word: over the session in which it is the creditor.
    pub(crate) fn on_report(&self, from: RootId, report: Report) {
        let answer = self.lender().and_then(|mut lender| {
            let now = self.hub.now();
            lender.on_report(now, from, report)
        });
        if let Some(answer) = answer {
            self.tell(from, &answer);
            self.stirred.notify_one();
        }
    }

    /// Says something to another member, over the session in which this one is the creditor: so it knows who speaks. If
    /// there is none, or no room, it is said again.
    fn tell(&self, to: RootId, body: &Body) {
        let peers = self.hub.peers();
        for peer in peers.iter().filter(|peer| peer.party.node == to.node) {
            if self.check_member(peer).is_err() {
                continue;
            }
            peer.say(body.clone(), &self.hub);
        }
    }

    /// There is a connection with a debtor: perhaps with another member's borrower.
    pub(super) fn on_debtor_connected(&self, peer: &Peer) {
        let Some(mut lender) = self.lender() else {
            return;
        };
        let members = lender.view().cloned();
        let members = members.iter().flat_map(|view| view.members());
        let member = members
            .map(|member| member.id())
            .find(|id| id.node == peer.party.node);
        if let Some(member) = member.filter(|_| self.check_member(peer).is_ok()) {
            lender.on_connected(member);
            self.stirred.notify_one();
        }
    }

    /// Another member has heard a part of what this one told.
    pub(crate) fn on_report_ack(&self, from: RootId, epoch: u32, part: u32, is_active: bool) {
        if let Some(mut lender) = self.lender() {
            lender.on_report_ack(from, epoch, part, is_active);
        }
        self.stirred.notify_one();
    }

    /// Does what the lender does for time, and says to other members what they are to be told. Until the server ends.
    pub(crate) async fn run_lender(self: Arc<Self>) {
        loop {
            let now = self.hub.now();
            let (due, reports) = {
                let Some(mut lender) = self.lender() else {
                    return;
                };
                lender.on_tick(now);
                let view = lender.view().cloned();
                let members = view.iter().flat_map(|view| view.members());
                let reports: Vec<_> = members
                    .map(|member| member.id())
                    .filter_map(|id| Some((id, lender.say(now, id)?)))
                    .collect();
                (lender.next_tick(), reports)
            };
            for (to, report) in reports {
                self.tell(to, &report);
            }
            let left = due.map_or(NAP, |due| due.since(self.hub.now())).min(NAP);
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = self.stirred.notified() => {}
                () = self.hub.ended.cancelled() => return,
            }
        }
    }

    /// The view that its lender has adopted.
    pub(crate) fn view(&self) -> Option<Arc<View>> {
        self.lender()?.view().cloned()
    }

    /// Whether all that its lender gave away was taken over.
    pub(crate) fn is_relieved(&self) -> bool {
        self.lender().is_some_and(|lender| lender.is_relieved())
    }

    /// It is a member no more: its sessions and tasks end, without a word to anybody.
    pub(crate) fn end(&self) {
        self.hub.stopping.cancel();
        self.hub.ended.cancel();
    }

    /// How long something that this server knows nothing of may still be in somebody's hands.
    pub(crate) fn grace(&self) -> Duration {
        let now = self.hub.now();
        self.lender()
            .map_or(Duration::ZERO, |lender| lender.grace(now))
    }
}
