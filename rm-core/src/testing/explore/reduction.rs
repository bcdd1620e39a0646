//! Which of the next steps are tried, where not all need be.
//!
//! Steps at different nodes do not concern each other. A step takes a message or does a client's bidding, changes
//! one owner and its clients, and appends to queues; whether another node's step comes before or after it leads to
//! the same state. A search that tries both visits the states in between for nothing.
//!
//! **What is tried.** A *cluster* is a set of nodes that nothing new can reach from outside before it acts itself:
//! each channel into it has a message already, or whoever is behind it can do nothing until the cluster sends
//! something. Where some cluster has a message to take, only the steps at its nodes are tried: a persistent set.
//! Otherwise all are.
//!
//! **Why that is enough.** Let `w` be any run from a state `s` in which only the steps of a cluster were tried.
//!
//! 1. If a step of the cluster is in `w`, the first of them can be moved to the front: what is before it happened
//!    at other nodes, and could not bring anything new to the cluster. If none is, any step of the cluster can be put
//!    before `w`. Either way a run that was tried leads on from `s` to the same end.
//! 2. *No livelock is missed.* By 1, an endless run makes an endless run among those tried. They have finitely many
//!    states, so one leads back to itself, and is found.
//! 3. *No quiet state and no end is missed.* If `w` ends in a state without messages under way, it takes the message
//!    that the cluster had to take. So the first case of 1 holds, at each state of the way, and the same state is
//!    reached.
//! 4. *No step is missed.* Without livelocks every run can be completed to one that ends, so each step of each owner
//!    in each of its states, with all that led to it, is part of a run that is tried. So a panic, a broken book of one
//!    owner, a misplaced or wrong outcome, and a step after which a creditor and its debtor disagree, are found.
//! 5. *No conflict is missed*, if the credit obeys the law that two amounts that conflict are together more than the
//!    capital. By 4, no step makes or loses credit, so all holds are part of the capital in every state, visited or
//!    not. [`Plan::is_lawful`] tests that law on what the scenario asks for; if it fails, nothing is left out.
//! 6. *No token is missed.* By 5, conflicting holds follow one another, and one has caused the other: the same order in
//!    every sequence.
//! 7. *No value is missed*, for the same reason: every write and every hold that reads it follow one another.
//! 8. Whether a request was alone is no matter of one node. It begins in a quiet state, and ends with the next request:
//!    by 3 that state is visited, and by 1, where the cluster's message is taken first, so are the runs without
//!    another request.
//!
//! Registers that are merged while they queue are changed by the sender when the receiver may take them, so 1 does not
//! hold; then nothing is left out.

use smallvec::SmallVec;

use super::channel::Channel;
use super::mode::differ;
use super::store::{QueueId, Registers};
use super::world::{Action, Actions, Plan, Reduction, World};
use crate::credit::Credit;
use crate::resource::ResourceType;

/// What may happen in the parts of a tree.
struct Unrest {
    /// For each node, what can happen at it and below it, but on the link above it.
    below: SmallVec<[u32; 8]>,
    /// For each channel, whether it has a message.
    has_message: SmallVec<[bool; 16]>,
}

impl<T: ResourceType> Plan<T> {
    /// Which interleavings are visited: all, where leaving some out could hide something.
    pub(super) fn sound_reduction(&self) -> Reduction {
        if self.registers == Registers::AsTheyCome && self.is_lawful() {
            self.reduction
        } else {
            Reduction::None
        }
    }

    /// Whether what the clients ask for conflicts only where it is more than the capital.
    fn is_lawful(&self) -> bool {
        let asks = || self.clients.iter().flat_map(|client| client.asks());
        let fits = |a: &T::Credit, b: &T::Credit| {
            let both = a.join(b);
            both.is_some_and(|both| self.capital.covers(&both))
        };
        asks().all(|(a, of_a)| {
            asks().all(|(b, of_b)| {
                let conflicts = a.conflicts(b, &self.capital) || differ(of_a, of_b);
                !(conflicts && fits(a, b))
            })
        })
    }

    /// The steps of all that can happen that are to be tried.
    pub(super) fn reduced(&self, world: &World, actions: Actions) -> Actions {
        if actions.len() < 2 {
            return actions;
        }
        let unrest = self.unrest(world, &actions);
        let mut best: Option<(usize, Members)> = None;
        for action in &actions {
            let Action::Deliver(channel) = action else {
                continue;
            };
            let (_, node) = Channel::of(usize::from(*channel)).ends(&self.tree);
            let cluster = self.cluster(node, &unrest);
            let size = actions
                .iter()
                .filter(|&&action| cluster[self.node_of(action)])
                .count();
            if best.as_ref().is_none_or(|(smallest, _)| size < *smallest) {
                best = Some((size, cluster));
            }
            if size == 1 {
                break;
            }
        }
        match best {
            Some((size, cluster)) if size < actions.len() => actions
                .into_iter()
                .filter(|&action| cluster[self.node_of(action)])
                .collect(),
            _ => actions,
        }
    }

    /// Whose step it is.
    fn node_of(&self, action: Action) -> usize {
        match action {
            Action::Client(client) => self.clients[usize::from(client)].place,
            Action::Deliver(channel) => Channel::of(usize::from(channel)).ends(&self.tree).1,
        }
    }

    fn unrest(&self, world: &World, actions: &Actions) -> Unrest {
        let mut below: SmallVec<[u32; 8]> = SmallVec::from_elem(0, self.tree.len());
        for action in actions {
            if let Action::Client(client) = action {
                below[self.clients[usize::from(*client)].place] += 1;
            }
        }
        let has_message = world.queues.iter().map(|&q| q != QueueId::EMPTY).collect();
        let mut unrest = Unrest { below, has_message };
        // Debtors come after their creditors.
        for debtor in (1..self.tree.len()).rev() {
            let part = unrest.below[debtor] + unrest.on_link(debtor);
            unrest.below[self.tree.creditor(debtor)] += part;
        }
        unrest
    }

    /// The smallest cluster with that node.
    fn cluster(&self, node: usize, unrest: &Unrest) -> Members {
        let mut members: Members = SmallVec::from_elem(false, self.tree.len());
        members[node] = true;
        loop {
            let mut has_grown = false;
            for debtor in 1..self.tree.len() {
                let creditor = self.tree.creditor(debtor);
                if members[creditor] && !members[debtor] && unrest.may_come_from_below(debtor) {
                    members[debtor] = true;
                    has_grown = true;
                } else if members[debtor]
                    && !members[creditor]
                    && unrest.may_come_from_above(debtor)
                {
                    members[creditor] = true;
                    has_grown = true;
                }
            }
            if !has_grown {
                return members;
            }
        }
    }
}

/// For each node, whether it is in the cluster.
type Members = SmallVec<[bool; 8]>;

impl Unrest {
    fn on_link(&self, debtor: usize) -> u32 {
        let on = |channel: usize| u32::from(self.has_message[channel]);
        on(Channel::up(debtor)) + on(Channel::down(debtor))
    }

    /// Whether a first message may come up from a debtor whose creditor does nothing.
    fn may_come_from_below(&self, debtor: usize) -> bool {
        let is_moved = self.below[debtor] > 0 || self.has_message[Channel::down(debtor)];
        !self.has_message[Channel::up(debtor)] && is_moved
    }

    /// Whether a first message may come down to a debtor that does nothing.
    fn may_come_from_above(&self, debtor: usize) -> bool {
        let beyond = self.below[0] - self.below[debtor] - self.on_link(debtor);
        let is_moved = beyond > 0 || self.has_message[Channel::up(debtor)];
        !self.has_message[Channel::down(debtor)] && is_moved
    }
}
