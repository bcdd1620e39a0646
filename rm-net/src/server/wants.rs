//! How many wants may wait at a server: of one session, and of all.
//!
//! **Invariant.** Each want counts for its session and for the node, also one that is refused, and each grant or denial gives one
//! back to both (`Hub::queue`). What is gone without an answer is found by counting anew
//! ([`Quota`](rm_core::front::Quota)).

use std::sync::{Mutex, PoisonError};

use rm_core::front::{Domain, Host as _, Quota};
use rm_core::message::Message;
use rm_core::session::packet::Item;

use super::Server;
use crate::peer::Peer;

/// Wants of all sessions that wait at once, where nobody said otherwise; more are refused.
pub(super) const WANTS_MAX: u64 = 4_194_304;
/// Wants of one session that wait at once; more are refused.
const SESSION_WANTS_MAX: u64 = 262_144;

impl Server {
    /// Whether a debtor may want one more thing at once.
    pub(super) fn has_room_for(&self, peer: &Peer, domain: &Domain, item: &Item) -> bool {
        if !matches!(item.message, Message::Want(_)) {
            return true;
        }
        let of_session = self.take(&peer.wants, SESSION_WANTS_MAX, || domain.wants_of(peer.id));
        let of_all = self.take(&self.hub.wants, self.wants_max, || domain.wants());
        of_session && of_all
    }

    /// Counts one more, and says whether there is room for it.
    fn take(&self, quota: &Mutex<Quota>, most: u64, recount: impl FnOnce() -> u64) -> bool {
        let lock = || quota.lock().unwrap_or_else(PoisonError::into_inner);
        if lock().take(most) {
            return true;
        }
        let now = self.hub.now();
        let is_due = lock().is_due(now);
        // Counting takes locks of resources, under which grants are counted here: so not under this one.
        let count = is_due.then(recount);
        let mut quota = lock();
        if let Some(count) = count {
            quota.recount(now, count);
            if quota.take(most) {
                return true;
            }
        }
        quota.take_to_refuse();
        false
    }
}
