//! Pseudo debtors: for what was lent to somebody who has no session here.
//!
//! A root that takes a resource over knows what is lent, and to whom, but not over which session: it owes each such
//! loan to a *ghost*, a pseudo debtor that says nothing and is taken back from when its trust is surely over. What is
//! not known at all is lent to a ghost whom nobody knows.

use std::collections::BTreeMap;

use crate::book::Lessee;
use crate::id::PeerId;
use crate::time::Time;

/// The numbers of ghosts begin here, above those of all sessions.
const FIRST: u64 = 1 << 62;

/// Whether that is no session, but a pseudo debtor.
#[must_use]
pub const fn is_ghost(peer: PeerId) -> bool {
    peer.0 >= FIRST
}

/// One pseudo debtor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ghost {
    pub(crate) lessee: Lessee,
    /// When its trust is over, by this node's clock.
    pub(crate) until: Time,
}

/// All of one lender.
#[derive(Clone, Debug)]
pub(crate) struct Ghosts {
    next: u64,
    all: BTreeMap<PeerId, Ghost>,
}

impl Ghosts {
    pub(crate) const fn new() -> Self {
        let all = BTreeMap::new();
        Self { next: FIRST, all }
    }

    /// One for `lessee`, which is over at `until`.
    pub(crate) fn add(&mut self, lessee: Lessee, until: Time) -> PeerId {
        let peer = PeerId(self.next);
        self.next += 1;
        self.all.insert(peer, Ghost { lessee, until });
        peer
    }

    pub(crate) fn find(&self, peer: PeerId) -> Option<Ghost> {
        self.all.get(&peer).copied()
    }

    /// Those that are over by now, which it forgets.
    pub(crate) fn take_over(&mut self, now: Time) -> Vec<PeerId> {
        let is_over = |(_, ghost): &(&PeerId, &Ghost)| now >= ghost.until;
        let over: Vec<_> = self
            .all
            .iter()
            .filter(is_over)
            .map(|(&peer, _)| peer)
            .collect();
        for peer in &over {
            self.all.remove(peer);
        }
        over
    }

    /// When the next is over.
    pub(crate) fn next_end(&self) -> Option<Time> {
        self.all.values().map(|ghost| ghost.until).min()
    }
}
