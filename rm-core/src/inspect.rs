//! What a node tells people and tools about itself: read-only, bounded, outside the sequence.

use core::time::Duration;

use crate::id::{LoanId, NodeId, Order, ResourceKey, TypeId};

/// The most resources one answer lists.
pub const LIST_MAX: u32 = 1_000;
/// The most holders, caches and waiting requests one answer shows of a resource.
pub const ENTRIES_MAX: usize = 256;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum Query {
    /// Which resources have any state, in the order of their names.
    List {
        /// Those whose name starts so; all types.
        prefix: Vec<u8>,
        /// Those after this one: the last of the answer before.
        after: Option<(TypeId, ResourceKey)>,
        /// At most so many; more than [`LIST_MAX`] counts as that.
        limit: u32,
    },
    /// Who holds one resource, who has credit of it cached, and who waits.
    Show {
        /// Its type.
        type_id: TypeId,
        /// Its name.
        key: ResourceKey,
    },
    /// The node as a whole.
    Status,
    /// A question of a later version. Answered by [`Answer::Unknown`]; never asked.
    Unknown,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum Answer {
    /// The question was not understood.
    Unknown,
    /// To `List`.
    List {
        /// By type and name.
        resources: Vec<Summary>,
        /// There are more after the last one.
        more: bool,
    },
    /// To `Show`; `None`: nothing is known of it, so nobody holds it or waits. Except while a root that started
    /// anew does not know what was lent before: see [`StatusView::grace`].
    Show(Option<ResourceView>),
    /// To `Status`.
    Status(StatusView),
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Summary {
    /// The type.
    pub type_id: TypeId,
    /// The type's name.
    pub type_name: String,
    /// The resource.
    pub key: ResourceKey,
    /// Local holds at the answering node.
    pub holds: u32,
    /// Debtors with a loan.
    pub debtors: u32,
    /// Requests that wait at the answering node.
    pub waiting: u32,
}

/// One resource as a node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct ResourceView {
    /// The type.
    pub type_id: TypeId,
    /// The type's name.
    pub type_name: String,
    /// The resource.
    pub key: ResourceKey,
    /// Holders, caches and waiting requests; at most [`ENTRIES_MAX`].
    pub entries: Vec<Entry>,
    /// How many more there are.
    pub omitted: u32,
    /// The highest fencing number the node has seen.
    pub fence: u64,
}

/// One party's part in a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Entry {
    /// What the party does.
    pub kind: EntryKind,
    /// Its node's name, as far as the answering node knows it.
    pub node: String,
    /// Its node's identity.
    pub node_id: NodeId,
    /// The mode, such as `read`; of cached credit, how much it is.
    pub mode: String,
    /// What the request called itself.
    pub label: String,
    /// How long it has held, had or waited.
    pub age: Duration,
    /// A waiting request's place.
    pub order: Option<Order>,
    /// A holder's fencing token.
    pub fence: Option<u64>,
    /// A debtor's loan.
    pub loan: Option<LoanId>,
    /// How many guards share a holder's hold; 0 where that is not known, and of others.
    pub guards: u32,
}

/// What a party does with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum EntryKind {
    /// It has credit on loan or cached; whether it uses it, the answering node cannot tell.
    Caches,
    /// It holds.
    Holds,
    /// It was asked to answer for itself and did not in time.
    Silent,
    /// It waits.
    Waits,
}

/// A node as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct StatusView {
    /// Its name.
    pub name: String,
    /// The version of the software.
    pub software: String,
    /// What coordinates the cluster, such as `standalone`.
    pub coordinator: String,
    /// Its epoch.
    pub epoch: u32,
    /// Its lease length.
    pub lease: Duration,
    /// How long it has run.
    pub uptime: Duration,
    /// How long it will still lend nothing, after a restart.
    pub grace: Duration,
    /// Sessions with debtors.
    pub sessions: u32,
    /// Resources with any state.
    pub resources: u64,
    /// Counters, by name: since the start.
    pub counters: Vec<(String, u64)>,
}
