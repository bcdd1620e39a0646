//! Names of nodes, processes, peers, requests and loans.
//!
//! Ids come from the caller: a core that draws no numbers of its own replays exactly, and has fewer
//! distinct states to explore. Ids that may be used again carry a generation.

use core::fmt;
use std::sync::Arc;

use smallvec::SmallVec;
use thiserror::Error;

use crate::trace::TraceContext;

/// The longest name of a resource or of a node, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// The longest label or mode that a [`Note`] carries, in bytes. Longer ones are cut.
pub const NOTE_BYTES_MAX: usize = 128;

/// A node's identity in orders: the hash of its configured name. It never changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The identity of the node called `name`.
    #[must_use]
    pub fn of_name(name: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(name))
    }
}

/// One run of a process: a random number drawn at its start, so that two runs of one node differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boot(pub u64);

/// One run of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Party {
    /// Which node.
    pub node: NodeId,
    /// Which run of it.
    pub boot: Boot,
}

/// Hybrid logical time: later than everything its maker had seen when it made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

/// Which of two requests goes first, before their age is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the order of classes is part of the protocol"
)]
pub enum Class {
    /// A holder asks for more. It holds what new requests wait for, so it goes first: the other way
    /// round they would wait for each other.
    Convert,
    /// A request that holds nothing yet.
    New,
}

/// The place of a request in the one order of all requests: smaller goes first.
///
/// A request keeps its order for life and lends it to every message sent on its behalf, so the order is
/// the same everywhere. Safety never rests on it; an old order may turn up late, anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Order {
    /// Converts before new requests.
    pub class: Class,
    /// When the request was born.
    pub stamp: Stamp,
    /// Where it was born.
    pub party: Party,
    /// Which of that party's requests.
    pub seq: u64,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            Class::Convert => "c",
            Class::New => "",
        };
        write!(
            f,
            "{class}#{}.{:x}.{}",
            self.stamp.0, self.party.node.0, self.seq
        )
    }
}

/// A neighbour of an owner in the tree of credit: one session with one node.
///
/// The caller gives a number per session and never uses one twice, so a peer that comes back is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer {}", self.0)
    }
}

/// The caller's name for a local request, returned in effects.
///
/// `index` is meant to be a slot in the caller's slab: small, dense, used again; `generation` tells the
/// users of one slot apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "made by the caller")]
pub struct Token {
    /// The slot.
    pub index: u32,
    /// Which use of the slot.
    pub generation: u32,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}.{}", self.index, self.generation)
    }
}

/// One loan of one creditor: ties each credit message to it. Rises per resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct LoanId {
    /// The creditor's epoch when the loan was opened.
    pub epoch: u32,
    /// Which of that epoch's loans.
    pub counter: u32,
}

/// Which of the wants sent for one request: new in every want, over the request's whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A group of requests that do not conflict with each other where they meet: a transaction.
///
/// Members on one node share one hold, the least that covers what each of them asks. Over nodes it is only a label:
/// credit is conserved, so nobody can have there what is held here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u64);

/// The cluster-wide number of a resource type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

/// The name of a resource within its type: 1 to 255 bytes, any bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey(SmallVec<[u8; 23]>);

impl ResourceKey {
    /// The key with these bytes.
    ///
    /// # Errors
    /// [`BadName`] where there are none, or more than [`NAME_BYTES_MAX`].
    pub fn new(bytes: &[u8]) -> Result<Self, BadName> {
        BadName::check(bytes)?;
        Ok(Self(SmallVec::from_slice(bytes)))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ResourceKey {
    /// Readable bytes as they are, the others as `\xNN`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResourceKey({self})")
    }
}

/// A name that no resource or node can have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadName {
    /// No bytes at all.
    #[error("the name is empty: a name has 1 to {NAME_BYTES_MAX} bytes")]
    Empty,
    /// Too many bytes.
    #[error("the name has {bytes} bytes: a name has 1 to {NAME_BYTES_MAX} bytes")]
    TooLong {
        /// How many.
        bytes: usize,
    },
}

impl BadName {
    /// Whether `bytes` can be a name.
    ///
    /// # Errors
    /// Where it cannot.
    pub const fn check(bytes: &[u8]) -> Result<(), Self> {
        match bytes.len() {
            0 => Err(Self::Empty),
            1..=NAME_BYTES_MAX => Ok(()),
            bytes => Err(Self::TooLong { bytes }),
        }
    }
}

/// What people are told about a request: no decision reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Note {
    /// What the caller called the request.
    pub label: String,
    /// The mode as its type calls it, such as `read`.
    pub mode: String,
    /// The name of the node where it was made.
    pub node: String,
    /// Where it belongs in a distributed trace. Behind a pointer, as few have one.
    trace: Option<Box<TraceContext>>,
}

impl Note {
    /// A note; texts over [`NOTE_BYTES_MAX`] bytes are cut at a character boundary.
    #[must_use]
    pub fn new(mode: &str, label: &str, node: &str) -> Arc<Self> {
        Self::with_trace(mode, label, node, None)
    }

    /// A note of a request in a distributed trace; as [`new`](Self::new).
    #[must_use]
    pub fn with_trace(
        mode: &str,
        label: &str,
        node: &str,
        trace: Option<TraceContext>,
    ) -> Arc<Self> {
        Arc::new(Self {
            label: cut(label).into(),
            mode: cut(mode).into(),
            node: cut(node).into(),
            trace: trace.map(Box::new),
        })
    }

    /// The same of texts that are no longer needed elsewhere, with where it belongs in a trace.
    #[must_use]
    pub fn of(mode: String, label: String, node: String, trace: Option<TraceContext>) -> Arc<Self> {
        let shortened = |mut text: String| {
            text.truncate(cut(&text).len());
            text
        };
        Arc::new(Self {
            label: shortened(label),
            mode: shortened(mode),
            node: shortened(node),
            trace: trace.map(Box::new),
        })
    }

    /// Where the request belongs in a distributed trace.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.trace.as_deref().copied()
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(NOTE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_1_to_255_bytes_of_any_value() {
        assert!(ResourceKey::new(b"x").is_ok());
        assert!(ResourceKey::new(&[0xff; 255]).is_ok());
        assert_eq!(ResourceKey::new(b""), Err(BadName::Empty));
        assert_eq!(
            ResourceKey::new(&[b'x'; 256]),
            Err(BadName::TooLong { bytes: 256 })
        );
    }

    #[test]
    fn a_converting_request_goes_before_an_older_new_one() {
        let order = |class, stamp| Order {
            class,
            stamp: Stamp(stamp),
            party: Party::default(),
            seq: 0,
        };
        assert!(order(Class::Convert, 9) < order(Class::New, 1));
        assert!(order(Class::New, 1) < order(Class::New, 2));
    }

    #[test]
    fn a_long_label_is_cut_between_characters() {
        let note = Note::new("read", &"é".repeat(NOTE_BYTES_MAX), "n");
        assert_eq!(note.label.len(), NOTE_BYTES_MAX);
    }
}
