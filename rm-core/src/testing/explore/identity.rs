//! What tells one state from another: 128 bits over owners, channels and clients.
//!
//! Two states with the same future count as one. What that leaves out is said in `owner::view`.

use core::hash::{Hash, Hasher};

use smallvec::SmallVec;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::channel::Channel;
use super::store::Store;
use super::world::{Phase, Plan, World};
use crate::credit::{Colour, Credit};
use crate::message::{Claim, Claimed, Grant, Message, Steps, Want};
use crate::owner::view::{
    Clocks, LinkNumbers, NumberKind, OWN_LINK, hash_order, hash_step, hash_value,
};
use crate::resource::ResourceType;

/// Buffers that are used again for each state.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// For each link, the names of its loans and the versions of its wants, wherever they are.
    links: Vec<[SmallVec<[u64; 8]>; 2]>,
    bytes: Vec<u8>,
}

impl Scratch {
    /// Notes the numbers that an owner of that node has, or a message between that node and its creditor.
    fn note(&mut self, node: usize, numbers: &LinkNumbers) {
        for number in numbers.iter() {
            let link = match number.link {
                OWN_LINK => node,
                link => usize::from(link),
            };
            let kind = usize::from(number.kind == NumberKind::Version);
            self.links[link][kind].push(number.value);
        }
    }

    /// Adds of each noted number how many are smaller: all that matters of it.
    fn add_ranks(&mut self) {
        for numbers in self.links.iter_mut().flatten() {
            for number in numbers.iter() {
                let smaller = numbers.iter().filter(|&other| other < number);
                self.bytes.push(smaller.count() as u8);
            }
            numbers.clear();
        }
    }

    fn add(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn add_long(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }
}

impl World {
    /// What tells this state from others, in 128 bits.
    pub(super) fn identity<T: ResourceType>(
        &self,
        plan: &Plan<T>,
        store: &Store<T>,
        scratch: &mut Scratch,
    ) -> u128 {
        scratch
            .links
            .resize_with(self.owners.len(), <[SmallVec<_>; 2]>::default);
        scratch.bytes.clear();
        for (node, &owner) in self.owners.iter().enumerate() {
            let owner = store.known_owner(owner);
            scratch.add(owner.shape);
            scratch.note(node, &owner.numbers);
        }
        for (index, &queue) in self.queues.iter().enumerate() {
            let queue = store.known_queue(queue);
            scratch.add(queue.shape);
            scratch.note(Channel::of(index).debtor, &queue.numbers);
        }
        scratch.add_ranks();
        let [client, step] = self.written.unwrap_or([u8::MAX; 2]);
        scratch.bytes.extend_from_slice(&[client, step]);
        for client in &self.clients {
            let is_alone = client.phase == Phase::Waiting && client.is_alone;
            scratch.add(
                u32::from(client.next) << 16 | (client.phase as u32) << 1 | u32::from(is_alone),
            );
            scratch.add(client.holds.number());
            scratch.add(number_of(client.colour));
            if plan.clocks == Clocks::Kept {
                scratch.add_long(client.fence);
            }
        }
        if plan.clocks == Clocks::Kept {
            for &((credit, colour), fence) in &self.ended {
                scratch.add(credit.number());
                scratch.add(number_of(colour));
                scratch.add_long(fence);
            }
        }
        xxh3_128(&scratch.bytes)
    }
}

fn number_of(colour: Option<Colour>) -> u32 {
    colour.map_or(0, |Colour(number)| 1 + u32::from(number))
}

/// Hashes a message, all but the numbers of its link: they are noted. Like an owner, it is taken apart field by field.
pub(super) fn hash_message<C: Credit, L: Hash>(
    message: &Message<C, L>,
    clocks: Clocks,
    numbers: &mut LinkNumbers,
    state: &mut Xxh3,
) {
    let fenced = |fence: &u64| if clocks == Clocks::Kept { *fence } else { 0 };
    match message {
        Message::AskLimit { loan } => {
            numbers.note_loan(OWN_LINK, *loan);
            state.write_u8(1);
        }
        Message::Busy { order, blockers: _ } => {
            state.write_u8(2);
            hash_order(order, state);
        }
        Message::Claim(claim) => hash_claim(claim, clocks, numbers, state),
        Message::Claimed(claimed) => {
            let Claimed {
                epoch,
                old,
                loan,
                fence,
                limit: _,
                value,
            } = claimed;
            numbers.note_loan(OWN_LINK, *old);
            numbers.note_loan(OWN_LINK, *loan);
            (10_u8, epoch, fenced(fence)).hash(state);
            hash_value(value.as_ref(), clocks, state);
        }
        Message::Deny {
            order,
            version,
            why,
            blockers: _,
        } => {
            numbers.note_version(OWN_LINK, *version);
            (3_u8, why).hash(state);
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
                colour,
            } = grant;
            numbers.note_loan(OWN_LINK, *loan);
            numbers.note_version(OWN_LINK, *version);
            (4_u8, delta, colour, fenced(fence)).hash(state);
            hash_order(order, state);
            hash_value(value.as_ref(), clocks, state);
            hash_steps(steps, state);
        }
        Message::Limit { loan, limit: _ } => {
            numbers.note_loan(OWN_LINK, *loan);
            state.write_u8(5);
        }
        Message::Recall { loan, steps } => {
            numbers.note_loan(OWN_LINK, *loan);
            state.write_u8(6);
            hash_steps(steps, state);
        }
        Message::Return {
            loan,
            delta,
            fence,
            value,
            colour,
        } => {
            numbers.note_loan(OWN_LINK, *loan);
            (7_u8, delta, colour, fenced(fence)).hash(state);
            hash_value(value.as_ref(), clocks, state);
        }
        Message::Revoke { loan, reason: _ } => {
            numbers.note_loan(OWN_LINK, *loan);
            state.write_u8(11);
        }
        Message::Unclaimed { epoch, old, why } => {
            numbers.note_loan(OWN_LINK, *old);
            (12_u8, epoch, why).hash(state);
        }
        Message::Unwant { order } => {
            state.write_u8(8);
            hash_order(order, state);
        }
        Message::Want(want) => hash_want(want, numbers, state),
    }
}

fn hash_claim<C: Credit>(
    claim: &Claim<C>,
    clocks: Clocks,
    numbers: &mut LinkNumbers,
    state: &mut Xxh3,
) {
    let Claim {
        epoch,
        loan,
        amount,
        fence,
        value,
        colour,
    } = claim;
    numbers.note_loan(OWN_LINK, *loan);
    let fence = if clocks == Clocks::Kept { *fence } else { 0 };
    (13_u8, epoch, amount, fence, colour).hash(state);
    hash_value(value.as_ref(), clocks, state);
}

fn hash_want<L: Hash>(want: &Want<L>, numbers: &mut LinkNumbers, state: &mut Xxh3) {
    let Want {
        order,
        version,
        level,
        try_only,
        deadline,
        note: _,
    } = want;
    numbers.note_version(OWN_LINK, *version);
    state.write_u8(9);
    hash_order(order, state);
    (level, try_only, deadline).hash(state);
}

fn hash_steps<C: Credit>(steps: &Steps<C>, state: &mut Xxh3) {
    for step in steps {
        hash_step(step, state);
    }
    state.write_u8(0);
}
