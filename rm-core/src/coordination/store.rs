//! What stands at the coordinator, and the one way to change it.
//!
//! The coordinator is a linearizable store of keys, such as etcd. Each commit that changes something has a *revision*,
//! a number that rises. Each key has the revision that made it and the one that wrote it last. All of a cluster stands
//! under two kinds of key: one [`View`], and one [`Record`] for each registration of a node.
//!
//! # Invariants
//!
//! * A key that was deleted and made again has another creation revision. So that number names one registration, and a
//!   comparison with it can never hold again once the record is gone.
//! * Nothing is changed but by a [`Transaction`]: all of its comparisons hold and all of it is done, or nothing is.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::id::BadName;
use crate::session::lease::LeaseTerms;
use crate::view::{ADDRESS_BYTES_MAX, Member, MemberState, View, WEIGHT_MAX};

/// The key of one registration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a store writes each field")]
pub struct RecordKey {
    /// The node's configured name.
    pub name: Vec<u8>,
    /// Which run of it: drawn at random by the process.
    pub run: u64,
    /// Which registration of that run, from 1.
    pub attempt: u32,
}

/// What a registered node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a store writes each field")]
pub struct Record {
    /// Where others reach it, such as `10.0.0.1:7600`.
    pub address: String,
    /// Its share of the resources, beside the others'.
    pub weight: u32,
    /// The lease it is configured with. Nodes of another lease than the cluster's do not become members.
    pub lease: LeaseTerms,
    /// Whether it stays.
    pub state: RecordState,
}

/// How far a registered node has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a store writes it")]
pub enum RecordState {
    /// It may be the root of resources.
    #[default]
    Full,
    /// It hands over what it was the root of.
    Leaving,
    /// It gave its membership up before it wrote this: whoever sees it may evict it at once.
    Left,
}

impl Record {
    /// The member of a view that this record asks for.
    #[must_use]
    pub fn member(&self, name: &[u8], reg: u64) -> Member {
        let state = match self.state {
            RecordState::Full => MemberState::Full,
            RecordState::Leaving | RecordState::Left => MemberState::Leaving,
        };
        Member {
            name: name.to_vec(),
            reg,
            address: self.address.clone(),
            state,
            weight: self.weight,
        }
    }

    /// Whether a node of that name may register with it.
    ///
    /// # Errors
    /// Where no view could have it as a member.
    pub fn check(&self, name: &[u8]) -> Result<(), BadRecord> {
        BadName::check(name)?;
        if !(1..=WEIGHT_MAX).contains(&self.weight) {
            return Err(BadRecord::Weight(self.weight));
        }
        if !(1..=ADDRESS_BYTES_MAX).contains(&self.address.len()) {
            return Err(BadRecord::Address(self.address.len()));
        }
        Ok(())
    }
}

/// A record that no view could have as a member.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadRecord {
    /// So many bytes.
    #[error("the address has {0} bytes: give 1 to {ADDRESS_BYTES_MAX}")]
    Address(usize),
    /// The name cannot be one.
    #[error(transparent)]
    Name(#[from] BadName),
    /// It is out of bounds.
    #[error("the weight is {0}: give 1 to {WEIGHT_MAX}")]
    Weight(u32),
}

/// What stands under a key, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store makes it")]
pub struct Stored<T> {
    /// The revision that made the key.
    pub created: u64,
    /// The revision that wrote it last.
    pub modified: u64,
    /// What it wrote.
    pub value: T,
}

/// All that stands at the coordinator, as of one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store makes it")]
pub struct Snapshot {
    /// As of which revision.
    pub revision: u64,
    /// The view, if there ever was one.
    pub view: Option<Stored<View>>,
    /// The registrations. The creation revision of each is its `reg`.
    pub records: BTreeMap<RecordKey, Stored<Record>>,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a store has both")]
pub enum Key {
    /// Of the view.
    View,
    /// Of a registration.
    Record(RecordKey),
}

/// What must be so for a transaction to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a store compares each")]
pub enum Compare {
    /// The key does not exist.
    Absent(Key),
    /// The key was made by that revision.
    Created(Key, u64),
    /// The key was written last by that revision.
    Modified(Key, u64),
}

/// What a transaction does to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a store does each")]
pub enum Change {
    /// Writes a registration.
    PutRecord(RecordKey, Record),
    /// Writes the view.
    PutView(View),
    /// Deletes a registration.
    Delete(RecordKey),
}

/// Comparisons, and what is done if all of them hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store executes it")]
pub struct Transaction {
    /// What must be so.
    pub compares: Vec<Compare>,
    /// What is then done, at once.
    pub changes: Vec<Change>,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth")]
pub enum Answer {
    /// All of it was done.
    Done {
        /// The revision that did it.
        revision: u64,
    },
    /// A comparison did not hold, and nothing was done.
    Refused,
    /// No answer came, or an error. It may have been done, may be done later, or never.
    Unknown,
}
