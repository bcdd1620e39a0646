//! What tells one state from another: 128 bits over owners, channels and clients.
//!
//! Two states with the same future count as one. What that leaves out is said in `owner::view`.

use core::hash::Hash;

use xxhash_rust::xxh3::Xxh3;

use super::world::{Channel, Phase, Plan, World};
use crate::credit::Credit;
use crate::message::{Grant, Message, Steps, Want};
use crate::owner::view::{Clocks, LinkNumbers, hash_order, hash_step, hash_value};
use crate::resource::ResourceType;

impl<T: ResourceType> World<T> {
    /// What tells this state from others, in 128 bits.
    pub(super) fn identity(&self, plan: &Plan<T>, links: &mut Vec<LinkNumbers>) -> u128 {
        links.resize_with(self.owners.len(), LinkNumbers::default);
        links.iter_mut().for_each(LinkNumbers::clear);
        for (node, owner) in self.owners.iter().enumerate() {
            owner.note_numbers(node, links);
        }
        for (index, channel) in self.channels.iter().enumerate() {
            for message in channel.iter() {
                note_numbers(message, &mut links[Channel::of(index).debtor]);
            }
        }
        let mut state = Xxh3::new();
        self.written.hash(&mut state);
        for (node, owner) in self.owners.iter().enumerate() {
            owner.hash_state(node, links, plan.clocks, &mut state);
        }
        for (index, channel) in self.channels.iter().enumerate() {
            for message in channel.iter() {
                let link = &links[Channel::of(index).debtor];
                hash_message(message, link, plan.clocks, &mut state);
            }
            (0_u8).hash(&mut state);
        }
        for client in &self.clients {
            let is_alone = client.phase == Phase::Waiting && client.is_alone;
            (client.next as u8, client.phase, &client.holds, is_alone).hash(&mut state);
            if plan.clocks == Clocks::Kept {
                client.fence.hash(&mut state);
            }
        }
        if plan.clocks == Clocks::Kept {
            self.ended.hash(&mut state);
        }
        state.digest128()
    }
}

fn note_numbers<C, L>(message: &Message<C, L>, link: &mut LinkNumbers) {
    match message {
        Message::AskLimit { loan }
        | Message::Limit { loan, .. }
        | Message::Recall { loan, .. }
        | Message::Return { loan, .. } => link.note_loan(*loan),
        Message::Busy { .. } | Message::Unwant { .. } => {}
        Message::Deny { version, .. } => link.note_version(*version),
        Message::Grant(grant) => {
            link.note_loan(grant.loan);
            link.note_version(grant.version);
        }
        Message::Want(want) => link.note_version(want.version),
    }
}

/// Hashes a message, told from the end of its channel by its first byte. Like an owner, it is taken apart field by
/// field.
fn hash_message<C: Credit, L: Hash>(
    message: &Message<C, L>,
    link: &LinkNumbers,
    clocks: Clocks,
    state: &mut Xxh3,
) {
    let fenced = |fence: &u64| if clocks == Clocks::Kept { *fence } else { 0 };
    match message {
        Message::AskLimit { loan } => (1_u8, link.rank_of_loan(*loan)).hash(state),
        Message::Busy { order, blockers: _ } => {
            (2_u8).hash(state);
            hash_order(order, state);
        }
        Message::Deny {
            order,
            version,
            why,
            blockers: _,
        } => {
            (3_u8, link.rank_of_version(*version), why).hash(state);
            hash_order(order, state);
        }
        Message::Grant(grant) => {
            let Grant {
                loan,
                order,
                version,
                delta,
                steps,
                fence,
                limit: _,
                value,
            } = grant;
            (
                4_u8,
                link.rank_of_loan(*loan),
                link.rank_of_version(*version),
            )
                .hash(state);
            hash_order(order, state);
            (delta, fenced(fence)).hash(state);
            hash_value(value.as_ref(), clocks, state);
            hash_steps(steps, state);
        }
        Message::Limit { loan, limit: _ } => (5_u8, link.rank_of_loan(*loan)).hash(state),
        Message::Recall { loan, steps } => {
            (6_u8, link.rank_of_loan(*loan)).hash(state);
            hash_steps(steps, state);
        }
        Message::Return {
            loan,
            delta,
            fence,
            value,
        } => {
            (7_u8, link.rank_of_loan(*loan), delta, fenced(fence)).hash(state);
            hash_value(value.as_ref(), clocks, state);
        }
        Message::Unwant { order } => {
            (8_u8).hash(state);
            hash_order(order, state);
        }
        Message::Want(want) => hash_want(want, link, state),
    }
}

fn hash_want<L: Hash>(want: &Want<L>, link: &LinkNumbers, state: &mut Xxh3) {
    let Want {
        order,
        version,
        level,
        try_only,
        deadline,
        note: _,
    } = want;
    (9_u8, link.rank_of_version(*version)).hash(state);
    hash_order(order, state);
    (level, try_only, deadline).hash(state);
}

fn hash_steps<C: Credit>(steps: &Steps<C>, state: &mut Xxh3) {
    for step in steps {
        hash_step(step, state);
    }
    (0_u8).hash(state);
}
