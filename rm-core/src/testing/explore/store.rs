//! What worlds are made of: each owner, message, queue and credit is kept once and called by its number.
//!
//! An exploration meets the same owner in the same state again and again, with the same message before it. What it
//! does then is worked out once and remembered. So a state is a short list of numbers, and a step that was
//! taken before, in another world, is a look into a table.
//!
//! Two owners have the same number if they are equal, and the same *shape* if the owners, or those who know them,
//! will do the same from now on but for the numbers on their links (`owner::view`). Both are told by 128 bits.

use core::hash::Hash;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use smallvec::SmallVec;
use xxhash_rust::xxh3::Xxh3;

use super::hash::HashedMap;
use super::identity::hash_message;
use super::search::without_panic;
use super::world::{Fault, Input, Plan};
use crate::effect::{Effect, Effects};
use crate::error::{Denied, LostReason};
use crate::id::{Order, PeerId, Token};
use crate::message::Message;
use crate::owner::Owner;
use crate::owner::view::LinkNumbers;
use crate::resource::ResourceType;

/// The number of an owner's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnerId(u32);

/// The number of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct MessageId(u32);

/// The number of what is under way on one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueId(u32);

/// The number of an amount of credit. 0 is `empty`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CreditId(u32);

impl QueueId {
    pub(super) const EMPTY: Self = Self(0);
}

impl MessageId {
    pub(super) const fn number(self) -> u32 {
        self.0
    }
}

impl CreditId {
    pub(super) const EMPTY: Self = Self(0);

    pub(super) const fn number(self) -> u32 {
        self.0
    }
}

impl OwnerId {
    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A message between owners of `T`.
pub(super) type MessageOf<T> = Message<<T as ResourceType>::Credit, <T as ResourceType>::Level>;

/// Something that is kept once.
#[derive(Debug)]
pub(super) struct Known<V> {
    pub(super) value: V,
    pub(super) shape: u32,
    pub(super) numbers: LinkNumbers,
}

/// What is under way on one channel, the next to arrive first.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) messages: SmallVec<[MessageId; 4]>,
    pub(super) shape: u32,
    pub(super) numbers: LinkNumbers,
    /// The same without its first message, once that was asked for.
    rest: Option<QueueId>,
}

/// What an owner did with an input.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) owner: OwnerId,
    /// What it wants done.
    pub(super) told: Vec<Told>,
    /// The token of a hold that was reduced.
    pub(super) fence: u64,
}

/// One thing that an owner wants done.
#[derive(Debug)]
pub(super) enum Told {
    Deny {
        token: Token,
        why: Denied,
    },
    Grant {
        token: Token,
        fence: u64,
        /// What it holds now.
        credit: CreditId,
    },
    Leaving,
    Lost {
        token: Token,
        why: LostReason,
    },
    Send {
        to: PeerId,
        message: MessageId,
    },
    Wanted {
        token: Token,
        /// Who waits.
        order: Order,
    },
}

/// Whether messages that wait to be sent are merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Registers {
    /// Every change of a register goes out as it came.
    #[default]
    AsTheyCome,
    /// A register replaces what was not yet sent of it.
    Merged,
}

/// Everything that was met in one run.
#[derive(Debug)]
pub(super) struct Store<T: ResourceType> {
    owners: Vec<Known<Owner<T>>>,
    owner_ids: HashedMap<u128, OwnerId>,
    messages: Vec<Known<MessageOf<T>>>,
    message_ids: HashedMap<u128, MessageId>,
    queues: Vec<Queue>,
    queue_ids: HashMap<SmallVec<[MessageId; 4]>, QueueId>,
    pushed: HashedMap<u128, QueueId>,
    credits: Vec<T::Credit>,
    shapes: HashedMap<u128, u32>,
    outcomes: HashedMap<u128, Rc<Outcome>>,
    fx: Effects<T>,
}

impl<T: ResourceType> Store<T> {
    pub(super) fn new() -> Self {
        let mut store = Self {
            owners: Vec::new(),
            owner_ids: HashedMap::default(),
            messages: Vec::new(),
            message_ids: HashedMap::default(),
            queues: Vec::new(),
            queue_ids: HashMap::new(),
            pushed: HashedMap::default(),
            credits: vec![crate::credit::Credit::empty()],
            shapes: HashedMap::default(),
            outcomes: HashedMap::default(),
            fx: Effects::new(),
        };
        store.queue(SmallVec::new());
        store
    }

    pub(super) fn owner(&self, id: OwnerId) -> &Owner<T> {
        &self.owners[id.index()].value
    }

    pub(super) fn known_owner(&self, id: OwnerId) -> &Known<Owner<T>> {
        &self.owners[id.index()]
    }

    pub(super) fn message(&self, id: MessageId) -> &MessageOf<T> {
        &self.messages[id.0 as usize].value
    }

    pub(super) fn known_queue(&self, id: QueueId) -> &Queue {
        &self.queues[id.0 as usize]
    }

    /// What is under way, the next to arrive first.
    pub(super) fn messages(&self, id: QueueId) -> impl Iterator<Item = &MessageOf<T>> {
        self.known_queue(id)
            .messages
            .iter()
            .map(|&message| self.message(message))
    }

    pub(super) fn credit(&self, id: CreditId) -> &T::Credit {
        &self.credits[id.0 as usize]
    }

    /// The number of an owner, which is given one if it is new.
    pub(super) fn keep_owner(&mut self, plan: &Plan<T>, owner: Owner<T>) -> OwnerId {
        let next = OwnerId(number(self.owners.len()));
        match self.owner_ids.entry(hash_of(&owner)) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                entry.insert(next);
                let (mut numbers, mut hash) = (LinkNumbers::default(), Xxh3::new());
                owner.hash_state(plan.clocks, &mut numbers, &mut hash);
                let shape = shape(&mut self.shapes, hash.digest128());
                self.owners.push(Known {
                    value: owner,
                    shape,
                    numbers,
                });
                next
            }
        }
    }

    fn keep_message(&mut self, plan: &Plan<T>, message: MessageOf<T>) -> MessageId {
        let next = MessageId(number(self.messages.len()));
        match self.message_ids.entry(hash_of(&message)) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                entry.insert(next);
                let (mut numbers, mut hash) = (LinkNumbers::default(), Xxh3::new());
                hash_message(&message, plan.clocks, &mut numbers, &mut hash);
                let shape = shape(&mut self.shapes, hash.digest128());
                self.messages.push(Known {
                    value: message,
                    shape,
                    numbers,
                });
                next
            }
        }
    }

    pub(super) fn keep_credit(&mut self, credit: &T::Credit) -> CreditId {
        // There are as many as modes, so few.
        let index = self.credits.iter().position(|known| known == credit);
        CreditId(number(index.unwrap_or_else(|| {
            self.credits.push(credit.clone());
            self.credits.len() - 1
        })))
    }

    fn queue(&mut self, messages: SmallVec<[MessageId; 4]>) -> QueueId {
        if let Some(&id) = self.queue_ids.get(&messages) {
            return id;
        }
        let id = QueueId(number(self.queues.len()));
        let (mut numbers, mut hash) = (LinkNumbers::default(), Xxh3::new());
        for message in &messages {
            let known = &self.messages[message.0 as usize];
            known.shape.hash(&mut hash);
            numbers.extend(&known.numbers);
        }
        self.queue_ids.insert(messages.clone(), id);
        let shape = shape(&mut self.shapes, hash.digest128());
        self.queues.push(Queue {
            messages,
            shape,
            numbers,
            rest: None,
        });
        id
    }

    /// The first message of a queue, and the rest.
    pub(super) fn pop(&mut self, id: QueueId) -> (MessageId, QueueId) {
        let queue = self.known_queue(id);
        let first = queue.messages[0];
        let rest = queue.rest.unwrap_or_else(|| {
            let rest = self.known_queue(id).messages[1..].into();
            let rest = self.queue(rest);
            self.queues[id.0 as usize].rest = Some(rest);
            rest
        });
        (first, rest)
    }

    /// A queue with one more message at its end.
    pub(super) fn push(&mut self, plan: &Plan<T>, id: QueueId, message: MessageId) -> QueueId {
        let key = u128::from(id.0) << 64 | u128::from(message.0);
        if let Some(&pushed) = self.pushed.get(&key) {
            return pushed;
        }
        let mut messages = self.known_queue(id).messages.clone();
        if plan.registers == Registers::Merged {
            messages.retain(|&mut unsent| !replaces(self.message(message), self.message(unsent)));
        }
        messages.push(message);
        let pushed = self.queue(messages);
        self.pushed.insert(key, pushed);
        pushed
    }

    /// What an owner does with an input.
    pub(super) fn outcome(
        &mut self,
        plan: &Plan<T>,
        owner: OwnerId,
        input: Input,
    ) -> Result<Rc<Outcome>, Fault> {
        let key = u128::from(owner.0) << 64 | u128::from(input.number());
        if let Some(outcome) = self.outcomes.get(&key) {
            return Ok(Rc::clone(outcome));
        }
        let mut next = self.owner(owner).clone();
        let mut fx = core::mem::take(&mut self.fx);
        let fence = without_panic(|| {
            let fence = plan.apply(self, &mut next, input, &mut fx)?;
            // With debug assertions every input ends in this anyway.
            if !cfg!(debug_assertions) {
                next.check();
            }
            Ok(fence)
        })?;
        let told = fx
            .drain()
            .map(|effect| self.told(plan, &next, effect))
            .collect::<Result<_, _>>()?;
        self.fx = fx;
        let outcome = Rc::new(Outcome {
            owner: self.keep_owner(plan, next),
            told,
            fence,
        });
        self.outcomes.insert(key, Rc::clone(&outcome));
        Ok(outcome)
    }

    fn told(&mut self, plan: &Plan<T>, owner: &Owner<T>, effect: Effect<T>) -> Result<Told, Fault> {
        Ok(match effect {
            Effect::Deny { token, why } => Told::Deny { token, why },
            Effect::Grant { token, fence } => {
                let Some(hold) = owner.hold(token) else {
                    return Err(Fault(format!("a grant for {token}, which holds nothing")));
                };
                let credit = self.keep_credit(hold.asked());
                Told::Grant {
                    token,
                    fence,
                    credit,
                }
            }
            Effect::Leaving => Told::Leaving,
            Effect::Lost { token, why } => Told::Lost { token, why },
            Effect::Send { to, message } => Told::Send {
                to,
                message: self.keep_message(plan, message),
            },
            Effect::Wanted { token, by } => Told::Wanted {
                token,
                order: by.order,
            },
        })
    }
}

/// Whether `new` says all that `unsent` would, so that `unsent` need not be sent.
fn replaces<C, L>(new: &Message<C, L>, unsent: &Message<C, L>) -> bool {
    match (new, unsent) {
        // A grant carries the register. Its credit is not in it: a grant is never dropped.
        (Message::Recall { .. } | Message::Grant(_), Message::Recall { .. }) => true,
        (Message::Unwant { order }, Message::Want(want)) => *order == want.order,
        (Message::Want(new), Message::Want(unsent)) => new.order == unsent.order,
        (
            Message::AskLimit { .. }
            | Message::Busy { .. }
            | Message::Claim(_)
            | Message::Claimed(_)
            | Message::Deny { .. }
            | Message::Grant(_)
            | Message::Limit { .. }
            | Message::Recall { .. }
            | Message::Return { .. }
            | Message::Revoke { .. }
            | Message::Unclaimed { .. }
            | Message::Unwant { .. }
            | Message::Want(_),
            _,
        ) => false,
    }
}

fn hash_of(value: &impl Hash) -> u128 {
    let mut hash = Xxh3::new();
    value.hash(&mut hash);
    hash.digest128()
}

/// The number of a shape.
fn shape(shapes: &mut HashedMap<u128, u32>, hash: u128) -> u32 {
    let next = number(shapes.len());
    *shapes.entry(hash).or_insert(next)
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a run meets fewer than 2^32 different things")
}
